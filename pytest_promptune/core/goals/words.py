"""The usual words for metrics, in English and Japanese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from pytest_promptune.core.stats.model import Direction

ACCURACY = "accuracy"
MACRO_F1 = "macro_f1"
TOTAL_TOKENS = "total_tokens"

#: By what is measured, the most special first.
_WORDS: Mapping[str, str] = {
    "input_tokens": r"(?:input|prompt)[ _]tokens?|入力トークン数?",
    "output_tokens": r"(?:output|completion)[ _]tokens?|出力トークン数?",
    TOTAL_TOKENS: r"(?:total[ _]|number of )?tokens?(?: usage| count)?"
    r"|(?:合計|総)?トークン(?:数|使用量|消費量)?",
    "error_rate": r"(?:error|failure)[ _-]?rate|errors|エラー(?:率|レート)|失敗率",
    MACRO_F1: r"(?:macro[ _-]?)?f1(?:[ _-]?score)?|f-measure|マクロf1|f値|f1スコア",
    ACCURACY: r"accuracy|correctness|(?:success|pass)[ _]rate|精度|正解率|正答率|正確(?:性|さ)|成功率|合格率",
    "latency_s": r"latency(?:_s)?|(?:response|answer|answering|processing)[ _]times?"
    r"|応答(?:時間|速度)|処理時間|レイテンシー?|遅延",
    "cost_usd": r"costs?(?:_usd)?|price|spend(?:ing)?|コスト|費用|料金|価格",
}
#: Not beside other ASCII letters: `times` has no `s`, and Japanese has no spaces.
_MEASURES = {
    measure: re.compile(rf"(?<![a-z])(?:{words})(?![a-z])", re.IGNORECASE)
    for measure, words in _WORDS.items()
}
DIRECTIONS: Mapping[str, Direction] = {
    measure: "higher" if measure in (MACRO_F1, ACCURACY) else "lower" for measure in _WORDS
}
_PERCENTILE = re.compile(
    r"(?<![a-z0-9])p(\d{2}(?:\.\d)?)(?![\d%])|(\d{2}(?:\.\d)?)(?:st|nd|rd|th)?[ -]?percentile"
    r"|(\d{2}(?:\.\d)?)パーセンタイル",
    re.IGNORECASE,
)
_MEDIAN = re.compile(r"(?<![a-z])median(?![a-z])|中央値", re.IGNORECASE)
#: What a name may have beside its word without meaning another metric.
_BESIDE = re.compile(
    r"(?<![a-z])(?:the|minimum|maximum|min|max|target|mean|average|avg|median|overall|of"
    r"|(?:per|an?|each|every) (?:request|call|case|ticket|run|sample|item|answer|question))(?![a-z])"
    r"|平均|中央値|全体|(?:1|一)(?:件|回)あたり|の",
    re.IGNORECASE,
)


def measure_of(name: str) -> tuple[str | None, bool]:
    """What the words of a name usually mean, and whether they are all that the name says."""
    for measure, pattern in _MEASURES.items():
        if pattern.search(name):
            rest = pattern.sub(" ", name)
            rest = _BESIDE.sub(" ", _PERCENTILE.sub(" ", rest))
            return measure, not re.search(r"\w", rest)
    return None, False


def words_in(text: str, near: tuple[int, int]) -> list[tuple[str, str]]:
    """The measures that a sentence speaks of, each with its word there, the closest to a place first."""
    found, rest = [], text
    for measure, pattern in _MEASURES.items():
        if match := pattern.search(rest):
            found.append((max(match.start() - near[1], near[0] - match.end()), measure, match.group()))
            rest = pattern.sub(lambda word: " " * len(word.group()), rest)
    return [(measure, word) for _, measure, word in sorted(found)]


def percentile_of(text: str) -> float | None:
    """95 of ``p95 latency``; ``None`` for a mean."""
    if match := _PERCENTILE.search(text):
        return float(next(filter(None, match.groups())))
    return 50.0 if _MEDIAN.search(text) else None


def normal(name: str) -> str:
    """Names that differ only in case, spaces or hyphens are equal."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_\-]+", "_", folded.strip())
