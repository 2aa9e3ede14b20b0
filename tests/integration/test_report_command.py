"""``pytest-promptune report``: the final report over what sessions stored."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from pytest_promptune import cli
from pytest_promptune.core.codec import sha256
from pytest_promptune.store.log import Adoption, ExperimentLog, locate

Ask = Callable[..., str]

GOALS = "# Goals\n\n| Metric | Target |\n|---|---|\n| Answer | 80 % or higher |\n"

#: The app answers all cases rightly with `kind`, and half of them without.
BOT = """
import jinja2
import pytest
from pytest_promptune import Case

env = jinja2.Environment(loader=jinja2.FileSystemLoader("prompts"))
CASES = [
    Case(id=f"c{i:02d}", input={"q": i}, expected={"a": "yes"}, tags={"category": category})
    for i, category in enumerate(["rare"] + 7 * ["usual"])
]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def bot():
    def answer(inputs):
        text = env.get_template("ask.j2").render()
        right = "kind" in text or inputs["q"] % 2
        return {"a": "yes" if right and "rude" not in text else "no"}

    return answer
"""

TESTS = """
import pytest
from pytest_promptune import Case, Sample

pytestmark = pytest.mark.promptune(app="bot", runs=3, metric="answer")


def test_answer(case: Case, sample: Sample):
    assert sample.output["a"] == case.expected["a"]
"""


#: Another test, which every answer passes.
MORE = """

@pytest.mark.promptune(metric="length")
def test_length(case: Case, sample: Sample):
    assert len(sample.output["a"]) < 9
"""


@pytest.fixture
def suite(project, monkeypatch):
    """An app with a prompt in a file, goals, and two variants: one better, one worse."""
    monkeypatch.chdir(project.path)
    monkeypatch.syspath_prepend(str(project.path))
    project.write(
        {
            "conftest.py": BOT,
            "test_bot.py": TESTS,
            "pytest.ini": "[pytest]\npromptune_jinja_env = conftest:env\n",
            "fine-tune.md": GOALS,
            "prompts/ask.j2": "Answer.",
            "prompts/variants/kind/ask.j2": "Be kind. Answer.",
            "prompts/variants/rude/ask.j2": "Be rude. Answer.",
        }
    )
    return project


@pytest.fixture
def ask(project, capsys) -> Ask:
    """Run a command in the project; its output, or its errors where it fails."""

    def run(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        status = cli.main([*words, "--root", str(project.path)])
        out, err = capsys.readouterr()
        assert status == code, out + err
        assert (err == "") is (code != 2)
        return out + err

    return run


def adopt(suite, variant: str, at: str = "") -> str:
    """What the command ``adopt`` leaves behind; by default, as soon as the experiment began."""
    (suite.path / "prompts" / "ask.j2").write_text(
        (suite.path / "prompts" / "variants" / variant / "ask.j2").read_text()
    )
    with ExperimentLog(locate(None, root=suite.path)) as log:
        found = log.experiment("last")
        at = at or found.started
        log.adopt(Adoption(experiment=found.id, variant=variant, at=at, commit="1a2b3c4d5e"))
    return found.id


def test_from_baseline_to_adoption(suite, ask):
    """Initial and final value with the statistics of a session, the iteration, cases, and what is open."""
    suite.record()
    compared = suite.run("--promptune-compare", "--promptune-note=kind or rude?")
    id_ = adopt(suite, "kind", at="2030-01-01T00:00:00Z")
    assert ask("report") == "Written: promptune-final-report.md\n"
    text = (suite.path / "promptune-final-report.md").read_text(encoding="utf-8")
    assert "- Answer (`answer`): 50.0 % → 100.0 % (+50.0 [" in text
    assert "target 80.0 % or higher: **attained**" in text
    assert "### Iteration 1: `kind`, `rude`" in text
    assert "Note: kind or rude?" in text
    assert "-Answer.\n+Be kind. Answer." in text
    assert "**Decision: `kind` was adopted on 2030-01-01 (commit `1a2b3c4d5e`).**" in text
    assert "Improved: 4, kept: 4, degraded: 0" in text
    assert "**Add cases of `rare`**: 1 of 8 cases, in 2 categories." in text
    assert f"by which the variant was chosen (`{id_}`)" in text
    for name in re.findall(r"\]\((promptune-final-report_files/[^)]*)\)", text):
        assert (suite.path / name).read_text(encoding="utf-8").startswith("<svg")
    assert "promptune-final-report_files/progress-1.svg" in text
    row = next(r for r in compared.json["comparisons"] if (r["candidate"], r["metric"]) == ("kind", "answer"))
    assert row["difference"] == 0.5
    data = json.loads(ask("report", "--json"))
    assert data["iterations"][0]["tried"][0]["comparisons"][0]["p_adjusted"] == row["p_adjusted"]
    final = next(each for each in data["metrics"] if each["name"]["metric"] == "answer")
    assert final["comparison"]["difference"] == 0.5
    assert [point["mean"] for point in data["progress"][0]["points"]] == [0.5, 1.0]
    assert data["progress"][0]["target"] == 0.8


def test_in_japanese(suite, ask):
    """Printed instead of written, too."""
    suite.record()
    suite.run("--promptune-compare")
    adopt(suite, "kind")
    text = ask("report", "--lang", "ja", "--out", "-")
    assert "# プロンプトチューニング最終報告: `bot`" in text
    assert "目標 80.0 % 以上: **達成**" in text
    assert not (suite.path / "promptune-final-report.md").exists()


def test_before_any_iteration(suite, ask):
    """The starting point is the present state; what was recorded before it is named."""
    suite.record()
    text = ask("report", "--out", "-")
    assert "Iterations: 0. Adopted: none. Goals reached: 0 of 1, beyond chance: 0." in text
    assert "1. **Answer: missed**. 50.0 %" in text
    first = suite.run("--promptune-compare").json["experiment"]["id"]
    suite.record()
    text = ask("report", "--out", "-")
    assert "Iterations: 0." in text
    assert "The series has earlier baselines (1)" in text
    assert re.search(r"All of it: `pytest-promptune report --from \S+`\.", text)
    assert "Iterations: 1." in ask("report", "--out", "-", "--from", first)


def test_nothing_adopted_yet(suite, ask):
    """The iteration's results stand there, and the session's suggestion is a recommendation."""
    suite.record()
    suite.run("--promptune-compare")
    text = ask("report", "--out", "-")
    assert "No variant was adopted yet" in text
    assert "These are the cases of `kind` beside `current` in iteration 1" in text
    assert "Improved: 4, kept: 4, degraded: 0" in text
    assert "In the words of the session: “kind is better in answer and worse in no metric" in text
    assert "**Decision: nothing was adopted. Suggested: adopt `kind`.**" in text
    assert "1. **Adopt `kind`**: it was better in iteration 1 (answer 50.0 % → 100.0 %)." in text
    assert "Run `pytest-promptune adopt kind`." in text


def test_an_adopted_variant_that_was_measured_again(suite, ask):
    """Its new samples count, as `current`; a prompt changed by hand since is told instead."""
    suite.record()
    suite.run("--promptune-compare")
    adopt(suite, "kind")
    later = suite.run("--promptune-compare", "--promptune-variant=rude").json["experiment"]["id"]
    text = ask("report", "--out", "-")
    assert f"The final numbers are of `{later}`, measured after the adoption" in text
    assert "### Iteration 2: `rude`" in text
    points = json.loads(ask("report", "--json"))["progress"][0]["points"]
    assert [(each["iteration"], each["adopted"], each["mean"]) for each in points] == [
        (0, None, 0.5),
        (1, "kind", 1.0),
        (2, None, 1.0),
    ]
    assert "- Answer (`answer`): 50.0 % → 100.0 %" in text
    suite.write({"prompts/ask.j2": "By hand."})
    strayed = suite.run().json["experiment"]["id"]
    text = ask("report", "--out", "-")
    assert f"The prompts in `{strayed}` are not those that were adopted" in text
    assert f"The final state is `current` of `{strayed}`." in text
    assert "- Answer (`answer`): 50.0 %, " not in text
    assert "- Answer (`answer`): 50.0 % → 50.0 %" in text


def test_a_check_of_some_tests_is_not_the_final_state(suite, ask):
    """Goals of tests that were left out stay judged by the newest session that measured all; it is told."""
    suite.write({"test_bot.py": TESTS + MORE, "fine-tune.md": GOALS + "| Length | 80 % or higher |\n"})
    suite.record()
    id_ = suite.run("--promptune-compare").json["experiment"]["id"]
    adopt(suite, "kind")
    later = suite.run("-k", "test_length").json["experiment"]["id"]
    text = ask("report", "--out", "-")
    assert "- Answer (`answer`): 50.0 % → 100.0 %" in text
    assert "- Length (`length`): 100.0 % → 100.0 %" in text
    assert f"by which the variant was chosen (`{id_}`)" in text
    assert f"as only some of the metrics were measured: `{later}`." in text
    assert "not judged" not in text
    suite.write({"prompts/ask.j2": "By hand."})
    suite.run("-k", "test_length")
    text = ask("report", "--out", "-")
    assert "- Answer (`answer`): 50.0 % → 100.0 %" in text
    assert "**The app's prompts changed after the final state was measured**" in text


def test_a_variant_that_was_copied_by_hand(suite, ask):
    """Nothing was adopted, and yet the app is another: the newest session says what it is."""
    start = suite.record().json["experiment"]["id"]
    suite.run("--promptune-compare")
    suite.write({"prompts/ask.j2": "Be kind. Answer."})
    last = suite.run().json["experiment"]["id"]
    text = ask("report", "--out", "-")
    assert "- Answer (`answer`): 50.0 % → 100.0 %" in text
    assert f"> The app's prompts changed between `{start}` and `{last}` without an adoption: " in text
    assert f"the final state is `current` of `{last}`." in text
    assert "Adopted: none." in text
    assert "No variant was adopted yet" not in text
    assert "- These prompts of the app differ: ask.j2." in text
    assert "Adopt `kind`" not in text  # it is what stands there
    data = json.loads(ask("report", "--json"))
    assert data["series"]["present"] == {"experiment": last, "variant": "current"}
    assert [(each["iteration"], each["mean"]) for each in data["progress"][0]["points"]] == [
        (0, 0.5),
        (1, 0.5),
        (None, 1.0),
    ]


def test_sessions_that_do_not_count(suite, ask):
    """What runs or ended early is named, and left out."""
    suite.record()
    id_ = suite.run("--promptune-compare").json["experiment"]["id"]
    with sqlite3.connect(suite.path / ".promptune" / "promptune.db") as log:
        log.execute("UPDATE promptune_experiments SET status = 'interrupted' WHERE id = ?", [id_])
    text = ask("report", "--out", "-")
    assert "Iterations: 0." in text
    assert f"Ended early, and not counted: `{id_}`. `pytest --promptune-resume`" in text


def test_a_baseline_that_was_interrupted(suite, ask):
    """Its samples are there: how to go on is said. An experiment without any is begun again."""
    id_ = suite.record().json["experiment"]["id"]
    with sqlite3.connect(suite.path / ".promptune" / "promptune.db") as log:
        log.execute("UPDATE promptune_experiments SET status = 'interrupted'")
    said = ask("report", code=2)
    assert "nothing was measured" not in said
    assert f"experiment {id_} ended early, with 24 samples in the log. Go on with it with pytest" in said
    assert "--promptune-resume --promptune-baseline" in said
    with sqlite3.connect(suite.path / ".promptune" / "promptune.db") as log:
        log.execute("UPDATE promptune_experiments SET samples = 0")
    said = ask("report", code=2)
    assert "promptune-resume" not in said
    assert "nothing was measured; record a baseline with pytest --promptune-baseline" in said


def test_a_killed_baseline_before_a_check(suite, ask):
    """It is named although it isn't the newest; a session that runs still is waited for."""
    id_ = suite.record().json["experiment"]["id"]
    with sqlite3.connect(suite.path / ".promptune" / "promptune.db") as log:
        log.execute("UPDATE promptune_experiments SET status = 'interrupted'")
    suite.run()
    said = ask("report", code=2)
    assert f"experiment {id_} ended early" in said
    assert "pytest --promptune-resume --promptune-baseline" in said
    with sqlite3.connect(suite.path / ".promptune" / "promptune.db") as log:
        log.execute("UPDATE promptune_experiments SET mode = 'check', status = 'finished'")
    assert "only checks were measured" in ask("report", code=2)


def test_other_series_are_named(suite, ask):
    """Sessions on other cases are a series of their own; that with a baseline goes first."""
    recorded = suite.record().json["experiment"]["id"]
    other = suite.run("--promptune-compare", "-k", "c00 or c01").json["experiment"]["id"]
    text = ask("report", "--out", "-")
    assert "The log has other series" in text
    assert f"with `--series`: `{other}`" in text
    assert "| Cases × runs | 8 × 3 |" in text
    text = ask("report", "--out", "-", "--series", other)
    assert "| Cases × runs | 2 × 3 |" in text
    assert "Iterations: 1." in text
    said = ask("report", "--from", other, "--series", recorded, code=2)
    assert "are of different series" in said


def test_a_part_of_a_suite_says_so(suite, ask):
    """What shards measured in the same store: other cases under the same conditions; not what differs."""
    suite.run("--promptune-baseline", "-k", "c00 or c01")
    first = suite.run("--promptune-compare", "-k", "c00 or c01").json["experiment"]["id"]
    assert "part of a suite" not in ask("report", "--out", "-")
    other = suite.run("--promptune-compare", "-k", "c02 or c03").json["experiment"]["id"]
    suite.run("--promptune-compare", "-k", "c04", "--promptune-runs=2")
    suite.run("--promptune-compare", "-k", "c01 or c05")
    suite.run("--promptune-compare", "-k", "c06", "--promptune-against=held-out")
    text = ask("report", "--out", "-")
    assert (
        "**This is a part of a suite**: other sessions measured other cases of the same tests under the same "
        f"conditions, as shards do (`{other}`), and none" in text
    )
    assert f"`{other}`" not in next(line for line in text.splitlines() if "The log has other series" in line)
    assert f"`{first}`" in ask("report", "--out", "-", "--series", other)
    assert "テスト全体の一部" in ask("report", "--lang", "ja", "--out", "-")


def test_several_apps(suite, ask):
    """Each has a table of its own, and the report says that there are several."""
    other = TESTS.replace('app="bot"', 'app="second"').replace('metric="answer"', 'metric="reply"')
    fixture = "\n\n@pytest.fixture(scope='session')\ndef second(bot):\n    return bot\n"
    suite.write({"conftest.py": BOT + fixture, "test_second.py": other})
    suite.record()
    suite.run("--promptune-compare", "--promptune-variant=kind")
    adopt(suite, "kind")
    text = ask("report", "--out", "-")
    assert "# Prompt tuning report: `bot`, `second`" in text
    assert "The series measures several apps: `bot`, `second`." in text
    assert "### `bot`\n" in text
    assert "### `second`\n" in text
    assert "| `reply` | 50.0 % | 100.0 % |" in text


def test_notes_and_texts_of_users_stay_text(suite, ask):
    """A note, a prompt and a case are shown, and mean nothing to Markdown or a terminal."""
    suite.record()
    nasty = "<script>alert(1)</script> | ![x](http://a/b.png) \x1b[31m"
    suite.write({"prompts/variants/kind/ask.j2": f"kind ```\n{nasty}\n# out"})
    suite.run("--promptune-compare", f"--promptune-note={nasty}")
    text = ask("report", "--out", "-")
    assert "\x1b" not in text
    assert "Note: \\<script>alert(1)\\</script> \\| ![x\\](http:\u2060//a/b.png)\n" in text
    assert "````diff" in text
    last = ask("compare", "last", "last:kind")
    assert "\x1b" not in last
    assert "<script>alert(1)</script>" in " ".join(last.split())


def test_what_can_not_be_reported(suite, ask):
    """Clear errors instead of an empty report."""
    assert "there is no experiment log" in ask("report", code=2)
    suite.run()
    assert "There is nothing to report yet" in ask("report", code=2)
    suite.record()
    assert "there is no experiment 'none'" in ask("report", "--from", "none", code=2)
    assert "no such goals file" in ask("report", "--goals", "none.md", code=2)


def test_notes_of_the_baseline_and_of_repeats(suite, ask):
    """All that somebody noted in the series stands in it."""
    suite.record("--promptune-note=as it was")
    suite.run("--promptune-compare", "--promptune-note=first")
    suite.run("--promptune-compare", "--promptune-note=second")
    text = ask("report", "--out", "-")
    assert re.findall(r"^Note: (.*)$", text, re.MULTILINE) == ["as it was", "first", "second"]


def test_a_partial_repeat_does_not_replace_the_measurement(suite, ask):
    """One test of two, or fewer runs, measured again: the report keeps what was measured in full."""
    suite.write({"test_bot.py": TESTS + MORE})
    suite.record()
    whole = suite.run("--promptune-compare").json["experiment"]["id"]
    part = suite.run("--promptune-compare", "-k", "test_length").json["experiment"]["id"]
    fewer = suite.run("--promptune-compare", "--promptune-runs=1").json["experiment"]["id"]
    data = json.loads(ask("report", "--json"))
    assert [each["experiment"] for each in data["iterations"]] == [whole]
    assert [each["experiment"] for each in data["iterations"][0]["repeats"]] == [part, fewer]
    text = ask("report", "--out", "-")
    assert f"`{part}` (metrics 1, cases 8, runs 3), `{fewer}` (metrics 2, cases 8, runs 1)." in text


def test_the_report_says_where_its_numbers_are_from(suite, ask):
    """Hashes as the results file has them, prompts in full as they are in the log, commands that work."""
    suite.record()
    compared = suite.run("--promptune-compare").json["experiment"]
    id_ = adopt(suite, "kind")
    text = ask("report", "--out", "-")
    assert f"| `{compared['conditions']['cases']}` |" in text
    assert f", `test_bot.py {compared['conditions']['tests']}` |" in text
    before, after = sha256("Answer."), sha256("Be kind. Answer.")
    assert f"| `ask.j2 {before}` | `ask.j2 {after}` |" in text
    assert "```\nAnswer.\n```" in text
    assert "```\nBe kind. Answer.\n```" in text
    assert f"`pytest-promptune show {id_} --samples --variant kind`" in text
    assert "kind" in ask("show", id_, "--samples", "--variant", "kind")
    page = ask("report", "--html", "--out", "-")
    assert "<summary>Show the prompts in full (1)</summary>" in page
    assert f"<code>pytest-promptune show {id_} --samples --variant kind</code>" in page


def test_goals_that_mean_nothing_here(suite, ask):
    """Are told, and not silently left out."""
    suite.write({"fine-tune.md": GOALS.replace("Answer", "Politeness")})
    suite.record()
    text = ask("report", "--out", "-")
    assert "**Politeness is not judged**" in text
    assert "Goals reached: 0 of 1, beyond chance: 0." in text
    assert "- Politeness: **not judged**, as no metric" in text
    assert "Goals reached" not in ask("report", "--out", "-", "--goals", "")


def test_outputs_are_not_read(suite, ask):
    """Whatever stands there: the report needs scores alone."""
    suite.record()
    suite.run("--promptune-compare")
    adopt(suite, "kind")
    with sqlite3.connect(suite.path / ".promptune" / "promptune.db") as log:
        assert log.execute("UPDATE promptune_outputs SET output = 'broken'").rowcount > 0
    assert "Iterations: 1." in ask("report", "--out", "-")


def test_damaged_results_are_named(suite, ask):
    """With the experiment, and what to do."""
    suite.record()
    id_ = suite.run("--promptune-compare").json["experiment"]["id"]
    with sqlite3.connect(suite.path / ".promptune" / "promptune.db") as log:
        log.execute("UPDATE promptune_comparisons SET data = '{}'")
    said = ask("report", code=2)
    assert f"The results of experiment {id_} are damaged" in said


def data_of(page: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(data)


def test_the_page_has_the_answers_of_both_states(suite, ask):
    """Side by side, with what became of each case, in the report's language; of no other variant."""
    suite.record()
    suite.run("--promptune-compare")
    adopt(suite, "kind", at="2030-01-01T00:00:00Z")
    ask("report", "--html")
    found = data_of((suite.path / "promptune-final-report.html").read_text(encoding="utf-8"))
    assert found["variants"] == ["Initial", "Final"]
    assert len(found["cases"]) == 8
    even, odd = found["cases"][:2]
    assert (even["id"], even["marks"], odd["marks"]) == ("c00", ["improved", "missed"], [])
    assert even["tags"] == {"category": "rare"}
    assert json.loads(found["texts"][even["input"]]) == {"q": 0}
    said = [(each[0], each[1], json.loads(found["texts"][each[9]])["a"]) for each in even["samples"]]
    assert said == [(state, run, ("no", "yes")[state]) for state in (0, 1) for run in (1, 2, 3)]
    assert [each[0] for each in odd["samples"]] == [0, 0, 0, 1, 1, 1]
    ask("report", "--lang=ja", "--out", "ja.html")
    assert data_of((suite.path / "ja.html").read_text(encoding="utf-8"))["variants"] == ["初期", "最終"]


def test_a_page_before_anything_is_adopted(suite, ask):
    """There is one state, and what it answered."""
    suite.record()
    suite.run("--promptune-compare")
    ask("report", "--html")
    found = data_of((suite.path / "promptune-final-report.html").read_text(encoding="utf-8"))
    assert found["variants"] == ["Initial"]
    assert {len(case["samples"]) for case in found["cases"]} == {3}


def test_only_pages_read_outputs(suite, ask, monkeypatch):
    """And of these only what they show."""
    suite.record()
    suite.run("--promptune-compare")
    id_ = adopt(suite, "kind", at="2030-01-01T00:00:00Z")
    read: list[tuple[str, str | None]] = []
    samples = ExperimentLog.samples

    def counted(self, name, *, outputs=True, variant=None):
        read.append((name, variant))
        return samples(self, name, outputs=outputs, variant=variant)

    monkeypatch.setattr(ExperimentLog, "samples", counted)
    ask("report")
    ask("report", "--json")
    assert read == []
    ask("report", "--html")
    assert [variant for _, variant in read] == ["current", "kind"]
    assert read[1][0] == id_
