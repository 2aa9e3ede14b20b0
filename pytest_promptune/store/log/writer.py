"""Writing the log beside the session: a thread of its own, one connection, many samples a commit.

A lone sample is committed at once; in a burst commits come at most a hundred times a second, or as
soon as somebody waits for one. Whatever goes wrong with the store, the session goes on: the writer
turns itself off and says why.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pytest_promptune.core.codec import to_jsonable
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.experiment import Result
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.store.log.location import Location
from pytest_promptune.store.log.processes import HEARTBEAT_S
from pytest_promptune.store.log.rows import Row, result_rows, snapshot
from pytest_promptune.store.log.values import LoggedSample, Manifest, SampleKey

if TYPE_CHECKING:
    from pytest_promptune.store.log.inserting import Inserter

#: Seconds between two commits in a burst.
GROUP_S = 0.01
#: Seconds that anybody waits for the store before the session goes on without it.
PATIENCE_S = 30.0

#: What is written in the writer's thread, in the order in which it was given.
Step = Callable[["Inserter"], None]


class LogWriter:
    """Writes one experiment; methods may be called from any thread, and none of them raises."""

    def __init__(
        self,
        location: Location,
        manifest: Manifest,
        *,
        redactor: Redactor | None = None,
        resumes: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start writing; nothing waits for the store to open.

        Args:
            location: made when it isn't there.
            manifest: of the experiment; its id must be new, or with `resumes` that of the old one.
            redactor: takes the secrets out of everything that is written.
            resumes: continue an interrupted experiment: its samples stay, except those lost to the
                infrastructure; its scores are written again.
            clock: seconds since 1970.
        """
        self._location = location
        self._manifest = manifest
        self._resumes = resumes
        self._redactor = redactor or Redactor()
        self._clock = clock
        self._lock = threading.Lock()
        self._steps: deque[Step] = deque()
        #: Steps that were given, and how many of them are written; the first is the beginning itself.
        self._given = 1
        self._tickets: dict[SampleKey, int] = {}
        self._written = threading.Condition()
        self._durable = 0
        self._work = threading.Event()
        self._urgent = threading.Event()
        self._closing = False
        #: Set when the store is open, or can't be.
        self.is_ready = threading.Event()
        #: Why the experiment isn't stored, or not from some moment on: where, what, what to do.
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._serve, name="promptune-log", daemon=True)
        self._thread.start()

    def sample(self, sample: LoggedSample) -> None:
        """Take in a finished sample; it is written soon, see `wait_for`. A key that is known is left alone.

        The output is copied before this returns. One that has no JSON form is stored as an error.
        """
        if self.problem is None and sample.key not in self._tickets:
            rows = snapshot(sample)
            self._give(lambda inserter: inserter.sample(*rows), key=sample.key)

    def result(self, result: Result) -> None:
        """Take in what an item contributes."""
        if self.problem is None:
            rows = result_rows(result)
            self._give(lambda inserter: inserter.result(*rows))

    def update(
        self, *, commit: str | None = None, branch: str | None = None, dirty: bool | None = None
    ) -> None:
        """Add what was not known when the experiment began."""
        values = {"commit": commit, "branch": branch, "dirty": dirty}
        self._give(lambda inserter: inserter.update(values))

    def finish(
        self,
        *,
        status: Literal["finished", "interrupted"],
        finished: str,
        seconds: float,
        exit_code: int,
        results: Mapping[str, Any] | None = None,
    ) -> None:
        """The experiment has ended.

        Args:
            status: an ``interrupted`` one can be resumed.
            finished: ISO 8601 in UTC.
            seconds: how long it took.
            exit_code: of the session.
            results: the results document (``--promptune-json``); its metrics and comparisons get rows.
        """
        row: Row = {"status": status, "finished": finished, "seconds": seconds, "exit_code": exit_code}
        document = to_jsonable(results or {}, where="the results")
        self._give(lambda inserter: inserter.finish(row, document))

    def wait_for(self, key: SampleKey) -> None:
        """Wait until this sample can't be lost any more; at once for one that was never given."""
        self._wait(self._tickets.get(key, 0))

    def flush(self) -> None:
        """Wait until everything that was given is written, or can't be."""
        self._wait(self._given)

    def close(self) -> str | None:
        """Write what is left and end; gives the `problem`, if there was one. May be called again."""
        self.flush()
        self._closing = True
        self._work.set()
        self._thread.join(timeout=PATIENCE_S if self.problem is None else 1.0)
        return self.problem

    def _give(self, step: Step, *, key: SampleKey | None = None) -> None:
        with self._lock:  # so that tickets are in the order of the steps
            if self.problem is not None or self._closing:
                return
            self._given += 1
            self._steps.append(step)
            if key is not None:
                self._tickets[key] = self._given
        if not self._work.is_set():  # waking a thread costs more than looking
            self._work.set()

    def _wait(self, ticket: int) -> None:
        if ticket <= self._durable or self.problem is not None:
            return
        self._urgent.set()
        until = time.monotonic() + PATIENCE_S
        with self._written:
            while ticket > self._durable and self.problem is None:
                # Wakes up now and then, since not every platform interrupts a lock on Ctrl-C.
                self._written.wait(timeout=1.0)
                if time.monotonic() > until:
                    self._turn_off(
                        f"{self._location}: the experiment log doesn't answer for {PATIENCE_S:g} s; "
                        "this session isn't stored. Check the disk or server."
                    )

    def _turn_off(self, problem: str) -> None:
        self.problem = self.problem or problem
        self._steps.clear()
        self._tickets.clear()

    # What follows runs in the writer's thread.

    def _serve(self) -> None:
        try:
            self._write_everything()
        except Exception as error:
            self._turn_off(self._explained(error))
        self.is_ready.set()
        with self._written:
            self._written.notify_all()

    def _explained(self, error: Exception) -> str:
        try:
            from pytest_promptune.store.log.opening import explained
        except ImportError:
            return f"{self._location}: the experiment log can't be used ({error}). Install sqlalchemy>=2.0."
        since = ""
        if self._durable and not isinstance(error, StoreError):
            since = f" Stored until then: {self._durable - 1} of {self._given - 1} samples and results."
        return explained(error, self._location) + since

    def _write_everything(self) -> None:
        from pytest_promptune.store.log.inserting import Inserter

        inserter = Inserter(self._location, self._redactor, clock=self._clock)
        try:
            inserter.begin(self._manifest, resumes=self._resumes)
            self._are_written(1)
            self.is_ready.set()
            last = 0.0
            while self.problem is None:
                is_idle = not self._work.wait(timeout=HEARTBEAT_S)
                self._work.clear()
                if not self._closing:
                    self._urgent.wait(timeout=max(0.0, last + GROUP_S - time.monotonic()))
                self._urgent.clear()
                is_last = self._closing
                self._commit(inserter, beat=is_idle)
                last = time.monotonic()
                if is_last:
                    return
        finally:
            inserter.close()

    def _commit(self, inserter: Inserter, *, beat: bool) -> None:
        count = 0
        while self._steps:
            self._steps.popleft()(inserter)
            count += 1
        if count or beat:
            inserter.commit()
            self._are_written(count)

    def _are_written(self, count: int) -> None:
        with self._written:
            self._durable += count
            self._written.notify_all()
