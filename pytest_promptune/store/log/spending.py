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
    newest = select(c.experiment).where(c.replay_of.is_(None), c.samples > 0)
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
            .where(s.experiment == experiment, s.app == app, s.variant == variant)
            .limit(_MOST_SAMPLES)
        )
        totals = [_total(cost, scorings) for cost, scorings in connection.execute(query)]
        costs = [total for total in totals if total is not None]
        if costs:
            return sum(costs) / len(costs)
    return None


def _total(cost_usd: float | None, scorings: list[Mapping[str, Any]] | None) -> float | None:
    """Of a sample and its scorers, as far as it is known; ``None`` where nothing is."""
    known = [cost_usd, *(scoring.get("cost_usd") for scoring in scorings or ())]
    costs = [cost for cost in known if cost is not None]
    return sum(costs) if costs else None
