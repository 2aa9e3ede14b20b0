"""The sample as a test sees it, and what the test makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from pytest_promptune.core.codec import sha256, unboxed
from pytest_promptune.core.errors import ScoreError
from pytest_promptune.core.model import Case, NodeRun, SampleError, SampleRecord, Usage, Variant
from pytest_promptune.core.stats.model import LARGEST_VALUE, Direction, Kind

DIRECTIONS = ("higher", "lower")

#: Characters kept of a label.
LABEL_LENGTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One value of a named measure; ``None`` = not scored."""

    value: float | None
    #: ``binary`` for booleans, ``score`` for numbers.
    kind: Kind
    direction: Direction = "higher"
    unit: str | None = None
    #: The fixture whose evaluator gave it; empty for what a test scored itself.
    scorer: str = ""
    #: The beginning of what the evaluator said of it, unless it passed.
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """What was predicted and what was expected, for confusions and F1."""

    predicted: str
    expected: str


class Sample:
    """One execution of the app, case x variant x run, as one test sees it.

    All tests of an app get the same output of the same execution; each has scores of its own.
    """

    def __init__(self, *, case: Case, variant: Variant, record: SampleRecord) -> None:
        self._case = case
        self._variant = variant
        self._record = record
        #: What this test scored, by name; read by the plugin after the test.
        self.scores: dict[str, Score] = {}
        self.classification: Classification | None = None

    def __repr__(self) -> str:
        return f"<Sample {self._case.id} {self._variant.name} run {self._record.run}>"

    @property
    def case(self) -> Case:
        """The case the app was called with."""
        return self._case

    @property
    def variant(self) -> Variant:
        """The variant that was in force."""
        return self._variant

    @property
    def run(self) -> int:
        """Repetition number, 1..N."""
        return self._record.run

    @property
    def output(self) -> Any:
        """What the app returned, as it returned it. Shared between tests: don't change it."""
        return self._record.output

    @property
    def error(self) -> SampleError | None:
        """Why there is no output; tests of an errored sample are not called, so they see ``None``."""
        return self._record.error

    @property
    def latency_s(self) -> float | None:
        """Wall time of the app's call in seconds."""
        return self._record.latency_s

    @property
    def usage(self) -> Usage:
        """Tokens and cost of all model calls of this sample."""
        return self._record.usage

    @property
    def nodes(self) -> Mapping[str, NodeRun]:
        """Per LLM node: latency, usage, rendered prompt; empty when no model call was traced."""
        return {node.node: node for node in self._record.nodes}

    def score(
        self,
        name: str,
        value: bool | float | None,
        *,
        direction: Direction = "higher",
        unit: str | None = None,
    ) -> None:
        """Record a value of the metric `name` for this sample.

        Args:
            name: of the metric; it is kept as ``<test>::<name>``.
            value: ``bool`` makes a 0/1 metric, a number a score, ``None`` counts as not scored.
            direction: which way is better, ``higher`` or ``lower``.
            unit: shown beside the values.

        Raises:
            ScoreError: for NaN, infinity, other types, another direction, or a second value of one name.
        """
        __tracebackhide__ = True
        where = f"sample.score({name!r}, …) in case {self._case.id!r}, run {self.run}"
        if not isinstance(name, str) or not name or "::" in name or "\n" in name:
            raise ScoreError(f"{where}: a metric's name is a non-empty line of text without '::'.")
        if direction not in DIRECTIONS:
            raise ScoreError(f"{where}: direction is {direction!r}; use 'higher' or 'lower'.")
        if name in self.scores:
            raise ScoreError(f"{where}: scored twice in one test; give the second value a name of its own.")
        number, kind = number_of(value, where)
        self.scores[name] = Score(value=number, kind=kind, direction=direction, unit=unit)

    def classify(self, *, predicted: object, expected: object) -> None:
        """Decide the test's 0/1 outcome like an assertion: a mismatch is a miss.

        The pair is kept for confusions. Labels are compared as they are and kept as text, see `label_text`.

        Raises:
            AssertionError: when `predicted` differs from `expected`; the plugin reports a miss.
            ScoreError: when called twice in one test.
        """
        __tracebackhide__ = True
        if self.classification is not None:
            raise ScoreError(
                f"sample.classify(…) in case {self._case.id!r}, run {self.run}: called twice in one test; "
                "write a test for each classification."
            )
        is_hit = bool(predicted == expected)
        label = label_text(expected)
        guess = label if is_hit else label_text(predicted)  # True is 1, though their texts differ
        self.classification = Classification(predicted=guess, expected=label)
        if not is_hit:
            raise AssertionError(f"classified as {predicted!r}, expected {expected!r}")


def label_text(label: object) -> str:
    """A label as it is kept: as text of at most `LABEL_LENGTH` characters, what can't be printed escaped.

    A longer one is that of a model that doesn't stop: of it, the beginning is kept, and a hash that tells it
    from others.
    """
    text = str(label)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(text) <= LABEL_LENGTH:
        return text
    return f"{text[: LABEL_LENGTH - 25]}… {sha256(text)}"


def number_of(value: Any, where: str) -> tuple[float | None, Kind]:
    """A score as a number, and its kind; ``None`` stays ``None``.

    Raises:
        ScoreError: for NaN, infinity, too large numbers and other types; `where` says in its text what they
            belong to.
    """
    __tracebackhide__ = True
    value = unboxed(value)
    if value is None:
        return None, "score"
    if isinstance(value, bool):
        return float(value), "binary"
    if not isinstance(value, Real):
        raise ScoreError(f"{where}: the value is {value!r}; use a bool, a number, or None for not scored.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ScoreError(f"{where}: the value is {number}; use a finite number, or None for not scored.")
    if abs(number) > LARGEST_VALUE:
        raise ScoreError(
            f"{where}: the value is {number}, too large to compute with (beyond {LARGEST_VALUE:g}); score it "
            "in another unit."
        )
    return number, "score"
