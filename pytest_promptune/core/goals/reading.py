"""A goals file (``fine-tune.md``) is read: English or Japanese, line by line.

Understood are bullets and lines such as ``Accuracy: … 90% or higher``, sections of metrics with a
``Target value:``, tables of metrics and targets, sentences that name a metric and a target, where the
test cases are, and how many of the goals have to be reached. Everything else is told as not understood.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import field, replace

from pytest_promptune.core.goals.blocks import Block, read_blocks
from pytest_promptune.core.goals.model import Goal, Goals, Meaning, ReadLine, Rule, Target
from pytest_promptune.core.goals.quantities import (
    EXAMPLE,
    aimed_at,
    find_target,
    has_amount,
    has_number,
    shown,
    stated_at,
)
from pytest_promptune.core.goals.rules import read_rule, without_count
from pytest_promptune.core.goals.wording import shown_rule
from pytest_promptune.core.goals.words import DIRECTIONS, measure_of, normal, percentile_of, words_in
from pytest_promptune.core.values import dataclass

_LABEL = re.compile(r"(?P<label>[^:]{1,60}?)\s*:(?!//)\s*(?P<rest>.*)")
_SECTIONS = {
    "passing": r"pass(?:ing|ed)?\b|acceptance|success criteri|合格|達成基準|達成条件|判定基準",
    "methods": r"\bmethods?\b|\bhow to\b|\bexecution\b|評価方法|実行方法",
    "metrics": r"\bmetrics?\b|指標|メトリクス",
    "objectives": r"\bobjectives?\b|\bgoals?\b|\btargets?\b|目標|目的",
}
#: Sections whose lines are about what is to be reached.
_AIMING = ("objectives", "metrics")
_CASES = (
    r"(?:test |evaluation )?(?:cases?|data(?:set)?)(?: (?:file|path))?"
    r"|テスト(?:ケース|データ)|評価データ|データセット"
)
_TARGET = r"target(?: value)?|goal|threshold|目標(?:値)?|しきい値|閾値"
_OTHER = (
    r"execution command|command|evaluation script|script|calculation(?: method)?|calculated as|definition"
    r"|method|measured by|current(?: value)?|baseline|description|note"
    r"|実行コマンド|評価スクリプト|計算方法|算出方法"
    r"|測定方法|現状(?:値)?|現在(?:値)?|説明|備考"
)
_RULE = rf"{_SECTIONS['passing']}|\brule\b|ルール"
_NUMBERING = re.compile(r"^\s*\d+[.)]\s*")
_FOR_READERS = "for readers; nothing is taken from it"
_FILE = re.compile(r"[\w./\\~@+-]+\.(?:jsonl?|csv|ya?ml|parquet)\b|[\w.~@+-]*[/\\][\w./\\~@+-]*")


@dataclass(slots=True)
class _Stated:
    """A goal as one line states it."""

    name: str
    target: Target
    #: 95 for a 95th percentile, where the line says so.
    percentile: float | None
    line: int
    #: By the line itself, or by a sentence in passing.
    is_labelled: bool


@dataclass(slots=True)
class _Reader:
    """What was found so far."""

    stated: list[_Stated] = field(default_factory=list)
    lines: list[ReadLine] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    #: Sections whose way of calculation speaks of a percentile.
    percentiles: dict[str, float] = field(default_factory=dict)

    def tell(self, block: Block, meaning: Meaning, told: str, *, without_number: str = "") -> None:
        """How a line was understood."""
        self.lines.append(
            ReadLine(
                line=block.line,
                text=block.text,
                meaning=meaning,
                told=told,
                without_number=without_number,
            )
        )

    def read(self, block: Block) -> None:
        """Understand one line."""
        section = _section(block)
        match = _LABEL.fullmatch(block.text)
        label, rest = ("", block.text) if match is None or match["label"].isdigit() else match.groups()
        rule = _rule(block.text, label, rest, section)
        if rule is not None:
            self.rules.append(replace(rule, line=block.line))
            self.tell(block, "rule", shown_rule(rule))
        elif label:
            self._labelled(block, label, rest, section)
        else:
            self._sentence(block, section)

    def _labelled(self, block: Block, label: str, rest: str, section: str) -> None:
        name = _name_above(block)
        if _is(label, _CASES):
            found = _FILE.search(rest)
            self.cases.extend([found.group()] if found else [])
            path = f"test cases: {found.group()}" if found else "no path to the test cases in it"
            self.tell(block, "cases" if found else "unclear", path)
        elif _is(label, _OTHER):
            percentile = percentile_of(rest) if name else None
            if percentile is not None:
                self.percentiles[name] = percentile
            told = _FOR_READERS if percentile is None else f"{name} is the {percentile:g}th percentile"
            self.tell(block, "other", told)
        elif _is(label, _TARGET):
            if name:
                self._goal(block, name, rest, section)
            else:
                self.tell(block, "unclear", f"the target of which metric? Name it, as {EXAMPLE}")
        elif section == "methods":
            self.tell(block, "other", _FOR_READERS)
        elif not section and measure_of(label)[0] is None and not has_amount(rest):
            self.tell(block, "ignored", "no goal in it")
        else:
            self._goal(block, label, rest, section)

    def _goal(self, block: Block, name: str, text: str, section: str) -> None:
        measure, _ = measure_of(name)
        found = find_target(text, usual=DIRECTIONS.get(measure or ""))
        if isinstance(found, Target):
            in_name, in_text = percentile_of(name), percentile_of(text)
            percentile = in_text if in_name is None else in_name
            self.stated.append(_Stated(name, found, percentile, block.line, is_labelled=True))
            of_samples = "" if percentile == in_name else f"p{percentile:g} "
            self.tell(block, "goal", f"{name}: {of_samples}{shown(found)}")
        elif found is not None:
            self.tell(block, "unclear", f"{name}: {found}")
        elif section in _AIMING or measure is not None:
            self.tell(block, "unclear", f"{name}: no number to reach", without_number=name)
        else:
            self.tell(block, "ignored", "no goal in it")

    def _sentence(self, block: Block, section: str) -> None:
        if section == "methods" or not has_number(block.text):
            self.tell(
                block,
                "unclear" if section == "passing" else "ignored",
                "neither `all` nor `any` of the goals" if section == "passing" else "no goal in it",
            )
            return
        place = stated_at(block.text)
        aim = aimed_at(block.text) if section in _AIMING else None
        words = words_in(block.text, place or aim or (0, 0))
        if words and (place or aim):
            self._goal_of_sentence(block, words)
        elif place:
            self.tell(block, "unclear", f"which metric is meant? Write it as {EXAMPLE}")
        elif words and section in _AIMING and has_amount(block.text):
            why = find_target(block.text, usual=DIRECTIONS[words[0][0]])
            told = why if isinstance(why, str) else f"is that to be reached? Write it as {EXAMPLE}"
            self.tell(block, "unclear", told)
        else:
            self.tell(block, "ignored", "no goal in it")

    def _goal_of_sentence(self, block: Block, words: Sequence[tuple[str, str]]) -> None:
        (measure, word), *others = words
        found = find_target(block.text, usual=DIRECTIONS[measure])
        if not isinstance(found, Target):
            self.tell(block, "unclear", found or "no number to reach")
            return
        percentile = percentile_of(block.text)
        name = word if percentile is None else f"p{percentile:g} {word}"
        self.stated.append(_Stated(name, found, percentile, block.line, is_labelled=False))
        rest = (
            f"; without a number of its own, not checked: {', '.join(w for _, w in others)}" if others else ""
        )
        self.tell(block, "goal", f"{name}: {shown(found)}{rest}")


def read_goals(text: str, *, path: str) -> Goals:
    """Everything that a goals file says, and what couldn't be understood.

    Args:
        text: of the file, Markdown.
        path: of the file, as people know it.
    """
    reader = _Reader()
    for block in read_blocks(text.removeprefix("\ufeff")):
        reader.read(block)
    goals, contradictions = _together(reader.stated, reader.percentiles)
    lines = _settled(reader.lines, goals)
    faults = list(contradictions.values())
    rule, *others = reader.rules or [Rule()]
    if contradicting := [other for other in others if other.needed != rule.needed]:
        faults.append(
            f"Line {rule.line} says {shown_rule(rule)!r} and line {contradicting[0].line} "
            f"{shown_rule(contradicting[0])!r}. Keep one."
        )
    if rule.needed is not None and rule.needed > len(goals) and goals:
        faults.append(f"Line {rule.line} asks for {rule.needed} goals, and there are {len(goals)}.")
    if not goals and not contradictions:
        faults.append(_nothing(text))
    return Goals(
        path=path,
        goals=goals,
        rule=rule,
        cases=reader.cases[0] if reader.cases else None,
        lines=tuple(lines),
        contradicted=tuple(contradictions),
        faults=tuple(faults),
    )


def _nothing(text: str) -> str:
    if not text.strip("\ufeff \t\r\n"):
        return f"The file is empty. Write a line for each goal, as {EXAMPLE}."
    return (
        f"No goal was understood. English and Japanese are read; write a line for each goal, as {EXAMPLE}, "
        "`- Latency: 2.0 seconds or less` or 「- 精度: 90%以上」."
    )


def _together(
    stated: Sequence[_Stated], percentiles: dict[str, float]
) -> tuple[tuple[Goal, ...], dict[str, str]]:
    """One goal for each metric, from all lines that state it; and why there is none, by its name."""
    by_key: dict[tuple[str, float | None], list[_Stated]] = {}
    for one in stated:
        percentile = percentiles.get(one.name) if one.percentile is None else one.percentile
        measure, is_all = measure_of(one.name)
        by_key.setdefault((measure if measure and is_all else normal(one.name), percentile), []).append(one)
    goals, problems = [], {}
    for (_, percentile), same in by_key.items():
        first = next((one for one in same if one.is_labelled), same[0])
        other = next((one for one in same if not _agree(one.target, first.target)), None)
        if other is not None:
            one, two = sorted((first, other), key=lambda one: one.line)
            problems[first.name] = (
                f"Two targets for {first.name}: {shown(one.target)} in line {one.line}, {shown(two.target)} "
                f"in line {two.line}. Keep one; until then it is not judged."
            )
            continue
        lines = tuple(sorted(one.line for one in same))
        goals.append(
            Goal(
                name=first.name,
                target=first.target,
                measure=measure_of(first.name)[0],
                percentile=percentile,
                lines=lines,
            )
        )
    return tuple(sorted(_with_own_names(goals), key=lambda goal: goal.lines)), problems


def _with_own_names(goals: Sequence[Goal]) -> list[Goal]:
    """Goals for the mean and a percentile of one metric are told apart by their names."""
    names = Counter(normal(goal.name) for goal in goals)
    return [
        goal
        if names[normal(goal.name)] == 1 or goal.percentile is None
        else replace(goal, name=f"p{goal.percentile:g} {goal.name}")
        for goal in goals
    ]


def _agree(one: Target, other: Target) -> bool:
    units = {one.unit, other.unit} - {None}
    return (one.value, one.direction) == (other.value, other.direction) and len(units) < 2


def _settled(lines: Sequence[ReadLine], goals: Sequence[Goal]) -> list[ReadLine]:
    """A bullet without a number is none to worry about where another line has its target."""
    known = {normal(goal.name) for goal in goals}
    return [
        replace(line, meaning="ignored", told="its target stands in another line")
        if line.without_number and normal(line.without_number) in known
        else line
        for line in lines
    ]


def _rule(text: str, label: str, rest: str, section: str) -> Rule | None:
    """The passing rule in a line: none where it states a target, or is labelled as about something else."""
    if stated_at(without_count(text)) is not None or measure_of(label)[0] is not None:
        return None
    if label and section != "passing":
        return read_rule(rest, in_section=True) if re.search(_RULE, label, re.IGNORECASE) else None
    return read_rule(text, in_section=section == "passing")


def _is(label: str, words: str) -> bool:
    return re.fullmatch(words, label.strip(), re.IGNORECASE) is not None


def _section(block: Block) -> str:
    """What the closest heading that says so is about, or nothing."""
    for title in reversed(block.headings):
        for section, words in _SECTIONS.items():
            if re.search(words, title, re.IGNORECASE):
                return section
    return ""


def _name_above(block: Block) -> str:
    """The metric whose list item or section a line is in, or nothing."""
    above = [*block.headings[-1:], *block.parents]
    for text in reversed(above):
        name = _NUMBERING.sub("", text.rstrip(":").partition(":")[0]).strip()
        is_section = measure_of(name)[0] is None and any(
            re.search(words, name, re.IGNORECASE) for words in _SECTIONS.values()
        )
        if name and (not is_section or text in block.parents):
            return name
    return ""
