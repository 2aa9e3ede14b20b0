"""The states of an app in the course of its series, and where its metrics stood in them."""

from __future__ import annotations

from dataclasses import replace

import finals
import pytest
import views

from pytest_promptune.core.series.model import Adopted, Iteration, Point, Series, Session
from pytest_promptune.core.series.progress import progress, states_of
from pytest_promptune.core.series.rows import Mean

START = Point(experiment="e1", variant="current")


def iteration(number: int, adopted: str | None = None, **variants: str) -> Iteration:
    """Iteration n is experiment e(n + 1)."""
    id_ = f"e{number + 1}"
    session = Session(
        experiment=id_, mode="compare", started="", variants=variants or {"current": "", "b": "b"}
    )
    made = Adopted(experiment=id_, variant=adopted, at="") if adopted else None
    return Iteration(number=number, session=session, tried=("b",), adopted=made)


def series(*iterations: Iteration, present: Point = START, **values) -> Series:
    begins = Session(experiment="e1", mode="baseline", started="")
    adopted = [each.adopted for each in iterations if each.adopted]
    values = {"adoption": adopted[-1] if adopted else None} | values
    return Series(start=START, begins=begins, iterations=iterations, present=present, **values)


def told(found: Series) -> list[tuple[int | None, str, str | None]]:
    return [
        (each.iteration, f"{each.point.experiment}:{each.point.variant}", each.adopted)
        for each in states_of(found)
    ]


def test_every_iteration_is_a_state():
    """With the variant that was adopted in it; else `current` as it was measured."""
    found = series(iteration(1), iteration(2, "b"), present=Point(experiment="e3", variant="b"))
    assert told(found) == [(0, "e1:current", None), (1, "e2:current", None), (2, "e3:b", "b")]


def test_nothing_adopted_has_its_iterations_too():
    """The start alone is one state."""
    assert told(series()) == [(0, "e1:current", None)]
    assert told(series(iteration(1))) == [(0, "e1:current", None), (1, "e2:current", None)]


def test_the_first_comparison_is_the_start_only_once():
    """Where there is no baseline; and what didn't measure `current` says nothing of the app."""
    first = replace(iteration(1), session=replace(iteration(1).session, experiment="e1"))
    assert told(series(first, iteration(2))) == [(0, "e1:current", None), (2, "e3:current", None)]
    assert told(series(iteration(1, b="b"))) == [(0, "e1:current", None)]


def test_an_adopted_variant_that_was_measured_again_by_a_check():
    """Its newer samples stand for the iteration."""
    present = Point(experiment="e9", variant="current")
    found = series(iteration(1, "b"), present=present, is_remeasured=True)
    assert told(found) == [(0, "e1:current", None), (1, "e9:current", "b")]


@pytest.mark.parametrize("adopted", [None, "b"])
def test_what_was_changed_by_hand_after_the_last_iteration(adopted):
    """Is a state of its own: no iteration measured it."""
    present = Point(experiment="e9", variant="current")
    found = series(iteration(1, adopted), present=present, strayed="e9")
    assert told(found)[1:] == [(1, f"e2:{adopted or 'current'}", adopted), (None, "e9:current", None)]


def test_an_iteration_that_measured_the_present_state_is_the_last():
    """As after a change by hand that a comparison began with."""
    found = series(iteration(1), present=Point(experiment="e2", variant="current"), strayed="e2")
    assert told(found) == [(0, "e1:current", None), (1, "e2:current", None)]


def test_metrics_over_the_states():
    """The start and the present state as the report describes them, those between as they were stored."""
    metric = finals.report().metrics[0]
    place = (metric.name.module, metric.name.metric)

    def means_of(point: Point) -> dict[tuple[str, str], Mean]:
        if point.experiment == "e3":
            return {}  # not measured there
        return {place: Mean(name=metric.name, variant=point.variant, mean=0.8, ci=None)}

    present = Point(experiment="e4", variant="b")
    found = series(iteration(1), iteration(2), iteration(3, "b"), present=present)
    goal = finals.report().goals[0]
    (line,) = progress(found, [metric, replace(metric, gated=False, name=views.LATENCY)], [goal], means_of)
    assert [(each.iteration, each.adopted, each.mean) for each in line.points] == [
        (0, None, 0.75),
        (1, None, 0.8),
        (3, "b", 0.86),
    ]
    assert line.points[0].ci == metric.initial.ci
    assert line.target == 0.9
