"""From pytest's items to planned items: case, names, marks, and what is better not generated ahead."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_promptune.core.errors import PromptuneError, SettingsError
from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import Cell, PlannedItem
from pytest_promptune.plugin.items import planned_items, two_cases
from pytest_promptune.plugin.state import CELL

C1 = Case(id="c1", input={"q": 1})


def fake(
    params: dict[str, Any],
    *,
    identifier: str = "c1-current-run1",
    name: str = "tests/test_m.py::test_a",
    marks: Sequence[pytest.Mark] = (),
    fixtures: Sequence[str] = (),
) -> Any:
    """As much of an item as is looked at."""

    def iter_markers() -> Sequence[pytest.Mark]:
        return marks

    params = {**params, CELL: Cell(variant="current", run=1)}
    return SimpleNamespace(
        nodeid=f"{name}[{identifier}]",
        callspec=SimpleNamespace(params=params, id=identifier),
        fixturenames=["sample", "_promptune_cell", *fixtures],
        iter_markers=iter_markers,
        parent=None,
        listchain=list,
        config=SimpleNamespace(rootpath=Path("/project"), pluginmanager=SimpleNamespace(get_plugins=list)),
        path=Path("/project") / name.partition("::")[0],
    )


def planned(params: dict[str, Any], **more: Any) -> PlannedItem:
    return planned_items([fake(params, **more)])[0]


def test_the_simplest_item():
    """Case, cell, module and name; the app and everything else by default."""
    found = planned({"ticket": C1})
    assert found.case is C1
    assert found.cell == Cell(variant="current", run=1)
    assert (found.module, found.test, found.metric) == ("tests/test_m.py", "test_a", "test_a")
    assert found.nodeid == "tests/test_m.py::test_a[c1-current-run1]"
    assert (found.parameters, found.lazy) == ((), False)


def test_in_a_class():
    """The name is that of the module, class and all."""
    assert planned({"ticket": C1}, name="tests/test_m.py::TestX::test_a").test == "TestX::test_a"


def test_other_parameters():
    """Other parameters are part of the name and tell apps apart; their order doesn't matter."""
    found = planned(
        {"tone": "formal", "ticket": C1, "length": 3},
        identifier="formal-c1-3-current-run1",
    )
    assert found.test == found.metric == "test_a[formal-3]"
    assert found.parameters == (("length", 0), ("tone", 0))


def test_the_marker_names_the_metric():
    """metric= replaces the test's name and keeps the other parameters."""
    marks = [pytest.mark.promptune(metric="tone").mark]
    assert planned({"ticket": C1}, marks=marks).metric == "tone"


def test_marks_are_checked_with_their_place():
    """A wrong keyword is told with the item."""
    with pytest.raises(SettingsError, match=r"tests/test_m\.py::test_a\[c1-current-run1\]"):
        planned({"ticket": C1}, marks=[pytest.mark.promptune(rums=3).mark])


def test_two_cases_are_refused():
    """A test with two cases has no sample; both are named with their fixtures."""
    with pytest.raises(SettingsError) as caught:
        planned({"ticket": C1, "other": Case(id="c2", input={})})
    for part in ("ticket (c1)", "other (c2)", "test_a"):
        assert part in str(caught.value)
    assert two_cases("n", {"a": C1}).startswith("n: more than one Case")


def test_an_unknown_case_is_lazy():
    """A case that only the fixtures know can't be generated ahead."""
    found = planned({}, identifier="current-run1", fixtures=["ticket"])
    assert found.case is None
    assert found.lazy


def test_no_fixture_means_no_case():
    """A test that requests nothing but its sample and its app is refused when it is planned."""
    with pytest.raises(PromptuneError, match="looked at nothing"):
        planned({}, identifier="current-run1", fixtures=["promptune_app", "request"])


@pytest.mark.parametrize(
    "mark",
    [pytest.mark.skip, pytest.mark.skipif(False, reason="x"), pytest.mark.xfail(run=False)],
    ids=lambda mark: mark.name,
)
def test_what_may_not_run_is_lazy(mark):
    """Items that pytest may not run cost nothing ahead of time."""
    assert planned({"ticket": C1}, marks=[mark.mark]).lazy


@pytest.mark.parametrize(
    "mark", [pytest.mark.xfail, pytest.mark.local_llm, pytest.mark.usefixtures("x")], ids=str
)
def test_other_marks_are_not(mark):
    """An expected failure runs, and so does everything else."""
    assert not planned({"ticket": C1}, marks=[mark.mark]).lazy


# --- items as pytest makes them -------------------------------------------------------------------


@pytest.fixture
def collected(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[PlannedItem]]:
    """The planned items of a module, with ids as pytest writes them."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def collect(text: str) -> list[PlannedItem]:
        head = "import pytest\nfrom pytest_promptune import Case\n"
        path = pytester.makepyfile(test_m=head + text)
        items, _ = pytester.inline_genitems("-p", "pytest_promptune.plugin", path)
        return planned_items(items)

    return collect


IDS = ("grün", "日本", "a b", "a-b", "a\\b", "a[b]", "current", "1", "x::y", "tone")


def by_value(found: Sequence[PlannedItem], attribute: str) -> dict[str, set[Any]]:
    """What the items with one value of their other parameters have; told by the expected name's brackets."""
    grouped: dict[str, set[Any]] = {}
    for one in found:
        grouped.setdefault(one.test, set()).add(getattr(one, attribute))
    return grouped


def test_names_are_one_over_all_cases(collected):
    """Whatever the ids of the cases, a test with another parameter has one name for each of its values."""
    found = collected(
        f"CASES = [Case(id=i, input=i) for i in {IDS!r}]\n"
        "@pytest.mark.parametrize('case', CASES, ids=str)\n"
        "@pytest.mark.parametrize('tone', ['formal', 'a-b'])\n"
        "def test_a(case, tone, sample): ...\n"
    )
    assert {one.test for one in found} == {"test_a[formal]", "test_a[a-b]"}
    assert {one.case.id for one in found} == set(IDS)


@pytest.mark.parametrize("ids", ["ids=str", "", "ids=lambda case: case.input", "ids=['p', 'q']"])
def test_names_don_t_depend_on_how_cases_are_called(collected, ids):
    """With ids from the cases, from pytest, or made up: a metric has one name."""
    found = collected(
        "CASES = [Case(id='1', input='refund'), Case(id='2', input='bug')]\n"
        f"@pytest.fixture(params=CASES, {ids})\n"
        "def ticket(request): return request.param\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "@pytest.mark.parametrize('m', [1, 2])\n"
        "def test_a(ticket, n, m, sample): ...\n"
    )
    assert len({one.test for one in found}) == 4


OBJECTS = """
class Style: pass
STYLES = [Style(), Style()]
CASES = [Case(id=i, input=i) for i in 'abc']
"""


@pytest.mark.parametrize(
    "how",
    ["@pytest.mark.parametrize('style', STYLES)", "@pytest.mark.parametrize('style', [{'a': 1}, {'a': 2}])",
     "@pytest.mark.parametrize('style', STYLES, ids=['formal', 'casual'])",
     "@pytest.mark.parametrize('style', [pytest.param(STYLES[0], id='formal'), STYLES[1]])"],
)  # fmt: skip
def test_names_with_objects_as_parameters(collected, how):
    """Objects as other parameters: one name for each object over all cases and runs."""
    found = collected(
        f"{OBJECTS}@pytest.mark.promptune(runs=2)\n{how}\n"
        "@pytest.mark.parametrize('case', CASES, ids=str)\ndef test_a(case, style, sample): ...\n"
    )
    assert len(found) == 12
    assert len({one.test for one in found}) == 2


def test_ids_of_other_parameters_are_kept(collected):
    """The name that the user gave to a value is its name in metrics, not a prompt's whole text."""
    found = collected(
        f"{OBJECTS}SYSTEMS = [pytest.param('You are kind.\\nBe brief.', id='kind')]\n"
        "@pytest.mark.parametrize('system', SYSTEMS)\n"
        "@pytest.mark.parametrize('case', CASES, ids=str)\ndef test_a(case, system, sample): ...\n"
    )
    assert {one.test for one in found} == {"test_a[kind]"}


@pytest.mark.parametrize(
    "how",
    [
        "@pytest.mark.parametrize('case', CASES, ids=str)\n@pytest.mark.parametrize('tone', ['x', 'y'])",
        "@pytest.mark.parametrize('tone', ['x', 'y'])\n@pytest.mark.parametrize('case', CASES, ids=str)",
        "@pytest.mark.parametrize(('case', 'tone'), [(c, t) for c in CASES for t in 'xy'])",
    ],
)
def test_equal_parameters_are_equal(collected, how):
    """All items with one value of the other parameter belong together: their samples are generated ahead."""
    found = collected(
        f"{OBJECTS}@pytest.mark.promptune(runs=2)\n{how}\ndef test_a(case, tone, sample): ...\n"
    )
    assert len(found) == 12
    assert [len(parameters) for parameters in by_value(found, "parameters").values()] == [1, 1]


def test_without_other_parameters(collected):
    """Runs and cases alone leave the bare name, in classes too."""
    found = collected(
        "@pytest.mark.promptune(runs=1)\n"
        "@pytest.mark.parametrize('case', [Case(id='a', input=1), Case(id='b', input=1)], ids=str)\n"
        "class TestX:\n"
        "    def test_a(self, case, sample): ...\n"
    )
    assert {one.test for one in found} == {"TestX::test_a"}
    assert [one.case.id for one in found] == ["a", "b"]
