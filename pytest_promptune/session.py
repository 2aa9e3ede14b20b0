"""The order of work: plan, samples, scores, comparison, verdicts, outputs. No pytest, no printing."""

from __future__ import annotations

import hashlib
import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_promptune.conditions import Commit, CommitReader, own_version, python_version, timestamp
from pytest_promptune.core.baseline import Baseline, Recorded
from pytest_promptune.core.checks import refuse_contradictions, refuse_unknown_margins
from pytest_promptune.core.codec import sha256
from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.experiment import Experiment, Result
from pytest_promptune.core.model import CURRENT, Case, SampleRecord, Usage, Variant
from pytest_promptune.core.plan import Cell, Marks, PlannedItem, cells
from pytest_promptune.core.sharing import Share
from pytest_promptune.core.view import ExperimentView, GateItem, UsageView, VariantView, View
from pytest_promptune.outputs import write_outputs
from pytest_promptune.sampling import Sampler
from pytest_promptune.settings import DEFAULT_RUNS, Settings
from pytest_promptune.store.baselines import baseline_path, read_baseline
from pytest_promptune.variants.reading import check_name, is_one_change, read_variants, select, with_changes

if TYPE_CHECKING:
    from pytest_promptune.conclusion import Conclusion
    from pytest_promptune.variants.templates import Templates


class Session:
    """One pytest session that has promptune tests."""

    def __init__(
        self,
        settings: Settings,
        *,
        root: Path,
        careful: bool = False,
        more_variants: Callable[[], Iterable[Variant]] = tuple,
    ) -> None:
        """Reads the variants; nothing runs yet.

        Args:
            settings: what the user asked for.
            root: paths of variants, modules and baselines are relative to it.
            careful: the session stops at the first failures.
            more_variants: variants that plugins give, asked once.

        Raises:
            VariantError: when a variant can't be read, or one that was asked for doesn't exist.
        """
        self.settings = settings
        self.root = root
        self._careful = careful
        self._known = self._read_variants(more_variants)
        #: What is measured, the variant in place of `current` first.
        self.variants = self._measured()
        self._experiment = Experiment()
        self._sampler: Sampler | None = None
        self._templates: Templates | None = None
        self._baselines: dict[str, Baseline | None] = {}
        self._collected: dict[str, set[str]] = {}
        self._selected: Sequence[PlannedItem] = ()
        self._is_whole = False
        self._is_everything = False
        self._notes: list[str] = []
        self._started = timestamp()
        self._began = time.perf_counter()
        self._commit = CommitReader(root)
        self._commit_known: Commit | None = None
        self._conclusion: Conclusion | None = None
        self._id = f"{self._started.replace('-', '').replace(':', '').rstrip('Z')}-{secrets.token_hex(3)}"

    # --- plan -------------------------------------------------------------------------------------

    def _read_variants(self, more: Callable[[], Iterable[Variant]]) -> dict[str, Variant]:
        """All variants there are; a broken one must not stop a session that measures none of them."""
        known = {CURRENT: Variant(name=CURRENT, description="the app as it stands")}
        if not self.settings.compare and not self.settings.variant:
            return known
        known.update(read_variants(self._folder))
        for variant in more():
            if not isinstance(variant, Variant):
                raise VariantError(
                    f"pytest_promptune_variants gives {variant!r}; give Variant objects, as "
                    'Variant(name="cold", context={"temperature": 0}).'
                )
            check_name(variant.name, where="pytest_promptune_variants")
            if variant.name in known:
                raise VariantError(
                    f"pytest_promptune_variants gives {variant.name!r}, which exists already: rename one."
                )
            known[variant.name] = variant
        return known

    @property
    def _folder(self) -> Path:
        return self.root / self.settings.variants

    def _measured(self) -> tuple[Variant, ...]:
        settings = self.settings
        others = {name: variant for name, variant in self._known.items() if name != CURRENT}
        asked = [name for name in settings.variant if name != CURRENT]
        chosen = select(others, asked, folder=self._folder) if asked else []
        if not settings.compare:
            return tuple(chosen) or (self._known[CURRENT],)
        if not others:
            raise VariantError(
                f"--promptune-compare: there is no variant in {settings.variants}. Write one, for example "
                f"{settings.variants}/shorter/ with the changed templates in it or with a variant.toml that "
                "has a [context] table."
            )
        return (self._known[CURRENT], *(chosen if asked else others.values()))

    def cells(self, marks: Marks) -> list[Cell]:
        """All variants and runs of a test with these marks."""
        settings = self.settings
        runs = settings.runs if settings.runs_override or marks.runs is None else marks.runs
        return cells([variant.name for variant in self.variants], runs or DEFAULT_RUNS)

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
        if self.settings.margin_override:
            refuse_unknown_margins(self.settings.margin, collected)
        self._prepare_templates()
        self.variants = tuple(self._described(variant) for variant in self.variants)
        self._known.update({variant.name: variant for variant in self.variants})
        for variant in self.variants:
            self._check_one_change(variant)
        for module in dict.fromkeys(item.module for item in selected):
            self._baseline(module)
        for item in collected:
            if item.case is not None:
                self._collected.setdefault(item.module, set()).add(item.case.id)
        self._selected = selected
        self._is_whole = whole and len(selected) == len(collected)
        self._is_everything = self._is_whole and everything
        self._sampler = Sampler(
            variants={variant.name: variant for variant in self.variants},
            concurrency=share.of(self.settings.concurrency) if share else self.settings.concurrency,
            careful=self._careful,
            ahead=share.ahead if share else None,
        )
        self._sampler.plan(selected)
        # numpy, scipy and jinja2 load while the first samples wait for their model.
        threading.Thread(target=_load_what_the_end_needs, name="promptune-imports", daemon=True).start()

    def _prepare_templates(self) -> None:
        spec = self.settings.jinja_env
        replacing = [variant for variant in self.variants if variant.templates]
        if spec is None:
            if replacing:
                raise VariantError(
                    f"variant {replacing[0].name!r} replaces {', '.join(map(repr, replacing[0].templates))}"
                    ", but promptune_jinja_env doesn't say where the app's templates are. Set it in the "
                    "ini file to the jinja2.Environment the app uses, as promptune_jinja_env = "
                    '"app.prompts:env".'
                )
            return
        from pytest_promptune.variants.templates import Templates, captured_templates, load_environment

        env = load_environment(spec, rootdir=self.root)
        self._templates = Templates(env, variants=self._folder)
        for variant in replacing:
            self._templates.check(variant)
        captured = captured_templates(env, list(sys.modules.values())) if replacing else []
        if captured:
            self._notes.append(
                f"{', '.join(captured)} was loaded at import and doesn't see variants: call "
                "env.get_template where the prompt is rendered."
            )

    def _check_one_change(self, variant: Variant) -> None:
        if variant.name == CURRENT or not variant.changes or is_one_change(variant):
            return
        text = (
            f"variant {variant.name!r} is more than one change (one prompt, or parameters alone): "
            "a difference won't tell which of them made it."
        )
        if self.settings.one_change:
            raise VariantError(f"{text} promptune_one_change refuses that: split it into several variants.")
        self._notes.append(text)

    def _baseline(self, module: str) -> Baseline | None:
        if module not in self._baselines:
            path = baseline_path(self.root, module, self.settings.against)
            self._baselines[module] = read_baseline(path)
        return self._baselines[module]

    # --- samples and scores -----------------------------------------------------------------------

    def sample(self, item: PlannedItem, case: Case, app: object, *, everywhere: bool = False) -> SampleRecord:
        """The sample of an item; see `Sampler.sample`."""
        if self._sampler is None:
            raise RuntimeError("begin() comes first")
        return self._sampler.sample(item, case, app, everywhere=everywhere)

    def item_ended(self, nodeid: str) -> None:
        """The item's tests are over, whatever came of them."""
        if self._sampler is not None:
            self._sampler.done(nodeid)

    def record(self, result: Result) -> None:
        """Take in what an item contributes."""
        self._experiment.add(result)

    def knowledge(self) -> dict[str, Any]:
        """What only the process that collected knows, as plain data for the one that concludes."""
        cases = {module: sorted(ids) for module, ids in self._collected.items()}
        return {"cases": cases, "whole": self._is_whole, "everything": self._is_everything}

    def know(self, knowledge: Mapping[str, Any]) -> None:
        """Take over the `knowledge` of another process."""
        for module, ids in knowledge["cases"].items():
            self._collected.setdefault(module, set()).update(ids)
        self._is_whole = knowledge["whole"]
        self._is_everything = knowledge["everything"]

    def expected_decisions(self) -> int:
        """About how many decisions the gate will make, rather too many: scores aren't known yet."""
        if self.settings.mode == "baseline" or self.settings.gate == "off":
            return 0
        count = 0
        for module in {item.module for item in self._selected}:
            items = [item for item in self._selected if item.module == module]
            metrics = {item.metric for item in items} | {f"{item.marks.app}::error_rate" for item in items}
            baseline = self._baseline(module)
            if baseline is None:  # a score for each test, perhaps
                expected = 2 * len(metrics)
            else:
                timed_or_paid = {name for name, metric in baseline.metrics.items() if metric.is_of_app_usage}
                expected = len(metrics | set(baseline.scores) - timed_or_paid)
            count += expected * (len(self.variants) - 1 + (baseline is not None))
        return count

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

        Raises:
            PromptuneError: when an output can't be rendered or written.
        """
        if not self._experiment.results:
            return None
        view = self._view(exit_code)
        return replace(view, written=write_outputs(view, self.settings, root=self.root))

    def close(self) -> None:
        """End everything that runs in the background and give the templates back."""
        if self._sampler is not None:
            self._sampler.close()
        if self._experiment.results:
            self._read_commit()
        if self._templates is not None:
            self._templates.uninstall()
        self._commit.close()

    def _recorded(self) -> Recorded:
        state = self._read_commit()
        return Recorded(
            at=self._started,
            commit=state.commit,
            dirty=state.dirty,
            runs=self._runs,
            promptune=own_version(),
            concurrency=self.settings.concurrency,
            models=self._models,
            prompts=self._prompts(),
        )

    def _read_commit(self) -> Commit:
        if self._commit_known is None:
            self._commit_known = self._commit.read()
        return self._commit_known

    @property
    def _runs(self) -> int:
        """The most runs that any case has."""
        cells = {(r.module, r.case_id, r.variant, r.run) for r in self._experiment.results}
        counts = Counter((module, case, variant) for module, case, variant, _ in cells)
        return max(counts.values(), default=0)

    @property
    def _models(self) -> tuple[str, ...]:
        samples = self._experiment.samples.values()
        return tuple(sorted({model for facts in samples for model in facts.models}))

    def _prompts(self) -> Mapping[str, str]:
        """Hash of each of the app's templates, as the measured variant has it."""
        if self._templates is None:
            return {}
        replaced = self.variants[0].templates
        texts = {
            name: replaced.get(name) or self._templates.current(name)
            for name in self._templates.names(outside=self._folder)
        }
        return {name: sha256(text) for name, text in texts.items() if text is not None}

    def _view(self, exit_code: int) -> View:
        found = self._conclusion
        common = View(
            mode=self.settings.mode,
            exit_code=exit_code,
            experiment=self._experiment_view(),
            variants=tuple(self._variant_view(v) for v in self.variants if v.name != CURRENT),
            usage=_usage(self._experiment),
            notes=tuple(self._notes),
            interrupted=found is None,
        )
        if found is None:
            return common
        return replace(
            common,
            metrics=tuple(found.metrics),
            comparisons=tuple(found.comparisons),
            baselines=tuple(found.baselines),
            errors=tuple(found.errors),
            decision=found.decision,
            gate=tuple(found.gate),
            warnings=tuple(found.warnings),
            notes=(*self._notes, *found.notes),
        )

    def _described(self, variant: Variant) -> Variant:
        """The variant with what it changes, as far as that is known by now."""
        return with_changes(
            variant,
            current_templates=self._templates.current if self._templates else lambda _: None,
            current_context=self._sampler.contexts() if self._sampler else {},
        )

    def _variant_view(self, variant: Variant) -> VariantView:
        described = self._described(variant)
        return VariantView(
            name=variant.name,
            description=variant.description,
            changes=described.changes,
            one_change=is_one_change(described),
        )

    def _experiment_view(self) -> ExperimentView:
        experiment, state = self._experiment, self._read_commit()
        facts = list(experiment.samples.values())
        errors = [fact.error for fact in facts if fact.error is not None]
        hashes = sorted(
            f"{module}::{case}={content}"
            for module in experiment.modules
            for case, content in experiment.case_hashes(module).items()
        )
        return ExperimentView(
            id=self._id,
            started=self._started,
            finished=timestamp(),
            commit=state.commit,
            dirty=state.dirty,
            branch=state.branch,
            runs=self._runs,
            cases=len(hashes),
            variants=tuple(variant.name for variant in self.variants),
            samples=len(facts),
            errored=sum(not error.infrastructure for error in errors),
            missing=sum(error.infrastructure for error in errors),
            reused=0,
            conditions={"cases": sha256("\n".join(hashes)), "tests": self._tests_hash()},
            models=self._models,
            promptune=own_version(),
            python=python_version(),
            concurrency=self.settings.concurrency,
            alpha=self.settings.alpha,
            seconds=time.perf_counter() - self._began,
        )

    def _tests_hash(self) -> str:
        digest = hashlib.sha256()
        for module in sorted(self._experiment.modules):
            try:
                digest.update((self.root / module).read_bytes())
            except OSError:  # a module that isn't a file under the root
                digest.update(module.encode())
        return f"sha256:{digest.hexdigest()[:16]}"


def _load_what_the_end_needs() -> None:
    for module in ("pytest_promptune.conclusion", "pytest_promptune.report.markdown"):
        import_module(module)


def _usage(experiment: Experiment) -> UsageView:
    total = sum((facts.usage for facts in experiment.samples.values()), Usage())
    return UsageView(
        input_tokens=total.input_tokens, output_tokens=total.output_tokens, cost_usd=total.cost_usd
    )
