"""The models that an app's nodes make while they run, as its source says: what ``nodes`` knows of them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pytest_promptune.core.display import clean, some
from pytest_promptune.core.limits import OUTPUT_LIMITS
from pytest_promptune.core.nodes.model import ModelUse, Node
from pytest_promptune.core.planning import Check, Place
from pytest_promptune.core.values import dataclass
from pytest_promptune.langgraph.providers import Provider, has_key, provider_called

if TYPE_CHECKING:
    from pytest_promptune.langgraph.nodes.sources import Sources

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A model with the node that makes it."""

    node: str
    use: ModelUse
    provider: Provider

    @property
    def which(self) -> str:
        """``openai:gpt-4.1 (node classify)``."""
        name = self.use.model or "a model that is known then"
        return clean(f"{self.use.provider}:{name} (node {self.node})")

    @property
    def package(self) -> str:
        """What has to be installed: LangChain's package of the provider, or its own client."""
        return (self.provider.sdk if self.use.origin == "sdk" else None) or self.provider.package


class MadeModels:
    """Reads the source of apps; a node may never run, so whatever its model lacks is a warning."""

    def __init__(
        self, environment: Mapping[str, str], *, root: Path, variants: Path | None, calls: Sequence[str]
    ) -> None:
        """Nothing is read yet.

        Args:
            environment: variables.
            root: of the project.
            variants: the folder of the variants, whose texts are not the app's.
            calls: functions that call a model in a way of their own, as ``app.services:call``.
        """
        self._environment = environment
        self._root = root
        self._variants = variants
        self._declared = frozenset(calls)
        self._sources: Sources | None = None
        self._nodes: dict[Place, tuple[Node, ...]] = {}
        self._problems: dict[str, None] = {}

    def look(self, place: Place, app: object) -> None:
        """Read the source of an app; a builder makes another one for each variant."""
        if "langchain_core" not in sys.modules:  # nothing here calls a model
            return
        from pytest_promptune.langgraph.nodes.scanning import scan_app
        from pytest_promptune.langgraph.nodes.sources import Sources

        if self._sources is None:
            self._sources = Sources(self._root, variants=self._variants)
        try:
            found = scan_app(app, self._sources, declared=self._declared)
        except Exception as error:  # of sources that nobody has seen: the plan has more to say than this
            self._problems[f"{place[0]} can't be read ({type(error).__name__}: {clean(str(error))})"] = None
            return
        self._nodes[place] = (*self._nodes.get(place, ()), *found)

    def calling(self, place: Place) -> tuple[str, ...] | None:
        """Paths of an app's nodes that call a model; ``None`` where its source couldn't be read."""
        nodes = self._nodes.get(place)
        return None if nodes is None else tuple(dict.fromkeys(node.node for node in nodes))

    def past_langchain(self, place: Place) -> frozenset[str]:
        """Those that call providers by themselves, through a client or plain HTTP, and nothing else."""
        own = ("sdk", "posted")
        return frozenset(
            node.node
            for node in self._nodes.get(place, ())
            if node.models and all(use.origin in own for use in node.models)
        )

    def is_in_a_text_file(self, words: str) -> bool:
        """Whether a file of the project that is no module has these words."""
        files = self._sources.text_files.values() if self._sources is not None else ()
        return any(words in file.text for file in files)

    def steps(self, place: Place) -> int:
        """Places in the source where the nodes of an app call a model."""
        calls = {
            (node.node, call.file, call.line) for node in self._nodes.get(place, ()) for call in node.calls
        }
        return len(calls)

    def uses(self, place: Place) -> list[ModelUse]:
        """The models that nodes of an app make or call while they run, each once."""
        every = [use for node in self._nodes.get(place, ()) for use in node.models]
        return _once(use for use in every if use.origin not in (None, "held"))

    @property
    def keys(self) -> frozenset[str]:
        """The variables of all providers whose models are made."""
        return frozenset(made.provider.key for made in self._made() if made.provider.key)

    def _made(self) -> list[_Made]:
        return _once(
            _Made(node=node.node, use=use, provider=provider)
            for nodes in self._nodes.values()
            for node in nodes
            for use in node.models
            if use.origin in ("made", "sdk") and (provider := provider_called(use.provider)) is not None
        )

    # --- the checklist --------------------------------------------------------------------------------

    def checks(self) -> list[Check]:
        """Lines about keys, then those about packages; none where no node makes a model."""
        unread = [
            Check(
                status="warning",
                what="keys",
                text=f"The source of {problem}: what its nodes make while they run isn't checked.",
            )
            for problem in self._problems
        ]
        return [*unread, *self._key_checks(), *self._package_checks()]

    def _key_checks(self) -> Iterator[Check]:
        by_key: dict[str, list[_Made]] = {}
        for made in self._made():
            if made.provider.key and not made.use.is_equipped:
                by_key.setdefault(made.provider.key, []).append(made)
        for key, these in by_key.items():
            if has_key(key, self._environment):
                yield Check(status="ok", what="keys", text=f"{key} is set, for {_listed(these)}")
            else:
                text = (
                    f"{key} isn't set, and is needed for {_listed(these)}: made while the app runs, which "
                    "fails unless a key is given there in another way."
                )
                yield Check(status="warning", what="keys", text=text)

    def _package_checks(self) -> Iterator[Check]:
        by_package: dict[str, list[_Made]] = {}
        for made in self._made():
            by_package.setdefault(made.package, []).append(made)
        missing = {name: these for name, these in by_package.items() if not is_installed(_module(name))}
        for package, these in missing.items():
            text = (
                f"{package} isn't installed, and is needed for {_listed(these)}, made while the app runs: "
                f"pip install {package}"
            )
            yield Check(status="warning", what="packages", text=text)
        if there := [package for package in by_package if package not in missing]:
            text = f"installed for what nodes make: {', '.join(there)}"
            yield Check(status="ok", what="packages", text=text)


def limit_of(use: ModelUse) -> int | None:
    """How many tokens a model may write at most, as the source sets it."""
    limits = (use.params.get(name) for name in OUTPUT_LIMITS)
    return next((n for n in limits if isinstance(n, int) and not isinstance(n, bool)), None)


def _listed(these: Iterable[_Made]) -> str:
    return some(list(dict.fromkeys(made.which for made in these)))


def _once(items: Iterable[_T]) -> list[_T]:
    found: list[_T] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _module(package: str) -> str:
    return "google.genai" if package == "google-genai" else package.replace("-", "_")


def is_installed(module: str) -> bool:
    """Whether a module can be imported, as far as is seen without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False
