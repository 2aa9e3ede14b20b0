"""One call of an app, in the loop or in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from pytest_promptune.core.jobs import Job

_T = TypeVar("_T")


async def call_once(job: Job) -> tuple[Any, BaseException | None]:
    """What the call gave or raised; anything but the end of the session is the app's own doing.

    Not only `Exception`: pytest's outcomes and `SystemExit` derive from `BaseException`, and raised in
    a task they would end the loop.
    """
    try:
        value = await (job.call() if job.is_async else _in_thread(job.call))
        if inspect.isawaitable(value):
            value = await value
    except GeneratorExit:  # the loop is gone, and this with it
        raise
    except BaseException as raised:
        task = asyncio.current_task()
        if isinstance(raised, asyncio.CancelledError) and task is not None and task.cancelling():
            raise  # by us, not by the app
        return None, raised
    return value, None


async def _in_thread(call: Callable[[], Any]) -> Any:
    """Call in a daemon thread of its own: a call that never returns must not keep the process alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if not future.done():  # else timed out or cancelled meanwhile
            future.set_result((value, error))

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
    value, error = await future
    if error is not None:
        raise error
    return value


class DaemonExecutor(ThreadPoolExecutor):
    """An executor whose threads end with the process; the standard one joins them at exit."""

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Call in a thread of its own, however many there are."""
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
