"""The texts among what reaches a model, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pytest_promptune.core.nodes.model import PromptText
from pytest_promptune.langgraph.nodes.contents import contents
from pytest_promptune.langgraph.nodes.sources import Sources
from pytest_promptune.langgraph.nodes.values import Value

_LETTER = re.compile(r"[^\W\d_]")
_INNER_SPACE = re.compile(r"\S\s+\S")
#: Scripts without spaces: so many signs are a text.
_SIGNS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{4}")
#: A text of so few words without a role, beside longer ones, is filled into one of them.
_FEW_WORDS = 3
_ONLY_PLACEHOLDER = re.compile(r"\s*(?:\{[^{}]*\}\s*)+")


def prompt_of(values: Iterable[Value], sources: Sources, near: str | None) -> Iterator[PromptText]:
    """Texts of a prompt, each once, with their places.

    Args:
        values: what reaches the model.
        sources: where texts are looked for that are objects by now, and files that are prompts.
        near: the file that is looked at first.
    """
    found = list(_texts(values, sources, near))
    has_long = any(len(text.text.split()) > _FEW_WORDS for text in found)
    for text in found:
        if (
            text.role is not None
            or not has_long
            or len(text.text.split()) > _FEW_WORDS
            or _SIGNS.search(text.text)
        ):
            yield text  # without those that are only filled into a longer one


def _texts(values: Iterable[Value], sources: Sources, near: str | None) -> Iterator[PromptText]:
    seen = set()
    for value in values:
        is_text = value.is_text or (value.objects and all(isinstance(item, str) for item in value.objects))
        for text in contents(value).texts:
            placed = _placed(text, sources, near)
            if placed is not None and placed.text not in seen:
                seen.add(placed.text)
                yield replace(placed, role="human") if is_text and placed.role is None else placed


def _placed(text: PromptText, sources: Sources, near: str | None) -> PromptText | None:
    if (file := sources.text_file(text.text) or sources.prompt_file(text.text)) is not None:
        return PromptText(text=file.text, file=file.file, line=file.line)
    if not _is_prose(text.text):
        return None
    if text.file is not None:
        return text
    found = sources.locate(text.text, near)
    return replace(text, file=found.file, line=found.line) if found is not None else text


def _is_prose(text: str) -> bool:
    """Whether it says something, unlike keys, roles, separators and bare placeholders."""
    if _ONLY_PLACEHOLDER.fullmatch(text) or not _LETTER.search(text):
        return False
    return bool(_INNER_SPACE.search(text) or _SIGNS.search(text))
