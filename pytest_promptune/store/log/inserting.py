"""What the writer's thread does with its connection: rows are gathered, redacted and committed together."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, true, update
from sqlalchemy.dialects import sqlite

from pytest_promptune.core.codec import to_jsonable
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.model import Usage
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.installed import library_versions
from pytest_promptune.store.log import rows, schema
from pytest_promptune.store.log.location import Location
from pytest_promptune.store.log.opening import open_for_writing
from pytest_promptune.store.log.past import past_of
from pytest_promptune.store.log.processes import is_alive, this_host
from pytest_promptune.store.log.rows import Row
from pytest_promptune.store.log.values import MODELS, Manifest, conditions_hash

#: Name of a method of `Inserter` and its arguments: what is written, in the order in which it was given.
Step = tuple[str, tuple[Any, ...]]

#: Tables that a session fills, parents first.
_ORDER = (
    schema.samples,
    schema.outputs,
    schema.results,
    schema.scores,
    schema.metrics,
    schema.comparisons,
)

#: How long to wait for what looks around, on a machine where it doesn't end.
_PATIENCE_S = 10.0

_KEY = ("app", "scope", "case_id", "case_hash", "variant", "run")


class Inserter:
    """Rows of one experiment; used by one thread."""

    def __init__(self, location: Location, redactor: Redactor, *, clock: Callable[[], float]) -> None:
        """Open the store, making it where there is none."""
        self._location = location
        self._redactor = redactor
        self._clock = clock
        self._engine = open_for_writing(location)
        self._file = _identity(location.path)
        self._connection = self._engine.connect()
        self._experiment = 0
        self._process = ""
        self._gathered: dict[Table, list[Row]] = defaultdict(list)
        self._changes: Row = {}
        self._conditions: Mapping[str, Any] = {}
        #: Columns of the manifest that change.
        self._of_manifest: Row = {}
        #: Versions of libraries, once they are known.
        self._libraries: Mapping[str, str] | None = None
        self._has_libraries = False
        self._looking: threading.Thread | None = None
        #: Keys of the samples that were there before, as they are stored.
        self._known: set[tuple[Any, ...]] = set()
        self._next_sample = 0
        self._next_item = 0
        self._counts = {"samples": 0, "errored": 0, "missing": 0}
        self._usage = Usage()

    def close(self) -> None:
        """Let go of the store."""
        self._connection.close()
        self._engine.dispose()
        if self._looking is not None:  # it imports: a process that goes on may change its modules
            self._looking.join(_PATIENCE_S)

    def begin(self, manifest: Manifest, *, resumes: bool, process: str) -> None:
        """Write what is known of the experiment; from now on it can be resumed.

        Args:
            manifest: of the experiment.
            resumes: it is there, and goes on.
            process: the session's, see `processes.this_process`; while it lives, the experiment runs.

        Raises:
            StoreError: when the one to resume is gone, or goes on in another process.
        """
        self._process = process
        row = self._plain(rows.experiment_row(manifest, hashed=conditions_hash(manifest.conditions)))
        row |= self._alive() | {"status": "running"}
        with self._connection.begin():
            if resumes:
                self._take_over(manifest.id, row)
            else:
                new = insert(schema.experiments).values(**row).returning(schema.experiments.c.experiment)
                self._experiment = self._connection.execute(new).scalar_one()
            large = {
                name: to_jsonable(getattr(manifest, name), where=name) for name in ("conditions", "options")
            }
            self._conditions = manifest.conditions
            self._insert(schema.manifests, [self._mine(large)])
            texts, prompts = rows.prompt_rows(manifest)
            self._insert(schema.texts, [self._plain(text) for text in texts])
            self._insert(schema.prompts, [self._mine(prompt) for prompt in prompts])
            contents, cases = rows.case_rows(manifest)
            self._insert(schema.contents, [self._plain(content) for content in contents])
            self._insert(schema.cases, [self._mine(case) for case in cases])
        # it takes a while on some machines, and no sample waits for it
        self._looking = threading.Thread(target=self._look_around, name="promptune-versions", daemon=True)
        self._looking.start()

    def _look_around(self) -> None:
        self._libraries = library_versions()

    def past(self, series: str) -> list[Mapping[str, Any]]:
        """What was measured before in a series, see `past_of`."""
        with self._connection.begin():
            return past_of(self._connection, self._experiment, series)

    def write(self, steps: Sequence[Step]) -> None:
        """Take these steps and commit; without any it is a sign of life.

        Raises:
            StoreError: see `commit`.
        """
        for name, arguments in steps:
            getattr(self, name)(*arguments)
        self.commit()

    def sample(self, row: Row, output: Row) -> None:
        """Gather a sample, unless the experiment had it when it was taken over; none is given twice."""
        mine = self._mine(row)
        if self._known and tuple(mine[name] for name in _KEY) in self._known:
            return
        self._next_sample += 1
        mine["sample"] = self._next_sample
        self._gathered[schema.samples].append(mine)
        self._gathered[schema.outputs].append(self._mine(output) | {"sample": self._next_sample})
        self._counts["samples"] += 1
        self._counts["missing"] += row["infrastructure"]
        self._counts["errored"] += row["error_type"] is not None and not row["infrastructure"]
        self._usage += Usage(**{name: row[name] for name in ("input_tokens", "output_tokens", "cost_usd")})

    def result(self, row: Row, scores: Sequence[Row]) -> None:
        """Gather what an item contributes."""
        self._next_item += 1
        number = {"item": self._next_item}
        self._gathered[schema.results].append(self._mine(row | number))
        self._gathered[schema.scores].extend(self._mine(score | number) for score in scores)

    def update(self, values: Row) -> None:
        """Change columns of the experiment."""
        self._changes |= self._plain(values)

    def models(self, found: Mapping[str, Sequence[str]]) -> None:
        """Add to the conditions which chat models apps hold, by app."""
        self._conditions = {**self._conditions, MODELS: {**self._conditions.get(MODELS, {}), **found}}
        conditions = to_jsonable(self._conditions, where="conditions")
        self._of_manifest |= self._plain({"conditions": conditions})

    def finish(self, row: Row, document: Mapping[str, Any]) -> None:
        """Take in how the experiment ended, with its results document."""
        self.update(row | rows.end_row(document))
        self._gathered[schema.metrics] += [self._mine(metric) for metric in rows.metric_rows(document)]
        self._gathered[schema.comparisons] += [self._mine(each) for each in rows.comparison_rows(document)]
        rest = {name: value for name, value in document.items() if name not in ("metrics", "comparisons")}
        self._of_manifest["results"] = self._plain(rest)

    def commit(self) -> None:
        """Write everything that was gathered, and a sign of life.

        Raises:
            StoreError: when the file was deleted or replaced; SQLite would go on writing to the old one.
        """
        if _identity(self._location.path) != self._file:
            raise StoreError(
                f"{self._location}: the experiment log was deleted or replaced while the session ran; what "
                "it measured from then on isn't stored. Leave the file alone until the session has ended."
            )
        usage = {name: getattr(self._usage, name) for name in Usage.__dataclass_fields__}
        changes = self._changes | self._counts | usage | {"heartbeat": self._clock()}
        if self._libraries is not None and not self._has_libraries:
            self._of_manifest["libraries"] = self._plain(dict(self._libraries))
            self._has_libraries = True
        with self._connection.begin():
            for table in _ORDER:
                self._insert(table, self._gathered[table])
            mine = schema.experiments.c.experiment == self._experiment
            self._connection.execute(update(schema.experiments).where(mine).values(**changes))
            if self._of_manifest:
                mine = schema.manifests.c.experiment == self._experiment
                self._connection.execute(update(schema.manifests).where(mine).values(**self._of_manifest))
        self._gathered.clear()
        self._changes, self._of_manifest = {}, {}

    def _take_over(self, id_: str, row: Row) -> None:
        experiments = schema.experiments
        found = self._connection.execute(
            select(experiments).where(experiments.c.id == id_).with_for_update()
        ).mappings()
        old = found.first()
        if old is None:
            raise StoreError(f"{self._location}: there is no experiment {id_!r} to resume.")
        alive = is_alive(
            host=old["host"], process=old["process"], heartbeat=old["heartbeat"], now=self._clock()
        )
        if old["status"] == "finished" or (old["status"] == "running" and alive):
            raise StoreError(
                f"{self._location}: experiment {id_} can't be resumed, it is {old['status']} "
                f"(process {old['process']} on {old['host']}); this session isn't stored."
            )
        self._experiment = old["experiment"]
        mine = experiments.c.experiment == self._experiment
        git = ("commit", "branch", "dirty")  # the old ones stay until it has answered
        known = {name: value for name, value in row.items() if name not in git or value is not None}
        self._connection.execute(
            update(experiments).where(mine).values(**known | {"finished": None, "exit_code": None})
        )
        self._forget_what_is_written_again()
        self._count_what_is_there()

    def _forget_what_is_written_again(self) -> None:
        for table in (
            schema.results,
            schema.metrics,
            schema.comparisons,
            schema.prompts,
            schema.cases,
            schema.manifests,
        ):
            self._connection.execute(delete(table).where(table.c.experiment == self._experiment))
        lost = (schema.samples.c.experiment == self._experiment) & (schema.samples.c.infrastructure == true())
        self._connection.execute(delete(schema.samples).where(lost))

    def _count_what_is_there(self) -> None:
        c = schema.samples.c
        query = select(
            func.count(),
            func.count(c.error_type),
            func.coalesce(func.max(c.sample), 0),
            func.sum(c.input_tokens),
            func.sum(c.output_tokens),
            func.sum(c.cost_usd),
        ).where(c.experiment == self._experiment)
        samples, errored, last, tokens_in, tokens_out, cost = self._connection.execute(query).one()
        self._counts = {"samples": samples, "errored": errored, "missing": 0}
        self._next_sample = last
        keys = select(*(c[name] for name in _KEY)).where(c.experiment == self._experiment)
        self._known = {tuple(key) for key in self._connection.execute(keys)}
        self._usage = Usage(
            input_tokens=None if tokens_in is None else int(tokens_in),
            output_tokens=None if tokens_out is None else int(tokens_out),
            cost_usd=cost,
        )

    def _alive(self) -> Row:
        return {"host": this_host(), "process": self._process, "heartbeat": self._clock()}

    def _plain(self, row: Row) -> Row:
        """The one way into the store: without secrets."""
        clean = self._redactor.json
        return {k: clean(v) if isinstance(v, str | dict | list) else v for k, v in row.items()}

    def _mine(self, row: Row) -> Row:
        mine = self._plain(row)
        mine["experiment"] = self._experiment
        return mine

    def _insert(self, table: Table, gathered: Sequence[Row]) -> None:
        if gathered:
            self._connection.execute(_insert_new(self._connection, table), gathered)


def _insert_new(connection: Connection, table: Table) -> Any:
    """Insert what isn't there yet."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import postgresql  # large, and seldom needed

    return postgresql.insert(table).on_conflict_do_nothing()


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Which file is at `path`; ``None`` for a server, or when it is gone."""
    if path is None:
        return None
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino
