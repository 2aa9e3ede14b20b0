"""What can be an app, and how a variant reaches it."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import pytest

HEAD = """
import asyncio, functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypedDict
import pytest
from pytest_promptune import Case

LOG = Path(__file__).parent / "calls.log"
CASES = [Case(id="a", input={"q": "one"}), Case(id="b", input={"q": "two"})]

def note(inputs):
    with LOG.open("a") as log:
        log.write(inputs["q"] + "\\n")

def shout(inputs):
    note(inputs)
    return {"a": inputs["q"].upper()}

async def shout_later(inputs):
    await asyncio.sleep(0.001)
    return shout(inputs)

class Shouter:
    async def __call__(self, inputs):
        return await shout_later(inputs)

    async def method(self, inputs):
        return await shout_later(inputs)
"""

TEST = """

@pytest.mark.promptune(app="app", runs=2)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    assert sample.output["a"] == case.input["q"].upper(), sample.output
"""

GRAPH = """
from langgraph.graph import StateGraph, START, END

class State(TypedDict, total=False):
    q: str
    a: str

def graph_of(node, **options):
    graph = StateGraph(State, **options)
    graph.add_node("shout", node)
    graph.add_edge(START, "shout")
    graph.add_edge("shout", END)
    return graph
"""


def module(body: str, *, test: str = TEST, scope: str = "session", graph: bool = False) -> str:
    """A test module whose app fixture has this body."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    fixture = f"\n\n@pytest.fixture(scope={scope!r})\ndef app():\n{lines}\n"
    return HEAD + (GRAPH if graph else "") + fixture + test


APPS = {
    "function": ("return shout", False),
    "async-function": ("return shout_later", False),
    "lambda": ("return lambda inputs: shout(inputs)", False),
    "async-object": ("return Shouter()", False),
    "async-method": ("return Shouter().method", False),
    "partial": ("return functools.partial(shout)", False),
    "async-partial": ("return functools.partial(shout_later)", False),
    "returns-awaitable": ("return lambda inputs: shout_later(inputs)", False),
    "runnable": (
        "from langchain_core.runnables import RunnableLambda\nreturn RunnableLambda(shout)",
        False,
    ),
    "async-runnable": (
        "from langchain_core.runnables import RunnableLambda\nreturn RunnableLambda(shout_later)",
        False,
    ),
    "sequence": (
        "from langchain_core.runnables import RunnableLambda\n"
        "return RunnableLambda(lambda x: x) | RunnableLambda(shout)",
        False,
    ),
    "graph": ("return graph_of(shout).compile()", True),
    "async-graph": ("return graph_of(shout_later).compile()", True),
    "builder": ("def build(variant):\n    return shout\nreturn build", False),
    "async-builder": ("async def build(variant):\n    return graph_of(shout).compile()\nreturn build", True),
}


@pytest.mark.parametrize(("body", "graph"), APPS.values(), ids=APPS)
def test_kinds_of_apps(project, body, graph):
    """Functions, objects, Runnables, graphs and builders, sync and async: one call per sample."""
    project.write(test_suite=module(body, graph=graph))
    ran = project.run()
    assert ran.code == 0, ran.text
    assert ran.metric("test_it")["mean"] == 1, ran.text
    assert sorted(ran.calls) == ["one", "one", "two", "two"]


def test_app_fixtures_of_module_scope(project):
    """A module's app lives as long as its module; each module builds its own."""
    body = "note({'q': 'built'})\nreturn shout"
    project.write(
        test_first=module(body, scope="module"),
        test_second=module(body, scope="module"),
    )
    ran = project.run()
    assert ran.code == 0
    assert sorted(ran.calls) == ["built"] * 2 + ["one"] * 4 + ["two"] * 4


def test_an_app_fixture_may_be_parametrized(project):
    """One suite over two models: each is an app of its own with metrics of its own."""
    project.write(
        test_suite=HEAD
        + "\n\n@pytest.fixture(scope='session', params=['loud', 'quiet'])\ndef app(request):\n"
        "    return shout if request.param == 'loud' else lambda inputs: {'a': inputs['q']}\n"
        + TEST.replace("(case, sample)", "(case, app, sample)")
    )
    ran = project.run()
    assert ran.code == 0
    assert (ran.metric("test_it[loud]")["mean"], ran.metric("test_it[quiet]")["mean"]) == (1, 0)


def test_an_app_that_changes_its_input_changes_only_its_own(project):
    """Runs of a case get a copy each."""
    project.write(
        test_suite=module("def pop(inputs):\n    return {'a': inputs.pop('q').upper()}\nreturn pop")
    )
    ran = project.run()
    assert ran.metric("test_it")["mean"] == 1


def test_an_error_while_building_the_app(project):
    """A fixture that raises is an error of the suite, as always."""
    project.write(test_suite=module("raise OSError('no key')"))
    ran = project.run()
    assert ran.code == 1
    assert "OSError: no key" in ran.out
    assert "4 errors" in ran.out


def test_an_error_in_a_builder(project):
    """A builder that raises fails like a fixture that raises: with its traceback, not as a measured app."""
    project.write(test_suite=module("def build(variant):\n    raise OSError('no key')\nreturn build"))
    ran = project.run()
    assert ran.code == 1
    assert "OSError: no key" in ran.out
    assert "INTERNALERROR" not in ran.text


@pytest.mark.parametrize(
    "body",
    ["def build(variant):\n    return None\nreturn build", "return graph_of(shout)"],
    ids=["builder-of-nothing", "not-compiled"],
)
def test_apps_that_cannot_be_called(project, body):
    """The message says what came and what is possible."""
    project.write(test_suite=module(body, graph=True))
    assert project.run().refused("app", "compile" if "graph_of" in body else "can't be called")


# --- ways in which variants arrive ----------------------------------------------------------------

CONTEXT = """
from langgraph.runtime import Runtime

@dataclass
class Tunables:
    greeting: str = "hello"
    loud: bool = False

def greet(state, runtime: Runtime[Tunables]):
    note(state)
    text = f"{runtime.context.greeting} {state['q']}"
    return {"a": text.upper() if runtime.context.loud else text}
"""
CONTEXT_TEST = """

@pytest.mark.promptune(app="app", runs=2)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample, variant):
    assert sample.output["a"] == {
        "current": f"hello {case.input['q']}",
        "formal": f"good day {case.input['q']}",
        "loud": f"HELLO {case.input['q'].upper()}",
    }[variant.name]
"""


@pytest.fixture
def with_context(project):
    source = module(
        "return graph_of(greet, context_schema=Tunables).compile()", graph=True, test=CONTEXT_TEST
    )
    project.write(test_suite=source.replace("\n\n@pytest.fixture", CONTEXT + "\n\n@pytest.fixture", 1))
    project.write(
        {
            "prompts/variants/formal.toml": '[context]\ngreeting = "good day"\n',
            "prompts/variants/loud/variant.toml": "[context]\nloud = true\n",
        }
    )
    return project


def test_way_a_runtime_context(with_context):
    """Fields of the graph's context_schema; each sample sees its own variant."""
    ran = with_context.run("--promptune-compare")
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["variants"] == ["current", "formal", "loud"]
    assert [ran.metric("test_it", name)["mean"] for name in ("current", "formal", "loud")] == [1, 1, 1]
    assert len(ran.calls) == 12


def test_way_a_refuses_unknown_fields(with_context):
    """A typo is told before any call, with the fields there are."""
    with_context.write({"prompts/variants/typo.toml": "[context]\ngreting = 'hi'\n"})
    assert with_context.run("--promptune-compare").refused("'greting'", "'typo'", "greeting, loud")


def test_way_a_needs_a_schema(project):
    """A graph without context_schema can't take a context."""
    project.write(test_suite=module("return graph_of(shout).compile()", graph=True))
    project.write({"prompts/variants/new.toml": "[context]\ngreeting = 'hi'\n"})
    assert project.run("--promptune-compare").refused("'new'", "context_schema")


TEMPLATED = """
import jinja2
env = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / "prompts"))
"""
TEMPLATED_TEST = """

@pytest.mark.promptune(app="app", runs=3)
@pytest.mark.parametrize("case", [Case(id=f"c{i:02d}", input={"q": f"q{i}"}) for i in range(20)], ids=str)
def test_it(case, sample):
    start = {"current": "Hello", "formal": "Good day", "short": "Hi"}[sample.variant.name]
    assert sample.output["a"] == f"{start} {case.input['q']}."
"""


@pytest.fixture
def templated(project):
    body = (
        "async def render(inputs):\n    note(inputs)\n"
        "    first = env.get_template('greet.j2')\n    await asyncio.sleep(0.001)\n"
        "    again = env.get_template('greet.j2')\n"
        "    assert first.render(q=inputs['q']) == again.render(q=inputs['q'])\n"
        "    return {'a': again.render(q=inputs['q'])}\nreturn render"
    )
    source = module(body, test=TEMPLATED_TEST)
    project.write(
        {
            "test_suite.py": source.replace(
                "\n\n@pytest.fixture", "\nfrom templated_app import env\n\n@pytest.fixture", 1
            ),
            "templated_app.py": "from pathlib import Path" + TEMPLATED,
            "prompts/greet.j2": "Hello {% include 'who.j2' %}.",
            "prompts/who.j2": "{{ q }}",
            "prompts/variants/formal/greet.j2": "Good day {% include 'who.j2' %}.",
            "prompts/variants/short/greet.j2": "Hi {{ q }}.",
            "pytest.ini": "[pytest]\npromptune_jinja_env = templated_app:env\npythonpath = .\n",
        }
    )
    return project


def test_way_b_templates(templated):
    """Sixty samples each of three variants in flight together: every one renders its own template."""
    ran = templated.run("--promptune-compare")
    assert ran.code == 0, ran.text
    assert [ran.metric("test_it", name)["mean"] for name in ("current", "formal", "short")] == [1, 1, 1]
    assert len(ran.calls) == 180


def test_way_b_records_the_prompts(templated):
    """The baseline says which prompts it was recorded with: the app's own, not those of variants."""
    templated.record("-k", "c00")
    path = templated.path / "__promptune__" / "test_suite.main.json"
    before = path.read_bytes()
    templated.write({"prompts/variants/another/greet.j2": "Hey {{ q }}."})
    templated.record("-k", "c00")
    assert path.read_bytes() == before, "a new variant changed the baseline of the app as it stands"
    templated.write({"prompts/greet.j2": "Hello {% include 'who.j2' %}.{# edited #}"})
    templated.record("-k", "c00")
    assert path.read_bytes() != before


def test_way_b_notes_templates_captured_at_import(templated):
    """A template kept in a module's global doesn't see variants: the summary says which."""
    source = (templated.path / "templated_app.py").read_text()
    templated.write(templated_app=source + "KEPT = env.get_template('who.j2')\n")
    ran = templated.run("--promptune-compare", "-k", "c00")
    assert "templated_app.KEPT" in ran.out


def test_way_d_builder(project):
    """The builder is called once per variant and its apps are kept."""
    body = (
        "def build(variant):\n    note({'q': 'built-' + variant.name})\n"
        "    suffix = variant.context.get('suffix', '')\n"
        "    return lambda inputs: {'a': inputs['q'].upper() + suffix}\nreturn build"
    )
    project.write(test_suite=module(body))
    project.write({"prompts/variants/odd.toml": "[context]\nsuffix = '?'\n"})
    ran = project.run("--promptune-compare")
    assert sorted(ran.calls) == ["built-current", "built-odd"]
    assert ran.metric("test_it")["mean"] == 1
    assert ran.metric("test_it", "odd")["mean"] == 0


def test_variants_in_tests_without_sample(project):
    """The fixture `variant` gives what is measured: name, context and description."""
    project.write(
        test_suite=module(
            "return lambda inputs: {'a': inputs['q'].upper()}",
            test=TEST.replace("(case, sample)", "(case, sample, variant)").replace(
                "    assert", "    assert variant.name == 'current' and not variant.context\n    assert"
            ),
        )
    )
    assert project.run().code == 0


# --- graphs ---------------------------------------------------------------------------------------


def test_memory_does_not_leak(project):
    """A graph with a checkpointer starts each sample with an empty memory."""
    body = (
        "import operator\nfrom langgraph.checkpoint.memory import InMemorySaver\n"
        "class Talk(TypedDict, total=False):\n    q: str\n    a: str\n    seen: Annotated[list, operator.add]\n"
        "graph = StateGraph(Talk)\n"
        "graph.add_node('shout', lambda state: {'seen': [1], 'a': state['q'].upper() * (len(state.get('seen', [])) + 1)})\n"
        "graph.add_edge(START, 'shout')\n"
        "return graph.compile(checkpointer=InMemorySaver())"
    )
    project.write(test_suite=module(body, graph=True))
    ran = project.run()
    assert ran.code == 0
    assert ran.metric("test_it")["mean"] == 1


@pytest.mark.parametrize("saver", ["", "checkpointer=InMemorySaver()"])
def test_an_interrupting_graph_gives_a_clear_error(project, saver):
    """A graph that waits for a person can't be measured: the message says so and shows the question."""
    body = (
        "from langgraph.checkpoint.memory import InMemorySaver\nfrom langgraph.types import interrupt\n"
        "def ask(state):\n    return {'a': interrupt('really delete?')}\n"
        f"return graph_of(ask).compile({saver})"
    )
    project.write(test_suite=module(body, graph=True))
    ran = project.run()
    assert ran.code in (1, 4)
    assert "interrupt" in ran.text
    assert "really delete?" in ran.text
    assert "INTERNALERROR" not in ran.text


MODEL = """
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

class Fake(BaseChatModel):
    name_: str = "fake-1"

    @property
    def _llm_type(self):
        return "fake"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        text = messages[-1].content
        message = AIMessage(
            content=text.upper(),
            usage_metadata={"input_tokens": 10, "output_tokens": 3, "total_tokens": 13},
            response_metadata={"model_name": self.name_},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

def thinking(state):
    Fake().invoke(state["q"])
    return {}

async def speaking(state):
    answer = await Fake(name_="fake-2").ainvoke([("system", "Shout."), ("human", state["q"])])
    return {"a": answer.content}
"""
MODEL_BODY = """
graph = StateGraph(State)
graph.add_node("think", thinking)
graph.add_node("speak", speaking)
graph.add_edge(START, "think")
graph.add_edge("think", "speak")
return graph.compile()
"""
MODEL_TEST = """

@pytest.mark.promptune(app="app", runs=2)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    assert sample.output["a"] == case.input["q"].upper()
    assert (sample.usage.input_tokens, sample.usage.output_tokens) == (20, 6)
    assert list(sample.nodes) == ["think", "speak"]
    speak = sample.nodes["speak"]
    assert speak.usage.input_tokens == 10 and speak.calls == 1 and speak.latency_s > 0
    assert speak.prompt == (("system", "Shout."), ("human", case.input["q"]))
    assert speak.models == ("fake-2",)
"""


def test_tokens_reach_sample_metrics_and_results(project):
    """What the model reports as usage, by node, in the app's metrics, the baseline and the JSON."""
    source = module(MODEL_BODY, graph=True, test=MODEL_TEST)
    project.write(test_suite=source.replace("\n\n@pytest.fixture", MODEL + "\n\n@pytest.fixture", 1))
    ran = project.record()
    assert ran.metric("test_it")["mean"] == 1, ran.text
    assert ran.metric("app::input_tokens")["mean"] == 20
    assert ran.metric("app::output_tokens")["mean"] == 6
    assert (ran.json["usage"]["input_tokens"], ran.json["usage"]["output_tokens"]) == (80, 24)
    assert ran.json["usage"]["cost_usd"] is None
    assert ran.json["experiment"]["models"] == ["fake-1", "fake-2"]
    ran = project.run()
    assert ran.code == 0
    assert ran.row("app::input_tokens")["gate"] == "off"


def test_tokens_of_a_plain_function(project):
    """An app that calls a model without a graph is traced too, also from a thread."""
    body = "return lambda inputs: {'a': Fake().invoke(inputs['q']).content}"
    source = module(body)
    project.write(test_suite=source.replace("\n\n@pytest.fixture", MODEL + "\n\n@pytest.fixture", 1))
    ran = project.run()
    assert ran.metric("test_it")["mean"] == 1
    assert ran.metric("app::input_tokens")["mean"] == 10


def test_a_graph_with_a_node_cache_is_called_for_each_sample(project):
    """A cached node would answer every run with the first one's output."""
    body = (
        "from langgraph.cache.memory import InMemoryCache\nfrom langgraph.types import CachePolicy\n"
        "graph = StateGraph(State)\n"
        "graph.add_node('shout', shout, cache_policy=CachePolicy())\n"
        "graph.add_edge(START, 'shout')\n"
        "return graph.compile(cache=InMemoryCache())"
    )
    project.write(test_suite=module(body, graph=True))
    ran = project.run()
    assert ran.code == 0
    assert sorted(ran.calls) == ["one", "one", "two", "two"]


def test_messages_are_an_output(project):
    """State with LangChain messages, pydantic models and dataclasses can be recorded."""
    body = (
        "from langchain_core.messages import AIMessage\nimport datetime, decimal, enum, pathlib, uuid\n"
        "return lambda inputs: {'a': inputs['q'].upper(), 'messages': [AIMessage(content='x')], "
        "'when': datetime.date(2026, 1, 1), 'ids': {1, 2}, 'pair': (1, 2)}"
    )
    project.write(test_suite=module(body))
    ran = project.run()
    assert ran.code == 0, ran.text


def test_each_sample_has_a_seed_of_its_own(project):
    """``config["configurable"]["promptune_seed"]``: the same in every session, different in every sample."""
    body = (
        "from langchain_core.runnables import RunnableLambda\n"
        "def seeded(inputs, config):\n    note({'q': str(config['configurable']['promptune_seed'])})\n"
        "    return {'a': inputs['q'].upper()}\n"
        "return RunnableLambda(seeded)"
    )
    project.write(test_suite=module(body))
    first, second = project.run(), project.run()
    assert len(set(first.calls)) == 4
    assert sorted(first.calls) == sorted(second.calls)


OUTCOMES = {
    "skips": "pytest.skip('no key')",
    "fails": "pytest.fail('unexpected prompt')",
    "exits": "raise SystemExit(3)",
    "interrupts": "raise KeyboardInterrupt",
}


@pytest.mark.parametrize("kind", ["def", "async def"], ids=["sync", "async"])
def test_what_is_no_exception_does_not_hang(project, kind):
    """An app that raises a BaseException ends its sample (or the session); nobody waits for ever."""
    tests = [
        f"@pytest.fixture(scope='session')\ndef {name}():\n    {kind} call(inputs):\n        {body}\n"
        + "    return call\n"
        + TEST.replace('"app"', repr(name)).replace("test_it", f"test_{name}")
        for name, body in OUTCOMES.items()
    ]
    project.write(test_suite=HEAD + "\n\n" + "\n\n".join(tests))
    try:
        ran = project.run(subprocess=True, timeout=15)
    except project.TimeoutExpired:
        pytest.fail("the session hangs")
    assert ran.code in (1, 2), ran.text
    assert "INTERNALERROR" not in ran.text


def test_a_kept_app_of_every_parameter_is_called_once_per_sample(project):
    """A parametrized app fixture that builds a new object each time still costs one call per sample."""
    project.write(
        test_suite=HEAD + "\n\n@pytest.fixture(scope='module', params=['loud', 'quiet'])\ndef app(request):\n"
        "    return lambda inputs: shout(inputs)\n"
        + TEST.replace("(case, sample)", "(case, app, sample)")
        + TEST.replace("(case, sample)", "(case, sample, app)").replace("test_it", "test_again")
    )
    ran = project.run()
    assert ran.code == 0
    assert sorted(ran.calls) == ["one"] * 4 + ["two"] * 4


OF_A_FOLDER = """
from pathlib import Path

import pytest

LOG = Path(__file__).parents[{depth}] / "calls.log"


@pytest.fixture(scope="session")
def bot():
    def call(inputs):
        with LOG.open("a") as log:
            log.write("{name}\\n")
        return {{"by": "{name}"}}

    return call
"""

IN_A_FOLDER = """
import pytest
from pytest_promptune import Case

pytestmark = pytest.mark.promptune(app="bot", runs=2)


@pytest.mark.parametrize("case", [Case(id="one", input={{}}), Case(id="{name}", input={{}})], ids=str)
def test_it(case, sample):
    assert sample.output["by"] == "{name}"
"""


def test_apps_of_one_name_in_several_folders(project):
    """Each folder's app is called for the folder's own cases alone, and resumed and replayed as such."""
    project.write(
        {"conftest.py": OF_A_FOLDER.format(name="top", depth=0)}
        | {f"{name}/conftest.py": OF_A_FOLDER.format(name=name, depth=1) for name in "ab"}
        | {f"{name}/test_{name}.py": IN_A_FOLDER.format(name=name) for name in "ab"}
        | {"c/test_c.py": IN_A_FOLDER.format(name="top")}
    )
    for options in ((), ("-n", "2")):
        ran = project.run(*options, plugins=["xdist.plugin"] if options else [])
        assert (ran.code, ran.counts) == (0, {"passed": 12}), ran.text
        assert sorted(ran.calls) == ["a"] * 4 + ["b"] * 4 + ["top"] * 4
        assert ran.json["experiment"]["samples"] == 12
    again = project.run("--promptune-replay=last")
    assert (again.code, again.counts, again.calls) == (0, {"passed": 12}, []), again.text
