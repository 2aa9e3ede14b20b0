"""Lists of the log for people: means by experiment, samples by line. No query reads more than is shown.

SQLAlchemy is imported when a list is asked for, by functions that get a connection of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.model import NodeRun
from pytest_promptune.core.results import GRAVEST
from pytest_promptune.core.values import dataclass

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Connection, Select

#: Ids in one question; databases have a limit.
_AT_ONCE = 500

#: Outcomes that ``--missed`` is about.
_MISSED = ("missed", "errored", "missing", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The mean of one metric under one variant in one experiment."""

    module: str
    metric: str
    #: As `MetricName` has it.
    test: str
    app: str
    variant: str
    kind: str
    direction: str
    unit: str | None
    n_cases: int | None
    n_samples: int | None
    mean: float | None
    ci: tuple[float | None, float | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestOutcome:
    """What became of one test of one sample."""

    __test__ = False  # no test itself, whatever pytest makes of its name

    module: str
    metric: str
    test: str
    outcome: str
    message: str
    #: Identity of the sample; its scope is ``None`` where that is unknown.
    app: str
    scope: str | None
    case_id: str
    case_hash: str
    variant: str
    run: int
    #: By name as in the table of scores; ``None`` = missing.
    scores: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleLine:
    """One sample; its output and its nodes where they were asked for."""

    app: str
    scope: str
    case_id: str
    case_hash: str
    variant: str
    run: int
    error_type: str | None
    error_message: str | None
    infrastructure: bool
    latency_s: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    attempts: int
    output: Any = None
    #: With prompts and answers; ``None`` where nobody asked for them.
    nodes: tuple[NodeRun, ...] | None = None
    tests: tuple[TestOutcome, ...] = ()

    @property
    def outcome(self) -> str:
        """The gravest of its tests' outcomes; its own where no test saw it."""
        if self.error_type is not None:
            return "missing" if self.infrastructure else "errored"
        found = {test.outcome for test in self.tests}
        return next((each for each in GRAVEST if each in found), "untested")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which samples of an experiment."""

    cases: Sequence[str] = ()
    variants: Sequence[str] = ()
    missed: bool = False
    limit: int | None = None
    outputs: bool = False
    #: The nodes with rendered prompts and answers, too.
    traces: bool = False


class Lists:
    """What an open log answers with lists; experiments by id, its beginning, or ``last``."""

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Connection]],
        find: Callable[[Connection, str], int],
    ) -> None:
        """Ask an open log.

        Args:
            reading: gives a connection for one question.
            find: the number of an experiment.
        """
        self._reading = reading
        self._find = find

    def means(self, ids: Sequence[str]) -> dict[str, list[Measured]]:
        """What some experiments measured, by id: a mean for each metric and variant."""
        with self._reading() as connection:
            return means(connection, ids)

    def samples(self, name: str, wanted: Wanted) -> list[SampleLine]:
        """Samples of an experiment as one line each, by case, variant and run."""
        with self._reading() as connection:
            return sample_lines(connection, self._find(connection, name), wanted)

    def count(self, name: str, wanted: Wanted) -> int:
        """How many samples `samples` would have without a limit."""
        with self._reading() as connection:
            return count_samples(connection, self._find(connection, name), wanted)

    def planned_cases(self, name: str) -> set[str]:
        """Ids of the cases that an experiment was to measure; of older ones none are known."""
        from pytest_promptune.store.log.schema import cases

        return self._distinct(name, cases.c.case_id)

    def sampled_cases(self, name: str) -> set[str]:
        """Ids of the cases of its samples."""
        from pytest_promptune.store.log.schema import samples

        return self._distinct(name, samples.c.case_id)

    def sampled_variants(self, name: str) -> set[str]:
        """Names of the variants of its samples."""
        from pytest_promptune.store.log.schema import samples

        return self._distinct(name, samples.c.variant)

    def _distinct(self, name: str, column: Column[str]) -> set[str]:
        from sqlalchemy import select

        with self._reading() as connection:
            mine = column.table.c.experiment == self._find(connection, name)
            return set(connection.execute(select(column).where(mine).distinct()).scalars())

    def measured_variants(self) -> set[str]:
        """Names of all variants that any experiment has metrics of."""
        from sqlalchemy import select

        from pytest_promptune.store.log.schema import metrics

        with self._reading() as connection:
            return set(connection.execute(select(metrics.c.variant).distinct()).scalars())

    def case_hashes(self, module: str, *, since: str, most: int = 20) -> dict[str, str] | None:
        """Hashes by id of the cases of a test module that newer experiments measured; the newest counts.

        Args:
            module: relative to the root.
            since: ISO 8601 in UTC; experiments that began earlier say nothing.
            most: experiments of the module that are looked at.

        Returns:
            ``None`` when there is no such experiment.
        """
        with self._reading() as connection:
            return case_hashes(connection, module, since=since, most=most)


def chosen(query: Select[Any], *, mode: str | None, series: str | None, variant: str | None) -> Select[Any]:
    """Experiments of a mode, a series, with a variant; ``None`` for any."""
    from sqlalchemy import exists, literal

    from pytest_promptune.store.log.schema import experiments, metrics

    if mode is not None:
        query = query.where(experiments.c.mode == mode)
    if series is not None:
        query = query.where(experiments.c.series == series)
    if variant is not None:
        here = (metrics.c.experiment == experiments.c.experiment) & (metrics.c.variant == variant)
        query = query.where(exists(literal(1)).where(here))
    return query


def means(connection: Connection, ids: Sequence[str]) -> dict[str, list[Measured]]:
    """By experiment; names and units come out of the documents without loading these."""
    from sqlalchemy import select

    from pytest_promptune.store.log.schema import experiments, metrics

    c = metrics.c
    words = [c.data[name].as_string() for name in ("test", "app", "kind", "direction", "unit")]
    numbers = (c.n_cases, c.n_samples, c.mean, c.ci_low, c.ci_high)
    columns = (experiments.c.id, c.module, c.metric, c.variant, *words, *numbers)
    query = select(*columns).join_from(metrics, experiments).order_by(c.experiment, c.row)
    found: dict[str, list[Measured]] = {id_: [] for id_ in ids}
    for some in _parts(ids):
        for id_, module, metric, variant, test, app, kind, direction, unit, *rest in connection.execute(
            query.where(experiments.c.id.in_(some))
        ):
            n_cases, n_samples, mean, low, high = rest
            found[id_].append(
                Measured(
                    module=module or "",
                    metric=metric,
                    test=test or f"{module}::{metric}",
                    app=app or "",
                    variant=variant,
                    kind=kind or "score",
                    direction=direction or "higher",
                    unit=unit,
                    n_cases=n_cases,
                    n_samples=n_samples,
                    mean=mean,
                    ci=None if low is None and high is None else (low, high),
                )
            )
    return found


def _parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def count_samples(connection: Connection, number: int, wanted: Wanted) -> int:
    """How many there are of those wanted."""
    from sqlalchemy import func, select

    from pytest_promptune.store.log.schema import samples

    query = select(func.count()).select_from(samples).where(*_conditions(number, wanted))
    return int(connection.execute(query).scalar_one())


def sample_lines(connection: Connection, number: int, wanted: Wanted) -> list[SampleLine]:
    """By case, variant and run."""
    from sqlalchemy import select

    from pytest_promptune.store.log.rows import node_from
    from pytest_promptune.store.log.schema import outputs, samples

    c = samples.c
    apart = ("output", "nodes", "tests")
    names = [name for name in SampleLine.__dataclass_fields__ if name not in apart]
    large: dict[str, ColumnElement[Any]] = {"output": outputs.c.output} if wanted.outputs else {}
    if wanted.traces:
        large |= {"nodes": c.nodes, "prompts": outputs.c.prompts}
    query = select(*(c[name] for name in names), *large.values())
    if large:
        here = (outputs.c.experiment == c.experiment) & (outputs.c.sample == c.sample)
        query = query.join_from(samples, outputs, here, isouter=True)
        names += large
    order = (c.case_id, c.variant, c.run, c.app, c.sample)
    query = query.where(*_conditions(number, wanted)).order_by(*order).limit(wanted.limit)
    rows = [dict(zip(names, row, strict=True)) for row in connection.execute(query)]
    if wanted.traces:
        for row in rows:
            said = row.pop("prompts") or {}
            row["nodes"] = tuple(node_from(node, said.get(node["node"])) for node in row["nodes"])
    few = {row["case_id"] for row in rows} if wanted.limit is not None or wanted.cases else None
    tests: dict[tuple[Any, ...], list[TestOutcome]] = {}
    for test in outcomes(connection, number, cases=few):
        tests.setdefault(_place(test, test.scope), []).append(test)
    return [SampleLine(**row, tests=_tests_of(row, tests)) for row in rows]


def _tests_of(
    row: dict[str, Any], tests: dict[tuple[Any, ...], list[TestOutcome]]
) -> tuple[TestOutcome, ...]:
    """Results of older versions don't say whose app it was: they count for every sample of their name."""
    place = (row["app"], row["case_id"], row["case_hash"], row["variant"], row["run"])
    return (*tests.get((row["scope"], *place), ()), *tests.get((None, *place), ()))


def _place(test: TestOutcome, scope: str | None) -> tuple[Any, ...]:
    return (scope, test.app, test.case_id, test.case_hash, test.variant, test.run)


def _conditions(number: int, wanted: Wanted) -> list[ColumnElement[bool]]:
    from sqlalchemy import or_, select, tuple_

    from pytest_promptune.store.log.schema import results, samples

    c, r = samples.c, results.c
    found: list[ColumnElement[bool]] = [c.experiment == number]
    if wanted.cases:
        found.append(c.case_id.in_(wanted.cases))
    if wanted.variants:
        found.append(c.variant.in_(wanted.variants))
    if wanted.missed:
        names = ("app", "case_id", "case_hash", "variant", "run")
        missed = select(*(r[name] for name in names)).where(r.experiment == number, r.outcome.in_(_MISSED))
        found.append(or_(c.error_type.is_not(None), tuple_(*(c[name] for name in names)).in_(missed)))
    return found


def outcomes(connection: Connection, number: int, *, cases: Iterable[str] | None = None) -> list[TestOutcome]:
    """In the order of the items; of some cases, or ``None`` for all."""
    from sqlalchemy import select

    from pytest_promptune.store.log.schema import results, scores

    r, s = results.c, scores.c
    names = [n for n in TestOutcome.__dataclass_fields__ if n not in ("scope", "scores")]
    chosen_ones = [] if cases is None else [r.case_id.in_(list(cases))]
    of_scores = select(s.item, s.name, s.value).where(s.experiment == number)
    if cases is not None:
        of_scores = of_scores.join_from(scores, results).where(*chosen_ones)
    found: dict[int, dict[str, float | None]] = {}
    for item, name, value in connection.execute(of_scores):
        found.setdefault(item, {})[name] = value
    query = select(r.item, r.more["scope"].as_string(), *(r[name] for name in names))
    query = query.where(r.experiment == number, *chosen_ones).order_by(r.item)
    return [
        TestOutcome(scope=scope, scores=found.get(item, {}), **dict(zip(names, row, strict=True)))
        for item, scope, *row in connection.execute(query)
    ]


def case_hashes(connection: Connection, module: str, *, since: str, most: int) -> dict[str, str] | None:
    """Of the newest experiments of a module that began after a moment; the newest hash counts."""
    from sqlalchemy import exists, literal, select

    from pytest_promptune.store.log.schema import cases, experiments

    of_module = (cases.c.experiment == experiments.c.experiment) & (cases.c.module == module)
    newest = (
        select(experiments.c.experiment)
        .where(experiments.c.started > since, exists(literal(1)).where(of_module))
        .order_by(experiments.c.experiment.desc())
        .limit(most)
    )
    numbers = list(connection.execute(newest).scalars())
    if not numbers:
        return None
    query = (
        select(cases.c.case_id, cases.c.hash)
        .where(cases.c.module == module, cases.c.experiment.in_(numbers))
        .order_by(cases.c.experiment)
    )
    return {row.case_id: row.hash for row in connection.execute(query)}
