"""What an experiment adds up to: how many cases, runs and samples, which models, at what price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pytest_promptune.core.codec import sha256
from pytest_promptune.core.display import clean, cut
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.model import Usage
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ErrorView, UsageView


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts and sums over an experiment."""

    #: The most runs that any case has.
    runs: int
    #: Different ones: modules may have cases in common.
    cases: int
    #: Hash of all cases with their contents.
    contents: str
    samples: int
    errored: int
    missing: int
    #: Taken from earlier sessions.
    reused: int
    models: tuple[str, ...]
    usage: UsageView


def tally(experiment: Experiment) -> Tally:
    """Count and sum."""
    facts = list(experiment.distinct_samples.values())
    errors = [fact.error for fact in facts if fact.error is not None]
    hashes = sorted(
        f"{module}::{case}={content}"
        for module in experiment.modules
        for case, content in experiment.case_hashes(module).items()
    )
    cases = {case for module in experiment.modules for case in experiment.case_hashes(module).items()}
    cells = {(r.module, r.case_id, r.variant, r.run) for r in experiment.results}
    runs = Counter((module, case, variant) for module, case, variant, _ in cells)
    total = sum((fact.usage for fact in facts), Usage())
    is_known = not any(fact.unpriced for fact in facts)  # a part of the cost would read as all of it
    return Tally(
        runs=max(runs.values(), default=0),
        cases=len(cases),
        contents=sha256("\n".join(hashes)),
        samples=len(facts),
        errored=sum(not error.infrastructure for error in errors),
        missing=sum(error.infrastructure for error in errors),
        reused=sum(fact.reused for fact in facts),
        models=tuple(sorted({model for fact in facts for model in fact.models})),
        usage=UsageView(
            input_tokens=total.input_tokens,
            output_tokens=total.output_tokens,
            cost_usd=total.cost_usd if is_known else None,
        ),
    )


def grouped_errors(experiment: Experiment) -> list[ErrorView]:
    """Failed samples, grouped by what they say."""
    groups: dict[tuple[str, str, str, bool], list[str]] = {}
    for (app, _, variant, case, _), facts in experiment.distinct_samples.items():
        if facts.error is not None:
            text = cut(clean(str(facts.error)), 300)
            groups.setdefault((app, variant, text, facts.error.infrastructure), []).append(case)
    return [
        ErrorView(
            app=app,
            variant=variant,
            error=text,
            infrastructure=infrastructure,
            count=len(cases),
            cases=tuple(dict.fromkeys(cases)),
        )
        for (app, variant, text, infrastructure), cases in groups.items()
    ]


def hash_of_tests(modules: Mapping[str, str]) -> str:
    """The hash of several test modules, from those of each; parts of a suite can be put together."""
    return sha256("\n".join(f"{module}={content}" for module, content in sorted(modules.items())))
