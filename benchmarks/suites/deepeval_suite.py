"""DeepEval: outputs generated 32 at a time, then `evaluate(async_config=AsyncConfig(max_concurrent=32))`."""

import asyncio
import os

from deepeval import evaluate
from deepeval.evaluate import AsyncConfig, DisplayConfig
from deepeval.metrics import BaseMetric
from deepeval.test_case import LLMTestCase

CASES, RUNS, DELAY = int(os.environ["CASES"]), int(os.environ["RUNS"]), float(os.environ["DELAY"])


class Right(BaseMetric):
    def __init__(self):
        self.threshold = 1.0

    def measure(self, test_case, *args, **kwargs):
        self.score = 1.0 if test_case.actual_output == test_case.expected_output else 0.0
        self.success = self.score >= self.threshold
        return self.score

    async def a_measure(self, test_case, *args, **kwargs):
        return self.measure(test_case)

    def is_successful(self):
        return self.success

    @property
    def __name__(self):
        return "right"


async def app(inputs):
    await asyncio.sleep(DELAY)
    return "yes"


async def outputs():
    gate = asyncio.Semaphore(32)

    async def one(case):
        async with gate:
            output = await app({"q": case})
        return LLMTestCase(input=str(case), actual_output=output, expected_output="yes")

    return await asyncio.gather(*(one(case) for _ in range(RUNS) for case in range(CASES)))


evaluate(
    asyncio.run(outputs()),
    [Right()],
    async_config=AsyncConfig(max_concurrent=32),
    display_config=DisplayConfig(show_indicator=False, print_results=False),
)
