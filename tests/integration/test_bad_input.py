"""What is wrong is said at once: exit code 4, one clear message, no traceback, no call of the app."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import json
import subprocess

import pytest

CASES = "CASES = [Case(id='x', input={'q': 1}), Case(id='y', input={'q': 2})]\n"
HEAD = (
    "import pytest\nfrom pytest_promptune import Case, load_cases\nfrom pathlib import Path\n"
    "HERE = Path(__file__).parent\n" + CASES
)


def suite(body: str, marks: str = "app='bot', runs=1") -> str:
    return f"{HEAD}pytestmark = pytest.mark.promptune({marks})\n\n{body}\n"


PLAIN = "def test_it(case, sample):\n    pass"

SUITES = {
    "unknown-keyword": (suite(PLAIN, "app='bot', run=3"), ["test_it", "'run'", "Did you mean 'runs'?"]),
    "positional": (suite(PLAIN, "'bot'"), ["test_it", "keywords only"]),
    "negative-runs": (suite(PLAIN, "app='bot', runs=-1"), ["test_it", "runs=-1", "at least 1"]),
    "zero-runs": (suite(PLAIN, "app='bot', runs=0"), ["runs=0", "at least 1"]),
    "true-runs": (suite(PLAIN, "app='bot', runs=True"), ["runs=True", "at least 1"]),
    "text-timeout": (suite(PLAIN, "app='bot', timeout='5'"), ["timeout='5'", "seconds"]),
    "app-object": (suite(PLAIN, "app=len"), ["app=", "name of a fixture"]),
    "gate-text": (suite(PLAIN, "app='bot', gate='x'"), ["gate='x'", "list"]),
    "no-app": (suite(PLAIN, "app='robot'"), ["test_it", "'robot'", "fixture"]),
    "default-app": (suite(PLAIN, "runs=1"), ["test_it", "'promptune_app'", "fixture"]),
    "not-callable": (
        suite(PLAIN + "\n\n@pytest.fixture(scope='session')\ndef bot():\n    return 42"),
        ["'bot'", "int", "can't be called"],
    ),
    "app-none": (
        suite(PLAIN + "\n\n@pytest.fixture(scope='session')\ndef bot():\n    pass"),
        ["'bot'", "None", "can't be called"],
    ),
    "function-scope": (
        suite(PLAIN + "\n\n@pytest.fixture\ndef bot():\n    return print"),
        ["'bot'", "scope 'function'", 'scope="session"'],
    ),
    "class-scope": (
        suite(PLAIN + "\n\n@pytest.fixture(scope='class')\ndef bot():\n    return print"),
        ["'bot'", "scope 'class'"],
    ),
    "no-case": (suite("def test_it(sample):\n    pass"), ["test_it", "Case"]),
    "no-case-but-parameters": (
        suite("@pytest.mark.parametrize('n', [1])\ndef test_it(n, sample):\n    pass"),
        ["test_it", "Case"],
    ),
    "two-cases": (
        suite("@pytest.mark.parametrize('other', CASES)\ndef test_it(case, other, sample):\n    pass"),
        ["test_it", "case", "other", "more than one Case"],
    ),
    "two-plain-cases": (
        suite(
            "@pytest.fixture\ndef a():\n    return CASES[0]\n\n@pytest.fixture\ndef b():\n    return CASES[1]\n\n"
            "def test_it(a, b, sample):\n    pass"
        ),
        ["test_it", "a (x)", "b (y)"],
    ),
    "duplicate-ids": (
        suite(
            "@pytest.mark.parametrize('talk', [CASES[0], Case(id='x', input={'q': 3})])\n"
            "def test_it(talk, sample):\n    pass"
        ),
        ["'x'", "test_bot.py"],
    ),
    "number-as-id": (
        suite(
            "@pytest.mark.parametrize('talk', [Case(id=7, input=1)])\ndef test_it(talk, sample):\n    pass"
        ),
        ["id=7", "test_bot.py"],
    ),
    "empty-id": (
        suite(
            "@pytest.mark.parametrize('talk', [Case(id=' ', input=1)])\ndef test_it(talk, sample):\n    pass"
        ),
        ["id=' '", "test_bot.py"],
    ),
    "input-without-json": (
        suite(
            "@pytest.mark.parametrize('talk', [Case(id='x', input=object())])\ndef test_it(talk, sample):\n    pass"
        ),
        ["'x'", "object"],
    ),
    "shared-metric": (
        suite(
            "@pytest.mark.promptune(metric='same')\ndef test_one(case, sample):\n    pass\n\n"
            "@pytest.mark.promptune(metric='same')\ndef test_two(case, sample):\n    pass"
        ),
        ["test_one", "test_two", "'same'"],
    ),
    "variant-without-sample": (suite("def test_it(case, variant):\n    pass"), ["test_it", "sample"]),
    "no-case-file": (
        suite(
            "@pytest.mark.parametrize('talk', load_cases(HERE / 'nowhere.jsonl'))\ndef test_it(talk, sample):\n    pass"
        ),
        ["nowhere.jsonl"],
    ),
}


@pytest.mark.parametrize(("source", "words"), SUITES.values(), ids=SUITES)
def test_slips_in_the_suite(project, source, words):
    """Marks, apps, cases and metrics that make no sense."""
    project.bot(source)
    assert project.run().refused(*words)
    assert not (project.path / "__promptune__").exists()
    assert not (project.path / "promptune-report.md").exists()


def test_problems_of_a_case_file_are_told_at_once(project):
    """Each with file and line: broken JSON, a missing id, a number for an id, a duplicate, no input."""
    lines = [
        {"id": "a", "input": 1},
        {"input": 2},
        {"id": 3, "input": 3},
        {"id": "a", "input": 4},
        {"id": "e"},
    ]
    text = "\n".join([*map(json.dumps, lines), "{broken", '"text"']) + "\n"
    project.bot(
        suite(
            "@pytest.mark.parametrize('talk', load_cases(HERE / 'talks.jsonl'))\ndef test_it(talk, sample):\n    pass"
        )
    )
    project.write({"talks.jsonl": text})
    ran = project.run()
    assert ran.refused(*(f"talks.jsonl:{line}" for line in (2, 3, 4, 5, 6, 7)))
    project.write({"talks.csv": "id,input\na,1\na,2\n,3\n"})
    source = (project.path / "test_bot.py").read_text()
    project.write(test_bot=source.replace("jsonl", "csv"))
    assert project.run().refused("talks.csv:3", "talks.csv:4")


def test_an_error_while_importing_stays_an_error_of_collection(project):
    """A broken import in the test module is none of ours: pytest's own report, exit code 2."""
    project.bot("import nowhere_to_be_found\n" + suite(PLAIN))
    ran = project.run()
    assert ran.code == 2
    assert "nowhere_to_be_found" in ran.out


OPTIONS = {
    "contradiction": (["--promptune-baseline", "--promptune-compare"], ["contradict", "--promptune-compare"]),
    "unknown-variant": (["--promptune-variant=nope"], ["nope"]),
    "negative-runs": (["--promptune-runs=-1"], ["--promptune-runs", "at least 1"]),
    "unknown-margin": (["--promptune-margin=tset_it=0.1"], ["tset_it", "'test_it'"]),
}


@pytest.mark.parametrize(("args", "words"), OPTIONS.values(), ids=OPTIONS)
def test_slips_on_the_command_line(project, args, words):
    """Refused before anything is collected or called."""
    project.bot(suite(PLAIN))
    assert project.run(*args).refused(*words)


PROMPTED = """
import jinja2, pytest
from pytest_promptune import Case
from prompted_app import env

@pytest.fixture(scope="session")
def app():
    def call(value):
        from pathlib import Path
        with (Path(__file__).parent / "calls.log").open("a") as log:
            log.write("call\\n")
        return env.get_template("greet.j2").render(name=value)
    return call

@pytest.mark.promptune(app="app", runs=1)
@pytest.mark.parametrize("case", [Case(id="x", input="Ann")], ids=str)
def test_it(case, sample):
    assert "Ann" in sample.output
"""

TEMPLATES = {
    "replaces-nothing": ({"reply.j2": "Hi {{ name }}"}, ["reply.j2", "replaces nothing", "greet.j2"]),
    "undefined": ({"greet.j2": "Hi\n{{ nmae }}"}, ["greet.j2:2", "'nmae'", "Did you mean 'name'?"]),
    "syntax": ({"greet.j2": "Hi\n\n{% if %}"}, ["greet.j2:3"]),
    "nothing": ({"notes.md": "to do"}, ["changes nothing"]),
    "toml": ({"variant.toml": "description = \n"}, ["variant.toml:1"]),
    "unknown-key": ({"variant.toml": "[contxt]\na = 1\n"}, ["variant.toml:1", "Did you mean 'context'?"]),
    "context": ({"variant.toml": "[context]\na = 1\n"}, ["[context]", "plain function"]),
    "nodes": ({"variant.toml": "[nodes.greet]\nprompt = 'x'\n"}, ["nodes", "greet"]),
    "stray-file": ({"greet.txt": "x", "greet.j2": "Hi {{ name }}"}, ["greet.txt"]),
}


@pytest.mark.parametrize(("files", "words"), TEMPLATES.values(), ids=TEMPLATES)
def test_slips_in_variants(project, files, words):
    """Templates and settings that would not reach the app, with file and line."""
    project.write(
        {
            "test_bot.py": PROMPTED,
            "prompted_app.py": "import jinja2\nenv = jinja2.Environment(loader=jinja2.FileSystemLoader('prompts'))\n",
            "prompts/greet.j2": "Hello {{ name }}",
            "pytest.ini": "[pytest]\npromptune_jinja_env = prompted_app:env\npythonpath = .\n",
            **{f"prompts/variants/new/{name}": text for name, text in files.items()},
        }
    )
    assert project.run("--promptune-compare").refused(*words)
    assert project.run().code == 0


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("prompted_app", ["colon"]),
        ("prompted_ap:env", ["prompted_ap"]),
        ("prompted_app:environ", ["'environ'", "'env'"]),
        ("prompted_app:jinja2", ["jinja2.Environment"]),
        ("broken_app:env", ["broken_app", "ZeroDivisionError"]),
    ],
)
def test_slips_in_the_name_of_the_environment(project, spec, words):
    """`promptune_jinja_env` that names nothing usable."""
    project.write(
        {
            "test_bot.py": PROMPTED,
            "prompted_app.py": "import jinja2\nenv = jinja2.Environment(loader=jinja2.DictLoader({'greet.j2': '{{ name }}'}))\n",
            "broken_app.py": "1 / 0\n",
            "pytest.ini": f"[pytest]\npromptune_jinja_env = {spec}\npythonpath = .\n",
            "prompts/variants/new/greet.j2": "Hi {{ name }}",
        }
    )
    assert project.run("--promptune-compare").refused("promptune_jinja_env", *words)


def test_templates_without_an_environment(project):
    """A variant with templates needs to know where the app's are."""
    project.bot(suite(PLAIN))
    project.write({"prompts/variants/new/greet.j2": "Hi"})
    assert project.run("--promptune-compare").refused("promptune_jinja_env", "greet.j2")


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("object()", ["object", "not JSON"]),
        ("{'a': {1, 2}, 'b': b'bytes'}", ["bytes"]),
        ("float('nan')", ["nan"]),
        ("[float('inf')]", ["inf"]),
    ],
)
def test_an_output_that_is_not_json(project, returned, words):
    """Known only after the call: errored samples that say what is wrong; when all are, nothing was measured."""
    project.bot(
        suite(
            "@pytest.fixture(scope='session')\ndef odd():\n"
            f"    return lambda inputs: {returned}\n\n"
            "@pytest.mark.promptune(app='odd')\n"
            "@pytest.mark.parametrize('talk', CASES, ids=str)\ndef test_it(talk, sample):\n    pass"
        )
    )
    ran = project.run()
    assert ran.code == 1
    assert "Traceback" not in ran.text
    assert [word for word in ("'odd'", "gate[odd::output-current]", *words) if word not in ran.text] == []


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "'0.5'", "[1]"])
def test_a_score_that_is_no_number(project, value):
    """A bug in a test: the item fails with a message, the others go on, exit code 1."""
    project.bot(
        suite(f"def test_it(case, sample):\n    sample.score('x', {value} if case.id == 'c01' else 1)")
    )
    ran = project.run()
    assert ran.code == 1
    assert ran.counts == {"failed": 1, "passed": 5}
    assert "sample.score('x', …) in case 'c01', run 1" in ran.out


@pytest.mark.parametrize(
    "body",
    [
        "sample.score('x', 1, direction='up')",
        "sample.score('', 1)",
        "sample.score('x', 1); sample.score('x', 2)",
    ],
)
def test_scores_that_make_no_sense(project, body):
    """Direction, name, and a second value of the same name."""
    project.bot(suite(f"def test_it(case, sample):\n    {body}"))
    ran = project.run("-k", "c01")
    assert ran.code == 1
    assert "sample.score(" in ran.out
    assert "1 failed" in ran.out


def test_a_refused_session_leaves_nothing_open(project, monkeypatch):
    """Processes that were asked something (git) are waited for and their pipes closed."""
    begun = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            begun.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    # Slow enough for git to have ended before the session does.
    project.bot("import time\ntime.sleep(0.3)\n" + suite(PLAIN, "app='robot'") + "\ntime.sleep(0.3)\n")
    conftest = (project.path / "conftest.py").read_text()
    hook = "\n\ndef pytest_collection_modifyitems(items):\n    time.sleep(0.3)\n"
    project.write(conftest=conftest + hook)
    assert project.run().refused("'robot'")
    assert all(process.returncode is not None for process in begun)
    assert all(process.stdout is None or process.stdout.closed for process in begun)
