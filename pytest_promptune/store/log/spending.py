"""What samples of an app cost lately, from few rows of the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from pytest_promptune.store.log import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: How many of the newest experiments are looked through, and how many samples of an app and variant tell.
_MOST_EXPERIMENTS = 20
_MOST_SAMPLES = 100


def mean_cost(connection: Connection, wanted: Mapping[tuple[str, str], int]) -> float | None:
    """What one sample costs by expectation, with its scorers, in USD; ``None`` where nothing tells.

    Args:
        connection: to the log.
        wanted: how many samples are to be measured, by app and variant. Of each, the newest experiment that
            has samples with a known cost tells.
    """
    c = schema.experiments.c
    newest = select(c.experiment).where(c.replay_of.is_(None), c.cost_usd.is_not(None))
    newest = newest.order_by(c.experiment.desc()).limit(_MOST_EXPERIMENTS)
    experiments = list(connection.execute(newest).scalars())
    known = {place: _mean_of(connection, experiments, *place) for place in wanted}
    told = {place: cost for place, cost in known.items() if cost is not None}
    total = sum(wanted[place] for place in told)
    return sum(cost * wanted[place] for place, cost in told.items()) / total if total else None


def _mean_of(connection: Connection, experiments: list[int], app: str, variant: str) -> float | None:
    s = schema.samples.c
    for experiment in experiments:
        query = (
            select(s.cost_usd, s.scorings)
            .where(s.experiment == experiment, s.app == app, s.variant == variant, s.cost_usd.is_not(None))
            .limit(_MOST_SAMPLES)
        )
        costs: list[float] = [cost + _of_scorers(scorings) for cost, scorings in connection.execute(query)]
        if costs:
            return sum(costs) / len(costs)
    return None


def _of_scorers(scorings: list[Mapping[str, Any]]) -> float:
    return sum(scoring.get("cost_usd") or 0.0 for scoring in scorings or ())
