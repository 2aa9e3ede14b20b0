"""No byte of a secret is in what a session leaves behind, whatever kind it is and wherever it came from."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_promptune.cli import main

LETTERS = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0z"
#: What is said, and the part of it that is secret.
SECRETS = {
    "openai": (f"sk-proj-{LETTERS}", f"proj-{LETTERS}"),
    "anthropic": (f"sk-ant-api03-{LETTERS}", f"api03-{LETTERS}"),
    "google": (f"AIza{LETTERS}abcd", f"{LETTERS}abcd"),
    "aws-id": ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    "aws-secret": ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPx", "wJalrXUtnFEMI/K7MDENG"),
    "azure": ("AccountName=x;AccountKey=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6==;", "Zm9vYmFyYmF6cXV4"),
    "azure-signature": ("https://x.example/c?sv=1&sig=sIgAbCdEf0123456789sIgAbCdEf%3D", "sIgAbCdEf0123456789"),
    "github": (f"ghp_{LETTERS}12345", f"{LETTERS}12345"),
    "gitlab": (f"glpat-gl{LETTERS}", f"gl{LETTERS}"),
    "slack": ("xoxb-123456789012-slackslack", "123456789012-slackslack"),
    "huggingface": (f"hf_{LETTERS}hf", f"{LETTERS}hf"),
    "langsmith": (f"lsv2_pt_{LETTERS}_0123456789", f"{LETTERS}_0123456789"),
    "groq": (f"gsk_q{LETTERS}", f"q{LETTERS}"),
    "stripe": (f"sk_live_s{LETTERS}", f"s{LETTERS}"),
    "jwt": (f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{LETTERS}", "eyJzdWIiOiIxMjM0In0"),
    "bearer": ("Authorization: Bearer bearer-4fJ2kL9xQ7wZ1", "bearer-4fJ2kL9xQ7wZ1"),
    "basic": ("Authorization: Basic YW5uOnN3b3JkZmlzaA==", "YW5uOnN3b3JkZmlzaA"),
    "url": ("https://ann:swordfish-in-url@db.example/x", "swordfish-in-url"),
    "environment": ("DB_PASSWORD=swordfish-in-env PGPASSWORD=swordfish-in-pg", "swordfish-in"),
    "pem": ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQ"),
    "own": ("customer-4711-0815", "4711-0815"),
}  # fmt: skip
#: In the options of the session alone.
PASSWORD = "swordfish-in-store"
#: What may be read afterwards to see that something was written at all.
WITNESS = "the witness is here"

SUITE = f"""
import json, logging, os, time
from pathlib import Path

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from pytest_promptune import Case

SECRETS = json.loads(Path(os.environ["SECRETS"]).read_text())
CASES = [
    Case(id=name, input={{"q": said, said: [said]}}, expected={{"a": said}}, tags={{"category": said, "kind": "k"}})
    for name, (said, _) in SECRETS.items()
]


def escaped(text):
    return "".join(f"\\\\u{{ord(letter):04x}}" for letter in text)


@pytest.fixture(scope="session")
def app():
    def call(inputs):
        said = inputs["q"]
        model = FakeListChatModel(responses=[f"the model says {{said}}"])
        answer = model.invoke(f"{WITNESS}, {{said}}").text
        print("printed", said)
        logging.getLogger("app").warning("logged %s", said)
        if os.environ.get("HANG") and said == CASES[-1].input["q"]:
            (Path(__file__).parent / "hangs").touch()
            time.sleep(60)
        if os.environ.get("RAISE"):
            raise RuntimeError(f"{WITNESS}: refused {{said}}")
        return {{
            "reply": answer,
            "witness": "{WITNESS}",
            said: {{said: said}},
            "within": json.dumps({{"a": said, "b": json.dumps([said])}}),
            "escaped": json.dumps({{"a": "@@"}}).replace("@@", escaped(said)),
            "half": said[:3] + escaped(said[3:]),
            "repr": repr([said]),
            "password": "swordfish-in-output",
        }}

    return call


@pytest.mark.promptune(app="app", runs=1, retries=0)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    said = case.input["q"]
    sample.score("quality", 0.5)
    sample.classify(predicted=said, expected=said)
    assert sample.output["reply"] == said, f"it said {{said}}"
"""


def found_in(data: bytes) -> list[str]:
    """Kinds of the secrets that these bytes hold, in plain or spelled in escapes."""
    texts = [data, re.sub(rb"\\+u00([2-7][0-9a-f])", lambda m: bytes([int(m[1], 16)]), data)]
    secrets = {name: secret for name, (_, secret) in SECRETS.items()}
    secrets |= {"password": PASSWORD, "output": "swordfish-in-output"}
    return [name for name, secret in secrets.items() if any(secret.encode() in text for text in texts)]


def left_behind(project) -> dict[str, bytes]:
    """What the sessions wrote, by path; neither the suite itself nor what pytest keeps for itself."""
    mine = {"test_leaky.py", "secrets.json", "pytest.ini"}
    return {
        str(path.relative_to(project.path)): path.read_bytes()
        for path in project.path.rglob("*")
        if path.is_file() and path.name not in mine and not {"__pycache__", ".pytest_cache"} & set(path.parts)
    }


@pytest.fixture
def leaky(project, monkeypatch):
    """A suite whose app, cases and tests say secrets of each kind."""
    project.write({"test_leaky.py": SUITE, "secrets.json": json.dumps(SECRETS)})
    project.configure("ini", redact=[r"\d+-0815"])
    monkeypatch.setenv("SECRETS", str(project.path / "secrets.json"))
    return project


def arguments(store: str) -> list[str]:
    notes = " ".join(said for said, _ in SECRETS.values())
    return [
        f"--promptune-store={store}",
        f"--promptune-note={notes}",
        "--promptune-report=report.md",
        "--promptune-report=report.html",
        "--junitxml=junit.xml",
    ]


@pytest.fixture
def store(store):
    """SQLite's files lie in the project."""
    return "sqlite:///.promptune/promptune.db" if store.startswith("sqlite") else store


@pytest.fixture
def dumped(request, store):
    """What the database holds, as bytes; nothing for SQLite, whose files are in the project."""

    def dump() -> bytes:
        if store.startswith("sqlite"):
            return b""
        server = request.getfixturevalue("postgres_server")
        return server.dump(request.getfixturevalue("database"))

    return dump


def is_written(project, dump: bytes) -> bool:
    """Whether anything of the samples is there."""
    return any(WITNESS.encode() in data for data in [*left_behind(project).values(), dump])


def check(project, dump: bytes) -> None:
    assert is_written(project, dump)
    written = left_behind(project) | {"dump": dump}
    assert {name: found for name, data in written.items() if (found := found_in(data))} == {}


@pytest.mark.parametrize("raises", ["", "1"], ids=["answers", "raises"])
def test_a_whole_session(leaky, store, dumped, monkeypatch, raises):
    """Inputs, tags, expected, outputs, keys, prompts, errors, messages, labels, note and options are clean."""
    monkeypatch.setenv("RAISE", raises)
    given = store.replace("ann@", f"ann:{PASSWORD}@") if "ann@" in store else store
    ran = leaky.run(*arguments(given), "--promptune-baseline")
    assert ran.json["experiment"]["samples"] == len(SECRETS), ran.text
    again = leaky.run(*arguments(given))
    assert again.json["experiment"]["samples"] == len(SECRETS), again.text
    leaky.run("--promptune-store=", "--promptune-report=unstored.html", "--promptune-report=unstored.md")
    check(leaky, dumped())


VARIANTS = """
import pytest
from pytest_promptune import Case

@pytest.fixture
def case():
    return Case(id="c", input="hello")


@pytest.fixture(scope="session")
def tuned():
    def build(variant):
        return lambda inputs: {"a": "yes", "witness": "the witness is here"}

    return build


@pytest.mark.promptune(app="tuned", runs=2)
def test_tuned(case, sample):
    assert sample.output["a"] == "yes"
"""


def test_what_variants_change(leaky, store, dumped):
    """Prompts and parameters of variants, and what is said of them: in reports, results, and final reports."""
    said = [said for said, _ in SECRETS.values()]
    fields = "\n".join(f"field_{i} = {json.dumps(text)}" for i, text in enumerate(said))
    variant = f"description = {json.dumps(' '.join(said))}\n[context]\n{fields}\n"
    leaky.write({"test_leaky.py": VARIANTS, "prompts/variants/v.toml": variant})
    for mode in ("--promptune-baseline", "--promptune-compare"):
        ran = leaky.run(*arguments(store), mode)
        assert ran.code == 0, ran.text
    assert [row["name"] for row in ran.json["variants"]] == ["v"]
    assert len(ran.json["variants"][0]["changes"]) == len(said)
    for name in ("final.md", "final.html"):
        given = ["report", "--root", str(leaky.path), "--store", store, "--out", str(leaky.path / name)]
        assert main([*given, *(["--html"] if name.endswith("html") else [])]) == 0
        assert "field_0" in (leaky.path / name).read_text(encoding="utf-8")
    (leaky.path / "prompts/variants/v.toml").unlink()
    check(leaky, dumped())


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_in_the_middle(leaky, store, dumped):
    """While it runs and after ``kill -9``: the log that is written ahead is clean, too."""
    environment = {**os.environ, "HANG": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "pytest_promptune.plugin", "-q", *arguments(store)]
    session = subprocess.Popen(
        command, cwd=leaky.path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    until = time.monotonic() + 60
    try:
        while not is_written(leaky, dumped()) and session.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.1)
        if store.startswith("sqlite"):
            assert list((Path(leaky.path) / ".promptune").glob("*-wal"))
        check(leaky, dumped())
    finally:
        os.killpg(session.pid, signal.SIGKILL)
        session.wait()
    check(leaky, dumped())
