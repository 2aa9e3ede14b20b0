"""The process that writes the experiment log: does what the session asks over a pipe, until that is closed.

When the session is killed the pipe ends, and everything that came through it is written.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.core.values import dataclass
from pytest_promptune.store.log.location import Location
from pytest_promptune.store.log.values import Manifest

if TYPE_CHECKING:
    from pytest_promptune.store.log.inserting import Inserter, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An answer: what went wrong, for people."""

    text: str
    #: It is about the experiment or the file, not a fault of disk or server.
    is_refusal: bool


class Service:
    """What can be asked."""

    def __init__(self) -> None:
        self._inserter: Inserter | None = None
        self._location: Location | None = None

    def answer(self, question: str, arguments: Sequence[Any]) -> Any:
        """Do what is asked, and give what it gives, or a `Failure`."""
        try:
            return getattr(self, question)(*arguments)
        except Exception as error:
            return self._failure(error)

    def begin(
        self, location: Location, patterns: Sequence[str], manifest: Manifest, resumes: bool, process: str
    ) -> None:
        """Open the store and begin the experiment; `process` is the session's."""
        self._location = location
        from pytest_promptune.store.log.inserting import Inserter

        self._inserter = Inserter(location, Redactor(patterns), clock=time.time)
        self._inserter.begin(manifest, resumes=resumes, process=process)

    def past(self, series: str) -> list[Mapping[str, Any]]:
        """What was measured before in a series, see `past_of`."""
        assert self._inserter is not None
        return self._inserter.past(series)

    def write(self, steps: Sequence[Step]) -> None:
        """Write these steps in one transaction."""
        assert self._inserter is not None
        self._inserter.write(steps)

    def close(self) -> None:
        """Let go of the store."""
        if self._inserter is not None:
            self._inserter.close()

    def _failure(self, error: Exception) -> Failure:
        is_refusal = isinstance(error, StoreError)
        try:
            from pytest_promptune.store.log.opening import explained
        except ImportError:
            return Failure(text=not_installed(self._location, error), is_refusal=True)
        text = explained(error, self._location) if self._location else str(error)
        return Failure(text=text, is_refusal=is_refusal)


def not_installed(location: Location | None, error: Exception) -> str:
    """What is wrong without SQLAlchemy."""
    return f"{location}: the experiment log can't be used ({error}). Install sqlalchemy>=2.0."


def main() -> None:
    """Answer until the session has closed its end."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the session hears them, and closes its end
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(ImportError):  # told when the session asks
        import pytest_promptune.store.log.inserting  # noqa: F401  # loads while the session collects
    gc.freeze()  # what was loaded stays
    gc.enable()
    service = Service()
    with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            question, arguments = pickle.load(sys.stdin.buffer)  # what our own session wrote
            pickle.dump(service.answer(question, arguments), sys.stdout.buffer)
            sys.stdout.buffer.flush()
            if question == "close":
                os._exit(0)  # nothing is left to do, and somebody waits
    service.answer("write", ((),))  # what only this process knows yet
    service.answer("close", ())
