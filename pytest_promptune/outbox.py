"""Samples on their way from an xdist worker to the controller, which stores them."""

from __future__ import annotations

import json
from collections import deque

from pytest_promptune.store.log import LoggedSample, sample_from_json, sample_to_json


class Outbox:
    """In a worker: what has finished."""

    def __init__(self) -> None:
        self._finished: deque[LoggedSample] = deque()

    def put(self, sample: LoggedSample) -> None:
        """Keep a sample until the next item reports; called in the engine's thread."""
        self._finished.append(sample)

    def take(self) -> str | None:
        """All samples that have finished, as text; each once."""
        taken = []
        while self._finished:
            taken.append(sample_to_json(self._finished.popleft()))
        return json.dumps(taken, allow_nan=False) if taken else None


def unpacked(text: str) -> list[LoggedSample]:
    """The inverse of `Outbox.take`."""
    return [sample_from_json(data) for data in json.loads(text)]
