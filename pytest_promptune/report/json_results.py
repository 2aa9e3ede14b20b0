"""The results file for machines, ``--promptune-json``: format 1, unknown is ``null``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pytest_promptune.core.harmless import harmless_json
from pytest_promptune.core.shards.shard import Shard
from pytest_promptune.core.shards.shard import to_json as shard_to_json
from pytest_promptune.core.stats.model import Passing
from pytest_promptune.core.view import (
    ClassesRow,
    ComparisonRow,
    ExperimentView,
    GoalRow,
    Interval,
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


def to_results(view: View) -> dict[str, Any]:
    """`view` as plain data that ``json.dumps(…, allow_nan=False)`` accepts."""
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
        "nodes": [asdict(row) for row in view.nodes],
        "errors": [asdict(error) for error in view.errors],
        "baselines": [asdict(item) for item in view.baselines],
        "gate": [asdict(item) for item in view.gate],
        "usage": asdict(view.usage),
        "decision": asdict(view.decision) if view.decision else None,
        "warnings": view.warnings,
        "notes": view.notes,
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
