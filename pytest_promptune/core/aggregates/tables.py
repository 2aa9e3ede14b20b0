"""The samples of one app in one test module as rows, for aggregates that users compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_promptune.core.aggregates.labels import Classified, Labels
from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.experiment import Column
from pytest_promptune.core.values import dataclass

PLACE = ("case", "run", "variant")

Row = dict[str, Any]
#: Case id -> one row per run, ``None`` where the sample is missing.
Rows = dict[str, list[Row | None]]
#: Case id -> one value per run; column -> that.
_Values = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTable:
    """All samples of one app in one test module.

    Its columns are ``case``, ``run``, ``variant``; each metric, those of the app without its name
    (``latency_s``); ``<test>::predicted`` and ``<test>::expected`` of tests that classify; ``tags.<tag>``.
    """

    module: str
    app: str
    metrics: Sequence[Column]
    classified: Sequence[Classified]
    #: By case id.
    tags: Mapping[str, Mapping[str, Any]]

    @property
    def gate(self) -> tuple[str, ...]:
        """Names that the markers of the tests want gated."""
        return tuple(dict.fromkeys(name for column in self.metrics for name in column.gate or ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """All there are."""
        labels = [f"{_test(each)}::{what}" for each in self.classified for what in ("predicted", "expected")]
        return (*PLACE, *(self._short(column) for column in self.metrics), *labels, *self._tag_columns)

    @property
    def _tag_columns(self) -> list[str]:
        return [f"tags.{tag}" for tag in sorted({tag for tags in self.tags.values() for tag in tags})]

    def _short(self, column: Column) -> str:
        return column.name.metric.removeprefix(f"{self.app}::")

    def rows(self, variant: str) -> Rows:
        """The samples of a variant; those that are missing everywhere are ``None``."""
        by_run = {self._short(column): _by_run(column, variant) for column in self.metrics}
        for each in self.classified:
            results = {case: runs for (of, case), runs in each.results.items() if of == variant}
            for what in ("predicted", "expected"):
                by_run[f"{_test(each)}::{what}"] = {
                    case: {r.run: getattr(r.classification, what) for r in runs if r.classification}
                    for case, runs in results.items()
                }
        runs: dict[str, set[int]] = {}
        for values in by_run.values():
            for case, of_case in values.items():
                runs.setdefault(case, set()).update(of_case)
        return {
            case: [
                self._row(case, run, variant, {c: v.get(case, {}).get(run) for c, v in by_run.items()})
                for run in sorted(numbers)
            ]
            for case, numbers in runs.items()
        }

    def recorded(self, baseline: Baseline) -> tuple[Rows, tuple[str, ...]]:
        """The samples of a baseline, and the columns that it has; tags are today's."""
        values: dict[str, _Values] = {}
        for column in self.metrics:
            known = baseline.metrics.get(column.name.metric)
            if known is not None and (known.direction, known.unit) == (
                column.name.direction,
                column.name.unit,
            ):
                values[self._short(column)] = baseline.scores.get(column.name.metric, {})
        for each in self.classified:
            if labels := baseline.labels.get(each.column.name.metric):
                values[f"{_test(each)}::predicted"] = _side(labels, 1)
                values[f"{_test(each)}::expected"] = _side(labels, 0)
        longest: dict[str, int] = {}
        for of_column in values.values():
            for case, runs in of_column.items():
                longest[case] = max(longest.get(case, 0), len(runs))
        rows: Rows = {}
        for case, number in longest.items():
            rows[case] = [
                self._row(case, run + 1, "baseline", {c: _at(v, case, run) for c, v in values.items()})
                for run in range(number)
            ]
        known_columns = (*PLACE, *values, *self._tag_columns)
        return rows, tuple(column for column in self.columns if column in known_columns)

    def _row(self, case: str, run: int, variant: str, values: Mapping[str, Any]) -> Row | None:
        if all(value is None for value in values.values()):
            return None
        tags = {f"tags.{tag}": value for tag, value in self.tags.get(case, {}).items()}
        return {"case": case, "run": run, "variant": variant, **values, **tags}


def sample_tables(
    columns: Sequence[Column],
    classifying: Sequence[Classified],
    tags: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> list[SampleTable]:
    """One table per app and test module, in the order of the metrics."""
    apps = dict.fromkeys((column.name.module, column.name.app) for column in columns)
    return [
        SampleTable(
            module=module,
            app=app,
            metrics=[c for c in columns if (c.name.module, c.name.app) == (module, app)],
            classified=[each for each in classifying if _home(each.column) == (module, app)],
            tags=tags.get(module, {}),
        )
        for module, app in apps
    ]


def _home(column: Column) -> tuple[str, str]:
    return column.name.module, column.name.app


def _test(each: Classified) -> str:
    name = each.column.name
    return name.test.removeprefix(f"{name.module}::")


def _by_run(column: Column, variant: str) -> dict[str, dict[int, Any]]:
    by_case = column.values.get(variant)
    return {} if by_case is None else {case: dict(by_case.runs(case)) for case in by_case}


def _side(labels: Labels, place: int) -> dict[str, list[Any]]:
    return {c: [None if pair is None else pair[place] for pair in pairs] for c, pairs in labels.items()}


def _at(values: _Values, case: str, run: int) -> Any:
    runs = values.get(case, ())
    return runs[run] if run < len(runs) else None
