"""From experiments, oldest first, to a series."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.series.building import series_of
from pytest_promptune.core.series.earlier import earlier_iterations
from pytest_promptune.core.series.model import Adopted, Point, Session


def session(number: int, mode: str = "compare", *variants: str, **changes: Any) -> Session:
    """Experiment e1, e2, …; a variant's fingerprint is its name unless told otherwise."""
    values: dict[str, Any] = {
        "experiment": f"e{number}",
        "mode": mode,
        "started": f"2026-11-22T{number:02d}:00:00Z",
        "variants": {"current": "", **{name: name for name in variants}},
        "current": {"a.j2": "1"},
    }
    return Session(**(values | changes))


def adopted(number: int, variant: str, **changes: Any) -> Adopted:
    """A moment after experiment e1, e2, … ended."""
    values: dict[str, Any] = {"at": f"2026-11-22T{number:02d}:30:00Z", "prompts": {"a.j2": variant}}
    return Adopted(experiment=f"e{number}", variant=variant, **(values | changes))


BASELINE = session(1, "baseline")
BOTH = (("test_a.py", "test_a"), ("test_a.py", "test_b"))
ONE = BOTH[:1]


def test_a_baseline_alone_is_a_series_without_iteration():
    """The present state is the starting point."""
    found = series_of([BASELINE], [])
    assert found.start == found.present == Point(experiment="e1", variant="current")
    assert found.iterations == ()
    assert found.adoption is None


def test_each_comparison_is_an_iteration():
    """Numbered from 1; what is tried is what stands beside `current`; a check is none."""
    found = series_of(
        [BASELINE, session(2, "compare", "b"), session(3, "check"), session(4, "compare", "b", "c")], []
    )
    assert [(each.number, each.session.experiment, each.tried) for each in found.iterations] == [
        (1, "e2", ("b",)),
        (2, "e4", ("b", "c")),
    ]


def test_measuring_the_same_again_is_the_same_iteration():
    """By fingerprint, whatever the names: the newest counts."""
    again = session(3, variants={"current": "", "renamed": "b"})
    found = series_of([BASELINE, session(2, "compare", "b"), again, session(4, "compare", "c")], [])
    assert [(each.session.experiment, [r.experiment for r in each.repeats]) for each in found.iterations] == [
        ("e3", ["e2"]),
        ("e4", []),
    ]


SAME = {"test_a.py": "1"}


@pytest.mark.parametrize(
    "part",
    [
        {"measured": (("test_a.py", "test_a"),)},
        {"cases": 2},
        {"runs": 1},
    ],
)
def test_a_part_does_not_replace_the_whole(part):
    """Fewer tests, cases or runs measured again: the newest of those that measured most counts."""
    whole = {"measured": BOTH, "cases": 8, "runs": 3, "tests": SAME}
    first, second = (session(number, "compare", "b", **whole) for number in (2, 3))
    newer = session(4, "compare", "b", **whole | part)
    (found,) = series_of([BASELINE, first, second, newer], [], begin="e1").iterations
    assert (found.session, found.repeats) == (second, (first, newer))
    fuller = session(4, "compare", "b", **whole | {"runs": 5})
    (found,) = series_of([BASELINE, first, second, fuller], []).iterations
    assert found.session == fuller


def test_measurements_with_other_tests_are_no_fuller_ones():
    """Where a test was given up, what has its metric is of another suite."""
    old = session(2, "compare", "b", measured=BOTH, tests=SAME)
    new = session(3, "compare", "b", measured=BOTH[:1], tests={"test_a.py": "2"})
    (found,) = series_of([BASELINE, old, new], []).iterations
    assert found.session == new


def test_earlier_iterations_are_those_before_the_present_one():
    """A part that repeats the present iteration is none of its own, and of each the fullest counts."""

    def past(number: int, mode: str, variant: str, *, metrics: int, is_better: bool) -> dict[str, Any]:
        row = {"test": "t", "module": "test_a.py", "app": "bot", "kind": "binary", "direction": "higher"}
        row |= {"reference": "current", "candidate": variant, "gated": True, "difference": 0.5, "margin": 0.1}
        row |= {"verdict": "improved" if is_better else "unchanged"}
        made = session(number, mode, *([variant] if mode == "compare" else []), tests=SAME, cases=8, runs=3)
        return {
            "experiment": made.experiment,
            "mode": mode,
            "started": made.started,
            "variants": made.variants,
            "prompts": made.current,
            "tests": made.tests,
            "cases": made.cases,
            "runs": made.runs,
            "comparisons": [{**row, "metric": f"test_{n}"} for n in range(metrics)],
        }

    log = [
        past(1, "baseline", "", metrics=0, is_better=False),
        past(2, "compare", "b", metrics=2, is_better=True),
        past(3, "compare", "b", metrics=1, is_better=False),
        past(4, "compare", "c", metrics=2, is_better=True),
    ]
    again = session(5, "compare", "c", tests=SAME, cases=8, runs=1)
    assert earlier_iterations(log, again) == [True]
    assert earlier_iterations(log, session(5, "compare", "d", tests=SAME)) == [True, True]


def test_notes_of_all_measurements_are_kept():
    """Oldest first, each once."""
    notes = ("why", None, "again", "why")
    sessions = [session(2 + i, "compare", "b", note=note) for i, note in enumerate(notes)]
    (found,) = series_of([BASELINE, *sessions], []).iterations
    assert found.notes == ("why", "again")


def test_the_same_variant_of_another_app_is_another_iteration():
    """What it is compared with changed."""
    found = series_of(
        [BASELINE, session(2, "compare", "b"), session(3, "compare", "b", current={"a.j2": "2"})], []
    )
    assert len(found.iterations) == 2


def test_it_begins_with_the_newest_baseline():
    """Or with the one that is asked for; earlier ones are named."""
    sessions = [BASELINE, session(2, "compare", "b"), session(3, "baseline"), session(4, "compare", "c")]
    found = series_of(sessions, [])
    assert (found.begins.experiment, found.earlier) == ("e3", ("e1",))
    assert [each.session.experiment for each in found.iterations] == ["e4"]
    found = series_of(sessions, [], begin="e1")
    assert [each.session.experiment for each in found.iterations] == ["e2", "e4"]
    assert found.earlier == ()


def test_without_a_baseline_it_begins_with_the_first_comparison():
    """Its `current` is the starting point, and it is the first iteration too."""
    found = series_of([session(1, "check"), session(2, "compare", "b")], [])
    assert found.start == Point(experiment="e2", variant="current")
    assert [each.number for each in found.iterations] == [1]


def test_sessions_that_did_not_finish_do_not_count():
    """They are named: one may be running right now."""
    found = series_of(
        [
            BASELINE,
            session(2, "compare", "b", status="interrupted"),
            session(3, "compare", "b", status="running"),
        ],
        [],
    )
    assert found.iterations == ()
    assert (found.interrupted, found.running) == (("e2",), ("e3",))


@pytest.mark.parametrize("sessions", [[], [session(1, "check")], [session(1, "baseline", status="running")]])
def test_nothing_to_begin_with(sessions):
    """Says what to run."""
    with pytest.raises(StoreError, match="promptune-baseline"):
        series_of(sessions, [])


def test_beginning_with_what_did_not_finish():
    """Is refused."""
    with pytest.raises(StoreError, match="e1 did not finish"):
        series_of([session(1, "compare", status="interrupted"), session(2, "baseline")], [], begin="e1")


def test_the_last_adopted_variant_is_the_present_state():
    """The samples are those of the experiment that spoke for it."""
    sessions = [BASELINE, session(2, "compare", "b"), session(3, "compare", "c", current={"a.j2": "b"})]
    found = series_of(sessions, [adopted(2, "b"), adopted(3, "c")])
    assert [each.adopted.variant for each in found.iterations if each.adopted] == ["b", "c"]
    assert found.present == Point(experiment="e3", variant="c")
    assert not found.is_remeasured


def test_adoptions_before_the_beginning_are_history():
    """They are part of the starting point."""
    sessions = [BASELINE, session(2, "compare", "b"), session(3, "baseline")]
    found = series_of(sessions, [adopted(2, "b")])
    assert found.present == found.start == Point(experiment="e3", variant="current")


def test_an_adoption_of_an_earlier_measurement_counts_for_its_iteration():
    """The samples are those that spoke for it."""
    found = series_of([BASELINE, session(2, "compare", "b"), session(3, "compare", "b")], [adopted(2, "b")])
    assert found.iterations[0].adopted == adopted(2, "b")


def test_an_adopted_variant_that_was_measured_again():
    """The newer samples of what is `current` now speak for it: nothing was chosen by them."""
    later = session(3, "compare", "c", current={"a.j2": "b"})
    found = series_of([BASELINE, session(2, "compare", "b"), later], [adopted(2, "b")])
    assert found.present == Point(experiment="e3", variant="current")
    assert found.is_remeasured
    assert found.adoption == adopted(2, "b")


def test_a_present_that_is_not_what_was_adopted():
    """Somebody changed the prompts since: the app is as the newest session measured it, and that is told."""
    later = session(3, "check", current={"a.j2": "by hand"})
    found = series_of([BASELINE, session(2, "compare", "b"), later], [adopted(2, "b")])
    assert found.present == Point(experiment="e3", variant="current")
    assert (found.strayed, found.is_remeasured) == ("e3", False)
    assert found.adoption == adopted(2, "b")


@pytest.mark.parametrize("mode", ["compare", "check"])
def test_prompts_that_changed_by_hand_without_any_adoption(mode):
    """The newest `current` is the present state, whatever kind of session measured it."""
    by_hand = {"current": {"a.j2": "2"}}
    sessions = [BASELINE, session(2, "compare", "b", **by_hand), session(3, mode, **by_hand)]
    found = series_of(sessions, [])
    assert found.present == Point(experiment="e3", variant="current")
    assert (found.strayed, found.adoption, found.is_changed) == ("e3", None, True)


def test_prompts_that_are_as_at_the_start():
    """The state is that of the start, although it was another in between; so where prompts are unknown."""
    for last in ({"a.j2": "1"}, {}):
        sessions = [BASELINE, session(2, "check", current={"a.j2": "2"}), session(3, "check", current=last)]
        found = series_of(sessions, [])
        assert (found.present, found.strayed, found.is_changed) == (found.start, None, False)


def by_hand(*sessions: Session, adoptions: tuple[Adopted, ...] = ()) -> list[tuple[str, ...]]:
    return [each.by_hand for each in series_of(sessions, adoptions).iterations]


def test_prompts_that_changed_by_hand_between_iterations():
    """They are named where they changed, and only there; so before the first one."""
    two = {"a.j2": "1", "b.j2": "1", "c.j2": "1"}
    sessions = [
        session(1, "baseline", current=two),
        session(2, "compare", "b", current=two | {"b.j2": "2"}),
        session(3, "compare", "c", current=two | {"b.j2": "2"}),
        session(4, "compare", "d", current=two | {"a.j2": "2", "c.j2": "2"}),
    ]
    assert by_hand(*sessions) == [("b.j2",), (), ("a.j2", "b.j2", "c.j2")]
    assert by_hand(*sessions[1:]) == [(), (), ("a.j2", "b.j2", "c.j2")]


def test_an_adoption_between_iterations_is_no_change_by_hand():
    """Neither is that the adopted prompts were taken back; another text than both is one."""
    first = (BASELINE, session(2, "compare", "b"))
    for text, names in (("b", ()), ("1", ()), ("2", ("a.j2",))):
        later = session(3, "compare", "c", current={"a.j2": text})
        assert by_hand(*first, later, adoptions=(adopted(2, "b"),)) == [(), names]


def test_a_variant_that_was_adopted_before_explains_nothing_later():
    """Between these two iterations nothing was adopted."""
    sessions = [
        BASELINE,
        session(2, "compare", "b"),
        session(3, "compare", "c", current={"a.j2": "b"}),
        session(4, "compare", "d", current={"a.j2": "2"}),
        session(5, "compare", "e", current={"a.j2": "b"}),
    ]
    assert by_hand(*sessions, adoptions=(adopted(2, "b"),)) == [(), (), ("a.j2",), ("a.j2",)]


def test_a_session_that_ended_early_says_nothing_of_the_present():
    """Nor does one that didn't measure `current`."""
    by_hand = {"current": {"a.j2": "2"}}
    ended = session(2, "check", status="interrupted", **by_hand)
    found = series_of([BASELINE, ended, session(3, "compare", variants={"b": "b"}, **by_hand)], [])
    assert (found.present, found.strayed) == (found.start, None)


def test_a_session_of_some_metrics_is_not_the_present_state():
    """It is passed over, and named; the newest that measured everything counts, with more metrics too."""
    begins = session(1, "baseline", measured=BOTH)
    sessions = [begins, session(2, "compare", "b", measured=BOTH)]
    now = {"current": {"a.j2": "b"}}
    partial = session(3, "check", measured=ONE, **now)
    found = series_of([*sessions, partial], [adopted(2, "b")])
    assert found.present == Point(experiment="e2", variant="b")
    assert (found.is_remeasured, found.partial, found.partial_strayed) == (False, ("e3",), ())
    whole = session(4, "check", measured=(*BOTH, ("test_a.py", "test_c")), **now)
    found = series_of([*sessions, partial, whole], [adopted(2, "b")])
    assert (found.present.experiment, found.is_remeasured, found.partial) == ("e4", True, ())
    found = series_of([*sessions, whole, session(5, "check", measured=ONE, **now)], [adopted(2, "b")])
    assert (found.present.experiment, found.partial) == ("e4", ("e5",))


def test_what_is_compared_is_what_the_adopted_state_measured():
    """A metric that is new since the start must be there as well; one that is gone needn't."""
    sessions = [session(1, "baseline", measured=BOTH), session(2, "compare", "b", measured=ONE)]
    found = series_of(
        [*sessions, session(3, "check", measured=ONE, current={"a.j2": "b"})], [adopted(2, "b")]
    )
    assert (found.present.experiment, found.partial) == ("e3", ())


def test_prompts_that_changed_before_a_session_of_some_metrics():
    """The state stays what was measured in full; that it is another now is told."""
    begins = session(1, "baseline", measured=BOTH)
    same = session(2, "check", measured=ONE)
    found = series_of([begins, same], [])
    assert (found.present, found.partial) == (found.start, ())
    found = series_of([begins, same, session(3, "check", measured=ONE, current={"a.j2": "2"})], [])
    assert (found.present, found.strayed) == (found.start, None)
    assert found.partial_strayed == ("e3",)
