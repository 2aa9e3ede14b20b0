"""A session that ends early ends in its xdist workers too, at once.

xdist lets each worker run what it was given, and ours are given all their items at the start; an item that
waits for a sample would wait for its time-out. So the controller tells the workers, by a command that
xdist's own part of a worker doesn't know: they give up waiting, and stop after the item that runs. What
they have finished meanwhile they send at their end.

SIGTERM for the whole group of processes, as `timeout` sends it, hits workers as well; they end in the
same way.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from pytest_promptune.core.sharing import Standing
from pytest_promptune.plugin.state import LAST_WORD, hooks_key

_COMMAND = "promptune_stop"
_LOOKED = "promptune_looked"
#: Seconds that workers get for their last word when nobody takes in their messages any more.
_PATIENCE_S = 5.0
_LOOK_S = 0.02


class StopWorkers:
    """In the controller: passes on that the session ends early."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._session: pytest.Session | None = None
        self._nodes: list[Any] = []
        self._has_told = False

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """It will know when there were too many failures."""
        self._session = session

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """One more worker."""
        self._nodes.append(node)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self) -> None:
        """``-x`` and ``--maxfail``: pytest has counted the failure by now."""
        if self._session is not None and (self._session.shouldfail or self._session.shouldstop):
            self._tell()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Ctrl-C inside a worker ends the others."""
        self._hear(node)
        if error == "keyboard-interrupt":
            self._tell()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Whatever else ended the session: xdist now waits for its workers, some seconds for busy ones."""
        if hooks_key not in self._config.stash:  # no promptune tests
            return
        self._tell()
        until = time.monotonic() + _PATIENCE_S
        while any(map(_is_busy, self._nodes)) and time.monotonic() < until:
            time.sleep(_LOOK_S)
        self._hear_what_is_queued()
        for node in self._nodes:
            self._hear(node)

    def _hear_what_is_queued(self) -> None:
        """After an interrupt xdist takes nothing in any more: samples may be among it."""
        messages: Any = getattr(self._config.pluginmanager.get_plugin("dsession"), "queue", queue.Queue())
        with contextlib.suppress(queue.Empty):
            while True:
                name, told = messages.get_nowait()
                if name == "testreport":
                    told["rep"].node = told["node"]
                    self._config.stash[hooks_key].take_in(told["rep"])

    def _hear(self, node: Any) -> None:
        """A worker's last word, once."""
        word = getattr(node, "workeroutput", {}).pop(LAST_WORD, None)
        if word:
            self._config.stash[hooks_key].take_in(SimpleNamespace(**word, node=node))

    def _tell(self) -> None:
        if self._has_told or hooks_key not in self._config.stash:  # no promptune tests
            return
        self._has_told = True
        for node in self._nodes:
            with contextlib.suppress(OSError, AttributeError):  # it has ended, or has not begun
                node.sendcommand(_COMMAND)
                node.shutdown()  # one that waits for items ends as well


def _is_busy(node: Any) -> bool:
    """Whether it may still say something."""
    channel = getattr(node, "channel", None)
    return channel is not None and not channel.isclosed() and not hasattr(node, "workeroutput")


def tell_standing(node: Any, standing: Standing) -> None:
    """In the controller: tell a worker how far the looks are, before it is sent the items that follow."""
    with contextlib.suppress(OSError, AttributeError):  # it has ended
        node.sendcommand(_LOOKED, **asdict(standing))


class FromController:
    """In a worker: listens."""

    def __init__(self, stop: Callable[[str], None], follow: Callable[[Standing], None]) -> None:
        """Both are called in a thread of execnet's.

        Args:
            stop: called with the reason when the session ends early.
            follow: told how far the looks are.
        """
        self._stop = stop
        self._follow = follow
        #: The controller has said that the session ends.
        self._is_told = threading.Event()
        self._is_hit = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """xdist takes commands from here on."""
        for plugin in session.config.pluginmanager.get_plugins():
            if hasattr(plugin, "handle_command") and hasattr(plugin, "torun"):  # it has no name
                plugin.handle_command = self._listening(session, plugin.handle_command)
        with self._until_told(session):
            return (yield)

    @contextlib.contextmanager
    def _until_told(self, session: pytest.Session) -> Iterator[None]:
        """Take SIGTERM for what the controller is about to say; where it says nothing, only we were meant."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            yield
            return

        def hit(_number: int, _frame: FrameType | None) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
            self._is_hit = True
            self._end(session)

        signal.signal(signal.SIGTERM, hit)
        try:
            yield
        finally:
            if signal.getsignal(signal.SIGTERM) is hit:  # else an app has set its own meanwhile
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if self._is_hit and not self._is_told.wait(_PATIENCE_S):
                os.kill(os.getpid(), signal.SIGTERM)  # xdist replaces it

    def _end(self, session: pytest.Session) -> None:
        session.shouldstop = "the session ends"
        self._stop("the session ends")

    def _listening(self, session: pytest.Session, handle: Callable[[Any], None]) -> Callable[[Any], None]:
        def listening(command: Any) -> None:
            if isinstance(command, tuple) and command[0] == _COMMAND:
                self._is_told.set()
                self._end(session)
            elif isinstance(command, tuple) and command[0] == _LOOKED:
                self._follow(Standing(**command[1]))
            else:
                handle(command)

        return listening
