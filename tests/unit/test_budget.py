"""How many samples a budget covers while their price becomes known."""

from __future__ import annotations

import pytest

from pytest_promptune.core.model import SampleError, SampleRecord, Usage
from pytest_promptune.sampling import Budget
from pytest_promptune.sampling.budget import Ledger


def record(cost: float | None = None, *, failed: bool = False) -> SampleRecord:
    error = SampleError(type="E", message="no") if failed else None
    return SampleRecord(case_id="c", variant="current", run=1, error=error, usage=Usage(cost_usd=cost))


def spent(budget: Budget, *records: SampleRecord) -> int | None:
    """What may be in flight after these samples."""
    allowed: list[int | None] = []
    ledger = Ledger(budget, stop=lambda _: allowed.append(0), allow=allowed.append)
    for each in records:
        ledger.sampled(each)
        ledger.charge([each.usage])
    return allowed[-1] if allowed else budget.affordable


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], 1),
        ([record(2.0)], 4),
        ([record(2.0), record(4.0)], 1),
        ([record(2.0), record(2.0), record(2.0), record(2.0), record(1.0)], 1),
        ([record(9.0), record(2.0)], 0),
        ([record(0.0)], None),
        ([record(None)], None),
        ([record(failed=True)], 1),
        ([record(2.0, failed=True)], 4),
        ([record(failed=True)] * 3, None),
    ],
)
def test_what_it_covers(records, expected):
    """What is left by the mean price; one while that is unknown, all where nothing costs, none when spent."""
    assert spent(Budget(10.0), *records) == expected


def test_an_expectation_counts_like_a_sample():
    """Until samples tell another price."""
    assert spent(Budget(10.0, expected_usd=2.0)) == 5
    assert spent(Budget(10.0, expected_usd=1.0), record(3.0)) == 3
    assert spent(Budget(10.0, expected_usd=50.0)) == 1


def test_a_sample_that_awaits_its_scorers_tells_nothing_yet():
    """A free app with a dear judge: the next one waits until the judge has cost something."""
    allowed: list[int | None] = []
    ledger = Ledger(Budget(10.0), stop=lambda _: None, allow=allowed.append)
    ledger.sampled(record(None), awaits_scores=True)
    ledger.charge([Usage()])
    ledger.scored([Usage(cost_usd=2.0)])
    assert allowed == [1, 4]


def test_scorers_of_stored_samples_tell_a_price_as_well():
    """Where nothing but they is paid for, they are not awaited one by one."""
    budget = Budget(10.0)
    allowed: list[int | None] = []
    ledger = Ledger(budget, stop=lambda _: None, allow=allowed.append)
    ledger.scored([Usage(cost_usd=1.0)])
    ledger.scored([Usage(cost_usd=1.0)])
    assert allowed == [9, 8]
