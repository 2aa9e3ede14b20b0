"""The child process: what it is told, what it says when it can't, and that it ends."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_promptune.local import LocalModelError, local_chat_model, server
from pytest_promptune.local.server import start_server
from pytest_promptune.local.weights import Weights

ANSWERS = """
    import json, os, sys
    arguments = json.loads(sys.stdin.readline())
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    print(json.dumps({"url": "http://127.0.0.1:9"}), flush=True)
    print("serving with", arguments["servers"], file=sys.stderr, flush=True)
    sys.stdin.read()
"""


def child(program: str) -> list[str]:
    """A stand-in for child.py."""
    return [sys.executable, "-c", textwrap.dedent(program)]


@pytest.fixture
def gguf(tmp_path: Path) -> Weights:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF")
    return Weights(path=path, source="environment")


@pytest.fixture
def shared(gguf: Weights, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process's shared child is a stand-in."""
    monkeypatch.setattr(server, "_shared", server._Shared())
    monkeypatch.setattr(server, "require_weights", lambda: gguf)
    monkeypatch.setattr(server, "start_server", lambda weights: start_server(weights, command=child(ANSWERS)))
    yield
    server.close_shared_server()


def test_the_child_ends_when_its_stdin_closes(gguf: Weights) -> None:
    """Closing ends the child in good order, twice is once, and it was asked for one server per core."""
    running = start_server(gguf, command=child(ANSWERS))
    assert running.url == "http://127.0.0.1:9"
    assert running.model == "tiny"
    assert running.died() is None
    running.close()
    assert running.process.returncode == 0
    running.close()


def test_the_key_stays_off_the_command_line_and_out_of_reprs(gguf: Weights) -> None:
    """Other users of the machine read command lines, and logs show reprs."""
    running = start_server(gguf, command=child(ANSWERS))
    try:
        assert len(running.api_key) > 20
        assert running.api_key not in repr(running)
        assert running.api_key not in " ".join(map(str, running.process.args))  # type: ignore[arg-type]
    finally:
        running.close()


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import sys; sys.exit('not a GGUF file')", "exit status 1\n  not a GGUF file"),
        ("import os; os._exit(3)", r"exit status 3\n  \(it wrote nothing\)"),
        ("print('nonsense', flush=True); import time; time.sleep(60)", "did not start"),
        ("print('[]', flush=True)", "did not start"),
    ],
)
def test_a_child_that_dies_at_start_shows_its_last_lines(gguf: Weights, program: str, says: str) -> None:
    """The error names the weights, what the child said last, and what to do."""
    with pytest.raises(LocalModelError, match=says) as caught:
        start_server(gguf, command=child(program))
    assert str(gguf.path) in str(caught.value)
    assert "model fetch --force" in str(caught.value)


def test_a_child_that_never_answers_is_given_up(gguf: Weights) -> None:
    """The time limit ends it."""
    with pytest.raises(LocalModelError, match="did not start"):
        start_server(gguf, command=child("import time; time.sleep(60)"), timeout=0.3)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("No module named 'xllamacpp'", r"pip install 'pytest-promptune\[local\]'"),
        ("libgomp.so.1: cannot open shared object file", "apt-get install libgomp1"),
    ],
)
def test_what_is_missing_is_named(gguf: Weights, reason: str, says: str) -> None:
    """A missing package and a missing system library have different cures."""
    program = f"import json; print(json.dumps({{'missing': {reason!r}}}))"
    with pytest.raises(LocalModelError, match=says):
        start_server(gguf, command=child(program))


def test_one_child_for_the_process(shared: None) -> None:
    """Everybody gets the same child; after closing it, a new one."""
    first = server.shared_server()
    assert server.shared_server() is first
    server.close_shared_server()
    assert server.shared_server() is not first


def test_a_child_that_died_later_is_reported_once_and_replaced(shared: None) -> None:
    """The next call says what happened; the one after it works."""
    first = server.shared_server()
    first.process.kill()
    first.process.wait()
    with pytest.raises(LocalModelError, match=r"died: exit status -9|died: exit status 1"):
        server.shared_server()
    assert server.shared_server() is not first


def test_the_chat_model_asks_the_child(shared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the stock ChatOpenAI, with the child's address and key, the grammar, and what the caller adds."""
    openai = pytest.importorskip("langchain_openai")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    model = local_chat_model(temperature=0.1, grammar='root ::= "yes"', seed=7, extra_body={"top_k": 5})
    assert type(model) is openai.ChatOpenAI
    assert model.openai_api_base == "http://127.0.0.1:9/v1"
    assert model.model_name == "tiny"
    assert (model.temperature, model.seed) == (0.1, 7)
    assert model.extra_body == {"top_k": 5, "grammar": 'root ::= "yes"'}
    assert model.http_client is not None, "a proxy of the environment must not get requests for this machine"
    assert server.shared_server().api_key not in repr(model)


def test_the_client_package_missing_is_named(shared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error is how to install it."""
    monkeypatch.setitem(sys.modules, "langchain_openai", None)
    with pytest.raises(LocalModelError, match=r"pip install 'pytest-promptune\[local\]'"):
        local_chat_model()


def test_importing_the_package_is_cheap() -> None:
    """Neither the runtime nor the client is imported before a model is asked for."""
    program = (
        "import sys, pytest_promptune.local, pytest_promptune.cli; "
        "heavy = {'xllamacpp', 'langchain_openai', 'langchain_core', 'pydantic'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
