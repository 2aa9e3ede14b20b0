"""Jinja2 as the reports use it: every value is escaped for Markdown, every name must exist."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
)
from jinja2.exceptions import TemplateNotFound
from markupsafe import Markup

from pytest_promptune.core.display import UNKNOWN
from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.report import escape

SUFFIX = ".j2"
_OWN = Path(__file__).parent / "templates"


class ReportError(PromptuneError):
    """A report template that can't be rendered."""


def render(name: str, values: Mapping[str, Any], *, templates: Path | None = None) -> str:
    """The text of the template `name` with `values`.

    A template of the same name in the folder `templates` replaces ours; so does each part that a
    template includes.

    Raises:
        ReportError: naming file, line and variable, when a template has an error or asks for a value
            that does not exist.
    """
    _refuse_missing(templates)
    return _rendered(_environment(templates), name, values).strip() + "\n"


def render_page(name: str, values: Mapping[str, Any], *, templates: Path | None = None) -> str:
    """As `render`, for a template of HTML: values are escaped for HTML.

    Raises:
        ReportError: see `render`.
    """
    _refuse_missing(templates)
    return _rendered(_page_environment(templates), name, values).strip() + "\n"


def _rendered(environment: Environment, name: str, values: Mapping[str, Any]) -> str:
    try:
        return environment.get_template(name).render(values)
    except TemplateNotFound as error:
        raise ReportError(f"The report template {error.name!r} does not exist. {_remedy(values)}") from error
    except TemplateSyntaxError as error:
        where = f"{error.filename or error.name}:{error.lineno}"
        raise ReportError(f"{where}: {str(error.message).rstrip('.')}. {_remedy(values)}") from error
    except TemplateError as error:
        raise ReportError(
            f"{_where(error, name)}: {str(error.message).rstrip('.')}. {_remedy(values)}"
        ) from error
    except Exception as error:
        raise ReportError(
            f"{_where(error, name)}: {type(error).__name__}: {str(error).rstrip('.')}. {_remedy(values)}"
        ) from error


def _refuse_missing(templates: Path | None) -> None:
    if templates is not None and not templates.is_dir():
        raise ReportError(
            f"{templates}: no such folder of report templates. Create it, or leave the option out."
        )


def compile_ahead() -> None:
    """Compile our templates now, so that rendering a report takes less time."""
    environment = _environment(None)
    for name in environment.list_templates():
        if "/" not in name:  # those in folders are of reports that no session writes by default
            environment.get_template(name)


@lru_cache(maxsize=4)
def _environment(templates: Path | None) -> Environment:
    folders = [_OWN] if templates is None else [templates, _OWN]
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        undefined=StrictUndefined,
        # Everything printed passes _finalize, which escapes for Markdown and marks it as safe for HTML.
        autoescape=True,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = escape.code
    environment.filters["codes"] = escape.codes
    return environment


@lru_cache(maxsize=4)
def _page_environment(templates: Path | None) -> Environment:
    folders = [_OWN] if templates is None else [templates, _OWN]
    return Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _finalize(value: Any) -> Any:
    """What a template prints: escaped for Markdown unless it was made by :mod:`escape`."""
    if value is None:
        return UNKNOWN
    return value if isinstance(value, Markup) else escape.text(value)


def _where(error: Exception, name: str) -> str:
    """Jinja2 rewrites tracebacks so that frames of templates have the template's file and line."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.endswith(SUFFIX):
            return f"{frame.filename}:{frame.lineno}"
    return name


def _remedy(values: Mapping[str, Any]) -> str:
    return f"Templates can use: {', '.join(sorted(values))}."
