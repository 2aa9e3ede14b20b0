"""Braintrust: `Eval(trial_count=…, max_concurrency=32, no_send_logs=True)`, nothing is sent."""

import asyncio
import os

from braintrust import Eval

CASES, RUNS, DELAY = int(os.environ["CASES"]), int(os.environ["RUNS"]), float(os.environ["DELAY"])


async def app(inputs):
    await asyncio.sleep(DELAY)
    return "yes"


def right(input, output, expected):
    return 1.0 if output == expected else 0.0


Eval(
    "benchmark",
    data=[{"input": {"q": i}, "expected": "yes"} for i in range(CASES)],
    task=app,
    scores=[right],
    trial_count=RUNS,
    max_concurrency=32,
    no_send_logs=True,
)
