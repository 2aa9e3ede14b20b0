"""What is said about the progress of the samples."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_promptune.core.progress import JointProgress, Progress, live_parts, log_line

FULL = Progress(
    done=120,
    total=300,
    in_flight=32,
    errored=2,
    missing=1,
    retries=3,
    cost_usd=0.12,
    reused=20,
    seconds=60,
)


def text(progress: Progress, width: int) -> str:
    return "".join(part.text for part in live_parts(progress, width))


def test_log_line_says_everything():
    """A line of a log has all there is to say."""
    assert log_line(FULL) == (
        "120/300 samples, 20 reused, 32 in flight, 2 errors, 1 missing, 3 retries, $0.12, about 1 min left"
    )


def test_nothing_is_said_of_what_did_not_happen():
    """Zero errors, zero retries and an unknown price are no news."""
    assert log_line(Progress(done=0, total=9, in_flight=4)) == "0/9 samples, 4 in flight"
    assert log_line(Progress(done=1, total=9, in_flight=1, cost_usd=0.0)).endswith("1 in flight, $0.00")


def test_one_is_singular():
    """Words agree with their numbers."""
    assert "1 error, 1 retry" in log_line(Progress(done=1, total=9, in_flight=0, errored=1, retries=1))


def test_room_is_used_for_what_matters_most():
    """With less room the least important goes first; the count stays longest."""
    assert text(FULL, 200) == log_line(FULL)
    assert text(FULL, 70) == "120/300 samples, 2 errors, 1 missing, $0.12, about 1 min left"
    assert text(FULL, 40) == "120/300, 2 errors, about 1 min left"
    assert text(FULL, 26) == "120/300, about 1 min left"
    assert text(FULL, 7) == "120/300"
    assert text(FULL, 6) == ""
    assert text(FULL, -3) == ""


def test_never_wider_than_the_room():
    """Whatever the width, the text fits."""
    assert all(len(text(FULL, width)) <= width for width in range(110))


def test_what_went_wrong_stands_out():
    """Errors and missing samples are alerts, nothing else is."""
    assert [part.text for part in live_parts(FULL, 200) if part.is_alert] == [", 2 errors", ", 1 missing"]


class TestSecondsLeft:
    def test_from_the_rate_of_finished_samples(self):
        """A third in a minute leaves two minutes."""
        progress = Progress(done=100, total=300, in_flight=0, seconds=60)
        assert progress.seconds_left == pytest.approx(120)

    def test_those_in_flight_count_half(self):
        """After one wave of equal samples the estimate is right, not too long by a wave."""
        wave = Progress(done=30, total=300, in_flight=30, seconds=10)
        assert wave.seconds_left == pytest.approx(10 * (300 - 45) / 45)
        early = Progress(done=15, total=300, in_flight=30, seconds=10)  # the faster half of the first wave
        assert early.seconds_left == pytest.approx(90)

    @pytest.mark.parametrize("done", [0, 1, 2])
    def test_unknown_at_first(self, done):
        """Few samples tell no rate."""
        assert Progress(done=done, total=1000, in_flight=8, seconds=5).seconds_left is None

    def test_known_from_two_waves_or_five_percent(self):
        """Whichever comes first."""
        start = Progress(done=15, total=1000, in_flight=8, seconds=5)
        assert start.seconds_left is None
        assert replace(start, done=16).seconds_left is not None
        crowded = replace(start, total=100, in_flight=50, done=4)
        assert crowded.seconds_left is None
        assert replace(crowded, done=5).seconds_left is not None

    def test_reused_samples_tell_no_rate(self):
        """What came from the log took no time."""
        assert Progress(done=500, total=1000, in_flight=8, reused=500, seconds=1).seconds_left is None
        half = Progress(done=750, total=1000, in_flight=0, reused=500, seconds=60)
        assert half.seconds_left == pytest.approx(60)

    def test_nothing_is_left_at_the_end(self):
        """No estimate when all is done, nor when more was done than planned."""
        assert Progress(done=9, total=9, in_flight=0, seconds=5).seconds_left is None
        assert Progress(done=11, total=9, in_flight=2, seconds=5).seconds_left is None

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [
            (0.01, "about 1 s"),
            (0.5, "about 1 s"),
            (2.5, "about 3 s"),
            (5, "about 5 s"),
            (5.5, "about 10 s"),
            (41, "about 45 s"),
            (58, "about 1 min"),
            (170, "about 3 min"),
            (3590, "about 1 h"),
            (4700, "about 1 h 20 min"),
            (90000, "about 25 h"),
        ],
    )
    def test_is_said_roughly(self, seconds, said):
        """An estimate deserves no more digits."""
        progress = Progress(done=100, total=200, in_flight=0, seconds=seconds)
        assert log_line(progress).endswith(f", {said} left")


# --- several processes ----------------------------------------------------------------------------


def test_told_as_plain_data():
    """What comes back is what was told."""
    assert Progress.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL
    nothing = Progress(done=0, total=0, in_flight=0)
    assert Progress.from_json(nothing.to_json()) == nothing


def test_processes_are_added_up():
    """Counts and costs are sums; the time is since the first of them began."""
    joint = JointProgress()
    joint.tell("gw0", 0, replace(FULL, seconds=20), now=100)
    joint.tell("gw1", 1, Progress(done=1, total=200, in_flight=4, cost_usd=0.5, seconds=60), now=110)
    assert joint.at(112) == Progress(
        done=121,
        total=500,
        in_flight=36,
        errored=2,
        missing=1,
        retries=3,
        cost_usd=0.62,
        reused=20,
        seconds=62,
    )
    joint.tell("gw1", 1, Progress(done=2, total=200, in_flight=4, seconds=70), now=120)
    assert (joint.at(120).done, joint.at(120).cost_usd) == (122, 0.12)


def test_no_price_anywhere():
    """An unknown cost is not nothing."""
    joint = JointProgress()
    assert joint.at(5) == Progress(done=0, total=0, in_flight=0)
    joint.tell("gw0", 0, Progress(done=1, total=2, in_flight=0), now=1)
    assert joint.at(1).cost_usd is None


def test_all_that_is_planned_counts_from_the_start():
    """A process that hasn't said anything yet has done nothing of its part."""
    joint = JointProgress()
    joint.planned = 300
    joint.tell("gw0", 0, Progress(done=50, total=100, in_flight=4), now=1)
    assert (joint.at(1).done, joint.at(1).total) == (50, 300)


def test_a_crashed_process_is_replaced():
    """What it generated ahead is done again and so not done; what it cost is spent, and its errors were."""
    joint = JointProgress()
    joint.tell("gw0", 0, Progress(done=40, total=100, in_flight=8, errored=3, cost_usd=1.0), now=1)
    joint.end("gw0")
    assert (joint.at(1).done, joint.at(1).in_flight) == (40, 0)
    joint.tell("gw1", 0, Progress(done=5, total=70, in_flight=2, errored=1, cost_usd=0.5), now=1)
    now = joint.at(1)
    assert (now.done, now.total, now.in_flight, now.errored, now.cost_usd) == (35, 100, 2, 4, 1.5)
    joint.end("gw7")  # one that never said anything
    assert joint.at(1) == now


def test_a_part_that_grows():
    """Samples of cases that only fixtures know come to light as the items run."""
    joint = JointProgress()
    joint.planned = 10
    joint.tell("gw0", 0, Progress(done=1, total=5, in_flight=0), now=1)
    joint.tell("gw0", 0, Progress(done=11, total=12, in_flight=0), now=2)
    assert (joint.at(2).done, joint.at(2).total) == (11, 12)
