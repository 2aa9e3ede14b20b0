"""What a variant changes, as people review it: diffs of prompts, a table of parameters."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from markupsafe import Markup

from pytest_promptune.core.display import UNKNOWN, clean, clean_lines
from pytest_promptune.core.model import CURRENT, Change
from pytest_promptune.core.nodes.parameters import named
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import VariantView, View
from pytest_promptune.report.escape import code, fence
from pytest_promptune.report.tables import Table

_LONGEST_DIFF = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantChanges:
    """One variant beside `current`."""

    name: str
    description: str
    one_change: bool
    #: What each diff is of, and the diff as a code block.
    diffs: tuple[tuple[str, Markup], ...]
    #: ``None`` when the variant changes no parameter.
    parameters: Table | None


def variants(view: View) -> list[VariantChanges]:
    """The variants that change something; `current` does not."""
    return [_variant(variant) for variant in view.variants if variant.changes]


def _variant(variant: VariantView) -> VariantChanges:
    prompts = [change for change in variant.changes if change.what == "prompt"]
    others = [change for change in variant.changes if change.what != "prompt"]
    return VariantChanges(
        name=variant.name,
        description=variant.description,
        one_change=variant.one_change,
        diffs=tuple((_title(change), diff(change, variant.name)) for change in prompts),
        parameters=parameters(others, variant.name) if others else None,
    )


def _title(change: Change) -> str:
    unknown = "" if change.before is not None else f"; the text of {CURRENT} is not known"
    return f"{change.kind} {change.target}{unknown}"


def diff(change: Change, variant: str, *, more: str = "… {rest} more lines") -> Markup:
    """A unified diff as a code block; `more` says how many lines of a long one are left out."""
    before = [] if change.before is None else clean_lines(change.before)
    source, target = (f"{clean(side)}/{clean(change.target)}" for side in (CURRENT, variant))
    lines = list(difflib.unified_diff(before, clean_lines(change.after), source, target, lineterm=""))
    if len(lines) > _LONGEST_DIFF:
        rest = len(lines) - _LONGEST_DIFF
        lines = [*lines[:_LONGEST_DIFF], more.format(rest=rest)]
    return fence(lines, "diff")


def parameters(
    changes: Sequence[Change], variant: str, *, title: str = "Parameters", name: str = "Parameter"
) -> Table:
    """What is set to what; `title` is that of the table, `name` the heading of its first column."""
    rows = tuple(
        (
            code(target),
            UNKNOWN if before is None else code(before, limit=200),
            code(after, limit=200),
        )
        for target, before, after in map(named, changes)
    )
    return Table(title=title, header=(name, CURRENT, clean(variant)), rows=rows)
