"""The tables of the final report: what stands in which cell, in the words of a language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from markupsafe import Markup

from pytest_promptune.core.circumstances import Circumstances, told_parameters
from pytest_promptune.core.display import (
    UNKNOWN,
    change,
    effect,
    effect_values,
    interval,
    mean,
    money,
    number,
    percent,
    probability,
    seconds,
    signed,
)
from pytest_promptune.core.goals import wording as goals
from pytest_promptune.core.nodes.wording import share
from pytest_promptune.core.series.final import (
    CaseChanges,
    FinalReport,
    GoalChange,
    MetricChange,
    NodeChange,
    Prompt,
    Tried,
    goal_status,
)
from pytest_promptune.core.view import ComparisonRow, GoalRow, MetricName, NodeRow
from pytest_promptune.core.wording import label
from pytest_promptune.report.escape import code, codes, text
from pytest_promptune.report.tables import Table
from pytest_promptune.report.words import Words

ARROW = " → "
#: Cases up to which those that were kept are shown, too.
MOST_CASES = 40


def level(report: FinalReport) -> str:
    """``95 %``."""
    return percent(1 - report.alpha)


# -- results ---------------------------------------------------------------------------------------


def results(report: FinalReport, w: Words) -> list[tuple[str, Table]]:
    """By app: each metric at first and at present, with its target where it has one."""
    targets = {
        (each.name.module, each.name.metric): each for each in report.goals if each.final.percentile is None
    }
    apps: dict[str, list[MetricChange]] = {}
    for each in report.metrics:
        apps.setdefault(each.name.app, []).append(each)
    header = [w("c_metric"), w("c_initial")]
    if report.is_changed:
        header += [w("c_final"), w("c_difference", level=level(report)), w("c_relative")]
        header += [w("c_p"), w("c_adjusted")]
    else:
        header += [w("c_interval", level=level(report))]
    header += [w("c_target"), w("c_achievement"), w("c_result")]
    return [
        (
            app,
            _known(
                Table(
                    title=app,
                    header=tuple(header),
                    rows=tuple(
                        _result(each, targets.get((each.name.module, each.name.metric)), report.is_changed, w)
                        for each in metrics
                    ),
                    notes=_note_apart(
                        (each.name for each in metrics if _is_apart(each.comparison, *_means(each))), w
                    ),
                )
            ),
        )
        for app, metrics in apps.items()
    ]


def _result(each: MetricChange, goal: GoalChange | None, is_changed: bool, w: Words) -> tuple[str, ...]:
    name, row = each.name, each.comparison
    before, after = _means(each)
    cells: list[str] = [code(label(name)), w.units(mean(name, before))]
    if is_changed:
        cells += [w.units(mean(name, after)), w.units(_change(each, before, after))]
        cells += [UNKNOWN if _is_apart(row, before, after) else relative(before, after), *_probabilities(row)]
    else:
        cells += [w.units(interval(name, each.initial.ci if each.initial else None))]
    cells += [target(goal.final, w), goals.achievement(goal.final)] if goal else [UNKNOWN, UNKNOWN]
    return (*cells, _verdict(each, w) if is_changed else status(goal.final, w) if goal else UNKNOWN)


def _change(each: MetricChange, before: float | None, after: float | None) -> str:
    row = each.comparison
    return effect(row) if row is not None and row.ci is not None else change(each.name, before, after)


def _is_apart(row: ComparisonRow | None, before: float | None, after: float | None) -> bool:
    """Whether the means moved one way and the effect the other, as where outliers pull the means of times."""
    if row is None or row.ci is None or before is None or after is None:
        return False
    return (effect_values(row)[0] or 0.0) * (after - before) < 0


def _means(each: MetricChange) -> tuple[float | None, float | None]:
    before, after = (None if row is None else row.mean for row in (each.initial, each.final))
    return before, after


def _note_apart(names: Iterable[MetricName], w: Words) -> tuple[Markup, ...]:
    """The note for a table with rows of which `_is_apart` is true."""
    labels = list(dict.fromkeys(map(label, names)))
    return (w("note_apart", metrics=labels),) if labels else ()


def relative(before: float | None, after: float | None) -> str:
    """The change as a share of the initial mean."""
    if before is None or after is None or not before:
        return UNKNOWN
    return f"{signed((after - before) / abs(before) * 100, 1)} %"


def _probabilities(row: ComparisonRow | None) -> tuple[str, str]:
    if row is None or row.constant:
        return UNKNOWN, UNKNOWN
    return probability(row.p), probability(row.p_adjusted if row.gated else None)


def _verdict(each: MetricChange, w: Words) -> str:
    row = each.comparison
    if row is None or row.p is None:
        return UNKNOWN
    return verdict(row, w, gated=each.gated)


def verdict(row: ComparisonRow, w: Words, *, gated: bool) -> str:
    """What is said of a comparison; verdicts of metrics that aren't gated are exploratory."""
    if row.constant:
        return w("equal")
    words = w(f"verdict_{row.verdict}")
    if not gated:
        return w("not_gated", verdict=words)
    return Markup(f"**{words}**") if row.verdict in ("improved", "regressed") else words


# -- goals -----------------------------------------------------------------------------------------


def goal_table(report: FinalReport, w: Words) -> Table:
    """Each goal: what it wants, what was and is measured, what is missing."""
    header = [w("c_goal"), w("c_metric"), w("c_target")]
    header += [w("c_initial"), w("c_final")] if report.is_changed else [w("c_value")]
    header += [w("c_interval", level=level(report)), w("c_gap"), w("c_achievement"), w("c_result")]
    rows = []
    for each in report.goals:
        row, name = each.final, each.name
        values = [mean(name, each.initial.value)] if report.is_changed else []
        cells = [text(row.goal), goal_metric(row, report, w), target(row, w), *values, mean(name, row.value)]
        cells += [interval(name, row.ci), goals.gap(row), goals.achievement(row)]
        rows.append((*(c if isinstance(c, Markup) else w.units(c) for c in cells), status(row, w)))
    dashes = (UNKNOWN,) * (len(header) - 2)
    rows += [(text(each.goal), *dashes, w("not_judged")) for each in report.unjudged]
    return Table(title=w("h_goals"), header=tuple(header), rows=tuple(rows))


def goal_metric(row: GoalRow, report: FinalReport, w: Words) -> Markup:
    """The metric, with the percentile if it isn't the mean, and the app's name where there are several."""
    shown = code(row.name.metric) if len(report.apps) < 2 else name_of(row.name, report, w)
    if row.percentile is None:
        return shown
    return w("percentile_of", percentile=f"{row.percentile:g}", metric=shown)


def target(row: GoalRow, w: Words) -> str:
    """``90.0 % or higher``."""
    key = "at_least" if row.direction == "higher" else "at_most"
    return w(key, value=w.number(mean(row.name, row.target)))


def status(row: GoalRow, w: Words) -> str:
    """``attained``, ``reached, but that may be chance``."""
    return w(f"status_{goal_status(row)}")


# -- conditions ------------------------------------------------------------------------------------


def conditions(report: FinalReport, w: Words) -> Table:
    """Under which conditions both states were measured."""
    before, after = ([getattr(each, when) for each in report.prompts] for when in ("before", "after"))
    names = [each.name for each in report.prompts]
    sides = [_conditions(report.start, w) | {"k_prompts": _hashes(names, before)}]
    header = [w("c_condition"), w("c_initial")]
    if report.is_changed:
        sides.append(_conditions(report.present, w) | {"k_prompts": _hashes(names, after)})
        header.append(w("c_final"))
    rows = tuple((w(key), *(side[key] for side in sides)) for key in sides[0])
    return Table(title=w("h_conditions"), header=tuple(header), rows=rows)


def _hashes(names: Iterable[str], prompts: Iterable[Prompt | None]) -> str:
    told = (f"{name} {each.hash}" for name, each in zip(names, prompts, strict=True) if each is not None)
    return codes(told) or UNKNOWN


def _of_tests(about: Circumstances) -> list[str]:
    """That of all of them, unless it is that of the only file, and those of the files."""
    whole = about.hash_of_tests
    files = [f"{name} {hash_}" for name, hash_ in about.tests.items()]
    return files if not whole or whole in about.tests.values() else [whole, *files]


def _conditions(about: Circumstances, w: Words) -> dict[str, str]:
    commit: Markup | None = code(about.commit) if about.commit else None
    if commit is not None and about.branch:
        commit = w("on_branch", commit=commit, branch=code(about.branch))
    if commit is not None and about.dirty:
        commit = w("with_changes", commit=commit)
    samples: str = f"{about.samples:,}"
    if about.errored or about.missing:
        samples = w("lost", samples=about.samples, errored=about.errored, missing=about.missing)
    return {
        "k_experiment": code(about.experiment),
        "k_variant": code(about.variant),
        "k_started": about.started[:16].replace("T", " "),
        "k_commit": commit or UNKNOWN,
        "k_models": codes(about.models) or UNKNOWN,
        "k_parameters": codes(told_parameters(about.parameters)) or UNKNOWN,
        "k_size": f"{about.cases:,} × {about.runs:,}",
        "k_samples": samples,
        "k_cases": code(about.hash_of_cases),
        "k_tests": codes(_of_tests(about)) or UNKNOWN,
        "k_concurrency": UNKNOWN if about.concurrency is None else f"{about.concurrency:,}",
        "k_versions": w("versions", promptune=about.promptune, python=about.python),
        "k_libraries": codes(f"{name} {version}" for name, version in about.libraries.items()) or UNKNOWN,
    }


# -- iterations ------------------------------------------------------------------------------------


def tried_table(tried: Sequence[Tried], report: FinalReport, w: Words) -> Table:
    """What came of the variants of one iteration; metrics that none of them changed are named below."""
    header = (
        *(w(key) for key in ("c_variant", "c_metric", "c_reference", "c_candidate")),
        w("c_difference", level=level(report)),
        *(w(key) for key in ("c_p", "c_adjusted", "c_result")),
    )
    compared = [(each, row) for each in tried for row in each.comparisons]
    kept = {(each.name.module, each.name.metric) for each in report.goals}
    kept |= {(row.name.module, row.name.metric) for _, row in compared if not row.constant}
    rows, same = [], []
    for each, row in compared:
        told = label(row.name) if len(report.apps) < 2 else row.name.metric
        if (row.name.module, row.name.metric) in kept:
            rows.append(_tried_row(each, row, told, w))
        else:
            same.append(told)
    unchanged = (w("unchanged", metrics=list(dict.fromkeys(same))),) if same else ()
    apart = (row.name for _, row in compared if _is_apart(row, row.reference_mean, row.candidate_mean))
    return Table(title="", header=header, rows=tuple(rows), notes=(*unchanged, *_note_apart(apart, w)))


def _tried_row(tried: Tried, row: ComparisonRow, told: str, w: Words) -> tuple[str, ...]:
    name = row.name
    cells = [code(tried.name), code(told), mean(name, row.reference_mean)]
    cells += [mean(name, row.candidate_mean), effect(row), *_probabilities(row)]
    shown = (c if isinstance(c, Markup) else w.units(c) for c in cells)
    return (*shown, verdict(row, w, gated=row.gated))


# -- cases -----------------------------------------------------------------------------------------


def case_table(found: CaseChanges, w: Words, *, is_final: bool = True) -> Table:
    """Case by case, changed ones first; of many the kept ones are only counted.

    Args:
        found: what became of them.
        w: words.
        is_final: they are those of the initial and final state, and not of a variant beside `current`.
    """
    order = ("degraded", "improved", "unknown", "kept")
    cases = sorted(found.cases, key=lambda each: (order.index(each.verdict), not each.confirmed))
    is_long = len(cases) > MOST_CASES
    shown = [each for each in cases if not (is_long and each.verdict == "kept")]
    rows = []
    for each in shown:
        told: str = w(f"case_{each.verdict}") if each.verdict in ("improved", "degraded") else Markup()
        if each.confirmed and told:
            told = w("case_confirmed", verdict=told)
        cells = (mean(found.name, each.before), mean(found.name, each.after))
        moved = change(found.name, each.before, each.after)
        rows.append((code(each.case), *(w.units(cell) for cell in (*cells, moved)), told))
    notes = (w("cases_kept", kept=found.count("kept")),) if len(shown) < len(cases) else ()
    sides = ("c_initial", "c_final") if is_final else ("c_reference", "c_candidate")
    header = tuple(w(key) for key in ("c_case", *sides, "c_change", "c_result"))
    return Table(title=label(found.name), header=header, rows=tuple(rows), notes=notes)


# -- nodes -----------------------------------------------------------------------------------------


def node_table(nodes: Sequence[NodeChange], report: FinalReport, w: Words) -> Table:
    """Every node before and after, in one cell where both are known."""
    several = len({each.app for each in nodes}) > 1
    header = [*([w("c_app")] if several else []), w("c_node"), w("c_latency"), w("c_share_latency")]
    header += [w("c_calls"), w("c_tokens"), w("c_cost"), w("c_share_cost")]
    rows = []
    for each in nodes:
        sides = [each.before, each.after] if report.is_changed else [each.before]
        cells = [
            [seconds(row.latency_s.mean) if row else UNKNOWN for row in sides],
            [share(row.share_of_latency) if row else UNKNOWN for row in sides],
            [_per_sample(row, row.calls) if row else UNKNOWN for row in sides],
            [_tokens(row) if row else UNKNOWN for row in sides],
            [_cost(row) if row else UNKNOWN for row in sides],
            [share(row.share_of_cost) if row else UNKNOWN for row in sides],
        ]
        names = [*([code(each.app)] if several else []), code(each.node)]
        rows.append((*names, *(w.units(_arrow(cell)) for cell in cells)))
    return _known(Table(title=w("h_nodes"), header=tuple(header), rows=tuple(rows)))


def _arrow(values: Sequence[str]) -> str:
    """``a → b``; what is the same once."""
    return values[0] if len(set(values)) == 1 else ARROW.join(values)


def _known(table: Table) -> Table:
    """Without columns of which nothing is known, as the cost of a model that has no price."""
    kept = [place for place in range(len(table.header)) if any(row[place] != UNKNOWN for row in table.rows)]
    return replace(
        table,
        header=tuple(table.header[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
    )


def _per_sample(row: NodeRow, total: int | None) -> str:
    return UNKNOWN if total is None or not row.samples else number(total / row.samples)


def _tokens(row: NodeRow) -> str:
    if row.input_tokens is None and row.output_tokens is None:
        return UNKNOWN
    return f"{_per_sample(row, row.input_tokens)} / {_per_sample(row, row.output_tokens)}"


def _cost(row: NodeRow) -> str:
    return UNKNOWN if row.cost_usd is None or not row.samples else money(row.cost_usd / row.samples)


def name_of(name: MetricName, report: FinalReport, w: Words) -> Markup:
    """A metric where its app doesn't stand above it; of several apps, with the app's name."""
    shown = code(label(name))
    return shown if len(report.apps) < 2 else w("of_app", metric=shown, app=name.app)
