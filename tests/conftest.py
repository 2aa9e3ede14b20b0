"""A small suite to run the plugin on, and what a run of it gave."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import re
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pytest_promptune

pytest_plugins = ["pytester", "postgres_server"]

#: pytester forgets what a run inside this process imported; compiled modules can't be imported twice,
#: and importing pandas again for every run would take most of the time. With SQLAlchemy loaded, a thread
#: writes the experiment log; in sessions that run in a process of their own another process does.
_LOADED_ONCE = (
    "asyncio",
    "genai_prices.data",
    "jinja2.sandbox",
    "langchain_core.callbacks",
    "langchain_core.language_models.fake_chat_models",
    "langchain_core.runnables",
    "langgraph.checkpoint.memory",
    "langgraph.graph",
    "matplotlib.backends.backend_svg",
    "numpy",
    "pandas",
    "scipy.stats",
    "sqlalchemy.dialects.sqlite",
    "yaml",
)

#: Case ``c03`` asks 3. What the app does is said by variables: BOT_P is the share of right answers, the
#: others name cases: BOT_MISS answers wrongly, BOT_RAISE raises, BOT_LOSE loses its connection
#: ("all" for all cases). Every call leaves a line in calls.log.
BOT = """
import os
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from pytest_promptune import Case

LOG = Path(__file__).parent / "calls.log"
CASES = [
    Case(id=f"c{i:02d}", input={"q": i}, expected={"a": "yes"}, tags={"category": "even" if i % 2 == 0 else "odd"})
    for i in range(int(os.environ.get("BOT_CASES", "6")))
]
_lock = threading.Lock()
_asked = Counter()


def chosen(name, case):
    value = os.environ.get("BOT_" + name, "")
    return value == "all" or case in value.split(",")


def answer(inputs, misses=None):
    case = f"c{inputs['q']:02d}"
    with _lock:
        _asked[case] += 1
        n = _asked[case]
        with LOG.open("a") as log:
            log.write(case + "\\n")
    time.sleep(float(os.environ.get("BOT_WAIT", "0")))
    if chosen("RAISE", case):
        raise RuntimeError("the model is confused")
    if chosen("LOSE", case):
        raise ConnectionError("connection reset by peer")
    wrong = misses is not None and case in misses or misses is None and chosen("MISS", case)
    right = (inputs["q"] * 0.618034 + n * 0.754878) % 1 < float(os.environ.get("BOT_P", "1"))
    return {"a": "yes" if right and not wrong else "no"}


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def bot():
    return answer


@pytest.fixture(scope="session")
def tuned():
    def build(variant):
        return lambda inputs: answer(inputs, variant.context.get("misses"))

    return build
"""

SUITE = """
import pytest
from pytest_promptune import Case, Sample

pytestmark = pytest.mark.promptune(app="bot", runs=3, retries=0)


def test_answer(case: Case, sample: Sample):
    assert sample.output["a"] == case.expected["a"]


def test_words(case: Case, sample: Sample):
    sample.score("length", len(sample.output["a"]), direction="lower")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one pytest session gave."""

    code: int
    out: str
    err: str
    #: The results file, ``None`` where none was written.
    json: Any
    #: Case ids in the order in which the app was called, as far as it logs its calls.
    calls: Sequence[str]
    seconds: float
    #: How many items ended in which way, as the last line says; without those deselected and warnings.
    counts: Mapping[str, int]
    #: By node id: the outcomes of the reports of the call phase, or of a setup that did not pass.
    items: Mapping[str, str]

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return self.out + self.err

    @property
    def per_case(self) -> Counter[str]:
        """How often the app was called, by case."""
        return Counter(self.calls)

    def row(self, metric: str, candidate: str = "current", reference: str | None = None) -> dict[str, Any]:
        """The one comparison of a metric."""
        found = [
            row
            for row in self.json["comparisons"]
            if (row["metric"], row["candidate"]) == (metric, candidate)
            and reference in (None, row["reference"])
        ]
        assert len(found) == 1, f"{len(found)} comparisons of {metric} with {candidate}"
        return found[0]

    def metric(self, metric: str, variant: str = "current") -> dict[str, Any]:
        """The one row of a metric."""
        found = [row for row in self.json["metrics"] if (row["metric"], row["variant"]) == (metric, variant)]
        assert len(found) == 1, f"{len(found)} rows of {metric} under {variant}"
        return found[0]

    @property
    def gates(self) -> dict[str, bool]:
        """Node id of each decision of the gate: whether it passed."""
        return {item["nodeid"]: not item["failed"] for item in self.json["gate"]}

    def refused(self, *words: str) -> bool:
        """Exit code 4, one message with these words, no traceback, no call of the app."""
        assert self.code == pytest.ExitCode.USAGE_ERROR, f"exit code {self.code}\n{self.text}"
        assert "Traceback" not in self.text, self.text
        assert "INTERNALERROR" not in self.text, self.text
        for word in words:
            assert word in self.text, f"{word!r} is not in\n{self.text}"
        assert not self.calls, f"the app was called {len(self.calls)} times\n{self.text}"
        return True


#: Threads in which an app's code runs.
_OF_APPS = ("promptune-app", "promptune-node")


class _Reports:
    """Listens to the reports of a session in this process, and looks at what it leaves behind."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        self._before = set(threading.enumerate())
        #: Threads of ours that outlive the session; those of a blocked app can't be ended.
        self.left: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        names = [thread.name for thread in threading.enumerate() if thread not in self._before]
        self.left = [n for n in names if n.startswith("promptune-") and n not in _OF_APPS]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.items[report.nodeid] = report.outcome


class Project:
    """A folder with a suite, and pytest run on it."""

    #: Raised by a run in a process of its own that takes too long.
    TimeoutExpired = pytest.Pytester.TimeoutExpired

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = pytester.path
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        self._runs = 0

    def write(self, files: Mapping[str, str] | None = None, **modules: str) -> None:
        """Write files, by path or, as keywords, by module name."""
        for name, text in {**(files or {}), **{f"{k}.py": v for k, v in modules.items()}}.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def bot(self, tests: str = SUITE, *, name: str = "test_bot.py", ini: str = "") -> None:
        """The bot in conftest.py beside a test module."""
        folder = (self.path / name).parent
        self.write({name: tests, str((folder / "conftest.py").relative_to(self.path)): BOT})
        self.write({"pytest.ini": f"[pytest]\n{ini}\n"})

    def variant(self, name: str, *misses: str) -> None:
        """A variant of the app `tuned` that answers these cases wrongly, whatever BOT_MISS says."""
        listed = ", ".join(f'"{case}"' for case in misses)
        self.write({f"prompts/variants/{name}.toml": f"[context]\nmisses = [{listed}]\n"})

    def configure(self, form: str, **values: object) -> None:
        """Set ini keys without their prefix in pytest.ini, in pyproject's ini table, or as native TOML."""
        (self.path / "pytest.ini").unlink(missing_ok=True)
        (self.path / "pyproject.toml").unlink(missing_ok=True)
        if form == "native":
            lines = [f"promptune_{key} = {json.dumps(value)}" for key, value in values.items()]
            self.write({"pyproject.toml": "\n".join(["[tool.pytest]", *lines]) + "\n"})
            return
        texts = {
            key: "".join(f"\n  {item}" for item in value) if isinstance(value, list) else str(value).lower()
            for key, value in values.items()
        }
        if form == "ini":
            lines = [f"promptune_{key} = {text}" for key, text in texts.items()]
            self.write({"pytest.ini": "\n".join(["[pytest]", *lines]) + "\n"})
        else:
            lines = [f'promptune_{key} = """{text}"""' for key, text in texts.items()]
            self.write({"pyproject.toml": "\n".join(["[tool.pytest.ini_options]", *lines]) + "\n"})

    @property
    def baseline(self) -> Path:
        """The baseline file of the bot's suite."""
        return self.path / "__promptune__" / "test_bot.main.json"

    def baseline_json(self) -> Any:
        return json.loads(self.baseline.read_text(encoding="utf-8"))

    def record(self, *args: str, **bot: object) -> Ran:
        """Record a baseline that must succeed."""
        ran = self.run("--promptune-baseline", *args, **bot)
        assert ran.code == 0, ran.text
        return ran

    def run(
        self,
        *args: str | Path,
        subprocess: bool = False,
        plugins: Sequence[str] = (),
        json_file: bool = True,
        cwd: Path | None = None,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
        **bot: object,
    ) -> Ran:
        """Run pytest as a user would, in this process unless asked otherwise.

        Args:
            args: of the command line.
            subprocess: in a process of its own.
            plugins: to load beside ours; none is loaded by itself, for speed.
            json_file: whether to ask for the results file.
            cwd: where to type the command, if not in the project's folder.
            timeout: of a process of its own.
            env: further variables of the environment.
            bot: what the app does: ``miss="c01"`` sets BOT_MISS.
        """
        self._runs += 1
        results = self.path / f"results-{self._runs}.json"
        log = self.path / "calls.log"
        log.unlink(missing_ok=True)
        given = [f"--promptune-json={results}"] if json_file else []
        loaded = [part for name in ("pytest_promptune.plugin", *plugins) for part in ("-p", name)]
        reports = _Reports()
        with self._monkeypatch.context() as patch:
            patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            patch.setattr(sys, "dont_write_bytecode", True)  # a file may change twice within a second
            patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
            for name in ("PYTEST_ADDOPTS", "GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS", "GITHUB_WORKSPACE", "CI"):
                patch.delenv(name, raising=False)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            for name, value in bot.items():
                patch.setenv(f"BOT_{name.upper()}", str(value))
            if cwd is not None:
                patch.chdir(cwd)
            if subprocess:
                done = self._pytester.runpytest_subprocess(*loaded, *given, *args, timeout=timeout)
            else:
                with warnings.catch_warnings():
                    warnings.simplefilter("default")
                    done = self._pytester.runpytest_inprocess(
                        *loaded, *given, *args, plugins=[reports], no_reraise_ctrlc=True
                    )
                    if "xdist.plugin" in plugins:  # its workers' pipes must not be found by a later test
                        warnings.simplefilter("ignore", ResourceWarning)
                        gc.collect()
        # pytester takes the modules away that a session imported: a thread that imports meanwhile gets two
        assert not reports.left, f"threads outlive the session: {reports.left}"
        return Ran(
            code=int(done.ret),
            out=done.stdout.str(),
            err=done.stderr.str(),
            json=json.loads(results.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
            if results.exists()
            else None,
            calls=log.read_text().split() if log.exists() else [],
            seconds=done.duration,
            counts=_counts(done.stdout.str()),
            items=reports.items,
        )


def _counts(output: str) -> dict[str, int]:
    last = output.rstrip().rpartition("\n")[2]
    found = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last.partition(" in ")[0])}
    return {
        word: number for word, number in found.items() if word not in ("deselected", "warning", "warnings")
    }


def _refuse_constant(name: str) -> object:
    raise AssertionError(f"the results file holds {name}, which is not JSON")


@pytest.fixture(scope="session")
def _loaded_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    # pytester makes the project's folder the home directory, where matplotlib would list the fonts.
    os.environ.setdefault("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = (m.name for m in pkgutil.walk_packages(pytest_promptune.__path__, "pytest_promptune."))
        for name in (*_LOADED_ONCE, *(n for n in own if not n.endswith("__main__"))):
            importlib.import_module(name)


@pytest.fixture
def project(_loaded_once: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty folder to write a suite to."""
    return Project(pytester, monkeypatch)


@pytest.fixture
def bot(project: Project) -> Project:
    """A folder with the bot's suite: two tests, six cases, three runs."""
    project.bot()
    return project


@pytest.fixture
def tuned(project: Project) -> Project:
    """The same suite on an app that is built for each variant, and a variant `worse`."""
    project.bot(SUITE.replace('app="bot"', 'app="tuned"'))
    project.variant("worse", "c00", "c01", "c02", "c03")
    return project


needs_pytest_9 = pytest.mark.skipif(
    pytest.version_tuple < (9, 2), reason="native TOML with numbers came with pytest 9"
)


@pytest.fixture(params=["ini", "ini_options", pytest.param("native", marks=needs_pytest_9)])
def form(request: pytest.FixtureRequest) -> str:
    """The ways in which an ini file can be written."""
    return str(request.param)
