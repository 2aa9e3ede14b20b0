"""The session's samples: generated here or by its other processes, or stored by earlier sessions."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from pytest_promptune.core.model import Case, Variant
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.progress import JointProgress, Progress
from pytest_promptune.core.sharing import Share
from pytest_promptune.outbox import Outbox, unpacked
from pytest_promptune.recording import Recording
from pytest_promptune.resuming import other_conditions
from pytest_promptune.sampling import Budget, FirstSamples, Sampler
from pytest_promptune.settings import Settings
from pytest_promptune.store.log import LoggedSample, SampleKey

#: Samples whose prompts and answers are kept until the end, to draw findings from.
_MOST_LOOKED_AT = 200
#: Seconds that the modules for the end wait for those of the log.
_PATIENCE_S = 5.0


class Samples:
    """Gives the items their samples; use `plan` first where they are generated."""

    def __init__(
        self,
        settings: Settings,
        recording: Recording,
        *,
        first: str,
        careful: bool,
        while_waiting: Callable[[], None],
    ) -> None:
        """Nothing runs yet.

        Args:
            settings: what the user asked for.
            recording: has stored samples, and stores new ones.
            first: the variant in place of `current`, whose samples say what to work on.
            careful: the session stops at the first failures.
            while_waiting: called several times a second while an item waits for its sample.
        """
        self._settings = settings
        self._recording = recording
        self._careful = careful
        self._while_waiting = while_waiting
        self._sampler: Sampler | None = None
        #: In a session that goes on with stored samples.
        self._joining: FirstSamples | None = None
        #: Some of the first variant, with prompts and answers, in sessions that say what to work on.
        self.looked_at: list[LoggedSample] = []
        self._first = first
        #: In an xdist worker, whose controller stores what it generates.
        self._outbox: Outbox | None = None
        self._has_opened = False
        #: Imports what the end needs.
        self._loading: threading.Thread | None = None
        self._is_closed = False
        #: Which part of the session it measures, where several processes share it out.
        self.slot = 0
        #: In an xdist controller, whose workers tell it.
        self._elsewhere: JointProgress | None = None
        #: As other processes of this session told it.
        self._stalled_elsewhere: float | None = None

    def plan(
        self,
        items: Sequence[PlannedItem],
        variants: Sequence[Variant],
        share: Share | None = None,
        *,
        look: int | None = None,
    ) -> None:
        """Take in what will be asked for.

        Args:
            items: that will run, in their order.
            variants: that are measured.
            share: this process's part, where several share out the items.
            look: see `open_up`.
        """
        if share is not None:
            self._outbox = Outbox()
            self.slot = share.slot
        self._sampler = self._make_sampler(variants, share, self._budget(items, share))
        self._sampler.plan(items)
        self._sampler.open_up(look)

    def open_up(self, look: int | None) -> None:
        """Items up to this look (``None``: all) may have their samples generated ahead from now on."""
        if self._sampler is not None:
            self._sampler.open_up(look)

    def _budget(self, items: Sequence[PlannedItem], share: Share | None) -> Budget | None:
        limit = self._settings.max_cost
        if limit is None:
            return None
        wanted = Counter((item.marks.app, item.cell.variant) for item in items)
        return Budget(limit / (share.workers if share else 1), expected_usd=self._recording.mean_cost(wanted))

    def _make_sampler(
        self, variants: Sequence[Variant], share: Share | None, budget: Budget | None
    ) -> Sampler:
        settings = self._settings
        workers = share.workers if share else 1
        finished = self._outbox.put if self._outbox else self._take_in
        stored = self._recording.stored
        if stored and not stored.replays:
            self._joining = FirstSamples(
                stored,
                finished=finished,
                stop=lambda why: self._planned.halt(why),
                clean=self._recording.redactor.text,
            )
        return Sampler(
            variants={variant.name: variant for variant in variants},
            concurrency=share.of(settings.concurrency) if share else settings.concurrency,
            careful=self._careful,
            rate=settings.rate and settings.rate / workers,
            budget=budget,
            prices=settings.prices,
            mine=share.mine if share else None,
            ahead=share.ahead if share else None,
            stored=self._recording.stored,
            finished=self._joining.take if self._joining else finished,
            met=self._recording.met,
            while_waiting=self._while_waiting,
        )

    @property
    def _planned(self) -> Sampler:
        if self._sampler is None:
            raise RuntimeError("begin() comes first")
        return self._sampler

    # --- asked by items ---------------------------------------------------------------------------

    @property
    def are_replayed(self) -> bool:
        """Stored outputs are scored again: the app is never called, nor made."""
        return self._recording.stored.replays

    def of(
        self,
        item: PlannedItem,
        case: Case,
        app: object,
        *,
        everywhere: bool = False,
        depends: Container[str] | None = None,
    ) -> LoggedSample:
        """The sample of an item, as it is stored; see `Sampler.sample`.

        Raises:
            StoreError: when a session that goes on with stored samples meets other models.
        """
        sampler = self._planned
        if self._recording.continues and not self._has_opened:  # refused before it is written to
            sampler.meet(item, app, everywhere=everywhere, depends=depends)
        self.open()
        try:
            found = sampler.sample(item, case, app, everywhere=everywhere, depends=depends)
        finally:
            self._refuse_other_models()
        self._recording.wait_for(found.key, while_waiting=self._while_waiting)
        return found

    def _refuse_other_models(self) -> None:
        if self._joining is not None and self._joining.changes:
            raise other_conditions(self._recording.id, self._joining.changes)

    def key(
        self, item: PlannedItem, case: Case, *, everywhere: bool, depends: Container[str] | None
    ) -> SampleKey:
        """What the sample of an item is called, also where it isn't generated."""
        return self._planned.key(item, case, everywhere=everywhere, depends=depends)

    def replayed(self, item: PlannedItem, case: Case) -> LoggedSample:
        """The stored sample of an item; see `Sampler.replayed`."""
        sampler = self._planned
        self.open()
        return sampler.replayed(item, case)

    def is_reused(self, key: SampleKey) -> bool:
        """Whether a sample was taken from an earlier session."""
        is_taken = self._sampler is not None and self._sampler.is_reused(key)
        return is_taken and key not in self._recording.of_this_session

    def item_ended(self, nodeid: str) -> None:
        """The item's tests are over, whatever came of them."""
        if self._sampler is not None:
            self._sampler.done(nodeid)

    # --- recorded ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin the experiment with the first sample that is asked for: looking at tests leaves none."""
        if self._outbox is not None or self._has_opened:
            return
        self._recording.open()
        self._has_opened = True  # not before: a signal may come in between
        # numpy and jinja2 load while the first samples wait for their model.
        self._loading = threading.Thread(
            target=self._load_what_the_end_needs, name="promptune-imports", daemon=True
        )
        self._loading.start()

    def _load_what_the_end_needs(self) -> None:
        """After the log, where that loads in this process: items wait for it, and both take twice as long."""
        self._recording.wait_until_ready(_PATIENCE_S)
        with suppress(Exception):  # what can't be loaded is told where it is needed, not to some test
            for load in self._loads():
                if self._is_closed:
                    return
                load()

    def _loads(self) -> Iterator[Callable[[], object]]:
        yield lambda: import_module("pytest_promptune.conclusion")
        yield lambda: import_module("pytest_promptune.report.markdown")
        if self._settings.report and self._settings.templates is None:
            yield lambda: import_module("pytest_promptune.report.templating").compile_ahead()
        if self._settings.report and self._settings.compare:
            yield lambda: import_module("pytest_promptune.report.plots").load_ahead()

    def _take_in(self, sample: LoggedSample) -> None:
        """A finished sample; callable from any thread."""
        if (
            self._settings.mode != "check"
            and len(self.looked_at) < _MOST_LOOKED_AT
            and sample.key.variant == self._first
            and sample.record.nodes
        ):
            self.looked_at.append(sample)
        self._recording.sample(sample)

    # --- told between the processes of a session --------------------------------------------------

    def packed(self) -> str | None:
        """In an xdist worker: the finished samples that the controller hasn't got yet, as text."""
        return self._outbox.take() if self._outbox else None

    def unpack(self, text: str) -> None:
        """Take in `packed` samples."""
        self.open()
        take = self._take_in if self._joining is None else self._joining.take
        for sample in unpacked(text):
            take(sample)

    def know_resumed(self) -> None:
        """In an xdist controller: workers go on with an experiment, and may hold back what they then send."""
        if self._recording.continues and self._recording.replay_of is None and self._joining is None:
            self._joining = FirstSamples(
                self._recording.stored_before(),
                finished=self._take_in,
                stop=None,
                clean=self._recording.redactor.text,
            )

    def new_models(self) -> Mapping[str, Sequence[str]]:
        """In an xdist worker: which chat models apps hold, as far as the controller hasn't been told."""
        return self._recording.take_new_models() if self._outbox else {}

    def know_models(self, found: Mapping[str, Sequence[str]]) -> None:
        """Take over `new_models` of another process."""
        self._recording.know_models(found)

    @property
    def progress(self) -> Progress:
        """How far the samples are: in an xdist worker its own, in the controller those of all workers."""
        if self._elsewhere is not None:
            return self._elsewhere.at(time.monotonic())
        return self._sampler.progress if self._sampler else Progress(done=0, total=0, in_flight=0)

    @property
    def planned(self) -> int:
        """Samples that the whole session needs, as far as that was known before it began."""
        return self._sampler.planned if self._sampler else 0

    def know_planned(self, planned: int) -> None:
        """Take over what a process that collected knows."""
        self._of_workers.planned = planned

    def know_progress(self, process: str, slot: int, progress: Progress) -> None:
        """In an xdist controller: a worker has come so far."""
        self._of_workers.tell(process, slot, progress, now=time.monotonic())

    def know_end(self, process: str) -> None:
        """In an xdist controller: a worker is gone."""
        self._of_workers.end(process)

    @property
    def _of_workers(self) -> JointProgress:
        if self._elsewhere is None:
            self._elsewhere = JointProgress()
        return self._elsewhere

    @property
    def stalled_s(self) -> float | None:
        """For how long an app kept all samples of a process waiting, ``None`` if none did."""
        known = [self._stalled_elsewhere, self._sampler.stalled_s if self._sampler else None]
        return max((stalled for stalled in known if stalled is not None), default=None)

    def know_stalled(self, stalled_s: float) -> None:
        """Take over what another process measured."""
        self._stalled_elsewhere = max(stalled_s, self._stalled_elsewhere or 0.0)

    # --- the end ----------------------------------------------------------------------------------

    def contexts(self) -> Mapping[str, Any]:
        """The default context fields of the apps met so far."""
        return self._sampler.contexts() if self._sampler else {}

    def close(self, *, is_stopped: bool = False) -> None:
        """Cancel what is pending and end what is in flight; `is_stopped` where others end the session."""
        self._is_closed = True
        progress = self.progress  # before what is in flight is cancelled, and over then
        if self._sampler is not None:
            self._sampler.close()
        if self._joining is not None:
            self._joining.close(is_whole=not is_stopped and progress.done >= progress.total)
        if self._loading is not None:  # a process that goes on may not be left with half a module
            self._loading.join(_PATIENCE_S)
