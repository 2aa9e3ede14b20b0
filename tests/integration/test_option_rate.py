"""``--promptune-rate``: how it is written, and what it does to the calls."""

from __future__ import annotations

import pytest

from pytest_promptune.core.jobs import Job
from pytest_promptune.engine import Engine
from pytest_promptune.settings import SPECS

XDIST = ["xdist.plugin"]

#: Says what its process was told, instead of measuring time.
SPY = """
import os
from pathlib import Path
from pytest_promptune.sampling import sampler

class Spied(sampler.Engine):
    def __init__(self, **given):
        name = os.environ.get("PYTEST_XDIST_WORKER", "serial")
        Path(__file__).with_name(f"rate-{name}").write_text(repr(given["rate"]))
        super().__init__(**given)

sampler.Engine = Spied
"""


@pytest.fixture
def spied(project, monkeypatch):
    """The bot's suite; each process says at which rate its engine begins calls."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # that of the process which runs this test
    project.bot()
    project.write(spy_rate=SPY)
    return project


def rates(project) -> dict[str, float]:
    return {path.name[5:]: float(path.read_text()) for path in project.path.glob("rate-*")}


@pytest.mark.parametrize(
    ("text", "per_second"),
    [("5", 5), ("5/s", 5), ("0.5/sec", 0.5), ("300/min", 5), (" 30 / m ", 0.5), ("7200/h", 2)],
)
def test_how_it_is_written(text, per_second):
    """A number per second, or per what stands behind the slash."""
    (spec,) = (spec for spec in SPECS if spec.name == "rate")
    assert spec.parse(text) == per_second


@pytest.mark.parametrize("text", ["0", "-1/s", "fast", "5/day", "nan", "inf", "/s", "5/", "1/2/s"])
def test_other_rates_are_refused(bot, text):
    """Exit code 4 and what would be valid, before any call."""
    assert bot.run(f"--promptune-rate={text}").refused("--promptune-rate", text, "5/s or 300/min")


def test_the_ini_key(project, form):
    """Also a bare number in TOML; the command line wins."""
    project.bot()
    project.configure(form, rate="100000/min" if form != "native" else 2000)
    assert project.run().code == 0
    project.configure(form, rate="often")
    assert project.run().refused("promptune_rate", "often")
    assert project.run("--promptune-rate=1000").code == 0


class Bucket:
    """In place of the token bucket: counts, and lets so many through."""

    made: list[tuple[float, float]]

    def __init__(self, tokens: int) -> None:
        self.made = []
        self.taken = 0
        self._tokens = tokens

    def __call__(self, max_rate: float, time_period: float) -> Bucket:
        self.made.append((max_rate, time_period))
        return self

    async def acquire(self) -> None:
        import asyncio

        self.taken += 1
        if self.taken > self._tokens:
            await asyncio.Event().wait()


@pytest.fixture
def bucket(monkeypatch):
    def fill(tokens: int) -> Bucket:
        made = Bucket(tokens)
        monkeypatch.setattr("aiolimiter.AsyncLimiter", made)
        return made

    return fill


def job(key: int, calls: list[int], *, retries: int = 0, fails: int = 0) -> Job:
    async def call() -> int:
        calls.append(key)
        if len(calls) <= fails:
            raise ConnectionError("lost")
        return key

    return Job(key=key, order=key, call=call, is_async=True, retries=retries)


def test_each_call_takes_its_turn(bucket):
    """A bucket of one token, filled at the rate: no burst, and no more calls than tokens were taken."""
    filled = bucket(3)
    calls: list[int] = []
    engine = Engine(concurrency=8, window=8, rate=4.0)
    try:
        engine.submit(job(key, calls) for key in range(8))
        assert [engine.result(key).value for key in range(3)] == [0, 1, 2]
    finally:
        engine.close()
    assert filled.made == [(1, 0.25)]
    assert calls == [0, 1, 2]


def test_retries_take_theirs_too(bucket, monkeypatch):
    """A call that is made again counts again: what a provider refuses must not come back faster."""
    monkeypatch.setattr("pytest_promptune.engine.pause_before", lambda *_: 0.0)
    filled = bucket(100)
    calls: list[int] = []
    engine = Engine(concurrency=1, window=1, rate=4.0)
    try:
        engine.submit([job(0, calls, retries=2, fails=2)])
        assert engine.result(0).attempts == 3
    finally:
        engine.close()
    assert filled.taken == 3


def test_without_a_rate_nothing_waits(bucket):
    """No bucket is made."""
    filled = bucket(0)
    calls: list[int] = []
    engine = Engine(concurrency=8, window=8)
    try:
        engine.submit([job(0, calls)])
        assert engine.result(0).value == 0
    finally:
        engine.close()
    assert filled.made == []


def test_the_rate_reaches_the_calls(spied):
    """One process begins calls at the rate that was given."""
    ran = spied.run("--promptune-rate=240000/min", "-p", "spy_rate", subprocess=True)
    assert ran.code == 0, ran.text
    assert rates(spied) == {"serial": 4000.0}


def test_workers_share_it(spied):
    """Two workers get half of it each."""
    pytest.importorskip("xdist")
    ran = spied.run("-n", "2", "--promptune-rate=4000", "-p", "spy_rate", plugins=XDIST, subprocess=True)
    assert ran.code == 0, ran.text
    assert rates(spied) == {"gw0": 2000.0, "gw1": 2000.0}
