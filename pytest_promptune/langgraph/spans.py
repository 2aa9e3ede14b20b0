"""When the nodes of a graph ran, and how the time of a sample is divided among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One execution of a node: seconds on a clock that all spans of a sample share."""

    node: str
    began: float
    ended: float


@dataclass(slots=True)
class Times:
    """Seconds of one node in one sample."""

    #: Of all executions together.
    total: float = 0.0
    #: In which at least one execution ran.
    wall: float = 0.0
    #: Of those, the node's part: nodes that run at the same time share alike.
    part: float = 0.0


def times(spans: Iterable[Span]) -> dict[str, Times]:
    """Seconds by node.

    The parts of all nodes add up to the time in which any of them ran. A node that waits for a node inside of
    it has no part in that time.
    """
    found: dict[str, Times] = {}
    edges: list[tuple[float, int, str]] = []
    for span in spans:
        found.setdefault(span.node, Times()).total += span.ended - span.began
        edges += [(span.began, 1, span.node), (span.ended, -1, span.node)]
    running: Counter[str] = Counter()
    before = 0.0
    for moment, step, node in sorted(edges):
        busy = [name for name, number in running.items() if number > 0]
        innermost = [name for name in busy if not any(other.startswith(f"{name}/") for other in busy)]
        for name in busy:
            found[name].wall += moment - before
        for name in innermost:
            found[name].part += (moment - before) / len(innermost)
        running[node] += step
        before = moment
    return found
