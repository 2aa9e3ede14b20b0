"""Whether the process that writes an experiment still lives."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path

#: Seconds between two signs of life, and after which one that can't be asked counts as dead.
HEARTBEAT_S = 10.0
STALE_S = 60.0


def this_host() -> str:
    """Where a process number means something: the machine, and on Linux the container."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{platform.node()} {namespace}".strip()


def this_process() -> str:
    """This process, told from later ones of the same number where the system allows it."""
    pid = os.getpid()
    return f"{pid} {_started(pid) or ''}".strip()


def is_alive(*, host: str | None, process: str | None, heartbeat: float, now: float) -> bool:
    """Whether a process that wrote `host`, `process` and `heartbeat` still runs.

    On this host the system knows; elsewhere a recent heartbeat must do.
    """
    if host == this_host() and process:
        known = _is_running(process)
        if known is not None:
            return known
    return abs(now - heartbeat) < STALE_S


def _is_running(process: str) -> bool | None:
    pid, _, started = process.partition(" ")
    if started:
        return _started(int(pid)) == started
    if sys.platform == "win32":  # there, signal 0 would end it
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the machine did; ``None`` for a dead one or outside Linux."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return None
    state, *others = fields.split()
    return None if state in ("Z", "X") else others[18]
