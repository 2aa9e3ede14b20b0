"""The bare asyncio loop: the calls, at most 32 in flight, and nothing else."""

import asyncio
import os

CASES, RUNS, DELAY = int(os.environ["CASES"]), int(os.environ["RUNS"]), float(os.environ["DELAY"])


async def app(inputs):
    await asyncio.sleep(DELAY)
    return {"a": "yes"}


async def main():
    gate = asyncio.Semaphore(32)

    async def one(case):
        async with gate:
            return (await app({"q": case}))["a"] == "yes"

    scores = await asyncio.gather(*(one(case) for _ in range(RUNS) for case in range(CASES)))
    print(f"{sum(scores)} of {len(scores)}")


asyncio.run(main())
