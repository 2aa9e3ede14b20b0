"""From verdicts to the exit code: the gate's decisions as results, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_promptune.core.display import adjusted, amount, clean, count, effect, mean, probability
from pytest_promptune.core.harmless import harmless
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.stats.wording import not_shown
from pytest_promptune.core.view import ComparisonRow, Decision, GateItem, MetricName, Mode
from pytest_promptune.core.wording import VERDICTS, against

#: Stored outputs are scored again.
REPLAY = "pytest --promptune-replay=last"
#: Cases that a message names; the results have all.
MOST_CASES = 10


def gate_nodeid(name: MetricName, candidate: str) -> str:
    """``<module>::<test>::gate[<metric>-<candidate>]``, on one line that pytest can print anywhere."""
    return harmless(clean(f"{name.test}::gate[{name.metric}-{candidate}]"))


def gate_message(row: ComparisonRow) -> str:
    """Which metric, why it failed, by how much, with which interval, compared with what."""
    if row.p is None:
        why = _failed_by(row)
        return f"{row.name.metric}: {row.reason}" + (f" {why[0].upper()}{why[1:]}." if why else "")
    p = f"p {probability(row.p)}" + (f" (adjusted {adjusted(row)})" if adjusted(row) else "")
    verdict = VERDICTS[row.verdict]
    why = _failed_by(row).removeprefix(f"{verdict}, ")
    return (
        f"{row.name.metric} {verdict}{f', {why}' if why else ''}: {effect(row)}, {p} "
        f"({mean(row.name, row.reference_mean)} in {against(row.reference)}, "
        f"{mean(row.name, row.candidate_mean)} in {row.candidate}). {row.reason}{_failing_cases(row)}"
    )


def _failed_by(row: ComparisonRow) -> str:
    """The rule behind a failure that the verdict doesn't tell by itself."""
    if row.failure == "inconclusive":
        return "inconclusive, which fails under --promptune-strict"
    if row.failure == "not_shown":
        margin = None if row.margin is None else amount(row, row.margin)
        return f"{not_shown(row.name.direction, margin)} (--promptune-gate=non-inferiority)"
    if row.failure == "cases":
        return f"but {count(len(row.failing_cases), 'case')} got worse (--promptune-gate-cases)"
    return ""


def _failing_cases(row: ComparisonRow) -> str:
    """The cases that got worse by themselves, with their means."""
    if not row.failing_cases:
        return ""
    cases = []
    for case in row.failing_cases[:MOST_CASES]:
        before, now = row.case_means.get(case, (None, None))
        cases.append(f"{clean(case)} ({mean(row.name, before)} to {mean(row.name, now)})")
    return f" Worse by themselves: {_and_more(cases, len(row.failing_cases))}."


def _and_more(shown: Sequence[str], of: int) -> str:
    """Those that are shown, and how many there are beside them."""
    rest = of - len(shown)
    return f"{', '.join(shown)}{f' and {rest:,} more' if rest else ''}"


def gate_items(rows: Iterable[ComparisonRow]) -> list[GateItem]:
    """One result per gated comparison."""
    return [
        GateItem(
            nodeid=gate_nodeid(row.name, row.candidate),
            failed=row.gate == "failed",
            message=gate_message(row),
        )
        for row in rows
        if row.gate != "off"
    ]


def missing_baseline(
    name: MetricName, candidate: str, *, path: str, cases: Sequence[str], against: str
) -> GateItem:
    """The failed decision on a gated metric (or some of its cases) that has no baseline.

    Args:
        cases: those without a baseline; empty when the metric has none at all.
    """
    named = _and_more([clean(case) for case in cases[:MOST_CASES]], len(cases))
    what = f"no baseline for {named}" if cases else "no baseline"
    return GateItem(
        nodeid=gate_nodeid(name, candidate),
        failed=True,
        message=f"{name.metric}: {what} in {path}, and --promptune-require-baseline is set. Record it with "
        f"pytest --promptune-baseline{_named(against)} and commit the file.",
    )


def not_judged(name: MetricName, candidate: str, obstacle: str) -> GateItem:
    """The failed decision on a gated metric that has a baseline and can't be compared with it."""
    return GateItem(
        nodeid=gate_nodeid(name, candidate),
        failed=True,
        message=f"{name.metric}: {obstacle} It is gated, and --promptune-require-baseline is set.",
    )


def rerun_hint(mode: Mode, against: str, variant: str) -> str:
    """The command that runs the tests behind a failed decision."""
    option = " --promptune-compare" if mode == "compare" else _measured_as(variant)
    return (
        "A gate[…] is a decision, not a test to select. The tests behind it: "
        f"pytest --lf{option}{_named(against)}"
    )


def replay_hint(mode: Mode, against: str, variant: str) -> str:
    """The command that asks scorers again about the stored outputs."""
    option = " --promptune-compare" if mode == "compare" else _measured_as(variant)
    return (
        "The outputs are stored. This asks the scorers about them again, without calling the app: "
        f"{REPLAY}{option}{_named(against)}"
    )


def _named(against: str) -> str:
    return "" if against == "main" else f" --promptune-against={against}"


def _measured_as(variant: str) -> str:
    return "" if variant == CURRENT else f" --promptune-variant={variant}"


def decide(
    mode: Mode,
    rows: Sequence[ComparisonRow],
    *,
    failed: bool,
    baseline_missing: bool,
    against: str,
    runs: int,
    variant: str = CURRENT,
    uncomputed: Sequence[str] = (),
) -> Decision | None:
    """What the numbers suggest to do, with the command for it.

    Args:
        mode: of the session.
        rows: its comparisons.
        failed: a decision of the gate failed, other than on the `uncomputed`.
        baseline_missing: a test module has none.
        against: the name of the baseline.
        runs: per case.
        variant: the app as it stands, or what was measured in its place.
        uncomputed: aggregates that fail the session by themselves.
    """
    option = _named(against)
    record = f"pytest --promptune-baseline{option}"
    if mode != "compare":
        option += _measured_as(variant)
    if mode == "baseline":
        return _after_recording(failed, uncomputed, option)
    gated = [row for row in rows if row.gated]
    against_baseline = [row for row in gated if row.reference.startswith("baseline:")]
    broken = any(row.verdict == "regressed" or row.gate == "failed" for row in against_baseline)
    unexplained = failed and not any(row.gate == "failed" for row in gated)
    if broken or unexplained:
        found = _investigate(against_baseline, option, runs, record if baseline_missing else "")
        told = f"{found.reason} {_without_value(uncomputed)}" if uncomputed else found.reason
        return replace(found, reason=told)
    if uncomputed:
        return Decision(action="investigate", variant=None, reason=_without_value(uncomputed))
    if mode == "compare":
        return _decide_between(gated, option, runs)
    if baseline_missing:
        return Decision(
            action="record", variant=None, reason="There is no baseline to compare with yet.", command=record
        )
    return Decision(action="continue", variant=None, reason="No significant regression was found.")


def _after_recording(failed: bool, uncomputed: Sequence[str], option: str) -> Decision:
    if failed:
        return Decision(
            action="investigate", variant=None, reason="Nothing was recorded: an app gave no output."
        )
    if uncomputed:
        reason = f"The baseline is recorded: commit it. {_without_value(uncomputed)}"
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


def _decide_between(gated: Sequence[ComparisonRow], option: str, runs: int) -> Decision:
    """Adopt the variant that improved most and regressed nowhere."""
    versus_current = [row for row in gated if row.reference == "current"]
    spoiled = {row.candidate for row in versus_current if _is_worse(row) or _is_unmeasured(row)}
    better = [row for row in versus_current if row.verdict == "improved" and row.candidate not in spoiled]
    if better:
        best = max(better, key=lambda row: abs(row.cliffs_delta or 0.0))
        names = [row.name.metric for row in better if row.candidate == best.candidate]
        return Decision(
            action="adopt",
            variant=best.candidate,
            reason=f"{best.candidate} is better in {', '.join(names)} and worse in no gated metric. Make its "
            f"changes the app's own, then record them: pytest --promptune-baseline{option}",
        )
    undecided = [
        row
        for row in versus_current
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
        action="continue", variant=None, reason="No variant is better than current: try another change."
    )
