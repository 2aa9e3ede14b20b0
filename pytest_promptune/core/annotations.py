"""What a code host shows beside the tests: failed decisions of the gate, and what it could not decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pytest_promptune.core.display import clean, cut, some
from pytest_promptune.core.gate import gate_nodeid
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import BaselineView, ComparisonRow, GateItem, View
from pytest_promptune.core.wording import reasons

#: GitHub shows this many errors and this many warnings of a step (actions/toolkit, docs/problem-matchers.md).
MOST = 10
_WIDTH = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One remark beside a file."""

    level: Literal["error", "warning"]
    title: str
    message: str
    #: Node id of the test without its parameters, or the path of its module; empty: it is of no single file.
    test: str = ""


def annotations_of(view: View) -> list[Annotation]:
    """Errors, then warnings, gravest first; at most `MOST` of each, the last one telling of the others."""
    rows = {gate_nodeid(row.name, row.candidate): row for row in view.comparisons if row.gate == "failed"}
    failed = [item for item in view.gate if item.failed]
    failed.sort(key=lambda item: _gravity(rows.get(item.nodeid)))
    several = _several(view.comparisons)
    errors = [_error(item, rows.get(item.nodeid), several=several) for item in failed]
    missing = [item for item in view.baselines if item.action == "missing"] if not view.interrupted else []
    warnings = [*map(_no_baseline, missing), *_inconclusive(view.comparisons, several=several)]
    return [*_shortened(errors, "failed decisions of the gate"), *_shortened(warnings, "warnings")]


def _inconclusive(comparisons: Iterable[ComparisonRow], *, several: bool) -> list[Annotation]:
    """One for each metric that differs, and one for all of a module that are equal on both sides.

    What is the same of several variants is told once.
    """
    rows = [row for row in comparisons if row.gate == "passed" and row.verdict == "inconclusive"]
    equal: dict[tuple[str, str], list[ComparisonRow]] = {}
    for row in rows:
        if row.constant:
            equal.setdefault((row.name.module, row.candidate), []).append(row)
    differing = sorted((row for row in rows if not row.constant), key=_size)
    groups = [(row.name.test, [row]) for row in differing]
    groups += [(module, group) for (module, _), group in equal.items()]
    told: dict[tuple[str, str, str], list[str]] = {}
    for test, group in groups:
        metrics = some([clean(row.name.metric) for row in group])
        message = cut("\n".join(reasons(group)), _WIDTH) or "Neither a regression nor its absence is shown."
        told.setdefault((test, metrics, message), []).append(group[0].candidate)
    return [
        Annotation(
            level="warning",
            title=f"Inconclusive: {metrics}{_of(candidates, several=several)}",
            message=message,
            test=test,
        )
        for (test, metrics, message), candidates in told.items()
    ]


def _several(comparisons: Sequence[ComparisonRow]) -> bool:
    """Whether a metric's name doesn't tell which variant is meant."""
    sides = {row.candidate for row in comparisons}
    return len(sides | {row.reference for row in comparisons if row.reference == CURRENT}) > 1


def _of(candidates: Sequence[str], *, several: bool) -> str:
    return f" ({some([clean(name) for name in candidates])})" if several else ""


def _gravity(row: ComparisonRow | None) -> tuple[int, float]:
    """What regressed, then what was not shown to be as good, then what could not be compared."""
    if row is None or not row.n_cases:
        return 2, 0.0
    return (0 if row.verdict == "regressed" else 1), _size(row)


def _size(row: ComparisonRow) -> float:
    return -abs(row.cliffs_delta or 0.0)


def _error(item: GateItem, row: ComparisonRow | None, *, several: bool) -> Annotation:
    module, is_goal, goal = item.nodeid.partition("::goal[")
    if row is not None:
        what = "Prompt regression" if row.verdict == "regressed" else "Prompt gate failed"
        test, name = row.name.test, f"{row.name.metric}{_of([row.candidate], several=several)}"
    elif is_goal:
        what, test, name = "Prompt goal not reached", module, goal.removesuffix("]")
    else:
        test = item.nodeid.rpartition("::gate[")[0]
        what, name = "Prompt gate failed", test.rpartition("::")[2]
    message = cut(clean(item.message or item.nodeid), _WIDTH)
    hint = f"\n{clean(item.hint)}" if item.hint else ""
    return Annotation(level="error", title=f"{what}: {clean(name)}", message=message + hint, test=test)


def _no_baseline(baseline: BaselineView) -> Annotation:
    name = clean(baseline.name)
    option = "" if baseline.name == "main" else f" --promptune-against={name}"
    return Annotation(
        level="warning",
        title=f"No baseline {name}",
        message=f"Nothing to compare {clean(baseline.module)} with. Record it with "
        f"pytest --promptune-baseline{option} and commit {clean(baseline.path)}.",
        test=baseline.module,
    )


def _shortened(found: Sequence[Annotation], what: str) -> Sequence[Annotation]:
    if len(found) <= MOST:
        return found
    shown, left = found[: MOST - 1], found[MOST - 1 :]
    titles = some([annotation.title for annotation in left], 20)
    more = Annotation(
        level=found[0].level,
        title=f"{len(left):,} more {what}",
        message=f"GitHub shows {MOST} of a step. Not shown: {titles}. The job's summary and log have all.",
    )
    return [*shown, more]
