"""What samples cost: from the app's model calls to metrics, comparisons and the results file."""

from __future__ import annotations

import pytest

#: Two nodes that ask a model each. MODELS names the models; every call reads 1000 tokens, 500 of them
#: from the cache, and writes as many as the question says.
SUITE = """
import operator
import os
from typing import Annotated, TypedDict

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph
from pytest_promptune import Case

FAILED = set()


class Scripted(BaseChatModel):
    model: str

    @property
    def _llm_type(self):
        return "scripted"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        text = messages[-1].text
        if self.model == "flaky" and text not in FAILED:
            FAILED.add(text)
            raise ConnectionError("lost")
        written = int(text)
        used = {"input_tokens": 1000, "output_tokens": written, "total_tokens": 1000 + written,
                "input_token_details": {"cache_read": 500}}
        message = AIMessage("yes", usage_metadata=used, response_metadata={"model_name": self.model})
        return ChatResult(generations=[ChatGeneration(message=message)])


class State(TypedDict, total=False):
    q: str
    a: Annotated[list, operator.add]


def ask(model):
    async def node(state):
        return {"a": [(await model.ainvoke(state["q"])).text]}
    return node


@pytest.fixture(scope="session")
def app():
    builder = StateGraph(State)
    classify, reply = (Scripted(model=name) for name in os.environ["BOT_MODELS"].split(","))
    builder.add_node("classify", ask(classify)).add_node("reply", ask(reply))
    builder.add_edge(START, "classify").add_edge("classify", "reply")
    return builder.compile()


@pytest.mark.promptune(app="app", runs=2, retries=1)
@pytest.mark.parametrize("case", [Case(id=q, input={"q": q}) for q in ("100", "300")], ids=str)
def test_it(case, sample):
    assert sample.output["a"] == ["yes", "yes"]
    nodes = {name: node.usage.cost_usd for name, node in sample.nodes.items()}
    for name, usd in nodes.items():
        print(f"COST {case.id} {name} {usd}")
    known = [usd for usd in nodes.values() if usd is not None]
    assert sample.usage.cost_usd == (pytest.approx(sum(known)) if len(known) == 2 else None)
"""

MINI, HAIKU = "gpt-4.1-mini-2025-04-14", "claude-haiku-4-5-20251001"
#: Per million tokens: 0.40 read, 0.10 from the cache, 1.60 written; 1, 0.10 and 5.
CLASSIFY, REPLY = (0.00025 + 0.00016, 0.00025 + 0.00048), (0.00055 + 0.0005, 0.00055 + 0.0015)


@pytest.fixture
def suite(project):
    project.write(test_costs=SUITE)
    return project


def test_costs_of_samples(suite):
    """Known models: each sample has its cost, cached tokens at their price, and each node its own."""
    ran = suite.run("--promptune-baseline", "-s", models=f"{MINI},{HAIKU}")
    assert ran.code == 0, ran.text
    row = ran.metric("app::cost_usd")
    per_case = [sum(both) for both in zip(CLASSIFY, REPLY, strict=True)]
    assert (row["unit"], row["n_samples"]) == ("USD", 4)
    assert row["mean"] == pytest.approx(sum(per_case) / 2, rel=1e-5)
    assert ran.json["usage"]["cost_usd"] == pytest.approx(2 * sum(per_case))
    costs = [line.rpartition("COST ")[2].split() for line in ran.out.splitlines() if "COST " in line]
    for case, node, usd in (("100", "classify", CLASSIFY[0]), ("300", "reply", REPLY[1])):
        assert [float(cost) for *place, cost in costs if place == [case, node]] == pytest.approx([usd, usd])
    assert "No price is known" not in ran.text


def test_costs_are_compared(suite):
    """With the baseline, as any metric; a cost of the same tokens is unchanged."""
    suite.run("--promptune-baseline", models=f"{MINI},{HAIKU}")
    ran = suite.run(models=f"{MINI},{MINI}")
    assert ran.row("app::cost_usd")["difference"] == pytest.approx((sum(CLASSIFY) - sum(REPLY)) / 2, rel=1e-4)
    assert suite.run(models=f"{MINI},{HAIKU}").row("app::cost_usd")["difference"] == 0


def test_a_model_without_a_price(suite):
    """The samples have no cost, not 0 nor that of the other node; one note names the model."""
    ran = suite.run("--promptune-baseline", models=f"{MINI},mystery")
    assert ran.code == 0, ran.text
    assert ran.json["usage"]["cost_usd"] is None
    assert not [row for row in ran.json["metrics"] if row["metric"] == "app::cost_usd" and row["n_samples"]]
    assert ran.metric("app::input_tokens")["mean"] == 2000
    text = " ".join(ran.out.split())
    assert text.count("No price is known for mystery:") == 1
    assert 'promptune_prices = "mystery = INPUT / OUTPUT"' in text


def test_own_prices(suite, form):
    """The ini file prices what nobody publishes, and overrides what somebody does."""
    suite.configure(form, prices=["mystery = 2 / 10 / 0.5", f"{MINI} = 0 / 0"])
    ran = suite.run("--promptune-baseline", models=f"{MINI},mystery")
    assert ran.code == 0, ran.text
    assert ran.metric("app::cost_usd")["mean"] == pytest.approx(0.001 + 0.00025 + 0.002)
    assert "No price is known" not in ran.text


@pytest.mark.parametrize("line", ["mystery", "mystery = cheap", "mystery = 1 / -2"])
def test_bad_prices(suite, form, line):
    """Where, what, and what is valid; nothing was called."""
    suite.configure(form, prices=[line])
    assert suite.run(models="a,b").refused("promptune_prices", line, "as my-model = 0.15 / 0.60")


def test_costs_of_a_sample_that_recovered(suite, monkeypatch):
    """Its cost and tokens are those of the attempt that succeeded, as its latency is."""
    monkeypatch.setattr("pytest_promptune.engine.pause_before", lambda *_: 0.0)
    suite.configure("ini", prices=["flaky = 2 / 10 / 0.5"])
    ran = suite.run("--promptune-baseline", "--promptune-runs=1", models=f"{MINI},flaky")
    assert ran.code == 0, ran.text
    assert ran.metric("app::input_tokens")["mean"] == 2000
    assert ran.metric("app::cost_usd")["mean"] == pytest.approx(sum(CLASSIFY) / 2 + 0.00125 + 0.002, rel=1e-5)


@pytest.mark.parametrize("workers", [0, 2])
def test_costs_in_several_processes(suite, workers):
    """Workers price their own calls; models without a price are named once."""
    args = ("--promptune-baseline", *(("-n", str(workers)) if workers else ()))
    plugins = ("xdist.plugin",) if workers else ()
    ran = suite.run(*args, plugins=plugins, models=f"{MINI},{HAIKU}")
    assert ran.metric("app::cost_usd")["mean"] == pytest.approx(sum(CLASSIFY + REPLY) / 2, rel=1e-5)
    ran = suite.run(*args, plugins=plugins, models=f"{MINI},mystery")
    assert " ".join(ran.out.split()).count("No price is known for mystery:") == 1
