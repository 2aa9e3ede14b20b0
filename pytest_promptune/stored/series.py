"""Tuning series out of the experiment log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from pytest_promptune.adopted_commits import find_commits, lost_commits
from pytest_promptune.core.checks import APP_METRICS
from pytest_promptune.core.codec import sha256
from pytest_promptune.core.display import count
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.series.building import series_of
from pytest_promptune.core.series.model import Adopted, Place, Series, Session
from pytest_promptune.core.series.parts import Part, other_parts, part_of
from pytest_promptune.core.values import dataclass
from pytest_promptune.store.log import Adoption, ExperimentLog, ExperimentSummary

#: Experiments that are looked through for the newest series, and for others beside it.
_MOST = 500
_BEGINNINGS = ("baseline", "compare")
_RECORD = (
    "record a baseline with pytest --promptune-baseline, then compare variants with pytest "
    "--promptune-compare."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSeries:
    """A series, and what the log says of its experiments."""

    series: Series
    #: By id.
    summaries: Mapping[str, ExperimentSummary]
    #: The newest experiment of each other series that has a baseline or comparison.
    others: tuple[str, ...] = ()
    #: Sessions of other series that measured other cases beside its own, as shards of one suite do.
    parts: tuple[str, ...] = ()


def read_series(
    log: ExperimentLog, *, root: Path, of: str | None = None, begin: str | None = None
) -> StoredSeries:
    """The series of an experiment, or the one that was worked on last.

    A comparison of a few cases in between (``-k``) has no baseline of its own: series that have one go first.

    Args:
        log: that has it.
        root: of the project; its repository is asked for commits of adoptions that the log doesn't know.
        of: an experiment of it; ``None`` for the above.
        begin: the experiment that it is to begin with, instead of the newest baseline.

    Raises:
        StoreError: when there is none, or the experiments contradict each other.
    """
    newest = list(log.history(_MOST))
    beginnings = [summary for summary in newest if _may_begin(summary)]
    chosen = _chosen(log, beginnings, of, begin, _remedy(newest))
    summaries = log.series_of(chosen)
    beginning = log.experiment(begin).id if begin is not None else None
    sessions = _sessions(log, summaries, beginning)
    adoptions = _with_commits([_adopted(log, each) for each in log.adoptions_of(chosen)], root)
    series = series_of(sessions, adoptions, begin=beginning)
    known = {summary.id: summary for summary in summaries}
    beside = [each for each in beginnings if each.series is not None and each.series != chosen]
    counted = [series.begins, *(iteration.session for iteration in series.iterations)]
    parts = _parts(log, [known[each.experiment] for each in counted], beside)
    of_parts = {each.series for each in beside if each.id in parts}
    return StoredSeries(
        series=series,
        summaries=known,
        others=tuple(_newest_of([each for each in beside if each.series not in of_parts]).values()),
        parts=parts,
    )


def _newest_of(experiments: Sequence[ExperimentSummary]) -> dict[str, str]:
    """Ids by series, newest first."""
    found: dict[str, str] = {}
    for each in experiments:
        found.setdefault(str(each.series), each.id)
    return found


def _parts(
    log: ExperimentLog, counted: Sequence[ExperimentSummary], beside: Sequence[ExperimentSummary]
) -> tuple[str, ...]:
    """Those beside that measured the rest of what one that counts measured a part of, oldest first."""
    found: set[str] = set()
    part = cache(partial(_part, log))
    for each in dict.fromkeys(counted):
        alike = [other for other in beside if (other.mode, other.commit) == (each.mode, each.commit)]
        if alike:
            found.update(other_parts(part(each), map(part, alike)))
    return tuple(each.id for each in reversed(beside) if each.id in found)


def _part(log: ExperimentLog, summary: ExperimentSummary) -> Part:
    return part_of(
        log.conditions_of(summary.id),
        log.options_of(summary.id),
        experiment=summary.id,
        mode=summary.mode,
        commit=summary.commit,
        dirty=summary.dirty,
    )


def _remedy(newest: Sequence[ExperimentSummary]) -> str:
    """Why no series began, and what makes one begin: going on with what has samples, or a baseline."""
    measured = [each for each in newest if each.replay_of is None and each.samples]
    if measured and measured[0].status == "running":
        return f"experiment {measured[0].id} runs still. Wait for its end."
    for each in measured:
        if each.status == "interrupted":
            option = f" --promptune-{each.mode}" if each.mode in _BEGINNINGS else ""
            return (
                f"experiment {each.id} ended early, with {count(each.samples, 'sample')} in the log. Go on "
                f"with it with pytest --promptune-resume{option}, and else as you ran it."
            )
    why = "only checks were measured" if measured else "nothing was measured"
    return f"{why}; {_RECORD}"


def _may_begin(summary: ExperimentSummary) -> bool:
    return summary.mode in _BEGINNINGS and summary.status == "finished" and summary.replay_of is None


def _chosen(
    log: ExperimentLog,
    beginnings: Sequence[ExperimentSummary],
    of: str | None,
    begin: str | None,
    remedy: str,
) -> str:
    asked = [log.experiment(name) for name in (begin, of) if name is not None]
    series = {summary.series for summary in asked}
    if len(series) > 1:
        raise StoreError(
            f"{asked[0].id} and {asked[1].id} are of different series: they measured other apps or "
            "other cases."
        )
    if asked and asked[0].series is None:
        raise StoreError(
            f"Experiment {asked[0].id} belongs to no series: it is of an older version, or measured no cases."
        )
    if asked:
        return str(asked[0].series)
    known = [each for each in beginnings if each.series is not None]
    if not known:
        if beginnings:
            remedy = f"the experiments are of an older version, without series; {_RECORD}"
        raise StoreError(f"There is nothing to report yet: {remedy}")
    recorded = {each.series for each in known if each.mode == "baseline"}
    return str(next((each.series for each in known if each.series in recorded), known[0].series))


def _sessions(
    log: ExperimentLog, summaries: Sequence[ExperimentSummary], beginning: str | None
) -> list[Session]:
    """The experiments of a series; of those before its beginning nothing more is read."""
    recorded = [s.id for s in summaries if s.mode == "baseline" and s.status == "finished"]
    first = beginning or (recorded[-1] if recorded else None)
    since = first is None
    sessions = []
    for summary in summaries:
        since = since or summary.id == first
        if since and summary.status == "finished":
            measured = tuple(filter(_is_of_tests, log.metrics_of(summary.id)))
            sessions.append(_session(summary, log.conditions_of(summary.id), measured))
        else:
            sessions.append(_session(summary, {}, ()))
    return sessions


def _is_of_tests(place: Place) -> bool:
    """Whether it isn't one of the metrics of every app, of which a model may say nothing."""
    return place[1].rpartition("::")[2] not in APP_METRICS


def _session(
    summary: ExperimentSummary, conditions: Mapping[str, Any], measured: tuple[Place, ...]
) -> Session:
    fingerprints = _texts(conditions.get("variants"))
    return Session(
        experiment=summary.id,
        mode=summary.mode,
        status=summary.status,
        started=summary.started,
        commit=summary.commit,
        dirty=summary.dirty,
        note=summary.note,
        variants={name: fingerprints.get(name, "") for name in summary.variants},
        current=_texts(conditions.get("prompts")),
        measured=measured,
        cases=summary.cases,
        runs=summary.runs,
        tests=_texts(conditions.get("tests")),
    )


def _adopted(log: ExperimentLog, adoption: Adoption) -> Adopted:
    """With the prompts as they are since, as far as they are templates."""
    current = _texts(log.conditions_of(adoption.experiment).get("prompts"))
    replaced = log.prompts_of(adoption.experiment).get(adoption.variant, {})
    return Adopted(
        experiment=adoption.experiment,
        variant=adoption.variant,
        at=adoption.at,
        commit=adoption.commit,
        prompts=current | {name: sha256(text) for name, text in replaced.items()}
        if adoption.variant != CURRENT
        else current,
    )


def _with_commits(adoptions: Sequence[Adopted], root: Path) -> list[Adopted]:
    """With the commits that HEAD has.

    ``adopt`` without ``--commit`` prints the command that makes one: the log never hears of it. Nor does it
    of commits that were amended, rebased or squashed since.
    """
    lost = lost_commits(root, (each.commit for each in adoptions if each.commit))
    found = find_commits(root, (each for each in adoptions if each.commit is None or each.commit in lost))
    return [_with_commit(each, found.get((each.experiment, each.variant)), lost) for each in adoptions]


def _with_commit(adopted: Adopted, found: str | None, lost: Set[str]) -> Adopted:
    if found is not None:
        return replace(adopted, commit=found)
    return replace(adopted, is_elsewhere=adopted.commit in lost)


def _texts(found: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, Mapping) else {}
