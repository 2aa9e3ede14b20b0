"""Results as tables, small enough to travel between machines: a letter and a few numbers per item.

A row holds what one test (or one app) gave under one variant in one run, a column per case. Its letters
stand for the module's measured cases in their order, ``.`` for a case that isn't in this row; every list
beside them has one entry per letter that is no ``.``. One value in place of a list stands for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_promptune.core.display import clean, cut
from pytest_promptune.core.model import SampleError, Usage
from pytest_promptune.core.results import Outcome, Result, SampleFacts
from pytest_promptune.core.scorers import Unscored
from pytest_promptune.core.scoring import Classification, Score
from pytest_promptune.core.shards.folding import Texts, as_text, as_whole, folded, short, unfolded
from pytest_promptune.core.shards.nodes import node_columns, nodes_of

OUTCOMES: Mapping[str, Outcome] = {
    "p": "passed",
    "m": "missed",
    "e": "errored",
    "l": "missing",
    "f": "failed",
    "s": "skipped",
}
_LETTERS = {outcome: letter for letter, outcome in OUTCOMES.items()}
#: Outcomes whose messages are quoted in reports.
_TELLING = "me"
_ABSENT = "."

#: What is ever shown of a message and of an error.
_MESSAGE_WIDTH = 200
_ERROR_LENGTH = 500

_COLUMNS = ("latency_s", "input_tokens", "output_tokens", "cost_usd", "reused")

Row = dict[str, Any]
#: App, its scope, variant and run.
_SampleRow = tuple[str, str | None, str, int]


# --- to tables ------------------------------------------------------------------------------------


def item_rows(results: Iterable[Result], cases: Sequence[str], texts: Texts) -> list[Row]:
    """The items of one module; of one that was run again the last result counts.

    Args:
        results: in the order of the items.
        cases: ids of the measured cases.
        texts: takes in what the items say.
    """
    groups: dict[tuple[Any, ...], dict[str, Result]] = {}
    for result in results:
        key = (result.test, result.metric, result.app, result.gate, result.variant, result.run)
        groups.setdefault(key, {})[result.case_id] = result
    return [_item_row(key, group, cases, texts) for key, group in groups.items()]


def _item_row(key: tuple[Any, ...], group: Mapping[str, Result], cases: Sequence[str], texts: Texts) -> Row:
    test, metric, app, gate, variant, run = key
    present = [group[case] for case in cases if case in group]
    row: Row = {
        "test": test,
        "metric": metric,
        "app": app,
        "scope": next((result.scope for result in present if result.scope is not None), None),
        "gate": None if gate is None else list(gate),
        "variant": variant,
        "run": run,
        "outcomes": _letters(cases, {case: _LETTERS[result.outcome] for case, result in group.items()}),
    }
    if scores := _scores(present):
        row["scores"] = scores
    row |= _judged(present, texts)
    telling = [result for result in present if _LETTERS[result.outcome] in _TELLING]
    if any(result.message for result in telling):
        row["messages"] = [texts.number(cut(clean(result.message), _MESSAGE_WIDTH)) for result in telling]
    pairs = [result.classification for result in present]
    if any(pairs):
        row["classes"] = [
            pair and [texts.number(pair.predicted), texts.number(pair.expected)] for pair in pairs
        ]
    return row


def _scores(present: Sequence[Result]) -> list[list[Any]]:
    """One entry per name and declaration: ``[name, kind, direction, unit, values]``, and which scorer."""
    declared: dict[tuple[str, str, str, str | None, str], list[float | None]] = {}
    for position, result in enumerate(present):
        for name, score in result.scores.items():
            key = (name, score.kind, score.direction, score.unit, score.scorer)
            declared.setdefault(key, [None] * len(present))[position] = score.value
    return [
        [*key, folded([short(value) for value in values]), *([scorer] if scorer else [])]
        for (*key, scorer), values in declared.items()
    ]


def _judged(present: Sequence[Result], texts: Texts) -> Row:
    """What scorers said beside their scores: by metric a comment for each item, and what failed in which."""
    found: Row = {}
    names = dict.fromkeys(name for r in present for name, score in r.scores.items() if score.comment)
    if names:
        found["comments"] = {name: [_comment(result, name, texts) for result in present] for name in names}
    errors = [[] if result.sample is None else result.sample.scorer_errors for result in present]
    if any(errors):
        found["unscored"] = [
            [[texts.number(e.scorer), texts.number(clean(e.reason)), int(e.infrastructure)] for e in each]
            for each in errors
        ]
    return found


def _comment(result: Result, name: str, texts: Texts) -> int | None:
    score = result.scores.get(name)
    return texts.number(clean(score.comment)) if score is not None and score.comment else None


def sample_rows(results: Iterable[Result], cases: Sequence[str], texts: Texts) -> list[Row]:
    """The facts of one module's samples, whatever tests shared them."""
    groups: dict[_SampleRow, dict[str, SampleFacts]] = {}
    for result in results:
        if result.sample is not None:
            row = groups.setdefault((result.app, result.scope, result.variant, result.run), {})
            row.setdefault(result.case_id, result.sample)
    return [_sample_row(key, group, cases, texts) for key, group in groups.items()]


def _sample_row(key: _SampleRow, group: Mapping[str, SampleFacts], cases: Sequence[str], texts: Texts) -> Row:
    app, scope, variant, run = key
    present = [group[case] for case in cases if case in group]
    row: Row = {
        "app": app,
        "scope": scope,
        "variant": variant,
        "run": run,
        "samples": _letters(cases, {case: _state(facts) for case, facts in group.items()}),
    }
    errors = [facts.error for facts in present if facts.error is not None]
    if errors:
        row["errors"] = [
            [texts.number(error.type), texts.number(clean(error.message)[:_ERROR_LENGTH])] for error in errors
        ]
    columns: dict[str, list[Any]] = {
        "latency_s": [short(facts.latency_s) for facts in present],
        "input_tokens": [facts.usage.input_tokens for facts in present],
        "output_tokens": [facts.usage.output_tokens for facts in present],
        "cost_usd": [facts.usage.cost_usd for facts in present],
    }
    row |= {name: folded(values) for name, values in columns.items() if any(v is not None for v in values)}
    models = dict.fromkeys(model for facts in present for model in facts.models)
    unpriced = dict.fromkeys(model for facts in present for model in facts.unpriced)
    reused = [int(facts.reused) for facts in present]
    row |= {"reused": folded(reused)} if any(reused) else {}
    row |= {"unpriced": list(unpriced)} if unpriced else {}
    row |= {"nodes": nodes} if (nodes := node_columns([facts.nodes for facts in present], texts)) else {}
    return row | ({"models": list(models)} if models else {})


def _state(facts: SampleFacts) -> str:
    if facts.error is None:
        return "p"
    return "l" if facts.error.infrastructure else "e"


def _letters(cases: Sequence[str], letters: Mapping[str, str]) -> str:
    return "".join(letters.get(case, _ABSENT) for case in cases).rstrip(_ABSENT)


# --- and back -------------------------------------------------------------------------------------


def results_of(
    module: str, items: Sequence[Row], samples: Sequence[Row], cases: Mapping[str, str], texts: Texts
) -> Iterator[Result]:
    """The results that gave these rows; node ids and places among the items are not kept.

    Args:
        cases: hashes of the measured cases by id, in the order of the letters.

    Raises:
        KeyError, TypeError, ValueError, IndexError: when the rows are damaged.
    """
    ids = list(cases)
    facts = dict(_facts(samples, ids, texts))
    for row in items:
        present = _present(row["outcomes"], ids)
        outcomes = [OUTCOMES[letter] for _, letter in present]
        scores = _scores_of(row, len(present))
        messages = _messages(row, [letter for _, letter in present], texts)
        classes = row.get("classes") or [None] * len(present)
        gate, scope = row["gate"], _scope(row)
        unscored = row.get("unscored") or [()] * len(present)
        _take_comments(row.get("comments", {}), scores, texts)
        rows = zip(present, outcomes, scores, messages, classes, unscored, strict=True)
        for (case, _), outcome, of_item, message, pair, lost in rows:
            sample = facts.get((row["app"], scope, row["variant"], row["run"], case))
            if lost and sample is not None:
                sample = replace(sample, scorer_errors=tuple(_unscored(each, texts) for each in lost))
            yield Result(
                nodeid=f"{module}::{as_text(row['test'])}",
                module=module,
                test=row["test"],
                metric=as_text(row["metric"]),
                app=as_text(row["app"]),
                case_id=case,
                case_hash=cases[case],
                variant=as_text(row["variant"]),
                run=as_whole(row["run"]),
                outcome=outcome,
                gate=None if gate is None else tuple(map(as_text, gate)),
                scores=of_item,
                classification=pair and Classification(predicted=texts[pair[0]], expected=texts[pair[1]]),
                message=message,
                sample=sample,
                scope=scope,
            )


def _facts(
    rows: Sequence[Row], cases: Sequence[str], texts: Texts
) -> Iterator[tuple[tuple[str, str | None, str, int, str], SampleFacts]]:
    for row in rows:
        present = _present(row["samples"], cases)
        columns = [unfolded(row.get(name), len(present)) for name in _COLUMNS]
        errors = iter(row.get("errors", ()))
        models, unpriced = (tuple(map(as_text, row.get(name, ()))) for name in ("models", "unpriced"))
        nodes = nodes_of(row.get("nodes", ()), len(present), texts)
        values: Iterator[Any] = zip(present, nodes, *columns, strict=True)
        for (case, letter), of_nodes, latency, tokens_in, tokens_out, cost, reused in values:
            error = None
            if letter != "p":
                kind, message = next(errors, (-1, -1))
                error = SampleError(type=texts[kind], message=texts[message], infrastructure=letter == "l")
            usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out, cost_usd=cost)
            facts = SampleFacts(
                latency_s=latency,
                usage=usage,
                error=error,
                models=models,
                reused=bool(reused),
                unpriced=unpriced,
                nodes=of_nodes,
            )
            yield (row["app"], _scope(row), row["variant"], row["run"], case), facts


def _present(letters: str, cases: Sequence[str]) -> list[tuple[str, str]]:
    """The cases of a row, and the letter of each."""
    if len(letters) > len(cases):
        raise ValueError("a row is longer than the list of cases")
    return [(case, letter) for case, letter in zip(cases, letters, strict=False) if letter != _ABSENT]


def _scores_of(row: Row, length: int) -> list[dict[str, Score]]:
    """The scores of each item; a scorer that gave some of the row a value was asked about all of it."""
    found: list[dict[str, Score]] = [{} for _ in range(length)]
    for name, kind, direction, unit, values, *scorer in row.get("scores", ()):
        by = as_text(*scorer) if scorer else ""
        if kind not in ("binary", "score") or direction not in ("higher", "lower"):
            raise ValueError(f"a score of kind {kind!r} and direction {direction!r}")
        for scores, value in zip(found, unfolded(values, length), strict=True):
            if value is not None:
                scores[as_text(name)] = Score(
                    value=float(value),
                    kind=kind,
                    direction=direction,
                    unit=None if unit is None else as_text(unit),
                    scorer=by,
                )
            elif by:
                scores.setdefault(as_text(name), Score(value=None, kind="score", scorer=by))
    return found


def _take_comments(comments: Mapping[str, Any], scores: Sequence[dict[str, Score]], texts: Texts) -> None:
    for name, numbers in comments.items():
        for of_item, number in zip(scores, numbers, strict=True):
            if number is not None:
                of_item[name] = replace(of_item[name], comment=texts[number])


def _unscored(entry: Sequence[Any], texts: Texts) -> Unscored:
    scorer, reason, lost = entry
    return Unscored(scorer=texts[scorer], reason=texts[reason], infrastructure=bool(lost))


def _messages(row: Row, letters: Sequence[str], texts: Texts) -> list[str]:
    numbers = row.get("messages")
    if numbers is None:
        return [""] * len(letters)
    if len(numbers) != sum(letter in _TELLING for letter in letters):
        raise ValueError("a row has too few or too many messages")
    told = iter(numbers)
    return [texts[next(told)] if letter in _TELLING else "" for letter in letters]


def _scope(row: Row) -> str | None:
    """Whose app it is, ``None`` where that isn't known."""
    return None if row.get("scope") is None else as_text(row["scope"])
