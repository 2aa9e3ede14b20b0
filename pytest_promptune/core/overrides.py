"""What a variant changes at the model calls of a node: its prompt, its examples, its parameters."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from pytest_promptune.core.display import clean, cut
from pytest_promptune.core.errors import TemplateMismatch, VariantError
from pytest_promptune.core.inversion import Template, has_unpaired, short_names
from pytest_promptune.core.model import Variant
from pytest_promptune.core.values import dataclass

_KEYS = ("prompt", "template", "prompt_from", "few_shot", "params")
#: Arguments of a model call that are no parameters of the model.
_RESERVED = (
    "callbacks",
    "config",
    "input",
    "ls_structured_output_format",
    "messages",
    "metadata",
    "run_id",
    "run_manager",
    "run_name",
    "structured_output_format",
    "tags",
)
_LONGEST_SHOWN = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOverride:
    """The changes of one node, ready to be applied."""

    node: str
    #: Forms of the old prompt: as it is written, and as ``strip`` and ``dedent`` leave it; each with its
    #: double braces as braces, and as they stand.
    old: tuple[Template, ...] = ()
    new: Template | None = None
    #: Pairs of a message and its answer.
    few_shot: tuple[tuple[str, str], ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    #: The app was built for the variant and may render the new prompt itself.
    may_be_new: bool = False

    @property
    def where(self) -> str:
        """For messages of a sample, beside which its variant stands anyway."""
        return f"node {self.node!r}"

    def rewritten(self, text: str) -> str | None:
        """The new prompt with the values that `text` was rendered with; ``None``: it is not this prompt.

        Raises:
            TemplateMismatch: where the values can't be told apart, and that matters.
        """
        assert self.new is not None
        for template in self.old:
            texts = {self.new.fill(values) for values in template.splits(text)}
            if len(texts) > 1:
                raise TemplateMismatch(
                    f"{self.where}: the rendered prompt can be split in several ways, because a value "
                    f"contains the text between two placeholders: {shown(text)}. Use another way for this "
                    "node: a Jinja2 template, [context], or a builder."
                )
            if texts:
                return texts.pop()
        if self.may_be_new and self.new.splits(text):
            return text
        return None

    def mismatch(self, texts: list[str]) -> TemplateMismatch:
        """No message of a call is the old prompt."""
        said = "; ".join(map(shown, texts)) or "nothing but other roles"
        old = self.old[0].fill({name: f"{{{name}}}" for name in self.old[0].names})
        return TemplateMismatch(
            f"{self.where}: the template no longer matches what the app renders. The template: "
            f"{shown(old)}. The system and user messages of the call: {said}. Copy the prompt from the app "
            "into template, or correct prompt_from."
        )


def shown(text: str) -> str:
    """A text from an app or a model within a message."""
    return repr(cut(clean(text), _LONGEST_SHOWN))


def read_overrides(variant: Variant, *, built: bool = False) -> dict[str, NodeOverride]:
    """The overrides of a variant's ``[nodes]``, by node path.

    Args:
        variant: with ``template`` in place of each ``prompt_from``.
        built: the app is built for each variant.

    Raises:
        VariantError: with everything that is wrong with them.
    """
    found: dict[str, NodeOverride] = {}
    problems: list[str] = []
    for node, table in variant.nodes.items():
        try:
            found[node] = _read(node, table, built=built)
        except VariantError as error:
            problems.append(f"variant {variant.name!r}, nodes.{node}: {error}")
    if problems:
        raise VariantError("\n".join(problems))
    return found


def _read(node: str, table: Mapping[str, Any], *, built: bool) -> NodeOverride:
    if not isinstance(table, Mapping):
        raise VariantError("not a table. Give prompt (with template or prompt_from), few_shot or params.")
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise VariantError(f"unknown key {key!r}; a node has {', '.join(_KEYS)}.{hint}")
    for key in ("prompt", "template", "prompt_from"):
        if not isinstance(table.get(key, ""), str):
            raise VariantError(f'{key} is not a text. Write {key} = "…".')
    few_shot, params = _examples(table.get("few_shot", [])), _params(table.get("params", {}))
    old, new = _prompts(table)
    if new is None and not few_shot and not params:
        raise VariantError(
            "it changes nothing. Add prompt (with template or prompt_from), few_shot or params."
        )
    return NodeOverride(node=node, old=old, new=new, few_shot=few_shot, params=params, may_be_new=built)


def _prompts(table: Mapping[str, Any]) -> tuple[tuple[Template, ...], Template | None]:
    prompt, template = table.get("prompt"), table.get("template")
    if prompt is None:
        if template is None and "prompt_from" not in table:
            return (), None
        raise VariantError("it has the old prompt, but no new one. Add prompt, or remove the old one.")
    if template is None and "prompt_from" in table:
        raise VariantError("the text at its prompt_from was not read.")
    if template is None:
        raise VariantError(
            "it has a prompt, but doesn't say what it replaces. Add template (the text in the app, with "
            '{placeholders}) or prompt_from = "file.py:12".'
        )
    old = Template.parse(template)
    if pair := old.touching:
        raise VariantError(
            f"in the old prompt {{{pair[0]}}} and {{{pair[1]}}} stand side by side, so that their values "
            "can't be told apart. Use another way for this node: a Jinja2 template, [context], or a builder."
        )
    if old.is_bare:
        raise VariantError(
            "the old prompt has no words of its own, so that every message would match. Give the prompt's "
            "constant text, or use few_shot."
        )
    if has_unpaired(prompt):
        raise VariantError(
            "the new prompt has a }} that closes no {{, so that a brace would be missing. Write {{ and }} "
            'for every brace, as {{"a": {{"b": 1}}}}.'
        )
    new = _with_the_names_of(old, Template.parse(prompt))
    _compare(set(old.names), set(new.names))
    forms = (template, template.strip(), textwrap.dedent(template), textwrap.dedent(template).strip())
    parsed = (Template.parse(form, verbatim=verbatim) for verbatim in (False, True) for form in forms)
    return tuple(dict.fromkeys(parsed)), new


def _with_the_names_of(old: Template, new: Template) -> Template:
    return new.renamed(short_names(tuple(dict.fromkeys(old.names))))


def _compare(old: set[str], new: set[str]) -> None:
    if old == new:
        return
    missing, unknown = sorted(old - new), sorted(new - old)
    said = [f"lacks {_listed(missing)}"] if missing else []
    said += [f"uses {_listed(unknown)}, which the old one doesn't have"] if unknown else []
    known = _listed(sorted(old)) if old else "none"
    raise VariantError(
        f"the new prompt {' and '.join(said)}. Both need the same placeholders; the old prompt's: {known}. "
        "Write {{ and }} for braces."
    )


def _listed(names: list[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


def _examples(value: object) -> tuple[tuple[str, str], ...]:
    pairs: list[Any] = list(value) if isinstance(value, list | tuple) else [None]
    for pair in pairs:
        if not isinstance(pair, list | tuple) or list(map(type, pair)) != [str, str]:
            raise VariantError(
                'few_shot is a list of pairs of texts. Write few_shot = [["a message", "its answer"]].'
            )
    return tuple((pair[0], pair[1]) for pair in pairs)


def _params(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise VariantError("params is not a table. Write params = { temperature = 0.0 }.")
    for name in value:
        if name in _RESERVED:
            raise VariantError(f"params.{name} is no parameter of a model. Remove it.")
    return dict(value)
