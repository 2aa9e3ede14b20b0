"""``--promptune-plan``: keys of the app's models, and estimates where nothing is stored yet."""

from __future__ import annotations

import re

import pytest

PLAN = "--promptune-plan"
SUITE = """
import os
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, MessagesState, StateGraph
from pytest_promptune import Case

pytestmark = pytest.mark.promptune(app="bot", runs=5)
QUESTION = "where is my invoice, please, number "


class Acme(BaseChatModel):
    model: str = "acme-1"

    @property
    def lc_secrets(self):
        return {"acme_api_key": "ACME_API_KEY"}

    @property
    def _llm_type(self):
        return "acme"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        usage = {"input_tokens": 500, "output_tokens": 20, "total_tokens": 520}
        message = AIMessage("yes", usage_metadata=usage, response_metadata={"model_name": "acme-1"})
        return ChatResult(generations=[ChatGeneration(message=message)])


CASES = [Case(id=f"c{n}", input={"messages": [("user", f"{QUESTION}{n}")]}) for n in range(4)]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def bot():
    llm = Acme()

    def reply(state):
        return {"messages": [llm.invoke(state["messages"])]}

    return StateGraph(MessagesState).add_node(reply).add_edge(START, "reply").compile()


def test_it(case, sample):
    assert sample.output["messages"][-1].content == "yes"
"""


@pytest.fixture
def suite(project, monkeypatch):
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    project.write({"test_bot.py": SUITE, "pytest.ini": "[pytest]\npromptune_prices = acme-1 = 1 / 10\n"})
    return project


def words(ran):
    return " ".join(ran.out.split())


def test_a_missing_key_fails_the_plan(suite):
    """Exit code 1, and the variable to set; the session itself isn't kept from anything."""
    ran = suite.run(PLAN)
    assert ran.code == 1, ran.text
    assert "failed keys: Acme (acme-1) has none: set ACME_API_KEY" in words(ran)
    assert "Not ready: 1 check failed" in words(ran)
    assert suite.run().code == 0


def test_a_key_in_the_environment(suite, monkeypatch):
    """Its value isn't shown."""
    monkeypatch.setenv("ACME_API_KEY", "sk-secret")
    ran = suite.run(PLAN)
    assert ran.code == 0, ran.text
    assert "ok keys: given to Acme (acme-1)" in words(ran)
    assert "sk-secret" not in ran.text


def test_estimates_before_the_first_session(suite, monkeypatch):
    """A wide range that says what it is; after a session it is that of the stored samples, and within."""
    monkeypatch.setenv("ACME_API_KEY", "x")
    ran = suite.run(PLAN)
    low, high = re.search(r"bot +20–40 .*\$([\d.]+)–([\d.]+)", ran.out).groups()
    text = words(ran)
    assert "bot: rough, nothing is stored" in text
    assert "1 to 2 model calls a sample" in text
    assert "No experiment is stored yet: estimates are rough until one was measured." in text
    assert "time: unknown" in text
    done = suite.run()
    assert done.code == 0, done.text
    assert float(low) <= done.json["usage"]["cost_usd"] <= float(high)
    text = words(suite.run(PLAN))
    assert "from 20 samples of experiment" in text
    assert "rough" not in text


def test_what_the_store_lacks(suite, monkeypatch):
    """Nothing stored at all is rough too."""
    monkeypatch.setenv("ACME_API_KEY", "x")
    text = words(suite.run(PLAN, "--promptune-store="))
    assert "Nothing is stored, since --promptune-store is empty: estimates are rough." in text
