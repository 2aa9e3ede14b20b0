"""Lists of values in little room: texts by number, one value in place of many equal ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Texts:
    """Texts that stand once in a document, referred to by their number."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.texts = list(known)
        self._numbers = {text: number for number, text in enumerate(self.texts)}

    def number(self, text: str) -> int:
        """The number of `text`, a new one if need be."""
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number

    def __getitem__(self, number: int) -> str:
        if number < 0:
            raise IndexError(number)
        return self.texts[number]


def folded(values: list[Any]) -> Any:
    """One value for a list of equal ones."""
    return values[0] if len(set(values)) == 1 and values[0] is not None else values


def short(value: float | None) -> float | int | None:
    """Six significant digits, which is what scores are kept at."""
    if value is None:
        return None
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def unfolded(values: Any, length: int) -> list[Any]:
    """The inverse of `folded`, of numbers; a TypeError for anything else."""
    found = values if isinstance(values, list) else [values] * length
    if not all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in found):
        raise TypeError("not a list of numbers")
    return found


def as_text(value: Any) -> str:
    """`value`, if it is a text; else a TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def as_whole(value: Any) -> int:
    """`value`, if it is a whole number; else a TypeError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a whole number")
    return value
