"""Which metrics a goal means: by the project's own mapping, by its name, or by the usual words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_promptune.core.display import some
from pytest_promptune.core.experiment import APP_METRICS
from pytest_promptune.core.goals.model import Goal
from pytest_promptune.core.goals.quantities import amount
from pytest_promptune.core.goals.words import ACCURACY, MACRO_F1, TOTAL_TOKENS, normal
from pytest_promptune.core.matching import is_named, short_name
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import MetricName

#: Units of metrics by the unit of a target.
_SAME_UNIT: Mapping[str, tuple[str, ...]] = {
    "s": ("s", "seconds"),
    "USD": ("USD", "$"),
    "JPY": ("JPY", "¥", "yen", "円"),
    "EUR": ("EUR", "€"),
    "GBP": ("GBP", "£"),
    "tokens": ("tokens", "token"),
}
#: Why metrics that every app could have aren't there.
_NOT_MEASURED: Mapping[str | None, str] = {
    "latency_s": "no sample has a latency.",
    "cost_usd": "no sample has a cost. Models without a published price need promptune_prices.",
    **dict.fromkeys(("input_tokens", "output_tokens", TOTAL_TOKENS), "no sample has its tokens counted."),
    MACRO_F1: "no test classifies: call sample.classify(predicted=…, expected=…).",
}
MAPPING = "promptune_goal_metrics"
_MOST_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A metric that a goal could mean."""

    name: MetricName
    #: It says whether a test's assertions held, and, as far as known, whether the test classifies.
    is_assertion: bool = False
    classifies: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """The metrics of a goal, one per app and module; why there is none, or why one can't be judged."""

    goal: Goal
    names: tuple[MetricName, ...] = ()
    problem: str = ""
    #: Whether all that is wrong is that no metric is known by this name, or several.
    is_unmatched: bool = False


def meant_by(goal: Goal, candidates: Sequence[Candidate], mapping: Mapping[str, str]) -> Meant:
    """Find the metrics of a goal; those whose unit, range or direction doesn't fit are a problem.

    Args:
        goal: from the goals file.
        candidates: metrics of the session.
        mapping: names of metrics by names of goals.
    """
    found, problem = _found(goal, candidates, {normal(name): metric for name, metric in mapping.items()})
    misfits = {name: text for name in found if (text := _misfit(goal, name))}
    texts = [problem, *dict.fromkeys(misfits.values())]
    told = " ".join(f"Goal {goal.name} ({_lines(goal)}): {text}" for text in texts if text)
    return Meant(
        goal=goal,
        names=tuple(name for name in found if name not in misfits),
        problem=told,
        is_unmatched=bool(problem) and not misfits,
    )


def _found(
    goal: Goal, candidates: Sequence[Candidate], mapping: Mapping[str, str]
) -> tuple[list[MetricName], str]:
    names = [candidate.name for candidate in candidates]
    mapped = mapping.get(normal(goal.name))
    if mapped is not None:
        found = [name for name in names if is_named(name, [mapped])]
        return found, "" if found else f"{MAPPING} says {mapped}, which no test measures. {_known(names)}"
    found = [name for name in names if _has_name(name, normal(goal.name))]
    if found:
        return found, ""
    if goal.measure == ACCURACY:
        return _accuracy(goal, candidates)
    if goal.measure is not None:
        found = [name for name in names if short_name(name) == goal.measure]
    if found:
        return found, ""
    if goal.measure in _NOT_MEASURED:
        return [], misfit_of_measure(goal) or _NOT_MEASURED[goal.measure]
    return (
        [],
        f"no metric is meant by this name. Say which in {MAPPING} (as {goal.name} = METRIC). {_known(names)}",
    )


def _has_name(name: MetricName, wanted: str) -> bool:
    """Whether a metric is called so, with or without ``test_``."""
    metric = normal(name.metric)
    return wanted in (metric, metric.removeprefix("test_"), normal(short_name(name) or name.metric))


def _accuracy(goal: Goal, candidates: Sequence[Candidate]) -> tuple[list[MetricName], str]:
    """Of each module the one test that classifies, or the only one that asserts."""
    modules: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.is_assertion:
            modules.setdefault(candidate.name.module, []).append(candidate)
    found, unclear = [], []
    for of_module in modules.values():
        classify = [candidate for candidate in of_module if candidate.classifies]
        chosen = classify if len(classify) == 1 else of_module
        if len(chosen) == 1:
            found.append(chosen[0].name)
        else:
            unclear += [candidate.name for candidate in chosen]
    if not unclear:
        return (
            found,
            "" if found else f"no test has an assertion metric. Say which metric is meant in {MAPPING}.",
        )
    named = ", ".join(name.metric for name in unclear[:_MOST_NAMED])
    return (
        found,
        f"it could be any of {named}. Say which in {MAPPING} (as {goal.name} = {unclear[0].metric}).",
    )


def _known(names: Iterable[MetricName]) -> str:
    metrics = list(dict.fromkeys(name.metric for name in names))
    return f"Known: {some(metrics, _MOST_NAMED)}." if metrics else ""


def _misfit(goal: Goal, name: MetricName) -> str:
    """Why a target can't be one of this metric, or empty."""
    target = goal.target
    shown = amount(target.value, target.unit)
    if target.direction != name.direction:
        way = "at least" if target.direction == "higher" else "at most"
        return f"it asks for {way} {shown}, and of {name.metric} {name.direction} values are better."
    if goal.percentile is not None and (name.kind == "binary" or short_name(name) == MACRO_F1):
        return f"{name.metric} has no percentiles over samples."
    if name.kind == "binary":
        fits = target.unit in ("%", None) and 0 <= target.value <= 1
        return "" if fits else f"{shown} is no share of samples, as {name.metric} is: write it in %, as 90%."
    if target.unit is None:
        asks = name.unit in ("s", "USD")
        return f"write the unit of {shown}: {name.metric} is measured in {name.unit}." if asks else ""
    if name.unit in ((None, "%") if target.unit == "%" else _SAME_UNIT[target.unit]):
        return ""
    advice = (
        f" Say it in {name.unit}, or give it a score in {target.unit} in {MAPPING}."
        if _is_money(goal, name)
        else ""
    )
    unit = name.unit or "no unit"
    return f"{shown} can't be compared with {name.metric}, which is measured in {unit}.{advice}"


def _is_money(goal: Goal, name: MetricName) -> bool:
    """Whether both are amounts of money, in two currencies: nothing is converted."""
    return goal.target.unit in ("JPY", "EUR", "GBP") and name.unit == "USD"


def misfit_of_measure(goal: Goal, metric: str | None = None) -> str:
    """Why a target can't be one of the metric that the words of its goal mean, in any app; or empty.

    Args:
        goal: from the goals file.
        metric: that the project says it means, in full or by its last part.
    """
    measure = goal.measure if metric is None else metric.rpartition("::")[2]
    for name, kind, unit in (*APP_METRICS, (TOTAL_TOKENS, "cost", "tokens")):
        if name == measure:
            of_any_app = MetricName(
                metric=name, test="", module="", app="", kind=kind, direction="lower", unit=unit
            )
            return _misfit(goal, of_any_app)
    return ""


def total_tokens(name: MetricName) -> MetricName:
    """The metric of input and output tokens together, beside another one of the app."""
    return replace(
        name,
        metric=f"{name.app}::{TOTAL_TOKENS}",
        test=f"{name.module}::{name.app}",
        kind="cost",
        direction="lower",
        unit="tokens",
    )


def target_of(goal: Goal, name: MetricName) -> float:
    """The target in the unit of the metric."""
    return goal.target.value * 100 if goal.target.unit == "%" and name.unit == "%" else goal.target.value


def _lines(goal: Goal) -> str:
    return f"line {goal.lines[0]}" if goal.lines else "no line"
