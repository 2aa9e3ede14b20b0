"""The analysis in terminal and report: few lines, everything with -v, and foreign names stay text."""

from dataclasses import replace

import pytest
import views

from pytest_promptune.core.display import columns
from pytest_promptune.report.markdown import render_markdown
from pytest_promptune.terminal_analysis import analysis

VIEW = views.view(analysis=views.analysis())


def said(view, verbosity=0, width=80):
    return [line.text for line in analysis(view, verbosity=verbosity, width=width)]


def test_a_few_lines():
    """The worst categories, what stands out, what is uneven, and where to begin."""
    assert said(VIEW) == [
        "",
        "Analysis",
        "  test_intent, billing: 10 of 20 missed; 8 of 10 misses taken for technical:",
        "    T01, T04",
        "  1 outlier in 60 samples by latency (current), the furthest T04 run 2:",
        "    4.10 s, most of it in classify",
        "  cases by category: billing 12, technical 2: few cases of technical",
        "  work on classify first: it has 70 % of what counts (failed cases 100 %, time",
        "    40 %)",
    ]


def test_no_more_than_three_categories():
    """The others are counted, and those of other variants are left to the report."""
    (row,) = VIEW.analysis.trouble
    rows = [replace(row, category=f"c{n}", misses=n + 1) for n in range(5)]
    found = views.view(analysis=views.analysis(trouble=(*rows, replace(row, variant="other", category="no"))))
    lines = said(found)
    assert [line.split()[1] for line in lines if "misses taken" in line] == ["c4:", "c3:", "c2:"]
    assert "  misses in 2 more: see the report, or -v" in lines
    assert "no:" not in " ".join(lines)
    assert "test_intent, other: no:" in " ".join(said(found, 1))


def test_the_first_nodes_of_the_matrix():
    """In a comparison, a line each, the largest impact first; the others are counted, or all told with -v."""
    (row,) = VIEW.analysis.priorities
    rows = [replace(row, node=f"n{n}", impact=n / 10, feasibility=n) for n in (1, 4, 3, 2)]
    found = views.view(mode="compare", analysis=views.analysis(priorities=tuple(rows)))
    assert [line.split() for line in said(found)[-5:]] == [
        ["node", "impact", "feasibility", "cost"],
        ["n4", "40", "%", "4", "5", "runs,", "$0.0400"],
        ["n3", "30", "%", "3", "5", "runs,", "$0.0400"],
        ["n2", "20", "%", "2", "5", "runs,", "$0.0400"],
        ["1", "more", "node:", "see", "the", "report,", "or", "-v"],
    ]
    assert not any("feasibility" in line for line in said(replace(found, mode="baseline")))
    assert "n1 10 %" in " ".join(" ".join(said(found, 1)).split())
    one = replace(found, analysis=views.analysis(priorities=tuple(rows[:1])))
    assert not any("feasibility" in line for line in said(one))
    assert not any("feasibility" in line for line in said(found, width=20))
    assert [line for line in said(found) if columns(line) > 80] == []


def test_nothing_to_see():
    """An even suite without a miss has no heading; documents of earlier versions have no analysis."""
    even = tuple(replace(row, advice=()) for row in VIEW.analysis.coverage)
    nothing = views.analysis(trouble=(), outliers=(), coverage=even, priorities=(), priority_rule="")
    assert said(views.view(analysis=nothing)) == []
    assert said(views.view(analysis=None), 1) == []
    report = render_markdown(views.view(analysis=None))
    assert "## Outliers" not in report


def test_all_of_it():
    """With -v the fences, the flaky cases and the matrix with its rule."""
    text = " ".join(" ".join(said(VIEW, 1)).split())
    assert "flaky in billing: T04" in text
    assert " to 1.50 s)" in text
    assert "classify 70 % – 5 runs, $0.04" in text
    assert "Impact: a share." in text


def test_the_report():
    """Each part under its heading, with the rule."""
    lines = render_markdown(VIEW).splitlines()
    for title in ("Where it fails", "Outliers", "What the cases cover", "What to work on"):
        assert f"## {title}" in lines
    text = "\n".join(lines)
    assert "`technical` instead of `billing`: 8 of 10 misses (`T01`, `T04`)" in text
    assert "no class instead of `billing`: 2 of 10 misses (`T04`)" in text
    assert "`T04` run 2: 4.10 s in `classify` ▲" in text
    assert "Tukey's fences" in text
    assert "| `classify` | `support_bot` | 70 % of what counts (failed cases 100 %, time 40 %) | – |" in text


EVIL = "a|b\x1b[31m<script>`\n::error::"


def test_names_are_text():
    """Categories, cases and nodes are foreign: no command to terminal or table."""
    (row,), (out,) = VIEW.analysis.trouble, VIEW.analysis.outliers
    outlier = replace(out.outliers[0], case=EVIL, node=EVIL)
    coverage = replace(VIEW.analysis.coverage[0], counts={EVIL: 3, "x": 9})
    found = views.analysis(
        trouble=(replace(row, category=EVIL, cases=(EVIL,)),),
        outliers=(replace(out, outliers=(outlier,)),),
        coverage=(coverage,),
    )
    view = views.view(analysis=found)
    assert "\x1b" not in "".join(said(view, 1))
    report = render_markdown(view)
    assert "<script>" not in report.replace("\\<", "")
    assert not any(line.startswith("::") for line in report.splitlines())


@pytest.mark.parametrize("width", [20, 40, 80])
@pytest.mark.parametrize("verbosity", [0, 1])
def test_no_line_is_wider_than_the_terminal(width, verbosity):
    """However little room there is."""
    assert [line for line in said(VIEW, verbosity, width) if columns(line) > width] == []
