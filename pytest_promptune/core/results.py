"""What one finished item contributes, as a value that travels and is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any, Literal

from pytest_promptune.core.model import NO_USAGE, Case, SampleError, SampleRecord, Usage
from pytest_promptune.core.nodes.facts import NodeFacts, facts_of_node
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.scorers import Unscored, scores_of
from pytest_promptune.core.scoring import Classification, Sample, Score
from pytest_promptune.core.values import dataclass

Outcome = Literal["passed", "missed", "errored", "missing", "failed", "skipped"]

#: What became of a sample is the first of these that one of its tests says.
GRAVEST: Sequence[Outcome] = ("missing", "errored", "failed", "missed", "passed", "skipped")

#: Characters kept of an assertion's message.
MESSAGE_LENGTH = 300

#: One for all results that have none.
_NO_SCORES: Mapping[str, Score] = MappingProxyType({})

#: App, its scope, variant, case and its hash: with the run, which sample it is, whichever tests share it.
SampleIdentity = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFacts:
    """What a sample says about itself, whatever its tests say."""

    latency_s: float | None = None
    usage: Usage = NO_USAGE
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
    nodes: tuple[NodeFacts, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        usage, error = self.usage, self.error
        nodes = {"nodes": [node.to_json() for node in self.nodes]} if self.nodes else {}
        return nodes | {
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
            nodes=tuple(NodeFacts.from_json(node) for node in data.get("nodes", ())),
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
        """With the run, which sample it is; where it isn't known whose app it is, that of its module."""
        scope = self.module if self.scope is None else self.scope
        return self.app, scope, self.variant, self.case_id, self.case_hash

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
        nodes=tuple(facts_of_node(node) for node in record.nodes),
    )
    if not record.scorings:
        return _NO_SCORES, facts
    given, errors = scores_of(record.scorings, app=app)
    used = sum((scoring.usage for scoring in record.scorings), Usage())
    unpriced = tuple(dict.fromkeys(m for each in record.scorings for m in each.unpriced))
    return given, replace(
        facts, scorer_cost_usd=used.cost_usd, scorer_unpriced=unpriced, scorer_errors=errors
    )
