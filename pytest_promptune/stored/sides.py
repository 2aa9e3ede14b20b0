"""One variant of a stored experiment as a side of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_promptune.core.circumstances import Circumstances
from pytest_promptune.core.display import some
from pytest_promptune.core.sides import Measured, measured_as
from pytest_promptune.core.tally import tally
from pytest_promptune.core.unmeasured import with_unmeasured
from pytest_promptune.core.values import dataclass
from pytest_promptune.stored.reading import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was measured of one variant in one experiment."""

    measured: Measured
    circumstances: Circumstances
    #: The results document of the experiment; empty where it didn't finish.
    document: Mapping[str, Any]
    #: Aggregates of the user's that the session computed: their functions are not stored.
    absent: tuple[str, ...] = ()


def side_of(record: Record, *, label: str) -> Stored:
    """A record under the name `label`, a pattern as ``A {variant}``."""
    measured = measured_as(label.format(variant=record.variant), record.results)
    return Stored(
        measured=measured,
        circumstances=_circumstances(record, measured),
        document=record.document,
        absent=_absent(record.document, measured),
    )


def completed(record: Record, beside: Record) -> Record:
    """The record with what its session did not get to as missing samples, where it ended early."""
    if record.summary.status == "finished":
        return record
    results = with_unmeasured(
        record.results,
        beside.results,
        cases=_texts(record.conditions.get("cases")),
        runs=record.conditions.get("runs") or {},
    )
    return replace(record, results=results)


def _absent(document: Mapping[str, Any], measured: Measured) -> tuple[str, ...]:
    known = {(subject.name.module, subject.name.metric) for subject in measured.subjects(())}
    return tuple(
        dict.fromkeys(
            str(row.get("metric"))
            for row in document.get("metrics", ())
            if row.get("aggregate") and (row.get("module"), row.get("metric")) not in known
        )
    )


def _circumstances(record: Record, measured: Measured) -> Circumstances:
    summary = record.summary
    about = record.document.get("experiment") or {}
    counts = tally(measured.experiment)
    concurrency = about.get("concurrency") or record.options.get("concurrency")
    hashes = _texts(about.get("conditions"))
    return Circumstances(
        experiment=summary.id,
        variant=record.variant,
        started=summary.started,
        status=summary.status,
        mode=summary.mode,
        note=summary.note,
        commit=summary.commit,
        branch=summary.branch,
        dirty=summary.dirty,
        models=counts.models,
        parameters=record.parameters,
        libraries=_texts(about.get("libraries")),
        concurrency=concurrency if isinstance(concurrency, int) else None,
        tests=_texts(record.conditions.get("tests")),
        prompts=_texts(record.conditions.get("prompts")),
        hash_of_cases=hashes.get("cases", ""),
        hash_of_tests=hashes.get("tests", ""),
        runs=counts.runs,
        cases=counts.cases,
        samples=counts.samples,
        errored=counts.errored,
        missing=counts.missing,
        seconds=summary.seconds,
        exit_code=summary.exit_code,
        promptune=summary.promptune,
        python=summary.python,
    )


def _texts(found: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, Mapping) else {}


def metrics_of(measured: Measured) -> str:
    """What was measured, for a message."""
    return some(list(dict.fromkeys(c.name.metric for c in measured.columns if "::" not in c.name.metric)))
