"""What samples behind a failed decision said: quoted, so that nobody has to look for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pytest_promptune.core.display import clean, count, cut, number
from pytest_promptune.core.results import Result
from pytest_promptune.core.scoring import Score
from pytest_promptune.core.view import MetricName

#: How many samples behind a failed decision are quoted.
MOST_EXAMPLES = 5

_WIDTH = 200


def examples(
    results: Iterable[Result], name: MetricName, variant: str, worse: Collection[str]
) -> tuple[str, ...]:
    """What missed or errored samples of a metric said, or what its scorer said of the worst samples.

    Args:
        results: of the session.
        name: of the metric.
        variant: whose samples are quoted.
        worse: cases that come first, since they got worse.
    """
    mine = [result for result in results if result.variant == variant and result.module == name.module]
    return _messages(mine, name, worse) or _comments(mine, name, worse)


def _messages(results: Sequence[Result], name: MetricName, worse: Collection[str]) -> tuple[str, ...]:
    is_error_rate = name.metric == f"{name.app}::error_rate"
    said: dict[tuple[bool, str, str], int] = {}
    for result in results:
        is_of_metric = result.app == name.app if is_error_rate else result.metric == name.metric
        if is_of_metric and result.message and result.outcome in ("missed", "errored"):
            key = (result.case_id not in worse, result.case_id, cut(clean(result.message), _WIDTH))
            said[key] = said.get(key, 0) + 1
    shown = sorted(said.items(), key=lambda entry: (entry[0][0], -entry[1], entry[0][1]))[:MOST_EXAMPLES]
    return tuple(_quoted(case, text, times) for (_, case, text), times in shown)


def _comments(results: Sequence[Result], name: MetricName, worse: Collection[str]) -> tuple[str, ...]:
    """Worst first; several tests share a sample, whose comment counts once."""
    by_sample: dict[tuple[str, int], Score] = {}
    for result in results:
        score = result.scores.get(name.metric)
        if score is not None and score.scorer:
            by_sample.setdefault((result.case_id, result.run), score)
    said: dict[tuple[bool, float, str, str], int] = {}
    for (case, _), score in _below_the_best(by_sample):
        value = float("-inf") if score.value is None else score.value
        text = cut(clean(score.comment), _WIDTH)
        if score.kind == "score" and score.value is not None:
            text = f"{number(value)}, {text}"
        key = (case not in worse, value, case, text)
        said[key] = said.get(key, 0) + 1
    shown = sorted(said.items(), key=lambda entry: (*entry[0][:2], -entry[1], *entry[0][2:]))[:MOST_EXAMPLES]
    return tuple(_quoted(case, text, times) for (*_, case, text), times in shown)


def _below_the_best(by_sample: dict[tuple[str, int], Score]) -> list[tuple[tuple[str, int], Score]]:
    """The samples with a comment; where values differ, without those of the highest."""
    values = {score.value for score in by_sample.values() if score.value is not None}
    best = max(values) if len(values) > 1 else None
    return [
        (sample, score)
        for sample, score in by_sample.items()
        if score.comment and (score.value is None or score.value != best)
    ]


def _quoted(case: str, text: str, times: int) -> str:
    return f"{clean(case)}: {text} ({count(times, 'time')})"
