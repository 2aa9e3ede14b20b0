"""Where time and money go: from the nodes of a graph to the results file, however the session ran."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_promptune.cli import main

XDIST = ["xdist.plugin"]

#: `classify`, then `facts` and the subgraph `writer` at the same time. Question 2 takes two attempts, 3 fails
#: in `classify` after its call. Every answer reads 1000 tokens and writes 100.
SUITE = """
import asyncio
import operator
import os
from typing import Annotated, TypedDict

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph
from pytest_promptune import Case


class Scripted(BaseChatModel):
    model: str = "m"
    fails: int = 0

    @property
    def _llm_type(self):
        return "scripted"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        if self.fails:
            self.fails -= 1
            raise ConnectionError("lost")
        used = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
        message = AIMessage("yes", usage_metadata=used, response_metadata={"model_name": self.model})
        return ChatResult(generations=[ChatGeneration(message=message)])


class State(TypedDict, total=False):
    q: str
    a: Annotated[list, operator.add]


async def classify(state):
    model = Scripted(fails=int(state["q"] == "2"))
    await model.with_retry(wait_exponential_jitter=False).ainvoke(state["q"])
    if state["q"] == "3":
        raise ValueError("no class")
    return {"a": ["class"]}


async def facts(state):
    await asyncio.sleep(0.02)
    await Scripted(model=os.environ.get("BOT_MODEL", "m")).ainvoke("facts")
    return {"a": ["fact"]}


async def draft(state):
    await asyncio.sleep(0.01)
    await Scripted().ainvoke("draft")
    await Scripted().ainvoke("again")
    return {"a": ["draft"]}


@pytest.fixture(scope="session")
def bot():
    writer = StateGraph(State).add_node("draft", draft).add_edge(START, "draft").compile()
    builder = StateGraph(State)
    builder.add_node("classify", classify).add_node("facts", facts).add_node("writer", writer)
    builder.add_edge(START, "classify").add_edge("classify", "facts").add_edge("classify", "writer")
    return builder.compile()


CASES = [Case(id=id, input={"q": q}) for id, q in (("first", "1"), ("second", "2"), ("third", "3"))]


@pytest.mark.promptune(app="bot", runs=2)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    if os.environ.get("BOT_FAIL") == case.id:
        raise RuntimeError("stop here")
    assert "draft" in sample.output["a"]


@pytest.mark.promptune(app="bot", runs=2)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_again(case, sample):
    assert len(sample.nodes) == 3
    assert sample.nodes["classify"].ways[0].site.rpartition(":")[0] == __file__
"""

COUNTS = ("samples", "calls", "retries", "input_tokens", "output_tokens", "errors")
#: What stands in the results file, times and costs apart.
EXPECTED = {
    "classify": (6, 8, 2, 6000, 600, {"ConnectionError": 2, "ValueError": 2}),
    "facts": (4, 4, 0, 4000, 400, {}),
    "writer/draft": (4, 8, 0, 8000, 800, {}),
}


@pytest.fixture
def suite(project):
    project.write(test_nodes=SUITE)
    project.configure("ini", prices=["m = 1 / 10"])
    return project


def counts(results: Any) -> dict[str, tuple[Any, ...]]:
    """What doesn't depend on the clock, by node."""
    return {row["node"]: tuple(row[name] for name in COUNTS) for row in results["nodes"]}


def costs(results: Any) -> dict[str, Any]:
    return {row["node"]: (row["cost_usd"], row["share_of_cost"]) for row in results["nodes"]}


def test_the_results_file(suite):
    """A row for each node with calls, times, tokens, cost, retries, errors and shares."""
    ran = suite.run("--promptune-baseline")
    assert ran.code == 0, ran.text
    assert counts(ran.json) == EXPECTED
    assert costs(ran.json) == {
        "classify": (pytest.approx(0.012), pytest.approx(12 / 36)),
        "facts": (pytest.approx(0.008), pytest.approx(8 / 36)),
        "writer/draft": (pytest.approx(0.016), pytest.approx(16 / 36)),
    }
    for row in ran.json["nodes"]:
        found = row["latency_s"]
        assert 0 < found["p50"] <= found["p95"] <= found["p99"]
        assert (row["variant"], row["app"]) == ("current", "bot")
    shares = [row["share_of_latency"] for row in ran.json["nodes"]]
    assert all(share > 0 for share in shares)
    assert sum(shares) <= 1.0001  # nodes that run at once share that time
    assert sum(row["cost_usd"] for row in ran.json["nodes"]) == pytest.approx(ran.json["usage"]["cost_usd"])


def test_what_people_see(suite):
    """Tables in the terminal, at most 80 columns wide, and in the report."""
    ran = suite.run("--promptune-baseline", "--promptune-report=report.md")
    lines = ran.out.splitlines()
    start = lines.index("Nodes of bot: current")
    assert {line.split()[0] for line in lines[start + 2 : start + 5]} == set(EXPECTED)
    assert max(map(len, lines[start : start + 10])) <= 80
    assert "  errors in classify: 2 ConnectionError, 2 ValueError" in lines
    report = (suite.path / "report.md").read_text(encoding="utf-8")
    assert "## Where time and money went" in report
    assert "| `writer/draft` | `current` | 4 | 8 |" in report


def test_a_model_without_a_price(suite):
    """Its node has tokens and no cost; the others keep theirs, and nobody has a share."""
    ran = suite.run("--promptune-baseline", model="mystery")
    assert counts(ran.json) == EXPECTED
    assert costs(ran.json) == {
        "classify": (pytest.approx(0.012), None),
        "facts": (None, None),
        "writer/draft": (pytest.approx(0.016), None),
    }


def test_variants_have_rows_of_their_own(suite):
    """Beside those of `current`, node by node."""
    suite.write(
        {
            "test_nodes.py": SUITE.replace("def bot():", "def bot():\n  def build(variant):").replace(
                "    return builder.compile()\n", "    return builder.compile()\n  return build\n"
            )
        }
    )
    suite.write({"prompts/variants/other.toml": '[context]\nx = "y"\n'})
    ran = suite.run("--promptune-compare")
    rows = [(row["node"], row["variant"], row["calls"]) for row in ran.json["nodes"]]
    assert [node for node, *_ in rows[::2]] == [node for node, *_ in rows[1::2]]
    assert [variant for _, variant, _ in rows] == ["current", "other"] * 3
    assert {(node, calls) for node, _, calls in rows} == {
        ("classify", 8),
        ("facts", 4),
        ("writer/draft", 8),
    }


def test_workers(suite):
    """With pytest-xdist the numbers are those of one process."""
    pytest.importorskip("xdist")
    serial = suite.run("--promptune-baseline")
    ran = suite.run("--promptune-baseline", "-n", "2", plugins=XDIST)
    assert ran.code == 0, ran.text
    assert counts(ran.json) == EXPECTED
    assert costs(ran.json) == costs(serial.json)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_what_could_be_mended(suite, workers):
    """Eight answers that are all yes are a decision, as free text (P103); four are too few to tell."""
    ran = suite.run("--promptune-baseline", *workers, plugins=XDIST if workers else ())
    rows = {row["node"]: row["feasibility"] for row in ran.json["analysis"]["priorities"]}
    assert rows == {"classify": 1, "facts": 0, "writer/draft": 1}


def test_replay(suite):
    """Stored samples have the nodes they had, with their times."""
    first = suite.run("--promptune-baseline")
    ran = suite.run("--promptune-replay=last")
    assert ran.json["experiment"]["reused"] == 6
    assert ran.json["nodes"] == first.json["nodes"]


def test_resume(suite):
    """Samples of the session that was interrupted count like those that are new."""
    suite.run("--promptune-baseline", "-x", fail="second")
    ran = suite.run("--promptune-baseline", "--promptune-resume")
    assert ran.json["experiment"]["reused"] > 0
    assert counts(ran.json) == EXPECTED


def test_merge(suite):
    """A results file carries what a merge needs: the same rows again, and those of parts added up."""
    whole = suite.run("--promptune-gate=off").json
    parts = [suite.run("--promptune-gate=off", f"-k={which}").json for which in ("second", "not second")]
    paths = [suite.path / f"part{number}.json" for number in range(3)]
    for path, results in zip(paths, [whole, *parts], strict=True):
        path.write_text(json.dumps(results), encoding="utf-8")

    def merged(*given: Any) -> Any:
        out = suite.path / "merged.json"
        assert main(["merge", "--root", str(suite.path), "--json", str(out), *map(str, given)]) == 0
        return json.loads(out.read_text(encoding="utf-8"))

    assert merged(paths[0])["nodes"] == whole["nodes"]
    together = merged(*paths[1:])
    assert 0 < parts[0]["nodes"][0]["calls"] < 8
    assert counts(together) == EXPECTED
    assert costs(together) == costs(whole)


def test_apps_without_models(bot):
    """Nothing is said of nodes, and nothing is kept of them."""
    ran = bot.run("--promptune-baseline")
    assert ran.json["nodes"] == []
    assert "Nodes of" not in ran.out
    assert '"nodes"' not in json.dumps(ran.json["shard"])
