"""Reading the log: history, one experiment, what can be resumed, and throwing old ones away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.errors import PromptuneError, StoreError
from pytest_promptune.core.model import ModelCall
from pytest_promptune.core.results import Result
from pytest_promptune.store.log.lists import Lists, chosen
from pytest_promptune.store.log.location import Location
from pytest_promptune.store.log.processes import is_alive
from pytest_promptune.store.log.rows import calls_from, result_from, sample_from, summary_from
from pytest_promptune.store.log.values import Adoption, ExperimentSummary, LoggedCase, LoggedSample

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select

#: Rows that are in memory at a time where there may be many.
_PAGE = 500
#: Cases by which the ways of calling models are known.
_MOST_CASES = 1000

_Summary = tuple[int, ExperimentSummary]


class ExperimentLog:
    """A log that is open for reading; use it as a context manager.

    Methods that take an experiment take its id, an unambiguous beginning of it, or ``last``.
    """

    def __init__(self, location: Location, *, clock: Callable[[], float] = time.time) -> None:
        """Open it.

        Args:
            location: of a log that exists.
            clock: seconds since 1970.

        Raises:
            StoreError: when there is none, or it is damaged, out of reach, or of a newer version.
        """
        from pytest_promptune.store.log import opening, schema

        self._location = location
        self._clock = clock
        self._opening = opening
        self._schema = schema
        with self._explaining():
            self._engine = opening.open_for_reading(location)

    def __enter__(self) -> ExperimentLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store."""
        self._engine.dispose()

    # --- lists --------------------------------------------------------------------------------------

    def history(
        self,
        limit: int | None = 20,
        *,
        mode: str | None = None,
        series: str | None = None,
        variant: str | None = None,
    ) -> list[ExperimentSummary]:
        """The newest experiments, newest first.

        Args:
            limit: how many; ``None`` for all.
            mode: only those of this mode; ``None`` for any.
            series: only those of this tuning series.
            variant: only those that measured it.
        """
        query = chosen(self._newest_first(), mode=mode, series=series, variant=variant)
        with self._reading() as connection:
            return [found for _, found in self._summaries(connection, query.limit(limit) if limit else query)]

    def ids(self) -> list[str]:
        """The ids of all experiments, newest first."""
        c = self._schema.experiments.c
        with self._reading() as connection:
            return list(connection.execute(self._newest_first().with_only_columns(c.id)).scalars())

    @property
    def lists(self) -> Lists:
        """Means by experiment, samples by line."""
        return Lists(self._reading, lambda connection, name: self._find(connection, name)[0])

    def experiment(self, name: str = "last") -> ExperimentSummary:
        """One experiment; ``last`` is the newest that called the app itself.

        Raises:
            StoreError: when there is none of this name, or several.
        """
        with self._reading() as connection:
            return self._find(connection, name)[1]

    def newest_interrupted(
        self, conditions: str | None = None, *, since: str | None = None
    ) -> ExperimentSummary | None:
        """The newest experiment that ended early and has samples, ``None`` if there is none.

        One that is older than a finished one under its conditions is superseded, and counts no more.

        Args:
            conditions: hash of the conditions it must have (see `conditions_hash`), ``None`` for any.
            since: only what is newer than the last finished one under these conditions.
        """
        c = self._schema.experiments.c
        query = self._newest_first().where(c.replay_of.is_(None))
        if conditions is not None:
            query = query.where(c.conditions_hash == conditions)
        finished: set[str] = set()
        with self._reading() as connection:
            for _, found in self._summaries(connection, query):
                if found.status == "finished":
                    if found.conditions_hash == since:
                        return None
                    finished.add(found.conditions_hash)
                elif (
                    found.samples and found.status == "interrupted" and found.conditions_hash not in finished
                ):
                    return found
        return None

    def trend(
        self, metric: str, *, variant: str = "current", limit: int = 20
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """A metric over the newest experiments, newest first: id and row of the results document."""
        from sqlalchemy import select

        experiments, metrics = self._schema.experiments, self._schema.metrics
        query = (
            select(experiments.c.id, metrics.c.data)
            .join_from(metrics, experiments)
            .where(metrics.c.metric == metric, metrics.c.variant == variant)
            .order_by(metrics.c.experiment.desc())
            .limit(limit)
        )
        with self._reading() as connection:
            return [(id_, data) for id_, data in connection.execute(query)]

    # --- series -------------------------------------------------------------------------------------

    def series_of(self, series: str) -> list[ExperimentSummary]:
        """The experiments of a tuning series (see `series_hash`), oldest first, without replays."""
        c = self._schema.experiments.c
        query = self._newest_first().where(c.series == series, c.replay_of.is_(None))
        with self._reading() as connection:
            return [found for _, found in self._summaries(connection, query)][::-1]

    def adoptions_of(self, series: str) -> list[Adoption]:
        """The variants of a series that were adopted, oldest first."""
        from pytest_promptune.store.log import adoptions

        with self._reading() as connection:
            return adoptions.of_series(connection, series)

    def adopt(self, *adopted: Adoption) -> None:
        """Note that variants were adopted, all or none; a second time, the newest counts.

        Raises:
            StoreError: when there is no such experiment, or the store can't be written to.
        """
        from pytest_promptune.store.log import adoptions

        with self._reading() as connection:
            numbers = [self._find(connection, each.experiment)[0] for each in adopted]
        with self._explaining():
            engine = self._opening.open_for_writing(self._location)
            try:
                with engine.begin() as connection:
                    for number, each in zip(numbers, adopted, strict=True):
                        adoptions.note(connection, number, each)
            finally:
                engine.dispose()

    def mean_cost(self, wanted: Mapping[tuple[str, str], int]) -> float | None:
        """What a sample is expected to cost in USD, ``None`` if nothing tells; see `spending.mean_cost`."""
        from pytest_promptune.store.log import spending

        with self._reading() as connection:
            return spending.mean_cost(connection, wanted)

    # --- one experiment -----------------------------------------------------------------------------

    def conditions_of(self, name: str) -> Mapping[str, Any]:
        """Its conditions; `differences` names what changed between two."""
        return self._manifest(name)["conditions"] or {}

    def options_of(self, name: str) -> Mapping[str, Any]:
        """Its options."""
        return self._manifest(name)["options"] or {}

    def libraries_of(self, name: str) -> Mapping[str, str]:
        """Versions of what stood between the app and its models, as far as they are known."""
        return self._manifest(name)["libraries"] or {}

    def results_of(self, name: str) -> dict[str, Any]:
        """Its results document, as ``--promptune-json`` has it; empty when it didn't finish."""
        from sqlalchemy import select

        with self._reading() as connection:
            number, _ = self._find(connection, name)
            manifests = self._schema.manifests
            query = select(manifests.c.results).where(manifests.c.experiment == number)
            document = dict(connection.execute(query).scalar() or {})
            if not document:
                return {}
            tables = {"metrics": self._schema.metrics, "comparisons": self._schema.comparisons}
            for key, table in tables.items():
                rows = select(table.c.data).where(table.c.experiment == number).order_by(table.c.row)
                document[key] = list(connection.execute(rows).scalars())
            return document

    def metrics_of(self, name: str) -> list[tuple[str, str]]:
        """Module and name of the metrics that its results have, in order."""
        from sqlalchemy import select

        metrics = self._schema.metrics
        with self._reading() as connection:
            number, _ = self._find(connection, name)
            query = select(metrics.c.module, metrics.c.metric).where(metrics.c.experiment == number)
            rows = connection.execute(query.distinct())
            return sorted((row.module or "", row.metric) for row in rows)

    def prompts_of(self, name: str) -> dict[str, dict[str, str]]:
        """Its prompt texts by variant and name."""
        from sqlalchemy import select

        prompts, texts = self._schema.prompts, self._schema.texts
        with self._reading() as connection:
            number, _ = self._find(connection, name)
            query = select(prompts.c.variant, prompts.c.name, texts.c.text).join_from(prompts, texts)
            found: dict[str, dict[str, str]] = {}
            for variant, prompt, text in connection.execute(query.where(prompts.c.experiment == number)):
                found.setdefault(variant, {})[prompt] = text
            return found

    def cases_of(self, name: str) -> list[LoggedCase]:
        """Its cases as they were planned, by module and id; of older experiments none are known."""
        from sqlalchemy import select

        cases, contents = self._schema.cases, self._schema.contents
        with self._reading() as connection:
            number, _ = self._find(connection, name)
            columns = (cases.c.module, cases.c.case_id, cases.c.hash, cases.c.tags)
            query = (
                select(*columns, contents.c.input, contents.c.expected)
                .join_from(cases, contents)
                .where(cases.c.experiment == number)
                .order_by(cases.c.module, cases.c.case_id)
            )
            names = ("module", "id", "hash", "tags", "input", "expected")
            return [LoggedCase(**dict(zip(names, row, strict=True))) for row in connection.execute(query)]

    def samples(
        self, name: str, *, outputs: bool = True, variant: str | None = None
    ) -> Iterator[LoggedSample]:
        """Its samples in the order in which they finished, read page by page.

        Args:
            name: of the experiment.
            outputs: without them, and without rendered prompts, much less is read.
            variant: only those of this one.
        """
        from sqlalchemy import select

        samples, stored = self._schema.samples, self._schema.outputs
        with self._reading() as connection:
            number, _ = self._find(connection, name)
            query = select(samples).where(samples.c.experiment == number).order_by(samples.c.sample)
            if variant is not None:
                query = query.where(samples.c.variant == variant)
            if outputs:
                query = query.add_columns(stored.c.output, stored.c.prompts).join_from(samples, stored)
            with connection.execute(query, execution_options={"yield_per": _PAGE}) as rows:
                for row in rows.mappings():
                    prompts = row["prompts"] if outputs else {}
                    yield sample_from(row, prompts=prompts, output=row["output"] if outputs else None)

    def calls_of(self, name: str, variant: str) -> list[tuple[str, tuple[ModelCall, ...]]]:
        """In which ways nodes called models in the first run of each case; of a thousand cases at most.

        Args:
            name: of the experiment.
            variant: that was measured.
        """
        from sqlalchemy import select

        samples = self._schema.samples
        with self._reading() as connection:
            number, _ = self._find(connection, name)
            query = (
                select(samples.c.nodes)
                .where(samples.c.experiment == number, samples.c.variant == variant, samples.c.run == 1)
                .order_by(samples.c.sample)
                .limit(_MOST_CASES)
            )
            return [calls for nodes in connection.execute(query).scalars() for calls in calls_from(nodes)]

    def finished_samples(self, name: str) -> Iterator[LoggedSample]:
        """Samples that need not run again: those that the infrastructure lost are left out."""
        for sample in self.samples(name):
            if sample.record.error is None or not sample.record.error.infrastructure:
                yield sample

    def results(self, name: str, *, variant: str | None = None) -> Iterator[Result]:
        """What its items contributed, page by page; `Experiment.add` makes the table of scores of it.

        Args:
            name: of the experiment.
            variant: only those of this one.
        """
        from sqlalchemy import select

        results, scores = self._schema.results, self._schema.scores
        with self._reading() as connection:
            number, _ = self._find(connection, name)
            columns = (scores.c.name, scores.c.value, scores.c.kind, scores.c.direction, scores.c.unit)
            query = (
                select(results, *columns)
                .join_from(results, scores, isouter=True)
                .where(results.c.experiment == number)
                .order_by(results.c.item)
            )
            if variant is not None:
                query = query.where(results.c.variant == variant)
            with connection.execute(query, execution_options={"yield_per": _PAGE}) as rows:
                for _, group in groupby(rows.mappings(), key=lambda row: row["item"]):
                    of_item = list(group)
                    yield result_from(of_item[0], [row for row in of_item if row["name"] is not None])

    # --- retention ----------------------------------------------------------------------------------

    def prune(
        self,
        *,
        keep: int | None = None,
        older_than: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> list[str]:
        """Throw experiments away, one short transaction for each.

        What runs stays, and what a later session may ask for: the newest experiment that isn't a replay
        (`last`), of its series the newest baseline that was finished, the newest interrupted experiment that
        can be resumed, and experiments of which a variant was adopted. The text of prompts and cases goes
        with the last experiment that has it.

        Args:
            keep: how many of the newest stay.
            older_than: those that started before this moment go, ISO 8601 in UTC. With both, an
                experiment goes if it is neither among the newest nor as young.
            force: those that are needed go, too.
            dry_run: throw nothing away.

        Returns:
            The ids of those that are gone, or would be.

        Raises:
            StoreError: when the store can't be written to.
        """
        gone = self._chosen(keep=keep, older_than=older_than, force=force)
        if not dry_run:
            from pytest_promptune.store.log import pruning

            with self._explaining():
                engine = self._opening.open_for_writing(self._location)
                try:
                    pruning.throw_away(engine, [number for number, _ in gone])
                finally:
                    engine.dispose()
        return [found.id for _, found in gone]

    def still_needed(self, *, keep: int | None = None, older_than: str | None = None) -> list[str]:
        """The ids of those that stay for later sessions alone: `prune` with `force` throws them away."""
        gone = self._chosen(keep=keep, older_than=older_than, force=False)
        everything = self._chosen(keep=keep, older_than=older_than, force=True)
        return [found.id for number, found in everything if number not in dict(gone)]

    def _chosen(self, *, keep: int | None, older_than: str | None, force: bool) -> list[_Summary]:
        if keep is None and older_than is None:
            return []
        from pytest_promptune.store.log import pruning

        everything = self._all()
        with self._reading() as connection:
            needed = set() if force else pruning.needed(connection, everything)
        return pruning.chosen(everything, needed, keep=keep, older_than=older_than)

    # --- inside -------------------------------------------------------------------------------------

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except PromptuneError:
            raise
        except (self._opening.DatabaseError, JSONDecodeError, OSError, ImportError) as error:
            raise StoreError(self._opening.explained(error, self._location)) from None

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._explaining(), self._engine.connect() as connection:
            yield connection

    def _newest_first(self) -> Select[Any]:
        from sqlalchemy import select

        experiments = self._schema.experiments
        return select(experiments).order_by(experiments.c.experiment.desc())

    def _all(self) -> list[_Summary]:
        with self._reading() as connection:
            return list(self._summaries(connection, self._newest_first()))

    def _summaries(self, connection: Connection, query: Select[Any]) -> Iterator[_Summary]:
        for row in connection.execute(query).mappings():
            is_dead = row["status"] == "running" and not is_alive(
                host=row["host"], process=row["process"], heartbeat=row["heartbeat"], now=self._clock()
            )
            yield row["experiment"], summary_from(row, is_dead=is_dead)

    def _find(self, connection: Connection, name: str) -> _Summary:
        c = self._schema.experiments.c
        if name == "last":
            query = self._newest_first().where(c.replay_of.is_(None)).limit(1)
            missing = "there is no experiment yet. Run pytest first."
        else:
            query = self._newest_first().where(c.id.startswith(name, autoescape=True)).limit(3)
            missing = f"there is no experiment {name!r}. pytest-promptune history lists them."
        found = list(self._summaries(connection, query))
        exact = [each for each in found if each[1].id == name]
        if not found:
            raise StoreError(f"{self._location}: {missing}")
        if len(found) > 1 and not exact:
            some = ", ".join(summary.id for _, summary in found)
            raise StoreError(
                f"{self._location}: {name!r} begins several experiments: {some}. Give more of it."
            )
        return (exact or found)[0]

    def _manifest(self, name: str) -> Mapping[str, Any]:
        from sqlalchemy import select

        manifests = self._schema.manifests
        with self._reading() as connection:
            number, _ = self._find(connection, name)
            query = select(manifests.c.conditions, manifests.c.options, manifests.c.libraries)
            return dict(connection.execute(query.where(manifests.c.experiment == number)).mappings().one())
