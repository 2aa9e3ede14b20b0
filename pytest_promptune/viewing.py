"""What a session found, put together for those who show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_promptune.conclusion import Conclusion
from pytest_promptune.conditions import (
    Commit,
    own_version,
    python_version,
    tests_hash,
    timestamp,
)
from pytest_promptune.core.analysis.analysing import analyse
from pytest_promptune.core.analysis.ranking import Ranking
from pytest_promptune.core.analysis.trouble import Tags
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.model import CURRENT, Variant
from pytest_promptune.core.nodes.usage import node_rows
from pytest_promptune.core.scorers import failures_told, unpriced_scorers
from pytest_promptune.core.tally import Tally, tally
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ExperimentView, LookView, VariantView, View
from pytest_promptune.installed import library_versions
from pytest_promptune.settings import Settings
from pytest_promptune.variants.reading import is_one_change


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """How a session went, whatever it found."""

    id: str
    started: str
    seconds: float
    exit_code: int
    commit: Commit
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    #: By which it was judged, where there were several.
    look: LookView | None = None


def build_view(
    settings: Settings,
    experiment: Experiment,
    variants: Sequence[Variant],
    found: Conclusion | None,
    circumstances: Circumstances,
    *,
    root: Path,
    tags: Tags,
) -> View:
    """Everything there is to show; without a conclusion the session ended early.

    `tags` are those of the cases by module and id, as far as they are known.
    """
    counts, modules = tally(experiment), experiment.modules
    failures = failures_told(experiment.scorers.failures)
    common = View(
        mode=settings.mode,
        exit_code=circumstances.exit_code,
        experiment=_experiment(settings, counts, variants, circumstances, modules, root),
        variants=tuple(_variant(variant) for variant in variants if variant.name != CURRENT),
        nodes=node_rows(experiment),
        analysis=analyse(experiment, tags, found.ranking if found else Ranking()),
        usage=replace(counts.usage, scorer_cost_usd=experiment.scorers.cost_usd),
        notes=(*circumstances.notes, *unpriced_scorers(experiment.scorers.unpriced)),
        warnings=(*circumstances.warnings, *failures),
        interrupted=found is None,
    )
    return common if found is None else found.told_in(common)


def _variant(variant: Variant) -> VariantView:
    return VariantView(
        name=variant.name,
        description=variant.description,
        changes=variant.changes,
        one_change=is_one_change(variant),
    )


def _experiment(
    settings: Settings,
    counts: Tally,
    variants: Sequence[Variant],
    circumstances: Circumstances,
    modules: Sequence[str],
    root: Path,
) -> ExperimentView:
    return ExperimentView(
        id=circumstances.id,
        started=circumstances.started,
        finished=timestamp(),
        commit=circumstances.commit.commit,
        dirty=circumstances.commit.dirty,
        branch=circumstances.commit.branch,
        runs=counts.runs,
        cases=counts.cases,
        variants=tuple(variant.name for variant in variants),
        samples=counts.samples,
        errored=counts.errored,
        missing=counts.missing,
        reused=counts.reused,
        conditions={"cases": counts.contents, "tests": tests_hash(modules, root=root)},
        models=counts.models,
        promptune=own_version(),
        python=python_version(),
        libraries=library_versions(),
        concurrency=settings.concurrency,
        alpha=settings.alpha,
        seconds=circumstances.seconds,
        look=circumstances.look,
    )
