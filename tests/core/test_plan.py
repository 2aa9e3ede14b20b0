"""Marks, cells, order and names: what a session plans before anything runs."""

import random

import pytest

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import (
    Cell,
    Marks,
    Parameters,
    PlannedItem,
    cells,
    labels,
    metric_name,
    ordered,
    read_marks,
)


def marks(*keywords: dict, args: tuple = ()) -> Marks:
    return read_marks([(args, found) for found in keywords], where="test_a.py::test_x")


def refused(*keywords: dict, args: tuple = ()) -> str:
    with pytest.raises(SettingsError) as caught:
        marks(*keywords, args=args)
    assert str(caught.value).startswith("test_a.py::test_x: @pytest.mark.promptune")
    return str(caught.value)


# --- marks ----------------------------------------------------------------------------------------


def test_no_marker_gives_the_defaults():
    """Without a marker the app fixture is promptune_app and everything else is left to the session."""
    assert marks() == Marks(app="promptune_app", runs=None, metric=None, timeout=None, gate=None)


def test_the_closest_marker_wins():
    """Keywords are merged; those of the test win over those of its class and module."""
    found = marks({"runs": 2}, {"runs": 3, "app": "bot"}, {"app": "other", "timeout": 1.5})
    assert (found.runs, found.app, found.timeout) == (2, "bot", 1.5)


def test_none_at_the_test_takes_a_keyword_back():
    """runs=None at a test goes back to the session's number, whatever the module's marker says."""
    assert marks({"runs": None}, {"runs": 3}).runs is None


@pytest.mark.parametrize("names", [["words"], ("words",), {"words"}, frozenset({"words"})], ids=repr)
def test_gate_takes_any_collection(names):
    """Names of metrics may stand in a list, a tuple or a set."""
    assert marks({"gate": names}).gate == ("words",)


def test_no_retries_is_a_choice():
    """retries=0 switches them off, None leaves the default."""
    assert marks({"retries": 0}).retries == 0
    assert marks().retries is None


def test_empty_gate_means_nothing_is_gated():
    """An empty list is a choice, None is none."""
    assert marks({"gate": []}).gate == ()
    assert marks({"gate": None}).gate is None


def test_positional_arguments_are_refused():
    """A marker with a positional argument is a slip; the valid keywords are listed."""
    message = refused({}, args=("bot", 5))
    assert "keywords only, got 'bot', 5" in message
    assert "Valid: app, runs, metric, timeout, retries, gate" in message


def test_unknown_keywords_are_refused():
    """A misspelt keyword is refused with the nearest valid one."""
    message = refused({"run": 5})
    assert "'run'" in message
    assert "Did you mean 'runs'?" in message
    assert "Did you mean" not in refused({"zzz": 5})


@pytest.mark.parametrize(
    "keywords",
    [
        {"app": "not a name"}, {"app": 3}, {"app": ""},
        {"runs": 0}, {"runs": -1}, {"runs": 2.0}, {"runs": "5"}, {"runs": True},
        {"metric": ""}, {"metric": " "}, {"metric": "a::b"}, {"metric": "a\nb"}, {"metric": 3},
        {"timeout": 0}, {"timeout": -1}, {"timeout": float("nan")}, {"timeout": float("inf")},
        {"timeout": True}, {"timeout": "5"},
        {"retries": -1}, {"retries": 1.5}, {"retries": "2"}, {"retries": True},
        {"gate": "words"}, {"gate": [1]}, {"gate": [""]}, {"gate": {"a": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_values_of_the_wrong_kind_are_refused(keywords):
    """A value that makes no sense is shown with what was expected."""
    ((keyword, value),) = keywords.items()
    message = refused(keywords)
    assert f"({keyword}={value!r}): expected " in message


def test_a_wrong_value_in_an_outer_marker_is_refused_too():
    """What the closest marker overrides must make sense as well."""
    refused({"runs": 2}, {"runs": 0})


# --- cells and order ------------------------------------------------------------------------------


def test_cells_interleave_variants_within_each_run():
    """Both sides of a comparison meet the same conditions: run by run, variants side by side."""
    found = cells(["current", "fewshot"], 2)
    assert list(map(str, found)) == ["current-run1", "fewshot-run1", "current-run2", "fewshot-run2"]


def item(case: str | None, variant: str, run: int, test: str = "test_x") -> PlannedItem:
    return PlannedItem(
        nodeid=f"m.py::{test}[{case}-{variant}-{run}]",
        module="m.py",
        test=test,
        metric=test,
        marks=Marks(),
        cell=Cell(variant=variant, run=run),
        case=None if case is None else Case(id=case, input=1),
    )


def test_order_is_run_case_variant_test():
    """Whatever order pytest has, items come by run, case, variant and test; definition order breaks ties."""
    # Case and test keep the order of their first appearance, so those come in order.
    items = [
        item(case, variant, run, test)
        for test in ("test_b", "test_a")
        for case in ("z", "a")
        for variant in ("current", "v2", "v1")
        for run in (1, 2)
    ]
    found = [items[i] for i in ordered(items, variants=["current", "v1", "v2"])]
    expected = [
        (run, case, variant, test)
        for run in (1, 2)
        for case in ("z", "a")
        for variant in ("current", "v1", "v2")
        for test in ("test_b", "test_a")
    ]
    assert [(i.cell.run, i.case.id, i.cell.variant, i.test) for i in found] == expected


def test_order_is_a_permutation_and_a_fixed_point():
    """No item is lost, and what is in order stays so."""
    items = [item(c, "current", r, t) for c in "abc" for r in (1, 2, 3) for t in ("x", "y")]
    random.Random(1).shuffle(items)
    first = ordered(items, variants=["current"])
    assert sorted(first) == list(range(len(items)))
    again = [items[i] for i in first]
    assert ordered(again, variants=["current"]) == list(range(len(items)))


def test_order_of_items_without_a_known_case():
    """Items whose case only the fixtures know keep their order within a run."""
    items = [item(None, "current", 1), item(None, "current", 1), item(None, "current", 2)]
    assert ordered(items, variants=["current"]) == [0, 1, 2]


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "test", "expected"),
    [
        (None, "test_x", "test_x"),
        (None, "TestA::test_x[formal]", "TestA::test_x[formal]"),
        ("tone", "test_x", "tone"),
        ("tone", "TestA::test_x[formal]", "tone[formal]"),
        ("tone", "test_x[a[b]-c]", "tone[a[b]-c]"),
    ],
)
def test_metric_name(metric, test, expected):
    """The marker's metric or the test's name; other parameters stay in its brackets."""
    assert metric_name(Marks(metric=metric), test) == expected


def parameters(identifier: str, case: str, **others: object) -> Parameters:
    return Parameters(id=identifier, case=(case,), others=others, numbers=dict.fromkeys(others, 7))


def label(identifier: str, case: str = "c1", **others: object) -> str:
    return labels([parameters(identifier, case, **others)])[0]


def test_no_label_without_other_parameters():
    """The case is no part of the name."""
    assert label("c1") == ""


@pytest.mark.parametrize("identifier", ["c1-formal", "formal-c1"])
def test_the_id_without_the_case(identifier):
    """What is left of the id is the label, wherever the case stands."""
    assert label(identifier, tone="formal") == "formal"


def test_ids_that_the_user_chose():
    """An id says more than the value it stands for."""
    assert label("kind-c1", system="You are kind.\nBe brief.") == "kind"


@pytest.mark.parametrize(
    ("value", "shown"),
    [("formal", "formal"), (3, "3"), (0.5, "0.5"), (True, "True"), (None, "None"), (b"\xff", "\\xff"),
     (len, "len"), (object(), "tone7"), ({"a": 1}, "tone7"), ("größe", "größe"), ("a-b[c]", "a-b[c]")],
)  # fmt: skip
def test_values_where_ids_do_not_tell(value, shown):
    """Cases with ids of their own making can't be taken out: values stand in, as pytest writes ids."""
    assert label("refund-x", case="TC1", tone=value) == shown


def test_labels_are_one_line():
    """A prompt as a parameter doesn't break the name of its metric, which is a line without '::'."""
    found = label("refund-x", case="TC1", system="You are kind.\nAnswer: a::b")
    assert "\n" not in found
    assert "::" not in found


def test_one_label_over_all_cases():
    """A case whose id stands in another parameter too is read as the other cases are."""
    items = [parameters("a-b-a", "a", tone="a-b"), parameters("a-b-c", "c", tone="a-b")]
    assert labels(items) == ["a-b", "a-b"]


def test_different_values_have_different_labels():
    """Numbers as case ids beside numbers as parameters don't run two metrics together."""
    items = [
        Parameters(id=f"{case}-{n}", case=(case,), others={"n": int(n)}, numbers={"n": int(n)})
        for case in "12"
        for n in "12"
    ]
    assert labels(items) == ["1", "2", "1", "2"]
