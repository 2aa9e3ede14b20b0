"""The recorded scores of one test module: what stands in a baseline file and what a new recording keeps."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from pytest_promptune.core.aggregates.labels import Labels
from pytest_promptune.core.aggregates.recorded import DamageError, labels_from_json, labels_to_json
from pytest_promptune.core.errors import BaselineError
from pytest_promptune.core.experiment import Scores
from pytest_promptune.core.harmless import harmless_json
from pytest_promptune.core.values import dataclass

#: Version of the file format this code reads and writes.
FORMAT = 1

#: Numbers beyond it have no float.
_LARGEST = sys.float_info.max

_RECORD_AGAIN = "Or delete it and record the baseline again with --promptune-baseline."


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineMetric:
    """What is known of a recorded metric."""

    direction: str
    unit: str | None
    kind: str

    @property
    def is_of_app_usage(self) -> bool:
        """Time, tokens and money: compared, but not gated unless named."""
        return self.kind in ("latency", "cost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Under which conditions a baseline was recorded."""

    #: ISO 8601, UTC.
    at: str
    commit: str | None
    dirty: bool | None
    runs: int
    promptune: str
    #: Samples in flight, on which measured times depend; ``None`` in files that don't say, or where times of
    #: several recordings are mixed.
    concurrency: int | None = None
    models: tuple[str, ...] = ()
    #: Template name -> hash of its text.
    prompts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The contents of one baseline file."""

    recorded: Recorded
    #: Case id -> hash of input and expected.
    cases: Mapping[str, str]
    metrics: Mapping[str, BaselineMetric]
    scores: Mapping[str, Scores]
    #: By the metric of a test that classifies: a pair beside each score. Files of older versions have none.
    labels: Mapping[str, Labels] = field(default_factory=dict)


def obstacle_to_times(recorded: Recorded, concurrency: int) -> str:
    """Why times measured at this concurrency can't be compared with `recorded` ones, or nothing."""
    then = recorded.concurrency
    if then == concurrency:
        return ""
    load, cure = "an unknown number of", "Record them again"
    if then is not None:
        load, cure = f"{then:,}", f"Measure with --promptune-concurrency={then}"
    return (
        f"Recorded with {load} samples in flight, measured now with {concurrency:,}: not comparable. "
        f"{cure}, or compare within one session."
    )


def merged(old: Baseline | None, new: Baseline) -> Baseline:
    """`new` over `old`: what ran replaces what was there, the rest stays.

    Scores of a case that changed under its id are dropped from the metrics that did not run, since
    they belong to another case.
    """
    if old is None:
        return new
    changed = {case for case, content in new.cases.items() if old.cases.get(case, content) != content}
    scores: dict[str, Scores] = {}
    for metric in {**old.scores, **new.scores}:
        kept = {c: v for c, v in old.scores.get(metric, {}).items() if c not in changed}
        if metric in new.metrics and metric in old.metrics and new.metrics[metric] != old.metrics[metric]:
            kept = {}  # another measure under the old name
        scores[metric] = {**kept, **new.scores.get(metric, {})}
    labels = {
        metric: _merged_labels(old.labels.get(metric, {}), new, metric, cases)
        for metric, cases in scores.items()
        if metric in old.labels or metric in new.labels
    }
    one_load = new.recorded.concurrency == old.recorded.concurrency or not _keeps_times(old, new, scores)
    return Baseline(
        recorded=new.recorded if one_load else replace(new.recorded, concurrency=None),
        cases={**old.cases, **new.cases},
        metrics={**old.metrics, **new.metrics},
        scores={metric: cases for metric, cases in scores.items() if cases},
        labels={metric: cases for metric, cases in labels.items() if cases},
    )


def _merged_labels(old: Labels, new: Baseline, metric: str, scores: Scores) -> Labels:
    """Labels from where each case's merged `scores` are from."""
    measured, labels = new.scores.get(metric, {}), new.labels.get(metric, {})
    sources = {case: labels if case in measured else old for case in scores}
    return {case: source[case] for case, source in sources.items() if case in source}


def _keeps_times(old: Baseline, new: Baseline, scores: Mapping[str, Scores]) -> bool:
    """Whether measured times of `old` stay in the merged `scores`."""
    return any(
        set(cases) - set(new.scores.get(name, {}))
        for name, cases in scores.items()
        if name in old.metrics and old.metrics[name].kind == "latency"
    )


def same(old: Baseline | None, new: Baseline) -> bool:
    """Whether nothing changed that a reviewer should see.

    The time of recording, the commit, measured times and the concurrency they depend on differ from session
    to session; they alone are no reason to touch the file, unless it doesn't know its concurrency yet.
    """
    if old is None or (old.recorded.concurrency is None and new.recorded.concurrency is not None):
        return False
    return _stable(old) == _stable(new)


def _stable(baseline: Baseline) -> tuple[Any, ...]:
    recorded = replace(baseline.recorded, at="", commit=None, dirty=None, promptune="", concurrency=None)
    timed = {name for name, metric in baseline.metrics.items() if metric.kind == "latency"}
    scores = {name: cases for name, cases in baseline.scores.items() if name not in timed}
    cells = {name: sorted(cases) for name, cases in baseline.scores.items() if name in timed}
    recorded = replace(recorded, prompts=dict(recorded.prompts))
    labels = {metric: dict(cases) for metric, cases in baseline.labels.items()}
    return recorded, dict(baseline.cases), dict(baseline.metrics), scores, cells, labels


def dumps(baseline: Baseline) -> str:
    """The text of the file: sorted keys, one line per case of each metric, a newline at the end."""
    recorded = baseline.recorded
    head = {
        "at": recorded.at,
        "commit": recorded.commit,
        **({} if recorded.concurrency is None else {"concurrency": recorded.concurrency}),
        "dirty": recorded.dirty,
        "models": sorted(recorded.models),
        "promptune": recorded.promptune,
        "prompts": dict(recorded.prompts),
        "runs": recorded.runs,
    }
    metrics = {
        name: {"direction": m.direction, "kind": m.kind, "unit": m.unit}
        for name, m in baseline.metrics.items()
    }
    scores = {
        metric: {case: [_short(value) for value in values] for case, values in cases.items()}
        for metric, cases in baseline.scores.items()
    }
    labels = _lines(labels_to_json(baseline.labels), depth=1, levels=2)
    parts = [
        f'"cases": {_lines(baseline.cases, depth=1, levels=1)}',
        f'"format": {FORMAT}',
        *([f'"labels": {labels}'] if baseline.labels else []),
        f'"metrics": {_lines(metrics, depth=1, levels=1)}',
        f'"recorded": {_lines(head, depth=1, levels=1)}',
        f'"scores": {_lines(scores, depth=1, levels=2)}',
    ]
    return "{\n  " + ",\n  ".join(parts) + "\n}\n"


def _lines(value: Mapping[str, Any], *, depth: int, levels: int) -> str:
    """A JSON object with one line per key, down to `levels` objects deep."""
    if not value:
        return "{}"
    indent = "  " * (depth + 1)
    rows = []
    for key in sorted(value):
        inner = value[key]
        nested = levels > 1 and isinstance(inner, Mapping)
        text = _lines(inner, depth=depth + 1, levels=levels - 1) if nested else _compact(inner)
        rows.append(f"{indent}{_compact(key)}: {text}")
    return "{\n" + ",\n".join(rows) + "\n" + "  " * depth + "}"


def _compact(value: Any) -> str:
    return harmless_json(json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False))


def _short(value: float | None) -> float | int | None:
    if value is None:
        return None
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def loads(text: str, *, where: str) -> Baseline:
    """Read the text of a baseline file.

    Raises:
        BaselineError: when it is damaged or of a format this version doesn't read; `where` is its path.
    """
    try:
        data = json.loads(text, object_pairs_hook=_each_key_once)
    except json.JSONDecodeError as error:
        hint = " It holds the marks of an unfinished merge." if "<<<<<<<" in text else ""
        raise BaselineError(
            f"{where}:{error.lineno}: not a baseline file: {error.msg}.{hint} "
            f"Restore it from version control. {_RECORD_AGAIN}"
        ) from None
    except RecursionError:
        raise _damaged(where, "nested too deeply") from None
    except (DamageError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise _damaged(where, str(error)) from None
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT or isinstance(found, bool):
        newer = isinstance(found, int) and found > FORMAT
        cure = "Update pytest-promptune." if newer else _RECORD_AGAIN
        raise BaselineError(f"{where}: format {found!r}, this pytest-promptune reads {FORMAT}. {cure}")
    try:
        return _from_json(data)
    except DamageError as damage:
        raise _damaged(where, str(damage)) from None


def _damaged(where: str, what: str) -> BaselineError:
    return BaselineError(f"{where}: damaged: {what}. Restore it from version control. {_RECORD_AGAIN}")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A merge can leave a case twice; JSON readers would keep the last one silently."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DamageError(f"{twice!r} stands twice in one object")
    return table


def _from_json(data: Mapping[str, Any]) -> Baseline:
    head = _table(data, "recorded")
    cases = _table(data, "cases")
    if not all(isinstance(content, str) for content in cases.values()):
        raise DamageError("'cases' must map case ids to hashes")
    metrics = {name: _metric(name, value) for name, value in _table(data, "metrics").items()}
    scores = {name: _scores(name, value) for name, value in _table(data, "scores").items()}
    if unknown := sorted(set(scores) - set(metrics)):
        raise DamageError(f"'scores' has {unknown[0]!r}, which 'metrics' doesn't describe")
    if unknown := sorted({case for rows in scores.values() for case in rows} - set(cases)):
        raise DamageError(f"'scores' has the case {unknown[0]!r}, which 'cases' doesn't list")
    labels = labels_from_json(_table(data, "labels"), scores) if "labels" in data else {}
    recorded = Recorded(
        at=_typed(head, "at", str),
        commit=_typed(head, "commit", str, optional=True),
        dirty=_typed(head, "dirty", bool, optional=True),
        runs=_typed(head, "runs", int),
        promptune=_typed(head, "promptune", str),
        concurrency=_typed(head, "concurrency", int, optional=True),
        models=tuple(map(str, _typed(head, "models", list))),
        prompts={str(k): str(v) for k, v in _typed(head, "prompts", dict).items()},
    )
    return Baseline(recorded=recorded, cases=cases, metrics=metrics, scores=scores, labels=labels)


def _table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    table: dict[str, Any] = _typed(data, key, dict)
    return table


def _typed(data: Mapping[str, Any], key: str, kind: type, *, optional: bool = False) -> Any:
    value = data.get(key)
    if (value is None and optional) or (
        isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    ):
        return value
    raise DamageError(f"{key!r} is {'missing' if value is None else 'not of the expected type'}")


def _metric(name: str, value: Any) -> BaselineMetric:
    if not isinstance(value, dict):
        raise DamageError(f"metric {name!r} is not an object")
    direction, kind, unit = value.get("direction"), value.get("kind"), value.get("unit")
    if direction not in ("higher", "lower"):
        raise DamageError(f"metric {name!r} has direction {direction!r}; 'higher' and 'lower' exist")
    if kind not in ("binary", "score", "latency", "cost"):
        raise DamageError(f"metric {name!r} has kind {kind!r}; binary, score, latency and cost exist")
    if unit is not None and not isinstance(unit, str):
        raise DamageError(f"metric {name!r} has a unit that is not a text")
    return BaselineMetric(direction=direction, unit=unit, kind=kind)


def _scores(name: str, value: Any) -> Scores:
    if not isinstance(value, dict):
        raise DamageError(f"the scores of {name!r} are not an object")
    for case, values in value.items():
        if not isinstance(values, list) or not all(_is_score(v) for v in values):
            raise DamageError(f"the scores of {name!r} for case {case!r} are not a list of numbers and nulls")
    return {case: [None if v is None else float(v) for v in values] for case, values in value.items()}


def _is_score(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
