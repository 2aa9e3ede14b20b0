"""The final report for machines."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

from pytest_promptune.core.series.final import FinalReport


def to_json(report: FinalReport) -> dict[str, Any]:
    """Everything that the report is written from, as plain data; unknown is ``None``."""
    plain: dict[str, Any] = _plain(report)
    return {"format": 1, **plain}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
