"""What a session is told of its tuning series: what was measured before, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from pytest_promptune.store.log import schema


def past_of(connection: Connection, experiment: int, series: str) -> list[Mapping[str, Any]]:
    """The finished baselines and comparisons of a series before this experiment, oldest first, as plain data.

    No samples, scores or outputs are read. Each has ``experiment`` (its id), ``mode``, ``started``,
    ``variants``, ``prompts`` and ``tests`` (hashes by name), ``cases`` and ``runs`` (how many, as they were
    planned), and ``comparisons``: the rows of the results document.
    """
    experiments, manifests, comparisons = schema.experiments, schema.manifests, schema.comparisons
    query = (
        select(
            experiments.c.experiment,
            experiments.c.id,
            experiments.c.mode,
            experiments.c.started,
            experiments.c.variants,
            experiments.c.cases,
            experiments.c.runs,
            manifests.c.conditions,
        )
        .join_from(experiments, manifests)
        .where(
            experiments.c.series == series,
            experiments.c.experiment < experiment,
            experiments.c.status == "finished",
            experiments.c.mode.in_(("baseline", "compare")),
            experiments.c.replay_of.is_(None),
        )
        .order_by(experiments.c.experiment)
    )
    found: list[Mapping[str, Any]] = []
    for row in connection.execute(query).mappings():
        rows = (
            select(comparisons.c.data)
            .where(comparisons.c.experiment == row["experiment"])
            .order_by(comparisons.c.row)
        )
        hashes = row["conditions"].get("variants", {})
        found.append(
            {
                "experiment": row["id"],
                "mode": row["mode"],
                "started": row["started"],
                "variants": {name: hashes.get(name, "") for name in row["variants"] or ()},
                "prompts": row["conditions"].get("prompts", {}),
                "tests": row["conditions"].get("tests", {}),
                "cases": row["cases"],
                "runs": row["runs"],
                "comparisons": list(connection.execute(rows).scalars()) if row["mode"] == "compare" else [],
            }
        )
    return found
