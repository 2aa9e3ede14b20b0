"""Which line of the app calls: the nearest frame that is no plumbing."""

from __future__ import annotations

import sys
from functools import cache
from types import FrameType

from langchain_core.language_models.base import BaseLanguageModel

#: Modules that pass a call on; those beside them (``langgraph.prebuilt``, ``langchain.agents``) are callers.
_PLUMBING = (
    "langchain.chat_models",
    "langchain_classic.chat_models",
    "langchain_core",
    "langgraph._internal",
    "langgraph.func",
    "langgraph.graph",
    "langgraph.pregel",
    "langgraph.utils",
    "langsmith",
    "pydantic",
    "pytest_promptune",
    "tenacity",
)


#: Its frames begin a step of a task.
_LOOP = "asyncio.events"

#: Methods of models that classes of clients have of their own, and in which they call themselves.
_OF_MODELS = frozenset(
    f"{begin}{name}"
    for name in ("batch", "generate", "generate_prompt", "invoke", "stream")
    for begin in ("", "a")
)


def call_site() -> str | None:
    """``file:line`` of what led here, ``None`` where a task or thread began in between."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name == _LOOP:  # below it is what runs the loop, not what began the task
            return None
        if not _is_plumbing(name) and not _is_model(frame):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None


@cache
def _is_plumbing(module: str) -> bool:
    if module != "__main__" and module.partition(".")[0] in sys.stdlib_module_names:
        return True
    return any(module == name or module.startswith(f"{name}.") for name in _PLUMBING)


def _is_model(frame: FrameType) -> bool:
    """A model that passes its own call on to the class above (``super().invoke``)."""
    code = frame.f_code
    if code.co_name not in _OF_MODELS or not code.co_argcount:
        return False
    return isinstance(frame.f_locals.get(code.co_varnames[0]), BaseLanguageModel)
