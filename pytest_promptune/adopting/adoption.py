"""The order of work of ``pytest-promptune adopt``: read, compute, check, write all or nothing, commit."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_promptune.adopting.baselines import (
    Place,
    baseline_changes,
    left_alone,
    measured_places,
    recorded_cases,
)
from pytest_promptune.adopting.cases import cases_today
from pytest_promptune.adopting.committing import Committing
from pytest_promptune.adopting.contexts import context_changes
from pytest_promptune.adopting.files import replacing
from pytest_promptune.adopting.measured import (
    Measured,
    Measurements,
    call_sites,
    changed_cases,
    not_shown,
    obstacles,
    outdated,
)
from pytest_promptune.adopting.message import commit_message
from pytest_promptune.adopting.nodes import Project, node_changes
from pytest_promptune.adopting.repository import CHANGED, IGNORED, UNKNOWN
from pytest_promptune.adopting.source_files import edits_of
from pytest_promptune.adopting.templates import check_templates, template_changes
from pytest_promptune.adopting.values import (
    AdoptError,
    ByHand,
    FileEdit,
    Outcome,
    Wishes,
)
from pytest_promptune.app_imports import importing
from pytest_promptune.conditions import timestamp
from pytest_promptune.core.display import clean_lines, some
from pytest_promptune.core.errors import StoreError, VariantError
from pytest_promptune.core.gate import named
from pytest_promptune.core.model import Variant
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.ini_files import python_paths, settings_of
from pytest_promptune.langgraph.nodes.sources import Sources
from pytest_promptune.prompts import AppPrompts
from pytest_promptune.store.log import STORE_OPTION, Adoption, ExperimentLog, check_writable, locate
from pytest_promptune.variants.literals import with_templates
from pytest_promptune.variants.reading import read_variant, unread_files, variant_path

#: What to do about a file that would be written over.
_REMEDY = {
    CHANGED: "commit it, or put it back with git restore",
    UNKNOWN: "commit it",
    IGNORED: "keep a copy of it elsewhere",
}


def adopt(wishes: Wishes) -> Outcome:
    """Make a variant the app's own, as far as that is right and can be done.

    Raises:
        PromptuneError: for a variant or an experiment that isn't there, and for whatever can't be read or
            written; nothing is changed then.
    """
    if not wishes.root.is_dir():
        raise AdoptError(f"--root: {wishes.root.as_posix()} is no folder.")
    if wishes.tag is not None and not wishes.commit:
        raise AdoptError("--tag tags the commit that --commit makes: give both.")
    settings = settings_of(wishes.root)
    variant = read_variant(wishes.root / settings.variants, wishes.variant)
    store = settings.store if wishes.store is None else wishes.store
    if store == "":
        raise AdoptError(
            "there is no experiment log, since promptune_store is empty: nothing speaks for a variant."
        )
    location = locate(store, root=wishes.root, option=STORE_OPTION)
    prompts = AppPrompts(settings, root=wishes.root)
    with ExperimentLog(location) as log, importing(python_paths(wishes.root)):
        if not wishes.dry_run:
            check_writable(location)
        prompts.prepare()
        try:
            return _Work(wishes, log, prompts, variant).done()
        finally:
            prompts.close()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """All that is to be written, and what a person has to do."""

    edits: Sequence[FileEdit]
    baselines: Sequence[FileEdit]
    #: Experiments whose scores go into further baselines.
    others: Sequence[Measured]
    by_hand: Sequence[ByHand]


class _Work:
    """One adoption."""

    def __init__(self, wishes: Wishes, log: ExperimentLog, prompts: AppPrompts, variant: Variant) -> None:
        self._wishes = wishes
        self._log = log
        self._prompts = prompts
        self._variant = variant
        self._root = wishes.root
        self._settings = settings_of(wishes.root)
        self._folder = wishes.root / self._settings.variants
        self._gone = variant_path(self._folder, variant.name)
        self._redactor = Redactor(self._settings.redact)
        self._measurements = Measurements(
            log, variant.name, resolutions=self._resolutions, against=self._settings.against
        )
        self._warnings: list[str] = []
        self._notes: list[str] = []

    def done(self) -> Outcome:
        """Everything in its order."""
        measured = self._measurements.first(self._wishes.experiment)
        if self._variant.templates:
            self._prompts.check(measured.variant)
        plan = self._planned(measured)
        outcome = self._outcome(measured, plan)
        if self._blocking(plan):
            return replace(outcome, by_hand=tuple(self._blocking(plan)), command=self._again())
        self._committing(plan)  # what stands against a commit is said before anything else
        refusals = list(self._refusals(measured, plan))
        if refusals and not self._wishes.force:
            return replace(outcome, refusals=tuple(refusals), warnings=tuple(self._warnings))
        self._look_at_cases([measured, *plan.others])
        outcome = replace(
            outcome, warnings=(*refusals, *self._warnings), notes=(*outcome.notes, *self._notes)
        )
        if self._wishes.dry_run:
            return replace(outcome, diffs=tuple(map(self._diff, plan.edits)), dry_run=True)
        return self._written(measured, plan, outcome)

    # --- what is to be done -----------------------------------------------------------------------

    def _resolutions(self, olds: Mapping[str, str]) -> Iterator[Variant]:
        """The variant with the old prompts of its nodes: from the source, or as they were when measured."""
        with contextlib.suppress(VariantError):  # the source has been changed since
            yield with_templates(self._variant, root=self._root)
        nodes: dict[str, Mapping[str, Any]] = {}
        for path, table in self._variant.nodes.items():
            nodes[path] = table
            if "prompt_from" in table and path in olds:
                kept = {key: value for key, value in table.items() if key != "prompt_from"}
                nodes[path] = kept | {"template": olds[path]}
        yield dataclasses.replace(self._variant, nodes=nodes)

    def _planned(self, measured: Measured) -> _Plan:
        variant, root = measured.variant, self._root
        edits, by_hand = template_changes(variant.templates, self._prompts, root=root, variants=self._folder)
        project = Project(
            root=root,
            variants=self._folder,
            sources=Sources(root, variants=self._folder),
            applied=self._wishes.applied,
            sites=self._sites(measured),
        )
        olds = {path: table["template"] for path, table in variant.nodes.items() if "template" in table}
        in_nodes, of_nodes = node_changes(self._variant.nodes, olds, project)
        in_contexts, of_contexts = context_changes(variant.context, project)
        more, conflicts = edits_of([*in_nodes, *in_contexts], root)
        others = list(self._others(measured))
        return _Plan(
            edits=[*edits, *more],
            baselines=self._baselines(measured, others),
            others=others,
            by_hand=[*by_hand, *of_nodes, *of_contexts, *conflicts],
        )

    def _others(self, measured: Measured) -> Iterator[Measured]:
        """The newest comparisons beside other baselines, each with the modules that take its scores."""
        taken = measured_places(measured)
        for other in self._measurements.others(measured):
            mine = measured_places(other) - taken
            if mine and not any(self._outdated(other)):
                taken |= mine
                yield replace(other, modules=frozenset(module for module, _ in mine))

    def _baselines(self, measured: Measured, others: Sequence[Measured]) -> list[FileEdit]:
        """The baselines with the variant's scores; tells which are of another experiment and which stay."""
        found: list[FileEdit] = []
        places: set[Place] = set()
        for each in (measured, *others):
            baselines, conclusion = baseline_changes(
                self._log.results(each.experiment.id),
                each,
                self._prompts.hashes(each.variant),
                settings=self._settings,
                root=self._root,
            )
            found += baselines
            places |= measured_places(each)
            self._warnings += conclusion.warnings
            for view in conclusion.baselines:
                if "not" in view.action:
                    self._notes.append(f"The baseline {view.path}: {view.detail}.")
                elif each is not measured:
                    of = each.experiment.id
                    self._notes.append(f"The baseline {view.path}: scores of experiment {of}.")
        self._warnings += left_alone(places, self._variant.name, root=self._root)
        return found

    def _sites(self, measured: Measured) -> dict[str, list[str]]:
        """Places of model calls, relative to the root where they lie below it."""
        found: dict[str, list[str]] = {}
        for node, sites in call_sites(self._log, measured).items():
            for site in sites:
                file, _, line = site.rpartition(":")
                path = Path(file)
                is_below = path.is_relative_to(self._root)
                name = path.relative_to(self._root).as_posix() if is_below else file
                found.setdefault(node, []).append(f"{name}:{line}")
        return found

    def _blocking(self, plan: _Plan) -> list[ByHand]:
        """What is left to be done by hand: of templates that can be seen, of others it is trusted."""
        if not self._wishes.applied:
            return list(plan.by_hand)
        return [each for each in plan.by_hand if each.what.startswith("the template ")]

    def _again(self) -> str:
        options = [
            *(["--experiment", self._wishes.experiment] if self._wishes.experiment else []),
            *(["--commit"] if self._wishes.commit else []),
            *(["--tag", self._wishes.tag] if self._wishes.tag else []),
        ]
        return shlex.join(["pytest-promptune", "adopt", self._variant.name, "--applied", *options])

    # --- what stands against it -------------------------------------------------------------------

    def _refusals(self, measured: Measured, plan: _Plan) -> Iterator[str]:
        if said := not_shown(measured):
            yield f"{said}{self._where_it_was_shown(measured)}"
        yield from obstacles(measured)
        if parts := self._measurements.beside(measured, recorded_cases(measured, root=self._root)):
            yield (
                f"Experiment {measured.experiment.id} is one part of a suite: {some(parts)} measured other "
                "cases of the same tests under the same conditions, as shards do, and their scores would be "
                f"left out. Compare {self._variant.name} in all cases in one session: pytest "
                f"--promptune-compare --promptune-variant={self._variant.name}"
            )
        for other in plan.others:
            where = f"Beside the baseline {other.against}, in experiment {other.experiment.id}"
            yield from (f"{where}: {text}" for text in obstacles(other))
        yield from self._outdated(measured)
        yield from self._losses(plan)
        if self._gone.is_dir():
            for path in self._committing(plan).only_here(unread_files(self._gone)):
                yield f"{self._name(path)} would be deleted with the variant: move it away."

    def _where_it_was_shown(self, measured: Measured) -> str:
        """The newest comparison that nothing stands against, or nothing."""
        for other in self._measurements.others(measured):
            if not not_shown(other) and not any(obstacles(other)) and not any(self._outdated(other)):
                id_ = other.experiment.id
                return f" Experiment {id_} showed it: --experiment {id_} takes its numbers."
        return ""

    def _losses(self, plan: _Plan) -> Iterator[str]:
        """Files of which git could not give back what is in them now.

        A baseline that git was never told of is not among them: its scores are in the experiment log, too.
        """
        committing = self._committing(plan)
        if not self._wishes.applied:
            for path, why in committing.at_risk([edit.path for edit in plan.edits]).items():
                yield f"{self._name(path)} is {why}, and would be written over: {_REMEDY[why]}."
        for path, why in committing.at_risk([edit.path for edit in plan.baselines]).items():
            if why == CHANGED:
                yield f"{self._name(path)} is {why}, and would be written over: {_REMEDY[why]}."

    def _outdated(self, measured: Measured) -> Iterator[str]:
        return outdated(measured, root=self._root, texts=self._prompts.texts(), applied=self._wishes.applied)

    def _look_at_cases(self, measured: Sequence[Measured]) -> None:
        """Pytest takes seconds to collect them, so this comes when nothing else stands against it."""
        today = cases_today(self._root)
        if today is None:
            self._warnings.append(
                "pytest can't collect the tests here, so it isn't known whether cases changed."
            )
            return
        for each in measured:
            if said := changed_cases(each, today):
                self._warnings.append(said)

    # --- doing it ---------------------------------------------------------------------------------

    def _committing(self, plan: _Plan) -> Committing:
        if self._commit is None:
            written = [edit.path for edit in (*plan.edits, *plan.baselines)]
            by_hand = [each.path for each in plan.by_hand if each.path is not None]
            self._commit = Committing(self._root, written, by_hand=by_hand, gone=self._gone)
            if self._wishes.commit and (why := self._commit.obstacle(self._wishes.tag)):
                raise AdoptError(f"{why}. Nothing was written.")
        return self._commit

    _commit: Committing | None = None

    def _written(self, measured: Measured, plan: _Plan, outcome: Outcome) -> Outcome:
        committing = self._committing(plan)
        at = timestamp()
        adoptions = [
            Adoption(experiment=id_, variant=self._variant.name, at=at, commit=None)
            for id_ in _of_series([measured, *plan.others])
        ]
        with replacing([*plan.edits, *plan.baselines], self._gone):
            check_templates(measured.variant.templates, self._prompts)
            self._log.adopt(*adoptions)
        made = committing.made(
            outcome.message, name=self._variant.name, commit=self._wishes.commit, tag=self._wishes.tag
        )
        notes = [*made.notes]
        if made.commit is not None:
            try:
                self._log.adopt(*(replace(each, commit=made.commit) for each in adoptions))
            except StoreError as error:  # the adoption itself is noted
                notes.append(f"The commit is not noted in the experiment log: {error}")
        return replace(
            outcome,
            adopted=True,
            commit=made.commit,
            tag=made.tag,
            git_problem=made.problem,
            command=made.command,
            notes=(*outcome.notes, *notes),
        )

    # --- telling ----------------------------------------------------------------------------------

    def _outcome(self, measured: Measured, plan: _Plan) -> Outcome:
        names = [f"{self._name(edit.path)}: {edit.what}" for edit in plan.edits]
        by_hand = [f"{self._name(each.path)}: by hand" for each in plan.by_hand if each.path is not None]
        told = list(dict.fromkeys([*names, *by_hand]))
        return Outcome(
            variant=self._variant.name,
            experiment=measured.experiment.id,
            files=tuple(self._name(edit.path) for edit in (*plan.edits, *plan.baselines)),
            baselines=tuple(self._name(edit.path) for edit in plan.baselines),
            removed=self._name(self._gone),
            message=commit_message(measured, plan.others, told, self._redactor),
            compares=self._compares(measured, plan),
        )

    def _compares(self, measured: Measured, plan: _Plan) -> str:
        """The command that compares with the new baselines: with the usual one if it is among them."""
        usual = self._settings.against
        names = [each.against for each in (measured, *plan.others)]
        return "pytest" if usual in names else f"pytest{named(measured.against)}"

    @cached_property
    def _real_root(self) -> Path:
        return self._root.resolve()

    def _name(self, path: Path) -> str:
        """A path as the user knows it."""
        for root in (self._root, self._real_root):
            if path.is_relative_to(root):
                return path.relative_to(root).as_posix()
        return path.as_posix()

    def _diff(self, edit: FileEdit) -> str:
        before, after = (
            clean_lines(self._redactor.text(content.decode("utf-8", "replace").rstrip("\n")))
            for content in (edit.before or b"", edit.after)
        )
        name = self._name(edit.path)
        return "\n".join(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", lineterm=""))


def _of_series(measured: Sequence[Measured]) -> list[str]:
    """An experiment for each tuning series: a series has an adoption once."""
    found: dict[str, str] = {}
    for each in measured:
        found.setdefault(each.experiment.series or each.experiment.id, each.experiment.id)
    return list(found.values())
