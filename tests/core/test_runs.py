"""How often a case is measured: numbers and ranges."""

import pytest

from pytest_promptune.core.runs import RunRange, most_runs, parse_runs, steps


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("5", 5),
        (7, 7),
        (" 3..10 ", RunRange(3, 10)),
        ("3 .. 10", RunRange(3, 10)),
        ("1..2", RunRange(1, 2)),
        ("5..5", 5),
    ],
)
def test_what_is_read(given, expected):
    """Numbers, ranges, and a range of one number, which is that number."""
    assert parse_runs(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "5..3",
        "0..3",
        "a..b",
        "3..",
        "..3",
        "..",
        "3..4..5",
        "3...5",
        "-1..3",
        "1.5..3",
        "0",
        "",
        "3-10",
        "٣..٥",
        "٣",
        "1_0",
        "1_0..2_0",
        "+5",
        "5.0",
        "9" * 5_000,
        "1.." + "9" * 5_000,
    ],
)
def test_what_is_refused(given):
    """The message says what would be valid."""
    with pytest.raises(ValueError, match=r"at least 1, or MIN\.\.MAX with MIN below MAX, as 3\.\.10"):
        parse_runs(given)


def test_a_range_reads_as_it_is_typed():
    """So that it can be shown, stored and read again."""
    assert str(RunRange(3, 10)) == "3..10"
    assert parse_runs(str(RunRange(3, 10))) == RunRange(3, 10)


def test_most_runs():
    """The upper end, or the number."""
    assert (most_runs(4), most_runs(RunRange(3, 10))) == (4, 10)


def test_steps():
    """MIN, the middle rounded down, MAX; without room for a middle MIN comes twice."""
    assert steps(RunRange(3, 10)) == (3, 6, 10)
    assert steps(RunRange(4, 5)) == (4, 4, 5)
    assert steps(RunRange(1, 3)) == (1, 2, 3)
    assert steps(6) == (6, 6, 6)
