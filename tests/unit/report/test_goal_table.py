"""Goals in the report and in the terminal: foreign names stay text, nothing is shown where there are none."""

from __future__ import annotations

from dataclasses import replace

from views import metric_name, view

from pytest_promptune.core.view import GoalRow
from pytest_promptune.report.github import step_summary
from pytest_promptune.report.markdown import render_markdown
from pytest_promptune.terminal import summary

ROW = GoalRow(
    goal="Accuracy | <b>bold</b> \x1b[2J",
    name=metric_name(),
    variant="current",
    target=0.9,
    direction="higher",
    value=0.86,
    ci=(0.8, 0.92),
    status="unclear",
)
RULE = "all goals must be reached"


def test_the_table():
    """Value, target, gap, achievement and result in words; the name is escaped."""
    text = render_markdown(replace(view(), goals=(ROW,), passing_rule=RULE))
    assert (
        "| Accuracy \\| \\<b>bold\\</b> | `test_intent` | `current` | 86.0 % | [80.0, 92.0] % "
        "| 90.0 % or higher | −4.0 pts | 95.6 % | unclear (not reached, but that may be chance) |"
    ) in text
    assert "| Value | 95 % interval | Target |" in text
    assert f"Passing rule: {RULE}." in text
    assert "## Goals" in step_summary(replace(view(), goals=(ROW,), passing_rule=RULE))


def test_many_variants_share_the_lines_of_a_goal():
    """A line for each status, with every variant's value; sentences where there are few, and with -v."""
    found = {"a": (0.86, "unclear"), "b": (0.97, "attained"), "c": (0.5, "missed"), "d": (0.95, "attained")}
    rows = [
        replace(ROW, goal="Accuracy", variant=name, value=value, status=status)
        for name, (value, status) in found.items()
    ]
    many = replace(view(), mode="compare", goals=(*rows, replace(rows[2], variant="e", value=None)))
    lines = [line.text for line in summary(many, verbosity=0, width=80)]
    start = lines.index("Goals")
    assert lines[start + 1 : start + 5] == [
        "  Accuracy (test_intent), target 90.0 % or higher:",
        "    attained: b 97.0 %, d 95.0 %",
        "    unclear (not reached, but that may be chance): a 86.0 %",
        "    missed: c 50.0 %, e –",
    ]
    few = replace(many, goals=tuple(rows[:3]))
    for shown, verbosity in ((few, 0), (many, 1)):
        text = " ".join(line.text for line in summary(shown, verbosity=verbosity, width=200))
        assert "Accuracy (test_intent, b) attained: 97.0 % " in text


def test_no_goals():
    """Neither a heading nor a rule."""
    assert "Goals" not in render_markdown(view())
    assert not [line for line in summary(view(), verbosity=1, width=80) if "Goals" in line.text]


def test_the_terminal():
    """A sentence each, in the full summary and in the short one, whole within the width."""
    for verbosity in (0, 1):
        lines = summary(replace(view(), goals=(ROW,), passing_rule=RULE), verbosity=verbosity, width=60)
        text = " ".join(" ".join(line.text.split()) for line in lines)
        assert "unclear (not reached, but that may be chance): 86.0 % [80.0, 92.0] %" in text
        assert f"Passing rule: {RULE}" in text
        assert "\x1b" not in text
        assert max(len(line.text) for line in lines) <= 60
