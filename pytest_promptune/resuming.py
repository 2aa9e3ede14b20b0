"""Which interrupted experiment a session may go on with, and why not with another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_promptune.conditions import changed_tests
from pytest_promptune.core.display import count, some
from pytest_promptune.core.errors import StoreError
from pytest_promptune.store.log import (
    APP,
    ExperimentLog,
    ExperimentSummary,
    are_other_models,
    conditions_hash,
    differences,
)

#: How many differences between two experiments are named.
_MOST_DIFFERENCES = 8

Conditions = Mapping[str, Any]


def find_interrupted(
    log: ExperimentLog, now: Conditions, *, collected: Callable[[], Conditions], root: Path
) -> ExperimentSummary | None:
    """The newest interrupted experiment of this suite, ``None`` if there is none, or it was measured since.

    Args:
        log: that is searched.
        now: conditions of what is selected.
        collected: those of everything that was collected; asked only where something differs.
        root: of the project.

    Raises:
        StoreError: when what there is was measured under other conditions.
    """
    mine = conditions_hash(now)
    found = log.newest_interrupted(mine)
    other = found or log.newest_interrupted(since=mine)
    if other is None:
        return None
    before = log.conditions_of(other.id)
    if found is None or differences({APP: before.get(APP, {})}, {APP: now[APP]}):
        _refuse(other.id, before, now, collected(), root)
    return found


def _refuse(id_: str, before: Conditions, now: Conditions, collected: Conditions, root: Path) -> None:
    if not differences(before, _with_deselected(before, collected, root)):
        left = [case for case in before["cases"] if case not in now["cases"]]
        what = f"{count(len(left), 'case')} of it ({some(left)})" if left else "some runs of it"
        raise _only_a_part(id_, what)
    changes = differences(before, now)
    more = f" and {len(changes) - _MOST_DIFFERENCES} more" if len(changes) > _MOST_DIFFERENCES else ""
    raise other_conditions(id_, f"{'; '.join(changes[:_MOST_DIFFERENCES])}{more}")


def refuse_left_out(id_: str, tests: Collection[tuple[str, str]]) -> None:
    """See that every test that has results goes on, too.

    Args:
        id_: of the experiment that is to go on.
        tests: modules and tests that have results there and aren't selected; as the files are the same, they
            are there still.

    Raises:
        StoreError: when there are any: going on would end the experiment without them.
    """
    if tests:
        names = [f"{module}::{test}" for module, test in sorted(tests)]
        raise _only_a_part(id_, f"{count(len(names), 'test')} of it ({some(names)})")


def _only_a_part(id_: str, what: str) -> StoreError:
    return StoreError(
        f"--promptune-resume: the interrupted experiment {id_} measures more than what is selected: -k, "
        f"-m, --lf, a stage or paths leave out {what}. An experiment is concluded as a whole: select "
        "what it began with, or run without --promptune-resume to measure this part as one of its own."
    )


def other_conditions(id_: str, changes: str) -> StoreError:
    """That samples of an experiment can't be taken over, since something changed."""
    return StoreError(
        f"--promptune-resume: the interrupted experiment {id_} was measured under other conditions "
        f"({changes}). Its samples would not be comparable: undo the changes, or run without "
        "--promptune-resume to measure everything."
    )


def _with_deselected(before: Conditions, collected: Conditions, root: Path) -> Conditions:
    """The conditions with what was not selected: deselected, or in files that were not collected."""
    elsewhere = {
        file: hashed for file, hashed in before.get("tests", {}).items() if file not in collected["tests"]
    }
    changed = changed_tests(elsewhere, root=root)
    tests = {file: hashed for file, hashed in elsewhere.items() if file not in changed}
    runs = {module: runs for module, runs in before.get("runs", {}).items() if module in tests}
    known = before.get("cases", {}).items()
    cases = {name: hashed for name, hashed in known if name.partition("::")[0] in runs}
    return {
        **collected,
        "tests": {**collected["tests"], **tests},
        "runs": {**collected["runs"], **runs},
        "cases": {**collected["cases"], **cases},
    }


def refuse_other_models(
    id_: str, before: Mapping[str, Sequence[str]], now: Mapping[str, Sequence[str]]
) -> None:
    """Compare the chat models that apps hold, by app, with those of the experiment that is to go on.

    Raises:
        StoreError: when they are others.
    """
    changes = [
        f"models of {app}: {_told(models)}; before: {_told(before[app])}"
        for app, models in now.items()
        if app in before and are_other_models(before[app], models)
    ]
    if changes:
        raise other_conditions(id_, "; ".join(changes))


def _told(models: Sequence[str]) -> str:
    return some([f"[{model}]" for model in dict.fromkeys(models)])
