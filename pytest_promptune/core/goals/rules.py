"""The passing rule of a goals file: all of the goals, any, or some number of them."""

from __future__ import annotations

import re

from pytest_promptune.core.goals.model import Rule

_COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "一": 1, "二": 2, "三": 3, "四": 4, "五": 5}
_COUNT = r"(\d+|one|two|three|four|five)"
_THINGS = r"(?:metrics?|goals?|targets?|objectives?|criteria|these|them|the above|指標|目標|項目|基準)"
_SOME = re.compile(
    rf"\bany {_COUNT}\b(?: of)?|\bat least {_COUNT} of\b|\b{_COUNT} (?:or more )?of (?:these|the|them)\b"
    r"|([\d一二三四五]+)(?:つ|個)以上",
    re.IGNORECASE,
)
_ANY = re.compile(
    rf"\b(?:any|either)\b(?: one)?(?: of)?(?: the)?(?: \w+)? ?{_THINGS}?"
    r"|いずれか|どれか|少なくとも(?:1|一)つ",
    re.IGNORECASE,
)
_ALL = re.compile(
    rf"\b(?:all|every|each)\b[^.]{{0,30}}?{_THINGS}|^all\b|\ball of them\b"
    rf"|(?:すべて|全て|全)の?[^。]{{0,10}}?{_THINGS}"
    r"|^(?:すべて|全て)",
    re.IGNORECASE,
)
_ABOUT_GOALS = re.compile(_THINGS, re.IGNORECASE)


def read_rule(text: str, *, in_section: bool) -> Rule | None:
    """What a sentence says of how many goals are needed; ``None`` where it says nothing of that.

    Args:
        text: normalised.
        in_section: it stands below a heading such as *Passing criteria*.
    """
    if not in_section and not _ABOUT_GOALS.search(text):
        return None
    if some := _SOME.search(text):
        word = next(filter(None, some.groups())).lower()
        return Rule(needed=_COUNTS[word] if word in _COUNTS else int(word))
    if _ALL.search(text):
        return Rule()
    return Rule(needed=1) if _ANY.search(text) else None


def without_count(text: str) -> str:
    """A sentence without the number of goals that it asks for, which is no target of a metric."""
    return _SOME.sub(" ", text)


def shown_rule(rule: Rule) -> str:
    """A rule for people."""
    if rule.needed is None:
        return "all goals must be reached"
    return "any one goal is enough" if rule.needed == 1 else f"any {rule.needed} of the goals are enough"
