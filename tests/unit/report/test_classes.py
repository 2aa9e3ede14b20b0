"""Confusion matrices in the report and in the terminal."""

import re

import views

from pytest_promptune import terminal
from pytest_promptune.core import wording
from pytest_promptune.core.stats.classes import confusions
from pytest_promptune.core.view import ClassesRow
from pytest_promptune.report.classes import MOST_CLASSES, class_tables
from pytest_promptune.report.markdown import render_markdown


def row(*pairs, **changes):
    return ClassesRow(
        **{"name": views.metric_name(), "variant": "current", "n_samples": len(pairs), "n_missing": 0}
        | changes,
        found=confusions(pairs),
    )


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_matrix():
    """Expected classes in rows with their precision, recall and F1; labels only predicted have a column."""
    view = views.view(classes=(row(("a", "a"), ("a", "b"), ("b", "x"), ("b", None), n_missing=2),))
    report = render_markdown(view).partition("## Classes")[2].partition("\n## ")[0]
    table = [cells(line) for line in report.splitlines() if line.startswith("|")]
    assert table[0] == ["Expected", "`a`", "`b`", "`x`", "no label", "Precision", "Recall", "F1"]
    assert table[2] == ["`a`", "1", "1", "0", "0", "1.00", "0.500", "0.667"]
    assert table[3] == ["`b`", "0", "0", "1", "1", "0", "0", "0"]
    assert "Macro-F1 0.333 over the 2 classes that are expected, of 4 samples, 2 missing." in report


def test_a_single_class():
    """The sentence below the table is one about one."""
    (table,) = class_tables(views.view(classes=(row(("a", "a"), ("a", "b")),)))
    assert table.notes[0].endswith("over the class that is expected, of 2 samples.")


def test_many_classes_are_cut():
    """More than a dozen make no readable table: the most frequent ones are shown, the rest is added up."""
    pairs = [(f"k{i:02}", f"k{i:02}") for i in range(20) for _ in range(i + 1)] + [
        ("k19", "k00"),
        ("k19", "k01"),
    ]
    (table,) = class_tables(views.view(classes=(row(*pairs),)))
    assert len(table.rows) == MOST_CLASSES
    assert len(table.header) == 1 + MOST_CLASSES + 1 + 3
    assert table.rows[-1][0] == "`k19`"
    assert table.rows[-1][-4] == "2"  # taken for classes that aren't shown
    assert "The 12 most frequent of 20 labels are shown" in table.notes[-1]


def test_labels_are_text():
    """Whatever a model calls its class, it neither breaks the table nor the terminal."""
    evil = "a|b\x1b[31m<script>`"
    view = views.view(classes=(row(("ok", evil), ("ok", "")),))
    report = render_markdown(view).partition("## Classes")[2].partition("\n## ")[0]
    assert len({len(cells(line)) for line in report.splitlines() if line.startswith("|")}) == 1
    assert "<script>" not in report.replace(r"\<script>", "")
    assert "\x1b" not in report
    told = wording.classes(view.classes[0])
    assert told.endswith("ok → (empty) 1×, ok → a|b<script>` 1×")


def test_the_most_frequent_confusions_first():
    """Three are told and the rest is counted; none is said too."""
    pairs = [("a", "b")] * 3 + [("b", "c")] * 5 + [("c", None)] * 2 + [("c", "a"), ("a", "a")]
    assert wording.classes(row(*pairs)) == (
        "test_intent (current): macro-F1 0.111; b → c 5×, a → b 3×, c → no label 2×, 1 more"
    )
    assert wording.classes(row(("a", "a"))) == "test_intent (current): macro-F1 1.00; no confusions"


def test_the_terminal_tells_them():
    """A line for each test and variant, in the full summary."""
    view = views.view(mode="baseline", classes=(row(("a", "b")), row(("a", "a"), variant="odd")))
    lines = [line.text for line in terminal.summary(view, verbosity=0, width=100)]
    place = lines.index("Classes")
    assert lines[place + 1].strip() == "test_intent (current): macro-F1 0; a → b 1×"
    assert lines[place + 2].strip() == "test_intent (odd): macro-F1 1.00; no confusions"
