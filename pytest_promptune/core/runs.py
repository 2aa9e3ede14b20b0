"""How often a case is measured: a number of runs, or from how many to how many."""

from __future__ import annotations

import re
from typing import TypeAlias

from pytest_promptune.core.values import dataclass

#: Of digits as all readers of a number take them; more of them than this Python refuses in words of its own.
_NUMBER = re.compile(r"[0-9]{1,18}")
#: What stands in error messages where neither was given.
EXPECTED = "a whole number of at least 1, or MIN..MAX with MIN below MAX, as 3..10"


@dataclass(frozen=True, slots=True)
class RunRange:
    """``MIN..MAX``: at least so many runs, and more of them, up to so many, until the verdict is clear."""

    least: int
    most: int

    def __str__(self) -> str:
        """As it is typed."""
        return f"{self.least}..{self.most}"


#: As given in an option, an ini file or a marker.
Runs: TypeAlias = int | RunRange


def parse_runs(value: object) -> Runs:
    """Read ``5`` or ``3..10``; ``5..5`` is 5.

    Raises:
        ValueError: with what would be valid.
    """
    text = str(value).strip()
    low, dots, high = (part.strip() for part in text.partition(".."))
    if dots:
        least, most = _at_least_one(low), _at_least_one(high)
        if least > most:
            raise ValueError(EXPECTED)
        return least if least == most else RunRange(least, most)
    return _at_least_one(text)


def _at_least_one(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) < 1:
        raise ValueError(EXPECTED)
    return int(text)


def most_runs(runs: Runs) -> int:
    """How many runs there will be at most."""
    return runs.most if isinstance(runs, RunRange) else runs


def steps(runs: Runs) -> tuple[int, int, int]:
    """Runs at the three looks of a session: MIN, the middle rounded down, MAX.

    ``3..10`` gives 3, 6 and 10. A range without room for a middle repeats its MIN, and a plain number is all
    there at the first look.
    """
    if not isinstance(runs, RunRange):
        return (runs, runs, runs)
    return (runs.least, (runs.least + runs.most) // 2, runs.most)
