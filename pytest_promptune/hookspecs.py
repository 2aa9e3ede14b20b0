"""The plugin's own hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    import pytest

    from pytest_promptune.core.aggregates.given import Aggregate
    from pytest_promptune.core.model import Variant

hookspec = pluggy.HookspecMarker("pytest")


@hookspec
def pytest_promptune_variants(config: pytest.Config) -> Iterable[Variant]:  # type: ignore[empty-body]  # a spec
    """Give variants beside those in the variants' folder.

    Called once per session that compares or measures variants. For example, in ``conftest.py``::

        def pytest_promptune_variants(config):
            return [Variant(name=f"t{t}", context={"temperature": t}) for t in (0.0, 0.3, 0.7)]
    """


@hookspec
def pytest_promptune_aggregates(  # type: ignore[empty-body]  # a spec
    config: pytest.Config,
) -> Iterable[Aggregate] | Mapping[str, Callable[..., Any]]:
    """Give metrics of all samples of an app at once, each computed from a pandas DataFrame of them.

    Called once per session, when the tests are collected; the functions are called at its end, for each app
    in each test module, and again for every relabelling. For example, in the root's ``conftest.py``::

        def pytest_promptune_aggregates(config):
            p95 = lambda samples: samples["latency_s"].quantile(0.95)
            return [Aggregate("p95", p95, direction="lower", unit="s")]
    """
