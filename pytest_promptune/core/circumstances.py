"""Under which circumstances a stored variant was measured, and in what two of them differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Literal

from pytest_promptune.core.values import dataclass

What = Literal["models", "concurrency", "tests", "prompts", "commit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What numbers depend on beside the variant; unknown is ``None`` or empty."""

    experiment: str
    variant: str
    #: ISO 8601, UTC.
    started: str
    status: str
    mode: str
    note: str | None = None
    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    models: tuple[str, ...] = ()
    concurrency: int | None = None
    #: Hashes of test modules and their ``conftest.py``, by path; of the app's own prompts, by name.
    tests: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    runs: int = 0
    cases: int = 0
    samples: int = 0
    errored: int = 0
    missing: int = 0
    seconds: float | None = None
    promptune: str = ""
    python: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One circumstance that was another then."""

    what: What
    #: Values, or for files and prompts the names of those that differ in both.
    before: str
    after: str


def differences(before: Circumstances, after: Circumstances) -> list[Difference]:
    """In what two sides differ: two of one experiment in nothing, and in nothing that one doesn't know."""
    if before.experiment == after.experiment:
        return []
    return list(_differences(before, after))


def _differences(before: Circumstances, after: Circumstances) -> Iterator[Difference]:
    if before.models and after.models and set(before.models) != set(after.models):
        yield Difference(what="models", before=_listed(before.models), after=_listed(after.models))
    if None not in (before.concurrency, after.concurrency) and before.concurrency != after.concurrency:
        yield Difference(what="concurrency", before=f"{before.concurrency:,}", after=f"{after.concurrency:,}")
    if names := _changed(before.tests, after.tests):
        yield Difference(what="tests", before=names, after=names)
    if names := _changed(before.prompts, after.prompts):
        yield Difference(what="prompts", before=names, after=names)
    if before.commit and after.commit and before.commit != after.commit:
        yield Difference(what="commit", before=before.commit, after=after.commit)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Names under which both have something else; what one of them doesn't have isn't known to differ."""
    return _listed(name for name in before if name in after and before[name] != after[name])
