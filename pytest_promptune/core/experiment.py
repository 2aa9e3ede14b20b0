"""What the items of a session contribute, and the table of scores they add up to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal

from pytest_promptune.core.model import Case, SampleError, SampleRecord, Usage
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.scorers import ScorerTally, Unscored, scores_of
from pytest_promptune.core.scoring import Classification, Sample, Score
from pytest_promptune.core.stats.model import Direction, Kind
from pytest_promptune.core.view import MetricName

Outcome = Literal["passed", "missed", "errored", "missing", "failed", "skipped"]

#: Characters kept of an assertion's message.
MESSAGE_LENGTH = 300

#: Value of the assertion metric by what became of the item; the others are not scored.
_ASSERTION_VALUES = {"passed": 1.0, "missed": 0.0, "errored": 0.0}

_BINARY = (0.0, 1.0)

#: One for all results that have none.
_NO_SCORES: Mapping[str, Score] = MappingProxyType({})

#: Name, kind and unit of what is known of every sample of an app.
_APP_METRICS: Sequence[tuple[str, Kind, str | None]] = (
    ("latency_s", "latency", "s"),
    ("cost_usd", "cost", "USD"),
    ("input_tokens", "cost", "tokens"),
    ("output_tokens", "cost", "tokens"),
    ("error_rate", "binary", None),
)

#: App, its scope, variant, case, its hash and run: what a sample is, whichever tests share it.
SampleIdentity = tuple[str, str, str, str, str, int]

#: Case id -> one value per run in the order of the runs, ``None`` = missing.
Scores = dict[str, list[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFacts:
    """What a sample says about itself, whatever its tests say."""

    latency_s: float | None = None
    usage: Usage = field(default_factory=Usage)
    error: SampleError | None = None
    models: tuple[str, ...] = ()
    #: Taken from an earlier session.
    reused: bool = False
    #: Models without a known price.
    unpriced: tuple[str, ...] = ()
    #: What its scorers cost, told by the first item that got their scores.
    scorer_cost_usd: float | None = None
    scorer_unpriced: tuple[str, ...] = ()
    #: Scorers of the item that gave no score, and why.
    scorer_errors: tuple[Unscored, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        usage, error = self.usage, self.error
        return {
            "latency_s": self.latency_s,
            "usage": [usage.input_tokens, usage.output_tokens, usage.cost_usd],
            "error": None if error is None else [error.type, error.message, error.infrastructure],
            "models": list(self.models),
            "reused": self.reused,
            "unpriced": list(self.unpriced),
            "scorers": [
                self.scorer_cost_usd,
                list(self.scorer_unpriced),
                [[each.scorer, each.reason, each.infrastructure] for each in self.scorer_errors],
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SampleFacts:
        """The inverse of `to_json`."""
        tokens_in, tokens_out, cost = data["usage"]
        error = data["error"]
        scorer_cost, scorer_unpriced, scorer_errors = data["scorers"]
        return cls(
            latency_s=data["latency_s"],
            usage=Usage(input_tokens=tokens_in, output_tokens=tokens_out, cost_usd=cost),
            error=error and SampleError(type=error[0], message=error[1], infrastructure=error[2]),
            models=tuple(data["models"]),
            reused=data["reused"],
            unpriced=tuple(data["unpriced"]),
            scorer_cost_usd=scorer_cost,
            scorer_unpriced=tuple(scorer_unpriced),
            scorer_errors=tuple(
                Unscored(scorer=scorer, reason=reason, infrastructure=lost)
                for scorer, reason, lost in scorer_errors
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one finished item contributes; travels with its report, from xdist workers too."""

    nodeid: str
    module: str
    test: str
    metric: str
    app: str
    case_id: str
    case_hash: str
    variant: str
    run: int
    outcome: Outcome
    #: Place of the item among those of the session, the same in all its processes.
    order: int = 0
    #: Names to gate, ``None`` for the default ones.
    gate: tuple[str, ...] | None = None
    #: By name; those that scorers gave are named in full, ``<app>::<key>``.
    scores: Mapping[str, Score] = field(default_factory=dict)
    classification: Classification | None = None
    #: First line of what the assertion said.
    message: str = ""
    #: ``None`` when the item never got its sample.
    sample: SampleFacts | None = None
    #: Whose app it is (see `SampleKey.scope`): empty for one that modules share; ``None`` where unknown.
    scope: str | None = None

    @property
    def sample_identity(self) -> SampleIdentity:
        """Which sample the item has; where it isn't known whose app it is, that of its module."""
        scope = self.module if self.scope is None else self.scope
        return self.app, scope, self.variant, self.case_id, self.case_hash, self.run

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the report of the item."""
        pair = self.classification
        return {
            "nodeid": self.nodeid,
            "module": self.module,
            "test": self.test,
            "metric": self.metric,
            "app": self.app,
            "case_id": self.case_id,
            "case_hash": self.case_hash,
            "variant": self.variant,
            "run": self.run,
            "outcome": self.outcome,
            "order": self.order,
            "gate": None if self.gate is None else list(self.gate),
            "scores": {k: [s.value, s.kind, s.direction, s.unit] for k, s in self.scores.items()},
            "judged": {k: [s.scorer, s.comment] for k, s in self.scores.items() if s.scorer},
            "classification": None if pair is None else [pair.predicted, pair.expected],
            "message": self.message,
            "sample": None if self.sample is None else self.sample.to_json(),
            "scope": self.scope,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """The inverse of `to_json`."""
        values = dict(data)
        values["sample"] = values["sample"] and SampleFacts.from_json(values["sample"])
        judged = values.pop("judged")
        scores = {}
        for name, (value, kind, direction, unit) in values["scores"].items():
            scorer, comment = judged.get(name, ("", ""))
            scores[name] = Score(
                value=value, kind=kind, direction=direction, unit=unit, scorer=scorer, comment=comment
            )
        values["scores"] = scores
        pair = values["classification"]
        values["classification"] = pair and Classification(predicted=pair[0], expected=pair[1])
        values["gate"] = None if values["gate"] is None else tuple(values["gate"])
        return cls(**values)


def result_of(
    item: PlannedItem,
    *,
    case: Case,
    record: SampleRecord | None,
    sample: Sample | None,
    outcome: Outcome,
    message: str,
    case_hash: str | None = None,
    scope: str | None = None,
    reused: bool = False,
) -> Result:
    """What an item contributes, from all that is known of it at its end."""
    facts = None
    scores: Mapping[str, Score] = sample.scores if sample is not None else {}
    if record is not None:
        given, facts = _facts_of(record, item.marks.app, reused=reused)
        scores = {**scores, **given}
    lines = message.strip().splitlines()
    return Result(
        nodeid=item.nodeid,
        module=item.module,
        test=item.test,
        metric=item.metric,
        app=item.marks.app,
        case_id=case.id,
        case_hash=case_hash or case.fingerprint,
        variant=item.cell.variant,
        run=item.cell.run,
        outcome=outcome,
        order=item.order,
        gate=item.marks.gate,
        scores=scores or _NO_SCORES,
        classification=sample.classification if sample is not None else None,
        message=lines[0][:MESSAGE_LENGTH] if lines else "",
        sample=facts,
        scope=scope,
    )


def _facts_of(record: SampleRecord, app: str, *, reused: bool) -> tuple[Mapping[str, Score], SampleFacts]:
    """What the scorers gave, and what else is kept of a sample."""
    facts = SampleFacts(
        latency_s=record.latency_s,
        usage=record.usage,
        error=record.error,
        models=tuple(dict.fromkeys(model for node in record.nodes for model in node.models)),
        reused=reused,
        unpriced=record.unpriced,
    )
    if not record.scorings:
        return _NO_SCORES, facts
    given, errors = scores_of(record.scorings, app=app)
    used = sum((scoring.usage for scoring in record.scorings), Usage())
    unpriced = tuple(dict.fromkeys(m for each in record.scorings for m in each.unpriced))
    return given, replace(
        facts, scorer_cost_usd=used.cost_usd, scorer_unpriced=unpriced, scorer_errors=errors
    )


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
    values: dict[str, dict[str, dict[int, float | None]]] = field(default_factory=dict)

    def put(self, variant: str, case: str, run: int, value: float | None) -> None:
        """Set one value, at six significant digits, as it will stand in the baseline file."""
        if value is not None:
            self.has_values = True
            if value not in _BINARY:
                value = float(f"{value:.6g}")
        self.values.setdefault(variant, {}).setdefault(case, {})[run] = value

    def has(self, variant: str, case: str, run: int) -> bool:
        """Whether there is a value, or it is known to be missing."""
        return run in self.values.get(variant, {}).get(case, {})

    def all_scores(self, variant: str) -> Scores:
        """The values of one variant, of cases that were lost altogether too."""
        cases = self.values.get(variant, {})
        return {case: [runs[run] for run in sorted(runs)] for case, runs in cases.items()}

    def scores(self, variant: str) -> Scores:
        """The values of one variant, cases without any value left out."""
        cases = self.values.get(variant, {})
        return {
            case: [runs[run] for run in sorted(runs)]
            for case, runs in cases.items()
            if any(value is not None for value in runs.values())
        }


class Experiment:
    """The scores of one session; grows item by item."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self._columns: dict[tuple[str, str], Column] = {}
        #: By module, app and the marker's gates.
        self._columns_of_app: dict[tuple[str, str, tuple[str, ...] | None], Sequence[Column]] = {}
        self._samples: dict[tuple[str, str, str, str, int], SampleFacts] = {}
        self._distinct: dict[SampleIdentity, SampleFacts] = {}
        self._case_hashes: dict[str, dict[str, str]] = {}
        self.scorers = ScorerTally()
        #: What contradicts itself in the scores, one sentence each.
        self.contradictions: list[str] = []

    def add(self, result: Result) -> None:
        """Take in what one item contributes."""
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
            self._samples.setdefault((result.module, result.app, *place), result.sample)
            first = self._distinct.setdefault(result.sample_identity, result.sample)
            if first.error is None and result.sample.error is not None:  # of another machine: don't hide it
                self._distinct[result.sample_identity] = result.sample
            self._app_metrics(result, result.sample)

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
                for name, kind, unit in _APP_METRICS
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
        executed: dict[tuple[str, str], set[tuple[str, str, int]]] = {}
        for result in self.results:
            if result.outcome != "skipped":
                cell = (result.variant, result.case_id, result.run)
                executed.setdefault((result.module, result.test), set()).add(cell)
        columns = sorted(self._columns.values(), key=lambda c: (c.name.module, _is_app_metric(c.name)))
        for column in columns:
            module, _, test = column.name.test.partition("::")
            cells = set().union(*(executed.get((module, name), ()) for name in {test} | column.tests))
            lacking = [cell for cell in cells if not column.has(*cell)]
            for variant, case, run in sorted(lacking):
                column.put(variant, case, run, None)
            if column.has_values:
                yield column

    @property
    def samples(self) -> Mapping[tuple[str, str, str, str, int], SampleFacts]:
        """Facts by module, app, variant, case and run: a sample that modules share stands in each of them."""
        return self._samples

    @property
    def distinct_samples(self) -> Mapping[SampleIdentity, SampleFacts]:
        """Facts of every sample, each once."""
        return self._distinct

    def case_hashes(self, module: str) -> Mapping[str, str]:
        """Hash of input and expected by case id."""
        return self._case_hashes.get(module, {})

    @property
    def modules(self) -> tuple[str, ...]:
        """Test modules in order of appearance."""
        return tuple(self._case_hashes)


def _error_value(error: SampleError | None) -> float | None:
    if error is None:
        return 0.0
    return None if error.infrastructure else 1.0


def _is_app_metric(name: MetricName) -> bool:
    return name.test == f"{name.module}::{name.app}"
