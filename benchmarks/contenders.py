"""What is measured against what: the same app and check, each tool called as its documentation says."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import environments

SUITES = Path(__file__).parent / "suites"
_QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:langsmith_plugin")
_PLAIN = ("-m", "pytest", *_QUIET, "-p", "no:promptune", "test_plain.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to make the same calls and check the same outputs."""

    name: str
    #: Its environment, see `environments`.
    environment: str
    #: Copied into the folder it runs in.
    suite: str
    arguments: tuple[str, ...]
    #: Run once before, in the same folder: what a user has lying there.
    before: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    #: One sample at a time: measured fewer times where samples wait.
    is_serial: bool = False

    def program(self, folder: Path) -> str:
        """What is started."""
        if self.environment == environments.NODE:
            return str(environments.promptfoo_of(folder))
        return str(environments.python_of(folder, self.environment))

    def prepare(self, folder: Path) -> None:
        """Put the suite where it runs."""
        shutil.copy(SUITES / self.suite, folder / self.suite)


_PROMPTUNE = ("-m", "pytest", *_QUIET, "--promptune-concurrency=32", "test_promptune.py")


def _script(name: str, environment: str, suite: str, **variables: str) -> Contender:
    return Contender(
        name=name,
        environment=environment,
        suite=suite,
        arguments=(suite,),
        variables=tuple(variables.items()),
    )


CONTENDERS: Sequence[Contender] = (
    _script("bare asyncio loop", "promptune", "bare_loop.py"),
    Contender(
        name="plain pytest",
        environment="promptune",
        suite="test_plain.py",
        arguments=(*_PLAIN, "-p", "no:xdist"),
        is_serial=True,
    ),
    Contender(
        name="pytest-promptune",
        environment="promptune",
        suite="test_promptune.py",
        arguments=_PROMPTUNE,
        before=(*_PROMPTUNE, "--promptune-baseline"),
    ),
    Contender(
        name="pytest-xdist -n 2",
        environment="promptune",
        suite="test_plain.py",
        arguments=(*_PLAIN, "-n", "2"),
        is_serial=True,
    ),
    _script("Braintrust Eval", "braintrust", "braintrust_suite.py"),
    _script("LangSmith aevaluate", "langsmith", "langsmith_suite.py", LANGSMITH_TRACING="false"),
    _script("pydantic-evals", "pydantic-evals", "pydantic_evals_suite.py"),
    _script("DeepEval evaluate", "deepeval", "deepeval_suite.py", DEEPEVAL_TELEMETRY_OPT_OUT="1"),
    _script("Inspect eval", "inspect-ai", "inspect_suite.py"),
    Contender(
        name="promptfoo eval",
        environment="promptfoo",
        suite="promptfoo_suite.py",
        arguments=(
            "eval",
            "--no-cache",
            "--no-progress-bar",
            "--max-concurrency",
            "32",
            "--repeat",
            "{runs}",
        ),
        variables=(
            ("PROMPTFOO_DISABLE_TELEMETRY", "1"),
            ("PROMPTFOO_DISABLE_UPDATE", "1"),
            ("PROMPTFOO_DISABLE_DEBUG_LOG", "1"),  # with its log files it crashes at its end, now and then
            ("PROMPTFOO_DISABLE_ERROR_LOG", "1"),
        ),
    ),
)
