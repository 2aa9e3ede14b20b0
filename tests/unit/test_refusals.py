"""Which parameter a provider refuses, by what the clients of providers keep of its answer."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_promptune.langgraph.refusals import refused

PARAMS = {"temperature": 0.0, "max_tokens": 16, "model": "gpt-9", "creativity": 1}


class StatusError(Exception):
    """An error as OpenAI's and Anthropic's clients raise it, or one that says nothing but a text."""

    def __init__(self, status: int, message: str, body: Any = None) -> None:
        super().__init__(message)
        self.status_code = status
        self.body = body


def errors(status: int, message: str, param: str | None = None) -> list[StatusError]:
    """The same in the forms of the clients; all texts quote the body, as that of OpenAI does."""
    inner = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    text = f"Error code: {status} - {inner}"
    if param is not None:
        return [StatusError(status, text, inner)]
    outer = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    return [StatusError(status, text, inner), StatusError(status, text, outer), StatusError(status, message)]


@pytest.mark.parametrize(
    ("status", "message", "param", "name"),
    [
        (400, "Unsupported value: 'temperature' does not support 0.", None, "temperature"),
        (400, "max_tokens is too large: 16.", "max_tokens", "max_tokens"),
        (400, "That is too large: 16.", "max_completion_tokens", "max_tokens"),
        (400, "'max_completion_tokens' is too large: 16.", None, "max_tokens"),
        (400, "Only one of 'temperature' and 'creativity'.", "creativity.level", "creativity"),
        (400, "max_tokens: 16 > 8, which is the maximum allowed", None, "max_tokens"),
        (400, "`temperature` may only be set to 1 when thinking is enabled.", None, "temperature"),
        (400, 'Field "creativity" is unknown', None, "creativity"),
        (400, "Unrecognized request argument supplied: creativity", None, "creativity"),
        (400, "Unsupported parameter creativity", None, "creativity"),
        (422, "body.creativity: Extra inputs are not permitted", None, "creativity"),
        (404, "The model `gpt-9` does not exist or you do not have access to it.", None, "model"),
        (404, "model: gpt-9", None, "model"),
    ],
)
def test_a_parameter_is_refused(status, message, param, name):
    """It is named beside the message, or quoted in it, or the message begins with it."""
    for error in errors(status, message, param):
        assert refused(error, PARAMS) == name
        wrapped = RuntimeError("the model failed")
        wrapped.__cause__ = error
        assert refused(wrapped, PARAMS) == name


@pytest.mark.parametrize(
    ("status", "message", "param"),
    [
        (400, "Could not finish the message because max_tokens or model output limit was reached.", None),
        (400, "This model's maximum context length is 8192 tokens.", None),
        (400, "The prompt is too long for 'max_tokens'.", "messages"),
        (400, "This model: gpt-9 is not for accounts without credit", None),
        (400, "'creativity_of_others' is unknown", None),
        (400, "it is unknown", "creativity_of_others"),
        (404, "The deployment for this model was not found.", None),
        (500, "'temperature' broke the server", None),
        (429, "'model' is overloaded", "model"),
    ],
)
def test_a_parameter_is_only_mentioned(status, message, param):
    """An error about something else is the app's, whatever it mentions."""
    for error in errors(status, message, param):
        assert refused(error, PARAMS) is None


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (TypeError("create() got an unexpected keyword argument 'creativity'"), "creativity"),
        (TypeError("create() got an unexpected keyword argument 'tools'"), None),
        (ValueError("'temperature'"), None),
    ],
)
def test_refusals_of_the_client(error, name):
    """Python's own words for an argument that a client doesn't know."""
    assert refused(error, PARAMS) == name
