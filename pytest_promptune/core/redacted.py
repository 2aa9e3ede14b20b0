"""What reports and results files quote, without secrets."""

from __future__ import annotations

from dataclasses import replace

from pytest_promptune.core.model import Variant
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.core.results import Result, SampleFacts


def redacted_variant(variant: Variant, redactor: Redactor) -> Variant:
    """A variant that has been described."""
    clean = redactor.text
    changes = tuple(
        replace(
            change,
            before=None if change.before is None else clean(change.before),
            after=clean(change.after),
        )
        for change in variant.changes
    )
    return replace(variant, description=clean(variant.description), changes=changes)


def _with_clean_models(sample: SampleFacts, redactor: Redactor) -> SampleFacts:
    """Names of models, which a pattern of the project's may mean."""

    def clean(models: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(redactor.text, models))

    models = sample.models, sample.unpriced, sample.scorer_unpriced
    if models == tuple(map(clean, models)):
        return sample
    return replace(
        sample,
        models=clean(sample.models),
        unpriced=clean(sample.unpriced),
        scorer_unpriced=clean(sample.scorer_unpriced),
    )


def redacted_result(result: Result, redactor: Redactor) -> Result:
    """A result, with all its texts."""
    clean = redactor.text
    sample = result.sample if result.sample is None else _with_clean_models(result.sample, redactor)
    if sample is not None and sample.error is not None:
        sample = replace(sample, error=replace(sample.error, message=clean(sample.error.message)))
    if sample is not None and sample.scorer_errors:
        errors = (replace(each, reason=clean(each.reason)) for each in sample.scorer_errors)
        sample = replace(sample, scorer_errors=tuple(errors))
    scores = result.scores
    if any(score.comment for score in scores.values()):
        scores = {name: replace(s, comment=clean(s.comment)) for name, s in scores.items()}
    pair = result.classification
    if pair is not None:
        pair = replace(pair, predicted=clean(pair.predicted), expected=clean(pair.expected))
    is_clean = sample is result.sample and scores is result.scores and not result.message
    if is_clean and pair == result.classification:
        return result
    message = clean(result.message)
    return replace(result, message=message, sample=sample, scores=scores, classification=pair)
