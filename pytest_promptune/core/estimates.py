"""What samples will probably use, told from samples that are stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_promptune.core.planning import Estimate, Place, Range
from pytest_promptune.core.values import dataclass

#: Standard deviations to each side of the expected sum.
_REACH = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What one stored sample used; unknown is ``None``."""

    variant: str
    model_calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    scorer_cost_usd: float | None = None
    #: From its start to the last of its scores.
    seconds: float | None = None


def total(number: int, stored: Sequence[float]) -> Range | None:
    """The sum over `number` future samples, from what stored ones had.

    It is ``number * mean``, two standard deviations to each side: those of the new samples around their
    mean, and those of the mean itself, which the ``k`` stored samples know only so well; together
    ``s * sqrt(number + number**2 / k)`` for their standard deviation ``s``. The range doesn't go below 0. One
    stored sample says nothing of the spread: then it is from half to double. None of them: ``None``.
    """
    if number == 0:
        return Range(low=0.0, high=0.0)
    if not stored:
        return None
    k = len(stored)
    mean = math.fsum(stored) / k
    if k == 1:
        return Range(low=number * mean / 2, high=number * mean * 2)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in stored) / (k - 1))
    reach = _REACH * spread * math.sqrt(number + number**2 / k)
    return Range(low=max(0.0, number * mean - reach), high=number * mean + reach)


def estimate(place: Place, calls: Mapping[str, int], stored: Sequence[Used], experiment: str) -> Estimate:
    """What an app will use; samples of a variant that isn't stored are taken to be like all others.

    Args:
        place: of the app.
        calls: how many samples of each variant will be generated.
        stored: samples of the app from one experiment.
        experiment: its id.
    """
    by_variant = {name: [used for used in stored if used.variant == name] for name in calls}

    def of(quantity: str) -> Range | None:
        return summed(
            total(number, _known(quantity, by_variant[name] or stored)) for name, number in calls.items()
        )

    return Estimate(
        place=place,
        experiment=experiment,
        stored=len(stored),
        unmeasured=tuple(name for name, samples in by_variant.items() if not samples),
        model_calls=of("model_calls"),
        input_tokens=of("input_tokens"),
        output_tokens=of("output_tokens"),
        cost_usd=of("cost_usd"),
        scorer_cost_usd=of("scorer_cost_usd"),
        busy_s=of("seconds"),
        longest_s=max(_known("seconds", stored), default=None),
    )


def spanning(least: Estimate, most: Estimate) -> Estimate:
    """From the lower end of one to the upper end of the other."""

    def of(low: Range | None, high: Range | None) -> Range | None:
        return None if low is None or high is None else Range(low=low.low, high=high.high)

    return replace(
        most,
        model_calls=of(least.model_calls, most.model_calls),
        input_tokens=of(least.input_tokens, most.input_tokens),
        output_tokens=of(least.output_tokens, most.output_tokens),
        cost_usd=of(least.cost_usd, most.cost_usd),
        scorer_cost_usd=of(least.scorer_cost_usd, most.scorer_cost_usd),
        busy_s=of(least.busy_s, most.busy_s),
    )


def _known(quantity: str, stored: Iterable[Used]) -> list[float]:
    values = (getattr(used, quantity) for used in stored)
    return [value for value in values if value is not None]


def summed(parts: Iterable[Range | None]) -> Range | None:
    """All together, ``None`` where a part isn't known."""
    whole = Range(low=0.0, high=0.0)
    for part in parts:
        if part is None:
            return None
        whole += part
    return whole


def duration(
    estimates: Sequence[Estimate],
    *,
    samples: int,
    concurrency: int,
    rate: float | None,
    at_least: int | None = None,
) -> Range | None:
    """How long the samples will take, ``None`` where an app's aren't known.

    The time of all samples is shared out over those in flight; the last one may begin when the others have
    ended, so the upper end has the longest sample on top. A rate sets a least time of its own.

    Args:
        estimates: one for each app.
        samples: how many there will be at most.
        concurrency: how many of them in flight.
        rate: most calls begun per second.
        at_least: how many there will be if the session ends at its first look.
    """
    busy = summed(each.busy_s for each in estimates)
    if busy is None or samples == 0:
        return busy
    in_flight = min(concurrency, samples)
    longest = max((each.longest_s or 0.0 for each in estimates), default=0.0)
    least = samples if at_least is None else at_least
    begun_after = [0.0 if rate is None else (number - 1) / rate for number in (least, samples)]
    return Range(
        low=max(busy.low / in_flight, begun_after[0]),
        high=max(busy.high / in_flight, begun_after[1]) + longest,
    )


def most_known(estimates: Iterable[Estimate]) -> float:
    """USD that will be spent at least, as far as costs are known; what is unknown comes on top."""
    parts = (part for each in estimates for part in (each.cost_usd, each.scorer_cost_usd) if part)
    return math.fsum(part.low for part in parts)
