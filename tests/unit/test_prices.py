"""What a call costs: published prices, those of the ini file, and none where there is none."""

import socket
import subprocess
import sys

import pytest

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.model import Usage
from pytest_promptune.core.prices import Price, Tokens, unpriced_note
from pytest_promptune.langgraph.prices import Model, PriceList, load, source
from pytest_promptune.settings import read

THOUSAND = Tokens(input=1000, output=1000)


def cost(name: str | None, provider: str | None = None, *, tokens: Tokens = THOUSAND, **more: str):
    return PriceList().cost(tokens, Model(answered=name, provider=provider, **more))


# --- a price --------------------------------------------------------------------------------------


def test_a_price():
    """Totals hold their parts; a kind without a price of its own costs what the others cost."""
    price = Price(input=10, output=20, cache_read=1, call=0.5)
    tokens = Tokens(input=1000, output=500, cache_read=900, cache_write=50, reasoning=400)
    assert price.of(tokens) == pytest.approx(0.5 + (100 * 10 + 900 * 1 + 500 * 20) / 1e6)


@pytest.mark.parametrize(
    "tokens",
    [
        Tokens(),
        Tokens(input=5),
        Tokens(output=5),
        Tokens(input=5, output=5, cache_read=6),
        Tokens(input=5, output=5, reasoning=6),
    ],
)
def test_counts_that_give_no_cost(tokens):
    """A total that is unknown or smaller than its parts: None, not 0 and not a guess."""
    assert Price(input=1, output=1).of(tokens) is None
    for name in ("gpt-4.1-mini", "gemini-2.5-pro"):  # one price, and one that depends on the length
        assert cost(name, tokens=tokens) is None


# --- published prices -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "provider", "usd"),
    [
        ("gpt-4.1-mini-2025-04-14", "openai", 0.002),
        ("gpt-4.1-mini-2025-04-14", "azure", 0.002),
        ("claude-haiku-4-5-20251001", "anthropic", 0.006),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "amazon_bedrock", 0.0066),
        ("gemini-2.5-flash", "google_genai", 0.0028),
        ("gemini-2.5-flash", "google_vertexai", 0.0028),
        ("llama-3.1-8b-instant", "groq", 0.00013),
    ],
)
def test_published_prices(name, provider, usd):
    """Providers by the names that LangChain gives them."""
    assert cost(name, provider) == pytest.approx(usd)


@pytest.mark.parametrize("provider", [None, "a-gateway"])
def test_a_makers_price(provider):
    """Without a known provider, a model that its maker alone sells has its maker's price."""
    assert cost("gpt-4.1-mini", provider) == cost("gpt-4.1-mini", "openai")


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("my-model", "openai"),
        ("gpt-4.1-mini-mine", "openai"),
        ("ft:gpt-4.1-mini:acme::1", "openai"),
        ("SmolLM2-135M-Instruct", "openai"),
        ("gpt-oss-20b", "ollama"),
        ("gpt-oss:20b", "ollama"),
        ("mistral-7b", "llamacpp"),
        ("gemma-3", None),
        ("gpt-4o", "github-copilot"),  # a subscription
        ("whisper-1", "openai"),  # not paid by tokens
        (None, "openai"),
    ],
)
def test_no_price(name, provider):
    """Never that of a model with a similar name, nor 0, nor what somebody else takes for open weights."""
    assert cost(name, provider) is None


def test_the_embedded_model():
    """It has no price unless the ini file gives one: the user's machine isn't free."""
    from pytest_promptune.local.weights import MODEL

    model = Model(answered=MODEL, asked=MODEL, provider="openai", url="http://127.0.0.1:4711/v1")
    assert PriceList().cost(THOUSAND, model) is None
    assert PriceList({MODEL: Price(input=0, output=0)}).cost(THOUSAND, model) == 0


def test_prices_that_depend_on_the_length():
    """A long prompt costs more per token, all of it."""
    short, long = (cost("gemini-2.5-pro", tokens=Tokens(input=n, output=0)) for n in (200_000, 200_001))
    assert (short, long) == pytest.approx((0.25, 0.5000025))


def test_audio():
    """Audio has prices of its own."""
    tokens = Tokens(input=1000, output=0, input_audio=1000)
    assert cost("gemini-2.5-flash", "google_genai", tokens=tokens) == pytest.approx(0.001)


def test_a_client_for_openai_that_calls_others():
    """The server's address tells the provider, where it isn't OpenAI."""
    name, groq = "llama-3.1-8b-instant", "https://api.groq.com/openai/v1"
    assert cost(name, "openai", url=groq) == cost(name, "groq")
    assert cost(name, "openai") is None


def test_every_model_is_priced_as_the_library_does():
    """The fast way gives what genai-prices gives, for all models it knows."""
    from genai_prices import Usage as Counts
    from genai_prices import calc_price
    from genai_prices.data_snapshot import get_snapshot

    tokens = Tokens(input=9000, output=800, cache_read=700, cache_write=60, cache_write_1h=50, reasoning=40)
    counts = Counts(
        input_tokens=9000,
        output_tokens=800,
        cache_read_tokens=700,
        cache_write_tokens=110,
        cache_write_1h_tokens=50,
        output_reasoning_tokens=40,
    )
    compared = 0
    for provider in get_snapshot().providers[:8]:
        for model in provider.models:
            found = cost(model.id, provider.id, tokens=tokens)
            if found is not None:
                compared += 1
                usd = calc_price(counts, model.id, provider_id=provider.id).total_price
                assert found == pytest.approx(float(usd)), model.id
    assert compared > 100


def test_nothing_is_downloaded(monkeypatch):
    """The list is the one that was installed."""

    def refuse(*args: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert cost("gpt-4.1", "openai") is not None


def test_the_list_is_loaded_when_needed():
    """Neither by importing, nor by pricing with one's own prices; or before, when nothing is in flight."""
    code = (
        "import sys; from pytest_promptune.langgraph.prices import *; "
        "from pytest_promptune.core.prices import *; tokens = Tokens(input=1, output=1); "
        "prices = PriceList({'m': Price(input=1, output=1)}); prices.cost(tokens, Model(asked='m')); "
        "prices.cost(Tokens(), Model(asked='gpt-4.1')); "
        "print('genai_prices' in sys.modules); load(); print('genai_prices.data' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_source():
    """Reports can say by which list was priced."""
    load()
    assert source().startswith("genai-prices 0.")


# --- prices of the ini file, and what has none ----------------------------------------------------


def test_own_prices_go_first():
    """Over published prices, under the exact name or the one asked for."""
    prices = PriceList({"gpt-4.1-mini": Price(input=1, output=1)})
    dated = Model(answered="gpt-4.1-mini-2025-04-14", asked="gpt-4.1-mini", provider="openai")
    assert prices.cost(THOUSAND, dated) == pytest.approx(0.002)
    assert prices.cost(THOUSAND, Model(answered="gpt-4.1")) == cost("gpt-4.1")


def test_the_note():
    """Which models, what follows, and what to do."""
    note = unpriced_note(("b", "a"))
    assert "b, a" in note
    assert 'promptune_prices = "b = INPUT / OUTPUT"' in note
    assert unpriced_note(()) == ""


def test_a_usage_that_was_not_traced():
    """A scorer's usage by its model; a cost that is known stays."""
    prices = PriceList()
    usage = Usage(input_tokens=1000, output_tokens=1000)
    assert prices.priced(usage, model="gpt-4.1-mini", provider="openai").cost_usd == pytest.approx(0.002)
    assert prices.priced(usage, model="judge") == usage
    assert prices.priced(Usage(), model="gpt-4.1-mini") == Usage()
    assert prices.priced(Usage(cost_usd=7), model="gpt-4.1-mini").cost_usd == 7


# --- the ini key ----------------------------------------------------------------------------------


def written(*lines: object):
    return read({}.get, {"promptune_prices": list(lines)}.get).prices


def test_written_prices():
    """One line a model; a third number is the price of cached input. Names may hold anything."""
    assert written("m = 0.15 / 0.60", "ft:a=b = 3/4/1.5", "", "local = 0 / 0") == {
        "m": Price(input=0.15, output=0.6),
        "ft:a=b": Price(input=3, output=4, cache_read=1.5),
        "local": Price(input=0, output=0),
    }
    assert read({}.get, {}.get).prices == {}


@pytest.mark.parametrize(
    "line",
    [
        "m",
        "m = 1",
        "m = 1 / 2 / 3 / 4",
        "= 1 / 2",
        "m = -1 / 2",
        "m = 1 / nan",
        "m = 1 / inf",
        "m = $1 / $2",
        "m = 1, 2",
        "1 / 2",
        "m =",
    ],
)
def test_prices_that_are_refused(line):
    """The key, the line, and what is valid."""
    with pytest.raises(SettingsError) as caught:
        written("fine = 1 / 2", line)
    assert str(caught.value).startswith("promptune_prices: ")
    assert f"({line!r} is neither)" in str(caught.value)
    assert "my-model = 0.15 / 0.60" in str(caught.value)


def test_a_model_that_is_there_twice():
    """Two prices of one model are a slip."""
    with pytest.raises(SettingsError, match=r"each model once \(m is there twice\)"):
        written("m = 1 / 2", "m = 2 / 3")
