"""The texts in files that are no Python: values of YAML and TOML with their lines, other files as a whole."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import yaml

from pytest_promptune.core.literals import Literal


def texts_of(file: Literal) -> Iterator[Literal]:
    """The texts of a file; one whose content can't be read is a text as a whole."""
    suffix = PurePath(file.file).suffix.lower()
    read = {".yaml": _of_yaml, ".yml": _of_yaml, ".toml": _of_toml}.get(suffix)
    try:
        found = [file] if read is None else list(read(file))
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, RecursionError):
        found = [file]
    yield from found


def _of_yaml(file: Literal) -> Iterator[Literal]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    pending: list[Any] = [node for node in yaml.compose_all(file.text, loader) if node is not None]
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
        elif isinstance(node, yaml.ScalarNode):
            yield Literal(file=file.file, line=node.start_mark.line + 1, text=node.value)


def _of_toml(file: Literal) -> Iterator[Literal]:
    """TOML's parser tells no lines: a text stands where its first line does."""
    lines = file.text.splitlines()
    pending: list[Any] = [tomllib.loads(file.text)]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and value.strip():
            first = value.strip().splitlines()[0]
            line = next((number for number, each in enumerate(lines, 1) if first in each), 1)
            yield Literal(file=file.file, line=line, text=value)
