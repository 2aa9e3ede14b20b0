"""One variant of a stored experiment, as commands name it: ``last``, ``ID``, ``ID:VARIANT``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_promptune.core.circumstances import parameters_of
from pytest_promptune.core.errors import SettingsError, StoreError
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.results import Result
from pytest_promptune.core.values import dataclass
from pytest_promptune.store.log import ExperimentLog, ExperimentSummary, locate_existing


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the log has of one variant in one experiment."""

    summary: ExperimentSummary
    variant: str
    #: At least one.
    results: Sequence[Result]
    #: The results document of the experiment; empty where it didn't finish.
    document: Mapping[str, Any]
    conditions: Mapping[str, Any]
    options: Mapping[str, Any]
    #: Of its model calls, as `Circumstances` has them.
    parameters: Mapping[str, str]


def split(name: str) -> tuple[str, str | None]:
    """Experiment and variant of what was typed.

    Raises:
        SettingsError: when one of them is empty.
    """
    experiment, colon, variant = name.partition(":")
    if not experiment or (colon and not variant):
        raise SettingsError(f"{name!r} names no experiment; give last, an id, or ID:VARIANT.")
    return experiment, variant or None


def read_each(names: Sequence[str], *, store: str | None, root: Path) -> Iterator[Record]:
    """The record that each name means, from the log of a project; nothing of outputs is read.

    Args:
        names: ``last``, an id, the beginning of one, each with ``:VARIANT`` after it if wanted.
        store: as in `Settings`.
        root: of the project.

    Raises:
        SettingsError: when a variant was not measured.
        StoreError: when one can't be read.
    """
    meant = [split(name) for name in names]
    with ExperimentLog(locate_existing(store, root=root)) as log:
        summaries = [log.experiment(experiment) for experiment, _ in meant]
        for summary, (_, variant) in zip(summaries, meant, strict=True):
            yield record_of(log, summary, variant)


def record_of(log: ExperimentLog, summary: ExperimentSummary, variant: str | None) -> Record:
    """The record of one variant.

    Args:
        log: that has it.
        summary: of the experiment.
        variant: that is meant; ``None`` for `current`, or else the only one.

    Raises:
        StoreError: when nothing was measured, or not this variant.
    """
    results = list(log.results(summary.id))
    names = list(dict.fromkeys(result.variant for result in results))
    if not names:
        raise StoreError(
            f"Experiment {summary.id} has no results ({summary.status}): take another one. "
            "pytest-promptune history lists them."
        )
    chosen = _chosen(names, variant, summary.id)
    return Record(
        summary=summary,
        variant=chosen,
        results=[result for result in results if result.variant == chosen],
        document=log.results_of(summary.id),
        conditions=log.conditions_of(summary.id),
        options=log.options_of(summary.id),
        parameters=parameters_of(log.calls_of(summary.id, chosen)),
    )


def _chosen(names: Sequence[str], variant: str | None, id_: str) -> str:
    if variant is None:
        if CURRENT in names or len(names) == 1:
            return CURRENT if CURRENT in names else names[0]
        raise SettingsError(
            f"Experiment {id_} measured {', '.join(names)} and no {CURRENT}: say which, as {id_}:{names[0]}."
        )
    if variant not in names:
        raise SettingsError(f"Experiment {id_} did not measure {variant!r}. Valid: {', '.join(names)}.")
    return variant
