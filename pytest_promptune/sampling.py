"""From planned items to samples: which app, under which variant, called once, shared by all its tests."""

from __future__ import annotations

import copy
import hashlib
import heapq
import inspect
import sys
from collections.abc import Awaitable, Callable, Container, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.codec import to_jsonable
from pytest_promptune.core.errors import ScoreError
from pytest_promptune.core.failures import describe
from pytest_promptune.core.model import Case, SampleError, SampleRecord, Usage, Variant
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.engine import Engine, Job, Outcome, SampleTimeoutError
from pytest_promptune.langgraph.app import App, adapt, is_builder
from pytest_promptune.variants.active import applied

if TYPE_CHECKING:
    from pytest_promptune.langgraph.tracing import Trace

#: Samples started ahead of the item that runs, as a multiple of the concurrency.
LOOK_AHEAD = 4
LOOK_AHEAD_CAREFUL = 1
#: How often a sample lost to the infrastructure is tried again where the marker doesn't say.
DEFAULT_RETRIES = 2


class Sampler:
    """Generates the samples that the items of a session need, in the background and each once."""

    def __init__(
        self,
        *,
        variants: Mapping[str, Variant],
        concurrency: int,
        careful: bool,
        ahead: Container[str] | None = None,
    ) -> None:
        """Nothing runs before the first app is known.

        Args:
            variants: all variants that are measured, by name.
            concurrency: samples in flight.
            careful: the session stops at the first failures, so look less far ahead.
            ahead: node ids of the items whose samples may be generated before they ask, ``None`` for
                all; other processes may run the others.
        """
        self._variants = variants
        self._concurrency = concurrency
        self._ahead = ahead
        self._window = concurrency * (LOOK_AHEAD_CAREFUL if careful else LOOK_AHEAD)
        self._engine: Engine | None = None
        self._items: list[PlannedItem] = []
        self._order: dict[str, int] = {}
        #: By identity of what the app fixture returned, which is kept alive.
        self._apps: dict[int, _BuiltApp] = {}
        #: The app that items of one name and parameters use now.
        self._app_of: dict[Hashable, _BuiltApp] = {}
        self._traces: dict[Hashable, Trace | None] = {}
        #: By identity of the case, which is kept alive beside its hash.
        self._fingerprints: dict[int, tuple[Case, str]] = {}
        self._reached: set[tuple[str, str]] = set()
        #: Apps some of whose tests have fixtures that change the case they are parametrized with.
        self._moving: set[str] = set()
        #: For which app, name and module samples were generated ahead already.
        self._looked: set[Hashable] = set()
        self._uses = _Uses()

    def plan(self, items: Sequence[PlannedItem]) -> None:
        """Take in the selected items in the order in which they will run."""
        self._items = list(items)
        self._order = {item.nodeid: position for position, item in enumerate(items)}
        for position, item in enumerate(items):
            self._uses.expect(position, self._use(item, item.case) if item.case else None)

    def sample(self, item: PlannedItem, case: Case, app: object, *, everywhere: bool = False) -> SampleRecord:
        """The sample of an item; waits until it is there.

        The first call for an app submits all samples of that app which the session will need.

        Args:
            item: the item that asks.
            case: the case its fixtures gave.
            app: what the app fixture returned.
            everywhere: the fixture serves other modules as well.

        Raises:
            AppError: when `app` can't be called.
            VariantError: when a variant would not reach the app.
        """
        engine = self._engine or self._start()
        built = self._built(engine, item, app)
        test = (item.module, item.test)
        if item.case is not None and self._fingerprint(item.case) != self._fingerprint(case):
            self._moving.add(item.marks.app)  # its fixtures change their parameters: don't guess any more
            self._uses.replace(self._use(item, item.case), self._use(item, case))
        self._look_ahead(engine, built, item, first=test not in self._reached, everywhere=everywhere)
        self._reached.add(test)
        job = self._job(built, item, case)
        engine.submit([job])
        return self._record(item, case, job.key, engine.outcome(job.key))

    def done(self, nodeid: str) -> None:
        """The item has ended: look further ahead, and drop what nobody needs any more."""
        position = self._order.get(nodeid)
        if position is None or self._engine is None:
            return
        self._engine.advance(position)
        for key in self._uses.expired(position):
            self._drop(key)

    def close(self) -> None:
        """Cancel what is pending and end what is in flight."""
        if self._engine is not None:
            self._engine.close()

    def contexts(self) -> Mapping[str, Any]:
        """The default context fields of the apps met so far."""
        fields: dict[str, Any] = {}
        for built in self._apps.values():
            fields.update(built.default_context())
        return fields

    def _start(self) -> Engine:
        self._engine = Engine(concurrency=self._concurrency, window=self._window)
        return self._engine

    def _drop(self, key: Hashable) -> None:
        if self._engine is not None:
            self._engine.forget(key)
        self._traces.pop(key, None)

    def _built(self, engine: Engine, item: PlannedItem, value: object) -> _BuiltApp:
        built = self._apps.get(id(value))
        if built is None:
            built = _BuiltApp(item.marks.app, value, engine.run)
            for name in dict.fromkeys(i.cell.variant for i in self._items if i.marks.app == item.marks.app):
                built.under(self._variants[name])
            self._apps[id(value)] = built
        return built

    def _look_ahead(
        self, engine: Engine, built: _BuiltApp, item: PlannedItem, *, first: bool, everywhere: bool
    ) -> None:
        """Queue what is known to be needed: all of an app's samples the first time, then what was lazy."""
        group = (item.marks.app, item.parameters)
        known = self._app_of.get(group)
        if known is not built:
            self._app_of[group] = built
            if known is not None and known not in self._app_of.values():
                for key in self._uses.of_app(id(known.value)):  # an app of a module that is over
                    self._drop(key)
        # a module's own fixture hides others of its name: its app must not meet their cases
        reach = (id(built.value), group, None if everywhere else item.module)
        is_new = reach not in self._looked
        self._looked.add(reach)
        if not is_new and not (first and item.lazy):
            return
        jobs = []
        for other in self._items[self._order.get(item.nodeid, 0) :]:
            like_this = (other.module, other.test) == (item.module, item.test)
            if (other.marks.app, other.parameters) != group or other.case is None:
                continue
            if self._ahead is not None and other.nodeid not in self._ahead:
                continue
            if (other.lazy or not is_new) and not like_this:
                continue
            if (everywhere or other.module == item.module) and other.marks.app not in self._moving:
                jobs.append(self._job(built, other, other.case))
        engine.submit(jobs)

    def _job(self, built: _BuiltApp, item: PlannedItem, case: Case) -> Job:
        variant = self._variants[item.cell.variant]
        key = (id(built.value), *self._use(item, case))
        self._uses.note(key, self._use(item, case))
        app = built.under(variant)
        return Job(
            key=key,
            order=self._order.get(item.nodeid, 0),
            call=self._call(app, case, variant, item.cell.run, key),
            is_async=app.is_async,
            timeout=item.marks.timeout,
            retries=DEFAULT_RETRIES if item.marks.retries is None else item.marks.retries,
        )

    def _call(self, app: App, case: Case, variant: Variant, run: int, key: Hashable) -> Callable[[], Any]:
        def prepared() -> Callable[[], Any]:
            value = copy.deepcopy(case.input)  # an app may change its input; other runs must not see that
            return app.call(value, variant, seed=seed(case.id, variant.name, run))

        if app.is_async:

            async def call_async() -> Any:
                with applied(variant), self._traced(key):
                    return await prepared()()

            return call_async

        def call() -> Any:
            with applied(variant), self._traced(key):
                value = prepared()()
            return finish(value) if inspect.isawaitable(value) else value

        async def finish(value: Awaitable[Any]) -> Any:
            """A synchronous app gave a coroutine: what runs in it belongs to the same sample."""
            with applied(variant), self._traced(key):
                return await value

        return call

    @contextmanager
    def _traced(self, key: Hashable) -> Iterator[None]:
        """Trace model calls where the app can make any: LangChain is never imported for its sake."""
        if "langchain_core.callbacks" not in sys.modules:
            yield
            return
        from pytest_promptune.langgraph.tracing import tracing

        with tracing(self._traces.get(key)) as trace:
            self._traces[key] = trace
            yield

    def _record(self, item: PlannedItem, case: Case, key: Hashable, outcome: Outcome) -> SampleRecord:
        trace = self._traces.get(key)
        error = outcome.error
        if error is None:
            try:
                to_jsonable(outcome.value, where=f"the output of {item.marks.app!r}")
            except ScoreError as refused:
                error = refused
        return SampleRecord(
            case_id=case.id,
            variant=item.cell.variant,
            run=item.cell.run,
            output=outcome.value if error is None else None,
            error=None if error is None else _described(error),
            latency_s=outcome.latency_s,
            usage=trace.usage if trace else Usage(),
            nodes=trace.nodes() if trace else (),
        )

    def _fingerprint(self, case: Case) -> str:
        known = self._fingerprints.get(id(case))
        if known is None:
            known = self._fingerprints[id(case)] = (case, case.fingerprint)
        return known[1]

    def _use(self, item: PlannedItem, case: Case) -> tuple[Hashable, ...]:
        """What the items that share a sample have in common, whatever app they turn out to have."""
        return item.marks.app, case.id, self._fingerprint(case), item.cell


def _described(error: BaseException) -> SampleError:
    if isinstance(error, SampleTimeoutError):
        return SampleError(type="TimeoutError", message=str(error))
    return describe(error)


class _Uses:
    """Which item is the last to need a sample, so that its output can be dropped then."""

    def __init__(self) -> None:
        self._last: dict[Hashable, int] = {}
        self._last_unknown = -1
        self._keys: dict[Hashable, set[Hashable]] = {}
        self._expiring: list[tuple[int, int, Hashable]] = []

    def expect(self, position: int, use: Hashable | None) -> None:
        """The item at `position` needs a sample; ``None``: nobody knows which."""
        if use is None:
            self._last_unknown = position
        else:
            self._last[use] = position

    def replace(self, planned: Hashable, actual: Hashable) -> None:
        """Items that were to need one sample need another."""
        self._last[actual] = max(self._last.get(actual, -1), self._last.get(planned, -1))

    def note(self, key: Hashable, use: Hashable) -> None:
        """A sample is known under `key` from now on."""
        keys = self._keys.setdefault(use, set())
        if not keys:
            heapq.heappush(self._expiring, (self._last.get(use, -1), len(self._keys), use))
        keys.add(key)

    def expired(self, position: int) -> Iterator[Hashable]:
        """Keys that no item after `position` needs; each is given once."""
        if position < self._last_unknown:
            return
        while self._expiring and self._expiring[0][0] <= position:
            yield from self._keys.pop(heapq.heappop(self._expiring)[2], ())

    def of_app(self, app: int) -> list[Hashable]:
        """Keys of the samples of one app object."""
        return [
            key for keys in self._keys.values() for key in keys if isinstance(key, tuple) and key[0] == app
        ]


class _BuiltApp:
    """What an app fixture returned, as the app of each variant."""

    def __init__(self, name: str, value: object, run: Callable[[Callable[[], Any]], Any]) -> None:
        self.name = name
        self.value = value
        self._run = run
        self._is_builder = is_builder(value)
        self._app = None if self._is_builder else adapt(value, name=name)
        self._by_variant: dict[str, App] = {}

    def under(self, variant: Variant) -> App:
        """The app under a variant, built or checked the first time."""
        known = self._by_variant.get(variant.name)
        if known is None:
            app = self._app or self._build(variant)
            app.check(variant, built=self._is_builder)
            known = self._by_variant[variant.name] = app
        return known

    def default_context(self) -> Mapping[str, Any]:
        return self._app.default_context() if self._app else {}

    def _build(self, variant: Variant) -> App:
        build: Any = self.value
        with applied(variant):
            app = build(variant) if _takes_by_position(build) else build(variant=variant)
        if hasattr(app, "__await__"):

            async def built() -> Any:
                return await app

            app = self._run(built)
        return adapt(app, name=f"{self.name}({variant.name})")


def _takes_by_position(build: Callable[..., Any]) -> bool:
    (parameter,) = inspect.signature(build).parameters.values()
    return parameter.kind is not inspect.Parameter.KEYWORD_ONLY


def seed(case: str, variant: str, run: int) -> int:
    """A seed of its own for each sample: one seed for all cases would correlate their errors."""
    digest = hashlib.sha256(f"{case}\0{variant}\0{run}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF
