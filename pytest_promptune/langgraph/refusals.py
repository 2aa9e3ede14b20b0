"""Which parameter of a call a provider or its client refuses, as far as the error says so.

An error that only mentions a parameter is about something else: "Could not finish the message because
max_tokens or model output limit was reached" is an answer that was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_promptune.core.limits import OUTPUT_LIMITS

#: HTTP statuses of requests that the provider finds wrong.
_REFUSALS = (400, 404, 422)
_NOT_FOUND = 404


def refused(error: BaseException, params: Mapping[str, Any]) -> str | None:
    """Which of the parameters an error, or the one behind it, is about."""
    for link in (error, error.__cause__):
        if isinstance(link, TypeError):
            match = re.search(r"unexpected keyword argument '(\w+)'", str(link))
            if match and match[1] in params:
                return match[1]
        elif (status := getattr(link, "status_code", None)) in _REFUSALS:
            said = _said(link)
            if isinstance(param := said.get("param", getattr(link, "param", None)), str) and param:
                return next((name for name in params if _is_of(param, name)), None)
            message = said.get("message")
            text = message if isinstance(message, str) else str(link)
            if status == _NOT_FOUND and "model" in params and str(params["model"]) in text:
                return "model"
            return next((name for name in params if any(_names(text, each) for each in _called(name))), None)
    return None


def _called(name: str) -> tuple[str, ...]:
    """What a parameter may be called in an error: clients send ``max_tokens`` under the provider's name."""
    return (name, *OUTPUT_LIMITS) if name in OUTPUT_LIMITS else (name,)


def _is_of(param: str, name: str) -> bool:
    return any(re.match(rf"{re.escape(each)}\b", param) for each in _called(name))


def _said(error: object) -> Mapping[str, Any]:
    """What the provider said, as OpenAI's and Anthropic's clients keep it."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _names(text: str, name: str) -> bool:
    """Whether a message says that it is about a parameter: it quotes its name, or begins with it.

    ``'temperature' does not support 0``, ``max_tokens: must be above 0``, ``body.stop: too many``,
    ``unrecognized argument supplied: seed``.
    """
    name = re.escape(name)
    forms = (
        rf"(['\"`]){name}\1",
        rf"(?:^|[.,;*\n] ?){name}:",
        rf"\b(?:argument|parameter|field)s?(?: supplied)?:? {name}\b",
    )
    return any(re.search(form, text) for form in forms)
