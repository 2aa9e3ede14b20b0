"""Variants of nodes in a whole session: measured at the chat model, or told why not."""

from __future__ import annotations

import pytest

APP = '''
from typing import TypedDict
from langchain_core.messages import AIMessage
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph


class Model(BaseChatModel):
    @property
    def _llm_type(self):
        return "model"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        with open("calls.log", "a") as log:
            log.write("call\\n")
        if kwargs.get("creativity"):
            raise TypeError("create() got an unexpected keyword argument 'creativity'")
        right = "Answer yes or no" in messages[-1].text
        return ChatResult(generations=[ChatGeneration(message=AIMessage("yes" if right else "perhaps"))])


class State(TypedDict, total=False):
    q: str
    a: str


def ask(state):
    """Ask the model."""
    return {"a": Model().invoke(f"Is it so? {state['q']}").text}


def idle(state):
    return {}


def graph():
    builder = StateGraph(State).add_node("ask", ask).add_node("idle", idle)
    return builder.add_edge(START, "ask").add_edge("ask", "idle").compile()
'''

SUITE = """
import pytest
from pytest_promptune import Case
from node_app import graph

@pytest.fixture(scope="session")
def app():
    return graph()

@pytest.mark.promptune(app="app", runs=2, retries=0)
@pytest.mark.parametrize("case", [Case(id=f"c{i}", input={"q": f"q{i}"}) for i in range(8)], ids=str)
def test_it(case, sample):
    assert sample.output["a"] == "yes"
"""

LINE = next(i for i, line in enumerate(APP.splitlines(), 1) if "Is it so?" in line)


@pytest.fixture
def nodes(project):
    project.write(test_bot=SUITE, node_app=APP)
    project.write({"pytest.ini": "[pytest]\npythonpath = .\n"})
    return project


def write(nodes, text: str, name: str = "new") -> None:
    nodes.write({f"prompts/variants/{name}.toml": text})


def test_the_prompt_in_the_source_is_replaced(nodes):
    """No edit of the app: the literal is found, the change measured, shown and told in the report."""
    write(nodes, f'[nodes.ask]\nprompt_from = "node_app.py:{LINE}"\nprompt = "Answer yes or no: {{q}}"\n')
    ran = nodes.run("--promptune-compare", "--promptune-report=r.md")
    assert ran.code == 0, ran.text
    assert ran.row("test_it", "new")["verdict"] == "improved"
    assert ran.metric("test_it")["mean"] == 0
    report = (nodes.path / "r.md").read_text(encoding="utf-8")
    assert "-Is it so? {state['q']}" in report
    assert "+Answer yes or no: {q}" in report
    assert "more than one change" not in ran.out


def test_prompt_and_parameters_are_two_changes(nodes):
    """As in the other ways."""
    write(
        nodes,
        '[nodes.ask]\ntemplate = "Is it so? {q}"\nprompt = "Answer yes or no: {q}"\n'
        "params = { temperature = 0 }\n",
    )
    assert "more than one change" in nodes.run("--promptune-compare").out
    assert nodes.run("--promptune-compare", "-o", "promptune_one_change=true").refused("more than one change")


def test_a_template_that_no_longer_matches(nodes):
    """Each sample of the variant is errored and says so; `current` is measured as always."""
    write(nodes, '[nodes.ask]\ntemplate = "Is that so? {q}"\nprompt = "Answer yes or no: {q}"\n')
    ran = nodes.run("--promptune-compare")
    assert "TemplateMismatch: node 'ask': the template no longer matches" in ran.out
    assert ran.json["experiment"]["errored"] == 16
    assert ran.metric("app::error_rate", "new")["mean"] == 1
    assert ran.metric("app::error_rate")["mean"] == 0


def test_a_node_that_no_case_reaches(nodes):
    """The variant measures what `current` does, and the session says so."""
    nodes.write(
        node_app=APP.replace(
            'add_edge("ask", "idle").compile()',
            'add_conditional_edges("ask", lambda s: "idle" if s["q"] == "never" else END).compile()',
        )
        .replace("import START", "import END, START")
        .replace("return {}", "return {'a': Model().invoke('Is it idle?').text}")
    )
    write(nodes, '[nodes.idle]\ntemplate = "Is it idle?"\nprompt = "Is it really idle?"\n')
    told = [
        text for text in nodes.run("--promptune-compare").json["warnings"] if "changes node 'idle'" in text
    ]
    assert len(told) == 1
    assert "ran in none of its samples" in told[0]
    nodes.write(test_bot=SUITE.replace('f"q{i}"', '"never" if i == 7 else f"q{i}"'))
    assert not any("changes node" in text for text in nodes.run("--promptune-compare").json["warnings"])


def test_the_old_value_of_a_parameter(nodes):
    """As the traces of `current` show it; of one that no trace shows it stays unknown."""
    nodes.write(node_app=APP.replace("    @property", "    temperature: float = 0.7\n\n    @property", 1))
    write(nodes, "[nodes.ask]\nparams = { temperature = 0.2, top_p = 0.5 }\n")
    nodes.run("--promptune-compare", "--promptune-report=r.md")
    report = (nodes.path / "r.md").read_text(encoding="utf-8")
    assert "| Parameter | current | new |\n" in report
    assert "| `ask: temperature` | `0.7` | `0.2` |\n| `ask: top_p` | – | `0.5` |" in report


def test_an_old_value_that_is_secret(nodes):
    """It comes from traces, and goes through the same filter as what the variant has."""
    nodes.write(node_app=APP.replace("    @property", "    model: str = 'acme-777'\n\n    @property", 1))
    nodes.configure("ini", redact=["acme-[0-9]+"])
    write(nodes, "[nodes.ask]\nparams = { model = 'small' }\n")
    ran = nodes.run("--promptune-compare", "--promptune-report=r.md")
    report = (nodes.path / "r.md").read_text(encoding="utf-8")
    assert "| `ask: model` | `'[redacted]'` | `'small'` |" in report
    assert "acme-777" not in report + ran.out + str(ran.json)


def test_a_parameter_that_is_not_supported(nodes):
    """Missing, neither a miss nor a regression."""
    write(nodes, "[nodes.ask]\nparams = { creativity = 1 }\n")
    ran = nodes.run("--promptune-compare")
    assert "ParameterRejected: node 'ask': params.creativity is not supported" in ran.out
    assert ran.json["experiment"]["errored"] == 0
    assert all(row["verdict"] != "regressed" for row in ran.json["comparisons"])


def test_a_node_without_a_model(nodes):
    """It ran, and nothing was asked: the samples are errored, not taken for the variant's."""
    write(nodes, "[nodes.idle]\nparams = { temperature = 0 }\n")
    ran = nodes.run("--promptune-compare")
    assert "node 'idle': the node ran, but no call of a chat model was seen" in ran.out
    assert ran.json["experiment"]["errored"] == 16


SLIPS = {
    "unknown": ("[nodes.aks]\nparams = { temperature = 0 }\n", ["'aks'", "Did you mean 'ask'?"]),
    "placeholders": (
        '[nodes.ask]\ntemplate = "Is it so? {q}"\nprompt = "Say {x}"\n',
        ["nodes.ask", "lacks {q} and uses {x}"],
    ),
    "adjacent": (
        '[nodes.ask]\ntemplate = "Is it {so}{q}"\nprompt = "Say {so} {q}"\n',
        ["{so} and {q} stand side by side"],
    ),
    "place": ('[nodes.ask]\nprompt_from = "node_app.py:1"\nprompt = "x"\n', ["no text at this line"]),
    "file": ('[nodes.ask]\nprompt_from = "gone.py:1"\nprompt = "x"\n', ["gone.py", "can't be read"]),
    "key": ("[nodes.ask]\nparms = {}\n", ["unknown key 'parms'", "Did you mean 'params'?"]),
}


@pytest.mark.parametrize(("text", "words"), SLIPS.values(), ids=SLIPS)
def test_slips_are_told_before_any_call(nodes, text, words):
    """By the session, and by the plan, which runs nothing either."""
    write(nodes, text)
    ran = nodes.run("--promptune-compare")
    shown = " ".join(ran.text.split())
    assert ran.code != 0
    assert [word for word in words if word not in shown] == []
    assert ran.calls == []
    assert "Traceback" not in ran.text
    plan = nodes.run("--promptune-compare", "--promptune-plan")
    assert plan.code == 1
    assert [word for word in words if word not in " ".join(plan.text.split())] == []


def test_the_plan_of_a_sound_variant(nodes):
    """It applies, and is one change; the self-test calls no model of the app."""
    write(nodes, '[nodes.ask]\ntemplate = "Is it so? {q}"\nprompt = "Answer yes or no: {q}"\n')
    ran = nodes.run("--promptune-compare", "--promptune-plan")
    assert ran.code == 0, ran.text
    assert "applies, one change" in ran.out
    assert ran.calls == []
