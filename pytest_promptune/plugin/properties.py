"""Properties of results, for whoever listens to reports: JUnit XML, report logs, a ``conftest.py``.

pytest keeps items and reports to the session's end. Some hundred bytes for each sample would stay with them,
so they are forgotten when all have heard of them.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_promptune.core.properties import Property


def tell(item: pytest.Item, report: pytest.TestReport, properties: list[Property]) -> None:
    """Add properties to the report, and to that of the item's teardown, which JUnit XML reads."""
    item.user_properties += properties
    report.user_properties += properties


class ForgetProperties:
    """Takes ours away again."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        """All have heard of the report."""
        result = yield
        _forget(report.user_properties)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """The item is over."""
        result = yield
        _forget(item.user_properties)
        return result


def _forget(properties: list[tuple[str, object]]) -> None:
    if properties:
        properties[:] = [each for each in properties if not each[0].startswith("promptune")]
