"""What to do next: one action, its reason, and the command for it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import field, replace

from pytest_promptune.core.display import clean, count, percent
from pytest_promptune.core.gate import ADOPT, measured_as, named
from pytest_promptune.core.goals.gating import with_goals
from pytest_promptune.core.goals.model import Goals
from pytest_promptune.core.goals.wording import gap, metric, share
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.preferring import preferred
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import ComparisonRow, Decision, GoalRow, Mode

#: Iterations after which a series is at its end, and those that brought nothing after which it stands still.
MOST_ITERATIONS = 5
FRUITLESS = 2
#: Share of lost samples from which a comparison says nothing (STATISTICS 2.1).
MOST_MISSING = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything that is known when a session has been judged."""

    mode: Mode
    rows: Sequence[ComparisonRow] = ()
    #: A decision of the gate failed, other than on what is `uncomputed`.
    failed: bool = False
    #: A test module has no baseline.
    baseline_missing: bool = False
    #: The name of the baseline.
    against: str = "main"
    #: Per case.
    runs: int
    #: The app as it stands, or what was measured in its place.
    variant: str = CURRENT
    #: Variants that were chosen to be compared; none: all.
    chosen: Sequence[str] = ()
    #: Variants that are more than one change.
    several: Collection[str] = ()
    #: Arguments that select the same tests, as one types them after a blank.
    selection: str = ""
    #: Aggregates that fail the session by themselves.
    uncomputed: Sequence[str] = ()
    #: Of the goals file, and judged.
    goals: Goals | None = None
    goal_rows: Sequence[GoalRow] = ()
    #: Whether each earlier iteration of the tuning series brought something, oldest first; see `brought`.
    earlier: Sequence[bool] = field(default_factory=tuple)
    #: The node on which work promises most.
    node: str | None = None
    #: Samples that were lost to the infrastructure or not paid for, and all of them.
    missing: int = 0
    samples: int = 0


def decide(found: Situation) -> Decision:
    """What the numbers suggest to do; the first of these that holds (docs/decisions.md).

    `investigate` a regression, what can't be computed, or too much missing data; `record` where there is no
    baseline; `adopt` the variant that improved and regressed on nothing; `stop` once the goals are attained;
    more runs where those could tell; `plateau` where the series stands still; else `continue`.
    """
    decision = _first(found)
    decision = with_goals(decision, found.goals, found.goal_rows, variant=found.variant)
    if found.mode == "compare" and decision.action == "continue":
        decision = _plateau(decision, found)
    if found.mode != "check" and decision.action in ("continue", "record"):
        decision = _with_target(decision, found)
    if found.mode == "compare" and decision.action == "continue" and not decision.command:
        decision = replace(decision, reason=f"{decision.reason} Try another change.")
    return decision


def brought(rows: Iterable[ComparisonRow]) -> bool:
    """Whether a comparison of variants found a gated improvement beyond the margin."""
    return any(
        row.gated and row.reference == CURRENT and row.verdict == "improved" and _is_beyond_margin(row)
        for row in rows
    )


def _is_beyond_margin(row: ComparisonRow) -> bool:
    """By the margin of the metric: of latency that of a ratio, of all others in the metric's unit."""
    if row.margin is None:
        return True
    if row.ratio is not None:
        return max(row.ratio, 1 / row.ratio if row.ratio else 0.0) - 1 > row.margin
    return row.difference is not None and abs(row.difference) > row.margin


def _first(found: Situation) -> Decision:
    """What the comparisons suggest, whatever goals and series say."""
    option = named(found.against)
    record = f"pytest --promptune-baseline{option}{found.selection}"
    names = found.chosen if found.mode == "compare" else [found.variant]
    option = "".join([option, *map(measured_as, names), found.selection])
    if found.mode == "baseline":
        return _after_recording(found, option)
    if (alarm := _alarm(found, option, record)) is not None:
        return alarm
    if found.mode == "compare":
        return _decide_between(found, option)
    if found.baseline_missing:
        return Decision(
            action="record", variant=None, reason="There is no baseline to compare with yet.", command=record
        )
    return Decision(action="continue", variant=None, reason="No significant regression was found.")


def _alarm(found: Situation, option: str, record: str) -> Decision | None:
    """What is to be looked into before anything else."""
    gated = [row for row in found.rows if row.gated]
    against_baseline = [row for row in gated if row.reference.startswith("baseline:")]
    broken = any(row.verdict == "regressed" or row.gate == "failed" for row in against_baseline)
    unexplained = found.failed and not any(row.gate == "failed" for row in gated)
    without_value = _without_value(found.uncomputed) if found.uncomputed else ""
    if broken or unexplained:
        wanted = record if found.baseline_missing else ""
        decision = _investigate(against_baseline, option, found.runs, wanted)
        return replace(decision, reason=f"{decision.reason} {without_value}".rstrip())
    if without_value:
        return Decision(action="investigate", variant=None, reason=without_value)
    if found.missing > MOST_MISSING * found.samples:
        share = percent(found.missing / found.samples)
        reason = (
            f"{found.missing:,} of {count(found.samples, 'sample')} ({share}) are missing, too many to judge "
            "by: see the errors, and measure again."
        )
        return Decision(action="investigate", variant=None, reason=reason)
    return None


def _after_recording(found: Situation, option: str) -> Decision:
    if found.failed:
        return Decision(
            action="investigate", variant=None, reason="Nothing was recorded: an app gave no output."
        )
    if found.uncomputed:
        reason = f"The baseline is recorded: commit it. {_without_value(found.uncomputed)}"
        return Decision(action="investigate", variant=None, reason=reason)
    return Decision(
        action="record",
        variant=None,
        reason="The baseline is recorded: commit it, then change one prompt at a time and compare.",
        command=f"pytest --promptune-compare{option}",
    )


def _without_value(uncomputed: Sequence[str]) -> str:
    names = list(dict.fromkeys(uncomputed))
    says = "its message says" if len(names) == 1 else "their messages say"
    return f"{', '.join(map(clean, names))} can't be computed: {says} why."


def _investigate(rows: Sequence[ComparisonRow], option: str, runs: int, record: str) -> Decision:
    """Why the app as it stands doesn't pass, and what would help."""
    reason = "Look at the cases behind it; if the change is wanted, record a new baseline."
    command = f"pytest --lf{option}"
    failed = [row for row in rows if row.gate == "failed"]
    if not any(_is_worse(row) for row in rows):
        needed = max((row.runs_needed or 0 for row in failed), default=0)
        reason = "Nothing is shown to be worse, but getting worse by more than the margin isn't ruled out."
        command = f"pytest --promptune-runs={needed}{option}" if needed > runs else ""
    if not failed and not any(_is_worse(row) for row in rows):
        reason = "The gate failed for want of something to compare: its messages say what."
        command = record
    return Decision(action="investigate", variant=None, reason=reason, command=command)


def _is_worse(row: ComparisonRow) -> bool:
    """In the mean, or in single cases where those are gated."""
    return row.verdict == "regressed" or bool(row.failing_cases)


def _is_unmeasured(row: ComparisonRow) -> bool:
    """The gate failed for want of anything to compare."""
    return row.gate == "failed" and not row.n_cases


# --- variants -------------------------------------------------------------------------------------


def _decide_between(found: Situation, option: str) -> Decision:
    """Adopt the variant that improved most, on an open goal where there are any, and spoiled nothing.

    Where the numbers don't tell which improved most, `preferred` does.
    What isn't gated may get worse as long as its goal stays attained: that is what the goal says.
    """
    aims = {_place(row) for row in found.goal_rows}
    versus_current = [
        row for row in found.rows if row.reference == CURRENT and (row.gated or _place(row) in aims)
    ]
    wanted = _open_aims(found) or aims
    spoiled = {
        row.candidate
        for row in versus_current
        if (_is_worse(row) and not _is_afforded(row, found)) or _is_unmeasured(row)
    }
    better = [
        row
        for row in versus_current
        if row.verdict == "improved" and row.candidate not in spoiled and (not aims or _place(row) in wanted)
    ]
    if better:
        versus = [row for row in found.rows if row.reference == CURRENT]
        choice = preferred(better, versus, several=found.several)
        best = choice.row
        names = [row.name.metric for row in better if row.candidate == best.candidate]
        judged = "metric of a goal or gate" if aims else "gated metric"
        afforded = [
            row.name.metric for row in versus_current if row.candidate == best.candidate and _is_worse(row)
        ]
        but = f", but for {', '.join(afforded)}, within its goal" if afforded else ""
        others = _mixed([row for row in versus_current if row.candidate in spoiled])
        return Decision(
            action="adopt",
            variant=best.candidate,
            reason=f"{best.candidate} is better in {', '.join(names)} and worse in no {judged}{but}."
            + (f" {choice.reason}" if choice.reason else "")
            + (f" {others}." if others else ""),
            command=f"{ADOPT}{shlex.quote(best.candidate)}",
        )
    return _without_winner(versus_current, spoiled, found.runs, option)


def _place(row: ComparisonRow | GoalRow) -> tuple[str, str]:
    return row.name.module, row.name.metric


def _is_afforded(row: ComparisonRow, found: Situation) -> bool:
    """A metric that isn't gated got worse, and its goals are attained all the same."""
    statuses = [
        goal.status
        for goal in found.goal_rows
        if goal.variant == row.candidate and _place(goal) == _place(row)
    ]
    return not row.gated and bool(statuses) and set(statuses) == {"attained"}


def _open_aims(found: Situation) -> set[tuple[str, str]]:
    """Module and metric of the goals that the app as it stands is not shown to attain."""
    return {
        _place(row) for row in found.goal_rows if row.variant == found.variant and row.status != "attained"
    }


def _without_winner(rows: Sequence[ComparisonRow], spoiled: set[str], runs: int, option: str) -> Decision:
    undecided = [
        row
        for row in rows
        if row.verdict == "inconclusive"
        and (row.runs_needed or 0) > runs
        and row.candidate not in spoiled
        and not row.constant  # more of what is equal won't make it better
    ]
    if undecided:
        closest = min(undecided, key=lambda row: row.runs_needed or 0)
        return Decision(
            action="continue",
            variant=closest.candidate,
            reason="No variant is shown to be better; more runs could tell for "
            f"{', '.join(dict.fromkeys(row.candidate for row in undecided))}.",
            command=f"pytest --promptune-compare --promptune-runs={closest.runs_needed}{option}",
        )
    return Decision(
        action="continue",
        variant=None,
        reason=f"{_mixed(rows) or 'No variant is better than current'}.",
    )


def _mixed(rows: Sequence[ComparisonRow]) -> str:
    """What each variant that is better somewhere is worse in; nothing where none is."""
    told = []
    for candidate in dict.fromkeys(row.candidate for row in rows if row.verdict == "improved"):
        mine = [row for row in rows if row.candidate == candidate]
        better = ", ".join(row.name.metric for row in mine if row.verdict == "improved")
        worse = ", ".join(row.name.metric for row in mine if _is_worse(row))
        if worse:
            told.append(f"{candidate} is better in {better}, but worse in {worse}")
    return "; ".join(told)


# --- the series and its goals ---------------------------------------------------------------------


def _plateau(decision: Decision, found: Situation) -> Decision:
    """Where the series stands still: iterations that brought nothing, or enough of them.

    What more runs could settle has not brought nothing yet.
    """
    so_far = [*found.earlier, brought(found.rows)]
    last = so_far[-FRUITLESS:]
    if len(so_far) >= MOST_ITERATIONS:
        why = f"This was iteration {len(so_far)}: what small changes can do is done."
    elif len(last) == FRUITLESS and not any(last) and not decision.command:
        why = f"The last {FRUITLESS} iterations brought nothing beyond the margin."
    else:
        return decision
    return Decision(
        action="plateau",
        variant=None,
        reason=f"{why} Write the report, or change something larger: the model, the graph, the goal.",
        command="pytest-promptune report",
    )


def _with_target(decision: Decision, found: Situation) -> Decision:
    """Which goal to work on, and on which node."""
    if decision.variant is not None:
        return decision
    far = [
        row
        for row in found.goal_rows
        if row.variant == found.variant and row.status != "attained" and row.achievement is not None
    ]
    if not far:
        return decision
    row = min(far, key=lambda row: row.achievement or 0.0)
    where = f", in {clean(found.node)} first" if found.node else ""
    away = share(row) or f"gap {gap(row)}"
    told = f"Furthest from its goal: {clean(row.goal)} ({metric(row)}, {away}){where}."
    return replace(decision, reason=f"{decision.reason} {told}")
