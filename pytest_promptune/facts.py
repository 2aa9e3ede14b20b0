"""What a session measures, as plain data: the conditions that must be equal, prompts, cases, the series."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_promptune.conditions import app_hashes, tests_hash
from pytest_promptune.core.codec import sha256, to_jsonable
from pytest_promptune.core.errors import ScoreError
from pytest_promptune.core.model import CURRENT, Case, Variant
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.values import dataclass
from pytest_promptune.store.log import APP, LoggedCase, series_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a session measures, as plain data; the process that collected knows it."""

    #: What must be equal for samples of an interrupted session to be taken over.
    conditions: Mapping[str, Any] = field(default_factory=dict)
    #: Texts by variant and name.
    prompts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: As far as they are known before the fixtures run.
    cases: Sequence[LoggedCase] = ()
    #: What the experiment has in common with the others of its tuning series.
    series: str | None = None
    #: Modules with their tests, in the process that collected.
    names: frozenset[tuple[str, str]] = frozenset()


def experiment_id(started: str) -> str:
    """An id that nobody else has; ids sort as the experiments began.

    Args:
        started: ISO 8601 in UTC.
    """
    digits = started.replace("-", "").replace(":", "").rstrip("Z")
    return f"{digits}-{secrets.token_hex(3)}"


def facts_of(
    items: Sequence[PlannedItem], variants: Sequence[Variant], templates: Mapping[str, str], *, root: Path
) -> Facts:
    """What a session measures.

    Args:
        items: that will run.
        variants: that are measured.
        templates: texts of the app's templates as `current` has them.
        root: test modules are relative to it.
    """
    runs: dict[str, int] = {}
    cases: dict[str, LoggedCase] = {}
    apps: set[str] = set()
    #: Tests whose one case a plain fixture gives, which runs later.
    unknown: dict[str, str] = {}
    for item in items:
        apps.add(f"{item.module}::{item.marks.app}")
        if item.case is None:
            unknown[f"{item.module}::{item.test}"] = ""
        runs[item.module] = max(runs.get(item.module, 0), item.cell.run)
        name = f"{item.module}::{item.case.id}" if item.case else ""
        if item.case and name not in cases:
            cases[name] = _logged(item.case, item.module)
    replaced = {variant.name: dict(variant.templates) for variant in variants if variant.templates}
    hashes = {name: case.hash for name, case in cases.items()}
    tests = test_files(runs, root)
    return Facts(
        conditions={
            "cases": hashes,
            "tests": {file: tests_hash([file], root=root) for file in tests},
            APP: app_hashes(root, but=tests),
            "variants": {variant.name: variant.fingerprint for variant in variants},
            "prompts": {name: sha256(text) for name, text in templates.items()},
            "runs": runs,
        },
        prompts={CURRENT: templates} | replaced,
        cases=tuple(cases.values()),
        series=series_hash(apps, hashes | unknown),
        names=frozenset((item.module, item.test) for item in items),
    )


def _logged(case: Case, module: str) -> LoggedCase:
    """A case as plain data; it has a fingerprint, so its input and expected have a JSON form."""
    return LoggedCase(
        module=module,
        id=case.id,
        hash=case.fingerprint,
        tags={str(name): _tag(value) for name, value in case.tags.items()},
        input=to_jsonable(case.input, where=f"Case {case.id!r}: input"),
        expected=to_jsonable(case.expected, where=f"Case {case.id!r}: expected"),
    )


def _tag(value: object) -> Any:
    """A tag as plain data; what has no JSON form as text."""
    try:
        return to_jsonable(value, where="a tag")
    except ScoreError:
        return str(value)


def test_files(modules: Iterable[str], root: Path) -> list[str]:
    """The modules and the ``conftest.py`` files that they see: an app is often made there."""
    files = dict.fromkeys(modules)
    for module in list(files):
        for folder in PurePosixPath(module).parents:
            conftest = (folder / "conftest.py").as_posix()
            if (root / conftest).is_file():
                files[conftest] = None
    return sorted(files)
