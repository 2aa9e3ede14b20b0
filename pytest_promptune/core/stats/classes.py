"""Classes: what was predicted beside what was expected, as counts and as aggregate metrics of them.

Macro-F1 is the unweighted mean of F1 over the classes that are *expected* in at least one sample. A class
that is never predicted has precision and F1 0 there, as with ``zero_division=0`` in scikit-learn, whose
numbers these are for ``f1_score(expected, predicted, labels=sorted(set(expected)), average="macro")``. A
label that is only predicted is no class of the average (models invent names): it costs the recall of the
class it stands in for. A sample without a prediction (an errored one) is a wrong prediction of no class: it
costs recall too, and nobody's precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from pytest_promptune.core.stats.cells import FloatArray, IntArray
from pytest_promptune.core.stats.model import ClassCounts, Confusions, LabelPair
from pytest_promptune.core.stats.resampling import Evaluator, Sums
from pytest_promptune.core.values import dataclass

Measure = Literal["macro_f1", "precision", "recall"]
#: From expected, predicted and correct counts, each (classes, sets), to one value per set; NaN: undefined.
_Formula: TypeAlias = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]


def confusions(pairs: Iterable[LabelPair]) -> Confusions:
    """Count pairs of expected and predicted labels.

    Args:
        pairs: one per sample, (expected, predicted); predicted is ``None`` where no class was predicted.
            Samples that are missing are left out by the caller.
    """
    known = list(pairs)
    n_expected, labels, of_expected, of_predicted = _codes(known)
    width = len(labels) + 1  # the last column: no class predicted
    flat = np.bincount(of_expected * width + of_predicted, minlength=n_expected * width)
    counts = flat.reshape(n_expected, width) if n_expected else np.zeros((0, width), dtype=np.int64)
    expected = np.append(counts.sum(axis=1), np.zeros(len(labels) - n_expected, dtype=np.int64))
    predicted = counts.sum(axis=0)[:-1]
    correct = np.append(np.diagonal(counts), np.zeros(len(labels) - n_expected, dtype=np.int64))
    columns = [each[:n_expected, None].astype(float) for each in (expected, predicted, correct)]
    return Confusions(
        labels=labels,
        counts=tuple(tuple(int(count) for count in row) for row in counts),
        classes=tuple(
            ClassCounts(label=label, n_expected=int(e), n_predicted=int(p), n_correct=int(c))
            for label, e, p, c in zip(labels, expected, predicted, correct, strict=True)
        ),
        macro_f1=float(_macro_f1(*columns)[0]) if known else None,
    )


def _codes(pairs: Sequence[LabelPair]) -> tuple[int, tuple[str, ...], IntArray, IntArray]:
    """Labels, the expected ones first, and the place of each pair's; no prediction comes after all labels."""
    expected = sorted({pair[0] for pair in pairs})
    invented = sorted({pair[1] for pair in pairs if pair[1] is not None} - set(expected))
    labels = (*expected, *invented)
    place = {label: number for number, label in enumerate(labels)}
    of_expected = np.array([place[pair[0]] for pair in pairs], dtype=np.int64)
    of_predicted = np.array(
        [len(labels) if pair[1] is None else place[pair[1]] for pair in pairs], dtype=np.int64
    )
    return len(expected), labels, of_expected, of_predicted


def _macro_f1(expected: FloatArray, predicted: FloatArray, correct: FloatArray) -> FloatArray:
    """Mean F1 = 2 correct / (expected + predicted) over the classes that are expected in the set."""
    present = expected > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(present, 2 * correct / (expected + predicted), 0.0)
        mean: FloatArray = f1.sum(axis=0) / present.sum(axis=0)
    return mean


def _precision(_expected: FloatArray, predicted: FloatArray, correct: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: FloatArray = (correct / predicted)[0]
    return shares


def _recall(expected: FloatArray, _predicted: FloatArray, correct: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: FloatArray = (correct / expected)[0]
    return shares


_FORMULAS: dict[Measure, _Formula] = {"macro_f1": _macro_f1, "precision": _precision, "recall": _recall}


@dataclass(frozen=True, slots=True)
class ClassMeasure:
    """Macro-F1, or precision or recall of one class, of sets of label pairs.

    Precision of a class that a set never predicts, and recall of one that it never expects, are undefined.
    """

    measure: Measure
    #: Of ``precision`` and ``recall``.
    label: str | None = None

    #: Relabellings are cheap: as many as the session draws.
    resamples: int | None = None
    #: Always a share.
    is_share: bool = True

    def key(self, sample: LabelPair) -> tuple[str, bool, str]:
        """What tells samples apart, and orders them."""
        expected, predicted = sample
        return expected, predicted is not None, predicted or ""

    def evaluator(self, cases: Sequence[Sequence[LabelPair]]) -> Evaluator:
        """Values of weighted sets of these samples, from sums over them."""
        pairs = [pair for case in cases for pair in case]
        classes = [self.label] if self.label is not None else sorted({expected for expected, _ in pairs})
        place = {label: number for number, label in enumerate(classes)}
        features = np.zeros((3, len(classes), len(pairs)))
        for index, (expected, predicted) in enumerate(pairs):
            if expected in place:
                features[0, place[expected], index] = 1
                features[2, place[expected], index] = expected == predicted
            if predicted in place:
                features[1, place[predicted], index] = 1
        formula = _FORMULAS[self.measure]

        def evaluate(sums: FloatArray) -> FloatArray:
            expected, predicted, correct = sums.reshape(3, len(classes), -1)
            return formula(expected, predicted, correct)

        ends = np.cumsum([len(case) for case in cases])[:-1]
        return Sums(np.split(features.reshape(-1, len(pairs)), ends, axis=1), evaluate)
