"""What a session would do, before it does it: the plan as a value, and the rules of its matrix."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Literal

from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import Mode

Status = Literal["ok", "warning", "failed"]

#: Name of the app fixture, and the test module, class or folder it belongs to, ``None`` for one of the root.
Place = tuple[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From where to where a number will probably be."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(low=self.low + other.low, high=self.high + other.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the checklist."""

    status: Status
    #: What was looked at, ``app support_bot``.
    what: str
    #: What was found, and what to do where something is to be done.
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """What would be measured of one app."""

    place: Place
    #: Ids of the cases, as far as they are known before fixtures run.
    cases: tuple[str, ...]
    #: Tests whose case only a fixture knows are taken to have one case for each of their samples.
    has_unknown_cases: bool = False
    variants: tuple[str, ...]
    #: Fewest and most runs of a case under a variant.
    runs: tuple[int, int]
    samples: int
    #: Those of them that are taken from an earlier session.
    reused: int = 0
    #: Samples by variant for which the app would be called.
    calls: Mapping[str, int] = field(default_factory=dict)
    tests: int
    scorer_calls: int
    #: The same up to the first look, after which the session may end; ``None`` where there are no looks.
    at_least: MatrixRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What an app would use, from samples of an earlier experiment or roughly; unknown is ``None``."""

    place: Place
    #: Id of that experiment, ``None`` where no sample of this app is stored.
    experiment: str | None = None
    #: How many samples it is drawn from.
    stored: int = 0
    #: What it is drawn from where nothing is stored: a rough one.
    basis: str = ""
    #: Variants that were not measured there: samples of the others stand in for theirs.
    unmeasured: tuple[str, ...] = ()
    model_calls: Range | None = None
    input_tokens: Range | None = None
    output_tokens: Range | None = None
    cost_usd: Range | None = None
    scorer_cost_usd: Range | None = None
    #: Of all samples one after the other.
    busy_s: Range | None = None
    #: The longest stored sample.
    longest_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The smallest change of an assertion metric that this size finds in four of five sessions."""

    module: str
    metric: str
    #: As a share, 0.11 for 11 points.
    minimum: float
    cases: int
    #: Runs per case of the reference and of what is compared with it.
    runs: tuple[float, float]
    #: What it is compared with: ``baseline main``, ``current``, or a later session.
    against: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPlan:
    """What a variant changes, one text each."""

    name: str
    description: str
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a session would do, what it would take, and whether it could."""

    mode: Mode
    #: Name of the baseline that is recorded or compared with.
    against: str
    matrix: tuple[MatrixRow, ...]
    #: Tests that have marks by which they are, or may be, skipped.
    set_aside: int = 0
    estimates: tuple[Estimate, ...] = ()
    concurrency: int
    #: Calls begun per second at most.
    rate: float | None = None
    seconds: Range | None = None
    sensitivities: tuple[Sensitivity, ...] = ()
    variants: tuple[VariantPlan, ...] = ()
    checks: tuple[Check, ...] = ()
    #: What is missing for estimates and for the smallest change, one sentence each.
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Something would fail later."""
        return any(check.status == "failed" for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One planned item with the sample it needs."""

    item: PlannedItem
    place: Place
    #: Equal for items that share a sample.
    sample: Hashable
    #: The sample is stored and will be taken over.
    reused: bool = False
    #: The app is not called even if the sample isn't stored.
    replays: bool = False


def matrix(entries: Iterable[Entry]) -> list[MatrixRow]:
    """Count what would be measured, app by app in the order of the items."""
    places: dict[Place, list[Entry]] = {}
    for entry in entries:
        places.setdefault(entry.place, []).append(entry)
    return [_row_with_looks(place, mine) for place, mine in places.items()]


def _row_with_looks(place: Place, entries: Sequence[Entry]) -> MatrixRow:
    first = [entry for entry in entries if entry.item.look == 0]
    row = _row(place, entries)
    if len(first) == len(entries):
        return row
    return replace(row, at_least=_row(place, first))


def _row(place: Place, entries: Sequence[Entry]) -> MatrixRow:
    samples: dict[Hashable, Entry] = {}
    scorers: dict[Hashable, set[str]] = {}
    runs: dict[Hashable, set[int]] = {}
    for entry in entries:
        item = entry.item
        samples.setdefault(entry.sample, entry)
        scorers.setdefault(entry.sample, set()).update(item.marks.scorers)
        case = item.case.id if item.case else item.test
        runs.setdefault((case, item.cell.variant), set()).add(item.cell.run)
    calls: dict[str, int] = {}
    for entry in samples.values():
        if not entry.reused and not entry.replays:
            variant = entry.item.cell.variant
            calls[variant] = calls.get(variant, 0) + 1
    sizes = [len(numbers) for numbers in runs.values()]
    return MatrixRow(
        place=place,
        cases=tuple(dict.fromkeys(entry.item.case.id for entry in entries if entry.item.case)),
        has_unknown_cases=any(entry.item.case is None for entry in entries),
        variants=tuple(dict.fromkeys(entry.item.cell.variant for entry in entries)),
        runs=(min(sizes), max(sizes)),
        samples=len(samples),
        reused=sum(entry.reused for entry in samples.values()),
        calls=calls,
        tests=len(entries),
        scorer_calls=sum(map(len, scorers.values())),
    )


def expected_decisions(
    items: Sequence[PlannedItem], baselines: Mapping[str, Baseline | None], variants: int
) -> int:
    """About how many decisions the gate will make, rather too many: scores aren't known yet.

    Args:
        items: that will run.
        baselines: by test module, ``None`` where there is none.
        variants: how many are measured, the one in place of `current` included.
    """
    number = 0
    for module in {item.module for item in items}:
        mine = [item for item in items if item.module == module]
        metrics = {item.metric for item in mine} | {f"{item.marks.app}::error_rate" for item in mine}
        baseline = baselines.get(module)
        if baseline is None:  # a score for each test, perhaps
            expected = 2 * len(metrics)
        else:
            timed_or_paid = {name for name, metric in baseline.metrics.items() if metric.is_of_app_usage}
            expected = len(metrics | set(baseline.scores) - timed_or_paid)
        number += expected * (variants - 1 + (baseline is not None))
    return number
