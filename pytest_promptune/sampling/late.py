"""Scorers that didn't run along with a sample: its output was stored, or they were out of reach then."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from pytest_promptune.core.jobs import Job, Outcome
from pytest_promptune.core.model import Case, Scoring
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.scorers import Scorer
from pytest_promptune.core.values import dataclass
from pytest_promptune.engine import Engine
from pytest_promptune.sampling.scorers import Scorers, own
from pytest_promptune.store.log import LoggedSample

_Following = Callable[[PlannedItem], Iterable[tuple[PlannedItem, Case]]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sample is: with the engine, or stored."""

    key: tuple[Hashable, ...]
    stored: LoggedSample | None = None


_PlaceOf = Callable[[PlannedItem, Case], Place | None]


class LateScorers:
    """Gives each item what its scorers make of its sample, asking those that weren't asked yet."""

    def __init__(
        self,
        scorers: Scorers,
        *,
        following: _Following,
        kept: Callable[[LoggedSample], Sequence[Scoring]],
        expect: Callable[[Hashable, PlannedItem, Case], int],
        while_waiting: Callable[[], None],
    ) -> None:
        """Nothing is asked yet.

        Args:
            scorers: at work.
            following: an item and those after it, with their cases, as far as they are known.
            kept: which of a stored sample's scorings count.
            expect: told the key of each job and who needs it; gives the position of that item.
            while_waiting: called several times a second while an item waits.
        """
        self._scorers = scorers
        self._following = following
        self._kept = kept
        self._expect = expect
        self._while_waiting = while_waiting
        self._looked: set[Hashable] = set()

    def look_again(self) -> None:
        """More items may have samples by now: look at those that follow once more."""
        self._looked.clear()

    def complete(
        self,
        engine: Engine,
        item: PlannedItem,
        case: Case,
        found: LoggedSample,
        key: tuple[Hashable, ...],
        scorings: Sequence[Scoring],
        place_of: _PlaceOf,
    ) -> LoggedSample:
        """The sample as the item gets it; waits for the scorers.

        Args:
            engine: runs them.
            item: that asks.
            case: of the item.
            found: its sample.
            key: of the sample.
            scorings: what is known already.
            place_of: where the sample of another item is that these scorers can judge as well, if anywhere.
        """
        wanted = own(item)
        if not wanted or found.record.error is not None:
            return self._scorers.for_item(key, found, ())
        known = {scoring.identity: scoring for scoring in scorings}
        late = [scorer for scorer in wanted if scorer.identity not in known]
        for scorer in late:
            engine.submit([self._job(engine, scorer, item, case, Place(key, found))])
            engine.submit(self._ahead(engine, scorer, item, key, place_of))
        for scorer in late:
            scoring: Scoring | None = engine.result(
                (*key, scorer.identity), while_waiting=self._while_waiting
            )
            if scoring is not None:
                known[scorer.identity] = scoring
        mine = [known[scorer.identity] for scorer in wanted if scorer.identity in known]
        return self._scorers.for_item(key, found, mine)

    def _ahead(
        self,
        engine: Engine,
        scorer: Scorer,
        item: PlannedItem,
        key: tuple[Hashable, ...],
        place_of: _PlaceOf,
    ) -> Iterator[Job]:
        """The first time in a module: the samples of the items that follow."""
        mark = (key[0], item.module, scorer.identity)
        if mark in self._looked:
            return
        self._looked.add(mark)
        for other, case in self._following(item):
            if other.module != item.module or scorer.name not in other.marks.scorers:
                continue
            place = place_of(other, case)
            if place is not None and not self._has(place, scorer):
                yield self._job(engine, scorer, other, case, place)

    def _has(self, place: Place, scorer: Scorer) -> bool:
        if place.stored is None:
            return self._scorers.has(place.key, scorer)
        return any(scoring.identity == scorer.identity for scoring in self._kept(place.stored))

    def _job(self, engine: Engine, scorer: Scorer, item: PlannedItem, case: Case, place: Place) -> Job:
        """It gives a `Scoring`, or ``None`` where there is no output."""
        key = (*place.key, scorer.identity)
        order = self._expect(key, item, case)

        async def sample() -> LoggedSample:
            found: LoggedSample = place.stored or await engine.ended(place.key)
            return found

        async def conclude(outcome: Outcome) -> Scoring | None:
            if outcome.error is not None or outcome.value.record.error is not None:
                return None
            (scoring,) = await self._scorers.judge(engine, [scorer], case, outcome.value, item.marks)
            return scoring

        return Job(key=key, order=order, call=sample, is_async=True, conclude=conclude, is_extra=True)
