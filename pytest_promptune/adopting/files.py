"""Several files replaced and a folder removed, all or nothing: whatever fails, everything is put back."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from pytest_promptune.adopting.values import AdoptError, FileEdit


@contextlib.contextmanager
def replacing(edits: Sequence[FileEdit], gone: Path | None) -> Iterator[None]:
    """Write all files and take a folder or file away; if the body raises, as if nothing had been.

    The new contents are written beside the files first, so that what is left to do is to rename them.

    Args:
        edits: files with their contents; missing folders are made.
        gone: what goes; it is deleted at the end, when nothing can fail any more.

    Raises:
        AdoptError: when something can't be written, or isn't any more what it was when it was read.
    """
    undo: list[Callable[[], object]] = []
    try:
        try:
            _check_unchanged(edits)
            staged = [_staged(edit, undo) for edit in edits]
            for edit, temporary in zip(edits, staged, strict=True):
                temporary.replace(edit.path.resolve())
                undo.append(partial(_restore, edit))
            hidden = _hidden(gone, undo) if gone is not None else None
        except OSError as error:
            where = error.filename or "a file"
            raise AdoptError(
                f"{where}: can't be written ({error.strerror or error}). Everything was put back. Check "
                "permissions and space."
            ) from None
        yield
    except BaseException as error:
        _undone(undo, error)
        raise
    if hidden is not None:
        _delete(hidden)


def _check_unchanged(edits: Sequence[FileEdit]) -> None:
    for edit in edits:
        now = edit.path.read_bytes() if edit.path.exists() else None
        if now != edit.before:
            raise AdoptError(f"{edit.path}: changed meanwhile. Nothing was written; try again.")


def _staged(edit: FileEdit, undo: list[Callable[[], object]]) -> Path:
    """The new content in a file beside the old one, which a symbolic link leads to."""
    path = edit.path.resolve()
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        undo.append(lambda: path.parent.rmdir())
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    undo.append(lambda: temporary.unlink(missing_ok=True))
    with os.fdopen(handle, "wb") as file:
        file.write(edit.after)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else _mode_of_new(path.parent))
    return temporary


def _mode_of_new(folder: Path) -> int:
    """Permissions that a new file in a folder should have: those of the folder without execution."""
    return folder.stat().st_mode & 0o666


def _restore(edit: FileEdit) -> None:
    path = edit.path.resolve()
    if edit.before is None:
        path.unlink(missing_ok=True)
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    with os.fdopen(handle, "wb") as file:
        file.write(edit.before)
    Path(name).chmod(path.stat().st_mode & 0o777)
    Path(name).replace(path)


def _hidden(gone: Path, undo: list[Callable[[], object]]) -> Path:
    """The variant under a name that nobody reads; it can come back."""
    folder = Path(tempfile.mkdtemp(dir=gone.parent, prefix=f".{gone.name}.", suffix=".adopted"))
    undo.append(folder.rmdir)
    moved = folder / gone.name
    gone.rename(moved)
    undo.append(lambda: moved.rename(gone))
    return folder


def _delete(hidden: Path) -> None:
    with contextlib.suppress(OSError):  # it has another name already, and is read by nobody
        shutil.rmtree(hidden)


def _undone(undo: list[Callable[[], object]], error: BaseException) -> None:
    for step in reversed(undo):
        try:
            step()
        except OSError as failed:
            error.add_note(
                f"{failed.filename or 'A file'} could not be put back: {failed.strerror or failed}."
            )
