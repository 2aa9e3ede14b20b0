"""``pytest-promptune history``, ``show`` and ``baseline``: what sessions left behind."""

from __future__ import annotations

import csv
import json

import pytest
import stored_logs
from stored_logs import BASELINE, CHECK, COMPARE, LOST

from pytest_promptune.cli import main

ASKING = """
import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langgraph.graph import START, StateGraph
from pytest_promptune import Case


@pytest.fixture(scope="session")
def app():
    model = FakeListChatModel(responses=["hi"])

    def answer(state):
        said = [("system", "Be kind.\\x1b[2J"), ("human", state["name"] + " says\\n::set-output name=a::b")]
        return {"a": model.invoke(said).text}

    return StateGraph(dict).add_node("answer", answer).add_edge(START, "answer").compile()


@pytest.mark.promptune(app="app", runs=1)
@pytest.mark.parametrize("case", [Case(id="a", input={"name": "Ada"})], ids=str)
def test_it(case, sample):
    assert sample.output["a"] == "hi"
"""


@pytest.fixture
def ask(monkeypatch, tmp_path, capsys):
    """Run a command in a folder; its output, or its errors where it fails."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        try:
            status = main(list(words))
        except SystemExit as done:
            status = int(str(done.code))
        out, err = capsys.readouterr()
        assert status == code, out + err
        assert (err == "") is (code < 2)
        return out + err

    return run


@pytest.fixture
def filled(tmp_path, ask):
    stored_logs.at(tmp_path)
    return ask


def test_sessions_are_shown_again(bot, ask, monkeypatch):
    """What a real session says in the terminal, `show` says again; history has a row for each."""
    monkeypatch.chdir(bot.path)
    bot.record("--promptune-note=the start")
    checked = bot.run("--promptune-alpha=0.1", "-v", miss="c00,c01,c02,c03,c04,c05")
    shown = ask("show", "-q")
    assert checked.code == 1
    summary = [text for text in shown.splitlines() if "regressed" in text]
    assert summary
    assert all(text.strip() in checked.out for text in summary)
    found = json.loads(ask("history", "--json"))["experiments"]
    assert [(each["mode"], each["note"]) for each in found] == [("check", None), ("baseline", "the start")]
    value = next(row for row in found[0]["metrics"] if row["metric"] == checked.json["metrics"][0]["metric"])
    assert value["mean"] == checked.json["metrics"][0]["mean"]
    assert value["before"] > value["mean"]
    stored = json.loads(ask("show", "--json"))["results"]
    assert stored.pop("case_means")["metrics"]
    assert stored == checked.json | {"shard": None} or stored == {
        key: value for key, value in checked.json.items() if key != "shard"
    }


def test_history_in_words(filled):
    """Newest first, with notes and the number of others."""
    text = filled("history", "-n", "2", "--mode", "check")
    assert text.index("interrupted") < text.index("FAILED")
    assert "2 of 4 experiments" in text


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["history", "--prune"], "says not what goes"),
        (["history", "--keep", "3"], "Give it, too"),
        (["history", "--dry-run"], "Give it, too"),
        (["history", "--prune", "--keep", "-1"], "no whole number"),
        (["history", "--prune", "--older-than", "soon"], "Give 30d"),
        (["history", "--mode", "guess"], "invalid choice"),
        (["history", "--metric", "guess"], "Valid: test_intent"),
        (["history", "--series", "2099"], "no experiment '2099'"),
        (["history", "--store", ""], "is empty"),
        (["history", "--store", "sqlite:///none.db"], "there is no experiment log"),
        (["history", "--store", "mysql://db/x"], "--store: 'mysql://db/x' is not a place"),
        (["show", "--root", "nowhere"], "nowhere is no folder"),
        (["baseline", "list", "--root", "nowhere"], "nowhere is no folder. Give the root"),
        (["baseline", "show", "main", "--root", "nowhere"], "nowhere is no folder"),
        (["baseline", "rm", "main", "--root", "nowhere"], "nowhere is no folder"),
        (["show", "2099"], "no experiment '2099'"),
        (["show", "2026"], "begins several experiments"),
        (["show", "--missed"], "Give --samples"),
        (["show", "--csv", "x.csv", "--all"], "leave out"),
        (["show", "--csv", "x.csv", "--prompts"], "no rendered prompts"),
        (["history", "--variant", "nope"], "Valid: current, fewshot"),
        (["show", COMPARE, "--samples", "--variant", "nope"], "Valid: current, fewshot"),
        (["show", COMPARE, "--samples", "--variant", "current", "--variant", "nope"], "measure 'nope'"),
        (["show", COMPARE, "--samples", "--case", "c1", "--case", "C99"], "no case 'C99'. Valid: c0, c1"),
        (["show", COMPARE, "--csv", "x.csv", "--case", "C99"], "no case 'C99'. Valid: c0, c1"),
        (["show", f"{COMPARE}:nope"], "Valid: current, fewshot"),
        (["show", "2099:current"], "no experiment '2099'"),
        (["show", f"{COMPARE}:"], "ID:VARIANT"),
        (["baseline", "show", "main"], "There is none below the root"),
        (["baseline", "rm", "../x"], "no baseline has this name or path"),
    ],
)
def test_wrong_questions(filled, words, reason):
    """Exit status 2 and what would be right; nothing is thrown away."""
    assert reason in filled(*words, code=2)
    assert len(json.loads(filled("history", "--json"))["experiments"]) == 4


@pytest.mark.parametrize(
    "words", [["history"], ["baseline", "list"], ["show"], ["report"], ["compare", "a", "b"]]
)
def test_a_log_that_cant_be_read(filled, tmp_path, words, bot):
    """The error names the option that the command has, not that of pytest."""
    if words[0] == "baseline":
        bot.record()
    (tmp_path / "torn.db").write_bytes(b"no database at all" * 100)
    said = filled(*words, "--store", f"sqlite:///{tmp_path}/torn.db", "--root", str(bot.path), code=2)
    assert "or give --store another place" in said
    assert "--promptune-store" not in said


def test_a_log_that_is_empty(filled, tmp_path):
    """So does that of a file without tables."""
    (tmp_path / "empty.db").touch()
    said = filled("history", "--store", "sqlite:///empty.db", code=2)
    assert "no experiment log yet. Run pytest first, or check --store." in said


def test_prune(filled):
    """A dry run says what goes and leaves it; then it goes, and what is kept is whole."""
    would = json.loads(
        filled("history", "--prune", "--older-than", "2026-11-21T12:00Z", "--force", "--dry-run", "--json")
    )
    assert would == {"pruned": [CHECK, BASELINE], "needed": [], "count": 2, "dry_run": True}
    assert len(json.loads(filled("history", "--json"))["experiments"]) == 4
    kept = filled("history", "--prune", "--keep", "3", "--dry-run")
    assert kept.startswith("0 experiments would go."), "the baseline of the newest is needed"
    assert "1 experiment stays, since later sessions may ask for it" in " ".join(kept.split())
    assert " ".join(kept.split()).endswith(f"--force prunes it, too. {BASELINE}")
    assert json.loads(filled("history", "--prune", "--keep", "0", "--dry-run", "--json"))["needed"] == [
        LOST,
        BASELINE,
    ]
    text = filled("history", "--prune", "--keep", "3", "--force")
    assert text == f"1 experiment pruned.\n  {BASELINE}\n"
    assert [e["id"] for e in json.loads(filled("history", "--json"))["experiments"]] == [LOST, COMPARE, CHECK]
    assert "0 experiments would go." in filled("history", "--prune", "--keep", "3", "--dry-run")


def test_last_is_the_default(filled):
    """An id, its beginning or nothing."""
    assert LOST in filled("show")
    assert COMPARE in filled("show", "20261122T10")
    assert "Be kind." in filled("show", COMPARE, "--prompts")
    assert "Be kind." not in filled("show", COMPARE)


def test_samples(filled, tmp_path):
    """As a list, as data, and as a spreadsheet."""
    assert "4 of 8 samples" in filled("show", COMPARE, "--samples", "-n", "4")
    data = json.loads(filled("show", COMPARE, "--samples", "--missed", "--json"))
    assert (data["total"], len(data["samples"])) == (2, 2)
    assert "output" not in data["samples"][0]
    assert data["samples"][0]["tests"][0]["outcome"] == "missed"
    text = filled("show", COMPARE, "--csv", "samples.csv", "--variant", "fewshot")
    assert text == f"Written: samples.csv, 4 samples of {COMPARE}\n"
    with (tmp_path / "samples.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["variant"] for row in rows} == {"fewshot"}


def test_one_variant_of_an_experiment(filled):
    """Named as `compare` has it: its samples, as --variant lists them."""
    rows = filled("show", COMPARE, "--samples", "--variant", "fewshot")
    assert filled("show", f"{COMPARE}:fewshot") == rows
    assert "current" not in rows
    assert "4 samples" in filled("show", f"{COMPARE}:fewshot", "--csv", "one.csv")


def test_names_that_were_planned_are_no_mistake(filled):
    """The session was cut off before it came to them."""
    assert "No sample is like that" in filled("show", LOST, "--samples", "--case", "c1")
    assert "No experiment of 4 is like that" in filled("history", "--variant", "fewshot", "--mode", "check")


def test_prompts_of_samples(ask, monkeypatch, project):
    """What models were asked, by node, in words and as data with what the nodes did."""
    project.write(test_asking=ASKING)
    monkeypatch.chdir(project.path)
    ran = project.run()
    assert ran.code == 0, ran.text
    shown = ask("show", "--samples", "--prompts")
    assert "answer, system: Be kind." in shown
    assert "answer, human: Ada says ::set-output name=a::b" in shown
    assert "\x1b" not in shown
    assert "Be kind." not in ask("show", "--samples", "--outputs")
    (sample,) = json.loads(ask("show", "--samples", "--outputs", "--json"))["samples"]
    assert sample["prompts"] == {
        "answer": [
            [
                {"role": "system", "text": "Be kind.\x1b[2J"},
                {"role": "human", "text": "Ada says\n::set-output name=a::b"},
            ]
        ]
    }
    (node,) = sample["nodes"]
    assert (node["node"], node["calls"], node["answers"][0]["text"]) == ("answer", 1, "hi")
    (sample,) = json.loads(ask("show", "--samples", "--json"))["samples"]
    assert not {"prompts", "nodes", "output"} & set(sample)


# -- baselines -------------------------------------------------------------------------------------------


@pytest.fixture
def baselines(bot, ask, monkeypatch):
    monkeypatch.chdir(bot.path)
    bot.record()
    bot.record("--promptune-against=other")
    return ask


def test_baselines_are_listed(bot, baselines):
    """Damaged ones and those without a test module are told, and don't stop the list."""
    (bot.path / "__promptune__" / "gone.main.json").write_text(bot.baseline.read_text())
    (bot.path / "__promptune__" / "test_bot.bad.json").write_text("<<<<<<< ours\n")
    text = baselines("baseline", "list", code=1)
    assert "main: __promptune__/test_bot.main.json" in text
    assert "unfinished merge" in text
    assert "no test module gone.py" in text
    found = json.loads(baselines("baseline", "list", "--json", code=1))
    assert [(each["name"], each["has_module"]) for each in found] == [
        ("main", False),
        ("bad", True),
        ("main", True),
        ("other", True),
    ]
    assert found[1]["problem"]
    assert found[3]["cases"] == len(bot.baseline_json()["cases"])


def test_cases_that_changed_since_are_told(bot, baselines):
    """As newer experiments measured them; without any nothing is known."""
    path = bot.path / "__promptune__" / "test_bot.other.json"
    content = json.loads(path.read_text())
    content["recorded"]["at"] = "2020-01-01T00:00:00Z"
    content["cases"]["c00"] = "sha256:other"
    content["cases"]["zz"] = "sha256:gone"
    path.write_text(json.dumps(content))
    (one,) = json.loads(baselines("baseline", "show", "other", "--json"))
    assert (one["changed"], one["gone"]) == (["c00"], ["zz"])
    text = baselines("baseline", "show", "other")
    assert "1 case with other contents since: c00" in text
    assert "1 case not measured since: zz" in text
    (main_,) = json.loads(baselines("baseline", "show", "main", "--json", "--store="))
    assert (main_["changed"], main_["gone"]) == (None, None)


def test_a_baseline_is_shown(bot, baselines):
    """Means and flaky cases of its metrics, by name or path."""
    content = bot.baseline_json()
    metric = "test_answer"
    content["scores"][metric]["c00"] = [1, 0, None]
    bot.baseline.write_text(json.dumps(content))
    (one,) = json.loads(baselines("baseline", "show", "__promptune__/test_bot.main.json", "--json"))
    row = next(each for each in one["metrics"] if each["metric"] == metric)
    cases = len(content["scores"][metric])
    assert row["flaky"] == ["c00"]
    assert row["mean"] == pytest.approx((cases - 1 + 0.5) / cases)
    assert f"flaky ({metric}): c00" in baselines("baseline", "show", "main")


def test_a_baseline_is_removed(bot, baselines):
    """By name or path; what isn't one is refused and stays, as are files elsewhere."""
    stray = bot.path / "__promptune__" / "notes.json"
    stray.write_text("{}")
    assert "not a baseline file" in baselines("baseline", "rm", str(stray), code=2)
    assert "no baseline" in baselines("baseline", "rm", "pytest.ini", code=2)
    assert stray.exists()
    assert json.loads(baselines("baseline", "rm", "main", "--json")) == {
        "removed": ["__promptune__/test_bot.main.json"]
    }
    assert not bot.baseline.exists()
    stray.unlink()
    baselines("baseline", "rm", "__promptune__/test_bot.other.json")
    assert not bot.baseline.parent.exists()
    assert "No baselines." in baselines("baseline", "list")
