"""What apps and scorers print doesn't get between pytest's own lines, nor into other tests' output.

pytest captures while an item runs and not in between, and a sample is generated and scored while other items
run: what is printed there would land on the terminal, or in the captured output of whichever test runs then.
Such writes are kept aside and become captured output of the first test that gets the sample, as what a
shared fixture prints belongs to the first test that sets it up. ``-s`` (and ``--capture=tee-sys``) shows all
at once.

pytest puts its own streams in and out of `sys` with each phase, without saying so. A stream in place of
`sys.stdout` would be gone with the next phase, so the streams' own ``write`` is replaced, on both kinds.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import Any, TextIO

import pytest

from pytest_promptune.engine import in_background
from pytest_promptune.plugin.state import item_key
from pytest_promptune.sampling.execution import in_sample
from pytest_promptune.store.log import SampleKey

#: Characters that are kept of what one sample prints.
MOST = 10_000


class Muting:
    """Keeps aside what is written in the background, in sessions whose output is captured."""

    def __init__(self, config: pytest.Config) -> None:
        self._is_on = config.getoption("capture", "no") in ("fd", "sys")
        self._is_paused = False
        self._streams: dict[int, TextIO] = {}
        #: By sample and stream, until an item gets the sample; threads write to it.
        self._printed: dict[tuple[SampleKey, str], str] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Here capture is suspended: these are the streams between two phases."""
        self._mute()
        try:
            return (yield)
        finally:
            for stream in self._streams.values():
                with contextlib.suppress(AttributeError):
                    del stream.write  # that of its class is back
            self._streams.clear()

    @pytest.hookimpl(wrapper=True, trylast=True)  # inside pytest's own wrapper, which begins to capture
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Here pytest captures: these are its own streams, which it keeps for the whole session."""
        self._mute()
        try:
            return (yield)
        finally:
            state = item.stash.get(item_key, None)
            if state is not None and state.key is not None:
                for name in ("stdout", "stderr"):
                    if text := self._printed.pop((state.key, name), ""):
                        item.add_report_section("setup", name, text)

    def pytest_enter_pdb(self) -> None:
        """A breakpoint in an app: its prompt is written from the background."""
        self._is_paused = True

    def pytest_leave_pdb(self) -> None:
        """Go on."""
        self._is_paused = False

    def _mute(self) -> None:
        for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
            if self._is_on and id(stream) not in self._streams:
                with contextlib.suppress(AttributeError):  # one that can't be changed stays as it is
                    stream.write = self._muted(name, stream.write)  # type: ignore[method-assign]  # to mute it
                    self._streams[id(stream)] = stream

    def _muted(self, name: str, write: Callable[[str], int]) -> Any:
        def muted(text: str, /) -> int:
            if not in_background.get() or self._is_paused:
                return write(text)
            sample = in_sample.get()
            if sample is not None:
                before = self._printed.get((sample, name), "")
                self._printed[sample, name] = before + text[: MOST - len(before)]
            return len(text)

        return muted
