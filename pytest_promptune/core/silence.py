"""Apps that gave no output and scorers that gave no score at all: nothing was measured, which is no pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.checks import APP_METRICS
from pytest_promptune.core.display import clean, count, cut
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.gate import gate_nodeid
from pytest_promptune.core.matching import is_named
from pytest_promptune.core.results import Result
from pytest_promptune.core.scorers import Unscored
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ComparisonRow, GateItem, MetricName


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A metric of a scorer that has no value in any sample of a variant."""

    name: MetricName
    variant: str
    scorer: str
    #: Those that it was asked about: the app gave an output there.
    samples: int
    cases: frozenset[str]
    #: The first; ``None`` where it said of all samples that it can't tell.
    failure: Unscored | None
    #: A test that names the scorer wants the metric gated.
    gated: bool
    #: The items whose samples it was asked about.
    nodeids: tuple[str, ...]

    @property
    def what(self) -> str:
        """Which scorer, and how many samples."""
        return (
            f"the scorer {self.scorer!r} gave no score for any of {count(self.samples, 'sample')} of "
            f"{self.name.app}"
        )

    @property
    def sentence(self) -> str:
        """Which scorer, how many samples, why, and what to do."""
        failure = self.failure
        if failure is None:
            why = "it said that it can't tell"
            cure = "Ask it something that these outputs answer, or take it out of the marker's scorers=[…]."
        else:
            why = cut(clean(failure.reason), 200).rstrip(".")
            cure = _cure(failure)
        return f"{self.what} under {self.variant}: {why}. {cure}"


def _cure(failure: Unscored) -> str:
    if failure.infrastructure:
        return (
            "What it calls could not be reached: run again, with a lower --promptune-rate or "
            "--promptune-concurrency if that was too much."
        )
    if failure.reason.startswith("TimeoutError"):
        return "Give it more time with the marker's timeout=, or make it faster."
    return "Mend it, or take it out of the marker's scorers=[…]."


def items_of_apps(experiment: Experiment, variant: str) -> list[GateItem]:
    """A failed decision on every app that never answered, whatever the baseline says.

    Args:
        experiment: of the session.
        variant: the one in place of `current`.
    """
    by_app: dict[tuple[str, str], list[str]] = {}
    answered: set[tuple[str, str]] = set()
    for (module, app, *_), facts in experiment.samples.items():
        if facts.error is None:
            answered.add((module, app))
        else:
            by_app.setdefault((module, app), []).append(clean(str(facts.error)))
    items = []
    for (module, app), errors in by_app.items():
        if (module, app) not in answered:
            message = f"the app {app!r} gave no output in any of {count(len(errors), 'sample')}: {errors[0]}"
            nodeid = gate_nodeid(_name(module, app, f"{app}::output"), variant)
            items.append(GateItem(nodeid=nodeid, failed=True, message=cut(message, 400)))
    return items


# --- finding silent scorers -----------------------------------------------------------------------

#: Module, app, variant, scorer.
_Who = tuple[str, str, str, str]


@dataclass(slots=True)
class _Asked:
    """What came of one scorer under one variant."""

    samples: set[tuple[str, int]] = field(default_factory=set)
    failure: Unscored | None = None
    #: Metrics that it gave, and whether one was a value.
    metrics: dict[str, bool] = field(default_factory=dict)
    items: dict[str, tuple[str, ...] | None] = field(default_factory=dict)

    def note(self, result: Result) -> None:
        self.samples.add((result.case_id, result.run))
        self.items[result.nodeid] = result.gate


def silences(
    experiment: Experiment, baselines: Mapping[str, Baseline | None], *, whole: bool
) -> list[Silence]:
    """Every metric that a scorer gave in no sample of a variant, although the app gave outputs to judge.

    A scorer that failed throughout didn't say what it would have given: its metrics are those that it gave
    under other variants, else those that the baseline has and nothing gave, else the one of its own name.

    Args:
        experiment: of the session.
        baselines: by test module.
        whole: everything there is was measured, so that what nothing gave isn't another scorer's.
    """
    asked = _asked(experiment)
    gives: dict[tuple[str, str, str], dict[str, None]] = {}
    for (module, app, _, scorer), found in asked.items():
        gives.setdefault((module, app, scorer), {}).update(dict.fromkeys(found.metrics))
    given = {(module, metric) for (module, *_), metrics in gives.items() for metric in metrics}
    unknown = Counter((module, app) for (module, app, _), metrics in gives.items() if not metrics)
    silent = []
    for (module, app, variant, scorer), found in asked.items():
        metrics = [metric for metric, has_value in found.metrics.items() if not has_value]
        lost: list[str] = []
        if not found.metrics:
            baseline = baselines.get(module)
            lost = [m for m in _recorded(baseline, app) if (module, m) not in given]
            own = f"{app}::{scorer}"
            is_clear = whole and own not in lost and unknown[module, app] == 1
            metrics = list(gives[module, app, scorer]) or (lost if is_clear else []) or [own]
        for metric in metrics:
            name = _name(module, app, metric)
            names = [name, *(_name(module, app, other) for other in lost)]
            silent.append(
                Silence(
                    name=name,
                    variant=variant,
                    scorer=scorer,
                    samples=len(found.samples),
                    cases=frozenset(case for case, _ in found.samples),
                    failure=found.failure,
                    gated=any(_wants(gate, names) for gate in found.items.values()),
                    nodeids=tuple(found.items),
                )
            )
    return silent


def _asked(experiment: Experiment) -> dict[_Who, _Asked]:
    found: dict[_Who, _Asked] = {}
    for result in experiment.results:
        facts = result.sample
        if facts is None or facts.error is not None:
            continue
        for error in facts.scorer_errors:
            who = (result.module, result.app, result.variant, error.scorer)
            asked = found.setdefault(who, _Asked())
            asked.note(result)
            asked.failure = asked.failure or error
        for metric, score in result.scores.items():
            if score.scorer:
                who = (result.module, result.app, result.variant, score.scorer)
                asked = found.setdefault(who, _Asked())
                asked.note(result)
                asked.metrics[metric] = asked.metrics.get(metric, False) or score.value is not None
    return found


def _recorded(baseline: Baseline | None, app: str) -> list[str]:
    """The metrics of an app's scorers that a baseline has scores of."""
    if baseline is None:
        return []
    own = {f"{app}::{name}" for name in APP_METRICS}
    return [m for m, cases in baseline.scores.items() if cases and m.startswith(f"{app}::") and m not in own]


def _name(module: str, app: str, metric: str) -> MetricName:
    return MetricName(
        metric=metric, test=f"{module}::{app}", module=module, app=app, kind="score", direction="higher"
    )


def _wants(gate: tuple[str, ...] | None, names: Iterable[MetricName]) -> bool:
    return gate is None or any(is_named(name, gate) for name in names)


# --- what follows ---------------------------------------------------------------------------------


def failing_rows(rows: Iterable[ComparisonRow], silent: Sequence[Silence]) -> list[ComparisonRow]:
    """The rows; a gated one fails where a scorer's silence left nothing to compare."""
    known = {(s.name.module, s.name.metric, s.variant): s for s in silent}

    def failing(row: ComparisonRow) -> ComparisonRow:
        if row.gate == "off" or row.n_cases:
            return row
        sides = (
            known.get((row.name.module, row.name.metric, side)) for side in (row.candidate, row.reference)
        )
        silence = next(filter(None, sides), None)
        return replace(row, gate="failed", reason=silence.sentence) if silence else row

    return [failing(row) for row in rows]


def items_of_scorers(
    silent: Iterable[Silence],
    rows: Iterable[ComparisonRow],
    *,
    baselines: Mapping[str, Baseline | None],
    compares: bool,
    required: bool,
) -> Iterator[tuple[Silence, GateItem]]:
    """The failed decisions on gated metrics that no row tells of, since one side or both have nothing.

    Where there is nothing to compare with yet, there is nothing to decide. "Can't tell" is an answer: it
    fails only where the baseline has scores for these cases.

    Args:
        silent: what was not measured.
        rows: those of the comparisons.
        baselines: by test module.
        compares: several variants are measured.
        required: a baseline is.
    """
    told = {(row.name.module, row.name.metric, row.candidate) for row in rows if row.gate == "failed"}
    for silence in silent:
        name = silence.name
        baseline = baselines.get(name.module)
        before = {} if baseline is None else baseline.scores.get(name.metric, {})
        if silence.failure is None:
            at_stake = not silence.cases.isdisjoint(before)
        else:
            at_stake = compares or required or baseline is not None
        if silence.gated and at_stake and (name.module, name.metric, silence.variant) not in told:
            message = f"{name.metric}: {silence.sentence}"
            yield silence, GateItem(nodeid=gate_nodeid(name, silence.variant), failed=True, message=message)
