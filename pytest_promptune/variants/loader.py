"""The loader that gives each task the templates of its variant, compiled in a sandbox.

The app asks its environment for a template by name; this loader looks at the variant of the current
task or thread and gives that variant's text, or asks the app's own loader. Nothing that was loaded for
one variant is served to another: the template cache is kept per variant, and a template that left its
variant (through the cache of an overlay, say) declares itself out of date.
"""

from __future__ import annotations

import builtins
import copy
import functools
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator, MutableMapping
from types import FrameType
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment, safe_range
from jinja2.utils import LRUCache, internalcode

from pytest_promptune.core.values import dataclass
from pytest_promptune.variants.active import Active, active
from pytest_promptune.variants.reading import template_path


class VariantLoader(jinja2.BaseLoader):
    """The app's loader, with the templates of the active variant in front."""

    def __init__(self, env: jinja2.Environment) -> None:
        assert env.loader is not None
        self.original = env.loader
        self.has_source_access = env.loader.has_source_access
        self.holders = 0
        self._env = env
        self._before = (env.cache, env.auto_reload)
        if env.cache is not None:
            env.cache = _VariantCache(env.cache)
        # For overlays that the app makes from now on: they get a cache of jinja2's own.
        env.auto_reload = True

    def restore(self) -> None:
        """Give the environment its own loader, cache and setting back."""
        if self._env.loader is self:  # else another tool wrapped us; without a variant we only pass on
            self._env.loader = self.original
            self._env.cache, self._env.auto_reload = self._before

    def __getattr__(self, name: str) -> Any:
        if name == "original":  # while unpickling or copying
            raise AttributeError(name)
        return getattr(self.original, name)

    def list_templates(self) -> list[str]:
        """What the app's loader lists; variants only replace."""
        return self.original.list_templates()

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Text, file and freshness of a template under the active variant."""
        now = active.get()
        if now is None or template not in now.templates:
            return self.original.get_source(environment, template)
        text = now.templates[template]
        return text, template_path(now.name, template, text), _UpToDate(now.key, None)

    @internalcode
    def load(
        self,
        environment: jinja2.Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,
    ) -> jinja2.Template:
        """The variant's template, bound to a sandbox, or the app's own as it is."""
        now = active.get()
        globals = {} if globals is None else globals
        if now is None or name not in now.templates:
            template = self.original.load(environment, name, globals)
            # Unchanged templates too: a template keeps what its includes rendered (`Template.module`).
            # A loader of the app's own may give the same object again: don't wrap it twice.
            before = template._uptodate
            original = before.original if isinstance(before, _UpToDate) else before
            template._uptodate = _UpToDate(_key(now), original)
            return template
        text = now.templates[name]
        sandbox = sandboxed(environment)
        if globals.get("range") is builtins.range:
            globals = ChainMap({"range": safe_range}, globals)
        # The bytecode cache is left out: its key knows the text, not the sandbox.
        code = sandbox.compile(text, name, template_path(now.name, name, text))
        template_class: type[jinja2.Template] = sandbox.template_class
        return template_class.from_code(sandbox, code, globals, _UpToDate(now.key, None))


@dataclass(frozen=True, slots=True)
class _UpToDate:
    """Up to date only for the variant that it was loaded for."""

    key: tuple[tuple[str, str], ...]
    original: Callable[[], bool] | None

    def __call__(self) -> bool:
        return _key(active.get()) == self.key and (self.original is None or self.original())


def _key(now: Active | None) -> tuple[tuple[str, str], ...]:
    return () if now is None else now.key


class _VariantCache(MutableMapping[Any, Any]):
    """One template cache per variant, each of the size and kind that the app chose."""

    def __init__(self, original: MutableMapping[Any, Any]) -> None:
        self._original = original
        self._caches: dict[tuple[tuple[str, str], ...], MutableMapping[Any, Any]] = {}

    @property
    def capacity(self) -> int:
        """Asked by jinja2 when the app makes an overlay."""
        return getattr(self._original, "capacity", sys.maxsize)

    @property
    def _cache(self) -> MutableMapping[Any, Any]:
        key = _key(active.get())
        cache = self._caches.get(key)
        if cache is None:
            capacity = getattr(self._original, "capacity", None)
            fresh: Any = {} if capacity is None else LRUCache(capacity)
            cache = self._caches.setdefault(key, fresh)
        return cache

    def get(self, key: Any, default: Any = None) -> Any:
        return self._cache.get(key, default)

    def __getitem__(self, key: Any) -> Any:
        return self._cache[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._cache[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._cache[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cache)

    def __len__(self) -> int:
        return len(self._cache)

    def clear(self) -> None:
        self._caches.clear()


# --- the sandbox ----------------------------------------------------------------------------------


class _VariantUndefined(jinja2.StrictUndefined):
    """A missing value that says where in the variant's file it was asked for."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        message = f"{super()._undefined_message} ({_rendering()})"
        if self._undefined_exception is not jinja2.UndefinedError:  # the sandbox refuses
            return message
        return f"{message}. Variants are strict: pass the value, or allow for its absence with |default(…)."


def _rendering() -> str:
    """File and line of the template that is being rendered."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:
            return f"{template.filename}:{template.get_corresponding_lineno(frame.f_lineno)}"
        frame = frame.f_back
    return "while rendering a variant's template"


class _AppTemplates:
    """Templates that a variant's template names come from the app's environment, and so per variant."""

    app_env: jinja2.Environment

    def get_template(self, *args: Any, **kwargs: Any) -> jinja2.Template:
        return self.app_env.get_template(*args, **kwargs)

    def select_template(self, *args: Any, **kwargs: Any) -> jinja2.Template:
        return self.app_env.select_template(*args, **kwargs)

    def get_or_select_template(self, *args: Any, **kwargs: Any) -> jinja2.Template:
        return self.app_env.get_or_select_template(*args, **kwargs)


@functools.cache
def _sandbox_class(app_class: type[Any]) -> type[Any]:
    """The app's own kind of environment (a NativeEnvironment stays one), sandboxed."""
    if issubclass(app_class, SandboxedEnvironment):
        return type("VariantEnvironment", (_AppTemplates, app_class), {})
    return type("VariantEnvironment", (_AppTemplates, SandboxedEnvironment, app_class), {})


def sandboxed(env: jinja2.Environment) -> Any:
    """A sandboxed, strict overlay of the app's environment as it is now, sharing what it knows.

    `Environment.overlay` keeps the class, so its few lines are repeated here.
    """
    app_class: Any = type(env)
    sandbox = object.__new__(_sandbox_class(app_class))
    sandbox.__dict__.update(env.__dict__)
    sandbox.overlayed = True
    sandbox.linked_to = sandbox.app_env = env
    sandbox.cache = sandbox.bytecode_cache = None
    sandbox.undefined = _VariantUndefined
    sandbox.__dict__.setdefault("binop_table", sandbox.default_binop_table.copy())
    sandbox.__dict__.setdefault("unop_table", sandbox.default_unop_table.copy())
    sandbox.filters = {name: _guarded(function, sandbox) for name, function in env.filters.items()}
    sandbox.extensions = {key: extension.bind(sandbox) for key, extension in env.extensions.items()}
    return sandbox


def _guarded(function: Callable[..., Any], sandbox: Any) -> Callable[..., Any]:
    """A filter that gets a sandboxed context, if it takes one.

    A replaced template may be rendered with the context of the unchanged one that extends it, whose
    environment is the app's: ``map(attribute="__class__")`` would leave the sandbox through it.
    """
    passed = getattr(getattr(function, "jinja_pass_arg", None), "name", None)
    if passed not in ("context", "eval_context"):
        return function

    @functools.wraps(function)
    def guarded(context: Any, *args: Any, **kwargs: Any) -> Any:
        inner = copy.copy(context)
        inner.environment = sandbox
        return function(inner, *args, **kwargs)

    return guarded
