"""Source and samples of a node put together: what samples showed wins, the source has the places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_promptune.core.literals import Literal, LiteralIndex
from pytest_promptune.core.model import ModelCall as Way
from pytest_promptune.core.model import NodeRun, SampleRecord, Usage
from pytest_promptune.core.nodes.headroom import headroom_of
from pytest_promptune.core.nodes.merging import Merged, Places, merge
from pytest_promptune.core.nodes.model import CallPlace, ModelUse, Node, PromptText
from pytest_promptune.core.nodes.traces import Trace, TraceBuilder

TEMPLATE = "You are a clerk of {shop}. Answer with one word."
SENT = (("system", "You are a clerk of Example Ltd. Answer with one word."), ("human", "Where is it?"))
INDEX = LiteralIndex([Literal(file="prompts.py", line=7, text=TEMPLATE)])
PLACES = Places(
    locate=lambda text: next(iter(INDEX.rank(text)), None), name=lambda file: file.removeprefix("/app/")
)


def run(name: str = "say", **more: Any) -> NodeRun:
    return NodeRun(
        node=name, **{"calls": 1, "prompt": SENT, "ways": (Way(model="m", site="/app/bot.py:5"),)} | more
    )


def trace(*samples: Sequence[NodeRun], app: str = "bot", silent: tuple[str, ...] = ()) -> Trace:
    builder = TraceBuilder()
    for number, nodes in enumerate(samples, 1):
        record = SampleRecord(
            case_id=f"c{number}", variant="current", run=1, nodes=tuple(nodes), silent=silent
        )
        builder.add(app, record)
    return builder.trace("x", "current", labels={})


def node(*calls: CallPlace, name: str = "say") -> Node:
    return Node(node=name, file="bot.py", line=3, calls=calls)


def call(*models: ModelUse, line: int = 5, **more: Any) -> CallPlace:
    return CallPlace(models=models or (ModelUse(model="m"),), file="bot.py", line=line, **more)


def merged(nodes: Sequence[Node], traced: Trace, **graphs: Sequence[str]) -> Merged:
    return merge(nodes, traced, graphs or {"": [each.node for each in nodes]}, PLACES)


def only(found: Merged) -> Node:
    (one,) = found.nodes
    return one


def test_what_samples_showed_wins():
    """The billed model, provider, temperature and limit; what they don't say stays."""
    live = ModelUse(
        model="m",
        provider="x",
        params={"temperature": None, "max_completion_tokens": 9, "seed": 1},
        is_settled=True,
    )
    way = Way(model="m", provider="openai", temperature=0.5, max_tokens=20, site="/app/bot.py:5")
    found = only(merged([node(call(live))], trace([run(ways=(way,), models=("m-2026",))])))
    (model,) = found.models
    assert (model.model, model.provider) == ("m-2026", "openai")
    assert model.params == {"temperature": 0.5, "max_completion_tokens": 20, "seed": 1}
    assert (model.is_settled, found.evidence) == (True, "both")


def test_a_temperature_that_the_client_leaves_out():
    """Some models reject one: it was not sent. Clients that don't tell theirs leave that of the source."""
    live = ModelUse(model="gpt-5", params={"temperature": 0, "seed": 1})
    for provider, expected in (("openai", {"seed": 1}), ("x", {"temperature": 0, "seed": 1})):
        way = Way(model="gpt-5", provider=provider, site="/app/bot.py:5")
        (model,) = only(merged([node(call(live))], trace([run(ways=(way,))]))).models
        assert model.params == expected


def test_the_model_that_was_called_comes_first():
    """Of two that the app may take, the other has its name in the source, too."""
    calls = (call(ModelUse(model="spare"), line=2), call(ModelUse(), line=30))
    way = Way(model="m", site="/app/bot.py:30")
    found = only(merged([node(*calls)], trace([run(ways=(way,))])))
    assert [model.model for model in found.models] == ["m", "spare"]


def test_several_models():
    """Each billed name goes to the model that was asked for; one that no sample used stays behind them."""
    live = [ModelUse(model="big"), ModelUse(model="spare"), ModelUse(model="small")]
    ways = (Way(model="small", site="/app/bot.py:5"), Way(model="big", site="/app/bot.py:5"))
    found = only(
        merged(
            [node(call(*live))], trace([run(ways=ways, models=("small-1", "big-1"), prompts=(SENT, SENT))])
        )
    )
    assert [model.model for model in found.models] == ["big-1", "small-1", "spare"]


def test_calls_meet_at_their_place():
    """The nearest line of the same file; one elsewhere is a call of its own."""
    ways = (
        Way(model="a", site="/app/bot.py:6"),
        Way(model="b", site="/app/bot.py:19"),
        Way(model="c", site="/lib/x.py:1"),
    )
    calls = (call(ModelUse(), line=5), call(ModelUse(), line=20))
    found = only(merged([node(*calls)], trace([run(ways=ways, prompts=(SENT, SENT, SENT))])))
    assert [(each.line, each.models[0].model) for each in found.calls] == [(5, "a"), (20, "b"), (1, "c")]


def test_templates_stay_and_get_their_roles():
    """The source's text with the role of the message it is in; the user's own words are no prompt."""
    live = PromptText(text=TEMPLATE, file="prompts.py", line=7)
    found = only(merged([node(call(prompt=(live,)))], trace([run()])))
    assert found.prompt == (PromptText(text=TEMPLATE, file="prompts.py", line=7, role="system"),)
    assert found.calls[0].traced.prompt == SENT


def test_a_text_without_a_place_gets_one():
    """Where the scan saw the text and not where it stands."""
    live = PromptText(text=TEMPLATE, role="system")
    found = only(merged([node(call(prompt=(live,)))], trace([run()])))
    assert [(text.file, text.line) for text in found.prompt] == [("prompts.py", 7)]


def test_a_piece_has_the_place_of_the_piece():
    """What is filled into a prompt stands elsewhere than the prompt, or nowhere."""
    texts = LiteralIndex(
        [
            Literal(file="say.j2", line=1, text="Choose one of the following: {{ kinds }}."),
            Literal(file="bot.py", line=9, text="a payment, a delivery"),
        ]
    )
    places = Places(locate=lambda text: next(iter(texts.rank(text)), None), name=str)
    sent = (("system", "Choose one of the following: a payment, a delivery, or something else."),)
    live = (
        PromptText(text="a payment, a delivery"),
        PromptText(text="or something else"),
    )
    found = only(merge([node(call(prompt=live))], trace([run(prompt=sent)]), {"": ["say"]}, places))
    assert [(text.text, text.file) for text in found.prompt][:2] == [
        ("a payment, a delivery", "bot.py"),
        ("or something else", None),
    ]


def test_a_prompt_that_only_samples_show():
    """Its literal; where the project has none, the text as it was sent; nothing of models and tools."""
    assert only(merged([node(call())], trace([run()]))).prompt == (
        PromptText(text=TEMPLATE, file="prompts.py", line=7, role="system"),
    )
    sent = (("system", "From a database."), ("ai", "Hm."), ("tool", "42"))
    found = only(merged([node(call())], trace([run(prompt=sent)])))
    assert found.prompt == (PromptText(text="From a database.", role="system"),)


def test_a_system_message_that_stands_nowhere():
    """It is shown beside what the source has; the user's question isn't."""
    live = PromptText(text="Something about the format of answers.", file="bot.py", line=9)
    sent = (("system", "From a database."), ("human", "Where is it?"))
    found = only(merged([node(call(prompt=(live,)))], trace([run(prompt=sent)])))
    assert found.prompt == (PromptText(text="From a database.", role="system"), live)


def test_inputs_are_no_prompts():
    """A question that a file of cases holds is the input; an instruction that a file holds is a prompt."""
    cases = LiteralIndex([Literal(file="cases.yaml", line=3, text="Where is my parcel, please?")])
    places = Places(locate=lambda text: next(iter(cases.rank(text)), None), name=str)
    live = PromptText(text=TEMPLATE, file="prompts.py", line=7)
    sent = (*SENT[:1], ("human", "Where is my parcel, please?"))
    nodes = [node(call(prompt=(live,)))]
    found = only(merge(nodes, trace([run(prompt=sent)]), {"": ["say"]}, places))
    assert [text.file for text in found.prompt] == ["prompts.py"]
    sent = (*SENT[:1], ("human", "Where is my parcel, please? Answer in German."))
    found = only(merge(nodes, trace([run(prompt=sent)]), {"": ["say"]}, places))
    assert [text.file for text in found.prompt] == ["prompts.py", "cases.yaml"]


def test_a_model_without_a_name_gets_one():
    """What is chosen at run time is what was called; its parameters stay."""
    live = [ModelUse(params={"seed": 1}), ModelUse(params={"seed": None})]
    found = only(merged([node(call(*live))], trace([run(models=("m-1",))])))
    assert [(model.model, model.params) for model in found.models] == [("m-1", {"seed": 1})]


def test_nodes_that_only_one_side_has():
    """Never executed, silent, not seen by the scan, and dynamic."""
    nodes = [node(call(), name=name) for name in ("say", "never", "sdk")]
    traced = trace([run(), run("hidden"), run("made")], silent=("sdk", "plain"))
    found = {
        each.node: each for each in merged(nodes, traced, **{"": ["say", "never", "sdk", "hidden"]}).nodes
    }
    assert {name: each.evidence for name, each in found.items()} == {
        "say": "both",
        "never": "live",
        "sdk": "live",
        "hidden": "trace",
        "made": "trace",
    }
    assert [name for name, each in found.items() if each.is_dynamic] == ["made"]
    assert [name for name, each in found.items() if each.is_silent] == ["sdk"]
    assert (found["made"].file, found["made"].line) == ("bot.py", 5)


def test_several_graphs_and_other_apps():
    """An app's nodes are those of the graph of its name, else of the one that has them; others are not."""
    nodes = [node(call(), name="one:say"), node(call(), name="two:say")]
    graphs = {"one": ["say", "plain"], "two": ["say"]}
    by_name = merged(nodes, trace([run()], app="two"), **graphs)
    assert [each.evidence for each in by_name.nodes] == ["live", "both"]
    by_nodes = merged(nodes, trace([run()], app="bot", silent=("plain",)), **graphs)
    assert [each.evidence for each in by_nodes.nodes] == ["both", "live"]
    other = merged(nodes, trace([run("else")], app="other"), **graphs)
    assert (other.foreign, [each.evidence for each in other.nodes]) == (("other",), ["live", "live"])


def test_logs_of_older_versions():
    """Without ways there is the prompt alone."""
    found = only(merged([node(call())], trace([run(ways=())])))
    assert (found.evidence, found.prompt[0].file, found.models[0].model) == ("both", "prompts.py", "m")


def test_headroom():
    """Shares of failed cases, of time and of cost; unknown where nothing failed or nothing is known."""
    cheap = run(usage=Usage(cost_usd=1.0), part_s=1.0, latency_s=1.0)
    dear = run("think", usage=Usage(cost_usd=3.0), part_s=3.0, latency_s=3.0)
    builder = TraceBuilder()
    for case, nodes in (("c1", (cheap, dear)), ("c2", (cheap,)), ("c3", (cheap, dear))):
        record = SampleRecord(case_id=case, variant="current", run=1, nodes=nodes, latency_s=5.0)
        builder.add("bot", record)
    traced = builder.trace("x", "current", labels={})
    nodes = merged([node(call()), node(call(), name="think")], traced).nodes
    rooms = [headroom_of(each, {("bot", "c1"), ("bot", "c2"), ("elsewhere", "c3")}) for each in nodes]
    assert [(room.failed, room.of_failed, room.failed_cases) for room in rooms] == [(2, 2, 1.0), (1, 2, 0.5)]
    assert [room.latency for room in rooms] == [3 / 15, 6 / 15]
    assert [room.cost for room in rooms] == [3 / 9, 6 / 9]
    assert headroom_of(nodes[0], set()).failed_cases is None
