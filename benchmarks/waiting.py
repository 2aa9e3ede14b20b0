"""300 samples of 50 ms, 32 in flight: pytest with promptune against the bare asyncio loop, as processes."""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

BARE = """
import asyncio

async def app(x):
    await asyncio.sleep(0.05)
    return {"a": "yes"}

async def main():
    gate = asyncio.Semaphore(32)

    async def one(i):
        async with gate:
            return await app({"q": i})

    assert len(await asyncio.gather(*(one(i) for i in range(300)))) == 300

asyncio.run(main())
"""

SUITE = """
import asyncio
import pytest
from pytest_promptune import Case

pytestmark = pytest.mark.promptune(app="bot", runs=10)

@pytest.fixture(params=[Case(id=f"c{i:03d}", input={"q": i}, expected="yes") for i in range(30)], ids=str)
def case(request):
    return request.param

@pytest.fixture(scope="session")
def bot():
    async def run(inputs):
        await asyncio.sleep(0.05)
        return {"a": "yes"}
    return run

def test_a(case, sample):
    assert sample.output["a"] == case.expected
"""


def seconds(command: list[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9, help="how often both are run, in turn")
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE)
        (folder / "test_bot.py").write_text(SUITE)
        plugins = ["-p", "no:langsmith_plugin", "-p", "no:cacheprovider"]
        promptune = [sys.executable, "-m", "pytest", "-q", *plugins, "--promptune-concurrency=32"]
        bare = [sys.executable, "bare.py"]
        seconds([*promptune, "--promptune-baseline"], folder)  # warm caches, and a baseline to compare with
        times = [(seconds(bare, folder), seconds(promptune, folder)) for _ in range(pairs)]
    ratios = [with_plugin / alone for alone, with_plugin in times]
    python, pytest = platform.python_version(), version("pytest")
    print(f"{platform.machine()}, Python {python}, pytest {pytest}, {pairs} pairs, medians")
    print(f"bare loop             {statistics.median(t[0] for t in times):5.2f} s")
    print(f"pytest with promptune {statistics.median(t[1] for t in times):5.2f} s")
    print(f"ratio                 {statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
