"""The plugin's own hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from pytest_promptune.core.model import Variant

hookspec = pluggy.HookspecMarker("pytest")


@hookspec
def pytest_promptune_variants(config: pytest.Config) -> Iterable[Variant]:  # type: ignore[empty-body]
    """Give variants beside those in the variants' folder.

    Called once per session that compares or measures variants. For example, in ``conftest.py``::

        def pytest_promptune_variants(config):
            return [Variant(name=f"t{t}", context={"temperature": t}) for t in (0.0, 0.3, 0.7)]
    """
