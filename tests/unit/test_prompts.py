"""The app's templates, as sessions and plans use them."""

from pathlib import Path

import jinja2
import pytest

from pytest_promptune.core.codec import sha256
from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.model import CURRENT, Change, Variant
from pytest_promptune.prompts import AppPrompts
from pytest_promptune.settings import Settings

ENV = jinja2.Environment(
    loader=jinja2.DictLoader({"intent.j2": "Classify: {{ q }}", "tone.j2": "Calm."}), autoescape=False
)
SPEC = f"{__name__}:ENV"
SHORT = Variant(name="short", templates={"intent.j2": "Short: {{ q }}"}, context={"temperature": 0.5})


@pytest.fixture
def prompts(tmp_path: Path):
    made = AppPrompts(Settings(jinja_env=SPEC), root=tmp_path)
    made.prepare()
    yield made
    made.close()


def test_without_an_environment_there_are_none(tmp_path):
    """Nothing is loaded; a variant that replaces templates can't apply, any other can."""
    prompts = AppPrompts(Settings(), root=tmp_path)
    prompts.prepare()
    assert (prompts.texts(), prompts.hashes(SHORT), prompts.kept_by_modules()) == ({}, {}, None)
    prompts.check(Variant(name="cold", context={"temperature": 0}))
    with pytest.raises(VariantError, match="promptune_jinja_env doesn't say"):
        prompts.check(SHORT)
    prompts.close()


def test_hashes_are_of_the_variants_texts(prompts):
    """What a variant replaces is its own, everything else is that of `current`."""
    assert prompts.texts() == {"intent.j2": "Classify: {{ q }}", "tone.j2": "Calm."}
    current = prompts.hashes(Variant(name=CURRENT))
    assert current == {name: sha256(text) for name, text in prompts.texts().items()}
    assert prompts.hashes(SHORT) == current | {"intent.j2": sha256("Short: {{ q }}")}


def test_a_template_that_is_not_the_apps(prompts):
    """A slip in the name of a template is found before any call."""
    prompts.check(SHORT)
    with pytest.raises(VariantError, match=r"intend\.j2"):
        prompts.check(Variant(name="slip", templates={"intend.j2": "x"}))


def test_described_by_what_is_known(prompts):
    """Templates are compared with those of `current`, context fields with the apps' defaults."""
    template, field = prompts.described(SHORT, {"temperature": 0.0}).changes
    assert (template.target, template.before, template.after) == (
        "intent.j2",
        "Classify: {{ q }}",
        "Short: {{ q }}",
    )
    assert isinstance(field, Change)
    assert (field.target, field.before, field.after) == ("temperature", "0.0", "0.5")
    (only,) = prompts.described(SHORT, {"temperature": 0.5}).changes
    assert only.target == "intent.j2"


def test_templates_that_modules_keep(prompts, monkeypatch):
    """They were loaded once and see no variant: said with where they are."""
    assert prompts.kept_by_modules() is None
    monkeypatch.setitem(globals(), "KEPT", ENV.get_template("tone.j2"))
    assert f"{__name__}.KEPT (tone.j2) was loaded at import" in (prompts.kept_by_modules() or "")


def test_closing_gives_the_environment_back(tmp_path):
    """As if nobody had been there."""
    loader = ENV.loader
    prompts = AppPrompts(Settings(jinja_env=SPEC), root=tmp_path)
    prompts.prepare()
    assert ENV.loader is not loader
    prompts.close()
    assert ENV.loader is loader
