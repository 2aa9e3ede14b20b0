"""``pytest-promptune calibrate``: the gate on the user's own runs, when nothing changed and otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.comparison import specification
from pytest_promptune.core.errors import BaselineError
from pytest_promptune.core.stats.model import Scope, Verdict
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import MetricName
from pytest_promptune.settings import OPTIONS, Settings, parsed
from pytest_promptune.sizing.sources import RECORD, Pool

if TYPE_CHECKING:
    from pytest_promptune.core.stats.calibration import FalseAlarms, Stored

#: Drops in points whose power is told.
DROPS = (0.05, 0.10, 0.20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """How the gate is to judge."""

    splits: int
    seed: int
    alpha: float
    scope: Scope
    #: ``METRIC=VALUE`` as typed.
    margins: Sequence[str] = ()
    tolerances: Sequence[str] = ()
    #: Of the ini file, where none are typed; it may speak of metrics that aren't judged here.
    usual_margins: Mapping[str, float] = field(default_factory=dict)
    usual_tolerances: Mapping[str, float] = field(default_factory=dict)
    #: What the ini file sets beside the gate on regressions, which is the one that is judged.
    other_rules: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What the gate does with one metric."""

    name: MetricName
    cases: int
    #: Fewest and most runs of a case.
    runs: tuple[int, int]
    mean: float
    #: Fewest and most runs of a case in a half, of those with enough; ``None`` where there are none.
    half: tuple[int, int] | None
    #: Cases with too few runs for two halves.
    left_out: Sequence[str]
    #: Splits by verdict; empty where no case has enough runs.
    verdicts: Mapping[Verdict, int]
    #: Share of simulated sessions that find a drop, by drop; empty for other than 0/1 metrics.
    power: Mapping[float, float | None]
    #: Smallest loss that fails the gate with 80 % power; unknown for other cases than these.
    minimum: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The whole answer."""

    source: str
    questions: Questions
    #: Simulated sessions behind each power.
    simulations: int
    alarms: FalseAlarms
    metrics: Sequence[Behaviour]

    @property
    def status(self) -> int:
        """1 when more splits fail than the promise allows, beyond what chance explains."""
        return int(self.alarms.is_broken)


def calibrate(pool: Pool, questions: Questions) -> Calibration:
    """Ask the statistics.

    Raises:
        SettingsError: for a margin or tolerance that is none, or is of no metric here.
        BaselineError: when no case has enough runs.
    """
    from pytest_promptune.core.stats.calibration import FEWEST_RUNS, SIMULATIONS, false_alarms

    margins = _sizes(pool, "margin", questions.margins)
    tolerances = _sizes(pool, "tolerance", questions.tolerances)
    stored = as_stored(pool, margins or questions.usual_margins, tolerances or questions.usual_tolerances)
    if not any(each.splittable for each in stored):
        most = max(len(values) for each in stored for values in each.scores.values())
        raise BaselineError(
            f"{pool.source}: has {most} runs of a case at most, and two halves need {FEWEST_RUNS}. Record "
            f"with more runs: {RECORD}"
        )
    alarms = false_alarms(
        stored,
        splits=questions.splits,
        seed=questions.seed,
        alpha=questions.alpha,
        scope=questions.scope,
    )
    return Calibration(
        source=pool.source,
        questions=questions,
        simulations=SIMULATIONS,
        alarms=alarms,
        metrics=[
            _behaviour(metric.name, each, stored, questions, alarms)
            for metric, each in zip(pool.metrics, stored, strict=True)
        ],
    )


def other_rules(settings: Settings) -> list[str]:
    """Keys of the ini file under which sessions fail for more than regressions, or for nothing at all."""
    if settings.gate == "off":
        return [f"{OPTIONS['gate'].ini} = off"]
    gate = [] if settings.gate == "regression" else [f"{OPTIONS['gate'].ini} = {settings.gate}"]
    return gate + [OPTIONS[name].ini for name in ("strict", "gate_cases") if getattr(settings, name)]


def as_stored(
    pool: Pool, margins: Mapping[str, float] | None = None, tolerances: Mapping[str, float] | None = None
) -> list[Stored]:
    """The metrics of a pool as the statistics know them."""
    from pytest_promptune.core.stats.calibration import Stored

    return [
        Stored(
            module=metric.name.module,
            metric=metric.name.metric,
            spec=specification(metric.name, metric.scores, margins or {}, tolerances),
            scores=metric.scores,
        )
        for metric in pool.metrics
    ]


def _sizes(pool: Pool, option: str, given: Sequence[str]) -> Mapping[str, float]:
    sizes: Mapping[str, float] = parsed(OPTIONS[option], f"--{option}", list(given))
    pool.refuse_unknown(f"--{option}", sizes)
    return sizes


def _behaviour(
    name: MetricName, each: Stored, stored: Sequence[Stored], questions: Questions, alarms: FalseAlarms
) -> Behaviour:
    from pytest_promptune.core.stats.calibration import family_of, power_of
    from pytest_promptune.core.stats.sizing import Design, Wanted, size_of, smallest_failing

    family = family_of(each, stored)
    design = Design(alpha=questions.alpha, family=family)
    known = size_of(each, Wanted(amount=DROPS[1]), design)
    runs = [len(values) for values in each.scores.values()]
    return Behaviour(
        name=name,
        cases=known.cases if known else 0,
        runs=(min(runs), max(runs)),
        mean=known.mean if known else 0.0,
        half=each.half,
        left_out=each.too_short,
        verdicts=alarms.verdicts.get(each.label, {}),
        power={
            drop: power_of(
                each,
                drop,
                family=family,
                seed=questions.seed,
                alpha=questions.alpha,
                scope=questions.scope,
            )
            for drop in DROPS
        }
        if name.kind == "binary"
        else {},
        minimum=smallest_failing(each, design) if questions.scope == "suite" else None,
    )


def to_json(found: Calibration) -> dict[str, Any]:
    """Plain data, for ``--json``."""
    alarms, questions = found.alarms, found.questions
    return {
        "format": 1,
        "source": found.source,
        "alpha": questions.alpha,
        "scope": questions.scope,
        "seed": questions.seed,
        "simulations": found.simulations,
        "rules_not_judged": list(questions.other_rules),
        "false_alarms": {
            "splits": alarms.splits,
            "failed": alarms.failed,
            "rate": alarms.failed / alarms.splits,
            "ci": list(alarms.ci),
            "promised": alarms.promised,
            "broken": alarms.is_broken,
        },
        "metrics": [
            {
                "metric": each.name.metric,
                "module": each.name.module,
                "kind": each.name.kind,
                "direction": each.name.direction,
                "cases": each.cases,
                "runs": list(each.runs),
                "mean": each.mean,
                "left_out": list(each.left_out),
                "verdicts": dict(each.verdicts),
                "power": [{"drop": drop, "power": power} for drop, power in each.power.items()],
                "minimum_detectable": each.minimum,
            }
            for each in found.metrics
        ],
    }
