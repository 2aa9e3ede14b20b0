"""pydantic-evals: `Dataset.evaluate_sync(repeat=…, max_concurrency=32)`, the report's averages printed."""

import asyncio
import os

from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import EqualsExpected

CASES, RUNS, DELAY = int(os.environ["CASES"]), int(os.environ["RUNS"]), float(os.environ["DELAY"])


async def app(inputs):
    await asyncio.sleep(DELAY)
    return "yes"


dataset = Dataset(
    name="benchmark",
    cases=[Case(name=f"c{i:05d}", inputs={"q": i}, expected_output="yes") for i in range(CASES)],
    evaluators=[EqualsExpected()],
)
report = dataset.evaluate_sync(app, max_concurrency=32, repeat=RUNS, progress=False)
print(len(report.cases), report.averages())
