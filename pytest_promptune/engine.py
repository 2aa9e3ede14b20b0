"""Concurrent generation: one event loop in a background thread, many samples in flight.

pytest runs its items one after the other; a sample that waits for a model must not. Jobs are
submitted in the order in which the items need them, at most ``concurrency`` are in flight, and at
most ``window`` are started ahead of the item that runs, so that stopping early costs little. The
main thread waits only for the job whose item it has reached.

One loop serves the whole session: clients of model providers bind to the first loop they meet.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import inspect
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pytest_promptune.core.failures import is_infrastructure, pause_before

_T = TypeVar("_T")

#: Seconds that cancelled samples get to clean up when the session ends.
GRACE_S = 1.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a call gave: a value or the exception it raised, and how long it took."""

    value: Any = None
    error: BaseException | None = None
    #: Of the last attempt.
    latency_s: float
    attempts: int = 1


class SampleTimeoutError(TimeoutError):
    """A sample took longer than its ``timeout``."""


@dataclass(slots=True)
class _Entry:
    job: Job
    future: Future[Outcome]
    started: bool = False
    demanded: bool = False
    released: bool = False


@dataclass(order=True, slots=True)
class _Place:
    """A place in the queue: demanded jobs first, then by order, then as submitted."""

    rank: tuple[int, int, int]
    entry: _Entry = field(compare=False)


class Engine:
    """Runs jobs in the background; all public methods are called from pytest's thread."""

    def __init__(self, *, concurrency: int, window: int) -> None:
        self._concurrency = concurrency
        self._window = max(window, 1)
        self._entries: dict[Hashable, _Entry] = {}
        self._queue: list[_Place] = []
        self._submitted = 0
        self._in_flight = 0
        self._ahead = 0
        self._closing = False
        #: Released by pytest's thread, not yet seen by the loop.
        self._left: deque[_Entry] = deque()
        #: The window kept a job from starting; the next release must wake the loop.
        self._is_full = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        # LangGraph runs a graph's synchronous nodes in the loop's executor; its default size of a few
        # threads would serialise them.
        self._loop.set_default_executor(_DaemonExecutor())
        self._thread = threading.Thread(target=self._serve, name="promptune-engine", daemon=True)
        self._thread.start()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def submit(self, jobs: Iterable[Job]) -> None:
        """Queue jobs; one whose key is known already is left alone."""
        entries = []
        for job in jobs:
            if job.key not in self._entries:
                self._entries[job.key] = entry = _Entry(job, Future())
                entries.append(entry)
        if entries:
            self._loop.call_soon_threadsafe(self._enqueue, entries)

    def outcome(self, key: Hashable) -> Outcome:
        """Wait for a submitted job and give what came of it.

        Raises:
            KeyError: for a key that was never submitted.
        """
        entry = self._entries[key]
        if not entry.future.done():
            self._loop.call_soon_threadsafe(self._demand, entry)
        while True:
            try:
                # Wakes up now and then, since not every platform interrupts a lock on Ctrl-C.
                return entry.future.result(timeout=1.0)
            except TimeoutError:
                continue

    def release(self, key: Hashable) -> None:
        """No item needs this job any more: it leaves the window, or is not started at all."""
        entry = self._entries.get(key)
        if entry is None or self._closing:
            return
        self._left.append(entry)
        if self._is_full:  # waking the loop costs a context switch: only when it waits for this
            self._is_full = False
            self._loop.call_soon_threadsafe(self._pump)

    def forget(self, key: Hashable) -> None:
        """Release the job and drop its outcome; the same key may be submitted again."""
        self.release(key)
        self._entries.pop(key, None)

    def run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Run a coroutine function in the session's loop and wait for its result."""

        async def await_it() -> Any:
            return await call()

        return asyncio.run_coroutine_threadsafe(await_it(), self._loop).result()

    def close(self) -> None:
        """Cancel what is pending and end what is in flight, without waiting for time-outs."""
        if self._closing:
            return
        self._closing = True
        self._loop.call_soon_threadsafe(self._begin_shutdown)
        self._thread.join(timeout=GRACE_S + 1.0)

    # What follows runs in the loop's thread only, so it needs no locks.

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def _enqueue(self, entries: list[_Entry]) -> None:
        for entry in entries:
            self._push(entry, demanded=False)
        self._pump()

    def _push(self, entry: _Entry, *, demanded: bool) -> None:
        self._submitted += 1
        rank = (0 if demanded else 1, entry.job.order, self._submitted)
        heapq.heappush(self._queue, _Place(rank, entry))

    def _demand(self, entry: _Entry) -> None:
        if not entry.started and not entry.demanded:
            entry.demanded = True
            self._push(entry, demanded=True)
        self._pump()

    def _take_released(self) -> None:
        while self._left:
            entry = self._left.popleft()
            if entry.released:
                continue
            entry.released = True
            if entry.started:
                self._ahead -= 1
            else:
                entry.future.cancel()

    def _pump(self) -> None:
        """Start what may start."""
        while self._queue and self._in_flight < self._concurrency and not self._closing:
            self._take_released()
            entry = self._queue[0].entry
            if entry.started or entry.released:
                heapq.heappop(self._queue)
                continue
            if not entry.demanded and self._ahead >= self._window:
                self._is_full = True
                if not self._left:  # released in between, it would not have woken the loop
                    return
                self._is_full = False
                continue
            heapq.heappop(self._queue)
            entry.started = True
            self._in_flight += 1
            self._ahead += 1
            task = self._loop.create_task(self._run(entry))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, entry: _Entry) -> None:
        try:
            outcome = await self._call_with_retries(entry.job)
        except asyncio.CancelledError:
            entry.future.cancel()
            raise
        finally:
            self._in_flight -= 1
        entry.future.set_result(outcome)
        self._pump()

    async def _call_with_retries(self, job: Job) -> Outcome:
        """Only what is transient is tried again: an app that raises would raise again."""
        attempt = 1
        outcome = await self._call(job)
        while attempt <= job.retries and outcome.error is not None and is_infrastructure(outcome.error):
            await asyncio.sleep(pause_before(attempt, outcome.error, random.random()))
            attempt += 1
            outcome = replace(await self._call(job), attempts=attempt)
        return outcome

    async def _call(self, job: Job) -> Outcome:
        began = time.perf_counter()
        value: Any = None
        error: BaseException | None = None
        try:
            async with asyncio.timeout(job.timeout) as limit:
                value = await (job.call() if job.is_async else _in_thread(job.call))
                if inspect.isawaitable(value):
                    value = await value
        except asyncio.CancelledError as cancelled:
            if self._closing:
                raise
            error = cancelled  # the app cancelled itself: its failure, not ours
        except (Exception, SystemExit) as raised:
            error = raised
            if isinstance(raised, TimeoutError) and limit.expired():
                error = SampleTimeoutError(f"no answer within {job.timeout:g} s")
        return Outcome(value=value, error=error, latency_s=time.perf_counter() - began)

    def _begin_shutdown(self) -> None:
        for place in self._queue:
            place.entry.future.cancel()
        self._queue.clear()
        for task in self._tasks:
            task.cancel()
        ending = self._loop.create_task(self._end(set(self._tasks)))
        ending.add_done_callback(lambda _: self._loop.stop())

    async def _end(self, tasks: set[asyncio.Task[None]]) -> None:
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_S)


async def _in_thread(call: Callable[[], Any]) -> Any:
    """Call in a daemon thread of its own: a call that never returns must not keep the process alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if future.done():  # timed out or cancelled meanwhile
            return
        if error is None:
            future.set_result(value)
        elif isinstance(error, StopIteration):  # a future can't carry one
            future.set_exception(RuntimeError("the app raised StopIteration"))
        else:
            future.set_exception(error)

    def work() -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            value = context.run(call)
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=work, name="promptune-app", daemon=True).start()
    return await future


class _DaemonExecutor(ThreadPoolExecutor):
    """An executor whose threads end with the process; the standard one joins them at exit."""

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        future: Future[_T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as raised:
                future.set_exception(raised)
            else:
                future.set_result(result)

        threading.Thread(target=work, name="promptune-node", daemon=True).start()
        return future
