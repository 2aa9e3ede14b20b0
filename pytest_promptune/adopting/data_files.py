"""Prompts in files that are no Python: whole text files, and texts in YAML and TOML files."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from pytest_promptune.adopting.source_files import SourceFile
from pytest_promptune.adopting.values import ByHandError
from pytest_promptune.core.values import dataclass

#: Files whose texts are values beside others.
DATA_SUFFIXES = (".yaml", ".yml", ".toml")

_TOML_TEXT = re.compile(
    r"#[^\n]*|\"\"\"(?:\\.|[^\\])*?\"{3,5}|'''.*?'{3,5}|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'", re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A text of a file, where it stands, and how another one is written there."""

    text: str
    start: int
    end: int
    #: Gives the source of another text.
    write: Callable[[str], str]


def scalars_of(source: SourceFile) -> list[Scalar]:
    """The texts of a file; other files than those of data are one text as a whole."""
    suffix = source.path.suffix.lower()
    try:
        if suffix in (".yaml", ".yml"):
            return list(_of_yaml(source.text))
        if suffix == ".toml":
            return list(_of_toml(source.text))
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, RecursionError):
        return []
    return [Scalar(text=source.text, start=0, end=len(source.text), write=lambda text: text)]


def check_data(path: Path, before: str, after: str, *, old: str, new: str) -> None:
    """See that in a file of data one text became another, and nothing else changed.

    Raises:
        ByHandError: when more would change, or the file couldn't be read any more.
    """
    suffix = path.suffix.lower()
    if suffix not in DATA_SUFFIXES:
        return
    try:
        read: Callable[[str], Any] = (
            tomllib.loads if suffix == ".toml" else lambda text: list(yaml.safe_load_all(text))
        )
        changes = list(_differences(read(before), read(after)))
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise ByHandError(f"the file could not be read any more: {error}") from None
    if not changes or any(change != (old, new) for change in changes):
        raise ByHandError("writing it would change more than this text")


def _differences(before: Any, after: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict) and list(before) == list(after):
        for key in before:
            yield from _differences(before[key], after[key])
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from _differences(one, other)
    elif type(before) is not type(after) or before != after:
        yield before, after


# --- YAML -------------------------------------------------------------------------------------------


def _of_yaml(text: str) -> Iterator[Scalar]:
    pending = [node for node in yaml.compose_all(text, yaml.SafeLoader) if node is not None]
    seen: set[int] = set()  # an alias is the node that it names
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            pending += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif node.tag == "tag:yaml.org,2002:str":
            start, end = node.start_mark.index, node.end_mark.index
            yield Scalar(text=node.value, start=start, end=end, write=_yaml_writer(text, node))


def _yaml_writer(text: str, node: Any) -> Callable[[str], str]:
    old = text[node.start_mark.index : node.end_mark.index]
    if node.style in ("|", ">"):
        return lambda new: _block(old, new)
    if node.style == "'":
        return lambda new: "'" + new.replace("'", "''") + "'" if _is_simple(new) else _quoted(new)
    if node.style is None:
        return lambda new: new if _is_plain(new) else _quoted(new)
    return _quoted


def _block(old: str, new: str) -> str:
    """A block in the indentation of the old one; a folded one becomes literal, which keeps line ends."""
    header, _, body = old.partition("\n")
    first = next((line for line in body.split("\n") if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip(" "))]
    lines = new.split("\n")
    if (
        not indent
        or not new.strip()
        or lines[0].startswith(" ")
        or any(not _is_simple(line) for line in lines)
    ):
        raise ByHandError("a YAML block can't hold this text")
    ending = "" if new.endswith("\n") else "-"
    if new.endswith("\n\n"):
        ending = "+"
    comment = f" {header[header.index('#') :]}" if " #" in header else ""
    shown = "\n".join(indent + line if line else "" for line in new.removesuffix("\n").split("\n"))
    gap = body[len(body.rstrip("\n ")) :] if ending != "+" else "\n"
    return f"|{ending}{comment}\n{shown}{gap or chr(10)}"


def _is_simple(text: str) -> bool:
    return text.isprintable()


def _is_plain(text: str) -> bool:
    if not _is_simple(text) or text != text.strip() or ": " in text or " #" in text:
        return False
    try:
        return bool(yaml.safe_load(text) == text and yaml.safe_load(f"- {text}") == [text])
    except yaml.YAMLError:
        return False


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.replace("\n", "").replace("\t", "").isprintable())


# --- TOML -------------------------------------------------------------------------------------------


def _of_toml(text: str) -> Iterator[Scalar]:
    tomllib.loads(text)
    for token in _TOML_TEXT.finditer(text):
        if token[0].startswith("#"):
            continue
        try:
            value = tomllib.loads(f"x = {token[0]}")["x"]
        except tomllib.TOMLDecodeError:
            continue
        yield Scalar(text=value, start=token.start(), end=token.end(), write=_toml_writer(token[0]))


def _toml_writer(old: str) -> Callable[[str], str]:
    quote = old[:3] if old.startswith(('"""', "'''")) else old[:1]
    opening = "\n" if len(quote) == 3 and old.startswith("\n", 3) else ""

    def write(new: str) -> str:
        is_clean = all(character.isprintable() or character in "\n\t" for character in new)
        if quote == "'''" and is_clean and "''" not in new and not new.endswith("'"):
            return f"'''{opening or (chr(10) if new.startswith(chr(10)) else '')}{new}'''"
        if quote == "'" and is_clean and "'" not in new and "\n" not in new:
            return f"'{new}'"
        if len(quote) == 3:
            escaped = "\n".join(_basic(line) for line in new.split("\n"))
            return f'"""{opening or (chr(10) if new.startswith(chr(10)) else "")}{escaped}"""'
        return f'"{_basic(new)}"'

    return write


def _basic(text: str) -> str:
    """The inside of a basic string of TOML."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("\x7f", "\\u007f")
