"""A new prompt in the form in which the app's source has the old one: with its placeholders and braces."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence

from pytest_promptune.adopting.values import ByHandError
from pytest_promptune.core.inversion import Template, braces, placeholders, short_names
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """A placeholder as it stands in the source, ``{state["q"]!r}``."""

    raw: str


#: Constant text and placeholders, in order.
Pieces = tuple["str | Field", ...]

Form = Callable[[str], str]

_FORMS: tuple[Form, ...] = (
    lambda text: text,
    str.strip,
    textwrap.dedent,
    lambda text: textwrap.dedent(text).strip(),
)
_BRACES = ("{", "}")


def form_of(template: str, old: str) -> Form | None:
    """What makes the `old` prompt of a variant of the source's text; ``None`` where that is another prompt.

    Their placeholders may have other names; `strip` and `dedent` may have been applied to the text.
    """
    wanted = Template.parse(old).parts
    return next((form for form in _FORMS if Template.parse(form(template)).parts == wanted), None)


def pieces_of(prompt: str, *, old: str, fields: Sequence[str]) -> Pieces:
    """The new prompt, with the source's own placeholders in place of the names that the variant gives them.

    Args:
        prompt: the new one.
        old: the prompt that it replaces, as the variant has it.
        fields: placeholders of the source in their order, those of `old` in the same order.

    Raises:
        ByHandError: where one name stands for placeholders that are written differently.
    """
    names = [name for name, _ in placeholders(old)]
    if len(names) != len(fields):
        raise ByHandError("its placeholders are not those of the old prompt")
    raw: dict[str, str] = {}
    for name, field in zip(names, fields, strict=True):
        if raw.setdefault(name, field) != field:
            raise ByHandError(f"the placeholder {{{name}}} is written in several ways: {raw[name]}, {field}")
    new = Template.parse(prompt).renamed(short_names(tuple(dict.fromkeys(names))))
    pieces: list[str | Field] = [new.parts[0]]
    for name, part in zip(new.names, new.parts[1:], strict=True):
        if name not in raw:
            raise ByHandError(f"the old prompt has no placeholder {{{name}}}")
        pieces += [Field(raw[name]), part]
    return tuple(pieces)


def has_braces(pieces: Pieces) -> bool:
    """Whether its constant text has braces, which are doubled where the app formats the text."""
    return any(brace in piece for piece in pieces if isinstance(piece, str) for brace in _BRACES)


def is_never_formatted(template: str) -> bool:
    """Whether a constant can't be what `str.format` is called on: it has braces that stand alone."""
    return bool(braces(template) & {"{", "}", "{}"})


def plain(pieces: Pieces, *, doubled: bool) -> str:
    """The text of a constant with its placeholders in it.

    Args:
        pieces: of the prompt.
        doubled: the app formats the constant, so that its braces stand twice.
    """
    return "".join(
        piece.raw if isinstance(piece, Field) else _doubled(piece) if doubled else piece for piece in pieces
    )


def _doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def of_constant(pieces: Pieces, template: str, *, formatted: bool) -> str:
    """The new text of a constant of the source, or of a text file.

    Args:
        pieces: of the new prompt.
        template: the old text.
        formatted: the source shows that the app formats it.

    Raises:
        ByHandError: when it can't be told whether braces are to be doubled.
    """
    if not has_braces(pieces):
        return plain(pieces, doubled=False)
    if is_never_formatted(template):
        return plain(pieces, doubled=False)
    if not formatted:
        raise ByHandError(
            "the new prompt has braces, and the source doesn't show whether the app formats this text, which "
            "would need them twice"
        )
    return plain(pieces, doubled=True)


def laid_out(prompt: str, old: str, apply: Form) -> str:
    """`prompt` with the white space around it and the indentation that the `old` text has in the source.

    Args:
        prompt: without them.
        old: as it stands in the source.
        apply: what the app does to the text, `strip` or `dedent`; where the result of that would not be the
            prompt, it is given as it is.
    """
    body = old.strip()
    if not body or apply(old) == old:
        return prompt
    head, _, tail = old.partition(body)
    first, newline, indent = head.rpartition("\n")
    lines = (indent + body).split("\n")
    margin = _margin(lines if newline else lines[1:])
    for body in (prompt, prompt.strip("\n")):  # the white space may belong to the prompt itself
        indented = [margin + line if line.strip() else line for line in body.split("\n")]
        if not newline:
            indented[0] = head + body.partition("\n")[0]
        candidate = first + newline + "\n".join(indented) + tail
        if apply(candidate) == prompt:
            return candidate
    return prompt


def _margin(lines: Iterable[str]) -> str:
    """The white space that all lines begin with."""
    full = [line for line in lines if line.strip()]
    if not full:
        return ""
    dedented = textwrap.dedent("\n".join(full)).split("\n")
    return full[0][: len(full[0]) - len(dedented[0])]
