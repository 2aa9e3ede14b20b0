"""The nodes of a row of samples as columns: one row for each node, one entry for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_promptune.core.nodes.facts import NodeFacts
from pytest_promptune.core.shards.folding import Texts, as_whole, folded, unfolded

#: What is ``None`` where the node didn't run.
_CALLS = "calls"
#: What is 0 where the row says nothing of it.
_COUNTS = ("failed", "retries")
_VALUES = ("latency_s", "part_s", "input_tokens", "output_tokens", "cost_usd")


def node_columns(samples: Sequence[tuple[NodeFacts, ...]], texts: Texts) -> list[dict[str, Any]]:
    """A row for each node that ran in any of the samples."""
    by_name = [{facts.node: facts for facts in nodes} for nodes in samples]
    names = dict.fromkeys(name for nodes in by_name for name in nodes)
    return [_columns(name, [nodes.get(name) for nodes in by_name], texts) for name in names]


def _columns(name: str, runs: Sequence[NodeFacts | None], texts: Texts) -> dict[str, Any]:
    row: dict[str, Any] = {"node": texts.number(name)}
    for column in (_CALLS, *_COUNTS, *_VALUES):
        values = [None if run is None else getattr(run, column) for run in runs]
        says_something = any(values) if column in _COUNTS else any(value is not None for value in values)
        row |= {column: folded(values)} if says_something else {}
    errors = [
        [place, texts.number(error), number]
        for place, run in enumerate(runs)
        for error, number in (run.errors if run else ())
    ]
    return row | ({"errors": errors} if errors else {})


def nodes_of(rows: Sequence[Any], length: int, texts: Texts) -> list[tuple[NodeFacts, ...]]:
    """The nodes of each of `length` samples.

    Raises:
        KeyError, TypeError, ValueError, IndexError: when the rows are damaged.
    """
    found: list[list[NodeFacts]] = [[] for _ in range(length)]
    for row in rows:
        columns = {name: unfolded(row.get(name), length) for name in (_CALLS, *_COUNTS, *_VALUES)}
        if any(len(values) != length for values in columns.values()):
            raise ValueError("a node has too few or too many values")
        errors: list[list[tuple[str, int]]] = [[] for _ in range(length)]
        for place, error, number in row.get("errors", ()):
            if not 0 <= as_whole(place) < length:
                raise ValueError("an error of a node belongs to no sample")
            errors[place].append((texts[error], as_whole(number)))
        for place, (nodes, calls) in enumerate(zip(found, columns[_CALLS], strict=True)):
            if calls is not None:
                nodes.append(
                    NodeFacts(
                        node=texts[row["node"]],
                        calls=as_whole(calls),
                        **{name: as_whole(columns[name][place] or 0) for name in _COUNTS},
                        **{name: columns[name][place] for name in _VALUES},
                        errors=tuple(errors[place]),
                    )
                )
    return [tuple(nodes) for nodes in found]
