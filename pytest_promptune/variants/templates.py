"""Variants of Jinja2 templates: finds the app's environment, prepares it, checks what a variant replaces."""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import jinja2
from jinja2 import meta, nodes

from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.model import Variant
from pytest_promptune.variants.loader import VariantLoader, sandboxed
from pytest_promptune.variants.reading import template_path

_INI = "promptune_jinja_env"


class Templates:
    """The app's template environment, prepared for variants until `uninstall` (or the end of a ``with``).

    Several may be open on one environment (a pytest run inside another); the last one that closes
    restores it.

    Raises:
        VariantError: when the environment has no loader.
    """

    def __init__(self, env: jinja2.Environment, *, variants: Path | None = None) -> None:
        if env.loader is None:
            raise VariantError(
                "the Jinja2 environment has no loader, so nothing asks for templates by name and variants "
                "can't replace any. Give it one: Environment(loader=FileSystemLoader(...))."
            )
        self.env = env
        self._variants = variants
        self._open = True
        if not isinstance(env.loader, VariantLoader):
            env.loader = VariantLoader(env)
        self._loader = env.loader
        self._loader.holders += 1

    def __enter__(self) -> Templates:
        return self

    def __exit__(self, *exc: object) -> None:
        self.uninstall()

    def uninstall(self) -> None:
        """Give the environment back as it was; a second call does nothing."""
        if self._open:
            self._open = False
            self._loader.holders -= 1
            if not self._loader.holders:
                self._loader.restore()

    def names(self, *, outside: Path | None = None) -> list[str]:
        """The templates of `current`, sorted; empty where the app's loader can't list them.

        Those whose file lies in the folder `outside` are left out: the variants themselves often lie
        where the app's loader finds them.
        """
        try:
            names = sorted(self._loader.original.list_templates())
        except (TypeError, OSError):
            return []
        if outside is None:
            return names
        folder = outside.resolve()
        return [name for name in names if not self._lies_in(name, folder)]

    def _lies_in(self, name: str, folder: Path) -> bool:
        try:
            path = self._loader.original.get_source(self.env, name)[1]
        except (jinja2.TemplateNotFound, OSError, RuntimeError, UnicodeDecodeError):
            return False
        return path is not None and Path(path).resolve().is_relative_to(folder)

    def current(self, name: str) -> str | None:
        """The text of a template in `current`, ``None`` where there is none or no source of it."""
        try:
            return self._loader.original.get_source(self.env, name)[0]
        except (jinja2.TemplateNotFound, RuntimeError):
            return None

    def file_of(self, name: str) -> Path | None:
        """The file of a template in `current`, as its loader names it; ``None`` where it has none."""
        try:
            named = self._loader.original.get_source(self.env, name)[1]
        except (jinja2.TemplateNotFound, RuntimeError, OSError, UnicodeDecodeError):
            return None
        return None if named is None else Path(named)

    def texts(self, *, outside: Path | None = None) -> dict[str, str]:
        """The text of each template of `current` that has a source, by name; see `names`."""
        found = {name: self.current(name) for name in self.names(outside=outside)}
        return {name: text for name, text in found.items() if text is not None}

    def check(self, variant: Variant) -> None:
        """Find what is wrong with a variant's templates before the app is called.

        Raises:
            VariantError: with every template that replaces nothing, doesn't compile, uses a variable
                that the current one doesn't, or refers to a template that isn't there.
        """
        problems: list[str] = []
        for name, text in variant.templates.items():
            path = template_path(variant.name, name, text)
            if not self._exists(name):
                problems.append(f"{path}: {self._nothing_to_replace(name)}")
                continue
            sandbox = sandboxed(self.env)
            try:
                tree = sandbox.parse(text, name, path)
                sandbox.compile(text, name, path)
            except jinja2.TemplateSyntaxError as exc:
                problems.append(f"{path}:{exc.lineno}: {exc.message}. Correct the template.")
                continue
            problems.extend(f"{path}:{line}: {what}" for line, what in self._odd(name, tree))
        if problems:
            raise VariantError("\n".join(problems))

    def _exists(self, name: str) -> bool:
        original = self._loader.original
        try:
            if original.has_source_access:
                original.get_source(self.env, name)
            else:
                original.load(self.env, name, {})
        except jinja2.TemplateSyntaxError:
            return True
        except jinja2.TemplateNotFound:
            return False
        return True

    def _nothing_to_replace(self, name: str) -> str:
        names = self.names(outside=self._variants)
        stems = {known: PurePosixPath(known).name.partition(".")[0] for known in names}
        close = difflib.get_close_matches(PurePosixPath(name).name.partition(".")[0], stems.values(), 3)
        near = [known for known in names if stems[known] in close]
        hint = f" Near it: {', '.join(near[:5])}." if near else ""
        listed = f" The app has: {', '.join(names[:10])}{', …' if len(names) > 10 else ''}." if names else ""
        return (
            f"replaces nothing, the app's loader has no template {name!r}.{hint or listed} "
            "Give it the name, folders included, by which the app loads its template."
        )

    def _odd(self, name: str, tree: nodes.Template) -> Iterator[tuple[int, str]]:
        """Variables and templates that a new text uses and `current` doesn't have, with their lines."""
        known = self._known_variables(name)
        if known is not None:
            new = meta.find_undeclared_variables(tree) - known - _optional(tree)
            for variable in sorted(new - set(self.env.globals)):
                line = min((n.lineno for n in tree.find_all(nodes.Name) if n.name == variable), default=1)
                near = difflib.get_close_matches(variable, known, 1)
                hint = f"Did you mean {near[0]!r}? " if near else ""
                names = ", ".join(sorted(known)) or "no variables"
                yield (
                    line,
                    f"the variable {variable!r} is unknown; the current template knows: {names}. {hint}"
                    f"If the app does pass it, say what to do without: {{{{ {variable}|default('') }}}}.",
                )
        for line, other in _references(tree):
            if not self._exists(self.env.join_path(other, name)):
                yield line, self._nothing_to_replace(other).replace("replaces nothing, ", "", 1)

    def _known_variables(self, name: str) -> set[str] | None:
        """Variables of the current template and of those it refers to; ``None`` without its source."""
        known: set[str] = set()
        seen: set[str] = set()
        todo = [name]
        while todo:
            part = todo.pop()
            if part in seen:
                continue
            seen.add(part)
            tree = self._current_tree(part)
            if tree is not None:
                known |= meta.find_undeclared_variables(tree)
                others = meta.find_referenced_templates(tree)
                todo += [self.env.join_path(other, part) for other in others if other]
            elif part == name:
                return None
        return known

    def _current_tree(self, name: str) -> nodes.Template | None:
        text = self.current(name)
        try:
            return None if text is None else self.env.parse(text)
        except jinja2.TemplateSyntaxError:
            return None


def _optional(tree: nodes.Template) -> set[str]:
    """Variables whose absence a template allows for: ``x is defined``, ``x|default(…)``."""
    tests = (node.node for node in tree.find_all(nodes.Test) if node.name in ("defined", "undefined"))
    filters = (node.node for node in tree.find_all(nodes.Filter) if node.name in ("default", "d"))
    return {node.name for node in (*tests, *filters) if isinstance(node, nodes.Name)}


def _references(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """Templates that must be there for this one to render, where they are named by one constant."""
    kinds = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
    for node in tree.find_all(kinds):  # type: ignore[arg-type, unused-ignore]  # older stubs take one kind
        named = getattr(node, "template", None)
        if isinstance(named, nodes.Const) and isinstance(named.value, str):
            if getattr(node, "ignore_missing", False):
                continue
            yield node.lineno, named.value


# --- finding the environment ----------------------------------------------------------------------


def load_environment(spec: str, *, rootdir: Path) -> jinja2.Environment:
    """The environment that ``"my_app.prompts:env"`` names; modules are found under `rootdir` too.

    Raises:
        VariantError: when it can't be imported, isn't there, or is no environment with a loader.
    """
    where = f"{_INI} = {spec!r}"
    module_name, _, attribute = (part.strip() for part in spec.partition(":"))
    if not module_name or not attribute:
        raise VariantError(f'{where}: write module and name with a colon, "my_app.prompts:env".')
    found: Any = _import(module_name, where, rootdir)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise VariantError(f"{where}: {_missing(found, part, module_name)}") from None
    if not isinstance(found, jinja2.Environment):
        hint = " Give the object, not what makes it." if callable(found) else ""
        raise VariantError(
            f"{where}: that is of type {type(found).__name__}, not a jinja2.Environment.{hint} "
            "Name the environment from which the app loads its templates."
        )
    if found.loader is None:
        raise VariantError(
            f"{where}: this environment has no loader, so variants can't replace templates. "
            "Give it one: Environment(loader=FileSystemLoader(...))."
        )
    return found


def _missing(holder: object, part: str, module_name: str) -> str:
    members = vars(holder) if hasattr(holder, "__dict__") else {}
    environments = [name for name, value in members.items() if isinstance(value, jinja2.Environment)]
    near = environments or difflib.get_close_matches(part, members, 3)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{module_name} has no {part!r}.{hint} Name a jinja2.Environment of this module."


def _import(module_name: str, where: str, rootdir: Path) -> ModuleType:
    sys.path.insert(0, str(rootdir))
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as exc:
        place = _import_place(exc, rootdir)
        wrong = isinstance(exc, ModuleNotFoundError) and f"{module_name}.".startswith(f"{exc.name}.")
        advice = (
            f"Correct the name, or make it importable from {rootdir}."
            if wrong
            else "Import it yourself with python to see the whole error."
        )
        raise VariantError(
            f"{where}: importing {module_name} failed{place}: {type(exc).__name__}: {exc}. {advice}"
        ) from exc
    finally:
        if str(rootdir) in sys.path:
            sys.path.remove(str(rootdir))


def _import_place(exc: BaseException, rootdir: Path) -> str:
    """The last line of the user's code on the way to the error."""
    frames = traceback.extract_tb(exc.__traceback__)
    machinery = (__file__, importlib.__file__)
    own = [f for f in frames if not f.filename.startswith("<") and f.filename not in machinery]
    if not own:
        return ""
    path = Path(own[-1].filename)
    shown = path.relative_to(rootdir) if path.is_relative_to(rootdir) else path
    return f" at {shown}:{own[-1].lineno}"


def captured_templates(env: jinja2.Environment, modules: Iterable[ModuleType]) -> list[str]:
    """Templates that modules keep in globals (or in a dict, list or tuple there), as ``module.NAME``.

    They were loaded once and don't see variants: the app has to call ``env.get_template`` where it
    renders. Other threads may go on importing: a dict is copied at once, while going through one makes
    tuples, and so perhaps room for another thread.
    """
    found: dict[int, str] = {}
    for module in modules:
        for name, value in getattr(module, "__dict__", {}).copy().items():
            for suffix, template in _templates_in(value):
                if template.environment is env:
                    found.setdefault(id(template), f"{module.__name__}.{name}{suffix} ({template.name})")
    return sorted(found.values())


def _templates_in(value: object) -> Iterator[tuple[str, jinja2.Template]]:
    if isinstance(value, jinja2.Template):
        yield "", value
        return
    items: Iterable[tuple[Any, Any]] = ()
    if type(value) is dict:
        items = value.copy().items()
    elif type(value) is list or type(value) is tuple:
        items = enumerate(value)
    yield from ((f"[{key!r}]", item) for key, item in items if isinstance(item, jinja2.Template))
