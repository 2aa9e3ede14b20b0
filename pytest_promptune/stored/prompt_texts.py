"""The prompts of two states of an app, in full, out of the experiment log."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_promptune.core.codec import sha256
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.series.final import Prompt, PromptChange
from pytest_promptune.core.series.model import Point
from pytest_promptune.store.log import ExperimentLog


def prompt_changes(log: ExperimentLog, start: Point, present: Point) -> tuple[PromptChange, ...]:
    """Each template of the app at the starting point and at present, by name.

    Raises:
        StoreError: when an experiment can't be read.
    """
    before = _prompts(log, start)
    after = before if present == start else _prompts(log, present)
    return tuple(
        PromptChange(name=name, before=before.get(name), after=after.get(name))
        for name in sorted({*before, *after})
    )


def _prompts(log: ExperimentLog, point: Point) -> Mapping[str, Prompt]:
    """Those of `current`, with what the variant replaces.

    The hash of what stood in a file is that of the session's conditions, which saw it with its secrets.
    """
    texts = log.prompts_of(point.experiment)
    hashes = log.conditions_of(point.experiment).get("prompts") or {}
    found = {
        name: Prompt(text=text, hash=str(hashes.get(name) or sha256(text)))
        for name, text in texts.get(CURRENT, {}).items()
    }
    if point.variant != CURRENT:
        replaced = texts.get(point.variant, {})
        found |= {name: Prompt(text=text, hash=sha256(text)) for name, text in replaced.items()}
    return found
