import asyncio
import copy
import gc
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from types import ModuleType

import jinja2
import pytest
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import SandboxedEnvironment

from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.model import Change, Variant
from pytest_promptune.variants.active import applied
from pytest_promptune.variants.reading import (
    TemplateText,
    check_name,
    is_one_change,
    read_variants,
    select,
    with_changes,
)
from pytest_promptune.variants.templates import Templates, captured_templates, load_environment

N = 60


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def unreadable(folder: Path) -> str:
    with pytest.raises(VariantError) as caught:
        read_variants(folder)
    return str(caught.value)


# --- reading --------------------------------------------------------------------------------------


def test_folder_with_templates_and_settings(tmp_path):
    """A folder holds templates by their path inside it, and what variant.toml sets."""
    write(tmp_path / "fewshot" / "intent.j2", "\ufeffClassify: {{ q }}\n")
    write(tmp_path / "fewshot" / "parts" / "deep" / "tone.j2", "calm")
    write(
        tmp_path / "fewshot" / "variant.toml",
        'description = "five examples"\n[context]\ntemperature = 0.0\n[nodes."a/b"]\nprompt = "x {q}"\n'
        '[templates]\n"other.txt" = "y"\n',
    )
    for ignored in (
        "README.md",
        "fewshot/notes.md",
        "fewshot/.swp",
        "fewshot/__pycache__/x.pyc",
        ".git/x.j2",
    ):
        write(tmp_path / ignored, "")

    variants = read_variants(tmp_path)

    assert list(variants) == ["fewshot"]
    variant = variants["fewshot"]
    assert variant.templates == {
        "intent.j2": "Classify: {{ q }}\n",
        "parts/deep/tone.j2": "calm",
        "other.txt": "y",
    }
    assert (variant.name, variant.description) == ("fewshot", "five examples")
    assert variant.context == {"temperature": 0.0}
    assert variant.nodes == {"a/b": {"prompt": "x {q}"}}


def test_single_file(tmp_path):
    """NAME.toml is a variant too, with texts in [templates]."""
    write(tmp_path / "terse.toml", '[templates]\n"intent.j2" = """One\nword."""\n')

    assert read_variants(tmp_path)["terse"].templates == {"intent.j2": "One\nword."}


def test_no_folder_is_no_variants(tmp_path):
    """A project without variants has none; a file in the folder's place is an error."""
    assert read_variants(tmp_path / "variants") == {}
    assert unreadable(write(tmp_path / "file", "")) == (
        f"{tmp_path / 'file'}: not a folder. Give the folder that holds the variants."
    )


def test_reading_needs_no_jinja():
    """Variants are read, chosen and applied without importing jinja2."""
    code = "import sys, pytest_promptune.variants; print('jinja2' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "False"


def test_template_texts_survive_pickling():
    """A text sent to a worker still knows its file."""
    text = TemplateText("hello", "variants/a/x.j2")

    for again in (pickle.loads(pickle.dumps(text)), copy.deepcopy(text)):
        assert (again, again.path) == ("hello", "variants/a/x.j2")


@pytest.mark.parametrize("name", ["current", "baseline"])
def test_reserved_names(tmp_path, name):
    """A variant can't be called like the app as it stands, or like the recorded scores."""
    write(tmp_path / name / "x.j2", "x")

    message = unreadable(tmp_path)

    assert message.startswith(f"{tmp_path / name}: '{name}' is the name of ")
    assert message.endswith("Give the variant another name.")


@pytest.mark.parametrize("name", ["a b", "a[1]", "a::b", "a\tb"])
def test_names_become_test_ids(tmp_path, name):
    """Names with whitespace, brackets or :: are refused, since they become part of test ids."""
    write(tmp_path / f"{name}.toml", "[context]\nx = 1\n")

    assert unreadable(tmp_path) == (
        f"{tmp_path / f'{name}.toml'}: the name {name!r} becomes part of test ids, where whitespace, [, ], / "
        "and :: can't stand. Rename it with letters, digits, - and _."
    )


@pytest.mark.parametrize("name", ["", "a/b", "a\\b"])
def test_names_of_variants_from_hooks(name):
    """Names that no file can have are refused for variants from elsewhere."""
    with pytest.raises(VariantError, match="hook: the name"):
        check_name(name, where="hook")


def test_a_name_with_dashes_and_dots_is_fine(tmp_path):
    """Dashes, dots and non-ASCII letters are allowed."""
    write(tmp_path / "gpt-4.1-ü" / "x.j2", "x")

    assert list(read_variants(tmp_path)) == ["gpt-4.1-ü"]


def test_folder_and_file_of_one_name(tmp_path):
    """a/ and a.toml can't both be the variant a."""
    write(tmp_path / "a" / "x.j2", "x")
    write(tmp_path / "a.toml", "[context]\nx = 1\n")

    assert unreadable(tmp_path) == (
        f"{tmp_path / 'a.toml'}: there is also the folder a/. Keep one of them, or rename one."
    )


def test_variants_that_change_nothing(tmp_path):
    """An empty folder and a file with a description only are refused."""
    (tmp_path / "a").mkdir()
    write(tmp_path / "b.toml", 'description = "later"\n')

    assert unreadable(tmp_path).splitlines() == [
        f"{tmp_path / 'a'}: the variant changes nothing. Add *.j2 templates, or variant.toml with [context], "
        "[nodes] or [templates].",
        f"{tmp_path / 'b.toml'}: the variant changes nothing. Add a table [context], [nodes] or [templates].",
    ]


def test_unknown_keys(tmp_path):
    """An unknown top-level key is named with its line and the nearest known one."""
    write(tmp_path / "a.toml", 'description = "x"\n\n[contxt]\nx = 1\n')
    write(tmp_path / "b.toml", "temperature = 0.0\n")

    assert unreadable(tmp_path).splitlines() == [
        f"{tmp_path / 'a.toml'}:3: unknown key 'contxt'; a variant has description, context, nodes, "
        "templates. Did you mean 'context'?",
        f"{tmp_path / 'b.toml'}:1: unknown key 'temperature'; a variant has description, context, nodes, "
        "templates. Remove it, or put it under [context].",
    ]


@pytest.mark.parametrize(
    ("text", "line"), [("[context]\nx = \n", 2), ('x = """abc\n\n', 3), ("[context\n", 1)]
)
def test_broken_toml(tmp_path, text, line):
    """Broken TOML is reported with its line."""
    path = write(tmp_path / "a" / "variant.toml", text)

    message = unreadable(tmp_path)

    assert message.startswith(f"{path}:{line}: broken TOML: ")
    assert message.endswith("Correct the file.")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("description = 3", ':1: description is not a text. Write description = "…".'),
        ("\ncontext = 3", ":2: context is not a table. Write [context] and its keys below."),
        ("nodes.a = 3", ':1: nodes.a is not a table. Write [nodes."a"] and its keys below.'),
        (
            "[templates]\nintent.j2 = 'x'",
            ':1: templates.intent is not a text. Write "intent" = """…""" (names with dots need quotes).',
        ),
    ],
)
def test_values_of_the_wrong_type(tmp_path, text, what):
    """Each key says what it has to be."""
    path = write(tmp_path / "a.toml", text)

    assert unreadable(tmp_path) == f"{path}{what}"


def test_other_files(tmp_path):
    """A file that would be ignored is an error that says what is read."""
    inner = write(tmp_path / "a" / "intent.txt", "x")
    outer = write(tmp_path / "intent.j2", "x")

    assert unreadable(tmp_path).splitlines() == [
        f"{inner}: not read. A variant's folder holds *.j2 templates and variant.toml; a template with "
        "another extension goes into variant.toml under [templates]. Move the file away.",
        f"{outer}: not a variant. A variant is a folder NAME/ with *.j2 templates or variant.toml, or a "
        "file NAME.toml. Move this file into a variant's folder, or away.",
    ]


def test_a_template_given_twice(tmp_path):
    """The same template as file and in [templates] is ambiguous."""
    path = write(tmp_path / "a" / "x.j2", "x")
    write(tmp_path / "a" / "variant.toml", '[templates]\n"x.j2" = "y"\n')

    assert unreadable(tmp_path) == (
        f"{path}: variant.toml has this template too, under [templates]. Keep one of them."
    )


def test_wrong_encoding(tmp_path):
    """Templates are UTF-8, and a byte that isn't is shown with its line."""
    path = write(tmp_path / "a" / "x.j2", "x\ncaf\xe9", "latin-1")

    assert unreadable(tmp_path) == f"{path}:2: byte 0xe9 is not UTF-8. Save the file as UTF-8."


# --- choosing -------------------------------------------------------------------------------------

SOME = {name: Variant(name=name, context={"x": 1}) for name in ("fewshot", "terse", "json")}


def test_select_by_name():
    """Names give their variants in the order asked for, once each; no names give all."""
    assert [v.name for v in select(SOME, ["json", "terse", "json"])] == ["json", "terse"]
    assert [v.name for v in select(SOME, [])] == ["fewshot", "terse", "json"]


def test_unknown_names_are_shown_with_those_there_are():
    """Every unknown name is reported with close matches, the names there are, and the folder."""
    with pytest.raises(VariantError) as caught:
        select(SOME, ["few-shot", "terse", "cot"], folder=Path("prompts/variants"))

    assert str(caught.value).splitlines() == [
        "variant 'few-shot': unknown. Did you mean 'fewshot'? There are fewshot, terse, json in "
        f"{Path('prompts/variants')}.",
        f"variant 'cot': unknown. There are fewshot, terse, json in {Path('prompts/variants')}.",
    ]


def test_no_variants_says_where_it_looked():
    """Without any variant, the folder and what to put there are named."""
    with pytest.raises(VariantError) as caught:
        select({}, ["fewshot"], folder=Path("prompts"))

    assert str(caught.value) == (
        "variant 'fewshot': there are no variants in prompts. Add a folder fewshot/ with *.j2 templates or "
        "a variant.toml there, or correct the ini key promptune_variants."
    )


# --- what differs ---------------------------------------------------------------------------------


def changes_of(variant: Variant, templates=None, context=None) -> tuple[Change, ...]:
    get = (templates or {}).get
    return with_changes(variant, current_templates=get, current_context=context or {}).changes


def test_changes_of_templates():
    """A template is a change of a prompt, unless its text is that of current."""
    variant = Variant(name="v", templates={"a.j2": "new", "b.j2": "same", "c.j2": "unseen"})

    assert changes_of(variant, {"a.j2": "old", "b.j2": "same"}) == (
        Change(kind="template", target="a.j2", before="old", after="new"),
        Change(kind="template", target="c.j2", before=None, after="unseen"),
    )


def test_changes_of_context():
    """Context fields that equal their default are no change; texts and prompt-like names are prompts."""
    variant = Variant(
        name="v",
        context={
            "system": "Answer.",
            "style": "be very brief",
            "model": "small",
            "temperature": 0,
            "top_p": 0.9,
            "system_temperature": 0.5,
            "prompt_parts": ["a"],
            "flag": True,
        },
    )
    context = {"temperature": 0.0, "top_p": 1.0, "system": "Reply.", "flag": 1}

    assert [(c.kind, c.target, c.before, c.after, c.what) for c in changes_of(variant, None, context)] == [
        ("context", "system", "Reply.", "Answer.", "prompt"),
        ("context", "style", None, "be very brief", "prompt"),
        ("context", "model", None, "small", "parameter"),
        ("context", "top_p", "1.0", "0.9", "parameter"),
        ("context", "system_temperature", None, "0.5", "parameter"),
        ("context", "prompt_parts", None, "['a']", "prompt"),
        ("context", "flag", "1", "True", "parameter"),
    ]


def test_changes_of_nodes():
    """A node's prompt and examples are prompts, its params parameters; the place of the old one is none."""
    node = {
        "template": "old {q}",
        "prompt": "new {q}",
        "few_shot": [["a", "b"]],
        "params": {"temperature": 0.0},
    }

    assert changes_of(Variant(name="v", nodes={"a/b": node})) == (
        Change(kind="node", target="a/b", before="old {q}", after="new {q}"),
        Change(kind="node", target="a/b", before=None, after="few_shot = [['a', 'b']]"),
        Change(kind="node", target="a/b", before=None, after="temperature = 0.0", what="parameter"),
    )
    assert changes_of(Variant(name="v", nodes={"a": {"prompt_from": "x.py:1", "prompt": "p"}})) == (
        Change(kind="node", target="a", before=None, after="p"),
    )


@pytest.mark.parametrize(
    ("expected", "sets"),
    [
        (True, {"templates": {"a.j2": "x"}}),
        (False, {"templates": {"a.j2": "x", "b.j2": "x"}}),
        (False, {"templates": {"a.j2": "x"}, "context": {"temperature": 0.0}}),
        (True, {"context": {"temperature": 0.0, "max_tokens": 16}}),
        (True, {"context": {"classify_system": "Answer."}}),
        (False, {"context": {"classify_system": "Answer.", "classify_temperature": 0.0}}),
        (False, {"context": {"classify_system": "Answer.", "reply_system": "Answer."}}),
        (True, {"nodes": {"a": {"prompt": "x", "few_shot": []}}}),
        (True, {"nodes": {"a": {"params": {"temperature": 0.0, "max_tokens": 16}}}}),
        (False, {"nodes": {"a": {"prompt": "x", "params": {"temperature": 0.0}}}}),
        (False, {"nodes": {"a": {"params": {"t": 0}}, "b": {"params": {"t": 0}}}}),
        (False, {"nodes": {"a": {"params": {"t": 0}}}, "context": {"t": 0}}),
        (False, {}),
    ],
)
def test_one_change(expected, sets):
    """One prompt, or the parameters of one node, is one change; anything more is not."""
    assert is_one_change(Variant(name="v", **sets)) is expected


def test_what_equals_current_does_not_count():
    """A second template that is only a copy of the current one leaves it one change."""
    variant = Variant(name="v", templates={"a.j2": "new", "b.j2": "same"})

    assert not is_one_change(variant)
    assert is_one_change(with_changes(variant, current_templates={"b.j2": "same"}.get, current_context={}))


# --- templates: what an app sees ------------------------------------------------------------------

APP = {
    "reply.j2": "{% extends 'base.j2' %}{% import 'macros.j2' as m %}"
    "{% block body %}{{ m.tag(n) }}/{% include 'outer.j2' without context %}/{{ super() }}{% endblock %}",
    "base.j2": "base:{% block body %}none{% endblock %}",
    "macros.j2": "{% macro tag(n) %}macro{{ n }}{% endmacro %}",
    "outer.j2": "outer({% include 'inner.j2' %})",
    "inner.j2": "inner",
    "plain.j2": "Hello {{ name }}{{ missing }}",
}


def app_env(**options) -> jinja2.Environment:
    return jinja2.Environment(loader=jinja2.DictLoader(APP), **options)


def variant_of(**templates: str) -> Variant:
    texts = {f"{name}.j2": TemplateText(text, f"variants/v/{name}.j2") for name, text in templates.items()}
    return Variant(name="v", templates=texts)


def numbered(i: int) -> tuple[Variant, str]:
    """A variant that shows in an include of an include, a parent, or a macro; the last is current."""
    kinds = [
        ({"inner": f"in{i}"}, f"base:macro7/outer(in{i})/none"),
        ({"base": f"B{i}:{{% block body %}}x{{% endblock %}}"}, f"B{i}:macro7/outer(inner)/x"),
        (
            {"macros": f"{{% macro tag(n) %}}M{i}-{{{{ n }}}}{{% endmacro %}}"},
            f"base:M{i}-7/outer(inner)/none",
        ),
        ({"outer": f"O{i}({{% include 'inner.j2' %}})"}, f"base:macro7/O{i}(inner)/none"),
        ({"reply": f"{{% extends 'base.j2' %}}{{% block body %}}R{i}{{% endblock %}}"}, f"base:R{i}"),
        ({}, "base:macro7/outer(inner)/none"),
    ]
    templates, expected = kinds[i % len(kinds)]
    return variant_of(**templates), expected


ENVIRONMENTS = {
    "default": {},
    "no cache": {"cache_size": 0},
    "small cache": {"cache_size": 1},
    "unlimited cache": {"cache_size": -1},
    "no reload": {"auto_reload": False},
}


@pytest.mark.parametrize("options", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_sixty_variants_in_one_loop(options):
    """60 variants at once in one event loop: each render, includes and parents too, is its own variant's."""
    env = app_env(**options)

    async def render(i: int) -> bool:
        variant, expected = numbered(i)
        with applied(variant):
            for _ in range(3):
                await asyncio.sleep(0)
                if env.get_template("reply.j2").render(n=7) != expected:
                    return False
        return True

    async def main() -> list[bool]:
        return await asyncio.gather(*(render(i) for i in range(N)))

    with Templates(env):
        assert asyncio.run(main()).count(False) == 0


@pytest.mark.parametrize("options", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_sixty_variants_in_threads(options):
    """60 variants at once in 60 threads: the same."""
    env = app_env(**options)
    together = threading.Barrier(N)

    def render(i: int) -> bool:
        variant, expected = numbered(i)
        together.wait()
        with applied(variant):
            return all(env.get_template("reply.j2").render(n=7) == expected for _ in range(3))

    with Templates(env), ThreadPoolExecutor(N) as pool:
        assert list(pool.map(render, range(N))).count(False) == 0


def test_sixty_variants_in_an_async_environment():
    """render_async of an environment with enable_async, too."""
    env = app_env(enable_async=True)

    async def render(i: int) -> bool:
        variant, expected = numbered(i)
        with applied(variant):
            return await env.get_template("reply.j2").render_async(n=7) == expected

    async def main() -> list[bool]:
        return await asyncio.gather(*(render(i) for i in range(N)))

    with Templates(env):
        assert asyncio.run(main()).count(False) == 0


def test_overlays_made_later_see_variants_too():
    """An overlay has a cache of its own, without variants: what it holds declares itself out of date."""
    env = app_env()
    with Templates(env):
        overlay = env.overlay(trim_blocks=True)
        for i in [*range(12), *range(12)]:
            variant, expected = numbered(i)
            with applied(variant):
                assert overlay.get_template("reply.j2").render(n=7) == expected


def test_a_loader_that_gives_the_same_object_again():
    """A loader that keeps Template objects neither mixes variants up nor piles up checks."""
    env = app_env()
    kept = env.get_template("plain.j2")
    kept._uptodate = lambda: True

    class Keeping(jinja2.DictLoader):
        def load(self, environment, name, globals=None):
            return kept

    env.loader = Keeping(APP)
    with Templates(env):
        for i in range(2000):
            with applied(variant_of(inner=str(i))):
                assert env.get_template("plain.j2") is kept
        assert kept._uptodate.original.__name__ == "<lambda>"


def test_loaders_without_source(tmp_path):
    """Precompiled templates are replaced as well; their variables aren't known."""
    app_env().compile_templates(tmp_path / "compiled", zip=None)
    env = jinja2.Environment(loader=jinja2.ModuleLoader(tmp_path / "compiled"))
    with Templates(env) as templates:
        variant = variant_of(plain="Hi {{ nobody|default('x') }}{{ name }}")
        templates.check(variant)
        with applied(variant):
            assert env.get_template("plain.j2").render(name="Bo") == "Hi xBo"
        assert env.get_template("plain.j2").render(name="Bo") == "Hello Bo"
        assert templates.current("plain.j2") is None
        with pytest.raises(VariantError, match="replaces nothing"):
            templates.check(variant_of(nothing="x"))


def test_compiled_once_per_variant(monkeypatch):
    """Interleaved samples of a few variants compile each template once, not at every switch."""
    compiled = []
    plain_compile = jinja2.Environment.compile

    def counting(self, source, name=None, *args, **kwargs):
        compiled.append(name)
        return plain_compile(self, source, name, *args, **kwargs)

    monkeypatch.setattr(jinja2.Environment, "compile", counting)
    env = app_env()
    with Templates(env):
        for _ in range(20):
            for i in range(6):
                with applied(numbered(i)[0]):
                    env.get_template("reply.j2").render(n=7)

    assert len(compiled) <= 6 * len(APP)


def test_edited_files_are_seen_by_current_and_variants(tmp_path):
    """auto_reload stays honest: an edited file is read again."""
    path = write(tmp_path / "a.j2", "one")
    env = jinja2.Environment(loader=jinja2.FileSystemLoader(tmp_path), auto_reload=False)
    with Templates(env):
        assert env.get_template("a.j2").render() == "one"
        path.write_text("two")
        __import__("os").utime(path, (1, 1))
        assert env.get_template("a.j2").render() == "two"
    assert env.auto_reload is False


def test_apps_that_read_the_source_themselves():
    """get_source and list_templates go through the variant; other attributes are the app's loader's."""
    env = app_env()
    with Templates(env) as templates, applied(variant_of(inner="new")):
        assert env.loader.get_source(env, "inner.j2")[:2] == ("new", "variants/v/inner.j2")
        assert env.loader.get_source(env, "outer.j2")[0] == APP["outer.j2"]
        assert env.loader.list_templates() == sorted(APP) == templates.names()
        assert env.loader.mapping is APP
        assert templates.current("inner.j2") == "inner"
        assert templates.current("nothing.j2") is None


def test_templates_chosen_at_render_time():
    """Templates that a variant's text chooses by list or by variable resolve per variant too."""
    variant = variant_of(plain="{% include ['nope.j2', 'inner.j2'] %} {% include name %}", inner="new")

    assert rendered(app_env(), variant, name="outer.j2") == "new outer(new)"


def test_the_cache_is_a_cache():
    """An app that looks into its template cache, or clears it, finds a mapping."""
    env = app_env(cache_size=7)
    with Templates(env), applied(variant_of(inner="new")):
        env.get_template("outer.j2").render()
        assert sorted(name for _, name in env.cache) == ["inner.j2", "outer.j2"]
        key = next(iter(env.cache))
        assert env.cache[key].name == key[1]
        del env.cache[key]
        assert (len(env.cache), env.cache.capacity) == (1, 7)
        env.cache.clear()
        assert len(env.cache) == 0


def test_variants_end_with_their_context():
    """`applied` ends with its block and never reaches other contexts."""
    env = app_env()
    with Templates(env):
        outside = copy_context()
        with applied(variant_of(inner="new")):
            with applied(Variant(name="current")):
                assert env.get_template("inner.j2").render() == "inner"
            assert env.get_template("inner.j2").render() == "new"
            assert outside.run(lambda: env.get_template("inner.j2").render()) == "inner"
        assert env.get_template("inner.j2").render() == "inner"


def test_install_twice_and_uninstall():
    """Wrapping twice is harmless, and the last one to close restores loader, cache and auto_reload."""
    env = app_env(auto_reload=False)
    loader, cache = env.loader, env.cache
    first = Templates(env)
    wrapped = env.loader
    with Templates(env):
        assert env.loader is wrapped
    with applied(variant_of(inner="new")):
        assert env.get_template("inner.j2").render() == "new"

    first.uninstall()
    first.uninstall()

    assert (env.loader, env.cache, env.auto_reload) == (loader, cache, False)
    with applied(variant_of(inner="new")):
        assert env.get_template("inner.j2").render() == "inner"


def test_another_wrapper_is_left_in_place():
    """A loader that someone put around ours stays; without a variant ours only passes on."""
    env = app_env()
    with Templates(env):
        env.loader = outer = jinja2.ChoiceLoader([env.loader])
    gc.collect()

    assert env.loader is outer
    assert env.get_template("inner.j2").render() == "inner"


def test_an_environment_without_loader():
    """Without a loader there is nothing to replace."""
    with pytest.raises(VariantError, match=r"has no loader.*Give it one: Environment\(loader="):
        Templates(jinja2.Environment())


# --- templates: strict and sandboxed --------------------------------------------------------------


def rendered(env: jinja2.Environment, variant: Variant, template: str = "plain.j2", **values) -> str:
    with Templates(env), applied(variant):
        return env.get_template(template).render(**values)


def test_current_renders_as_the_app_has_it():
    """Unchanged templates keep the app's lenient undefined values, also beside a variant."""
    assert rendered(app_env(), variant_of(inner="x"), name="Bo") == "Hello Bo"


def test_undefined_values_name_file_and_line():
    """An undefined value in a variant's template raises with the variant's file and line."""
    env = app_env()
    for variant, name in [
        (variant_of(plain="a\n\n{{ nam }}"), "plain.j2"),
        (variant_of(plain="a\n\n{% if nam %}x{% endif %}"), "plain.j2"),
    ]:
        with pytest.raises(jinja2.UndefinedError) as caught:
            rendered(env, variant, name, name="Bo")
        assert str(caught.value) == (
            "'nam' is undefined (variants/v/plain.j2:3). Variants are strict: pass the value, or allow for "
            "its absence with |default(…)."
        )
    with pytest.raises(jinja2.UndefinedError, match=r"has no attribute 'nam' \(variants/v/inner.j2:2\)"):
        rendered(env, variant_of(inner="\n{{ user.nam }}"), "outer.j2", user={})
    assert rendered(env, variant_of(plain="{{ nam|default('x') }}")) == "x"


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ name.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ [name]|map(attribute='__class__')|first }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ [name]|join(attribute='__class__') }}",
        "{{ [name]|selectattr('__class__')|list }}",
    ],
)
@pytest.mark.parametrize("base", ["alone", "extended"])
def test_variants_are_sandboxed(text, base):
    """A variant's text can't reach Python's internals, not even with an unsandboxed context."""
    env = app_env()
    variant = variant_of(plain=text) if base == "alone" else variant_of(base=text)

    with pytest.raises(jinja2.TemplateError, match="unsafe") as caught:
        rendered(env, variant, "plain.j2" if base == "alone" else "reply.j2", name="Bo", n=7)

    assert f"variants/v/{'plain' if base == 'alone' else 'base'}.j2:1" in str(caught.value)


def test_huge_ranges_are_refused():
    """The sandbox limits range, and leaves the app's own range alone."""
    env = app_env()
    with pytest.raises(OverflowError, match="Range too big"):
        rendered(env, variant_of(plain="{% for i in range(10000000) %}{% endfor %}"))
    assert env.globals["range"] is range


def test_filters_globals_and_options_are_shared():
    """The app's filters, tests, globals (also later ones), syntax and extensions work in variants."""
    env = app_env(
        trim_blocks=True, variable_start_string="[[", variable_end_string="]]", extensions=["jinja2.ext.do"]
    )
    env.filters["shout"] = lambda value: value.upper() + "!"
    env.tests["short"] = lambda value: len(value) < 3
    with (
        Templates(env),
        applied(
            variant_of(
                plain="{% set xs = [] %}\n{% do xs.append(who) %}\n[[ xs[0]|shout ]][[ name is short ]]"
            )
        ),
    ):
        env.globals["who"] = "all"
        assert env.get_template("plain.j2").render(name="Bo") == "ALL!True"
        assert env.get_template("plain.j2", globals={"who": "one"}).render(name="Bo") == "ONE!True"


def test_native_and_sandboxed_environments_stay_what_they_are():
    """A NativeEnvironment gives Python values, and a sandbox of the app's keeps its rules."""

    class Strict(SandboxedEnvironment):
        def is_safe_attribute(self, obj, attr, value):
            return attr != "secret" and super().is_safe_attribute(obj, attr, value)

    native = NativeEnvironment(loader=jinja2.DictLoader(APP))
    strict = Strict(loader=jinja2.DictLoader(APP))

    assert rendered(native, variant_of(plain="{{ [1, 2] }}")) == [1, 2]
    with pytest.raises(jinja2.TemplateError, match="unsafe"):
        rendered(strict, variant_of(plain="{{ name.secret.x }}"), name=type("User", (), {"secret": 1})())


def test_relative_names():
    """An environment that joins paths joins those of variants too."""

    class Relative(jinja2.Environment):
        def join_path(self, template, parent):
            return f"{parent.rpartition('/')[0]}/{template}"

    env = Relative(loader=jinja2.DictLoader({"a/x.j2": "{% include 'y.j2' %}", "a/y.j2": "y"}))
    variant = Variant(name="v", templates={"a/x.j2": "new {% include 'y.j2' %}"})
    with Templates(env) as templates:
        templates.check(variant)
        with applied(variant):
            assert env.get_template("a/x.j2").render() == "new y"


# --- templates: checked before any call -----------------------------------------------------------


def refused(variant: Variant, env: jinja2.Environment | None = None) -> str:
    with Templates(env or app_env()) as templates, pytest.raises(VariantError) as caught:
        templates.check(variant)
    return str(caught.value)


def test_a_good_variant_passes():
    """What the current templates use, what they include, globals and local names are all known."""
    env = app_env()
    env.globals["today"] = "Monday"
    with Templates(env) as templates:
        templates.check(
            variant_of(
                plain="{{ name }} {{ today }} {% for x in range(3) %}{{ loop.index }}{{ x }}{% endfor %}",
                reply="{{ n }}{% include 'inner.j2' %}{% include 'nope.j2' ignore missing %}",
            )
        )


def test_a_template_that_replaces_nothing():
    """A name that the app's loader doesn't know is refused with near ones, or with all there are."""
    assert refused(variant_of(plian="x")) == (
        "variants/v/plian.j2: replaces nothing, the app's loader has no template 'plian.j2'. "
        "Near it: plain.j2. Give it the name, folders included, by which the app loads its template."
    )
    assert "The app has: base.j2, inner.j2, macros.j2, outer.j2, plain.j2, reply.j2." in refused(
        variant_of(zzzzzzzzzzzz="x")
    )
    nested = jinja2.Environment(loader=jinja2.DictLoader({"prompts/intent.md": "x"}))
    assert "Near it: prompts/intent.md." in refused(variant_of(intent="x"), nested)


def test_a_loader_that_cannot_list():
    """Without a list of templates the message does without near names."""
    env = jinja2.Environment(loader=jinja2.FunctionLoader({"a.j2": "x"}.get))

    assert refused(variant_of(b="x"), env) == (
        "variants/v/b.j2: replaces nothing, the app's loader has no template 'b.j2'. "
        "Give it the name, folders included, by which the app loads its template."
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a\n{% if name %}\n", "Unexpected end of template"),
        ("\n{{ name|shout }}", "No filter named 'shout'"),
    ],
)
def test_syntax_errors(text, what):
    """Text that doesn't compile is refused with file and line."""
    message = refused(variant_of(plain=text))

    assert message.startswith("variants/v/plain.j2:2: ")
    assert what in message
    assert message.endswith("Correct the template.")


def test_unknown_variables():
    """A variable that the current template doesn't know is refused with line, near name and way out."""
    assert refused(variant_of(plain="{{ name }}\n{{ nmae }}\n{{ nmae }}")) == (
        "variants/v/plain.j2:2: the variable 'nmae' is unknown; the current template knows: missing, name. "
        "Did you mean 'name'? If the app does pass it, say what to do without: {{ nmae|default('') }}."
    )
    assert "the current template knows: no variables." in refused(variant_of(inner="{{ x }}"))


@pytest.mark.parametrize(
    "text", ["{{ tone|default('calm') }}", "{% if tone is defined %}{{ tone }}{% endif %}"]
)
def test_optional_variables_pass(text):
    """A variable whose absence is allowed for may be new."""
    with Templates(app_env()) as templates:
        templates.check(variant_of(plain=text))


def test_references_to_nothing():
    """An include, parent or import that isn't there is refused before it fails in every sample."""
    message = refused(variant_of(plain="\n{% include 'iner.j2' %}{% import 'm.j2' as m %}"))

    assert message.splitlines()[0] == (
        "variants/v/plain.j2:2: the app's loader has no template 'iner.j2'. Near it: inner.j2. "
        "Give it the name, folders included, by which the app loads its template."
    )
    assert "no template 'm.j2'" in message.splitlines()[1]


def test_all_problems_of_a_variant_at_once():
    """Every template of the variant is checked, also one without a file."""
    variant = Variant(name="hooked", templates={"nope.j2": "x", "plain.j2": "{{ x }}", "inner.j2": "{{"})

    lines = refused(variant).splitlines()

    assert [line.split(": ")[0] for line in lines] == [
        "<variant hooked",
        "<variant hooked",
        "<variant hooked",
    ]
    assert lines[1].startswith("<variant hooked: plain.j2>:1: the variable 'x'")


def test_a_broken_current_template():
    """Where the current template doesn't parse, the variant may be what mends it."""
    env = jinja2.Environment(loader=jinja2.DictLoader({"a.j2": "{{"}))
    with Templates(env) as templates:
        templates.check(variant_of(a="{{ x }}"))


# --- the environment and what it can't reach ------------------------------------------------------


def test_load_environment(tmp_path, monkeypatch):
    """An environment is found by module and name under the root folder, nested names too."""
    text = "import jinja2\nclass settings:\n    env = jinja2.Environment(loader=jinja2.DictLoader({}))\n"
    write(tmp_path / "envs_good" / "__init__.py", "")
    write(tmp_path / "envs_good" / "prompts.py", text)
    before = list(sys.path)

    env = load_environment("envs_good.prompts:settings.env", rootdir=tmp_path)

    assert env is sys.modules["envs_good.prompts"].settings.env
    assert sys.path == before


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("envs_bad", 'write module and name with a colon, "my_app.prompts:env".'),
        ("envs_bad:", "write module and name with a colon"),
        (
            "envs_nowhere.x:env",
            "importing envs_nowhere.x failed: ModuleNotFoundError: No module named 'envs_nowhere'",
        ),
        ("envs_bad:enw", "envs_bad has no 'enw'. Did you mean 'env' or 'bare'? Name a jinja2.Environment"),
        (
            "envs_bad:make",
            "that is of type function, not a jinja2.Environment. Give the object, not what makes",
        ),
        ("envs_bad:text", "that is of type str, not a jinja2.Environment. Name the environment from which"),
        (
            "envs_bad:bare",
            "this environment has no loader, so variants can't replace templates. Give it one:",
        ),
    ],
)
def test_environments_that_cannot_be_used(tmp_path, monkeypatch, spec, what):
    """A wrong spec says which part is wrong and what to write."""
    write(
        tmp_path / "envs_bad.py",
        "import jinja2\nenv = jinja2.Environment(loader=jinja2.DictLoader({}))\nbare = jinja2.Environment()\n"
        "def make():\n    return env\ntext = 'x'\n",
    )
    monkeypatch.delitem(sys.modules, "envs_bad", raising=False)

    with pytest.raises(VariantError) as caught:
        load_environment(spec, rootdir=tmp_path)

    assert str(caught.value).startswith(f"promptune_jinja_env = {spec!r}: ")
    assert what in str(caught.value)


def test_a_wrong_module_name_says_where_it_was_looked_for(tmp_path):
    """A module that isn't there names the folder from which it has to be importable."""
    with pytest.raises(VariantError) as caught:
        load_environment("envs_nowhere:env", rootdir=tmp_path)

    assert str(caught.value).endswith(f"Correct the name, or make it importable from {tmp_path}.")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "import sys\nimport no_such_library\n",
            " at envs_broken.py:2: ModuleNotFoundError: No module named 'no_",
        ),
        ("\n\n1 / 0\n", " at envs_broken.py:3: ZeroDivisionError: division by zero."),
        ("raise SystemExit('no key')", " at envs_broken.py:1: SystemExit: no key."),
        ("x = (", ": SyntaxError: '(' was never closed (envs_broken.py, line 1)"),
    ],
)
def test_modules_that_fail_to_import(tmp_path, monkeypatch, text, what):
    """An app that can't be imported gives one line: which import, where, why."""
    write(tmp_path / "envs_broken.py", text)
    monkeypatch.delitem(sys.modules, "envs_broken", raising=False)

    with pytest.raises(VariantError) as caught:
        load_environment("envs_broken:env", rootdir=tmp_path)

    assert str(caught.value).startswith(
        f"promptune_jinja_env = 'envs_broken:env': importing envs_broken failed{what}"
    )
    assert str(caught.value).endswith("Import it yourself with python to see the whole error.")


def test_captured_templates():
    """Templates kept in globals, or in a dict or list there, don't see variants: each is named once."""
    env, other = app_env(), app_env()
    module, again = ModuleType("app.prompts"), ModuleType("app.nodes")
    module.REPLY = again.REPLY = env.get_template("reply.j2")
    module.ALL = {"plain": env.get_template("plain.j2"), "n": 1}
    module.SOME = [env.get_template("inner.j2")]
    module.OTHER = other.get_template("inner.j2")
    module.env, module.other = env, "text"

    assert captured_templates(env, [module, again]) == [
        "app.prompts.ALL['plain'] (plain.j2)",
        "app.prompts.REPLY (reply.j2)",
        "app.prompts.SOME[0] (inner.j2)",
    ]
    assert captured_templates(env, list(sys.modules.values())) == []


def test_captured_templates_while_other_threads_import():
    """The collector of garbage stands for them: it runs wherever something is made."""
    env = jinja2.Environment(loader=jinja2.DictLoader({"a.j2": "a"}))
    module = ModuleType("changing")
    module.TABLE = {"a": env.get_template("a.j2"), **{number: number for number in range(5_000)}}

    def change(*_):
        for table in (module.__dict__, module.TABLE):
            table[f"new{len(table)}"] = None

    before = gc.get_threshold()
    gc.callbacks.append(change)
    gc.set_threshold(1)
    try:
        assert captured_templates(env, [module]) == ["changing.TABLE['a'] (a.j2)"]
    finally:
        gc.callbacks.remove(change)
        gc.set_threshold(*before)
