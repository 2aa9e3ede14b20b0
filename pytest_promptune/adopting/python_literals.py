"""String literals of Python source, replaced exactly: prefix, quotes, layout and f-string fields stay.

Nothing is trusted: after each replacement the file is parsed again, the literal must have the value that was
meant, and everything else of the file must be what it was.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from pytest_promptune.adopting.prompt_texts import Field, Pieces
from pytest_promptune.adopting.python_source import Part, PythonText
from pytest_promptune.adopting.values import ByHandError

#: What a reader of the source could not see, or would be fooled by.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NARROWEST = 79


# --- the fields of an f-string ----------------------------------------------------------------------


def fields_of(parts: Sequence[Part]) -> list[str]:
    """The replacement fields of a literal as they are written, ``{state["q"]!r:>10}``."""
    return [field for part in parts if part.is_formatted for field in _fields(part)]


def _fields(part: Part) -> Iterator[str]:
    body, at = part.body, 0
    is_raw = "r" in part.prefix.lower()
    while at < len(body):
        if body[at] == "\\" and not is_raw:
            at = body.index("}", at) + 1 if body.startswith("\\N{", at) else at + 2
        elif body[at : at + 2] in ("{{", "}}"):
            at += 2
        elif body[at] == "{":
            end = _end_of_field(body, at)
            yield body[at:end]
            at = end
        else:
            at += 1


def _end_of_field(body: str, start: int) -> int:
    """The place after the brace that closes a field."""
    depth, at, in_format = 0, start, False
    while at < len(body):
        character = body[at]
        if character in "\"'" and not in_format:
            at = _end_of_string(body, at)
            continue
        if character in "{[(":
            depth += 1
        elif character in "}])":
            depth -= 1
            if not depth:
                return at + 1
        elif character == ":" and depth == 1:
            in_format = True
        at += 1
    raise ByHandError("its fields can't be told apart")


def _end_of_string(body: str, start: int) -> int:
    quote = body[start] * 3 if body.startswith(body[start] * 3, start) else body[start]
    at = start + len(quote)
    while at < len(body):
        if body.startswith(quote, at):
            return at + len(quote)
        at += 2 if body[at] == "\\" else 1
    raise ByHandError("its fields can't be told apart")


# --- writing ----------------------------------------------------------------------------------------


def literal(source: PythonText, node: ast.expr, pieces: Pieces) -> tuple[int, int, str]:
    """The source of a literal with another text, and the stretch in which it is to stand.

    Args:
        source: of the file.
        node: a string, an f-string, or several side by side.
        pieces: the new text; it has fields only where the old one is an f-string.

    Raises:
        ByHandError: where the old literal is of a kind that can't be replaced.
    """
    parts = source.parts(node)
    if not parts:
        raise ByHandError("it is put together at run time")
    first = next((part for part in parts if len(part.quote) == 3), parts[0])
    start, end = parts[0].start, parts[-1].end
    if len(parts) > 1 and len(first.quote) == 1 and "\n" in source.text[start:end]:
        return start, end, _stacked(source.text, parts, pieces)
    has_fields = any(isinstance(piece, Field) for piece in pieces)
    prefix = first.prefix
    if has_fields and not first.is_formatted:
        prefix = next(part.prefix for part in parts if part.is_formatted)
    elif any(part.is_formatted for part in parts) and not first.is_formatted:
        prefix = "f" + prefix.replace("u", "")
    return start, end, _written(pieces, prefix, first.quote, continued=first.body.startswith("\\\n"))


def _written(pieces: Pieces, prefix: str, quote: str, *, continued: bool = False) -> str:
    """One literal."""
    doubles = "f" in prefix.lower()
    texts = [piece for piece in pieces if isinstance(piece, str)]
    if "r" in prefix.lower() and not all(_is_raw(text, quote) for text in texts):
        prefix = prefix.replace("r", "").replace("R", "")
        if any(isinstance(piece, Field) and "\\" in piece.raw for piece in pieces):
            raise ByHandError("a field of the raw f-string has a backslash")
    is_raw = "r" in prefix.lower()
    written = []
    for number, piece in enumerate(pieces):
        if isinstance(piece, Field):
            written.append(piece.raw)
            continue
        text = piece.replace("{", "{{").replace("}", "}}") if doubles else piece
        written.append(text if is_raw else _escaped(text, quote, is_last=number == len(pieces) - 1))
    body = "".join(written)
    opening = "\\\n" if continued and not is_raw and "\n" in body else ""
    return f"{prefix}{quote}{opening}{body}{quote}"


def _is_raw(text: str, quote: str) -> bool:
    """Whether a text can stand in a raw literal."""
    if _INVISIBLE.search(text) or quote in text or text.endswith((quote[0], "\\")):
        return False
    return len(quote) == 3 or not ("\n" in text or "\t" in text)


def _escaped(text: str, quote: str, *, is_last: bool) -> str:
    text = text.replace("\\", "\\\\")
    text = _INVISIBLE.sub(lambda found: _code(found[0]), text)
    if len(quote) == 1:
        return text.replace(quote, f"\\{quote}").replace("\n", "\\n").replace("\t", "\\t")
    text = text.replace(quote, f"{quote[:2]}\\{quote[0]}")
    if is_last and text.endswith(quote[0]) and not text.endswith(f"\\{quote[0]}"):
        text = f"{text[:-1]}\\{quote[0]}"
    return text


def _code(character: str) -> str:
    known = {"\r": "\\r", "\x0b": "\\v", "\x0c": "\\f"}
    number = ord(character)
    return known.get(character) or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")


def _stacked(text: str, parts: Sequence[Part], pieces: Pieces) -> str:
    """Several literals below each other, a line or more for each line of the text, as wide as they were."""
    below = next(part for part in parts[1:] if "\n" in text[parts[0].start : part.start])
    indent = text[text.rindex("\n", 0, below.start) + 1 : below.start]
    quote = parts[0].quote
    ends = [text.find("\n", part.end) for part in parts]
    used = (end - text.rfind("\n", 0, part.start) for part, end in zip(parts, ends, strict=True) if end > 0)
    width = max(_NARROWEST, *used)
    lines = [
        _written(_joined(line), "f" if _has_field(line) else "", quote)
        for line in _chunks(pieces, width - len(indent) - 3)
    ]
    return f"\n{indent}".join(lines)


def _has_field(line: Sequence[str | Field]) -> bool:
    return any(isinstance(piece, Field) for piece in line)


def _joined(line: Sequence[str | Field]) -> Pieces:
    joined: list[str | Field] = []
    for piece in line:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)


def _chunks(pieces: Pieces, width: int) -> Iterator[list[str | Field]]:
    """The words of a text in lines, broken after each line end and where a line is full."""
    line: list[str | Field] = []
    taken = 0
    for piece in pieces:
        words = [piece] if isinstance(piece, Field) else re.findall(r"[^ \n]*(?: +|\n|$)", piece)
        for word in filter(None, words):
            long = len(word.raw if isinstance(word, Field) else word)
            after_line = bool(line) and isinstance(line[-1], str) and line[-1].endswith("\n")
            after_space = bool(line) and isinstance(line[-1], str) and line[-1].endswith(" ")
            if after_line or (after_space and taken + long > width):
                yield line
                line, taken = [], 0
            line.append(word)
            taken += long
    if line or not taken:
        yield line or [""]


# --- checking ---------------------------------------------------------------------------------------


def check_replaced(before: PythonText, node: ast.expr, after: str, pieces: Pieces) -> None:
    """See that the literal says what was meant, and that nothing else has changed.

    Raises:
        ByHandError: when the file doesn't parse any more, or says something else.
    """
    fields = dict(zip(fields_of(before.parts(node)), _fields_in(node), strict=True))
    meant = _joined([fields[piece.raw] if isinstance(piece, Field) else piece for piece in pieces if piece])
    new = PythonText(after)
    start = before.span(node)[0]
    for each in ast.walk(new.tree):
        if not isinstance(each, ast.Constant | ast.JoinedStr) or new.span(each)[0] != start:
            continue
        if _said(each) == meant and list(_shape(new.tree, each)) == list(_shape(before.tree, node)):
            return
    raise ByHandError("writing it would change more than this text")


def _fields_in(node: ast.expr) -> list[Field]:
    """The fields of an f-string as they were understood."""
    values = node.values if isinstance(node, ast.JoinedStr) else []
    return [Field(ast.dump(value)) for value in values if isinstance(value, ast.FormattedValue)]


def _said(node: ast.Constant | ast.JoinedStr) -> Pieces:
    """Constant text and fields of a literal."""
    values = node.values if isinstance(node, ast.JoinedStr) else [node]
    pieces: list[str | Field] = [
        str(value.value) if isinstance(value, ast.Constant) else Field(ast.dump(value)) for value in values
    ]
    return _joined([piece for piece in pieces if piece])


def _shape(value: object, left_out: ast.expr) -> Iterator[object]:
    """Everything that a tree says, but for one of its expressions."""
    if value is left_out:
        yield ...
    elif isinstance(value, ast.AST):
        yield type(value)
        for name, each in ast.iter_fields(value):
            yield name
            yield from _shape(each, left_out)
    elif isinstance(value, list):
        yield len(value)
        for each in value:
            yield from _shape(each, left_out)
    else:
        yield type(value), repr(value)
