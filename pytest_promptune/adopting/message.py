"""The commit message: its subject, the numbers behind it, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_promptune.adopted_commits import WIDTH, origin, subject
from pytest_promptune.adopting.measured import Measured
from pytest_promptune.core.display import adjusted, clean, effect, mean, probability, some, wrap
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.core.view import ComparisonRow
from pytest_promptune.core.wording import VERDICTS

#: Cases that are named for each metric.
_MOST_CASES = 10
_SEVERAL = "More than one thing was changed at a time: what made the difference can't be told."


def commit_message(
    measured: Measured, others: Sequence[Measured], files: Sequence[str], redactor: Redactor
) -> str:
    """The message of the adoption's commit, without secrets and without anything that a model said.

    Args:
        measured: the variant with its comparisons.
        others: experiments whose scores go into further baselines.
        files: what of the app was changed, as the user knows it.
        redactor: takes the secrets out.
    """
    variant = measured.variant
    paragraphs = [
        [subject(variant.name)],
        wrap(clean(variant.description), WIDTH),
        [line for text in files for line in _item(text)],
        [] if measured.one_change else wrap(_SEVERAL, WIDTH),
        [line for text in _numbers(measured) for line in _item(text)],
        [line for text in _cases(measured) for line in _item(text)],
        [line for text in _origins(measured, others) for line in wrap(text, WIDTH)],
    ]
    text = "\n\n".join("\n".join(lines) for lines in paragraphs if lines)
    return redactor.text(text) + "\n"


def _item(text: str) -> list[str]:
    first, *rest = wrap(text, WIDTH - 2)
    return [f"- {first}", *(f"  {line}" for line in rest)]


def _numbers(measured: Measured) -> Iterator[str]:
    """A line for each gated metric, then for those that were compared beside them, as macro-F1 and cost."""
    for row in sorted(measured.comparisons, key=lambda row: not row.gated):
        if row.difference is not None:
            yield _line(row)


def _line(row: ComparisonRow) -> str:
    """``test_intent: 52.8 % → 94.4 %, +41.7 [+30.6, +52.8] pts, p <0.001, improved``."""
    name = clean(row.name.metric)
    means = f"{mean(row.name, row.reference_mean)} → {mean(row.name, row.candidate_mean)}"
    if row.constant:
        return f"{name}: {mean(row.name, row.candidate_mean)}, equal in both"
    p = f", p {probability(row.p)}" + (f" (adjusted {adjusted(row)})" if adjusted(row) else "")
    verdict = f", {VERDICTS[row.verdict]}" if row.gated else ", not gated"
    return f"{name}: {means}, {effect(row)}{p if row.p is not None else ''}{verdict}"


def _cases(measured: Measured) -> Iterator[str]:
    for row in measured.comparisons:
        if not row.gated:
            continue
        for what, cases in (("improved", row.cases.improved), ("regressed", row.cases.regressed)):
            if cases:
                named = some([clean(case) for case in cases], _MOST_CASES)
                yield f"cases {what} ({clean(row.name.metric)}): {named}"


def _origins(measured: Measured, others: Sequence[Measured]) -> Iterator[str]:
    yield from _origin(measured)
    for each in others:
        yield from (f"Baseline {clean(each.against)}:", *_origin(each))


def _origin(measured: Measured) -> Iterator[str]:
    found = measured.experiment
    scope = next((row.scope for row in measured.comparisons), "suite")
    commit = f", at {clean(found.commit)}{' with changes' if found.dirty else ''}" if found.commit else ""
    yield f"{origin(found.id)} {found.cases} cases, {found.runs} runs{commit}, scope {scope}."
    if found.note:
        yield f"Note: {clean(found.note)}"
