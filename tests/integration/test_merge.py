"""``pytest-promptune merge``: parts that were measured apart are concluded as one run."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_promptune.cli import main

#: Its answers depend on case, run and variant alone, so that any part gives what the whole run gives.
BOT = """
import os
import pytest
from pytest_promptune import Case

CASES = [Case(id=f"c{i:02d}", input={"q": i}, expected={"a": "yes"}, tags={"category": "ab"[i % 2]}) for i in (3, 1, 4, 0, 5, 2)]
_calls = {}


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


def answer(inputs, variant):
    q = inputs["q"]
    if f"c{q:02d}" in os.environ.get("BOT_RAISE", "").split(","):
        raise RuntimeError("the model is confused\\nabout <b>this</b>")
    if f"c{q:02d}" in os.environ.get("BOT_LOSE", "").split(","):
        raise ConnectionError("connection reset by peer")
    worse = variant.context.get("worse", 0) or int(os.environ.get("BOT_WORSE", "0"))
    return {"a": "yes" if (q * 7) % 6 >= worse else f"no \\x1b[31m{q}", "n": q * 1.23456789 + worse}


@pytest.fixture(scope="session")
def bot():
    return lambda variant: (lambda inputs: answer(inputs, variant))
"""

TESTS = """
import pytest
from pytest_promptune import Case, Sample

pytestmark = pytest.mark.promptune(app="bot", runs=3, retries=0)


def test_answer(case: Case, sample: Sample):
    assert sample.output["a"] == case.expected["a"], f"said {sample.output['a']}"


@pytest.mark.parametrize("tone", ["formal", "casual"])
def test_words(case: Case, sample: Sample, tone):
    sample.score("length", len(sample.output["a"]), direction="lower", unit="letters")
    sample.score("value", sample.output["n"] + (tone == "formal"))


@pytest.mark.promptune(gate=["error_rate", "test_class"], runs=2)
def test_class(case: Case, sample: Sample):
    sample.classify(predicted=sample.output["a"][:2], expected="ye")


def test_skipped(case: Case, sample: Sample):
    if case.id == "c03":
        pytest.skip("not this one")
"""

#: What depends on time, on where it ran, or on how often pytest was started.
OF_ONE_SESSION = {"id", "started", "finished", "seconds"}


@dataclass
class Suite:
    """A project whose results can be measured whole and in parts."""

    project: Any
    capsys: pytest.CaptureFixture[str]

    def measure(self, *args: str, name: str = "", **bot: object) -> str:
        """One session; the path of its results."""
        ran = self.project.run("--promptune-gate=off", *args, **bot)
        assert ran.json is not None, ran.text
        path = self.project.path / (name or f"out{self.project._runs}.json")
        path.write_text(json.dumps(ran.json, ensure_ascii=False), encoding="utf-8")
        return str(path)

    def merge(self, *args: str | Path, code: int = 0) -> str:
        """What the command says."""
        self.capsys.readouterr()
        status = main(["merge", "--root", str(self.project.path), *map(str, args)])
        said = self.capsys.readouterr()
        assert status == code, said.out + said.err
        assert "\x1b" not in said.out + said.err
        return said.out + said.err

    def merged(self, *args: str | Path, code: int = 0) -> Any:
        """The results the command writes."""
        path = self.project.path / "merged.json"
        self.merge(*args, "--json", path, code=code)
        return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def suite(project, capsys) -> Suite:
    project.write(
        {
            "conftest.py": BOT,
            "pytest.ini": "[pytest]\n",
            "tests/test_one.py": TESTS,
            "tests/test_two.py": TESTS,
        }
    )
    project.write({"prompts/variants/worse.toml": "[context]\nworse = 4\n"})
    return Suite(project, capsys)


def comparable(results: Any) -> Any:
    """Everything but times and what says how it was run; measured times and their statistics differ always."""
    kept = {k: v for k, v in results.items() if k not in ("shard", "notes", "exit_code", "warnings")}
    kept["experiment"] = {k: v for k, v in results["experiment"].items() if k not in OF_ONE_SESSION}
    for rows in ("metrics", "comparisons"):
        kept[rows] = [row for row in results[rows] if row["kind"] != "latency"]
    outliers = [row for row in results["analysis"]["outliers"] if row["quantity"] != "latency_s"]
    kept["analysis"] = {**results["analysis"], "outliers": outliers}
    kept["gate"] = [{**item, "hint": ""} for item in results["gate"]]
    kept["decision"] = {**results["decision"], "command": ""}
    kept["baselines"] = [{**item, "recorded_at": ""} for item in results["baselines"]]
    return kept


BY_CASES = ["-k=c00 or c01 or c02", "-k=not (c00 or c01 or c02)"]
PARTS = {
    "cases": BY_CASES,
    "three": ["-k=c03", "-k=c01 or c05", "-k=not (c03 or c01 or c05)"],
    "files": ["tests/test_two.py", "tests/test_one.py"],
    "runs": ["-k=run2", "-k=run3 or run1"],
    "tests": ["-k=test_answer or test_words", "-k=test_class or test_skipped"],
    "mixed": ["-k=test_two and c03", "-k=test_one", "-k=test_two and not c03"],
}


@pytest.mark.parametrize("mode", ["check", "compare", "baseline"])
@pytest.mark.parametrize("parts", PARTS)
def test_the_same_as_one_run(suite: Suite, parts: str, mode: str):
    """Metrics, comparisons, gate, errors and decision are those of one run, whatever the parts."""
    if mode != "baseline":
        suite.project.record()
    option = [] if mode == "check" else [f"--promptune-{mode}"]
    bot = {"worse": 2, "raise": "c04", "lose": "c05"}
    shards = [suite.measure(*option, part, **bot) for part in PARTS[parts]]
    for file in suite.project.path.rglob("__promptune__/*.json") if mode == "baseline" else ():
        file.unlink()
    merged = suite.merged(*shards)
    written = {p.name: p.read_text() for p in suite.project.path.rglob("__promptune__/*.json")}
    for file in suite.project.path.rglob("__promptune__/*.json") if mode == "baseline" else ():
        file.unlink()
    whole = suite.project.run("--promptune-gate=off", *option, **bot).json
    one, other = comparable(whole), comparable(merged)
    if parts == "tests":  # each sample was generated twice, which the usage counts
        assert "in each" in " ".join(merged["notes"])
    assert set(one) == set(other)
    for key in one:
        assert differing(other[key], one[key]) == [], key
    if mode == "baseline":
        again = {p.name: p.read_text() for p in suite.project.path.rglob("__promptune__/*.json")}
        assert set(again) == set(written) != set()
        for name in again:
            assert without_times(again[name]) == without_times(written[name])
    if parts != "files":
        assert merged["warnings"] == [*whole["warnings"]]


def differing(one: Any, other: Any) -> list[Any]:
    """Pairs that are not equal, the first few: whole results would be too much to read."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]][:2]
    return [] if one == other else [(one, other)]


def without_times(text: str) -> Any:
    data = json.loads(text)
    data["recorded"]["at"] = ""
    data["scores"].pop("bot::latency_s")
    return data


def test_the_gate_is_decided_when_merging(suite: Suite):
    """Shards run without the gate; `--gate` fails the merge as one run would fail, with the same decisions."""
    suite.project.record()
    shards = [suite.measure(part, worse=4) for part in BY_CASES]
    assert suite.merged(*shards)["gate"] == []
    merged = suite.merged(*shards, "--gate", code=1)
    whole = suite.project.run(worse=4)
    assert whole.code == 1
    one, other = comparable(whole.json), comparable(merged)
    assert other["gate"] == one["gate"]
    assert other["comparisons"] == one["comparisons"]
    assert any(item["failed"] and item["examples"] for item in merged["gate"])
    assert merged["exit_code"] == 1
    said = suite.merge(*shards, "--gate", code=1)
    assert "Gate: failed" in said
    assert "--lf" not in said, "the cache of pytest is not where the merge runs"
    suite.merge(*shards, "--gate", "--gate-rule=off")
    assert suite.merged(*shards, "--gate-rule=regression")["exit_code"] == 0, "told, without --gate"


def test_a_winner_is_adopted_where_its_samples_are(suite: Suite):
    """`adopt` takes one session's samples: the command is given where the log has all, else what is needed."""
    suite.project.write({"prompts/variants/worse.toml": "[context]\nworse = -1\n"})
    cases = "c00 or c01 or c02"
    parts = [
        suite.measure("--promptune-compare", f"-k=test_answer and {part}", worse=4)
        for part in (f"({cases})", f"not ({cases})")
    ]
    said = " ".join(suite.merge(*parts).split())
    assert "$ pytest-promptune adopt" not in said
    assert (
        "Run pytest-promptune adopt worse where one session compared it in all of these cases and the "
        "experiment log has that: pytest --promptune-compare --promptune-variant=worse" in said
    )
    assert suite.merged(*parts)["decision"]["command"] == ""
    suite.measure("--promptune-compare", "-k=test_answer", worse=4)
    assert suite.merged(*parts)["decision"]["command"] == "pytest-promptune adopt worse"
    assert "  $ pytest-promptune adopt worse" in suite.merge(*parts).splitlines()
    shutil.rmtree(suite.project.path / ".promptune")
    assert suite.merged(*parts)["decision"]["command"] == ""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--promptune-strict"], {"failure": "inconclusive"}),
        (["--promptune-gate-cases"], {"failing_cases": ["c00", "c01", "c02", "c03"]}),
        (["--promptune-tolerance=test_answer=0.99"], {"tolerance": 0.99, "failure": None}),
    ],
    ids=["strict", "cases", "tolerance"],
)
def test_rules_beside_the_gate_are_those_of_the_parts(suite: Suite, options: list[str], expected: Any):
    """The merge decides, and says it, as one run with the same options would."""
    suite.project.record()
    shards = [suite.measure(part, *options, worse=4) for part in BY_CASES]
    merged = suite.merged(*shards, "--gate", code=1)
    whole = suite.project.run(*options, worse=4).json
    assert comparable(merged)["gate"] == comparable(whole)["gate"]
    assert comparable(merged)["comparisons"] == comparable(whole)["comparisons"]
    rows = [{key: row[key] for key in expected} for row in merged["comparisons"]]
    assert expected in rows


def test_what_is_merged_can_be_merged_again(suite: Suite):
    """Two and one are as three at once; the report and the JSON are written."""
    suite.project.record()
    a, b, c = (suite.measure(part, worse=2) for part in PARTS["three"])
    at_once = suite.merged(a, b, c, "--gate")
    two = suite.project.path / "two.json"
    report = suite.project.path / "deep" / "report.md"
    said = suite.merge(a, b, "--json", two, "--report", report)
    assert "Items that none of the files measured: " in said
    assert "two.json" in said
    assert "none of the files measured" in report.read_text(encoding="utf-8")
    step_by_step = suite.merged(c, two, "--gate")
    assert comparable(step_by_step) == comparable(at_once)


def test_json_without_a_path(suite: Suite):
    """It is the answer then, the same as the file, and nothing else is printed."""
    suite.project.record()
    shards = [suite.measure(part, worse=4) for part in PARTS["three"]]
    for gate in ([], ["--gate"]):
        answer = suite.merge(*shards, *gate, "--json", code=len(gate))
        assert answer.count("\n") == 1
        assert comparable(json.loads(answer)) == comparable(suite.merged(*shards, *gate, code=len(gate)))
        assert json.loads(answer)["shard"] == suite.merged(*shards, *gate, code=len(gate))["shard"]


def test_measured_results_are_not_written_over(suite: Suite):
    """The path after --json is the file to write: typed before the files to merge it would be the first."""
    suite.project.record()
    a, b = (suite.measure(part) for part in PARTS["three"][:2])
    before = Path(a).read_bytes()
    said = suite.merge("--json", a, b, code=2)
    assert f"{Path(a).name} holds results that were measured (" in said
    assert "Give the files to merge first" in said
    assert Path(a).read_bytes() == before
    merged = suite.project.path / "merged.json"
    suite.merge(a, "--json", merged)
    old = suite.project.path / "old.json"
    old.write_text(
        json.dumps({k: v for k, v in json.loads(before).items() if k != "shard"}), encoding="utf-8"
    )
    assert "holds results that were measured" in suite.merge(a, "--json", old, code=2)  # of an old version
    suite.merge("--json", merged, b)  # of an earlier merge
    assert Path(a).read_bytes() == before


def test_the_order_of_the_files_does_not_matter(suite: Suite):
    """A shell's glob sorts names, not parts."""
    suite.project.record()
    shards = [suite.measure(part, worse=2) for part in PARTS["mixed"]]
    one, other = suite.merged(*shards), suite.merged(*reversed(shards))
    assert comparable(one) == comparable(other)


def test_split_samples_are_told(suite: Suite):
    """Tests of one sample on two machines: the first file's sample counts, the usage is that of both."""
    first = suite.measure("-k", "test_one and test_answer")
    second = suite.measure("-k", "test_one and test_words", **{"raise": "c00"})
    merged = suite.merged(first, second)
    assert any(note.startswith("18 samples had tests in more than one file") for note in merged["notes"])
    rate = next(row for row in merged["metrics"] if row["metric"] == "bot::error_rate")
    assert rate["mean"] == 0
    swapped = suite.merged(second, first)
    rate = next(row for row in swapped["metrics"] if row["metric"] == "bot::error_rate")
    assert rate["mean"] == pytest.approx(1 / 6)


def test_missing_parts_are_told(suite: Suite):
    """What nobody measured is named, with the cases that have fewer runs than others."""
    suite.project.record()
    part = suite.measure("-k", "test_one and (run1 or (run2 and c03))")
    merged = suite.merged(part)
    told = " ".join(merged["warnings"])
    assert "78 in tests/test_two.py" in told.replace("78 of ", "") or "in tests/test_two.py" in told
    assert "Cases with fewer runs than others: c01 of tests/test_one.py (1 of 2 under current)" in told
    assert "Partial session" in told


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (["-k", "c00"], ["-k", "c00 or c01"], ["overlap", "tests/test_one.py::test_answer", "'c00'", "current", "run 1", "28 such items"]),
        (["-k", "c00"], ["-k", "c01", "--promptune-alpha=0.1"], ["alpha", "0.05", "0.1"]),
        (["-k", "c00"], ["-k", "c01", "--promptune-baseline"], ["setting baseline", "False", "True"]),
        (["-k", "c00"], ["-k", "c01", "--promptune-against=other"], ["against", "'main'", "'other'"]),
        (["-k", "c00"], ["-k", "c01", "--promptune-runs=4"], ["runs", "None", "4"]),
        (["-k", "c00"], ["-k", "c01", "--promptune-margin=test_answer=20%"], ["margin", "fraction"]),
        (["-k", "c00"], ["-k", "c01", "--promptune-strict"], ["setting strict", "False", "True"]),
        (["-k", "c00"], ["-k", "c01", "--promptune-gate-cases"], ["setting gate_cases", "False", "True"]),
        (["-k", "c00"], ["-k", "c01", "--promptune-tolerance=test_answer=20%"], ["tolerance", "fraction"]),
        (["-k", "c00"], ["-k", "c01", "--promptune-variant=worse"], ["variant", "worse"]),
        (["-k", "c00", "--promptune-compare"], ["-k", "c01"], ["compare"]),
    ],
)  # fmt: skip
def test_what_contradicts_is_refused(
    suite: Suite, first: Sequence[str], second: Sequence[str], words: Sequence[str]
):
    """Overlapping parts and other conditions: exit 2, both files and both values are named, nothing is written."""
    a, b = suite.measure(*first, name="a.json"), suite.measure(*second, name="b.json")
    said = suite.merge(a, b, "--json", suite.project.path / "merged.json", code=2)
    for word in (*words, "a.json", "b.json"):
        assert word in said
    assert not (suite.project.path / "merged.json").exists()


def test_another_text_of_the_tests_is_refused(suite: Suite):
    """Another test module or another case under the same id is another measurement."""
    a = suite.measure("-k", "c00", name="a.json")
    suite.project.write({"tests/test_one.py": TESTS + "\n# edited\n"})
    b = suite.measure("-k", "c01", name="b.json")
    said = suite.merge(a, b, code=2)
    assert "the hash of tests/test_one.py" in said
    suite.project.write({"tests/test_one.py": TESTS})
    suite.project.write({"conftest.py": BOT.replace('expected={"a": "yes"}', 'expected={"a": "no"}')})
    c = suite.measure("-k", "c00 and test_answer", name="c.json")
    d = suite.measure("-k", "c00 and test_words", name="d.json")
    assert suite.merge(c, d)
    a = suite.measure("-k", "c00 and test_class", name="a.json")
    suite.project.write({"conftest.py": BOT})
    b = suite.measure("-k", "c00 and test_answer", name="b.json")
    said = suite.merge(a, b, code=2)
    assert "case 'c00' of tests/test_one.py" in said


def _edited(suite: Suite, change: Callable[[Any], None], name: str) -> str:
    path = suite.project.path / name
    data = json.loads(Path(suite.measure("-k", "c01")).read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d["experiment"].update(commit="abc"), "commit"),
        (lambda d: d["shard"]["variants"][0].update(fingerprint="sha256:x"), "variant 'current'"),
        (lambda d: d["shard"]["prompts"].update({"x.j2": "sha256:x"}), None),
        (lambda d: d["shard"]["modules"]["tests/test_one.py"]["items"][1]["scores"][0].__setitem__(2, "higher"), "higher is better"),
        (lambda d: d.update(format=2), "format 2"),
        (lambda d: d["shard"].update(format=9), "shard format 9"),
        (lambda d: d.pop("shard"), "no key 'shard'"),
        (lambda d: d.pop("experiment"), "not a results file"),
        (lambda d: d["shard"]["settings"].update(new_rule=1), "new_rule"),
        (lambda d: d["shard"]["settings"].pop("alpha"), "alpha"),
        (lambda d: d["shard"].pop("texts"), "damaged: 'texts' is missing"),
        (lambda d: d["shard"]["modules"]["tests/test_one.py"]["items"][0].update(outcomes="pppppppp"), "damaged"),
        (lambda d: d["shard"]["modules"]["tests/test_one.py"]["items"][0].update(outcomes="?"), "damaged"),
        (lambda d: d["shard"]["modules"]["tests/test_one.py"].update(items=7), "damaged"),
    ],
)  # fmt: skip
def test_files_that_can_not_be_merged(suite: Suite, change: Callable[[Any], None], word: str | None):
    """Another commit, another variant under the name, a newer format, damage: said in one line, exit 2."""
    good = suite.measure("-k", "c00", name="good.json")
    first = json.loads(Path(good).read_text(encoding="utf-8"))
    first["experiment"]["commit"] = "def"
    first["shard"]["settings"] = dict(first["shard"]["settings"])
    Path(good).write_text(json.dumps(first), encoding="utf-8")
    bad = _edited(suite, change, "bad.json")
    said = suite.merge(good, bad, code=0 if word is None else 2)
    assert word is None or (word in said and "bad.json" in said)
    assert "Traceback" not in said


def test_settings_that_make_no_sense_are_damage(suite: Suite):
    """A file is read as carefully as a command line."""
    for key, value in {
        "alpha": 7,
        "gate": "maybe",
        "margin": {"a": "x"},
        "against": "../../etc",
        "runs": "x",
    }.items():
        bad = _edited(suite, lambda d, k=key, v=value: d["shard"]["settings"].update({k: v}), "bad.json")
        assert "damaged: settings" in suite.merge(bad, code=2)


def test_files_that_are_none(suite: Suite, tmp_path_factory):
    """Missing, a folder, empty, no JSON, NaN, binary, one file twice, no files at all."""
    folder = tmp_path_factory.mktemp("files")
    texts = {
        "empty.json": "",
        "half.json": '{"format": 1, "mode',
        "nan.json": '{"a": NaN}',
        "list.json": "[]",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        assert name in suite.merge(folder / name, code=2)
    (folder / "binary.json").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in suite.merge(folder / "binary.json", code=2)
    assert "can't be read" in suite.merge(folder / "none.json", code=2)
    assert "can't be read" in suite.merge(folder, code=2)
    (folder / "deep.json").write_text("[" * 100_000)
    assert "not JSON" in suite.merge(folder / "deep.json", code=2)
    good = suite.measure("-k", "c00")
    assert "the same session" in suite.merge(good, good, code=2)
    assert "FILE" in suite.merge(code=2)
    assert "ends in .md" in suite.merge(good, "--report", "x.pdf", code=2)


def test_the_tests_must_be_there(suite: Suite, tmp_path_factory, capsys):
    """Merging elsewhere would find no baseline and compare nothing in silence."""
    good = suite.measure("-k", "c00")
    capsys.readouterr()
    assert main(["merge", good, "--root", str(tmp_path_factory.mktemp("elsewhere"))]) == 2
    assert "--root" in capsys.readouterr().err


def test_an_interrupted_shard(suite: Suite):
    """It is refused, and taken in on request, with a warning."""
    suite.project.record()
    suite.project.write(
        {"tests/test_one.py": TESTS.replace('pytest.skip("not this one")', 'raise KeyError("x")')}
    )
    cut = suite.measure("-x", "tests/test_one.py", name="cut.json")
    rest = suite.measure("tests/test_two.py", name="rest.json")
    assert "cut.json: the session ended early" in suite.merge(cut, rest, code=2)
    merged = suite.merged(cut, rest, "--allow-partial")
    assert any(text.startswith("Ended early:") for text in merged["warnings"])
    assert any("tests/test_one.py::test_skipped (1 time)" in text for text in merged["warnings"])
    assert any("Partial session" in text for text in merged["warnings"])
    again = suite.project.path / "merged.json"
    assert "ended early" in suite.merge(again, code=2)


def test_an_app_that_never_answered_fails_the_gate(suite: Suite):
    """As in one run: nothing measured is no pass."""
    every = ",".join(f"c{i:02d}" for i in range(6))
    shards = [suite.measure(part, **{"raise": every}) for part in BY_CASES]
    said = suite.merge(*shards, "--gate", code=1)
    assert "gave no output in any of 18 samples" in " ".join(said.split())
    suite.merge(*shards)


JUDGE = """

@pytest.fixture(scope="session")
def judge():
    def evaluate(inputs):
        if os.environ.get("BOT_JUDGE"):
            raise ValueError("no such rubric")
        return {"key": "judge", "score": 0.25 if os.environ.get("BOT_HARSH") else 0.9, "comment": f"of {inputs['q']}"}
    return evaluate
"""


def test_scorers_are_judged_over_all_shards(suite: Suite):
    """A merge fails for a scorer that scored nowhere and quotes one that scored low, as one run does."""
    tests = TESTS.replace("retries=0)", 'retries=0, scorers=["judge"])')
    suite.project.write({"conftest.py": BOT + JUDGE, "tests/test_one.py": tests})
    suite.project.record()
    for how in ({"judge": "raise"}, {"harsh": "yes"}):
        shards = [suite.measure(part, **how) for part in BY_CASES]
        merged = suite.merged(*shards, "--gate", code=1)
        whole = suite.project.run(**how)
        assert whole.code == 1
        assert comparable(merged)["gate"] == comparable(whole.json)["gate"]
        assert comparable(merged)["comparisons"] == comparable(whole.json)["comparisons"]
        (item,) = [item for item in merged["gate"] if item["failed"]]
        assert item["nodeid"] == "tests/test_one.py::bot::gate[bot::judge-current]"
        assert not item["hint"]
        told = [text for text in merged["warnings"] if "The scorer 'judge' gave no score" in text]
        assert told == [text for text in whole.json["warnings"] if "The scorer 'judge'" in text]
    assert item["examples"][0] == "c00: 0.250, of 0 (3 times)"
    some = [suite.measure(BY_CASES[0]), suite.measure(BY_CASES[1], judge="raise")]
    assert suite.merged(*some, "--gate")["warnings"]


def test_shards_of_xdist(suite: Suite):
    """A machine may use its cores; the order of cases and tests is known there, too."""
    pytest.importorskip("xdist")
    suite.project.record()
    shards = [suite.measure("-n2", part, worse=2, plugins=["xdist"], subprocess=True) for part in BY_CASES]
    whole = suite.project.run("--promptune-gate=off", worse=2).json
    assert comparable(suite.merged(*shards)) == comparable(whole)


def test_a_required_baseline_is_required(suite: Suite):
    """Settings of the shards hold for the merge."""
    shards = [suite.measure("--promptune-require-baseline", part) for part in BY_CASES]
    said = suite.merge(*shards, "--gate", code=1)
    assert "require-baseline" in said


def test_foreign_text_stays_text(suite: Suite):
    """Control characters in a file don't reach the terminal, whatever they stand in."""

    def change(data: Any) -> None:
        module = data["shard"]["modules"]["tests/test_one.py"]
        module["items"][0].update(test="t\x1b[2J", metric="t\x1b[2J")
        data["shard"]["notes"] = ["a\x1b[2Jnote"]

    one, other = _edited(suite, change, "one.json"), _edited(suite, change, "other.json")
    assert "<U+001B>[2J" in suite.merge(one, other, code=2)
    assert "\n  anote\n" in suite.merge(one)


def test_a_terminal_without_unicode(suite: Suite, monkeypatch):
    """Signs that the encoding lacks are escaped, not a crash."""
    suite.project.record()
    shard = suite.measure(worse=4)
    with (suite.project.path / "said.txt").open("w", encoding="ascii") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert main(["merge", shard, "--root", str(suite.project.path)]) == 0
    assert "\\u2212" in (suite.project.path / "said.txt").read_text(encoding="ascii")


def test_one_file_is_a_merge_too(suite: Suite):
    """A single machine's results can be gated and reported anew."""
    suite.project.record()
    shard = suite.measure(worse=4)
    whole = suite.project.run("--promptune-gate=off", worse=4).json
    assert comparable(suite.merged(shard)) == comparable(whole)


AGGREGATES = """

def pytest_promptune_aggregates(config):
    return {"mean": lambda samples: samples["test_answer"].mean()}
"""


def test_functions_of_the_tests_are_not_at_hand(suite: Suite):
    """Aggregates of the hook can't be merged: that is said, and a gate on one fails."""
    suite.project.write({"conftest.py": BOT + AGGREGATES})
    suite.project.record("-k=test_one")
    for gates, code in (("", 0), ("mean", 1)):
        named = ["-o", f"promptune_gate_metrics={gates}"] if gates else []
        shards = [suite.measure(part, *named, "tests/test_one.py") for part in BY_CASES]
        assert json.loads(Path(shards[0]).read_text())["shard"]["aggregates"] == ["mean"]
        merged = suite.merged(*shards, "--gate", code=code)
        assert any("Not computed: mean of pytest_promptune_aggregates" in w for w in merged["warnings"])
        failed = [item["nodeid"] for item in merged["gate"] if item["failed"]]
        assert failed == (["tests/test_one.py::bot::aggregate[bot::mean]"] if gates else [])
