"""What a model call costs: the prices of the ini file first, then the list that genai-prices ships.

An unknown price is `None`, never 0, and never that of a model with a similar name. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.model import Usage
from pytest_promptune.core.prices import Price, Tokens
from pytest_promptune.core.values import dataclass

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

_Cost = Callable[[Tokens], float | None]

#: Whose models cost the same whoever passes the call on; what they give away anyone may serve.
_MAKERS = ("anthropic", "google", "openai")
_OPEN_WEIGHTS = ("gemma", "gpt-oss")
#: Kinds of tokens, and the total each is part of.
_KINDS = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "input",
    "input_audio": "input",
    "output_audio": "output",
    "reasoning": "output",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Which model was called, as far as the call and its answer tell."""

    #: The name in the answer, ``gpt-4.1-mini-2025-04-14``, and the one asked for, ``gpt-4.1-mini``.
    answered: str | None = None
    asked: str | None = None
    #: As LangChain calls it: ``openai``, ``google_genai``.
    provider: str | None = None
    #: Where the client was pointed at, if the app says so.
    url: str | None = None
    #: What the answer says of its service tier, ``flex``.
    tier: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Its names, the exact one first."""
        return tuple(dict.fromkeys(name for name in (self.answered, self.asked) if name))


class PriceList:
    """What calls cost: by one's own prices, and beyond them by the published ones."""

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        """`own` are prices by the name of the model, in its answers or as asked for."""
        self._own = dict(own or {})

    def cost(self, tokens: Tokens, model: Model) -> float | None:
        """USD for one call; ``None`` where no price is known or the tokens are not billable."""
        if not tokens.is_billable:
            return None
        cost = self._find(model)
        return None if cost is None else cost(tokens)

    def knows(self, model: Model) -> bool:
        """Whether calls of a model have a price."""
        return self._find(model) is not None

    def priced(self, usage: Usage, *, model: str, provider: str | None = None) -> Usage:
        """A usage that was not traced, with its cost; one that has a cost keeps it."""
        if usage.cost_usd is not None:
            return usage
        tokens = Tokens(input=usage.input_tokens, output=usage.output_tokens)
        return replace(usage, cost_usd=self.cost(tokens, Model(asked=model, provider=provider)))

    def _find(self, model: Model) -> _Cost | None:
        own = next((self._own[name] for name in model.names if name in self._own), None)
        return own.of if own is not None else _published(model)


def source() -> str:
    """Where published prices come from, with the version: ``genai-prices 0.2.3``."""
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


def load() -> None:
    """Load the published prices now instead of when the first call is priced.

    That takes 60 to 100 ms once, in most of which no other thread runs: do it while no sample is timed.
    """
    _published(Model(asked="gpt-4o", provider="openai"))


@lru_cache(maxsize=1024)
def _published(model: Model) -> _Cost | None:
    """How calls of a model are priced by the published list."""
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    context = {"service_tier": model.tier} if model.tier else None
    for name in model.names:
        for place in _places(model):

            def ask(counts: Mapping[str, int], name: str = name, place: Any = place) -> PriceCalculation:
                return calc_price(Counts(**counts), name, **place, price_context=context)

            try:
                found = ask({})
            except LookupError:
                continue
            if not _is_complete(found) or not (place or _is_sold_by_its_maker(found)):
                return None
            return _flat(ask).of if context is None and _is_flat(found) else _with_library(ask)
    return None


def _places(model: Model) -> Iterator[dict[str, str]]:
    """Where to look, as arguments of genai-prices; clients for OpenAI are often pointed at others."""
    if model.url and model.provider in (None, "openai"):
        yield {"provider_api_url": model.url}
    elif model.provider:
        yield {"provider_id": model.provider}
    yield {}


def _is_sold_by_its_maker(found: PriceCalculation) -> bool:
    return found.provider.id in _MAKERS and not found.model.id.startswith(_OPEN_WEIGHTS)


def _is_complete(found: PriceCalculation) -> bool:
    """Some models are listed without prices of tokens, and would cost 0."""
    return found.model_price.input_mtok is not None and found.model_price.output_mtok is not None


def _is_flat(found: PriceCalculation) -> bool:
    """Each token costs the same, however many there are and at whatever time of the day."""
    from genai_prices.types import TieredPrices, TimeOfDateConstraint

    if any(isinstance(price, TieredPrices) for price in vars(found.model_price).values()):
        return False
    prices = found.model.prices if isinstance(found.model.prices, list) else []
    return not any(isinstance(price.constraint, TimeOfDateConstraint) for price in prices)


def _flat(ask: Callable[[Mapping[str, int]], PriceCalculation]) -> Price:
    """A flat price, found by asking once for each kind: the library takes 70 µs a call, this 2."""

    def usd(**tokens: int) -> float:
        return float(ask(_counts(Tokens(**tokens))).total_price)

    call, million = usd(), 1_000_000
    return Price(
        input=usd(input=million) - call,
        output=usd(output=million) - call,
        call=call,
        **{kind: usd(**{total: million, kind: million}) - call for kind, total in _KINDS.items()},
    )


def _with_library(ask: Callable[[Mapping[str, int]], PriceCalculation]) -> _Cost:
    return lambda tokens: float(ask(_counts(tokens)).total_price)


def _counts(tokens: Tokens) -> dict[str, int]:
    """The counts as genai-prices calls them; audio from the cache is not told apart."""
    return {
        "input_tokens": tokens.input or 0,
        "output_tokens": tokens.output or 0,
        "cache_read_tokens": tokens.cache_read,
        "cache_write_tokens": tokens.cache_write + tokens.cache_write_1h,
        "cache_write_1h_tokens": tokens.cache_write_1h,
        "input_audio_tokens": tokens.input_audio,
        "cache_audio_read_tokens": 0,
        "output_audio_tokens": tokens.output_audio,
        "output_reasoning_tokens": tokens.reasoning,
    }
