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
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.failures import is_worth_another_try, pause_before
from pytest_promptune.core.jobs import Counts, Job, NotStartedError, Outcome, SampleTimeoutError
from pytest_promptune.engine.calling import DaemonExecutor, call_once

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

#: Seconds that cancelled samples get to clean up.
GRACE_S = 1.0
#: Seconds between two looks of a waiting item at whether the loop still turns, and at its progress.
LOOK_S = 0.2
#: Seconds without a turn of the loop after which an app is said to block it.
STALL_S = 3.0


#: Whether this code was called by an engine, in whatever thread.
in_background: contextvars.ContextVar[bool] = contextvars.ContextVar("in_background", default=False)


@dataclass(slots=True)
class _Entry:
    job: Job
    future: Future[Any]
    started: bool = False
    demanded: bool = False
    dropped: bool = False


@dataclass(order=True, slots=True)
class _Place:
    """A place in the queue: demanded jobs first, then by order, then as submitted."""

    rank: tuple[int, int, int]
    entry: _Entry = field(compare=False)


class Engine:
    """Runs jobs in the background; all public methods are called from pytest's thread."""

    def __init__(self, *, concurrency: int, window: int, rate: float | None = None) -> None:
        """The loop turns from now on.

        Args:
            concurrency: calls in flight.
            window: calls started ahead of the item that runs.
            rate: most calls that are begun per second, retries among them; ``None`` for no limit.
        """
        self._rate = rate
        self._limiter: AsyncLimiter | None = None
        #: Why nothing more is started.
        self._halted: str | None = None
        self._done = 0
        self._retries = 0
        #: When the loop last turned, and for how long it once did not.
        self._turned = time.perf_counter()
        self._stalled = 0.0
        self._concurrency = self._allowed = concurrency
        self._window = max(window, 1)
        self._entries: dict[Hashable, _Entry] = {}
        self._queue: list[_Place] = []
        self._submitted = 0
        self._in_flight = 0
        #: Orders of the started jobs that the items haven't reached, smallest first.
        self._ahead: list[int] = []
        #: Order up to which the items have ended; written by pytest's thread alone.
        self._position = -1
        #: Order at which the loop was last told of the items' steps.
        self._woken_at = -1
        #: The window kept a job from starting: the next step of the items must wake the loop.
        self._is_full = False
        self._closing = False
        self._stopped = False
        self._tasks: set[asyncio.Task[Any]] = set()
        # Samples begin in the context of the session, not in that of whichever sample ended before.
        self._context = contextvars.copy_context()
        self._context.run(in_background.set, True)
        self._loop = asyncio.new_event_loop()
        # LangGraph runs a graph's synchronous nodes in the loop's executor; its default size of a few
        # threads would serialise them.
        self._loop.set_default_executor(DaemonExecutor())
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

    def result(self, key: Hashable, *, while_waiting: Callable[[], None] = lambda: None) -> Any:
        """Wait for a submitted job and give what its `conclude` made of the outcome.

        Args:
            key: of the job.
            while_waiting: called several times a second.

        Raises:
            KeyError: for a key that was never submitted.
            NotStartedError: when it wasn't started, and won't be.
        """
        entry = self._entries[key]
        if not entry.future.done():
            self._turned = time.perf_counter()
            self._loop.call_soon_threadsafe(self._demand, entry)
            while_waiting()
        while True:
            try:
                # Wakes up now and then, since not every platform interrupts a lock on Ctrl-C.
                return entry.future.result(timeout=LOOK_S)
            except TimeoutError:
                if entry.future.done():
                    raise
                self._stalled = max(self._stalled, time.perf_counter() - self._turned)
                self._loop.call_soon_threadsafe(self._turn)
                while_waiting()

    @property
    def counts(self) -> Counts:
        """How far the jobs are."""
        return Counts(done=self._done, in_flight=self._in_flight, retries=self._retries)

    @property
    def stalled_s(self) -> float | None:
        """Longest time for which an app kept the loop from turning, ``None`` if it was short."""
        return self._stalled if self._stalled >= STALL_S else None

    def halt(self, reason: str) -> None:
        """Start nothing more; what is in flight goes on. Callable from any thread."""
        if not self._closing:
            self._loop.call_soon_threadsafe(self._halt, reason)

    def allow(self, jobs: int | None) -> None:
        """Have at most so many jobs in flight, ``None`` for all; to be called before any, or in the loop."""
        self._allowed = self._concurrency if jobs is None else min(jobs, self._concurrency)

    def advance(self, order: int) -> None:
        """All items up to this order have ended: the window moves on."""
        if order <= self._position or self._closing:
            return
        self._position = order
        # Waking the loop costs a context switch: only when it waits for this, and not for every item.
        if self._is_full and order >= self._woken_at + self._window // 8:
            self._woken_at = order
            self._is_full = False
            self._loop.call_soon_threadsafe(self._pump)

    def forget(self, key: Hashable) -> None:
        """Nobody needs this job any more: it isn't started, or its outcome is dropped."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.dropped = True

    async def together(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Make calls beside each other, in the slot of the job that concludes; to be awaited in the loop.

        They have their own time-outs and retries, but take no turn of the rate, which is that of jobs, and
        no place in the queue. Their keys and orders have no meaning.
        """
        # In contexts of their own: what the app left in its context is nothing to them.
        return list(
            await asyncio.gather(*(self._begin(self._call_with_retries(j, paced=False)) for j in jobs))
        )

    async def ended(self, key: Hashable) -> Any:
        """What a submitted job gives, awaited in the loop; it must have started before who waits for it."""
        return await asyncio.shield(asyncio.wrap_future(self._entries[key].future))

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
            while not self._stopped:
                # A task that raises SystemExit or KeyboardInterrupt ends run_forever(), not the session.
                with contextlib.suppress(SystemExit, KeyboardInterrupt):
                    self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def _turn(self) -> None:
        self._turned = time.perf_counter()

    def _stop(self) -> None:
        self._stopped = True
        self._loop.stop()

    def _enqueue(self, entries: list[_Entry]) -> None:
        for entry in entries:
            if self._halted is None:
                self._push(entry, demanded=False)
            else:
                _refuse(entry, self._halted)
        self._pump()

    def _halt(self, reason: str) -> None:
        if self._halted is not None:
            return
        self._halted = reason
        for entry in list(self._entries.values()):
            if not entry.started:
                _refuse(entry, reason)
        self._queue.clear()

    def _push(self, entry: _Entry, *, demanded: bool) -> None:
        self._submitted += 1
        rank = (0 if demanded else 1, entry.job.order, self._submitted)
        heapq.heappush(self._queue, _Place(rank, entry))

    def _demand(self, entry: _Entry) -> None:
        self._turned = time.perf_counter()
        if not entry.started and not entry.demanded:
            entry.demanded = True
            self._push(entry, demanded=True)
        self._pump()

    def _pump(self) -> None:
        """Start what may start."""
        while self._queue and self._in_flight < self._allowed and not self._closing:
            entry = self._queue[0].entry
            if entry.started or entry.dropped:
                heapq.heappop(self._queue)
                continue
            if not self._may_start(entry):
                return
            heapq.heappop(self._queue)
            entry.started = True
            self._in_flight += 1
            heapq.heappush(self._ahead, entry.job.order)
            self._begin(self._run(entry))

    def _may_start(self, entry: _Entry) -> bool:
        """Demanded, or within the window."""
        if entry.demanded:
            return True
        self._is_full = True  # before looking at the position, so that no step in between is missed
        while self._ahead and self._ahead[0] <= self._position:
            heapq.heappop(self._ahead)
        if len(self._ahead) >= self._window and entry.job.order > self._position:
            return False
        self._is_full = False
        return True

    def _begin(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(coroutine, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, entry: _Entry) -> None:
        try:
            value = await self._concluded(entry.job)
        except asyncio.CancelledError:  # the session ends
            entry.future.cancel()
            raise
        except Exception as error:
            _settle(entry, error=error)
        else:
            _settle(entry, value)
        finally:
            self._in_flight -= 1
            self._done += not entry.job.is_extra
            self._pump()

    async def _concluded(self, job: Job) -> Any:
        outcome = await self._call_with_retries(job)
        if job.conclude is None:
            return outcome
        value = job.conclude(outcome)
        return await value if inspect.isawaitable(value) else value

    async def _call_with_retries(self, job: Job, *, paced: bool = True) -> Outcome:
        """Only what is transient is tried again: an app that raises would raise again."""
        attempt = 1
        if paced:
            await self._take_turn()
        outcome = await self._call(job, is_first=True)
        while attempt <= job.retries and outcome.error is not None and is_worth_another_try(outcome.error):
            await asyncio.sleep(pause_before(attempt, outcome.error, random.random()))
            if self._halted is not None:
                break
            if paced:
                await self._take_turn()
            attempt += 1
            self._retries += 1
            outcome = replace(await self._call(job, is_first=False), attempts=attempt)
        return outcome

    async def _take_turn(self) -> None:
        """Wait until the rate allows another call."""
        if self._rate is not None:
            if self._limiter is None:
                from aiolimiter import AsyncLimiter

                # One at a time: a larger bucket would let a burst through that a provider refuses.
                self._limiter = AsyncLimiter(1, 1 / self._rate)
            await self._limiter.acquire()
        if self._halted is not None:
            raise NotStartedError(self._halted)

    async def _call(self, job: Job, *, is_first: bool) -> Outcome:
        """One attempt.

        With a time-out in a task of its own: one that ignores its cancellation is left behind. So are
        further attempts, which shall not meet what the first one left in its context.
        """
        began = time.perf_counter()
        if job.timeout is None and is_first:
            value, raised = await call_once(job)
            return Outcome(value=value, error=raised, latency_s=time.perf_counter() - began)
        attempt = self._begin(call_once(job))
        try:
            done, _ = await asyncio.wait({attempt}, timeout=job.timeout)
        except asyncio.CancelledError:
            attempt.cancel()
            raise
        latency = time.perf_counter() - began
        if not done:
            attempt.cancel()
            await asyncio.wait({attempt}, timeout=GRACE_S)
            error = SampleTimeoutError(f"no answer within {job.timeout:g} s")
            return Outcome(error=error, latency_s=latency)
        value, raised = attempt.result()
        return Outcome(value=value, error=raised, latency_s=latency)

    def _begin_shutdown(self) -> None:
        for entry in self._entries.values():
            if not entry.started:
                entry.future.cancel()
        self._queue.clear()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        ending = self._loop.create_task(_finish(tasks))
        ending.add_done_callback(lambda _: self._stop())


def _settle(entry: _Entry, value: Any = None, *, error: Exception | None = None) -> None:
    if entry.future.done():  # cancelled meanwhile
        return
    if error is None:
        entry.future.set_result(value)
    else:
        entry.future.set_exception(error)


def _refuse(entry: _Entry, reason: str) -> None:
    entry.dropped = True
    _settle(entry, error=NotStartedError(reason))


async def _finish(tasks: set[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE_S)
