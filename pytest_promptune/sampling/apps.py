"""What an app fixture returned, as the app of each variant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from pytest_promptune.core.model import Variant
from pytest_promptune.langgraph.app import App, adapt, is_builder
from pytest_promptune.langgraph.held import held_models
from pytest_promptune.variants.active import applied


class BuiltApp:
    """One app object; a builder is asked once for each variant."""

    def __init__(self, name: str, value: object, run: Callable[[Callable[[], Any]], Any]) -> None:
        """Nothing is built yet.

        Args:
            name: of the fixture.
            value: what it returned.
            run: awaits a coroutine function in the session's loop.
        """
        self.name = name
        self.value = value
        self._run = run
        self._is_builder = is_builder(value)
        self._app = None if self._is_builder else adapt(value, name=name)
        self._by_variant: dict[str, App] = {}
        self._has_boundary = False

    def under(self, variant: Variant) -> App:
        """The app under a variant, built or checked the first time."""
        known = self._by_variant.get(variant.name)
        if known is None:
            app = self._app or self._build(variant)
            app.check(variant, built=self._is_builder)
            if variant.nodes:
                self._prepare_boundary()
            known = self._by_variant[variant.name] = app
        return known

    def default_context(self) -> Mapping[str, Any]:
        """The fields of the graph's runtime context and their defaults."""
        return self._app.default_context() if self._app else {}

    @cached_property
    def models(self) -> Mapping[str, tuple[str, ...]]:
        """The chat models that it holds, as it is called in reports: a builder's app by variant."""
        if self._app is not None:
            return {self.name: _models_of(self._app)}
        return {f"{self.name}({name})": _models_of(app) for name, app in self._by_variant.items()}

    def _prepare_boundary(self) -> None:
        """Let changes of nodes reach chat models, and see that they do."""
        if self._has_boundary:
            return
        from pytest_promptune.langgraph.self_test import prepare

        self._run(prepare)
        self._has_boundary = True

    def _build(self, variant: Variant) -> App:
        build: Any = self.value
        with applied(variant):
            app = build(variant) if _takes_by_position(build) else build(variant=variant)
        if hasattr(app, "__await__"):

            async def built() -> Any:
                return await app

            app = self._run(built)
        return adapt(app, name=f"{self.name}({variant.name})")


def _models_of(app: App) -> tuple[str, ...]:
    try:
        return held_models(app.target).described()
    except Exception:  # what it consists of may do anything when it is looked at, and may change meanwhile
        return ()


def _takes_by_position(build: Callable[..., Any]) -> bool:
    (parameter,) = inspect.signature(build).parameters.values()
    return parameter.kind is not inspect.Parameter.KEYWORD_ONLY
