"""Under which circumstances a stored variant was measured, and in what two of them differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Literal

from pytest_promptune.core.display import UNKNOWN
from pytest_promptune.core.model import ModelCall
from pytest_promptune.core.values import dataclass

What = Literal["models", "parameters", "libraries", "concurrency", "tests", "prompts", "commit"]


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
    #: With what nodes call their models, as ``temperature=0.3, max_tokens=256``; empty where nothing is set.
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: Versions of what stands between the app and its models, by name.
    libraries: Mapping[str, str] = field(default_factory=dict)
    concurrency: int | None = None
    #: Hashes of test modules and their ``conftest.py``, by path; of the app's own prompts, by name.
    tests: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    #: One hash of all its cases, and one of the tests, as ``--promptune-json`` has them.
    hash_of_cases: str = ""
    hash_of_tests: str = ""
    runs: int = 0
    cases: int = 0
    samples: int = 0
    errored: int = 0
    missing: int = 0
    seconds: float | None = None
    #: Of the session; ``None`` where it has none yet, or was killed.
    exit_code: int | None = None
    promptune: str = ""
    python: str = ""

    @property
    def is_cut_off(self) -> bool:
        """The session came to no conclusion of its own; one whose budget was spent did."""
        return self.status != "finished" and self.exit_code not in (0, 1)


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
    if nodes := _changed_names(before.parameters, after.parameters):
        old, new = (
            "; ".join(told_parameters({node: each.parameters[node] for node in nodes}))
            for each in (before, after)
        )
        yield Difference(what="parameters", before=old, after=new)
    if libraries := _changed_names(before.libraries, after.libraries):
        old, new = (
            _listed(f"{name} {each.libraries[name]}" for name in libraries) for each in (before, after)
        )
        yield Difference(what="libraries", before=old, after=new)
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
    return _listed(_changed_names(before, after))


def _changed_names(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names under which both have something else; what one of them doesn't have isn't known to differ."""
    return [name for name in before if name in after and before[name] != after[name]]


def told_parameters(parameters: Mapping[str, str]) -> list[str]:
    """``classify: temperature=0.3``, with a dash for a node that sets none."""
    return [f"{node}: {told or UNKNOWN}" for node, told in sorted(parameters.items())]


def parameters_of(calls: Iterable[tuple[str, Sequence[ModelCall]]]) -> dict[str, str]:
    """What nodes set of their models, by node; ways of one node that differ are told beside each other.

    Args:
        calls: the ways in which nodes called models, by node, as they were seen.
    """
    found: dict[str, dict[str, None]] = {}
    for node, ways in calls:
        for way in ways:
            found.setdefault(node, {})[_set(way)] = None
    return {node: _beside(sorted(every)) for node, every in found.items()}


def _beside(ways: Sequence[str]) -> str:
    return ways[0] if len(ways) == 1 else " / ".join(told or UNKNOWN for told in ways)


def _set(way: ModelCall) -> str:
    told = []
    if way.temperature is not None:
        told.append(f"temperature={way.temperature:g}")
    if way.max_tokens is not None:
        told.append(f"max_tokens={way.max_tokens}")
    if way.is_structured:
        told.append("response_format")
    return ", ".join(told)
