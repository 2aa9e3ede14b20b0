"""Goals files are read line by line, and what isn't understood is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_promptune.core.goals.model import Goals, Rule, Target
from pytest_promptune.core.goals.reading import read_goals

DATA = Path(__file__).parent / "data"


def read(text: str) -> Goals:
    return read_goals(text, path="fine-tune.md")


def fixture(name: str) -> Goals:
    return read((DATA / f"fine-tune.{name}.md").read_text(encoding="utf-8"))


def problem(text: str) -> str:
    (only,) = read(text).problems
    return only


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_usual_file(language):
    """Objectives and metric sections are one goal each; English and Japanese say the same."""
    goals = fixture(language)
    assert [(goal.name, goal.target, goal.measure, goal.lines) for goal in goals.goals] == [
        ("Accuracy", Target(value=0.9, unit="%", direction="higher"), "accuracy", (4, 17)),
        ("Latency", Target(value=2.0, unit="s", direction="lower"), "latency_s", (5, 21)),
        ("Cost", Target(value=0.01, unit="USD", direction="lower"), "cost_usd", (6, 25)),
    ]
    assert goals.rule == Rule(needed=None, line=28)
    assert goals.cases == "tests/prompts/tickets.json"
    assert goals.problems == ()
    assert {line.meaning for line in goals.lines} == {"goal", "cases", "rule", "other"}


def test_what_is_struck_through_is_no_goal():
    """Nor is a part of a line: the new target stands, the old one doesn't."""
    goals = read("- ~~Cost: $1 or less~~\n- Latency: ~~3 s~~ 2 s or less\n")
    assert [(goal.name, goal.target.value) for goal in goals.goals] == [("Latency", 2.0)]
    assert goals.problems == ()


def test_a_terse_file():
    """Short words, a percentile, a sentence that repeats a goal, and a rule that two are enough."""
    goals = fixture("terse")
    assert [
        (g.name, g.target.value, g.target.unit, g.target.direction, g.measure, g.percentile, g.lines)
        for g in goals.goals
    ] == [
        ("F1", 0.95, None, "higher", "macro_f1", None, (3, 5)),
        ("p95 latency", 0.8, "s", "lower", "latency_s", 95.0, (6,)),
        ("error rate", 0.01, "%", "lower", "error_rate", None, (7,)),
        ("tokens per request", 1200.0, None, "lower", "total_tokens", None, (8,)),
    ]
    assert goals.rule == Rule(needed=2, line=10)
    (sentence,) = [line for line in goals.lines if line.line == 3]
    assert "not checked: spending" in sentence.told
    assert goals.problems == ()


def test_other_shapes():
    """Nested lists, tables with a column of targets, lines without bullets, percentiles of calculations."""
    goals = read(
        "## Metrics\n\n- Response time\n  - Calculation: 95th percentile\n  - Target value: 2 min or less\n\n"
        "| Metric | Current | Target |\n|---|---|---|\n| Accuracy | 75% | 90% |\n\n"
        "Error rate: at most 1%\nHelpfulness: at least 4.2\n"
    )
    assert goals.problems == ()
    assert [(g.name, g.target.value, g.percentile, g.lines) for g in goals.goals] == [
        ("Response time", 120.0, 95.0, (5,)),
        ("Accuracy", 0.9, None, (9,)),
        ("Error rate", 0.01, None, (11,)),
        ("Helpfulness", 4.2, None, (12,)),
    ]


@pytest.mark.parametrize(
    ("sentence", "goal"),
    [
        ("- Improve accuracy to 90%", ("accuracy", 0.9, "higher")),
        ("Improve accuracy from 75% to 90%.", ("accuracy", 0.9, "higher")),
        ("Reach 0.9 F1 (now 0.8).", ("F1", 0.9, "higher")),
        ("The average latency should be 2 s.", ("latency", 2.0, "lower")),
        ("精度を75%から90%に改善する", ("精度", 0.9, "higher")),
    ],
)
def test_a_sentence_that_says_what_a_metric_is_to_become(sentence, goal):
    """Below a heading about goals, in the usual direction of the metric; elsewhere it is no goal."""
    goals = read(f"# Goals\n\n{sentence}\n")
    assert ([(g.name, g.target.value, g.target.direction) for g in goals.goals], goals.problems) == (
        [goal],
        (),
    )
    assert read(f"# Notes\n\n{sentence}\n").goals == ()


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        ("Reduce latency by 20%", "relative to what was"),
        ("90% accuracy", "is that to be reached?"),
        ("Accuracy is 75% now; improve it to 90%.", "more than one number"),
    ],
)
def test_a_sentence_that_may_be_a_goal_is_told(sentence, why):
    """Below a heading about goals nothing with an amount of a metric is dropped without a word."""
    assert why in read(f"# Goals\n\n- Cost: $1 or less\n- {sentence}\n").problems[0]


@pytest.mark.parametrize(
    "sentence",
    [
        "Accuracy is measured on 200 cases, five runs each.",
        "Compare accuracy to 3 other models.",
        "We go live to 10% of the users.",
    ],
)
def test_a_sentence_with_other_numbers_is_no_goal(sentence):
    """Numbers without a unit, or without a metric's word, are no targets."""
    goals = read(f"# Goals\n\n- Cost: $1 or less\n- {sentence}\n")
    assert ([goal.name for goal in goals.goals], goals.problems) == (["Cost"], ())


@pytest.mark.parametrize(
    "line", ["Last updated: 2026-11-20", "- Python: 3.11", "- Model: gpt-4.1", "Runs: 5", "Owner: the team"]
)
def test_other_lines_with_numbers_are_no_goals(line):
    """Nothing is wrong with them; below a heading about goals they would be goals."""
    goals = read(f"{line}\n\n- Accuracy: 90% or higher\n")
    assert ([goal.name for goal in goals.goals], goals.problems) == (["Accuracy"], ())
    below = read(f"# Goals\n\n{line}\n\n- Accuracy: 90% or higher\n")
    assert [one.meaning for one in below.lines] == ["unclear", "goal"]


@pytest.mark.parametrize("line", ["Politeness: 90%", "Speed: 20% faster", "Helpfulness: 4 or higher"])
def test_a_unit_or_a_direction_makes_a_goal_of_any_name(line):
    """It is one, or told as unclear, whatever the heading."""
    (first, _) = read(f"{line}\n\n- Accuracy: 90% or higher\n").lines
    assert first.meaning in ("goal", "unclear")


@pytest.mark.parametrize(
    "table",
    [
        "| # | Metric | Target |\n|---|---|---|\n| 1 | Accuracy | 90% |",
        "| No. | Goal | Now | Target |\n|---|---|---|---|\n| 1. | Accuracy | 80% | 90% |",
        "| # | Aim | Value |\n|---|---|---|\n| 1 | Accuracy | 90% |",
        "| Target | Metric |\n|---|---|\n| 90% | Accuracy |",
        "| Team | Metric | Goal |\n|---|---|---|\n| Search | Accuracy | 90% |",
        "| 番号 | 指標 | 目標値 |\n|---|---|---|\n| 1 | 精度 | 90% |",
    ],
)
def test_the_name_in_a_table(table):
    """Stands in the column that says so, else in the first that is no number."""
    (goal,) = read(table).goals
    assert (goal.measure, goal.target.value) == ("accuracy", 0.9)


@pytest.mark.parametrize(
    ("text", "percentile", "value"),
    [
        ("- Latency: p95 under 800 ms", 95.0, 0.8),
        ("- Latency: 2 s or less at the 99th percentile", 99.0, 2.0),
        ("- Latency: median of 2 s or less", 50.0, 2.0),
        ("- p90 latency: 2 s or less", 90.0, 2.0),
        ("- 応答時間: 95パーセンタイルで2秒以下", 95.0, 2.0),
        ("| Metric | Target |\n|---|---|\n| Latency | p95 < 2 s |", 95.0, 2.0),
        ("## Latency\n- Target value: p95 of 2 s or less", 95.0, 2.0),
        ("## Latency\n- Calculation: median\n- Target value: p95 of 2 s or less", 95.0, 2.0),
        ("Answer with a p95 latency under 2 s.", 95.0, 2.0),
    ],
)
def test_a_percentile_beside_the_target(text, percentile, value):
    """It counts wherever the line says so, before what a section says of all its lines."""
    (goal,) = read(text).goals
    assert (goal.percentile, goal.target.value, goal.measure) == (percentile, value, "latency_s")


def test_the_mean_and_a_percentile_of_one_metric():
    """They are two goals, and can be told apart."""
    goals = read("- Latency: 2 s or less\n- Latency: p95 under 5 s\n")
    assert [(g.name, g.percentile) for g in goals.goals] == [("Latency", None), ("p95 Latency", 95.0)]
    assert [line.told for line in goals.lines] == ["Latency: 2 s or less", "Latency: p95 5 s or less"]


@pytest.mark.parametrize(
    ("sentence", "needed"),
    [
        ("All evaluation metrics must achieve their target values", None),
        ("Any of these metrics is enough", 1),
        ("at least two of the goals", 2),
        ("at least 2 of the goals", 2),
        ("すべての評価指標が目標値を達成すること", None),
        ("いずれかの指標が目標値に達していること", 1),
        ("2つ以上の指標が目標値に達していること", 2),
    ],
)
def test_passing_rules(sentence, needed):
    """All, any, or a number of them, in both languages."""
    goals = read(f"- Accuracy: 90% or higher\n- Cost: $1 or less\n\n## Passing Criteria\n{sentence}\n")
    assert (goals.rule, goals.problems) == (Rule(needed=needed, line=5), ())


@pytest.mark.parametrize(
    ("sentence", "needed"),
    [
        ("All goals count.", None),
        ("The app passes if any two of the evaluation metrics reach their targets.", 2),
        ("For all users, any one of the goals is enough.", 1),
        ("Every metric reaches its target.", None),
        ("Reach at least three of the four goals.", 3),
        ("At least two of the goals", 2),
        ("Passing rule: any of these", 1),
        ("Rule: at least 2 of them", 2),
        ("いずれかの指標が目標値に達すれば十分", 1),
        ("少なくとも二つの目標を達成すること", 2),
        ("六つ以上の指標が目標値に達していること", 6),
    ],
)
def test_passing_rules_without_a_heading(sentence, needed):
    """A sentence says how many of the goals, and that these are enough; or its label says what it is."""
    goals = read("".join(f"- g{i}: 90% or higher\n" for i in range(6)) + f"\n{sentence}\n")
    assert (goals.rule, goals.problems) == (Rule(needed=needed, line=8), ())


@pytest.mark.parametrize(
    "sentence",
    [
        "We don't want to break any of the existing metrics.",
        "Any of these prompts may be changed to reach the goals.",
        "Tell us if any of them is wrong.",
        "We could not reach any of the targets last month.",
        "Any goal that was reached last year should stay in this file.",
        "Each of these metrics is measured five times.",
        "Note: any of the goals may change.",
        "指標のいずれも変えない",
        "二三個以上",
    ],
)
def test_prose_is_no_passing_rule(sentence):
    """Any, all and each are usual words: the gate doesn't get weaker by them."""
    goals = read(f"- Accuracy: 90% or higher\n- Cost: $1 or less\n\n{sentence}\n")
    assert (goals.rule, goals.problems) == (Rule(), ())
    assert [goal.name for goal in goals.goals] == ["Accuracy", "Cost"]


@pytest.mark.parametrize("heading", ["# Goals", "## Passing Criteria"])
@pytest.mark.parametrize(
    ("line", "direction"),
    [
        ("Error rate: 1% for any of these inputs", "lower"),
        ("Accuracy: 90% for all of these categories", "higher"),
    ],
)
def test_a_goal_for_all_of_some_things_is_a_goal(heading, line, direction):
    """Its label says of which metric, so any and all aren't those of a passing rule."""
    goals = read(f"{heading}\n- {line}\n")
    assert [(goal.lines, goal.target.direction) for goal in goals.goals] == [((2,), direction)]
    assert goals.rule == Rule()


@pytest.mark.parametrize("count", ["二三個以上", "0つ以上の指標", f"at least {'9' * 5000} of the goals"])
def test_numbers_that_no_rule_has(count):
    """They are told as not understood, by whatever digits."""
    goals = read(f"- Accuracy: 90% or higher\n\n## Passing Criteria\n{count}\n")
    assert goals.rule.needed is None
    assert "Line 4" in "".join(goals.problems)


def test_a_file_that_says_nothing():
    """Empty, or about something else."""
    assert "The file is empty" in problem("")
    assert "The file is empty" in problem("\ufeff\n \n")
    assert "No goal was understood" in problem("# Notes\n\nWe tuned the prompts last week.\n")


def test_another_language():
    """It is told which ones are read, and which lines look like goals."""
    *lines, whole = read("# Objectifs\n\n- Précision : 90 % ou plus\n- Latence : 2 s au plus\n").problems
    assert [text.partition(",")[0] for text in lines] == ["Line 3", "Line 4"]
    assert "English and Japanese are read" in whole


def test_two_targets_for_one_metric():
    """They are named with their lines, and neither is taken."""
    goals = read("- Accuracy: 90% or higher\n- 精度: 95%以上\n- Latency: 2 s or less\n")
    assert ([goal.name for goal in goals.goals], goals.contradicted) == (["Latency"], ("Accuracy",))
    assert goals.problems == (
        "Two targets for Accuracy: 90 % or higher in line 1, 95 % or higher in line 2. Keep one; "
        "until then it is not judged.",
    )


def test_a_metric_in_two_languages():
    """Numbering and a translation in brackets don't make another metric of it."""
    goals = read("- Accuracy: 90% or higher\n\n## 指標\n### 1. 精度（Accuracy）\n- 目標値: 90%以上\n")
    assert [(goal.name, goal.lines) for goal in goals.goals] == [("Accuracy", (1, 5))]


def test_metrics_that_only_share_a_word_are_two():
    """`Router accuracy` is not `Billing accuracy`."""
    goals = read("- Router accuracy: 90% or higher\n- Billing accuracy: 95% or higher\n")
    assert ([goal.name for goal in goals.goals], goals.problems) == (
        ["Router accuracy", "Billing accuracy"],
        (),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# Goals\n- Accuracy: get better\n- Cost: $1 or less", "no number"),
        ("- Latency: reduce by 20%\n- Cost: $1 or less", "relative"),
        ("Must answer within 2 seconds.\n\n- Cost: $1 or less", "which metric"),
        ("- Target: 90% or higher\n- Cost: $1 or less", "which metric"),
        ("- Test cases: see the wiki\n- Cost: $1 or less", "no path"),
        ("- Cost: $1 or less\n## Passing Criteria\nThe boss is happy", "neither"),
        ("- Cost: $1 or less\n\nAny two of the goals are enough.", "asks for 2 goals, and there are 1"),
        ("- Cost: $1 or less\n\nAll goals count.\n\nAny one of the goals is enough.", "Keep one"),
    ],
)
def test_what_is_unclear_is_a_problem(text, why):
    """Each says where and why."""
    assert why in problem(text)
    assert "ine " in problem(text)


@pytest.mark.parametrize("title", ["Cost", "Cost target", "Target cost", "目標コスト"])
def test_a_section_named_after_its_metric(title):
    """A metric's word makes it one, whatever else the heading says."""
    goals = read(f"## Metrics\n### {title}\n- Target value: $0.01 or less\n")
    assert ([(g.name, g.measure) for g in goals.goals], goals.problems) == ([(title, "cost_usd")], ())


def test_an_objective_may_leave_its_number_to_the_section():
    """That is no problem."""
    goals = read(
        "# Goals\n- Accuracy: better routing\n\n## Metrics\n### Accuracy\n- Target value: 90% or higher\n"
    )
    assert (goals.goals[0].lines, goals.problems) == ((6,), ())
