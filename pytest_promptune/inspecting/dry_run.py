"""Runs the project's cases once with fake models, in a pytest session of its own, and reads what ran."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pytest_promptune.core.display import clean, cut
from pytest_promptune.core.errors import AppError
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.inspecting.traces import Stored, read_trace
from pytest_promptune.langgraph.providers import PROVIDERS

PLUGIN = "pytest_promptune.plugin.dry_run"
#: Keys of providers that have other ways to sign in, too.
_MORE_KEYS = (
    "AZURE_OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "HUGGINGFACEHUB_API_TOKEN",
    "OPENROUTER_API_KEY",
)
_NO_KEY = "dry-run"
#: Steps after which LangGraph ends a graph that sets no limit itself: answers of fakes may never end a loop.
_MOST_STEPS = {"LANGGRAPH_DEFAULT_RECURSION_LIMIT": "100"}
_MOST_LINES = 12
_WIDTH = 200


def keys() -> dict[str, str]:
    """A value for every key that a model could want when it is made: real ones are not given to a dry run."""
    names = [provider.key for provider in PROVIDERS.values() if provider.key] + list(_MORE_KEYS)
    return dict.fromkeys(names, _NO_KEY)


@contextmanager
def with_keys() -> Iterator[None]:
    """Models can be made in here without a key of one's own."""
    before = {name: os.environ.get(name) for name in keys()}
    os.environ.update({name: value for name, value in keys().items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def dry_run(root: Path, *, runs: int, redactor: Redactor, seed: int = 0) -> Stored:
    """What ran when the cases were run with fake models.

    Nothing is recorded, reported or left in the project. Tests run whole, with fixtures and the app's tools.

    Args:
        root: of the project, where pytest is started.
        runs: of each case.
        redactor: takes the secrets out of what pytest said.
        seed: of the fakes.

    Raises:
        AppError: when pytest can't run the tests, or no sample was made.
    """
    with tempfile.TemporaryDirectory(prefix="promptune-dry-run-") as folder:
        database = Path(folder, "dry-run.db")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *_arguments(Path(folder), database, runs)],
            cwd=root,
            env=_environment(seed),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        stored = None
        if done.returncode in (0, 1) and database.exists():
            store = f"sqlite:///{database.as_posix()}"
            stored = read_trace(root, store=store, experiment=None, is_fake=True)
        if stored is None:
            raise AppError(redactor.text(_explained(done)))
        return stored


def _arguments(folder: Path, database: Path, runs: int) -> list[str]:
    plugins = [PLUGIN]
    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        plugins.insert(0, "pytest_promptune.plugin")
    return [
        *(word for name in plugins for word in ("-p", name)),
        *("-q", "--maxfail=0", "-o", f"cache_dir={folder / 'cache'}"),
        *(f"--promptune-runs={runs}", f"--promptune-store=sqlite:///{database.as_posix()}"),
        *(f"--promptune-report={folder / 'report.md'}", f"--promptune-json={folder / 'results.json'}"),
        *("--promptune-goals=", "--promptune-gate=off", "--promptune-concurrency=1"),
    ]


def _environment(seed: int) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
    tracing = dict.fromkeys(("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"), "false")
    return {**_MOST_STEPS, **kept, **keys(), **tracing, "PROMPTUNE_DRY_RUN_SEED": str(seed), "NO_COLOR": "1"}


def _explained(done: subprocess.CompletedProcess[str]) -> str:
    lines = [text for line in (done.stdout + done.stderr).splitlines() if (text := clean(line))]
    said = "\n".join(f"  {cut(line, _WIDTH)}" for line in lines[-_MOST_LINES:])
    why = "has no promptune tests to run" if done.returncode == 5 else f"ended with status {done.returncode}"
    return (
        f"--dry-run: pytest {why}, so no node ran. Tests that request `sample` bring the cases and the app; "
        f"see that `pytest` collects them here.\n{said}"
    )
