"""Whether the cases of a session are fit to be measured: ids, duplicates, what is expected, balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_promptune.core.codec import canonical, sha256
from pytest_promptune.core.display import count
from pytest_promptune.core.errors import ScoreError
from pytest_promptune.core.model import Case
from pytest_promptune.core.planning import Check

#: Recommended share of the cases by the tag ``difficulty``.
DIFFICULTIES: Mapping[str, tuple[float, float]] = {
    "easy": (0.40, 0.50),
    "medium": (0.30, 0.40),
    "hard": (0.10, 0.20),
}
#: A category with less than this part of an even share is thin.
_THIN = 0.5
_MOST_NAMED = 5


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
    problems = [*_duplicates(cases), *_without_expected(cases)]
    loaded = Check(status="ok", what="cases", text=f"{count(len(cases), 'case')}, each with an id of its own")
    return [*(problems or [loaded]), *_balance(cases)]


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
    text = f"the same input under different ids, which counts it several times: {_named(groups)}. Keep one."
    return [Check(status="warning", what="cases", text=text)]


def _without_expected(cases: Sequence[Case]) -> list[Check]:
    """A suite may expect nothing of any case; if it does of most, some were forgotten."""
    lacking = [case.id for case in cases if case.expected is None]
    if not lacking or len(lacking) == len(cases):
        return []
    text = (
        f"no expected in {len(lacking)} of {len(cases)} cases: {_named(lacking)}. Add it if a test needs it."
    )
    return [Check(status="warning", what="cases", text=text)]


def _balance(cases: Sequence[Case]) -> list[Check]:
    found = []
    for tag, judge in (("category", _uneven), ("difficulty", _off_the_mix)):
        tagged = [str(case.tags[tag]) for case in cases if case.tags.get(tag) is not None]
        if not tagged:
            continue
        counts = {value: tagged.count(value) for value in dict.fromkeys(tagged)}
        untagged = len(cases) - len(tagged)
        advice = [
            *judge(counts, len(tagged)),
            *([f"{count(untagged, 'case')} without it"] if untagged else []),
        ]
        shares = ", ".join(f"{value} {_percent(number / len(tagged))} %" for value, number in counts.items())
        what = f"balance of {tag}"
        if advice:
            text = (
                f"{shares}: {'; '.join(advice)}. Add cases there, or leave it if real inputs are like this."
            )
            found.append(Check(status="warning", what=what, text=text))
        else:
            found.append(Check(status="ok", what=what, text=shares))
    return found


def _uneven(counts: Mapping[str, int], total: int) -> list[str]:
    thin = [value for value, number in counts.items() if number < _THIN * total / len(counts)]
    return [f"few cases of {_named(thin)}"] if thin else []


def _off_the_mix(counts: Mapping[str, int], total: int) -> list[str]:
    """Levels whose share is not as recommended; a share that one case more or less would mend is fine."""
    shares = {value.strip().lower(): number / total for value, number in counts.items()}
    if not set(shares) & set(DIFFICULTIES):
        return []  # levels of another name
    return [
        f"{level} should be {_percent(low)}–{_percent(high)} %"
        for level, (low, high) in DIFFICULTIES.items()
        if not low - 1 / total < shares.get(level, 0.0) < high + 1 / total
    ]


def _percent(share: float) -> str:
    return f"{share * 100:.0f}"


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
    return ", ".join(ids[:_MOST_NAMED]) + more
