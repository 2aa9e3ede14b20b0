"""Options once: what is typed, what the ini file says, and what is refused."""

from typing import Any

import pytest

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.runs import RunRange
from pytest_promptune.settings import DEFAULT_CONCURRENCY, DEFAULT_REPORT, SPECS, Settings, read


def given(typed: dict[str, Any] | None = None, **ini: Any) -> Settings:
    """Settings from the command line by field, and from the ini file by field."""
    written = {f"promptune_{name}": value for name, value in ini.items()}
    return read((typed or {}).get, written.get)


def refused(typed: dict[str, Any] | None = None, **ini: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        given(typed, **ini)
    return str(caught.value)


def test_nothing_given():
    """The defaults of the documentation."""
    found = given()
    assert found == Settings()
    assert (found.mode, found.against, found.runs, found.gate, found.alpha) == (
        "check",
        "main",
        None,
        "regression",
        0.05,
    )
    assert (found.concurrency, found.report, found.margin) == (DEFAULT_CONCURRENCY, (DEFAULT_REPORT,), {})
    assert not any((found.runs_override, found.margin_override, found.require_baseline, found.one_change))
    assert (found.tolerance, found.strict, found.gate_cases, found.baseline_runs) == ({}, False, False, None)


def test_defaults_are_not_shared():
    """A table of one session is no table of the next."""
    assert Settings().margin is not Settings().margin


@pytest.mark.parametrize(
    ("typed", "mode"), [({}, "check"), ({"baseline": True}, "baseline"), ({"compare": True}, "compare")]
)
def test_modes(typed, mode):
    """Neither flag is a check."""
    assert given(typed).mode == mode


def test_the_command_line_wins():
    """What is typed is worth more than what is written."""
    found = given({"against": "dev", "runs": "3"}, against="ini", runs="7", alpha="0.1")
    assert (found.against, found.runs, found.alpha) == ("dev", 3, 0.1)


@pytest.mark.parametrize("name", ["runs", "margin", "tolerance"])
def test_typed_numbers_override(name):
    """Runs, margins and tolerances that are typed are told apart from written ones."""
    value = "3" if name == "runs" else ["a=1"]
    assert getattr(given({name: value}), f"{name}_override")
    assert not getattr(given(**{name: value}), f"{name}_override")


@pytest.mark.parametrize("typed", [None, False, []], ids=repr)
def test_what_was_not_typed(typed):
    """pytest gives None, False or an empty list for options that weren't typed: the ini file counts."""
    assert given({"require_baseline": typed}, require_baseline=True).require_baseline
    assert given({"variant": typed}, variant=["v"]).variant == ("v",)


def test_options_that_are_typed_only():
    """Recording is never a matter of the ini file, the folder of variants never of the command line."""
    assert given(baseline=True).mode == "check"
    assert given({"variants": "elsewhere"}).variants == "prompts/variants"


@pytest.mark.parametrize("name", ["runs", "baseline_runs", "concurrency"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "", "nan", True, 2.0, "1e3"], ids=repr)
def test_whole_numbers(name, value):
    """Counts are whole numbers of at least 1; the option is named as it was given."""
    message = refused({name: value})
    assert message.startswith(f"--promptune-{name.replace('_', '-')}: ")
    assert "a whole number of at least 1" in message
    assert refused(**{name: value}).startswith(f"promptune_{name}: ")


def test_numbers_of_toml():
    """An ini file in TOML gives numbers as numbers."""
    found = given(runs=4, alpha=0.1)
    assert (found.runs, found.alpha) == (4, 0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("runs", 0),
        ("runs", -1),
        ("runs", 1.5),
        ("alpha", 0.9),
        ("alpha", 0.0),
        ("gate", 3),
        ("concurrency", True),
    ],
)
def test_wrong_numbers_of_toml(name, value):
    """A number in a TOML file that makes no sense is refused like a text."""
    message = refused(**{name: value})
    assert message.startswith(f"promptune_{name}: ")
    assert str(value) in message


@pytest.mark.parametrize("value", ["0", "0.5", "0.51", "1", "-0.1", "nan", "inf", "x", ""])
def test_alpha(value):
    """A level is above 0 and below one half."""
    assert "between 0 and 0.5" in refused({"alpha": value})


def test_gate():
    """The three rules, and no other."""
    for value in ("regression", "non-inferiority", "off", " off "):
        assert given({"gate": value}).gate == value.strip()
    assert "regression or non-inferiority or off" in refused({"gate": "none"})


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        ("test_a=0.05", "test_a", 0.05),
        (" test_a = 5% ", "test_a", 0.05),
        ("bot::latency_s=20%", "bot::latency_s", 0.2),
        ("test_a[x=1]=0", "test_a[x=1]", 0.0),
        ("words=50", "words", 50.0),
    ],
)
def test_margins(text, metric, value):
    """METRIC=VALUE, where the metric may hold '=' itself and the value may be a percentage."""
    for name in ("margin", "tolerance"):
        assert getattr(given({name: [text]}), name) == {metric: pytest.approx(value)}
        assert getattr(given(**{name: [text]}), name) == {metric: pytest.approx(value)}


@pytest.mark.parametrize(
    "text", ["test_a", "=1", "test_a=", "test_a=x", "test_a=-1", "test_a=nan", "test_a=inf", "test_a=%", ""]
)
def test_margins_that_make_no_sense(text):
    """A margin without metric or number is refused, with an example."""
    assert "METRIC=VALUE" in refused({"margin": [text]})
    assert "promptune_tolerance: " in refused(tolerance=[text])


def test_the_last_of_two_margins_counts():
    """One metric, two margins: the last one."""
    assert given({"margin": ["a=1", "b=2", "a=3"]}).margin == {"a": 3.0, "b": 2.0}


def test_metrics_that_are_named():
    """Where each stands, and whether it was typed, for margins and tolerances."""
    found = given({"margin": ["a=1"]}, margin=["b=1"], tolerance=["c=1"])
    assert found.named_metrics == [("--promptune-margin", "a", True), ("promptune_tolerance", "c", False)]


@pytest.mark.parametrize("name", ["strict", "gate_cases"])
def test_flags_of_the_gate(name):
    """Typed or written."""
    assert getattr(given({name: True}), name)
    assert getattr(given(**{name: True}), name)
    assert not getattr(given({name: None}), name)


@pytest.mark.parametrize(
    ("typed", "ini", "marked", "expected"),
    [
        ({}, {}, None, 5),
        ({}, {}, 3, 3),
        ({}, {"runs": 7}, None, 7),
        ({}, {"runs": 7}, 3, 3),
        ({"runs": "2"}, {}, 3, 2),
        ({}, {"baseline_runs": 10}, 3, 3),
        ({"compare": True}, {"baseline_runs": 10}, 3, 3),
        ({"baseline": True}, {"baseline_runs": 10}, 3, 10),
        ({"baseline": True}, {"baseline_runs": 10, "runs": 4}, None, 10),
        ({"baseline": True, "baseline_runs": "8"}, {"baseline_runs": 10}, 3, 8),
        ({"baseline": True, "runs": "2", "baseline_runs": "8"}, {}, 3, 2),
        ({"baseline": True}, {}, 3, 3),
    ],
    ids=str,
)
def test_runs_per_case(typed, ini, marked, expected):
    """Typed runs win over everything, the baseline's over the marker, the marker over the ini file."""
    assert given(typed, **ini).runs_of(marked) == expected


@pytest.mark.parametrize("value", ["", "  ", "a/b", "a\\b", "a b", "a:b", "a[b]", "../up", "a.b"])
def test_the_name_of_a_baseline(value):
    """It becomes part of a file's name."""
    assert "--promptune-against" in refused({"against": value})


def test_reports():
    """Markdown paths; an empty value is no report; other kinds are refused."""
    assert given({"report": ["a.md", "b.MARKDOWN"]}).report == ("a.md", "b.MARKDOWN")
    assert given({"report": [""]}).report == ()
    assert "'a.txt' doesn't" in refused({"report": ["a.md", "a.txt"]})


def test_empty_texts():
    """A path of nothing but spaces is none."""
    assert "a non-empty text" in refused({"json": " "})


def test_recording_and_comparing_contradict():
    """One session does one thing."""
    assert "contradict each other" in refused({"baseline": True, "compare": True})


def test_two_variants_need_a_comparison():
    """Without --promptune-compare one variant stands in place of `current`."""
    assert given({"variant": ["a"]}).variant == ("a",)
    assert given({"variant": ["a", "b"], "compare": True}).variant == ("a", "b")
    assert "a, b can be measured together only with" in refused({"variant": ["a", "b"]})


def test_specs():
    """Each option has a flag or a key, a help text, and names made from its field."""
    by_name = {spec.name: spec for spec in SPECS}
    assert len(by_name) == len(SPECS)
    assert by_name["require_baseline"].flag == "--promptune-require-baseline"
    assert by_name["gate_metrics"].ini == "promptune_gate_metrics"
    assert all(spec.help and (spec.on_command_line or spec.in_ini) for spec in SPECS)
    assert "runs_override" not in by_name


def test_settings_are_frozen():
    """Nobody changes what was asked for."""
    with pytest.raises(AttributeError):
        Settings().runs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("typed", "written", "marked", "expected"),
    [
        ({"stage": "quick"}, {}, 7, 1),
        ({"stage": "medium"}, {"runs": "9"}, None, 3),
        ({"stage": "medium", "runs": "3..10"}, {}, 7, RunRange(3, 10)),
        ({"stage": "full"}, {"stage": "quick"}, 7, 7),
        ({}, {"stage": "quick"}, RunRange(3, 10), 1),
    ],
)
def test_runs_of_a_stage(typed, written, marked, expected):
    """They replace those of marker and ini file; what is typed for runs wins."""
    assert given(typed, **written).runs_of(marked) == expected


@pytest.mark.parametrize("stage", ["quick", "medium"])
def test_a_part_is_no_baseline(stage):
    """Wherever the stage was given; the whole suite is one."""
    assert "Add --promptune-stage=full" in refused({"baseline": True}, stage=stage)
    assert given({"baseline": True, "stage": "full"}, stage=stage).mode == "baseline"
