"""Files replaced whole: a reader never sees half of one, a crash never leaves one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from pytest_promptune.core.errors import PromptuneError

#: A lone surrogate, as models give now and then, has no UTF-8; its escape is valid in JSON strings.
_UNENCODABLE = "backslashreplace"


class WriteError(PromptuneError):
    """A file that can't be written."""


def write_text(path: Path, text: str) -> None:
    """Write to a temporary file beside `path`, then rename it over; a link's target is replaced.

    Raises:
        WriteError: when the folder can't be made or written to.
    """
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors=_UNENCODABLE, newline="\n") as file:
                file.write(text)
            Path(temporary).chmod(_mode(path))
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise WriteError(
            f"{path}: can't be written ({error.strerror or error}). Check the folder's permissions and space."
        ) from None


def append_text(path: Path, text: str) -> None:
    """Append to a file that others write to as well.

    Raises:
        WriteError: when it can't be opened.
    """
    try:
        with path.open("a", encoding="utf-8", errors=_UNENCODABLE, newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise WriteError(f"{path}: can't be appended to ({error.strerror or error}).") from None


def _mode(path: Path) -> int:
    """Permissions of the file that is replaced, or those a new file would get."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask
