"""The case book as data for the page: each text once, nothing that could end the element it stands in."""

from __future__ import annotations

import json
from typing import Any

from pytest_promptune.core.casebook import MARKS, BookCase, BookSample, CaseBook
from pytest_promptune.core.harmless import harmless_json
from pytest_promptune.report.words import Words

#: Keys of the words of the page's script.
_WORDS = "book_"


class _Texts:
    """Numbers of texts, each of which is kept once."""

    def __init__(self) -> None:
        self.every: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.every)
            self.every.append(text)
        return found


def to_script(book: CaseBook, w: Words) -> str:
    """JSON for a ``<script type="application/json">``, with the words for what the page makes of it."""
    texts = _Texts()
    data = {
        "words": w.beginning(_WORDS),
        "marks": list(MARKS),
        "variants": list(book.variants),
        "lacking": book.lacking,
        "cases": [_case(case, book.variants, texts) for case in book.cases],
        "texts": texts.every,
    }
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return harmless_json(text).replace("<", "\\u003c").encode("utf-8", "backslashreplace").decode("utf-8")


def _case(case: BookCase, variants: tuple[str, ...], texts: _Texts) -> dict[str, Any]:
    return {
        "id": case.id,
        "module": case.module,
        "app": case.app,
        "input": texts.number(case.input),
        "expected": texts.number(case.expected),
        "tags": dict(case.tags),
        "marks": list(case.marks),
        "samples": [_sample(sample, variants, texts) for sample in case.samples],
    }


def _sample(sample: BookSample, variants: tuple[str, ...], texts: _Texts) -> list[Any]:
    """Variant, run, outcome, verdicts, scores, labels, seconds, tokens, cost, output and error."""
    return [
        variants.index(sample.variant) if sample.variant in variants else -1,
        sample.run,
        sample.outcome,
        [[texts.number(v.metric), v.outcome, texts.number(v.message)] for v in sample.verdicts],
        dict(sample.scores),
        [list(pair) for pair in sample.labels],
        sample.latency_s,
        [sample.input_tokens, sample.output_tokens],
        sample.cost_usd,
        None if sample.output is None else texts.number(sample.output),
        sample.error,
    ]
