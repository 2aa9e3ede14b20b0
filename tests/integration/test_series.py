"""Sessions that compare know what the earlier iterations of their series brought."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

SUITE = """
import pytest
from pytest_promptune import Case

CASES = [Case(id=f"c{i}", input={"n": i}) for i in range(6)]


@pytest.fixture(scope="session")
def app():
    {first}

    def build(variant):
        ok = variant.context.get("ok", 3)
        return lambda inputs: inputs["n"] < ok

    return build


@pytest.mark.promptune(app="app", runs=4)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    assert sample.output
"""


class Tuning:
    def __init__(self, pytester: pytest.Pytester, options: tuple[str, ...], first: str) -> None:
        self.pytester = pytester
        self.options = options
        pytester.makepyfile(test_it=SUITE.replace("{first}", first))

    def run(self, *words: str) -> Any:
        found = self.pytester.runpytest_subprocess(
            *words, *self.options, "--promptune-json=out.json", "--promptune-report="
        )
        assert found.ret in (0, 1), found.outlines
        return json.loads((self.pytester.path / "out.json").read_text(encoding="utf-8"))

    def compare(self, *words: str, **variants: int) -> str:
        """The action that is suggested after variants were compared, by how many cases they pass."""
        folder = self.pytester.path / "prompts" / "variants"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, passes in variants.items():
            (folder / f"{name}.toml").write_text(f"[context]\nok = {passes}\n", encoding="utf-8")
        return str(self.run("--promptune-compare", *words)["decision"]["action"])


@pytest.mark.parametrize(
    ("options", "first"),
    [((), "pass"), (("-n", "2"), "pass"), ((), "import sqlalchemy.orm")],
    ids=["alone", "xdist", "app-with-sqlalchemy"],
)
def test_a_series_that_stands_still(pytester, options, first):
    """Two fruitless iterations are a plateau; one that is measured again counts once."""
    tuning = Tuning(pytester, options, first)
    assert tuning.run("--promptune-baseline")["decision"]["action"] == "record"
    assert tuning.compare(a=3) == "continue"
    assert tuning.compare(renamed=3) == "continue"
    assert tuning.compare(b=2) == "plateau"
    assert tuning.compare(c=6) == "adopt"
    assert tuning.run("--promptune-baseline")["decision"]["action"] == "record"
    assert tuning.compare(b=2) == "continue"


def test_without_a_log_nothing_is_known(pytester):
    """Neither an empty store nor another one stops a session or invents a past."""
    tuning = Tuning(pytester, (), "pass")
    tuning.run("--promptune-baseline")
    assert tuning.compare(a=3) == "continue"
    assert tuning.compare("--promptune-store=", b=2) == "continue"
    assert tuning.compare("--promptune-store=sqlite:///other.db", b=2) == "continue"
    assert tuning.compare(b=2) == "plateau"
