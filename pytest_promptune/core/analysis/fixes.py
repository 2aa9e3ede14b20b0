"""How feasible it is to work on a node: what its own samples lack that a parameter or another form mends.

The findings are those of `core.nodes.findings`, of rendered prompts, parameters and answers alone: a session
reads no source.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytest_promptune.core.model import SampleRecord
from pytest_promptune.core.nodes.findings import find
from pytest_promptune.core.nodes.merging import Places, merge
from pytest_promptune.core.nodes.priority import mechanical
from pytest_promptune.core.nodes.traces import TraceBuilder, labels_of
from pytest_promptune.core.results import Result


def fixes(
    samples: Iterable[tuple[str, SampleRecord]], results: Iterable[Result]
) -> dict[tuple[str, str], int]:
    """Findings that mend themselves mechanically, by app and node.

    Args:
        samples: of one variant, each with its app.
        results: of that variant; what they classify says which answers were expected.
    """
    builders: dict[str, TraceBuilder] = {}
    for app, record in samples:
        builders.setdefault(app, TraceBuilder()).add(app, record)
    labels = labels_of(results)
    nowhere = Places(locate=lambda _: None, name=str)
    found: dict[tuple[str, str], int] = {}
    for app, builder in builders.items():
        trace = builder.trace("", "", labels=labels)
        graph = {"": [node.node for node in trace.nodes]}
        for node in merge((), trace, graph, nowhere).nodes:
            found[app, node.node] = mechanical(find(node).findings)
    return found
