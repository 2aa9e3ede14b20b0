"""From a session to a shard: what of its settings has to be alike in all parts of one suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pytest_promptune.conditions import module_hash
from pytest_promptune.core.analysis.trouble import Tags
from pytest_promptune.core.case_checks import BALANCED
from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.margins import Percent
from pytest_promptune.core.model import Case, Variant
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.prices import Price
from pytest_promptune.core.runs import RunRange
from pytest_promptune.core.shards.shard import ModulePart, Shard, ShardError, ShardVariant
from pytest_promptune.core.view import VariantView
from pytest_promptune.option_values import read_goal_metrics
from pytest_promptune.settings import OPTIONS, Settings
from pytest_promptune.variants.reading import is_one_change

#: Settings that shards have in common: they decide what is measured, compared and gated.
SHARED = (
    "against",
    "alpha",
    "baseline",
    "baseline_runs",
    "compare",
    "concurrency",
    "gate",
    "gate_cases",
    "gate_metrics",
    "goal_metrics",
    "margin",
    "margin_override",
    "prices",
    "require_baseline",
    "runs",
    "runs_override",
    "scope",
    "stage",
    "strict",
    "templates",
    "tolerance",
    "tolerance_override",
    "variant",
)
#: Settings that may differ between shards: how fast, for how much, and where things are.
OWN = (
    "goals",
    "graph",
    "jinja_env",
    "json",
    "llm_calls",
    "max_cost",
    "note",
    "one_change",
    "plan",
    "rate",
    "redact",
    "replay",
    "report",
    "resume",
    "store",
    "variants",
)


class Catalogue:
    """What exists in the modules that a session collected, and how much of it is the session's to run."""

    def __init__(self, redacted: Callable[[str], str] = str) -> None:
        """Nothing is known yet; `redacted` takes the secrets out of what reports show."""
        self._redacted = cache(redacted)
        self._tests: dict[str, dict[str, None]] = {}
        self._cases: dict[str, dict[str, None]] = {}
        self._tags: dict[str, dict[str, dict[str, str]]] = {}
        self._counts: dict[str, list[int]] = {}
        self._whole = self._everything = False

    def take(
        self,
        selected: Sequence[PlannedItem],
        collected: Sequence[PlannedItem],
        *,
        whole: bool,
        everything: bool,
    ) -> None:
        """Take in what was collected; see `Session.begin`."""
        self._whole, self._everything = whole, everything
        chosen = {item.nodeid for item in selected}
        for item in collected:
            self._tests.setdefault(item.module, {})[item.test] = None
            if item.case is not None:
                self._case(item.module, item.case)
            counts = self._counts.setdefault(item.module, [0, 0])
            counts[0] += 1
            counts[1] += item.nodeid in chosen

    def _case(self, module: str, case: Case) -> None:
        known = self._cases.setdefault(module, {})
        if case.id in known:  # the tags of all its items are alike
            return
        known[case.id] = None
        if tags := {
            tag: self._redacted(str(value)) for tag in BALANCED if (value := case.tags.get(tag)) is not None
        }:
            self._tags.setdefault(module, {})[case.id] = tags

    @property
    def tags(self) -> Tags:
        """Category and difficulty of all collected cases, by module and id; empty where a case has none."""
        return {
            module: {case: self._tags.get(module, {}).get(case, {}) for case in ids}
            for module, ids in self._cases.items()
        }

    @property
    def cases(self) -> Mapping[str, frozenset[str]]:
        """Ids of the collected cases by module."""
        return {module: frozenset(ids) for module, ids in self._cases.items()}

    @property
    def is_whole(self) -> bool:
        """All that its modules hold is the session's to run."""
        return self._whole and all(collected == selected for collected, selected in self._counts.values())

    @property
    def is_everything(self) -> bool:
        """That is all that the project holds."""
        return self.is_whole and self._everything

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the process that concludes."""
        return {
            "tests": {module: list(names) for module, names in self._tests.items()},
            "cases": {module: list(ids) for module, ids in self._cases.items()},
            "tags": self._tags,
            "counts": self._counts,
            "whole": self._whole,
            "everything": self._everything,
        }

    def take_over(self, data: Mapping[str, Any]) -> None:
        """Become the catalogue of another process, which collected."""
        self._tests = {module: dict.fromkeys(names) for module, names in data["tests"].items()}
        self._cases = {module: dict.fromkeys(ids) for module, ids in data["cases"].items()}
        self._tags = {module: dict(of_case) for module, of_case in data["tags"].items()}
        self._counts = {module: list(counts) for module, counts in data["counts"].items()}
        self._whole, self._everything = data["whole"], data["everything"]

    def shard(
        self,
        settings: Settings,
        experiment: Experiment,
        variants: Sequence[Variant],
        *,
        root: Path,
        complete: bool,
        prompts: Mapping[str, str],
        aggregates: Sequence[str] = (),
        looked: bool = False,
        notes: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> Shard:
        """What lets the session be merged with others that measured other parts.

        Args:
            settings: of the session.
            experiment: its results.
            variants: those it was to measure, described.
            root: where the modules lie.
            complete: it reached its end.
            prompts: hashes of the app's templates.
            aggregates: names of aggregate metrics that users give.
            looked: it judged by looks of its own.
            notes: what it had to say beside its conclusion.
            warnings: likewise.
        """
        modules = dict.fromkeys([*self._tests, *experiment.modules])
        return Shard(
            settings=settings_to_json(settings),
            variants=tuple(_variant(variant) for variant in variants),
            modules={module: self._part(module, root) for module in modules},
            results=tuple(sorted(experiment.results, key=lambda result: result.order)),
            prompts=prompts,
            complete=complete,
            looked=looked,
            whole=self._whole,
            everything=self._everything,
            aggregates=tuple(aggregates),
            notes=tuple(notes),
            warnings=tuple(warnings),
        )

    def _part(self, module: str, root: Path) -> ModulePart:
        collected, selected = self._counts.get(module, (0, 0))
        return ModulePart(
            hash=module_hash(root, module),
            cases=tuple(self._cases.get(module, ())),
            tests=tuple(self._tests.get(module, ())),
            tags=self._tags.get(module, {}),
            collected=collected,
            selected=selected,
        )


def _variant(variant: Variant) -> ShardVariant:
    view = VariantView(
        name=variant.name,
        description=variant.description,
        changes=variant.changes,
        one_change=is_one_change(variant),
    )
    return ShardVariant(view=view, fingerprint=variant.fingerprint)


#: Margins and tolerances, and what may be unknown.
_SIZES = ("margin", "tolerance")
_OPTIONAL = ("baseline_runs", "runs", "templates")


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """What shards have in common, as plain data."""
    values = {name: getattr(settings, name) for name in SHARED}
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    if isinstance(settings.runs, RunRange):
        values["runs"] = str(settings.runs)
    sizes = {name: _sizes_to_json(values[name]) for name in _SIZES}
    prices = {model: asdict(price) for model, price in sorted(settings.prices.items())}
    return values | sizes | {"prices": prices, "goal_metrics": dict(sorted(settings.goal_metrics.items()))}


def _sizes_to_json(sizes: Mapping[str, float]) -> dict[str, Any]:
    return {
        metric: {"fraction": float(value)} if isinstance(value, Percent) else value
        for metric, value in sorted(sizes.items())
    }


def settings_from_json(data: Mapping[str, Any], *, path: str) -> Settings:
    """The inverse of `settings_to_json`; what is not shared gets its default.

    Raises:
        ShardError: when a value makes no sense, or this version knows other settings.
    """
    if set(data) != set(SHARED):
        names = ", ".join(sorted(set(data) ^ set(SHARED)))
        raise ShardError(
            f"{path}: was measured by another version of pytest-promptune (settings: {names}). Use that one."
        )
    try:
        return Settings(**{name: _value(name, value) for name, value in data.items()})
    except (AttributeError, KeyError, TypeError, ValueError, PromptuneError) as error:
        raise ShardError(f"{path}: damaged: settings: {error}. Measure this part again.") from None


def _value(name: str, value: Any) -> Any:
    if name == "prices":
        return {model: Price(**price) for model, price in value.items()}
    if name == "goal_metrics":
        return read_goal_metrics([f"{goal} = {metric}" for goal, metric in value.items()])
    if name in _SIZES:
        return {metric: _size(given) for metric, given in value.items()}
    if name.endswith("_override") or OPTIONS[name].kind == "flag":
        if not isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}")
        return value
    if isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}")
    return None if value is None and name in _OPTIONAL else OPTIONS[name].parse(value)


def _size(given: Any) -> float:
    value = Percent(given["fraction"]) if isinstance(given, Mapping) else given
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise TypeError(f"a margin or tolerance of {given!r}")
    return value if isinstance(value, Percent) else float(value)
