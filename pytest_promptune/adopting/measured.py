"""Which experiment speaks for a variant, and what its numbers say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_promptune.adopting.values import AdoptError
from pytest_promptune.conditions import changed_tests
from pytest_promptune.core.codec import sha256
from pytest_promptune.core.display import clean, count, some
from pytest_promptune.core.model import CURRENT, Variant
from pytest_promptune.core.series.parts import Part, other_parts, part_of
from pytest_promptune.core.series.rows import comparison_from
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ComparisonRow
from pytest_promptune.store.log import ExperimentLog, ExperimentSummary

#: Samples that are looked at for the places of model calls.
_MOST_SAMPLES = 500
#: Newest comparisons among which other parts of a suite are looked for.
_MOST_PARTS = 500


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
    #: As the session that measured it saw it.
    one_change: bool
    #: Name of the baseline that `current` was compared with, and the test modules for which it counts.
    against: str
    modules: frozenset[str]


class Measurements:
    """What the log has of one variant as it is now."""

    def __init__(
        self,
        log: ExperimentLog,
        name: str,
        *,
        resolutions: Callable[[Mapping[str, str]], Iterator[Variant]],
        against: str,
    ) -> None:
        """Nothing is read yet.

        Args:
            log: of the experiments.
            name: of the variant.
            resolutions: the variant on disk with old prompts, read from the source or taken from those given
                by node.
            against: the baseline of experiments that don't say theirs.
        """
        self._log = log
        self._name = name
        self._resolutions = resolutions
        self._against = against

    def first(self, experiment: str | None) -> Measured:
        """The newest finished comparison, or the one that is asked for.

        Args:
            experiment: its id, or the beginning of it; ``None`` for the newest.

        Raises:
            AdoptError: when there is none, or the variant was changed since.
            StoreError: when the log can't be read, or lacks the experiment.
        """
        name = self._name
        found = _asked(self._log, name, experiment) if experiment is not None else self._newest()
        measured = self._of(found)
        if measured is None:
            raise AdoptError(
                f"the variant {name} was changed since experiment {found.id} measured it, so the numbers are "
                f"not its own. Measure it again: pytest --promptune-compare --promptune-variant={name}"
            )
        return measured

    def others(self, than: Measured) -> Iterator[Measured]:
        """Further finished comparisons of the variant as it is now, newest first."""
        for found in self._finished:
            if found.id != than.experiment.id and (measured := self._of(found)) is not None:
                yield measured

    def beside(self, measured: Measured, recorded: Collection[str]) -> tuple[str, ...]:
        """Ids of the comparisons that measured other cases of the same tests, as shards of one suite do.

        Args:
            measured: what a variant's scores would be taken from.
            recorded: cases of the baselines that would get them, as ``module::id``. Sets of cases that are
                measured in turns aren't there together, and are no parts of one suite.
        """
        summary = measured.experiment
        about = (summary.commit, summary.variants)
        # one of the same series has the same cases
        alike = [
            self._part(each)
            for each in self._finished
            if (each.commit, each.variants) == about and each.series != summary.series
        ]
        parts = [
            part for part in alike[:_MOST_PARTS] if not recorded or not part.cases.keys().isdisjoint(recorded)
        ]
        return other_parts(self._part(summary), parts)

    def _part(self, summary: ExperimentSummary) -> Part:
        return part_of(
            self._log.conditions_of(summary.id),
            self._log.options_of(summary.id),
            experiment=summary.id,
            mode=summary.mode,
            commit=summary.commit,
            dirty=summary.dirty,
        )

    @cached_property
    def _compared(self) -> list[ExperimentSummary]:
        history = self._log.history(None, mode="compare")
        return [each for each in history if self._name in each.variants]

    @property
    def _finished(self) -> list[ExperimentSummary]:
        return [each for each in self._compared if each.status == "finished" and each.replay_of is None]

    def _newest(self) -> ExperimentSummary:
        for found in self._finished:
            return found
        last = next(iter(self._compared), None)
        ended = f" The comparison {last.id} of it was {last.status}." if last else ""
        raise AdoptError(
            f"{self._name} was not compared with {CURRENT} yet.{ended} Run pytest --promptune-compare "
            f"--promptune-variant={self._name}"
        )

    def _of(self, found: ExperimentSummary) -> Measured | None:
        """The variant in an experiment; ``None`` where it was a different one then."""
        name, log = self._name, self._log
        conditions, document = log.conditions_of(found.id), log.results_of(found.id)
        views = [view for view in document.get("variants", ()) if view["name"] == name]
        olds = {
            change["target"]: change["before"]
            for view in views
            for change in view["changes"]
            if change["kind"] == "node" and change["what"] == "prompt" and change["before"] is not None
        }
        fingerprint = conditions.get("variants", {}).get(name)
        same = next((each for each in self._resolutions(olds) if each.fingerprint == fingerprint), None)
        if same is None:
            return None
        pair = (CURRENT, name)
        rows = [row for row in document["comparisons"] if (row["reference"], row["candidate"]) == pair]
        metrics = [row for row in document["metrics"] if row["variant"] == name]
        options = log.options_of(found.id)
        return Measured(
            experiment=found,
            variant=same,
            conditions=conditions,
            options=options,
            comparisons=tuple(map(comparison_from, rows)),
            missing={row["metric"]: row["n_missing"] for row in metrics if row["n_missing"]},
            one_change=all(view.get("one_change", True) for view in views),
            against=str(options.get("against") or self._against),
            modules=frozenset(row["module"] for row in metrics),
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


# --- what stands against it -------------------------------------------------------------------------


def not_shown(measured: Measured) -> str:
    """That the variant is improved in no gated metric, or nothing."""
    gated = [row for row in measured.comparisons if row.gated]
    if any(row.verdict == "improved" for row in gated):
        return ""
    said = "; ".join(f"{clean(row.name.metric)} {row.verdict}" for row in gated) or "no metric is gated"
    return f"{clean(measured.variant.name)} is not shown to be better in any gated metric ({said})."


def obstacles(measured: Measured) -> Iterator[str]:
    """What the numbers say against the variant, one sentence each."""
    name = clean(measured.variant.name)
    gated = [row for row in measured.comparisons if row.gated]
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
    changed = [clean(file) for file in changed_tests(tests, root=root)]
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
    """Which cases are different ones today, or nothing; of a set that isn't chosen today all are gone.

    Args:
        measured: the variant.
        today: hashes of the cases by ``module::id``.
    """
    then: Mapping[str, str] = measured.conditions.get("cases", {})
    changed = [name for name, content in then.items() if today.get(name, content) != content]
    gone = [name for name in then if name not in today] if then.keys() & today.keys() else []
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
