"""The usual parameters of chat models, and names that are nearly one of them."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from pytest_promptune.core.limits import OUTPUT_LIMITS

#: What LangChain's chat models and the providers behind them call their parameters.
USUAL = frozenset({
    *OUTPUT_LIMITS, "cache_control", "extra_body", "extra_headers", "extra_query", "frequency_penalty",
    "functions", "logit_bias", "logprobs", "max_retries", "metadata", "min_p", "min_tokens", "mirostat",
    "modalities", "model", "model_kwargs", "model_name", "n", "num_ctx", "options", "parallel_tool_calls",
    "prediction", "presence_penalty", "reasoning", "reasoning_effort", "repeat_penalty",
    "repetition_penalty", "response_format", "safety_settings", "seed", "service_tier", "stop",
    "stop_sequences", "store", "stream", "stream_options", "stream_usage", "temperature", "thinking",
    "thinking_budget", "timeout", "tool_choice", "tools", "top_a", "top_k", "top_logprobs", "top_p",
    "truncation", "user", "verbosity",
})  # fmt: skip
#: From here on two names are taken for one with a slip of the pen: ``top_k`` and ``top_p`` are further apart.
_ALIKE = 0.85


def meant_parameter(name: str, known: Collection[str] = ()) -> str | None:
    """The usual parameter that a name is nearly, ``temperature`` for ``temperatur``.

    Args:
        name: of a parameter. Providers have many of their own: one that resembles no usual one is fine.
        known: parameters that the models at hand have beside the usual ones.
    """
    if name in USUAL or name in known:
        return None
    return next(iter(difflib.get_close_matches(name, sorted(USUAL), 1, _ALIKE)), None)
