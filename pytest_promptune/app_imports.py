"""Importing a user's app within a command: from where pytest would, quietly, and sending nothing anywhere."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

#: LangSmith's switches, under their old and new names.
_TRACING = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING")


@contextlib.contextmanager
def importing(paths: Sequence[Path]) -> Iterator[None]:
    """Import from these folders, send nothing to LangSmith, and keep what the app prints off the answer."""
    before, environment = list(sys.path), {name: os.environ.get(name) for name in _TRACING}
    sys.path[:0] = [str(path) for path in paths if str(path) not in before]
    for name in _TRACING:
        os.environ[name] = "false"
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.path[:] = before
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
