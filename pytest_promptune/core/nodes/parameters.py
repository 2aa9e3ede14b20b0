"""What the parameters that a variant sets at nodes were before, as traces of `current` show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_promptune.core.limits import OUTPUT_LIMITS
from pytest_promptune.core.model import Change, ModelCall

#: Fields of `ModelCall` by names of parameters.
_TRACED = {
    "temperature": "temperature",
    "model": "model",
    **dict.fromkeys(OUTPUT_LIMITS, "max_tokens"),
}
_IS = " = "


def named(change: Change) -> tuple[str, str | None, str]:
    """Name and values before and after of a parameter; that of a node has its name in its values."""
    if change.kind != "node" or _IS not in change.after:
        return change.target, change.before, change.after
    name, _, after = change.after.partition(_IS)
    before = None if change.before is None else change.before.partition(_IS)[2]
    return f"{change.target}: {name}", before, after


def with_old_values(
    changes: Iterable[Change], calls: Sequence[tuple[str, Sequence[ModelCall]]]
) -> tuple[Change, ...]:
    """The changes, with the old values of parameters of nodes as far as they are known.

    Args:
        changes: of one variant.
        calls: the ways in which nodes called models under `current`, by node, as they were seen; where they
            differ in a parameter there is no one old value.
    """
    return tuple(_with_old_value(change, calls) for change in changes)


def _with_old_value(change: Change, calls: Sequence[tuple[str, Sequence[ModelCall]]]) -> Change:
    if change.kind != "node" or change.what != "parameter" or change.before is not None:
        return change
    name = change.after.partition(_IS)[0]
    if name not in _TRACED:
        return change
    seen = {getattr(way, _TRACED[name]) for node, ways in calls if node == change.target for way in ways}
    if len(seen) != 1 or None in seen:  # None: not set, or not seen
        return change
    return replace(change, before=f"{name}{_IS}{seen.pop()!r}")
