"""Which variants became the app's own prompts, and whose numbers spoke for them."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from pytest_promptune.store.log import schema
from pytest_promptune.store.log.values import Adoption


def of_series(connection: Connection, series: str) -> list[Adoption]:
    """The variants of a tuning series that were adopted, oldest first."""
    experiments, adoptions = schema.experiments, schema.adoptions
    query = (
        select(experiments.c.id, adoptions.c.variant, adoptions.c.at, adoptions.c.commit)
        .join_from(adoptions, experiments)
        .where(experiments.c.series == series)
        .order_by(adoptions.c.at, adoptions.c.experiment)
    )
    return [
        Adoption(experiment=id_, variant=variant, at=at, commit=commit)
        for id_, variant, at, commit in connection.execute(query)
    ]


def note(connection: Connection, number: int, adoption: Adoption) -> None:
    """Write it in place of an earlier one of the same variant.

    Args:
        connection: in a transaction that writes.
        number: of the experiment.
        adoption: what is noted.
    """
    adoptions = schema.adoptions
    same = (adoptions.c.experiment == number) & (adoptions.c.variant == adoption.variant)
    row = {
        "experiment": number,
        "variant": adoption.variant,
        "at": adoption.at,
        "commit": adoption.commit,
    }
    connection.execute(delete(adoptions).where(same))
    connection.execute(insert(adoptions).values(**row))
