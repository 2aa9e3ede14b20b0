"""One machine's part of a session: everything that several of them need to be concluded as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields
from typing import Any

from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.core.model import Change
from pytest_promptune.core.results import Result
from pytest_promptune.core.shards.folding import Texts
from pytest_promptune.core.shards.tables import item_rows, results_of, sample_rows
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import UsageView, VariantView

#: Version of the key ``shard`` that this code reads and writes.
FORMAT = 1


class ShardError(PromptuneError):
    """A results file that can't be merged: damaged, of a newer version, or at odds with another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulePart:
    """What a session knew of one test module, and how much of it was its own to run."""

    #: Of the module's text.
    hash: str
    #: All case ids and all tests that exist in it, as far as collected, in the order of their definition.
    cases: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    #: Items that exist and items that were selected.
    collected: int = 0
    selected: int = 0
    #: Category and difficulty of the cases that have them, by case id.
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardVariant:
    """A variant that was to be measured."""

    view: VariantView
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """What one session measured, and under which conditions."""

    #: Plain data; what isn't equal in two shards keeps them apart.
    settings: Mapping[str, Any]
    #: The one in place of `current` first.
    variants: tuple[ShardVariant, ...]
    modules: Mapping[str, ModulePart]
    #: In the order of the items.
    results: tuple[Result, ...]
    #: Hash of each of the app's templates.
    prompts: Mapping[str, str] = field(default_factory=dict)
    #: The session reached its end.
    complete: bool = True
    #: It was judged by looks of its own (``MIN..MAX`` runs), which a part can't be.
    looked: bool = False
    #: Nothing of the modules was left out when collecting (as node ids on the command line do).
    whole: bool = True
    #: Those were all modules of the project.
    everything: bool = True
    #: Names of aggregate metrics that users give: their functions stay where the tests are.
    aggregates: tuple[str, ...] = ()
    #: What the session, and not its conclusion, had to say.
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """When, where and on what a shard was measured; from the key ``experiment`` of its document."""

    id: str
    started: str
    finished: str
    commit: str | None
    dirty: bool | None
    branch: str | None
    promptune: str
    python: str
    #: Versions by name of the libraries between the app and its models.
    libraries: Mapping[str, str] = field(default_factory=dict)
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One results file that can be merged."""

    #: As the user gave it.
    path: str
    shard: Shard
    circumstances: Circumstances
    usage: UsageView


# --- to plain data --------------------------------------------------------------------------------


def to_json(shard: Shard) -> dict[str, Any]:
    """Plain data, the key ``shard`` of a results file."""
    texts = Texts()
    by_module: dict[str, list[Result]] = {module: [] for module in shard.modules}
    for result in shard.results:
        by_module[result.module].append(result)
    modules = {
        module: _module(shard.modules[module], results, texts) for module, results in by_module.items()
    }
    return {
        "format": FORMAT,
        "complete": shard.complete,
        "looked": shard.looked,
        "whole": shard.whole,
        "everything": shard.everything,
        "settings": dict(shard.settings),
        "variants": [{**asdict(v.view), "fingerprint": v.fingerprint} for v in shard.variants],
        "prompts": dict(sorted(shard.prompts.items())),
        "warnings": list(shard.warnings),
        "notes": list(shard.notes),
        "texts": texts.texts,
        **({"aggregates": list(shard.aggregates)} if shard.aggregates else {}),
        "modules": modules,
    }


def _module(part: ModulePart, results: Sequence[Result], texts: Texts) -> dict[str, Any]:
    hashes = {result.case_id: result.case_hash for result in results}
    order = dict.fromkeys([*part.cases, *hashes])
    measured = [case for case in order if case in hashes]
    return {
        "hash": part.hash,
        "collected": part.collected,
        "selected": part.selected,
        "tests": list(dict.fromkeys([*part.tests, *(result.test for result in results)])),
        "cases": [[case, hashes.get(case)] for case in order],
        **({"tags": part.tags} if part.tags else {}),
        "samples": sample_rows(results, measured, texts),
        "items": item_rows(results, measured, texts),
    }


# --- and back -------------------------------------------------------------------------------------


def from_json(data: object, *, path: str) -> Document:
    """Read a whole results file.

    Raises:
        ShardError: when it is none, is damaged, or is of a version that this one doesn't read.
    """
    if not isinstance(data, dict) or not {"format", "mode", "experiment"} <= set(data):
        raise ShardError(f"{path}: not a results file of --promptune-json.")
    shard = data.get("shard")
    if data["format"] == 1 and shard is None:
        raise ShardError(
            f"{path}: has no key 'shard': it was written by a version that couldn't merge. Measure again."
        )
    found = shard.get("format") if isinstance(shard, dict) else None
    if data["format"] != 1 or found != FORMAT:
        raise ShardError(
            f"{path}: format {data['format']!r} with shard format {found!r}, this pytest-promptune reads 1 "
            f"with {FORMAT}. Merge with the version that measured."
        )
    try:
        return Document(
            path=path,
            shard=_shard(data["shard"]),
            circumstances=_circumstances(data["experiment"]),
            usage=UsageView(**{f.name: _number(data["usage"][f.name]) for f in fields(UsageView)}),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ShardError(f"{path}: damaged: {what}. Measure this part again.") from None


def _shard(data: Mapping[str, Any]) -> Shard:
    texts = Texts(_typed(text, str) for text in data["texts"])
    modules: dict[str, ModulePart] = {}
    results: list[Result] = []
    for module, of_module in data["modules"].items():
        cases = {_typed(case, str): content for case, content in of_module["cases"]}
        measured = {case: _typed(content, str) for case, content in cases.items() if content is not None}
        results += results_of(module, of_module["items"], of_module["samples"], measured, texts)
        modules[module] = ModulePart(
            hash=_typed(of_module["hash"], str),
            cases=tuple(cases),
            tests=tuple(_typed(test, str) for test in of_module["tests"]),
            collected=_typed(of_module["collected"], int),
            selected=_typed(of_module["selected"], int),
            tags=_tags(of_module.get("tags", {})),  # earlier versions told none
        )
    return Shard(
        settings=dict(data["settings"]),
        variants=tuple(_variant(dict(variant)) for variant in data["variants"]),
        modules=modules,
        results=tuple(results),
        prompts={name: _typed(content, str) for name, content in data["prompts"].items()},
        complete=_typed(data["complete"], bool),
        looked=_typed(data.get("looked", False), bool),
        whole=_typed(data["whole"], bool),
        everything=_typed(data["everything"], bool),
        aggregates=tuple(_typed(name, str) for name in data.get("aggregates", ())),
        warnings=tuple(_typed(text, str) for text in data["warnings"]),
        notes=tuple(_typed(text, str) for text in data["notes"]),
    )


def _variant(data: dict[str, Any]) -> ShardVariant:
    fingerprint = _typed(data.pop("fingerprint"), str)
    changes = tuple(
        Change(**{key: _typed(value, str | None) for key, value in change.items()})
        for change in data.pop("changes")
    )
    view = VariantView(**data, changes=changes)
    _typed(view.name, str)
    _typed(view.description, str)
    return ShardVariant(view=view, fingerprint=fingerprint)


def _circumstances(data: Mapping[str, Any]) -> Circumstances:
    return Circumstances(
        id=_typed(data["id"], str),
        started=_typed(data["started"], str),
        finished=_typed(data["finished"], str),
        commit=_typed(data["commit"], str | None),
        dirty=_typed(data["dirty"], bool | None),
        branch=_typed(data["branch"], str | None),
        promptune=_typed(data["promptune"], str),
        python=_typed(data["python"], str),
        libraries=_libraries(data.get("libraries", {})),  # earlier versions told none
        seconds=_typed(data["seconds"], int | float),
    )


def _tags(data: Any) -> dict[str, dict[str, str]]:
    table: Mapping[str, Any] = _typed(data, dict)
    return {
        case: {tag: _typed(value, str) for tag, value in _typed(tags, dict).items()}
        for case, tags in table.items()
    }


def _libraries(data: Any) -> dict[str, str]:
    table: Mapping[str, Any] = _typed(data, dict)
    return {name: _typed(number, str) for name, number in table.items()}


def _number(value: Any) -> Any:
    return _typed(value, int | float | None)


def _typed(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, int | float)):
        raise TypeError(f"{value!r} is not of the expected type")
    return value
