"""Plots of sessions and final reports: harmless, the same every time, and alone in a document of many."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import finals
import pytest
import views

from pytest_promptune.core.series.final import Progress, ProgressPoint
from pytest_promptune.report import plots
from pytest_promptune.report.plots import drawings, preparing
from pytest_promptune.report.words import Words

EN = Words("en")

HOSTILE = '$x^2$ <script>alert(1)</script> \x1b[31m\x00 href="http://e.x" 日本語'


POINTS = [
    drawings.Point(label="start", value=70.0, interval=(60, 80), text="70.0 %"),
    drawings.Point(label="1: new", value=90.0, text="90.0 %"),
]


def drawn():
    return plots.draw(views.three_variants())


def test_a_session_is_drawn_as_well_formed_svg_without_prolog():
    for plot in drawn():
        assert plot.svg.startswith("<svg ")
        root = ET.fromstring(plot.svg)
        assert root.find("{http://www.w3.org/2000/svg}title").text == plot.title
        assert plot.alternative.endswith(".")
    assert "differences" in [plot.name for plot in drawn()]


def test_the_same_view_gives_the_same_bytes():
    assert drawn() == drawn()


def test_ids_of_several_plots_do_not_collide():
    every = [drawings.progress("m", "", POINTS, EN, name=name) for name in ("first", "second")]
    one, other = (set(re.findall(r'\bid="([^"]*)"', plot.svg)) for plot in every)
    assert one
    assert not one & other


def test_references_inside_a_plot_lead_somewhere():
    for plot in drawn():
        ids = set(re.findall(r'\bid="([^"]*)"', plot.svg))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', plot.svg)) <= ids


def test_hostile_names_stay_text():
    rows = [drawings.CaseRow(case=HOSTILE, values=(0.5, 1.0), change=0.5)]
    plot = drawings.heat_map(HOSTILE, ["current", HOSTILE], rows, EN)
    root = ET.fromstring(plot.svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"script", "a", "image", "foreignObject"}
    assert any("$x^2$" in (element.text or "") for element in root.iter() if element.tag.endswith("text"))
    assert "\x1b" not in plot.svg + plot.alternative
    links = {value for element in root.iter() for name, value in element.attrib.items() if "href" in name}
    assert all(value.startswith("#") for value in links)


def test_of_many_cases_those_that_changed_most_are_shown():
    rows = [drawings.CaseRow(case=f"C{n:03}", values=(0.0, n / 200), change=n / 200) for n in range(200)]
    plot = drawings.heat_map("test_intent", ["a", "b"], rows, EN)
    assert "the 60 that changed most of 200 cases" in plot.alternative
    assert ">C199<" in plot.svg
    assert ">C100<" not in plot.svg


def test_the_margin_is_drawn_on_the_side_of_losses():
    row = preparing.difference(views.regression(), "m", EN)
    assert row.margin == pytest.approx(-10)
    assert row.value == pytest.approx(-11)
    slower = views.comparison(
        views.LATENCY, reference_mean=2.0, difference=0.4, ratio=1.15, ratio_ci=(1.0, 1.3), margin=0.2
    )
    assert preparing.difference(slower, "m", EN).margin == pytest.approx(10)


def test_nodes_fall_back_from_cost_to_tokens_to_latency():
    def title(**unknown):
        found = plots.draw(views.view(metrics=(), comparisons=(), nodes=(views.node_row(**unknown),)))
        return [plot.title for plot in found]

    assert title(share_of_tokens=0.4) == ["Share of cost by node"]
    assert title(share_of_cost=None, share_of_tokens=0.4) == ["Share of tokens by node"]
    assert title(share_of_cost=None, share_of_tokens=None) == ["Share of latency by node"]


def test_what_has_nothing_to_say_is_not_drawn():
    assert plots.draw(views.view(metrics=(), comparisons=(), nodes=())) == ()
    assert drawings.progress("m", "", POINTS[:1], EN) is None
    assert plots.draw_final(finals.report(metrics=(), cases=(), nodes=())) == ()


def test_progress_shows_its_goal():
    goal = drawings.Goal(value=85.0, text="85.0 % or higher")
    plot = drawings.progress("test_intent", "%", POINTS, EN, goal)
    assert "target: 85.0 % or higher" in plot.svg
    assert "start: 70.0 %; 1: new: 90.0 %; target: 85.0 % or higher." in plot.alternative


def point(**values) -> ProgressPoint:
    return ProgressPoint(**({"experiment": "e", "variant": "current", "ci": None} | values))


def final(language: str) -> dict[str, plots.Plot]:
    """Of a final report with a latency in milliseconds and another in seconds, by name."""
    name = views.metric_name()
    points = (
        point(iteration=0, mean=0.75, ci=(0.66, 0.84)),
        point(iteration=1, mean=0.86, adopted="fewshot"),
        point(iteration=2, mean=None),
        point(iteration=3, mean=0.86),
        point(iteration=None, mean=0.875),
    )
    progress = (
        Progress(name=name, points=points[:1]),
        Progress(name=name, points=points, target=0.9),
        Progress(name=views.LATENCY, points=points, target=0.8),
    )
    return {plot.name: plot for plot in plots.draw_final(finals.report(progress=progress), language=language)}


def test_a_final_report_shows_the_series_and_both_states():
    found = final("en")
    assert list(found) == ["progress-1", "progress-2", "differences", "cases-1", "latency", "nodes"]
    assert (
        "0: start: 75.0 %; 1: fewshot: 86.0 %; 3: 86.0 %; Final: 87.5 %; target: 90.0 % or higher."
        in found["progress-1"].alternative
    )
    assert "0: start: 750 ms" in found["progress-2"].alternative
    assert "target: 800 ms or less" in found["progress-2"].svg
    assert ">ms<" in found["progress-2"].svg
    assert "Changed most: TC002, TC001." in found["cases-1"].alternative
    assert "classify · Initial" in found["nodes"].svg
    assert "classify · Final" in found["nodes"].svg


def test_a_final_report_in_japanese_has_its_words_in_pictures():
    for name, plot in final("ja").items():
        english = final("en")[name]
        assert re.search("[ぁ-んァ-ン一-龠]", plot.title), plot.title
        assert plot.title != english.title
        words = set(re.findall(r"[A-Za-z_]{4,}", plot.alternative))
        assert words <= {"test_intent", "fewshot", "latency_s", "classify", "support_bot"}, words
        ET.fromstring(plot.svg)


def test_where_nothing_was_adopted_there_is_one_side():
    found = plots.draw_final(finals.beginning())
    assert [plot.name for plot in found] == ["nodes"]
    assert "Final" not in found[0].svg
