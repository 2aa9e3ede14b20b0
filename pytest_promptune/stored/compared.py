"""A comparison of two experiments for terminals and machines."""

from __future__ import annotations

from typing import Any

from pytest_promptune.core.circumstances import Circumstances, differences
from pytest_promptune.core.display import clean, count
from pytest_promptune.core.lines import BAD, BOLD, DIM, Line, line, paragraph, rule
from pytest_promptune.core.wording import size
from pytest_promptune.stored.comparing import Compared
from pytest_promptune.stored.sides import Stored
from pytest_promptune.terminal import compared_tables

#: What the answer takes over from the results document of a session, as that has it.
_OF_RESULTS = ("metrics", "comparisons", "errors", "gate", "warnings", "notes")


def lines_of(found: Compared, *, width: int, verbosity: int = 0, gate: bool = False) -> list[Line]:
    """Both sides, the tables of the terminal summary, and the gate's result where it counts."""
    width = max(width, 20)
    lines = [rule("promptune: compare", width)]
    for letter, side in (("A", found.reference), ("B", found.candidate)):
        lines += paragraph(f"{letter}  {_told(side.circumstances)}", width, DIM)
    lines += compared_tables(found.view, verbosity=verbosity, width=width)
    if gate:
        decided = found.view.gate
        text = "Gate: failed" if found.failed else f"Gate: passed ({count(len(decided), 'decision')})"
        lines += [Line(), line(text, BAD if found.failed else BOLD)]
    return lines


def to_json(found: Compared) -> dict[str, Any]:
    """The same as plain data; sides are called as in ``reference`` and ``candidate`` of the rows."""
    from pytest_promptune.report.json_results import to_results

    results = to_results(found.view)
    a, b = found.reference, found.candidate
    different = differences(a.circumstances, b.circumstances)
    return {
        "a": _side(a),
        "b": _side(b),
        "alpha": found.view.experiment.alpha,
        "differences": {each.what: [each.before, each.after] for each in different},
        **{key: results[key] for key in _OF_RESULTS},
        "failed": found.failed,
    }


def _side(side: Stored) -> dict[str, Any]:
    about = side.circumstances
    names = [name for name in Circumstances.__dataclass_fields__ if name not in ("tests", "prompts")]
    plain = {name: getattr(about, name) for name in names}
    return {"label": side.measured.label} | plain | {"models": list(about.models)}


def _told(about: Circumstances) -> str:
    """``20261128T053511-ab12cd:current, baseline of 2026-11-28 05:35 at 1a2b3c4, 12 cases x 3 runs``."""
    when = about.started[:16].replace("T", " ")
    at = f" at {clean(about.commit)}" if about.commit else ""
    dirty = " with uncommitted changes" if about.commit and about.dirty else ""
    parts = [
        f"{about.experiment}:{clean(about.variant)}",
        f"{about.mode} of {when} UTC{at}{dirty}",
        size(about.cases, about.runs),
        *([", ".join(map(clean, about.models))] if about.models else []),
        *([f"note: {clean(about.note)}"] if about.note else []),
    ]
    return ", ".join(parts)
