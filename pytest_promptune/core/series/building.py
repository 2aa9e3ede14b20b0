"""From experiments, oldest first, to a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.series.model import Adopted, Iteration, Place, Point, Series, Session


def series_of(
    sessions: Sequence[Session], adoptions: Sequence[Adopted], *, begin: str | None = None
) -> Series:
    """Put the experiments of a series in order.

    It begins with the newest recorded baseline, or else with the first comparison, whose `current` is the
    starting point then. Each comparison after that is an iteration; measuring the same variants of the same
    `current` again, with nothing else between, is the same one, and the newest counts that measured most.

    Args:
        sessions: of one series, oldest first, without replays.
        adoptions: of the same, oldest first.
        begin: id of the experiment to begin with, ``None`` for the above.

    Raises:
        StoreError: when nothing was measured yet that a series can begin with.
    """
    finished = [session for session in sessions if session.status == "finished"]
    begins = _beginning(finished, begin)
    since = sessions[sessions.index(begins) :]
    compared = [s for s in since if s.status == "finished" and s.mode == "compare"]
    iterations = _with_changes(begins, _iterations(compared, adoptions), adoptions)
    start = Point(experiment=begins.experiment, variant=_first(begins))
    found = Series(
        start=start,
        begins=begins,
        iterations=iterations,
        present=start,
        running=tuple(s.experiment for s in since if s.status == "running"),
        interrupted=tuple(s.experiment for s in since if s.status == "interrupted"),
        earlier=tuple(s.experiment for s in finished[: finished.index(begins)] if s.mode == "baseline"),
    )
    adopted = [each.adopted for each in iterations if each.adopted is not None]
    return _present(found, max(adopted, key=lambda each: each.at) if adopted else None, since)


def _beginning(finished: Sequence[Session], begin: str | None) -> Session:
    if begin is not None:
        for session in finished:
            if session.experiment == begin:
                return session
        raise StoreError(f"Experiment {begin} did not finish: a series can't begin with it.")
    recorded = [session for session in finished if session.mode == "baseline"]
    compared = [session for session in finished if session.mode == "compare"]
    if not recorded and not compared:
        raise StoreError(
            "There is nothing to report yet: record a baseline with pytest --promptune-baseline, then "
            "compare variants with pytest --promptune-compare."
        )
    return recorded[-1] if recorded else compared[0]


def _first(session: Session) -> str:
    return CURRENT if CURRENT in session.variants else next(iter(session.variants), CURRENT)


def _iterations(compared: Sequence[Session], adoptions: Sequence[Adopted]) -> tuple[Iteration, ...]:
    groups: list[list[Session]] = []
    for session in compared:
        if groups and _is_again(groups[-1][-1], session):
            groups[-1].append(session)
        else:
            groups.append([session])
    return tuple(_iteration(number, group, adoptions) for number, group in enumerate(groups, start=1))


def _is_again(before: Session, now: Session) -> bool:
    """The same variants, by what they change and not by name, of the same app."""
    return before.current == now.current and _changed(before) == _changed(now)


def _changed(session: Session) -> set[str]:
    return {fingerprint for name, fingerprint in session.variants.items() if name != CURRENT}


def _iteration(number: int, group: Sequence[Session], adoptions: Sequence[Adopted]) -> Iteration:
    session = _fullest(group)
    measurements = {each.experiment for each in group}
    mine = [each for each in adoptions if each.experiment in measurements]
    return Iteration(
        number=number,
        session=session,
        tried=tuple(name for name in session.variants if name != CURRENT),
        adopted=max(mine, key=lambda each: each.at) if mine else None,
        repeats=tuple(each for each in group if each is not session),
        notes=tuple(dict.fromkeys(each.note for each in group if each.note)),
    )


def _fullest(group: Sequence[Session]) -> Session:
    """Of the measurements with the tests of the newest one, the newest of those that measured most.

    A part of the tests, cases or runs (``-k``, ``--promptune-stage``) doesn't replace what measured all.
    """
    alike = [each for each in group if agree(each.tests, group[-1].tests)]
    return max(reversed(alike), key=lambda each: (len(each.measured), each.cases or 0, each.runs or 0))


def _with_changes(
    begins: Session, iterations: Sequence[Iteration], adoptions: Sequence[Adopted]
) -> tuple[Iteration, ...]:
    """The iterations with the prompts that changed by hand before each of them."""
    found, before = [], begins
    for each in iterations:
        found.append(replace(each, by_hand=_by_hand(before, each.session, adoptions)))
        before = each.session
    return tuple(found)


def _by_hand(before: Session, now: Session, adoptions: Sequence[Adopted]) -> tuple[str, ...]:
    """Names of the prompts that changed between two sessions, and not by an adoption."""
    adopted = [each for each in adoptions if before.started <= each.at <= now.started]
    known = [before.current, *(each.prompts for each in sorted(adopted, key=lambda each: each.at))]
    if any(agree(prompts, now.current) for prompts in known):
        return ()
    last = known[-1]
    return tuple(sorted(name for name, text in last.items() if now.current.get(name, text) != text))


def _present(found: Series, adopted: Adopted | None, since: Sequence[Session]) -> Series:
    """The state with the last adopted variant, or else the starting point; or what became of it by hand.

    Newer samples of an adopted variant than those that spoke for it count: numbers by which a variant was
    chosen flatter it a little (of several, the luckiest is taken). Sessions that lack some of the metrics are
    passed over: what they didn't measure would be unknown at present.
    """
    later = [each for each in since[1:] if each.status == "finished" and CURRENT in each.variants]
    prompts, compared = found.begins.current, found.begins.measured
    if adopted is not None:
        point = Point(experiment=adopted.experiment, variant=adopted.variant)
        found = replace(found, present=point, adoption=adopted)
        later = [each for each in later if each.started > adopted.at]
        prompts = adopted.prompts
        compared = next(each.measured for each in since if each.experiment == adopted.experiment)
    whole = [each for each in later if not _is_partial(each, compared)]
    if whole:
        found = _measured_again(found, whole[-1], prompts)
        later = later[later.index(whole[-1]) + 1 :]
        prompts = whole[-1].current
    return _with_partial(found, later, prompts)


def _is_partial(session: Session, compared: Sequence[Place]) -> bool:
    """Whether metrics are missing in it, as where a few tests were selected (``-k``)."""
    return bool(session.measured) and not set(compared) <= set(session.measured)


def _measured_again(found: Series, newest: Session, prompts: Mapping[str, str]) -> Series:
    measured = Point(experiment=newest.experiment, variant=CURRENT)
    if not agree(prompts, newest.current):
        return replace(found, present=measured, strayed=newest.experiment)
    return replace(found, present=measured, is_remeasured=True) if found.adoption is not None else found


def _with_partial(found: Series, later: Sequence[Session], prompts: Mapping[str, str]) -> Series:
    """With the sessions that would speak for the present state if they had measured all of it."""
    strayed = [each for each in later if not agree(prompts, each.current)]
    told = later if found.is_changed else strayed
    return replace(
        found,
        partial=tuple(each.experiment for each in told),
        partial_strayed=tuple(each.experiment for each in strayed),
    )


def agree(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether texts are the same, prompts or tests, as far as both are known."""
    return all(now.get(name, text) == text for name, text in before.items())
