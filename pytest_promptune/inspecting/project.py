"""What the project's files say about its graphs: the ini file of pytest, and ``langgraph.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.values import dataclass
from pytest_promptune.ini_files import python_paths, settings_of

_WHAT_TO_DO = (
    "Say it with --graph=my_app.graph:graph, or as promptune_graph in the ini file of pytest, or in "
    "langgraph.json."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where the graphs of a project are."""

    root: Path
    #: Name → ``module:graph``; one that was named alone has no name.
    graphs: Mapping[str, str]
    #: Functions that call a model in a way of their own.
    calls: tuple[str, ...] = ()
    #: What Python is to import from.
    paths: tuple[Path, ...] = ()
    #: Patterns of secrets that are not shown, beside those that are known.
    redact: tuple[str, ...] = ()
    #: The folder of the variants, whose texts are not the app's.
    variants: Path | None = None


def read_project(root: Path, graph: str | None) -> Project:
    """What the project in `root` says; `graph` wins over its files.

    Raises:
        SettingsError: when no graph is named, or a file can't be read.
    """
    if not root.is_dir():
        raise SettingsError(f"--root: {root.as_posix()} is no folder.")
    settings = settings_of(root)
    named = graph if graph is not None else settings.graph
    return Project(
        root=root,
        graphs=_of_langgraph(root) if named is None else {"": named.strip()},
        calls=settings.llm_calls,
        redact=settings.redact,
        variants=Path(settings.variants),
        paths=python_paths(root),
    )


def _of_langgraph(root: Path) -> dict[str, str]:
    path = root / "langgraph.json"
    if not path.is_file():
        raise SettingsError(f"nobody says where the graph is. {_WHAT_TO_DO}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path.as_posix()}: can't be read: {error}") from None
    graphs = content.get("graphs") if isinstance(content, dict) else None
    if not isinstance(graphs, dict) or not graphs:
        raise SettingsError(f'{path.as_posix()}: has no "graphs". {_WHAT_TO_DO}')
    found = {}
    for name, spec in graphs.items():
        place = spec.get("path") if isinstance(spec, dict) else spec
        if not isinstance(place, str):
            raise SettingsError(f"{path.as_posix()}: graph {name!r} has no path, as ./my_app/graph.py:graph.")
        found[name] = place.removeprefix("./")
    return found
