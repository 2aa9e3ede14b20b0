"""The table of scores that the items of a session add up to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import pairwise

from pytest_promptune.core.by_run import ByRun
from pytest_promptune.core.model import SampleError
from pytest_promptune.core.results import Result, SampleFacts, SampleIdentity
from pytest_promptune.core.scorers import ScorerTally
from pytest_promptune.core.scoring import Score
from pytest_promptune.core.stats.model import Direction, Kind
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import MetricName

#: Value of the assertion metric by what became of the item; the others are not scored.
_ASSERTION_VALUES = {"passed": 1.0, "missed": 0.0, "errored": 0.0}

_BINARY = (0.0, 1.0)

#: Name, kind and unit of what is known of every sample of an app.
APP_METRICS: Sequence[tuple[str, Kind, str | None]] = (
    ("latency_s", "latency", "s"),
    ("cost_usd", "cost", "USD"),
    ("input_tokens", "cost", "tokens"),
    ("output_tokens", "cost", "tokens"),
    ("error_rate", "binary", None),
)

#: Module, app, variant and case.
SamplePlace = tuple[str, str, str, str]

#: Case id -> one value per run in the order of the runs, ``None`` = missing.
Scores = dict[str, list[float | None]]


@dataclass(slots=True)
class Column:
    """All values of one metric, by variant, case and run."""

    name: MetricName
    #: Names that the tests' markers want gated; ``None`` where no marker says.
    gate: tuple[str, ...] | None
    #: A test among several keeps the default gates.
    keeps_defaults: bool = False
    has_values: bool = False
    #: Those that scored it; their samples without a value are missing.
    tests: set[str] = field(default_factory=set)
    #: By variant, case and run.
    values: dict[str, ByRun[str, float | None]] = field(default_factory=dict)

    def put(self, variant: str, case: str, run: int, value: float | None) -> None:
        """Set one value, at six significant digits, as it will stand in the baseline file."""
        if value is not None:
            self.has_values = True
            if value not in _BINARY:
                value = float(f"{value:.6g}")
        by_case = self.values.get(variant)
        if by_case is None:
            by_case = self.values[variant] = ByRun()
        by_case.put(case, run, value)

    def has(self, variant: str, case: str, run: int) -> bool:
        """Whether there is a value, or it is known to be missing."""
        by_case = self.values.get(variant)
        return by_case is not None and by_case.has(case, run)

    @property
    def cases(self) -> set[str]:
        """Ids of the cases that it is known or missing of."""
        return {case for by_case in self.values.values() for case in by_case}

    def all_scores(self, variant: str) -> Scores:
        """The values of one variant, of cases that were lost altogether too."""
        by_case = self.values.get(variant)
        return dict(by_case.lists()) if by_case else {}

    def scores(self, variant: str) -> Scores:
        """The values of one variant, cases without any value left out."""
        scores = self.all_scores(variant)
        return {case: values for case, values in scores.items() if any(value is not None for value in values)}


class Experiment:
    """The scores of one session; grows item by item."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self._columns: dict[tuple[str, str], Column] = {}
        #: By module, app and the marker's gates.
        self._columns_of_app: dict[tuple[str, str, tuple[str, ...] | None], Sequence[Column]] = {}
        self._samples: ByRun[SamplePlace, SampleFacts] = ByRun()
        self._distinct: ByRun[SampleIdentity, SampleFacts] = ByRun()
        self._case_hashes: dict[str, dict[str, str]] = {}
        self.scorers = ScorerTally()
        #: What contradicts itself in the scores, one sentence each.
        self.contradictions: list[str] = []

    def add(self, result: Result) -> None:
        """Take in what one item contributes."""
        result = self._with_shared_nodes(result)
        self.results.append(result)
        self._case_hashes.setdefault(result.module, {})[result.case_id] = result.case_hash
        place = (result.variant, result.case_id, result.run)
        if result.sample is not None:
            facts = result.sample
            self.scorers.add(cost_usd=facts.scorer_cost_usd, unpriced=facts.scorer_unpriced)
            for error in facts.scorer_errors:
                self.scorers.fail(result.app, error.scorer, error.reason, *place)
        if result.outcome == "skipped":
            return
        column = self._column(result, result.metric, result.test, kind="binary", direction="higher")
        column.put(*place, _ASSERTION_VALUES.get(result.outcome))
        for name, score in result.scores.items():
            self._score(result, name, score)
        if result.sample is not None:
            self._sample(result, result.sample)
            self._app_metrics(result, result.sample)

    def _with_shared_nodes(self, result: Result) -> Result:
        """Tests of one sample know the same nodes, which are kept once."""
        if result.sample is None or not result.sample.nodes:
            return result
        first = self._distinct.get(result.sample_identity, result.run)
        if first is None or first.nodes != result.sample.nodes:
            return result
        return replace(result, sample=replace(result.sample, nodes=first.nodes))

    def _sample(self, result: Result, facts: SampleFacts) -> None:
        here = (result.module, result.app, result.variant, result.case_id)
        if not self._samples.has(here, result.run):
            self._samples.put(here, result.run, facts)
        which = result.sample_identity
        first = self._distinct.get(which, result.run)
        # An error is not hidden by what another machine got.
        if first is None or (first.error is None and facts.error is not None):
            self._distinct.put(which, result.run, facts)

    def _score(self, result: Result, name: str, score: Score) -> None:
        of_scorer = "::" in name
        column = self._column(
            result,
            name if of_scorer else f"{result.test}::{name}",
            result.app if of_scorer else result.test,
            kind=score.kind,
            direction=score.direction,
            unit=score.unit,
            is_gated=of_scorer,
        )
        column.tests.add(result.test)
        if (score.direction, score.unit) != (column.name.direction, column.name.unit):
            sentence = (
                f"{column.name.metric} is scored with direction {column.name.direction!r} and unit "
                f"{column.name.unit!r}, and elsewhere with {score.direction!r} and {score.unit!r}; "
                "the first counts."
            )
            if sentence not in self.contradictions:
                self.contradictions.append(sentence)
        if score.value is not None and score.kind != column.name.kind:
            # None says nothing about the kind; booleans among numbers are numbers
            kind: Kind = "score" if column.has_values else score.kind
            column.name = replace(column.name, kind=kind)
        column.put(result.variant, result.case_id, result.run, score.value)

    def _app_metrics(self, result: Result, facts: SampleFacts) -> None:
        key = (result.module, result.app, result.gate)
        columns = self._columns_of_app.get(key)
        if columns is None:
            columns = self._columns_of_app[key] = [
                self._column(
                    result, f"{result.app}::{name}", result.app, kind=kind, direction="lower", unit=unit
                )
                for name, kind, unit in APP_METRICS
            ]
        used, error = facts.usage, facts.error
        values = (facts.latency_s, used.cost_usd, used.input_tokens, used.output_tokens)
        if error is not None:
            values = (None, None, None, None)
        for column, value in zip(columns, (*values, _error_value(error)), strict=True):
            column.put(result.variant, result.case_id, result.run, value)

    def _column(
        self,
        result: Result,
        metric: str,
        test: str,
        *,
        kind: Kind,
        direction: Direction,
        unit: str | None = None,
        is_gated: bool = False,
    ) -> Column:
        """The column of a metric; one of an app is gated by default only when `is_gated`."""
        key = (result.module, metric)
        gate = (metric,) if is_gated and result.gate is None else result.gate
        column = self._columns.get(key)
        if column is None:
            name = MetricName(
                metric=metric,
                test=f"{result.module}::{test}",
                module=result.module,
                app=result.app,
                kind=kind,
                direction=direction,
                unit=unit,
            )
            column = self._columns[key] = Column(name, gate)
        if result.gate is None:
            column.keeps_defaults = True
        if gate is not None and column.gate != gate:
            column.gate = tuple(dict.fromkeys([*(column.gate or ()), *gate]))
        return column

    def in_order(self) -> Experiment:
        """The same results as if they had arrived in the order of the items; xdist's workers race."""
        if all(one.order <= next_.order for one, next_ in pairwise(self.results)):
            return self
        whole = Experiment()
        for result in sorted(self.results, key=lambda result: result.order):
            whole.add(result)
        return whole

    def columns(self) -> Iterator[Column]:
        """Metrics with at least one value, test metrics before those of the app, in order of appearance.

        A sample whose test scored nothing, while others did, is missing there.
        """
        executed: dict[tuple[str, str], list[Result]] = {}
        for result in self.results:
            if result.outcome != "skipped":
                executed.setdefault((result.module, result.test), []).append(result)
        columns = sorted(self._columns.values(), key=lambda c: (c.name.module, _is_app_metric(c.name)))
        for column in columns:
            module, _, test = column.name.test.partition("::")
            for name in sorted({test} | column.tests):
                _fill(column, executed.get((module, name), ()))
            if column.has_values:
                yield column

    @property
    def samples(self) -> ByRun[SamplePlace, SampleFacts]:
        """Facts by where they were got and run: a sample that modules share stands in each of them."""
        return self._samples

    @property
    def distinct_samples(self) -> ByRun[SampleIdentity, SampleFacts]:
        """Facts of every sample, each once."""
        return self._distinct

    def case_hashes(self, module: str) -> Mapping[str, str]:
        """Hash of input and expected by case id."""
        return self._case_hashes.get(module, {})

    @property
    def modules(self) -> tuple[str, ...]:
        """Test modules in order of appearance."""
        return tuple(self._case_hashes)


def _fill(column: Column, executed: Iterable[Result]) -> None:
    """What ran without scoring is missing."""
    cells = ((result.variant, result.case_id, result.run) for result in executed)
    for variant, case, run in sorted(cell for cell in cells if not column.has(*cell)):
        column.put(variant, case, run, None)


def _error_value(error: SampleError | None) -> float | None:
    if error is None:
        return 0.0
    return None if error.infrastructure else 1.0


def _is_app_metric(name: MetricName) -> bool:
    return name.test == f"{name.module}::{name.app}"
