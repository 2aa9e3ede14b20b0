"""Prompt regression testing for LangGraph, as a pytest plugin.

The public names are loaded when they are first used: pytest imports this package in every suite,
whether or not it has promptune tests. It has no assertions of tests: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_promptune.cases.loading import load_cases
    from pytest_promptune.core.aggregates.given import Aggregate
    from pytest_promptune.core.errors import PromptuneError
    from pytest_promptune.core.model import Case, Usage, Variant
    from pytest_promptune.core.scoring import Sample

__all__ = ["Aggregate", "Case", "PromptuneError", "Sample", "Usage", "Variant", "load_cases"]

_HOMES = {
    "Aggregate": "core.aggregates.given",
    "Case": "core.model",
    "PromptuneError": "core.errors",
    "Sample": "core.scoring",
    "Usage": "core.model",
    "Variant": "core.model",
    "load_cases": "cases.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
