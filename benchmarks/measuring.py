"""Whole processes, measured from outside: wall time, CPU time and memory of a command and its children."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds between two looks at the memory; only runs whose time isn't counted are looked at.
LOOK_S = 0.01
MIB = 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a command."""

    wall_s: float
    #: User and system time of the process and of all its descendants that were waited for.
    cpu_s: float
    #: Largest sum of the resident memory of the process and its descendants; ``None`` if not looked at.
    memory_mib: float | None
    #: What it wrote, errors among it.
    text: str


class FailedError(Exception):
    """The command didn't do what it was started for."""


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    timeout: float = 900.0,
    memory: bool = False,
    accepted: Sequence[int] = (0,),
) -> Run:
    """Run a command in a folder and measure it from its start to its end.

    Args:
        command: an absolute program and its arguments.
        folder: current directory.
        environment: everything the process gets, nothing is inherited.
        timeout: seconds after which it is killed.
        memory: look at the memory of all its processes, which costs some time.
        accepted: exit codes that mean success.

    Raises:
        FailedError: with the end of what it wrote.
    """
    with tempfile.TemporaryFile() as written:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
        killer = threading.Timer(timeout, process.kill)
        killer.start()
        watch = _Watch(process.pid) if memory else None
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            killer.cancel()
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = watch.end() if watch else None
        written.seek(0)
        text = written.read().decode("utf-8", "replace")
    if process.returncode not in accepted:
        raise FailedError(f"{' '.join(command)} ended with {process.returncode}:\n{text[-3000:]}")
    return Run(wall_s=wall, cpu_s=usage.ru_utime + usage.ru_stime, memory_mib=peak, text=text)


class _Watch:
    """Looks at the memory of a process and its descendants until told to end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> float:
        """The peak in MiB."""
        self._over.set()
        self._thread.join()
        return self._peak / MIB

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            self._peak = max(self._peak, sum(_resident(pid) for pid in _tree(self._pid)))


def _tree(pid: int) -> list[int]:
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        try:
            for children in Path(f"/proc/{one}/task").glob("*/children"):
                left.extend(int(child) for child in children.read_text().split())
        except OSError:  # it has ended
            continue
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def clean_environment(folder: Path, **more: str) -> dict[str, str]:
    """What a measured process gets: nothing of ours, so that bytecode is cached and nobody phones home."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"HOME": str(folder), "PYTHONUTF8": "1"} | more


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, least and most."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def load() -> float:
    """How many processes wanted to run during the last minute, ours among them."""
    return os.getloadavg()[0]
