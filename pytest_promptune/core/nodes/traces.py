"""What the samples of an experiment say about the nodes of its apps: calls, prompts, answers, time, money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace

from pytest_promptune.core.display import clean, cut
from pytest_promptune.core.model import Answer, ModelCall, NodeRun, Prompt, SampleRecord
from pytest_promptune.core.nodes.facts import facts_of_node
from pytest_promptune.core.nodes.usage import NodeUsage
from pytest_promptune.core.results import Result
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import NodeRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One answer and the sample it is from."""

    case_id: str
    run: int
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCall:
    """One place where a node called a model, over all samples."""

    #: ``file:line``, of a merged call relative to the project; ``None`` where it isn't known.
    site: str | None
    #: The different ways, those that came up last at the end.
    ways: tuple[ModelCall, ...]
    #: As it was sent the last time, and in which sample; empty where nothing of it is stored.
    prompt: Prompt = ()
    case_id: str = ""
    run: int = 0
    answers: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedNode:
    """One node of one app over all samples."""

    node: str
    app: str
    calls: tuple[TracedCall, ...]
    #: Calls, tokens, times and cost.
    usage: NodeRow
    #: Models that answered, as they are billed.
    models: tuple[str, ...] = ()
    #: Cases in which it ran.
    cases: frozenset[str] = frozenset()
    #: Samples in which an answer could not be read, and by which exceptions.
    unreadable: int = 0
    parse_errors: Mapping[str, int] = field(default_factory=dict)
    #: What its app is expected to answer, by case: the labels of tests that classify.
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One experiment as far as it speaks of nodes."""

    #: Of the experiment.
    id: str
    variant: str
    samples: int
    cases: int
    nodes: tuple[TracedNode, ...]
    #: App and path of nodes that ran in some sample, and called no model in any.
    silent: frozenset[tuple[str, str]] = frozenset()
    #: Samples without an output, by exception and beginning of its message.
    errors: Mapping[str, int] = field(default_factory=dict)
    #: The models were fakes: what they answered, took and cost says nothing.
    is_fake: bool = False

    @property
    def apps(self) -> tuple[str, ...]:
        """Apps of the experiment, each once."""
        names = [node.app for node in self.nodes] + sorted(app for app, _ in self.silent)
        return tuple(dict.fromkeys(names))


#: Exceptions of what reads a model's answer.
PARSE_ERRORS = frozenset({"OutputParserException", "ValidationError", "JSONDecodeError", "OutputParserError"})
_ERROR_LENGTH = 100
#: Different ways that are kept of one place.
_MOST_WAYS = 20


class TraceBuilder:
    """Adds up the samples of one variant."""

    def __init__(self) -> None:
        self._usages: dict[str, NodeUsage] = {}
        self._nodes: dict[tuple[str, str], _Node] = {}
        self._silent: dict[tuple[str, str], None] = {}
        self._cases: set[tuple[str, str]] = set()
        self._samples = 0
        self._errors: Counter[str] = Counter()

    def add(self, app: str, record: SampleRecord) -> None:
        """Take in one sample of an app."""
        self._samples += 1
        self._cases.add((app, record.case_id))
        if record.error is not None:
            self._errors[cut(clean(str(record.error)), _ERROR_LENGTH)] += 1
        self._silent.update(dict.fromkeys((app, path) for path in record.silent))
        usage = self._usages.setdefault(app, NodeUsage())
        facts = [facts_of_node(run) for run in record.nodes]
        usage.add(facts, latency_s=record.latency_s, is_error=record.error is not None)
        for run in record.nodes:
            self._nodes.setdefault((app, run.node), _Node()).add(run, record)

    def trace(
        self,
        id_: str,
        variant: str,
        *,
        labels: Mapping[tuple[str, str], tuple[str, ...]],
        is_fake: bool = False,
    ) -> Trace:
        """Everything that was added up.

        Args:
            id_: of the experiment.
            variant: whose samples these are.
            labels: by app and case, what tests expect.
            is_fake: see `Trace.is_fake`.
        """
        rows = {
            (app, row.node): row
            for app, usage in self._usages.items()
            for row in usage.rows(app, "", variant)
        }
        nodes = []
        for (app, path), node in self._nodes.items():
            mine = {case: labels[app, case] for case in node.cases if (app, case) in labels}
            found = node.traced(path, app, rows[app, path], mine)
            nodes.append(_without_answers(found) if is_fake else found)
        called = {(node.app, node.node) for node in nodes}
        return Trace(
            id=id_,
            variant=variant,
            samples=self._samples,
            cases=len({case for _, case in self._cases}),
            nodes=tuple(nodes),
            silent=frozenset(self._silent) - called,
            errors=dict(self._errors.most_common()),
            is_fake=is_fake,
        )


def labels_of(results: Iterable[Result]) -> dict[tuple[str, str], tuple[str, ...]]:
    """By app and case, what the tests that classify expect."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for result in results:
        if result.classification is not None:
            expected = str(result.classification.expected)
            found.setdefault((result.app, result.case_id), {})[expected] = None
    return {place: tuple(labels) for place, labels in found.items()}


def _without_answers(node: TracedNode) -> TracedNode:
    """What a node that asked a fake model shows of itself: how it asks, and nothing of the answers."""
    calls = tuple(replace(call, answers=()) for call in node.calls)
    return replace(node, calls=calls, models=(), unreadable=0, parse_errors={})


class _Node:
    """One node while samples are added up."""

    def __init__(self) -> None:
        self.cases: dict[str, None] = {}
        self._calls: dict[str | None, TracedCall] = {}
        self._answers: dict[str | None, list[Said]] = {}
        self._models: dict[str, None] = {}
        self._errors: Counter[str] = Counter()
        self._unreadable = 0

    def add(self, run: NodeRun, record: SampleRecord) -> None:
        self.cases[record.case_id] = None
        self._models.update(dict.fromkeys(run.models))
        errors = {name: times for name, times in run.error_types.items() if name in PARSE_ERRORS}
        self._errors.update(errors)
        self._unreadable += bool(errors or any(answer.broken for answer in run.answers))
        for way, prompt in _by_way(run):
            before = self._calls.get(way.site, TracedCall(site=way.site, ways=()))
            ways = (*(each for each in before.ways if each != way), way)[-_MOST_WAYS:]
            call = replace(before, ways=ways)
            if prompt:
                call = replace(call, prompt=prompt, case_id=record.case_id, run=record.run)
            self._calls[way.site] = call
        for answer in run.answers:
            if answer.way < len(run.ways):
                said = Said(case_id=record.case_id, run=record.run, answer=answer)
                self._answers.setdefault(run.ways[answer.way].site, []).append(said)

    def traced(
        self, path: str, app: str, usage: NodeRow, labels: Mapping[str, tuple[str, ...]]
    ) -> TracedNode:
        return TracedNode(
            node=path,
            app=app,
            calls=tuple(
                replace(call, answers=tuple(self._answers.get(site, ())))
                for site, call in self._calls.items()
            ),
            usage=usage,
            models=tuple(self._models),
            cases=frozenset(self.cases),
            unreadable=self._unreadable,
            parse_errors=dict(self._errors.most_common()),
            labels=labels,
        )


def _by_way(run: NodeRun) -> Sequence[tuple[ModelCall, Prompt]]:
    """The node's ways with their prompts; logs of older versions have a prompt alone."""
    ways = run.ways or (ModelCall(),)
    if len(ways) == 1:
        return [(ways[0], run.prompt)]
    # of ways that are known to older logs only the prompt of the last call is there: whose, isn't known
    prompts = [*run.prompts, *[()] * len(ways)]
    return [(way, prompts[number]) for number, way in enumerate(ways)]
