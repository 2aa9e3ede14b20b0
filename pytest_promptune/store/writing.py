"""The process that writes the experiment log, started early: it loads SQLAlchemy while pytest collects.

A session has one interpreter lock, and waits for its items one by one; whatever is done elsewhere is
done meanwhile. This module is the session's end of the pipe and loads next to nothing;
`pytest_promptune.store.log.child` is the other end.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import threading
from typing import Any

#: Seconds that a process gets to end by itself.
_GRACE_S = 5.0

#: It collects no garbage while it loads: there is none, and looking for it takes a tenth of the time.
_CODE = (
    "import gc, pickle, sys; gc.disable(); sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from pytest_promptune.store.log.child import main; main()"
)


class EndedError(Exception):
    """The process is gone: it was killed, or could not even start."""


class WritingProcess:
    """A Python of our own kind that does what it is asked, one question at a time."""

    def __init__(self, running: subprocess.Popen[bytes]) -> None:
        self._running = running
        self._lock = threading.Lock()

    @classmethod
    def start(cls) -> WritingProcess | None:
        """A process that begins to load; ``None`` where there can be none, or where it isn't worth it.

        Where the app has loaded SQLAlchemy already, a thread is ready sooner.
        """
        is_python = sys.executable and not getattr(sys, "frozen", False)  # else it is the user's program
        if not is_python or "sqlalchemy.engine" in sys.modules:
            return None
        # Out of the terminal's group: Ctrl-C is the session's, which then says what is still to be written.
        alone: dict[str, Any] = {"process_group": 0}
        if sys.platform == "win32":
            alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        with contextlib.suppress(OSError):
            process = cls(
                subprocess.Popen(
                    [sys.executable, "-P", "-c", _CODE],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    **alone,
                )
            )
            with contextlib.suppress(EndedError):
                process._send(sys.path)
            return process
        return None

    def ask(self, question: str, *arguments: Any) -> Any:
        """What the process answers.

        Raises:
            EndedError: when it is gone.
        """
        with self._lock:
            self._send((question, arguments))
            assert self._running.stdout is not None
            try:
                return pickle.load(self._running.stdout)  # what our own process wrote
            except (EOFError, OSError, pickle.UnpicklingError):
                raise EndedError from None

    def _send(self, message: Any) -> None:
        assert self._running.stdin is not None
        try:
            pickle.dump(message, self._running.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._running.stdin.flush()
        except (OSError, ValueError):
            raise EndedError from None

    def close(self) -> None:
        """Let it end, or end it when it is stuck; may be called again."""
        is_free = self._lock.acquire(timeout=_GRACE_S)
        try:
            if not is_free:
                self._running.kill()
            for pipe in (self._running.stdin, self._running.stdout):
                with contextlib.suppress(OSError, ValueError):
                    if pipe is not None and is_free:
                        pipe.close()
            try:
                self._running.wait(timeout=_GRACE_S)
            except subprocess.TimeoutExpired:
                self._running.kill()
                self._running.wait()
        finally:
            if is_free:
                self._lock.release()
