"""Where the final report's numbers come from: commands that show samples, and prompts in full."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from pytest_promptune.core.circumstances import Circumstances
from pytest_promptune.core.display import UNKNOWN, clean, clean_lines
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.series.final import FinalReport, Prompt, PromptChange
from pytest_promptune.report.escape import code, codes, fence
from pytest_promptune.report.tables import Table
from pytest_promptune.report.words import Words


def measurements(report: FinalReport, w: Words) -> Table:
    """Of each measurement that the report is drawn from: its commit, and the command that lists its samples.

    Measurements that don't count are there as well, below the one that does.
    """
    header = tuple(w(key) for key in ("c_measurement", "c_variants", "c_commit", "c_samples_of"))
    return Table(title=w("h_tracing"), header=header, rows=tuple(_rows(report, w)))


def _rows(report: FinalReport, w: Words) -> Iterator[tuple[str, ...]]:
    yield _state(w("c_initial"), report.start, w)
    for each in report.iterations:
        tried = (CURRENT, *(tried.name for tried in each.tried))
        title = w("trace_iteration", number=each.number)
        yield _row(title, each.experiment, codes(tried), _commit(each.commit, w, dirty=each.dirty))
        for other in each.repeats:
            commit = _commit(other.commit, w, dirty=other.dirty)
            title = w("trace_repeat", number=each.number)
            yield _row(title, other.experiment, codes(other.variants), commit)
    if report.is_changed:
        yield _state(w("c_final"), report.present, w)


def _state(title: Markup, about: Circumstances, w: Words) -> tuple[str, ...]:
    option = f" --variant {shlex.quote(about.variant)}" if about.mode == "compare" else ""
    commit = _commit(about.commit, w, dirty=about.dirty)
    return _row(title, about.experiment, code(about.variant), commit, option)


def _row(title: Markup, experiment: str, variants: Markup, commit: str, option: str = "") -> tuple[str, ...]:
    command = f"pytest-promptune show {shlex.quote(experiment)} --samples{option}"
    return title, variants, commit, code(command)


def _commit(commit: str | None, w: Words, *, dirty: bool | None) -> str:
    if not commit:
        return UNKNOWN
    return w("with_changes", commit=code(commit)) if dirty else code(commit)


def prompts(report: FinalReport, w: Words) -> list[dict[str, Any]]:
    """Each prompt in full, changed ones first with the difference between both states."""
    every = sorted(report.prompts, key=lambda each: not each.is_changed)
    return [_prompt(each, w) for each in every]


def _prompt(each: PromptChange, w: Words) -> dict[str, Any]:
    if not each.is_changed:
        texts = [(w("prompt_same"), _full(each.before))]
    else:
        texts = [(w("c_initial"), _full(each.before)), (w("c_final"), _full(each.after))]
    return {
        "title": code(each.name),
        "diff": _diff(each, w) if each.is_changed else "",
        "texts": [(label, text) for label, text in texts if text],
    }


def _full(prompt: Prompt | None) -> Markup | str:
    return fence(clean_lines(prompt.text.removesuffix("\n"))) if prompt is not None else ""


def _diff(each: PromptChange, w: Words) -> Markup:
    before, after = ([] if side is None else clean_lines(side.text) for side in (each.before, each.after))
    source, target = (f"{w.plain(key)}/{clean(each.name)}" for key in ("c_initial", "c_final"))
    return fence(difflib.unified_diff(before, after, source, target, lineterm=""), "diff")


def prompts_note(report: FinalReport, w: Words) -> Markup:
    """Where the prompts are that no template is, and all of them as the models got them."""
    command = f"pytest-promptune show {shlex.quote(report.present.experiment)} --samples --prompts"
    return w("prompts_note" if report.prompts else "prompts_none", command=command)
