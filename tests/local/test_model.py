"""The real model on this machine's CPU: wide margins only, it is small."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_promptune.local import LocalModelError, local_chat_model
from pytest_promptune.local.server import start_server
from pytest_promptune.local.weights import Weights, require_weights

pytestmark = [pytest.mark.local_llm, pytest.mark.usefixtures("real_model")]


def test_it_answers_with_usage() -> None:
    """An answer has text, a model name, and the tokens it took."""
    answer = local_chat_model(max_tokens=8).invoke("Hello!")
    assert answer.text.strip()
    assert answer.response_metadata["model_name"] == require_weights().model
    assert answer.usage_metadata is not None  # type: ignore[attr-defined]
    assert 0 < answer.usage_metadata["output_tokens"] <= 8  # type: ignore[attr-defined]


def test_a_grammar_holds() -> None:
    """Whatever is asked, the answer is one of the grammar's."""
    model = local_chat_model(temperature=1.5, grammar='root ::= "yes" | "no"')
    assert {model.invoke("Tell me about whales.").text for _ in range(5)} <= {"yes", "no"}


def test_a_seed_repeats_an_answer() -> None:
    """The same seed gives the same text, different ones differ at least once."""
    model = local_chat_model(temperature=1.0, max_tokens=12)
    texts = [model.invoke("Name a thing.", seed=seed).text for seed in (1, 1, 2, 3, 4)]
    assert len(set(texts)) > 1


def test_many_calls_at_once() -> None:
    """More calls in flight than servers are queued, not refused."""
    model = local_chat_model(max_tokens=4)

    async def all_at_once() -> list[str]:
        answers = await asyncio.gather(*[model.ainvoke(f"Say {n}") for n in range(8)])
        return [answer.text for answer in answers]

    assert all(asyncio.run(all_at_once()))


def test_a_file_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    """The error names the file."""
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"junk" * 100)
    with pytest.raises(LocalModelError, match=r"junk\.gguf: the model server did not start"):
        start_server(Weights(path=path, source="environment"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for the child in /proc")
def test_the_child_does_not_outlive_a_killed_parent() -> None:
    """However the process that started it ends, its stdin closes, and so it ends."""
    program = (
        "import os\n"
        "from pytest_promptune.local.server import shared_server\n"
        "print(shared_server().process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    child = Path("/proc") / done.stdout.strip()
    assert done.returncode == -9
    for _ in range(50):
        if not child.exists() or "State:\tZ" in (child / "status").read_text():
            break
        time.sleep(0.1)
    else:
        os.kill(int(child.name), 9)
        pytest.fail("the child outlived its parent")
