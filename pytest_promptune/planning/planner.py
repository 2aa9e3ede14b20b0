"""Gathers a plan: the plugin tells what fixtures gave, the rest is read from files and the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_promptune.conditions import timestamp
from pytest_promptune.core.aggregates.given import Aggregate
from pytest_promptune.core.case_checks import case_checks
from pytest_promptune.core.checks import refuse_contradictions, refuse_unknown_metrics
from pytest_promptune.core.display import clean, count, money
from pytest_promptune.core.errors import PromptuneError, ScoreError, VariantError
from pytest_promptune.core.estimates import duration, most_known
from pytest_promptune.core.goals.model import Goals
from pytest_promptune.core.model import Case, Variant
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.planning import Check, Entry, Estimate, Place, Plan, matrix
from pytest_promptune.core.scorers import scorer_of
from pytest_promptune.core.stages import SIZES
from pytest_promptune.core.values import dataclass
from pytest_promptune.engine import Engine
from pytest_promptune.facts import facts_of, test_files
from pytest_promptune.looking import planned_looks
from pytest_promptune.planning.baselines import Baselines
from pytest_promptune.planning.goals import Suite, goal_checks
from pytest_promptune.planning.history import History
from pytest_promptune.planning.models import AppModels
from pytest_promptune.planning.node_changes import NodeChanges
from pytest_promptune.planning.sensitivity import Known, sensitivities
from pytest_promptune.planning.variants import PlannedVariants
from pytest_promptune.recording import Recording
from pytest_promptune.sampling.apps import BuiltApp
from pytest_promptune.sampling.reach import Reach, folder_of
from pytest_promptune.settings import Settings
from pytest_promptune.store.log import SampleKey, locate

#: Stands for the hash of a case that has none, or isn't known.
_NO_HASH = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the fixture of an app or of a scorer gave when an item asked for it."""

    name: str
    item: PlannedItem
    value: object = None
    #: Why there is no value, or none that can be used.
    problem: str = ""
    #: The fixture skips, with this reason: so would the tests.
    skips: str = ""
    #: It serves other modules as well.
    everywhere: bool = True
    #: Names of the fixtures it is made of; ``None`` where that isn't known.
    depends: frozenset[str] | None = None


class Planner:
    """Gathers what a plan says; use `begin`, then `app` and `scorer` for each that is there, then `plan`."""

    def __init__(
        self,
        settings: Settings,
        *,
        root: Path,
        variants: Sequence[Variant],
        goals: Goals | None,
        aggregates: Sequence[Aggregate],
        selected: Sequence[PlannedItem],
        collected: Sequence[PlannedItem],
    ) -> None:
        """Nothing is looked at yet.

        Args:
            settings: what the user asked for.
            root: of the project.
            variants: that would be measured, the one in place of `current` first.
            goals: of the goals file, ``None`` without one.
            aggregates: that the user gives.
            selected: the items that would run, in their order.
            collected: those and the deselected ones.
        """
        self._settings = settings
        self._root = root
        self._goals = goals
        self._aggregates = aggregates
        self._selected = selected
        self._collected = collected
        self._location = None if settings.store == "" else locate(settings.store, root=root)
        self._variants = PlannedVariants(settings, root=root, variants=variants)
        self._recording = Recording(settings, root=root, id="plan", started=timestamp())
        self._models = AppModels(
            settings.prices, root=root, variants=Path(settings.variants), calls=settings.llm_calls
        )
        self._changes = NodeChanges(self._models, location=self._location, root=root)
        self._engine: Engine | None = None
        self._apps: dict[int, BuiltApp] = {}
        self._entries: list[Entry] = []
        self._skipped = 0
        #: By what is checked: texts of what is wrong, and whether that is only a warning.
        self._found: dict[str, dict[str, bool]] = {}

    def begin(self) -> None:
        """Find the samples of an earlier session, where they are asked for.

        Raises:
            PromptuneError: for what is a usage error in every session.
        """
        refuse_unknown_metrics(
            self._settings.named_metrics, self._collected, [each.name for each in self._aggregates]
        )
        if self._settings.resume or self.replays:
            variants = list(self._variants.all.values())
            texts = self._variants.texts()
            self._recording.prepare(
                facts_of(self._selected, variants, texts, root=self._root),
                collected=lambda: facts_of(self._collected, variants, texts, root=self._root),
            )
        if self.replays:
            self._recording.stored.refuse_others(self._selected)

    @property
    def replays(self) -> bool:
        """Stored outputs are scored again: no app is made."""
        return self._settings.replay is not None

    def close(self) -> None:
        """Give everything back that was taken."""
        if self._engine is not None:
            self._engine.close()
        self._variants.close()

    # --- what the plugin tells ------------------------------------------------------------------------

    def app(self, given: Given, items: Sequence[PlannedItem]) -> None:
        """Take in an app while its fixture lives.

        Args:
            given: what the fixture gave.
            items: those that have the same app.
        """
        what = f"app {given.name}"
        problems = self._found.setdefault(what, {})
        if given.skips:
            problems[f"its fixture skips: {given.skips}. Its tests would be skipped too."] = True
            self._skipped += len(items)
            return
        place = (given.name, (folder_of(given.item) or None) if given.everywhere else given.item.module)
        if given.problem:
            problems[given.problem] = False
        elif not self.replays:
            for name in dict.fromkeys(item.cell.variant for item in items):
                self._build(given, self._variants.all[name], place, problems)
        reach = Reach(given.item, everywhere=given.everywhere, depends=given.depends)
        self._entries.extend(self._entry(item, place, reach) for item in items)

    def _build(self, given: Given, variant: Variant, place: Place, problems: dict[str, bool]) -> None:
        try:
            built = self._apps.get(id(given.value))
            if built is None:
                built = self._apps[id(given.value)] = BuiltApp(given.name, given.value, self._run)
            app = built.under(variant)
        except VariantError as error:
            self._variants.problem(variant.name, str(error))
        except PromptuneError as error:
            problems[str(error)] = False
        except (Exception, SystemExit) as error:
            problems[f"building it for {variant.name!r} raises {first_line(error)}. {LOOK}"] = False
        else:
            self._variants.learn(built.default_context())
            self._models.look(place, app.target)
            self._changes.look(place, app.nodes)
            self._models.look_at(variant, built.default_context())

    def _run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._engine is None:
            self._engine = Engine(concurrency=1, window=1)
        return self._engine.run(call)

    def _entry(self, item: PlannedItem, place: Place, reach: Reach) -> Entry:
        if item.case is None:
            sample = (reach.scope, item.test, item.parameters, item.cell)
            return Entry(item=item, place=place, sample=sample, replays=self.replays)
        key = reach.key(item, item.case, _hash_of(item.case))
        reused = self._is_stored(key, item.module)
        return Entry(item=item, place=place, sample=key, reused=reused, replays=self.replays)

    def _is_stored(self, key: SampleKey, module: str) -> bool:
        stored = self._recording.stored
        return len(stored.of_any_scope(key, module)) == 1 if self.replays else stored.get(key) is not None

    def scorer(self, given: Given) -> None:
        """Take in a scorer."""
        problems = self._found.setdefault(f"scorer {given.name}", {})
        if given.skips:
            problems[f"its fixture skips: {given.skips}. Tests that name it would be skipped too."] = True
        elif given.problem:
            problems[given.problem] = False
        else:
            try:
                scorer_of(given.value, name=given.name, home="", everywhere=given.everywhere)
            except PromptuneError as error:
                problems[str(error)] = False

    def teardown_failed(self, app: str, error: BaseException) -> None:
        """What an app's tests have set up can't be taken down."""
        text = f"taking its fixtures down raises {first_line(error)}. {LOOK}"
        self._found.setdefault(f"app {app}", {})[text] = True

    # --- the plan -------------------------------------------------------------------------------------

    def plan(self, *, set_aside: int) -> Plan:
        """Everything put together.

        Args:
            set_aside: how many tests have marks by which they are, or may be, skipped.
        """
        settings = self._settings
        rows = matrix(self._entries)
        for doubt in self._changes.doubts(list(self._variants.all.values())):
            self._variants.doubt(doubt.variant, doubt.text, is_certain=doubt.is_certain)
        cases = {item.case.id: item.case for item in self._selected if item.case}
        rough = self._models.rough(rows, cases=list(cases.values()), templates=self._variants.texts())
        history = History(self._location, rows, rough)
        baselines = Baselines(settings, root=self._root, items=self._selected)
        estimates = history.estimates()
        known = Known(
            settings=settings,
            items=self._selected,
            baselines=baselines.found,
            history=history,
            variants=len(self._variants.all),
        )
        detectable, missing = sensitivities(known)
        suite = Suite(
            self._selected,
            baselines.found,
            self._aggregates,
            stored=history.tested_as_now(self._root),
            source=self._source_of_tests,
        )
        calls = sum(sum(row.calls.values()) for row in rows)
        checks = [
            *self._case_checks(),
            *self._fixture_checks(),
            *self._variants.checks(),
            *self._models.checks(),
            history.check(),
            *baselines.checks(),
            *goal_checks(self._goals, suite, settings.goal_metrics),
            *self._budget_checks(estimates),
        ]
        notes = (self._stage(), self._looks(), history.note, missing, self._nothing_to_resume())
        return Plan(
            mode=settings.mode,
            against=settings.against,
            matrix=tuple(rows),
            set_aside=set_aside + self._skipped,
            estimates=tuple(estimates),
            concurrency=settings.concurrency,
            rate=settings.rate,
            seconds=duration(
                estimates,
                samples=calls,
                at_least=sum(sum((row.at_least or row).calls.values()) for row in rows),
                concurrency=settings.concurrency,
                rate=settings.rate,
            ),
            sensitivities=tuple(detectable),
            variants=tuple(self._variants.plans()),
            checks=tuple(replace(check, text=self._shown(check.text)) for check in checks),
            notes=tuple(self._shown(text) for text in notes if text),
        )

    def _source_of_tests(self) -> str:
        """The text of the test modules and of the conftest files that they see."""
        names = test_files({item.module for item in self._collected}, self._root)
        files = [file for name in names if (file := self._root / name).is_file()]
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)

    def _stage(self) -> str:
        if self._settings.stage not in SIZES:
            return ""
        left, everything = (
            len({(item.module, item.case.id) for item in items if item.case})
            for items in (self._selected, self._collected)
        )
        return (
            f"--promptune-stage={self._settings.stage} leaves {left:,} of {count(everything, 'case')}, "
            "the same ones each time."
        )

    def _looks(self) -> str:
        found = planned_looks(self._settings, self._selected)
        if found is None:
            return ""
        early = " and ".join(str(runs) for runs in found.looks.runs[:-1])
        return (
            f"The session looks at its verdict after {early} of {found.looks.runs[-1]} runs, and ends there "
            "if it is clear: lower ends are those of the first look."
        )

    def _nothing_to_resume(self) -> str:
        if not self._settings.resume or self._recording.stored:
            return ""
        return "There is no interrupted experiment to resume: everything would be measured."

    def _shown(self, text: str) -> str:
        """`text` without secrets, paths as short as they can be."""
        return self._recording.redactor.text(text.replace(f"{self._root}/", ""))

    def _case_checks(self) -> list[Check]:
        try:
            refuse_contradictions(self._collected)
        except ScoreError as error:
            return [Check(status="failed", what="cases", text=str(error))]
        except PromptuneError as error:
            return [Check(status="failed", what="cases and tests", text=str(error))]
        checks = []
        modules = dict.fromkeys(item.module for item in self._selected)
        # the cases that a stage draws say little of the suite they are drawn from
        items = self._collected if self._settings.stage in SIZES else self._selected
        for module in modules:
            cases = {i.case.id: i.case for i in items if i.case and i.module == module}
            where = f" of {module}" if len(modules) > 1 else ""
            checks += [replace(check, what=check.what + where) for check in case_checks(list(cases.values()))]
        return checks

    def _fixture_checks(self) -> list[Check]:
        checks = []
        for what, problems in self._found.items():
            if problems:
                checks += [
                    Check(status="warning" if is_mild else "failed", what=what, text=text)
                    for text, is_mild in problems.items()
                ]
            elif what.startswith("scorer") or not self.replays:
                checks.append(Check(status="ok", what=what, text="exists and can be called"))
        return checks

    def _budget_checks(self, estimates: Sequence[Estimate]) -> list[Check]:
        limit, least = self._settings.max_cost, most_known(estimates)
        if limit is None or limit >= least:
            return []
        text = (
            f"{money(limit)} is less than the lower end of the estimated cost ({money(least)}): samples "
            "would be left out. Allow more, or measure fewer runs or cases."
        )
        return [Check(status="warning", what="--promptune-max-cost", text=text)]


#: What to do about an exception of the user's own code.
LOOK = "Run its test without --promptune-plan to see where."


def first_line(error: BaseException) -> str:
    """Type and first line of an exception, without a full stop."""
    lines = [text.rstrip(".") for part in str(error).splitlines() if (text := clean(part))]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _hash_of(case: Case) -> str:
    try:
        return case.fingerprint
    except ScoreError:  # told of the cases themselves
        return _NO_HASH
