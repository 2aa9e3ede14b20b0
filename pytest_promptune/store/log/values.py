"""What is written to the experiment log and read from it, as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from pytest_promptune.core.codec import canonical, sha256
from pytest_promptune.core.model import SampleRecord, Usage
from pytest_promptune.core.values import dataclass

Status = Literal["running", "finished", "interrupted"]


def storable(text: str) -> str:
    """Text as both databases take it: neither NUL nor lone surrogates, which models give now and then."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleKey:
    """Which execution: the run index is part of it, so that N runs stay N draws."""

    #: Name of the app fixture.
    app: str
    #: Whose app it is where one name stands for several: the test module, the fixture's parameters.
    scope: str = ""
    case_id: str
    case_hash: str
    variant: str
    #: 1..N.
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedSample:
    """A finished sample with what the log needs to know beside it."""

    key: SampleKey
    record: SampleRecord
    attempts: int = 1
    #: Seconds since 1970, ``None`` where unknown.
    started: float | None = None
    finished: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCase:
    """A case as plain data, with where it is measured."""

    module: str
    id: str
    #: Its fingerprint.
    hash: str
    tags: Mapping[str, Any] = field(default_factory=dict)
    input: Any = None
    expected: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """A variant that became the app's own prompts."""

    #: Id of the experiment whose numbers spoke for it.
    experiment: str
    variant: str
    #: ISO 8601 in UTC.
    at: str
    #: That was made of it, ``None`` where none was.
    commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known of an experiment when it begins."""

    id: str
    #: ``baseline``, ``compare``, ``check``.
    mode: str
    #: ISO 8601 in UTC.
    started: str
    #: What must be equal for samples to be taken over, as plain data; only its hash is compared.
    conditions: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    #: See `series_hash`; ``None`` where there are no cases.
    series: str | None = None
    cases: Sequence[LoggedCase] = ()
    #: The most runs that any module has, ``None`` where unknown.
    runs: int | None = None
    #: That are measured, the one in place of `current` first.
    variants: Sequence[str] = ()
    #: Texts by variant and name.
    prompts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    note: str | None = None
    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    promptune: str = ""
    python: str = ""
    #: Id of the experiment whose stored outputs are scored again.
    replay_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentSummary:
    """One line of the history: no outputs and no scores were read for it."""

    id: str
    #: An experiment whose process died reads as ``interrupted``.
    status: Status
    mode: str
    started: str
    finished: str | None
    seconds: float | None
    exit_code: int | None
    note: str | None
    commit: str | None
    branch: str | None
    dirty: bool | None
    promptune: str
    python: str
    replay_of: str | None
    conditions_hash: str
    series: str | None
    #: As planned until the experiment has finished, then as measured; ``None`` where unknown.
    cases: int | None
    runs: int | None
    variants: tuple[str, ...]
    #: Of all samples that were written, also while the experiment runs.
    samples: int
    errored: int
    missing: int
    usage: Usage
    #: How many comparisons ended in which verdict, and how many gate decisions failed.
    improved: int
    regressed: int
    unchanged: int
    inconclusive: int
    gate_failed: int


#: The condition that is compared file by file: which modules of the app are imported depends on what else is.
APP = "app"
#: The condition that is known once the apps are made: the chat models that each holds.
MODELS = "models"


def conditions_hash(conditions: Mapping[str, Any]) -> str:
    """The one hash by which conditions are compared, those of the app's modules and models aside."""
    rest = {name: value for name, value in conditions.items() if name not in (APP, MODELS)}
    return sha256(canonical(rest, where="the conditions of the experiment"))


def series_hash(apps: Iterable[str], cases: Mapping[str, str]) -> str | None:
    """What experiments of one tuning series have in common, ``None`` without cases.

    Args:
        apps: names of app fixtures with their modules, ``tests/test_a.py::bot``.
        cases: hashes of the cases by ``module::id``; empty by ``module::test`` where it isn't known yet.
    """
    if not cases:
        return None
    return sha256(canonical([sorted(set(apps)), dict(cases)], where="the cases of the experiment"))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What changed between two conditions, one line each: ``cases.TC001: changed``, ``runs: 5, was 3``.

    Of the app's modules those that both know; not of models, see `are_other_models`.
    """
    both = before.get(APP, {}).keys() & after.get(APP, {}).keys()
    old, new = (
        {name: value for name, value in given.items() if name != MODELS}
        | {APP: {name: given.get(APP, {})[name] for name in sorted(both)}}
        for given in (before, after)
    )
    return list(_differences(old, new, ""))


def are_other_models(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether models were replaced. Some more or fewer may be made, or met, at another time only."""
    old, new = Counter(before), Counter(after)
    return not (old <= new or new <= old)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        where = f"{path}.{name}" if path else str(name)
        if name not in before:
            yield f"{where}: new"
        elif name not in after:
            yield f"{where}: gone"
        elif isinstance(before[name], Mapping) and isinstance(after[name], Mapping):
            yield from _differences(before[name], after[name], where)
        elif before[name] != after[name]:
            yield f"{where}: {_change(before[name], after[name])}"


def _change(before: object, after: object) -> str:
    """Values where a reader knows them; a hash or a long text says nothing."""
    texts = [str(after), str(before)]
    if any(len(text) > 40 or "\n" in text or text.startswith("sha256:") for text in texts):
        return "changed"
    return f"{texts[0]}, was {texts[1]}"
