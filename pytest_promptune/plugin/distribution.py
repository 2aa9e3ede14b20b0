"""Several processes, by xdist: who runs what, told by the workers, followed by `controller`.

The workers collect, so they know which items share a sample; each computes the same slots, keeps its
own to generate ahead, and sends them with a report that xdist passes on before the collection itself.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_promptune.core.progress import Progress
from pytest_promptune.core.sharing import Share, Standing, slots
from pytest_promptune.plugin.items import ItemState
from pytest_promptune.plugin.state import item_key

if TYPE_CHECKING:
    from pytest_promptune.session import Session

_CARRIER = "promptune: which worker runs what"
#: Seconds that finished samples wait at most for the report of an item.
TELL_AFTER_S = 1.0
#: Seconds between two words on the progress, and after which a worker that waits says again what is known:
#: the time left passes, and a log wants its lines.
NEWS_AFTER_S = 0.3
REPEAT_AFTER_S = 5.0
#: Seconds for which a worker remembers what it sent: a controller that is interrupted may lose a message.
REMEMBERED_S = 5.0


def tell_share(config: pytest.Config, items: Sequence[pytest.Item], *, looks: bool = False) -> Share:
    """In a worker: tell the controller who runs what, and give this worker's own part.

    To be called before xdist reports the collection.

    Args:
        config: of the worker.
        items: that will run.
        looks: some of them only if a look says that they are needed.
    """
    given: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]  # a worker's
    told = given["promptune"]
    workers = int(given["workercount"])
    found = slots([_bonds(item, told["dist"]) for item in items], workers)
    carrier = pytest.CollectReport(nodeid="", outcome="skipped", longrepr=_CARRIER, result=[])
    carrier.promptune_slots = found  # type: ignore[attr-defined]  # reports take extra attributes
    if looks:
        numbers = [item.stash[item_key].planned.look if item_key in item.stash else 0 for item in items]
        carrier.promptune_looks = numbers  # type: ignore[attr-defined]  # likewise
    config.hook.pytest_collectreport(report=carrier)
    mine = frozenset(
        item.stash[item_key].planned.nodeid
        for index, (item, slot) in enumerate(zip(items, found, strict=True))
        if slot == told["slot"] and index >= told["begin"] and item_key in item.stash
    )
    return Share(
        slot=told["slot"],
        workers=workers,
        mine=mine,
        ahead=mine if told["ahead"] else frozenset(),
        continues=told["continues"],
        began=told["began"],
        standing=Standing(**told["standing"]),
    )


class Messenger:
    """In a worker: lets its reports carry what the controller has to know beside the items' contributions."""

    def __init__(
        self, session: Callable[[], Session], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is told yet.

        Args:
            session: of this worker, asked when there is something to tell.
            clock: seconds since whenever.
        """
        self._session = session
        self._clock = clock
        self._told_at = clock()
        self._has_told = False
        self._stalled_s: float | None = None
        self._progress = Progress(done=0, total=0, in_flight=0)
        self._progress_at = float("-inf")
        self._knew_at = float("-inf")
        #: Packed samples that were sent just now, and when.
        self._recent: deque[tuple[float, str]] = deque()

    def tell(self, report: pytest.TestReport) -> None:
        """Send everything that is new along with an item's report."""
        self._hang(report, self._session().samples.packed(), self._news(waits=False))

    def meanwhile(self, item: pytest.Item) -> None:
        """An item waits, for a slow sample perhaps: send what is new by a report of its own.

        It reads as one more setup that passed, of which nothing is shown or counted. A collection report
        won't do: xdist passes on each text of those once, and a terminal would say that it collects.
        """
        progress = self._news(waits=True)
        if progress is None and self._clock() - self._told_at < TELL_AFTER_S:
            return
        self._told_at = self._clock()
        packed = self._session().samples.packed()
        if packed is not None or progress is not None:
            carrier = pytest.TestReport(
                nodeid=item.nodeid,
                location=item.location,
                keywords={},
                outcome="passed",
                longrepr=None,
                when="setup",
            )
            self._hang(carrier, packed, progress)
            item.ihook.pytest_runtest_logreport(report=carrier)

    def last_word(self, *, is_stopped: bool = False) -> dict[str, Any]:
        """What is left to send when the worker's session ends, for `take_in`.

        Where the session is stopped, what was sent just now is sent again: the signal may have come while
        the controller took it in. Samples that it knows it leaves alone.
        """
        packed = self._session().samples.packed()
        texts = [packed] if packed is not None else []
        if is_stopped:
            since = self._clock() - REMEMBERED_S
            texts = [*(text for at, text in self._recent if at >= since), *texts]
            self._has_told = self._has_told and self._knew_at < since
        progress = self._session().samples.progress
        is_known = not progress.total or self._is_known(progress)
        if not texts and is_known:
            return {}
        carrier = SimpleNamespace()
        joined = ", ".join(text.removeprefix("[").removesuffix("]") for text in texts)
        self._hang(carrier, f"[{joined}]" if texts else None, None if is_known else progress)
        return vars(carrier)

    def _is_known(self, progress: Progress) -> bool:
        """Whether this was told before; the time passes anyway."""
        return replace(progress, seconds=self._progress.seconds) == self._progress

    def _news(self, *, waits: bool) -> Progress | None:
        """How far the samples are, unless that is known or was told just now."""
        since = self._clock() - self._progress_at
        progress = self._session().samples.progress
        if not progress.total or (self._is_known(progress) and not (waits and since >= REPEAT_AFTER_S)):
            return None
        is_over = progress.done >= progress.total  # and no item may wait any more
        return progress if since >= NEWS_AFTER_S or is_over else None

    def _hang(self, report: Any, packed: str | None, progress: Progress | None) -> None:
        self._told_at = self._clock()
        report.promptune_sample = packed
        if packed is not None:
            self._recent.append((self._told_at, packed))
        while self._recent and self._recent[0][0] < self._told_at - REMEMBERED_S:
            self._recent.popleft()
        if progress is not None:
            self._progress, self._progress_at = progress, self._told_at
            report.promptune_progress = [self._session().samples.slot, *progress.to_json()]
        stalled_s = self._session().samples.stalled_s
        if stalled_s != self._stalled_s:
            report.promptune_stalled_s = self._stalled_s = stalled_s
        models = self._session().samples.new_models()
        if models:
            report.promptune_models = json.dumps(models)
        if not self._has_told:
            self._has_told, self._knew_at = True, self._told_at
            # As text, like samples: execnet takes exact types and some numbers only.
            report.promptune_knowledge = json.dumps(self._session().knowledge(), allow_nan=False)


def take_in(report: Any, session: Session) -> None:
    """In the controller: what a `Messenger` sent with a report, taken off it: pytest keeps all reports."""
    knowledge = report.__dict__.pop("promptune_knowledge", None)
    if knowledge is not None:
        session.know(json.loads(knowledge))
    models = report.__dict__.pop("promptune_models", None)
    if models is not None:
        session.samples.know_models(json.loads(models))
    stalled_s = report.__dict__.pop("promptune_stalled_s", None)
    if stalled_s is not None:
        session.samples.know_stalled(stalled_s)
    progress = report.__dict__.pop("promptune_progress", None)
    if progress is not None:
        slot, *told = progress
        session.samples.know_progress(report.node.gateway.id, slot, Progress.from_json(told))
    packed = report.__dict__.pop("promptune_sample", None)
    if packed is not None:
        session.samples.unpack(packed)


def _bonds(item: pytest.Item, dist: str) -> list[Hashable]:
    """What an item has in common with those that must run on the same worker."""
    found: list[Hashable] = []
    state: ItemState | None = item.stash.get(item_key, None)
    if state is not None:
        planned = state.planned
        case = planned.case.id if planned.case else None  # unknown ones may be one and the same
        found.append(("sample", planned.marks.app, case, planned.cell))
    scope = _scope(item, dist)
    if scope is not None:
        found.append(("scope", scope))
    return found


def _scope(item: pytest.Item, dist: str) -> str | None:
    """What ``--dist`` keeps together; as xdist's own schedulers and its marker tell it."""
    if dist == "loadscope":
        return item.nodeid.rsplit("::", 1)[0]
    if dist == "loadfile":
        return item.nodeid.split("::", 1)[0]
    if dist == "loadgroup":
        names = {_group(mark) for mark in item.iter_markers("xdist_group")}
        return "_".join(sorted(names)) or None
    return None


def _group(mark: pytest.Mark) -> str:
    return str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))
