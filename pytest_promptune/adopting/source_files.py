"""Text files as they are: their encoding, byte order mark and line ends stay when their text changes."""

from __future__ import annotations

import codecs
import io
import tokenize
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_promptune.adopting.values import ByHand, ByHandError, FileEdit, Splice
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A text file that is to be changed."""

    path: Path
    raw: bytes
    #: With ``\\n`` at line ends, without a byte order mark.
    text: str
    encoding: str
    newline: str
    mark: bytes = b""

    def encoded(self, text: str) -> bytes:
        """The bytes of the file with this text.

        Raises:
            ByHandError: when its encoding has no byte for a character.
        """
        try:
            return self.mark + text.replace("\n", self.newline).encode(self.encoding)
        except UnicodeEncodeError as error:
            raise ByHandError(
                f"the file's encoding, {self.encoding}, has no {error.object[error.start]!r}"
            ) from None

    def line_of(self, offset: int) -> int:
        """The line, from 1, in which a character of `text` stands."""
        return self.text.count("\n", 0, offset) + 1


def read_source(path: Path, *, encoding: str | None = None) -> SourceFile:
    """A file with what must stay of it.

    Args:
        path: of a text file; that of a Python file may say its encoding in its first lines.
        encoding: of any other file, UTF-8 if nothing is said.

    Raises:
        ByHandError: when it can't be read, or has line ends of several kinds.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ByHandError(f"it can't be read ({error.strerror})") from None
    mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
    try:
        if path.suffix == ".py":
            encoding = tokenize.detect_encoding(io.BytesIO(raw).readline)[0]
        text = raw[len(mark) :].decode("utf-8" if mark else encoding or "utf-8")
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise ByHandError(f"its encoding is not known ({error})") from None
    windows = text.count("\r\n")
    if windows not in (0, text.count("\n")) or windows != text.count("\r"):
        raise ByHandError("its lines end in different ways")
    return SourceFile(
        path=path,
        raw=raw,
        text=text.replace("\r\n", "\n"),
        encoding="utf-8" if mark else encoding or "utf-8",
        newline="\r\n" if windows else "\n",
        mark=mark,
    )


def as_edit(source: SourceFile, splices: Sequence[Splice]) -> FileEdit | None:
    """One change of a file from several stretches of it, ``None`` where all is as it shall be.

    Raises:
        ByHandError: when two of them want different texts in one place.
    """
    text = source.text
    last = len(text) + 1
    chosen: list[Splice] = []
    for splice in sorted(splices, key=lambda each: (-each.start, -each.end)):
        twin = chosen[-1] if chosen else None
        if twin is not None and replace(twin, what="") == replace(splice, what=""):
            continue  # two nodes have one prompt
        if splice.end > last:
            raise ByHandError("two changes want different texts in this place")
        chosen.append(splice)
        text = text[: splice.start] + splice.text + text[splice.end :]
        last = splice.start
    if text == source.text:
        return None
    what = ", ".join(dict.fromkeys(splice.what for splice in sorted(splices, key=lambda each: each.start)))
    return FileEdit(path=source.path, before=source.raw, after=source.encoded(text), what=what)


def edits_of(splices: Sequence[Splice], root: Path) -> tuple[list[FileEdit], list[ByHand]]:
    """One edit for each file, and what of it can't be made.

    Args:
        splices: of any files.
        root: of the project; files below it are named as they are there.
    """
    edits: list[FileEdit] = []
    by_hand: list[ByHand] = []
    of_file: dict[Path, list[Splice]] = {}
    for splice in splices:
        of_file.setdefault(splice.path.resolve(), []).append(splice)
    for path, mine in of_file.items():
        try:
            edit = as_edit(read_source(path), mine)
            edits += [edit] if edit is not None else []
        except ByHandError as why:
            name = (
                path.relative_to(root.resolve()).as_posix()
                if path.is_relative_to(root.resolve())
                else str(path)
            )
            where = ", ".join(f"{name}:{splice.line}" for splice in mine)
            what = "\n".join(f"{splice.what} becomes: {splice.text}" for splice in mine)
            by_hand.append(ByHand(where=where, what=what, why=str(why), path=path))
    return edits, by_hand
