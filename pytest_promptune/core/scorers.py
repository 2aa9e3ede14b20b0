"""Evaluators with LangSmith's signature: which arguments they take, and what their answers mean."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pytest_promptune.core.display import clean, count, cut, some
from pytest_promptune.core.errors import PromptuneError, ScoreError
from pytest_promptune.core.model import ScorerScore, Scoring
from pytest_promptune.core.redaction import beginning
from pytest_promptune.core.scoring import Score, number_of
from pytest_promptune.core.stats.model import Kind
from pytest_promptune.core.values import dataclass

#: What an evaluator may ask for, by keyword: the case's input, the app's output, what was expected.
ARGUMENTS = ("inputs", "outputs", "reference_outputs")

#: Metrics that every app has; no scorer can give them.
_RESERVED = ("cost_usd", "error_rate", "input_tokens", "latency_s", "output", "output_tokens")

#: Characters kept of a judge's comment and of an error, for each sample until the session's end.
COMMENT_LENGTH = 200
_REASON_LENGTH = 500


class ScorerError(PromptuneError):
    """A fixture that is named as a scorer and can't be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """A scorer that gave a sample no score, and why."""

    scorer: str
    reason: str
    #: Rate limits, 5xx, lost connections.
    infrastructure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scorer:
    """An evaluator that a fixture gave."""

    #: Of the fixture.
    name: str
    #: Where the fixture is defined: a test module, or a folder with its conftest.py.
    home: str
    #: It serves other modules as well.
    everywhere: bool
    call: Callable[..., Any]
    #: Which of `ARGUMENTS` it takes.
    takes: tuple[str, ...]
    #: Whether `call` gives a coroutine function.
    is_async: bool

    @property
    def identity(self) -> tuple[str, str]:
        """The same in every session, whatever object the fixture gives."""
        return self.name, self.home


def scorer_of(value: Any, *, name: str, home: str, everywhere: bool) -> Scorer:
    """What the fixture `name` returned, as a scorer.

    Raises:
        ScorerError: when it can't be called with some of `ARGUMENTS` by keyword.
    """
    if not callable(value) or isinstance(value, type):
        kind = "None" if value is None else f"an object of type {type(value).__qualname__}"
        raise ScorerError(f"the scorer fixture {name!r} returns {kind}, which can't be called. {_WANTED}")
    return Scorer(
        name=name,
        home=home,
        everywhere=everywhere,
        call=value,
        takes=_taken(value, name),
        is_async=inspect.iscoroutinefunction(value)
        or inspect.iscoroutinefunction(getattr(value, "__call__", None)),  # noqa: B004 - an async __call__
    )


_WANTED = (
    "Return a function of inputs, outputs and reference_outputs, or of some of them, as LangSmith and "
    "openevals have them."
)


def _taken(value: Callable[..., Any], name: str) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):  # a builtin that doesn't say
        return ARGUMENTS
    by_keyword = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    named = [argument for argument in ARGUMENTS if argument in by_keyword]
    foreign = [
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and (p.name not in ARGUMENTS or p.kind is p.POSITIONAL_ONLY)
    ]
    if foreign:
        raise ScorerError(
            f"the scorer fixture {name!r} returns a function that needs {', '.join(map(repr, foreign))}, "
            f"which promptune doesn't have. {_WANTED}"
        )
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return ARGUMENTS
    if not named:
        raise ScorerError(f"the scorer fixture {name!r} returns a function without arguments. {_WANTED}")
    return tuple(named)


def read_scores(answer: Any, *, scorer: str) -> tuple[ScorerScore, ...]:
    """What a scorer's answer says: a bool, a number, ``{"key", "score", "comment"}`` or a list of such.

    Args:
        answer: of the evaluator.
        scorer: its name, which is the key of values that come without one.

    Raises:
        ScoreError: for anything else, NaN and infinity included.
    """
    if isinstance(answer, list | tuple):
        scores = tuple(_entry(each, scorer, is_alone=len(answer) == 1) for each in answer)
    else:
        scores = (_entry(answer, scorer, is_alone=True),)
    keys = [score.key for score in scores]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ScoreError(f"the answer has two values of the key {twice!r}; give each a key of its own.")
    return scores


def _entry(answer: Any, scorer: str, *, is_alone: bool) -> ScorerScore:
    dump = getattr(answer, "model_dump", None)
    if callable(dump) and not isinstance(answer, type):  # LangSmith's own class of results
        answer = dump()
    if not isinstance(answer, Mapping):
        if answer is None or not is_alone:
            raise ScoreError(
                f"the answer {'is' if is_alone else 'holds'} {_shown(answer)}; a scorer gives a bool, a "
                'number, {"key": …, "score": …, "comment": …} or a list of such.'
            )
        return _score(answer, scorer, "")
    if "score" not in answer:
        raise ScoreError(f"the answer {_shown(dict(answer))} has no 'score'.")
    key = answer.get("key")
    if key is None and not is_alone:
        raise ScoreError("the answer is a list with values that have no 'key'; give each a key of its own.")
    comment = answer.get("comment") or answer.get("reasoning") or ""
    return _score(answer["score"], scorer if key is None else key, comment)


def _score(value: Any, key: Any, comment: Any) -> ScorerScore:
    if not isinstance(key, str) or not key.strip() or not key.isprintable() or "::" in key:
        raise ScoreError(f"the key is {_shown(key)}; a metric's name is a line of text without '::'.")
    if key in _RESERVED:
        raise ScoreError(f"the key is {key!r}, which is a metric that every app has; give it another one.")
    number, kind = number_of(value, f"the score {key!r}")
    return ScorerScore(key=key, value=number, is_binary=kind == "binary", comment=str(comment))


def _shown(value: object) -> str:
    return cut(repr(value), 100)


def scores_of(scorings: Iterable[Scoring], *, app: str) -> tuple[dict[str, Score], tuple[Unscored, ...]]:
    """The scores of a sample by the metric's full name, and why which scorer gave none."""
    scores: dict[str, Score] = {}
    errors: dict[str, Unscored] = {}
    owners: dict[str, str] = {}
    for scoring in scorings:
        name = scoring.scorer
        if scoring.error is not None:
            reason = beginning(str(scoring.error), _REASON_LENGTH)
            errors[name] = Unscored(scorer=name, reason=reason, infrastructure=scoring.error.infrastructure)
        for given in scoring.scores:
            owner = owners.setdefault(given.key, name)
            if owner == name:
                scores[f"{app}::{given.key}"] = _given(given, name)
            else:
                reason = (
                    f"its key {given.key!r} is that of the scorer {owner!r} as well; give it a key of its "
                    "own, as with openevals' feedback_key."
                )
                errors[name] = Unscored(scorer=name, reason=reason)
    return scores, tuple(errors.values())


def _given(given: ScorerScore, scorer: str) -> Score:
    """A scorer's value; nobody asks why a sample passed."""
    kind: Kind = "binary" if given.is_binary else "score"
    has_passed = given.is_binary and given.value == 1
    comment = "" if has_passed else beginning(given.comment, COMMENT_LENGTH)
    return Score(value=given.value, kind=kind, scorer=scorer, comment=comment)


class ScorerTally:
    """What the scorers of a session cost, and where they gave no score."""

    def __init__(self) -> None:
        self._costs: list[float] = []
        self._unpriced: dict[str, None] = {}
        #: Reasons by app, scorer, variant, case and run: once, however many tests share the sample.
        self._errors: dict[tuple[str, str, str, str, int], str] = {}

    def add(self, *, cost_usd: float | None, unpriced: Iterable[str]) -> None:
        """Scorers of one sample cost this."""
        if cost_usd is not None:
            self._costs.append(cost_usd)
        self._unpriced.update(dict.fromkeys(unpriced))

    def fail(self, app: str, scorer: str, reason: str, variant: str, case: str, run: int) -> None:
        """A scorer gave no score for a sample."""
        self._errors[app, scorer, variant, case, run] = reason

    @property
    def cost_usd(self) -> float | None:
        """All together, ``None`` where that isn't known of all of them, or none cost anything."""
        return sum(self._costs) if self._costs and not self._unpriced else None

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Models without a known price."""
        return tuple(self._unpriced)

    @property
    def failures(self) -> Mapping[tuple[str, str, str], Sequence[str]]:
        """The case of each sample that a scorer didn't score, by app, scorer and reason."""
        found: dict[tuple[str, str, str], list[str]] = {}
        for (app, scorer, _, case, _), reason in self._errors.items():
            found.setdefault((app, scorer, reason), []).append(case)
        return found


def failures_told(failures: Mapping[tuple[str, str, str], Sequence[str]]) -> list[str]:
    """What to say of scorers that gave no score.

    Args:
        failures: the case of each sample, by app, scorer and reason.
    """
    found = []
    for (app, scorer, reason), cases in failures.items():
        named = some([clean(case) for case in dict.fromkeys(cases)])
        found.append(
            f"The scorer {scorer!r} gave no score for {count(len(cases), 'sample')} of {app} "
            f"({named}): {cut(clean(reason), 300)}"
        )
    return found


def unpriced_scorers(models: Sequence[str]) -> list[str]:
    """What to tell once a session about models without a price that scorers called."""
    if not models:
        return []
    return [
        f"No price is known for {', '.join(models)}, which scorers called: what they cost isn't known. Give "
        "prices in the ini file, in USD per million tokens: "
        f'promptune_prices = "{models[0]} = INPUT / OUTPUT".'
    ]
