"""Throwing experiments away: which, and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from sqlalchemy import Connection, Engine, delete, exists, select

from pytest_promptune.store.log import opening, schema
from pytest_promptune.store.log.values import ExperimentSummary

#: An experiment with its number.
_Numbered = tuple[int, ExperimentSummary]


def needed(connection: Connection, newest_first: Sequence[_Numbered]) -> set[int]:
    """Numbers of the experiments that a later session may ask for; see `ExperimentLog.prune`."""
    found = set(connection.execute(select(schema.adoptions.c.experiment)).scalars())
    measured = [(number, one) for number, one in newest_first if one.replay_of is None]
    if measured:
        last, newest = measured[0]
        found.add(last)
        of_series = [(n, one) for n, one in measured if one.series == newest.series]
        baselines = [n for n, one in of_series if one.mode == "baseline" and one.status == "finished"]
        resumable = [n for n, one in measured if one.status == "interrupted" and one.samples]
        found.update(baselines[:1], resumable[:1])
    return found


def chosen(
    newest_first: Sequence[_Numbered], needed: Set[int], *, keep: int | None, older_than: str | None
) -> list[_Numbered]:
    """Those that go."""
    return [
        (number, found)
        for place, (number, found) in enumerate(newest_first)
        if found.status != "running"
        and number not in needed
        and (keep is None or place >= keep)
        and (older_than is None or found.started < older_than)
    ]


def throw_away(engine: Engine, numbers: Iterable[int]) -> None:
    """Delete these, then what no other experiment has in common with them, and give the space back."""
    is_any = False
    for number in numbers:
        is_any = True
        with engine.begin() as connection:
            mine = schema.experiments.c.experiment == number
            connection.execute(delete(schema.experiments).where(mine))
    if not is_any:
        return
    with engine.begin() as connection:
        for shared, user in ((schema.texts, schema.prompts), (schema.contents, schema.cases)):
            used = exists().where(user.c.hash == shared.c.hash)
            connection.execute(delete(shared).where(~used))
    opening.give_space_back(engine)
