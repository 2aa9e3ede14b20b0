"""The baseline files as a session that measured the variant in place of `current` would record them."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pytest_promptune.adopting.measured import Measured
from pytest_promptune.adopting.values import AdoptError, FileEdit
from pytest_promptune.conclusion import Conclusion, Evidence
from pytest_promptune.conclusion.recording import record_all
from pytest_promptune.core.aggregates.labels import classified
from pytest_promptune.core.baseline import Baseline, Recorded, dumps
from pytest_promptune.core.display import clean
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.gate import named
from pytest_promptune.core.results import Result
from pytest_promptune.core.silence import items_of_apps
from pytest_promptune.core.tally import tally
from pytest_promptune.settings import DEFAULT_CONCURRENCY, Settings
from pytest_promptune.store.baselines import baseline_path, other_baselines, read_baseline

#: A test module and the name of a baseline: one file.
Place = tuple[str, str]


def measured_places(measured: Measured) -> set[Place]:
    """The baselines that an experiment has scores for."""
    return {(module, measured.against) for module in measured.modules}


def recorded_cases(measured: Measured, *, root: Path) -> set[str]:
    """The cases of the baselines that an experiment was compared beside, as ``module::id``.

    Raises:
        BaselineError: when a file that is there can't be read.
    """
    files = {
        module: read_baseline(baseline_path(root, module, against))
        for module, against in measured_places(measured)
    }
    return {f"{module}::{case}" for module, baseline in files.items() if baseline for case in baseline.cases}


def left_alone(places: Collection[Place], variant: str, *, root: Path) -> Iterator[str]:
    """Which baselines of the measured modules keep the old scores, a sentence with its command for each.

    Args:
        places: the baselines that are recorded.
        variant: its name.
        root: baselines lie below it.
    """
    for module in sorted({module for module, _ in places}):
        for name in other_baselines(root, module):
            if (module, name) not in places:
                path = baseline_path(root, module, name).relative_to(root).as_posix()
                yield (
                    f"The baseline {clean(path)} keeps the scores of the old prompts, since no comparison "
                    f"beside it measured {clean(variant)} as it is now. Record it, with the cases it is of: "
                    f"pytest --promptune-baseline{named(name)} {shlex.quote(module)}"
                )


def baseline_changes(
    results: Iterable[Result],
    measured: Measured,
    prompts: Mapping[str, str],
    *,
    settings: Settings,
    root: Path,
) -> tuple[list[FileEdit], Conclusion]:
    """The baselines with the stored scores of the variant: tests that it didn't measure keep theirs.

    Args:
        results: of the experiment's items.
        measured: the variant, and the modules whose baselines are written.
        prompts: hashes of the app's templates as they will be.
        settings: of the project.
        root: baselines lie below it.

    Raises:
        AdoptError: when the experiment has no result of the variant.
        BaselineError: when a file that is there can't be read.
    """
    name = measured.variant.name
    experiment = Experiment()
    for result in results:
        if result.variant == name and result.module in measured.modules:
            experiment.add(result)
    if not experiment.results:
        raise AdoptError(f"experiment {measured.experiment.id} has no result of {name} any more.")
    counts, found = tally(experiment), measured.experiment
    against = measured.against
    evidence = Evidence(
        settings=replace(settings, baseline=True, compare=False, variant=(name,), against=against),
        root=root,
        experiment=experiment,
        variants=[name],
        baselines={
            module: read_baseline(baseline_path(root, module, against)) for module in experiment.modules
        },
        collected={},
        recorded=Recorded(
            at=found.started,
            commit=found.commit,
            dirty=found.dirty,
            runs=counts.runs,
            promptune=found.promptune,
            concurrency=int(measured.options.get("concurrency") or DEFAULT_CONCURRENCY),
            models=counts.models,
            prompts=prompts,
        ),
    )
    columns = list(experiment.columns())
    conclusion = Conclusion(gate=items_of_apps(experiment, name))
    edits: list[FileEdit] = []

    def write(path: Path, baseline: Baseline) -> None:
        before = path.read_bytes() if path.exists() else None
        after = dumps(baseline).encode("utf-8", "backslashreplace")
        edits.append(FileEdit(path=path, before=before, after=after, what="baseline"))

    record_all(evidence, columns, classified(experiment, columns), conclusion, write=write)
    return edits, conclusion
