"""One variant of a stored experiment, as commands name it: ``last``, ``ID``, ``ID:VARIANT``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from pytest_promptune.core.circumstances import Circumstances, parameters_of
from pytest_promptune.core.display import some
from pytest_promptune.core.errors import SettingsError, StoreError
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.sides import Measured, measured_as
from pytest_promptune.core.tally import tally
from pytest_promptune.core.values import dataclass
from pytest_promptune.store.log import ExperimentLog, ExperimentSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was measured of one variant in one experiment."""

    measured: Measured
    circumstances: Circumstances
    #: Aggregates of the user's that the session computed: their functions are not stored.
    absent: tuple[str, ...] = ()
    #: The results document of the experiment; empty where it didn't finish.
    document: Mapping[str, Any] = field(default_factory=dict)


def split(name: str) -> tuple[str, str | None]:
    """Experiment and variant of what was typed.

    Raises:
        SettingsError: when one of them is empty.
    """
    experiment, colon, variant = name.partition(":")
    if not experiment or (colon and not variant):
        raise SettingsError(f"{name!r} names no experiment; give last, an id, or ID:VARIANT.")
    return experiment, variant or None


def read(log: ExperimentLog, summary: ExperimentSummary, variant: str | None, *, label: str) -> Stored:
    """The results of one variant under the name `label`, with its variant filled in.

    Args:
        log: that has it.
        summary: of the experiment.
        variant: that is meant; ``None`` for `current`, or else the only one.
        label: a pattern, as ``A {variant}``.

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
    mine = [result for result in results if result.variant == chosen]
    measured = measured_as(label.format(variant=chosen), mine)
    document = log.results_of(summary.id)
    return Stored(
        measured=measured,
        circumstances=_circumstances(log, summary, chosen, measured, document),
        absent=_absent(document, measured),
        document=document,
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


def _absent(document: Mapping[str, Any], measured: Measured) -> tuple[str, ...]:
    known = {(subject.name.module, subject.name.metric) for subject in measured.subjects(())}
    return tuple(
        dict.fromkeys(
            str(row.get("metric"))
            for row in document.get("metrics", ())
            if row.get("aggregate") and (row.get("module"), row.get("metric")) not in known
        )
    )


def _circumstances(
    log: ExperimentLog,
    summary: ExperimentSummary,
    variant: str,
    measured: Measured,
    document: Mapping[str, Any],
) -> Circumstances:
    conditions = log.conditions_of(summary.id)
    about = document.get("experiment") or {}
    counts = tally(measured.experiment)
    concurrency = about.get("concurrency") or log.options_of(summary.id).get("concurrency")
    return Circumstances(
        experiment=summary.id,
        variant=variant,
        started=summary.started,
        status=summary.status,
        mode=summary.mode,
        note=summary.note,
        commit=summary.commit,
        branch=summary.branch,
        dirty=summary.dirty,
        models=counts.models,
        parameters=parameters_of(log.calls_of(summary.id, variant)),
        libraries=_texts(about.get("libraries")),
        concurrency=concurrency if isinstance(concurrency, int) else None,
        tests=_texts(conditions.get("tests")),
        prompts=_texts(conditions.get("prompts")),
        runs=counts.runs,
        cases=counts.cases,
        samples=counts.samples,
        errored=counts.errored,
        missing=counts.missing,
        seconds=summary.seconds,
        promptune=summary.promptune,
        python=summary.python,
    )


def _texts(found: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, Mapping) else {}


def metrics_of(measured: Measured) -> str:
    """What was measured, for a message."""
    return some(list(dict.fromkeys(c.name.metric for c in measured.columns if "::" not in c.name.metric)))
