"""Engines that are set up for the log, and what goes wrong with databases in words."""

from __future__ import annotations

import json
import time
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.store.log import migrations
from pytest_promptune.store.log.location import Location

#: What every driver's errors are wrapped in.
DatabaseError = DBAPIError

#: Seconds that a session waits for another one that is writing; each writes for milliseconds.
BUSY_S = 10.0

#: Pages of a SQLite file that are given back at a time, and seconds for others after each.
_PAGES = 2000
_PAUSE_S = 0.005

#: Of SQLite, when it is written to; a power cut may take the last samples, a killed process can't.
PRAGMAS = (
    "auto_vacuum = INCREMENTAL",  # heeded in a new file only
    "journal_mode = WAL",
    "synchronous = NORMAL",
)

#: ASCII alone, so that every database takes lone surrogates and NULs in texts, as their escapes.
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))

#: What a database says, in lower case, and what to do then.
_REMEDIES = (
    ("full", "Make room on the disk"),
    ("readonly", "Check the permissions of the file and its folder"),
    ("read-only", "Check the permissions of the file and its folder"),
    ("unable to open", "Check the permissions of the file and its folder"),
    ("permission denied for", "Ask for the right to make and write tables in this database"),
    ("permission denied", "Check the permissions of the file and its folder"),
    ("locked", "Another process holds it: end that one, or wait for it"),
    ("not a database", "It is damaged or something else: move it away"),
    ("malformed", "It is damaged: move it away"),
    ("expecting", "It is damaged: move it away"),  # JSON that isn't
    ("no module named 'psycopg'", "Install pytest-promptune[postgres]"),
    ("no pq wrapper", "Install pytest-promptune[postgres]"),
    ("password authentication", "Check user and password"),
    ("no password supplied", "Give the password in the address, in PGPASSWORD or in ~/.pgpass"),
    ("does not exist", "Check the names of user and database, or make them (createdb)"),
    ("connection", "Check that the server runs and lets you in"),
)


def open_for_writing(location: Location) -> Engine:
    """An engine whose transactions write; makes the store or brings it up to date.

    Raises:
        StoreError: when the store is of a newer version.
        OSError, ImportError, sqlalchemy.exc.DBAPIError: for what `explained` puts into words.
    """
    location.make_folder()
    engine = _engine(location, begin="BEGIN IMMEDIATE", sets_up=True)
    try:
        with engine.connect() as connection:
            with connection.begin():
                found = migrations.version_of(connection)
            if found is None or found != migrations.latest():
                with connection.begin():
                    migrations.upgrade(connection, location)
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_for_reading(location: Location) -> Engine:
    """An engine whose transactions read; an older store is brought up to date first.

    Raises:
        StoreError: when there is no store, or one of a newer version.
        OSError, ImportError, sqlalchemy.exc.DBAPIError: for what `explained` puts into words.
    """
    none_yet = StoreError(
        f"{location}: there is no experiment log yet. Run pytest first, or check {location.option}."
    )
    if location.path is not None and not location.path.exists():
        raise none_yet
    engine = _engine(location, begin="BEGIN")
    try:
        with engine.connect() as connection, connection.begin():
            found = migrations.version_of(connection)
        if found is None:
            raise none_yet
        migrations.check(found, location)
        if found < migrations.latest():
            open_for_writing(location).dispose()
    except BaseException:
        engine.dispose()
        raise
    return engine


def try_to_write(location: Location) -> None:
    """Begin a transaction that writes in a store that exists, and write nothing.

    Raises:
        StoreError: when the store is of a newer version.
        OSError, ImportError, sqlalchemy.exc.DBAPIError: for what `explained` puts into words.
    """
    engine = _engine(location, begin="BEGIN IMMEDIATE")
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            found = migrations.version_of(connection)
            if found is not None:
                migrations.check(found, location)
            transaction.rollback()
    finally:
        engine.dispose()


def explained(error: Exception, location: Location) -> str:
    """One or two sentences: where, what, what to do."""
    if isinstance(error, StoreError):
        return str(error)
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    lowered = str(cause).lower()
    remedies = [remedy for words, remedy in _REMEDIES if words in lowered]
    remedy = remedies[0] if remedies else "Check it"
    return Redactor().text(
        f"{location}: the experiment log can't be used ({lines[0]}). {remedy}, or give {location.option} "
        "another place."
    )


def give_space_back(engine: Engine) -> None:
    """Shrink a SQLite file after much was deleted, a piece at a time, so that others can write in between."""
    if engine.dialect.name != "sqlite":  # PostgreSQL uses it again by itself
        return
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        while cursor.execute("PRAGMA freelist_count").fetchone()[0]:
            before = cursor.execute("PRAGMA page_count").fetchone()[0]
            cursor.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
            if cursor.execute("PRAGMA page_count").fetchone()[0] == before:
                break  # a file that was made without auto_vacuum
            time.sleep(_PAUSE_S)
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except engine.dialect.loaded_dbapi.OperationalError:
        return
    finally:
        connection.close()


def _engine(location: Location, *, begin: str, sets_up: bool = False) -> Engine:
    if location.path is None:
        return create_engine(
            make_url(location.url or ""),
            poolclass=NullPool,
            json_serializer=_ENCODER.encode,
            connect_args={"connect_timeout": max(2, round(BUSY_S))},
        )
    engine = create_engine(
        URL.create("sqlite", database=str(location.path)),
        poolclass=NullPool,
        json_serializer=_ENCODER.encode,
        connect_args={"timeout": BUSY_S},
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, sqlite3 would do so too late
        connection.execute("PRAGMA foreign_keys = ON")
        if sets_up:
            _write_ahead(connection, until=time.monotonic() + BUSY_S)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _write_ahead(connection: Any, *, until: float) -> None:
    """Set up a writer's connection; readers and writers don't wait for each other then.

    Two processes that switch a new file at once collide without SQLite's own waiting.
    """
    while True:
        try:
            for pragma in PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return
