"""Plots of sessions: harmless, the same every time, and alone in a document of many."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
import views

from pytest_promptune.report import plots
from pytest_promptune.report.plots import drawings

HOSTILE = '$x^2$ <script>alert(1)</script> \x1b[31m\x00 href="http://e.x" 日本語'


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
    points = [drawings.Point(label="0", value=1.0), drawings.Point(label="1", value=2.0)]
    every = [drawings.progress("m", "", points, name=name) for name in ("first", "second")]
    one, other = (set(re.findall(r'\bid="([^"]*)"', plot.svg)) for plot in every)
    assert one
    assert not one & other


def test_references_inside_a_plot_lead_somewhere():
    for plot in drawn():
        ids = set(re.findall(r'\bid="([^"]*)"', plot.svg))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', plot.svg)) <= ids


def test_hostile_names_stay_text():
    rows = [drawings.CaseRow(case=HOSTILE, values=(0.5, 1.0), change=0.5)]
    plot = drawings.heat_map(HOSTILE, ["current", HOSTILE], rows)
    root = ET.fromstring(plot.svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"script", "a", "image", "foreignObject"}
    assert any("$x^2$" in (element.text or "") for element in root.iter() if element.tag.endswith("text"))
    assert "\x1b" not in plot.svg + plot.alternative
    links = {value for element in root.iter() for name, value in element.attrib.items() if "href" in name}
    assert all(value.startswith("#") for value in links)


def test_of_many_cases_those_that_changed_most_are_shown():
    rows = [drawings.CaseRow(case=f"C{n:03}", values=(0.0, n / 200), change=n / 200) for n in range(200)]
    plot = drawings.heat_map("test_intent", ["a", "b"], rows)
    assert "the 60 that changed most of 200 cases" in plot.alternative
    assert ">C199<" in plot.svg
    assert ">C100<" not in plot.svg


def test_the_margin_is_drawn_on_the_side_of_losses():
    row = plots.of_view._differences(views.view(comparisons=(views.regression(),)))[0]
    assert row.margin == pytest.approx(-10)
    assert row.value == pytest.approx(-11)
    slower = views.comparison(
        views.LATENCY, reference_mean=2.0, difference=0.4, ratio=1.15, ratio_ci=(1.0, 1.3), margin=0.2
    )
    assert plots.of_view._differences(views.view(comparisons=(slower,)))[0].margin == pytest.approx(10)


def test_nodes_fall_back_from_cost_to_tokens_to_latency():
    def title(**unknown):
        found = plots.draw(views.view(metrics=(), comparisons=(), nodes=(views.node_row(**unknown),)))
        return [plot.title for plot in found]

    assert title() == ["Share of cost by node"]
    assert title(share_of_cost=None) == ["Share of tokens by node"]
    no_tokens = {"share_of_cost": None, "input_tokens": None, "output_tokens": None}
    assert title(**no_tokens) == ["Share of latency by node"]


def test_what_has_nothing_to_say_is_not_drawn():
    assert plots.draw(views.view(metrics=(), comparisons=(), nodes=())) == ()
    assert drawings.progress("m", "", [drawings.Point(label="0", value=1.0)], 1.0) is None


def test_progress_shows_its_goal():
    points = [drawings.Point(label="0", value=70.0, interval=(60, 80)), drawings.Point(label="1", value=90.0)]
    plot = drawings.progress("test_intent", "%", points, 85.0)
    assert "goal: at least 85.0 %" in plot.svg
    assert "goal: at least 85.0 %" in plot.alternative
