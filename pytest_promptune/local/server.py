"""The child process that serves the model: started when first needed, one for this process, ended with it."""

import atexit
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pytest_promptune.local.errors import LocalModelError
from pytest_promptune.local.weights import Weights, require_weights

#: More servers than this gain little for a model of this size, and each takes 200 MB.
MOST_SERVERS = 4
#: Lines of a dead child's stderr that its error shows.
LAST_LINES = 8

# -P: the folder of child.py must not shadow the modules that the child imports.
CHILD: tuple[str, ...] = (sys.executable, "-P", str(Path(__file__).with_name("child.py")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running child; `close` ends it, and so does the end of this process."""

    url: str
    api_key: str = field(repr=False)
    model: str
    process: subprocess.Popen[str] = field(repr=False)
    log: IO[bytes] = field(repr=False)

    def died(self) -> str | None:
        """What the child said last, or None while it runs."""
        if self.process.poll() is None:
            return None
        return _obituary(self.process, self.log)

    def close(self) -> None:
        """End the child; a second call does nothing."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.log.close()


def start_server(
    weights: Weights, *, servers: int | None = None, command: Sequence[str] = CHILD, timeout: float = 60.0
) -> Server:
    """Start a child that serves these weights on a free port of the loopback interface.

    `servers` is the number of model servers in the child (default: one per usable core, at most four).
    Raises `LocalModelError` where the child can't run, with the last lines it wrote.
    """
    api_key = secrets.token_urlsafe(24)
    arguments = {
        "gguf": str(weights.path),
        "api_key": api_key,
        "alias": weights.model,
        "servers": servers or min(MOST_SERVERS, _cores()),
    }
    log = tempfile.TemporaryFile(prefix="promptune-model-")  # noqa: SIM115 - it lives as long as the child
    # Passive: an OpenMP thread that spins while it waits takes the core away from the one it waits for.
    env = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    process = subprocess.Popen(
        list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env, text=True
    )
    try:
        answer = _ask(process, json.dumps(arguments), timeout)
        if "url" not in answer:
            raise _failure(process, log, answer, weights)
    except BaseException:
        process.kill()
        process.communicate()
        log.close()
        raise
    return Server(url=answer["url"], api_key=api_key, model=weights.model, process=process, log=log)


def _cores() -> int:
    """Cores this process may use (a container's or `taskset`'s share, where the system tells)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _ask(process: subprocess.Popen[str], line: str, timeout: float) -> dict[str, str]:
    """Send the child its arguments and wait for its one line; {} if it ended or took too long."""
    assert process.stdin is not None
    assert process.stdout is not None
    alarm = threading.Timer(timeout, process.kill)
    alarm.daemon = True
    alarm.start()
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except BrokenPipeError:
        answer = ""
    finally:
        alarm.cancel()
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _failure(
    process: subprocess.Popen[str], log: IO[bytes], answer: dict[str, str], weights: Weights
) -> LocalModelError:
    missing = answer.get("missing")
    if missing is None:
        process.kill()
        return LocalModelError(
            f"{weights.path}: the model server did not start: {_obituary(process, log)}\n"
            "If the file is damaged, fetch it again with: pytest-promptune model fetch --force"
        )
    if "libgomp" in missing:
        return LocalModelError(
            f"The model server needs the system library libgomp.so.1: {missing}. "
            "Install it (Debian, Ubuntu: apt-get install libgomp1; Fedora: dnf install libgomp; "
            "Alpine has no matching build of xllamacpp)."
        )
    return LocalModelError(
        f"The embedded model needs the package xllamacpp: {missing}. "
        "Install it with: pip install 'pytest-promptune[local]'"
    )


def _obituary(process: subprocess.Popen[str], log: IO[bytes]) -> str:
    status = process.wait()
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - 4096))
    lines = log.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
    return "\n  ".join([f"exit status {status}", *(lines or ["(it wrote nothing)"])])


class _Shared:
    """The one child of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._pid = 0

    def get(self) -> Server:
        with self._lock:
            if self._server is not None and self._pid != os.getpid():
                self._server = None  # after a fork: the child belongs to the parent
            if self._server is not None and (last := self._server.died()) is not None:
                self._server.close()
                self._server = None
                raise LocalModelError(
                    f"The model server died: {last}\n"
                    "The next call starts another one. Out of memory? It needs about 200 MB per core."
                )
            if self._server is None:
                self._server = start_server(require_weights())
                self._pid = os.getpid()
                atexit.register(self.close)
            return self._server

    def close(self) -> None:
        with self._lock:
            if self._server is not None and self._pid == os.getpid():
                self._server.close()
            self._server = None


_shared = _Shared()


def shared_server() -> Server:
    """The child that everything in this process shares: started by the first call, ended at exit.

    Raises `LocalModelError`: no weights, extra or system library missing, or the child died.
    """
    return _shared.get()


def close_shared_server() -> None:
    """End the shared child now; the next `shared_server` starts another."""
    _shared.close()
