"""What is written to the experiment log is read back: on SQLite, and on PostgreSQL where it is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from log_samples import CONDITIONS, LOST, finish, manifest, result, sample, write
from sqlalchemy import text

from pytest_promptune.core.errors import SettingsError, StoreError
from pytest_promptune.core.model import Answer, ModelCall, NodeRun, SampleError, Usage
from pytest_promptune.core.nodes.facts import NodeFacts
from pytest_promptune.core.redaction import REDACTED
from pytest_promptune.core.results import SampleFacts
from pytest_promptune.store.log import (
    Adoption,
    ExperimentLog,
    LoggedCase,
    LogWriter,
    conditions_hash,
    differences,
    locate,
    processes,
    sample_from_json,
    sample_to_json,
)


def test_samples_come_back(location):
    """With output, error, usage, nodes and prompts; whatever texts a model gives."""
    samples = [
        sample(),
        sample(run=2, output=None, error=SampleError(type="ValueError", message="no \ud800 \0 é")),
        sample("c1", output="lone \ud800, NUL \0", usage=Usage(), nodes=(), latency_s=None),
        sample("c1", run=2, output=None),
        sample("c1", run=3, output=2**70),
    ]
    writer = write(location, *samples)
    with ExperimentLog(location) as log:
        found = list(log.samples("last"))
        assert [each.record.output for each in found] == [each.record.output for each in samples]
        assert found[0] == samples[0]
        assert str(found[1].record.error) == "ValueError: no \\ud800 \\x00 é"
        assert found[2:] == samples[2:]
        bare = next(log.samples("last", outputs=False)).record
        assert (bare.output, bare.nodes[0].prompt, bare.nodes[0].models) == (None, (), ("m",))
    writer.close()


def test_samples_and_results_of_one_variant(location):
    """Others are not read."""
    kind = sample()
    kind = replace(kind, key=replace(kind.key, variant="kind"))
    writer = write(location, sample(), kind)
    for variant in ("current", "kind"):
        writer.result(result(variant=variant))
    writer.flush()
    with ExperimentLog(location) as log:
        assert [each.key.variant for each in log.samples("last", variant="kind")] == ["kind"]
        assert [each.variant for each in log.results("last", variant="kind")] == ["kind"]
        assert list(log.samples("last", variant="none")) == list(log.results("last", variant="none")) == []
        assert len(list(log.samples("last"))) == len(list(log.results("last"))) == 2
    writer.close()


def test_nodes_come_back(location):
    """With times, retries, errors and the ways in which they call models; a result has none of its own."""
    way = ModelCall(model="m", provider="p", temperature=0.5, max_tokens=9, tools=("t",), site="a.py:3")
    full = NodeRun(
        node="say",
        calls=3,
        latency_s=1.5,
        wall_s=1.25,
        part_s=1.0,
        usage=Usage(input_tokens=1, output_tokens=2, cost_usd=0.5),
        models=("m",),
        errors=1,
        retries=1,
        error_types={"ValueError": 1},
        ways=(way, ModelCall()),
        prompt=(("system", "Be kind."),),
        prompts=((("system", "Be kind."),), (("human", "Why?"),)),
        answers=(
            Answer(text="billing", length=7),
            Answer(text='find({"q": 1})', length=14, way=1, tools=("find",), broken=2, retried=1),
        ),
    )
    one = sample(nodes=(full,), silent=("count", "send"))
    writer = write(location, one)
    nodes = (NodeFacts(node="say", calls=3),)
    writer.result(result(sample=SampleFacts(latency_s=0.25, nodes=nodes)))
    writer.flush()
    with ExperimentLog(location) as log:
        assert next(log.samples("last")) == one
        (found,) = log.results("last")
        assert found.sample == SampleFacts(latency_s=0.25)
    writer.close()


def test_ways_of_calling_models(location):
    """Those of a variant's first runs, by node; other runs have the same, and outputs are not read."""
    cold, warm = ModelCall(model="m", temperature=0.0, tools=("t",)), ModelCall(model="m", temperature=1.0)
    first = NodeRun(node="a", calls=1, ways=(cold, warm)), NodeRun(node="b", calls=0)
    again = NodeRun(node="a", calls=1, ways=(warm,))
    finish(write(location, sample(nodes=first), sample("c1", nodes=(again,)), sample(run=2, nodes=(again,))))
    with ExperimentLog(location) as log:
        assert log.calls_of("last", "current") == [("a", (cold, warm)), ("b", ()), ("a", (warm,))]
        assert log.calls_of("last", "other") == []


def test_nodes_of_an_older_version():
    """Logs from before times and retries were kept can be read: what they don't say is unknown."""
    row, texts = sample_to_json(sample())
    for node in row["nodes"]:
        for name in ("wall_s", "part_s", "retries", "error_types", "ways"):
            del node[name]
    assert texts["prompts"] == {"say": [["system", "Be kind."]]}
    assert sample_from_json([row, texts]) == sample()


def test_answers_are_stored_without_secrets(location):
    """As prompts are."""
    answer = Answer(text="the key is sk-abcdefghijklmnopqrstuvwx", length=38)
    writer = write(location, sample(nodes=(NodeRun(node="say", calls=1, answers=(answer,)),)))
    with ExperimentLog(location) as log:
        ((found,),) = (node.answers for node in next(log.samples("last")).record.nodes)
    writer.close()
    assert found == Answer(text=f"the key is {REDACTED}", length=38)


def test_results_come_back(location):
    """What items contributed is restored as it was."""
    results = [result(), result(run=2, scores={}, classification=None, gate=None, sample=None)]
    writer = write(location)
    for each in results:
        writer.result(each)
    finish(writer)
    with ExperimentLog(location) as log:
        assert list(log.results("last")) == results


def test_the_end_of_an_experiment(location):
    """Counts, verdicts and the results document; the history needs no other table."""
    metric = {"metric": "test_a", "variant": "current", "mean": 0.5, "ci": [0.1, None], "module": "test_a.py"}
    comparison = {"metric": "test_a", "reference": "current", "candidate": "x", "verdict": "regressed"}
    document = {
        "experiment": {"cases": 2, "runs": 3, "variants": ["current", "x"]},
        "metrics": [metric],
        "comparisons": [comparison | {"gate": "failed", "ci": None}],
        "usage": {"cost_usd": 1.0},
    }
    error = SampleError(type="E", message="")
    writer = write(location, sample(), sample(run=2, error=LOST), sample(run=3, error=error), note="first")
    writer.update(commit="abc", branch="main", dirty=True)
    finish(writer, **document)
    with ExperimentLog(location) as log:
        (found,) = log.history()
        assert (found.status, found.exit_code, found.seconds, found.note) == ("finished", 1, 60.0, "first")
        assert (found.commit, found.branch, found.dirty) == ("abc", "main", True)
        assert (found.samples, found.missing, found.errored) == (3, 1, 1)
        assert found.usage == Usage(input_tokens=30, output_tokens=9, cost_usd=1.5)
        assert (found.cases, found.runs, found.variants) == (2, 3, ("current", "x"))
        assert (found.improved, found.regressed, found.gate_failed) == (0, 1, 1)
        assert log.results_of("last") == document
        assert log.trend("test_a") == [(found.id, metric)]
        assert log.conditions_of("last") == CONDITIONS


def test_prompts(location):
    """Each text is kept once, for all variants and experiments."""
    texts = {"current": {"a.j2": "Hi", "b.j2": "Ho"}, "x": {"a.j2": "Hi", "b.j2": "Hey"}}
    for id_ in ("a", "b"):
        finish(write(location, id_=id_, prompts=texts))
    with ExperimentLog(location) as log:
        assert log.prompts_of("b") == texts
        log.prune(keep=1)
        assert log.prompts_of("b") == texts


def test_finding_an_experiment(location):
    """By id, by its beginning, or the newest that called its app; else the message says what to do."""
    for id_ in ("2026-aa", "2026-ab", "2026-a"):
        finish(write(location, id_=id_))
    finish(write(location, id_="2027", replay_of="2026-a"))
    with ExperimentLog(location) as log:
        assert [found.id for found in log.history(2)] == ["2027", "2026-a"]
        assert log.experiment().id == "2026-a"
        assert log.experiment("2026-ab").id == "2026-ab"
        assert log.experiment("2026-a").id == "2026-a"
        for name, words in (("2026-", "begins several"), ("%", "history lists them")):
            with pytest.raises(StoreError, match=words):
                log.experiment(name)


def test_resuming(location, monkeypatch):
    """An experiment that ended early goes on under its id; what the infrastructure lost runs again."""
    writer = write(location, sample(), sample(run=2, error=LOST), prompts={"current": {"a.j2": "Hi"}})
    writer.result(result())
    finish(writer, "interrupted")
    with ExperimentLog(location) as log:
        found = log.newest_interrupted(conditions_hash(CONDITIONS))
        assert found is not None
        assert [each.key.run for each in log.finished_samples(found.id)] == [1]
        assert log.newest_interrupted("sha256:other") is None
        writer = LogWriter(location, manifest(found.id, note="again"), resumes=True)
        writer.sample(sample())  # it is there: left alone
        writer.sample(sample(run=2))
        finish(writer)
        assert [each.key.run for each in log.finished_samples(found.id)] == [1, 2]
        (found,) = log.history()
        assert (found.samples, found.missing, found.status, found.note) == (2, 0, "finished", "again")
        assert found.usage.input_tokens == 20
        assert list(log.results("last")) == []
        assert log.newest_interrupted() is None
        writer = LogWriter(location, manifest(found.id), resumes=True)
        assert "can't be resumed" in (writer.close() or "")


def test_the_plan_stands_until_it_is_measured(location):
    """Cases, runs and variants from the beginning on, and without results to the end; git's old answer until
    the next one."""
    cases = [LoggedCase(module=module, id="c0", hash="sha256:00") for module in ("test_a.py", "test_b.py")]
    planned = {"cases": cases, "runs": 3, "variants": ("current", "b")}
    writer = write(location, sample(), commit="abc", branch="main", dirty=True, **planned)
    with ExperimentLog(location) as log:
        found = log.experiment("last")
        assert (found.cases, found.runs, found.variants) == (1, 3, ("current", "b"))
        finish(writer, "interrupted")
        found = log.experiment("last")
        assert (found.cases, found.runs, found.variants) == (1, 3, ("current", "b"))
        writer = LogWriter(location, manifest(**planned), resumes=True)
        writer.flush()
        assert (log.experiment("last").commit, log.experiment("last").dirty) == ("abc", True)
        writer.update(commit="def", branch=None, dirty=False)
        finish(writer, experiment={"cases": 2, "runs": 1, "variants": ["b"]})
        found = log.experiment("last")
        assert (found.commit, found.branch, found.dirty) == ("def", None, False)
        assert (found.cases, found.runs, found.variants) == (2, 1, ("b",))


def test_who_is_running(location, monkeypatch):
    """While its process lives an experiment runs; then, or without a sign of life, it was interrupted."""
    now = 1000.0
    writer = LogWriter(location, manifest(), clock=lambda: now)
    writer.sample(sample())
    writer.flush()
    later = ExperimentLog(location, clock=lambda: now + processes.STALE_S + 1)
    with ExperimentLog(location, clock=lambda: now) as log, later:
        assert log.history()[0].status == "running"
        assert log.newest_interrupted() is None
        assert later.history()[0].status == "running"  # its process is ours
        second = LogWriter(location, manifest(), resumes=True)
        assert "can't be resumed, it is running" in (second.close() or "")
        with monkeypatch.context() as patch:
            patch.setattr(processes, "this_host", lambda: "elsewhere")
            assert log.history()[0].status == "running"
            assert later.history()[0].status == "interrupted"
        monkeypatch.setattr(processes, "_started", lambda _: None)  # its process died
        assert log.history()[0].status == "interrupted"
        assert log.newest_interrupted() is not None
    writer.close()


def test_pruning(location):
    """Old experiments go with all they have; running ones stay, and nothing goes without being asked."""
    for day in range(1, 5):
        writer = write(location, sample(), id_=f"e{day}", started=f"2026-01-0{day}T00:00:00Z")
        writer.result(result())
        if day > 1:
            finish(writer)
        else:
            running = writer
    with ExperimentLog(location) as log:
        assert log.prune() == []
        assert log.prune(older_than="2026-01-03T00:00:00Z") == ["e2"]
        assert log.prune(keep=1) == ["e3"]
        assert [found.id for found in log.history()] == ["e4", "e1"]
        assert len(list(log.results("e4"))) == 1
    running.close()


def test_no_secret_is_stored(tmp_path):
    """Not in the file, nor in the log that is written ahead."""
    secret = "sk-proj-aB3dE5gH7jK9mN1pQ2rS4tU6"
    location = locate(None, root=tmp_path)
    error = SampleError(type="AuthError", message=f"bad key {secret}")
    writer = write(
        location,
        sample(output={"reply": f"use {secret}", "api_key": "hidden-value"}),
        sample(run=2, error=error),
        options={"store": "postgresql://ann:hidden-value@db/x"},
        prompts={"current": {"a.j2": f"Bearer {secret}"}},
        note=secret,
    )
    writer.result(result(message=secret))
    writer.flush()
    written = b"".join(path.read_bytes() for path in location.path.parent.iterdir())
    assert REDACTED.encode() in written
    assert secret.encode() not in written
    assert b"hidden-value" not in written
    finish(writer, notes=[secret])
    assert secret.encode() not in location.path.read_bytes()


def test_an_output_that_changes_later(tmp_path):
    """What is written is what the app returned, whatever tests do to it; not JSON is an error."""
    location = locate(None, root=tmp_path)
    output = {"a": [1]}
    writer = LogWriter(location, manifest())
    writer.sample(sample(output=output))
    output["a"].append(2)
    writer.sample(sample(run=2, output=object()))
    writer.wait_for(sample(run=2).key)
    writer.wait_for(sample(run=99).key)
    with ExperimentLog(location) as log:
        first, second = log.samples("last")
    assert first.record.output == {"a": [1]}
    assert "not JSON" in second.record.error.message
    assert writer.close() is None
    assert writer.close() is None


def test_where_the_log_is(tmp_path):
    """In a folder that version control leaves alone, or where the URL says; anything else is refused."""
    finish(write(locate(None, root=tmp_path)))
    assert (tmp_path / ".promptune" / ".gitignore").read_text() == "*\n"
    assert locate("sqlite:///logs/a.db", root=tmp_path).path == tmp_path / "logs" / "a.db"
    assert locate(f"sqlite:///{tmp_path}/a.db", root=Path("/x")).path == tmp_path / "a.db"
    server = locate("postgresql://ann:secret@db/x", root=tmp_path)
    assert server.url == "postgresql+psycopg://ann:secret@db/x"
    assert "secret" not in str(server)
    for url in ("log.db", "sqlite://", "sqlite:///:memory:", "mysql://ann:secret@db/x", "postgresql:x"):
        with pytest.raises(SettingsError, match="sqlite:///path") as caught:
            locate(url, root=tmp_path)
        assert "secret" not in str(caught.value)


def test_differences():
    """What changed is named, with values where they say something."""
    after = {"cases": {"c0": "sha256:00", "c1": "sha256:12", "c2": "sha256:22"}, "runs": 5, "model": "m"}
    assert differences(CONDITIONS, after) == [
        "cases.c1: changed",
        "cases.c2: new",
        "model: new",
        "prompts: gone",
        "runs: 5, was 3",
    ]
    assert differences(after, after) == []
    assert conditions_hash(after) != conditions_hash(CONDITIONS)


def test_cases_and_series(location):
    """Contents are stored once; a series knows its experiments and what was adopted of it."""
    case = LoggedCase(
        module="test_a.py", id="c0", hash="sha256:00", tags={"category": "a"}, input={"q": "hi"}, expected="x"
    )
    values = {"series": "sha256:s", "cases": (case,)}
    for id_ in ("e1", "e2"):
        finish(write(location, sample(), id_=id_, note="tried", **values))
    finish(write(location, sample(), id_="e3", series="sha256:other"))
    finish(write(location, sample(), id_="e4", replay_of="e1", **values))
    with ExperimentLog(location) as log:
        assert [(found.id, found.note) for found in log.series_of("sha256:s")] == [
            ("e1", "tried"),
            ("e2", "tried"),
        ]
        assert log.cases_of("e2") == [case]
        assert log.cases_of("e3") == []
        first = Adoption(experiment="e2", variant="few", at="2026-11-22T11:00:00Z")
        log.adopt(first)
        log.adopt(replace(first, commit="abc"))
        assert log.adoptions_of("sha256:s") == [replace(first, commit="abc")]
        assert log.adoptions_of("sha256:other") == []
        log.prune(keep=2, force=True)
        assert log.cases_of("e4") == [case]
        log.prune(keep=0, force=True)
    from pytest_promptune.store.log.opening import open_for_reading

    with open_for_reading(location).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM promptune_contents")).scalar() == 0


def test_baselines_that_were_cut_off_are_not_needed(location):
    """But the newest finished one is, and the newest interrupted experiment: it can be resumed."""
    for id_, mode, status in (
        ("e1", "baseline", "finished"),
        ("e2", "baseline", "finished"),
        ("e3", "baseline", "interrupted"),
        ("e4", "check", "interrupted"),
        ("e5", "check", "finished"),
    ):
        finish(write(location, sample(), id_=id_, mode=mode, series="s"), status)
    finish(write(location, id_="e6", mode="check", series="s"), "interrupted")  # without samples
    finish(write(location, id_="e7", mode="check", series="s"))
    with ExperimentLog(location) as log:
        assert log.still_needed(keep=2) == ["e4", "e2"]
        assert log.still_needed() == []
        assert log.prune(keep=0) == ["e6", "e5", "e3", "e1"]
        assert log.still_needed(keep=0) == ["e7", "e4", "e2"]


def test_what_is_needed_is_kept(location):
    """The newest, its recorded baseline and what was adopted; older baselines and other series go."""
    for id_, mode, series in (
        ("e1", "baseline", "s"),
        ("e2", "compare", "s"),
        ("e3", "baseline", "s"),
        ("e4", "compare", "other"),
        ("e5", "compare", "s"),
        ("e6", "check", "s"),
        ("e7", "check", "s"),
    ):
        replay = "e6" if id_ == "e7" else None
        finish(write(location, sample(), id_=id_, mode=mode, series=series, replay_of=replay))
    with ExperimentLog(location) as log:
        log.adopt(Adoption(experiment="e2", variant="few", at="2026-11-22T11:00:00Z"))
        assert log.prune(keep=0, dry_run=True) == ["e7", "e5", "e4", "e1"]
        assert log.prune(keep=0) == ["e7", "e5", "e4", "e1"]
        assert [found.id for found in log.history()] == ["e6", "e3", "e2"]
        assert log.prune(keep=0) == []
        assert log.prune(keep=0, force=True) == ["e6", "e3", "e2"]
