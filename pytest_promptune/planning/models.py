"""The models that apps hold or name: whether they could be called, and what that may cost."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from pytest_promptune.core.codec import canonical
from pytest_promptune.core.display import clean
from pytest_promptune.core.errors import ScoreError
from pytest_promptune.core.model import Case, Variant
from pytest_promptune.core.planning import Check, Estimate, MatrixRow, Place
from pytest_promptune.core.prices import Price, Tokens
from pytest_promptune.core.rough import RoughApp, rough_estimate
from pytest_promptune.core.values import dataclass
from pytest_promptune.langgraph.held import held_models
from pytest_promptune.langgraph.prices import Model, PriceList
from pytest_promptune.langgraph.providers import (
    PROVIDERS,
    ModelNeeds,
    NamedModel,
    has_key,
    key_of_class,
    named_models,
    needs_of,
)
from pytest_promptune.planning.made import MadeModels, is_installed, limit_of


@dataclass(slots=True)
class _Seen:
    """What was seen of one app."""

    steps: int = 0
    models: dict[int, Any] = field(default_factory=dict)
    #: What was looked through, by id; kept, so that no other object gets the id.
    apps: dict[int, object] = field(default_factory=dict)


class AppModels:
    """Collects what apps hold, app by app; nothing of them is called."""

    def __init__(
        self,
        prices: Mapping[str, Price],
        environment: Mapping[str, str] | None = None,
        *,
        root: Path,
        variants: Path | None = None,
        calls: Sequence[str] = (),
    ) -> None:
        """Nothing is seen yet.

        Args:
            prices: of the ini file.
            environment: variables; those of the process by default.
            root: of the project, whose source is read.
            variants: the folder of the variants, whose texts are not the app's.
            calls: functions that call a model in a way of their own, as ``app.services:call``.
        """
        self._prices = PriceList(prices)
        self._environment = os.environ if environment is None else environment
        self._made = MadeModels(self._environment, root=root, variants=variants, calls=calls)
        self._apps: dict[Place, _Seen] = {}
        self._classes: dict[type, None] = {}
        self._named: dict[NamedModel, str] = {}

    def look(self, place: Place, app: object) -> None:
        """Take in what an app holds, under one of its variants; only builders make another one for each."""
        seen = self._apps.setdefault(place, _Seen())
        if id(app) in seen.apps:
            return
        seen.apps[id(app)] = app
        held = held_models(app)
        self._made.look(place, app)
        seen.steps = max(seen.steps, held.steps)
        seen.models.update({id(model): model for model in held.models})
        self._classes.update(dict.fromkeys(held.classes))
        for table in held.settings:
            self._name(table, f"the app {place[0]}")

    def look_at(self, variant: Variant, context: Mapping[str, Any]) -> None:
        """Take in what a variant names, and the runtime context as `current` has it."""
        self._name(context, "the graph's context")
        for table in (variant.context, *variant.nodes.values()):
            self._name(table, f"variant {variant.name}")

    def _name(self, table: Mapping[str, Any], where: str) -> None:
        for named in named_models(table):
            self._named.setdefault(named, where)

    # --- what variants may change ---------------------------------------------------------------------

    @property
    def fields(self) -> frozenset[str]:
        """What the models that apps hold can be set to."""
        models = (model for seen in self._apps.values() for model in seen.models.values())
        return frozenset(name for model in models for name in getattr(type(model), "model_fields", ()))

    def nodes_calling(self, place: Place) -> tuple[str, ...] | None:
        """Paths of an app's nodes whose source calls a model; ``None`` where it couldn't be read."""
        return self._made.calling(place)

    def nodes_past_langchain(self, place: Place) -> frozenset[str]:
        """Paths of an app's nodes whose source calls providers by itself, and no model of LangChain's."""
        return self._made.past_langchain(place)

    def is_in_a_text_file(self, words: str) -> bool:
        """Whether a file of the project that is no module has these words."""
        return self._made.is_in_a_text_file(words)

    # --- the checklist --------------------------------------------------------------------------------

    def checks(self) -> list[Check]:
        """Lines about keys and packages; none where no model was seen."""
        return [*self._held_keys(), *self._made.checks(), *self._later_keys(), *self._named_checks()]

    def _needs(self) -> list[ModelNeeds]:
        models = {id(m): m for seen in self._apps.values() for m in seen.models.values()}
        found = (needs_of(model, self._environment) for model in models.values())
        return list(dict.fromkeys(needs for needs in found if needs.key))

    def _held_keys(self) -> list[Check]:
        needs = self._needs()
        lacking = [
            Check(
                status="failed",
                what="keys",
                text=f"{clean(str(each))} has none: set {each.key}, or make it with api_key=…",
            )
            for each in needs
            if not each.has_key
        ]
        fine = [clean(str(each)) for each in needs if each.has_key]
        given = Check(status="ok", what="keys", text=f"given to {', '.join(dict.fromkeys(fine))}")
        return [*lacking, *([given] if fine else [])]

    def _later_keys(self) -> list[Check]:
        """Classes of models that the app names, and of which the source doesn't say which node makes one."""
        known = self._made.keys
        lacking = {
            cls.__name__: key
            for cls in self._classes
            if (key := key_of_class(cls)) and key not in known and not self._is_set(key)
        }
        return [
            Check(
                status="warning",
                what="keys",
                text=f"{name} is made while the app runs, and {key} isn't set: it fails unless it is given "
                "api_key=…",
            )
            for name, key in lacking.items()
        ]

    def _is_set(self, variable: str) -> bool:
        return has_key(variable, self._environment)

    def _named_checks(self) -> list[Check]:
        """Models that are named ``provider:model``, which ``init_chat_model`` makes when they are needed."""
        is_certain = "langchain.chat_models" in sys.modules  # else the app may read such names by itself
        found: dict[Check, None] = {}
        for named, where in self._named.items():
            provider = PROVIDERS[named.provider]
            which = f"{clean(named.provider)}:{clean(named.name)} ({clean(where)})"
            if not is_installed(provider.module):
                text = (
                    f"{which} needs {provider.package}, which isn't installed: pip install {provider.package}"
                )
                found[Check(status="failed" if is_certain else "warning", what="packages", text=text)] = None
            if provider.key and not named.is_equipped and not self._is_set(provider.key):
                text = f"{which} needs {provider.key}, which isn't set"
                found[Check(status="failed" if is_certain else "warning", what="keys", text=text)] = None
        return list(found)

    # --- estimates ------------------------------------------------------------------------------------

    def rough(
        self, rows: Iterable[MatrixRow], *, cases: Sequence[Case], templates: Mapping[str, str]
    ) -> dict[Place, Estimate]:
        """Rough estimates of the apps in which a model was seen, itself or in the source of its nodes.

        Args:
            rows: of the matrix.
            cases: that would be measured.
            templates: texts of the app's templates.
        """
        texts = {case.id: text for case in cases if (text := _text(case)) is not None}
        found = {}
        for row in rows:
            app = self._rough_app(row.place, list(templates.values()))
            if app.prices:
                inputs = [texts[case] for case in row.cases if case in texts]
                found[row.place] = rough_estimate(
                    row.place, app, calls=row.calls, at_least=(row.at_least or row).calls, inputs=inputs
                )
        return found

    def _rough_app(self, place: Place, templates: Sequence[str]) -> RoughApp:
        """What is seen of an app: the models that it holds, and those that its source says it makes."""
        seen = self._apps.get(place, _Seen())
        held, made = self._called(seen), self._made.uses(place)
        names = list(dict.fromkeys(clean(use.model) for use in made if use.model))
        return RoughApp(
            steps=max(1, seen.steps, self._made.steps(place)),
            limits=[*(each.max_tokens for each in held), *map(limit_of, made)],
            prices=[
                *(self._price(Model(asked=each.name, url=each.url)) for each in held),
                *(self._price(Model(asked=use.model, provider=use.provider)) for use in made),
            ],
            templates=templates,
            made=names,
            makes_unknown=any(use.model is None for use in made),
        )

    def _called(self, seen: _Seen) -> list[ModelNeeds]:
        """The models of an app that have a name; a test's double has none."""
        needs = [needs_of(model, self._environment) for model in seen.models.values()]
        return [each for each in needs if each.name]

    def _price(self, model: Model) -> Callable[[int, int], float | None]:
        return lambda read, written: self._prices.cost(Tokens(input=read, output=written), model)


def _text(case: Case) -> str | None:
    try:
        return canonical(case.input, where="input")
    except ScoreError:  # told of the cases themselves
        return None
