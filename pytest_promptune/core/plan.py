"""Which samples a session needs, in which order, and what everything is called."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from typing import Any

from pytest_promptune.core.drawing import drawn
from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.model import Case
from pytest_promptune.core.runs import EXPECTED as EXPECTED_RUNS
from pytest_promptune.core.runs import Runs, parse_runs
from pytest_promptune.core.scorers import Scorer
from pytest_promptune.core.stages import SIZES, STAGES, Stage, covers
from pytest_promptune.core.values import dataclass

#: Name of the app fixture when the marker names none.
DEFAULT_APP = "promptune_app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The keywords of ``@pytest.mark.promptune(...)``; those of the closest marker win."""

    app: str = DEFAULT_APP
    runs: Runs | None = None
    metric: str | None = None
    #: Seconds per sample.
    timeout: float | None = None
    #: How often a sample lost to a rate limit, a 5xx or the network is tried again; ``None``: the default.
    retries: int | None = None
    #: Names of the metrics to gate; ``None`` for the default ones.
    gate: tuple[str, ...] | None = None
    #: Names of fixtures that give evaluators of the output.
    scorers: tuple[str, ...] = ()
    #: The smallest stage in which the test runs; ``None``: it runs in each.
    stage: Stage | None = None


_KEYWORDS = tuple(f.name for f in fields(Marks))


def read_marks(markers: Iterable[tuple[tuple[Any, ...], Mapping[str, Any]]], *, where: str) -> Marks:
    """Merge the positional and keyword arguments of the markers of one test, closest first.

    Raises:
        SettingsError: for positional arguments, unknown keywords, and values of the wrong kind.
    """
    values: dict[str, Any] = {}
    for args, keywords in markers:
        if args:
            raise SettingsError(
                f"{where}: @pytest.mark.promptune takes keywords only, got {', '.join(map(repr, args))}. "
                f"Valid: {', '.join(_KEYWORDS)}."
            )
        for keyword, value in keywords.items():
            _check_keyword(keyword, value, where)
            values.setdefault(keyword, value)
    if values.get("gate") is not None:
        values["gate"] = tuple(values["gate"])
    if isinstance(values.get("runs"), str):
        values["runs"] = parse_runs(values["runs"])
    values["scorers"] = tuple(dict.fromkeys(values.get("scorers") or ()))
    return Marks(**values)


def _check_keyword(keyword: str, value: Any, where: str) -> None:
    if keyword not in _KEYWORDS:
        close = difflib.get_close_matches(keyword, _KEYWORDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise SettingsError(
            f"{where}: @pytest.mark.promptune doesn't know the keyword {keyword!r}.{hint} "
            f"Valid: {', '.join(_KEYWORDS)}."
        )
    expected = _EXPECTED[keyword]
    if (value is not None or keyword == "app") and not expected[1](value):
        raise SettingsError(f"{where}: @pytest.mark.promptune({keyword}={value!r}): expected {expected[0]}.")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _are_runs(value: Any) -> bool:
    if not isinstance(value, str):
        return _is_number(value) and isinstance(value, int)
    try:
        parse_runs(value)
    except ValueError:
        return False
    return ".." in value  # a number is written as one


_EXPECTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "app": ("the name of a fixture", lambda v: isinstance(v, str) and v.isidentifier()),
    "runs": (EXPECTED_RUNS, _are_runs),
    "metric": ("a name without '::'", lambda v: _is_name(v) and "::" not in v),
    "timeout": ("seconds, a number above 0", _is_number),
    "retries": (
        "a whole number of at least 0",
        lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
    ),
    "gate": (
        "a list of metric names",
        lambda v: isinstance(v, list | tuple | set | frozenset) and all(map(_is_name, v)),
    ),
    "scorers": (
        "a list of names of fixtures",
        lambda v: isinstance(v, list | tuple) and all(isinstance(n, str) and n.isidentifier() for n in v),
    ),
    "stage": (" or ".join(map(repr, STAGES)), lambda v: isinstance(v, str) and v in STAGES),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Under which variant, and the how-manieth time."""

    variant: str
    #: 1..N.
    run: int

    def __str__(self) -> str:
        return f"{self.variant}-run{self.run}"


def cells(variants: Sequence[str], runs: int) -> list[Cell]:
    """All cells of one case, variants interleaved within each run."""
    return [Cell(variant=variant, run=run) for run in range(1, runs + 1) for variant in variants]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedItem:
    """One test item: a test of the sample case x variant x run of an app."""

    nodeid: str
    #: The test module, relative to the root.
    module: str
    #: Its name in the module with its other parameters, ``TestTone::test_reply[formal]``.
    test: str
    #: Name of its assertion metric.
    metric: str
    marks: Marks
    cell: Cell
    #: ``None`` where only the fixtures know it.
    case: Case | None
    #: What else it is parametrized with; items of one app that differ here may have different apps.
    parameters: tuple[tuple[str, Hashable], ...] = ()
    #: Place among the collected items.
    order: int = 0
    #: Number of the look, from 0, before which it runs (see `core.looks`).
    look: int = 0
    #: Not to be generated before it is reached: its case is unknown yet, or it may be skipped.
    lazy: bool = False
    #: Where its app fixture is defined, ``None`` where that can't be seen; where it differs, so do the apps.
    home: str | None = None
    #: The scorers that are within its reach, once its fixtures are there: its own, and those of other
    #: items that may share its sample.
    scorers: tuple[Scorer, ...] = ()


def of_stage(items: Sequence[PlannedItem], stage: Stage) -> list[bool]:
    """Which items a stage measures: those of tests that run in it, and of them those whose case is drawn.

    Each test has its cases drawn by itself, so that none is left without; tests with the same cases get the
    same. Where only a fixture knows the case, each set of other parameters of the test counts as one.
    """
    stays = [covers(stage, item.marks.stage or STAGES[0]) for item in items]
    if stage not in SIZES:
        return stays
    categories: dict[tuple[str, str], dict[str, str]] = {}
    for item in items:
        test, case = _drawn_as(item)
        categories.setdefault(test, {})[case] = _category(item.case)
    chosen = {test: drawn(cases, SIZES[stage].cases) for test, cases in categories.items()}
    for position, item in enumerate(items):
        test, case = _drawn_as(item)
        stays[position] &= case in chosen[test]
    return stays


def _drawn_as(item: PlannedItem) -> tuple[tuple[str, str], str]:
    """Among the cases of which test, and under which id."""
    if item.case is not None:
        return (item.module, item.test), item.case.id
    return (item.module, item.test.partition("[")[0]), item.test


def _category(case: Case | None) -> str:
    tag = case.tags.get("category") if case else None
    return "" if tag is None else str(tag)


def metric_name(marks: Marks, test: str) -> str:
    """The assertion metric: the marker's ``metric`` or the test's name, with its other parameters."""
    if marks.metric is None:
        return test
    bare, bracket, parameters = test.partition("[")
    return marks.metric + bracket + parameters if bare else marks.metric


def ordered(items: Sequence[PlannedItem], *, variants: Sequence[str]) -> list[int]:
    """Positions of the items of one module by run, case, variant and test.

    Both sides of a comparison meet the same conditions, the tests of one sample stand together, and
    stopping early leaves whole runs behind. Cases and tests keep the order of their definition.
    """
    case_ranks: dict[str | None, int] = {}
    test_ranks: dict[str, int] = {}
    variant_ranks = {name: rank for rank, name in enumerate(variants)}
    keys = []
    for position, item in enumerate(items):
        case = item.case.id if item.case else None
        keys.append(
            (
                item.cell.run,
                case_ranks.setdefault(case, len(case_ranks)),
                variant_ranks.get(item.cell.variant, len(variant_ranks)),
                test_ranks.setdefault(item.test, len(test_ranks)),
                position,
            )
        )
    return [key[-1] for key in sorted(keys)]


def regrouped(items: Sequence[PlannedItem]) -> list[int]:
    """Positions of the items of one module, where pytest has put all items of a case together.

    It does so for case fixtures of a wider scope than "function", to set each up once. Runs come first
    here, for the reasons that `ordered` gives; items whose app or other parameters pytest keeps together
    stay together, since setting an app up again would throw its samples away.
    """
    found: list[int] = []
    start = 0
    for block in _blocks([item.parameters for item in items]):
        mine = items[start : start + block]
        cases = [item.case.id if item.case else None for item in mine]
        is_grouped = len(_blocks(cases)) == len(set(cases)) > 1
        variants = list(dict.fromkeys(item.cell.variant for item in mine))
        order = ordered(mine, variants=variants) if is_grouped else range(block)
        found += [start + position for position in order]
        start += block
    return found


def _blocks(values: Sequence[Hashable]) -> list[int]:
    """Lengths of the stretches of equal values."""
    return [len(list(stretch)) for _, stretch in groupby(values)]


def by_module(items: Sequence[PlannedItem]) -> list[list[int]]:
    """Positions of the items, module by module."""
    places: dict[str, list[int]] = {}
    for position, item in enumerate(items):
        places.setdefault(item.module, []).append(position)
    return list(places.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How one item of a test is parametrized beside variant and run."""

    #: What pytest put into the brackets of the item's id, without variant and run.
    id: str
    #: How pytest may have written the case in there: its id, its id escaped, or argument and number.
    case: tuple[str, ...]
    #: The other parameters, by name.
    others: Mapping[str, Any]
    #: Equal for equal values of a parameter, by name.
    numbers: Mapping[str, int]


def labels(items: Sequence[Parameters]) -> list[str]:
    """What to call each item of one test by its parameters other than the case: ``formal``, or nothing.

    The ids that pytest or the user gave are kept where what is left of them without the case is one
    text for all cases. Where it isn't, values are written as pytest writes ids by default.
    """
    groups: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for position, item in enumerate(items):
        groups.setdefault(tuple(sorted(item.numbers.items())), []).append(position)
    found = [""] * len(items)
    for members in groups.values():
        item = items[members[0]]
        if not item.others:
            continue
        left = set.intersection(*(_without_case(items[member]) for member in members))
        label = left.pop() if len(left) == 1 else _from_values(item)
        for member in members:
            found[member] = label
    if len({label for label in found if label}) < len(groups) and all(item.others for item in items):
        return [_from_values(item) for item in items]
    return found


def _without_case(item: Parameters) -> set[str]:
    """All readings of an id: each place where the case may stand, taken out."""
    found = set()
    padded = f"-{item.id}-"
    for token in item.case:
        start = padded.find(f"-{token}-")
        while start >= 0:
            rest = padded[:start] + padded[start + len(token) + 1 :]
            found.add(rest.strip("-") if rest.strip("-") else rest)
            start = padded.find(f"-{token}-", start + 1)
    return found - {"", "-"}


def _from_values(item: Parameters) -> str:
    return "-".join(_shown(value, name, item.numbers[name]) for name, value in item.others.items())


def _shown(value: Any, name: str, number: int) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "backslashreplace")
    if value is None or isinstance(value, str | int | float | complex):
        text = str(value).replace("::", ":")
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    own_name = getattr(value, "__name__", None)
    return own_name if isinstance(own_name, str) else f"{name}{number}"
