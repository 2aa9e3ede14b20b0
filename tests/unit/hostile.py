"""An app whose model answers with whatever could act on what shows it, and sessions with it.

Its texts are answers, errors, case ids, tags, comments of scorers, labels, and names of nodes and variants.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: What is hostile about it, and the text. `PWN` marks what must not be found anywhere as more than text.
PAYLOADS = {
    "script": "<script>window.PWN=1;alert('PWN')</script><img src=x onerror=window.PWN=2>"
    "<svg/onload=window.PWN=3></td></table><!-- PWN",
    "page": "</script><script>window.PWN=4</script></style><style>*{display:none}</style>"
    "<base href=//pwn.example/><meta http-equiv=refresh content='0;url=https://pwn.example/r'>"
    "<iframe src=https://pwn.example/f></iframe>",
    "image": "![PWN](https://pwn.example/p.png) ![PWN][pwn]\n\n[pwn]: https://pwn.example/q.png",
    "link": "[PWN](javascript:window.PWN=5) <https://pwn.example> https://pwn.example "
    "www.pwn.example pwn@pwn.example",
    "table": "a | PWN || c |\n|---|---|\n| PWN \\| \\",
    "emphasis": "**PWN** _PWN_ ~~PWN~~ * PWN\n- PWN\n1. PWN\n# PWN\n> PWN\nPWN\n===",
    "ansi": "\x1b[31mPWN\x1b[2J\x1b]8;;https://pwn.example\x07PWN\x1b]8;;\x1b\\\x9b2K\x9dPWN\x9c\x08\x7f\rPWN",
    "bidi": "\u202ePWN\u2066\u2069\u200b\u200f\ufeff\u2028PWN\u2029",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+cmd|PWN",
    "minus": "-1+cmd|PWN",
    "at": "@SUM(PWN)",
    "tab": "\t=PWN()",
    "output": "::set-output name=PWN::PWN",
    "error": "a\n::error file=PWN::PWN\n::stop-commands::PWN\r::add-mask::e",
    "words": " ".join(["word"] * 40) + " ::warning::PWN " * 30,
    "group": "##[group]PWN a ##[add-mask]PWN",
    "azure": "##vso[task.setvariable variable=PWN]PWN ##teamcity[PWN]",
    "math": "$\\frac{PWN}{x}$ $$PWN$$ $`PWN`$",
    "cdata": "]]>PWN<![CDATA[&PWN;&#x3c;script&#62;",
    "nul": "\x00::error::PWN\x00\x01",
    "surrogate": "\ud800PWN\udfff::\U0001f600",
    "template": "{{ 7*191 }}{% for x in y %}{{ PWN.__class__ }}{# PWN #}",
    "long": "PWN" * 40_000,
    "fence": "```\n# PWN\n~~~\n``PWN`\n</code></pre>",
    "mention": "@pwn-team #123 GH-123 pwn/pwn#1 pwn@1234567",
}
#: Those that fit into names: node ids, metrics, nodes and variants are one line of moderate length.
NAMES = {name: text for name, text in PAYLOADS.items() if len(text) < 300}

SUITE = """
import json
import os
from pathlib import Path
from typing import TypedDict

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph
from pytest_promptune import Case, Sample, Variant

PAYLOADS = json.loads((Path(__file__).parent / "payloads.json").read_text())
NAMES = json.loads((Path(__file__).parent / "names.json").read_text())
HOSTILE = os.environ.get("HOSTILE")

# every id twice: once for an answer, once for an error
CASES = [
    Case(
        id=f"{NAMES.get(name, name)} {kind}",
        input={"name": name, "kind": kind},
        expected={"a": "good"},
        tags={"category": NAMES.get(name, name), NAMES.get(name, name): name},
    )
    for name in PAYLOADS
    for kind in ("answer", "error")
]


class Scripted(BaseChatModel):
    model: str = "m"

    @property
    def _llm_type(self):
        return "scripted"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        used = {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}
        message = AIMessage("x", usage_metadata=used, response_metadata={"model_name": self.model})
        return ChatResult(generations=[ChatGeneration(message=message)])


class State(TypedDict, total=False):
    name: str
    kind: str
    a: str


def build(variant):
    hostile = HOSTILE or variant.context.get("hostile")

    def ask(state):
        text = PAYLOADS[state["name"]]
        Scripted(model=text[:300]).invoke(text)
        if hostile and state["kind"] == "error":
            raise RuntimeError(text)
        return {"a": text if hostile else "good"}

    builder = StateGraph(State)
    last = START
    for text in [NAMES[name] for name in NODES]:
        name = text.replace(":", ";").replace("|", "/")  # reserved by LangGraph
        builder.add_node(name, ask)
        builder.add_edge(last, name)
        last = name
    return builder.compile()


@pytest.fixture(scope="session")
def bot():
    return build


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def judge():
    def evaluator(outputs):
        return {"key": "judged", "score": outputs["a"] == "good", "comment": outputs["a"]}
    return evaluator


def pytest_promptune_variants(config):
    return [
        Variant(name=name, description=text, context={"hostile": text})
        for name, text in zip(VARIANTS, NAMES.values())
    ]


NODES = ("script", "table", "emphasis", "ansi", "bidi", "group", "azure", "nul", "fence", "mention", "math")
# whitespace, brackets, slashes and :: can't stand in the name of a variant
VARIANTS = ["<b>PWN", "a|PWN|", "=PWN()", "@pwn#1", "`PWN`", "$PWN$", "\x1bPWN\u202e", "**PWN**"]
"""

TESTS = """
import pytest
from conftest import NAMES
from pytest_promptune import Case, Sample

pytestmark = pytest.mark.promptune(app="bot", runs=1, retries=0)


@pytest.mark.promptune(scorers=["judge"])
def test_answer(case: Case, sample: Sample):
    assert sample.output["a"] == "good", sample.output["a"]


@pytest.mark.promptune(metric="##[group]<b>PWN</b> | @pwn #1")
def test_label(case: Case, sample: Sample):
    sample.classify(predicted=sample.output["a"], expected="good")


def test_scores(case: Case, sample: Sample):
    for text in NAMES.values():
        if "::" not in text and "\\n" not in text:
            sample.score(text, sample.output["a"] == "good", unit=text)
"""


LOADED = ("-p", "pytest_promptune.plugin", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Session:
    """One pytest session: what it printed, and the folder it wrote to."""

    code: int
    out: str
    folder: Path


def write_suite(folder: Path) -> None:
    """The app with its tests, and the baseline of when it still behaved."""
    (folder / "conftest.py").write_text(SUITE)
    (folder / "test_hostile.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "payloads.json").write_text(json.dumps(PAYLOADS))
    (folder / "names.json").write_text(json.dumps(NAMES))
    recorded = run_pytest(folder, "--promptune-baseline", "-q")
    assert recorded.code == 0, recorded.out


def run_pytest(folder: Path, *arguments: str, **env: str) -> Session:
    """A session of its own process; hostile answers come with ``HOSTILE=1``, or from variants."""
    outside = ("GITHUB_", "PYTEST", "COV_", "CI")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *LOADED, "--color=no", *arguments],
        cwd=folder,
        env={**inherited, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUTF8": "1", **env},
        capture_output=True,
        check=False,
        timeout=180,
    )
    said = done.stdout.decode("utf-8", "surrogateescape") + done.stderr.decode("utf-8", "surrogateescape")
    return Session(done.returncode, said, folder)


def run_command(folder: Path, *arguments: str) -> str:
    """What ``pytest-promptune`` prints there."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest_promptune.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONUTF8": "1", "GITHUB_ACTIONS": "true"},
        capture_output=True,
        check=False,
        timeout=120,
    )
    said = done.stdout.decode("utf-8") + done.stderr.decode("utf-8")
    assert done.returncode in (0, 1), said
    assert "Traceback" not in said
    return said
