"""What to do next: every action, and which comes first."""

from dataclasses import replace
from typing import Any

import pytest
from gated import NAME, row, versus

from pytest_promptune.core.decision import Situation, brought, decide
from pytest_promptune.core.goals.model import Goal, Goals, Target
from pytest_promptune.core.view import ComparisonRow, GoalRow, MetricName


def decided(mode: str, *rows: ComparisonRow, **more: Any) -> Any:
    values: dict[str, Any] = {
        "failed": False,
        "baseline_missing": False,
        "against": "main",
        "runs": 5,
        **more,
    }
    return decide(Situation(mode=mode, rows=rows, **values))


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
    odd = decided("compare", versus("v 1; ls", "improved"))
    assert odd.command == "pytest-promptune adopt 'v 1; ls'"


def test_adopt_the_best_of_several():
    """Of several the one with the largest effect, whichever way is better."""
    rows = [
        versus("small", "improved", cliffs_delta=0.2),
        versus("large", "improved", cliffs_delta=-0.8),
        versus("unknown", "improved", cliffs_delta=None),
    ]
    assert decided("compare", *rows).variant == "large"


def need(candidate: str, metric: str, value: float | None, **more: Any) -> ComparisonRow:
    """What a variant needs; intervals are narrow."""
    name = replace(NAME, metric=f"bot::{metric}", kind="cost", direction="lower")
    values = {"gated": False, "gate": "off", "candidate_mean": value, "difference": value, **more}
    ci = None if value is None else (value * 0.99, value * 1.01)
    return versus(candidate, "regressed", name=name, **{"ci": ci, **values})


def gains(**differences: float) -> list[ComparisonRow]:
    """Improvements whose intervals reach a tenth to both sides."""
    return [
        versus(name, "improved", difference=value, ci=(value - 0.1, value + 0.1), cliffs_delta=value)
        for name, value in differences.items()
    ]


def test_a_gain_that_is_told_apart_decides():
    """However many changes it is, and whatever it costs."""
    rows = [*gains(small=0.2, large=0.4), need("small", "cost_usd", 1.0), need("large", "cost_usd", 2.0)]
    found = decided("compare", *rows, several={"large"})
    assert (found.variant, found.reason) == (
        "large",
        "large is better in test_a[formal] and worse in no gated metric.",
    )


@pytest.mark.parametrize(
    ("needs", "several", "why"),
    [
        ([("cost_usd", 2.0, 1.0)], {"b"}, "is more than one change"),
        ([("cost_usd", 1.0, 2.0), ("latency_s", 2.0, 1.0)], {"a", "b"}, "costs more"),
        ([("input_tokens", 90.0, 91.9)], (), "takes more tokens"),
        ([("cost_usd", 1.0, 1.001), ("latency_s", 1.0, 2.0)], (), "takes longer"),
        ([("cost_usd", 1.0, None), ("latency_s", 1.0, 2.0)], (), "takes longer"),
    ],
    ids=["one change", "cost", "tokens", "latency", "unknown cost"],
)
def test_what_decides_between_equal_gains(needs, several, why):
    """Chance made the gain of `b` a little larger: one change before several, then cost, then latency."""
    rows = [
        need(name, metric, value)
        for metric, *values in needs
        for name, value in zip("ab", values, strict=True)
    ]
    for gained in (gains(a=0.30, b=0.35), gains(b=0.35, a=0.30), gains(b=0.3, a=0.3)):
        found = decided("compare", *gained, *rows, several=several)
        assert (found.variant, found.command) == ("a", "pytest-promptune adopt a")
        assert found.reason.endswith(f"worse in no gated metric. b is as good, but {why}.")


def test_times_are_told_apart_by_their_ratio():
    """The interval of a time is one of the ratio: seconds are none."""
    gained = gains(a=0.3, b=0.3)
    times = {"ratio_ci": (0.8, 1.3), "ci": None}
    rows = [need("a", "latency_s", 1.0, ratio=1.0, **times), need("b", "latency_s", 0.9, ratio=0.9, **times)]
    assert decided("compare", *gained, *rows).variant == "a"
    times["ratio_ci"] = (0.8, 0.95)
    rows = [rows[0], need("b", "latency_s", 0.9, ratio=0.9, **times)]
    assert decided("compare", *gained, *rows).variant == "b"


def test_a_difference_outside_of_its_own_interval():
    """As those of bootstraps and of skewed ratios may be: it is no other variant's for that."""
    odd = versus("a", "improved", difference=0.5, ci=(0.1, 0.4))
    cost = need("a", "cost_usd", 2.0, ci=(0.5, 1.0))
    assert decided("compare", odd, cost).variant == "a"
    assert decided("compare", odd, cost, *gains(b=0.2), need("b", "cost_usd", 3.0)).variant == "a"


def test_at_last_the_order_of_the_variants():
    """All is equal; of gains that aren't, the larger."""
    assert decided("compare", *gains(b=0.3, a=0.3)).variant == "b"
    assert decided("compare", *gains(b=0.3, a=0.35)).variant == "a"


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
    ids=["record", "more runs"],
)
def test_commands_keep_the_name_of_the_baseline(mode, rows):
    """Whoever works against another baseline is not sent to main's; `adopt` knows it from the experiment."""
    found = decided(mode, *rows, against="dev")
    assert "--promptune-against=dev" in f"{found.reason} {found.command}"


# --- goals ----------------------------------------------------------------------------------------


def goal(status: str, metric: MetricName = NAME, *, name: str = "Accuracy", value: float = 0.6) -> GoalRow:
    return GoalRow(
        goal=name,
        name=metric,
        variant="current",
        target=0.9,
        direction="higher",
        value=value,
        ci=(value - 0.1, value + 0.1),
        status=status,
    )


def aims(*names: str) -> Goals:
    target = Target(value=0.9, unit="%", direction="higher")
    return Goals(path="fine-tune.md", goals=tuple(Goal(name=name, target=target) for name in names))


OTHER = replace(NAME, metric="test_b", test="tests/test_m.py::test_b")
TIMES = replace(NAME, metric="bot::latency_s", kind="latency", direction="lower", unit="s")


def test_better_on_what_is_no_goal_is_not_adopted():
    """With goals, an improvement elsewhere brings nobody closer."""
    rows = [versus("v1", "improved", name=OTHER), versus("v1", "unchanged")]
    assert decided("compare", *rows).action == "adopt"
    decision = decided("compare", *rows, goals=aims("Accuracy"), goal_rows=[goal("missed")])
    assert decision.action == "continue"
    assert decision.reason.endswith(
        "Missed or not yet shown to be attained: Accuracy. Furthest from its goal: Accuracy (test_a[formal], "
        "66.7 % of it). Try another change."
    )


def test_a_goal_on_what_is_not_gated_decides_too():
    """A latency goal: faster is adopted; and what reaches one goal at the cost of another is not."""
    faster = versus("v1", "improved", name=TIMES, gated=False)
    goals = {"goals": aims("Speed"), "goal_rows": [goal("missed", TIMES, name="Speed")]}
    decision = decided("compare", faster, **goals)
    assert (decision.action, decision.variant) == ("adopt", "v1")
    assert decision.command == "pytest-promptune adopt v1"
    slower = [versus("v1", "improved"), versus("v1", "regressed", name=TIMES, gated=False)]
    assert decided("compare", *slower).action == "adopt"
    both = [goal("missed"), *goals["goal_rows"]]
    assert decided("compare", *slower, goals=aims("Accuracy", "Speed"), goal_rows=both).action == "continue"


def test_more_of_an_attained_goal_is_not_adopted_while_others_are_open():
    """A tenth of a token below a limit that is kept anyhow brings the missed accuracy no closer."""
    cheaper = [versus("v1", "improved", name=TIMES, gated=False), versus("v1", "unchanged")]
    goals = {"goals": aims("Accuracy", "Speed")}
    kept = goal("attained", TIMES, name="Speed")
    assert decided("compare", *cheaper, **goals, goal_rows=[goal("missed"), kept]).action == "continue"
    assert decided("compare", *cheaper, **goals, goal_rows=[goal("attained"), kept]).action == "adopt"
    worse = [versus("v1", "improved"), versus("v1", "regressed", name=TIMES, gated=False)]
    mixed = decided("compare", *worse, **goals, goal_rows=[goal("missed"), kept])
    assert mixed.action == "continue"
    assert mixed.reason.startswith("v1 is better in test_a[formal], but worse in bot::latency_s. Missed")


def test_what_is_worse_within_its_goal_is_no_obstacle():
    """More tokens below their limit for the accuracy that is missing; a gate is a gate, though."""
    rows = [versus("v1", "improved"), versus("v1", "regressed", name=TIMES, gated=False)]
    goals = {"goals": aims("Accuracy", "Speed")}
    kept = [goal("missed"), goal("attained", TIMES, name="Speed")]
    by_v1 = replace(kept[1], variant="v1")
    decision = decided("compare", *rows, **goals, goal_rows=[*kept, by_v1])
    assert (decision.action, decision.variant) == ("adopt", "v1")
    assert decision.reason == (
        "v1 is better in test_a[formal] and worse in no metric of a goal or gate, but for bot::latency_s, "
        "within its goal."
    )
    unclear = replace(by_v1, status="unclear")
    assert decided("compare", *rows, **goals, goal_rows=[*kept, unclear]).action == "continue"
    gated = [rows[0], versus("v1", "regressed", name=TIMES)]
    assert decided("compare", *gated, **goals, goal_rows=[*kept, by_v1]).action == "continue"


def test_a_better_variant_that_is_not_adopted_is_named():
    """Why the one with the larger gain is not the one to adopt."""
    rows = [versus("much", "improved"), versus("much", "regressed", name=OTHER), versus("little", "improved")]
    decision = decided("compare", *rows)
    assert decision.variant == "little"
    assert decision.reason == (
        "little is better in test_a[formal] and worse in no gated metric. "
        "much is better in test_a[formal], but worse in test_b."
    )


def test_at_the_end_nothing_else_is_to_be_tried():
    """All goals are attained: the report comes next, and no other change."""
    decision = decided(
        "compare", versus("v1", "unchanged"), goals=aims("Accuracy"), goal_rows=[goal("attained")]
    )
    assert (decision.action, decision.command) == ("stop", "pytest-promptune report")
    assert decision.reason == "All goals are attained. No variant is better than current."


def test_attained_goals_come_before_more_runs():
    """What could be settled is told; with a goal open, it is settled first."""
    open_ = versus("v1", "inconclusive", runs_needed=9)
    found = decided("compare", open_, goals=aims("Accuracy"), goal_rows=[goal("attained")])
    assert (found.action, found.variant, found.command) == ("stop", None, "pytest-promptune report")
    assert found.reason == (
        "All goals are attained. No variant is shown to be better; more runs could tell for v1."
    )
    found = decided("compare", open_, goals=aims("Accuracy"), goal_rows=[goal("missed")])
    assert (found.action, found.variant) == ("continue", "v1")
    assert found.command == "pytest --promptune-compare --promptune-runs=9"
    assert found.reason == "No variant is shown to be better; more runs could tell for v1."


def test_the_goal_that_is_furthest_comes_next():
    """With the node on which work promises most; also after a baseline was recorded."""
    rows = [goal("missed", value=0.8), goal("unclear", OTHER, name="Other", value=0.3)]
    more = {"goals": aims("Accuracy", "Other"), "goal_rows": rows, "node": "classify"}
    end = "Furthest from its goal: Other (test_b, 33.3 % of it), in classify first."
    assert decided("baseline", **more).reason.endswith(end)
    assert decided("compare", versus("v1", "unchanged"), **more).reason.endswith(f"{end} Try another change.")
    assert "Furthest" not in decided("check", row(), **more).reason


@pytest.mark.parametrize(("limit", "away"), [(0.5, "120.0 % of the limit"), (0.0, "gap +600 ms")])
def test_a_limit_that_is_exceeded_comes_next(limit, away):
    """By how much of it is used, not by what is left of an achievement."""
    slow = replace(goal("missed", TIMES, name="Speed"), direction="lower", target=limit)
    found = decided("baseline", goals=aims("Speed"), goal_rows=[slow])
    assert found.reason.endswith(f"Furthest from its goal: Speed (bot::latency_s, {away}).")


def test_attained_goals_end_the_work():
    """Nothing is better and nothing needs to be; not even a series that stands still is worth a word."""
    more = {"goals": aims("Accuracy"), "goal_rows": [goal("attained", value=0.95)]}
    assert decided("compare", versus("v1", "unchanged"), **more).action == "stop"
    assert decided("compare", versus("v1", "unchanged"), earlier=[False, False], **more).action == "stop"
    assert decided("compare", versus("v1", "improved"), **more).action == "adopt"


# --- the series -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "action"),
    [
        ([], "continue"),
        ([True], "continue"),
        ([False], "plateau"),
        ([True, False], "plateau"),
        ([False, True], "continue"),
        ([True, True, True, True], "plateau"),
    ],
)
def test_plateau(earlier, action):
    """The last two iterations brought nothing, this one included, or five are done."""
    decision = decided("compare", versus("v1", "unchanged"), earlier=earlier)
    assert decision.action == action
    assert (decision.command == "pytest-promptune report") is (action == "plateau")
    assert decided("check", row(), earlier=earlier).action == "continue"


def test_what_comes_before_a_plateau():
    """A better variant, a regression of current, and what more runs could settle."""
    series = {"earlier": [False, False]}
    assert decided("compare", versus("v1", "improved"), **series).action == "adopt"
    assert decided("compare", row("regressed"), versus("v1", "unchanged"), **series).action == "investigate"
    open_ = versus("v1", "inconclusive", runs_needed=9)
    assert decided("compare", open_, **series).action == "continue"
    assert decided("compare", open_, earlier=[False] * 4).action == "plateau"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"difference": 0.11}, True),
        ({"difference": 0.09}, False),
        ({"difference": 0.11, "gated": False}, False),
        ({"difference": 0.11, "verdict": "unchanged"}, False),
        ({"difference": 0.11, "reference": "baseline:main"}, False),
        ({"difference": -0.5, "margin": 0.2, "ratio": 0.9}, False),
        ({"difference": -0.5, "margin": 0.2, "ratio": 0.8}, True),
    ],
)
def test_what_an_iteration_brought(more, expected):
    """A gated improvement over current beyond the margin; of latency the ratio counts, down as up."""
    values = {"verdict": "improved", "margin": 0.1} | more
    candidate = row(values.pop("verdict"), **({"reference": "current", "candidate": "v1"} | values))
    assert brought([candidate]) is expected


@pytest.mark.parametrize(("missing", "action"), [(20, "continue"), (21, "investigate")])
def test_too_much_is_missing(missing, action):
    """More than a fifth of the samples: no verdict is worth a decision."""
    decision = decided("compare", versus("v1", "unchanged"), missing=missing, samples=100)
    assert decision.action == action
    if action == "investigate":
        assert decision.reason.startswith("21 of 100 samples (21 %) are missing")
