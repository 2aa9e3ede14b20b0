"""What case files hold, row by row, with the place of each row; no row is judged here."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import field
from pathlib import Path
from typing import Any

from pytest_promptune.cases.tables import Row, read_parquet
from pytest_promptune.core.errors import CaseError
from pytest_promptune.core.values import dataclass

#: Keys of an object in a JSON or YAML file that hold the list of cases.
LISTS = ("test_cases", "cases")
#: More problems than this are counted, not listed.
SHOWN = 20

_SPACE = re.compile(r"[ \t\r\n]*")
_PARSED_CELLS = ("input", "expected", "tags", "metadata")


@dataclass(slots=True)
class Problems:
    """Everything that is wrong with a source, so that one look at it is enough."""

    source: str
    lines: list[str] = field(default_factory=list)

    def add(self, where: str, text: str) -> None:
        """Note one problem: where, what, what to do."""
        self.lines.append(f"{where}: {text}")

    def raise_any(self) -> None:
        """Raise what was noted.

        Raises:
            CaseError: with the first problems and the count of all, if there are any.
        """
        if not self.lines:
            return
        if len(self.lines) == 1:
            raise CaseError(self.lines[0])
        shown = [f"  {line}" for line in self.lines[:SHOWN]]
        if len(self.lines) > SHOWN:
            shown.append(f"  … and {len(self.lines) - SHOWN} more of the {len(self.lines)} problems")
        raise CaseError("\n".join([f"{self.source}: {len(self.lines)} problems, nothing was loaded", *shown]))


def read_file(path: Path, problems: Problems) -> list[Row]:
    """The rows of a file, by its extension.

    Raises:
        CaseError: when the file can't be read at all; broken rows are noted in `problems`.
    """
    suffix = path.suffix.lower()
    if suffix not in _READERS and suffix != ".parquet":
        raise CaseError(
            f"{path}: cases are read from {', '.join(sorted([*_READERS, '.parquet']))} files, "
            f"not from {repr(suffix) if suffix else 'a file without extension'}. "
            "Rename or convert the file, or pass a pandas DataFrame."
        )
    content = _content(path)
    if suffix == ".parquet":
        return read_parquet(path)
    text = _text(path, content)
    if not text.strip():
        raise CaseError(f"{path}: the file is empty. Write at least one case with an id and an input.")
    return _READERS[suffix](text, str(path), problems)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if path.is_absolute():
            advice = "Correct the path."
        else:
            advice = (
                f"A relative path starts at the current folder: looked for {path.absolute()}. "
                f'Write Path(__file__).parent / "{path.name}" for a file beside the test.'
            )
        raise CaseError(f"{path}: there is no such file. {advice}") from None
    except OSError as exc:
        what = "it is a folder" if path.is_dir() else exc.strerror or str(exc)
        raise CaseError(f"{path}: can't be read: {what}. Give the path of a readable file.") from None


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        guess = " (it looks like UTF-16)" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise CaseError(
            f"{path}:{line}: byte 0x{content[exc.start]:02x} is not UTF-8{guess}. Save the file as UTF-8."
        ) from None


def _line_row(name: str, line: int, data: Any) -> Row:
    return Row(where=f"{name}:{line}", short=f"line {line}", data=data)


def _json_error(exc: json.JSONDecodeError) -> str:
    return f"broken JSON: {exc.msg} (column {exc.colno})"


def _no_list(name: str, line: int, found: str) -> CaseError:
    return CaseError(
        f"{name}:{line}: the file holds {found}. Write a list of cases, or an object with the list "
        f"under {' or '.join(map(repr, LISTS))}."
    )


# --- JSON -----------------------------------------------------------------------------------------


def _json(text: str, name: str, problems: Problems) -> list[Row]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as exc:
        advice = "Correct the file."
        if exc.msg == "Extra data":
            advice = "If the file has one object per line, name it .jsonl."
        problems.add(f"{name}:{exc.lineno}", f"{_json_error(exc)}. {advice}")
        return []
    start = _after_space(text, 0)
    if not isinstance(document, list):
        key = _list_key(document, name)
        start = dict(_members(text, start))[key]
        document = document[key]
    line, counted = 1, 0
    rows = []
    for item, data in zip(_elements(text, start), document, strict=True):
        line, counted = line + text.count("\n", counted, item), item
        rows.append(_line_row(name, line, data))
    return rows


def _list_key(document: Any, name: str, line: int = 1) -> str:
    """The key under which an object holds its cases."""
    if not isinstance(document, dict):
        raise _no_list(name, line, f"{type(document).__name__} {document!r:.40}")
    keys = [key for key in LISTS if key in document]
    if len(keys) != 1:
        has = "both lists of cases" if keys else f"an object with the keys {', '.join(map(repr, document))}"
        raise _no_list(name, line, has if document else "an empty object")
    if not isinstance(document[keys[0]], list):
        raise _no_list(name, line, f"no list under {keys[0]!r} but {type(document[keys[0]]).__name__}")
    return keys[0]


def _members(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Key and position of the value of each member of the JSON object at `start`."""
    decoder = json.JSONDecoder()
    position = _after_space(text, start + 1)
    while text[position] != "}":
        key, position = decoder.raw_decode(text, position)
        position = _after_space(text, _after_space(text, position) + 1)
        yield key, position
        position = _next_item(text, decoder.raw_decode(text, position)[1])


def _elements(text: str, start: int) -> Iterator[int]:
    """Positions of the elements of the JSON list at `start`."""
    decoder = json.JSONDecoder()
    position = _after_space(text, start + 1)
    while text[position] != "]":
        yield position
        position = _next_item(text, decoder.raw_decode(text, position)[1])


def _next_item(text: str, position: int) -> int:
    position = _after_space(text, position)
    return _after_space(text, position + 1) if text[position] == "," else position


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _jsonl(text: str, name: str, problems: Problems) -> list[Row]:
    rows, broken = [], []
    # Not splitlines(): U+2028 and its like may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_line_row(name, number, json.loads(line)))
        except json.JSONDecodeError as exc:
            broken.append((number, f"{_json_error(exc)}. Write one whole object on this line."))
    if broken and _is_json(text):
        raise CaseError(f"{name}:1: the file is one JSON document, not one object per line. Name it .json.")
    for number, what in broken:
        problems.add(f"{name}:{number}", what)
    return rows


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


# --- CSV ------------------------------------------------------------------------------------------


def _csv(text: str, name: str, problems: Problems) -> list[Row]:
    before = csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    try:
        records = list(_records(text, name, problems))
    finally:
        csv.field_size_limit(before)
    if not records:
        return []
    header_line, header = records[0]
    columns = [column.strip() for column in header]
    _check_header(name, header_line, columns)
    rows = []
    for line, cells in records[1:]:
        if len(cells) > len(columns):
            problems.add(
                f"{name}:{line}",
                f"{len(cells)} cells, but the header names {len(columns)} columns. "
                'Put cells that contain commas in "quotes".',
            )
            continue
        pairs = zip(columns, cells, strict=False)
        rows.append(_line_row(name, line, {key: _cell(key, cell) for key, cell in pairs if cell.strip()}))
    return rows


def _records(text: str, name: str, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """The records that aren't blank, with the line each begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as exc:
        problems.add(
            f"{name}:{line}",
            f'broken CSV: {exc}. Double the quotes inside a quoted cell ("") and close each cell.',
        )


def _check_header(name: str, line: int, columns: list[str]) -> None:
    if len(columns) == 1:
        for separator, called in ((";", "semicolons"), ("\t", "tabs")):
            if separator in columns[0]:
                raise CaseError(
                    f"{name}:{line}: the columns are separated by {called}; CSV files are read with commas. "
                    f"Save it with commas, or pass pandas.read_csv(path, sep={separator!r}, dtype=str)."
                )
    twice = sorted({repr(column) for column in columns if column and columns.count(column) > 1})
    if twice:
        raise CaseError(f"{name}:{line}: column {', '.join(twice)} stands there twice. Rename one of them.")


def _cell(column: str, text: str) -> Any:
    """A cell as a value: objects, arrays and weights are read, everything else stays text."""
    if column == "id":
        return text.strip()
    if column == "weight":
        try:
            return float(text)
        except ValueError:
            return text
    stripped = text.strip()
    if stripped[:1] in "{[" and (column in _PARSED_CELLS or column.startswith("expected_")):
        try:
            return json.loads(stripped)
        except json.JSONDecodeError:
            return text  # "[urgent] my invoice is wrong" is a plain text
    return text


# --- YAML -----------------------------------------------------------------------------------------


def _yaml(text: str, name: str, problems: Problems) -> list[Row]:
    try:
        import yaml
    except ImportError as exc:
        raise CaseError(f"{name}: reading YAML needs pyyaml ({exc}). Run: pip install pyyaml") from None
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        return list(_yaml_rows(loader, loader.get_single_node(), name, problems))
    except yaml.YAMLError as exc:
        problems.add(*_yaml_problem(exc, name, 1))
        return []


def _yaml_rows(loader: Any, node: Any, name: str, problems: Problems) -> Iterator[Row]:
    from yaml import YAMLError

    if node is not None and node.id == "mapping":
        keys = {key.value: value for key, value in node.value if key.id == "scalar"}
        shape = {key: [] if value.id == "sequence" else value.value for key, value in keys.items()}
        node = keys[_list_key(shape, name, node.start_mark.line + 1)]
    elif node is not None and node.id != "sequence" and node.value:
        raise _no_list(name, node.start_mark.line + 1, f"the text {node.value!r:.40}")
    for item in node.value if node is not None else ():  # an empty document has the value ""
        line = item.start_mark.line + 1
        try:
            yield _line_row(name, line, loader.construct_document(item))
        except YAMLError as exc:
            problems.add(*_yaml_problem(exc, name, line))


def _yaml_problem(exc: Any, name: str, line: int) -> tuple[str, str]:
    mark = getattr(exc, "problem_mark", None)
    what = " ".join(filter(None, [getattr(exc, "context", None), getattr(exc, "problem", None)])) or str(exc)
    return f"{name}:{line if mark is None else mark.line + 1}", f"broken YAML: {what}. Correct the file."


_READERS: dict[str, Callable[[str, str, Problems], list[Row]]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".yaml": _yaml,
    ".yml": _yaml,
}
