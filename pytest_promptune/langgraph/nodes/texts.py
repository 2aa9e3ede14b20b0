"""The texts in files that are no Python: values of YAML, JSON and TOML with lines, others as a whole."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

import yaml

from pytest_promptune.core.literals import Literal

#: What a file holds: dicts and lists as it has them, each text as a `Literal`; other values are left out.
Tree = Literal | dict[str, Any] | list[Any]


def texts_of(file: Literal) -> Iterator[Literal]:
    """The texts of a file; one whose content can't be read is a text as a whole."""
    is_data = PurePath(file.file).suffix.lower() in (".yaml", ".yml", ".toml")
    tree = tree_of(file) if is_data else None
    pending: list[Any] = [file if tree is None else tree]
    while pending:
        part = pending.pop()
        if isinstance(part, Literal):
            yield part
        else:
            pending += part.values() if isinstance(part, dict) else part


def tree_of(file: Literal) -> Tree | None:
    """What a file of data holds, ``None`` for other files and those that can't be read."""
    read = _READERS.get(PurePath(file.file).suffix.lower())
    try:
        return None if read is None else read(file)
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, RecursionError):
        return None


def _of_yaml(file: Literal) -> Tree:
    """Several documents are a list; an anchor's text stands once, where it is written."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    seen: set[int] = set()  # an alias is the node that it names
    trees = [_of_node(file, node, seen) for node in yaml.compose_all(file.text, loader) if node is not None]
    known = [tree for tree in trees if tree is not None]
    return known[0] if len(known) == 1 else known


def _of_node(file: Literal, node: Any, seen: set[int]) -> Tree | None:
    if id(node) in seen:
        return None
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        entries = {str(key.value): _of_node(file, value, seen) for key, value in node.value}
        return {key: value for key, value in entries.items() if value is not None}
    if isinstance(node, yaml.SequenceNode):
        return [value for each in node.value if (value := _of_node(file, each, seen)) is not None]
    return Literal(file=file.file, line=node.start_mark.line + 1, text=node.value)


def _of_toml(file: Literal) -> Tree:
    """TOML's parser tells no lines: a text stands where its first line does."""
    return _placed(file, tomllib.loads(file.text), file.text.splitlines()) or {}


def _placed(file: Literal, value: Any, lines: list[str]) -> Tree | None:
    if isinstance(value, dict):
        entries = {str(key): _placed(file, each, lines) for key, each in value.items()}
        return {key: each for key, each in entries.items() if each is not None}
    if isinstance(value, list):
        return [found for each in value if (found := _placed(file, each, lines)) is not None]
    if not isinstance(value, str) or not value.strip():
        return None
    first = value.strip().splitlines()[0]
    line = next((number for number, each in enumerate(lines, 1) if first in each), 1)
    return Literal(file=file.file, line=line, text=value)


#: JSON is YAML.
_READERS: Mapping[str, Callable[[Literal], Tree]] = {
    ".yaml": _of_yaml,
    ".yml": _of_yaml,
    ".json": _of_yaml,
    ".toml": _of_toml,
}
