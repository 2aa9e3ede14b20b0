"""Aggregate metrics that users give: a name, and a function from a DataFrame of samples to a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.stats.model import Direction

if TYPE_CHECKING:
    import pandas as pd

HOOK = "pytest_promptune_aggregates"
_VALID = "a list of Aggregate(name, function), or a mapping from names to functions"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A metric of all samples of an app at once, as the 95th percentile of its latency.

    Raises:
        SettingsError: for a name that is no line of text without ``::``, for what can't be called, and for
            another direction.
    """

    name: str
    #: From a DataFrame with a row per sample to a finite number, or ``None`` where they have no value.
    function: Callable[[pd.DataFrame], Any]
    direction: Direction = "higher"
    #: Shown beside the values.
    unit: str | None = None

    def __post_init__(self) -> None:
        where = f"Aggregate({self.name!r}, …)"
        if not isinstance(self.name, str) or not self.name.strip() or "::" in self.name or "\n" in self.name:
            raise SettingsError(f"{where}: a metric's name is a non-empty line of text without '::'.")
        if not callable(self.function):
            raise SettingsError(
                f"{where}: the function is {type(self.function).__name__}; give one that takes a DataFrame."
            )
        if self.direction not in ("higher", "lower"):
            raise SettingsError(f"{where}: direction is {self.direction!r}; use 'higher' or 'lower'.")
        if self.unit is not None and not isinstance(self.unit, str):
            raise SettingsError(f"{where}: unit is {self.unit!r}; use a text, or None.")

    @property
    def place(self) -> str:
        """How messages call the function: the aggregate's name, and where it is defined."""
        called = getattr(self.function, "__qualname__", type(self.function).__name__)
        code = getattr(self.function, "__code__", None)
        if code is None:
            return f"{self.name} ({called})"
        file = code.co_filename.replace("\\", "/").rpartition("/")[2]
        return f"{self.name} ({called}, {file}:{code.co_firstlineno})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Aggregates that users give, and what they need besides the samples."""

    aggregates: Sequence[Aggregate] = ()
    #: Tags of the cases, by test module and id.
    tags: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    #: Names of those whose function is not at hand here, and why.
    absent: Sequence[str] = ()
    why_absent: str = ""


def aggregates_of(given: Iterable[object]) -> tuple[Aggregate, ...]:
    """What the hook's functions gave, in one list.

    Raises:
        SettingsError: when one gave something else, or two gave one name.
    """
    found: list[Aggregate] = []
    for each in given:
        found += _of_one(each)
    names = [aggregate.name for aggregate in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        places = " and ".join(a.place for a in found if a.name == twice[0])
        raise SettingsError(f"{HOOK}: two aggregates are named {twice[0]!r}: {places}. Rename one.")
    return tuple(found)


def _of_one(given: object) -> list[Aggregate]:
    if isinstance(given, Mapping):
        return [Aggregate(name, function) for name, function in given.items()]
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise SettingsError(f"{HOOK} gave {type(given).__name__}; give {_VALID}.")
    found = list(given)
    for each in found:
        if not isinstance(each, Aggregate):
            raise SettingsError(f"{HOOK} gave a list with {type(each).__name__}; give {_VALID}.")
    return found
