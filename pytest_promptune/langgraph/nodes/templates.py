"""The text that a Jinja2 environment of the app gives by the name of a template."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from pytest_promptune.core.nodes.model import PromptText
from pytest_promptune.langgraph.nodes.models import constant_text
from pytest_promptune.langgraph.nodes.sources import Sources
from pytest_promptune.langgraph.nodes.values import Arguments, Value

#: Loaders of Jinja2 itself, which only read; one of the app is code that isn't run.
_LOADERS = ("FileSystemLoader", "PackageLoader", "DictLoader")


def template_of(base: Value, method: str, given: Arguments, sources: Sources) -> Value | None:
    """What ``env.get_template("name")`` gives.

    Returns:
        None for other methods, and where no environment is known that has the template.
    """
    name = constant_text(given.get(0, "name")) if method == "get_template" else None
    if name is None:
        return None
    for env in base.objects:
        if _is_plain_environment(env):
            with suppress(Exception):  # whatever a loader raises for a template that it hasn't got
                text, file, _ = env.loader.get_source(env, name)
                placed = PromptText(text=text, file=sources.name(file), line=1) if file else None
                return Value(texts=(placed or PromptText(text=text),))
    return None


def _is_plain_environment(env: Any) -> bool:
    jinja2 = sys.modules.get("jinja2")
    return jinja2 is not None and isinstance(env, jinja2.Environment) and _is_plain(jinja2, env.loader)


def _is_plain(jinja2: Any, loader: Any) -> bool:
    """Whether a loader and those that it asks are Jinja2's own."""
    if type(loader) is jinja2.ChoiceLoader:
        return all(_is_plain(jinja2, one) for one in loader.loaders)
    if type(loader) is jinja2.PrefixLoader:
        return all(_is_plain(jinja2, one) for one in loader.mapping.values())
    return any(type(loader) is getattr(jinja2, name) for name in _LOADERS)
