"""The prompts that an app's nodes sent to their models in the newest stored experiment that has some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_promptune.conditions import app_hashes, changed_tests
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.model import CURRENT, NodeRun, Prompt
from pytest_promptune.core.planning import Place
from pytest_promptune.core.redaction import REDACTED
from pytest_promptune.core.values import dataclass
from pytest_promptune.planning.history import MOST_EXPERIMENTS, is_of
from pytest_promptune.store.log import APP, ExperimentLog, Location


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPrompt:
    """The messages of one call, and the sample it belongs to."""

    case_id: str
    run: int
    prompt: Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one node sent, under `current`."""

    experiment: str
    prompts: tuple[SentPrompt, ...]
    #: The modules of app and tests are what they were then, as far as both know them.
    is_of_this_app: bool


def sent_by(
    location: Location | None, wanted: Sequence[tuple[Place, str]], *, root: Path
) -> dict[tuple[Place, str], Sent]:
    """Of each app and node path, what the newest experiment has of it that has any; secrets were cut out.

    A log that can't be read says nothing here: the plan tells of it elsewhere.

    Args:
        location: of the log.
        wanted: apps with the paths of their nodes.
        root: of the project.
    """
    found: dict[tuple[Place, str], Sent] = {}
    if location is None or not wanted or (location.path is not None and not location.path.exists()):
        return found
    try:
        with ExperimentLog(location) as log:
            for experiment in log.history(MOST_EXPERIMENTS):
                missing = [each for each in wanted if each not in found]
                if not missing:
                    break
                if experiment.samples and experiment.replay_of is None:
                    prompts = _prompts_of(log, experiment.id, missing)
                    is_same = bool(prompts) and _is_same(log.conditions_of(experiment.id), root)
                    for each, these in prompts.items():
                        found[each] = Sent(
                            experiment=experiment.id, prompts=tuple(these), is_of_this_app=is_same
                        )
    except StoreError:
        return found
    return found


def _prompts_of(
    log: ExperimentLog, experiment: str, wanted: Sequence[tuple[Place, str]]
) -> dict[tuple[Place, str], list[SentPrompt]]:
    found: dict[tuple[Place, str], list[SentPrompt]] = {}
    for sample in log.samples(experiment, variant=CURRENT):
        record = sample.record
        for node in record.nodes:
            for place, path in wanted:
                if path == node.node and is_of(sample.key, place):
                    found.setdefault((place, path), []).extend(
                        SentPrompt(case_id=record.case_id, run=record.run, prompt=prompt)
                        for prompt in _whole(node)
                    )
    return {each: prompts for each, prompts in found.items() if prompts}


def _whole(node: NodeRun) -> Iterator[Prompt]:
    """The prompts of its calls, without those from which a secret was cut."""
    for prompt in dict.fromkeys(node.prompts or (node.prompt,)):
        if prompt and not any(REDACTED in text for _, text in prompt):
            yield prompt


def _is_same(conditions: Mapping[str, Any], root: Path) -> bool:
    tests, app = conditions.get("tests") or {}, conditions.get(APP) or {}
    now = app_hashes(root, but=tests)
    return not changed_tests(tests, root=root) and all(
        now[file] == before for file, before in app.items() if file in now
    )
