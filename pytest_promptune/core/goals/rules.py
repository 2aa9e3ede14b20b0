"""The passing rule of a goals file: all of the goals, any, or some number of them."""

from __future__ import annotations

import re

from pytest_promptune.core.goals.model import Rule

_COUNTS = {
    **{str(number): number for number in range(1, 100)},
    **{word: number for number, word in enumerate(("one", "two", "three", "four", "five"), 1)},
    **{numeral: number for number, numeral in enumerate("一二三四五六七八九十", 1)},
}
_COUNT = r"([1-9]\d?|one|two|three|four|five)"
_COUNTED = r"(?<![\d一二三四五六七八九十])([1-9]\d?|[一二三四五六七八九十])(?:つ|個)"
_GOALS = r"(?:metrics?|goals?|targets?|objectives?|criteria|criterion)"
_GOALS_JA = r"(?:指標|目標|項目|基準)"
_THINGS = rf"(?:{_GOALS}|these|them|the above|{_GOALS_JA})"
_SOME = re.compile(
    rf"\bany {_COUNT}\b(?: of)?|\bat least {_COUNT} of\b|\b{_COUNT} (?:or more )?of (?:these|the|them)\b"
    rf"|{_COUNTED}以上|少なくとも{_COUNTED}",
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

# Elsewhere than below a heading that announces it, a rule says how many of the goals, and that these pass.
_HOW_MANY = rf"(?:(?:any|at least)(?: {_COUNT})?|either|all|every|each|{_COUNT}(?: or more)? of)"
_HOW_MANY_GOALS = (
    rf"(?P<goals>\b{_HOW_MANY}(?: of)?(?: (?:the|these|those|our|its))?(?: \w+)? {_GOALS})\b"
    r"(?! (?:that|which)\b)"
)
_REACHED = r"(?:reach|achiev|attain|met\b|meet|satisf|fulfil|pass|hit\b)"
_REACHES = r"(?:reach|achieve|attain|meet|satisfy|satisfi|fulfil|pass|hit)(?:e?s)?\b"
_PASSES = (
    r"\b(?:enough|suffic|counts?\b|(?:must|should|shall|ha(?:s|ve) to|needs? to) "
    rf"|(?:is|are|be) {_REACHED}|{_REACHES})"
)
_STATED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"^{_HOW_MANY_GOALS}[.!]?$",
        rf"{_HOW_MANY_GOALS}[^.;]{{0,20}}?{_PASSES}",
        rf"\b{_REACHED}\w* {_HOW_MANY_GOALS}",
        rf"(?P<goals>\b{_HOW_MANY}(?: of)? (?:these|them))\b[^.;]{{0,10}}?\b(?:enough|suffic)",
        rf"(?P<goals>(?:すべて|全て|全|いずれか|どれか|少なくとも{_COUNTED}|{_COUNTED}以上)の?\w{{0,4}}?{_GOALS_JA})"
        r"[^。]*(?:達|満た|十分|クリア|合格)",
    )
)
_DENIED = re.compile(r"\b(?:not|never|cannot)\b|n['’]t\b|ない|ません", re.IGNORECASE)


def read_rule(text: str, *, in_section: bool) -> Rule | None:
    """What a sentence says of how many goals are needed; ``None`` where it says nothing of that.

    Args:
        text: normalised.
        in_section: it stands below a heading such as *Passing criteria*. Elsewhere *any*, *all* and numbers
            are usual words: there they have to be those of the goals, and what is said of them that they
            are enough, count, or have to be reached.
    """
    if not in_section:
        stated = next(filter(None, (pattern.search(text) for pattern in _STATED)), None)
        if stated is None or _DENIED.search(text):
            return None
        text = stated["goals"]
    if some := _SOME.search(text):
        return Rule(needed=_COUNTS[next(filter(None, some.groups())).lower()])
    if _ALL.search(text):
        return Rule()
    return Rule(needed=1) if _ANY.search(text) else None


def without_count(text: str) -> str:
    """A sentence without the number of goals that it asks for, which is no target of a metric."""
    return _SOME.sub(" ", text)
