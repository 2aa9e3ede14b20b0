"""Which chat models an app holds, seen without calling anything of it.

Followed are graphs and their nodes, Runnables, functions with what they close over and the globals they name,
and attributes of the app's own objects; not the insides of models, clients and other libraries. What a node
makes while it runs shows as a class that it names.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pytest_promptune.core.limits import OUTPUT_LIMITS
from pytest_promptune.core.values import dataclass

#: The own objects of a node are far fewer; what lies beyond is not looked at.
_MOST_OBJECTS = 20_000
_DEEPEST = 16
#: Libraries whose functions may close over a model, but name none in their globals.
_FRAMEWORKS = ("langchain", "langgraph", "langsmith")
#: Libraries that hold no model, or only models' insides.
_NOT_FOLLOWED = frozenset(
    {
        *("anthropic", "google", "httpx", "jinja2", "numpy", "openai", "pandas", "pluggy", "pydantic"),
        *("pydantic_core", "pytest", "pytest_promptune", "requests", "sqlalchemy", "torch", "_pytest"),
    }
)

#: What a model is called, and what changes its answers; addresses and keys are nobody's business.
_NAMES = ("model_name", "model")
_PARAMETERS = (
    *("model_provider", "temperature", "top_p", "top_k", "reasoning_effort", "verbosity", "n"),
    *("frequency_penalty", "presence_penalty", *OUTPUT_LIMITS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What was found in an app."""

    #: Chat models, each once.
    models: tuple[Any, ...] = ()
    #: Classes of chat models that functions of the app name, and of which it holds no object.
    classes: tuple[type, ...] = ()
    #: Tables that say which model is meant, as that of ``init_chat_model``.
    settings: tuple[Mapping[str, Any], ...] = ()
    #: Nodes that have a model; 1 for an app that is no graph and has one.
    steps: int = 0

    def described(self) -> tuple[str, ...]:
        """Each model with its parameters, ``ChatOpenAI gpt-4o, temperature=0.2``, in a fixed order."""
        models = (_described(type(model).__name__, vars(model)) for model in self.models)
        tables = (_described("model", table) for table in self.settings)
        return tuple(sorted([*models, *tables]))


def _described(kind: str, fields: Mapping[str, Any]) -> str:
    name = next((value for key in _NAMES if isinstance(value := fields.get(key), str)), "")
    given = ((key, fields.get(key)) for key in _PARAMETERS)
    parts = (f"{key}={value:g}" for key, value in given if isinstance(value, int | float))
    texts = (f"{key}={value}" for key in _PARAMETERS if isinstance(value := fields.get(key), str))
    return ", ".join([" ".join(filter(None, (kind, name))), *parts, *texts])


def held_models(app: object) -> Held:
    """Look through an app.

    Args:
        app: a compiled graph, a Runnable or a function.
    """
    base = getattr(sys.modules.get("langchain_core.language_models.chat_models"), "BaseChatModel", None)
    if base is None:  # nothing can hold what was never loaded
        return Held()
    models: dict[int, Any] = {}
    classes: dict[type, None] = {}
    settings: dict[int, Mapping[str, Any]] = {}
    steps = 0
    for step in _steps(app):
        has_model = False
        for value in _reachable(step, base):
            if isinstance(value, base):
                models[id(value)] = value
                has_model = True
            elif isinstance(value, type):
                classes[value] = None
                has_model = True
            elif isinstance(value, Mapping):
                settings[id(value)] = value
        steps += has_model
    known = {type(model) for model in models.values()}
    return Held(
        models=tuple(models.values()),
        classes=tuple(cls for cls in classes if cls not in known),
        settings=tuple(settings.values()),
        steps=steps,
    )


def _steps(app: object) -> Iterator[object]:
    """The nodes of a graph, those of subgraphs among them; anything else is one step."""
    if not _is_graph(app):
        yield app
        return
    for node in vars(app)["nodes"].values():
        yield from _steps(vars(node).get("bound"))


def _is_graph(value: object) -> bool:
    module = sys.modules.get("langgraph.pregel")
    return module is not None and isinstance(value, module.Pregel)


def _reachable(root: object, base: type) -> Iterator[Any]:
    """Models, their classes and tables that name one, below `root`."""
    seen: dict[int, object] = {}  # with the objects, so that no id is used twice
    pending = [(root, 0)]
    while pending and len(seen) < _MOST_OBJECTS:
        value, depth = pending.pop()
        if id(value) in seen or depth > _DEEPEST:
            continue
        seen[id(value)] = value
        if isinstance(value, type):
            if issubclass(value, base) and value is not base:
                yield value
        elif isinstance(value, base):
            yield value
        else:
            if type(value) is dict and ("model" in value or "model_provider" in value):
                yield value
            pending += [(part, depth + 1) for part in _parts(value)]


def _parts(value: Any) -> Iterable[Any]:
    """What an object consists of; reading that calls no code of it."""
    if _is_graph(value):
        return tuple(_steps(value))
    for kind, parts in _CONSISTS_OF:
        if isinstance(value, kind):
            return parts(value)
    return _of_object(value)


def _of_object(value: Any) -> Iterable[Any]:
    inside = getattr(value, "__dict__", None)
    if type(inside) is not dict:
        return ()
    if "__wrapped__" in inside:  # a decorated function
        return (inside["__wrapped__"],)
    return () if _is_foreign(type(value).__module__) else tuple(inside.values())


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()
    if not _is_foreign(function.__module__) and not _is_framework(function.__module__):
        yield from _named_globals(function)


def _named_globals(function: types.FunctionType) -> Iterator[Any]:
    """The globals that its code names, and what it names of modules among them."""
    names = dict.fromkeys(_names(function.__code__))  # in their order, which sets don't keep
    for name in (name for name in names if name in function.__globals__):
        value = function.__globals__[name]
        if not isinstance(value, types.ModuleType):
            yield value
        elif not _is_foreign(value.__name__):
            yield from (vars(value)[each] for each in names if each in vars(value))


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


#: The first that fits counts.
_CONSISTS_OF: tuple[tuple[Any, Callable[[Any], Iterable[Any]]], ...] = (
    (str | bytes | int | float | types.NoneType | types.ModuleType, lambda _: ()),
    (functools.partial, lambda value: (value.func, *value.args, *value.keywords.values())),
    (types.MethodType, lambda value: (value.__self__, value.__func__)),
    (types.FunctionType, _of_function),
    (dict, dict.values),
    (list | tuple | set | frozenset, tuple),
)


def _is_foreign(module: str | None) -> bool:
    top = (module or "").partition(".")[0]
    return top in sys.stdlib_module_names or top in _NOT_FOLLOWED


def _is_framework(module: str | None) -> bool:
    return (module or "").startswith(_FRAMEWORKS)
