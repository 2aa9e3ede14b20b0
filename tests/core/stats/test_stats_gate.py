"""Families, verdicts and the gate over several metrics and candidates."""

import numpy as np
import pytest

from pytest_promptune.stats import MetricSpec, Pair, compare, judge

HIGHER = MetricSpec("binary", "higher")


def suite(n_cases, values):
    return {f"c{index:02}": list(values) for index in range(n_cases)}


GOOD, BAD, MIXED = suite(10, [1] * 5), suite(10, [0] * 5), suite(10, [1, 0, 1, 0, 1])
WORSE_A_BIT = {**suite(10, [1, 0, 1, 0, 1]), "c00": [0] * 5, "c01": [0] * 5}


def asked(reference, candidate, *, metric="m", old="old", new="new", spec=HIGHER, gated=True):
    return Pair(
        metric=metric,
        reference=old,
        candidate=new,
        reference_scores=reference,
        candidate_scores=candidate,
        spec=spec,
        gated=gated,
    )


def noisy(seed, shift=0.0, n_cases=20, runs=5):
    rng = np.random.default_rng(seed)
    return {f"c{i:02}": list(rng.normal(0.5 + shift, 0.1, runs)) for i in range(n_cases)}


SCORE = MetricSpec("score", "higher")


def test_a_regression_fails_the_gate_and_says_so():
    """A significant loss of a gated metric fails, with a sentence that names metric, sides and size."""
    judgement = judge([asked(GOOD, BAD), asked(MIXED, MIXED, metric="other")])
    assert judgement.gate == "fail"
    assert [row.gate for row in judgement.comparisons] == ["failed", "passed"]
    (reason,) = judgement.reasons
    assert reason.startswith("m (new against old) regressed. Down by 100.0 points")


def test_an_ungated_regression_is_told_but_passes():
    """An ungated metric gets a verdict, an exploratory flag, and its raw p-values."""
    judgement = judge([asked(GOOD, BAD, gated=False), asked(MIXED, MIXED, metric="other")])
    row = judgement.comparisons[0]
    assert judgement.gate == "pass"
    assert (row.verdict, row.gate, row.p_worse_adjusted) == ("regressed", "off", row.p_worse)
    assert "exploratory" in row.flags


def test_the_gate_can_be_off():
    """gate="off" passes whatever happened and marks no row."""
    judgement = judge([asked(GOOD, BAD)], gate="off", strict=True)
    assert judgement.gate == "pass"
    assert judgement.comparisons[0].gate == "off"


def test_nothing_to_compare_passes_without_rows():
    """No pairs: no rows, no failure; whether that is enough is for the caller to say."""
    judgement = judge([])
    assert (judgement.comparisons, judgement.gate) == ((), "pass")


def test_non_inferiority_needs_the_margin_ruled_out():
    """Not significant is not enough: what may hide a loss beyond the margin fails."""
    pairs = [asked(suite(3, [1, 0, 1]), suite(3, [1, 1, 0]))]
    assert judge(pairs).gate == "pass"
    judgement = judge(pairs, gate="non-inferiority")
    assert judgement.gate == "fail"
    assert "not shown to drop by less than 10.0 points" in judgement.reasons[0]
    assert judge([asked(GOOD, GOOD)], gate="non-inferiority").gate == "pass"


def test_non_inferiority_needs_common_cases():
    """Nothing compared is not a pass under non-inferiority."""
    assert judge([asked({"a": [1]}, {"b": [1]})], gate="non-inferiority").gate == "fail"


def test_strict_fails_on_inconclusive():
    """strict turns an inconclusive gated row into a failure with that reason."""
    judgement = judge([asked(suite(3, [1, 0, 1]), suite(3, [1, 1, 0]))], strict=True)
    assert judgement.gate == "fail"
    assert "is inconclusive, and strict is on" in judgement.reasons[0]


def test_single_broken_cases_can_fail_the_gate():
    """With gate_cases one clearly broken case among twenty fails a gate that the mean would pass."""
    good = suite(20, [1, 1, 1])
    pairs = [asked(good, {**good, "c03": [0, 0, 0]})]
    assert judge(pairs).gate == "pass"
    judgement = judge(pairs, gate_cases=True)
    assert judgement.gate == "fail"
    assert judgement.reasons == ("m (new against old) got worse in c03.",)


def test_the_family_is_all_gated_pairs_whatever_their_reference():
    """Holm counts every gated pair that could be rejected, over metrics, candidates and references."""
    pairs = [
        asked(noisy(1), noisy(2, -0.04), metric="a", spec=SCORE),
        asked(noisy(3), noisy(4), metric="b", new="other", spec=SCORE),
        asked(noisy(5), noisy(6), metric="a", old="baseline:main", new="old", spec=SCORE),
        asked(noisy(7), noisy(8), metric="c", spec=SCORE, gated=False),
        asked(GOOD, GOOD, metric="all passed"),
    ]
    rows = judge(pairs).comparisons
    assert [row.family_size for row in rows] == [3, 3, 3, 1, 1]
    assert rows[0].p_worse_adjusted == pytest.approx(3 * rows[0].p_worse)
    assert rows[4].p_worse_adjusted == 1


def test_families_by_variant_or_none():
    """multiplicity chooses who shares the error level."""
    pairs = [
        asked(noisy(1), noisy(2), metric=metric, new=new, spec=SCORE) for new in ("x", "y") for metric in "ab"
    ]
    sizes = {
        rule: [row.family_size for row in judge(pairs, multiplicity=rule, resamples=99).comparisons]
        for rule in ("holm", "bh", "variant", "none")
    }
    assert sizes == {"holm": [4] * 4, "bh": [4] * 4, "variant": [2] * 4, "none": [1] * 4}


def test_small_adjusted_p_values_can_be_resolved():
    """Relabellings are raised to 20 per hypothesis and alpha: with 50 of them, 20,000 and not 99."""
    pairs = [asked(noisy(1), noisy(2, -0.5), metric=f"m{i}", spec=SCORE) for i in range(50)]
    row = judge(pairs, resamples=99).comparisons[0]
    assert row.p_worse < 1 / 20_000
    assert row.verdict == "regressed"


def test_a_significant_loss_within_the_tolerance_is_no_regression():
    """The interval must lie beyond the tolerance; latency has one of 10 % unless told otherwise."""
    reference = {f"c{i:02}": [1.0, 1.01, 0.99, 1.0, 1.02] for i in range(20)}
    slower = {case: [1.07 * value for value in values] for case, values in reference.items()}
    options = {"kind": "latency", "direction": "lower"}
    assert compare(reference, slower, **options).verdict == "unchanged"
    assert compare(reference, slower, **options, tolerance=0.0).verdict == "regressed"
    much_slower = {case: [1.3 * value for value in values] for case, values in reference.items()}
    assert compare(reference, much_slower, **options).verdict == "regressed"


def test_lower_is_better_turns_the_verdict():
    """The same numbers are an improvement or a regression by direction."""
    assert compare(GOOD, BAD, direction="lower").verdict == "improved"
    assert compare(BAD, GOOD, direction="lower").verdict == "regressed"


@pytest.mark.parametrize(
    ("kind", "scale", "expected"),
    [("binary", 1, 0.10), ("score", 1, 0.10), ("score", 40, 2.0), ("cost", 1, 0.05), ("latency", 4, 0.40)],
)
def test_default_margins(kind, scale, expected):
    """0.10 for shares, 10 % of the reference for other scores and cost, 20 % for latency."""
    values = suite(4, [0.0, 1.0]) if kind == "binary" else suite(4, [0.4 * scale, 0.6 * scale])
    assert compare(values, values, kind=kind).margin == pytest.approx(expected)


def test_given_margins_are_in_the_unit_of_the_metric():
    """An explicit margin is absolute, for latency a fraction of the reference."""
    values = suite(4, [400.0, 600.0])
    assert compare(values, values, kind="cost", margin=30).margin == 30
    assert compare(values, values, kind="latency", margin=0.3).margin == pytest.approx(150)


def test_the_margin_separates_unchanged_from_inconclusive():
    """The same data are unchanged under a wide margin and inconclusive under a narrow one."""
    assert compare(noisy(1), noisy(2), kind="score", margin=0.10).verdict == "unchanged"
    row = compare(noisy(1), noisy(2), kind="score", margin=0.001)
    assert row.verdict == "inconclusive"
    assert "cannot be ruled out" in row.reason
    assert f"{row.runs_needed} runs per case needed" in row.reason


def test_the_verdict_turns_where_the_margin_meets_the_bound():
    """unchanged exactly if the unclipped bound towards worse is inside the margin."""
    bound = -compare(noisy(1), noisy(2), kind="score").ci_raw[0]
    verdicts = [compare(noisy(1), noisy(2), kind="score", margin=f * bound).verdict for f in (0.99, 1.01)]
    assert verdicts == ["inconclusive", "unchanged"]


def test_more_hypotheses_make_the_detectable_change_larger():
    """minimum_detectable is for the family the row is judged in."""
    alone = judge([asked(MIXED, WORSE_A_BIT)]).comparisons[0]
    shared = judge([asked(MIXED, WORSE_A_BIT, metric=m) for m in "abcd"]).comparisons[0]
    assert shared.minimum_detectable > alone.minimum_detectable


def test_two_sided_adjusted_p_is_twice_the_smaller():
    """p_adjusted summarises both directions."""
    row = compare(MIXED, WORSE_A_BIT)
    assert row.p_adjusted == pytest.approx(min(1, 2 * min(row.p_worse_adjusted, row.p_better_adjusted)))
    assert compare({}, {}).p_adjusted is None


# --- why the gate fails -----------------------------------------------------------------------------

NOTHING = [asked({"a": [1]}, {"b": [1]})]
FEW = [asked(suite(3, [1, 0, 1]), suite(3, [1, 1, 0]))]


@pytest.mark.parametrize(
    ("pairs", "options", "failure", "words"),
    [
        ([asked(GOOD, BAD)], {}, "regressed", "m (new against old) regressed. Down by"),
        ([asked(GOOD, BAD)], {"strict": True, "gate": "non-inferiority"}, "regressed", "regressed. Down by"),
        (FEW, {"strict": True}, "inconclusive", "is inconclusive, and strict is on. A drop of up to"),
        (FEW, {"gate": "non-inferiority"}, "not_shown", "not shown to drop by less than 10.0 points. A drop"),
        (FEW, {"gate": "non-inferiority", "strict": True}, "not_shown", "is not shown to drop by less than"),
        (NOTHING, {"strict": True}, "inconclusive", "strict is on. No case has values"),
        (NOTHING, {"gate": "non-inferiority"}, "not_shown", "not shown to be as good"),
    ],
)  # fmt: skip
def test_the_exit_text_says_which_of_the_three_it_was(pairs, options, failure, words):
    """Regressed, not shown within the margin, or inconclusive under strict: as a value and in words."""
    judgement = judge(pairs, **options)
    assert judgement.comparisons[0].failure == failure
    (reason,) = judgement.reasons
    assert words in reason


@pytest.mark.parametrize("options", [{}, {"gate": "off", "strict": True}], ids=str)
def test_what_passes_has_no_failure(options):
    """Neither an inconclusive row where that passes, nor one of an open gate."""
    judgement = judge(FEW, **options)
    assert judgement.gate == "pass"
    assert judgement.comparisons[0].failure is None


def test_non_inferiority_passes_a_small_certain_loss():
    """A loss that is certain and certainly within the margin is acceptable; the verdict still tells of it."""
    pairs = [asked(noisy(1), noisy(2, -0.05), spec=MetricSpec("score", "higher", margin=0.15))]
    row = judge(pairs, gate="non-inferiority", strict=True).comparisons[0]
    assert (row.verdict, row.gate, row.failure) == ("regressed", "passed", None)


def test_an_ungated_metric_never_fails_under_strict():
    """Strict is about what is gated."""
    assert judge([asked(suite(2, [1]), suite(2, [0]), gated=False)], strict=True).gate == "pass"


def test_cases_are_named_beside_a_regression_too():
    """With gate_cases a regressed metric says which cases got worse by themselves."""
    judgement = judge([asked(GOOD, {**GOOD, "c03": [0] * 5, "c07": [0] * 5})], gate_cases=True)
    row = judgement.comparisons[0]
    assert (row.failure, row.failing_cases) == ("regressed", ("c03", "c07"))
    assert judgement.reasons[0].endswith("Worse by themselves: c03, c07.")


@pytest.mark.parametrize(
    ("options", "gated"), [({"gate": "off"}, True), ({}, False)], ids=["gate off", "not gated"]
)
def test_cases_of_what_is_not_gated_do_not_fail(options, gated):
    """gate_cases adds to the gate where there is one."""
    good = suite(20, [1, 1, 1])
    judgement = judge([asked(good, {**good, "c03": [0, 0, 0]}, gated=gated)], gate_cases=True, **options)
    assert judgement.gate == "pass"
    assert judgement.comparisons[0].failing_cases == ()


def test_a_suspect_case_does_not_fail():
    """Only what is confirmed counts: half of three runs lost may be chance."""
    mixed = {f"c{i:02}": [1, 0, 1] if i % 2 else [1, 1, 0] for i in range(8)}
    row = judge([asked(mixed, {**mixed, "c03": [0, 0, 0]})], gate_cases=True).comparisons[0]
    assert (row.gate, row.failing_cases) == ("passed", ())


def test_unchanged_suites_name_few_cases():
    """Measured twice without a change, at most one suite in ten has a case that fails (200 of them)."""
    rng = np.random.default_rng(5)
    failed = 0
    for _ in range(200):
        rates = rng.beta(0.5, 0.17, 20)
        sides = [{f"c{i:02}": list(rng.binomial(1, p, 5)) for i, p in enumerate(rates)} for _ in range(2)]
        failed += judge([asked(*sides)], gate_cases=True, resamples=99).gate == "fail"
    assert failed <= 20


# --- tolerance ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "tolerance", "expected"),
    [("binary", None, 0), ("score", None, 0), ("cost", None, 0), ("latency", None, 0.4),
     ("binary", 0.05, 0.05), ("cost", 3, 3), ("latency", 0.25, 1.0), ("latency", 0, 0)],
)  # fmt: skip
def test_tolerances(kind, tolerance, expected):
    """10 % of the reference for latency, otherwise none; given ones are in the metric's unit."""
    values = suite(4, [0.0, 1.0]) if kind == "binary" else suite(4, [3.0, 5.0])
    assert compare(values, values, kind=kind, tolerance=tolerance).tolerance == pytest.approx(expected)


def test_a_tolerance_is_not_a_margin():
    """It silences a loss that is certain, up to its size; the margin says what must be ruled out."""
    before = noisy(1)
    after = {case: [value - 0.05 for value in values] for case, values in before.items()}
    assert compare(before, after, kind="score").verdict == "regressed"
    within = compare(before, after, kind="score", tolerance=0.05, margin=0.2)
    assert within.verdict == "unchanged"
    assert within.p_worse < 0.025
    near = compare(before, after, kind="score", tolerance=0.05, margin=0.02)
    assert near.verdict == "inconclusive"
    assert compare(before, after, kind="score", tolerance=0.01).verdict == "regressed"


def test_a_tolerance_forgives_losses_only():
    """Improvements need no excuse."""
    before = noisy(1)
    after = {case: [value + 0.05 for value in values] for case, values in before.items()}
    assert compare(before, after, kind="score", tolerance=0.3).verdict == "improved"
