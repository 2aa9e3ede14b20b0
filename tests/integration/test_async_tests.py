"""Async tests through pytest-asyncio and anyio, as in any suite."""

from __future__ import annotations

import pytest

SUITE = """
import asyncio
import pytest
{imports}

pytestmark = pytest.mark.promptune(app="{app}", runs=2)


{mark}
async def test_later(case, sample):
    await asyncio.sleep(0)
    sample.score("length", len(sample.output["a"]))
    assert sample.output["a"] == case.expected["a"]


{mark}
async def test_fails(case, sample):
    await asyncio.sleep(0)
    if case.id == "c00":
        raise OSError("disk full")


def test_sync(case, sample):
    assert sample.output["a"] == "yes"


@pytest.fixture(scope="session")
def nothing():
    pass
{more}
"""

KINDS = {
    "asyncio-strict": ("pytest_asyncio.plugin", "strict", "@pytest.mark.asyncio", ""),
    "asyncio-auto": ("pytest_asyncio.plugin", "auto", "", ""),
    "anyio": (
        "anyio.pytest_plugin",
        None,
        "@pytest.mark.anyio",
        "\n\n@pytest.fixture(scope='session')\ndef anyio_backend():\n    return 'asyncio'\n",
    ),
}
ASYNC_APP = """

{fixture}
async def served(bot):
    await asyncio.sleep(0)

    async def call(inputs):
        await asyncio.sleep(0)
        return bot(inputs)

    return call
"""


def write(project, mode, mark, more="", app="bot", imports=""):
    project.bot(SUITE.format(mark=mark, more=more, app=app, imports=imports))
    if mode:
        project.write(
            {"pytest.ini": f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = session\n"}
        )


@pytest.mark.parametrize(("plugin", "mode", "mark", "more"), KINDS.values(), ids=KINDS)
def test_async_tests_are_measured(project, plugin, mode, mark, more):
    """A miss is data, another exception a failure, scores arrive; the sample is shared with sync tests."""
    write(project, mode, mark, more)
    ran = project.run("-k", "c00 or c01 or c02", plugins=[plugin], miss="c01")
    assert ran.code == 1
    assert ran.counts == {"failed": 2, "passed": 12, "missed": 4}, ran.text
    assert ran.out.count("OSError: disk full") >= 2
    assert ran.per_case == {"c00": 2, "c01": 2, "c02": 2}
    assert ran.metric("test_later")["mean"] == pytest.approx(2 / 3)
    assert ran.metric("test_later::length")["n_samples"] == 6
    assert "never awaited" not in ran.text


@pytest.mark.parametrize(
    ("plugin", "mode", "mark", "more", "fixture", "imports"),
    [
        (
            *KINDS["asyncio-strict"],
            "@pytest_asyncio.fixture(scope='session', loop_scope='session')",
            "import pytest_asyncio",
        ),
        (*KINDS["asyncio-auto"], "@pytest.fixture(scope='session')", ""),
    ],
    ids=["asyncio-strict", "asyncio-auto"],
)
def test_an_app_may_come_from_an_async_fixture(project, plugin, mode, mark, more, fixture, imports):
    """An app fixture that awaits something while it is set up."""
    write(project, mode, mark, more + ASYNC_APP.format(fixture=fixture), app="served", imports=imports)
    ran = project.run("-k", "c01", plugins=[plugin])
    assert ran.code == 0, ran.text
    assert ran.metric("test_later")["mean"] == 1


def test_errored_samples_call_no_async_test(project):
    """Nothing is left unawaited when the app gave no output."""
    write(project, "auto", "")
    ran = project.run(
        "-k", "c01 or c02", "-W", "error", plugins=["pytest_asyncio.plugin"], **{"raise": "c01"}
    )
    assert ran.code == 0, ran.text
    assert ran.counts == {"passed": 6, "errored": 6}
    assert "never awaited" not in ran.text


def test_async_tests_without_a_plugin_fail(project):
    """Without an async plugin pytest can't run them: that must not look like a pass."""
    write(project, None, "")
    ran = project.run("-k", "test_later and c01")
    assert ran.code == 1
    assert "async" in ran.out
