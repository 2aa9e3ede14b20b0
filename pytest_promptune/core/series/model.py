"""The values of a tuning series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from pytest_promptune.core.values import dataclass

#: Module and name of a metric.
Place = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One measured experiment of the series."""

    experiment: str
    #: ``baseline``, ``compare`` or ``check``.
    mode: str
    #: ``finished``, ``running`` or ``interrupted``.
    status: str = "finished"
    #: ISO 8601, UTC.
    started: str
    commit: str | None = None
    dirty: bool | None = None
    note: str | None = None
    #: What was measured, the one in place of `current` first, with its fingerprint.
    variants: Mapping[str, str] = field(default_factory=dict)
    #: Says which app `current` was: hashes of its prompts, by name; empty where they aren't known.
    current: Mapping[str, str] = field(default_factory=dict)
    #: Modules and names of the metrics of its tests, without those that every app has; empty where they
    #: aren't known.
    measured: tuple[Place, ...] = ()
    #: How many cases, and planned runs of each; ``None`` where that isn't known.
    cases: int | None = None
    runs: int | None = None
    #: Hashes of its test modules and their ``conftest.py``, by path.
    tests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A variant that became the app's own prompts."""

    experiment: str
    variant: str
    #: ISO 8601, UTC.
    at: str
    commit: str | None = None
    #: HEAD hasn't the commit, nor another one of the adoption.
    is_elsewhere: bool = False
    #: Hashes of the app's prompts as they are with it, by name; empty where they aren't known.
    prompts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A state of the app, and the samples that speak of it."""

    experiment: str
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """One change, or several side by side, and its measurement."""

    #: 1, 2, …; the starting point is 0.
    number: int
    #: The measurement that counts: of those with the most metrics, cases and runs the newest.
    session: Session
    #: Beside `current`.
    tried: tuple[str, ...]
    adopted: Adopted | None = None
    #: Other measurements of the same variants, oldest first.
    repeats: tuple[Session, ...] = ()
    #: What was noted of all of these measurements, oldest first, each once.
    notes: tuple[str, ...] = ()
    #: Prompts of `current` that are neither as the iteration before measured them, for the first one as the
    #: starting point, nor as what was adopted since has them: changed by hand.
    by_hand: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """From the starting point to the present state."""

    start: Point
    #: Of the starting point: a recorded baseline, or the first comparison.
    begins: Session
    iterations: tuple[Iteration, ...] = ()
    #: The starting point until something is adopted or the prompts change by hand.
    present: Point
    #: The last one; it made the present state, unless that `strayed`.
    adoption: Adopted | None = None
    #: The present state's samples are newer than those that spoke for it.
    is_remeasured: bool = False
    #: The newest session that counts, where its `current` is neither what was adopted nor, without an
    #: adoption, the starting point: it was changed by hand, and is the present state.
    strayed: str | None = None
    #: Sessions after the one that speaks for the present state, which measured a part of its metrics only,
    #: oldest first; and those of them whose `current` is another.
    partial: tuple[str, ...] = ()
    partial_strayed: tuple[str, ...] = ()
    #: Sessions that don't count: they run still, or ended early.
    running: tuple[str, ...] = ()
    interrupted: tuple[str, ...] = ()
    #: Recorded baselines of the series before this beginning, oldest first.
    earlier: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether the present state is another than the starting point."""
        return self.adoption is not None or self.strayed is not None
