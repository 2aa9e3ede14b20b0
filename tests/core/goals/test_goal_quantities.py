"""Numbers with units and directions, as people write them in English and Japanese."""

from __future__ import annotations

import pytest

from pytest_promptune.core.goals.model import Target
from pytest_promptune.core.goals.quantities import find_target, plain, shown


def target(value, unit, direction):
    return Target(value=value, unit=unit, direction=direction)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90% or higher", target(0.9, "%", "higher")),
        ("at least 90 percent", target(0.9, "%", "higher")),
        ("29 % minimum", target(0.29, "%", "higher")),
        (">= 0.95", target(0.95, None, "higher")),
        ("≥0.95", target(0.95, None, "higher")),
        ("no less than 4", target(4, None, "higher")),
        ("must not fall below 85%", target(0.85, "%", "higher")),
        ("2.0 seconds or less", target(2, "s", "lower")),
        ("2.0 seconds on average or less", target(2, "s", "lower")),
        ("under 800 ms", target(0.8, "s", "lower")),
        ("within 2 minutes", target(120, "s", "lower")),
        ("no more than 3 s", target(3, "s", "lower")),
        ("$0.010 or less", target(0.01, "USD", "lower")),
        ("at most 1.5 cents", target(0.015, "USD", "lower")),
        ("USD 0.02 maximum", target(0.02, "USD", "lower")),
        ("¥3 or less", target(3, "JPY", "lower")),
        ("<= 1,200", target(1200, None, "lower")),
        ("up to 1,200 tokens", target(1200, "tokens", "lower")),
        ("90%以上", target(0.9, "%", "higher")),
        ("問い合わせの振り分けを90%以上正しく行う", target(0.9, "%", "higher")),
        ("９０％以上に向上", target(0.9, "%", "higher")),
        ("2.0秒以下", target(2, "s", "lower")),
        ("800ミリ秒未満", target(0.8, "s", "lower")),
        ("1件あたりの費用を$0.010以下に抑える", target(0.01, "USD", "lower")),
        ("1.5円以内", target(1.5, "JPY", "lower")),
        ("最大500トークン", target(500, "tokens", "lower")),
        ("少なくとも4.2", target(4.2, None, "higher")),
        ("2秒を超えないこと", target(2, "s", "lower")),
        ("2秒を超えず", target(2, "s", "lower")),
        ("$0.01を上回らない", target(0.01, "USD", "lower")),
        ("90%を下回らないこと", target(0.9, "%", "higher")),
        ("90%を下回りません", target(0.9, "%", "higher")),
        ("90%を超える", target(0.9, "%", "higher")),
        ("2秒を下回る", target(2, "s", "lower")),
        ("$1e-3 or less", target(0.001, "USD", "lower")),
        ("1¢ or less", target(0.01, "USD", "lower")),
        ("at least -0.5", target(-0.5, None, "higher")),
        ("cut costs by 30% to $0.010 or less", target(0.01, "USD", "lower")),
        ("30%削減し$0.010以下", target(0.01, "USD", "lower")),
        ("200 ms or less in 3 of 4 regions", target(0.2, "s", "lower")),
    ],
)
def test_targets(text, expected):
    """Value, unit and direction, whatever is usual."""
    assert find_target(plain(text), usual=None) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("reduce by 20%", "relative"),
        ("20% faster", "relative"),
        ("20%以上削減", "relative"),
        ("0,95 or higher", "point"),
        ("at least 90% or less", "both"),
        ("80% or higher, 90% or higher", "more than one"),
        ("$5 or less per 1,000 requests", "single samples"),
        ("90", "which way"),
        ("4.5/5 or higher", "scale"),
        ("at least 4.5 / 5", "scale"),
        ("9 out of 10 or more", "scale"),
        ("at most 1 200", "space"),
        ("1 200 tokens or less", "space"),
    ],
)
def test_what_is_no_target_says_why(text, why):
    """What could be read in two ways is not read."""
    found = find_target(plain(text), usual=None)
    assert isinstance(found, str)
    assert why in found


@pytest.mark.parametrize("text", ["better than before", "F1", "p95", "the 95th percentile", ""])
def test_what_has_no_number(text):
    """Digits of a name are none."""
    assert find_target(text, usual="higher") is None


def test_the_usual_direction_and_the_aim():
    """Of two plain numbers the one after `to` counts; the metric says which way."""
    assert find_target("from 75% to 90%", usual="higher") == target(0.9, "%", "higher")
    assert find_target("1.5 s", usual="lower") == target(1.5, "s", "lower")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (target(0.9, "%", "higher"), "90 % or higher"),
        (target(2.0, "s", "lower"), "2 s or less"),
        (target(0.01, "USD", "lower"), "$0.01 or less"),
        (target(3, "JPY", "lower"), "¥3 or less"),
        (target(1200, "tokens", "lower"), "1,200 tokens or less"),
    ],
)
def test_targets_are_shown_as_people_write_them(given, expected):
    """The unit and the direction in words."""
    assert shown(given) == expected
