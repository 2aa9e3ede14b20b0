"""What came of an adoption, as lines of a terminal and as data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pytest_promptune.adopting.values import ByHand, Outcome
from pytest_promptune.core.display import clean, clean_lines
from pytest_promptune.core.lines import BAD, BOLD, DIM, INDENT, WARN, Line, line, paragraph


def outcome_lines(outcome: Outcome, *, width: int) -> list[Line]:
    """For people."""
    lines = _head(outcome, width)
    for text in outcome.warnings:
        lines += paragraph(f"Warning: {text}", width, WARN)
    for text in outcome.notes:
        lines += paragraph(text, width)
    if outcome.git_problem:
        lines += [line(text, BAD) for text in outcome.git_problem.split("\n")]
    for diff in outcome.diffs:
        lines += [Line(), *(line(text) for text in diff.split("\n"))]
    if outcome.adopted or outcome.dry_run:
        lines += _of_commit(outcome, width)
    return lines


def _head(outcome: Outcome, width: int) -> list[Line]:
    name = clean(outcome.variant)
    if outcome.by_hand:
        return _left_to_do(outcome, width)
    if outcome.refusals:
        lines = paragraph(f"{name} was not adopted, and nothing was written:", width, BAD)
        for text in outcome.refusals:
            lines += paragraph(f"- {text}", width, indent=INDENT)
        return lines + paragraph("--force adopts it all the same.", width)
    would = "would be" if outcome.dry_run else "is"
    lines = paragraph(
        f"{name} {would} adopted, with the numbers of experiment {outcome.experiment}.", width, BOLD
    )
    verb = "Would write" if outcome.dry_run else "Written"
    lines += paragraph(
        f"{verb}: {', '.join(outcome.files) or 'nothing, all is as it shall be'}", width, indent=INDENT
    )
    verb = "Would remove" if outcome.dry_run else "Removed"
    return lines + paragraph(f"{verb}: {outcome.removed}", width, indent=INDENT)


def _left_to_do(outcome: Outcome, width: int) -> list[Line]:
    name = clean(outcome.variant)
    lines = paragraph(
        f"{name} was not adopted: this has to be changed by hand, and nothing was written before it is.",
        width,
        BAD,
    )
    for each in outcome.by_hand:
        lines += [Line(), line(clean(each.where), BOLD)]
        first, *rest = each.what.split("\n")
        lines += paragraph(first, width, indent=INDENT)
        lines += [line(2 * INDENT + text) for part in rest for text in clean_lines(part)]
        lines += paragraph(f"(not done for you: {each.why})", width, DIM, indent=INDENT)
    lines += [Line(), *paragraph("Then go on with what is left:", width), line(INDENT + outcome.command)]
    return lines


def _of_commit(outcome: Outcome, width: int) -> list[Line]:
    lines: list[Line] = []
    if outcome.commit:
        tag = f", tagged {outcome.tag}" if outcome.tag else ""
        lines += [Line(), *paragraph(f"Commit {outcome.commit[:10]}{tag}:", width)]
    elif outcome.command:
        lines += [
            Line(),
            *paragraph("The commit, with the message below:", width),
            line(INDENT + outcome.command),
        ]
    lines.append(Line())
    lines += [line(INDENT + text if text else "") for text in clean_lines(outcome.message.rstrip("\n"))]
    if outcome.adopted:
        lines += [Line(), *paragraph(f"Next: {outcome.compares} compares with the new baseline.", width)]
    return lines


def to_json(outcome: Outcome) -> dict[str, Any]:
    """Plain data."""
    data = asdict(outcome)
    data["by_hand"] = [_plain(each) for each in outcome.by_hand]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}


def _plain(each: ByHand) -> dict[str, str]:
    return {"where": each.where, "what": each.what, "why": each.why}
