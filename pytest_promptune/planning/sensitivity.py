"""How small a change of the assertion metrics the session could find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.errors import ScoreError, StatsError
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.planning import Sensitivity, expected_decisions
from pytest_promptune.core.runs import most_runs
from pytest_promptune.core.values import dataclass
from pytest_promptune.planning.baselines import is_gated
from pytest_promptune.planning.history import History
from pytest_promptune.settings import Settings

_Scores = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Where variances may be told from."""

    settings: Settings
    items: Sequence[PlannedItem]
    baselines: Mapping[str, Baseline | None]
    history: History
    #: How many variants are measured.
    variants: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Design:
    """Two sides of a comparison as they will be."""

    scores: _Scores
    cases: int
    runs: tuple[float, float]
    against: str


def sensitivities(known: Known) -> tuple[list[Sensitivity], str]:
    """The smallest change of each gated assertion metric, and what is missing for the others.

    Both sides are taken to be as noisy as the recorded or stored runs are. Where no baseline is compared
    with, it is that of two sessions (or variants) of this size, and of a recording that of a check after it.
    """
    if known.settings.scope == "population":
        return [], (
            "Smallest change: unknown with --promptune-scope=population, where it depends on how much the "
            "cases differ from each other, which shows only when both sides were measured."
        )
    from pytest_promptune.core.stats.planning import binary_run_variance, minimum_detectable

    found, unknown = [], []
    family = _family(known)
    for module, metric in dict.fromkeys((i.module, i.metric) for i in known.items if is_gated(i)):
        mine = [item for item in known.items if (item.module, item.metric) == (module, metric)]
        design = _design(known, module, metric, mine)
        try:
            variance = binary_run_variance(design.scores) if design.scores else None
        except StatsError:  # under that name something else was scored
            variance = None
        if variance is None:
            unknown.append(metric)
            continue
        minimum = minimum_detectable(
            variance,
            variance,
            cases=design.cases,
            runs0=design.runs[0],
            runs1=design.runs[1],
            alpha=known.settings.alpha,
            family=family,
        )
        found.append(
            Sensitivity(
                module=module,
                metric=metric,
                minimum=minimum,
                cases=design.cases,
                runs=design.runs,
                against=design.against,
            )
        )
    return found, _missing(unknown)


def _missing(metrics: Sequence[str]) -> str:
    if not metrics:
        return ""
    return (
        f"Smallest change of {', '.join(metrics)}: unknown, neither the baseline nor a stored experiment has "
        "scores of these cases. Measure once to know it."
    )


def _family(known: Known) -> int:
    """How many gated hypotheses share the error level."""
    variants = known.variants if known.settings.mode == "compare" else 1
    number = 0
    if known.settings.mode != "baseline":
        number = expected_decisions(known.items, known.baselines, variants)
    if number:
        return number
    # later, with what is recorded now
    return max(1, expected_decisions(known.items, dict.fromkeys(known.baselines), 2))


def _design(known: Known, module: str, metric: str, items: Sequence[PlannedItem]) -> _Design:
    cases = {item.case.id: item.case for item in items if item.case}
    cells = {(item.case.id if item.case else "", item.cell) for item in items}
    sides = {(case, cell.variant) for case, cell in cells}
    runs = len(cells) / len(sides)
    baseline = known.baselines.get(module)
    recorded = _recorded(baseline, metric, items) if baseline else {}
    scores = recorded or known.history.scores(module, metric)
    size = max(1, len(cases) or 1)
    if known.settings.mode == "compare":
        return _Design(scores=scores, cases=size, runs=(runs, runs), against="current")
    if known.settings.mode == "check" and recorded:
        number = sum(value is not None for values in recorded.values() for value in values)
        return _Design(
            scores=recorded,
            cases=len(recorded),
            runs=(number / len(recorded), runs),
            against=f"baseline {known.settings.against}",
        )
    later = _runs_of_a_check(known.settings, items) if known.settings.mode == "baseline" else runs
    against = "another session of this size" if later == runs else "this baseline"
    return _Design(scores=scores, cases=size, runs=(runs, later), against=against)


def _runs_of_a_check(settings: Settings, items: Sequence[PlannedItem]) -> float:
    """Runs per case that the same tests will have when they are compared with what is recorded now."""
    check = replace(settings, baseline=False)
    return sum(most_runs(check.runs_of(item.marks.runs)) for item in items) / len(items)


def _recorded(baseline: Baseline, metric: str, items: Sequence[PlannedItem]) -> _Scores:
    """The recorded values of those cases that will be measured and are still the same."""
    found: dict[str, Sequence[float | None]] = {}
    for case in (item.case for item in items if item.case):
        values = baseline.scores.get(metric, {}).get(case.id, ())
        if case.id in found or all(value is None for value in values):
            continue
        try:
            is_same = baseline.cases.get(case.id) == case.fingerprint
        except ScoreError:
            continue
        if is_same:
            found[case.id] = values
    return found
