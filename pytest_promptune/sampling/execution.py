"""One sample on its way: its attempts, what they used, and in the end its record."""

from __future__ import annotations

import contextvars
import copy
import hashlib
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

from pytest_promptune.core.codec import to_jsonable
from pytest_promptune.core.errors import CaseError, ScoreError
from pytest_promptune.core.jobs import Outcome
from pytest_promptune.core.model import NO_USAGE, Case, SampleRecord, Usage, Variant
from pytest_promptune.langgraph.app import App
from pytest_promptune.langgraph.prices import PriceList
from pytest_promptune.sampling.attempts import Attempts, described, rest
from pytest_promptune.store.log import LoggedSample, SampleKey
from pytest_promptune.variants.active import applied

#: In the code that an app runs for a sample: which one, in whatever thread.
in_sample: contextvars.ContextVar[SampleKey | None] = contextvars.ContextVar("in_sample", default=None)


class Execution:
    """Calls the app for one sample and makes a record of what came of it."""

    __slots__ = ("_app", "_attempts", "_case", "_key", "_variant", "started")

    def __init__(self, app: App, case: Case, variant: Variant, key: SampleKey, prices: PriceList) -> None:
        self._app = app
        self._case = case
        self._variant = variant
        self._key = key
        self._attempts = Attempts(prices)
        #: When the first attempt began, seconds since 1970.
        self.started: float | None = None

    @property
    def call(self) -> Callable[[], Any]:
        """What the engine calls, or awaits for async apps."""
        return self._call_async if self._app.is_async else self._call

    @property
    def spent(self) -> Iterator[Usage]:
        """What each attempt used: failed ones are paid for as well."""
        return self._attempts.spent

    def logged(self, outcome: Outcome) -> LoggedSample:
        """The finished sample."""
        return LoggedSample(
            key=self._key,
            record=self._record(outcome),
            attempts=outcome.attempts,
            started=self.started,
            finished=time.time(),
        )

    async def _call_async(self) -> Any:
        attempt = self._app.attempt(self._variant)
        with applied(self._variant), self._attempts.begin(), attempt.whole() if attempt else nullcontext():
            return await self._prepared()()

    def _call(self) -> Any:
        attempt = self._app.attempt(self._variant)
        overridden = attempt.part if attempt else nullcontext
        with applied(self._variant), self._attempts.begin() as trace, overridden():
            value = self._prepared()()
        if not inspect.isawaitable(value):
            if attempt is not None:
                attempt.verify()
            return value

        async def under_the_same_variant() -> Any:
            in_sample.set(self._key)
            with applied(self._variant), attempt.whole() if attempt else nullcontext():
                return await rest(value, trace)

        return under_the_same_variant()

    def _prepared(self) -> Callable[[], Any]:
        in_sample.set(self._key)  # in this sample's own copy of the context
        if self.started is None:
            self.started = time.time()
        value = _own_input(self._case)
        return self._app.call(
            value, self._variant, seed=seed(self._case.id, self._variant.name, self._key.run)
        )

    def _record(self, outcome: Outcome) -> SampleRecord:
        trace = self._attempts.traces[-1] if self._attempts.traces else None
        error = outcome.error
        if error is None:
            try:
                to_jsonable(outcome.value, where=f"the output of {self._key.app!r}")
            except ScoreError as refused:
                error = refused
        return SampleRecord(
            case_id=self._case.id,
            variant=self._variant.name,
            run=self._key.run,
            output=outcome.value if error is None else None,
            error=None if error is None else described(error),
            latency_s=outcome.latency_s,
            usage=trace.usage if trace else NO_USAGE,
            nodes=trace.nodes() if trace else (),
            unpriced=trace.unpriced if trace else (),
            silent=trace.silent if trace else (),
        )


def _own_input(case: Case) -> Any:
    """A copy: an app may change its input, and other runs must not see that.

    Raises:
        CaseError: when it can't be copied.
    """
    try:
        return copy.deepcopy(case.input)
    except Exception as error:  # of whatever classes the input is made of
        raise CaseError(
            f"case {case.id!r}: its {_uncopied(case.input)} can't be copied "
            f"({type(error).__name__}: {error}), and every run needs an input of its own. Keep models, "
            "clients, locks and open files out of cases: give what they are made from, and make them in the "
            "app, where the fixture may return a function of the case's input."
        ) from error


def _uncopied(value: Any) -> str:
    """Which part of an input it is, as far as it is a table."""
    for key, part in value.items() if isinstance(value, dict) else ():
        try:
            copy.deepcopy(part)
        except Exception:  # as above
            return f"input[{key!r}] ({type(part).__name__})"
    return f"input ({type(value).__name__})"


def seed(case: str, variant: str, run: int) -> int:
    """A seed of its own for each sample: one seed for all cases would correlate their errors."""
    digest = hashlib.sha256(f"{case}\0{variant}\0{run}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF
