"""The variant that is in force in this task or thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from pytest_promptune.core.model import Variant
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Active:
    """The templates that a variant replaces, while it is applied."""

    name: str
    templates: Mapping[str, str]
    #: Equal for equal templates: what was compiled for one sample serves the next.
    key: tuple[tuple[str, str], ...]


#: Set around each call of the app, in its own task or thread; ``None`` is `current`.
active: ContextVar[Active | None] = ContextVar("pytest_promptune_variant", default=None)


@contextmanager
def applied(variant: Variant) -> Iterator[None]:
    """Let the app's templates render as this variant within the current task or thread."""
    templates = dict(variant.templates)
    key = tuple(sorted(templates.items()))
    token = active.set(Active(variant.name, templates, key) if templates else None)
    try:
        yield
    finally:
        active.reset(token)
