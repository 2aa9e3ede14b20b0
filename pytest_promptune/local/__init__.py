"""A real language model on this machine's CPU: no key, no server to install, no network after one download.

Needs the extra ``pytest-promptune[local]`` and the weights (``pytest-promptune model fetch``). Nothing heavy
is imported before a model is asked for.
"""

from pytest_promptune.local.chat import local_chat_model
from pytest_promptune.local.errors import LocalModelError

__all__ = ["LocalModelError", "local_chat_model"]
