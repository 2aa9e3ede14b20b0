"""The words of the field as values: case, variant, usage, what one execution gave."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from pytest_promptune.core.codec import canonical, sha256
from pytest_promptune.core.errors import CaseError
from pytest_promptune.core.values import dataclass

#: The name of the app as it stands.
CURRENT = "current"


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One input with what is expected of the answer.

    The id pairs an experiment with its baseline, so it must survive reordering and editing of other
    cases: use ids of your own, never positions.

    Raises:
        CaseError: when the id is not a non-empty string, or the weight is not a positive number.
    """

    id: str
    #: What the app is called with: a dict for graphs, anything for other callables.
    input: Any
    #: What the tests compare with; ``expected_*`` keys of a case file become a dict here.
    expected: Any = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id.strip():
            raise CaseError(
                f"Case(id={self.id!r}): an id is a non-empty string that stays the same when other cases "
                f"change. Write id={str(self.id)!r}."
                if self.id is not None and not isinstance(self.id, str)
                else f"Case(id={self.id!r}): every case needs an id, a non-empty string of its own."
            )
        if (
            isinstance(self.weight, bool)
            or not isinstance(self.weight, int | float)
            or not 0 < self.weight < float("inf")
        ):
            raise CaseError(f"Case {self.id!r}: weight is {self.weight!r}; a weight is a number above 0.")

    def __str__(self) -> str:
        return self.id

    @property
    def fingerprint(self) -> str:
        """Hash of input and expected: a case that changed under its id is another case.

        Raises:
            ScoreError: when input or expected hold something that has no JSON form.
        """
        where = f"Case {self.id!r}: "
        return sha256(canonical([self.input, self.expected], where=where + "[input, expected]"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing in which a variant differs from `current`."""

    #: ``template``, ``context``, ``node`` or ``builder``.
    kind: str
    #: The template's name, the context field, or the node's path.
    target: str
    #: The text or value before and after; ``before`` is ``None`` where it isn't known.
    before: str | None
    after: str
    #: ``prompt`` or ``parameter``.
    what: str = "prompt"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A named set of changes to prompts and parameters; `current` is the app as it stands."""

    name: str
    description: str = ""
    #: Way A: fields of the graph's runtime context.
    context: Mapping[str, Any] = field(default_factory=dict)
    #: Way C: overrides by node path.
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Way B: template name to the text that replaces it.
    templates: Mapping[str, str] = field(default_factory=dict)
    #: What differs from `current`, for people.
    changes: tuple[Change, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def fingerprint(self) -> str:
        """Hash of everything the variant sets, whatever it is called."""
        contents = [dict(self.context), {k: dict(v) for k, v in self.nodes.items()}, dict(self.templates)]
        return sha256(canonical(contents, where=f"variant {self.name!r}"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and money of one sample or one node call; unknown is ``None``, never 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=_plus(self.input_tokens, other.input_tokens),
            output_tokens=_plus(self.output_tokens, other.output_tokens),
            cost_usd=_plus(self.cost_usd, other.cost_usd),
        )


#: One for all that used nothing, or nothing that is known.
NO_USAGE = Usage()


def _plus(a: Any, b: Any) -> Any:
    """Unknown plus known is the known part: failed attempts carry no usage."""
    if a is None or b is None:
        return a if b is None else b
    return a + b


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """A way in which a node calls a model: from where and with what; unknown is ``None``."""

    #: As the app asks for it.
    model: str | None = None
    provider: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    #: Names of the tools that the model may call.
    tools: tuple[str, ...] = ()
    #: A form of the answer is asked for (``response_format``).
    is_structured: bool = False
    #: ``file:line`` of the app's code that calls.
    site: str | None = None


#: The messages of one model call, role and text.
Prompt = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model answered in one call: enough to tell forms and choices apart, not to read it whole."""

    #: Its beginning; without a text, the tools that it calls as ``name({"argument": 1})``.
    text: str
    #: Characters of the whole.
    length: int
    #: Which of the node's ways of calling gave it.
    way: int = 0
    #: Names of the tools that it calls.
    tools: tuple[str, ...] = ()
    #: Calls of tools whose arguments can't be read.
    broken: int = 0
    #: Tools that it calls again after they failed.
    retried: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun:
    """What one node of the graph did in one sample: its model calls added up."""

    node: str
    calls: int = 0
    #: Seconds in the node, of all its executions together; of its model calls where there is no graph.
    latency_s: float | None = None
    usage: Usage = NO_USAGE
    models: tuple[str, ...] = ()
    #: The rendered prompt of the node's last model call, role and text.
    prompt: Prompt = ()
    #: Model calls that failed.
    errors: int = 0
    #: Seconds in which the node ran: executions at the same time count once.
    wall_s: float | None = None
    #: The node's part of the sample's latency: seconds in which several nodes ran are divided among them.
    part_s: float | None = None
    #: Executions of the node and model calls that repeat one that failed.
    retries: int = 0
    #: How many calls failed with which exception, and how often the node itself failed with one of its own.
    error_types: Mapping[str, int] = field(default_factory=dict)
    #: The different ways in which it calls models, in order of the first call.
    ways: tuple[ModelCall, ...] = ()
    #: The last prompt of each of the first ways; empty where there is one, whose prompt is `prompt`.
    prompts: tuple[Prompt, ...] = ()
    #: The first answers.
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleError:
    """Why a sample has no output."""

    #: Qualified name of the exception's class, ``TimeoutError`` for a sample over its time.
    type: str
    message: str
    #: True for rate limits, 5xx and lost connections: the sample says nothing about the app.
    infrastructure: bool = False

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerScore:
    """One value that a scorer gave a sample."""

    #: Last part of the metric's name.
    key: str
    #: ``None``: the scorer said itself that it can't tell.
    value: float | None
    #: A yes or no.
    is_binary: bool = False
    #: The judge's reason.
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What came of one scorer and one sample: scores, or why there are none."""

    #: Name of the fixture, and where it is defined: other places may have others of its name.
    scorer: str
    home: str = ""
    scores: tuple[ScorerScore, ...] = ()
    error: SampleError | None = None
    #: Of all attempts.
    usage: Usage = NO_USAGE
    unpriced: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, str]:
        """Which scorer."""
        return self.scorer, self.home


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord:
    """One execution of the app: case x variant x run, with its output or its error."""

    case_id: str
    variant: str
    #: 1..N.
    run: int
    output: Any = None
    error: SampleError | None = None
    latency_s: float | None = None
    usage: Usage = NO_USAGE
    nodes: tuple[NodeRun, ...] = ()
    #: Models that were called and have no known price, so that the cost isn't known.
    unpriced: tuple[str, ...] = ()
    #: What scorers made of the output.
    scorings: tuple[Scoring, ...] = ()
    #: Nodes of the graph that ran and called no model, as far as LangChain tells.
    silent: tuple[str, ...] = ()
