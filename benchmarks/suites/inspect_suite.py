"""Inspect: `eval(epochs=…, max_samples=32)` with a solver that waits; the log is written."""

import asyncio
import os

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import match
from inspect_ai.solver import solver

CASES, RUNS, DELAY = int(os.environ["CASES"]), int(os.environ["RUNS"]), float(os.environ["DELAY"])


@solver
def app():
    async def solve(state, generate):
        await asyncio.sleep(DELAY)
        state.output.completion = "yes"
        return state

    return solve


def task():
    samples = [Sample(id=f"c{i:05d}", input=str(i), target="yes") for i in range(CASES)]
    return Task(dataset=MemoryDataset(samples), solver=app(), scorer=match(), epochs=RUNS)


if __name__ == "__main__":
    (log,) = eval(task(), model="mockllm/model", max_samples=32, display="none", log_dir="logs")
    print(log.status, log.results.total_samples)
    assert log.status == "success"
