"""The order in which items run: run, case, variant, test; see also tests/core/test_plan.py."""

from __future__ import annotations

import re

import pytest


def order(project, *args):
    """Ids of the selected items without their module."""
    out = project.run("--co", "-q", *args).out
    return re.findall(r"::(\S+\])", out)


def suite(scope: str, extra: str = "", marks: str = "app='bot', runs=2") -> str:
    return (
        "import pytest\nfrom pytest_promptune import Case\n"
        f"pytestmark = pytest.mark.promptune({marks})\n\n"
        f"@pytest.fixture(scope='{scope}', params=[Case(id=i, input={{'q': 1}}) for i in 'xy'], ids=str)\n"
        "def talk(request):\n    return request.param\n\n"
        "def test_b(talk, sample):\n    pass\n\ndef test_a(talk, sample):\n    pass\n" + extra
    )


EXPECTED = [
    f"{test}[{case}-current-run{run}]" for run in (1, 2) for case in "xy" for test in ("test_b", "test_a")
]


@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
def test_runs_come_first_whatever_the_scope_of_the_case(project, scope):
    """pytest would put all items of a case together where the fixture has a wider scope."""
    project.bot(suite(scope))
    assert order(project) == EXPECTED
    ran = project.run()
    assert ran.counts == {"passed": 8}, ran.text


@pytest.mark.parametrize("scope", ["function", "session"])
def test_an_app_with_parameters_is_set_up_once_for_each(project, scope):
    """Its items stay together: another app object would need its samples again."""
    project.bot(
        suite(
            scope,
            "\n@pytest.fixture(scope='session', params=['cold', 'hot'])\ndef oven(request, bot):\n"
            "    return lambda inputs: bot(inputs)\n\n"
            "@pytest.fixture(autouse=True)\ndef _oven(oven):\n    pass\n",
            "app='oven', runs=2",
        )
    )
    ran = project.run()
    assert ran.counts == {"passed": 16}, ran.text
    assert len(ran.calls) == 8, "a sample was generated twice"
    found = re.findall(r"\[(\w+)-\w+-current-run(\d)", " ".join(order(project)))
    assert found == [(oven, run) for oven in ("cold", "hot") for run in "12" for _ in range(4)]


def test_failed_first_still_comes_first(project):
    """--ff wins over our order, as over any other."""
    project.bot(suite("session", "\ndef test_real(talk, sample):\n    assert sample\n    raise OSError\n"))
    cache = ["-p", "cacheprovider"]
    project.run(*cache)
    assert [name.partition("[")[0] for name in order(project, "--ff", *cache)][:4] == ["test_real"] * 4
