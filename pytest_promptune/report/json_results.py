"""The results file for machines, ``--promptune-json``: format 1, unknown is ``null``.

`to_results` and `from_results` are inverse to each other but for `View.written`. The means of every case are
in the documents of the experiment log alone: they say what the log's results say, but for the baseline's
side, which is stored nowhere else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pytest_promptune.core.decoding import DecodeError, decode
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.harmless import harmless_json
from pytest_promptune.core.shards.shard import Shard
from pytest_promptune.core.shards.shard import to_json as shard_to_json
from pytest_promptune.core.stats.model import ClassCounts, Confusions, PassGroup, Passing
from pytest_promptune.core.view import (
    ClassesRow,
    ComparisonRow,
    ExperimentView,
    GoalRow,
    Interval,
    MetricName,
    MetricRow,
    View,
)

FORMAT = 1


def dumps(view: View, shard: Shard | None = None) -> str:
    """The text of the file, with a newline at its end; what a merge needs of it stands in few long lines."""
    text = json.dumps(to_results(view), ensure_ascii=False, allow_nan=False, indent=2)
    if shard is not None:
        head = text.removesuffix("\n}")
        text = f'{head},\n  "shard": {_outline(_plain(shard_to_json(shard)))}\n}}'
    return harmless_json(text) + "\n"


def to_document(view: View, shard: Shard) -> dict[str, Any]:
    """The same as plain data: results that can be merged."""
    return to_results(view) | {"shard": _plain(shard_to_json(shard))}


def to_results(view: View, *, case_means: bool = False) -> dict[str, Any]:
    """`view` as plain data that ``json.dumps(…, allow_nan=False)`` accepts.

    Args:
        view: of a session.
        case_means: means of every case, too, under a key of their own: a list for the rows of ``metrics``,
            and one for those of ``comparisons``.
    """
    results = {
        "format": FORMAT,
        "mode": view.mode,
        "exit_code": view.exit_code,
        "interrupted": view.interrupted,
        "experiment": _experiment(view.experiment),
        "variants": [asdict(variant) for variant in view.variants],
        "metrics": [_metric(row) for row in view.metrics],
        "classes": [_classes(row) for row in view.classes],
        "comparisons": [_comparison(row) for row in view.comparisons],
        "goals": [_goal(row) for row in view.goals],
        "passing_rule": view.passing_rule,
        "nodes": [asdict(row) for row in view.nodes],
        "analysis": asdict(view.analysis) if view.analysis else None,
        "errors": [asdict(error) for error in view.errors],
        "baselines": [asdict(item) for item in view.baselines],
        "gate": [asdict(item) for item in view.gate],
        "usage": asdict(view.usage),
        "decision": asdict(view.decision) if view.decision else None,
        "warnings": view.warnings,
        "notes": view.notes,
    }
    if case_means:
        results["case_means"] = {
            "metrics": [row.case_means for row in view.metrics],
            "comparisons": [row.case_means for row in view.comparisons],
        }
    plain: dict[str, Any] = _plain(results)
    return plain


def _experiment(experiment: ExperimentView) -> dict[str, Any]:
    values = {name: getattr(experiment, name) for name in ExperimentView.__dataclass_fields__}
    return values | {"look": asdict(experiment.look) if experiment.look else None}


def _metric(row: MetricRow) -> dict[str, Any]:
    names = [n for n in MetricRow.__dataclass_fields__ if n not in ("name", "case_means", "passing")]
    values = asdict(row.name) | {name: getattr(row, name) for name in names} | {"ci": _limits(row.ci)}
    return values | _passing(row.passing)


def _passing(passing: Passing | None) -> dict[str, Any]:
    """pass@k and pass^k by k, of the suite and of the cases; unknown of what has no passes."""
    return {
        "pass_at": passing and passing.at,
        "pass_hat": passing and passing.hat,
        "pass_left_out": passing and passing.left_out,
        "pass_cases": passing
        and [
            {
                "runs": group.runs,
                "passes": group.passes,
                "cases": group.cases,
                "pass_at": group.at,
                "pass_hat": group.hat,
            }
            for group in passing.groups
        ],
    }


def _goal(row: GoalRow) -> dict[str, Any]:
    return {
        "name": row.goal,
        "metric": row.name.metric,
        "test": row.name.test,
        "module": row.name.module,
        "app": row.name.app,
        "kind": row.name.kind,
        "variant": row.variant,
        "percentile": row.percentile,
        "target": row.target,
        "direction": row.direction,
        "unit": row.name.unit,
        "value": row.value,
        "ci": _limits(row.ci),
        "gap": row.gap,
        "achievement": row.achievement,
        "met": row.met,
        "confident": row.confident,
        "status": row.status,
    }


def _classes(row: ClassesRow) -> dict[str, Any]:
    found = row.found
    predicted = (*found.labels, None)
    return {
        "metric": row.name.metric,
        "test": row.name.test,
        "module": row.name.module,
        "app": row.name.app,
        "variant": row.variant,
        "n_samples": row.n_samples,
        "n_missing": row.n_missing,
        "macro_f1": found.macro_f1,
        "classes": [
            asdict(each) | {"precision": each.precision, "recall": each.recall, "f1": each.f1}
            for each in found.classes
        ],
        "confusions": [
            {"expected": label, "predicted": guess, "count": count}
            for label, counts in zip(found.labels, found.counts, strict=False)
            for guess, count in zip(predicted, counts, strict=True)
            if count
        ],
    }


def _comparison(row: ComparisonRow) -> dict[str, Any]:
    names = [
        name for name in ComparisonRow.__dataclass_fields__ if name not in ("name", "cases", "case_means")
    ]
    values = {name: getattr(row, name) for name in names}
    intervals = {"ci": _limits(row.ci), "ratio_ci": _limits(row.ratio_ci)}
    return asdict(row.name) | values | intervals | {"cases": asdict(row.cases)}


# -- and back --------------------------------------------------------------------------------------------


def from_results(document: Mapping[str, Any], *, where: str = "the results document") -> View:
    """The view that `to_results` made a document of, without the list of files that were written.

    Documents of other versions open, too: unknown keys are left alone, missing ones are unknown.

    Args:
        document: as parsed, of a file or of the log's `results_of`.
        where: what it is, for the error.

    Raises:
        StoreError: when it is damaged or of another format.
    """
    if document.get("format") != FORMAT:
        raise StoreError(
            f"{where}: format {document.get('format')!r}, this pytest-promptune reads {FORMAT}. Update "
            "pytest-promptune, or measure again."
        )
    try:
        return _from_results(document)
    except (DecodeError, AttributeError, KeyError, TypeError, ValueError) as damage:
        raise StoreError(
            f"{where}: damaged ({damage}). Its samples may be sound: score them again with "
            "pytest --promptune-replay, or measure again."
        ) from None


def _from_results(document: Mapping[str, Any]) -> View:
    metrics = tuple(map(_metric_from, _with_means(document, "metrics")))
    comparisons = tuple(
        decode(ComparisonRow, row, where="a comparison", name=_name_from(row))
        for row in _with_means(document, "comparisons")
    )
    return decode(
        View,
        document,
        where="the document",
        metrics=metrics,
        comparisons=comparisons,
        classes=tuple(map(_classes_from, _rows(document, "classes"))),
        goals=tuple(_goal_from(row, metrics) for row in _rows(document, "goals")),
        written=(),
    )


def _rows(document: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    rows = document.get(key) or ()
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        raise DecodeError(f"{key!r} is no list of objects")
    return rows


def _with_means(document: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    """The rows with the means of their cases, where the document has them."""
    rows, means = _rows(document, key), (document.get("case_means") or {}).get(key, ())
    if len(means) != len(rows):
        return rows
    return [{**row, "case_means": each} for row, each in zip(rows, means, strict=True)]


def _name_from(row: Mapping[str, Any], **given: Any) -> MetricName:
    test = row.get("test")
    module = test.partition("::")[0] if isinstance(test, str) else ""
    return decode(MetricName, {"module": module, **row}, where="a metric", **given)


def _metric_from(row: Mapping[str, Any]) -> MetricRow:
    return decode(MetricRow, row, where="a metric", name=_name_from(row), passing=_passing_from(row))


def _passing_from(row: Mapping[str, Any]) -> Passing | None:
    if row.get("pass_at") is None:
        return None
    groups = tuple(
        decode(PassGroup, {**group, "at": group["pass_at"], "hat": group["pass_hat"]}, where="pass_cases")
        for group in row["pass_cases"]
    )
    parts = {"at": row["pass_at"], "hat": row["pass_hat"], "left_out": row["pass_left_out"]}
    return decode(Passing, parts, where="passes", groups=groups)


def _goal_from(row: Mapping[str, Any], metrics: Sequence[MetricRow]) -> GoalRow:
    """Documents of earlier versions say less of the metric than its own row does."""
    known = (
        each.name for each in metrics if (each.name.metric, each.name.test) == (row["metric"], row["test"])
    )
    name = next(known, None) or _name_from(row)
    return decode(GoalRow, {**row, "goal": row["name"]}, where="a goal", name=name)


def _classes_from(row: Mapping[str, Any]) -> ClassesRow:
    classes = tuple(decode(ClassCounts, each, where="a class") for each in row["classes"])
    labels = tuple(each.label for each in classes)
    predicted = (*labels, None)
    counted = {(each["expected"], each["predicted"]): each["count"] for each in row["confusions"]}
    expected = [each.label for each in classes if each.n_expected]
    counts = tuple(tuple(counted.get((label, guess), 0) for guess in predicted) for label in expected)
    macro_f1 = row.get("macro_f1")
    return decode(
        ClassesRow,
        row,
        where="classes",
        name=_name_from(row, kind="binary", direction="higher"),
        found=Confusions(labels=labels, counts=counts, classes=classes, macro_f1=macro_f1),
    )


# -- details ---------------------------------------------------------------------------------------------


def _limits(limits: Interval | None) -> Interval | None:
    """An interval without a finite limit says nothing: unknown."""
    return limits if any(limit is not None and math.isfinite(limit) for limit in limits or ()) else None


def _plain(value: Any) -> Any:
    """Lists for tuples, and ``None`` for what JSON has no number for: an infinite interval is unknown."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _outline(value: Any, depth: int = 1, path: tuple[str, ...] = ()) -> str:
    """JSON with a line for each key of a shard and of its modules, and for each row of their tables."""
    indent = "  " * (depth + 1)
    is_open = not path or (path[0] == "modules" and (len(path) <= 2 or path[2] in ("items", "samples")))
    lines: Iterator[str]
    if isinstance(value, dict) and value and is_open and len(path) <= 2:
        lines = (f"{_compact(key)}: {_outline(item, depth + 1, (*path, key))}" for key, item in value.items())
        brackets = "{}"
    elif isinstance(value, list) and value and is_open:
        lines, brackets = map(_compact, value), "[]"
    else:
        return _compact(value)
    return f"{brackets[0]}\n{indent}" + f",\n{indent}".join(lines) + f"\n{indent[:-2]}{brackets[1]}"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
