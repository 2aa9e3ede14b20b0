"""``--promptune-concurrency``: samples in flight."""

from __future__ import annotations

import pytest

COUNTING = """
import asyncio, pathlib, threading, time
import pytest
from pytest_promptune import Case

CASES = [Case(id=f"c{i:02d}", input=i) for i in range(20)]
PEAK = pathlib.Path(__file__).parent / "peak"
lock, now, peak = threading.Lock(), 0, 0

def enter():
    global now, peak
    with lock:
        now += 1
        peak = max(peak, now)
        PEAK.write_text(str(peak))

def leave():
    global now
    with lock:
        now -= 1

@pytest.fixture(scope="session")
def slow():
    def call(value):
        enter(); time.sleep(0.03); leave()
        return value
    return call

@pytest.fixture(scope="session")
def slow_async():
    async def call(value):
        enter(); await asyncio.sleep(0.03); leave()
        return value
    return call

@pytest.mark.promptune(app="slow", runs=1)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_sync(case, sample):
    assert sample.output == case.input

@pytest.mark.promptune(app="slow_async", runs=1)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_async(case, sample):
    assert sample.output == case.input
"""


@pytest.fixture
def counting(project):
    project.write(test_counting=COUNTING)
    return project


def peak(project) -> int:
    return int((project.path / "peak").read_text())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_at_most_so_many_are_in_flight(counting, kind):
    """The limit holds and is used, for functions in threads and for coroutines; 16 is the default."""
    counting.run("-k", f"test_{kind}", "--promptune-concurrency=3")
    assert peak(counting) == 3
    counting.run("-k", f"test_{kind}", "--promptune-concurrency=1")
    assert peak(counting) == 1
    counting.run("-k", f"test_{kind}")
    assert 12 <= peak(counting) <= 16


def test_results_do_not_depend_on_it(bot):
    """The same samples are measured in the same cells, however many are in flight."""
    bot.record("--promptune-concurrency=1", miss="c01")
    alone = bot.baseline_json()["scores"]["test_answer"]
    bot.record("--promptune-concurrency=50", miss="c01")
    assert bot.baseline_json()["scores"]["test_answer"] == alone


@pytest.mark.parametrize("number", ["0", "-3", "x", "1.5"])
def test_other_numbers_are_refused(bot, number):
    """Only whole numbers of at least 1."""
    assert bot.run(f"--promptune-concurrency={number}").refused("--promptune-concurrency", "at least 1")


def test_the_ini_key(counting, form):
    """`promptune_concurrency` is a number; the command line wins."""
    counting.configure(form, concurrency=2)
    assert counting.run("-k", "test_async and c0").json["experiment"]["concurrency"] == 2
    assert peak(counting) == 2


def test_times_are_compared_at_one_concurrency(bot):
    """The baseline knows how many samples were in flight; at another number latency isn't judged."""
    bot.record("--promptune-concurrency=4")
    assert bot.baseline_json()["recorded"]["concurrency"] == 4
    assert bot.run("--promptune-concurrency=4").row("bot::latency_s")["p"] is not None
    row = bot.run("--promptune-concurrency=2").row("bot::latency_s")
    assert (row["verdict"], row["gate"], row["p"]) == ("inconclusive", "off", None)
    assert "Recorded with 4 samples in flight, measured now with 2: not comparable." in row["reason"]


def test_a_baseline_that_does_not_say_its_concurrency(bot):
    """Files of older versions are read, and learn it when they are recorded again."""
    bot.record()
    text = bot.baseline.read_text()
    bot.baseline.write_text(text.replace('    "concurrency": 16,\n', ""))
    assert bot.baseline.read_text() != text
    assert "unknown number of samples in flight" in bot.run().row("bot::latency_s")["reason"]
    bot.record()
    assert bot.baseline_json()["recorded"]["concurrency"] == 16


def test_another_concurrency_alone_does_not_touch_the_file(bot):
    """Equal scores are no change for a reviewer; the terminal says why new times aren't in the file."""
    bot.record()
    before = bot.baseline.read_bytes()
    ran = bot.record("--promptune-concurrency=2")
    assert bot.baseline.read_bytes() == before
    assert "measured times alone don't rewrite it" in " ".join(ran.out.split())
