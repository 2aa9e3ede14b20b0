"""The baselines of a session: which files are written, and why others are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pytest_promptune.conclusion.evidence import Conclusion, Evidence
from pytest_promptune.core import remarks
from pytest_promptune.core.aggregates.labels import Classified, beside
from pytest_promptune.core.baseline import (
    Baseline,
    BaselineMetric,
    merged,
    same,
)
from pytest_promptune.core.display import count
from pytest_promptune.core.experiment import Column
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.silence import silences
from pytest_promptune.core.view import BaselineView
from pytest_promptune.store.baselines import baseline_path, write_baseline

#: Takes the place and the contents of a baseline file.
Write = Callable[[Path, Baseline], None]


def record_all(
    evidence: Evidence,
    columns: Sequence[Column],
    classifying: Sequence[Classified],
    found: Conclusion,
    *,
    write: Write = write_baseline,
) -> None:
    """Write the baseline file of every module that was measured; says why where there is none."""
    against = evidence.settings.against
    unusable = {item.nodeid.partition("::")[0] for item in found.gate}
    measured_modules = {module for (module, *_), _ in evidence.experiment.samples.items()}
    silent = silences(evidence.experiment, evidence.baselines, whole=evidence.is_whole)
    for module in evidence.experiment.modules:
        path = evidence.shown_path(module)
        obstacle = ""
        if unpaid := evidence.unpaid.get(module):
            obstacle = f"{count(unpaid, 'item')} not run, since --promptune-max-cost was spent"
            left = "the old one stays" if evidence.baselines.get(module) else "there is none"
            found.warnings.append(f"The baseline {path} was not recorded, {left}: {obstacle}.")
        elif module not in measured_modules:
            obstacle = "no sample was measured"
        elif module in unusable:
            obstacle = "an app gave no output in any sample"
        if obstacle:
            view = BaselineView(
                path=path, name=against, module=module, action="not recorded", detail=obstacle
            )
        else:
            mine = [column for column in columns if column.name.module == module]
            view = _record_module(evidence, module, path, mine, classifying, write)
            not_scored = [silence for silence in silent if silence.name.module == module]
            losses = remarks.losses(evidence.experiment, module, not_scored)
            found.warnings.extend([losses] if losses else [])
        found.baselines.append(view)


def _record_module(
    evidence: Evidence,
    module: str,
    path: str,
    columns: Sequence[Column],
    classifying: Sequence[Classified],
    write: Write,
) -> BaselineView:
    variant = evidence.variants[0]
    scores = {column.name.metric: column.scores(variant) for column in columns}
    of_tests = [each for each in classifying if each.column.name.module == module]
    labels = {each.column.name.metric: each.labels(variant) for each in of_tests}
    new = Baseline(
        recorded=evidence.recorded,
        cases=dict(evidence.experiment.case_hashes(module)),
        metrics={
            c.name.metric: BaselineMetric(direction=c.name.direction, unit=c.name.unit, kind=c.name.kind)
            for c in columns
            if scores[c.name.metric]
        },
        scores={metric: cases for metric, cases in scores.items() if cases},
        labels=beside(scores, labels),
    )
    old = evidence.baselines.get(module)
    # a session that measured everything there is leaves nothing of tests and cases that are gone
    whole = new if evidence.is_whole else merged(old, new)
    detail = "" if variant == CURRENT else f"scores of the variant {variant}"
    action: Literal["recorded", "updated", "untouched"] = "recorded" if old is None else "updated"
    if same(old, whole):
        action = "untouched"
        detail = "scores and conditions did not change; measured times alone don't rewrite it"
    else:
        write(baseline_path(evidence.root, module, evidence.settings.against), whole)
    return BaselineView(
        path=path, name=evidence.settings.against, module=module, action=action, detail=detail
    )
