"""Short texts that are known: names of models and keys are often cut out of others or put together."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from pytest_promptune.core.literals import text_of
from pytest_promptune.core.nodes.model import PromptText
from pytest_promptune.langgraph.nodes.models import constant, constant_text
from pytest_promptune.langgraph.nodes.values import Arguments, Value

#: Methods that give a text or a few.
_METHODS = frozenset(
    {"split", "rsplit", "partition", "rpartition", "strip", "lstrip", "rstrip", "lower", "upper",
     "removeprefix", "removesuffix", "replace"}
)  # fmt: skip
#: Longer texts are prompts, and keep their place.
_LONGEST = 100


def of_constant(base: Value, method: str, given: Arguments) -> Value | None:
    """What a method gives of a short text that is known, as ``"openai/gpt-4.1".split("/", maxsplit=1)``.

    Returns:
        None where text, method or arguments are not known.
    """
    text = constant_text(base)
    if text is None or len(text) > _LONGEST or method not in _METHODS or not given.rest.is_unknown:
        return None
    positional = [constant(value) for value in given.positional]
    named = {name: constant(value) for name, value in given.named.items()}
    if any(value is None for value in (*positional, *named.values())):
        return None
    try:
        result = getattr(text, method)(*positional, **named)
    except (TypeError, ValueError):
        return None
    if isinstance(result, str):
        return _text(result)
    parts = tuple(_text(part) for part in result)
    return Value(texts=tuple(text for part in parts for text in part.texts), elements=parts)


def pieces_of(node: ast.expr) -> list[ast.expr]:
    """What a chain of ``+`` puts together, from left to right; the expression alone where it is none."""
    pieces: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        pieces.append(node.right)
        node = node.left
    return [node, *reversed(pieces)]


def joined_text(pieces: Sequence[ast.expr], values: Sequence[Value]) -> str | None:
    """The text of ``"Question: " + question``, as the f-string would have it: ``Question: {question}``.

    Args:
        pieces: of a chain of ``+``.
        values: of them, in order.

    Returns:
        None where no piece is a literal, and where all are known: each keeps its own place.
    """
    texts = [text_of(piece) for piece in pieces]
    is_open = any(
        text is None and not value.texts and constant_text(value) is None
        for text, value in zip(texts, values, strict=True)
    )
    if not is_open or not any(texts):
        return None
    return "".join(
        "{" + ast.unparse(piece) + "}" if text is None else text
        for piece, text in zip(pieces, texts, strict=True)
    )


def joined_name(node: ast.JoinedStr, values: Sequence[Value]) -> str | None:
    """The key or file name that an f-string gives, as ``f"check_{stage}"`` with a stage that is known.

    Args:
        node: the f-string.
        values: of its placeholders, in order.

    Returns:
        None where a part is not known, and for texts that are no name: they keep their placeholders.
    """
    parts, filled = [], iter(values)
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            known = constant(next(filled))
            if part.conversion != -1 or part.format_spec is not None or not isinstance(known, str | int):
                return None
            parts.append(str(known))
        elif isinstance(part, ast.Constant):
            parts.append(str(part.value))
    name = "".join(parts)
    is_name = 0 < len(name) <= _LONGEST and not any(sign.isspace() for sign in name)
    return name if is_name else None


def _text(text: str) -> Value:
    return Value(texts=(PromptText(text=text),), is_text=True)
