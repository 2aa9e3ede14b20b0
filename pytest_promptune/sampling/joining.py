"""Whether the samples of a resumed session are of the models that the stored ones are of.

What models an app holds is compared when it is made. One that a node makes while it runs shows in the
first samples only: they are held back until they show one that is known. Where stored samples show that an
app chooses its model by the case, only samples of cases tell that have stored ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pytest_promptune.core.display import clean, some
from pytest_promptune.store.log import LoggedSample

#: So many samples of one app and variant, each with a node whose models are all unknown, are no accident:
#: a router's would be mixed, and so would those of a model with fallbacks.
_ENOUGH = 3

#: App, its scope and variant.
_Place = tuple[str, str, str]


class FirstSamples:
    """Takes what was finished, in the engine's thread, and hands it on."""

    def __init__(
        self,
        stored: Iterable[LoggedSample],
        *,
        finished: Callable[[LoggedSample], None],
        stop: Callable[[str], None] | None,
        clean: Callable[[str], str] = clean,
    ) -> None:
        """Nothing was finished yet.

        Args:
            stored: samples of the experiment that goes on.
            finished: told of each sample as soon as it may join them.
            stop: called with the reason when they may not; told of none of them then. ``None`` in the
                controller of workers, each of which looks by itself.
            clean: makes names of models what they are in the store, where secrets are taken out of them.
        """
        self._clean = clean
        self._finished = finished
        self._stop = stop
        #: What else the models are, in words, once that is certain.
        self.changes = ""
        #: Models of the stored samples by node, until new ones of the place have some of them.
        self._unseen: dict[_Place, dict[str, set[str]]] = {}
        self._held: dict[_Place, list[LoggedSample]] = {}
        #: Nodes that have no model in common to all cases, each with the cases that it was seen in.
        self._routing: dict[tuple[_Place, str], set[str]] = {}
        self._learn(stored)

    def _learn(self, stored: Iterable[LoggedSample]) -> None:
        by_case: dict[tuple[_Place, str], dict[str, set[str]]] = {}
        for sample in stored:
            for node, models in self._models(sample).items():
                cases = by_case.setdefault((_place(sample), node), {})
                cases.setdefault(sample.key.case_hash, set()).update(models)
        for (place, node), cases in by_case.items():
            self._unseen.setdefault(place, {})[node] = set().union(*cases.values())
            if not set.intersection(*cases.values()):
                self._routing[place, node] = set(cases)

    def take(self, sample: LoggedSample) -> None:
        """Hand a sample on, or hold it back; nothing is handed on once it is certain that they are others."""
        if self.changes:
            return
        place = _place(sample)
        known = self._unseen.get(place, {})
        mine = {
            node: models
            for node, models in self._models(sample).items()
            if node in known
            and sample.key.case_hash in self._routing.get((place, node), (sample.key.case_hash,))
        }
        if not mine:
            self._finished(sample)
            return
        others = [node for node, models in mine.items() if models.isdisjoint(known[node])]
        if others:
            held = self._held.setdefault(place, [])
            held.append(sample)
            if self._stop is not None and len(held) >= _ENOUGH:
                node = others[0]
                self.changes = (
                    f"models of {clean(place[0])} under {clean(place[2])} in {clean(node)}: "
                    f"{_listed(mine[node])}; before: {_listed(known[node])}"
                )
                self._stop(f"other models: {self.changes}")
            return
        del self._unseen[place]
        for each in (*self._held.pop(place, ()), sample):
            self._finished(each)

    def close(self, *, is_whole: bool) -> None:
        """Nothing more will come.

        Args:
            is_whole: everything was measured: too few samples to be certain are handed on then, and told of
                in the end. Of a session that was stopped they are dropped, to be measured again.
        """
        held, self._held = self._held, {}
        for sample in (each for of_place in held.values() for each in of_place):
            if is_whole and not self.changes:
                self._finished(sample)

    def _models(self, sample: LoggedSample) -> dict[str, set[str]]:
        return {node.node: set(map(self._clean, node.models)) for node in sample.record.nodes if node.models}


def _place(sample: LoggedSample) -> _Place:
    return sample.key.app, sample.key.scope, sample.key.variant


def _listed(models: set[str]) -> str:
    return some([clean(model) for model in sorted(models)])
