"""What a suite pays that has the plugin installed and doesn't use it: nothing it would notice."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "numpy",
    "pandas",
    "scipy",
    "jinja2",
    "sqlalchemy",
    "langgraph",
    "langchain_core",
    "asyncio",
    "rich",
    "matplotlib",
    "yaml",
)
WATCH = f"""
import sys

def pytest_unconfigure(config):
    loaded = sorted(name for name in {HEAVY!r} if name in sys.modules)
    sys.stderr.write("LOADED " + repr(loaded) + "\\n")
"""


def test_importing_the_plugin_loads_nothing_heavy():
    """In a fresh interpreter, the plugin and the package itself."""
    code = (
        "import sys; import pytest_promptune, pytest_promptune.plugin; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_load_when_used():
    """``from pytest_promptune import Case`` costs no library either; every public name exists."""
    code = (
        "import sys; from pytest_promptune import Case, Variant, Sample, load_cases; "
        f"print([name for name in {HEAVY!r} if name in sys.modules]); "
        "import pytest_promptune as p; assert all(hasattr(p, n) and n in dir(p) for n in p.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_suite_without_promptune_tests_is_untouched(project):
    """No output, no files, no libraries, also where the suite has its own `sample` and `variant`."""
    project.write(
        conftest=WATCH,
        test_plain=(
            "import pytest\n\n@pytest.fixture\ndef sample():\n    return 1\n\n"
            "@pytest.fixture(params=[1, 2])\ndef variant(request):\n    return request.param\n\n"
            "def test_own(sample):\n    assert sample == 1\n\n"
            "def test_both(sample, variant):\n    assert variant in (sample, 2)\n\n"
            "def test_fails():\n    assert [1] == [2]\n"
        ),
    )
    ran = project.run("-p", "no:cacheprovider", subprocess=True, json_file=False)
    assert ran.code == 1
    assert ran.counts == {"failed": 1, "passed": 3}
    assert "assert [1] == [2]" in ran.out
    assert "promptune" not in ran.out.replace("-p pytest_promptune.plugin", "").replace(str(project.path), "")
    assert "LOADED []" in ran.err + ran.out
    left = {path.name for path in project.path.iterdir() if not path.name.startswith("runpytest-")}
    assert left - {"__pycache__", "stdout", "stderr"} == {"conftest.py", "test_plain.py"}


def test_workers_without_promptune_tests(project):
    """Under ``-n`` neither the controller nor a worker loads more than the parts that look."""
    project.write(
        conftest=(
            "import sys\nfrom pathlib import Path\n\n\ndef pytest_unconfigure(config):\n"
            "    mine = [n for n in sys.modules if n.startswith('pytest_promptune')]\n"
            f"    heavy = [n for n in {HEAVY!r} if n in sys.modules]\n"
            "    name = getattr(config, 'workerinput', {}).get('workerid', 'controller')\n"
            "    (Path(__file__).parent / f'{name}.txt').write_text(' '.join(mine + heavy))\n"
        ),
        test_plain="import pytest\n\n@pytest.mark.parametrize('n', range(8))\ndef test_fine(n):\n    pass\n",
    )
    ran = project.run("-n", "2", plugins=["xdist.plugin"], subprocess=True, json_file=False)
    assert (ran.code, ran.counts) == (0, {"passed": 8}), ran.text
    for name in ("controller", "gw0", "gw1"):
        loaded = (project.path / f"{name}.txt").read_text().split()
        assert "pytest_promptune.plugin" in loaded
        dear = ("pytest_promptune.session", "pytest_promptune.plugin.hooks", "pytest_promptune.store", *HEAVY)
        assert not set(dear) & set(loaded), name


def test_options_alone_do_nothing(project):
    """A results file and a report are not written where nothing was measured, whatever was asked."""
    project.write(test_plain="def test_fine():\n    pass\n")
    ran = project.run("--promptune-report=r.md", "--promptune-baseline", "--promptune-gate=off")
    assert ran.code == 0
    assert ran.json is None
    assert not (project.path / "r.md").exists()
    assert "promptune:" not in ran.out


def test_a_plain_function_does_not_load_langchain(bot):
    """Measuring and comparing a function needs neither LangGraph nor Jinja2's environment of the app."""
    bot.write(conftest=(bot.path / "conftest.py").read_text() + WATCH)
    ran = bot.run("--promptune-report=", subprocess=True)
    assert ran.code == 0
    loaded = next(line for line in (ran.err + ran.out).splitlines() if line.startswith("LOADED"))
    assert "lang" not in loaded


def test_only_some_modules_with_promptune_tests(bot):
    """In a mixed suite other modules keep their fixtures, order and failures."""
    bot.write(
        test_own="import pytest\n\n@pytest.fixture\ndef sample():\n    return 1\n\n"
        "@pytest.mark.parametrize('n', [2, 1])\ndef test_own(sample, n):\n    assert n == sample\n"
    )
    ran = bot.run("-k", "test_own or c00")
    assert ran.code == 1
    assert ran.counts == {"failed": 1, "passed": 7}
