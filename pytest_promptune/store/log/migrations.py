"""Stores of earlier versions become present ones, one step for each version, in one transaction."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, func, insert, inspect, select, text

from pytest_promptune.core.errors import StoreError
from pytest_promptune.store.log.location import Location
from pytest_promptune.store.log.schema import metadata, versions


def _series_cases_and_adoptions(connection: Connection) -> None:
    """1 to 2: experiments know their series and cases, and which of their variants were adopted."""
    mine = "FOREIGN KEY (experiment) REFERENCES promptune_experiments (experiment) ON DELETE CASCADE"
    for statement in (
        "ALTER TABLE promptune_experiments ADD COLUMN series TEXT",
        "CREATE INDEX promptune_experiments_by_series ON promptune_experiments (series, experiment)",
        "CREATE TABLE promptune_contents (hash TEXT NOT NULL PRIMARY KEY, input JSON, expected JSON)",
        "CREATE TABLE promptune_cases (experiment INTEGER NOT NULL, module TEXT NOT NULL, "
        "case_id TEXT NOT NULL, hash TEXT NOT NULL, tags JSON NOT NULL, "
        f"PRIMARY KEY (experiment, module, case_id), {mine}, "
        "FOREIGN KEY (hash) REFERENCES promptune_contents (hash))",
        "CREATE INDEX ix_promptune_cases_hash ON promptune_cases (hash)",
        "CREATE TABLE promptune_adoptions (experiment INTEGER NOT NULL, variant TEXT NOT NULL, "
        f'at TEXT NOT NULL, "commit" TEXT, PRIMARY KEY (experiment, variant), {mine})',
    ):
        connection.execute(text(statement))


def _libraries(connection: Connection) -> None:
    """2 to 3: experiments know the versions of libraries also when they don't finish."""
    connection.execute(text("ALTER TABLE promptune_manifests ADD COLUMN libraries JSON"))


#: Step n turns version n + 1 into version n + 2. Steps say what they do in SQL or with tables of their
#: own, never with those of `schema`, which are always the newest.
STEPS: tuple[Callable[[Connection], None], ...] = (_series_cases_and_adoptions, _libraries)

#: Any number of our own: PostgreSQL locks by numbers.
_LOCK = 7_276_421


def latest() -> int:
    """The version this package writes."""
    return len(STEPS) + 1


def version_of(connection: Connection) -> int | None:
    """The version of a store, ``None`` where there is none."""
    if not inspect(connection).has_table(versions.name):
        return None
    version: int | None = connection.execute(select(func.max(versions.c.version))).scalar()
    return version


def check(found: int, location: Location) -> None:
    """Refuse a store of a newer version.

    Raises:
        StoreError: naming both versions.
    """
    if found > latest():
        raise StoreError(
            f"{location}: written by a newer pytest-promptune (store version {found}; this one knows "
            f"{latest()}). Upgrade pytest-promptune, or give {location.option} another place."
        )


def upgrade(connection: Connection, location: Location) -> None:
    """Make the tables, or bring old ones up to date; the caller commits.

    Raises:
        StoreError: when the store is of a newer version.
    """
    if connection.dialect.name == "postgresql":  # SQLite's writers wait for one another anyway
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = version_of(connection)
    if found is None:
        metadata.create_all(connection)
    else:
        check(found, location)
        for step in STEPS[found - 1 :]:
            step(connection)
    if found != latest():
        connection.execute(insert(versions).values(version=latest()))
