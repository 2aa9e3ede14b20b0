"""Values as rows of the log and back: each stored shape is in one pair of functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pytest_promptune.core.codec import sha256, to_jsonable
from pytest_promptune.core.errors import ScoreError
from pytest_promptune.core.model import (
    Answer,
    ModelCall,
    NodeRun,
    Prompt,
    SampleError,
    SampleRecord,
    ScorerScore,
    Scoring,
    Usage,
)
from pytest_promptune.core.results import Result
from pytest_promptune.store.log.values import ExperimentSummary, LoggedSample, Manifest, SampleKey

Row = dict[str, Any]
#: A row as it comes from the database.
Stored = Mapping[Any, Any]

#: Fields of a result that have a column of their own.
_RESULT_COLUMNS = (
    "module",
    "test",
    "metric",
    "app",
    "case_id",
    "case_hash",
    "variant",
    "run",
    "outcome",
    "message",
)
_VERDICTS = ("improved", "regressed", "unchanged", "inconclusive")


# --- samples --------------------------------------------------------------------------------------


def snapshot(sample: LoggedSample) -> tuple[Row, Row]:
    """A sample as a row of `samples` and one of `outputs`; nothing in them changes when the output does.

    An output without a JSON form is the error that it is to the tests as well.
    """
    record, key, error = sample.record, sample.key, sample.record.error
    try:
        output = to_jsonable(record.output, where=f"the output of {key.app!r}")
    except ScoreError as refused:
        output, error = None, SampleError(type="ScoreError", message=str(refused))
    row = {
        "app": key.app,
        "scope": key.scope,
        "case_id": key.case_id,
        "case_hash": key.case_hash,
        "variant": key.variant,
        "run": key.run,
        "error_type": None if error is None else error.type,
        "error_message": None if error is None else error.message,
        "infrastructure": error is not None and error.infrastructure,
        "latency_s": record.latency_s,
        **_usage_row(record.usage),
        "attempts": sample.attempts,
        "started": sample.started,
        "finished": sample.finished,
        "nodes": [_node_row(node) for node in record.nodes],
        "scorings": [_scoring_row(scoring) for scoring in record.scorings],
    }
    prompts: dict[str, Any] = {node.node: said for node in record.nodes if (said := _said(node))}
    return row, {"output": output, "prompts": dict.fromkeys(record.silent) | prompts}


def sample_from(row: Stored, *, prompts: Mapping[str, Any], output: Any) -> LoggedSample:
    """The inverse of `snapshot`."""
    error = None
    if row["error_type"] is not None:
        error = SampleError(
            type=row["error_type"], message=row["error_message"], infrastructure=row["infrastructure"]
        )
    names = ("app", "scope", "case_id", "case_hash", "variant", "run")
    record = SampleRecord(
        case_id=row["case_id"],
        variant=row["variant"],
        run=row["run"],
        output=output,
        error=error,
        latency_s=row["latency_s"],
        usage=_usage_from(row),
        nodes=tuple(node_from(node, prompts.get(node["node"])) for node in row["nodes"]),
        silent=tuple(node for node, said in prompts.items() if said is None),
        scorings=tuple(_scoring_from(scoring) for scoring in row["scorings"]),
    )
    return LoggedSample(
        key=SampleKey(**{name: row[name] for name in names}),
        record=record,
        attempts=row["attempts"],
        started=row["started"],
        finished=row["finished"],
    )


def sample_to_json(sample: LoggedSample) -> list[Row]:
    """A sample as plain data, for another process."""
    return list(snapshot(sample))


def sample_from_json(data: Sequence[Stored]) -> LoggedSample:
    """The inverse of `sample_to_json`."""
    row, texts = data
    return sample_from(row, prompts=texts["prompts"], output=texts["output"])


def _node_row(node: NodeRun) -> Row:
    return {
        "node": node.node,
        "calls": node.calls,
        "latency_s": node.latency_s,
        **_usage_row(node.usage),
        "models": list(node.models),
        "errors": node.errors,
        "wall_s": node.wall_s,
        "part_s": node.part_s,
        "retries": node.retries,
        "error_types": dict(node.error_types),
        "ways": [asdict(way) for way in node.ways],
    }


def _said(node: NodeRun) -> Any:
    """What was said to models and what they answered; the last prompt alone as older versions wrote it."""
    prompt = _messages(node.prompt)
    if not node.answers and not node.prompts:
        return prompt
    return {
        "prompt": prompt,
        "prompts": [_messages(each) for each in node.prompts],
        "answers": [[getattr(answer, name) for name in _ANSWER] for answer in node.answers],
    }


def _messages(prompt: Prompt) -> list[list[str]]:
    return [list(message) for message in prompt]


def _prompt_from(stored: Any) -> Prompt:
    return tuple((role, text) for role, text in stored)


def _answer_from(stored: Sequence[Any]) -> Answer:
    values = dict(zip(_ANSWER, stored, strict=True))
    return Answer(**values | {"tools": tuple(values["tools"])})


#: The order in which an answer's values are stored.
_ANSWER = ("text", "length", "way", "tools", "broken", "retried")


def node_from(row: Mapping[str, Any], stored: Any) -> NodeRun:
    """What one node did: its entry in `nodes`, and what `prompts` has of it."""
    said = stored if isinstance(stored, Mapping) else {"prompt": stored or ()}
    return NodeRun(
        node=row["node"],
        calls=row["calls"],
        latency_s=row["latency_s"],
        usage=_usage_from(row),
        models=tuple(row["models"]),
        prompt=_prompt_from(said["prompt"]),
        errors=row["errors"],
        # what logs of older versions don't have
        wall_s=row.get("wall_s"),
        part_s=row.get("part_s"),
        retries=row.get("retries", 0),
        error_types=row.get("error_types", {}),
        ways=_ways_from(row),
        prompts=tuple(map(_prompt_from, said.get("prompts", ()))),
        answers=tuple(map(_answer_from, said.get("answers", ()))),
    )


def _ways_from(row: Mapping[str, Any]) -> tuple[ModelCall, ...]:
    return tuple(ModelCall(**(way | {"tools": tuple(way["tools"])})) for way in row.get("ways", ()))


def calls_from(nodes: Iterable[Mapping[str, Any]]) -> list[tuple[str, tuple[ModelCall, ...]]]:
    """In which ways the nodes of one sample called models, by node."""
    return [(row["node"], _ways_from(row)) for row in nodes]


def _scoring_row(scoring: Scoring) -> Row:
    error = scoring.error
    return {
        "scorer": scoring.scorer,
        "home": scoring.home,
        "scores": [
            {"key": s.key, "value": s.value, "is_binary": s.is_binary, "comment": s.comment}
            for s in scoring.scores
        ],
        "error": None if error is None else [error.type, error.message, error.infrastructure],
        **_usage_row(scoring.usage),
        "unpriced": list(scoring.unpriced),
    }


def _scoring_from(row: Stored) -> Scoring:
    error = row["error"]
    return Scoring(
        scorer=row["scorer"],
        home=row["home"],
        scores=tuple(ScorerScore(**score) for score in row["scores"]),
        error=error and SampleError(type=error[0], message=error[1], infrastructure=error[2]),
        usage=_usage_from(row),
        unpriced=tuple(row["unpriced"]),
    )


def _usage_row(usage: Usage) -> Row:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": usage.cost_usd,
    }


def _usage_from(row: Stored) -> Usage:
    return Usage(
        input_tokens=row["input_tokens"], output_tokens=row["output_tokens"], cost_usd=row["cost_usd"]
    )


# --- results --------------------------------------------------------------------------------------


def result_rows(result: Result) -> tuple[Row, list[Row]]:
    """What an item contributes as a row of `results` and rows of `scores`.

    But for the nodes of its sample, which stand in the row of `samples`.
    """
    more = result.to_json()
    if more["sample"] is not None:
        more["sample"].pop("nodes", None)
    row = {name: more.pop(name) for name in _RESULT_COLUMNS}
    scores = [
        {"name": name, "value": value, "kind": kind, "direction": direction, "unit": unit}
        for name, (value, kind, direction, unit) in more.pop("scores").items()
    ]
    return row | {"more": more}, scores


def result_from(row: Stored, scores: Sequence[Stored]) -> Result:
    """The inverse of `result_rows`."""
    values = {name: row[name] for name in _RESULT_COLUMNS}
    columns = ("value", "kind", "direction", "unit")
    scored = {score["name"]: [score[column] for column in columns] for score in scores}
    return Result.from_json(row["more"] | values | {"scores": scored})


# --- experiments ----------------------------------------------------------------------------------


def experiment_row(manifest: Manifest, *, hashed: str) -> Row:
    """What a row of `experiments` says from its beginning."""
    names = ("id", "mode", "started", "note", "commit", "branch", "dirty", "promptune", "python")
    more = ("replay_of", "series", "runs")
    return {name: getattr(manifest, name) for name in names + more} | {
        "conditions_hash": hashed,
        "cases": len({(case.id, case.hash) for case in manifest.cases}) or None,  # counted as in the end
        "variants": list(manifest.variants) or None,
    }


def prompt_rows(manifest: Manifest) -> tuple[list[Row], list[Row]]:
    """Rows of `texts`, each text once, and of `prompts`."""
    texts: dict[str, str] = {}
    prompts = []
    for variant, named in manifest.prompts.items():
        for name, text in named.items():
            hashed = sha256(text)
            texts[hashed] = text
            prompts.append({"variant": variant, "name": name, "hash": hashed})
    return [{"hash": hashed, "text": text} for hashed, text in texts.items()], prompts


def case_rows(manifest: Manifest) -> tuple[list[Row], list[Row]]:
    """Rows of `contents`, each once, and of `cases`."""
    contents = {
        case.hash: {"hash": case.hash, "input": case.input, "expected": case.expected}
        for case in manifest.cases
    }
    cases = [
        {"module": case.module, "case_id": case.id, "hash": case.hash, "tags": dict(case.tags)}
        for case in manifest.cases
    ]
    return list(contents.values()), cases


def end_row(results: Mapping[str, Any]) -> Row:
    """What a row of `experiments` takes from the results document; without one the plan stays."""
    experiment, comparisons = results.get("experiment", {}), results.get("comparisons", [])
    verdicts = [row["verdict"] for row in comparisons]
    return {
        **{verdict: verdicts.count(verdict) for verdict in _VERDICTS},
        "gate_failed": sum(row.get("gate") == "failed" for row in comparisons),
        **{name: experiment[name] for name in ("cases", "runs", "variants") if name in experiment},
    }


def metric_rows(results: Mapping[str, Any]) -> list[Row]:
    """Rows of `metrics` from the results document."""
    names = ("module", "metric", "variant", "n_cases", "n_samples", "mean")
    return [_numbered(number, data, names) for number, data in enumerate(results.get("metrics", []))]


def comparison_rows(results: Mapping[str, Any]) -> list[Row]:
    """Rows of `comparisons` from the results document."""
    names = ("module", "metric", "reference", "candidate", "difference", "p_adjusted", "verdict", "gate")
    return [_numbered(number, data, names) for number, data in enumerate(results.get("comparisons", []))]


def _numbered(number: int, data: Mapping[str, Any], names: tuple[str, ...]) -> Row:
    low, high = data.get("ci") or (None, None)
    columns = {name: data.get(name) for name in names}
    return {"row": number, **columns, "ci_low": low, "ci_high": high, "data": data}


def summary_from(row: Stored, *, is_dead: bool) -> ExperimentSummary:
    """A row of `experiments`, for people."""
    fields = set(ExperimentSummary.__dataclass_fields__) - {"usage", "variants", "status"}
    return ExperimentSummary(
        **{name: row[name] for name in fields},
        status="interrupted" if is_dead else row["status"],
        variants=tuple(row["variants"] or ()),
        usage=_usage_from(row),
    )
