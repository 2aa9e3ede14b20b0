"""From planned items to samples: one call for each, shared by its tests, generated ahead where it is safe."""

import asyncio
import gc
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langgraph.graph import START, StateGraph

from pytest_promptune.core.errors import AppError, VariantError
from pytest_promptune.core.model import CURRENT, Case, SampleRecord, Usage, Variant
from pytest_promptune.core.plan import Cell, Marks, PlannedItem
from pytest_promptune.sampling import LOOK_AHEAD, LOOK_AHEAD_CAREFUL, Sampler
from pytest_promptune.sampling.execution import seed
from pytest_promptune.variants.active import active

WAIT_S = 2.0


def item(
    case: Case | str | None = "a",
    *,
    run: int = 1,
    variant: str = CURRENT,
    test: str = "test_a",
    module: str = "m.py",
    parameters: Hashable = (),
    lazy: bool = False,
    **marks: Any,
) -> PlannedItem:
    known = Case(id=case, input={"q": case}) if isinstance(case, str) else case
    return PlannedItem(
        nodeid=f"{module}::{test}[{known}-{variant}-{run}-{parameters}]",
        module=module,
        test=test,
        metric=test,
        marks=Marks(**marks),
        cell=Cell(variant=variant, run=run),
        case=known,
        parameters=parameters,
        lazy=lazy,
    )


def items(count: int, **more: Any) -> list[PlannedItem]:
    return [item(f"c{i:03d}", **more) for i in range(count)]


class Bot:
    """A sync app that notes what it is called with."""

    def __init__(self, answer: Callable[[Any], Any] = lambda value: {"answer": value["q"]}) -> None:
        self.asked: list[Any] = []
        self._answer = answer
        self._lock = threading.Lock()

    def __call__(self, value: Any) -> Any:
        with self._lock:
            self.asked.append(value["q"])
        return self._answer(value)

    @property
    def settled(self) -> list[Any]:
        """What was asked when nothing more is, in the order of the alphabet."""
        before, quiet = -1, 0
        while quiet < 4:  # several looks: on a busy machine a thread may take its time
            quiet = quiet + 1 if before == len(self.asked) else 0
            before = len(self.asked)
            time.sleep(0.04)
        return sorted(self.asked)


@pytest.fixture
def sampler() -> Iterator[Callable[..., Sampler]]:
    made: list[Sampler] = []

    def make(
        planned: Sequence[PlannedItem],
        *,
        concurrency: int = 1,
        careful: bool = False,
        variants: Sequence[Variant] = (),
        mine: Sequence[PlannedItem] | None = None,
    ) -> Sampler:
        known = {CURRENT: Variant(name=CURRENT), **{variant.name: variant for variant in variants}}
        own = None if mine is None else frozenset(each.nodeid for each in mine)
        made.append(Sampler(variants=known, concurrency=concurrency, careful=careful, mine=own, ahead=own))
        made[-1].plan(planned)
        return made[-1]

    yield make
    for one in made:
        one.close()


def run(one: Sampler, planned: Sequence[PlannedItem], app: object) -> list[SampleRecord]:
    """All items one after the other, as pytest runs them."""
    found = []
    for planned_item in planned:
        found.append(one.sample(planned_item, planned_item.case, app).record)
        one.done(planned_item.nodeid)
    return found


# --- one call -------------------------------------------------------------------------------------


def test_one_call_for_each_sample(sampler):
    """The app is called once for each case x variant x run, however many tests want it."""
    variants = [Variant(name="v", templates={"t": "x"})]
    planned = [
        item(case, run=run, variant=variant, test=test, module=module)
        for module in ("m.py", "n.py")
        for run in (1, 2)
        for case in ("a", "b")
        for variant in (CURRENT, "v")
        for test in ("test_a", "test_b")
    ]
    bot = Bot()
    found = run(sampler(planned, concurrency=4, variants=variants), planned, bot)
    assert Counter(bot.asked) == {"a": 4, "b": 4}
    assert len(found) == 32
    assert {(record.case_id, record.variant, record.run) for record in found} == {
        (case, variant, n) for case in "ab" for variant in (CURRENT, "v") for n in (1, 2)
    }


def test_a_record(sampler):
    """A sample carries its names, its output and its latency; usage that nobody counted is unknown."""
    planned = [item("a", run=3)]
    (found,) = run(sampler(planned), planned, Bot())
    assert (found.case_id, found.variant, found.run) == ("a", CURRENT, 3)
    assert (found.output, found.error, found.usage) == ({"answer": "a"}, None, Usage())
    assert found.latency_s >= 0


def test_tests_share_one_output(sampler):
    """Both tests of a sample see the same object."""
    planned = [item("a"), item("a", test="test_b")]
    first, second = run(sampler(planned), planned, Bot())
    assert first.output is second.output


def test_equal_cases_of_two_files_are_one_sample(sampler):
    """What counts is id, input and expected: equal cases loaded twice are called once."""
    planned = [item(Case(id="a", input={"q": 1})), item(Case(id="a", input={"q": 1}), test="test_b")]
    bot = Bot()
    run(sampler(planned), planned, bot)
    assert bot.asked == [1]


def test_another_input_is_another_sample(sampler):
    """The same id with another input, from a fixture that changes it, is called for itself."""
    planned = [item("a"), item("a", test="test_b")]
    one, bot = sampler(planned), Bot()
    changed = Case(id="a", input={"q": "changed"})
    assert one.sample(planned[0], planned[0].case, bot).record.output == {"answer": "a"}
    assert one.sample(planned[1], changed, bot).record.output == {"answer": "changed"}


def test_two_apps(sampler):
    """Tests of two apps have samples of their own."""
    planned = [item("a", app="one"), item("a", app="other", test="test_b")]
    one, bots = sampler(planned), {"one": Bot(), "other": Bot()}
    for planned_item in planned:
        one.sample(planned_item, planned_item.case, bots[planned_item.marks.app])
    assert [len(bot.asked) for bot in bots.values()] == [1, 1]


# --- looking ahead --------------------------------------------------------------------------------


@pytest.mark.parametrize("careful", [False, True])
def test_samples_are_generated_ahead(sampler, careful):
    """The first item that asks starts those that follow, as far as the window goes, -x less far."""
    planned, bot = items(40), Bot()
    one = sampler(planned, concurrency=2, careful=careful)
    one.sample(planned[0], planned[0].case, bot)
    window = 2 * (LOOK_AHEAD_CAREFUL if careful else LOOK_AHEAD)
    assert len(bot.settled) == window
    one.done(planned[0].nodeid)
    assert len(bot.settled) == window + 1


def test_only_selected_items_are_generated(sampler):
    """What was deselected is never called, nor is what belongs to another app."""
    planned = [item("a"), item("b", app="other", test="test_b"), item("c")]
    bot = Bot()
    sampler(planned, concurrency=4).sample(planned[0], planned[0].case, bot)
    assert bot.settled == ["a", "c"]


def test_lazy_items_are_not_generated_ahead(sampler):
    """An item that may be skipped, or whose case only its fixtures know, is called when it is reached."""
    planned = [item("a"), item("b", test="test_lazy", lazy=True), item(None, test="test_unknown", lazy=True)]
    bot = Bot()
    one = sampler(planned, concurrency=4)
    one.sample(planned[0], planned[0].case, bot)
    assert bot.settled == ["a"]
    one.sample(planned[2], Case(id="z", input={"q": "z"}), bot)
    assert bot.settled == ["a", "z"]


def test_a_lazy_test_that_is_reached_is_generated_ahead_from_then_on(sampler):
    """The first item of a skipif test that does run starts the others of its test, and no other lazy one."""
    planned = [*items(3, test="test_lazy", lazy=True), item("x", test="test_other", lazy=True)]
    bot = Bot()
    sampler(planned, concurrency=4).sample(planned[0], planned[0].case, bot)
    assert bot.settled == ["c000", "c001", "c002"]


def test_items_of_other_parameters_may_have_another_app(sampler):
    """Where the app fixture is parametrized, the first app's samples say nothing of the second's."""
    planned = [
        item(case, parameters=(("model", model),), test=f"test_a[{model}]")
        for case in "ab"
        for model in (0, 1)
    ]
    one, bots = sampler(planned, concurrency=4), [Bot(), Bot()]
    one.sample(planned[0], planned[0].case, bots[0])
    assert bots[0].settled == ["a", "b"]
    one.sample(planned[1], planned[1].case, bots[1])
    assert bots[1].settled == ["a", "b"]
    assert bots[0].settled == ["a", "b"]


def test_a_fixture_that_changes_its_case_is_not_guessed_at(sampler):
    """When the first item of a test turns out to have another case, the others are not generated ahead."""
    planned, bot = items(4), Bot()
    one = sampler(planned, concurrency=4)
    one.sample(planned[0], Case(id="c000", input={"q": "changed"}), bot)
    assert bot.settled == ["changed"]


def test_the_item_that_runs_is_not_held_up(sampler):
    """An item far behind the window gets its sample at once."""
    planned, bot = items(40), Bot()
    one = sampler(planned)
    one.sample(planned[0], planned[0].case, bot)
    assert one.sample(planned[35], planned[35].case, bot).record.output == {"answer": "c035"}


def test_items_that_never_asked_leave_the_window(sampler):
    """Items that end before they ask (a fixture skipped or broke) don't stop the looking ahead."""
    planned, bot = items(40), Bot()
    one = sampler(planned)
    one.sample(planned[0], planned[0].case, bot)
    assert len(bot.settled) == LOOK_AHEAD
    for planned_item in planned[:10]:
        one.done(planned_item.nodeid)
    assert bot.settled[-LOOK_AHEAD:] == ["c010", "c011", "c012", "c013"]


def test_items_of_unknown_case_leave_the_window(sampler):
    """Items whose case came from a plain fixture take their place in the window with them when they end."""
    unknown = [item(None, run=run, test="test_unknown", lazy=True) for run in range(1, 10)]
    planned, bot = [*unknown, *items(20)], Bot()
    one = sampler(planned)
    for planned_item in unknown:
        one.sample(planned_item, Case(id="z", input={"q": "z"}), bot)
        one.done(planned_item.nodeid)
    one.sample(planned[9], planned[9].case, bot)
    assert [q for q in bot.settled if q != "z"] == ["c000", "c001", "c002", "c003"]


def test_samples_of_a_parametrized_app_leave_the_window(sampler):
    """Each of two apps under one fixture gives its places back, so that looking ahead goes on."""
    planned = [
        item(f"c{i:02d}", parameters=(("p", p),), test=f"test_a[{p}]") for i in range(20) for p in (0, 1)
    ]
    one, bots = sampler(planned), [Bot(), Bot()]
    for planned_item in planned[:20]:
        one.sample(planned_item, planned_item.case, bots[planned_item.parameters[0][1]])
        one.done(planned_item.nodeid)
    asked = sum(len(bot.settled) for bot in bots)
    assert asked >= 20 + LOOK_AHEAD - 1


# --- memory ---------------------------------------------------------------------------------------


class Output(dict[str, Any]):
    """An output that can be watched."""


def watching() -> tuple[list[weakref.ref[Output]], Bot]:
    seen: list[weakref.ref[Output]] = []

    def answer(value: Any) -> Output:
        output = Output(answer=value["q"])
        seen.append(weakref.ref(output))
        return output

    return seen, Bot(answer)


def alive(seen: Sequence[weakref.ref[Output]]) -> int:
    gc.collect()
    return sum(ref() is not None for ref in seen)


def nudge(one: Sampler) -> None:
    """Give the engine something to do: it drops what was released when it next looks."""
    extra = item("nudge", app="nudge", test="test_nudge")
    one.sample(extra, extra.case, lambda value: None)


def test_outcomes_are_dropped_with_the_last_test_of_a_sample(sampler):
    """A long session keeps what is still needed, not every output it ever saw."""
    planned = [item(case, test=test) for case in "abc" for test in ("test_a", "test_b")]
    seen, bot = watching()
    one = sampler(planned, concurrency=4)
    one.sample(planned[0], planned[0].case, bot)
    assert len(bot.settled) == 3
    left = []
    for planned_item in planned:
        one.sample(planned_item, planned_item.case, bot)
        one.done(planned_item.nodeid)
        nudge(one)
        left.append(alive(seen))
    assert left == [3, 2, 2, 1, 1, 0]


def test_nothing_is_kept_when_nothing_is_left_to_start(sampler):
    """The last outcomes of a session go with their items, too, though nothing more is started."""
    planned = items(3)
    seen, bot = watching()
    run(sampler(planned), planned, bot)
    assert alive(seen) == 0


def test_outcomes_are_kept_for_another_module(sampler):
    """A sample that a later module shares is not called twice."""
    planned = [item("a"), item("a", module="n.py")]
    seen, bot = watching()
    one = sampler(planned)
    run(one, planned[:1], bot)
    assert alive(seen) == 1
    run(one, planned[1:], bot)
    nudge(one)
    assert alive(seen) == 0
    assert bot.asked == ["a"]


def test_outcomes_of_an_app_for_each_module_are_dropped(sampler):
    """Where each module has an app of its own under one name, its outputs go with its items."""
    planned = [item("a"), item("a", module="n.py")]
    seen, one = [], sampler(planned)
    for planned_item in planned:
        refs, bot = watching()
        run(one, [planned_item], bot)
        nudge(one)
        seen.append(refs)
    assert [alive(refs) for refs in seen] == [0, 0]


def test_outcomes_of_items_that_never_asked_are_dropped(sampler):
    """What was generated ahead for items that then broke in their fixtures isn't kept to the end."""
    planned = items(3)
    seen, bot = watching()
    one = sampler(planned)
    one.sample(planned[0], planned[0].case, bot)
    assert len(bot.settled) == 3
    for planned_item in planned:
        one.done(planned_item.nodeid)
    nudge(one)
    assert alive(seen) == 0


def test_the_end_of_unknown_items(sampler):
    """Items that the session doesn't know, and an end before any sample, are no trouble."""
    planned = items(2)
    one = sampler(planned)
    one.done("elsewhere.py::test_x")
    one.done(planned[0].nodeid)
    one.close()
    one.close()


# --- inputs and outputs ---------------------------------------------------------------------------


def test_an_app_that_changes_its_input(sampler):
    """Every run gets a copy of the input: what one does to it no other run sees, nor the tests."""
    case = Case(id="a", input={"q": [1]})
    planned = [item(case, run=run) for run in range(1, 6)]

    def greedy(value: dict[str, list[int]]) -> int:
        value["q"].append(2)
        return len(value["q"])

    found = run(sampler(planned, concurrency=4), planned, greedy)
    assert [record.output for record in found] == [2] * 5
    assert case.input == {"q": [1]}


def test_outputs_without_json_form_are_refused(sampler):
    """An errored sample, whose message names app and place: one bad output doesn't end the session."""
    planned = [item("a", app="bot")]
    (found,) = run(sampler(planned), planned, lambda value: {"x": object()})
    assert found.output is None
    assert found.error.type == "ScoreError"
    for part in ("'bot'", "['x']", "not JSON"):
        assert part in found.error.message


def test_an_error_is_a_record(sampler):
    """An app that raises gives a record with the error, its latency, and no output."""

    def broken(value: Any) -> None:
        raise ValueError("no")

    planned = [item("a")]
    (found,) = run(sampler(planned), planned, broken)
    assert (found.error.type, found.error.message, found.error.infrastructure) == ("ValueError", "no", False)
    assert found.output is None
    assert found.latency_s is not None


def test_an_error_of_an_awaited_app_leaves_no_output(sampler):
    """A sync wrapper around an async app that raises leaves no coroutine behind as its output."""

    async def broken(value: Any) -> None:
        raise ValueError("no")

    planned = [item("a")]
    (found,) = run(sampler(planned), planned, lambda value: broken(value))
    assert found.error.type == "ValueError"
    assert found.output is None


def test_the_timeout_of_the_marker(sampler):
    """A sample over its time is errored, by the marker's seconds."""

    async def slow(value: Any) -> None:
        await asyncio.sleep(20)

    planned = [item("a", timeout=0.02)]
    (found,) = run(sampler(planned), planned, slow)
    assert "0.02 s" in found.error.message
    assert found.error.type == "TimeoutError"
    assert not found.error.infrastructure


def test_the_retries_of_the_marker(sampler, monkeypatch):
    """A lost connection is tried again as often as the marker says."""
    monkeypatch.setattr("pytest_promptune.engine.pause_before", lambda *_: 0.0)

    def lost(value: Any) -> None:
        raise ConnectionError("lost")

    for retries, calls in ((0, 1), (None, 3), (4, 5)):
        bot, planned = Bot(lost), [item("a", retries=retries)]
        (found,) = run(sampler(planned), planned, bot)
        assert found.error.infrastructure
        assert len(bot.asked) == calls


def test_what_is_no_app(sampler):
    """What can't be called is refused by name."""
    planned = [item("a", app="bot")]
    with pytest.raises(AppError, match="'bot'"):
        run(sampler(planned), planned, 3)


def test_async_apps(sampler):
    """Coroutine functions run in the session's loop."""

    async def bot(value: Any) -> Any:
        await asyncio.sleep(0)
        return {"answer": value["q"]}

    planned = items(5)
    assert [record.output["answer"] for record in run(sampler(planned, concurrency=4), planned, bot)] == [
        f"c{i:03d}" for i in range(5)
    ]


# --- variants -------------------------------------------------------------------------------------

SHORT = Variant(name="short", templates={"intent.j2": "short"})


def seen_variant(value: Any) -> str:
    now = active.get()
    return now.name if now is not None else CURRENT


async def seen_variant_async(value: Any) -> str:
    await asyncio.sleep(0.001)
    return seen_variant(value)


@pytest.mark.parametrize(
    "app",
    [seen_variant, seen_variant_async, lambda value: seen_variant_async(value)],
    ids=["sync", "async", "sync that gives a coroutine"],
)
def test_templates_reach_the_app(sampler, app):
    """While an app runs for a variant, its templates are in force, whichever way it is written."""
    planned = [item(f"c{i}", variant=variant) for i in range(10) for variant in (CURRENT, "short")]
    found = run(sampler(planned, concurrency=8, variants=[SHORT]), planned, app)
    assert [record.output for record in found] == [CURRENT, "short"] * 10
    assert active.get() is None


GRAPH = StateGraph(dict).add_node("ask", lambda state: {"said": MODEL.invoke(state["q"]).text})
GRAPH = GRAPH.add_edge(START, "ask").compile()
MODEL = FakeListChatModel(responses=["hello"])


@pytest.mark.parametrize(
    "app",
    [
        GRAPH,
        GRAPH.invoke,
        GRAPH.ainvoke,
        lambda value: GRAPH.invoke(value),
        lambda value: GRAPH.ainvoke(value),
    ],
    ids=["graph", "invoke", "ainvoke", "sync wrapper", "sync wrapper of an async call"],
)
def test_model_calls_are_traced(sampler, app):
    """However an app calls its graph, its model calls are counted under their node."""
    planned = [item("a")]
    (found,) = run(sampler(planned), planned, app)
    assert found.error is None
    assert [(node.node, node.calls) for node in found.nodes] == [("ask", 1)]


def test_a_builder_is_called_once_for_each_variant(sampler):
    """A function of `variant` builds the app of each variant, once, with its templates in force."""
    built: list[tuple[str, str]] = []

    def build(variant: Variant) -> Callable[[Any], str]:
        built.append((variant.name, seen_variant(None)))
        return lambda value: variant.name

    planned = [item(case, variant=variant) for case in "ab" for variant in (CURRENT, "short")]
    found = run(sampler(planned, variants=[SHORT]), planned, build)
    assert [record.output for record in found] == [CURRENT, "short"] * 2
    assert built == [(CURRENT, CURRENT), ("short", "short")]


def test_an_async_builder_runs_in_the_session_loop(sampler):
    """Clients that a builder makes bind to the loop that the samples run in."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def build(variant: Variant) -> Callable[[Any], Any]:
        loops.append(asyncio.get_running_loop())

        async def bot(value: Any) -> str:
            loops.append(asyncio.get_running_loop())
            return variant.name

        return bot

    planned = [item("a", variant="short")]
    (found,) = run(sampler(planned, variants=[SHORT]), planned, build)
    assert found.output == "short"
    assert loops[0] is loops[1]


def test_a_builder_that_takes_variant_by_keyword(sampler):
    """A keyword-only `variant` is that one parameter, too."""

    def build(*, variant: Variant) -> Callable[[Any], str]:
        return lambda value: variant.name

    planned = [item("a", variant="short")]
    (found,) = run(sampler(planned, variants=[SHORT]), planned, build)
    assert found.output == "short"


def test_only_measured_variants_are_built(sampler):
    """A variant that no selected item wants isn't built or checked."""
    built: list[str] = []

    def build(variant: Variant) -> Callable[[Any], str]:
        built.append(variant.name)
        return lambda value: variant.name

    planned = [item("a")]
    run(sampler(planned, variants=[SHORT]), planned, build)
    assert built == [CURRENT]


def test_a_variant_that_would_not_arrive_is_refused_before_any_call(sampler):
    """A context that the app doesn't have is refused when the app is first seen, not when it is reached."""
    tuned = Variant(name="tuned", context={"temperature": 0.0})
    planned, bot = [item("a"), item("a", variant="tuned")], Bot()
    one = sampler(planned, variants=[tuned])
    with pytest.raises(VariantError, match="'tuned' sets \\[context\\]"):
        one.sample(planned[0], planned[0].case, bot)
    assert bot.settled == []


# --- seeds ----------------------------------------------------------------------------------------


def test_seeds_differ():
    """Each case, variant and run has a seed of its own, the same in every session, that fits 31 bits."""
    found = {seed(case, variant, run) for case in "abcde" for variant in "uvw" for run in range(1, 20)}
    assert len(found) == 5 * 3 * 19
    assert all(0 <= value < 2**31 for value in found)
    assert seed("TC001", "current", 1) == 1_020_152_189


def test_a_planned_item_is_not_changed(sampler):
    """Sampling reads its plan and leaves it alone."""
    planned = items(2)
    before = [replace(one) for one in planned]
    run(sampler(planned), planned, Bot())
    assert planned == before


# --- progress -------------------------------------------------------------------------------------


def test_progress_counts_samples_not_items(sampler):
    """Two tests of one sample are one."""
    planned = [*items(3), *items(3, test="test_b")]
    one = sampler(planned)
    assert (one.planned, one.progress.total, one.progress.done) == (3, 3, 0)
    run(one, planned, Bot())
    assert (one.progress.total, one.progress.done) == (3, 3)


def test_progress_of_one_of_several_processes(sampler):
    """It tells of its own part; how much there is altogether it knows too."""
    planned = [*items(6), *items(6, test="test_b")]
    mine = [each for each in planned if each.case and each.case.id in ("c001", "c004")]
    one = sampler(planned, mine=mine)
    assert (one.planned, one.progress.total) == (6, 2)
    bot = Bot()
    run(one, mine, bot)
    assert bot.settled == ["c001", "c004"]
    assert (one.progress.total, one.progress.done) == (2, 2)


# --- looks ----------------------------------------------------------------------------------------


def test_samples_after_a_look_are_not_begun_before_it(sampler):
    """However wide the window: they are submitted when the look has opened the way."""
    bot = Bot()
    planned = [*items(2), *(replace(found, look=1) for found in items(2, run=2, test="test_b"))]
    one = sampler(planned, concurrency=16)
    one.open_up(0)
    one.sample(planned[0], planned[0].case, bot)
    assert bot.settled == ["c000", "c001"]
    assert one.progress.total == 2
    one.open_up(1)
    one.sample(planned[2], planned[2].case, bot)
    assert bot.settled == ["c000", "c000", "c001", "c001"]
    assert one.progress.total == 4


def test_the_rest_of_a_test_is_looked_up_again_after_a_look(sampler):
    """Lazy items, too, have their samples generated ahead in the runs that follow."""
    bot = Bot()
    planned = [*items(2, lazy=True), *(replace(found, look=1) for found in items(2, run=2, lazy=True))]
    one = sampler(planned, concurrency=16)
    one.open_up(0)
    one.sample(planned[0], planned[0].case, bot)
    assert bot.settled == ["c000", "c001"]
    one.open_up(None)
    one.sample(planned[2], planned[2].case, bot)
    assert bot.settled == ["c000", "c000", "c001", "c001"]
