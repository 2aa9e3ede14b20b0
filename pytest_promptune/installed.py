"""What is installed beside this package: the versions under which samples were measured."""

from __future__ import annotations

import contextlib
from importlib.metadata import PackageNotFoundError, version

#: What stands between an app and its models.
_LIBRARIES = (
    "pytest",
    "langgraph",
    "langchain-core",
    "langchain",
    "langchain-anthropic",
    "langchain-aws",
    "langchain-google-genai",
    "langchain-openai",
    "anthropic",
    "google-genai",
    "openai",
)


def library_versions() -> dict[str, str]:
    """Versions of the libraries that stand between an app and its models, as far as they are installed."""
    found = {}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
