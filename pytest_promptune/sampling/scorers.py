"""Scorers at work: right after a sample in its slot, or later where they weren't known or in reach then."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.errors import ScoreError
from pytest_promptune.core.jobs import Job, Outcome
from pytest_promptune.core.model import Case, SampleError, ScorerScore, Scoring, Usage
from pytest_promptune.core.plan import Marks, PlannedItem
from pytest_promptune.core.scorers import Scorer, read_scores
from pytest_promptune.engine import Engine
from pytest_promptune.langgraph.prices import PriceList
from pytest_promptune.sampling.attempts import Attempts, described, rest
from pytest_promptune.sampling.execution import in_sample
from pytest_promptune.store.log import LoggedSample

if TYPE_CHECKING:
    from pytest_promptune.langgraph.tracing import Trace

#: How often a call lost to the infrastructure is made again where the marker doesn't say.
DEFAULT_RETRIES = 2

_Identity = tuple[str, str]


def retries_of(marks: Marks) -> int:
    """How often a call that was lost to the infrastructure is made again."""
    return DEFAULT_RETRIES if marks.retries is None else marks.retries


class Scorers:
    """Which scorers which sample has, and what came of them."""

    def __init__(self, prices: PriceList, spend: Callable[[Iterable[Usage]], None]) -> None:
        """Nothing is known yet.

        Args:
            prices: of the models that scorers call.
            spend: told in the engine's thread what each call used, and whether its cost is known.
        """
        self._prices = prices
        self._spend = spend
        self._sharing: dict[Hashable, list[PlannedItem]] = {}
        #: Which scorers a sample was submitted with.
        self._along: dict[Hashable, frozenset[_Identity]] = {}
        #: Scorings whose cost an item was told.
        self._told: set[tuple[Hashable, _Identity]] = set()

    def expect(self, item: PlannedItem, use: Hashable) -> None:
        """A selected item needs the sample `use`."""
        if item.marks.scorers:
            self._sharing.setdefault(use, []).append(item)

    def along(
        self,
        key: Hashable,
        use: Hashable,
        asking: PlannedItem,
        item: PlannedItem,
        covers: Callable[[PlannedItem], bool],
    ) -> Sequence[Scorer]:
        """The scorers that run right after a sample: those that any of its items names, as far as in reach.

        Args:
            key: of the sample's job.
            use: what the items have in common that share it.
            asking: the item whose fixtures are there.
            item: one that needs the sample.
            covers: whether another item has the same app.
        """
        if not asking.scorers:
            return ()
        sharing = [item, *(other for other in self._sharing.get(use, ()) if covers(other))]
        near = {name for other in sharing if other.module == asking.module for name in other.marks.scorers}
        far = {name for other in sharing for name in other.marks.scorers}
        # one that lives as long as its module serves only samples that an item of this module waits for
        found = [s for s in asking.scorers if s.name in (far if s.everywhere else near)]
        self._along.setdefault(key, frozenset(scorer.identity for scorer in found))
        return found

    def has(self, key: Hashable, scorer: Scorer) -> bool:
        """Whether a sample was submitted together with this scorer."""
        return scorer.identity in self._along.get(key, ())

    def forget(self, key: Hashable) -> None:
        """Nobody needs this sample any more."""
        self._along.pop(key, None)

    async def judge(
        self, engine: Engine, scorers: Sequence[Scorer], case: Case, sample: LoggedSample, marks: Marks
    ) -> tuple[Scoring, ...]:
        """What the scorers make of a sample, asked beside each other; awaited in the engine's loop."""
        judgements = [_Judgement(scorer, case, sample, self._prices) for scorer in scorers]
        outcomes = await engine.together([judgement.job(marks) for judgement in judgements])
        for judgement in judgements:
            self._spend(judgement.attempts.spent)
        return tuple(j.scoring(outcome) for j, outcome in zip(judgements, outcomes, strict=True))

    def for_item(self, key: Hashable, found: LoggedSample, scorings: Iterable[Scoring]) -> LoggedSample:
        """The sample as an item gets it: with its own scorers alone, each paid for by the first that asks."""
        mine = []
        for scoring in scorings:
            mark = (key, scoring.identity)
            mine.append(replace(scoring, usage=Usage(), unpriced=()) if mark in self._told else scoring)
            self._told.add(mark)
        if not mine and not found.record.scorings:
            return found
        return replace(found, record=replace(found.record, scorings=tuple(mine)))


def own(item: PlannedItem) -> list[Scorer]:
    """The scorers that an item names itself."""
    return [scorer for scorer in item.scorers if scorer.name in item.marks.scorers]


class _Judgement:
    """One scorer with one sample: its attempts, and what came of them."""

    __slots__ = ("_case", "_sample", "_scorer", "attempts")

    def __init__(self, scorer: Scorer, case: Case, sample: LoggedSample, prices: PriceList) -> None:
        self._scorer = scorer
        self._case = case
        self._sample = sample
        self.attempts = Attempts(prices)

    def job(self, marks: Marks) -> Job:
        """The call as the engine makes it."""
        is_async = self._scorer.is_async
        return Job(
            key=None,
            order=0,
            call=self._call_async if is_async else self._call,
            is_async=is_async,
            timeout=marks.timeout,
            retries=retries_of(marks),
        )

    def scoring(self, outcome: Outcome) -> Scoring:
        """What came of it."""
        error: SampleError | None = None
        scores: tuple[ScorerScore, ...] = ()
        if outcome.error is not None:
            error = described(outcome.error)
        else:
            try:
                scores = read_scores(outcome.value, scorer=self._scorer.name)
            except ScoreError as refused:
                error = SampleError(type="ScoreError", message=str(refused))
        traces = self.attempts.traces
        return Scoring(
            scorer=self._scorer.name,
            home=self._scorer.home,
            scores=scores,
            error=error,
            usage=sum((trace.usage for trace in traces), Usage()),
            unpriced=tuple(dict.fromkeys(model for trace in traces for model in trace.unpriced)),
        )

    async def _call_async(self) -> Any:
        in_sample.set(self._sample.key)
        with self.attempts.begin():
            return await self._scorer.call(**self._arguments())

    def _call(self) -> Any:
        in_sample.set(self._sample.key)
        with self.attempts.begin() as trace:
            value = self._scorer.call(**self._arguments())
        return self._rest(value, trace) if inspect.isawaitable(value) else value

    async def _rest(self, value: Awaitable[Any], trace: Trace | None) -> Any:
        in_sample.set(self._sample.key)  # a function was called in a thread, with a context of its own
        return await rest(value, trace)

    def _arguments(self) -> dict[str, Any]:
        """Copies: an evaluator may change what it gets, as openevals does with messages."""
        given = {
            "inputs": self._case.input,
            "outputs": self._sample.record.output,
            "reference_outputs": self._case.expected,
        }
        return {name: _copied(given[name]) for name in self._scorer.takes}


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # what can't be copied is shared
        return value
