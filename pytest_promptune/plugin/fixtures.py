"""What is known of fixtures: those that were set up, and whether those exist that tests name in their marks.

A fixture that is named in a signature pytest looks up itself. The app is named in a mark, and would be
missed only when the first test of its module is set up, after the calls that earlier modules paid for.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.plugin.state import callspec_of

#: What ``@pytest.fixture`` leaves in a module.
_Definition: Any = type(pytest.fixture(lambda: None))


class KnownFixtures:
    """Scope, home and needs of the fixtures that were set up: an app must outlive its samples."""

    def __init__(self) -> None:
        self._known: dict[str, pytest.FixtureDef[Any]] = {}
        self._needed: dict[str, frozenset[str] | None] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """A fixture is set up."""
        name = fixturedef.argname
        if self._known.get(name) is not fixturedef:
            self._known[name] = fixturedef
            self._needed.clear()

    def scope_of(self, name: str) -> str | None:
        """How long its value lives, ``None`` for one that was not set up."""
        return self._known[name].scope if name in self._known else None

    def is_everywhere(self, name: str) -> bool:
        """Whether it may serve several modules."""
        known = self._known.get(name)
        return known is None or (known.scope != "module" and not str(known.baseid).endswith(".py"))

    def needed_by(self, name: str) -> frozenset[str] | None:
        """The fixtures that a fixture is made of; ``None`` where one of them asks for others as it runs."""
        if name not in self._needed:
            found: set[str] = set()
            left = [name]
            while left:
                one = left.pop()
                if one not in found:
                    found.add(one)
                    left.extend(self._known[one].argnames if one in self._known else ())
            self._needed[name] = None if "request" in found else frozenset(found)
        return self._needed[name]


class Homes:
    """Where the fixtures are defined that items see under a name, without setting them up."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, str], str | None] = {}

    def of(self, item: pytest.Item, name: str) -> str | None:
        """Class or module by its node id, folder of a conftest.py, or ``""`` for a plugin's.

        ``None`` for what is made at run time. Two items that see different fixtures under one name have
        different apps.
        """
        place = (item.parent, name)
        if place not in self._known:
            self._known[place] = self._find(item, name)
        return self._known[place]

    def _find(self, item: pytest.Item, name: str) -> str | None:
        for node in reversed(item.listchain()):
            defines = isinstance(node, pytest.Class | pytest.Module) and _defines(node.obj, name)
            if defines:
                return node.nodeid
        root, plugins = item.config.rootpath, item.config.pluginmanager.get_plugins()
        homes = [_folder(p, root) for p in plugins if _reaches(p, item.path) and _defines(p, name)]
        return max(homes, key=_closeness, default=None)


def _closeness(home: str) -> int:
    """Of folders above an item; a plugin, which has none, is the farthest."""
    return len(Path(home).parts) if home else -1


def _folder(plugin: object, root: Path) -> str:
    file = getattr(plugin, "__file__", None)
    if file is None or Path(file).name != "conftest.py":
        return ""
    folder = Path(file).parent
    return (folder.relative_to(root) if folder.is_relative_to(root) else folder).as_posix()


def no_app(nodeid: str, name: str) -> str:
    """What is wrong with a test whose app doesn't exist."""
    return (
        f"{nodeid}: there is no fixture {name!r}, which should give the app. Write it with "
        '@pytest.fixture(scope="session"), or name another one with @pytest.mark.promptune(app="…").'
    )


def no_scorer(nodeid: str, name: str) -> str:
    """What is wrong with a test one of whose scorers doesn't exist."""
    return (
        f"{nodeid}: there is no fixture {name!r}, which should give a scorer. Write it with "
        '@pytest.fixture(scope="session"), or take it out of @pytest.mark.promptune(scorers=[…]).'
    )


def too_narrow(what: str, name: str, scope: str) -> str:
    """What is wrong with an app or a scorer that doesn't outlive its test."""
    return (
        f"the {what} fixture {name!r} has scope {scope!r}, but samples are generated ahead of the tests and "
        'shared by them: use @pytest.fixture(scope="session") (or "module", "package").'
    )


def refuse_missing(items: Iterable[tuple[pytest.Item, PlannedItem]]) -> None:
    """Find apps and scorers that don't exist, without building those that do.

    Raises:
        PromptuneError: for the first test whose app or one of whose scorers doesn't exist.
    """
    checked: set[tuple[object, str]] = set()
    for item, planned in items:
        for name in (planned.marks.app, *planned.marks.scorers):
            if (item.parent, name) in checked:
                continue
            checked.add((item.parent, name))
            if not _is_in_sight(item, name) and not _exists(item, name):
                told = no_app if name == planned.marks.app else no_scorer
                raise PromptuneError(told(item.nodeid, name))


def _is_in_sight(item: pytest.Item, name: str) -> bool:
    """Whether the test's class or module, a conftest.py above it, or a plugin defines the fixture."""
    if name in callspec_of(item).params:
        return True
    places = [getattr(item, "cls", None), getattr(item, "module", None)]
    places += [p for p in item.config.pluginmanager.get_plugins() if _reaches(p, item.path)]
    return any(_defines(place, name) for place in places if place is not None)


def _reaches(plugin: object, path: Path) -> bool:
    file = getattr(plugin, "__file__", None)
    return file is None or Path(file).name != "conftest.py" or Path(file).parent in path.parents


def _defines(place: object, name: str) -> bool:
    scopes = place.__mro__ if isinstance(place, type) else (place, type(place))
    return any(
        isinstance(value, _Definition) and value.name == name
        for scope in scopes
        for value in getattr(scope, "__dict__", {}).values()
    )


def _exists(item: pytest.Item, name: str) -> bool:
    """Ask pytest, which knows fixtures that a plugin made at run time: set up a test that requests it."""

    def probe(request: pytest.FixtureRequest) -> None:
        """Never called: its setup gives the request."""

    module = item.getparent(pytest.Module) or item.parent
    function = pytest.Function.from_parent(module, name="promptune_probe", callobj=probe)
    try:
        item.ihook.pytest_runtest_setup(item=function)
        given: Any = function.funcargs["request"]
        given.getfixturevalue(name)
    except pytest.FixtureLookupError as error:
        return error.argname != name
    except (Exception, pytest.skip.Exception, pytest.fail.Exception):
        return True  # something else is wrong, which the tests themselves will show
    finally:
        item.ihook.pytest_runtest_teardown(item=function, nextitem=None)
    return True
