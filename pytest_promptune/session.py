"""The order of work: plan, samples, scores, comparison, verdicts, outputs. No pytest, no printing."""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_promptune.choosing import (
    known_variants,
    loaded_too_early,
    measured_variants,
    no_environment,
    too_many_changes,
)
from pytest_promptune.conditions import Commit, CommitReader, own_version, timestamp
from pytest_promptune.core.baseline import Baseline, Recorded
from pytest_promptune.core.checks import refuse_contradictions, refuse_unknown_metrics
from pytest_promptune.core.codec import sha256
from pytest_promptune.core.display import count, seconds
from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.model import Case, SampleError, Variant
from pytest_promptune.core.plan import Cell, Marks, PlannedItem, cells
from pytest_promptune.core.planning import expected_decisions
from pytest_promptune.core.prices import unpriced_note
from pytest_promptune.core.progress import Progress
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.shards import Shard
from pytest_promptune.core.sharing import Share
from pytest_promptune.core.tally import tally
from pytest_promptune.core.view import GateItem, View
from pytest_promptune.outputs import OutputError, write_outputs
from pytest_promptune.recording import Facts, Outbox, Recording, facts_of, unpacked
from pytest_promptune.sampling import Budget, Sampler
from pytest_promptune.sampling.budget import SPENT
from pytest_promptune.settings import Settings
from pytest_promptune.sharding import Catalogue
from pytest_promptune.store.baselines import baseline_path, read_baseline
from pytest_promptune.store.log import LoggedSample, SampleKey
from pytest_promptune.store.writing import WritingProcess
from pytest_promptune.variants.reading import with_changes

if TYPE_CHECKING:
    from pytest_promptune.conclusion import Conclusion
    from pytest_promptune.variants.templates import Templates


#: Seconds that the modules for the end wait for those of the log.
_PATIENCE_S = 5.0


class Session:
    """One pytest session that has promptune tests."""

    def __init__(
        self,
        settings: Settings,
        *,
        root: Path,
        careful: bool = False,
        more_variants: Callable[[], Iterable[Variant]] = tuple,
        while_waiting: Callable[[], None] = lambda: None,
        process: WritingProcess | None = None,
    ) -> None:
        """Reads the variants; nothing runs yet.

        Args:
            settings: what the user asked for.
            root: paths of variants, modules and baselines are relative to it.
            careful: the session stops at the first failures.
            more_variants: variants that plugins give, asked once.
            while_waiting: called several times a second while an item waits for its sample.
            process: writes the experiment log; without one a thread does.

        Raises:
            VariantError: when a variant can't be read, or one that was asked for doesn't exist.
            SettingsError: when the experiment log can't be where it is said to be.
        """
        self.settings = settings
        self.root = root
        self._careful = careful
        self._known = known_variants(settings, self._folder, more_variants)
        #: What is measured, the variant in place of `current` first.
        self.variants = measured_variants(settings, self._known, self._folder)
        self._experiment = Experiment()
        self._sampler: Sampler | None = None
        self._templates: Templates | None = None
        self._baselines: dict[str, Baseline | None] = {}
        self._collected: dict[str, set[str]] = {}
        self._catalogue = Catalogue()
        self._selected: Sequence[PlannedItem] = ()
        self._is_whole = False
        self._is_everything = False
        self._notes: list[str] = []
        self._started = timestamp()
        self._began = time.perf_counter()
        self._commit = CommitReader(root)
        self._commit_known: Commit | None = None
        self._conclusion: Conclusion | None = None
        #: What could not be written at the end.
        self.output_error: OutputError | None = None
        self._while_waiting = while_waiting
        #: By module: items whose sample was not generated since the budget was spent.
        self._unpaid_items: Counter[str] = Counter()
        self._facts = Facts()
        self._has_opened = False
        self._outbox: Outbox | None = None
        #: As other processes of this session told it.
        self._stalled_elsewhere: float | None = None
        digits = self._started.replace("-", "").replace(":", "").rstrip("Z")
        self._recording = Recording(
            settings,
            root=root,
            id=f"{digits}-{secrets.token_hex(3)}",
            started=self._started,
            process=process,
        )

    # --- plan -------------------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return self.root / self.settings.variants

    def cells(self, marks: Marks) -> list[Cell]:
        """All variants and runs of a test with these marks."""
        return cells([variant.name for variant in self.variants], self.settings.runs_of(marks.runs))

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
        refuse_unknown_metrics(self.settings.named_metrics, collected)
        self._prepare_templates()
        self.variants = tuple(self._described(variant) for variant in self.variants)
        self._known.update({variant.name: variant for variant in self.variants})
        for variant in self.variants:
            if text := too_many_changes(variant, refuse=self.settings.one_change):
                self._notes.append(text)
        for module in dict.fromkeys(item.module for item in selected):
            self._baseline(module)
        for item in collected:
            if item.case is not None:
                self._collected.setdefault(item.module, set()).add(item.case.id)
        self._catalogue.take(selected, collected, whole=whole, everything=everything)
        self._selected = selected
        self._is_whole = whole and len(selected) == len(collected)
        self._is_everything = self._is_whole and everything
        self._facts = facts_of(selected, self.variants, self._app_templates(), root=self.root)
        self._recording.prepare(self._facts, share)
        if share is not None:  # the controller stores what the workers generate
            self._outbox = Outbox()
        self._sampler = self._make_sampler(share)
        self._sampler.plan(selected)

    def _load_what_the_end_needs(self) -> None:
        """After the log, where that loads in this process: items wait for it, and both take twice as long."""
        self._recording.wait_until_ready(_PATIENCE_S)
        for module in ("pytest_promptune.conclusion", "pytest_promptune.report.markdown"):
            import_module(module)

    def _make_sampler(self, share: Share | None) -> Sampler:
        settings = self.settings
        workers = share.workers if share else 1
        return Sampler(
            variants={variant.name: variant for variant in self.variants},
            concurrency=share.of(settings.concurrency) if share else settings.concurrency,
            careful=self._careful,
            rate=settings.rate and settings.rate / workers,
            budget=None if settings.max_cost is None else Budget(settings.max_cost / workers),
            prices=settings.prices,
            ahead=share.ahead if share else None,
            stored=self._recording.stored,
            finished=self._outbox.put if self._outbox else self._recording.sample,
            while_waiting=self._while_waiting,
        )

    def _prepare_templates(self) -> None:
        spec = self.settings.jinja_env
        replacing = [variant for variant in self.variants if variant.templates]
        if spec is None:
            if replacing:
                raise VariantError(no_environment(replacing[0]))
            return
        from pytest_promptune.variants.templates import Templates, captured_templates, load_environment

        env = load_environment(spec, rootdir=self.root)
        self._templates = Templates(env, variants=self._folder)
        for variant in replacing:
            self._templates.check(variant)
        captured = captured_templates(env, list(sys.modules.values())) if replacing else []
        if captured:
            self._notes.append(loaded_too_early(captured))

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

    @property
    def replays(self) -> bool:
        """Stored outputs are scored again: the app is never called, nor made."""
        return self._recording.stored.replays

    def sample(
        self,
        item: PlannedItem,
        case: Case,
        app: object,
        *,
        everywhere: bool = False,
        depends: Container[str] | None = None,
    ) -> LoggedSample:
        """The sample of an item, as it is stored; see `Sampler.sample`."""
        if self._sampler is None:
            raise RuntimeError("begin() comes first")
        self._open()
        found = self._sampler.sample(item, case, app, everywhere=everywhere, depends=depends)
        self._recording.wait_for(found.key)
        return found

    def key(
        self, item: PlannedItem, case: Case, *, everywhere: bool, depends: Container[str] | None
    ) -> SampleKey:
        """What the sample of an item is called, also where it isn't generated."""
        if self._sampler is None:
            raise RuntimeError("begin() comes first")
        return self._sampler.key(item, case, everywhere=everywhere, depends=depends)

    def replayed(self, item: PlannedItem, case: Case) -> LoggedSample:
        """The stored sample of an item; see `Sampler.replayed`."""
        if self._sampler is None:
            raise RuntimeError("begin() comes first")
        self._open()
        return self._sampler.replayed(item, case)

    def _open(self) -> None:
        """Begin the experiment with the first sample that is asked for: looking at tests leaves none."""
        if self._outbox is not None or self._has_opened:
            return
        self._has_opened = True
        self._recording.open(self._facts)
        # numpy and jinja2 load while the first samples wait for their model.
        threading.Thread(target=self._load_what_the_end_needs, name="promptune-imports", daemon=True).start()

    def is_reused(self, key: SampleKey) -> bool:
        """Whether a sample was taken from an earlier session."""
        is_taken = self._sampler is not None and self._sampler.is_reused(key)
        return is_taken and key not in self._recording.of_this_session

    def packed(self) -> str | None:
        """In an xdist worker: the finished samples that the controller hasn't got yet, as text."""
        return self._outbox.take() if self._outbox else None

    def unpack(self, text: str) -> None:
        """Take in `packed` samples."""
        self._open()
        for sample in unpacked(text):
            self._recording.sample(sample)

    @property
    def progress(self) -> Progress:
        """How far the samples are."""
        return self._sampler.progress if self._sampler else Progress(done=0, total=0, in_flight=0)

    @property
    def stalled_s(self) -> float | None:
        """For how long an app kept all samples of a process waiting, ``None`` if none did."""
        known = [self._stalled_elsewhere, self._sampler.stalled_s if self._sampler else None]
        return max((stalled for stalled in known if stalled is not None), default=None)

    def know_stalled(self, stalled_s: float) -> None:
        """Take over what another process measured."""
        self._stalled_elsewhere = max(stalled_s, self._stalled_elsewhere or 0.0)

    def item_ended(self, nodeid: str) -> None:
        """The item's tests are over, whatever came of them."""
        if self._sampler is not None:
            self._sampler.done(nodeid)

    def redacted(self, text: str) -> str:
        """`text` as it may be shown: without secrets."""
        return self._recording.redacted(text)

    def record(self, result: Result) -> None:
        """Take in what an item contributes."""
        result = self._recording.without_secrets(result)
        if result.outcome == "skipped" and result.message.startswith(f"not run: {SPENT}"):
            result = self._unpaid(result)
        if result.sample is not None:  # one that is replayed or resumed in a worker comes unpacked
            self._open()
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
        cases = {module: sorted(ids) for module, ids in self._collected.items()}
        return {
            "cases": cases,
            "catalogue": self._catalogue.to_json(),
            "whole": self._is_whole,
            "everything": self._is_everything,
            "conditions": self._facts.conditions,
            "prompts": self._facts.prompts,
            "resumes": self._recording.stored.name,
            "notes": self._recording.notes,
        }

    def know(self, knowledge: Mapping[str, Any]) -> None:
        """Take over the `knowledge` of another process."""
        for module, ids in knowledge["cases"].items():
            self._collected.setdefault(module, set()).update(ids)
        self._catalogue.take_over(knowledge["catalogue"])
        self._is_whole = knowledge["whole"]
        self._is_everything = knowledge["everything"]
        if not self._facts.conditions:  # the first one; the others know the same
            self._facts = Facts(conditions=knowledge["conditions"], prompts=knowledge["prompts"])
            self._recording.notes.extend(knowledge["notes"])
            if knowledge["resumes"]:
                self._recording.take_over(knowledge["resumes"])

    def expected_decisions(self) -> int:
        """About how many decisions the gate will make, rather too many: scores aren't known yet."""
        if self.settings.mode == "baseline" or self.settings.gate == "off":
            return 0
        baselines = {item.module: self._baseline(item.module) for item in self._selected}
        return expected_decisions(self._selected, baselines, len(self.variants))

    # --- the end ----------------------------------------------------------------------------------

    def conclude(self) -> Sequence[GateItem]:
        """Compare, judge and record; gives the gate's decisions. Called once, after the last item."""
        if not self._experiment.results:
            return ()
        from pytest_promptune.conclusion import Evidence, conclude

        if self._sampler is None and self._templates is None:  # the items ran in other processes
            self._prepare_templates()
        for module in self._experiment.modules:
            self._baseline(module)
        self._experiment = self._experiment.in_order()
        evidence = Evidence(
            settings=self.settings,
            root=self.root,
            experiment=self._experiment,
            variants=[variant.name for variant in self.variants],
            baselines=self._baselines,
            collected={module: frozenset(ids) for module, ids in self._collected.items()},
            is_whole=self._is_whole,
            is_everything=self._is_everything,
            unpaid=self._unpaid_items,
            recorded=self._recorded(),
        )
        self._conclusion = conclude(evidence)
        return self._conclusion.gate

    @property
    def rerun(self) -> Sequence[str]:
        """Node ids behind failed gates, for ``--lf``."""
        return self._conclusion.rerun if self._conclusion else ()

    def finish(self, exit_code: int) -> View | None:
        """Write the outputs and give what is to be shown, ``None`` when no sample was asked for.

        What can't be written is left in `output_error`: the results are shown all the same.
        """
        if not self._experiment.results:
            self._store_early_end(exit_code)
            return None
        view = self._view(exit_code)
        try:
            shard = self._shard() if self.settings.json is not None else None
            return replace(view, written=write_outputs(view, self.settings, root=self.root, shard=shard))
        except OutputError as error:
            self.output_error = error
            return replace(view, written=error.written)
        finally:
            self._store(view)

    def _shard(self) -> Shard:
        """What lets this session be merged with others that measured other parts."""
        return self._catalogue.shard(
            self.settings,
            self._experiment,
            [self._described(variant) for variant in self.variants],
            root=self.root,
            complete=self._conclusion is not None,
            prompts=self._prompts(),
            notes=self._all_notes(),
            warnings=self._warnings(),
        )

    def _all_notes(self) -> list[str]:
        return [*self._notes, *self._recording.notes, *self._price_notes()]

    def _store(self, view: View) -> None:
        """Complete the experiment log."""
        if not self._recording.is_open:
            return
        from pytest_promptune.report.json_results import to_results

        self._recording.finish(
            complete=not view.interrupted and not self._unpaid_items,
            commit=self._read_commit(),
            finished=view.experiment.finished,
            seconds=view.experiment.seconds,
            exit_code=view.exit_code,
            results=to_results(view),
        )

    def _store_early_end(self, exit_code: int) -> None:
        """Interrupted before the first item ended: samples may be there nevertheless."""
        if self._recording.is_open:
            self._recording.finish(
                complete=False,
                commit=self._read_commit(),
                finished=timestamp(),
                seconds=time.perf_counter() - self._began,
                exit_code=exit_code,
                results={},
            )

    def close(self) -> None:
        """End everything that runs in the background and give the templates back."""
        if self._sampler is not None:
            self._sampler.close()
        if self._experiment.results or self._recording.is_open:
            self._read_commit()
        if self._templates is not None:
            self._templates.uninstall()
        self._commit.close()

    def _recorded(self) -> Recorded:
        state, counts = self._read_commit(), tally(self._experiment)
        return Recorded(
            at=self._started,
            commit=state.commit,
            dirty=state.dirty,
            runs=counts.runs,
            promptune=own_version(),
            concurrency=self.settings.concurrency,
            models=counts.models,
            prompts=self._prompts(),
        )

    def _read_commit(self) -> Commit:
        if self._commit_known is None:
            self._commit_known = self._commit.read()
        return self._commit_known

    def _app_templates(self) -> dict[str, str]:
        """The text of each of the app's templates, as `current` has it."""
        if self._templates is None:
            return {}
        return self._templates.texts(outside=self._folder)

    def _prompts(self) -> Mapping[str, str]:
        """Hash of each of the app's templates, as the measured variant has it."""
        replaced = self.variants[0].templates
        return {name: sha256(replaced.get(name) or text) for name, text in self._app_templates().items()}

    def _view(self, exit_code: int) -> View:
        from pytest_promptune.viewing import Circumstances, build_view

        circumstances = Circumstances(
            id=self._recording.id,
            started=self._started,
            seconds=time.perf_counter() - self._began,
            exit_code=exit_code,
            commit=self._read_commit(),
            notes=self._all_notes(),
            warnings=self._warnings(),
        )
        variants = [self._described(variant) for variant in self.variants]
        return build_view(
            self.settings, self._experiment, variants, self._conclusion, circumstances, root=self.root
        )

    def _price_notes(self) -> list[str]:
        facts = self._experiment.samples.values()
        models = dict.fromkeys(model for fact in facts for model in fact.unpriced)
        return [note] if (note := unpriced_note(tuple(models))) else []

    def _warnings(self) -> list[str]:
        """What went wrong around the samples."""
        found = []
        if self._recording.replay_of:
            found.append(
                f"Replayed: outputs of experiment {self._recording.replay_of}, scored with today's tests; "
                "the app was not called."
            )
        if self._recording.problem:
            found.append(self._recording.problem)
        if self.stalled_s is not None:
            found.append(
                f"An app kept all samples waiting for {seconds(self.stalled_s)}: it blocks the "
                "event loop. Await its calls, or make it a synchronous function, which runs in a thread."
            )
        if self._unpaid_items:
            found.append(
                f"--promptune-max-cost was spent: {count(self._unpaid_items.total(), 'item')} not run, whose "
                "samples count as missing. --promptune-resume measures them with a budget of their own."
            )
        facts = self._experiment.samples.values()
        if self.settings.max_cost is not None and any(fact.unpriced for fact in facts):
            found.append(
                "--promptune-max-cost could not count all calls: some models have no known price. Give it in "
                "promptune_prices."
            )
        return found

    def _described(self, variant: Variant) -> Variant:
        """The variant with what it changes, as far as that is known by now."""
        return with_changes(
            variant,
            current_templates=self._templates.current if self._templates else lambda _: None,
            current_context=self._sampler.contexts() if self._sampler else {},
        )
