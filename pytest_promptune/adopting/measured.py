"""Which experiment speaks for a variant, and what its numbers say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_promptune.adopting.values import AdoptError
from pytest_promptune.conditions import tests_hash
from pytest_promptune.core.codec import sha256
from pytest_promptune.core.display import clean, count, some
from pytest_promptune.core.model import CURRENT, Variant
from pytest_promptune.core.series.rows import comparison_from
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ComparisonRow
from pytest_promptune.store.log import ExperimentLog, ExperimentSummary

#: Samples that are looked at for the places of model calls.
_MOST_SAMPLES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A variant as an experiment measured it."""

    experiment: ExperimentSummary
    #: As it was measured: with the old prompts of its nodes as they were then.
    variant: Variant
    conditions: Mapping[str, Any]
    options: Mapping[str, Any]
    #: Comparisons of the variant with `current`.
    comparisons: tuple[ComparisonRow, ...]
    #: Missing samples of the variant by metric.
    missing: Mapping[str, int]


def find_measured(
    log: ExperimentLog,
    name: str,
    *,
    experiment: str | None,
    resolutions: Callable[[Mapping[str, str]], Iterator[Variant]],
) -> Measured:
    """The newest finished comparison of the variant as it is now, or the one that is asked for.

    Args:
        log: of the experiments.
        name: of the variant.
        experiment: its id, or the beginning of it; ``None`` for the newest.
        resolutions: the variant on disk with old prompts, read from the source or taken from those given by
            node.

    Raises:
        AdoptError: when there is none, or the variant was changed since.
        StoreError: when the log can't be read, or lacks the experiment.
    """
    found = _asked(log, name, experiment) if experiment is not None else _newest(log, name)
    conditions, document = log.conditions_of(found.id), log.results_of(found.id)
    fingerprint = conditions.get("variants", {}).get(name)
    changes = [
        each for view in document.get("variants", ()) if view["name"] == name for each in view["changes"]
    ]
    olds = {
        change["target"]: change["before"]
        for change in changes
        if change["kind"] == "node" and change["before"] is not None
    }
    same = next((each for each in resolutions(olds) if each.fingerprint == fingerprint), None)
    if same is None:
        raise AdoptError(
            f"the variant {name} was changed since experiment {found.id} measured it, so the numbers are not "
            f"its own. Measure it again: pytest --promptune-compare --promptune-variant={name}"
        )
    rows = [row for row in document["comparisons"] if (row["reference"], row["candidate"]) == (CURRENT, name)]
    return Measured(
        experiment=found,
        variant=same,
        conditions=conditions,
        options=log.options_of(found.id),
        comparisons=tuple(map(comparison_from, rows)),
        missing={
            row["metric"]: row["n_missing"]
            for row in document["metrics"]
            if row["variant"] == name and row["n_missing"]
        },
    )


def _asked(log: ExperimentLog, name: str, experiment: str) -> ExperimentSummary:
    found = log.experiment(experiment)
    if found.mode != "compare" or name not in found.variants:
        raise AdoptError(
            f"--experiment: {found.id} doesn't compare {name} with {CURRENT}: it is a {found.mode} of "
            f"{', '.join(found.variants) or 'nothing'}."
        )
    if found.status != "finished":
        raise AdoptError(f"--experiment: {found.id} is {found.status}, and only a finished one has verdicts.")
    return found


def _newest(log: ExperimentLog, name: str) -> ExperimentSummary:
    compared = [each for each in log.history(None) if each.mode == "compare" and name in each.variants]
    for found in compared:
        if found.status == "finished" and found.replay_of is None:
            return found
    ended = f" The comparison {compared[0].id} of it was {compared[0].status}." if compared else ""
    raise AdoptError(
        f"{name} was not compared with {CURRENT} yet.{ended} Run pytest --promptune-compare "
        f"--promptune-variant={name}"
    )


# --- what stands against it -------------------------------------------------------------------------


def obstacles(measured: Measured) -> Iterator[str]:
    """Why the numbers don't speak for the variant, one sentence each."""
    name = clean(measured.variant.name)
    gated = [row for row in measured.comparisons if row.gated]
    if not any(row.verdict == "improved" for row in gated):
        said = "; ".join(f"{clean(row.name.metric)} {row.verdict}" for row in gated) or "no metric is gated"
        yield f"{name} is not shown to be better in any gated metric ({said})."
    for row in gated:
        if row.verdict == "regressed":
            yield f"{name} is worse in {clean(row.name.metric)}."
        elif row.failing_cases:
            cases = some([clean(case) for case in row.failing_cases])
            yield f"{name} is worse in cases of {clean(row.name.metric)}: {cases}."
        elif row.gate == "failed":
            yield f"The gate failed for {clean(row.name.metric)}: {clean(row.reason)}"
    lost = {metric: missing for metric, missing in measured.missing.items() if _is_gated(metric, gated)}
    if lost:
        most = max(lost.values())
        yield (
            f"{count(most, 'sample')} of {name} {'is' if most == 1 else 'are'} missing in "
            f"{some([clean(metric) for metric in lost])}."
        )


def _is_gated(metric: str, gated: Sequence[ComparisonRow]) -> bool:
    return any(row.name.metric == metric for row in gated)


def outdated(measured: Measured, *, root: Path, texts: Mapping[str, str], applied: bool) -> Iterator[str]:
    """What the variant was measured with and is different now, one sentence each.

    Args:
        measured: the variant.
        root: of the project.
        texts: of the app's templates by name, as they are now.
        applied: prompts have been changed by hand since, as the variant says.
    """
    tests = measured.conditions.get("tests", {})
    changed = [clean(file) for file, content in tests.items() if tests_hash([file], root=root) != content]
    if changed:
        yield f"{some(changed)} changed since {measured.variant.name} was measured: measure it again."
    then = measured.conditions.get("prompts", {})
    wanted = measured.variant.templates
    other = [
        clean(name)
        for name in sorted({*then, *texts})
        if then.get(name) != (None if name not in texts else sha256(texts[name]))
        and not (applied and name in wanted and texts.get(name) == wanted[name])
    ]
    if other:
        yield f"The app's {some(other)} changed since {measured.variant.name} was measured: measure it again."


def changed_cases(measured: Measured, today: Mapping[str, str]) -> str:
    """Which cases are different ones today, or nothing.

    Args:
        measured: the variant.
        today: hashes of the cases by ``module::id``.
    """
    then: Mapping[str, str] = measured.conditions.get("cases", {})
    changed = [name for name, content in then.items() if today.get(name, content) != content]
    gone = [name for name in then if name not in today]
    said = []
    for names, what in ((changed, "changed"), (gone, "gone")):
        if names:
            ids = [clean(name.partition("::")[2]) for name in names]
            said.append(
                f"{count(len(names), 'case')} {'is' if len(names) == 1 else 'are'} {what} since ({some(ids)})"
            )
    return f"{' and '.join(said)}; they are compared again when they have been measured." if said else ""


def call_sites(log: ExperimentLog, measured: Measured) -> dict[str, tuple[str, ...]]:
    """``file:line`` of the model calls of the nodes that the variant changes, as its samples showed them."""
    wanted = set(measured.variant.nodes)
    found: dict[str, tuple[str, ...]] = {}
    if not wanted:
        return found
    samples = log.samples(measured.experiment.id, outputs=False)
    for _, sample in zip(range(_MOST_SAMPLES), samples, strict=False):
        for node in sample.record.nodes:
            sites = tuple(dict.fromkeys(way.site for way in node.ways if way.site))
            if node.node in wanted and sites:
                found.setdefault(node.node, sites)
        if len(found) == len(wanted):
            break
    return found
