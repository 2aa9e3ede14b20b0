"""What samples may use where none was ever stored: the order of magnitude, from texts and prices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from pytest_promptune.core.planning import Estimate, Place, Range
from pytest_promptune.core.values import dataclass

#: Characters that make a token: of ASCII, at most and at least.
_ASCII = (6.0, 2.0)
#: Tokens that another character makes, at least and at most.
_OTHER = (0.3, 2.0)
#: Times that each step of an app may run in one sample: loops, tools, retries.
_MOST_ROUNDS = 2
#: Instructions that stand in code and are not seen, tools and what earlier steps said.
_UNSEEN = 1_500.0
#: Output tokens of a call.
_SHORTEST, _LONGEST = 1.0, 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoughApp:
    """What can be seen of an app before it is called."""

    #: Steps that call a model.
    steps: int
    #: Of each model, its limit of output tokens.
    limits: Sequence[int | None]
    #: Of each model, USD for so many input and output tokens; ``None`` where its price isn't known.
    prices: Sequence[Callable[[int, int], float | None]]
    #: Texts of templates.
    templates: Sequence[str] = ()
    #: Names of models that the app doesn't hold: its source says that it makes them.
    made: Sequence[str] = ()
    #: Whether the source leaves open which one it makes somewhere.
    makes_unknown: bool = False


def tokens(text: str) -> Range:
    """How many tokens a text may have, for tokenizers of today and texts of any script.

    English has about four characters a token, code and numbers less; a character of another script is from a
    part of a token to two.
    """
    ascii_ = sum(character.isascii() for character in text)
    other = len(text) - ascii_
    return Range(low=ascii_ / _ASCII[0] + other * _OTHER[0], high=ascii_ / _ASCII[1] + other * _OTHER[1])


def rough_estimate(
    place: Place,
    app: RoughApp,
    *,
    calls: Mapping[str, int],
    at_least: Mapping[str, int],
    inputs: Sequence[str],
) -> Estimate:
    """From one call of the cheapest model a sample to all steps twice with the dearest one.

    Args:
        place: of the app.
        app: what was seen of it.
        calls: samples that will be generated, by variant.
        at_least: of those up to the first look.
        inputs: texts of the cases' inputs.
    """
    fewest, most = sum(at_least.values()), sum(calls.values())
    read = [tokens(text) for text in inputs] or [Range(low=0.0, high=0.0)]
    read_low, read_high = (
        math.fsum(ends) / len(read) for ends in zip(*((r.low, r.high) for r in read), strict=True)
    )
    templates = math.fsum(tokens(text).high for text in app.templates)
    longest = max(min(_LONGEST, limit or _LONGEST) for limit in app.limits)
    rounds = _MOST_ROUNDS * app.steps
    model_calls = Range(low=float(fewest), high=float(most * rounds))
    input_tokens = Range(low=fewest * read_low, high=most * rounds * (read_high + templates + _UNSEEN))
    output_tokens = Range(low=fewest * _SHORTEST, high=most * rounds * longest)
    return Estimate(
        place=place,
        basis="nothing is stored: from the length of inputs and templates, and 1 to "
        f"{rounds} model calls a sample{_assumed(app)}",
        model_calls=model_calls,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=_cost(app, input_tokens, output_tokens),
    )


def _assumed(app: RoughApp) -> str:
    """What is taken from the source of the nodes, which may do otherwise when they run."""
    names = f", of models that the source has the nodes make: {', '.join(app.made)}" if app.made else ""
    unknown = "; which model a node makes is known only when it runs, so no cost" if app.makes_unknown else ""
    return names + unknown


def _cost(app: RoughApp, read: Range, written: Range) -> Range | None:
    """From the cheapest model to the dearest one; unknown where a price is."""
    low = [price(round(read.low), round(written.low)) for price in app.prices]
    high = [price(round(read.high), round(written.high)) for price in app.prices]
    known_low = [usd for usd in low if usd is not None]
    known_high = [usd for usd in high if usd is not None]
    if not app.prices or len(known_low) < len(low) or len(known_high) < len(high):
        return None
    return Range(low=min(known_low), high=max(known_high))
