"""Parametrised pytest without a plugin: as many items, one after the other, on one event loop."""

import asyncio
import os

import pytest

CASES, RUNS, DELAY = int(os.environ["CASES"]), int(os.environ["RUNS"]), float(os.environ["DELAY"])


@pytest.fixture(scope="session")
def loop():
    with asyncio.Runner() as runner:
        yield runner


async def app(inputs):
    await asyncio.sleep(DELAY)
    return {"a": "yes"}


@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("case", range(CASES))
def test_a(case, run, loop):
    assert loop.run(app({"q": case}))["a"] == "yes"
