"""Rules for the answers that stored runs have of a node: P401 to P405 (LANGGRAPH 4).

A rule speaks only where the runs show it, and its evidence has the numbers. Thresholds are conventions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from pytest_promptune.core.display import clean, count, cut
from pytest_promptune.core.nodes.model import CallPlace, Finding, Node
from pytest_promptune.core.nodes.traces import Said, TracedNode

#: Answers of so few words and characters may be a choice.
SHORT_WORDS = 5
SHORT_LENGTH = 40
#: So many different ones in so many runs are one.
MOST_CHOICES = 3
FEWEST_RUNS = 6
#: An answer that holds its label is far longer at more than so many times its length, and so many characters.
TIMES_LONGER = 5
MORE_CHARACTERS = 20

_MOST_CASES = 3
_SHOWN = 30
_FENCE = re.compile(r"```(\w*)")
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_BULLETS = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_ROW = re.compile(r"^\s*\|.*\|\s*$", re.MULTILINE)
_TAG = re.compile(r"<[A-Za-z][\w-]*>")
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


def run_findings(node: Node, task_of: Callable[[CallPlace], str | None]) -> Iterator[Finding]:
    """What the answers of a node show, each rule as often as it applies.

    Args:
        node: with its traces.
        task_of: tells the kind of task of a call.
    """
    yield from _unreadable(node.traced)
    for call in node.calls:
        answers = call.traced.answers if call.traced else ()
        if not answers:
            continue
        task = task_of(call)
        yield from _formats(answers)
        if task in ("decision", "extraction") or (task is None and _are_short(answers)):
            yield from _flips(answers)
        if task == "decision" or (task == "extraction" and not _is_structured(call)):
            labels = {case: each for node_ in node.traced for case, each in node_.labels.items()}
            yield from _longer_than_label(answers, labels)
        yield from _tool_retries(answers)


def is_choice(answers: Sequence[Said]) -> bool:
    """At most three different short answers in six or more runs; one alone must be that of several cases."""
    different = {normal(said.answer.text) for said in answers}
    several = len(different) > 1 or len({said.case_id for said in answers}) > 1
    few = len(answers) >= FEWEST_RUNS and len(different) <= MOST_CHOICES
    return few and several and _are_short(answers)


def _are_short(answers: Sequence[Said]) -> bool:
    return all(
        0 < said.answer.length <= SHORT_LENGTH
        and not said.answer.tools
        and len(said.answer.text.split()) <= SHORT_WORDS
        for said in answers
    )


def _is_structured(call: CallPlace) -> bool:
    return any(model.schema for model in call.models)


def normal(text: str) -> str:
    """An answer without what makes no difference: case, white space, punctuation around it."""
    return _EDGES.sub("", " ".join(text.casefold().split()))


# --- P401 -----------------------------------------------------------------------------------------


def _unreadable(traced: Sequence[TracedNode]) -> Iterator[Finding]:
    samples = sum(node.unreadable for node in traced)
    if not samples:
        return
    errors: Counter[str] = Counter()
    for node in traced:
        errors.update(node.parse_errors)
    broken = sum(said.answer.broken for node in traced for call in node.calls for said in call.answers)
    causes = [f"{times:,} {name}" for name, times in errors.most_common()]
    causes += [f"{count(broken, 'call')} of tools with arguments that can't be read"] if broken else []
    yield Finding(
        rule="P401",
        message="answers can't be read",
        evidence=f"in {samples:,} of {count(_ran(traced), 'sample')}: {', '.join(causes)}",
        fix="Use model.with_structured_output(Schema), or show the exact form with one example.",
    )


def _ran(traced: Sequence[TracedNode]) -> int:
    return sum(node.usage.samples for node in traced)


# --- P402 -----------------------------------------------------------------------------------------


def form_of(text: str) -> str:
    """The form of an answer: JSON, in a block or not, a list, a table, XML, a short line or text."""
    text = text.strip()
    fence = _FENCE.search(text)
    if fence is not None:
        return "JSON in a code block" if fence[1].lower() == "json" else "code block"
    if text.startswith(("{", "[")):
        return "JSON"
    for form, pattern in (("table", _ROW), ("headings", _HEADING), ("list", _BULLETS), ("XML", _TAG)):
        if pattern.search(text):
            return form
    return "short line" if "\n" not in text and len(text.split()) <= SHORT_WORDS else "text"


def _formats(answers: Sequence[Said]) -> Iterator[Finding]:
    texts = [said for said in answers if not said.answer.tools and said.answer.length]
    by_case = _repeated(texts, lambda said: form_of(said.answer.text))
    mixed = {case: forms for case, forms in by_case.items() if len(set(forms)) > 1}
    if mixed:
        every = Counter(form for forms in mixed.values() for form in forms)
        shown = ", ".join(f"{form} {times:,}" for form, times in every.most_common())
        yield Finding(
            rule="P402",
            message="answers have several formats",
            evidence=f"over repeats of {len(mixed):,} of {count(len(by_case), 'case')}: {shown}",
            fix="Use model.with_structured_output(Schema), or say the one form and show it with an example.",
        )


def _repeated(answers: Sequence[Said], value: Callable[[Said], str]) -> dict[str, list[str]]:
    """Values by case, of the first answer of each run; cases with one run alone are left out."""
    by_case: dict[str, dict[int, str]] = {}
    for said in answers:
        by_case.setdefault(said.case_id, {}).setdefault(said.run, value(said))
    return {case: list(runs.values()) for case, runs in by_case.items() if len(runs) > 1}


# --- P403 -----------------------------------------------------------------------------------------


def _flips(answers: Sequence[Said]) -> Iterator[Finding]:
    by_case = _repeated(answers, lambda said: normal(said.answer.text))
    flipped = {case: texts for case, texts in by_case.items() if len(set(texts)) > 1}
    if not flipped:
        return
    worst = sorted(flipped.items(), key=lambda each: (Counter(each[1]).most_common(1)[0][1], each[0]))
    shown = "; ".join(f"{clean(case)}: {_counted(texts)}" for case, texts in worst[:_MOST_CASES])
    more = ", …" if len(flipped) > _MOST_CASES else ""
    yield Finding(
        rule="P403",
        message="answers flip",
        evidence=f"over repeats of {len(flipped):,} of {count(len(by_case), 'case')} ({shown}{more})",
        fix="Say what decides between the answers that flip, with an example of each; try temperature=0.",
    )


def _counted(texts: Sequence[str]) -> str:
    every = Counter(texts).most_common(_MOST_CASES)
    return ", ".join(f"{cut(clean(text), _SHOWN) or 'nothing'} {times:,}" for text, times in every)


# --- P404 -----------------------------------------------------------------------------------------


def _longer_than_label(answers: Sequence[Said], labels: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    ratios, known = [], 0
    for said in answers:
        answer = said.answer
        if answer.tools or form_of(answer.text) == "JSON":
            continue
        known += said.case_id in labels
        expected = labels.get(said.case_id, ())
        held = (len(label) for label in expected if label and normal(label) in normal(answer.text))
        longest = max(held, default=0)
        if longest and answer.length > TIMES_LONGER * longest and answer.length > longest + MORE_CHARACTERS:
            ratios.append(answer.length / longest)
    if ratios:
        yield Finding(
            rule="P404",
            message="the output is far longer than the label",
            evidence=f"{len(ratios):,} of {count(known, 'answer')} hold the expected label and are "
            f"{median(ratios):.0f} times as long, at the median",
            fix="Ask for the label alone, as: Answer with one word. Then set max_tokens near its length.",
        )


# --- P405 -----------------------------------------------------------------------------------------


def _tool_retries(answers: Sequence[Said]) -> Iterator[Finding]:
    again = [said for said in answers if said.answer.retried]
    if again:
        calls = sum(bool(said.answer.tools) for said in answers)
        samples = len({(said.case_id, said.run) for said in again})
        tools = Counter(name for said in again for name in dict.fromkeys(said.answer.tools))
        shown = ", ".join(f"{clean(name)} {times:,}" for name, times in tools.most_common())
        yield Finding(
            rule="P405",
            message="tools are called again after they failed",
            evidence=f"{len(again):,} of {count(calls, 'answer')} that call tools, in "
            f"{count(samples, 'sample')} ({shown})",
            fix="Describe the tool's arguments with an example each; let its errors say what is valid.",
        )
