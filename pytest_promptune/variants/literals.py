"""The old prompt of a node where it stands in the app's source: ``prompt_from = "src/analyzer.py:12"``."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_promptune.core.display import clean, cut
from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.inversion import is_expression, normalized
from pytest_promptune.core.model import Variant

_PLACE = re.compile(r"(.+?)(?::(\d+))?")
_TEXT_FILES = (".txt", ".md")
_LONGEST_SHOWN = 50


def with_templates(variant: Variant, *, root: Path) -> Variant:
    """The variant with the text of each ``prompt_from`` as its ``template``.

    Args:
        variant: as it was read.
        root: files are relative to it.

    Raises:
        VariantError: with every place that can't be read or holds no prompt.
    """
    nodes: dict[str, Mapping[str, Any]] = {}
    problems: list[str] = []
    for node, table in variant.nodes.items():
        nodes[node] = table
        if not isinstance(table, Mapping) or "prompt_from" not in table:
            continue
        where = f"variant {variant.name!r}, nodes.{node}: "
        try:
            if "template" in table:
                raise VariantError("it has template and prompt_from. Keep one of them.")
            place = table["prompt_from"]
            text = template_at(place, root=root)
        except VariantError as error:
            problems.append(f"{where}{error}")
        else:
            nodes[node] = {k: v for k, v in table.items() if k != "prompt_from"} | {"template": text}
    if problems:
        raise VariantError("\n".join(problems))
    return dataclasses.replace(variant, nodes=nodes) if nodes else variant


def template_at(place: object, *, root: Path) -> str:
    """The string or f-string at ``file.py:line``, or a whole text file, as a template.

    Expressions of an f-string and what is joined to it with ``+`` become placeholders of the same text;
    those that are more than names, attributes, items and calls are called ``value_1``, ``value_2``, ….

    Raises:
        VariantError: when there is no such file, or not one prompt at the line.
    """
    match = _PLACE.fullmatch(place.strip()) if isinstance(place, str) else None
    if match is None:
        raise VariantError(f'prompt_from = {place!r} is no place. Write prompt_from = "file.py:12".')
    path = root / match[1]
    where = f"prompt_from = {place!r}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise VariantError(f"{where}: {path} is not UTF-8. Save the file as UTF-8.") from None
    except (OSError, ValueError):
        raise VariantError(
            f"{where}: {path} can't be read. Give a file of the project, relative to {root}."
        ) from None
    if path.suffix in _TEXT_FILES:
        return text
    if path.suffix != ".py" or match[2] is None:
        raise VariantError(
            f"{where}: give a Python file and the line where the prompt begins, or a whole text file "
            f"({', '.join(_TEXT_FILES)}). For other files write the old prompt as template."
        )
    return _in_python(text, path, int(match[2]), where)


def _in_python(text: str, path: Path, line: int, where: str) -> str:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise VariantError(
            f"{where}: {path} is not valid Python: {str(error).rstrip('.')}. Correct it."
        ) from None
    return template_of(text_at(tree, line, where=where))


def text_at(tree: ast.Module, line: int, *, where: str) -> ast.expr:
    """The one text at a line of a Python file: where it begins, else where it goes on.

    Raises:
        VariantError: when there is none, or several with more than one word; `where` begins the message.
    """
    there = [node for node in texts_in(tree) if node.lineno <= line <= (node.end_lineno or line)]
    found = [node for node in there if node.lineno == line] or there
    if len(found) > 1:  # roles, keys and labels are single words
        found = [node for node in found if len(template_of(node).split()) > 1] or found
    if len(found) == 1:
        return found[0]
    if not found:
        near = sorted((abs(node.lineno - line), node.lineno) for node in texts_in(tree))[:3]
        hint = f" The nearest are in {_lines(number for _, number in near)}." if near else ""
        raise VariantError(f"{where}: there is no text at this line.{hint} Correct the line.")
    shown = ", ".join(repr(cut(clean(template_of(node)), _LONGEST_SHOWN)) for node in found)
    raise VariantError(
        f"{where}: there are {len(found)} texts at this line: {shown}. Write the one you mean as template."
    )


def _lines(numbers: Iterator[int]) -> str:
    return ", ".join(f"line {number}" for number in dict.fromkeys(numbers))


def texts_in(node: ast.AST) -> Iterator[ast.expr]:
    """The outermost expressions that make a text; those within a text belong to it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr) and _is_text(child):
            yield child
        else:
            yield from texts_in(child)


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr)


def template_of(node: ast.expr) -> str:
    """A single constant is a template as it stands; in anything else its braces are braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    names: dict[str, str] = {}
    return "".join(_pieces(node, names))


def _pieces(node: ast.expr, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value.replace("{", "{{").replace("}", "}}")
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from _pieces(value, names)
    elif isinstance(node, ast.BinOp) and _is_text(node):
        yield from _pieces(node.left, names)
        yield from _pieces(node.right, names)
    else:
        value = node.value if isinstance(node, ast.FormattedValue) else node
        source = ast.unparse(value)
        if not is_expression(source):
            source = names.setdefault(source, f"value_{len(names) + 1}")
        yield f"{{{normalized(source)}}}"
