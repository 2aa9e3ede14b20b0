"""Writing the log beside the session: by a process or a thread of its own, many samples a commit.

A lone sample is committed at once; in a burst commits come at most a hundred times a second, or as
soon as somebody waits for one. Whatever goes wrong with the store, the session goes on: the writer
turns itself off and says why.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pytest_promptune.core.codec import to_jsonable
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.core.results import Result
from pytest_promptune.store.log.child import Failure, not_installed
from pytest_promptune.store.log.location import Location
from pytest_promptune.store.log.processes import HEARTBEAT_S, this_process
from pytest_promptune.store.log.rows import Row, result_rows, snapshot
from pytest_promptune.store.log.values import LoggedSample, Manifest, SampleKey
from pytest_promptune.store.writing import EndedError, WritingProcess

if TYPE_CHECKING:
    from pytest_promptune.store.log.inserting import Step

#: Seconds between two commits in a burst.
GROUP_S = 0.01
#: Seconds between two looks of who waits at what else there is to do.
LOOK_S = 0.2
#: Seconds that anybody waits for the store before the session goes on without it.
PATIENCE_S = 30.0


class _Target(Protocol):
    def past(self, series: str) -> Sequence[Mapping[str, Any]]: ...

    def write(self, steps: Sequence[Step]) -> None: ...

    def close(self) -> None: ...


class _FaultError(Exception):
    """The other process says what went wrong."""


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
        process: WritingProcess | None = None,
    ) -> None:
        """Start writing; nothing waits for the store to open.

        Args:
            location: made when it isn't there.
            manifest: of the experiment; its id must be new, or with `resumes` that of the old one.
            redactor: takes the secrets out of everything that is written.
            resumes: continue an interrupted experiment: its samples stay, except those lost to the
                infrastructure; its scores are written again.
            clock: seconds since 1970; a process has its own.
            process: writes; without one the writer's own thread does.
        """
        self._location = location
        self._manifest = manifest
        self._resumes = resumes
        self._redactor = redactor or Redactor()
        self._clock = clock
        self._process = process
        self._lock = threading.Lock()
        self._steps: deque[Step] = deque()
        #: Steps that were given, and how many of them are written; the first is the beginning itself.
        self._given = 1
        #: What to wait for, by sample; 0 for those that are known to be written.
        self._tickets: dict[SampleKey, int] = {}
        self._written = threading.Condition()
        self._durable = 0
        self._work = threading.Event()
        self._urgent = threading.Event()
        self._closing = False
        #: What was measured before in the experiment's series, for one that compares; see `past_of`.
        self._past: Sequence[Mapping[str, Any]] = ()
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
            self._give("sample", *rows, key=sample.key)

    def result(self, result: Result) -> None:
        """Take in what an item contributes."""
        if self.problem is None:
            rows = result_rows(result)
            self._give("result", *rows)

    def update(
        self, *, commit: str | None = None, branch: str | None = None, dirty: bool | None = None
    ) -> None:
        """Add what was not known when the experiment began."""
        values = {"commit": commit, "branch": branch, "dirty": dirty}
        self._give("update", values)

    def models(self, found: Mapping[str, Sequence[str]]) -> None:
        """Add to the conditions which chat models apps hold, by app."""
        self._give("models", {app: list(models) for app, models in found.items()})

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
        self._give("finish", row, document)

    def wait_for(self, key: SampleKey, *, while_waiting: Callable[[], None] = lambda: None) -> None:
        """Wait until this sample can't be lost any more; at once for one that was never given.

        Args:
            key: of the sample.
            while_waiting: called several times a second.
        """
        ticket = self._tickets.get(key, 0)
        if ticket:
            self._wait(ticket, while_waiting)
            self._tickets[key] = 0

    def past(self) -> Sequence[Mapping[str, Any]]:
        """What was measured before in the experiment's series (see `past_of`), for one that compares.

        Waits for the store to open; nothing is known where it doesn't.
        """
        self.is_ready.wait(PATIENCE_S)
        return self._past

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

    def _give(self, step: str, *arguments: Any, key: SampleKey | None = None) -> None:
        with self._lock:  # so that tickets are in the order of the steps
            if self.problem is not None or self._closing:
                return
            self._given += 1
            self._steps.append((step, arguments))
            if key is not None:
                self._tickets[key] = self._given
        if not self._work.is_set():  # waking a thread costs more than looking
            self._work.set()

    def _wait(self, ticket: int, while_waiting: Callable[[], None] = lambda: None) -> None:
        if not self._is_awaited(ticket):
            return
        self._urgent.set()
        until = time.monotonic() + PATIENCE_S
        while True:
            with self._written:
                # Wakes up now and then, since not every platform interrupts a lock on Ctrl-C.
                if self._written.wait_for(lambda: not self._is_awaited(ticket), timeout=LOOK_S):
                    return
            if time.monotonic() > until:
                self._turn_off(
                    f"{self._location}: the experiment log doesn't answer for {PATIENCE_S:g} s; "
                    "this session isn't stored. Check the disk or server."
                )
            while_waiting()

    def _is_awaited(self, ticket: int) -> bool:
        return ticket > self._durable and self.problem is None

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
        refused = isinstance(error, StoreError)
        if isinstance(error, EndedError):
            text = (
                f"{self._location}: the process that writes the experiment log has ended, perhaps for want "
                "of memory; what this session measured from then on isn't stored."
            )
        elif isinstance(error, _FaultError):
            text = str(error)
        else:
            try:
                from pytest_promptune.store.log.opening import explained
            except ImportError:
                return not_installed(self._location, error)
            text = explained(error, self._location)
        if self._durable and not refused:
            text += f" Stored until then: {self._durable - 1} of {self._given - 1} samples and results."
        return text

    def _write_everything(self) -> None:
        target = self._begun()
        try:
            self._are_written(1)
            if self._manifest.mode == "compare" and self._manifest.series and not self._manifest.replay_of:
                self._past = target.past(self._manifest.series)
            self.is_ready.set()
            last = 0.0
            while self.problem is None:
                is_idle = not self._work.wait(timeout=HEARTBEAT_S)
                self._work.clear()
                if not self._closing:
                    self._urgent.wait(timeout=max(0.0, last + GROUP_S - time.monotonic()))
                self._urgent.clear()
                is_last = self._closing
                self._commit(target, beat=is_idle)
                last = time.monotonic()
                if is_last:
                    return
        finally:
            target.close()

    def _begun(self) -> _Target:
        """What writes, with the experiment begun."""
        if self._process is not None:
            target = _Remote(self._process)
            target.begin(self._location, self._redactor.patterns, self._manifest, self._resumes)
            return target
        from pytest_promptune.store.log.inserting import Inserter

        inserter = Inserter(self._location, self._redactor, clock=self._clock)
        try:
            inserter.begin(self._manifest, resumes=self._resumes, process=this_process())
        except BaseException:
            inserter.close()
            raise
        return inserter

    def _commit(self, target: _Target, *, beat: bool) -> None:
        steps = []
        while self._steps:
            steps.append(self._steps.popleft())
        if steps or beat:
            target.write(steps)
            self._are_written(len(steps))

    def _are_written(self, count: int) -> None:
        with self._written:
            self._durable += count
            self._written.notify_all()


class _Remote:
    """An inserter in another process."""

    def __init__(self, process: WritingProcess) -> None:
        self._process = process

    def begin(self, location: Location, patterns: Sequence[str], manifest: Manifest, resumes: bool) -> None:
        self._ask("begin", location, patterns, manifest, resumes, this_process())

    def past(self, series: str) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self._ask("past", series)
        return found

    def write(self, steps: Sequence[Step]) -> None:
        self._ask("write", steps)

    def close(self) -> None:
        with contextlib.suppress(EndedError, StoreError, _FaultError):
            self._ask("close")

    def _ask(self, question: str, *arguments: Any) -> Any:
        answer = self._process.ask(question, *arguments)
        if isinstance(answer, Failure):
            raise StoreError(answer.text) if answer.is_refusal else _FaultError(answer.text)
        return answer
