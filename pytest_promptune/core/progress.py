"""How far the samples of a session have come, and how that is said in little room."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pytest_promptune.core.display import columns, count, money
from pytest_promptune.core.values import dataclass

#: Finished samples that tell a rate, whatever their share.
_ENOUGH = 3
_ENOUGH_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The samples of a session at one moment."""

    #: Finished, in whatever way, with those that were reused.
    done: int
    total: int
    in_flight: int
    #: The app raised.
    errored: int = 0
    #: Lost for the infrastructure's sake after all retries.
    missing: int = 0
    #: Calls made again.
    retries: int = 0
    #: Spent in this session, ``None`` if no price is known.
    cost_usd: float | None = None
    #: Taken from the log of an earlier session instead of calling the app.
    reused: int = 0
    #: Since the first sample was begun.
    seconds: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the rate so far; ``None`` as long as too few samples have told it.

        One in flight counts as half done: without that, the first wave of slow samples looks like no
        progress at all. Reused ones took no time and tell nothing about the rate.
        """
        total = self.total - self.reused
        told = self.done - self.reused
        needed = min(2 * max(self.in_flight, 1), max(_ENOUGH_SHARE * total, _ENOUGH))
        if told < needed or told >= total or self.seconds <= 0:
            return None
        done = told + min(self.in_flight, total - told) / 2
        return self.seconds * (total - done) / done

    def to_json(self) -> list[Any]:
        """Plain data, as short as what is told every second should be."""
        return [
            self.done,
            self.total,
            self.in_flight,
            self.errored,
            self.missing,
            self.retries,
            self.cost_usd,
            self.reused,
            self.seconds,
        ]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Progress:
        """The inverse of `to_json`."""
        done, total, in_flight, errored, missing, retries, cost_usd, reused, seconds = data
        return cls(
            done=done,
            total=total,
            in_flight=in_flight,
            errored=errored,
            missing=missing,
            retries=retries,
            cost_usd=cost_usd,
            reused=reused,
            seconds=seconds,
        )


class JointProgress:
    """How far several processes are together that share out the samples of a session.

    Each tells of its own part. The slot of one that crashed goes to another, whose part is what the items
    of the first did not come to: what was generated ahead for them is generated again.
    """

    def __init__(self) -> None:
        #: Samples of the session, as far as one process could tell before any was generated.
        self.planned = 0
        self._told: dict[str, Progress] = {}
        #: By slot: the newest process in it, and the part of its first one.
        self._newest: dict[int, str] = {}
        self._parts: dict[int, int] = {}
        self._began: float | None = None

    def tell(self, process: str, slot: int, progress: Progress, *, now: float) -> None:
        """A process has come so far.

        Args:
            process: its name, which no other has had before.
            slot: which part of the session it measures.
            progress: of this part.
            now: seconds, of a clock that `progress` is asked by too.
        """
        self._told[process] = progress
        self._newest[slot] = process
        self._parts[slot] = max(self._parts.get(slot, 0), progress.total)
        began = now - progress.seconds
        self._began = began if self._began is None else min(self._began, began)

    def end(self, process: str) -> None:
        """A process is gone: it has nothing in flight any more."""
        if process in self._told:
            self._told[process] = replace(self._told[process], in_flight=0)

    def at(self, now: float) -> Progress:
        """How far they are all together; costs and errors of crashed processes count."""
        told = self._told.values()
        left = sum(max(p.total - p.done, 0) for p in map(self._told.__getitem__, self._newest.values()))
        known = sum(self._parts.values())
        costs = [progress.cost_usd for progress in told if progress.cost_usd is not None]

        def of_all(count: Callable[[Progress], int]) -> int:
            return sum(map(count, told))

        return Progress(
            done=known - left,
            total=max(known, self.planned),
            in_flight=of_all(lambda progress: progress.in_flight),
            errored=of_all(lambda progress: progress.errored),
            missing=of_all(lambda progress: progress.missing),
            retries=of_all(lambda progress: progress.retries),
            cost_usd=sum(costs) if costs else None,
            reused=of_all(lambda progress: progress.reused),
            seconds=0.0 if self._began is None else now - self._began,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of the live line, with what separates it from the one before."""

    text: str
    #: Something went wrong.
    is_alert: bool = False


def live_parts(progress: Progress, width: int) -> Sequence[Part]:
    """What fits in `width` columns; the most important stays longest. ``()`` if nothing fits."""
    parts = _parts(progress)
    ranks = [name for name in _RANKS if name in parts]
    for kept in range(len(ranks), 0, -1):
        chosen = [part for name, part in parts.items() if name in ranks[:kept]]
        if sum(columns(part.text) for part in chosen) <= width:
            return chosen
    return ()


def log_line(progress: Progress) -> str:
    """All of it on one line, for a log."""
    return "".join(part.text for part in _parts(progress).values())


#: The parts of the line, the most important first.
_RANKS = ("done", "left", "errors", "missing", "cost", "unit", "in flight", "retries", "reused")


def _parts(progress: Progress) -> dict[str, Part]:
    """The parts in the order in which they are shown."""
    left = progress.seconds_left
    retries = "1 retry" if progress.retries == 1 else f"{progress.retries:,} retries"
    texts = {
        "done": f"{progress.done:,}/{progress.total:,}",
        "unit": " samples",
        "reused": f", {progress.reused:,} reused" if progress.reused else "",
        "in flight": f", {progress.in_flight:,} in flight" if progress.in_flight else "",
        "errors": f", {count(progress.errored, 'error')}" if progress.errored else "",
        "missing": f", {progress.missing:,} missing" if progress.missing else "",
        "retries": f", {retries}" if progress.retries else "",
        "cost": "" if progress.cost_usd is None else f", {money(progress.cost_usd)}",
        "left": "" if left is None else f", {_about(left)} left",
    }
    alerts = ("errors", "missing")
    return {name: Part(text=text, is_alert=name in alerts) for name, text in texts.items() if text}


def _about(seconds: float) -> str:
    """A rough duration: an estimate deserves no more digits; the last seconds are counted down."""
    if seconds <= 5:
        return f"about {max(math.ceil(seconds), 1)} s"
    if seconds <= 55:
        return f"about {math.ceil(seconds / 5) * 5} s"
    minutes = max(round(seconds / 60), 1)
    if minutes < 60:
        return f"about {minutes} min"
    tens = round(seconds / 600)
    return f"about {tens // 6} h" + (f" {tens % 6 * 10} min" if tens % 6 else "")
