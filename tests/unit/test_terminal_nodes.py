"""Where time and money went, in the terminal and in the report."""

import re
from dataclasses import replace

import pytest
import views

from pytest_promptune.core.display import columns
from pytest_promptune.core.view import NodeLatency
from pytest_promptune.report.markdown import render_markdown
from pytest_promptune.terminal import summary
from pytest_promptune.terminal_nodes import nodes

REPLY = views.node_row("reply", calls=100, retries=0, errors={}, cost_usd=3.4, share_of_cost=0.966)


def said(view, width=80):
    return [line.text for line in nodes(view, width)]


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def report_of(view):
    return render_markdown(view).partition("## Where time and money went")[2].partition("\n## ")[0]


def test_the_tables():
    """Times per sample, then tokens, cost, retries and errors, and which errors they were."""
    assert said(views.view(nodes=(views.node_row(), REPLY))) == [
        "",
        "Nodes of support_bot: current",
        "    seconds a sample  calls    mean     p50     p95     p99  of time",
        "    classify            103  412 ms  390 ms  710 ms  1.30 s     21 %",
        "    reply               100  412 ms  390 ms  710 ms  1.30 s     21 %",
        "    in all samples  tokens in    out   cost  of cost  retries  errors",
        "    classify           41,200  1,030  $0.12    3.4 %        3       3",
        "    reply              41,200  1,030  $3.40     97 %        0       0",
        "  errors in classify: 2 RateLimitError, 1 ValueError",
    ]


def test_only_times():
    """Nothing but times is known: no second table of dashes."""
    row = views.node_row(
        input_tokens=None, output_tokens=None, cost_usd=None, share_of_cost=None, retries=0, errors={}
    )
    assert len(said(views.view(nodes=(row,)))) == 4


def test_unknown_is_a_dash():
    """Tokens without a price have no cost, not 0."""
    row = views.node_row(
        cost_usd=None,
        share_of_cost=None,
        latency_s=NodeLatency(),
        share_of_latency=None,
        errors={},
        retries=0,
    )
    lines = said(views.view(nodes=(row,)))
    assert lines[3].split() == ["classify", "103", *"–––––"]
    assert lines[5].split() == ["classify", "41,200", "1,030", "–", "–", "0", "0"]
    report = report_of(views.view(nodes=(row,)))
    last = [line for line in report.splitlines() if line.startswith("|")][-1]
    assert cells(last)[4:] == [*"–––––", "41,200", "1,030", "50 %", "–", "–", "0", "–"]


def test_several_variants():
    """Each row says whose it is."""
    view = views.view(nodes=(views.node_row(), views.node_row(variant="fewshot")))
    lines = said(view)
    assert lines[1] == "Nodes of support_bot"
    assert lines[3].startswith("    classify (current) ")
    assert lines[4].startswith("    classify (fewshot) ")
    assert "  errors in classify (fewshot): 2 RateLimitError, 1 ValueError" in lines


def test_apps_of_one_name():
    """Are told apart by where they are defined."""
    view = views.view(nodes=(views.node_row(scope="tests/a"), views.node_row(scope="tests/b")))
    titles = [line for line in said(view) if line.startswith("Nodes of")]
    assert titles == ["Nodes of support_bot (tests/a): current", "Nodes of support_bot (tests/b): current"]
    assert report_of(view).count("### support_bot (tests/") == 2


def test_nothing_without_nodes():
    """An app that calls no model is not told of."""
    assert said(views.view()) == []
    assert "Where time and money went" not in render_markdown(views.view())


def test_where_they_stand():
    """In every full summary; a check that found nothing stays short."""
    rows = (views.node_row(),)
    for view in (views.recorded(), views.failed_check()):
        lines = [line.text for line in summary(replace(view, nodes=rows), verbosity=0, width=80)]
        assert "Nodes of support_bot: current" in lines
    assert len(summary(views.view(nodes=rows), verbosity=0, width=80)) == 1


@pytest.mark.parametrize("width", [20, 40, 60, 80, 132])
@pytest.mark.parametrize("name", ["classify", "research/supervisor/supervisor_tools/researcher", "分類" * 20])
def test_no_line_is_wider_than_the_terminal(name, width):
    """Whatever nodes and their exceptions are called."""
    row = views.node_row(name, input_tokens=10**10, errors={"VeryLongNameOfAnException" * 5: 10**6})
    for rows in ((row,), (row, views.node_row(name, variant="fewshot"))):
        assert [line for line in said(views.view(nodes=rows), width) if columns(line) > width] == []


def test_the_report():
    """All that the results file has, a row per node and variant."""
    table = [
        cells(line)
        for line in report_of(views.view(nodes=(views.node_row(), REPLY))).splitlines()
        if "|" in line
    ]
    assert table[0][:6] == ["Node", "Variant", "Samples", "Calls", "Mean", "p50"]
    assert table[2] == [
        *("`classify`", "`current`", "100", "103", "412 ms", "390 ms", "710 ms", "1.30 s", "21 %"),
        *("41,200", "1,030", "50 %", "$0.12", "3.4 %", "3", "2 RateLimitError, 1 ValueError"),
    ]
    assert table[3][-1] == "–"


def test_names_are_text():
    """Whatever a node or an exception is called, it breaks neither table nor terminal."""
    evil = "a|b\x1b[31m<script>`"
    view = views.view(nodes=(views.node_row(evil, variant=evil, errors={evil: 1}),))
    report = report_of(view)
    assert len({len(cells(line)) for line in report.splitlines() if line.startswith("|")}) == 1
    assert "<script>" not in report.replace(r"\<script>", "")
    assert "\x1b" not in report + "".join(said(view))
