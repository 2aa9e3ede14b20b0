"""From verdicts to results of the session and to what to do next."""

from typing import Any

import pytest

from pytest_promptune.core.gate import (
    decide,
    gate_items,
    gate_message,
    gate_nodeid,
    missing_baseline,
    rerun_hint,
)
from pytest_promptune.core.view import ComparisonRow, MetricName

NAME = MetricName(
    metric="test_a[formal]",
    test="tests/test_m.py::test_a[formal]",
    module="tests/test_m.py",
    app="bot",
    kind="binary",
    direction="higher",
)


def row(verdict: str = "unchanged", **more: Any) -> ComparisonRow:
    values: dict[str, Any] = {
        "name": NAME,
        "reference": "baseline:main",
        "candidate": "current",
        "n_cases": 4,
        "reference_mean": 0.9,
        "candidate_mean": 0.5,
        "difference": -0.4,
        "relative": -0.44,
        "ratio": None,
        "ratio_ci": None,
        "ci": (-0.6, -0.2),
        "p": 0.001,
        "p_adjusted": 0.002,
        "p_worse_adjusted": 0.001,
        "cliffs_delta": -0.4,
        "hedges_g": -1.0,
        "margin": 0.1,
        "minimum_detectable": 0.2,
        "runs_needed": None,
        "scope": "suite",
        "verdict": verdict,
        "reason": "Because of it.",
        "gate": "failed" if verdict == "regressed" else "passed",
        "gated": True,
        "constant": False,
        **more,
    }
    return ComparisonRow(**values)


def versus(candidate: str, verdict: str, **more: Any) -> ComparisonRow:
    return row(verdict, reference="current", candidate=candidate, **more)


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


# --- what to do next ------------------------------------------------------------------------------


def decided(mode: str, *rows: ComparisonRow, **more: Any) -> Any:
    values: dict[str, Any] = {
        "failed": False,
        "baseline_missing": False,
        "against": "main",
        "runs": 5,
        **more,
    }
    return decide(mode, rows, **values)


def test_after_recording():
    """A recorded baseline is committed; then comes comparing."""
    found = decided("baseline")
    assert (found.action, found.variant, found.command) == ("record", None, "pytest --promptune-compare")


def test_check_without_regression():
    """Nothing significant: go on."""
    found = decided("check", row(), row("inconclusive"))
    assert (found.action, found.variant) == ("continue", None)


def test_check_with_a_regression():
    """A failed gate is looked into, with pytest's own --lf."""
    found = decided("check", row("regressed"), failed=True)
    assert (found.action, found.command) == ("investigate", "pytest --lf")


def test_a_regression_is_one_with_the_gate_off_too():
    """The gate decides the exit code, not what the numbers say."""
    assert decided("check", row("regressed", gate="off")).action == "investigate"


def test_a_regression_of_what_is_not_gated_is_no_alarm():
    """Time and money alone don't send anybody looking."""
    assert decided("check", row("regressed", gate="off", gated=False)).action == "continue"


def test_failed_without_a_row():
    """A failed decision that no comparison tells (no baseline, no output) is looked into."""
    assert decided("check", failed=True).action == "investigate"


@pytest.mark.parametrize("mode", ["check", "compare"])
@pytest.mark.parametrize("rows", [[], [row("improved")], [row(), versus("v1", "improved")]])
def test_an_aggregate_that_cannot_be_computed(mode, rows):
    """Nothing lacked and nothing got worse: it is said what failed, and no command would mend it."""
    found = decided(mode, *rows, uncomputed=["bot::bad"])
    assert (found.action, found.command) == ("investigate", "")
    assert found.reason == "bot::bad can't be computed: its message says why."


def test_a_recorded_baseline_and_an_aggregate_that_cannot_be_computed():
    """The file is good, the session failed: both are said."""
    found = decided("baseline", uncomputed=["a::bad", "b::bad", "a::bad"])
    assert (found.action, found.command) == ("investigate", "")
    assert found.reason == (
        "The baseline is recorded: commit it. a::bad, b::bad can't be computed: their messages say why."
    )


def test_a_failed_gate_and_an_aggregate_that_cannot_be_computed():
    """What the gate failed for comes first."""
    found = decided("check", row("regressed"), failed=True, uncomputed=["bot::bad"])
    assert found.command == "pytest --lf"
    assert found.reason.startswith("Look at the cases behind it; ")
    assert found.reason.endswith(" bot::bad can't be computed: its message says why.")
    assert "for want of something to compare: its messages say what. bot::bad can't" in (
        decided("check", failed=True, uncomputed=["bot::bad"]).reason
    )


@pytest.mark.parametrize(
    ("against", "command"),
    [("main", "pytest --promptune-baseline"), ("dev", "pytest --promptune-baseline --promptune-against=dev")],
)
def test_check_without_baseline(against, command):
    """Nothing to compare with: record one, under the name that was asked for."""
    found = decided("check", baseline_missing=True, against=against)
    assert (found.action, found.command) == ("record", command)


def test_adopt_the_better_variant():
    """A variant that is better in a gated metric and worse in none is adopted."""
    found = decided("compare", row(), versus("v1", "improved"), versus("v2", "unchanged"))
    assert (found.action, found.variant) == ("adopt", "v1")
    assert "v1 is better in test_a[formal]" in found.reason
    assert found.command == "pytest-promptune adopt v1"


def test_adopt_the_best_of_several():
    """Of several the one with the largest effect, whichever way is better."""
    rows = [
        versus("small", "improved", cliffs_delta=0.2),
        versus("large", "improved", cliffs_delta=-0.8),
        versus("unknown", "improved", cliffs_delta=None),
    ]
    assert decided("compare", *rows).variant == "large"


def test_better_here_and_worse_there_is_not_adopted():
    """A variant that regressed in a gated metric isn't adopted, however good it is elsewhere."""
    rows = [versus("v1", "improved", cliffs_delta=0.9), versus("v1", "regressed"), versus("v2", "improved")]
    assert decided("compare", *rows).variant == "v2"
    assert decided("compare", *rows[:2], failed=True).action == "continue"


def test_worse_in_what_is_not_gated_may_be_adopted():
    """A better prompt may cost more."""
    rows = [versus("v1", "improved"), versus("v1", "regressed", gate="off", gated=False)]
    assert decided("compare", *rows).action == "adopt"


def test_better_than_the_baseline_is_not_better_than_current():
    """What current gained since the baseline is no reason to adopt anything."""
    assert decided("compare", row("improved"), versus("v1", "unchanged")).action == "continue"


def test_a_regressed_current_comes_first():
    """Where current fell behind its baseline, comparing variants with it would mislead."""
    assert decided("compare", row("regressed"), versus("v1", "improved"), failed=True).action == "investigate"


def test_a_failed_variant_is_no_alarm():
    """A variant that is worse fails the gate, but the app stands as it was: try another change."""
    found = decided("compare", row(), versus("v1", "regressed"), failed=True)
    assert (found.action, found.variant) == ("continue", None)


def test_undecided_variants_ask_for_runs():
    """Where more runs could tell, the command says how many, for the variant that is closest."""
    rows = [
        versus("v1", "inconclusive", runs_needed=40),
        versus("v2", "inconclusive", runs_needed=12),
        versus("v3", "inconclusive", runs_needed=None),
    ]
    found = decided("compare", *rows)
    assert (found.action, found.variant) == ("continue", "v2")
    assert found.command == "pytest --promptune-compare --promptune-runs=12"
    assert "v1, v2" in found.reason
    assert "v3" not in found.reason


def test_equal_variants_do_not_ask_for_runs():
    """What is the same in all samples won't be better with more of them."""
    found = decided("compare", versus("v1", "inconclusive", runs_needed=40, constant=True))
    assert found.command == ""


def test_nothing_better():
    """No variant is better and more runs wouldn't help."""
    found = decided("compare", versus("v1", "inconclusive"))
    assert (found.action, found.variant, found.command) == ("continue", None, "")


@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        ("baseline", []),
        ("compare", [versus("v1", "inconclusive", runs_needed=9)]),
    ],
    ids=["record", "more runs"],  # adopt finds the name in the experiment: tests/integration/test_adopt.py
)
def test_commands_keep_the_name_of_the_baseline(mode, rows):
    """Whoever works against another baseline is not sent to main's."""
    found = decided(mode, *rows, against="dev")
    assert "--promptune-against=dev" in f"{found.reason} {found.command}"
