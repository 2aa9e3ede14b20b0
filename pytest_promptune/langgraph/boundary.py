"""Way C: the changes of a node arrive at the chat model, whatever the app does with its prompts.

`BaseChatModel` is wrapped once in a process. The wrap asks a context variable for the override of the
node that calls, and passes everything on where there is none. What reached a call is marked in the call's
metadata; calls of the node without that mark, and nodes that ran without any call, are found out.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables.config import ensure_config
from langchain_core.tracers.context import register_configure_hook

from pytest_promptune.core.display import clean
from pytest_promptune.core.errors import OverrideError, ParameterRejected, TemplateMismatch
from pytest_promptune.core.overrides import NodeOverride
from pytest_promptune.langgraph.refusals import refused
from pytest_promptune.langgraph.rewriting import as_messages, rewritten
from pytest_promptune.langgraph.tracing import NO_NODE, node_path

#: In the metadata of a model call: an override has been applied to it.
MARK = "promptune_override"

_STEP = "graph:step:"


class Attempt(BaseCallbackHandler):
    """One call of the app under the overrides of its variant, and what became of them."""

    run_inline = True

    def __init__(self, overrides: Mapping[str, NodeOverride], *, certain: frozenset[str]) -> None:
        """Nothing is called yet.

        Args:
            overrides: by node path.
            certain: nodes that the app is known to have; any other must run, or its name is wrong.
        """
        self._overrides = overrides
        self._certain = certain
        self._ran: dict[str, None] = {}
        self._called: dict[str, None] = {}
        self._missed: dict[str, None] = {}
        self._error: OverrideError | None = None

    # --- around the call of the app -------------------------------------------------------------------

    @contextmanager
    def part(self) -> Iterator[None]:
        """Apply the overrides to model calls in here. What went wrong with them goes before other errors."""
        token = _attempt.set(self)
        try:
            yield
        except Exception as error:
            if self._error is not None and self._error is not error:
                raise self._error from error
            raise
        finally:
            _attempt.reset(token)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """`part`, and `verify` at its end."""
        with self.part():
            yield
        self.verify()

    def verify(self) -> None:
        """See whether the overrides reached the model, also where the app kept errors to itself.

        Raises:
            OverrideError: when one did not.
        """
        if self._error is not None:
            raise self._error
        for path, override in self._overrides.items():
            if path in self._missed:
                raise OverrideError(
                    f"{override.where}: a model call of this node did not pass the chat-model boundary (a "
                    "completion model, a class with a generate or stream of its own, or a stream of events), "
                    "so the change did not arrive. Use another way for this node: a Jinja2 template, "
                    "[context], or a builder."
                )
            if path not in self._called:
                self._explain_silence(path, override)

    def _explain_silence(self, path: str, override: NodeOverride) -> None:
        if path in self._ran:
            inner = [called for called in self._called if called.startswith(f"{path}/")]
            if inner:
                advice = f"Model calls were made further inside: name {' or '.join(map(repr, inner))}."
            else:
                advice = (
                    "It may call a provider's SDK directly, or from a thread of its own that loses the "
                    "context (ThreadPoolExecutor, loop.run_in_executor; contextvars.copy_context().run "
                    "keeps it). Otherwise use another way for this node: a Jinja2 template, [context], or "
                    "a builder."
                )
            raise OverrideError(
                f"{override.where}: the node ran, but no call of a chat model was seen, so the change did "
                f"not arrive. {advice}"
            )
        if path not in self._certain:
            ran = ", ".join(map(repr, self._ran or self._called)) or "none"
            raise OverrideError(
                f"{override.where}: no such node ran. Nodes that did: {ran}. Correct the name."
            )

    # --- what LangChain tells -------------------------------------------------------------------------

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A step began; those that are nodes have their name."""
        known = metadata or {}
        is_step = any(tag.startswith(_STEP) for tag in tags or ())
        if is_step and kwargs.get("name") == known.get("langgraph_node"):
            self._ran[node_path(known)] = None

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, metadata: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """A chat model is called: with the override of its node, or past it."""
        self._note(metadata or {})

    def on_llm_start(
        self, serialized: Any, prompts: Any, *, metadata: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """A completion model is called; it has no boundary."""
        self._note(metadata or {})

    def _note(self, metadata: Mapping[str, Any]) -> None:
        path = metadata.get(MARK) or node_path(metadata)
        self._called[path] = None
        if path in self._overrides and MARK not in metadata:
            self._missed[path] = None

    # --- what the wrap asks ---------------------------------------------------------------------------

    def override_at(self, metadata: Mapping[str, Any]) -> NodeOverride | None:
        """The override of the node that calls, unless it has been applied by an outer call."""
        return None if MARK in metadata else self._overrides.get(node_path(metadata))

    def messages(self, override: NodeOverride, messages: Any) -> list[Any]:
        """The messages of the variant.

        Raises:
            TemplateMismatch: when the prompt isn't the one that it replaces.
        """
        try:
            return rewritten(override, messages)
        except TemplateMismatch as error:
            self._fail(error)
            raise

    @contextmanager
    def refusals(self, override: NodeOverride) -> Iterator[None]:
        """Tell errors about the variant's parameters from others.

        Raises:
            ParameterRejected: in place of an error that names one of them.
        """
        try:
            yield
        except Exception as error:
            name = refused(error, override.params)
            if name is None:
                raise
            refusal = ParameterRejected(
                f"{override.where}: params.{name} is not supported by the model: "
                f"{clean(str(error)).rstrip('.')}. Remove it, or use another model."
            )
            self._fail(refusal)
            raise refusal from error

    def _fail(self, error: OverrideError) -> None:
        self._error = self._error or error


#: Set around each call of the app whose variant changes nodes, in its own task or thread.
_attempt: ContextVar[Attempt | None] = ContextVar("promptune_attempt", default=None)
register_configure_hook(_attempt, inheritable=True)


# --- the wrap -------------------------------------------------------------------------------------


def install() -> None:
    """Wrap `BaseChatModel`; a second call does nothing.

    The wrap stays for the rest of the process: without an override it costs one look at a context variable.
    """
    for name, wrap in _WRAPS.items():
        original = getattr(BaseChatModel, name)
        # of this module: another copy of it (pytest within pytest) looks at a variable of its own
        if getattr(original, "promptune_attempt", None) is not _attempt:
            wrapped: Any = functools.wraps(original)(wrap(original))
            wrapped.promptune_original, wrapped.promptune_attempt = original, _attempt
            setattr(BaseChatModel, name, wrapped)


def _metadata(explicit: Mapping[str, Any] | None, callbacks: Any = None) -> Mapping[str, Any]:
    """Where a call comes from: what it was given, else what its node runs under."""
    known = {**(getattr(callbacks, "metadata", None) or {}), **(explicit or {})}
    if node_path(known) == NO_NODE and MARK not in known:
        config = ensure_config()
        inherited = getattr(config.get("callbacks"), "metadata", None) or {}
        known = {**inherited, **(config.get("metadata") or {}), **known}
    return known


def _applying(metadata: Mapping[str, Any] | None, callbacks: Any) -> tuple[Attempt, NodeOverride] | None:
    """What a call is made under, ``None`` if nothing of it changes."""
    attempt = _attempt.get()
    if attempt is None:
        return None
    override = attempt.override_at(_metadata(metadata, callbacks))
    return None if override is None else (attempt, override)


def _parameters(override: NodeOverride, stop: Any, kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """`stop` and the keyword arguments of a call with the variant's parameters."""
    params = dict(override.params)
    return params.pop("stop", stop), {**kwargs, **params}


def _of_batch(
    attempt: Attempt, override: NodeOverride, messages: Any, stop: Any, metadata: Any, kwargs: Any
) -> tuple[Any, Any, dict[str, Any]]:
    """Messages, `stop` and keyword arguments for `generate` and `agenerate`."""
    new = [attempt.messages(override, each) for each in messages]
    stop, kwargs = _parameters(override, stop, kwargs)
    return new, stop, {**kwargs, "metadata": {**(metadata or {}), MARK: override.node}}


def _generate(original: Callable[..., Any]) -> Callable[..., Any]:
    def generate(
        self: Any,
        messages: Any,
        stop: Any = None,
        callbacks: Any = None,
        *,
        metadata: Any = None,
        **kwargs: Any,
    ) -> Any:
        found = _applying(metadata, callbacks)
        if found is None:
            return original(self, messages, stop, callbacks, metadata=metadata, **kwargs)
        attempt, override = found
        new, stop, kwargs = _of_batch(attempt, override, messages, stop, metadata, kwargs)
        with attempt.refusals(override):
            return original(self, new, stop, callbacks, **kwargs)

    return generate


def _agenerate(original: Callable[..., Any]) -> Callable[..., Any]:
    async def agenerate(
        self: Any,
        messages: Any,
        stop: Any = None,
        callbacks: Any = None,
        *,
        metadata: Any = None,
        **kwargs: Any,
    ) -> Any:
        found = _applying(metadata, callbacks)
        if found is None:
            return await original(self, messages, stop, callbacks, metadata=metadata, **kwargs)
        attempt, override = found
        new, stop, kwargs = _of_batch(attempt, override, messages, stop, metadata, kwargs)
        with attempt.refusals(override):
            return await original(self, new, stop, callbacks, **kwargs)

    return agenerate


class _Stream:
    """A stream's arguments, with the override of the node that asks for it."""

    def __init__(self, input: Any, config: Any, stop: Any, kwargs: dict[str, Any]) -> None:
        self.input, self.config, self.stop, self.kwargs = input, config, stop, kwargs
        self.guard: Any = contextlib.nullcontext()
        if _attempt.get() is None:
            return
        known = ensure_config(config)
        found = _applying(known.get("metadata"), known.get("callbacks"))
        if found is None:
            return
        attempt, override = found
        self.input = attempt.messages(override, as_messages(input))
        self.config = {**known, "metadata": {**(known.get("metadata") or {}), MARK: override.node}}
        self.stop, self.kwargs = _parameters(override, stop, kwargs)
        self.guard = attempt.refusals(override)


def _stream(original: Callable[..., Any]) -> Callable[..., Any]:
    def stream(
        self: Any, input: Any, config: Any = None, *, stop: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        call = _Stream(input, config, stop, kwargs)
        with call.guard:
            yield from original(self, call.input, call.config, stop=call.stop, **call.kwargs)

    return stream


def _astream(original: Callable[..., Any]) -> Callable[..., Any]:
    async def astream(
        self: Any, input: Any, config: Any = None, *, stop: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        call = _Stream(input, config, stop, kwargs)
        chunks = original(self, call.input, call.config, stop=call.stop, **call.kwargs)
        with call.guard:
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield chunk

    return astream


_WRAPS: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "generate": _generate,
    "agenerate": _agenerate,
    "stream": _stream,
    "astream": _astream,
}
