"""One stored experiment, shown as its session showed it: nothing is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Any

from pytest_promptune.core.display import clean, count, seconds
from pytest_promptune.core.lines import BOLD, DIM, INDENT, WARN, Line, line, paragraph, rule
from pytest_promptune.core.lines import cleaned as cleaned_lines
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import View
from pytest_promptune.report.json_results import from_results
from pytest_promptune.store.log import ExperimentLog, ExperimentSummary
from pytest_promptune.stored.history_lines import local
from pytest_promptune.terminal import summary as session_summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is known of an experiment."""

    summary: ExperimentSummary
    #: As ``--promptune-json`` has it; empty where the session ended before it had anything to say.
    document: Mapping[str, Any]
    view: View | None
    options: Mapping[str, Any]
    #: Versions by name of what stood between the app and its models.
    libraries: Mapping[str, str] = field(default_factory=dict)
    #: Texts by variant and name, where they were asked for.
    prompts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_experiment(log: ExperimentLog, name: str, *, prompts: bool = False) -> Shown:
    """An experiment by its id, a beginning of it, or ``last``.

    Raises:
        StoreError: when there is none, several, or its results document is damaged.
    """
    summary = log.experiment(name)
    document = log.results_of(summary.id)
    view = from_results(document, where=f"experiment {summary.id}") if document else None
    return Shown(
        summary=summary,
        document=document,
        view=view,
        options=log.options_of(summary.id),
        libraries=view.experiment.libraries if view else log.libraries_of(summary.id),
        prompts=log.prompts_of(summary.id) if prompts else {},
    )


def experiment_lines(shown: Shown, *, verbosity: int, width: int) -> list[Line]:
    """Conditions, then the terminal summary of the session, then the prompts that were asked for."""
    width = max(width, 20)
    lines = [rule(f"experiment {clean(shown.summary.id)}", width), *_conditions(shown, width)]
    if shown.view is None:
        lines += [Line(), *paragraph(_without_results(shown.summary), width, WARN)]
    else:
        lines += [Line(), *session_summary(shown.view, verbosity=verbosity, width=width)]
        lines += _changes(shown.view, width)
    for variant, texts in sorted(shown.prompts.items()):
        for name, text in sorted(texts.items()):
            lines += [Line(), *paragraph(f"Prompt {name} of {variant}", width, BOLD)]
            lines += cleaned_lines(text, width, INDENT)
    return lines


def _without_results(summary: ExperimentSummary) -> str:
    """What became of a session that has no results document."""
    size = count(summary.samples, "sample")
    measured = f"{size} measured, {summary.errored:,} errored, {summary.missing:,} missing"
    if summary.status == "running":
        return f"Running: {measured} so far."
    remedy = (
        "pytest --promptune-resume goes on with the newest interrupted experiment" if summary.samples else ""
    )
    return f"Interrupted: {measured}; nothing was concluded. {remedy + '.' if remedy else ''}"


def _conditions(shown: Shown, width: int) -> list[Line]:
    summary, lines = shown.summary, []
    took = f", {seconds(summary.seconds)}" if summary.seconds is not None else ""
    parts = [f"{summary.mode}, {summary.status}, {local(summary.started)} ({summary.started}){took}"]
    if summary.commit:
        branch = f" on {summary.branch}" if summary.branch else ""
        parts.append(f"commit {summary.commit[:10]}{branch}{', with changes' if summary.dirty else ''}")
    if summary.replay_of:
        parts.append(f"replay of {summary.replay_of}")
    if summary.variants:
        parts.append(f"variants: {', '.join(summary.variants)}")
    if shown.view is not None and shown.view.experiment.models:
        parts.append(f"models: {', '.join(shown.view.experiment.models)}")
    python = f"Python {summary.python}" if summary.python[:1].isdigit() else summary.python  # or CPython …
    libraries = (f"{name} {number}" for name, number in shown.libraries.items())
    parts.append(", ".join([f"pytest-promptune {summary.promptune}", python, *libraries]))
    for part in parts:
        lines += paragraph(part, width, DIM)
    return [*lines, *(paragraph(f"“{summary.note}”", width) if summary.note else [])]


def _changes(view: View, width: int) -> list[Line]:
    """What each variant changes, a line each; the report has the differences."""
    lines: list[Line] = []
    for variant in view.variants:
        changed = (
            ", ".join(f"{change.target} ({change.what})" for change in variant.changes) or "nothing known"
        )
        more = f": {variant.description}" if variant.description else ""
        warned = "" if variant.one_change else "; not one change"
        lines += paragraph(f"{variant.name}{more}; changes {changed}{warned}", width, indent=INDENT)
    return [Line(), line("Variants", BOLD), *lines] if lines else []


def to_json(shown: Shown) -> dict[str, Any]:
    """Everything that is known of it."""
    return {
        "experiment": asdict(shown.summary),
        "options": dict(shown.options),
        "libraries": dict(shown.libraries),
        "results": dict(shown.document) or None,
        **({"prompts": shown.prompts} if shown.prompts else {}),
    }
