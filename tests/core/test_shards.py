"""Shards: what is written is what is read, and what several are together."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.model import SampleError, Usage
from pytest_promptune.core.nodes.facts import NodeFacts
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.scorers import Unscored
from pytest_promptune.core.scoring import Classification, Score
from pytest_promptune.core.shards.combining import combine, fewer_runs, gaps, is_whole, joined, total_usage
from pytest_promptune.core.shards.shard import (
    Circumstances,
    Document,
    ModulePart,
    Shard,
    ShardError,
    ShardVariant,
    from_json,
    to_json,
)
from pytest_promptune.core.tally import hash_of_tests, tally
from pytest_promptune.core.view import UsageView, VariantView

MODULE = "tests/test_m.py"
CASES = ("c2", "c0", "c1")
PART = ModulePart(hash="sha256:m", cases=CASES, tests=("test_a", "test_b"), collected=12, selected=12)
HERE = {"id", "started", "finished", "commit", "dirty", "branch", "promptune", "python", "seconds"}


def variant(name: str = "current") -> ShardVariant:
    view = VariantView(name=name, description="", changes=(), one_change=False)
    return ShardVariant(view=view, fingerprint=f"sha256:{name}")


def result(case: str = "c0", run: int = 1, test: str = "test_a", **more: Any) -> Result:
    values: dict[str, Any] = {
        "nodeid": f"{MODULE}::{test}",
        "module": MODULE,
        "test": test,
        "metric": test,
        "app": "bot",
        "case_id": case,
        "case_hash": f"sha256:{case}",
        "variant": "current",
        "run": run,
        "outcome": "passed",
        "sample": SampleFacts(latency_s=run / 4, usage=Usage(input_tokens=3), models=("m",)),
    }
    return Result(**(values | more))


def shard(results: Sequence[Result], **more: Any) -> Shard:
    values: dict[str, Any] = {
        "settings": {"alpha": 0.05},
        "variants": (variant(),),
        "modules": {MODULE: PART},
    }
    return Shard(results=tuple(results), **(values | more))


def document(path: str, results: Sequence[Result], usage: UsageView | None = None, **more: Any) -> Document:
    here: dict[str, Any] = dict.fromkeys(("started", "finished", "promptune", "python"), "x")
    here |= {"id": path, "commit": "abc", "dirty": False, "branch": "main", "seconds": 1.0}
    here |= {key: more.pop(key) for key in HERE & set(more)}
    return Document(
        path=path,
        shard=shard(results, **more),
        circumstances=Circumstances(**here),
        usage=usage or UsageView(),
    )


def round_trip(one: Shard) -> Shard:
    text = json.dumps(to_json(one), allow_nan=False)
    experiment = vars_of(document("x", ()))
    usage = dict.fromkeys(UsageView.__dataclass_fields__)
    data = {"format": 1, "mode": "check", "experiment": experiment, "usage": usage, "shard": json.loads(text)}
    return from_json(data, path="x").shard


def vars_of(one: Document) -> dict[str, Any]:
    return {name: getattr(one.circumstances, name) for name in Circumstances.__dataclass_fields__}


def table(results: Sequence[Result]) -> list[Any]:
    """What an experiment makes of results, in full."""
    experiment = Experiment()
    for one in results:
        experiment.add(one)
    return [(column.name, column.gate, column.values) for column in experiment.columns()]


texts = st.text(max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
errors = st.builds(SampleError, type=st.just("E"), message=st.just("no"), infrastructure=st.booleans())
seconds = st.none() | st.floats(0, 1e6).map(lambda value: float(f"{value:.6g}"))
node_facts = st.builds(
    NodeFacts,
    node=st.sampled_from(["a", "b/c", "d"]),
    calls=st.integers(1, 3),
    failed=st.integers(0, 1),
    retries=st.integers(0, 1),
    latency_s=seconds,
    part_s=seconds,
    input_tokens=st.none() | st.integers(0, 10),
    output_tokens=st.none() | st.integers(0, 10**9),
    cost_usd=st.none() | st.floats(0, 10),
    errors=st.dictionaries(st.sampled_from(["E", "F"]), st.integers(1, 9)).map(lambda e: tuple(e.items())),
)
facts = st.builds(
    SampleFacts,
    latency_s=st.none() | st.floats(0, 1e6),
    usage=st.builds(
        Usage,
        input_tokens=st.none() | st.integers(0, 10**9),
        output_tokens=st.none() | st.integers(0, 2),
        cost_usd=st.none() | st.floats(0, 10),
    ),
    error=st.none() | errors,
    models=st.just(("m",)),
    reused=st.booleans(),
    unpriced=st.just(()),
    nodes=st.lists(node_facts, max_size=2, unique_by=lambda node: node.node).map(
        lambda nodes: tuple(sorted(nodes, key=lambda node: node.node))
    ),
)
scores = st.dictionaries(
    st.sampled_from(["words", "tone"]),
    st.builds(
        Score,
        value=numbers.map(lambda n: float(f"{n:.6g}")),
        kind=st.sampled_from(["binary", "score"]),
        direction=st.sampled_from(["higher", "lower"]),
        unit=st.none() | st.just("s"),
    ),
)
results = st.builds(
    result,
    case=st.sampled_from(CASES),
    run=st.integers(1, 3),
    test=st.sampled_from(["test_a", "test_b"]),
    scope=st.just(""),
    outcome=st.sampled_from(["passed", "missed", "errored", "missing", "failed", "skipped"]),
    gate=st.none() | st.just(("words",)),
    scores=scores,
    message=texts,
    classification=st.none() | st.builds(Classification, predicted=texts, expected=texts),
    sample=facts,
)


def rounded(one: SampleFacts) -> SampleFacts:
    return replace(one, latency_s=None if one.latency_s is None else float(f"{one.latency_s:.6g}"))


def by_name(one: SampleFacts | None) -> SampleFacts:
    """Nodes come in the order of their row, which is that of the first sample with them."""
    assert one is not None
    return replace(one, nodes=tuple(sorted(one.nodes, key=lambda node: node.node)))


@given(st.lists(results, unique_by=lambda r: (r.test, r.case_id, r.run), max_size=8))
@settings(deadline=None, max_examples=150)
def test_what_is_written_is_read(given_results: list[Result]):
    """Outcomes, scores with their declarations, facts, classifications; messages as far as they are shown."""
    by_sample: dict[Any, SampleFacts] = {}
    before = []
    for one in given_results:  # tests of a sample share its facts
        facts_of = by_sample.setdefault((one.case_id, one.run), one.sample)
        before.append(replace(one, sample=facts_of))
    after = {(r.test, r.case_id, r.run): r for r in round_trip(shard(before)).results}
    assert len(after) == len(before)
    for one in before:
        read = after[one.test, one.case_id, one.run]
        assert read.outcome == one.outcome
        assert dict(read.scores) == dict(one.scores)
        assert read.classification == one.classification
        assert read.gate == one.gate
        assert by_name(read.sample) == by_name(rounded(one.sample))
        assert read.case_hash == one.case_hash
        assert read.scope == one.scope
        if one.outcome not in ("missed", "errored"):
            assert read.message == ""


def test_what_scorers_said_is_read():
    """Who gave a score, with which comment, who gave none and why, and that one said it can't tell."""

    def tone(value: float | None, comment: str = "") -> dict[str, Score]:
        return {"bot::tone": Score(value=value, kind="score", scorer="judge", comment=comment)}

    lost = SampleFacts(scorer_errors=(Unscored(scorer="judge", reason="429", infrastructure=True),))
    before = [
        result("c0", scores=tone(0.5, "dry"), sample=SampleFacts()),
        result("c1", scores=tone(None, "who knows"), sample=SampleFacts()),
        result("c2", run=2, sample=lost),
        result("c2", run=2, test="test_b", sample=SampleFacts()),
    ]
    read = combine([document("a", round_trip(shard(before)).results)]).shard.results
    after = {(r.case_id, r.test): r for r in read}
    assert [after[r.case_id, r.test].scores for r in before] == [r.scores for r in before]
    assert after["c2", "test_a"].sample == lost
    assert after["c2", "test_b"].sample == SampleFacts()


def test_scorers_are_those_of_each_documents_items():
    """A sample that two machines generated has the facts of the first; what its scorers failed at stays."""
    failed = SampleFacts(latency_s=2.0, scorer_errors=(Unscored(scorer="judge", reason="no"),))
    one, other = document("a", [result()]), document("b", [result(test="test_b", sample=failed)])
    found = {r.test: r.sample for r in combine([one, other]).shard.results}
    assert found["test_a"] == result().sample
    assert found["test_b"] == replace(result().sample, scorer_errors=failed.scorer_errors)


def test_a_shard_is_small():
    """Equal values stand once, texts too, absent ones not at all."""
    every = [result(case, run, test) for run in (1, 2) for case in CASES for test in ("test_a", "test_b")]
    data = to_json(shard(every))["modules"][MODULE]
    assert data["items"][0]["outcomes"] == "ppp"
    assert data["samples"][0]["latency_s"] == 0.25
    assert "cost_usd" not in data["samples"][0]
    assert to_json(shard([result("c2", outcome="missed", message="no")] * 1))["texts"] == ["no"]
    assert [
        row["outcomes"] for row in to_json(shard([result("c1"), result("c2", 2)]))["modules"][MODULE]["items"]
    ] == [
        ".p",
        "p",
    ]


def test_the_last_result_of_an_item_counts():
    """A test that was run again has one place in the table, as in an experiment."""
    read = round_trip(shard([result(outcome="missed"), result(outcome="passed")]))
    assert [one.outcome for one in read.results] == ["passed"]


def test_parts_in_order():
    """By run, case, variant and test of the whole suite, whoever measured them."""
    one = document("a", [result("c1", 2), result("c1", 1), result("c2", 1, "test_b")])
    other = document("b", [result("c0", 1), result("c2", 1, "test_a")])
    for documents in ([one, other], [other, one]):
        found = combine(documents).shard.results
        places = [(r.run, r.case_id, r.test) for r in found]
        assert places == [
            (1, "c2", "test_a"),
            (1, "c2", "test_b"),
            (1, "c0", "test_a"),
            (1, "c1", "test_a"),
            (2, "c1", "test_a"),
        ]
        assert [r.order for r in found] == [0, 1, 2, 3, 4]


def test_shared_samples():
    """The first document's facts count for all tests of a sample; what was spent is the sum."""
    slow = SampleFacts(latency_s=9.0, usage=Usage(input_tokens=5, cost_usd=0.3))
    one = document("a", [result()], UsageView(input_tokens=3))
    other = document("b", [result(test="test_b", sample=slow)], UsageView(input_tokens=5, cost_usd=0.3))
    combined = combine([one, other])
    assert combined.twice == 1
    assert {r.sample.latency_s for r in combined.shard.results if r.sample} == {0.25}
    experiment = Experiment()
    for r in combined.shard.results:
        experiment.add(r)
    usage = total_usage([one, other], tally(experiment).usage)
    assert usage == UsageView(input_tokens=8, cost_usd=0.3)


def test_samples_shared_by_modules():
    """Modules of two machines with one app: counted once, said to be generated twice, own facts in each."""
    slow = SampleFacts(latency_s=9.0)
    modules = {MODULE: PART, "other.py": PART}
    one = document("a", round_trip(shard([result(scope="")], modules=modules)).results, modules=modules)
    theirs = [
        result(module="other.py", scope="", sample=slow),
        result("c1", test="test_b", module="other.py", scope="other.py"),
    ]
    other = document("b", round_trip(shard(theirs, modules=modules)).results, modules=modules)
    combined = combine([one, other])
    assert combined.twice == 1
    found = {(r.module, r.case_id): r.sample.latency_s for r in combined.shard.results if r.sample}
    assert found == {(MODULE, "c0"): 0.25, ("other.py", "c0"): 9.0, ("other.py", "c1"): 0.25}
    experiment = Experiment()
    for r in combined.shard.results:
        experiment.add(r)
    assert tally(experiment).samples == 2


def test_an_unknown_price_stays_unknown():
    """Part of the cost would read as all of it."""
    free = SampleFacts(usage=Usage(cost_usd=0.1))
    blind = SampleFacts(usage=Usage(input_tokens=3), models=("x",), unpriced=("x",))
    parts = [
        document("a", round_trip(shard([result(sample=free)])).results, UsageView(cost_usd=0.1)),
        document("b", round_trip(shard([result("c1", sample=blind)])).results, UsageView(input_tokens=3)),
    ]
    experiment = Experiment()
    for one in combine(parts).shard.results:
        experiment.add(one)
    assert tally(experiment).usage == UsageView(input_tokens=3)
    assert total_usage(parts, tally(experiment).usage) == UsageView(input_tokens=3)


def test_sums_of_sums_are_the_sum():
    """The last digit of a float depends on the order of adding; a merge gives that of one run."""
    parts = [document(p, (), UsageView(cost_usd=v)) for p, v in (("a", 0.1), ("b", 0.2 + 0.3))]
    assert total_usage(parts, UsageView(cost_usd=(0.1 + 0.2) + 0.3)).cost_usd == (0.1 + 0.2) + 0.3


def test_what_is_there_and_what_is_not():
    """A merge is whole when every collected item was somebody's; else the gaps are named."""
    half = ModulePart(hash="sha256:m", cases=CASES, tests=("test_a",), collected=6, selected=3)
    one = document("a", [result(c) for c in CASES], modules={MODULE: half})
    other = document("b", [result(c, 2) for c in CASES[:2]], modules={MODULE: half})
    both = combine([one, other])
    assert is_whole(both.shard)
    assert gaps(both) == [f"Cases with fewer runs than others: c1 of {MODULE} (1 of 2 under current)."]
    alone = combine([one])
    assert not is_whole(alone.shard)
    assert gaps(alone) == [f"Items that none of the files measured: 3 of 6 in {MODULE}."]
    assert fewer_runs(alone.shard) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"settings": {"alpha": 0.1}}, "the setting alpha is 0.05 in the first and 0.1"),
        ({"variants": (variant("b"),)}, "list of variants is ['current']"),
        ({"commit": "def"}, "the commit is 'abc' in the first and 'def'"),
        ({"promptune": "9"}, "pytest-promptune is 'x'"),
        ({"modules": {MODULE: replace(PART, hash="sha256:n")}}, f"the hash of {MODULE}"),
        ({"prompts": {"x.j2": "sha256:b"}}, "the template x.j2"),
        ({"complete": False}, "b: the session ended early"),
        ({"id": "a"}, "a and b are the same session"),
    ],
)
def test_contradictions(more: dict[str, Any], words: str):
    """Both files and both values are named."""
    one = document("a", [result("c0")], prompts={"x.j2": "sha256:a"})
    with pytest.raises(ShardError, match=r"\w") as refused:
        combine([one, document("b", [result("c1")], **more)])
    assert words in str(refused.value)


def test_an_unknown_commit_contradicts_nothing():
    """One machine without git is no reason to measure again."""
    combine([document("a", [result("c0")], commit=None), document("b", [result("c1")])])


def test_joined_orders():
    """The longest order is kept; what it lacks follows its predecessor, whichever list comes first."""
    assert joined([["a", "c"], ["a", "b", "c", "d"]]) == ("a", "b", "c", "d")
    assert joined([["x", "a"], ["a", "b"]]) == joined([["a", "b"], ["x", "a"]])
    assert joined([]) == ()


def test_the_hash_of_tests_can_be_put_together():
    """The order of the modules doesn't matter, their contents do."""
    assert (
        hash_of_tests({"a": "1", "b": "2"})
        == hash_of_tests({"b": "2", "a": "1"})
        != hash_of_tests({"a": "2", "b": "1"})
    )


def test_the_table_is_that_of_the_results():
    """An experiment of what was read equals one of what was written."""
    every = [
        result(
            case,
            run,
            test,
            outcome="missed" if case == "c0" else "passed",
            scores={"words": Score(value=run / 3, kind="score", direction="lower", unit="w")},
        )
        for run in (1, 2)
        for case in CASES
        for test in ("test_a", "test_b")
    ]
    assert table(combine([document("a", round_trip(shard(every)).results)]).shard.results) == table(every)


def test_parts_that_looked_are_refused():
    """Their looks have spent the error level; files of older versions took none."""
    looked = document("b.json", [result("c1")], looked=True)
    assert round_trip(looked.shard).looked
    assert not round_trip(document("a.json", [result()]).shard).looked
    with pytest.raises(ShardError, match=r"b\.json: judged by looks of its own .* --promptune-gate=off"):
        combine([document("a.json", [result()]), looked])
    data = to_json(shard([result()]))
    data.pop("looked")
    older = {"format": 1, "mode": "check", "experiment": vars_of(document("x", ())), "shard": data}
    older["usage"] = dict.fromkeys(UsageView.__dataclass_fields__)
    assert not from_json(older, path="x").shard.looked


def test_tags_of_cases_come_along():
    """Those of all parts; documents of earlier versions have none."""
    parts = [replace(PART, tags={case: {"category": case * 2}}) for case in ("c0", "c1")]
    documents = [
        document(name, [result(case)], modules={MODULE: part})
        for name, case, part in zip("ab", ("c0", "c1"), parts, strict=True)
    ]
    assert combine(documents).shard.modules[MODULE].tags == {
        "c0": {"category": "c0c0"},
        "c1": {"category": "c1c1"},
    }
    assert round_trip(documents[0].shard).modules[MODULE].tags == parts[0].tags
    assert "tags" not in to_json(shard([result()]))["modules"][MODULE]


def test_shards_of_two_apps_of_one_name():
    """Each module has its own, and its own model."""
    documents = []
    for name in ("a", "b"):
        module = f"{name}.py"
        one = result(
            module=module, nodeid=f"{module}::test_a", sample=SampleFacts(models=(name,)), scope=module
        )
        documents.append(document(f"{name}.json", [one], modules={module: PART}))
    assert len(combine(documents).shard.results) == 2


def test_shards_of_two_models():
    """One app with another model is another app; a router's overlap, and without any nothing is known."""

    def parts(*models: tuple[str, ...]) -> list[Document]:
        samples = [SampleFacts(models=each) for each in models]
        return [document(f"{run}.json", [result(run=run, sample=s)]) for run, s in enumerate(samples, 1)]

    with pytest.raises(ShardError, match="contradict each other") as refused:
        combine(parts(("gpt-4.1",), ("gpt-4.1", "small"), ("other",)))
    found = str(refused.value)
    assert found.startswith("1.json and 3.json contradict each other: bot under current was measured with ")
    assert "with gpt-4.1, small in 1.json, 2.json, and with other in 3.json" in found
    for alike in ([("a", "b"), ("b", "c"), ()], [("a",), ("b",), ("a", "b")], [(), ()]):
        assert len(combine(parts(*alike)).shard.results) == len(alike)
