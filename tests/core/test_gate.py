"""From verdicts to results of the session and to what to do next."""

import pytest
from gated import NAME, row, versus

from pytest_promptune.core.gate import (
    gate_items,
    gate_message,
    gate_nodeid,
    missing_baseline,
    rerun_hint,
)

# --- items ----------------------------------------------------------------------------------------


def test_node_id():
    """The decision stands beside its test, with metric and candidate in its brackets."""
    assert gate_nodeid(NAME, "v1") == "tests/test_m.py::test_a[formal]::gate[test_a[formal]-v1]"


def test_items():
    """One result for each gated comparison, failed or passed; what isn't gated has none."""
    items = gate_items([row("regressed"), versus("v1", "improved"), row("regressed", gate="off")])
    assert [(item.nodeid, item.failed) for item in items] == [
        (gate_nodeid(NAME, "current"), True),
        (gate_nodeid(NAME, "v1"), False),
    ]


def test_message_of_a_regression():
    """Metric, verdict, effect, both means, what it was compared with, and the reason."""
    message = gate_message(row("regressed"))
    for part in ("test_a[formal]", "regressed", "90", "50", "main", "current", "Because of it."):
        assert part in message
    assert "\n" not in message


def test_message_without_numbers():
    """Where nothing could be compared the reason alone is given."""
    assert gate_message(row("inconclusive", p=None)) == "test_a[formal]: Because of it."


@pytest.mark.parametrize(
    ("verdict", "more", "start"),
    [
        ("regressed", {"failure": "regressed"}, "test_a[formal] regressed: "),
        (
            "inconclusive",
            {"failure": "inconclusive"},
            "test_a[formal] inconclusive, which fails under --promptune-strict: ",
        ),
        (
            "inconclusive",
            {"failure": "not_shown"},
            "test_a[formal] inconclusive, not shown to drop by less than 10 points "
            "(--promptune-gate=non-inferiority): ",
        ),
        (
            "unchanged",
            {"failure": "cases", "failing_cases": ("c1",)},
            "test_a[formal] no significant change, but 1 case got worse (--promptune-gate-cases): ",
        ),
        ("unchanged", {}, "test_a[formal] no significant change: "),
    ],
)
def test_a_message_says_which_rule_failed(verdict, more, start):
    """Regressed, not shown within the margin, inconclusive under strict, or single cases."""
    message = gate_message(row(verdict, gate="failed" if more else "passed", **more))
    assert message.startswith(start)
    assert "Because of it." in message


@pytest.mark.parametrize(
    ("failure", "end"),
    [
        ("inconclusive", "Because of it. Inconclusive, which fails under --promptune-strict."),
        ("not_shown", "Because of it. Not shown to be as good (--promptune-gate=non-inferiority)."),
        (None, "Because of it."),
    ],
)
def test_a_message_without_numbers_names_the_rule_last(failure, end):
    """What could not be compared comes first."""
    assert gate_message(row("inconclusive", p=None, margin=None, failure=failure)).endswith(end)


def test_failing_cases_are_told_with_their_means():
    """Which cases, from where to where; of very many, the first, freed of what moves the cursor."""
    more = {"failure": "cases", "gate": "failed"}
    means = {"c1": (1.0, 0.2), "c\x1b[31m2": (0.8, 0.0)}
    message = gate_message(row(**more, failing_cases=tuple(means), case_means=means))
    assert message.endswith("Worse by themselves: c1 (100.0 % to 20.0 %), c2 (80.0 % to 0.0 %).")
    many = gate_message(row(**more, failing_cases=tuple(f"c{i}" for i in range(25))))
    assert many.endswith("c9 (– to –) and 15 more.")


def test_message_has_both_p_values():
    """The p-value and what is left of it beside the other gated metrics; once where that is the same."""
    assert "p 0.001 (adjusted 0.002)" in gate_message(row("regressed"))
    assert "p 0.001 (90.0 %" in gate_message(row("regressed", p_adjusted=0.001))


@pytest.mark.parametrize(
    ("mode", "against", "variant", "command"),
    [
        ("check", "main", "current", "pytest --lf"),
        ("check", "dev", "current", "pytest --lf --promptune-against=dev"),
        ("check", "main", "v1", "pytest --lf --promptune-variant=v1"),
        ("compare", "main", "current", "pytest --lf --promptune-compare"),
    ],
)
def test_the_hint_is_a_command_that_works(mode, against, variant, command):
    """The items of variants exist only where they are measured."""
    assert rerun_hint(mode, against, variant).endswith(f"The tests behind it: {command}")


@pytest.mark.parametrize(
    ("against", "option"),
    [("main", "--promptune-baseline "), ("dev", "--promptune-baseline --promptune-against=dev ")],
)
def test_missing_baseline(against, option):
    """What lacks its baseline fails, with the path and the command that records it."""
    item = missing_baseline(NAME, "current", path="p/x.json", cases=[], against=against)
    assert item.failed
    assert item.nodeid == gate_nodeid(NAME, "current")
    assert "no baseline in p/x.json" in item.message
    assert option in item.message


def test_missing_cases():
    """Cases without a baseline are named."""
    item = missing_baseline(NAME, "current", path="p", cases=["c1", "c2"], against="main")
    assert "no baseline for c1, c2 in p" in item.message


def test_many_missing_cases():
    """A message has room for some, told harmlessly, and for how many there are beside."""
    cases = ["c\n0", *(f"c{number}" for number in range(1, 2_000))]
    item = missing_baseline(NAME, "current", path="p", cases=cases, against="main")
    named = "c 0, c1, c2, c3, c4, c5, c6, c7, c8, c9"
    assert f"no baseline for {named} and 1,990 more in p" in item.message
