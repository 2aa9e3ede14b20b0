"""What a later module lacks is found before the first call of any app."""

from __future__ import annotations

import pytest

TESTS = (
    "import pytest\npytestmark = pytest.mark.promptune(app='{app}', runs=1)\n\n"
    "def test_it(case, sample):\n    pass\n"
)

#: A plugin that makes a fixture at run time, where no module shows it.
AT_RUN_TIME = """
import pytest, types

def pytest_collection_modifyitems(session):
    late = types.ModuleType("made_late")
    late.robot = pytest.fixture(scope="session", name="robot")(lambda: lambda inputs: inputs)
    session._fixturemanager.parsefactories(late, "")
"""


def test_an_app_that_only_a_later_module_lacks(project):
    """Nothing is called for the modules before it."""
    project.bot(TESTS.format(app="bot"))
    project.write(test_later=TESTS.format(app="robot"))
    assert project.run().refused("test_later.py", "'robot'", "fixture")


def test_a_case_that_only_a_later_module_lacks(project):
    """A test that requests nothing but its sample can't have a case."""
    project.bot(TESTS.format(app="bot"))
    project.write(test_later="def test_it(sample):\n    pass\n")
    assert project.run().refused("test_later.py::test_it", "Case")


@pytest.mark.parametrize(
    "where",
    ["conftest.py", "test_later.py", "plugin.py", "class"],
)
def test_apps_are_found_wherever_fixtures_may_be(project, where):
    """In a conftest.py, the module, a class, or a plugin."""
    fixture = (
        "import pytest\n@pytest.fixture(scope='session', name='robot')\n"
        "def make(request):\n    return lambda inputs: inputs\n"
    )
    project.bot(TESTS.format(app="bot"))
    tests = TESTS.format(app="robot")
    if where == "class":
        tests = (
            "import pytest\n\nclass Base:\n"
            "    @pytest.fixture(scope='module')\n"
            "    def robot(self):\n        return lambda inputs: inputs\n\n"
            "@pytest.mark.promptune(app='robot', runs=1)\nclass TestIt(Base):\n"
            "    def test_it(self, case, sample):\n        pass\n"
        )
    project.write({"sub/test_later.py": tests})
    if where == "plugin.py":
        project.write({"plugin.py": fixture, "pytest.ini": "[pytest]\naddopts = -p plugin\npythonpath = .\n"})
    elif where != "class":
        path = project.path / "sub" / where
        path.write_text(fixture + (path.read_text() if path.exists() else ""))
    ran = project.run()
    assert ran.code == 0, ran.text
    assert ran.counts == {"passed": 12}


def test_a_conftest_beside_the_module_does_not_count(project):
    """A fixture of another folder is out of reach."""
    project.bot(TESTS.format(app="bot"))
    project.write(
        {
            "other/conftest.py": (
                "import pytest\n@pytest.fixture(scope='session')\ndef robot():\n    return print\n"
            ),
            "other/test_none.py": "",
            "sub/test_later.py": TESTS.format(app="robot"),
        }
    )
    assert project.run().refused("sub/test_later.py", "'robot'")


def test_apps_made_at_run_time_are_found(project):
    """Pytest is asked before a suite is refused."""
    project.bot(TESTS.format(app="bot"))
    project.write({"test_later.py": TESTS.format(app="robot"), "late.py": AT_RUN_TIME})
    project.write({"pytest.ini": "[pytest]\naddopts = -p late\npythonpath = .\n"})
    ran = project.run()
    assert ran.code == 0, ran.text
    assert ran.counts == {"passed": 12}
