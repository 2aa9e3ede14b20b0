"""Concurrent generation: limits, order, time-outs, failures, and an end that never waits."""

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from pytest_promptune import engine as engine_module
from pytest_promptune.core.jobs import Job, Outcome, SampleTimeoutError
from pytest_promptune.engine import Engine

#: Longer than anything here may take, on a busy machine too.
PATIENCE_S = 20.0
#: How long to wait before something is called a hang.
HANG_S = 2.0
VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="unset")


@pytest.fixture
def engines() -> Iterator[Callable[..., Engine]]:
    made: list[Engine] = []

    def make(concurrency: int = 4, window: int = 100) -> Engine:
        made.append(Engine(concurrency=concurrency, window=window))
        return made[-1]

    yield make
    for engine in made:
        with suppress(RuntimeError):  # a loop that died
            engine.close()


def job(key: int, call: Callable[[], Any], **more: Any) -> Job:
    return Job(key=key, order=key, call=call, is_async=asyncio.iscoroutinefunction(call), **more)


async def nothing() -> None:
    return None


def outcome(engine: Engine, key: int) -> Outcome:
    """The outcome, or a failed test instead of a suite that hangs."""
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(engine.result(key))
        except BaseException as error:
            found.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HANG_S)
    assert found, "result() never came back"
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true; waits in short steps."""
    until = time.monotonic() + HANG_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


class Gauge:
    """Counts how many are inside, and the most there ever were."""

    def __init__(self) -> None:
        self.now = self.most = self.entered = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.entered += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


# --- limits and order -----------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "threads"])
@pytest.mark.parametrize("limit", [1, 3, 8])
def test_concurrency_is_kept_and_reached(engines, limit, is_async):
    """Never more than `concurrency` samples are in flight, and as many as that are."""
    gauge = Gauge()
    full = threading.Event()

    async def call_async() -> None:
        with gauge:
            for _ in range(1000):
                if gauge.most >= limit or full.is_set():
                    break
                await asyncio.sleep(0.002)
            full.set()
            await asyncio.sleep(0.001)

    def call() -> None:
        with gauge:
            eventually(lambda: gauge.most >= limit)
            time.sleep(0.001)

    engine = engines(limit)
    engine.submit([job(i, call_async if is_async else call) for i in range(4 * limit)])
    for i in range(4 * limit):
        assert outcome(engine, i).error is None
    assert gauge.most == limit
    assert gauge.now == 0


def test_jobs_start_in_their_order(engines):
    """Jobs start by order, whichever way round they were submitted; equal ones as submitted."""
    started: list[str] = []

    def named(name: str, order: int) -> Job:
        async def call() -> None:
            started.append(name)

        return Job(key=name, order=order, call=call, is_async=True)

    engine = engines(1)
    engine.submit([named("c", 3), named("a", 1), named("b1", 2), named("b2", 2)])
    outcome(engine, "c")
    # "c" was asked for while the first job ran or before, so only the others' order is certain.
    for name in ("a", "b1", "b2"):
        outcome(engine, name)
    assert [name for name in started if name != "c"] == ["a", "b1", "b2"]


def blocked(count: int) -> tuple[list[int], list[Job], threading.Event]:
    """Jobs that note their start and wait to be let go."""
    started: list[int] = []
    go = threading.Event()

    def noting(i: int) -> Job:
        async def call() -> int:
            started.append(i)
            while not go.is_set():
                await asyncio.sleep(0.002)
            return i

        return job(i, call)

    return started, [noting(i) for i in range(count)], go


def quick(count: int) -> tuple[list[int], list[Job]]:
    """Jobs that note their start and end at once."""
    started: list[int] = []

    def noting(i: int) -> Job:
        async def call() -> int:
            started.append(i)
            return i

        return job(i, call)

    return started, [noting(i) for i in range(count)]


def settled(started: list[int]) -> list[int]:
    """What has started when nothing more starts."""
    before = -1
    while before != len(started):
        before = len(started)
        time.sleep(0.05)
    return sorted(started)


def test_never_more_than_the_window_ahead(engines):
    """Samples that finish don't free the window: only items that end do, so stopping early costs little."""
    started, jobs = quick(20)
    engine = engines(2, window=5)
    engine.submit(jobs)
    assert settled(started) == [0, 1, 2, 3, 4]
    assert outcome(engine, 0).value == 0
    assert settled(started) == [0, 1, 2, 3, 4]
    for ended in range(3):
        engine.advance(ended)
        assert settled(started) == list(range(6 + ended))


def test_ending_twice_counts_once(engines):
    """The window moves with the items, however often one is said to have ended, and never back."""
    started, jobs = quick(20)
    engine = engines(2, window=3)
    engine.submit(jobs)
    assert settled(started) == [0, 1, 2]
    for ended in (1, 1, 0, 1):
        engine.advance(ended)
    assert settled(started) == [0, 1, 2, 3, 4]


def test_the_window_moves_past_what_never_started(engines):
    """Items that ended without their sample make room for those behind them."""
    started, jobs = quick(30)
    engine = engines(2, window=3)
    engine.submit(jobs)
    assert settled(started) == [0, 1, 2]
    for key in range(3, 20):
        engine.forget(key)
    engine.advance(19)
    assert settled(started) == [0, 1, 2, 20, 21, 22]


def test_a_demanded_job_bypasses_the_window(engines):
    """The item that runs never waits for items that have not ended."""
    started, jobs = quick(20)
    engine = engines(2, window=2)
    engine.submit(jobs)
    assert settled(started) == [0, 1]
    assert outcome(engine, 15).value == 15
    assert settled(started) == [0, 1, 15]


def test_a_demanded_job_is_next(engines):
    """The job whose item was reached starts before earlier ones that nobody waits for yet."""
    started, jobs, go = blocked(10)
    engine = engines(1)
    engine.submit(jobs)
    assert eventually(lambda: started == [0])
    asking = threading.Thread(target=engine.result, args=(7,), daemon=True)
    asking.start()
    time.sleep(0.03)
    go.set()
    asking.join(HANG_S)
    assert not asking.is_alive()
    assert started[:2] == [0, 7]


def test_a_forgotten_job_is_not_started(engines):
    """What no item needs any more is never called."""
    started, jobs, go = blocked(3)
    engine = engines(1)
    engine.submit(jobs)
    assert eventually(lambda: started == [0])
    engine.forget(1)
    go.set()
    assert outcome(engine, 2).value == 2
    assert started == [0, 2]


def test_a_known_key_is_left_alone(engines):
    """The same key submitted again, pending or done, makes no second call."""
    started, jobs = quick(1)
    engine = engines()
    engine.submit(jobs * 3)
    first = outcome(engine, 0)
    engine.submit(jobs)
    assert outcome(engine, 0) is first
    assert settled(started) == [0]


def test_a_forgotten_key_may_come_again(engines):
    """After forget() the outcome is gone and the same key is called anew."""
    started, jobs = quick(1)
    engine = engines()
    engine.submit(jobs)
    outcome(engine, 0)
    assert 0 in engine
    engine.forget(0)
    assert 0 not in engine
    with pytest.raises(KeyError):
        engine.result(0)
    engine.submit(jobs)
    assert outcome(engine, 0).value == 0
    assert started == [0, 0]


def test_forgetting_the_unknown(engines):
    """Forgetting what was never submitted does nothing."""
    engines().forget("x")


def test_many_jobs(engines):
    """Thousands of trivial samples pass through."""
    _, jobs = quick(5000)
    engine = engines(16, window=64)
    engine.submit(jobs)
    for i in range(5000):
        assert engine.result(i).value == i
        engine.advance(i)
        engine.forget(i)


# --- time-outs ------------------------------------------------------------------------------------


def test_timeout_of_an_async_job(engines):
    """A sample over its time is an error of its own, and the call is cancelled."""
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    engine = engines()
    engine.submit([job(1, slow, timeout=0.02)])
    found = outcome(engine, 1)
    assert isinstance(found.error, SampleTimeoutError)
    assert "0.02 s" in str(found.error)
    assert found.latency_s >= 0.02
    assert ended == ["cancelled"]


def test_timeout_of_a_sync_job_frees_its_place(engines):
    """A thread can't be stopped, but nobody waits for it: the next sample starts."""
    forever = threading.Event()
    engine = engines(1)
    engine.submit([job(1, forever.wait, timeout=0.02), job(2, lambda: "next")])
    assert isinstance(outcome(engine, 1).error, SampleTimeoutError)
    assert outcome(engine, 2).value == "next"
    forever.set()


def test_a_late_answer_of_an_abandoned_thread_is_dropped(engines):
    """A call that returns after its time changes nothing and disturbs nobody."""
    release = threading.Event()
    engine = engines()
    engine.submit([job(1, release.wait, timeout=0.02)])
    first = outcome(engine, 1)
    release.set()
    engine.submit([job(2, lambda: "next")])
    assert outcome(engine, 2).value == "next"
    assert outcome(engine, 1) is first


def test_the_time_out_of_the_app_is_its_own(engines):
    """A TimeoutError that the app raises is told as the app raised it."""

    async def own() -> None:
        raise TimeoutError("mine")

    engine = engines()
    engine.submit([job(1, own, timeout=PATIENCE_S)])
    assert type(outcome(engine, 1).error) is TimeoutError


def test_no_timeout_is_no_timeout(engines):
    """Without a limit a slow sample is waited for."""

    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "there"

    engine = engines()
    engine.submit([job(1, slow)])
    assert outcome(engine, 1).value == "there"


def test_an_app_that_swallows_its_cancellation_is_over_its_time(engines):
    """An answer that comes after the limit, from an app with a bare except, is not a good sample."""

    async def stubborn() -> str:
        for _ in range(3):
            try:
                await asyncio.sleep(0.04)
            except BaseException:  # as retry loops do
                continue
        return "late"

    engine = engines()
    engine.submit([job(1, stubborn, timeout=0.02)])
    assert isinstance(outcome(engine, 1).error, SampleTimeoutError)


def test_an_app_that_ignores_its_cancellation_does_not_hold_up_the_session(engines):
    """A sample over its time is given up, whether or not the app agrees."""
    stop: list[bool] = []

    async def stubborn() -> None:
        while not stop:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.02)

    engine = engines()
    engine.submit([job(1, stubborn, timeout=0.02)])
    try:
        assert isinstance(outcome(engine, 1).error, SampleTimeoutError)
    finally:
        stop.append(True)


# --- failures -------------------------------------------------------------------------------------


class OddError(BaseException):
    """As pytest's own outcomes are: no Exception."""


def as_call(error: BaseException, is_async: bool) -> Callable[[], Any]:
    async def call_async() -> None:
        raise error

    def call() -> None:
        raise error

    return call_async if is_async else call


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize(
    "error",
    [ValueError("x"), SystemExit(3), asyncio.CancelledError("x"), OddError("x"),
     pytest.fail.Exception("x"), pytest.skip.Exception("x"), ExceptionGroup("x", [ValueError()])],
    ids=lambda e: type(e).__name__,
)  # fmt: skip
def test_what_an_app_raises_is_data(engines, error, is_async):
    """Whatever an app raises ends its own sample, and nothing else."""
    engine = engines(1)
    engine.submit([job(1, as_call(error, is_async)), job(2, nothing)])
    assert outcome(engine, 1).error is error
    assert outcome(engine, 2).error is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_a_keyboard_interrupt_inside_an_app_does_not_hang(engines, is_async):
    """An app that raises KeyboardInterrupt (only the main thread gets Ctrl-C) ends its sample."""
    engine = engines(1)
    engine.submit([job(1, as_call(KeyboardInterrupt(), is_async)), job(2, nothing)])
    assert isinstance(outcome(engine, 1).error, KeyboardInterrupt)
    assert outcome(engine, 2).error is None


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_stop_iteration(engines, is_async):
    """StopIteration, as from an exhausted script of answers, arrives as a RuntimeError."""
    engine = engines()
    engine.submit([job(1, as_call(StopIteration(), is_async))])
    assert isinstance(outcome(engine, 1).error, RuntimeError)


def test_exit_in_a_task_of_the_app_does_not_stop_the_engine(engines):
    """SystemExit in a task that the app started ends its sample; asyncio would stop the loop for it."""

    async def leave() -> None:
        sys.exit(2)

    async def call() -> None:
        await asyncio.gather(asyncio.create_task(leave()))

    engine = engines(1)
    engine.submit([job(1, call), job(2, nothing)])
    assert isinstance(outcome(engine, 1).error, SystemExit)
    assert outcome(engine, 2).error is None


class State(TypedDict, total=False):
    x: int


def one_node(node: Callable[..., Any]) -> Any:
    return StateGraph(State).add_node("n", node).add_edge(START, "n").compile()


def test_exit_in_a_node_does_not_stop_the_engine(engines):
    """sys.exit() in a node of a graph, where LangGraph runs it in a task, ends its sample."""
    graph = one_node(lambda state: sys.exit(2))
    engine = engines(1)
    engine.submit([job(1, lambda: graph.ainvoke({"x": 1})), job(2, nothing)])
    assert isinstance(outcome(engine, 1).error, SystemExit)
    assert outcome(engine, 2).error is None


def test_a_call_that_fails_before_it_is_awaited(engines):
    """An async app's wrapper may raise before it gives a coroutine."""

    def call() -> Any:
        raise ValueError("early")

    engine = engines()
    engine.submit([Job(key=1, order=1, call=call, is_async=True)])
    assert isinstance(outcome(engine, 1).error, ValueError)


def test_a_sync_function_that_gives_an_awaitable(engines):
    """The awaitable is awaited in the session's loop."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def inner() -> str:
        loops.append(asyncio.get_running_loop())
        return "there"

    async def other() -> None:
        loops.append(asyncio.get_running_loop())

    engine = engines()
    engine.submit([Job(key=1, order=1, call=lambda: inner(), is_async=False), job(2, other)])
    assert outcome(engine, 1).value == "there"
    outcome(engine, 2)
    assert loops[0] is loops[1]


# --- trying again ---------------------------------------------------------------------------------


def failing(times: int, error: Exception) -> tuple[list[int], Callable[[], Any]]:
    calls: list[int] = []

    async def call() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "there"

    return calls, call


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "pause_before", lambda *_: 0.0)


def test_what_is_transient_is_tried_again(engines, no_pause):
    """A lost connection is tried again as often as allowed, and counted."""
    calls, call = failing(2, ConnectionError("lost"))
    engine = engines()
    engine.submit([job(1, call, retries=2)])
    found = outcome(engine, 1)
    assert (found.value, found.error, found.attempts, len(calls)) == ("there", None, 3, 3)


def test_retries_end(engines, no_pause):
    """After the last attempt the error stays."""
    calls, call = failing(9, ConnectionError("lost"))
    engine = engines()
    engine.submit([job(1, call, retries=2)])
    found = outcome(engine, 1)
    assert isinstance(found.error, ConnectionError)
    assert (found.attempts, len(calls)) == (3, 3)


class QuotaError(Exception):
    """As OpenAI's client raises it for an account without credit."""

    status_code = 429
    code = "insufficient_quota"


@pytest.mark.parametrize(
    ("error", "retries"),
    [(ValueError("no"), 3), (QuotaError("no"), 3), (ConnectionError("lost"), 0)],
    ids=repr,
)
def test_what_is_not_tried_again(engines, no_pause, error, retries):
    """An app that raises would raise again, a quota that is used up stays so; no retries are none."""
    calls, call = failing(9, error)
    engine = engines()
    engine.submit([job(1, call, retries=retries)])
    assert outcome(engine, 1).error is error
    assert calls == [1]


def test_latency_is_that_of_the_attempt_that_answered(engines, monkeypatch):
    """Pauses and failed attempts are no latency of the app."""
    monkeypatch.setattr(engine_module, "pause_before", lambda *_: 0.2)
    _, call = failing(1, ConnectionError("lost"))
    engine = engines()
    engine.submit([job(1, call, retries=1)])
    assert outcome(engine, 1).latency_s < 0.2


def test_close_does_not_wait_for_a_pause(engines, monkeypatch):
    """A sample that waits to be tried again is ended like one in flight."""
    monkeypatch.setattr(engine_module, "pause_before", lambda *_: PATIENCE_S)
    calls, call = failing(1, ConnectionError("lost"))
    engine = engines()
    engine.submit([job(1, call, retries=1)])
    assert eventually(lambda: bool(calls))
    engine.close()
    assert not engine._thread.is_alive()


# --- contexts -------------------------------------------------------------------------------------


def test_context_reaches_threads(engines):
    """A context variable that is set around a call is seen by a sync app and by nodes in the executor."""
    graph = one_node(lambda state: seen.append(VAR.get()))
    seen: list[str] = []

    async def through_a_graph() -> None:
        VAR.set("graph")
        await graph.ainvoke({"x": 1})

    async def through_to_thread() -> None:
        VAR.set("thread")
        seen.append(await asyncio.to_thread(VAR.get))

    engine = engines(1)
    engine.submit([job(1, through_a_graph), job(2, through_to_thread)])
    for key in (1, 2):
        assert outcome(engine, key).error is None
    assert seen == ["graph", "thread"]


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_samples_do_not_inherit_from_each_other(engines, is_async):
    """What one sample leaves in a context variable is not there for the next."""
    seen: list[str] = []

    def leave_something() -> None:
        seen.append(VAR.get())
        VAR.set(f"left by {len(seen)}")

    async def leave_something_async() -> None:
        leave_something()

    engine = engines(1)
    engine.submit([job(i, leave_something_async if is_async else leave_something) for i in range(4)])
    for i in range(4):
        assert outcome(engine, i).error is None
    assert seen == ["unset"] * 4


def test_sync_nodes_run_in_parallel(engines):
    """Synchronous nodes of many samples run at the same time: the loop's executor doesn't serialise them."""
    together = threading.Barrier(24)  # more than the default executor has threads on a small machine
    graph = one_node(lambda state: {"x": together.wait(PATIENCE_S)})
    engine = engines(24)
    engine.submit([job(i, lambda: graph.ainvoke({"x": 1})) for i in range(24)])
    for i in range(24):
        assert outcome(engine, i).error is None


# --- run ------------------------------------------------------------------------------------------


def test_run_gives_the_result(engines):
    """A coroutine runs in the session's loop, while samples do."""
    started, jobs, go = blocked(1)
    engine = engines()
    engine.submit(jobs)
    assert eventually(lambda: bool(started))

    async def there() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert engine.run(there) is engine.run(there)
    go.set()
    assert outcome(engine, 0).value == 0


def test_run_raises(engines):
    """What the coroutine raises comes through."""

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        engines().run(fail)


# --- the end --------------------------------------------------------------------------------------


def test_close_cancels_what_is_queued_and_in_flight(engines):
    """Closing starts nothing more, cancels what runs, lets it clean up, and waits for no time-out."""
    ended: list[int] = []
    started: list[int] = []

    def slow(i: int) -> Job:
        async def call() -> None:
            started.append(i)
            try:
                await asyncio.sleep(10 * PATIENCE_S)
            finally:
                ended.append(i)

        return job(i, call, timeout=5 * PATIENCE_S)

    engine = engines(2)
    engine.submit([slow(i) for i in range(6)])
    assert eventually(lambda: len(started) == 2)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < PATIENCE_S
    assert sorted(ended) == sorted(started) == [0, 1]
    assert not engine._thread.is_alive()
    for key in (0, 5):
        with pytest.raises(CancelledError):
            engine.result(key)


def test_close_twice(engines):
    """Closing again does nothing."""
    engine = engines()
    engine.close()
    engine.close()


def test_items_that_end_after_the_close(engines):
    """Items that end after the engine are no trouble."""
    engine = engines()
    engine.submit([job(1, nothing)])
    outcome(engine, 1)
    engine.close()
    engine.advance(1)
    engine.forget(1)


def test_outcomes_survive_the_close(engines):
    """What was finished stays readable."""
    engine = engines()
    engine.submit([job(1, lambda: "there")])
    outcome(engine, 1)
    engine.close()
    assert outcome(engine, 1).value == "there"


def test_close_while_a_thread_runs_for_ever(engines):
    """A sync app that never returns blocks neither the close nor anything after it."""
    forever = threading.Event()
    started = threading.Event()

    def call() -> None:
        started.set()
        forever.wait()

    engine = engines()
    engine.submit([job(1, call)])
    assert started.wait(HANG_S)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < PATIENCE_S
    assert not engine._thread.is_alive()
    forever.set()


def test_close_when_an_app_ignores_its_cancellation(engines, monkeypatch):
    """Cleaning up may take its grace, not more."""
    monkeypatch.setattr(engine_module, "GRACE_S", 0.05)
    stop: list[bool] = []

    async def stubborn() -> None:
        while not stop:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    engine = engines()
    engine.submit([job(1, stubborn)])
    assert eventually(lambda: bool(engine._tasks))
    engine.close()
    assert not engine._thread.is_alive()
    stop.append(True)
    engine._tasks.clear()
    gc.collect()  # what is left of the app goes quietly, in this test


FOREVER = """
import asyncio, sys, threading, time
from pytest_promptune.core.jobs import Job
from pytest_promptune.engine import Engine

async def never(): await asyncio.sleep(1e6)
async def in_executor(): await asyncio.get_running_loop().run_in_executor(None, time.sleep, 1e6)
async def to_thread(): await asyncio.to_thread(time.sleep, 1e6)
def sync(): time.sleep(1e6)
async def blocking(): time.sleep(1e6)

engine = Engine(concurrency=9, window=9)
calls = [never, in_executor, to_thread, sync]
if "blocking" in sys.argv:
    calls.append(blocking)
engine.submit([Job(key=i, order=i, call=c, is_async=c is not sync) for i, c in enumerate(calls)])
time.sleep(0.1)
if "close" in sys.argv:
    engine.close()
print("end")
"""


@pytest.mark.parametrize(
    "arguments", [["close"], [], ["close", "blocking"]], ids=["closed", "open", "blocked loop"]
)
def test_nothing_keeps_the_process_alive(arguments):
    """The interpreter ends at once, whatever still runs in loop, threads and executor, closed or not."""
    done = subprocess.run(
        [sys.executable, "-c", FOREVER, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "end\n"
    assert done.stderr == ""
