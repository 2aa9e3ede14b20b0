"""How much of a suite a session measures: `quick`, `medium` or `full`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Stage = Literal["quick", "medium", "full"]

#: From the smallest on.
STAGES: tuple[Stage, ...] = ("quick", "medium", "full")


class Size(NamedTuple):
    """What a stage measures of each test."""

    cases: int
    #: Of each case under each variant.
    runs: int


#: Stages that are less than everything.
SIZES: Mapping[Stage, Size] = {"quick": Size(cases=3, runs=1), "medium": Size(cases=10, runs=3)}


def covers(stage: Stage, marked: Stage) -> bool:
    """Whether a test that is marked with a stage runs in another: in its own and in larger ones."""
    return STAGES.index(marked) <= STAGES.index(stage)
