import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_promptune.cases.loading import load_cases
from pytest_promptune.core.errors import CaseError
from pytest_promptune.core.model import Case

DATA = Path(__file__).parent / "data"


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def refused(source, **options) -> str:
    with pytest.raises(CaseError) as caught:
        load_cases(source, **options)
    return str(caught.value)


# --- what is read ---------------------------------------------------------------------------------


def test_object_with_test_cases():
    """A JSON object's `test_cases` become cases: expected_* collected, metadata and the rest are tags."""
    first, _, third = load_cases(DATA / "test_cases.json")

    assert first == Case(
        id="TC001",
        input="What do I get in the premium plan that the basic one lacks?",
        expected={
            "intent": "product_inquiry",
            "answer": "Premium adds priority support and unlimited projects.",
            "answer_semantic": ["premium", "priority", "unlimited"],
        },
        tags={
            "category": "product_inquiry",
            "difficulty": "easy",
            "user_type": "new",
            "context_required": False,
        },
    )
    assert third.expected == {"intent": "billing"}


JSON_ROWS = [
    {"id": "a", "input": {"q": "x"}, "expected": {"intent": "bug"}, "tags": {"lang": "en"}, "weight": 2},
    {"id": "b", "input": ["y"], "expected_n": 1, "metadata": {"new": True}, "difficulty": "hard"},
]
CASES = [
    Case(id="a", input={"q": "x"}, expected={"intent": "bug"}, tags={"lang": "en"}, weight=2.0),
    Case(id="b", input=["y"], expected={"n": 1}, tags={"new": True, "difficulty": "hard"}),
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.json", json.dumps(JSON_ROWS)),
        ("pretty.JSON", json.dumps(JSON_ROWS, indent=2)),
        ("cases.json", json.dumps({"version": {"test_cases": []}, "cases": JSON_ROWS, "last": "]"})),
        ("bom.json", "\ufeff" + json.dumps(JSON_ROWS)),
        ("lines.jsonl", "\n".join(map(json.dumps, JSON_ROWS)) + "\r\n\n"),
        ("list.yaml", json.dumps(JSON_ROWS, indent=1)),
        (
            "block.yml",
            "test_cases:\n- id: a\n  input: {q: x}\n  expected: {intent: bug}\n  tags: {lang: en}\n"
            "  weight: 2\n- id: b\n  input: [y]\n  expected_n: 1\n  metadata: {new: true}\n"
            "  difficulty: hard\n",
        ),
        (
            "table.csv",
            "id, input ,expected,expected_n,tags,metadata,weight,difficulty\r\n"
            'a,"{""q"": ""x""}","{""intent"": ""bug""}",,"{""lang"": ""en""}",,2,\r\n'
            '\r\n b,"[""y""]",,[1],,"{""new"": true}",,hard\r\n',
        ),
    ],
)
def test_every_text_format_gives_the_same_cases(tmp_path, name, text):
    """JSON, JSON lines, YAML and CSV that say the same are the same cases."""
    cases = load_cases(str(write(tmp_path, name, text)))

    if name == "table.csv":
        assert cases[1].expected == {"n": [1]}
        assert [cases[0], cases[1].tags] == [CASES[0], CASES[1].tags]
    else:
        assert cases == CASES


def test_dicts_are_read_like_files():
    """A list, or a generator, of dicts is a source too."""
    assert load_cases(JSON_ROWS) == CASES
    assert load_cases(row for row in JSON_ROWS) == CASES


def test_data_frame_gives_python_values():
    """In a DataFrame NaN, NaT, None and NA are absent, and numpy values become Python's."""
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "id": ["a", "b"],
            "input": [{"xs": np.array([1, 2])}, {"xs": [np.float64(0.5)]}],
            "expected_n": np.array([1, 2], dtype="int64"),
            "expected_label": [np.nan, "x"],
            "when": [pd.Timestamp("2026-01-01"), pd.NaT],
            "note": [pd.NA, None],
            "weight": [np.nan, 3],
        }
    )

    a, b = load_cases(frame)

    assert (a.input, a.expected, a.weight, b.weight) == ({"xs": [1, 2]}, {"n": 1}, 1.0, 3.0)
    assert (b.input, b.expected, b.tags) == ({"xs": [0.5]}, {"n": 2, "label": "x"}, {})
    assert type(b.input["xs"][0]) is float
    assert type(a.expected["n"]) is int
    assert type(a.tags["when"]).__module__ == "datetime"


def test_data_frame_indexed_by_id():
    """An index named id is the column id."""
    pd = pytest.importorskip("pandas")

    assert [c.id for c in load_cases(pd.DataFrame(JSON_ROWS).set_index("id"))] == ["a", "b"]


def test_parquet(tmp_path):
    """Parquet files are read with nulls and NaN absent, and without pandas' index column."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {"id": ["a", "b"], "input": ["x", "y"], "expected_n": [1.5, None], "tag": [None, "t"]}, index=[7, 9]
    )
    frame.to_parquet(tmp_path / "cases.parquet")

    a, b = load_cases(tmp_path / "cases.parquet")

    assert a == Case(id="a", input="x", expected={"n": 1.5})
    assert b == Case(id="b", input="y", tags={"tag": "t"})


def test_input_key_wraps_plain_inputs():
    """input_key wraps whatever doesn't have the key yet; a dict that has it is left alone."""
    rows = [{"id": "1", "input": "x"}, {"id": "2", "input": {"q": "x"}}, {"id": "3", "input": {"r": 1}}]

    assert [c.input for c in load_cases(rows, input_key="q")] == [{"q": "x"}, {"q": "x"}, {"q": {"r": 1}}]


def test_expected_is_merged_with_its_parts():
    """An expected object and expected_* keys are one dict; the same value twice is no problem."""
    row = {
        "id": "a",
        "input": "x",
        "expected": {"intent": "bug", "n": 1},
        "expected_tone": "calm",
        "expected_n": 1,
    }

    assert load_cases([row])[0].expected == {"intent": "bug", "n": 1, "tone": "calm"}


def test_expected_without_parts_is_kept_as_it_is():
    """A plain expected value stays plain, and so does one that is empty text."""
    assert load_cases([{"id": "a", "input": "", "expected": "bug"}])[0].expected == "bug"
    assert load_cases([{"id": "a", "input": "", "expected": "bug"}])[0].input == ""


def test_csv_text_that_looks_like_json_stays_text(tmp_path):
    """A CSV cell that begins with a bracket but isn't JSON is a text, and other columns are never parsed."""
    path = write(tmp_path, "c.csv", 'id,input,note\n007,[urgent] help,[1]\nb,"two\nlines, {x",\n')

    a, b = load_cases(path)

    assert (a.id, a.input, a.tags) == ("007", "[urgent] help", {"note": "[1]"})
    assert (b.input, b.tags) == ("two\nlines, {x", {})


def test_long_csv_cells(tmp_path):
    """A cell may be longer than the csv module's default limit."""
    path = write(tmp_path, "c.csv", f"id,input\na,{'x' * 200_000}\n")

    assert len(load_cases(path)[0].input) == 200_000


def test_json_lines_end_at_newlines_only(tmp_path):
    """U+2028 inside a JSON string doesn't end a line."""
    path = write(tmp_path, "c.jsonl", '{"id": "a", "input": "x\u2028y\x85z"}\n')

    assert load_cases(path)[0].input == "x\u2028y\x85z"


def test_yaml_anchors_and_merges(tmp_path):
    """YAML anchors, aliases and merge keys work across cases."""
    path = write(tmp_path, "c.yaml", "- &a {id: a, input: x, lang: en}\n- {<<: *a, id: b}\n")

    assert [(c.id, c.input, c.tags) for c in load_cases(path)] == [
        ("a", "x", {"lang": "en"}),
        ("b", "x", {"lang": "en"}),
    ]


def test_importing_loads_nothing_heavy():
    """The module comes without yaml, pandas, numpy and pyarrow, and reads JSON without them."""
    code = (
        "import sys; from pytest_promptune.cases.loading import load_cases; load_cases(sys.argv[1]);"
        "print({'yaml', 'pandas', 'numpy', 'pyarrow', 'jinja2', 'asyncio'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, DATA / "test_cases.json"], capture_output=True, text=True, check=True
    )

    assert run.stdout.strip() == "set()"


# --- what is refused ------------------------------------------------------------------------------


BAD_ROWS = [
    '{"id": "a", "input": "x"}',
    '{"id": "a", "input": "y"}',
    '{"input": "z"}',
    '{"id": 7, "input": "z"}',
    '{"id": "b"}',
    '["c", "x"]',
    '{"id": "d", "input": "x", "weight": "heavy"}',
    '{"id": "e", "input": "x", "weight": 0}',
    '{"id": "f", "input": "x", "expected": "bug", "expected_tone": "calm"}',
    '{"id": "g", "input": "x", "tags": ["hard"], "metadata": "new"}',
    '{"id": "h", "input": "x", "lang": "en", "metadata": {"lang": "de"}}',
    '{"id": "i", "input": "x", "expected": {"n": 1}, "expected_n": 2}',
]


@pytest.mark.parametrize("name", ["c.jsonl", "c.json", "object.json", "c.yaml", "object.yml"])
def test_all_problems_at_once_with_their_lines(tmp_path, name):
    """Everything that is wrong is reported together, each with file, line and remedy."""
    first = 2
    if name == "c.jsonl":
        text = "\n" + "\n".join(BAD_ROWS)
    elif name == "c.json":
        text = "[\n" + ",\n".join(BAD_ROWS) + "\n]"
    elif name == "object.json":
        text = '{"note": "[{",\n "test_cases"\n : [' + ",\n".join(BAD_ROWS) + "]}"
        first = 3
    elif name == "c.yaml":
        text = "# cases\n" + "\n".join(f"- {row}" for row in BAD_ROWS)
    else:
        text = "note: x\ncases:\n" + "\n".join(f"- {row}" for row in BAD_ROWS)
        first = 3
    path = write(tmp_path, name, text)

    head, *lines = refused(path).splitlines()

    at = [f"  {path}:{first + i}: " for i in range(len(BAD_ROWS))]
    assert head == f"{path}: 12 problems, nothing was loaded"
    assert sorted(lines) == sorted(
        [
            f"{at[1]}the id 'a' is already used in line {first}. Give each case an id of its own.",
            f'{at[2]}no id. Add "id", a text of its own that stays the same when other cases change. '
            "The keys here are 'input'.",
            f'{at[3]}the id 7 is a number, not text. Put it in quotes: "7".',
            f"{at[4]}no input. Add \"input\", what the app is called with. The keys here are 'id'.",
            f'{at[5]}this is a list, not an object. Write a case such as {{"id": "TC001", "input": "…"}}.',
            f"{at[6]}the weight 'heavy' is a text. Write a number above 0 without quotes.",
            f"{at[7]}the weight is 0. Write a finite number above 0, or leave it out.",
            f"{at[8]}'expected' is a text, so 'expected_tone' can't be added to it. Make 'expected' an "
            "object, or leave one of them out.",
            f'{at[9]}\'tags\' is a list. Write an object such as {{"difficulty": "hard"}}.',
            f'{at[9]}\'metadata\' is a text. Write an object such as {{"difficulty": "hard"}}.',
            f"{at[10]}the tag 'lang' is both 'de' and 'en'. Leave one of them out.",
            f"{at[11]}'expected' says 'n' is 1, 'expected_n' says 2. Leave one of them out.",
        ]
    )


def test_broken_json_lines_beside_other_problems(tmp_path):
    """A broken line doesn't hide the problems of the others."""
    path = write(tmp_path, "c.jsonl", '{"id": "a", "input": 1}\n{"id": "b", \n{"id": "c"}\n')

    message = refused(path)

    assert f"{path}:2: broken JSON: Expecting property name" in message
    assert "Write one whole object on this line." in message
    assert f"{path}:3: no input" in message


def test_broken_json_says_where(tmp_path):
    """A broken .json file is reported with line and column."""
    path = write(tmp_path, "c.json", '[\n {"id": "a", "input": 1},\n {"id" "b"}\n]')

    assert refused(path) == f"{path}:3: broken JSON: Expecting ':' delimiter (column 8). Correct the file."


def test_json_lines_under_the_other_name(tmp_path):
    """JSON lines in a .json file, and a JSON document in a .jsonl file, are recognised."""
    lines = write(tmp_path, "c.json", '{"id": "a", "input": 1}\n{"id": "b", "input": 1}\n')
    document = write(tmp_path, "c.jsonl", json.dumps(JSON_ROWS, indent=2))

    assert refused(lines) == (
        f"{lines}:2: broken JSON: Extra data (column 1). If the file has one object per line, name it .jsonl."
    )
    assert refused(document) == (
        f"{document}:1: the file is one JSON document, not one object per line. Name it .json."
    )


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.json", '"x"', ":1: the file holds str 'x'"),
        ("b.json", '{"questions": []}', ":1: the file holds an object with the keys 'questions'"),
        ("c.json", '{"cases": [], "test_cases": []}', ":1: the file holds both lists of cases"),
        ("d.json", '{"cases": {}}', ":1: the file holds no list under 'cases' but dict"),
        ("e.json", "{}", ":1: the file holds an empty object"),
        ("a.yaml", "# x\nquestions: [1]", ":2: the file holds an object with the keys 'questions'"),
        ("b.yaml", "hello", ":1: the file holds the text 'hello'"),
        ("c.yaml", "cases: 3", ":1: the file holds no list under 'cases' but str"),
    ],
)
def test_files_without_a_list_of_cases(tmp_path, name, text, what):
    """A document of another shape is refused with what it holds and what is read."""
    message = refused(write(tmp_path, name, text))

    assert f"{name}{what}" in message
    assert "Write a list of cases, or an object with the list under 'test_cases' or 'cases'." in message


def test_broken_yaml_says_where(tmp_path):
    """YAML that can't be parsed, or holds tags that aren't read, is reported with its line."""
    broken = write(tmp_path, "a.yaml", "- id: a\n  input: 'x\n")
    tagged = write(tmp_path, "b.yaml", "- id: a\n  input: x\n- id: b\n  input: !secret x\n- id: c\n")

    assert refused(broken).startswith(f"{broken}:")
    assert "broken YAML:" in refused(broken)
    assert "Correct the file." in refused(broken)
    assert f"{tagged}:4: broken YAML: could not determine a constructor for the tag '!secret'" in refused(
        tagged
    )
    assert f"{tagged}:5: no input" in refused(tagged)


def test_yaml_ids_that_are_not_text(tmp_path):
    """YAML reads 7, no and dates as other things than text: the id has to be quoted."""
    path = write(
        tmp_path, "c.yaml", "- {id: 7, input: x}\n- {id: no, input: x}\n- {id: 2026-01-01, input: x}\n"
    )

    message = refused(path)

    assert f'{path}:1: the id 7 is a number, not text. Put it in quotes: "7".' in message
    assert f"{path}:2: the id False is true or false, not text. Put it in quotes." in message
    assert f"{path}:3: the id datetime.date(2026, 1, 1) is of type date" in message


def test_csv_problems_have_the_line_where_the_record_begins(tmp_path):
    """Quoted newlines and blank lines are counted, cells and weights are checked."""
    path = write(
        tmp_path,
        "c.csv",
        'id,input,weight\na,"two\nlines",1\n\nb,,1\nc,x,"1,5"\nd,x,1,more\na,y,\n,z,\n',
    )

    assert refused(path).splitlines()[1:] == [
        f'  {path}:7: 4 cells, but the header names 3 columns. Put cells that contain commas in "quotes".',
        f'  {path}:5: no input. Add "input", what the app is called with. '
        "The keys here are 'id', 'weight'.",
        f"  {path}:6: the weight '1,5' is a text. Write a number above 0 without quotes.",
        f'  {path}:9: no id. Add "id", a text of its own that stays the same when other cases change. '
        "The keys here are 'input'.",
        f"  {path}:8: the id 'a' is already used in line 2. Give each case an id of its own.",
    ]


def test_csv_of_another_shape(tmp_path):
    """Semicolons, a column named twice and an unclosed quote are said as what they are."""
    semicolons = write(tmp_path, "a.csv", "id;input\na;x\n")
    twice = write(tmp_path, "b.csv", "id,input,input\na,x,y\n")
    unclosed = write(tmp_path, "c.csv", 'id,input\na,x\nb,"y\nc,z\n')

    assert refused(semicolons) == (
        f"{semicolons}:1: the columns are separated by semicolons; CSV files are read with commas. Save it "
        "with commas, or pass pandas.read_csv(path, sep=';', dtype=str)."
    )
    assert refused(twice) == f"{twice}:1: column 'input' stands there twice. Rename one of them."
    assert refused(unclosed).startswith(f"{unclosed}:3: broken CSV: unexpected end of data.")


def test_csv_metadata_that_is_not_json(tmp_path):
    """Python's repr in place of JSON, as pandas writes dicts to CSV, is recognised."""
    path = write(tmp_path, "c.csv", "id,input,metadata\na,x,{'new': True}\n")

    assert refused(path) == (
        f"{path}:2: 'metadata' is a text that is not JSON. "
        'Write an object such as {"difficulty": "hard"}.'
    )


def test_data_frame_problems_have_rows():
    """Problems of a DataFrame name row and index; integer ids are refused with how to convert them."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"id": [1, 2], "input": ["x", None]}, index=["p", "q"])

    assert refused(frame).splitlines() == [
        "DataFrame: 3 problems, nothing was loaded",
        "  DataFrame, row 1 (index 'p'): the id 1 is a number, not text. "
        'Convert the column: df["id"] = df["id"].astype(str).',
        "  DataFrame, row 2 (index 'q'): the id 2 is a number, not text. "
        'Convert the column: df["id"] = df["id"].astype(str).',
        "  DataFrame, row 2 (index 'q'): no input. Add \"input\", what the app is called with. "
        "The keys here are 'id'.",
    ]


def test_data_frame_columns_need_names():
    """Columns without names, or with one name twice, are refused."""
    pd = pytest.importorskip("pandas")

    assert refused(pd.DataFrame([["a", "x"]])) == (
        "DataFrame: the column names [0, 1] are not text. Name the columns: id, input, expected, …"
    )
    assert "column 'id' stands there twice" in refused(pd.DataFrame([["a", "x"]], columns=["id", "id"]))


def test_parquet_problems(tmp_path):
    """Rows of a parquet file are numbered; a file that is none says so."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "c.parquet"
    pd.DataFrame({"id": ["a", "a"], "input": ["x", "y"]}).to_parquet(path)
    broken = write(tmp_path, "d.parquet", "id,input\na,b\n")

    assert refused(path).startswith(f"{path}, row 2: the id 'a' is already used in row 1.")
    assert refused(broken).startswith(f"{broken}: not a readable parquet file:")


@pytest.mark.parametrize(
    ("name", "module", "command"),
    [
        ("c.parquet", "pyarrow", "pip install 'pytest-promptune[parquet]'"),
        ("c.yaml", "yaml", "pip install pyyaml"),
    ],
)
def test_missing_readers_say_what_to_install(tmp_path, monkeypatch, name, module, command):
    """Without its library a format is refused with the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    path = write(tmp_path, name, "- {id: a, input: x}")

    message = refused(path)

    assert message.startswith(f"{path}: reading {'parquet' if module == 'pyarrow' else 'YAML'} needs py")
    assert message.endswith(f"Run: {command}")


def test_missing_file_says_where_it_was_looked_for(tmp_path, monkeypatch):
    """A relative path is shown with the place it led to and how to write it, an absolute one as it is."""
    monkeypatch.chdir(tmp_path)

    assert refused("sub/c.json") == (
        f"{Path('sub/c.json')}: there is no such file. A relative path starts at the current folder: "
        f"looked for {tmp_path / 'sub' / 'c.json'}. "
        'Write Path(__file__).parent / "c.json" for a file beside the test.'
    )
    assert refused(tmp_path / "c.json") == f"{tmp_path / 'c.json'}: there is no such file. Correct the path."


def test_unknown_extension_says_which_are_read(tmp_path):
    """An extension that isn't read, or none, is refused with those that are."""
    path = write(tmp_path, "c.xlsx", "x")

    assert refused(path) == (
        f"{path}: cases are read from .csv, .json, .jsonl, .parquet, .yaml, .yml files, not from '.xlsx'. "
        "Rename or convert the file, or pass a pandas DataFrame."
    )
    assert "not from a file without extension" in refused(write(tmp_path, "cases", "x"))


def test_folder_in_place_of_a_file(tmp_path):
    """A folder is refused as one."""
    (tmp_path / "c.json").mkdir()

    assert "can't be read: it is a folder. Give the path of a readable file." in refused(tmp_path / "c.json")


@pytest.mark.parametrize("name", ["c.json", "c.jsonl", "c.csv", "c.yaml"])
def test_empty_files(tmp_path, name):
    """An empty file is said to be empty."""
    path = write(tmp_path, name, " \n")

    assert refused(path) == (f"{path}: the file is empty. Write at least one case with an id and an input.")


@pytest.mark.parametrize(
    ("name", "text"),
    [("c.json", "[]"), ("d.json", '{"cases": []}'), ("c.csv", "id,input\n"), ("c.yaml", "# none\n---\n")],
)
def test_zero_cases(tmp_path, name, text):
    """A file with no case in it is refused: nothing tested is not a pass."""
    path = write(tmp_path, name, text)

    assert refused(path) == f"{path}: there are no cases. Write at least one with an id and an input."


def test_zero_dicts_and_rows():
    """So are an empty list and an empty DataFrame."""
    pd = pytest.importorskip("pandas")

    assert refused([]).startswith("load_cases(...): there are no cases.")
    assert refused(pd.DataFrame({"id": [], "input": []})).startswith("DataFrame: there are no cases.")


def test_wrong_encoding(tmp_path):
    """Bytes that aren't UTF-8 are reported with line and byte; UTF-16 is recognised."""
    latin = write(tmp_path, "a.csv", "id,input\na,x\nb,caf\xe9\n", "latin-1")
    wide = write(tmp_path, "b.csv", "id,input\n", "utf-16")

    assert refused(latin) == f"{latin}:3: byte 0xe9 is not UTF-8. Save the file as UTF-8."
    assert f"{wide}:1: byte 0xff is not UTF-8 (it looks like UTF-16). Save the file" in refused(wide)


def test_near_misses_of_the_key_names():
    """A key that is nearly id or input is named."""
    message = refused([{"ID": "a", "inputs": "x"}])

    assert "load_cases(...), item 1: no id." in message
    assert "There is 'ID': rename it to 'id'." in message
    assert "There is 'inputs': rename it to 'input'." in message


def test_keys_that_are_not_text():
    """A key that isn't text can't become a tag."""
    assert refused([{1: "x", "id": "a"}]) == (
        "load_cases(...), item 1: the key 1 is not text. Put it in quotes."
    )


@pytest.mark.parametrize("weight", [True, float("inf"), -1])
def test_weights_are_finite_numbers_above_zero(weight):
    """Flags, infinities and negative numbers are no weights."""
    assert "Write a" in refused([{"id": "a", "input": "x", "weight": weight}])


@pytest.mark.parametrize("source", [{"id": "a", "input": "x"}, 7, b"cases.json", None])
def test_other_sources_are_refused(source):
    """One dict, a number, bytes: not a source of cases."""
    message = refused(source)

    assert message.startswith(f"load_cases({source!r}): cases come from a path, a pandas DataFrame or a list")
    assert type(source).__name__ in message


def test_many_problems_are_counted():
    """Twenty problems are shown and the rest counted, never dropped silently."""
    lines = refused([{"id": f"c{i}"} for i in range(33)]).splitlines()

    assert lines[0] == "load_cases(...): 33 problems, nothing was loaded"
    assert lines[-1] == "  … and 13 more of the 33 problems"
    assert len(lines) == 22


def test_one_problem_is_one_line():
    """A single problem comes without a heading."""
    assert "\n" not in refused([{"id": "a"}])
