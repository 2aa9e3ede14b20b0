"""Numbers and foreign text as people read them."""

import math

import pytest
from views import COST, LATENCY, WORDS, comparison, cost, latency, metric_name, words

from pytest_promptune.core import display


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://x.invalid\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("one\r\ntwo\tthree\x85four\u2028five", "one two three four five"),
        ("a\u202eb\u2066c\u200bd\ufeffe\U000e0041f", "abcdef"),
        ("bell\x07 back\x08space nul\x00", "bell backspace nul"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("日本語 café 👩\u200d💻", "日本語 café 👩\u200d💻"),
    ],
)
def test_foreign_text_becomes_one_harmless_line(foreign, shown):
    """Escape sequences, controls, bidi overrides and line breaks are gone; words of any script stay."""
    assert display.clean(foreign) == shown


def test_invisible_characters_show_in_the_lines_of_a_diff():
    """A prompt that differs in an invisible character alone must not look the same."""
    assert display.clean_lines("a\u202eb\r\nc\x1b[0m\td") == ["a<U+202E>b", "c<U+001B>[0m\td"]


def test_wide_characters_take_two_columns():
    """Japanese case ids don't break tables."""
    assert display.columns("日本語") == 6
    assert display.cut("日本語", 5) == "日本…"
    assert display.wrap("日本語テスト", 4) == ["日本", "語テ", "スト"]


def test_lines_are_not_broken_between_a_number_and_its_unit():
    """``75.0`` at the end of a line could be anything."""
    assert display.wrap("against 75.0 % in it", 12) == ["against", "75.0 % in it"]
    assert display.wrap("", 12) == []


def test_long_lists_are_cut_with_a_count():
    """A reader knows how many cases are not named."""
    ids = [f"TC{i:03}" for i in range(40)]
    text = display.listed(ids, 30)
    assert text == "TC000, TC001 and 38 more"
    assert display.listed(ids[:2], 30) == "TC000, TC001"
    assert display.listed([], 30) == ""


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        (metric_name(), 0.75, "75.0 %"),
        (LATENCY, 2.4083, "2.41 s"),
        (LATENCY, 0.4123, "412 ms"),
        (COST, 0.015, "$0.0150"),
        (COST, 12.5, "$12.50"),
        (WORDS, 41.23, "41.2"),
        (WORDS, 12345.6, "12,346"),
        (WORDS, 0.0, "0"),
        (WORDS, 3e-9, "3.00e−09"),
        (WORDS, None, "–"),
        (WORDS, math.nan, "–"),
        (metric_name(), None, "–"),
    ],
)
def test_means_are_shown_in_the_unit_of_the_metric(name, value, shown):
    """Shares in per cent, times in ms or s, money in dollars, unknown as a dash."""
    assert display.mean(name, value) == shown


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (comparison(difference=0.11, ci=(0.029, 0.195)), "+11.0 [+2.9, +19.5] pts"),
        (comparison(difference=0.0, ci=(-0.037, 0.037)), "0.0 [−3.7, +3.7] pts"),
        (comparison(difference=-0.0001, ci=None), "0.0 pts"),
        (comparison(difference=0.11, ci=(-math.inf, 0.195)), "+11.0 [–, +19.5] pts"),
        (comparison(difference=None, ci=None), "–"),
        (latency(), "−1.7 [−7.6, +4.5] %"),
        (latency(ratio=None, difference=0.12, ci=(-0.01, 0.25)), "+120 [−10, +250] ms"),
        (cost(), "−6.7 [−9.3, −4.0] %"),
        (cost(reference_mean=0.0), "−0.0010 [−0.0014, −0.0006] USD"),
        (words(), "+2.7 [−1.1, +6.4] words"),
    ],
)
def test_effects_carry_interval_and_unit(row, shown):
    """Points for shares, per cent for latency and cost, the own unit for scores."""
    assert display.effect(row) == shown


@pytest.mark.parametrize(
    ("p", "shown"),
    [(0.0155, "0.015"), (0.58, "0.58"), (1.0, "1.00"), (0.00001, "<0.001"), (0.0, "<0.001"), (None, "–")],
)
def test_p_values_are_never_zero(p, shown):
    """A permutation test cannot give 0."""
    assert display.probability(p) == shown


def test_amounts_are_sizes_in_words():
    """What would go unnoticed is said in the unit people think in."""
    assert display.amount(comparison(), 0.1098) == "11 points"
    assert display.amount(latency(), 0.2) == "8.0 %"
    assert display.amount(words(), 5.4) == "5.4 words"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0 s"), (0.0412, "41.2 ms"), (171.3, "171 s"), (3725.0, "62 min 5 s"), (None, "–")],
)
def test_durations_have_the_unit_that_suits_them(value, shown):
    """Minutes from ten minutes on."""
    assert display.seconds(value) == shown


def test_changes_of_a_case_have_a_sign_and_a_unit():
    """Nothing is said where one side is unknown."""
    assert display.change(metric_name(), 1.0, 0.2) == "−80.0 pts"
    assert display.change(LATENCY, 0.4, 0.412) == "+12 ms"
    assert display.change(WORDS, None, 3.0) == "–"


def test_absolute_differences_stand_beside_relative_ones():
    """The bill adds up in dollars, not in per cent."""
    assert display.difference(cost()) == "−0.0010 [−0.0014, −0.0006] USD"
    assert display.difference(latency()) == "−100 ms"
    assert display.difference(comparison()) == "−1.0 [−8.0, +6.0] pts"


def test_some_of_many_names():
    """The first few, and how many more there are; thousands are grouped."""
    names = [f"c{i}" for i in range(2_000)]
    assert display.some(names[:5]) == "c0, c1, c2, c3, c4"
    assert display.some(names[:6]) == "c0, c1, c2, c3, c4 and 1 more"
    assert display.some(names, 2) == "c0, c1 and 1,998 more"
    assert display.some([]) == ""


def test_shares_in_per_cent():
    """With the digits they need, up to six; an unknown one is no number."""
    assert (display.percent(0.95), display.percent(0.9999)) == ("95 %", "99.99 %")
    assert display.percent(0.999914548, digits=5) == "99.991 %"
    assert display.percent(None) == display.UNKNOWN
