"""LangSmith: `aevaluate(upload_results=False, max_concurrency=32)`, nothing is sent."""

import asyncio
import os
import uuid

from langsmith import Client, aevaluate
from langsmith.schemas import Example

CASES, RUNS, DELAY = int(os.environ["CASES"]), int(os.environ["RUNS"]), float(os.environ["DELAY"])


async def app(inputs: dict) -> dict:
    await asyncio.sleep(DELAY)
    return {"a": "yes"}


def right(outputs: dict, reference_outputs: dict) -> bool:
    return outputs["a"] == reference_outputs["a"]


async def main():
    dataset = uuid.uuid4()
    examples = [
        Example(id=uuid.uuid4(), dataset_id=dataset, inputs={"q": i}, outputs={"a": "yes"})
        for i in range(CASES)
    ]
    results = await aevaluate(
        app,
        data=examples,
        evaluators=[right],
        max_concurrency=32,
        num_repetitions=RUNS,
        upload_results=False,
        disable_evaluator_tracing=True,
        # without these two it would look for its server, and send traces all the same
        client=Client(api_key="none", api_url="http://127.0.0.1:9", info={}, tracing_sampling_rate=0.0),
    )
    scores = [row["evaluation_results"]["results"][0].score async for row in results]
    print(f"{sum(scores)} of {len(scores)}")


asyncio.run(main())
