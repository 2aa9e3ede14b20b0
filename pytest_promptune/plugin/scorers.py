"""The fixtures that tests name as scorers in their marks."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.scorers import Scorer, scorer_of
from pytest_promptune.core.values import dataclass
from pytest_promptune.plugin.fixtures import no_scorer, too_narrow

_Outcomes: Any = (Exception, pytest.skip.Exception, pytest.fail.Exception)


@dataclass(slots=True)
class _Origin:
    """Where a fixture's value comes from; keeps the value alive, so that its id stays its own."""

    value: object
    home: str
    scope: str
    scorer: Scorer | None = None

    @property
    def everywhere(self) -> bool:
        return self.scope != "module" and not self.home.endswith(".py")


class ScorerFixtures:
    """Asks for scorers when their first item needs them."""

    def __init__(self) -> None:
        self._of_app: dict[str, dict[str, None]] = {}
        self._names: set[str] = set()
        #: By name of the fixture and identity of its value.
        self._origins: dict[tuple[str, int], _Origin] = {}
        #: Modules from which a fixture can't be had for others.
        self._out_of_reach: set[tuple[str, str]] = set()

    def expect(self, items: Sequence[PlannedItem]) -> None:
        """Take in the selected items."""
        for item in items:
            self._of_app.setdefault(item.marks.app, {}).update(dict.fromkeys(item.marks.scorers))
            self._names.update(item.marks.scorers)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Remember where a scorer comes from."""
        value = yield
        if fixturedef.argname in self._names:
            origin = _Origin(value, str(fixturedef.baseid), fixturedef.scope)
            self._origins[fixturedef.argname, id(value)] = origin
        return value

    def given(self, request: pytest.FixtureRequest, planned: PlannedItem) -> PlannedItem:
        """The item with its scorers and those of others that may share its sample, as far as in reach.

        Raises:
            PromptuneError: when one of its own doesn't exist, can't be a scorer, or is gone too early.
        """
        if not self._names:
            return planned
        found = [self._own(request, name) for name in planned.marks.scorers]
        for name in self._of_app.get(planned.marks.app, ()):
            if name not in planned.marks.scorers and (planned.module, name) not in self._out_of_reach:
                other = self._other(request, name)
                if other is None:
                    self._out_of_reach.add((planned.module, name))
                else:
                    found.append(other)
        return replace(planned, scorers=tuple(found)) if found else planned

    def _own(self, request: pytest.FixtureRequest, name: str) -> Scorer:
        try:
            value = request.getfixturevalue(name)
        except pytest.FixtureLookupError as error:
            if error.argname != name:
                raise
            raise PromptuneError(no_scorer(request.node.nodeid, name)) from None
        origin = self._origin(name, value)
        if origin.scope in ("function", "class"):
            raise PromptuneError(too_narrow("scorer", name, origin.scope))
        return self._scorer(name, origin)

    def _other(self, request: pytest.FixtureRequest, name: str) -> Scorer | None:
        """A scorer of other items; what is wrong with it, they will show."""
        try:
            origin = self._origin(name, request.getfixturevalue(name))
            return self._scorer(name, origin) if origin.scope not in ("function", "class") else None
        except _Outcomes:
            return None

    def _origin(self, name: str, value: object) -> _Origin:
        return self._origins.setdefault((name, id(value)), _Origin(value, "", "session"))

    def _scorer(self, name: str, origin: _Origin) -> Scorer:
        if origin.scorer is None:
            origin.scorer = scorer_of(origin.value, name=name, home=origin.home, everywhere=origin.everywhere)
        return origin.scorer
