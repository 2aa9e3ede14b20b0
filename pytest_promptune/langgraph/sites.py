"""Which line of the app calls: the nearest frame that is no plumbing."""

from __future__ import annotations

import sys
from functools import cache
from types import FrameType

#: Modules that pass a call on; those beside them (``langgraph.prebuilt``, ``langchain.agents``) are callers.
_PLUMBING = (
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


def call_site() -> str | None:
    """``file:line`` of what led here, ``None`` where a task or thread began in between."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name == _LOOP:  # below it is what runs the loop, not what began the task
            return None
        if not _is_plumbing(name):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None


@cache
def _is_plumbing(module: str) -> bool:
    if module != "__main__" and module.partition(".")[0] in sys.stdlib_module_names:
        return True
    return any(module == name or module.startswith(f"{name}.") for name in _PLUMBING)
