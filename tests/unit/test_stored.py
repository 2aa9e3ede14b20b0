"""What `history` and `show` say of a log, and what they make of hostile text."""

from __future__ import annotations

import csv
import io
import sqlite3
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import stored_logs
from stored_logs import BASELINE, CHECK, COMPARE, HOSTILE, LOST

from pytest_promptune.core.display import columns
from pytest_promptune.core.errors import SettingsError, StoreError
from pytest_promptune.core.model import NodeRun
from pytest_promptune.store.log import Adoption, ExperimentLog, Wanted
from pytest_promptune.stored.history import Wishes, moment, read_history, shortest, to_json
from pytest_promptune.stored.history_lines import history_lines, sparkline
from pytest_promptune.stored.sample_lists import cell, sample_lines, to_csv
from pytest_promptune.stored.showing import experiment_lines, read_experiment


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    """Local time is that of the test."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def location(tmp_path_factory):
    return stored_logs.at(tmp_path_factory.mktemp("log"))


@pytest.fixture
def log(location):
    with ExperimentLog(location) as opened:
        yield opened


def text(lines) -> str:
    return "\n".join(line.text for line in lines)


# -- history ---------------------------------------------------------------------------------------------


def test_each_experiment_is_beside_the_one_before(log):
    """Newest first; variants are beside current; one that was cut off says so and has no values."""
    found = read_history(log, Wishes())
    assert [entry.summary.id for entry in found.entries] == [LOST, COMPARE, CHECK, BASELINE]
    changes = {
        (e.short, v.variant): v.change
        for e in found.entries
        for v in e.values
        if v.name.metric == "test_intent"
    }
    assert changes == {
        ("20261122T10", "current"): 0.0,
        ("20261122T10", "fewshot"): 0.11,
        ("20261121T09", "current"): -0.11,
        ("20261120T08", "current"): None,
    }


def test_the_oldest_of_a_short_list_has_its_change_too(log):
    """What is before it is read, and not shown."""
    found = read_history(log, Wishes(limit=3))
    assert [entry.summary.id for entry in found.entries] == [LOST, COMPARE, CHECK]
    assert found.entries[-1].values[0].before == 0.86


@pytest.mark.parametrize(
    ("wishes", "ids"),
    [
        (Wishes(mode="compare"), [COMPARE]),
        (Wishes(variant="fewshot"), [COMPARE]),
        (Wishes(series=BASELINE), [LOST, COMPARE, CHECK, BASELINE]),
        (Wishes(limit=None, mode="check"), [LOST, CHECK]),
    ],
)
def test_filters(log, wishes, ids):
    """By mode, variant and series."""
    assert [entry.summary.id for entry in read_history(log, wishes).entries] == ids


def test_what_was_adopted(tmp_path):
    """It stands with the experiment whose numbers spoke for it."""
    with ExperimentLog(stored_logs.at(tmp_path)) as log:
        log.adopt(Adoption(experiment=COMPARE, variant="fewshot", at="2026-11-22T12:00:00Z"))
        found = read_history(log, Wishes())
    assert [entry.adopted for entry in found.entries] == [(), ("fewshot",), (), ()]
    assert "adopted: fewshot" in text(history_lines(found, width=120))


def test_metrics_by_name(log):
    """The tests' own, or others by full name or last part; unknown ones are refused with the valid ones."""
    assert [name.metric for name in read_history(log, Wishes()).metrics] == ["test_intent", "test_polite"]
    assert [n.metric for n in read_history(log, Wishes(metrics=["words"])).metrics] == ["test_reply::words"]
    with pytest.raises(SettingsError, match=r"'wrods' is in none.*test_reply::words"):
        read_history(log, Wishes(metrics=["wrods"]))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_table_fits(log, width):
    """At every width; a note is shown whole, the trend is that of the series, oldest first."""
    lines = history_lines(read_history(log, Wishes()), width=width)
    assert max(columns(line.text) for line in lines) <= width
    shown = text(lines)
    assert "interrupted" in shown
    assert "返金の例を二つ足した" in shown
    if width >= 80:
        assert "FAILED" in shown
        assert "fewshot" in shown
        assert "86.0 % +11.0" in shown
        assert "75.0 % ±0.0" in shown
        assert "test_intent  █▁▁  86.0 % → 75.0 %" in shown


def test_a_metric_without_room_is_named(log):
    """Nothing is left out in silence."""
    assert "No room for: test_polite" in text(history_lines(read_history(log, Wishes()), width=50))


def test_all_fields_are_data(log):
    """JSON has what the table leaves out."""
    first, compared = to_json(read_history(log, Wishes()))["experiments"][:2]
    assert (first["status"], first["metrics"]) == ("interrupted", [])
    assert compared["note"] == stored_logs.NOTE
    assert {row["metric"] for row in compared["metrics"]} == {
        "test_intent",
        "test_polite",
        "test_reply::words",
    }
    assert compared["metrics"][0]["ci"] == (0.67, 0.83)


def test_beginnings_of_ids_are_unambiguous():
    """Of one length where that is enough, and longer where two began in the same second."""
    ids = ["20261122T100000-aa", "20261122T100000-ab", "20261121T090000-cc"]
    assert shortest(ids, ids) == ["20261122T100000-aa", "20261122T100000-ab", "20261121"]
    assert shortest(["20260101T000000-a"], ["20260101T000000-a"]) == ["20260101"]


def test_sparklines():
    """From the smallest to the largest value; nothing changes in the middle."""
    assert sparkline([0.1, 0.2, 0.8]) == "▁▂█"
    assert sparkline([0.5, 0.5]) == "▄▄"


def test_moments():
    """Ages and dates; a date is local midnight."""
    now = datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert moment("30d", now=now) == "2026-10-23T10:00:00Z"
    assert moment("12h", now=now) == "2026-11-21T22:00:00Z"
    assert moment("2026-01-31", now=now) == "2026-01-31T00:00:00Z"
    for wrong in ("soon", "d", "-3d", "3", "99999999999d", "2026-13-01", ""):
        with pytest.raises(SettingsError, match="30d"):
            moment(wrong, now=now)


# -- show ------------------------------------------------------------------------------------------------


def test_the_view_of_a_stored_session_is_the_sessions(log):
    """Every number comes back, with the means of cases."""
    assert read_experiment(log, CHECK).view == stored_logs.view_of(CHECK)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_an_experiment_is_shown(log, width):
    """Conditions, note, the session's summary, what variants change, prompts without control characters."""
    lines = experiment_lines(read_experiment(log, COMPARE, prompts=True), verbosity=1, width=width)
    shown = text(lines)
    flat = " ".join(shown.split())
    for words in (
        COMPARE,
        "compare, finished, 2026-11-22 10:00",
        "commit abc1234def on main",
        "two examples for refunds",
        "fewshot against current",
        "Next: adopt",
        "fewshot: five examples; changes analyze_intent.j2 (prompt)",
        "Prompt say.j2 of fewshot",
        "Be kind.<U+001B>[2J",
    ):
        assert " ".join(words.split()) in flat
    assert "\x1b" not in shown
    own = ("$ pytest-promptune",)  # there to be copied, never broken
    assert all(columns(line.text) <= width for line in lines if not line.text.strip().startswith(own))


def test_one_that_was_cut_off(log):
    """It says what there is and what can be done."""
    shown = " ".join(text(experiment_lines(read_experiment(log, LOST), verbosity=1, width=80)).split())
    assert "Interrupted: 1 sample measured, 1 errored, 0 missing; nothing was concluded." in shown
    assert "--promptune-resume" in shown


def test_a_damaged_document_is_told(log, monkeypatch):
    """With the experiment's id and what to do."""
    monkeypatch.setattr(log, "results_of", lambda name: {"format": 1, "mode": "x"})
    with pytest.raises(StoreError, match=rf"experiment {CHECK}: damaged.*measure again"):
        read_experiment(log, CHECK)


def test_a_document_that_is_no_json(tmp_path):
    """The log is damaged: it says what to do."""
    place = stored_logs.at(tmp_path)
    with sqlite3.connect(str(place.path)) as connection:
        connection.execute("UPDATE promptune_manifests SET results = '{broken'")
    connection.close()
    with ExperimentLog(place) as opened, pytest.raises(StoreError, match="It is damaged: move it away"):
        read_experiment(opened, CHECK)


# -- samples ---------------------------------------------------------------------------------------------


def test_samples_by_case_and_variant(log):
    """With what became of their tests; the outcome is the gravest."""
    found = log.lists.samples(COMPARE, Wanted(cases=["c1"], variants=["fewshot"]))
    assert [(s.case_id, s.variant, s.run, s.outcome) for s in found] == [
        ("c1", "fewshot", 1, "passed"),
        ("c1", "fewshot", 2, "missed"),
    ]
    assert [test.test for test in found[0].tests] == ["test_intent", "test_reply"]
    assert log.lists.count(COMPARE, Wanted(missed=True)) == 2
    assert [s.run for s in log.lists.samples(COMPARE, Wanted(missed=True, limit=1))] == [2]


def test_errored_samples_are_missed_too(log):
    """Also those that no test saw."""
    (only,) = log.lists.samples(LOST, Wanted(missed=True))
    assert (only.outcome, only.tests) == ("errored", ())


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(missed=True), Wanted(cases=["c1"])])
def test_outputs_are_not_read_unless_shown(log, wanted, statements):
    """No query names their table."""
    log.lists.samples(COMPARE, wanted)
    log.lists.means([COMPARE, CHECK])
    log.results_of(COMPARE)
    assert statements
    assert not [each for each in statements if "promptune_outputs" in each]
    log.lists.samples(COMPARE, Wanted(outputs=True))
    assert [each for each in statements if "promptune_outputs" in each]


@pytest.fixture
def statements(log):
    """What the database is asked."""
    from sqlalchemy import Engine, event

    asked: list[str] = []

    def listen(connection, cursor, statement, *_):
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", listen)
    yield asked
    event.remove(Engine, "before_cursor_execute", listen)


@pytest.mark.parametrize("width", [30, 80])
def test_samples_in_the_terminal(log, width):
    """Hostile outputs neither move the cursor nor break the list."""
    wanted = Wanted(outputs=True, missed=True)
    lines = sample_lines(log.lists.samples(COMPARE, wanted), total=5, outputs=True, width=width)
    shown = text(lines)
    assert "\x1b" not in shown
    assert max(columns(line.text) for line in lines) <= width
    assert "2 of 5 samples" in shown
    assert "test_intent missed: classified as" in " ".join(shown.split())
    assert "日本語" in shown


@pytest.mark.parametrize("width", [30, 80])
def test_prompts_in_the_terminal(log, width):
    """By node and role, each message cut, long conversations without their middle; harmless like outputs."""
    (found,) = log.lists.samples(COMPARE, Wanted(missed=True, limit=1))
    few = NodeRun(node="ask\x1b[2J", prompts=((("system", HOSTILE),), (("human", "x" * 5000),)))
    talk = NodeRun(node="talk", prompt=tuple(("human", f"message {n}") for n in range(9)))
    asked = replace(found, nodes=(few, talk, NodeRun(node="mute")))
    lines = sample_lines([asked], total=1, outputs=False, prompts=True, width=width)
    shown = text(lines)
    assert "\x1b" not in shown
    assert max(columns(line.text) for line in lines) <= width
    assert 250 < shown.count("x") < 320
    flat = " ".join(shown.split())
    assert "ask (1), system: =HYPERLINK" in flat
    assert "ask (2), human: xxx" in flat
    assert "talk: … 3 more messages" in flat
    assert [n for n in range(9) if f"message {n}" in flat] == [0, 1, 2, 6, 7, 8]
    assert "mute" not in shown
    assert "ask" not in text(sample_lines([asked], total=1, outputs=False, width=width))


def test_samples_of_two_apps_say_whose_they_are(tmp_path):
    """Of one app nobody asks."""
    with ExperimentLog(stored_logs.at(tmp_path)) as log:
        (one,) = log.lists.samples(COMPARE, Wanted(limit=1))
    (alone, _) = sample_lines([one], total=1, outputs=False, width=100)
    assert alone.text.split() == ["case", "variant", "run", "outcome", "latency"]
    other = replace(one, app="second\x1b[31m")
    heads, first, second = sample_lines([one, other], total=2, outputs=False, width=100)[:3]
    assert heads.text.split() == ["app", "case", "variant", "run", "outcome", "latency"]
    assert first.text.split()[0] == one.app
    assert second.text.split()[0].startswith("second")
    assert "\x1b" not in second.text


def test_prompts_are_read_where_they_are_wanted(location, statements):
    """With what the nodes did; no query names them otherwise."""
    with ExperimentLog(location) as log:
        log.lists.samples(COMPARE, Wanted(outputs=True))
        assert not [each for each in statements if ".prompts" in each or ".nodes" in each]
        (found, *_) = log.lists.samples(COMPARE, Wanted(traces=True))
        assert (found.nodes, found.output) == ((), None)
        assert not [
            each for each in statements if "outputs.output" in each.partition("FROM")[0] and "prompts" in each
        ]


def test_csv(log):
    """A row for each sample, metrics and scores in columns, numbers as numbers, formulas defused."""
    written = to_csv(log.lists.samples(COMPARE, Wanted(outputs=True)), outputs=True)
    assert written.startswith("\ufeffapp,case,variant,run,outcome,test_intent,test_reply,test_reply::words,")
    assert written.count("\r\n") == 9
    rows = list(csv.DictReader(io.StringIO(written.removeprefix("\ufeff"), newline="")))
    assert [row["test_intent"] for row in rows] == ["1", "1", "1", "1", "1", "0", "1", "0"]
    assert rows[0]["test_reply::words"] == "3.5"
    assert rows[0]["latency_s"] == "0.25"
    assert "\x1b" not in written
    (lost,) = csv.DictReader(
        io.StringIO(to_csv(log.lists.samples(LOST, Wanted()), outputs=False)[1:], newline="")
    )
    assert lost["error_message"] == '\'=HYPERLINK("http://evil")\n@日本語'
    assert lost["output_tokens"] == ""


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "\x1b[31m="])
def test_no_cell_is_a_formula(beginning):
    """Whatever a text begins with; numbers stay numbers."""
    assert str(cell(f"{beginning}1+1")).startswith("'")
    assert cell(-1.5) == -1.5
    assert cell("a=1") == "a=1"
    assert cell(None) == ""


def test_hostile_text_in_a_cell_stays_one_cell():
    """Quotes, commas and line breaks."""
    assert HOSTILE.split("\x1b")[0] in str(cell("x" + HOSTILE))
