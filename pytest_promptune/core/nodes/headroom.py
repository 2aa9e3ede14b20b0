"""What could be gained at a node, as far as that is measured: its share of failed cases, time and cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pytest_promptune.core.nodes.model import Node
from pytest_promptune.core.results import Result
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """Shares of one node, within [0, 1]; unknown is ``None``. No gain is promised: a node can't win more."""

    node: str
    #: Of the cases that failed, those in which it ran.
    failed_cases: float | None = None
    #: Both numbers behind that share.
    failed: int = 0
    of_failed: int = 0
    latency: float | None = None
    cost: float | None = None


def failed_cases(results: Iterable[Result]) -> set[tuple[str, str]]:
    """App and case of those that missed or errored in some run of one variant."""
    return {(result.app, result.case_id) for result in results if result.outcome in ("missed", "errored")}


def headroom_of(node: Node, failed: Collection[tuple[str, str]]) -> Headroom:
    """What was measured of a node; of several apps the one where it has the largest share each."""
    apps = {traced.app for traced in node.traced}
    every = {(app, case) for app, case in failed if app in apps}
    ran = {(traced.app, case) for traced in node.traced for case in traced.cases}
    return Headroom(
        node=node.node,
        failed_cases=len(every & ran) / len(every) if every else None,
        failed=len(every & ran),
        of_failed=len(every),
        latency=_largest(traced.usage.share_of_latency for traced in node.traced),
        cost=_largest(traced.usage.share_of_cost for traced in node.traced),
    )


def _largest(shares: Iterable[float | None]) -> float | None:
    return max((share for share in shares if share is not None), default=None)
