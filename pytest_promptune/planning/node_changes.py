"""Whether what variants change of nodes would arrive, as far as source and stored samples say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_promptune.core.display import clean, count, some
from pytest_promptune.core.errors import TemplateMismatch, VariantError
from pytest_promptune.core.model import Prompt, Variant
from pytest_promptune.core.overrides import NodeOverride, read_overrides
from pytest_promptune.core.parameters import meant_parameter
from pytest_promptune.core.planning import Place
from pytest_promptune.core.values import dataclass
from pytest_promptune.planning.models import AppModels
from pytest_promptune.planning.sent import Sent, SentPrompt, sent_by
from pytest_promptune.store.log import Location

#: Messages that the app writes, as the chat-model boundary reads them.
_ROLES = ("system", "human", "developer", "chat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What would go wrong with a variant."""

    variant: str
    text: str
    #: Nothing speaks against it.
    is_certain: bool = False


class NodeChanges:
    """Collects apps, then looks at the variants."""

    def __init__(self, models: AppModels, *, location: Location | None, root: Path) -> None:
        """No app is known yet.

        Args:
            models: of the apps, as they are seen.
            location: of the experiment log.
            root: of the project.
        """
        self._models = models
        self._location = location
        self._root = root
        self._known: dict[Place, frozenset[str]] = {}

    def look(self, place: Place, nodes: frozenset[str]) -> None:
        """Take in an app with the paths of its nodes that are known without running it."""
        self._known[place] = nodes | self._known.get(place, frozenset())

    def doubts(self, variants: Sequence[Variant]) -> list[Doubt]:
        """What would go wrong, variant by variant; one whose overrides can't be read is told of elsewhere."""
        found: list[Doubt] = []
        readable = [(variant.name, overrides) for variant in variants if (overrides := _readable(variant))]
        wanted = {
            (place, node): None for _, overrides in readable for node in overrides for place in self._known
        }
        sent = sent_by(self._location, list(wanted), root=self._root)
        for name, overrides in readable:
            for override in overrides.values():
                texts = [*self._parameters(override), *self._silence(override, sent)]
                found += [Doubt(variant=name, text=text) for text in dict.fromkeys(texts)]
                if override.new is not None:
                    found += self._mismatches(name, override, sent)
        return found

    def _parameters(self, override: NodeOverride) -> Iterator[str]:
        for name in override.params:
            if meant := meant_parameter(name, self._models.fields):
                yield (
                    f"{override.where}: params.{clean(name)} is no usual parameter of a chat model. Did you "
                    f"mean {meant!r}?"
                )

    def _silence(self, override: NodeOverride, sent: Mapping[tuple[Place, str], Sent]) -> Iterator[str]:
        """A node that calls no model, in every app that has it."""
        path = override.node
        having = [place for place, nodes in self._known.items() if path in nodes]
        for place in having:
            calling = self._models.nodes_calling(place)
            if calling is None or (place, path) in sent:
                continue
            if path in self._models.nodes_past_langchain(place):
                yield (
                    f"{override.where}: its source calls the provider itself, past LangChain's chat models: "
                    "such a change doesn't arrive. Use another way for this node: a Jinja2 template, "
                    "[context], or a builder."
                )
            if _is_below(path, calling):
                continue
            inner = [each for each in calling if each.startswith(f"{path}/")]
            others = [each for each in calling if each not in inner]
            advice = (
                f"Models are called further inside: name {' or '.join(map(repr, inner))}."
                if inner
                else f"Nodes that do: {some(others)}."
                if others
                else "No node does."
            )
            yield (
                f"{override.where}: its source shows no call of a model, and a change that reaches none "
                f"makes each sample an error. {advice}"
            )

    def _mismatches(
        self, variant: str, override: NodeOverride, sent: Mapping[tuple[Place, str], Sent]
    ) -> Iterator[Doubt]:
        for place in self._known:
            stored = sent.get((place, override.node))
            wrong = (
                [(each, why) for each in stored.prompts if (why := _refuted(override, each.prompt))]
                if stored
                else []
            )
            if stored and wrong:
                is_certain = stored.is_of_this_app and not self._may_have_changed(override, wrong)
                yield Doubt(variant=variant, text=_told(stored, wrong, is_certain), is_certain=is_certain)

    def _may_have_changed(self, override: NodeOverride, wrong: Sequence[tuple[SentPrompt, str]]) -> bool:
        """Whether the prompt may be another one by now though no module is: it, or what it is read from."""
        words = max((part.strip() for form in override.old for part in form.parts), key=len)
        is_part = any(words in text for each, _ in wrong for _, text in each.prompt)
        return is_part or self._models.is_in_a_text_file(words)


def _readable(variant: Variant) -> Mapping[str, NodeOverride]:
    try:
        return read_overrides(variant)
    except VariantError:
        return {}


def _is_below(path: str, calling: Sequence[str]) -> bool:
    """Whether it calls a model, or an agent that the source makes in a node above it may."""
    return any(path == each or path.startswith(f"{each}/") for each in calling)


def _refuted(override: NodeOverride, prompt: Prompt) -> str:
    """Why a call would be refused that sends these messages; nothing where it would not."""
    texts = [text for role, text in prompt if role in _ROLES]
    try:
        fits = any(override.rewritten(text) is not None for text in texts)
    except TemplateMismatch as error:
        return str(error)
    return "" if fits else str(override.mismatch(texts))


def _told(stored: Sent, wrong: Sequence[tuple[SentPrompt, str]], is_certain: bool) -> str:
    (first, why), number = wrong[0], len(stored.prompts)
    which = f"{len(wrong):,} of {count(number, 'prompt')}" if number > 1 else "the prompt"
    more = "" if is_certain else " Unless the app's prompt was changed since then, such samples are errors."
    return (
        f"{why} That is so for {which} that experiment {stored.experiment} has of this node, such as case "
        f"{clean(first.case_id)}, run {first.run}.{more}"
    )
