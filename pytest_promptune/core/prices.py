"""What tokens cost: the counts that a model call is billed for, and a price for each kind of token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_promptune.core.values import dataclass

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What one model call read and wrote, as LangChain counts: the kinds are part of the totals."""

    #: ``None``: the model doesn't say.
    input: int | None = None
    output: int | None = None
    cache_read: int = 0
    cache_write: int = 0
    #: Written to the cache for an hour instead of minutes; not part of `cache_write`.
    cache_write_1h: int = 0
    input_audio: int = 0
    output_audio: int = 0
    reasoning: int = 0

    @property
    def is_billable(self) -> bool:
        """Both totals are known and hold their parts."""
        read = self.cache_read + self.cache_write + self.cache_write_1h + self.input_audio
        written = self.output_audio + self.reasoning
        return (
            self.input is not None
            and self.output is not None
            and read <= self.input
            and written <= self.output
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD per million tokens; a kind without a price of its own costs what the others cost."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    input_audio: float | None = None
    output_audio: float | None = None
    reasoning: float | None = None
    #: USD for the call itself.
    call: float = 0.0

    def of(self, tokens: Tokens) -> float | None:
        """USD for one call; ``None`` where the tokens are not billable."""
        if not tokens.is_billable:
            return None
        read = [
            (self.cache_read, tokens.cache_read),
            (self.cache_write, tokens.cache_write),
            (self.cache_write_1h, tokens.cache_write_1h),
            (self.input_audio, tokens.input_audio),
        ]
        written = [(self.output_audio, tokens.output_audio), (self.reasoning, tokens.reasoning)]
        return self.call + _side(self.input, tokens.input, read) + _side(self.output, tokens.output, written)


def _side(price: float, total: int | None, kinds: Iterable[tuple[float | None, int]]) -> float:
    cost, rest = 0.0, total or 0
    for own, count in kinds:
        cost += count * (price if own is None else own)
        rest -= count
    return (cost + rest * price) / _MILLION


def unpriced_note(models: Sequence[str]) -> str:
    """What to tell once a session about models without a price; nothing where there are none."""
    if not models:
        return ""
    return (
        f"No price is known for {', '.join(models)}: samples that called {'them' if models[1:] else 'it'} "
        "have no cost. Give prices in the ini file, in USD per million tokens: "
        f'promptune_prices = "{models[0]} = INPUT / OUTPUT".'
    )
