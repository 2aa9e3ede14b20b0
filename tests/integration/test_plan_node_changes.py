"""``--promptune-plan``: whether what variants change of nodes would arrive."""

from __future__ import annotations

import pytest

PLAN = ("--promptune-compare", "--promptune-plan")
APP = '''
import pathlib
from types import SimpleNamespace
from typing import Any, TypedDict

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph


class Model(BaseChatModel):
    creativities: int = 0

    @property
    def _llm_type(self):
        return "model"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("yes"))])


class State(TypedDict, total=False):
    q: str
    a: str


llm = Model()


def ask(state):
    """Ask the model."""
    return {"a": llm.invoke(f"Is it really so? {state['q']}").text}


def idle(state):
    return {}


def directly(state):
    client = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=lambda **kwargs: None)))
    client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "Say yes"}])
    return {}


builder = StateGraph(State).add_node(ask).add_node(idle).add_node(directly)
graph = builder.add_edge(START, "ask").add_edge("ask", "idle").add_edge("idle", "directly").compile()
'''
SUITE = """
import pytest
from node_app import graph
from pytest_promptune import Case

@pytest.fixture(scope="session")
def app():
    return graph

@pytest.mark.promptune(app="app", runs=2, retries=0)
@pytest.mark.parametrize("case", [Case(id=f"c{i}", input={"q": f"q{i}"}) for i in range(3)], ids=str)
def test_it(case, sample):
    assert sample.output["a"] == "yes"
"""


@pytest.fixture
def nodes(project, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    project.write(test_bot=SUITE, node_app=APP)
    project.write({"pytest.ini": "[pytest]\npythonpath = .\n"})
    return project


def planned(nodes, text: str) -> tuple[int, str]:
    nodes.write({"prompts/variants/new.toml": text})
    ran = nodes.run(*PLAN)
    return ran.code, " ".join(ran.out.split())


def test_parameters_of_a_node_without_a_model(nodes):
    """A warning that names the nodes that have one; the run makes it an error."""
    code, text = planned(nodes, "[nodes.idle]\nparams = { temperature = 0.0 }\n")
    assert code == 0, text
    assert "warning variant new: node 'idle': its source shows no call of a model" in text
    assert "Nodes that do: ask, directly." in text
    assert "no call of a chat model was seen" in nodes.run("--promptune-compare").text


def test_parameters_of_a_node_that_calls_a_provider_itself(nodes):
    """The boundary is in LangChain's chat models."""
    code, text = planned(nodes, "[nodes.directly]\nparams = { temperature = 0.0 }\n")
    assert code == 0, text
    assert "node 'directly': its source calls the provider itself, past LangChain's chat models" in text


@pytest.mark.parametrize(
    ("name", "hint"), [("temperatur", "temperature"), ("creativity", ""), ("creativities", "")]
)
def test_parameters_that_nobody_knows(nodes, name, hint):
    """Only where a usual one is close; a provider's own pass, and the model's fields."""
    code, text = planned(nodes, f"[nodes.ask]\nparams = {{ {name} = 0.5 }}\n")
    assert code == 0, text
    assert ("is no usual parameter of a chat model" in text) == bool(hint)
    if hint:
        assert f"params.{name} is no usual parameter of a chat model. Did you mean '{hint}'?" in text
    else:
        assert "ok variant new: applies, one change" in text


def test_a_template_that_stored_prompts_refute(nodes):
    """As the run would say it, before the run: the same app sent something else; one that fits is fine."""
    assert nodes.run().code == 0
    wrong = '[nodes.ask]\ntemplate = "Is it ever so? {q}"\nprompt = "Yes or no: {q}"\n'
    code, text = planned(nodes, wrong)
    assert code == 1, text
    assert "failed variant new: node 'ask': the template no longer matches what the app renders" in text
    assert "Is it really so? q" in text
    assert "That is so for 6 of 6 prompts that experiment" in text
    assert "the template no longer matches" in nodes.run("--promptune-compare").text
    right = '[nodes.ask]\ntemplate = "Is it really so? {q}"\nprompt = "Yes or no: {q}"\n'
    code, text = planned(nodes, right)
    assert code == 0, text
    assert "ok variant new: applies, one change" in text


def test_a_prompt_that_was_changed_since(nodes):
    """What was sent says little of an app of today: a warning."""
    assert nodes.run().code == 0
    nodes.write(node_app=APP.replace("really", "truly"))
    changed = '[nodes.ask]\ntemplate = "Is it truly so? {q}"\nprompt = "Yes or no: {q}"\n'
    code, text = planned(nodes, changed)
    assert code == 0, text
    assert "warning variant new: node 'ask': the template no longer matches" in text
    assert "Unless the app's prompt was changed since then, such samples are errors." in text


def test_a_prompt_in_a_file_that_is_no_module(nodes):
    """Whether such a file is as it was isn't known: a warning, too."""
    assert nodes.run().code == 0
    nodes.write({"prompts/ask.txt": "Is it verily so? {q}"})
    changed = '[nodes.ask]\nprompt_from = "prompts/ask.txt"\nprompt = "Yes or no: {q}"\n'
    code, text = planned(nodes, changed)
    assert code == 0, text
    assert "warning variant new: node 'ask': the template no longer matches" in text


def test_samples_of_the_variant_itself(nodes):
    """What a variant sent is no evidence of what the app sends."""
    right = '[nodes.ask]\ntemplate = "Is it really so? {q}"\nprompt = "Yes or no: {q}"\n'
    nodes.write({"prompts/variants/new.toml": right})
    assert nodes.run("--promptune-compare").code == 0
    code, text = planned(nodes, right)
    assert code == 0, text
    assert "ok variant new: applies, one change" in text
