"""What a goals file says, as values."""

from __future__ import annotations

from typing import Literal

from pytest_promptune.core.stats.model import Direction
from pytest_promptune.core.values import dataclass

#: ``%`` of 1, seconds, money, or tokens; ``None`` for a plain number.
Unit = Literal["%", "s", "USD", "JPY", "EUR", "GBP", "tokens"]
#: ``unclear`` looks like a goal and couldn't be read; ``ignored`` is text that says nothing about goals.
Meaning = Literal["goal", "cases", "rule", "other", "unclear", "ignored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A value to be reached; ``value`` is in the unit, shares are fractions (0.9 for 90 %)."""

    value: float
    unit: Unit | None
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A target for a metric."""

    name: str
    target: Target
    #: The metric that the words of the name usually mean, ``accuracy`` or a metric of the app.
    measure: str | None = None
    #: 95 for a 95th percentile over samples; ``None`` for the mean.
    percentile: float | None = None
    #: Numbers of the lines that say so, from 1.
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How many of the goals must be reached."""

    #: ``None``: all of them.
    needed: int | None = None
    #: ``None`` where the file says nothing.
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLine:
    """One line of the file, and how it was understood."""

    #: From 1.
    line: int
    text: str
    meaning: Meaning
    #: What was understood, or why nothing was.
    told: str
    #: Name of the goal where an unclear line lacks nothing but its number.
    without_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """Everything that a goals file says."""

    #: As people know it.
    path: str
    goals: tuple[Goal, ...] = ()
    rule: Rule = Rule()
    #: Where the cases are, as written.
    cases: str | None = None
    lines: tuple[ReadLine, ...] = ()
    #: Names of those with two targets: none of these is taken.
    contradicted: tuple[str, ...] = ()
    #: What contradicts itself, or is missing from the whole file.
    faults: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """All that is wrong, one text each: each unclear line, and the faults."""
        unclear = (line for line in self.lines if line.meaning == "unclear")
        return (*(f"Line {line.line}, {line.text!r}: {line.told}." for line in unclear), *self.faults)
