"""Record files: values survive reading and writing, and bad input is reported with its place."""

import gzip
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples
from waiting import PATIENCE_S

from selfinstruct.dataset.record_files import (
    Record,
    json_reading,
    read_records,
    write_records,
    writing,
)
from selfinstruct.errors import ExportError, InputError

TEXTS = st.text(st.characters(), max_size=8)  # This includes lone surrogates.
PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)
LAYOUTS: list[dict[str, Any]] = [{}, {"indent": 4}, {"separators": (",", ":")}]


class Place:
    """A directory of record files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str, data: str | bytes, **options: Any) -> list[Record]:
        path = self.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        with read_records(path, **options) as records:
            return list(records)

    def write(
        self, name: str, records: list[Record], added: Mapping[str, Any] | None = None
    ) -> Path:
        with write_records(self.folder / name) as writer:
            for record in records:
                writer.write(record, added)
        return self.folder / name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("files"))


def fields(records: list[Record]) -> list[dict[str, Any]]:
    return [dict(record.fields) for record in records]


@given(st.lists(OBJECTS, max_size=4), st.sampled_from(LAYOUTS))
@settings(max_examples=examples(60))
def test_a_json_list_is_read_in_every_layout(
    place: Place, objects: list[dict[str, Any]], layout: dict[str, Any]
) -> None:
    records = place.read("list.json", json.dumps(objects, **layout))
    assert fields(records) == objects
    assert [record.place for record in records] == [
        f"{place.folder}/list.json: record {number}" for number in range(1, len(objects) + 1)
    ]


@given(st.lists(OBJECTS, min_size=1, max_size=3), st.sampled_from(LAYOUTS), st.data())
@settings(max_examples=examples(60))
def test_a_cut_list_is_an_error(
    place: Place, objects: list[dict[str, Any]], layout: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(objects, **layout)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(InputError, match=r"cut\.json:\d+: is not JSON"):
        place.read("cut.json", cut)


def as_json_has_it(data: bytes) -> list[dict[str, Any]] | None:
    """Return the list of objects that Python's json module reads; None if it reads anything else."""
    try:
        listed = json.loads(data.decode("utf-8"))
    except ValueError:
        return None
    is_list = isinstance(listed, list) and all(isinstance(entry, dict) for entry in listed)
    return listed if is_list else None


@given(st.lists(OBJECTS, max_size=3), st.sampled_from(LAYOUTS), st.data())
@settings(max_examples=examples(100))
def test_a_wrong_byte_is_read_like_json(
    place: Place, objects: list[dict[str, Any]], layout: dict[str, Any], data: Any
) -> None:
    text = bytearray(json.dumps(objects, **layout).encode())
    at = data.draw(st.integers(1, len(text) - 1))
    wrong = data.draw(st.sampled_from([*b'[]{}",:\\\n 0e-tN\x00\xff']))
    text[at : at + data.draw(st.integers(0, 1))] = bytes([wrong])
    expected = as_json_has_it(bytes(text))
    if expected is None or "Infinity" in repr(expected) or "inf" in repr(expected):
        with pytest.raises(InputError, match=r"wrong\.json[:\d]*: "):
            place.read("wrong.json", bytes(text))
    else:
        # Compare as text, because Python's json module accepts NaN, which is not equal to itself.
        assert repr(fields(place.read("wrong.json", bytes(text)))) == repr(expected)


@given(st.lists(OBJECTS, max_size=4), st.sampled_from(LAYOUTS))
@settings(max_examples=examples(40))
def test_json_and_json_lines_keep_values(
    place: Place, objects: list[dict[str, Any]], layout: dict[str, Any]
) -> None:
    records = place.read("a.json", json.dumps(objects, **layout))
    lines = place.write("b.jsonl.gz", records)
    if objects:
        with read_records(lines) as again:
            back = place.write("c.json", list(again))
        assert json.loads(back.read_text()) == objects
        assert len(gzip.decompress(lines.read_bytes()).split(b"\n")) == len(objects) + 1


def test_values_are_kept_and_not_their_spelling(place: Place) -> None:
    raw = '{"n": 1.10, "n": 2.50, "big": 123456789012345678901234567890, "\\u00e9": "\\ud800"}'
    records = place.read("raw.jsonl", f"{raw}\r\n\n{raw}")
    assert [record.line for record in records] == [1, 3]
    written = '{"n": 2.5, "big": 123456789012345678901234567890, "\\u00e9": "\\ud800"}\n'
    assert place.write("copy.jsonl", records).read_text() == written * 2
    listed = json.dumps([{"instruction": "Go.", "nested": {"a": []}}, {}], indent=4) + "\n"
    again = place.write("again.json", place.read("listed.json", listed))
    assert again.read_text() == listed


def test_the_deepest_record_is_written_in_every_format(place: Place) -> None:
    depth = json_reading.DEEPEST - 1
    records = place.read("deep.jsonl", '{"a": ' + "[" * depth + "NaN" + "]" * depth + "}")
    for name in ("deep.json", "deep.jsonl", "deep.csv"):
        place.write(name, records)


@given(OBJECTS, st.dictionaries(TEXTS, VALUES, max_size=3), st.sampled_from(LAYOUTS), st.data())
@settings(max_examples=examples(60))
def test_added_fields_replace_or_follow_others(
    place: Place,
    there: dict[str, Any],
    added: dict[str, Any],
    layout: dict[str, Any],
    data: st.DataObject,
) -> None:
    keys = data.draw(st.lists(st.sampled_from(sorted(there)), max_size=2)) if there else []
    added |= dict.fromkeys(keys, "new")
    records = place.read("a.json", json.dumps([there], **layout))
    for name in ("added.jsonl", "added.json"):
        with read_records(place.write(name, records, added), format=name[6:]) as again:
            assert fields(list(again)) == [{**there, **added}]


@given(
    st.lists(PLAIN, min_size=1, max_size=4, unique=True).flatmap(
        lambda header: st.lists(st.tuples(*[PLAIN for _ in header]), max_size=4).map(
            lambda rows: [dict(zip(header, row, strict=True)) for row in rows]
        )
    )
)
@settings(max_examples=examples(60))
def test_csv_keeps_every_string_in_its_column(place: Place, rows: list[dict[str, str]]) -> None:
    text = place.write("a.csv", place.read("a.json", json.dumps(rows)))
    if rows:
        with read_records(text) as records:
            assert fields(list(records)) == rows
            assert records.layout == tuple(rows[0])


def test_csv_keeps_header_and_counts_lines(place: Place) -> None:
    text = '\ufeffb,a\r\n"x\r\ny, ""z""",1.10\r\n\r\n,é\r\n'
    records = place.read("bom.csv", text)
    assert [record.line for record in records] == [2, 5]
    assert fields(records)[0] == {"b": 'x\r\ny, "z"', "a": "1.10"}
    copy = place.write("copy.csv", records).read_bytes().decode()
    assert copy == 'b,a\n"x\r\ny, ""z""",1.10\n,é\n'
    with read_records(place.folder / "bom.csv") as source:
        target = place.folder / "none.csv"
        with write_records(target, like=source):
            pass
    assert target.read_text() == "b,a\n"


def test_values_between_formats(place: Place) -> None:
    lines = '{"t": "x", "n": 1.10, "l": [1,  2], "z": null}\n{"t": "\\ud800", "b": true, "o": {"k": {}}}'
    records = place.read("a.jsonl", lines)
    csv = place.write("a.csv", records)
    assert csv.read_text() == ('t,n,l,z,b,o\nx,1.1,"[1, 2]",,,\n\\ud800,,,,true,"{""k"": {}}"\n')
    table = pyarrow.parquet.read_table(place.write("a.parquet", records))
    assert table.to_pylist() == [
        {"t": "x", "n": 1.1, "l": [1, 2], "z": None, "b": None, "o": None},
        {"t": "\\ud800", "n": None, "l": None, "z": None, "b": True, "o": '{"k": {}}'},
    ]
    with read_records(place.folder / "a.parquet") as rows, read_records(csv) as cells:
        back = place.write("back.json", [*rows, *cells])
    assert json.loads(back.read_text())[1:3] == [
        table.to_pylist()[1],
        {"t": "x", "n": "1.1", "l": "[1, 2]", "z": "", "b": "", "o": ""},
    ]


def typed_table() -> pyarrow.Table:
    kinds = {
        "text": (["a", "b", None], pyarrow.string()),
        "tiny": ([1, 2, 3], pyarrow.int8()),
        "time": ([1, 2, 3], pyarrow.timestamp("ns", tz="UTC")),
        "price": ([None, None, None], pyarrow.decimal128(9, 2)),
        "kind": (["x", "y", "x"], pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
        "chat": ([[{"role": "user"}], [], None], pyarrow.list_(pyarrow.struct({"role": "string"}))),
    }
    arrays = {name: pyarrow.array(values, kind) for name, (values, kind) in kinds.items()}
    metadata = {b"made by": b"hand", b"huggingface": b"{}"}
    return pyarrow.table(arrays).replace_schema_metadata(metadata)


def copied(source: Path, target: Path, added: Mapping[str, Any] | None = None) -> pyarrow.Table:
    """Copy all rows except the second one to another file, and return the table that was written."""
    with read_records(source) as records, write_records(target, like=records) as writer:
        for record in records:
            if record.number != 2:
                writer.write(record, added)
    return pyarrow.parquet.read_table(target)


def test_parquet_keeps_types_and_takes_columns(place: Place) -> None:
    table = typed_table()
    path = place.folder / "typed.parquet"
    pyarrow.parquet.write_table(table, path, row_group_size=2)
    table = pyarrow.parquet.read_table(path)
    copy = copied(path, place.folder / "copy.parquet")
    assert copy.schema.equals(table.schema, check_metadata=True)
    assert copy.to_pylist() == table.take([0, 2]).to_pylist()
    added = {"most": {"a": 0.5}, "score": 0.5, "text": "new"}
    wider = copied(path, place.folder / "wider.parquet", added)
    assert wider.column_names == [*table.column_names, "most", "score"]
    others = wider.select(table.column_names[1:])
    assert others.schema.equals(table.drop(["text"]).schema)
    assert others.to_pylist() == table.take([0, 2]).drop(["text"]).to_pylist()
    assert (
        wider.select(["text", "most", "score"]).to_pylist()
        == [{"text": "new", "most": '{"a": 0.5}', "score": 0.5}] * 2
    )
    assert wider.schema.metadata == {b"made by": b"hand"}
    with read_records(path) as source, write_records(place.folder / "0.parquet", like=source):
        pass
    assert pyarrow.parquet.read_schema(place.folder / "0.parquet").equals(table.schema)


def test_parquet_keeps_views(place: Place) -> None:
    kinds = {
        "text": pyarrow.string_view(),
        "bytes": pyarrow.binary_view(),
        "list": pyarrow.list_(pyarrow.string_view()),
        "struct": pyarrow.struct({"a": pyarrow.large_list(pyarrow.string_view()), "b": "int8"}),
    }
    values: dict[str, list[Any]] = {
        "text": ["a", "b" * 20, None, "c"],
        "bytes": [b"a", b"b", b"\xff", None],
        "list": [["a"], [], None, ["b", None]],
        "struct": [{"a": ["a"], "b": 1}, {"a": ["b"], "b": 2}, None, {"a": None, "b": None}],
    }
    table = pyarrow.table({name: pyarrow.array(values[name], kinds[name]) for name in kinds})
    path = place.folder / "views.parquet"
    pyarrow.parquet.write_table(table, path)
    copy = copied(path, place.folder / "copy.parquet")
    assert copy.schema.types == pyarrow.parquet.read_schema(path).types
    rows = table.to_pylist()
    assert copy.to_pylist() == [rows[0], *rows[2:]]


def test_a_column_type_fits_all_records(place: Place) -> None:
    rows: list[dict[str, Any]] = [
        {"a": None},
        {"a": 1},
        {"a": 2, "b": ["x"]},
        {"a": 1.5},
        {"c": "d"},
    ]
    records = place.read("a.jsonl", "\n".join(map(json.dumps, rows)))
    table = pyarrow.parquet.read_table(place.write("a.parquet", records))
    assert table.to_pylist() == [dict.fromkeys("abc") | row for row in rows]
    assert [str(kind) for kind in table.schema.types] == [
        "double",
        "list<element: string>",
        "string",
    ]


def test_parquet_rows_may_lack_fields(place: Place) -> None:
    objects: list[dict[str, Any]] = [{}, {}, {"a": 1}, {}, {}, {"b": "x"}, {}, {}]
    records = place.read("bare.jsonl", "\n".join(map(json.dumps, objects)))
    table = pyarrow.parquet.read_table(place.write("bare.parquet", records))
    assert table.to_pylist() == [dict.fromkeys("ab") | row for row in objects]
    with pytest.raises(ExportError, match="cannot store records without any field"):
        place.write("bare.parquet", records[:2])


def parquet_rows(place: Place, name: str, values: list[Any], kind: Any) -> list[Record]:
    schema = pyarrow.schema([pyarrow.field("a", kind, nullable=False)])
    pyarrow.parquet.write_table(
        pyarrow.table([pyarrow.array(values, kind)], schema), place.folder / name
    )
    with read_records(place.folder / name) as records:
        return list(records)


def joined(place: Place, names: list[str]) -> pyarrow.Table:
    """Join several files in the first file's layout, and return the table that was written."""
    target = place.folder / "both.parquet"
    with (
        read_records(place.folder / names[0]) as first,
        write_records(target, like=first) as writer,
    ):
        for record in first:
            writer.write(record)
        for name in names[1:]:
            with read_records(place.folder / name) as others:
                for record in others:
                    writer.write(record)
    return pyarrow.parquet.read_table(target)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_column_without_nulls_may_get_nulls(place: Place, turn: int) -> None:
    parquet_rows(place, "whole.parquet", [1], pyarrow.int8())
    place.read("others.jsonl", '{"b": 1}\n{}')
    [first, *others] = [{"a": 1, "b": None}, {"a": None, "b": 1}, dict.fromkeys("ab")]
    names = ["whole.parquet", "others.jsonl"][::turn]
    expected = [first, *others] if turn == 1 else [*others, first]
    assert joined(place, names).to_pylist() == expected


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("is_nested", [False, True])
def test_no_value_changes_to_fit_a_type(place: Place, turn: int, is_nested: bool) -> None:
    pairs = [
        ((Decimal("1.10"), pyarrow.decimal128(5, 2)), (0.5, pyarrow.float32())),
        (("text", pyarrow.string()), (b"\xff", pyarrow.binary())),
        ((2**53 + 1, pyarrow.int64()), (0.5, pyarrow.float64())),
        ((0.1, pyarrow.float64()), (0.5, pyarrow.float32())),
    ]
    for pair in pairs:
        names, values = ["1.parquet", "2.parquet"], []
        for name, (value, kind) in zip(names, pair[::turn], strict=True):
            chosen = pyarrow.list_(pyarrow.struct({"x": kind})) if is_nested else kind
            inner = [{"x": value}] if is_nested else value
            [record] = parquet_rows(place, name, [inner], chosen)
            values.append(record.fields["a"])
        try:
            rows = joined(place, names).column("a").to_pylist()
        except ExportError:
            continue
        assert repr(rows) in (repr(values), repr(values).replace("'text'", "b'text'"))


def test_mixed_types_are_an_error_with_place(place: Place) -> None:
    records = place.read("mixed.jsonl", '{"a": 1}\n{"a": 2}\n{"a": "text"}')
    problem = r"mixed\.parquet: the field 'a' has values of types .*mixed\.jsonl:3 on"
    with pytest.raises(ExportError, match=problem):
        place.write("mixed.parquet", records)
    assert not (place.folder / "mixed.parquet").exists()


def test_nanoseconds_that_would_be_lost_are_refused(place: Place) -> None:
    [record] = parquet_rows(place, "exact.parquet", [1_000], pyarrow.time64("ns"))
    assert record.fields["a"].microsecond == 1
    with pytest.raises(InputError, match="the column 'a' cannot be read"):
        parquet_rows(place, "finer.parquet", [1_001], pyarrow.time64("ns"))


def test_parquet_that_is_unreadable_is_not_written(place: Place) -> None:
    records = place.read("deep.jsonl", '{"a": ' + "[" * 60 + "]" * 60 + "}")
    with pytest.raises(ExportError, match=r"deep\.parquet: could not be read as Parquet"):
        place.write("deep.parquet", records)
    assert not (place.folder / "deep.parquet").exists()


def test_surrogates_in_parquet_are_written_out(place: Place) -> None:
    records = place.read("a.jsonl", '{"k\\ud800": "\\udfff"}')
    table = pyarrow.parquet.read_table(place.write("a.parquet", records))
    assert table.to_pylist() == [{"k\\ud800": "\\udfff"}]


BROKEN: dict[str, tuple[str, str | bytes, str]] = {
    "an object": (
        "a.json",
        '{"data": [{}]}',
        r"a\.json: is an object.*\(jq '\.\[\"data\"\]' FILE\)",
    ),
    "no list in it": (
        "a.json",
        '{"k": {"a": [{}]}, "l": 1}',
        r"list of objects; for an object per",
    ),
    "other separators": ("a.csv", "a;b\n1,2;3\n", r"csv:2: .*; the columns seem .* semicolons"),
    "no JSON at all": ("a.json", "\nhello", r"a\.json:2: is not JSON: expecting value"),
    "a number": ("a.json", "7", r"a\.json: is a number, not a list"),
    "a trailing comma": ("a.json", "[{},\n]", r"a\.json:2: is not JSON"),
    "something behind": ("a.json", "[{}]\n]", r"a\.json:2: is not JSON: extra data"),
    "no comma": (
        "a.json",
        "[{}\n{}]",
        r"a\.json:2: is not JSON: expecting ',' delimiter \(column 1",
    ),
    "no objects": ("a.json", '[{},\n"a"]', r"a\.json: record 2: is text, not an object"),
    "an unquoted key": ("a.json", '[{},\n{"a": 1,\nb: 2}]' + " " * 99, r"a\.json:3: is not JSON: "),
    "a list cut off": ("a.json", "[{},\n{}\n", r"a\.json:3: is not JSON: .*is the file cut off\?"),
    "an object cut off": ("a.json", '[{},\n{"a": "b', r"a\.json:2: .*is the file cut off\?"),
    "nothing": ("a.json", " \n", r"a\.json: is empty"),
    "no bytes": ("a.csv", "", r"a\.csv: is empty"),
    "depth": ("a.json", '[{"a": ' + "[" * 99_999, r"a\.json: is nested more than 200"),
    "depth in a line": ("a.jsonl", '{"a": ' + "[" * 99_999, r"a\.jsonl:1: is nested more than 200"),
    "some depth": (
        "a.json",
        '[{"a": ' + "[" * 300 + "]" * 300 + "}]",
        r"json: record 1: is nested",
    ),
    "a huge number": ("a.jsonl", '{"a": 1e400}', r"a\.jsonl:1: has the number 1e400, which is too"),
    "a huge number in a list": ("a.json", '[{"a": -1e400}]', r"a\.json: has the number -1e400"),
    "a long number": ("a.jsonl", f'{{"a": 1{"0" * 5000}}}', r"a\.jsonl:1: has an integer with"),
    "a long number in a list": ("a.json", f'[{{"a": 1{"0" * 5000}}}]', r"a\.json: has an integer"),
    "a NUL": ("a.jsonl", '{}\n{"a": "\0"}', r"a\.jsonl:2: has a NUL"),
    "a NUL in a list": ("a.json", '[{},\n{"a": "\0"}]' + " " * 99, r"a\.json:2: has a NUL"),
    "a NUL in a cell": ("a.csv", "a\n\0\n", r"a\.csv:2: has a NUL"),
    "Latin-1": ("a.jsonl", b'{}\n{"a": "\xe9"}', r"a\.jsonl:2: is not UTF-8 text"),
    "Latin-1 in a list": ("a.json", b'[{},\n{"a":\n"\xe9"}]', r"a\.json:3: is not UTF-8 text"),
    "UTF-16": ("a.csv", "a,b".encode("utf-16"), r"a\.csv:1: is not UTF-8 text"),
    "a list for lines": (
        "a.jsonl",
        "{}\n[{}]",
        r"a\.jsonl:2: is a list, .* choose a file that ends in \.json",
    ),
    "a list on lines": (
        "a.jsonl",
        "{}\n[\n{}]",
        r"a\.jsonl:2: .*; for a JSON list, choose a file",
    ),
    "a broken line": ("a.jsonl", '{}\n{"a": }\n', r"a\.jsonl:2: is not JSON: expecting value \(co"),
    "too many cells": ("a.csv", "a,b\n1,2\n1,2,3\n", r"a\.csv:3: has 3 cells, but .* has 2"),
    "too few cells": ("a.csv", 'a,b\n"1\n\n",2\n1\n', r"a\.csv:5: has 1 cell, but"),
    "an open quote": (
        "a.csv",
        'a,b\n1,"2\n3,4\n',
        r"a\.csv:2: begins a quoted cell that is nev",
    ),
    "behind a quote": ("a.csv", 'a,b\n1,"2"3\n', r"a\.csv:2: has text after a closing quote"),
    "a column twice": ("a.csv", "a,b,a\n", r"a\.csv:1: has two columns named 'a'"),
    "no Parquet": ("a.parquet", "PAR1 and so on", r"a\.parquet: is not a complete Parquet file"),
    "no gzip": ("a.json.gz", b"\x1f\x8b\x08\x00 and so on", r"a\.json\.gz: is not a complete gzip"),
    "half of a gzip": (
        "a.jsonl.gz",
        gzip.compress(b"{}\n" * 99)[:-9],
        r"gz: is not a complete gzip",
    ),
    "no format": (
        "a.txt",
        "Hello.",
        r"a\.txt: has a format that .* ends in \.json, \.jsonl, \.csv or",
    ),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_bad_input_is_reported_with_its_place(
    place: Place, case: tuple[str, str | bytes, str]
) -> None:
    name, data, said = case
    with pytest.raises(InputError, match=said) as error:
        place.read(name, data)
    assert "\n" not in str(error.value)


def test_errors_name_the_format_option(place: Place) -> None:
    cases = [
        ("a.txt", "Hello.", "; specify --format json, jsonl, csv or parquet"),
        ("a.jsonl", "{}\n[{}]", "; for a JSON list, specify --format json"),
        ("a.json", "{}", "list of objects; for an object per line, specify --format jsonl"),
    ]
    for name, data, said in cases:
        with pytest.raises(InputError, match=said):
            place.read(name, data, option="--format")


def test_a_file_of_a_run_is_not_replaced(tmp_path: Path) -> None:
    for name in ("config.yaml", "journal.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "link.jsonl").symlink_to("journal.jsonl")
    for name in ("journal.jsonl", "link.jsonl", "prompts/new.json"):
        with (
            pytest.raises(InputError, match="is a file of the run in"),
            write_records(tmp_path / name),
        ):
            pass
    assert len(list(tmp_path.iterdir())) == 3


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    instants = [(os, "fdopen"), (gzip, "GzipFile"), (writing.JsonLinesWriter, "__init__")]
    for place, name in instants:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, interrupt)
            with (
                pytest.raises(KeyboardInterrupt),
                write_records(tmp_path / "new" / "a.jsonl.gz"),
            ):
                pass
        assert list(tmp_path.iterdir()) == []


def test_bad_file_names_are_errors(tmp_path: Path) -> None:
    locked = tmp_path / "locked.json"
    locked.symlink_to(locked)
    for path in (tmp_path, tmp_path / "none.json", locked, "a\0b"):
        with pytest.raises(InputError, match=r"\); |choose another"):
            read_records(path)
    for target in (tmp_path, tmp_path / "a\0b", "/proc/none/a.json"):
        with pytest.raises(ExportError), write_records(target, format="json"):
            pass


@pytest.mark.parametrize(
    "data", [b'[{"a": 1}]', b'\n{"a": 1}\n', gzip.compress(b'{"a": 1}', mtime=0)]
)
def test_the_first_character_shows_the_format(
    place: Place, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fields(place.read("data", data)) == [{"a": 1}]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    with read_records("-") as records:
        (record,) = records
    assert record.place in ("stdin:1", "stdin:2", "stdin: record 1")
    assert not sys.stdin.closed


def test_a_fault_names_the_record_or_line(place: Place) -> None:
    _, record = place.read("a.json", "[{}, {}]")
    assert str(record.fault("is odd")).endswith("a.json: record 2: is odd")
    _, record = place.read("a.jsonl", "{}\n{}")
    assert str(record.fault("is odd")).endswith("a.jsonl:2: is odd")


def test_a_nul_is_written_out_in_csv(place: Place) -> None:
    path = place.write("nul.csv", place.read("nul.jsonl", json.dumps({"a\0": "x\0y"})))
    with read_records(path) as records:
        assert fields(list(records)) == [{"a\\u0000": "x\\u0000y"}]


def test_a_json_list_may_be_named_jsonl(place: Place) -> None:
    assert len(place.read("list.jsonl", '\n[{"a": 1},\n{"a": 2}]\n')) == 2


def test_json_lines_may_be_named_json(place: Place) -> None:
    assert len(place.read("lines.json", '{"a": 1}\n{"a": 2}\n')) == 2


def test_the_share_reaches_1(place: Place) -> None:
    records = place.read("a.jsonl", '{"a": 1}\n' * 9)
    for name in ("a.json", "a.jsonl", "a.csv", "a.parquet", "a.json.gz"):
        path = place.write(name, records)
        with read_records(path) as reader:
            assert len(list(reader)) == 9
            assert reader.share == 1


@pytest.mark.parametrize("name", ["a.json", "a.jsonl.gz", "a.csv", "a.parquet"])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, InputError("x", "y"), None])
def test_a_file_is_complete_or_missing(
    tmp_path: Path, place: Place, name: str, failure: Any
) -> None:
    old, new = tmp_path / name, tmp_path / "new" / "folder" / name
    old.write_text("old")
    old.chmod(0o600)
    records = place.read("a.jsonl", '{"a": 1}')

    def write(path: Path) -> None:
        with write_records(path) as writer:
            writer.write(records[0])
            if failure is not None:
                raise failure

    for path in (old, new):
        if failure is None:
            write(path)
        else:
            with pytest.raises(failure if isinstance(failure, type) else type(failure)):
                write(path)
    names = [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))]
    assert old.stat().st_mode & 0o777 == 0o600
    if failure is None:
        assert names == [name, "new", "new/folder", f"new/folder/{name}"]
        assert old.read_bytes() == new.read_bytes() != b"old"
    else:
        assert names == [name]
        assert old.read_text() == "old"


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_full_disk_is_reported_with_the_file(tmp_path: Path, name: str) -> None:
    code = (
        "import sys; from selfinstruct.dataset.record_files import Record, write_records\n"
        "with write_records(sys.argv[1]) as writer:\n"
        "    for n in range(20_000): writer.write(Record({'n': str(n * n)}, 'x', n))\n"
    )
    line = f"ulimit -f 20; {sys.executable} -c {shlex.quote(code)} {tmp_path / name}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert f"{name}: cannot be written (File too large)" in done.stderr.splitlines()[-1]
    assert [*tmp_path.iterdir()] == []


def test_without_pyarrow_errors_name_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    attempts: list[Callable[[], Any]] = [
        lambda: read_records(tmp_path / "a.parquet"),
        lambda: write_records(tmp_path / "b.parquet").__enter__(),
    ]
    for attempt in attempts:
        with pytest.raises(InputError, match=r"pip install 'selfinstruct\[parquet\]'"):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
