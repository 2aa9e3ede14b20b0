"""What is said of cases that are short, incomplete or out of balance; each with the ids it is about."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_promptune.core.case_checks import case_checks, case_notes, is_edge
from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import Cell, Marks, PlannedItem

LONG = "where is the invoice of last month?"


def said(cases: list[Case], what: str = "cases") -> list[str]:
    """Warnings under this name."""
    return [check.text for check in case_checks(cases) if (check.status, check.what) == ("warning", what)]


def asking(*inputs: Any, **more: Any) -> list[Case]:
    return [Case(id=f"c{n}", input=value, **more) for n, value in enumerate(inputs)]


class Message:
    """As LangChain's: its text is its content."""

    def __init__(self, content: Any) -> None:
        self.content = content


# --- short inputs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "short",
    [
        "hi",
        "",
        " ?! ... ",
        {"question": "ok"},
        {"messages": [{"role": "user", "content": "hm"}]},
        {"messages": [("hi",)]},
        Message("no"),
        Message([{"type": "text", "text": "no"}]),
    ],
    ids=repr,
)
def test_very_short_inputs_are_named(short):
    """Wherever in the input the text stands."""
    cases = [*asking(LONG, {"question": LONG}, [LONG + " please"]), Case(id="odd", input=short)]
    (text,) = said(cases)
    assert text.startswith("very short inputs (fewer than 5 letters and digits) in 1 of 4 cases: odd.")


@pytest.mark.parametrize(
    "value", ["hello", "返金してほしい", {"n": 3}, 7, None, b"x", {"messages": [Message(LONG)]}], ids=repr
)
def test_other_inputs_are_left_alone(value):
    """Five letters of any script are enough, and what has no text can't be short."""
    cases = [*asking(LONG, LONG + " a", LONG + " b"), Case(id="odd", input=value)]
    assert not [check for check in case_checks(cases) if "very short" in check.text]


def test_an_app_with_short_inputs():
    """Where most inputs are short, they are meant to be so."""
    assert said(asking("a", "b", "c", LONG)) == []


def test_short_edge_cases_are_meant_so():
    """An empty message is a classic."""
    cases = asking(*(f"{LONG} {n}" for n in range(8)))
    assert said([*cases, Case(id="odd", input="?", tags={"category": "edge_case"})]) == []
    assert said([*cases, Case(id="odd", input="?", tags={"category": "chat"})])


# --- what is expected -----------------------------------------------------------------------------


def test_keys_that_some_cases_lack():
    """What most expect is named where it is lacking; what few expect is theirs alone."""
    cases = [
        Case(id="a", input=1, expected={"intent": "x", "answer": "y"}),
        Case(id="b", input=2, expected={"intent": "x", "answer": "y", "semantic": ["y"]}),
        Case(id="c", input=3, expected={"intent": "x"}),
    ]
    assert said(cases) == ["no expected 'answer' in 1 of 3 cases: c. Add it if a test needs it."]


def test_expected_texts_have_no_keys():
    """Only dicts are looked into."""
    assert said([Case(id="a", input=1, expected="x"), Case(id="b", input=2, expected={"intent": 1})]) == []


# --- balance --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tags",
    [
        {"category": "edge_case"},
        {"category": "Edge Case"},
        {"difficulty": "edge"},
        {"edge_case": True},
        {"edge-case": "yes"},
        {"edge": "1"},
    ],
    ids=str,
)
def test_edge_cases_are_known_by_their_tags(tags):
    """A category of that name, or a tag that is true; a table's truth values are texts."""
    assert is_edge(Case(id="a", input=1, tags=tags))


@pytest.mark.parametrize(
    "tags",
    [{}, {"category": "edges of paper"}, {"edge_case": False}, {"edge_case": "no"}, {"edge": None}],
    ids=str,
)
def test_other_tags_are_no_edge_cases(tags):
    """Nothing is guessed."""
    assert not is_edge(Case(id="a", input=1, tags=tags))


@pytest.mark.parametrize(
    ("edges", "status", "text"),
    [
        (1, "warning", "1 case, 2 %: should be 10–15 %, unless real inputs are like this."),
        (3, "warning", "3 cases, 8 %: should be 10–15 %, unless real inputs are like this."),
        (4, "ok", "4 cases, 10 %"),
        (6, "ok", "6 cases, 15 %"),
        (8, "warning", "8 cases, 20 %: should be 10–15 %, unless real inputs are like this."),
    ],
)
def test_the_share_of_edge_cases(edges, status, text):
    """10 to 15 % are recommended, give or take less than one case."""
    cases = [Case(id=f"c{n}", input=n, tags={"edge_case": n < edges}) for n in range(40)]
    (found,) = [check for check in case_checks(cases) if check.what == "edge cases"]
    assert (found.status, found.text) == (status, text)


def test_a_suite_without_edge_cases():
    """Nothing is said: most suites have no tag for them."""
    assert [check.what for check in case_checks(asking(1, 2))] == ["cases"]


def test_edge_cases_are_no_thin_category():
    """As many as recommended are few beside three even categories, and right."""
    names = ["a"] * 9 + ["b"] * 9 + ["c"] * 9 + ["edge_case"] * 3
    checks = case_checks([Case(id=f"c{n}", input=n, tags={"category": name}) for n, name in enumerate(names)])
    assert {check.what: check.status for check in checks} == {
        "cases": "ok",
        "balance of category": "ok",
        "edge cases": "ok",
    }


def test_edge_cases_alone():
    """A suite may have no other category."""
    checks = case_checks(asking(1, 2, tags={"category": "edge_case"}))
    assert {check.what: check.status for check in checks}["balance of category"] == "ok"


# --- for who records ------------------------------------------------------------------------------


def planned(module: str, case: Case | None) -> PlannedItem:
    return PlannedItem(
        nodeid=f"{module}::test_a[{case}]",
        module=module,
        test="test_a",
        metric="test_a",
        marks=Marks(),
        cell=Cell(variant="current", run=1),
        case=case,
    )


def test_notes_name_the_module():
    """Ids are those of a module; balance is for the plan alone."""
    items = [
        planned("test_x.py", Case(id="a", input="same text", tags={"difficulty": "hard"})),
        planned("test_x.py", Case(id="b", input="same text", tags={"difficulty": "hard"})),
        planned("test_y.py", Case(id="a", input="same text")),
        planned("test_y.py", None),
    ]
    (note,) = case_notes(items)
    assert note.startswith("Cases of test_x.py: the same input under different ids")
    assert "a = b" in note
