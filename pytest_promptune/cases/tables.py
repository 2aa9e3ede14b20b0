"""Cases from tables: parquet files and pandas DataFrames, loaded only where they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_promptune.core.errors import CaseError
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a source as it was read."""

    #: For the start of a message: ``tickets.jsonl:4``.
    where: str
    #: For a message about another row of the same source: ``line 4``.
    short: str
    data: Any


def read_parquet(path: Path) -> list[Row]:
    """The rows of a parquet file.

    Raises:
        CaseError: when pyarrow is missing, or can't read the file.
    """
    try:
        from pyarrow import ArrowException  # type: ignore[import-untyped]  # it has no stubs
        from pyarrow.parquet import read_table  # type: ignore[import-untyped]  # it has no stubs
    except ImportError as exc:
        raise CaseError(
            f"{path}: reading parquet needs pyarrow ({exc}). Run: pip install 'pytest-promptune[parquet]'"
        ) from None
    try:
        table = read_table(path)
    except (ArrowException, OSError) as exc:
        first = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise CaseError(f"{path}: not a readable parquet file: {first} Write it again.") from None
    return [
        Row(where=f"{path}, row {number}", short=f"row {number}", data=_present(record))
        for number, record in enumerate(table.to_pylist(), start=1)
    ]


def _present(record: dict[str, Any]) -> dict[str, Any]:
    """A parquet row without what is absent, and without the index that pandas adds."""
    return {
        key: value
        for key, value in record.items()
        if value is not None and value == value and not key.startswith("__index_level_")
    }


def read_frame(frame: Any) -> list[Row]:
    """The rows of a pandas DataFrame as Python values; NaN, NaT, NA and None are absent.

    An index named ``id`` counts as a column.

    Raises:
        CaseError: when column names aren't text or stand there twice.
    """
    if "id" not in frame.columns and frame.index.name == "id":
        frame = frame.reset_index()
    columns = list(frame.columns)
    wrong = [column for column in columns if not isinstance(column, str)]
    if wrong:
        raise CaseError(
            f"DataFrame: the column names {wrong!r} are not text. Name the columns: id, input, expected, …"
        )
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise CaseError(f"DataFrame: column {twice[0]!r} stands there twice. Rename one of them.")
    rows = []
    records = zip(frame.index, frame.itertuples(index=False, name=None), strict=True)
    for number, (label, cells) in enumerate(records, start=1):
        data = {key: plain(cell) for key, cell in zip(columns, cells, strict=True) if not _absent(cell)}
        where = f"row {number} (index {plain(label)!r})"
        rows.append(Row(where=f"DataFrame, {where}", short=where, data=data))
    return rows


def _absent(value: Any) -> bool:
    from pandas import isna
    from pandas.api.types import is_scalar

    return bool(is_scalar(value) and isna(value))


def plain(value: Any) -> Any:
    """Numpy scalars, arrays and pandas timestamps as Python values, inside dicts and lists too."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(item) for item in value) if type(value) in (list, tuple) else value
    if type(value).__module__.split(".")[0] == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist())
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return value
