"""What is known of a graph's nodes that call a language model: models, prompts, findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from pytest_promptune.core.nodes.traces import TracedCall, TracedNode
from pytest_promptune.core.values import dataclass

Evidence = Literal["live", "trace", "both"]
#: Of a message. ``None``: the text reaches the call in a way that doesn't say.
Role = Literal["system", "human", "ai"]
#: How a model comes about: the app has the object, the source makes one of LangChain's, or calls a provider's
#: own client, or posts a request by itself. ``None``: not known.
Origin = Literal["held", "made", "sdk", "posted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptText:
    """One text of a prompt and where it stands in the source."""

    text: str
    #: Relative to the project, with slashes; ``None`` where no source has it.
    file: str | None = None
    line: int | None = None
    role: Role | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """One model as a node uses it; unknown is ``None``."""

    model: str | None = None
    provider: str | None = None
    #: What the app sets; the value is ``None`` where it is known at run time only.
    params: Mapping[str, Any] = field(default_factory=dict)
    #: Whether `params` is all there is: a parameter that is missing is not set.
    is_settled: bool = False
    #: Whether its client limits the output though the app doesn't.
    is_limited: bool = False
    tools: tuple[str, ...] = ()
    #: Name of the structured output's schema.
    schema: str | None = None
    #: Whether the schema chooses (an enumeration, a boolean).
    decides: bool = False
    origin: Origin | None = None
    #: Whether the source gives it a key or an address of its own.
    is_equipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlace:
    """One place where a node calls a model: the models it may be, and its texts in order."""

    models: tuple[ModelUse, ...]
    prompt: tuple[PromptText, ...] = ()
    file: str | None = None
    line: int | None = None
    #: What samples showed of it.
    traced: TracedCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is weak in a node's prompt or parameters, why that is said, and what would mend it."""

    rule: str
    message: str
    evidence: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node that calls a language model."""

    #: Path in the graph; nodes of subgraphs as ``research/writer``.
    node: str
    file: str | None
    line: int | None
    calls: tuple[CallPlace, ...]
    findings: tuple[Finding, ...] = ()
    evidence: Evidence = "live"
    #: What samples showed of it, by app.
    traced: tuple[TracedNode, ...] = ()
    #: In some sample it ran, and in none it called a model, as far as LangChain tells.
    is_silent: bool = False
    #: The graph doesn't have it: it was made while the app ran.
    is_dynamic: bool = False
    #: Routes or a ``Command`` choose what is next.
    is_routing: bool = False
    #: An edge leads from it to the end of the app's graph.
    is_last: bool = False

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The models of all calls, each once: those with a name first, of these what samples called."""
        calls = sorted(self.calls, key=lambda call: call.traced is None)
        every = [model for call in calls for model in call.models]
        once = [model for i, model in enumerate(every) if model not in every[:i]]
        return tuple(sorted(once, key=lambda model: model.model is None))

    @property
    def sites(self) -> tuple[str, ...]:
        """Where samples showed it call a model, ``file:line``, each once."""
        every = (call.traced.site for call in self.calls if call.traced is not None)
        return tuple(dict.fromkeys(site for site in every if site is not None))

    @property
    def prompt(self) -> tuple[PromptText, ...]:
        """The texts of all calls, each once."""
        every = [text for call in self.calls for text in call.prompt]
        places = [(text.file, text.line, text.text) for text in every]
        return tuple(text for i, text in enumerate(every) if places[i] not in places[:i])


def to_json(node: Node) -> dict[str, Any]:
    """The row of ``--json``; of several models the first that has a name."""
    model = next(iter(node.models), ModelUse())
    return {
        "node": node.node,
        "file": node.file,
        "line": node.line,
        "model": model.model,
        "provider": model.provider,
        "params": dict(model.params),
        "prompt": [{"file": each.file, "line": each.line, "text": each.text} for each in node.prompt],
        "calls_llm": True,
        "evidence": node.evidence,
        "findings": [
            {"rule": each.rule, "message": each.message, "evidence": each.evidence, "fix": each.fix}
            for each in node.findings
        ],
    }
