"""pass@k and pass^k: unbiased from n runs, checked against the average over all draws of k of them."""

import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_promptune.core.errors import StatsError
from pytest_promptune.stats import describe, pass_at_k, pass_hat_k, passing

#: (n, c, k) with both values worked out by hand.
KNOWN = [
    (5, 0, 1, 0, 0),
    (5, 5, 3, 1, 1),
    (5, 4, 1, 0.8, 0.8),
    (5, 4, 2, 1, 0.6),
    (5, 2, 2, 0.7, 0.1),
    (5, 2, 3, 0.9, 0),
    (10, 3, 5, 1 - 21 / 252, 0),
    (10, 7, 5, 1, 21 / 252),
    (200, 1, 100, 0.5, 0),
]


def runs(n, passes):
    return [1] * passes + [0] * (n - passes)


@pytest.mark.parametrize(("n", "c", "k", "at", "hat"), KNOWN)
def test_known_values(n, c, k, at, hat):
    """1 - C(n - c, k) / C(n, k), and C(c, k) / C(n, k)."""
    assert pass_at_k({"a": runs(n, c)}, k).mean == pytest.approx(at, abs=1e-12)
    assert pass_hat_k({"a": runs(n, c)}, k).mean == pytest.approx(hat, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([0, 1, True, False]), min_size=1, max_size=7), st.data())
def test_they_are_the_average_over_all_draws(values, data):
    """Drawing k of the runs in every possible way: the share of draws with a pass, and with nothing else."""
    k = data.draw(st.integers(1, len(values)))
    draws = list(combinations(values, k))
    assert pass_at_k({"a": values}, k).mean == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_hat_k({"a": values}, k).mean == pytest.approx(sum(map(all, draws)) / len(draws))


SUITE = st.dictionaries(
    st.sampled_from([f"c{i}" for i in range(6)]),
    st.lists(st.sampled_from([0, 1, None, math.nan]), max_size=6),
    max_size=6,
)


@settings(deadline=None, max_examples=80)
@given(SUITE, st.integers(1, 7))
def test_what_holds_of_any_suite(scores, k):
    """0 <= pass^k <= pass@k <= 1; more tries help one and hurt the other; missing runs don't exist."""
    dense = {c: [v for v in values if v is not None and not math.isnan(v)] for c, values in scores.items()}
    at, hat = pass_at_k(scores, k), pass_hat_k(scores, k)
    assert (at, hat) == (pass_at_k(dense, k), pass_hat_k(dense, k))
    assert {case for case, value in at.cases.items() if value is None} == {
        case for case, values in dense.items() if len(values) < k
    }
    assert at.n_left_out == hat.n_left_out == sum(value is None for value in at.cases.values())
    assert (at.mean is None) == (at.n_left_out == len(scores))
    more_at, more_hat = pass_at_k(scores, k + 1), pass_hat_k(scores, k + 1)
    for case, value in at.cases.items():
        if value is None:
            continue
        assert 0 <= hat.cases[case] <= value <= 1
        if k == 1:
            assert (
                value == pytest.approx(hat.cases[case]) == pytest.approx(sum(dense[case]) / len(dense[case]))
            )
        if more_at.cases[case] is not None:
            assert more_at.cases[case] >= value - 1e-12
            assert more_hat.cases[case] <= hat.cases[case] + 1e-12


def test_a_suite_is_the_mean_of_its_cases():
    """Cases count alike however many runs they have; one with too few is None and counted, not 0."""
    scores = {"a": [1, 1, 1, 0], "b": [0, 0], "c": [1], "d": [None, None]}
    found = pass_at_k(scores, 2)
    assert found.cases == {"a": 1.0, "b": 0.0, "c": None, "d": None}
    assert (found.k, found.mean, found.n_left_out) == (2, 0.5, 2)
    assert pass_hat_k(scores, 2).mean == pytest.approx((0.5 + 0) / 2)
    assert pass_at_k(scores, 5).mean is None
    assert pass_at_k({}, 1).mean is None


def test_all_runs_pass_is_pass_hat_of_them():
    """`pass_all_runs` of a description is pass^N in a suite with N runs everywhere."""
    scores = {f"c{i}": runs(5, i) for i in range(6)}
    assert pass_hat_k(scores, 5).mean == describe(scores, kind="binary").pass_all_runs == pytest.approx(1 / 6)


@pytest.mark.parametrize("k", [0, -1, 1.5, "2", None, True], ids=repr)
def test_k_is_a_whole_number(k):
    """At least one run."""
    for estimate in (pass_at_k, pass_hat_k):
        with pytest.raises(StatsError, match="k="):
            estimate({"a": [1]}, k)


def test_only_zeros_and_ones_pass():
    """A score has no passes."""
    with pytest.raises(StatsError, match=r"not a binary value 0.5 in case 'a', run 2"):
        pass_at_k({"a": [1, 0.5]}, 1)


def test_everything_at_once():
    """Means for each k, cases in groups that passed equally often, and who was left out."""
    found = passing({"a": [1, 1, 0], "b": [0, 1, 1], "c": [0, 0, 0], "d": [1, None, 1], "e": [None]})
    assert list(found.at) == [1, 2, 3]
    assert found.at[1] == found.hat[1] == pytest.approx((2 / 3 + 2 / 3 + 0 + 1) / 4)
    assert found.at[2] == pytest.approx(3 / 4)
    assert found.hat[2] == pytest.approx((1 / 3 + 1 / 3 + 0 + 1) / 4)
    assert found.left_out == {1: 1, 2: 1, 3: 2}
    assert [(g.passes, g.runs, g.cases) for g in found.groups] == [
        (0, 3, ("c",)), (2, 3, ("a", "b")), (2, 2, ("d",)),
    ]  # fmt: skip
    assert found.groups[1].hat == {1: pytest.approx(2 / 3), 2: pytest.approx(1 / 3), 3: 0.0}
    assert found.groups[2].at == {1: 1.0, 2: 1.0}


def test_of_many_runs_not_every_k_is_told():
    """Up to 10, and the number of runs."""
    assert list(passing({"a": runs(40, 20)}).at) == [*range(1, 11), 40]
    assert passing({}).groups == ()
