"""pytest-promptune: samples, experiment log, comparison with a baseline, gate."""

import asyncio
import os

import pytest

from pytest_promptune import Case

CASES, RUNS, DELAY = int(os.environ["CASES"]), int(os.environ["RUNS"]), float(os.environ["DELAY"])
pytestmark = pytest.mark.promptune(app="bot", runs=RUNS)


@pytest.fixture(params=[Case(id=f"c{i:05d}", input={"q": i}, expected="yes") for i in range(CASES)], ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def bot():
    async def run(inputs):
        await asyncio.sleep(DELAY)
        return {"a": "yes"}

    return run


def test_a(case, sample):
    assert sample.output["a"] == case.expected
