"""The progress of the samples: what a screen shows during and after a run, and what a log holds."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from pytest_promptune.core.progress import Progress
from pytest_promptune.plugin import progress as module
from pytest_promptune.plugin.progress import ProgressLine

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo terminals, and no live line there")

#: What the live line, and nothing else, looks like.
LIVE = re.compile(r"\d+/18(?= samples|, |$)")
OPTIONS = ("-p", "pytest_promptune.plugin", "-p", "no:cacheprovider", "--promptune-concurrency=3")
SAVE_CURSOR = b"\x1b7"


@dataclass
class Screen:
    """What a person saw."""

    columns: int
    code: int = -1
    raw: bytes = b""
    #: All lines with the live line, in the order in which they were seen.
    live: list[str] = field(default_factory=list)
    #: The screen at the end, and the one before.
    last: Sequence[str] = ()

    @property
    def progress(self) -> list[str]:
        """The last screen as far as pytest's progress goes; what follows holds measured times."""
        text = "".join(line.ljust(self.columns) for line in self.last).partition("promptune: ")[0]
        rows = range(0, len(text), self.columns)
        return [
            re.sub(r" *\d+(\.\d+)?[mu]?s", " 1s", text[row : row + self.columns].rstrip()) for row in rows
        ]


class Terminal:
    """Runs the bot's suite in a pseudo terminal and replays what comes out on an emulated screen."""

    def __init__(self, project) -> None:
        self.project = project

    def run(
        self,
        *args: str,
        columns: int = 80,
        rows: int = 100,
        when_live: Callable[[subprocess.Popen[bytes], int], None] = lambda process, fd: None,
        answers: tuple[bytes, bytes] | None = None,
        wait: float = 0.12,
        **environment: str,
    ) -> Screen:
        """Run pytest; `when_live` is called with its process and the terminal at the first live line.

        `answers`: what is typed a second after something is seen.
        """
        import termios

        import pyte

        screen = pyte.Screen(columns, rows)
        stream = pyte.ByteStream(screen)
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (rows, columns))
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *OPTIONS, *args],
            cwd=self.project.path,
            env=self._environment(BOT_WAIT=str(wait), **environment),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # a shell starts background jobs with SIGINT ignored, and children inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(theirs)
        seen = Screen(columns)
        for data in _pieces(ours):
            seen.raw += data
            stream.feed(data)
            shown = [line for line in map(str.rstrip, screen.display) if LIVE.search(line)]
            if shown and not seen.live:
                when_live(process, ours)
                screen.resize(*reversed(os.get_terminal_size(ours)))
            seen.live += shown
            if answers is not None and answers[0] in seen.raw:
                time.sleep(1.0)
                os.write(ours, answers[1])
                answers = None
        os.close(ours)
        seen.code = process.wait(timeout=30)
        seen.last = [line.rstrip() for line in screen.display]
        return seen

    def _environment(self, **changes: str) -> dict[str, str]:
        gone = ("CI", "BUILD_NUMBER", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "COLUMNS", "PYTEST_ADDOPTS")
        kept = {key: value for key, value in os.environ.items() if key not in gone}
        return {**kept, "TERM": "xterm-256color", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **changes}


def _pieces(fd: int) -> Generator[bytes, None, None]:
    """What comes out, up to each moment at which the live line has just been painted."""
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:  # how Linux says that the other side is closed
            return
        if not data:
            return
        yield from filter(None, re.split(rb"(?<=\x1b8)", data))


@pytest.fixture
def terminal(bot) -> Terminal:
    return Terminal(bot)


@on_posix
@pytest.mark.parametrize(
    ("args", "columns"),
    [
        pytest.param([], 80, id="default"),
        pytest.param(["-v"], 80, id="v"),
        pytest.param(["-vv", "-o", "console_output_style=times"], 130, id="vv-times"),
        pytest.param(["-q"], 80, id="q"),
        pytest.param(["--no-header", "-o", "console_output_style=count"], 80, id="count"),
        pytest.param(["-o", "console_output_style=classic"], 40, id="classic"),
        pytest.param(["-v"], 20, id="20-columns"),
        pytest.param(["--setup-show"], 80, id="setup-show"),
    ],
)
def test_live_line_leaves_no_trace(terminal, args, columns):
    """The live line shows while items wait; the screen at the end is the one of a run without it."""
    size = {"columns": columns, "rows": 300}  # a summary of 20 columns is longer than it is wide
    with ThreadPoolExecutor() as pool:
        with_line = pool.submit(terminal.run, *args, **size)
        without = pool.submit(terminal.run, *args, **size, TERM="dumb").result()
    seen = with_line.result()
    assert seen.code == without.code == 0, seen.last
    assert not without.live
    assert seen.live
    assert seen.progress == without.progress
    assert not any(LIVE.search(line) for line in seen.last)
    assert all(len(line) < columns for line in seen.live)


@on_posix
def test_live_line_follows_the_letters(terminal):
    """It stands behind what pytest has written, and tells how many are done, in flight, and the time left."""
    seen = terminal.run(
        wait=0.5
    )  # longer than the experiment log takes to open, for which the first item waits
    assert any(re.fullmatch(r"test_bot\.py \.*  \d+/18 samples, 3 in flight.*", line) for line in seen.live)
    assert seen.live[-1].endswith(" left")


@on_posix
def test_wide_characters(terminal):
    """A name with wide characters takes the columns it takes."""
    (terminal.project.path / "test_bot.py").rename(terminal.project.path / "test_日本語のテスト.py")
    seen = terminal.run(columns=44)
    assert seen.live
    assert all(len(line) < 44 for line in seen.live)  # a wide character fills two cells, one of them empty
    assert not any(LIVE.search(line) for line in seen.last)


@on_posix
def test_at_the_bottom_of_the_screen(terminal):
    """Where every new line scrolls, nothing is written over."""
    seen = terminal.run("-v", rows=6)
    assert seen.live
    assert not any(LIVE.search(line) for line in seen.last)
    scrolled = terminal.run("-v", rows=6, TERM="dumb")
    assert seen.progress == scrolled.progress


@on_posix
def test_a_window_made_narrower(terminal):
    """The text keeps to the window as it is now."""
    import termios

    seen = terminal.run("-q", when_live=lambda process, fd: termios.tcsetwinsize(fd, (100, 30)))
    assert len(seen.live[0]) > 30
    assert len(seen.live[-1]) < 30
    assert not any(LIVE.search(line) for line in seen.last)


@on_posix
def test_errors_are_counted(terminal):
    """An app that raises shows while the session runs."""
    seen = terminal.run(columns=120, BOT_RAISE="c00")
    assert any(re.search(r", \d errors?\b", line) for line in seen.live)


@on_posix
def test_interrupt_while_waiting(terminal):
    """Ctrl-C erases the line before pytest says anything."""
    seen = terminal.run(
        wait=5, when_live=lambda process, fd: os.kill(process.pid, signal.SIGINT), BOT_CASES="6"
    )
    assert seen.code == pytest.ExitCode.INTERRUPTED
    assert any("KeyboardInterrupt" in line for line in seen.last)
    assert not any(LIVE.search(line) for line in seen.last)


@on_posix
@pytest.mark.parametrize("how", [{"NO_COLOR": "1"}, {}], ids=["NO_COLOR", "color=no"])
def test_without_colours(terminal, how):
    """Colours are switched off as pytest's own; the line stays."""
    seen = terminal.run(*([] if how else ["--color=no"]), **how)
    assert seen.live
    assert not re.search(rb"\x1b\[[0-9;]*m", seen.raw)


@on_posix
@pytest.mark.parametrize(
    ("args", "environment"),
    [
        pytest.param(["-s"], {}, id="s"),
        pytest.param(["--capture=sys"], {}, id="sys"),
        pytest.param(["--capture=tee-sys"], {}, id="tee-sys"),
        pytest.param(["-p", "no:capture"], {}, id="no-capture-plugin"),
        pytest.param(["--log-cli-level=INFO"], {}, id="live-logs"),
        pytest.param([], {"CI": "true"}, id="CI"),
        pytest.param([], {"TERM": "dumb"}, id="dumb"),
        pytest.param(["-p", "no:terminal"], {}, id="no-terminal"),
    ],
)
def test_no_live_line_where_others_write(terminal, args, environment):
    """Without fd capture, with live logs, on CI and dumb terminals no escape sequence is written."""
    seen = terminal.run(*args, **environment)
    assert seen.code == 0, seen.last
    assert not seen.live
    assert SAVE_CURSOR not in seen.raw


@on_posix
@pytest.mark.parametrize("args", [["-s"], ["-s", "-q"], ["-s", "-v"]], ids=" ".join)
def test_lines_where_an_app_prints(terminal, args):
    """Under -s there are lines now and then, each on a line of its own, whatever was printed before."""
    conftest = terminal.project.path / "conftest.py"
    text = conftest.read_text().replace(
        "    time.sleep(float(", '    print("half a", end=" ", flush=True)\n    time.sleep(float('
    )
    often = "import pytest_promptune.plugin.progress as shown\nshown.WATCHED_EVERY_S = 0.3\n"
    conftest.write_text(f"{often}{text}")
    seen = terminal.run(*args, wait=0.4)
    assert seen.code == 0, seen.last
    assert SAVE_CURSOR not in seen.raw
    said = [line for line in seen.last if LIVE.search(line)]
    assert len(said) >= 2, seen.last
    assert all(re.match(r"promptune: \d+/18 samples", line) for line in said), said


# -- logs ------------------------------------------------------------------------------------------------


@pytest.fixture
def often(monkeypatch) -> None:
    """Lines for a log several times a second."""
    monkeypatch.setattr(module, "LOG_EVERY_S", 0.3)
    monkeypatch.setattr(module, "LOG_AT_LEAST_EVERY_S", 0.3)


LINE = r"promptune: \d+/18 samples.*"


@pytest.mark.usefixtures("often")
def test_lines_in_a_log(bot):
    """Each has a line to itself; the letters go on below, and pytest's percentages stay in place."""
    ran = bot.run("--promptune-concurrency=3", wait=0.15)
    lines = ran.out.splitlines()
    said = [position for position, line in enumerate(lines) if re.fullmatch(LINE, line)]
    assert said
    assert all(re.fullmatch(r"test_bot\.py \.*|\.+", lines[said[0] + step]) for step in (-1, 1)), ran.out
    assert re.search(r"^\.+ {10,}\[100%\]$", ran.out, re.MULTILINE)
    assert "".join(re.findall(r"^(?:test_bot\.py )?(\.+)", ran.out, re.MULTILINE)).count(".") == 36
    assert "\x1b" not in ran.out


@pytest.mark.usefixtures("often")
def test_lines_in_a_verbose_log(bot):
    """The item that waits begins its line again, so that its outcome stays beside its name."""
    ran = bot.run("-v", "--promptune-concurrency=3", wait=0.15)
    assert re.search(rf"^{LINE}$", ran.out, re.MULTILINE)
    assert len(re.findall(r"^test_bot\.py::\S+ PASSED +\[ *\d+%\]$", ran.out, re.MULTILINE)) == 36


def test_fewer_lines_in_a_quiet_log(bot, monkeypatch):
    """-q has half as many, -qq none."""
    monkeypatch.setattr(module, "LOG_EVERY_S", 0.1)
    monkeypatch.setattr(module, "LOG_AT_LEAST_EVERY_S", 0.2)
    assert re.search(rf"^{LINE}$", bot.run("-q", "--promptune-concurrency=3", wait=0.15).out, re.MULTILINE)
    assert "samples" not in bot.run("-qq", "--promptune-concurrency=3", wait=0.15).out.split("promptune")[0]


@pytest.mark.usefixtures("often")
def test_what_a_test_prints_stays_captured(bot):
    """A line that gets past the capture doesn't end up in the output of the test, nor the other way round."""
    bot.bot(
        "import pytest\n"
        "pytestmark = pytest.mark.promptune(app='bot', runs=3, retries=0)\n"
        "@pytest.fixture\n"
        "def before(): print('printed before')\n"
        "def test_one(case, before, sample, capsys):\n"
        "    print('inside')\n"
        "    assert 'promptune:' not in capsys.readouterr().out\n"
    )
    ran = bot.run("-rP", "--promptune-concurrency=2", wait=0.2)
    progress, _, _ = ran.out.partition("[100%]")
    assert "promptune:" in progress
    assert "printed before" not in progress


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("args", "watched", "at"),
    [
        pytest.param([], False, [30, 60, 90], id="default"),
        pytest.param(["-q"], False, [60, 120, 180], id="q"),
        pytest.param(["-s"], False, [30, 60, 90], id="s"),
        pytest.param(["-s"], True, [10, 20, 30], id="s on a terminal"),
    ],
)
def test_lines_of_a_log_are_rare(pytester, capsys, monkeypatch, args, watched, at):
    """One in 30 seconds of waiting, 60 under -q, 10 for a person; one in five minutes after an hour."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: watched)
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    clock = Clock()
    line = ProgressLine(pytester.parseconfigure("-p", "no:asyncio", *args), clock=clock)
    loop = line.pytest_runtestloop()
    next(loop)
    capsys.readouterr()
    said = []
    for second in range(4 * 3600):
        line.waiting(lambda: Progress(done=1, total=9, in_flight=1))
        if capsys.readouterr().out:
            said.append(second)
        clock.now += 1
    assert said[:3] == at
    assert said[-1] - said[-2] == 300
    line.clear()
    line.close()
    line.waiting(lambda: pytest.fail("asked after its end"))
    loop.close()


# -- pytest-xdist ----------------------------------------------------------------------------------------

XDIST = ("-p", "xdist", "-n2")


@on_posix
@pytest.mark.parametrize(
    ("args", "columns"),
    [
        pytest.param([], 80, id="default"),
        pytest.param(["-q", "--dist=worksteal"], 80, id="q-worksteal"),
        pytest.param(["--dist=loadfile", "-o", "console_output_style=count"], 80, id="count-loadfile"),
        pytest.param(["--dist=loadgroup"], 30, id="narrow-loadgroup"),
    ],
)
def test_live_line_of_workers_leaves_no_trace(terminal, args, columns):
    """The controller shows what its workers tell; the screen at the end is the one of a run without it."""
    pytest.importorskip("xdist")
    with ThreadPoolExecutor() as pool:
        with_line = pool.submit(terminal.run, *XDIST, *args, columns=columns, wait=0.4)
        without = pool.submit(terminal.run, *XDIST, *args, columns=columns, TERM="dumb", CI="true").result()
    seen = with_line.result()
    assert seen.code == without.code == 0, seen.last
    assert not without.live
    assert seen.live
    letters = [line for line in seen.progress if line.startswith(".")]
    assert letters
    assert letters == [line for line in without.progress if line.startswith(".")]
    assert not any(LIVE.search(line) for line in seen.last)
    assert all(len(line) < columns for line in seen.live)


@on_posix
def test_live_line_of_workers_under_v(terminal):
    """Each line that xdist writes is there, whole and without anything behind it."""
    pytest.importorskip("xdist")
    seen = terminal.run(*XDIST, "-v", columns=100, rows=150, wait=0.4)
    assert seen.code == 0, seen.last
    assert seen.live
    assert not any(LIVE.search(line) for line in seen.last)
    name = r"test_bot\.py::test_(?:answer|words)\[c0\d-current-run\d\]"
    assert sum(bool(re.fullmatch(name, line)) for line in seen.last) == 36
    assert sum(bool(re.fullmatch(rf"\[gw\d\] \[ *\d+%\] PASSED {name}", line)) for line in seen.last) == 36


@on_posix
def test_the_line_adds_the_workers_up(terminal):
    """All samples from the first line on; in flight what both workers have; done when both are."""
    pytest.importorskip("xdist")
    seen = terminal.run(*XDIST, wait=0.8)
    told = [
        tuple(map(int, found)) for found in re.findall(r"(\d+)/18 samples, (\d+) in", "\n".join(seen.live))
    ]
    done = [number for number, _ in told]
    assert done == sorted(done)
    assert len(set(done)) > 2
    assert max(in_flight for _, in_flight in told) == 3
    assert seen.live[-1].endswith(" left")


@on_posix
def test_errors_of_all_workers_are_counted(terminal):
    """Two cases run on two workers: the line counts the errors of both."""
    pytest.importorskip("xdist")
    seen = terminal.run(*XDIST, columns=120, wait=0.4, BOT_RAISE="c00,c01")
    told = [int(found) for found in re.findall(r", (\d) errors?\b", "\n".join(seen.live))]
    assert told == sorted(told)
    assert max(told) >= 4


@on_posix
def test_interrupt_of_a_controller(terminal):
    """Ctrl-C erases the line before pytest says anything."""
    pytest.importorskip("xdist")
    seen = terminal.run(
        *XDIST, wait=5, when_live=lambda process, fd: os.kill(process.pid, signal.SIGINT), BOT_CASES="6"
    )
    assert seen.code == pytest.ExitCode.INTERRUPTED
    assert any("KeyboardInterrupt" in line for line in seen.last)
    assert not any(LIVE.search(line) for line in seen.last)


@on_posix
def test_a_worker_that_crashes(terminal):
    """What xdist says of it has lines of its own; in the end all samples are done, none twice."""
    pytest.importorskip("xdist")
    terminal.project.bot(
        "import os\n"
        "import pytest\n"
        "pytestmark = pytest.mark.promptune(app='bot', runs=3, retries=0)\n"
        "def test_one(case, sample, variant, tmp_path_factory):\n"
        "    crashed = tmp_path_factory.getbasetemp().parent / 'crashed'\n"
        "    if case.id == 'c02' and not crashed.exists():\n"
        "        crashed.touch()\n"
        "        os._exit(1)\n"
    )
    seen = terminal.run(*XDIST, "-v", columns=120, wait=0.5)
    assert seen.live
    assert "replacing crashed worker gw" in "\n".join(seen.last)
    assert not any(LIVE.search(line) for line in seen.last)
    done = [int(found) for found in re.findall(r"(\d+)/18", "\n".join(seen.live))]
    assert max(done) <= 18
    assert done[-1] >= 14


@on_posix
@pytest.mark.parametrize(
    ("args", "environment"),
    [pytest.param(["-s"], {}, id="s"), pytest.param([], {"CI": "true"}, id="CI")],
)
def test_no_live_line_of_workers_where_others_write(terminal, args, environment):
    """The rules are those of a run without workers."""
    pytest.importorskip("xdist")
    seen = terminal.run(*XDIST, *args, **environment)
    assert seen.code == 0, seen.last
    assert SAVE_CURSOR not in seen.raw


@pytest.mark.usefixtures("often")
def test_lines_of_workers_in_a_log(bot):
    """A line of its own now and then; the letters go on below."""
    pytest.importorskip("xdist")
    ran = bot.run(*XDIST, "--promptune-concurrency=3", wait=0.5)
    lines = ran.out.splitlines()
    said = [position for position, line in enumerate(lines) if re.fullmatch(LINE, line)]
    assert said, ran.out
    assert "".join(re.findall(r"^(\.+)", ran.out, re.MULTILINE)).count(".") == 36
    assert "\x1b" not in ran.out


@pytest.mark.usefixtures("often")
def test_lines_of_workers_in_a_verbose_log(bot):
    """Nothing that xdist writes shares a line with them."""
    pytest.importorskip("xdist")
    ran = bot.run(*XDIST, "-v", "--promptune-concurrency=3", wait=0.5)
    assert re.search(rf"^{LINE}$", ran.out, re.MULTILINE)
    assert len(re.findall(r"^\[gw\d\] \[ *\d+%\] PASSED test_bot\.py::\S+ *$", ran.out, re.MULTILINE)) == 36
