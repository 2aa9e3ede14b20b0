"""What an analysis finds, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistaken:
    """One class that a test took for another."""

    expected: str
    #: ``None``: no class at all.
    predicted: str | None
    #: Samples.
    count: int
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleRow:
    """What fails or flips in one category of cases, in one test under one variant."""

    #: The assertion metric of the test, and its module.
    metric: str
    module: str
    variant: str
    #: ``None``: cases without the tag.
    category: str | None
    #: Samples that were judged, and those that missed or errored.
    samples: int
    misses: int
    #: Those with a miss in some run.
    cases: tuple[str, ...]
    #: Those with a pass, too.
    flaky: tuple[str, ...] = ()
    #: Misses of tests that classify, most frequent first.
    mistaken: tuple[Mistaken, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """One sample that is far from the others of its variant."""

    case: str
    run: int
    value: float
    #: The one with the largest part of it; ``None`` where that isn't known.
    node: str | None = None
    #: Beyond the outer fences.
    far: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierRow:
    """The outliers of one quantity; see `core.analysis.outliers`."""

    app: str
    scope: str = ""
    variant: str
    #: ``latency_s``, ``tokens`` or ``cost_usd``.
    quantity: str
    #: Samples with a value.
    samples: int
    #: The inner fences: 1.5 interquartile ranges below and above the quartiles.
    low: float
    high: float
    #: The furthest first.
    outliers: tuple[Outlier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageRow:
    """How the cases of a module spread over one tag."""

    module: str
    tag: str
    counts: Mapping[str, int] = field(default_factory=dict)
    untagged: int = 0
    #: What is uneven; empty where nothing is.
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityRow:
    """One node that calls models, as a place to work on; unknown is ``None``."""

    node: str
    app: str
    #: Mean of `shares`.
    impact: float | None
    #: Its measured shares of ``quality`` (failed cases), ``latency`` and ``cost``, as far as they count.
    shares: Mapping[str, float] = field(default_factory=dict)
    #: Findings that a parameter or another form mends, in the samples that were looked at.
    feasibility: int | None = None
    #: Runs per case of the session, and what they cost over all cases: what one more variant takes.
    runs: int | None = None
    cost_usd: float | None = None


def leading(rows: Sequence[PriorityRow]) -> PriorityRow | None:
    """The one with the largest impact; ``None`` where several have it, or none has any."""
    ordered = sorted(rows, key=lambda row: -(row.impact or 0.0))
    impacts = [row.impact or 0.0 for row in ordered[:2]]
    if not impacts or not impacts[0] or impacts[1:] == impacts[:1]:
        return None
    return ordered[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisView:
    """Everything that was found."""

    trouble: tuple[TroubleRow, ...] = ()
    outliers: tuple[OutlierRow, ...] = ()
    coverage: tuple[CoverageRow, ...] = ()
    #: Largest impact first.
    priorities: tuple[PriorityRow, ...] = ()
    #: How their columns are computed; empty without any.
    priority_rule: str = ""
