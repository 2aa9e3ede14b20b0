"""The scan of a graph's source: nodes that call a model are found in all the ways apps are written."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_promptune.core.errors import AppError, SettingsError
from pytest_promptune.inspecting.finding import Inspection, inspect_project, rows
from pytest_promptune.inspecting.project import read_project
from pytest_promptune.langgraph.nodes.sources import Sources

#: What the apps have in common: a state, a model, and how nodes become a graph.
HEAD = """
import asyncio
import functools
from dataclasses import dataclass
from typing import Literal, TypedDict

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import Command, Send
from pydantic import BaseModel


class State(TypedDict):
    q: str
    a: str


llm = ChatOpenAI(model="gpt-4.1-mini", temperature=0.2, max_tokens=99, api_key="unused")


def graph_of(*nodes, **more):
    builder = StateGraph(State, **more)
    for number, node in enumerate(nodes):
        builder.add_node("node" if number == 0 else f"node{number}", node)
        builder.add_edge(START, "node" if number == 0 else f"node{number}")
    return builder.compile()
"""

numbers = itertools.count()


@pytest.fixture
def inspect(tmp_path, monkeypatch) -> Callable[..., Inspection]:
    """Write an app, import it and scan its graph; modules are forgotten afterwards."""
    before = set(sys.modules)

    def run(
        source: str, *, graph: str = "graph", calls: tuple[str, ...] = (), ini: str = "", **others: str
    ) -> Inspection:
        name = f"app_{next(numbers)}"
        for other, text in others.items():
            (tmp_path / f"{other}.py").write_text(text, encoding="utf-8")
        (tmp_path / f"{name}.py").write_text(HEAD + source, encoding="utf-8")
        lines = "".join(f"\n  {call.replace('app:', name + ':')}" for call in calls)
        settings = f"[pytest]\npromptune_llm_calls ={lines}\n{ini}\n"
        (tmp_path / "pytest.ini").write_text(settings, encoding="utf-8")
        return inspect_project(read_project(tmp_path, f"{name}:{graph}"))

    yield run
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def only(found: Inspection) -> dict[str, Any]:
    """The row of the only node that calls a model."""
    (row,) = rows(found)
    return row


def texts(row: dict[str, Any]) -> list[str]:
    return [prompt["text"] for prompt in row["prompt"]]


def test_a_function_of_the_module(inspect):
    """Place, model, provider, parameters, and each text with its own line."""
    row = only(
        inspect(
            '''
SYSTEM = """You are a clerk.
Be brief."""


def node(state):
    return {"a": llm.invoke([SystemMessage(SYSTEM), HumanMessage(f"Question: {state['q']}")]).content}


graph = graph_of(node)
'''
        )
    )
    source = HEAD.count("\n")
    assert row["file"].startswith("app_")
    assert row["line"] == source + 6
    assert (row["model"], row["provider"]) == ("gpt-4.1-mini", "openai")
    assert row["params"] == {"temperature": 0.2, "max_tokens": 99}
    assert [(each["line"] - source, each["text"]) for each in row["prompt"]] == [
        (2, "You are a clerk.\nBe brief."),
        (7, "Question: {state['q']}"),
    ]
    assert (row["node"], row["calls_llm"], row["evidence"]) == ("node", True, "live")


#: Name → source of a node `node` whose only text is "Say hello to them".
STYLES = {
    "closure": """
def make(model):
    text = "Say hello to them"

    async def node(state):
        return {"a": (await model.ainvoke(text)).content}

    return node


node = make(llm)
""",
    "method": """
class Clerk:
    def __init__(self, model):
        self.model = model
        self.text = "Say hello to them"

    def node(self, state):
        return {"a": self.model.invoke(self.text).content}


node = Clerk(llm).node
""",
    "lazy property": """
class Clerk:
    _chain = None

    @property
    def chain(self):
        if self._chain is None:
            self._chain = ChatPromptTemplate.from_template("Say hello to them") | llm
        return self._chain

    def __call__(self, state):
        return {"a": self.chain.invoke(state).content}


node = Clerk()
""",
    "partial": """
def hello(text, model, state):
    return {"a": model.invoke(text).content}


node = functools.partial(hello, "Say hello to them", llm)
""",
    "lambda": 'node = lambda state: {"a": llm.invoke("Say hello to them").content}\n',
    "runnable lambda": """
def hello(state):
    return {"a": llm.invoke("Say hello to them").content}


node = RunnableLambda(hello)
""",
    "chain": """
node = ChatPromptTemplate.from_messages([("system", "Say hello to them")]) | llm | StrOutputParser() | (
    lambda text: {"a": text}
)
""",
    "model made inside": """
def node(state):
    from langchain_openai import ChatOpenAI as Chat

    return {"a": Chat(model="gpt-4.1-mini").invoke("Say hello to them").content}
""",
    "model by name": """
def node(state):
    from langchain.chat_models import init_chat_model

    return {"a": init_chat_model("openai:gpt-4.1-mini").invoke("Say hello to them").content}
""",
    "model of the context's defaults": """
@dataclass
class Settings:
    model: str = "openai/gpt-4.1-mini"
    text: str = "Say hello to them"


def load(name):
    from langchain.chat_models import init_chat_model

    provider, model = name.split("/", maxsplit=1)
    return init_chat_model(model, model_provider=provider)


def node(state, runtime: Runtime[Settings]):
    return {"a": load(runtime.context.model).invoke(runtime.context.text).content}
""",
    "configurable model": """
from langchain.chat_models import init_chat_model

configurable = init_chat_model(configurable_fields=("model", "max_tokens"))


class Settings(BaseModel):
    model: str = "openai:gpt-4.1-mini"

    @classmethod
    def read(cls, config):
        return cls(**{name: value for name, value in config["configurable"].items() if value})


def node(state, config: RunnableConfig):
    settings = Settings.read(config)
    model = configurable.with_retry().with_config({"model": settings.model, "tags": ["x"]})
    return {"a": model.invoke("Say hello to them").content}
""",
    "model when first needed": """
_model = None


def model():
    global _model
    if _model is None:
        _model = ChatOpenAI(model="gpt-4.1-mini")
    return _model


def node(state):
    return {"a": model().invoke("Say hello to them").content}
""",
    "table of models": """
MODELS = {"fast": llm}


def node(state):
    return {"a": MODELS[state["q"]].invoke("Say hello to them").content}
""",
    "helpers": """
def ask(*messages, **settings):
    return call(list(messages), **settings)


def call(messages, model=llm):
    return model.invoke(messages).content


def node(state):
    return {"a": ask(("system", "Say hello to them"), ("user", state["q"]))}
""",
    "messages that are put together": """
def node(state):
    messages = []
    messages.append(SystemMessage("Say hello to them"))
    messages.append(ToolMessage("The tool has failed", tool_call_id="1"))
    return {"a": llm.invoke(messages).content}
""",
    "gathered": """
async def node(state):
    async def one(q):
        return await llm.ainvoke(["Say hello to them", q])

    return {"a": await asyncio.gather(*[one(q) for q in state["q"]])}
""",
    "thread": """
async def node(state):
    return {"a": (await asyncio.to_thread(llm.invoke, "Say hello to them")).content}
""",
    "stream": """
def node(state):
    return {"a": "".join(chunk.content for chunk in llm.stream("Say hello to them"))}
""",
    "command": """
def node(state) -> Command[Literal["__end__"]]:
    if (answer := llm.invoke("Say hello to them")).content:
        return Command(goto=END, update={"a": answer.content})
    return Command(goto=END)
""",
    "retry and fallbacks": """
robust = llm.with_retry().with_fallbacks([ChatOpenAI(model="gpt-4.1", api_key="unused")])


def node(state):
    return {"a": robust.invoke([HumanMessage(content="Say hello to them")]).content}
""",
    "agent made inside": """
def node(state):
    from langchain.agents import create_agent

    agent = create_agent(llm, [], system_prompt="Say hello to them")
    return {"a": agent.invoke({"messages": [("user", state["q"])]})["messages"][-1].content}
""",
    "openai": """
from openai import AsyncOpenAI

client = AsyncOpenAI(api_key="unused")


async def node(state):
    done = await client.chat.completions.create(
        model="gpt-4.1-mini", messages=[{"role": "system", "content": "Say hello to them"}]
    )
    return {"a": done.choices[0].message.content}
""",
    "anthropic": """
import anthropic


def node(state):
    client = anthropic.Anthropic(api_key="unused")
    done = client.messages.create(
        model="gpt-4.1-mini", max_tokens=9, system="Say hello to them", messages=state["q"]
    )
    return {"a": done.content[0].text}
""",
    "constant by config": """
def node(state, config: RunnableConfig):
    model = config["configurable"].get("llm") or llm
    return {"a": model.invoke("Say hello to them").content}
""",
}


@pytest.mark.parametrize("style", STYLES)
def test_styles(inspect, style):
    """However a node is written, it is found with its model and its text."""
    row = only(inspect(STYLES[style] + "\n\ngraph = graph_of(node)\n"))
    assert row["node"] == "node"
    assert row["model"] == "gpt-4.1-mini"
    assert texts(row) == ["Say hello to them"]
    assert row["prompt"][0]["line"] > HEAD.count("\n")


@pytest.mark.parametrize(
    ("source", "provider"),
    [
        (
            'def node(state, config):\n    return {"a": config["configurable"]["llm"].invoke(state["q"])}\n',
            None,
        ),
        (
            "def node(state, runtime: Runtime[Settings]):\n"
            '    return {"a": runtime.context.chat.invoke("Hi")}\n',
            "openai",
        ),
        ('def node(state, *, chat: ChatOpenAI = None):\n    return {"a": chat.invoke("Hi")}\n', "openai"),
    ],
)
def test_models_from_outside(inspect, source, provider):
    """A model that only comes with the run is known by the name of its key, or by its annotation."""
    settings = "@dataclass\nclass Settings:\n    chat: ChatOpenAI | None = None\n\n\n"
    row = only(inspect(f"{settings}{source}\n\ngraph = graph_of(node)\n"))
    assert (row["model"], row["provider"], row["params"]) == (None, provider, {})


def test_nodes_that_call_no_model(inspect):
    """Objects with an ``invoke`` of their own, tokens that are counted, texts that are logged: none of it."""
    found = inspect(
        """
import logging

logger = logging.getLogger("app")


class Search:
    def __init__(self, model):
        self.model = model

    def invoke(self, q):
        return [q]


search = Search(llm)


def node(state):
    logger.info("The model was called for %s", state["q"])
    return {"a": search.invoke(state["q"])}


def counted(state):
    return {"a": llm.get_num_tokens(state["q"])}


def sent(state):
    return {"a": twilio.messages.create(body="The model says hello")}


def fitted(state):
    model = joblib.load("weights")
    return {"a": model.transform(state["q"]) + model.predict(state["q"])}


def named(state):
    return {"a": f"{llm.model_name} will answer you soon"}


graph = graph_of(node, counted, sent, named, fitted)
"""
    )
    assert rows(found) == []
    assert found.status == 1
    assert found.looked_at == ("node", "node1", "node2", "node3", "node4")


def test_helpers_in_other_modules(inspect):
    """A text stands where it is written, not where it is used."""
    row = only(
        inspect(
            """
import other_prompts
from other_calls import ask


def node(state):
    return {"a": ask(other_prompts.HELLO, state["q"])}


graph = graph_of(node)
""",
            other_prompts='"""Prompts."""\n\nHELLO = "Say hello to them"\n',
            other_calls=(
                "from langchain_core.messages import SystemMessage\n"
                "from langchain_openai import ChatOpenAI\n\n\n"
                "def ask(system, q):\n    model = ChatOpenAI(model='gpt-4.1', temperature=0)\n"
                "    return model.invoke([SystemMessage(content=system), q]).content\n"
            ),
        )
    )
    assert row["prompt"] == [{"file": "other_prompts.py", "line": 3, "text": "Say hello to them"}]
    assert (row["model"], row["params"]) == ("gpt-4.1", {"temperature": 0})


def test_prompt_files(inspect, tmp_path):
    """A template that is fetched by its name is the prompt, with its file."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "hello.j2").write_text("Say hello to {{ name }}", encoding="utf-8")
    row = only(
        inspect(
            """
from pathlib import Path

import jinja2

env = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / "prompts"))


def node(state):
    return {"a": llm.invoke(env.get_template("hello.j2").render(name=state["q"])).content}


graph = graph_of(node)
"""
        )
    )
    assert row["prompt"] == [{"file": "prompts/hello.j2", "line": 1, "text": "Say hello to {{ name }}"}]


LOADERS = {
    "folder": "jinja2.FileSystemLoader(HERE)",
    "choice": "jinja2.ChoiceLoader([jinja2.DictLoader({}), jinja2.FileSystemLoader(HERE)])",
    "prefix": "jinja2.PrefixLoader({'bye': jinja2.FileSystemLoader(HERE / 'bye')})",
    "table": "jinja2.DictLoader({'bye/ask.j2': 'Say the real thing to {{ name }}'})",
}


@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)
def test_a_template_is_that_of_its_loader(inspect, tmp_path, loader):
    """Not one of the same name elsewhere, of a variant or in the documentation."""
    texts_of = {
        "src/app/templates/bye": "Say the real thing to {{ name }}",
        "bye": "Say what the docs say",
        "prompts/variants/short/bye": "Say what a variant says",
    }
    for folder, text in texts_of.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "ask.j2").write_text(text, encoding="utf-8")
    row = only(
        inspect(
            f"""
from pathlib import Path

import jinja2

HERE = Path(__file__).parent / "src/app/templates"
env = jinja2.Environment(loader={loader})


def node(state):
    return {{"a": llm.invoke(env.get_template("bye/ask.j2").render(name=state["q"])).content}}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Say the real thing to {{ name }}"]
    assert row["prompt"][0]["file"].startswith("app_" if "DictLoader({'" in loader else "src/app/templates")


def test_loaders_of_the_app_are_not_run(inspect):
    """Their code is the app's, also where one of Jinja2's asks them; nothing is known then."""
    found = inspect(
        """
import jinja2


class Loader(jinja2.DictLoader):
    def get_source(self, environment, template):
        raise SystemExit("code of the app was run")


env = jinja2.Environment(loader=jinja2.ChoiceLoader([Loader({"ask.j2": "Say hello to them"})]))


def node(state):
    return {"a": llm.invoke(env.get_template("ask.j2").render(name=state["q"])).content}


graph = graph_of(node)
"""
    )
    assert texts(only(found)) == []


def test_what_variants_say_is_not_what_the_app_says(inspect, tmp_path):
    """Their folder is the one of the ini file; a file that is named by a string is the app's."""
    for folder, text in (("tuned/short", "Of a variant."), ("src/app/texts", "Say hello.")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "ask.md").write_text(text, encoding="utf-8")
    found = inspect(
        """
from pathlib import Path

TEXT = (Path(__file__).parent / "src/app/texts" / "ask.md").read_text()


def node(state):
    return {"a": llm.invoke([SystemMessage(read("ask.md")), HumanMessage(state["q"])]).content}


graph = graph_of(node)
""",
        ini="promptune_variants = tuned",
    )
    assert texts(only(found)) == ["Say hello."]


def test_parameters_tools_and_schemas(inspect):
    """Parameters that are bound or passed count; what is known at run time only is null."""
    found = inspect(
        """
class Grade(BaseModel):
    is_relevant: bool


@tool
def look_up(q: str) -> str:
    "Look it up."
    return q


def node(state):
    return {"a": llm.bind(temperature=0.9, stop=["x"]).invoke("Say hello to them", seed=state["q"])}


def agent(state):
    return {"a": llm.bind_tools([look_up]).invoke("Say hello to them")}


def grade(state):
    return {"a": llm.with_structured_output(Grade).invoke("Say hello to them")}


graph = graph_of(node, agent, grade)
"""
    )
    set_here, agent, grade = [node.models[0] for node in found.nodes]
    assert set_here.params == {"temperature": 0.9, "max_tokens": 99, "stop": ["x"], "seed": None}
    assert agent.tools == ("look_up",)
    assert (grade.schema, grade.decides) == ("Grade", True)


def test_subgraphs(inspect):
    """Nodes of subgraphs have paths, added as a node or invoked by hand; a loop of graphs ends."""
    found = inspect(
        """
def inner(state):
    return {"a": llm.invoke("Say hello to them").content}


below = graph_of(inner)


def by_hand(state):
    return below.invoke(state)


def itself(state):
    return graph.invoke(state)


graph = graph_of(below, by_hand, itself)
"""
    )
    assert [row["node"] for row in rows(found)][:2] == ["node/node", "node1/node"]
    assert all(row["node"].count("/") < 8 for row in rows(found))


def test_nodes_of_one_name(inspect):
    """Two graphs that a node invokes by hand: their nodes of one name are one row, with the texts of both."""
    row = only(
        inspect(
            """
def first(state):
    return {"a": llm.invoke("Say hello to them").content}


def second(state):
    return {"a": llm.invoke("Say goodbye to them").content}


one, two = graph_of(first), graph_of(second)


def by_hand(state):
    return two.invoke(one.invoke(state))


graph = graph_of(by_hand)
"""
        )
    )
    assert row["node"] == "node/node"
    assert texts(row) == ["Say hello to them", "Say goodbye to them"]


def test_prompts_that_are_filled(inspect):
    """Formats of dates and other arguments of small methods are no texts of the prompt."""
    row = only(
        inspect(
            """
from datetime import date


def today():
    return date.today().strftime("%a %b %d")


def node(state):
    return {"a": llm.invoke("Say hello to them on {day}".format(day=today()))}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Say hello to them on {day}"]


def test_tools_that_are_run_by_hand(inspect):
    """Tools that are put into a list, then into a table, and run from there."""
    row = only(
        inspect(
            """
@tool
def look_up(q: str) -> str:
    "Look it up."
    return llm.invoke("Search for this thing").content


def tools_of(state):
    tools = []
    tools.extend([look_up])
    return tools


def node(state):
    tools = {tool.name: tool for tool in tools_of(state)}
    return {"a": tools[state["q"]].invoke({"q": "x"})}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Search for this thing"]


def test_objects_of_one_class(inspect):
    """A method that calls the same method of another object is followed into that one."""
    row = only(
        inspect(
            """
class Step:
    def __init__(self, text, after=None):
        self.text = text
        self.after = after

    def run(self, state):
        if self.after is not None:
            return self.after.run(state)
        return llm.invoke(self.text)


steps = Step("Say nothing at all", Step("Say hello to them"))


def node(state):
    return {"a": steps.run(state)}


graph = graph_of(node)
"""
        )
    )
    assert "Say hello to them" in texts(row)


def test_tables_that_hold_models(inspect):
    """Looking something up beside a model calls none."""
    found = inspect(
        """
def node(state):
    settings = {"model": llm, "tools": [], "retries": state["q"]}
    return {"a": settings.get("retries"), **helper(settings)}


def helper(settings):
    return {"q": list(settings.get("tools", []))}


graph = graph_of(node)
"""
    )
    assert rows(found) == []


def test_texts_that_are_put_together_with_plus(inspect):
    """What isn't known stands in the text as in an f-string; a label alone is no text that would be found."""
    found = inspect(
        """
RULES = "Keep the rules in mind."


def node(state):
    parts = ["You are a helpful agent."]
    parts.append("Question: " + state["q"])
    parts.append("Answer " + state["q"].upper() + " in one line. " + RULES)
    return {"a": llm.invoke("".join(parts)).content}


graph = graph_of(node)
"""
    )
    assert [texts(row) for row in rows(found)] == [
        [
            "You are a helpful agent.",
            "Question: {state['q']}",
            "Answer {state['q'].upper()} in one line. {RULES}",
            "Keep the rules in mind.",
        ]
    ]


def test_what_follows_a_node(inspect):
    """Routes, a declared or returned ``Command``, an edge to the end of the graph, not of a subgraph."""
    found = inspect(
        """
def ask(state):
    return {"a": llm.invoke("Say something kind.").content}


def commands(state):
    llm.invoke("Say something kind.")
    return Command(goto="last")


inner = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END).compile()
builder = StateGraph(State).add_node("first", ask).add_node("second", ask).add_node("last", ask)
builder.add_node("commands", commands).add_node("declared", ask, destinations=("last",))
builder.add_node("inner", inner)
builder.add_edge(START, "first").add_conditional_edges("first", lambda state: "second", ["second", "inner"])
builder.add_edge("second", "last").add_edge(["last", "second"], END)
graph = builder.compile()
"""
    )
    assert {node.node: (node.is_routing, node.is_last) for node in found.nodes} == {
        "first": (True, False),
        "second": (False, True),
        "last": (False, True),
        "commands": (True, False),
        "declared": (True, False),
        "inner/ask": (False, False),
    }


def test_methods_with_a_cache(inspect):
    """They are read as others: as nodes, called by nodes, and of objects that are called."""
    found = inspect(
        """
class Bot:
    def __init__(self):
        self.prompt = "You are held by the bot."
        self.llm = llm

    @functools.cache
    def model(self, name="x"):
        return ChatOpenAI(model="gpt-4o", api_key="unused")

    @functools.lru_cache(maxsize=8)
    def as_node(self, state):
        return {"a": self.llm.invoke(self.prompt).content}

    @functools.lru_cache
    def __call__(self, state):
        return {"a": self.llm.invoke("Answer when called.").content}

    def calls_one(self, state):
        return {"a": self.model("y").invoke("Answer with a cached model.").content}


def makes_one(state):
    return {"a": Bot().model().invoke("Answer with a model of a new bot.").content}


bot = Bot()
graph = graph_of(bot.as_node, bot.calls_one, bot, makes_one)
"""
    )
    assert [(row["model"], texts(row)) for row in rows(found)] == [
        ("gpt-4.1-mini", ["You are held by the bot."]),
        ("gpt-4o", ["Answer with a cached model."]),
        ("gpt-4.1-mini", ["Answer when called."]),
        ("gpt-4o", ["Answer with a model of a new bot."]),
    ]


def test_routes_and_tools(inspect):
    """A model that a route or a tool calls belongs to the node that runs them."""
    found = inspect(
        """
@tool
def look_up(q: str) -> str:
    "Look it up."
    return llm.invoke("Search for this: " + q).content


def plain(state):
    return {"a": "no model here"}


def route(state):
    return END if llm.invoke("Is it done? yes or no").content == "yes" else "tools"


builder = StateGraph(State)
builder.add_node("plain", plain)
builder.add_node("tools", ToolNode([look_up]))
builder.add_edge(START, "plain")
builder.add_conditional_edges("plain", route, ["tools", END])
graph = builder.compile()
"""
    )
    assert {row["node"]: texts(row) for row in rows(found)} == {
        "plain": ["Is it done? yes or no"],
        "tools": ["Search for this: {q}"],
    }


@pytest.mark.parametrize(
    ("maker", "node"),
    [("langchain.agents.create_agent", "model"), ("langgraph.prebuilt.create_react_agent", "agent")],
)
def test_prebuilt_agents(inspect, maker, node):
    """The nodes of prebuilt agents stand where their prompt is; their tools are known."""
    module, _, name = maker.rpartition(".")
    prompt = "system_prompt" if name == "create_agent" else "prompt"
    found = inspect(
        f"""
import warnings

from {module} import {name}


@tool
def look_up(q: str) -> str:
    "Look it up."
    return q


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    graph = {name}(
        llm,
        [look_up],
        {prompt}="You look things up for others.",
    )
"""
    )
    row = only(found)
    assert row["node"] == node
    assert texts(row) == ["You look things up for others."]
    assert row["line"] == row["prompt"][0]["line"] > HEAD.count("\n")
    assert (row["model"], row["params"]["temperature"]) == ("gpt-4.1-mini", 0.2)


def test_declared_calls(inspect):
    """A function of the app's own that calls a model somehow is declared in the ini file."""
    source = """
def post(prompt):
    return prompt


def node(state):
    return {"a": post("Say hello to them")}


graph = graph_of(node)
"""
    assert rows(inspect(source)) == []
    assert texts(only(inspect(source, calls=("app:post",)))) == ["Say hello to them"]


def test_nothing_runs(inspect):
    """Neither nodes, nor helpers, nor properties of the app are called."""
    row = only(
        inspect(
            """
class Clerk:
    @property
    def model(self):
        raise SystemExit("called")
        return llm

    def node(self, state):
        raise SystemExit("called")
        return {"a": self.model.invoke("Say hello to them")}


graph = graph_of(Clerk().node)
"""
        )
    )
    assert texts(row) == ["Say hello to them"]


def test_odd_objects(inspect):
    """Objects that can't be compared, tables that do something when they are asked: they are left alone."""
    row = only(
        inspect(
            """
from collections import UserDict, defaultdict

import numpy as np

numbers = np.arange(3)
counts = defaultdict(list)


class Loud(UserDict):
    def __getitem__(self, key):
        raise SystemExit("asked")

    def values(self):
        raise SystemExit("asked")


class Unequal:
    def __eq__(self, other):
        raise SystemExit("compared")


loud, unequal = Loud(), Unequal()


def helper(numbers, unequal, table=loud):
    return llm.invoke("Say hello to them", stop=numbers, seed=unequal, temperature=table["x"])


def node(state):
    for one in loud:
        one["y"].go(loud["x"], counts["new"], **loud)
    return {"a": helper(numbers, unequal).content}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Say hello to them"]
    assert row["params"]["temperature"] is None
    assert sys.modules[row["file"].removesuffix(".py")].counts == {}


def test_recursion_ends(inspect):
    """Functions that call each other are followed once."""
    row = only(
        inspect(
            """
def ask(q, depth):
    llm.invoke("Say hello to them")
    return again(q, depth - 1)


def again(q, depth):
    return ask(q, depth) if depth else q


def node(state):
    return {"a": again(state["q"], 3)}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Say hello to them"]


# -- where the graph is ----------------------------------------------------------------------------------


def test_factories(inspect):
    """A function without arguments gives the graph, sync or async, compiled or not, of a config or not."""
    source = 'def node(state):\n    return {"a": llm.invoke("Say hello to them")}\n\n\n'
    for factory in (
        "def make():\n    return graph_of(node)\n",
        "async def make():\n    return graph_of(node)\n",
        "def make(config):\n    return graph_of(node)\n",
        "def make(size=3):\n    return graph_of(node).builder\n",
    ):
        assert texts(only(inspect(source + factory, graph="make"))) == ["Say hello to them"]


@pytest.mark.parametrize(
    ("source", "graph", "expected"),
    [
        (
            "graph = graph_of(lambda state: state)\n",
            "grahp",
            ["has no 'grahp'", "It has these graphs: graph"],
        ),
        ("", "nothing", ["has no 'nothing'", "no compiled graph at its top"]),
        ("def make(model, tools):\n    return 1\n", "make", ["needs model, tools", "without arguments"]),
        ("def make():\n    return 1\n", "make", ["is a int, and no graph"]),
        (
            "def make():\n    raise ValueError('no luck')\n",
            "make",
            ["calling it fails", "ValueError: no luck"],
        ),
        ("import a_missing_package\n", "graph", ["imports 'a_missing_package'", "Install"]),
        ("raise RuntimeError('no')\n", "graph", ["importing it fails at app_", "RuntimeError: no"]),
        ("raise ValueError('set OPENAI_API_KEY: api_key missing')\n", "graph", ["any value will do"]),
        ("raise SystemExit(3)\n", "graph", ["importing it fails", "SystemExit: 3"]),
        ("graph = StateGraph(State)\n", "graph", ["doesn't compile"]),
    ],
)
def test_graphs_that_cannot_be_had(inspect, source, graph, expected):
    """What is wrong, where, and what to do."""
    with pytest.raises(AppError) as error:
        inspect(source, graph=graph)
    for words in expected:
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("no_such_module_here:graph", "there is no module 'no_such_module_here'"),
        ("no/such/file.py:graph", "there is no file"),
        ("just_a_word", "doesn't say which graph"),
        (":graph", "doesn't say which graph"),
    ],
)
def test_specs_that_lead_nowhere(tmp_path, spec, expected):
    """A spec without a module, or of one that isn't there."""
    with pytest.raises(AppError, match=expected):
        inspect_project(read_project(tmp_path, spec))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\npromptune_graph = app.g:graph\npythonpath = lib more\n"),
        (
            "pyproject.toml",
            '[tool.pytest.ini_options]\npromptune_graph = "app.g:graph"\npythonpath = ["lib", "more"]\n',
        ),
        ("pyproject.toml", '[tool.pytest]\npromptune_graph = "app.g:graph"\npythonpath = ["lib", "more"]\n'),
        ("tox.ini", "[pytest]\npromptune_graph = app.g:graph\npythonpath = lib more\n"),
        ("setup.cfg", "[tool:pytest]\npromptune_graph = app.g:graph\npythonpath = lib more\n"),
    ],
)
def test_ini_files(tmp_path, name, text):
    """The graph and the places to import from stand where pytest's other settings are; --graph wins."""
    (tmp_path / "lib").mkdir()
    (tmp_path / name).write_text(text, encoding="utf-8")
    project = read_project(tmp_path, None)
    assert project.graphs == {"": "app.g:graph"}
    assert project.paths == (tmp_path, tmp_path / "lib")
    assert read_project(tmp_path, "other:graph").graphs == {"": "other:graph"}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("langgraph.json", "{", "can't be read"),
        ("langgraph.json", "{}", 'has no "graphs"'),
        ("langgraph.json", '{"graphs": {"a": 3}}', "graph 'a' has no path"),
        ("pyproject.toml", "[tool", "can't be read"),
        ("pytest.ini", "pytest", "can't be read"),
        ("pytest.ini", "[pytest]\npromptune_llm_calls = ask\n", "'ask' is not valid"),
        ("readme.txt", "", "nobody says where the graph is"),
    ],
)
def test_files_that_say_nothing(tmp_path, name, text, expected):
    """Where no graph is named, or a file is damaged, that is said with what to do."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=expected):
        read_project(tmp_path, None)


def test_nothing_is_sent_to_langsmith(inspect, monkeypatch):
    """While the app is imported tracing is off, and afterwards as it was."""
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.delenv("LANGCHAIN_TRACING_V2", raising=False)
    with pytest.raises(AppError, match="tracing: false false"):
        inspect(
            "import os\n"
            "names = ['LANGSMITH_TRACING', 'LANGCHAIN_TRACING_V2']\n"
            "raise ValueError('tracing: ' + ' '.join(os.environ[name] for name in names))"
        )
    assert os.environ["LANGSMITH_TRACING"] == "true"
    assert "LANGCHAIN_TRACING_V2" not in os.environ


def test_the_import_path_is_left_as_it_was(inspect, tmp_path):
    """What was put in front of Python's import path goes again."""
    before = list(sys.path)
    inspect('graph = graph_of(lambda state: {"a": llm.invoke("Say hello")})\n')
    assert sys.path == before
    assert str(tmp_path) not in map(str, map(Path, sys.path))


def test_an_entry_of_a_table_that_is_looked_up(inspect):
    """``get`` of a real dict gives the entry and its default, not the whole table."""
    found = inspect(
        """
MODELS = {"fast": llm}
DEFAULTS = {"model": "fast"}
SETTINGS = {"temperature": 0.2, "api_key": "sk-0123456789abcdef0123"}


def by_default(state):
    return {"a": MODELS[DEFAULTS.get("model")].invoke("Say one").content}


def or_else(state):
    return {"a": {}.get(state["q"], llm).invoke("Say two").content}


def or_else_of_a_table(state):
    return {"a": SETTINGS.get(state["q"], llm).invoke("Say three").content}


def set_by_it(state):
    model = ChatOpenAI(
        model=DEFAULTS.get("model", "slow"),
        temperature=SETTINGS.get("temperature"),
        top_p=SETTINGS.get("top_p", 0.5),
        api_key=SETTINGS.get("api_key"),
    )
    return {"a": model.invoke("Say four").content}


graph = graph_of(by_default, or_else, or_else_of_a_table, set_by_it)
"""
    )
    one, two, three, four = rows(found)
    assert [texts(row) for row in (one, two, three, four)] == [
        ["Say one"],
        ["Say two"],
        ["Say three"],
        ["Say four"],
    ]
    assert {row["model"] for row in (one, two, three)} == {"gpt-4.1-mini"}
    assert (four["model"], four["params"]) == ("fast", {"temperature": 0.2, "top_p": 0.5})


def test_a_table_in_place_of_a_key(inspect):
    """A dict can't be a key; which entry is meant stays open."""
    row = only(
        inspect(
            """
MODELS = {"fast": llm}
KINDS = {"kind": "fast"}


def node(state):
    return {"a": MODELS[KINDS].invoke("Say hello").content}


graph = graph_of(node)
"""
        )
    )
    assert row["model"] == "gpt-4.1-mini"


def test_a_table_with_a_lookup_of_its_own(inspect):
    """The app's ``get`` is followed as any function of it."""
    row = only(
        inspect(
            """
class Models(dict):
    def get(self, name, default=None):
        return llm


MODELS = Models()


def node(state):
    return {"a": MODELS.get("fast").invoke("Say hello").content}


graph = graph_of(node)
"""
        )
    )
    assert (row["model"], texts(row)) == ("gpt-4.1-mini", ["Say hello"])


def test_a_project_with_thousands_of_other_files(tmp_path):
    """Images don't count among the files that are looked through."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(2001):
        (images / f"{number}.png").touch()
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/reply.j2").write_text("Answer.", encoding="utf-8")
    found = Sources(tmp_path).text_file("reply.j2")
    assert found is not None
    assert found.text == "Answer."


def test_a_module_that_ends_the_program(inspect):
    """What a function imports is imported; a script that calls sys.exit then ends nothing of ours."""
    row = only(
        inspect(
            """
def node(state):
    from ending_script import unknown
    return {"a": llm.invoke(f"Say {unknown}.").content}


graph = graph_of(node)
""",
            ending_script="import sys\n\nsys.exit(7)\n",
        )
    )
    assert texts(row) == ["Say {unknown}."]


def test_a_function_that_is_handed_to_a_pool(inspect):
    """A method of somebody else's object calls the functions it is given."""
    row = only(
        inspect(
            """
from concurrent.futures import ThreadPoolExecutor


def ask(question, instruction):
    return llm.invoke([SystemMessage(instruction), HumanMessage(question)]).content


def node(state):
    with ThreadPoolExecutor(max_workers=2) as pool:
        waiting = [pool.submit(ask, part, "Answer in one word") for part in state["q"].split()]
    return {"a": " ".join(each.result() for each in waiting)}


graph = graph_of(node)
"""
        )
    )
    assert (row["model"], texts(row)) == ("gpt-4.1-mini", ["Answer in one word"])


def test_a_model_of_a_class_that_is_chosen_at_run_time(inspect):
    """What is told its schema or tools is a model, whatever its class."""
    schemas, tools = rows(
        inspect(
            """
import os


class Verdict(BaseModel):
    good: bool


def made(temperature):
    module = __import__(os.environ["PACKAGE"], fromlist=["x"])
    return getattr(module, os.environ["CLASS"])(model=os.environ["MODEL"], temperature=temperature)


@tool
def look(query: str) -> str:
    "Look it up."
    return query


def judge(state):
    return {"a": made(0).with_structured_output(Verdict).invoke("Judge the text").good}


def search(state):
    return {"a": made(1).bind_tools([look]).invoke("Search the text").content}


graph = graph_of(judge, search)
"""
        )
    )
    assert [texts(row) for row in (schemas, tools)] == [["Judge the text"], ["Search the text"]]
    assert (schemas["model"], tools["model"]) == (None, None)


def test_a_call_in_the_key_of_a_comprehension(inspect):
    """Keys are evaluated like values."""
    row = only(
        inspect(
            """
def ask(question):
    return llm.invoke([SystemMessage("Answer in one word"), HumanMessage(question)]).content


def node(state):
    return {"a": str({ask(part): part for part in state["q"].split()})}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Answer in one word"]


@pytest.mark.parametrize("given", ["model=state['model']", "**state['options']"])
def test_a_model_that_is_named_at_run_time(inspect, given):
    """It is unknown, and not what its class takes where nobody names one."""
    row = only(
        inspect(
            f"""
from langchain_openai import ChatOpenAI


def node(state):
    return {{"a": ChatOpenAI({given}, api_key="unused").invoke("Say hello.").content}}


graph = graph_of(node)
"""
        )
    )
    assert (row["model"], row["provider"]) == (None, "openai")


LOADERS = {
    "yaml": (
        "yaml.safe_load(file)",
        "other: Say nothing to anybody\nhello:\n  # how\n  text: |\n    Say hello\n    to them\n",
    ),
    "json": (
        "json.load(file)",
        '{"other": "Say nothing to anybody",\n "hello": {"text":\n"Say hello\\nto them\\n"}}',
    ),
    "toml": (
        "tomllib.loads(file.read())",
        'other = "Say nothing to anybody"\n[hello]\ntext = """Say hello\nto them\n"""\n',
    ),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_entries_of_prompt_files(inspect, tmp_path, kind):
    """A text that is loaded while the node runs and picked by its keys: it alone, with its line."""
    call, content = LOADERS[kind]
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / f"all.{kind}").write_text(content, encoding="utf-8")
    source = f"""
import json
import tomllib
from pathlib import Path

import yaml

HERE = Path(__file__).parent


def load(name):
    with open(HERE / "prompts" / "all.{kind}") as file:
        return {call}[name]


def node(state):
    prompt = load("hello")["text"].format(q=state["q"])
    return {{"a": llm.invoke(prompt).content}}


graph = graph_of(node)
"""
    row = only(inspect(source))
    (prompt,) = row["prompt"]
    line = 1 + content[: content.index("Say hello")].count("\n") - (kind == "yaml")
    assert (prompt["text"], prompt["file"]) == ("Say hello\nto them\n", f"prompts/all.{kind}")
    assert prompt["line"] == line


@pytest.mark.parametrize(
    "made",
    ['ChatOpenAI(model="gpt-4.1-mini", **load())', 'init_chat_model("gpt-4.1-mini", **load())'],
    ids=["class", "factory"],
)
def test_unknown_parameters(inspect, made):
    """Where keyword arguments come from somewhere, the temperature may be among them: no finding."""
    source = f"""
from langchain.chat_models import init_chat_model


def load():
    return unknown["parameters"]


def node(state):
    return {{"a": {made}.invoke("Decide: yes or no. Answer with one word.").content}}


graph = graph_of(node)
"""
    rules = {finding["rule"] for finding in only(inspect(source))["findings"]}
    assert not {"P201", "P202"} & rules
    known = only(inspect(source.replace(", **load()", "")))
    assert "P201" in {finding["rule"] for finding in known["findings"]}


def test_python_path_of_an_ini_file_above(tmp_path):
    """`pythonpath` is relative to the file that says it, as pytest has it."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = lib\n", encoding="utf-8")
    assert tmp_path / "lib" in read_project(tmp_path / "app", "m:graph").paths


def test_a_key_that_is_put_together(inspect):
    """An f-string of names that are known is a key itself: the entry it picks is the prompt, no other."""
    found = inspect(
        """
PROMPTS = {"check_name": "Say whether this is a name", "check_title": "Say whether this is a job"}


def check(stage, text):
    return {"a": llm.invoke([("system", PROMPTS[f"check_{stage}"]), ("human", text)]).content}


def node(state):
    return check("name", state["q"])


def node1(state):
    return check(stage="title", text=state["q"])


graph = graph_of(node, node1)
"""
    )
    texts = [[prompt["text"] for prompt in row["prompt"]] for row in rows(found)]
    assert texts == [["Say whether this is a name"], ["Say whether this is a job"]]


@pytest.mark.parametrize("folder", ["prompts", "templates", "notes"])
def test_prompt_files_named_by_their_stem(inspect, tmp_path, folder):
    """A loader that adds the ending itself; only a file in a folder of prompts is taken for one."""
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "hello.jinja").write_text("Say hello to {{ name }}", encoding="utf-8")
    row = only(
        inspect(
            f"""
from pathlib import Path

import loaders

FOLDER = str(Path(__file__).parent / "{folder}")


def node(state):
    text = loaders.Prompter(template="hello", folder=FOLDER).render(name=state["q"])
    return {{"a": llm.invoke(text).content}}


graph = graph_of(node)
""",
            loaders="import collections\n\nPrompter = collections.namedtuple('P', 'template folder')\n",
        )
    )
    expected = [{"file": f"{folder}/hello.jinja", "line": 1, "text": "Say hello to {{ name }}"}]
    assert row["prompt"] == ([] if folder == "notes" else expected)


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ('f"{BASE}/v1/chat/completions"', None),
        ('"https://api.openai.com/v1/responses"', "openai"),
        ('"https://api.anthropic.com/v1/messages"', "anthropic"),
        ('"http://localhost:11434/api/chat"', "ollama"),
    ],
)
def test_calls_through_http(inspect, url, provider):
    """A body that is posted to a well-known endpoint of models says model, prompt and parameters."""
    row = only(
        inspect(
            f"""
import os

import httpx

BASE = os.environ.get("BASE", "http://localhost")
client = httpx.Client()


def ask(prompt):
    body = {{
        "model": "qwen-max",
        "messages": [
            {{"role": "system", "content": "Answer in one word"}},
            {{"role": "user", "content": prompt}},
        ],
        "temperature": 0.3,
    }}
    return client.post({url}, json=body).json()


def node(state):
    return {{"a": ask(state["q"])}}


graph = graph_of(node)
"""
        )
    )
    assert (row["model"], row["provider"], row["params"]) == ("qwen-max", provider, {"temperature": 0.3})
    assert [prompt["text"] for prompt in row["prompt"]] == ["Answer in one word"]


def test_a_posted_body_that_is_not_known(inspect):
    """It calls a model all the same, and nothing is said about a limit that isn't seen."""
    row = only(
        inspect(
            """
import httpx


def node(state):
    return {"a": httpx.post("http://localhost/v1/chat/completions", data=state["q"]).text}


graph = graph_of(node)
"""
        )
    )
    assert (row["model"], row["params"]) == (None, {})
    assert [finding["rule"] for finding in row["findings"]] == []


def test_other_requests_are_no_calls_of_a_model(inspect):
    """A post to anywhere else, and a URL that only begins like an endpoint."""
    found = inspect(
        """
import httpx


def node(state):
    httpx.post("https://example.com/v1/chat/completions-log", json={"model": "x"})
    httpx.post("https://example.com/messages", json={"text": state["q"]})
    return {"a": "b"}


graph = graph_of(node)
"""
    )
    assert rows(found) == []


def test_a_prompt_file_whose_name_is_put_together(inspect, tmp_path):
    """A file below a constant folder, named by an argument and an ending, and read by its path."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "hello.md").write_text("Say hello to them", encoding="utf-8")
    row = only(
        inspect(
            """
from pathlib import Path

FOLDER = Path(__file__).parent / "texts"


def load(name):
    path = FOLDER / f"{name}.md"
    return path.read_text(encoding="utf-8")


def node(state):
    return {"a": llm.invoke([("system", load("hello")), ("human", state["q"])]).content}


graph = graph_of(node)
"""
        )
    )
    assert row["prompt"] == [{"file": "texts/hello.md", "line": 1, "text": "Say hello to them"}]


def test_what_a_method_of_a_made_object_gives(inspect):
    """Its result counts, and not what its object and its arguments hold."""
    row = only(
        inspect(
            """
class Clerk:
    def __init__(self):
        self.greeting = "Never shown to anybody"
        self.prompts = self.build()

    def build(self):
        return {"long": "Say hello at length", "short": "Say hello to them"}

    def pick(self, kind):
        return self.prompts[kind]


def node(state):
    clerk = Clerk()
    return {"a": llm.invoke(clerk.pick("short")).content}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Say hello to them"]


def test_a_state_that_an_entry_is_put_into(inspect):
    """The other entries stay as unknown as they were: a model that is in the state is called."""
    row = only(
        inspect(
            """
from langchain_core.language_models import BaseLanguageModel


async def ask(text: str, model: BaseLanguageModel):
    return (ChatPromptTemplate.from_template(text) | model | StrOutputParser()).astream({})


async def node(state):
    if state.get("q"):
        state["a"] = False
    chosen = state.get("model")
    async for part in await ask("Say hello to them", chosen):
        return {"a": part}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Say hello to them"]


def test_entries_that_are_put_into_a_table_one_by_one(inspect):
    """Each is found by its key."""
    row = only(
        inspect(
            """
def node(state):
    prompts = {}
    prompts["long"] = "Say hello at length"
    prompts["short"] = "Say hello to them"
    return {"a": llm.invoke(prompts["short"]).content}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Say hello to them"]


def test_a_table_of_many_tools_by_name(inspect):
    """Names of tools don't crowd out the tools."""
    row = only(
        inspect(
            """
def make(number):
    @tool(f"plain{number}")
    def plain(text: str) -> str:
        "Give it back."
        return text

    return plain


@tool
def asking(text: str) -> str:
    "Ask the model."
    return llm.invoke("Say hello to them").content


TOOLS = [*map(make, range(25)), asking]


async def node(state):
    by_name = {tool.name: tool for tool in TOOLS}
    return {"a": await asyncio.to_thread(by_name[state["q"]].invoke, {"text": ""})}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Say hello to them"]


def test_entries_of_a_table_that_an_object_keeps(inspect):
    """Put in by one method and taken out by another."""
    row = only(
        inspect(
            """
class Clerk:
    def __init__(self):
        self.prompts = {"long": "Say hello at length"}
        self.fill("short")

    def fill(self, key):
        self.prompts[key] = "Say hello to them"


def node(state):
    return {"a": llm.invoke(Clerk().prompts["short"]).content}


graph = graph_of(node)
"""
        )
    )
    assert texts(row) == ["Say hello to them"]


TWO_PROMPTS = """
greet: |
  Say hello to them
  and be {manner}.
part: >
  Say good-bye
"""


@pytest.mark.parametrize(
    "where", ['Path(__file__).parent / "prompts.yaml"', '__file__.rpartition("/")[0] + "/prompts.yaml"']
)
def test_prompt_files_named_by_a_path_that_the_app_keeps(inspect, tmp_path, where):
    """A path is as good as a name, whether it is read at import or by the node."""
    (tmp_path / "prompts.yaml").write_text(TWO_PROMPTS, encoding="utf-8")
    found = inspect(
        f"""
from pathlib import Path

import yaml

FILE = {where}


def load():
    with open(FILE) as file:
        return yaml.safe_load(file)


LOADED = load()


def early(state):
    return {{"a": llm.invoke(LOADED["greet"].format(manner="brief")).content}}


def late(state):
    return {{"a": llm.invoke(load()["greet"]).content}}


graph = graph_of(early, late)
"""
    )
    expected = {"file": "prompts.yaml", "line": 2, "text": "Say hello to them\nand be {manner}.\n"}
    assert [row["prompt"] for row in rows(found)] == [[expected], [expected]]


def test_a_prompt_file_that_a_path_reads(inspect, tmp_path):
    """The constant is a path with a folder."""
    (tmp_path / "hello.md").write_text("Say hello to them", encoding="utf-8")
    row = only(
        inspect(
            """
from pathlib import Path

FILE = Path(__file__).parent / "hello.md"


def node(state):
    return {"a": llm.invoke(FILE.read_text(encoding="utf-8")).content}


graph = graph_of(node)
"""
        )
    )
    assert row["prompt"] == [{"file": "hello.md", "line": 1, "text": "Say hello to them"}]


def test_files_that_share_a_few_words_with_a_text_are_not_read(inspect, tmp_path, monkeypatch):
    """Only the files with most of its stretches are parsed, unless they don't have it."""
    read = []
    tree = Sources.tree
    monkeypatch.setattr(Sources, "tree", lambda self, file: read.append(Path(file).name) or tree(self, file))
    row = only(
        inspect(
            """
from words import WORDS


def node(state):
    return {"a": llm.invoke(WORDS["hello"]).content}


graph = graph_of(node)
""",
            words='WORDS = {"hello": "Say hello to them\\nand be very brief"}\n',
            others='OTHER = "Say hello to them"\n',
        )
    )
    assert row["prompt"] == [{"file": "words.py", "line": 1, "text": "Say hello to them\nand be very brief"}]
    assert "others.py" not in read


def test_paths_in_a_text(inspect, tmp_path):
    """A path that a text mentions isn't read; one that a name is put together with is."""
    (tmp_path / "hello.md").write_text("Say hello to them", encoding="utf-8")
    row = only(
        inspect(
            """
from pathlib import Path

FOLDER = Path(__file__).parent
REPORT = FOLDER / "hello.md"


def node(state):
    text = open(f"{FOLDER}/hello.md").read()
    return {"a": llm.invoke([("system", text), ("human", f"Write it down in {REPORT}")]).content}


graph = graph_of(node)
"""
        )
    )
    assert {(prompt["file"], prompt["text"]) for prompt in row["prompt"]} == {
        ("hello.md", "Say hello to them"),
        (row["file"], "Write it down in {REPORT}"),
    }


CHAIN = """

def chain_of(*nodes):
    builder = StateGraph(State)
    builder.add_sequence([("node" if i == 0 else f"node{i}", node) for i, node in enumerate(nodes)])
    builder.add_edge(START, "node")
    return builder.compile()
"""

#: Name → a node that puts "Say hello to them" into the state, and one that sends it to the model.
CHANNELS = {
    "text": (
        """
def first(state):
    return {"q": "Say hello to them", "a": "Never shown to anybody"}
""",
        """
def second(state):
    return {"a": llm.invoke([SystemMessage(state["q"])]).content}
""",
    ),
    "messages": (
        """
from langchain_core.messages import AIMessage

GREETING = "Say hello to them"


def first(state):
    return {**state, "q": [SystemMessage(content=GREETING), AIMessage("Never shown to anybody")]}
""",
        """
def second(state):
    return {"a": llm.invoke(state["q"] + [ToolMessage("Nor is this", tool_call_id="1")]).content}
""",
    ),
    "command": (
        """
def first(state) -> Command[Literal["node1"]]:
    messages = [HumanMessage("Say hello to them")]
    return Command(goto="node1", update={"q": {"type": "override", "value": messages}})
""",
        """
class Second:
    def __init__(self, model):
        self.model = model

    async def run(self, state):
        return {"a": (await self.model.ainvoke(state.get("q", []))).content}


second = Second(llm).run
""",
    ),
    "inserted": (
        """
def first(state):
    state["q"].insert(0, SystemMessage("Say hello to them"))
    return state
""",
        """
class Second:
    def __init__(self, state):
        self.messages = []
        self.messages.extend(state["q"])

    def run(self):
        return {"a": llm.invoke(self.messages).content}


def second(state):
    return Second(state).run()
""",
    ),
    "mutated": (
        """
def first(state):
    state["q"] = "Say hello to them"
    return state
""",
        """
def second(model, state):
    question = state["q"]
    return {"a": model.invoke(question).content}


second = functools.partial(second, llm)
""",
    ),
}


@pytest.mark.parametrize("way", CHANNELS)
def test_a_prompt_that_another_node_puts_into_the_state(inspect, way):
    """Its text and line, under the key that is read."""
    row = only(inspect(CHAIN + "".join(CHANNELS[way]) + "\n\ngraph = chain_of(first, second)\n"))
    assert (row["node"], texts(row)) == ("node1", ["Say hello to them"])
    assert row["prompt"][0]["line"] > HEAD.count("\n")


def test_a_prompt_in_a_state_with_attributes(inspect):
    """A class of pydantic, whose nodes set and read attributes, and use its methods."""
    row = only(
        inspect(
            """
class Talk(BaseModel):
    prompt: str = ""
    answer: str = ""

    def question(self):
        return self.prompt


def first(state: Talk):
    return {"prompt": "Say hello to them"}


def second(state: Talk):
    return {"answer": llm.invoke(state.question()).content}


builder = StateGraph(Talk)
builder.add_node("first", first)
builder.add_node("second", second)
builder.add_edge(START, "first")
builder.add_edge("first", "second")
graph = builder.compile()
"""
        )
    )
    assert (row["node"], texts(row)) == ("second", ["Say hello to them"])


def test_a_prompt_that_is_sent_to_a_node(inspect):
    """By a route, with `Send`."""
    row = only(
        inspect(
            """
def route(state):
    return [Send("second", {"q": "Say hello to them"}) for _ in state["q"]]


def second(state):
    return {"a": llm.invoke(state["q"]).content}


builder = StateGraph(State)
builder.add_node("second", second)
builder.add_conditional_edges(START, route, ["second"])
graph = builder.compile()
"""
        )
    )
    assert (row["node"], texts(row)) == ("second", ["Say hello to them"])


def test_a_state_that_is_filled_into_a_prompt(inspect):
    """Where a call has texts of its own, what other nodes say is data."""
    row = only(
        inspect(
            CHAIN
            + """
def first(state):
    return {"q": "Nobody has answered so far"}


def second(state):
    return {"a": llm.invoke(f"Say hello to them: {state['q']}").content}


graph = chain_of(first, second)
"""
        )
    )
    assert texts(row) == ["Say hello to them: {state['q']}"]


def test_a_prompt_for_a_node_of_a_subgraph(inspect):
    """The graph above puts it into a key that both have."""
    row = only(
        inspect(
            CHAIN
            + """
def first(state):
    return {"q": "Say hello to them"}


def second(state):
    return {"a": llm.invoke(state["q"]).content}


graph = chain_of(first, chain_of(second))
"""
        )
    )
    assert (row["node"], texts(row)) == ("node1/node", ["Say hello to them"])


def test_a_part_of_a_prompt_file_that_was_read_at_import(inspect, tmp_path):
    """What follows a header has the line where it begins."""
    text = "You are a clerk.\n\nSay hello to them."
    (tmp_path / "clerk.md").write_text(f"---\nmodel: small\n---\n{text}\n", encoding="utf-8")
    row = only(
        inspect(
            """
from pathlib import Path

FILES = {file.stem: file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("*.md")}
PROMPT = FILES["clerk"].split("---", 2)[2].strip()


def node(state):
    return {"a": llm.invoke([("system", PROMPT), ("human", state["q"])]).content}


graph = graph_of(node)
"""
        )
    )
    assert row["prompt"] == [{"file": "clerk.md", "line": 4, "text": text}]


def test_a_prompt_that_comes_too_late(inspect):
    """Nodes that can't have run before say nothing to a node; those of a loop do."""
    found = inspect(
        """
def early(state):
    return {"q": "Say hello to them"}


def greet(state):
    return {"a": llm.invoke(state["q"]).content}


def late(state):
    return {"q": "Say good-bye to them"}


def part(state):
    return {"a": llm.invoke(state["q"]).content}


builder = StateGraph(State)
for node in (early, greet, late, part):
    builder.add_node(node.__name__, node)
builder.add_edge(START, "early")
builder.add_edge(["early"], "greet")
builder.add_conditional_edges("greet", lambda state: "late", {"late": "late"})
builder.add_edge("late", "part")
graph = builder.compile()
"""
    )
    assert {row["node"]: texts(row) for row in rows(found)} == {
        "greet": ["Say hello to them"],
        "part": ["Say hello to them", "Say good-bye to them"],
    }
