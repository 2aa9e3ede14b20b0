"""Confusion matrices of the reports."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_promptune.core.display import clean, number
from pytest_promptune.core.stats.model import Confusions
from pytest_promptune.core.view import ClassesRow, View
from pytest_promptune.core.wording import class_name
from pytest_promptune.report.escape import code, sentence
from pytest_promptune.report.tables import Table

#: More classes than these make no table that people can read.
MOST_CLASSES = 12


def class_tables(view: View) -> list[Table]:
    """One table per test and variant: expected classes in rows, predicted ones in columns."""
    return [_table(row) for row in view.classes]


def _table(row: ClassesRow) -> Table:
    found = row.found
    shown = _shown(found)
    others = [place for place in range(len(found.labels)) if place not in shown]
    nothing = any(counts[-1] for counts in found.counts)
    header: list[str] = ["Expected", *(code(class_name(found.labels[place])) for place in shown)]
    header += ["others"] if others else []
    header += ["no label"] if nothing else []
    body = []
    for place in (place for place in shown if place < len(found.counts)):
        counts, each = found.counts[place], found.classes[place]
        cells: list[str] = [code(class_name(each.label)), *(f"{counts[column]:,}" for column in shown)]
        cells += [f"{sum(counts[column] for column in others):,}"] if others else []
        cells += [f"{counts[-1]:,}"] if nothing else []
        body.append((*cells, number(each.precision), number(each.recall), number(each.f1)))
    return Table(
        title=f"{clean(row.name.metric)}: {clean(row.variant)}",
        header=(*header, "Precision", "Recall", "F1"),
        rows=tuple(body),
        notes=tuple(_notes(row, len(shown))),
    )


def _shown(found: Confusions) -> list[int]:
    """Places of the most frequent classes, in their order."""
    places = range(len(found.labels))
    frequent = sorted(places, key=lambda p: (-found.classes[p].n_expected - found.classes[p].n_predicted, p))
    return sorted(frequent[:MOST_CLASSES])


def _notes(row: ClassesRow, shown: int) -> Sequence[str]:
    found = row.found
    missing = f", {row.n_missing:,} missing" if row.n_missing else ""
    notes: list[str] = [
        sentence(
            "Macro-F1 {} over the {} expected, of {} samples{}.",
            number(found.macro_f1),
            "class that is" if len(found.counts) == 1 else f"{len(found.counts):,} classes that are",
            f"{row.n_samples:,}",
            missing,
        )
    ]
    if shown < len(found.labels):
        notes.append(
            f"The {shown} most frequent of {len(found.labels):,} labels are shown; the results file has all."
        )
    return notes
