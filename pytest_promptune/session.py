"""The order of work: plan, samples, scores, comparison, verdicts, outputs. No pytest, no printing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_promptune.choosing import (
    is_several_changes,
    known_variants,
    measured_variants,
    too_many_changes,
)
from pytest_promptune.conditions import Commit, CommitReader, own_version, timestamp
from pytest_promptune.core.baseline import Baseline, Recorded
from pytest_promptune.core.case_checks import case_notes
from pytest_promptune.core.checks import refuse_contradictions, refuse_unknown_metrics
from pytest_promptune.core.course import Course, unpriced
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.gate import gate_nodeid
from pytest_promptune.core.looks import is_clear, told
from pytest_promptune.core.model import SampleError, Variant
from pytest_promptune.core.nodes.parameters import with_old_values
from pytest_promptune.core.plan import Cell, Marks, PlannedItem, cells
from pytest_promptune.core.planning import expected_decisions
from pytest_promptune.core.redacted import redacted_result, redacted_variant
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.runs import most_runs
from pytest_promptune.core.shards.shard import Shard
from pytest_promptune.core.sharing import Share, Standing
from pytest_promptune.core.tally import tally
from pytest_promptune.core.view import ComparisonRow, GateItem, LookView, View
from pytest_promptune.facts import experiment_id, facts_of
from pytest_promptune.goal_files import find_goals
from pytest_promptune.looking import Looking
from pytest_promptune.outputs import OutputError, write_outputs
from pytest_promptune.prompts import AppPrompts
from pytest_promptune.recording import Recording
from pytest_promptune.samples import Samples
from pytest_promptune.sampling import SPENT, STORED
from pytest_promptune.settings import Settings
from pytest_promptune.sharding import Catalogue
from pytest_promptune.store.baselines import baseline_path, read_baseline
from pytest_promptune.store.writing import WritingProcess
from pytest_promptune.user_aggregates import UserAggregates

if TYPE_CHECKING:
    from pytest_promptune.conclusion import Conclusion
    from pytest_promptune.core.casebook import CaseBook


class Session:
    """One pytest session that has promptune tests."""

    def __init__(
        self,
        settings: Settings,
        *,
        root: Path,
        careful: bool = False,
        more_variants: Callable[[], Iterable[Variant]] = tuple,
        aggregates: Callable[[], Iterable[object]] = tuple,
        while_waiting: Callable[[], None] = lambda: None,
        selection: str = "",
        process: WritingProcess | None = None,
    ) -> None:
        """Reads the variants; nothing runs yet.

        Args:
            settings: what the user asked for.
            root: paths of variants, modules and baselines are relative to it.
            careful: the session stops at the first failures.
            more_variants: variants that plugins give, asked once.
            aggregates: what the hook's functions give, asked once, when all tests are known.
            while_waiting: called several times a second while an item waits for its sample.
            selection: arguments that select the same tests again, as one types them after a blank.
            process: writes the experiment log; without one a thread does.

        Raises:
            VariantError: when a variant can't be read, or one that was asked for doesn't exist.
            GoalsError: when the goals file can't be read, or the one that was asked for doesn't exist.
            SettingsError: when the experiment log can't be where it is said to be.
        """
        self.settings = settings
        self.root = root
        folder = root / settings.variants
        self._selection = selection
        self._known = known_variants(settings, folder, more_variants)
        #: What is measured, the variant in place of `current` first.
        self.variants = measured_variants(settings, self._known, folder)
        #: Of the goals file, if there is one.
        self.goals = find_goals(settings.goals, root=root)
        self._prompts = AppPrompts(settings, root=root)
        self._has_prompts = False
        self._baselines: dict[str, Baseline | None] = {}
        self._catalogue = Catalogue(lambda text: self.redacted(text))
        #: What the hook for aggregates gave.
        self.aggregates = UserAggregates(aggregates)
        self._selected: Sequence[PlannedItem] = ()
        #: What is worth knowing of the plan; each told once.
        self._notes: dict[str, None] = {}
        self._experiment = Experiment()
        #: Items without a stored sample, where stored ones are scored again.
        self._unstored = 0
        #: By module: items whose sample was not generated since the budget was spent.
        self._unpaid_items: Counter[str] = Counter()
        self._started = timestamp()
        self._began = time.perf_counter()
        self._git = CommitReader(root)
        self._conclusion: Conclusion | None = None
        #: Of the look after which nothing more was needed.
        self._early_conclusion: Conclusion | None = None
        #: The looks at the verdict before all runs are there; see `look`.
        self.looking = Looking()
        #: What could not be written at the end.
        self.output_error: OutputError | None = None
        self._recording = Recording(
            settings,
            root=root,
            id=experiment_id(self._started),
            started=self._started,
            process=process,
            commit=self._git.so_far,
        )
        #: Those that the items ask for.
        self.samples = Samples(
            settings,
            self._recording,
            first=self.variants[0].name,
            careful=careful,
            while_waiting=while_waiting,
        )

    # --- plan -------------------------------------------------------------------------------------

    def cells(self, marks: Marks) -> list[Cell]:
        """All variants and runs of a test with these marks."""
        return cells(
            [variant.name for variant in self.variants], most_runs(self.settings.runs_of(marks.runs))
        )

    def variant(self, name: str) -> Variant:
        """A measured variant by its name."""
        return self._known[name]

    def begin(
        self,
        selected: Sequence[PlannedItem],
        collected: Sequence[PlannedItem],
        *,
        whole: bool = True,
        everything: bool = True,
        share: Share | None = None,
    ) -> None:
        """Check everything that can be checked before the first call of an app, and take in the plan.

        What the looks are is said before, by `looking.plan`.

        Args:
            selected: the items that will run, in their order.
            collected: those and the deselected ones.
            whole: nothing of the modules was left out when collecting.
            everything: those are all modules of the project.
            share: this process's part, where several share out the items.

        Raises:
            PromptuneError: for whatever would fail or mislead later.
        """
        refuse_contradictions(collected)
        self.aggregates.take(collected)
        refuse_unknown_metrics(self.settings.named_metrics, collected, self.aggregates.names)
        self._prepare_prompts()
        self.variants = tuple(self._described(variant) for variant in self.variants)
        self._known.update({variant.name: variant for variant in self.variants})
        for variant in self.variants:
            if text := too_many_changes(variant, refuse=self.settings.one_change):
                self._notes[text] = None
        if self.settings.mode == "baseline":
            self._notes |= dict.fromkeys(case_notes(selected))
        for module in dict.fromkeys(item.module for item in selected):
            self._baseline(module)
        self._catalogue.take(selected, collected, whole=whole, everything=everything)
        self._selected = selected
        if share is not None:
            self.looking.standing = share.standing
        texts = self._prompts.texts()
        self._recording.prepare(
            facts_of(selected, self.variants, texts, root=self.root),
            share,
            collected=lambda: facts_of(collected, self.variants, texts, root=self.root),
        )
        if self.samples.are_replayed:
            self._recording.stored.refuse_others(selected)
        self.samples.plan(selected, self.variants, share, look=self.looking.open)

    def _prepare_prompts(self) -> None:
        if self._has_prompts:
            return
        self._has_prompts = True
        self._prompts.prepare()
        self.variants = tuple(self._prompts.resolved(variant) for variant in self.variants)
        for variant in self.variants:
            self._prompts.check(variant)
        replaces = any(variant.templates for variant in self.variants)
        if replaces and (text := self._prompts.kept_by_modules()):
            self._notes[text] = None

    def _described(self, variant: Variant) -> Variant:
        return self._prompts.described(variant, self.samples.contexts())

    def _shown_variants(self) -> list[Variant]:
        return [redacted_variant(self._described(each), self._recording.redactor) for each in self.variants]

    def _measured_variants(self) -> list[Variant]:
        """With what nodes set of their models before, as the traces of the first variant showed it."""
        seen = [node for sample in self.samples.looked_at for node in sample.record.nodes]
        calls = [(node.node, node.ways) for node in seen]
        variants = map(self._described, self.variants)
        told = (replace(each, changes=with_old_values(each.changes, calls)) for each in variants)
        return [redacted_variant(each, self._recording.redactor) for each in told]

    def _baseline(self, module: str) -> Baseline | None:
        if module not in self._baselines:
            path = baseline_path(self.root, module, self.settings.against)
            self._baselines[module] = read_baseline(path)
        return self._baselines[module]

    # --- samples and scores -----------------------------------------------------------------------

    @property
    def continues(self) -> str | None:
        """Id of the experiment that this session goes on with or replays."""
        return self._recording.continues

    def redacted(self, text: str) -> str:
        """`text` as it may be shown: without secrets."""
        return self._recording.redactor.text(text)

    def record(self, result: Result) -> None:
        """Take in what an item contributes."""
        result = redacted_result(result, self._recording.redactor)
        if result.outcome == "skipped" and result.message.startswith(f"not run: {SPENT}"):
            result = self._unpaid(result)
        if result.outcome == "skipped" and result.message.startswith(f"not run: {STORED} "):
            self._unstored += 1
        if result.sample is not None:  # one that is replayed or resumed in a worker comes unpacked
            self.samples.open()
        self._experiment.add(result)
        self._recording.result(result)

    def _unpaid(self, result: Result) -> Result:
        """An item that the budget left out: its sample is missing, which is more than a skipped test."""
        self._unpaid_items[result.module] += 1
        reason = result.message.removeprefix("not run: ")
        error = SampleError(type="BudgetSpent", message=reason, infrastructure=True)
        return replace(result, outcome="missing", sample=SampleFacts(error=error))

    def knowledge(self) -> dict[str, Any]:
        """What only the process that collected knows, as plain data for the one that concludes."""
        return {
            "catalogue": self._catalogue.to_json(),
            "samples": self.samples.planned,
            "aggregates": self.aggregates.knowledge(),
            "looks": self.looking.to_json(),
            "plan": list(self._notes),
            **self._recording.knowledge(),
        }

    def know(self, knowledge: Mapping[str, Any]) -> None:
        """Take over the `knowledge` of another process."""
        self._catalogue.take_over(knowledge["catalogue"])
        self.looking.take_over(knowledge["looks"])
        self._notes |= dict.fromkeys(knowledge["plan"])
        self.samples.know_planned(knowledge["samples"])
        self.aggregates.know(knowledge["aggregates"])
        self._recording.know(knowledge)
        self.samples.know_resumed()

    def expected_decisions(self) -> int:
        """About how many decisions the gate will make, rather too many: scores aren't known yet."""
        if self.settings.mode == "baseline" or self.settings.gate == "off":
            return 0
        baselines = {item.module: self._baseline(item.module) for item in self._selected}
        modules = len(baselines)
        goals = modules * len(self.goals.goals) * len(self.variants) if self.goals else 0
        return expected_decisions(self._selected, baselines, len(self.variants)) + goals

    # --- looks ------------------------------------------------------------------------------------

    def look(self) -> Standing:
        """Judge what is there: is the verdict clear, or are the runs up to the next look needed?"""
        found = self._concluded() if self._experiment.results else None
        clear = found is not None and is_clear(
            self.settings.mode, found.comparisons, found.gate_without_goals
        )
        self.looking.taken(clear=clear)
        if clear:
            self._early_conclusion = found
        else:
            self.samples.open_up(self.looking.open)
        return self.looking.standing

    def follow(self, standing: Standing) -> None:
        """In an xdist worker: the controller has looked."""
        if standing != self.looking.standing:
            self.looking.standing = standing
            self.samples.open_up(self.looking.open)

    # --- the end ----------------------------------------------------------------------------------

    def conclude(self) -> Sequence[GateItem]:
        """Compare, judge and record; gives the gate's decisions. Called once, after the last item."""
        if not self._experiment.results:
            return ()
        self._conclusion = self._early_conclusion or self._concluded()
        return self._conclusion.gate

    @property
    def decided(self) -> Mapping[str, ComparisonRow]:
        """The comparisons behind decisions, by node id; goals, and what can't be compared, have none."""
        rows = self._conclusion.comparisons if self._conclusion is not None else ()
        return {gate_nodeid(row.name, row.candidate): row for row in rows if row.gate != "off"}

    def _concluded(self) -> Conclusion:
        from pytest_promptune.conclusion import Evidence, conclude

        if not self._selected:  # the items run in other processes
            self._prepare_prompts()
        for module in self._experiment.modules:
            self._baseline(module)
        self._experiment = self._experiment.in_order()
        evidence = Evidence(
            settings=self.settings,
            root=self.root,
            experiment=self._experiment,
            variants=[variant.name for variant in self.variants],
            several={variant.name for variant in self.variants if is_several_changes(variant)},
            changed_nodes={variant.name: tuple(variant.nodes) for variant in self.variants},
            baselines=self._baselines,
            collected=self._catalogue.cases,
            is_whole=self._catalogue.is_whole,
            is_everything=self._catalogue.is_everything,
            selection=self._selection,
            looked_at=[(sample.key.app, sample.record) for sample in self.samples.looked_at],
            unpaid=self._unpaid_items,
            recorded=self._recorded(),
            given=self.aggregates.given(),
            goals=self.goals,
            earlier=self._recording.earlier_iterations(),
            alpha=self.looking.alpha,
        )
        return conclude(evidence)

    @property
    def rerun(self) -> Sequence[str]:
        """Node ids behind failed gates, for ``--lf``."""
        return self._conclusion.rerun if self._conclusion else ()

    def finish(self, exit_code: int) -> View | None:
        """Write the outputs and give what is to be shown, ``None`` when no sample was asked for.

        What can't be written is left in `output_error`: the results are shown all the same.
        """
        if not self._experiment.results:
            self._store(None, exit_code)
            return None
        self._recording.flush()  # what went wrong while it was written is told
        view = self._view(exit_code)
        try:
            view = replace(view, written=self._written(view))
        except OutputError as error:
            self.output_error = error
            view = replace(view, written=error.written)
        finally:
            self._store(view, exit_code)
        problem = self._recording.problem
        is_told = problem is None or problem in view.warnings
        return view if is_told else replace(view, warnings=(*view.warnings, str(problem)))

    def _written(self, view: View) -> tuple[str, ...]:
        shard = self._shard() if self.settings.json is not None else None
        return write_outputs(
            view, self.settings, root=self.root, shard=shard, book=lambda: self._case_book(view)
        )

    def _case_book(self, view: View) -> CaseBook:
        return self._recording.case_book(view, self._experiment.results)

    def _shard(self) -> Shard:
        """What lets this session be merged with others that measured other parts."""
        return self._catalogue.shard(
            self.settings,
            self._experiment,
            self._shown_variants(),
            root=self.root,
            complete=self._conclusion is not None,
            looked=self._look is not None,
            prompts=self._prompts.hashes(self.variants[0]),
            aggregates=self.aggregates.names,
            notes=self._all_notes(),
            warnings=self._course().warnings(self._experiment),
        )

    def _all_notes(self) -> list[str]:
        look = self._look
        notes = [told(look)] if look else []
        return [*notes, *self._notes, *self._recording.notes, *unpriced(self._experiment)]

    @property
    def _look(self) -> LookView | None:
        """The one that counts, once there is a conclusion."""
        return self.looking.view if self._conclusion else None

    def _course(self) -> Course:
        return Course(
            replay_of=self._recording.replay_of,
            log_problem=self._recording.problem,
            stalled_s=self.samples.stalled_s,
            unstored=self._unstored,
            unpaid=self._unpaid_items.total(),
            budget_usd=self.settings.max_cost,
            spent_usd=self.samples.progress.cost_usd,
        )

    def _store(self, view: View | None, exit_code: int) -> None:
        """Complete the experiment log. An early end has no view: samples may be there nevertheless."""
        if not self._recording.is_open:
            return
        from pytest_promptune.report.json_results import to_results

        self._recording.finish(
            complete=view is not None and not view.interrupted and not self._unpaid_items,
            commit=self._commit,
            finished=view.experiment.finished if view else timestamp(),
            seconds=view.experiment.seconds if view else time.perf_counter() - self._began,
            exit_code=exit_code,
            results=to_results(view, case_means=True) if view else {},
        )

    def close(self, *, is_stopped: bool = False) -> None:
        """End everything that runs in the background and give the templates back; see `Samples.close`."""
        self.samples.close(is_stopped=is_stopped)
        if self._experiment.results or self._recording.is_open:
            _ = self._commit  # as long as git answers
        self._prompts.close()
        self._git.close()

    @cached_property
    def _commit(self) -> Commit:
        return self._git.read()

    def _recorded(self) -> Recorded:
        state, counts = self._commit, tally(self._experiment)
        return Recorded(
            at=self._started,
            commit=state.commit,
            dirty=state.dirty,
            runs=counts.runs,
            promptune=own_version(),
            concurrency=self.settings.concurrency,
            models=counts.models,
            prompts=self._prompts.hashes(self.variants[0]),
        )

    def _view(self, exit_code: int) -> View:
        from pytest_promptune.viewing import Circumstances, build_view

        circumstances = Circumstances(
            id=self._recording.id,
            started=self._started,
            seconds=time.perf_counter() - self._began,
            exit_code=exit_code,
            commit=self._commit,
            notes=self._all_notes(),
            warnings=self._course().warnings(self._experiment),
            look=self._look,
        )
        return build_view(
            self.settings,
            self._experiment,
            self._measured_variants(),
            self._conclusion,
            circumstances,
            root=self.root,
            tags=self._catalogue.tags,
        )
