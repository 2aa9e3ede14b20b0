"""The attempts at one call, and what the model calls of each used."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.failures import describe
from pytest_promptune.core.jobs import SampleTimeoutError
from pytest_promptune.core.model import SampleError, Usage
from pytest_promptune.langgraph.prices import PriceList

if TYPE_CHECKING:
    from pytest_promptune.langgraph.tracing import Trace


class Attempts:
    """One trace for each attempt, in their order; what can't call a model has none."""

    __slots__ = ("_prices", "traces")

    def __init__(self, prices: PriceList) -> None:
        self._prices = prices
        self.traces: list[Trace] = []

    @property
    def spent(self) -> Iterator[Usage]:
        """What each attempt used: failed ones are paid for as well."""
        return (trace.usage for trace in self.traces)

    @contextmanager
    def begin(self) -> Iterator[Trace | None]:
        """Trace model calls where there can be any: LangChain is never imported for its sake."""
        if "langchain_core.callbacks" not in sys.modules:
            yield None
            return
        from pytest_promptune.langgraph.tracing import Trace

        self.traces.append(trace := Trace(self._prices))
        with traced(trace):
            yield trace


@contextmanager
def traced(trace: Trace | None) -> Iterator[None]:
    """What is called in here belongs to `trace`."""
    if trace is None:
        yield
        return
    from pytest_promptune.langgraph.tracing import tracing

    with tracing(trace):
        yield


async def rest(value: Awaitable[Any], trace: Trace | None) -> Any:
    """A synchronous function gave a coroutine: what runs in it belongs to the same attempt."""
    with traced(trace):
        return await value


def described(error: BaseException) -> SampleError:
    """An error as data."""
    if isinstance(error, SampleTimeoutError):
        return SampleError(type="TimeoutError", message=str(error))
    return describe(error)
