"""Gets a compiled graph from the name of where it is, ``package.module:graph`` or ``path/file.py:graph``."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from langgraph.pregel import Pregel

from pytest_promptune.core.errors import AppError

_FORMS = "Say it as package.module:graph or path/to/file.py:graph."
Graph = Pregel[Any, Any, Any, Any]


def load_graph(spec: str, *, root: Path, places: Sequence[str]) -> Graph:
    """The compiled graph that `spec` names: an object, or a function without arguments that gives it.

    Args:
        spec: ``package.module:graph`` or ``path/file.py:graph``.
        root: the project's folder, which paths are relative to.
        places: what Python imports from. The folder of a file is put behind them, in ``sys.path``, and left
            there.

    Raises:
        AppError: when it doesn't import, isn't there, needs arguments, or is no compiled graph.
    """
    place, colon, name = spec.strip().rpartition(":")
    if not colon or not place or not name:
        raise AppError(f"{spec!r} doesn't say which graph. {_FORMS}")
    found: Any = _module(spec, place, root, places)
    for part in name.split("."):
        if not hasattr(found, part):
            raise AppError(_no_such_name(spec, found, part))
        found = getattr(found, part)
    return _compiled(spec, found, root)


def _module(spec: str, place: str, root: Path, places: Sequence[str]) -> ModuleType:
    try:
        if place.endswith(".py"):
            return _of_file(spec, root / place, places)
        return importlib.import_module(place)
    except AppError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(error.name + ".")):
            raise AppError(
                f"{spec}: there is no module {error.name!r}. Run this in the project's folder, or give the "
                f"folder with --root. {_FORMS}"
            ) from None
        raise AppError(
            f"{spec}: {_where(error, root)} imports {error.name!r}, which is not installed here. Install the "
            "app's requirements beside pytest-promptune."
        ) from None
    except (Exception, SystemExit) as error:  # whatever the app raises at import
        raise AppError(_failed(spec, "importing it", error, root)) from None


def _of_file(spec: str, path: Path, places: Sequence[str]) -> ModuleType:
    if not path.is_file():
        raise AppError(f"{spec}: there is no file {path.as_posix()}. {_FORMS}")
    path = path.resolve()
    if str(path.parent) not in sys.path:  # what stands beside it is imported by its bare name
        sys.path.append(str(path.parent))
    for name in _names(path, places):
        if _leads_to(name, path):
            return importlib.import_module(name)
    return _by_itself(spec, path)


def _names(path: Path, places: Sequence[str]) -> Iterator[str]:
    """What a file may be called in imports, first the name that the app itself most likely uses.

    That is the one below the innermost place, so that relative imports and declared functions find it; its
    bare name is the last.
    """
    bases = [Path(place).resolve() for place in places if place]
    for base in [*sorted(bases, key=lambda each: -len(each.parts)), path.parent]:
        if path.is_relative_to(base):
            parts = path.relative_to(base).with_suffix("").parts
            if all(part.isidentifier() for part in parts) and parts[-1] != "__init__":
                yield ".".join(parts)


def _leads_to(name: str, path: Path) -> bool:
    """Whether importing `name` gives the module of that file, and not another one of the name."""
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            return False  # another module has the name of one of its folders
        raise
    except ValueError:  # the module was made by hand
        return False
    return found is not None and found.origin is not None and Path(found.origin).resolve() == path


def _by_itself(spec: str, path: Path) -> ModuleType:
    """The module of a file that can't be imported by a name; it has one that nothing else has."""
    name = re.sub(r"\W", "_", path.as_posix())
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise AppError(f"{spec}: {path.as_posix()} is no Python file. {_FORMS}")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _compiled(spec: str, found: Any, root: Path) -> Graph:
    if callable(found) and not isinstance(found, Pregel) and not hasattr(found, "compile"):
        found = _built(spec, found, root)
    if isinstance(found, Pregel):
        return found
    if hasattr(found, "compile") and hasattr(found, "add_node"):
        try:
            compiled: Graph = found.compile()
        except ValueError as error:
            raise AppError(f"{spec}: a {type(found).__name__} that doesn't compile: {error}") from None
        return compiled
    raise AppError(
        f"{spec}: is a {type(found).__name__}, and no graph. Name a compiled LangGraph graph, or a function "
        "without arguments that returns one."
    )


def _built(spec: str, factory: Any, root: Path) -> Any:
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):
        parameters = []  # of a class or function in C; calling it tells
    varying = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in varying]
    configurable = needed and len(needed) == 1 and needed[0] == "config"
    if needed and not configurable:
        raise AppError(
            f"{spec}: needs {', '.join(needed)}, and a factory of a graph is called without arguments. Write "
            "a function without any that calls it, and name that one."
        )
    try:
        built = factory({"configurable": {}}) if configurable else factory()
        if inspect.isawaitable(built):
            built = asyncio.run(_awaited(built))
    except (Exception, SystemExit) as error:  # whatever the app raises
        raise AppError(_failed(spec, "calling it", error, root)) from None
    return built


async def _awaited(built: Any) -> Any:
    return await built


def _no_such_name(spec: str, holder: Any, name: str) -> str:
    is_module = isinstance(holder, ModuleType)
    graphs = (
        sorted(key for key, value in vars(holder).items() if isinstance(value, Pregel)) if is_module else []
    )
    holds = f"It has these graphs: {', '.join(graphs)}." if graphs else "It has no compiled graph at its top."
    what = holder.__name__ if is_module else type(holder).__name__
    return f"{spec}: {what} has no {name!r}. {holds}"


def _where(error: BaseException, root: Path) -> str:
    """The place in the app that an error comes from."""
    file = (
        error.filename if isinstance(error, SyntaxError) else None
    )  # its frames are of who imports the file
    if isinstance(error, SyntaxError) and file and (broken := _below(Path(file), root)) is not None:
        return f"{broken}:{error.lineno}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")
    ]
    own = [(place, frame.lineno) for frame in frames if (place := _below(Path(frame.filename), root))]
    return f"{own[-1][0]}:{own[-1][1]}" if own else "a module of it"


def _below(path: Path, root: Path) -> str | None:
    """A file of the app relative to its root."""
    root = root.resolve()
    is_own = path.is_relative_to(root) and "site-packages" not in path.parts
    return path.relative_to(root).as_posix() if is_own else None


def _failed(spec: str, doing: str, error: BaseException, root: Path) -> str:
    first = (error.msg if isinstance(error, SyntaxError) else str(error)).strip().partition("\n")[0]
    text = f"{spec}: {doing} fails at {_where(error, root)}: {type(error).__name__}: {first}"
    if "api_key" in str(error).lower() or "api key" in str(error).lower():
        return (
            f"{text}\nNo model is called here, so any value will do: set the variable, as "
            "OPENAI_API_KEY=unused pytest-promptune nodes."
        )
    return f"{text}\nMend that, or name a graph that can be made without it."
