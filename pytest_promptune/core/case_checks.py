"""Whether the cases of a session are fit to be measured: duplicates, what is lacking, balance.

Everything but an input without a JSON form is advice: only who wrote the cases knows what is meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from pytest_promptune.core.codec import canonical, sha256
from pytest_promptune.core.display import count, some
from pytest_promptune.core.errors import ScoreError
from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.planning import Check
from pytest_promptune.core.values import dataclass

#: Recommended share of the cases by the tag ``difficulty``.
DIFFICULTIES: Mapping[str, tuple[float, float]] = {
    "easy": (0.40, 0.50),
    "medium": (0.30, 0.40),
    "hard": (0.10, 0.20),
}
#: Tags whose values should have cases enough each.
BALANCED = ("category", "difficulty")
#: Recommended share of edge cases.
EDGE_CASES = (0.10, 0.15)
#: Letters and digits below which an input is very short.
SHORT = 5
_EDGE = frozenset({"edge", "edge_case", "edge_cases"})
#: Keys of a message that say what it is, and nothing of what is asked.
_NO_TEXT = frozenset({"role", "type", "id", "name"})
#: A category with less than this part of an even share is thin.
_THIN = 0.5
_DEEPEST = 8


def case_checks(cases: Sequence[Case]) -> list[Check]:
    """The lines of the checklist about cases; each case once."""
    if not cases:
        return [
            Check(
                status="warning",
                what="cases",
                text="known only when fixtures run: not checked. Parametrize with load_cases(…) to have them "
                "checked and generated ahead.",
            )
        ]
    problems = _problems(cases)
    loaded = Check(status="ok", what="cases", text=f"{count(len(cases), 'case')}, each with an id of its own")
    return [*(problems or [loaded]), *_balance(cases)]


def case_notes(items: Sequence[PlannedItem]) -> list[str]:
    """What to tell who records a baseline of these items: the cases stay as they are for long then."""
    modules: dict[str, dict[str, Case]] = {}
    for item in items:
        if item.case is not None:
            modules.setdefault(item.module, {})[item.case.id] = item.case
    return [
        f"Cases of {module}: {check.text}"
        for module, cases in modules.items()
        for check in _problems(list(cases.values()))
    ]


def _problems(cases: Sequence[Case]) -> list[Check]:
    return [
        *_duplicates(cases),
        *_short_inputs(cases),
        *_without_expected(cases),
        *_without_expected_keys(cases),
    ]


def _duplicates(cases: Sequence[Case]) -> list[Check]:
    by_input: dict[str, list[str]] = {}
    for case in cases:
        try:
            text = sha256(canonical(case.input, where=f"Case {case.id!r}: input"))
        except ScoreError as error:
            return [Check(status="failed", what="cases", text=str(error))]
        by_input.setdefault(text, []).append(case.id)
    groups = [" = ".join(ids) for ids in by_input.values() if len(ids) > 1]
    if not groups:
        return []
    text = f"the same input under different ids, which counts it several times: {some(groups)}. Keep one."
    return [Check(status="warning", what="cases", text=text)]


def _without_expected(cases: Sequence[Case]) -> list[Check]:
    """A suite may expect nothing of any case; if it does of most, some were forgotten."""
    lacking = [case.id for case in cases if case.expected is None]
    if not lacking or len(lacking) == len(cases):
        return []
    text = f"no expected in {len(lacking)} of {len(cases)} cases: {some(lacking)}. Add it if a test needs it."
    return [Check(status="warning", what="cases", text=text)]


def _without_expected_keys(cases: Sequence[Case]) -> list[Check]:
    """What most cases expect, and some don't: tests that read it would fail there."""
    expecting = [(case.id, case.expected) for case in cases if isinstance(case.expected, Mapping)]
    having = Counter(key for _, expected in expecting for key in expected)
    found = []
    for key, number in having.items():
        lacking = [id for id, expected in expecting if key not in expected]
        if lacking and number > len(lacking):
            text = (
                f"no expected {key!r} in {len(lacking)} of {len(expecting)} cases: {some(lacking)}. Add it "
                "if a test needs it."
            )
            found.append(Check(status="warning", what="cases", text=text))
    return found


def _short_inputs(cases: Sequence[Case]) -> list[Check]:
    """Inputs that say next to nothing, where most say more; edge cases may."""
    sizes = {case.id: _letters(case.input) for case in cases}
    known = [size for size in sizes.values() if size is not None]
    short = [c.id for c in cases if (size := sizes[c.id]) is not None and size < SHORT and not is_edge(c)]
    if not short or 2 * len(short) > len(known):
        return []
    text = (
        f"very short inputs (fewer than {SHORT} letters and digits) in {len(short)} of {len(cases)} cases: "
        f"{some(short)}. Are they complete? If they are meant to be so, tag them as edge cases."
    )
    return [Check(status="warning", what="cases", text=text)]


def _letters(value: Any) -> int | None:
    """How many letters and digits the texts of an input have; ``None`` where it has no text."""
    texts = list(_texts(value, depth=0))
    return sum(map(str.isalnum, "".join(texts))) if texts else None


def _texts(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            if key not in _NO_TEXT or len(value) == 1:
                yield from _texts(part, depth + 1)
    elif isinstance(value, Sequence | Set) and not isinstance(value, bytes | bytearray):
        for part in value:
            yield from _texts(part, depth + 1)
    elif isinstance(content := getattr(value, "content", None), str | list):  # a message
        yield from _texts(content, depth + 1)


def is_edge(case: Case) -> bool:
    """Whether tags call it an edge case: a category or difficulty of that name, or a tag that is true."""
    named = (case.tags.get(tag) for tag in ("category", "difficulty", "type"))
    if any(_is_edge_name(value) for value in named if value is not None):
        return True
    return any(_is_edge_name(tag) and _is_true(value) for tag, value in case.tags.items())


def _is_edge_name(value: object) -> bool:
    return str(value).strip().lower().replace(" ", "_").replace("-", "_") in _EDGE


def _is_true(value: object) -> bool:
    """A table has its truth values as texts."""
    return value is True or str(value).strip().lower() in ("true", "yes", "1")


def _balance(cases: Sequence[Case]) -> list[Check]:
    found = []
    for tag in BALANCED:
        balance = balance_of(tag, [case.tags.get(tag) for case in cases])
        if balance is None:
            continue
        what = f"balance of {tag}"
        if balance.advice:
            text = (
                f"{balance.told}: {'; '.join(balance.advice)}. Add cases there, or leave it if real inputs "
                "are like this."
            )
            found.append(Check(status="warning", what=what, text=text))
        else:
            found.append(Check(status="ok", what=what, text=balance.told))
    return [*found, *_edge_cases(cases)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How many cases each value of a tag has."""

    counts: Mapping[str, int]
    #: Cases without the tag.
    untagged: int
    #: What is uneven, or empty.
    advice: tuple[str, ...]

    @property
    def told(self) -> str:
        """``billing 60 %, technical 40 %``, of the cases that have the tag."""
        total = sum(self.counts.values())
        return ", ".join(f"{value} {_percent(number / total)} %" for value, number in self.counts.items())


def balance_of(tag: str, values: Sequence[object]) -> Balance | None:
    """What is uneven by one of the tags `BALANCED`; ``None`` where no case has it.

    Args:
        tag: its name.
        values: one per case, ``None`` for those without it.
    """
    counts = Counter(str(value) for value in values if value is not None)
    if not counts:
        return None
    untagged = len(values) - counts.total()
    uneven = (_uneven if tag == "category" else _off_the_mix)(counts)
    advice = [*uneven, *([f"{count(untagged, 'case')} without it"] if untagged else [])]
    return Balance(counts=dict(counts), untagged=untagged, advice=tuple(advice))


def _edge_cases(cases: Sequence[Case]) -> list[Check]:
    """Their share, where there are any; one that one case more or less would mend is fine."""
    number, total = sum(map(is_edge, cases)), len(cases)
    if number == 0:
        return []
    text = f"{count(number, 'case')}, {_percent(number / total)} %"
    low, high = EDGE_CASES
    if low - 1 / total < number / total < high + 1 / total:
        return [Check(status="ok", what="edge cases", text=text)]
    text += f": should be {_percent(low)}–{_percent(high)} %, unless real inputs are like this."
    return [Check(status="warning", what="edge cases", text=text)]


def _uneven(counts: Mapping[str, int]) -> list[str]:
    """Categories with few cases; that of the edge cases has a share of its own."""
    thin = thin_categories(counts)
    return [f"few cases of {some(thin)}"] if thin else []


def thin_categories(counts: Mapping[str, int]) -> list[str]:
    """Those with less than half of the cases that each would have if all had as many; edge cases are few."""
    usual = {value: number for value, number in counts.items() if not _is_edge_name(value)}
    total = sum(usual.values())
    return [value for value, number in usual.items() if number < _THIN * total / len(usual)]


def _off_the_mix(counts: Mapping[str, int]) -> list[str]:
    """Levels whose share is not as recommended; a share that one case more or less would mend is fine."""
    total, levels = sum(counts.values()), _levels(counts)
    return [
        f"{level} should be {_percent(low)}–{_percent(high)} %"
        for level, (low, high) in DIFFICULTIES.items()
        if levels and not low - 1 / total < levels[level] / total < high + 1 / total
    ]


def thin_levels(counts: Mapping[str, int]) -> dict[str, int]:
    """Levels of difficulty with a smaller share than is recommended, and how many cases they have.

    As with `balance_of`, a share that one case more would mend is fine.
    """
    total, levels = sum(counts.values()), _levels(counts)
    return {
        level: number for level, number in levels.items() if (number + 1) / total <= DIFFICULTIES[level][0]
    }


def _levels(counts: Mapping[str, int]) -> dict[str, int]:
    """Cases by level of `DIFFICULTIES`; nothing where levels have other names."""
    found = dict.fromkeys(DIFFICULTIES, 0)
    for value, number in counts.items():
        if (level := value.strip().lower()) in found:
            found[level] += number
    return found if any(found.values()) else {}


def _percent(share: float) -> str:
    return f"{share * 100:.0f}"
