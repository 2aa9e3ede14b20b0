"""When an xdist controller shows the line: between its workers' messages, and never while others write."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_promptune.core.progress import Progress
from pytest_promptune.plugin.joint_progress import JointLine


class FakeLine:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.is_shown = False
        self.appears_after_s: float | None = None
        self.times_shown = 0

    def open(self, *, appears_after_s: float) -> None:
        self.appears_after_s = appears_after_s

    def waiting(self, progress: Callable[[], Progress]) -> None:
        assert progress().total
        self.is_shown = True
        self.times_shown += 1

    def clear(self) -> None:
        self.is_shown = False


class Controller:
    """A joint line, its clock and what comes from the workers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.progress = Progress(done=1, total=9, in_flight=2)
        self.line = FakeLine()
        line: Any = self.line
        self.joint = JointLine(line, lambda: self.progress, clock=lambda: self.now)

    def passes(self, hook: Any) -> None:
        """A hook that others implement too: they write while the line is off."""
        next(hook)
        assert not self.line.is_shown
        with pytest.raises(StopIteration):
            hook.send(None)

    def waits(self) -> None:
        """A worker says that it waits, and how far it is."""
        self.passes(self.joint.pytest_runtest_logreport(SimpleNamespace(promptune_progress=[])))

    def reports(self, **attributes: Any) -> None:
        """An item's report."""
        self.passes(self.joint.pytest_runtest_logreport(SimpleNamespace(promptune={}, **attributes)))

    def starts(self) -> None:
        self.passes(self.joint.pytest_runtest_logstart())

    def ends(self) -> None:
        self.passes(self.joint.pytest_runtest_logfinish())


@pytest.fixture
def controller() -> Controller:
    return Controller()


def test_nothing_before_progress_is_known(controller):
    """Other tests run first, perhaps: there is nothing to tell."""
    for _ in range(20):
        controller.now += 10
        controller.starts()
        controller.reports()
        controller.ends()
    assert not controller.line.times_shown


def test_at_once_when_a_worker_waits(controller):
    """It has waited already; the line needs no patience of its own."""
    assert controller.line.appears_after_s == 0
    controller.waits()
    assert controller.line.is_shown


def test_later_where_none_waits(controller):
    """A suite that is over in a moment shows none."""
    controller.reports(promptune_progress=[])
    controller.ends()
    assert not controller.line.is_shown
    controller.now += 1
    controller.ends()
    assert controller.line.is_shown


def test_back_when_an_item_has_begun_or_ended(controller):
    """Not after any other report: xdist may write on by itself, as when a worker has crashed."""
    controller.waits()
    controller.reports()
    assert not controller.line.is_shown
    controller.ends()
    assert controller.line.is_shown
    controller.starts()
    assert controller.line.is_shown
    controller.reports(promptune_progress=[])
    assert controller.line.is_shown


@pytest.mark.parametrize(
    "hook",
    [
        "pytest_testnodedown",
        "pytest_testnodeready",
        "pytest_xdist_newgateway",
        "pytest_xdist_node_collection_finished",
        "pytest_collectreport",
    ],
)
def test_off_when_xdist_speaks_of_workers(controller, hook):
    """And it stays off until an item's message has been written."""
    controller.waits()
    getattr(controller.joint, hook)()
    assert not controller.line.is_shown


def test_left_out_where_messages_rush(controller):
    """Thousands of items a second would make it flicker, and take longer."""
    controller.waits()
    shown = controller.line.times_shown
    for _ in range(5000):
        controller.now += 0.0002
        controller.ends()
    assert controller.line.times_shown - shown < 200
    controller.now += 1
    controller.ends()
    assert controller.line.is_shown


def test_off_when_all_samples_are_done(controller):
    """No item waits for one any more, whatever the tests still do."""
    controller.waits()
    controller.progress = Progress(done=9, total=9, in_flight=0)
    controller.ends()
    assert not controller.line.is_shown
