"""Generates the samples that the items of a session need, in the background and each once."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_promptune.core.jobs import Counts, Job, NotStartedError, Outcome
from pytest_promptune.core.model import Case, Scoring, Variant
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.prices import Price
from pytest_promptune.core.progress import Progress
from pytest_promptune.core.scorers import Scorer
from pytest_promptune.engine import Engine
from pytest_promptune.langgraph.prices import PriceList
from pytest_promptune.langgraph.prices import load as load_prices
from pytest_promptune.sampling.apps import BuiltApp
from pytest_promptune.sampling.budget import Budget, Ledger
from pytest_promptune.sampling.execution import Execution
from pytest_promptune.sampling.late import LateScorers, Place
from pytest_promptune.sampling.reach import Reach, folder_of
from pytest_promptune.sampling.scorers import Scorers, retries_of
from pytest_promptune.sampling.stored import STORED, StoredSamples
from pytest_promptune.sampling.uses import Uses
from pytest_promptune.store.log import LoggedSample, SampleKey

#: Samples started ahead of the item that runs, as a multiple of the concurrency.
LOOK_AHEAD = 4
LOOK_AHEAD_CAREFUL = 1


class Sampler:
    """Generates the samples that the items of a session need, in the background and each once."""

    def __init__(
        self,
        *,
        variants: Mapping[str, Variant],
        concurrency: int,
        careful: bool,
        rate: float | None = None,
        budget: Budget | None = None,
        prices: Mapping[str, Price] | None = None,
        mine: Container[str] | None = None,
        ahead: Container[str] | None = None,
        stored: StoredSamples | None = None,
        finished: Callable[[LoggedSample], None] = lambda _: None,
        met: Callable[[Mapping[str, Sequence[str]]], None] = lambda _: None,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing runs before the first app is known.

        Args:
            variants: all variants that are measured, by name.
            concurrency: samples in flight.
            careful: the session stops at the first failures, so look less far ahead.
            rate: most calls begun per second.
            budget: nothing more starts than it is expected to cover.
            prices: of models, by name, beside the published ones.
            mine: node ids of the items that this process is to run, ``None`` for all.
            ahead: node ids of the items whose samples may be generated before they ask, ``None`` for
                all; other processes may run the others.
            stored: samples of an earlier session, taken in place of calls.
            finished: told of each sample that was generated, in the engine's thread.
            met: told which chat models an app holds, by what it is called, before anything is called or
                taken for it; may refuse it.
            while_waiting: called several times a second while an item waits for its sample.
        """
        self._variants = variants
        self._concurrency = concurrency
        self._rate = rate
        self._prices = PriceList(prices or {})
        self._budget = budget
        self._ledger = Ledger(budget, stop=self.halt, allow=self._allow)
        self._scorers = Scorers(self._prices, self._ledger.scored)
        self._late = LateScorers(
            self._scorers,
            following=self._following,
            kept=self._kept,
            expect=self._expect,
            while_waiting=while_waiting,
        )
        self._mine = mine
        self._ahead = ahead
        self._stored = StoredSamples() if stored is None else stored
        self._finished = finished
        self._met = met
        self._while_waiting = while_waiting
        self._window = concurrency * (LOOK_AHEAD_CAREFUL if careful else LOOK_AHEAD)
        self._engine: Engine | None = None
        self._items: list[PlannedItem] = []
        #: How many of the items, which stand in the order of the looks, may have samples generated ahead.
        self._open = 0
        #: How many of this process's samples only the others need.
        self._later = 0
        self._order: dict[str, int] = {}
        #: By identity of what the app fixture returned, which is kept alive.
        self._apps: dict[int, BuiltApp] = {}
        #: The app that items of one name and parameters use now.
        self._app_of: dict[Hashable, BuiltApp] = {}
        #: By identity of the case, which is kept alive beside its hash.
        self._fingerprints: dict[int, tuple[Case, str]] = {}
        self._reached: set[tuple[str, str]] = set()
        #: Apps some of whose tests have fixtures that change the case they are parametrized with.
        self._moving: set[str] = set()
        #: For which app, name and module samples were generated ahead already.
        self._looked: set[Hashable] = set()
        self._uses = Uses()
        #: Samples that all processes of the session together will need, and those that only others will.
        self.planned = 0
        self._elsewhere = 0
        #: Samples that were taken from an earlier session.
        self._reused: set[SampleKey] = set()
        self._started = 0.0

    # --- what the session asks ------------------------------------------------------------------------

    def plan(self, items: Sequence[PlannedItem]) -> None:
        """Take in the selected items in the order in which they will run."""
        self._items = list(items)
        self._open = len(self._items)
        self._order = {}
        mine: set[Hashable] = set()
        for position, item in enumerate(items):
            self._order[item.nodeid] = position
            use = self._use(item, item.case) if item.case else None
            self._uses.expect(position, use)
            self._scorers.expect(item, use)
            if self._mine is not None and use is not None and item.nodeid in self._mine:
                mine.add(use)
        self.planned = len(self._uses)
        if self._mine is not None:
            self._elsewhere = self.planned - len(mine)

    def open_up(self, look: int | None) -> None:
        """Items up to this look (``None``: all) may have their samples generated ahead from now on."""
        self._open = sum(look is None or item.look <= look for item in self._items)
        now = _known_uses(self._items[: self._open], self._use) if self._open < len(self._items) else set()
        rest = self._items[self._open :]
        self.planned = len(self._uses) - len(_known_uses(rest, self._use) - now)
        mine = [item for item in rest if self._mine is None or item.nodeid in self._mine]
        self._later = len(_known_uses(mine, self._use) - now)
        self._looked.clear()
        self._reached.clear()
        self._late.look_again()

    def meet(
        self, item: PlannedItem, app: object, *, everywhere: bool, depends: Container[str] | None
    ) -> None:
        """Make an item's app and look at it, before anything is called or taken for it; see `sample`."""
        built = self._built(self._engine or self._start(), item, app)
        self._tell_models(built, Reach(item, everywhere=everywhere, depends=depends))

    def sample(
        self,
        item: PlannedItem,
        case: Case,
        app: object,
        *,
        everywhere: bool = False,
        depends: Container[str] | None = None,
    ) -> LoggedSample:
        """The sample of an item; waits until it is there.

        The first call for an app submits all samples of that app which the session will need.

        Args:
            item: the item that asks.
            case: the case its fixtures gave.
            app: what the app fixture returned.
            everywhere: the fixture serves other modules as well.
            depends: names of the fixtures the app is made of; items that differ in other parameters
                alone have the same app. ``None`` where that isn't known.

        Raises:
            AppError: when `app` can't be called.
            VariantError: when a variant would not reach the app.
            NotStartedError: when it was not generated, and won't be.
        """
        engine = self._engine or self._start()
        built = self._built(engine, item, app)
        test = (item.module, item.test)
        use = self._use(item, case)
        if item.case is not None and item.case is not case and use != self._use(item, item.case):
            self._moving.add(item.marks.app)  # its fixtures change their parameters: don't guess any more
            self._uses.replace(self._use(item, item.case), use)
        reach = Reach(item, everywhere=everywhere, depends=depends)
        self._look_ahead(engine, built, item, reach, first=test not in self._reached)
        self._reached.add(test)
        key = (id(built.value), *use)
        found = self._taken(reach.key(item, case, use[2])) if self._stored else None
        if found is None:
            if key not in engine:
                engine.submit([self._job(built, item, case, reach, asking=item)])
            found = engine.result(key, while_waiting=self._while_waiting)
        if not item.scorers and not found.record.scorings:
            return found

        def place(other: PlannedItem, its_case: Case) -> Place | None:
            if not reach.covers(other):
                return None
            its_key = (id(built.value), *self._use(other, its_case))
            stored = self._stored.get(reach.key(other, its_case, self._fingerprint(its_case)))
            return Place(its_key, stored) if stored or its_key in engine else None

        known = self._kept(found) if self.is_reused(found.key) else found.record.scorings
        return self._late.complete(engine, item, case, found, key, known, place)

    def key(
        self,
        item: PlannedItem,
        case: Case,
        *,
        everywhere: bool = False,
        depends: Container[str] | None = None,
    ) -> SampleKey:
        """What the sample of an item is called, also where it isn't generated; see `sample`."""
        return Reach(item, everywhere=everywhere, depends=depends).key(item, case, self._fingerprint(case))

    def replayed(self, item: PlannedItem, case: Case) -> LoggedSample:
        """The stored sample of an item; the app isn't even made.

        Raises:
            NotStartedError: when there is none, or it isn't clear which.
        """
        where = f"{STORED} {self._stored.name}"
        key = SampleKey(
            app=item.marks.app,
            scope=item.module,
            case_id=case.id,
            case_hash=self._fingerprint(case),
            variant=item.cell.variant,
            run=item.cell.run,
        )
        found = self._stored.of_any_scope(key, folder_of(item))
        if not found:
            raise NotStartedError(f"{where} has no sample of this case, as it is now, variant and run")
        if len(found) > 1:
            raise NotStartedError(f"{where} has samples of several apps named {item.marks.app!r}")
        self._reused.add(found[0].key)

        def place(other: PlannedItem, its_case: Case) -> Place | None:
            wanted = replace(key, case_id=its_case.id, case_hash=self._fingerprint(its_case))
            wanted = replace(wanted, variant=other.cell.variant, run=other.cell.run)
            same = other.marks.app == item.marks.app
            stored = self._stored.of_any_scope(wanted, folder_of(item)) if same else []
            return Place((0, *self._use(other, its_case)), stored[0]) if len(stored) == 1 else None

        engine = self._engine or self._start()
        return self._late.complete(engine, item, case, found[0], (0, *self._use(item, case)), (), place)

    def done(self, nodeid: str) -> None:
        """The item has ended: look further ahead, and drop what nobody needs any more."""
        position = self._order.get(nodeid)
        if position is None or self._engine is None:
            return
        self._engine.advance(position)
        for key in self._uses.expired(position):
            self._engine.forget(key)
            self._scorers.forget(key)

    def halt(self, reason: str) -> None:
        """Start nothing more; callable from any thread."""
        if self._engine is not None:
            self._engine.halt(reason)

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

    def is_reused(self, key: SampleKey) -> bool:
        """Whether a sample was taken from an earlier session."""
        return key in self._reused

    @property
    def progress(self) -> Progress:
        """How far the samples of this process are."""
        counts = self._engine.counts if self._engine else Counts(done=0, in_flight=0, retries=0)
        return Progress(
            done=counts.done + len(self._reused),
            total=max(len(self._uses) - self._elsewhere - self._later, counts.done + len(self._reused)),
            in_flight=counts.in_flight,
            errored=self._ledger.errored,
            missing=self._ledger.lost,
            retries=counts.retries,
            cost_usd=self._ledger.cost_usd,
            reused=len(self._reused),
            seconds=time.perf_counter() - self._started if self._engine else 0.0,
        )

    @property
    def stalled_s(self) -> float | None:
        """For how long an app kept all others waiting, ``None`` if none did."""
        return self._engine.stalled_s if self._engine else None

    # --- how it is done -------------------------------------------------------------------------------

    def _start(self) -> Engine:
        self._engine = Engine(concurrency=self._concurrency, window=self._window, rate=self._rate)
        if self._budget is not None:
            self._allow(self._budget.affordable)
        self._started = time.perf_counter()
        if "langchain_core.callbacks" in sys.modules:
            load_prices()  # holds the interpreter for a while: now, when no sample is timed
        return self._engine

    def _built(self, engine: Engine, item: PlannedItem, value: object) -> BuiltApp:
        built = self._apps.get(id(value))
        if built is None:
            built = BuiltApp(item.marks.app, value, engine.run)
            for name in dict.fromkeys(i.cell.variant for i in self._items if i.marks.app == item.marks.app):
                built.under(self._variants[name])
            self._apps[id(value)] = built
        return built

    def _look_ahead(
        self, engine: Engine, built: BuiltApp, item: PlannedItem, reach: Reach, *, first: bool
    ) -> None:
        """Queue what is known to be needed: all of an app's samples the first time, then what was lazy."""
        known = self._app_of.get(reach.group)
        if known is not built:
            self._app_of[reach.group] = built
            if known is not None and known not in self._app_of.values():
                for key in self._uses.of_app(id(known.value)):  # an app of a module that is over
                    engine.forget(key)
        place = (id(built.value), reach.group, reach.module)
        is_new = place not in self._looked
        self._looked.add(place)
        if not is_new and not (first and item.lazy):
            return
        self._tell_models(built, reach)
        jobs = []
        for other, case in self._following(item):
            like_this = (other.module, other.test) == (item.module, item.test)
            if not reach.covers(other) or ((other.lazy or not is_new) and not like_this):
                continue
            if not self._stored or self._stored.get(reach.key(other, case, self._fingerprint(case))) is None:
                jobs.append(self._job(built, other, case, reach, asking=item))
        engine.submit(jobs)

    def _tell_models(self, built: BuiltApp, reach: Reach) -> None:
        home = f"{reach.scope}::" if reach.scope else ""
        self._met({f"{home}{app}": models for app, models in built.models.items()})

    def _kept(self, found: LoggedSample) -> Sequence[Scoring]:
        """Resuming takes stored scores, not stored failures; replaying asks today's scorers."""
        return [s for s in found.record.scorings if s.error is None and not self._stored.replays]

    def _taken(self, key: SampleKey) -> LoggedSample | None:
        found = self._stored.get(key)
        if found is not None:
            self._reused.add(found.key)
        return found

    def _following(self, item: PlannedItem) -> Iterator[tuple[PlannedItem, Case]]:
        """The item and those after it whose case is known, and whose samples belong to this process."""
        for other in self._items[self._order.get(item.nodeid, 0) : self._open]:
            if other.case is None or other.marks.app in self._moving:
                continue
            if self._ahead is None or other.nodeid in self._ahead:
                yield other, other.case

    def _job(
        self, built: BuiltApp, item: PlannedItem, case: Case, reach: Reach, *, asking: PlannedItem
    ) -> Job:
        use = self._use(item, case)
        key = (id(built.value), *use)
        self._uses.note(key, use)
        variant = self._variants[item.cell.variant]
        app = built.under(variant)
        sample = reach.key(item, case, self._fingerprint(case))
        execution = Execution(app, case, variant, sample, self._prices)
        scorers = self._scorers.along(key, use, asking, item, reach.covers)
        return Job(
            key=key,
            order=self._order.get(item.nodeid, 0),
            call=execution.call,
            is_async=app.is_async,
            timeout=item.marks.timeout,
            retries=retries_of(item.marks),
            conclude=lambda outcome: self._concluded(execution, outcome, item, case, scorers),
        )

    def _concluded(
        self,
        execution: Execution,
        outcome: Outcome,
        item: PlannedItem,
        case: Case,
        scorers: Sequence[Scorer],
    ) -> LoggedSample | Awaitable[LoggedSample]:
        """In the engine's thread: count it, have it scored, and hand it on."""
        logged = execution.logged(outcome)
        is_judged = bool(scorers) and logged.record.error is None
        self._ledger.sampled(logged.record, awaits_scores=is_judged)
        if is_judged:
            self._ledger.charge(execution.spent)
            return self._scored(logged, item, case, scorers)
        self._finished(logged)
        self._ledger.charge(execution.spent)
        return logged

    async def _scored(
        self, logged: LoggedSample, item: PlannedItem, case: Case, scorers: Sequence[Scorer]
    ) -> LoggedSample:
        engine, record = self._engine, logged.record
        try:
            if engine is not None:
                scorings = await self._scorers.judge(engine, scorers, case, logged, item.marks)
                logged = replace(logged, record=replace(record, scorings=scorings), finished=time.time())
        finally:  # the session may end meanwhile: what the app gave is paid for
            self._finished(logged)
        return logged

    def _expect(self, key: Hashable, item: PlannedItem, case: Case) -> int:
        self._uses.note(key, self._use(item, case))
        return self._order.get(item.nodeid, 0)

    def _allow(self, samples: int | None) -> None:
        if self._engine is not None:
            self._engine.allow(samples)

    def _fingerprint(self, case: Case) -> str:
        known = self._fingerprints.get(id(case))
        if known is None:
            known = self._fingerprints[id(case)] = (case, case.fingerprint)
        return known[1]

    def _use(self, item: PlannedItem, case: Case) -> tuple[str, str, str, str, int]:
        """What the items that share a sample have in common, whatever app they turn out to have."""
        return item.marks.app, case.id, self._fingerprint(case), item.cell.variant, item.cell.run


def _known_uses(items: Iterable[PlannedItem], use: Callable[[PlannedItem, Case], Hashable]) -> set[Hashable]:
    """The samples that items need, as far as their cases are known."""
    return {use(item, item.case) for item in items if item.case}
