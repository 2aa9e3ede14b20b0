"""Reading while modules load: of SQLAlchemy and numpy one process loads one after the other."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import IO, Any, TypeVar

_T = TypeVar("_T")


def read_meanwhile(read: Callable[[], Iterable[_T]], load: Callable[[], object]) -> Iterator[_T]:
    """What `read` gives, each as soon as it is known; `load` imports what is needed with them.

    In a command that has just begun, on Linux, a copy of the process reads, tells this one and ends; nobody
    waits for that, since the command ends soon, too. Elsewhere, or from where the copy fails for whatever
    reason, `read` is called here, and raises what it raises.

    Args:
        read: gives plain values, the same whenever it is called; it changes nothing.
        load: is called here in any case, before the first value is given.
    """
    if sys.platform != "linux" or not _is_new():
        load()
        yield from read()
        return
    source, target = os.pipe()
    if os.fork() == 0:
        os.close(source)
        _tell(read, target)
    os.close(target)
    load()
    given = 0
    with os.fdopen(source, "rb") as told:
        while message := _next(told):
            given += 1
            yield message[0]
    if message is None:
        yield from islice(read(), given, None)


def _is_new() -> bool:
    """Nothing runs beside the main thread, which a copy would lack, and there is something to load."""
    return threading.active_count() == 1 and "sqlalchemy" not in sys.modules


def _next(told: IO[bytes]) -> Any:
    """The next value in a tuple, which is empty after the last one; ``None`` if the copy ended early."""
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        return pickle.load(told)  # what our own process wrote
    return None


def _tell(read: Callable[[], Iterable[object]], target: int) -> None:
    """In the copy: it ends here, and flushes, closes and reports nothing that is the original's."""
    with suppress(BaseException), os.fdopen(target, "wb") as told:
        for found in read():
            pickle.dump((found,), told, protocol=pickle.HIGHEST_PROTOCOL)
            told.flush()
        pickle.dump((), told)
    os._exit(0)
