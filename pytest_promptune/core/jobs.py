"""Calls that are made in the background, as values: what to call, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call to make."""

    key: Hashable
    #: Position of the first item that needs it; smaller starts earlier.
    order: int
    #: A coroutine function, awaited in the loop, or a function, called in a thread of its own.
    call: Callable[[], Any]
    is_async: bool
    #: Seconds for each attempt, ``None`` for no limit.
    timeout: float | None = None
    #: How often a call that failed for the infrastructure's sake is made again.
    retries: int = 0
    #: Makes of the outcome what `Engine.result` gives; called in the loop, and awaited if it must be.
    conclude: Callable[[Outcome], Any] | None = None
    #: Not one of those that are counted: what it makes belongs to another job.
    is_extra: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a call gave: a value or the exception it raised, and how long it took."""

    value: Any = None
    error: BaseException | None = None
    #: Of the last attempt.
    latency_s: float
    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How far the jobs are."""

    #: Ended, with whatever outcome.
    done: int
    in_flight: int
    #: Attempts beyond the first ones.
    retries: int


class SampleTimeoutError(TimeoutError):
    """A sample took longer than its ``timeout``."""


class NotStartedError(Exception):
    """The engine was told to start nothing more before it came to this job."""
