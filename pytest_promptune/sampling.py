"""From planned items to samples: which app, under which variant, called once, shared by all its tests."""

from __future__ import annotations

import copy
import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.codec import to_jsonable
from pytest_promptune.core.errors import AppError
from pytest_promptune.core.failures import describe
from pytest_promptune.core.model import Case, SampleRecord, Usage, Variant
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.engine import Engine, Job, Outcome
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

    def __init__(self, *, variants: Mapping[str, Variant], concurrency: int, careful: bool) -> None:
        """Nothing runs before the first app is known.

        Args:
            variants: all variants that are measured, by name.
            concurrency: samples in flight.
            careful: the session stops at the first failures, so look less far ahead.
        """
        self._variants = variants
        self._concurrency = concurrency
        self._window = concurrency * (LOOK_AHEAD_CAREFUL if careful else LOOK_AHEAD)
        self._engine: Engine | None = None
        self._items: list[PlannedItem] = []
        self._order: dict[str, int] = {}
        self._apps: dict[int, _BuiltApp] = {}
        self._submitted: set[Hashable] = set()
        self._traces: dict[Hashable, Trace | None] = {}
        #: By identity of the case, which is kept alive beside its hash.
        self._fingerprints: dict[int, tuple[Case, str]] = {}
        self._key_of: dict[str, Hashable] = {}
        self._users_here: Counter[tuple[Hashable, ...]] = Counter()
        self._users: Counter[tuple[Hashable, ...]] = Counter()
        self._unknown_users: Counter[str] = Counter()
        self._reached: set[tuple[str, str]] = set()
        self._moving: set[tuple[str, str]] = set()

    def plan(self, items: Sequence[PlannedItem]) -> None:
        """Take in the selected items in the order in which they will run."""
        self._items = list(items)
        self._order = {item.nodeid: position for position, item in enumerate(items)}
        for item in items:
            if item.case is None:
                self._unknown_users[item.marks.app] += 1
            else:
                here, everywhere = self._use(item, item.case)
                self._users_here[here] += 1
                self._users[everywhere] += 1

    def sample(self, item: PlannedItem, case: Case, app: object) -> SampleRecord:
        """The sample of an item; waits until it is there.

        The first call for an app submits all samples of that app which the session will need.

        Args:
            item: the item that asks.
            case: the case its fixtures gave.
            app: what the app fixture returned.

        Raises:
            AppError: when `app` can't be called, or its output has no JSON form.
            VariantError: when a variant would not reach the app.
        """
        built = self._built(item, app)
        engine = self._engine or self._start()
        test = (item.module, item.test)
        if item.case is not None and self._fingerprint(item.case) != self._fingerprint(case):
            self._moving.add(test)  # the fixture changes what it is parametrized with: don't guess
        self._submit(engine, built, item, first=test not in self._reached)
        self._reached.add(test)
        job = self._job(built, item, case)
        engine.submit([job])
        self._key_of[item.nodeid] = job.key
        return self._record(item, case, job.key, engine.outcome(job.key))

    def done(self, nodeid: str) -> None:
        """The item has ended: its sample may leave the window, and memory when nobody else needs it."""
        position = self._order.get(nodeid)
        if position is None or self._engine is None:
            return
        item = self._items[position]
        key = self._key_of.pop(nodeid, None)
        if item.case is None:
            self._unknown_users[item.marks.app] -= 1
            return
        here, everywhere = self._use(item, item.case)
        self._users_here[here] -= 1
        self._users[everywhere] -= 1
        if key is None or self._users_here[here] > 0:
            return
        if self._users[everywhere] > 0 or self._unknown_users[item.marks.app] > 0:
            self._engine.release(key)
        else:
            self._engine.forget(key)
            self._traces.pop(key, None)

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

    def _built(self, item: PlannedItem, value: object) -> _BuiltApp:
        built = self._apps.get(id(value))
        if built is None:
            engine = self._engine or self._start()
            built = _BuiltApp(item.marks.app, value, engine.run)
            needed = dict.fromkeys(i.cell.variant for i in self._items if i.marks.app == item.marks.app)
            for name in needed:
                built.under(self._variants[name])
            self._apps[id(value)] = built
        return built

    def _submit(self, engine: Engine, built: _BuiltApp, item: PlannedItem, *, first: bool) -> None:
        """Queue what items like this one will need: all of the app's the first time, then what was lazy."""
        test = (item.module, item.test)
        group = (id(built.value), item.marks.app, item.parameters)
        new_group = group not in self._submitted
        if not (new_group or (first and item.lazy)):
            return
        self._submitted.add(group)
        jobs = []
        for other in self._items:
            like_this = (other.module, other.test) == test
            if other.marks.app != item.marks.app or other.parameters != item.parameters:
                continue
            if other.case is None or (other.lazy and not like_this) or not (new_group or like_this):
                continue
            if (other.module, other.test) in self._moving:
                continue
            jobs.append(self._job(built, other, other.case))
        engine.submit(jobs)

    def _job(self, built: _BuiltApp, item: PlannedItem, case: Case) -> Job:
        variant = self._variants[item.cell.variant]
        key = (id(built.value), case.id, self._fingerprint(case), item.cell.variant, item.cell.run)
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
                return prepared()()

        return call

    @contextmanager
    def _traced(self, key: Hashable) -> Iterator[None]:
        """Trace model calls where the app can make any: LangChain is never imported for its sake."""
        if "langchain_core.callbacks" not in sys.modules:
            yield
            return
        from pytest_promptune.langgraph.tracing import tracing

        with tracing() as trace:
            self._traces[key] = trace
            yield

    def _record(self, item: PlannedItem, case: Case, key: Hashable, outcome: Outcome) -> SampleRecord:
        trace = self._traces.get(key)
        error = outcome.error
        if isinstance(error, AppError):
            raise error
        where = f"output of the app {item.marks.app!r} for case {case.id!r}"
        if error is None:
            to_jsonable(outcome.value, where=where)
        return SampleRecord(
            case_id=case.id,
            variant=item.cell.variant,
            run=item.cell.run,
            output=outcome.value,
            error=None if error is None else describe(error),
            latency_s=outcome.latency_s,
            usage=trace.usage if trace else Usage(),
            nodes=trace.nodes() if trace else (),
        )

    def _fingerprint(self, case: Case) -> str:
        known = self._fingerprints.get(id(case))
        if known is None:
            known = self._fingerprints[id(case)] = (case, case.fingerprint)
        return known[1]

    def _use(self, item: PlannedItem, case: Case) -> tuple[tuple[Hashable, ...], tuple[Hashable, ...]]:
        everywhere = (item.marks.app, case.id, self._fingerprint(case), item.cell)
        return (item.module, *everywhere), everywhere


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
            app = build(variant)
        if hasattr(app, "__await__"):

            async def built() -> Any:
                return await app

            app = self._run(built)
        return adapt(app, name=f"{self.name}({variant.name})")


def seed(case: str, variant: str, run: int) -> int:
    """A seed of its own for each sample: one seed for all cases would correlate their errors."""
    digest = hashlib.sha256(f"{case}\0{variant}\0{run}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF
