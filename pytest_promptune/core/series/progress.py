"""Where each metric of a series stood at the start, after every iteration, and at present."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.series.final import GoalChange, MetricChange, Progress, ProgressPoint
from pytest_promptune.core.series.model import Iteration, Point, Series
from pytest_promptune.core.series.rows import Mean
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import Interval

_Place = tuple[str, str]
#: Means of a state by module and metric.
MeansOf = Callable[[Point], Mapping[_Place, Mean]]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state of the app in the course of its series."""

    #: 0: the starting point; ``None``: at present, where that was measured after the last iteration.
    iteration: int | None
    #: The samples that speak of it.
    point: Point
    #: The variant that made it, ``None`` where none was adopted.
    adopted: str | None = None


def states_of(series: Series) -> tuple[State, ...]:
    """The start, then by iteration what was adopted or else its `current`, and the present state last."""
    states = [State(iteration=0, point=series.start)]
    for each in series.iterations:
        states += _after(each, series.start)
    last = states[-1]
    if not series.is_changed or last.point == series.present:
        return tuple(states)
    if series.is_remeasured and last.adopted is not None:  # newer samples of the same
        return (*states[:-1], replace(last, point=series.present))
    return (*states, State(iteration=None, point=series.present))


def _after(iteration: Iteration, start: Point) -> Iterator[State]:
    adopted, session = iteration.adopted, iteration.session
    if adopted is not None:
        point = Point(experiment=adopted.experiment, variant=adopted.variant)
        yield State(iteration=iteration.number, point=point, adopted=adopted.variant)
    elif CURRENT in session.variants:
        point = Point(experiment=session.experiment, variant=CURRENT)
        if point != start:  # without a baseline, the first comparison is the start
            yield State(iteration=iteration.number, point=point)


def progress(
    series: Series, metrics: Sequence[MetricChange], goals: Sequence[GoalChange], means_of: MeansOf
) -> tuple[Progress, ...]:
    """Gated metrics, and those with a goal, over the states of the app.

    Args:
        series: whose states are meant.
        metrics: at the start and at present.
        goals: of the same; those of percentiles are left out.
        means_of: what was measured of a state in between.
    """
    targets = {_place(goal): goal.final.target for goal in goals if goal.final.percentile is None}
    between = [(state, means_of(state.point)) for state in states_of(series)[1:]]
    found = []
    for metric in metrics:
        place = _place(metric)
        if metric.initial is None or not (metric.gated or place in targets):
            continue
        points = [_point(State(iteration=0, point=series.start), metric.initial.mean, metric.initial.ci)]
        for state, means in between:
            row = metric.final if state.point == series.present and metric.final else means.get(place)
            if row is not None:
                points.append(_point(state, row.mean, row.ci))
        found.append(Progress(name=metric.name, points=tuple(points), target=targets.get(place)))
    return tuple(found)


def _point(state: State, mean: float | None, ci: Interval | None) -> ProgressPoint:
    return ProgressPoint(
        iteration=state.iteration,
        adopted=state.adopted,
        experiment=state.point.experiment,
        variant=state.point.variant,
        mean=mean,
        ci=ci,
    )


def _place(of: MetricChange | GoalChange) -> _Place:
    return of.name.module, of.name.metric
