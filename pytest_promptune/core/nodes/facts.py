"""What is kept of the nodes of a sample: it travels with the item, and into the file of a merge."""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import Any

from pytest_promptune.core.model import NodeRun
from pytest_promptune.core.values import dataclass

#: No node failed: one for all that have none.
_NO_ERRORS: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What is kept of a node in one sample, whatever becomes of the rest; small, since there are many."""

    node: str
    calls: int
    #: Model calls that failed.
    failed: int = 0
    retries: int = 0
    #: Seconds, at six significant digits; see `NodeRun`.
    latency_s: float | None = None
    part_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    #: Names of exceptions and how often each came up.
    errors: tuple[tuple[str, int], ...] = _NO_ERRORS

    def to_json(self) -> list[Any]:
        """Plain data: the values in the order of the fields."""
        values = [getattr(self, name) for name in _FIELDS[:-1]]
        return [*values, [list(each) for each in self.errors]]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> NodeFacts:
        """The inverse of `to_json`."""
        *values, errors = data
        given = dict(zip(_FIELDS[:-1], values, strict=True)) | {"node": intern(values[0])}
        return cls(**given, errors=tuple((intern(name), number) for name, number in errors) or _NO_ERRORS)


_FIELDS = tuple(NodeFacts.__dataclass_fields__)


def facts_of_node(run: NodeRun) -> NodeFacts:
    """What is kept of it."""
    errors = tuple((intern(name), number) for name, number in run.error_types.items())
    return NodeFacts(
        node=intern(run.node),
        calls=run.calls,
        failed=run.errors,
        retries=run.retries,
        latency_s=short(run.latency_s),
        part_s=short(run.part_s),
        input_tokens=run.usage.input_tokens,
        output_tokens=run.usage.output_tokens,
        cost_usd=run.usage.cost_usd,
        errors=errors or _NO_ERRORS,
    )


def short(value: float | None) -> float | None:
    """Six significant digits, which is what a results file keeps for a merge."""
    return None if value is None else float(f"{value:.6g}")
