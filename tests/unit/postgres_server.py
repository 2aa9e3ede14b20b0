"""A PostgreSQL server that the test session starts and stops, with an empty database for each test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_promptune.store.log import Location, locate

#: Says that PostgreSQL must be there, as in CI; elsewhere tests that need it are skipped.
REQUIRED = "PROMPTUNE_REQUIRE_POSTGRES"

#: Everybody may in through the socket, but one, who has to give a password.
HBA = "local all locked scram-sha-256\nlocal all all trust\n"
OWNER = "ann"
PATIENCE_S = 60


def program(name: str) -> str | None:
    """A program of PostgreSQL, from where Debian puts it or the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


class Server:
    """A cluster of its own in a folder, reached through a socket there and nowhere else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._user = {"user": "nobody", "group": "nogroup"}
            shutil.chown(folder, "nobody")
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", OWNER, "-E", "UTF8", "--no-sync")
        (folder / "data" / "pg_hba.conf").write_text(HBA)
        self.start()

    def url(
        self, database: str = "postgres", *, user: str = OWNER, driver: str = "postgresql+psycopg"
    ) -> str:
        """As users write it."""
        return f"{driver}://{user}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it and wait until it answers; nothing is done when it runs."""
        if self._process is not None:
            return
        options = ("listen_addresses=", "fsync=off", "full_page_writes=off", "max_connections=50")
        given = [part for option in options for part in ("-c", option)]
        command = [str(program("postgres")), "-D", str(self.folder / "data"), "-k", str(self.folder), *given]
        log = (self.folder / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._user)
        until = time.monotonic() + PATIENCE_S
        ready = [str(program("pg_isready")), "-q", "-h", str(self.folder)]
        while subprocess.run(ready, check=False, cwd=self.folder).returncode:
            assert self._process.poll() is None, (self.folder / "server.log").read_text(errors="replace")
            assert time.monotonic() < until, "the server doesn't answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once; connections are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=PATIENCE_S)
            self._process = None

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Do this; gives the rows of the last statement."""
        import psycopg

        rows: list[tuple[Any, ...]] = []
        plain = self.url(database, driver="postgresql")
        with psycopg.connect(plain, autocommit=True) as connection:
            for statement in statements:
                done = connection.execute(statement)  # type: ignore[call-overload]
                rows = done.fetchall() if done.description else []
        return rows

    def dump(self, database: str) -> bytes:
        """Everything in a database, as ``pg_dump`` writes it."""
        return self._run("pg_dump", "-h", str(self.folder), "-U", OWNER, database).stdout

    def _run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [str(program(name)), *arguments], capture_output=True, check=False, cwd=self.folder, **self._user
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    missing = [name for name in ("initdb", "postgres", "pg_isready", "pg_dump") if not program(name)]
    try:
        pytest.importorskip("psycopg")
        if missing:
            pytest.skip(f"PostgreSQL isn't installed: no {missing[0]}")
    except pytest.skip.Exception as reason:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1, but: {reason}")
        raise
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as name:
        server = Server(Path(name))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres_server(_server: Server) -> Server:
    """The server, running also when the test before stopped it."""
    _server.start()
    return _server


@pytest.fixture
def database(postgres_server: Server) -> Iterator[str]:
    """Name of an empty database."""
    name = f"d{uuid.uuid4().hex[:12]}"
    postgres_server.sql(f"CREATE DATABASE {name}")
    yield name
    postgres_server.start()
    postgres_server.sql(f"DROP DATABASE {name} WITH (FORCE)")


#: What a store can be.
STORES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty log: in SQLite, and in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/.promptune/promptune.db"
    server: Server = request.getfixturevalue("postgres_server")
    return server.url(request.getfixturevalue("database"))


@pytest.fixture
def location(store: str, tmp_path: Path) -> Location:
    """Where an empty log is to be."""
    return locate(store, root=tmp_path)
