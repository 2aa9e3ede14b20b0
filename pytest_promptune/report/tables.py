"""The tables of the reports: what stands in which cell."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from pytest_promptune.core import wording
from pytest_promptune.core.display import (
    UNKNOWN,
    change,
    clean,
    cut,
    deviation,
    difference,
    effect,
    interval,
    mean,
    number,
    percent,
    probability,
    signed,
)
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ComparisonRow, ExperimentView, MetricRow, View
from pytest_promptune.report.escape import code, codes, sentence

Means = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells of plain text are escaped when a template prints them."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    #: Sentences below the table.
    notes: tuple[str, ...] = ()


# -- metrics ---------------------------------------------------------------------------------------------


def metric_tables(view: View) -> list[Table]:
    """One table per app: each metric under each variant."""
    level = percent(1 - view.experiment.alpha)
    many = wording.modules(view)
    tables: dict[str, list[MetricRow]] = {}
    for row in view.metrics:
        tables.setdefault(wording.app_title(row.name, many), []).append(row)
    return [_metric_table(title, rows, level) for title, rows in tables.items()]


def _metric_table(title: str, rows: Sequence[MetricRow], level: str) -> Table:
    header = [
        "Metric",
        "Variant",
        "Mean",
        "SD",
        f"{level} interval",
        "Min",
        "Max",
        "Cases",
        "Samples",
        "Missing",
    ]
    passed = any(row.pass_all_runs is not None for row in rows)
    percentiles = any(row.p95 is not None for row in rows)
    header += ["All runs passed"] if passed else []
    header += ["p50", "p95", "p99"] if percentiles else []
    body = []
    for row in rows:
        cells = [code(wording.label(row.name)), code(row.variant), mean(row.name, row.mean)]
        cells += [deviation(row.name, row.sd), interval(row.name, row.ci)]
        cells += [mean(row.name, row.min), mean(row.name, row.max)]
        cells += [f"{row.n_cases:,}", f"{row.n_samples:,}", f"{row.n_missing:,}"]
        cells += [percent(row.pass_all_runs)] if passed else []
        cells += [mean(row.name, value) for value in (row.p50, row.p95, row.p99)] if percentiles else []
        body.append(tuple(cells))
    notes = [
        sentence("Flaky under {} in {}: {}", code(row.variant), code(row.name.metric), codes(row.flaky_cases))
        for row in rows
        if row.flaky_cases
    ]
    notes += [
        sentence("{} under {}: {}", code(row.name.metric), code(row.variant), text)
        for row in rows
        for text in wording.passes(row)
    ]
    return Table(title=title, header=tuple(header), rows=tuple(body), notes=tuple(notes))


# -- comparisons -----------------------------------------------------------------------------------------


def comparison_tables(view: View, *, brief: bool = False) -> list[Table]:
    """One table per candidate and reference; brief leaves out effect sizes and metrics without a gate."""
    tables = []
    for rows in wording.comparisons(view):
        shown = [row for row in rows if row.gated] if brief else list(rows)
        if shown:
            tables.append(_comparison_table(shown, view, brief))
    return tables


def comparison_title(row: ComparisonRow, view: View) -> str:
    """Which candidate of which app is compared with what."""
    app = wording.app_title(row.name, wording.modules(view))
    return f"{app}: {clean(row.candidate)} against {wording.against(row.reference)}"


def _comparison_table(rows: Sequence[ComparisonRow], view: View, brief: bool) -> Table:
    level = comparison_level(view)
    sides = [cut(wording.column(side), 20) for side in (rows[0].reference, rows[0].candidate)]
    header = ["Metric", *sides, f"Difference [{level} interval]", "p", "adj. p"]
    header += [] if brief else ["Cliff's δ", "Hedges' g"]
    body = []
    for row in (row for row in rows if not row.constant):
        cells = [code(wording.label(row.name)), mean(row.name, row.reference_mean)]
        cells += [mean(row.name, row.candidate_mean), _difference(row, brief)]
        cells += [probability(row.p), probability(row.p_adjusted)]
        cells += [] if brief else [signed(row.cliffs_delta, 2), signed(row.hedges_g, 2)]
        body.append((*cells, _verdict(row), _gate(row)))
    unnoticed = wording.detectable(rows, view.experiment.runs)
    notes = [f"{text[0].upper()}{text[1:]}." for text in (*wording.constants(rows), unnoticed) if text]
    return Table(
        title=comparison_title(rows[0], view),
        header=(*header, "Verdict", "Gate"),
        rows=tuple(body),
        notes=tuple(notes),
    )


def comparison_level(view: View) -> str:
    """At which level the intervals of comparisons hold: that of the look, where the session looked."""
    return percent(1 - _alpha(view), digits=5)  # levels of looks have endless decimals


def one_sided_level(view: View) -> str:
    """At which error level each direction is tested."""
    return percent(_alpha(view) / 2, digits=5)


def _alpha(view: View) -> float:
    look = view.experiment.look
    return look.alpha if look else view.experiment.alpha


def _difference(row: ComparisonRow, brief: bool) -> str:
    if brief or row.name.kind not in ("latency", "cost") or difference(row) == effect(row):
        return effect(row)
    return f"{effect(row)} ({difference(row)})"


def _verdict(row: ComparisonRow) -> str:
    words = wording.VERDICTS[row.verdict]
    return Markup(f"**{words}**") if row.verdict in ("regressed", "improved") else words


def _gate(row: ComparisonRow) -> str:
    if row.gate == "failed":
        return Markup("**failed**")
    return row.gate if row.gated else "not gated"


# -- cases -----------------------------------------------------------------------------------------------


def case_tables(view: View) -> tuple[list[Table], list[Table]]:
    """Case by case: the gated metrics in which something was found or is open, and the others."""
    found: list[Table] = []
    others: list[Table] = []
    for rows in wording.comparisons(view):
        for row in rows:
            means = case_means(row, view)
            if row.constant or not means:
                continue
            table = _case_table(row, means, f"{wording.label(row.name)}, {comparison_title(row, view)}")
            (found if row.gated and row.verdict != "unchanged" else others).append(table)
    return found, others


def case_means(row: ComparisonRow, view: View) -> dict[str, Means]:
    """Means by case on both sides, as far as the view has them."""
    if row.case_means:
        return dict(row.case_means)
    sides = {
        metric.variant: metric.case_means
        for metric in view.metrics
        if (metric.name.module, metric.name.metric) == (row.name.module, row.name.metric)
    }
    reference, candidate = sides.get(row.reference), sides.get(row.candidate)
    if reference is None or candidate is None:
        return {}
    return {case: (reference[case], candidate[case]) for case in reference if case in candidate}


def _case_table(row: ComparisonRow, means: dict[str, Means], title: str) -> Table:
    flags = {case: flag for flag in ("regressed", "improved", "suspect") for case in getattr(row.cases, flag)}
    body = tuple(
        (
            code(case),
            mean(row.name, reference),
            mean(row.name, candidate),
            change(row.name, reference, candidate),
            flags.get(case, ""),
        )
        for case, (reference, candidate) in means.items()
    )
    sides = (wording.column(row.reference), wording.column(row.candidate))
    return Table(title=title, header=("Case", *sides, "Change", ""), rows=body)


def case_lists(view: View, *, limit: int = 50) -> list[tuple[str, list[str]]]:
    """By comparison: one sentence per kind of change with the ids of the cases."""
    lists = []
    for rows in wording.comparisons(view):
        sentences: list[str] = []
        for what, metric, ids in wording.case_changes(rows):
            cases = codes(ids, limit=limit)
            of = sentence("{} ({})", what.capitalize(), code(metric)) if metric else what.capitalize()
            sentences.append(sentence("{}: {}", of, cases))
        if sentences:
            lists.append((comparison_title(rows[0], view), sentences))
    return lists


# -- the rest --------------------------------------------------------------------------------------------


def conditions(view: View) -> Table:
    """Under which conditions the session measured."""
    experiment = view.experiment
    commit: str = code(experiment.commit) if experiment.commit else UNKNOWN
    if experiment.branch:
        commit = sentence("{} on {}", commit, code(experiment.branch))
    if experiment.dirty:
        commit = sentence("{} with uncommitted changes", commit)
    rows = [
        ("Experiment", code(experiment.id)),
        ("Measured", f"{experiment.started} to {experiment.finished}"),
        ("Effort", wording.effort(view)),
        ("Exit code", str(view.exit_code)),
        ("Commit", commit),
        ("Models", codes(experiment.models) or UNKNOWN),
        ("Variants", codes(experiment.variants)),
        ("Error level", f"alpha {number(experiment.alpha, digits=1)}, two-sided"),
        *((("Looks", wording.looks(experiment.look)),) if experiment.look else ()),
        ("Concurrency", f"{experiment.concurrency:,} samples at a time"),
        ("Versions", _versions(experiment)),
        *((f"Hash of {clean(what)}", code(value)) for what, value in sorted(experiment.conditions.items())),
    ]
    return Table(title="Conditions", header=("Condition", "Value"), rows=tuple(rows))


def _versions(experiment: ExperimentView) -> str:
    found = {"pytest-promptune": experiment.promptune, "Python": experiment.python, **experiment.libraries}
    return ", ".join(f"{clean(name)} {clean(number)}" for name, number in found.items())


def error_table(view: View) -> Table:
    """Errors that are alike in one row."""
    rows = tuple(
        (
            f"{error.count:,}",
            code(error.app),
            code(error.variant),
            code(error.error, limit=300),
            codes(error.cases, limit=10),
            "infrastructure: missing" if error.infrastructure else "the app's",
        )
        for error in view.errors
    )
    return Table(
        title="Errors", header=("Samples", "App", "Variant", "Error", "Cases", "Counts as"), rows=rows
    )


def reasons(view: View) -> list[str]:
    """What each verdict rests on, in words; metrics that are equal on both sides stand below their table."""
    return [
        sentence(
            "{} ({} against {}): {}",
            code(wording.label(row.name)),
            code(row.candidate),
            wording.against(row.reference),
            f"{wording.VERDICTS[row.verdict]}. {clean(row.reason)}",
        )
        for rows in wording.comparisons(view)
        for row in rows
        if wording.has_reason(row)
    ]


def baselines(view: View) -> list[str]:
    """What happened to each baseline file."""
    lines: list[str] = []
    for item in view.baselines:
        what, _, rest = wording.baseline(item).partition(f": {clean(item.path)}")
        lines.append(sentence("Baseline {}: {} {}", what, code(item.path), rest).rstrip())
    return lines
