"""Sentences about a view that the terminal and the reports share, so that both say the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from pytest_promptune.core.display import (
    amount,
    clean,
    count,
    cut,
    effect,
    mean,
    money,
    number,
    percent,
    seconds,
)
from pytest_promptune.core.stats.model import Scope
from pytest_promptune.core.stats.wording import scope_line, worsening
from pytest_promptune.core.view import (
    BaselineView,
    ClassesRow,
    ComparisonRow,
    Decision,
    ErrorView,
    ExperimentView,
    LookView,
    MetricName,
    MetricRow,
    View,
)

VERDICTS: Mapping[str, str] = {
    "regressed": "regressed",
    "inconclusive": "inconclusive",
    "improved": "improved",
    "unchanged": "no significant change",
}
#: What happened to cases, by the fields of :class:`CaseLists`.
CASES: Mapping[str, str] = {
    "regressed": "regressed",
    "improved": "improved",
    "suspect": "suspect, run again",
    "changed": "changed content, not compared",
    "only_reference": "only in the reference",
    "only_candidate": "only in the candidate",
}
#: More metrics than these are counted in the headline: what isn't known must not push aside what is.
MOST_UNDECIDED = 2
#: Numbers of runs for which passes are told, beside all of them; the results have more.
_TOLD_K = (1, 2, 3, 5, 10)
TITLES = {"baseline": "Prompt baseline", "check": "Prompt regression check", "compare": "Prompt comparison"}

_BASELINE = "baseline:"
Comparison = tuple[ComparisonRow, ...]


# -- names -----------------------------------------------------------------------------------------------


def label(name: MetricName) -> str:
    """The metric's name without the app's, which stands above the table."""
    return clean(name.metric).removeprefix(f"{clean(name.app)}::")


def against(reference: str) -> str:
    """``baseline main`` or the name of a variant."""
    return clean(
        reference.replace(_BASELINE, "baseline ", 1) if reference.startswith(_BASELINE) else reference
    )


def column(side: str) -> str:
    """The heading of a column of means."""
    return "baseline" if side.startswith(_BASELINE) else clean(side)


def app_title(name: MetricName, modules: int) -> str:
    """The app, with its module where the session has more than one."""
    return clean(name.app) if modules < 2 else f"{clean(name.app)} ({clean(name.module)})"


# -- grouping --------------------------------------------------------------------------------------------


def comparisons(view: View) -> list[Comparison]:
    """The comparisons by module, app, reference and candidate, gravest verdict first."""
    order = list(VERDICTS)

    def place(row: ComparisonRow) -> tuple[str, str, str, str]:
        return row.name.module, row.name.app, row.reference, row.candidate

    first = {place(row): i for i, row in reversed(list(enumerate(view.comparisons)))}
    rows = sorted(view.comparisons, key=lambda row: (first[place(row)], order.index(row.verdict)))
    return [tuple(group) for _, group in groupby(rows, key=place)]


def measurements(view: View) -> list[tuple[MetricRow, ...]]:
    """The metric rows by module, app and variant, in the order they have."""

    def place(row: MetricRow) -> tuple[str, str, str]:
        return row.name.module, row.name.app, row.variant

    first = {place(row): i for i, row in reversed(list(enumerate(view.metrics)))}
    rows = sorted(view.metrics, key=lambda row: first[place(row)])
    return [tuple(group) for _, group in groupby(rows, key=place)]


def modules(view: View) -> int:
    """How many test modules the view speaks of."""
    names = [row.name for row in view.metrics] + [row.name for row in view.comparisons]
    return len({name.module for name in names})


def failed(view: View) -> list[str]:
    """The messages of the failed gates."""
    return [clean(item.message or item.nodeid) for item in view.gate if item.failed]


def regressed(view: View) -> list[ComparisonRow]:
    """Gated regressions that no message of a failed gate tells of, as with ``--promptune-gate=off``."""
    told = bool(failed(view))
    rows = [row for row in view.comparisons if not (told and row.gate == "failed")]
    return [row for row in rows if row.gate == "failed" or (row.gated and row.verdict == "regressed")]


def regressed_any(rows: Iterable[ComparisonRow]) -> bool:
    """A gated metric got significantly worse."""
    return any(row.gated and row.verdict == "regressed" for row in rows)


def is_wrong(view: View) -> bool:
    """A gate failed, or a gated metric regressed."""
    return bool(failed(view) or regressed(view))


def looks(look: LookView) -> str:
    """When the session looked, and which look counts."""
    planned = ", ".join(str(runs) for runs in look.planned[:-1])
    level = percent(1 - look.alpha, digits=5)
    return f"after {planned} and {look.most} runs; judged after {look.runs}, at a level of {level}"


# -- sentences -------------------------------------------------------------------------------------------


def headline(view: View) -> str:
    """The result in one line."""
    if view.interrupted:
        return "interrupted, nothing was compared or recorded"
    if view.mode == "baseline":
        return _recorded(view)
    if not view.comparisons:
        missing = [clean(item.name) for item in view.baselines if item.action == "missing"]
        text = f"no baseline {missing[0]} yet, nothing compared" if missing else "nothing compared"
        return f"{text}; gate failed" if failed(view) else text
    groups = comparisons(view)
    if view.mode == "compare" and len(groups) > 1:  # `current` beside its baseline is news only if it is bad
        news = [r for r in groups if not r[0].reference.startswith(_BASELINE) or regressed_any(r)]
        groups = news or groups
    text = "; ".join(_found(rows, len(groups) > 1) for rows in groups)
    if not failed(view):
        return text
    is_found = any(row.gate == "failed" and row.n_cases for row in view.comparisons)
    return f"gate failed: {text if is_found else failed(view)[0]}"


def _recorded(view: View) -> str:
    measured = f"{count(len(view.metrics), 'metric')}, {size(view.experiment.cases, view.experiment.runs)}"
    actions = [item.action for item in view.baselines]
    names = ", ".join(sorted({clean(item.name) for item in view.baselines}))
    for action in ("not recorded", "recorded", "updated"):
        if action in actions:
            return f"baseline {names} {action} ({measured})"
    return (
        f"baseline {names} already up to date ({measured})" if actions else f"nothing recorded ({measured})"
    )


def _found(rows: Comparison, named: bool) -> str:
    """What one comparison found; ungated metrics are in the tables only.

    Of several variants (`named`), what is known comes first: undecided metrics are not listed.
    """
    gated = [row for row in rows if row.gated]
    by_verdict = {v: [label(row.name) for row in gated if row.verdict == v] for v in VERDICTS}
    listed = ("regressed", "improved") if named else ("regressed", "improved", "inconclusive")
    if len(by_verdict["inconclusive"]) > MOST_UNDECIDED:
        by_verdict["inconclusive"] = [count(len(by_verdict["inconclusive"]), "metric")]
    found = [f"{', '.join(by_verdict[verdict])} {verdict}" for verdict in listed if by_verdict[verdict]]
    found += [
        f"{label(row.name)} worse in {count(len(row.failing_cases), 'case')}"
        for row in gated
        if row.failure == "cases"
    ]
    text = ", ".join(found) or ("inconclusive" if by_verdict["inconclusive"] else "no significant change")
    if not named:
        return text
    versus = "" if rows[0].reference == "current" else f" against {against(rows[0].reference)}"
    return f"{clean(rows[0].candidate)}{versus}: {text}"


def passes(row: MetricRow) -> list[str]:
    """How often k runs have a pass, and how often nothing else; nothing where no case is flaky."""
    found = row.passing
    if found is None or not row.flaky_cases:
        return []
    told = {"at least one of k runs passes (pass@k)": found.at, "all of k runs pass (pass^k)": found.hat}
    return [f"{what}: {_by_k(row.name, by_k)}" for what, by_k in told.items()]


def _by_k(name: MetricName, by_k: Mapping[int, float]) -> str:
    shown = [k for k in by_k if k in _TOLD_K or k == max(by_k)]
    values = [f"{mean(name, by_k[k])} for {k}" for k in shown]
    return ", ".join(values).replace(" for ", " for k = ", 1)


def size(cases: int, runs: int) -> str:
    """``20 cases x 5 runs``."""
    return f"{count(cases, 'case')} x {count(runs, 'run')}"


def regression(row: ComparisonRow) -> str:
    """Which metric got worse, by how much, compared with what."""
    return (
        f"{label(row.name)} of {clean(row.candidate)} {VERDICTS[row.verdict]}: {effect(row)} "
        f"({mean(row.name, row.candidate_mean)} against {mean(row.name, row.reference_mean)} "
        f"in {against(row.reference)})"
    )


def constants(rows: Iterable[ComparisonRow]) -> list[str]:
    """One line for the metrics whose values are all equal on both sides."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.constant:
            found.setdefault(_constant(row), []).append(label(row.name))
    return [f"{what}: {', '.join(names)}" for what, names in found.items()]


def _constant(row: ComparisonRow) -> str:
    value = row.candidate_mean
    if row.name.kind == "binary" and row.name.direction == "higher" and value in (0, 1):
        return "all passed in both" if value else "all failed in both"
    return f"equal in both, {mean(row.name, value)}"


def undecided(rows: Iterable[ComparisonRow]) -> list[str]:
    """Why metrics are inconclusive: gated ones, and those that can't be compared; equal reasons once."""
    return reasons(row for row in rows if row.verdict == "inconclusive" and (row.gated or row.p is None))


def reasons(rows: Iterable[ComparisonRow]) -> list[str]:
    """What each verdict rests on, in words; equal reasons once."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if has_reason(row):
            found.setdefault(clean(row.reason), []).append(label(row.name))
    return [f"{', '.join(names)}: {reason}" for reason, names in found.items()]


def has_reason(row: ComparisonRow) -> bool:
    """Whether its reason says more than the line about metrics that are equal on both sides."""
    return bool(row.reason) and not (row.constant and row.verdict == "unchanged")


def detectable(rows: Sequence[ComparisonRow], runs: int) -> str:
    """What these rows could not have noticed, or nothing when they did find something."""
    tested = [row for row in rows if row.gated and not row.constant and row.minimum_detectable is not None]
    if not tested or any(row.gated and row.verdict in ("improved", "regressed") for row in rows):
        return ""
    several = len(tested) > 1
    parts = [
        f"a {worsening(row.name.direction)} below about "
        f"{amount(row, row.minimum_detectable)}" + (f" in {label(row.name)}" if several else "")
        for row in tested
    ]
    return f"{_either(parts)} would go unnoticed with {size(tested[0].n_cases, runs)}"


def _either(parts: Sequence[str]) -> str:
    return " or ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def scope(view: View) -> str:
    """What the intervals speak of, and what they assume."""
    sizes: dict[Scope, set[int]] = {}
    for row in view.comparisons:
        sizes.setdefault(row.scope, set()).add(row.n_cases)
    sentences = [
        scope_line(kind, numbers.pop() if len(numbers) == 1 else None)
        for kind, numbers in sorted(sizes.items(), reverse=True)
    ]
    dates = recording_dates(view)
    if dates and any(row.reference.startswith(_BASELINE) for row in view.comparisons):
        sentences.append(
            f"Assumes the model/service has not changed since the baseline of {' and '.join(dates)}."
        )
    return " ".join(sentences)


def recording_dates(view: View) -> list[str]:
    """Days on which the scores compared with were recorded."""
    return sorted({item.recorded_at[:10] for item in view.baselines if item.recorded_at})


def baseline(item: BaselineView) -> str:
    """What happened to a baseline file."""
    actions = {"untouched": "already up to date", "compared": "compared with"}
    text = f"{actions.get(item.action, item.action)}: {clean(item.path)}"
    if item.action == "compared" and item.recorded_at:
        commit = f" at {clean(item.commit)[:10]}" if item.commit else ""
        text += f" of {item.recorded_at[:10]}{commit}"
    return f"{text} ({clean(item.detail)})" if item.detail else text


def decision(item: Decision) -> str:
    """What to do next and why."""
    text = "" if item.action == "record" else action(item)
    return ": ".join(part for part in (text, clean(item.reason)) if part)


def action(item: Decision) -> str:
    """What to do next: ``adopt fewshot``, ``continue (cool)``."""
    if not item.variant or item.action == "record":
        return item.action
    name = clean(item.variant)
    return f"{item.action} {name}" if item.action == "adopt" else f"{item.action} ({name})"


def error_count(item: ErrorView) -> str:
    """How often, and whether it counts against the app."""
    kind = ", infrastructure, counted as missing" if item.infrastructure else ""
    return f"{count(item.count, 'sample')} of {clean(item.app)}/{clean(item.variant)}{kind}"


def samples(experiment: ExperimentView) -> str:
    """How many samples there are and what became of them."""
    counts = {"reused": experiment.reused, "errored": experiment.errored, "missing": experiment.missing}
    notable = [f"{value:,} {word}" for word, value in counts.items() if value]
    return count(experiment.samples, "sample") + (f" ({', '.join(notable)})" if notable else "")


def effort(view: View) -> str:
    """How much was run, how long it took, and what it cost."""
    experiment, usage = view.experiment, view.usage
    parts = [
        size(experiment.cases, experiment.runs),
        f"{samples(experiment)} in {seconds(experiment.seconds)}",
    ]
    for tokens, which in ((usage.input_tokens, "input"), (usage.output_tokens, "output")):
        if tokens is not None:
            parts.append(count(tokens, f"{which} token"))
    if usage.cost_usd is not None:
        parts.append(money(usage.cost_usd))
    if usage.scorer_cost_usd is not None:
        parts.append(f"{money(usage.scorer_cost_usd)} for scorers")
    return ", ".join(parts)


def classes(row: ClassesRow, *, limit: int = 3) -> str:
    """Macro-F1 of a test and the most frequent confusions: ``macro-F1 0.87; billing → tech 7×``."""
    found = row.found
    predicted = (*found.labels, None)
    wrong = [
        (count, label, guess)
        for label, counts in zip(found.labels, found.counts, strict=False)
        for guess, count in zip(predicted, counts, strict=True)
        if count and guess != label
    ]
    wrong.sort(key=lambda entry: (-entry[0], entry[1], entry[2] or ""))
    told = [f"{class_name(label)} → {class_name(guess)} {count:,}×" for count, label, guess in wrong[:limit]]
    if len(wrong) > limit:
        told.append(f"{len(wrong) - limit:,} more")
    what = f"{clean(row.name.metric)} ({clean(row.variant)}): macro-F1 {number(found.macro_f1)}"
    return f"{what}; {', '.join(told) or 'no confusions'}"


def class_name(label: str | None) -> str:
    """A label on one line, and what stands for none."""
    return "no label" if label is None else cut(clean(label), 30) or "(empty)"


def case_changes(rows: Iterable[ComparisonRow]) -> list[tuple[str, str, tuple[str, ...]]]:
    """What happened to cases, to which metric, and which cases; content has no metric."""
    changes: list[tuple[str, str, tuple[str, ...]]] = []
    together = list(rows)
    for field, text in CASES.items():
        if field in ("changed", "only_reference", "only_candidate"):
            ids = {case: None for row in together for case in getattr(row.cases, field)}
            changes += [(text, "", tuple(ids))] if ids else []
        else:
            changes += [
                (text, label(row.name), getattr(row.cases, field))
                for row in together
                if getattr(row.cases, field)
            ]
    return changes
