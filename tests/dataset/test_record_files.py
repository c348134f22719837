r"""Files of records: nothing of a record is lost on its way, and what is no record is told with its place."""

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
    RecordSpool,
    json_reading,
    json_writing,
    parquet_writing,
    read_records,
    write_records,
)
from selfinstruct.errors import ExportError, InputError

TEXTS = st.text(st.characters(), max_size=8)  # halves of surrogate pairs, too
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
    """A folder of files, made anew for each example."""

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


@given(st.lists(OBJECTS, max_size=4), st.sampled_from(LAYOUTS), st.integers(1, 40))
@settings(max_examples=examples(60))
def test_a_json_list_is_the_same_however_it_is_laid_out_and_cut_into_pieces(
    place: Place, objects: list[dict[str, Any]], layout: dict[str, Any], piece: int
) -> None:
    text = json.dumps(objects, **layout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_reading, "_PIECE", piece)
        records = place.read("list.json", text)
    assert fields(records) == objects
    at = 0
    for number, record in enumerate(records, start=1):
        at = text.index(record.raw, at)
        line = 1 + text.count("\n", 0, at)
        assert record.place == f"{place.folder}/list.json:{line} (record {number})"
        at += len(record.raw)


@given(st.lists(OBJECTS, min_size=1, max_size=3), st.sampled_from(LAYOUTS), st.data())
@settings(max_examples=examples(60))
def test_a_list_that_is_cut_off_anywhere_is_told_as_such(
    place: Place, objects: list[dict[str, Any]], layout: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(objects, **layout)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(InputError, match=r"cut\.json:\d+: .*(cut off|not JSON|comma)"):
        place.read("cut.json", cut)


def as_json_has_it(data: bytes) -> list[dict[str, Any]] | None:
    """What Python's json makes of a list of objects, None where it is none."""
    try:
        listed = json.loads(data.decode("utf-8"))
    except ValueError:
        return None
    is_list = isinstance(listed, list) and all(isinstance(entry, dict) for entry in listed)
    return listed if is_list else None


@given(st.lists(OBJECTS, max_size=3), st.sampled_from(LAYOUTS), st.integers(1, 40), st.data())
@settings(max_examples=examples(100))
def test_a_list_with_any_wrong_byte_is_read_as_json_reads_it_or_told(
    place: Place, objects: list[dict[str, Any]], layout: dict[str, Any], piece: int, data: Any
) -> None:
    text = bytearray(json.dumps(objects, **layout).encode())
    at = data.draw(st.integers(1, len(text) - 1))
    wrong = data.draw(st.sampled_from([*b'[]{}",:\\\n 0e-tN\x00\xff']))
    text[at : at + data.draw(st.integers(0, 1))] = bytes([wrong])
    expected = as_json_has_it(bytes(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_reading, "_PIECE", piece)
        if expected is None:
            with pytest.raises(InputError, match=r"wrong\.json:\d+: "):
                place.read("wrong.json", bytes(text))
        else:
            # By way of text, since NaN, which Python's json takes, is not equal to itself.
            assert repr(fields(place.read("wrong.json", bytes(text)))) == repr(expected)


@given(st.lists(OBJECTS, max_size=4), st.sampled_from(LAYOUTS))
@settings(max_examples=examples(40))
def test_between_json_and_json_lines_nothing_changes(
    place: Place, objects: list[dict[str, Any]], layout: dict[str, Any]
) -> None:
    records = place.read("a.json", json.dumps(objects, **layout))
    lines = place.write("b.jsonl.gz", records)
    if objects:
        with read_records(lines) as again:
            back = place.write("c.json", list(again))
        assert json.loads(back.read_text()) == objects
        assert len(gzip.decompress(lines.read_bytes()).split(b"\n")) == len(objects) + 1


def test_the_text_of_an_object_is_written_as_it_was_read(place: Place) -> None:
    raw = '{"n": 1.10, "n": 1e400, "big": 12345678901234567890.50, "é\\u00e9": "\\ud800", "t":"a\\/b"}'
    records = place.read("raw.jsonl", f"{raw}\r\n\n{raw}")
    assert [record.line for record in records] == [1, 3]
    assert place.write("copy.jsonl", records).read_text() == f"{raw}\n{raw}\n"
    assert place.write("copy.json", records).read_text() == f"[\n    {raw},\n    {raw}\n]\n"
    listed = json.dumps([{"instruction": "é", "nested": {"a": []}}, {}], indent=4) + "\n"
    again = place.write("again.json", place.read("listed.json", listed))
    assert again.read_text() == listed


@given(OBJECTS, st.dictionaries(TEXTS, VALUES, max_size=3), st.sampled_from(LAYOUTS), st.data())
@settings(max_examples=examples(60))
def test_what_is_added_is_there_and_the_rest_is_as_it_was(
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


def test_a_key_that_stands_twice_gets_its_new_value_twice(place: Place) -> None:
    records = place.read("a.jsonl", '{"a": 1.10, "\\u0061": {"a": 2}, "b": 1.10}')
    assert place.write("b.jsonl", records, {"a": 3, "c": None}).read_text() == (
        '{"a": 3, "\\u0061": 3, "b": 1.10, "c": null}\n'
    )


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


def test_a_csv_file_keeps_its_header_and_places_count_lines(place: Place) -> None:
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


def test_between_formats_values_are_what_comes_nearest(place: Place) -> None:
    lines = '{"t": "x", "n": 1.10, "l": [1,  2], "z": null}\n{"t": "\\ud800", "b": true, "o": {"k": {}}}'
    records = place.read("a.jsonl", lines)
    csv = place.write("a.csv", records)
    assert csv.read_text() == ('t,n,l,z,b,o\nx,1.10,"[1,  2]",,,\n\\ud800,,,,true,"{""k"": {}}"\n')
    table = pyarrow.parquet.read_table(place.write("a.parquet", records))
    assert table.to_pylist() == [
        {"t": "x", "n": 1.1, "l": [1, 2], "z": None, "b": None, "o": None},
        {"t": "\\ud800", "n": None, "l": None, "z": None, "b": True, "o": '{"k": {}}'},
    ]
    with read_records(place.folder / "a.parquet") as rows, read_records(csv) as cells:
        back = place.write("back.json", [*rows, *cells])
    assert json.loads(back.read_text())[1:3] == [
        table.to_pylist()[1],
        {"t": "x", "n": "1.10", "l": "[1,  2]", "z": "", "b": "", "o": ""},
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


def test_parquet_keeps_its_types_and_takes_columns(place: Place) -> None:
    table = typed_table()
    path = place.folder / "typed.parquet"
    pyarrow.parquet.write_table(table, path, row_group_size=2)
    table = pyarrow.parquet.read_table(path)
    with read_records(path) as records:
        chosen = [record for record in records if record.number != 2]
    assert [record.place for record in chosen] == [f"{path}: row 1", f"{path}: row 3"]
    with RecordSpool() as spool:
        for record in chosen:
            spool.add(record)
        spooled = list(spool)
    for rows in (chosen, spooled):
        copy = pyarrow.parquet.read_table(place.write("copy.parquet", rows))
        assert copy.equals(table.take([0, 2]), check_metadata=True)
    added = {"most": {"a": 0.5}, "score": 0.5, "text": "new"}
    wider = pyarrow.parquet.read_table(place.write("wider.parquet", chosen, added))
    assert wider.column_names == [*table.column_names, "most", "score"]
    assert wider.select(table.column_names[1:]).equals(table.take([0, 2]).drop(["text"]))
    assert (
        wider.select(["text", "most", "score"]).to_pylist()
        == [{"text": "new", "most": '{"a": 0.5}', "score": 0.5}] * 2
    )
    assert wider.schema.metadata == {b"made by": b"hand"}
    with read_records(path) as source, write_records(place.folder / "0.parquet", like=source):
        pass
    assert pyarrow.parquet.read_schema(place.folder / "0.parquet").equals(table.schema)


def test_parquet_of_other_writers_keeps_its_views(place: Place) -> None:
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
    with read_records(path) as records, RecordSpool() as spool:
        for record in records:
            if record.number != 2:
                spool.add(record)
        chosen = list(spool)
    copy = pyarrow.parquet.read_table(place.write("copy.parquet", chosen))
    assert copy.schema.types == pyarrow.parquet.read_schema(path).types
    rows = table.to_pylist()
    assert copy.to_pylist() == [rows[0], *rows[2:]]


@pytest.mark.parametrize("group", [1, 16_000_000])
def test_a_column_gets_a_type_that_fits_all_records(
    place: Place, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    monkeypatch.setattr(parquet_writing, "ROWS", 1)
    monkeypatch.setattr(parquet_writing, "_GROUP", group)
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


@pytest.mark.parametrize("rows", [1, 2])
def test_records_without_a_field_are_rows_of_parquet_too(
    place: Place, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(parquet_writing, "ROWS", rows)
    objects: list[dict[str, Any]] = [{}, {}, {"a": 1}, {}, {}, {"b": "x"}, {}, {}]
    records = place.read("bare.jsonl", "\n".join(map(json.dumps, objects)))
    table = pyarrow.parquet.read_table(place.write("bare.parquet", records))
    assert table.to_pylist() == [dict.fromkeys("ab") | row for row in objects]
    with pytest.raises(ExportError, match="no records without any field"):
        place.write("bare.parquet", records[:2])


def parquet_rows(place: Place, name: str, values: list[Any], kind: Any) -> list[Record]:
    schema = pyarrow.schema([pyarrow.field("a", kind, nullable=False)])
    pyarrow.parquet.write_table(
        pyarrow.table([pyarrow.array(values, kind)], schema), place.folder / name
    )
    with read_records(place.folder / name) as records:
        return list(records)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_column_that_may_not_be_null_may_be_where_other_records_lack_it(
    place: Place, turn: int
) -> None:
    whole = parquet_rows(place, "whole.parquet", [1], pyarrow.int8())
    others = place.read("others.jsonl", '{"b": 1}\n{}')
    records = [*whole, *others][::turn]
    table = pyarrow.parquet.read_table(place.write("both.parquet", records))
    assert (
        table.to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": 1}, dict.fromkeys("ab")][::turn]
    )


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("is_nested", [False, True])
def test_no_value_is_changed_so_that_it_fits_another_type(
    place: Place, turn: int, is_nested: bool
) -> None:
    pairs = [
        ((Decimal("1.10"), pyarrow.decimal128(5, 2)), (0.5, pyarrow.float32())),
        (("text", pyarrow.string()), (b"\xff", pyarrow.binary())),
        ((2**53 + 1, pyarrow.int64()), (0.5, pyarrow.float64())),
    ]
    for pair in pairs:
        records = []
        for name, (value, kind) in zip(("1.parquet", "2.parquet"), pair[::turn], strict=True):
            chosen = pyarrow.list_(pyarrow.struct({"x": kind})) if is_nested else kind
            records += parquet_rows(place, name, [[{"x": value}] if is_nested else value], chosen)
        with pytest.raises(ExportError, match="the field 'a' holds what no one column"):
            place.write("both.parquet", records)


@pytest.mark.parametrize("rows", [1, 1000])
def test_what_no_column_can_hold_is_told_with_its_field(
    place: Place, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(parquet_writing, "ROWS", rows)
    records = place.read("mixed.jsonl", '{"a": 1}\n{"a": 2}\n{"a": "text"}')
    with pytest.raises(ExportError, match=r"mixed\.parquet: the field 'a' holds what no one") as e:
        place.write("mixed.parquet", records)
    assert rows == 1 or "mixed.jsonl:3" in str(e.value)
    assert not (place.folder / "mixed.parquet").exists()


def test_what_could_not_be_read_again_is_not_written_as_parquet(place: Place) -> None:
    records = place.read("deep.jsonl", '{"a": ' + "[" * 60 + "]" * 60 + "}")
    with pytest.raises(ExportError, match=r"deep\.parquet: could not be read as Parquet"):
        place.write("deep.parquet", records)
    assert not (place.folder / "deep.parquet").exists()


def test_half_of_a_character_in_a_key_is_written_out_in_parquet(place: Place) -> None:
    records = place.read("a.jsonl", '{"k\\ud800": "\\udfff"}')
    table = pyarrow.parquet.read_table(place.write("a.parquet", records))
    assert table.to_pylist() == [{"k\\ud800": "\\udfff"}]


BROKEN: dict[str, tuple[str, str | bytes, str]] = {
    "a list that is none": ("a.json", '{"data": [{}]}', r"a\.json:1: .*\(jq \.data FILE\)"),
    "a list behind others": (
        "a.json",
        '{"n": 1,\n"v": {"a": [{}]}, "the list": [ {}]}',
        r"""jq '\.\["the list"\]' FILE""",
    ),
    "no list in it": ("a.json", '{"k": {"a": [{}]}, "l": [1]}', r"list of them; let its name end"),
    "other separators": ("a.csv", "a;b\n1,2;3\n", r"csv:2: .*; semicolons seem to separate the"),
    "no JSON at all": ("a.json", "\nhello", r"a\.json:2: is no list of objects"),
    "a trailing comma": ("a.json", "[{},\n]", r"a\.json:2: has a comma before the end"),
    "something behind": ("a.json", "[{}]\n]", r"a\.json:2: goes on behind the end"),
    "no comma": ("a.json", "[{}\n{}]", r"a\.json:2: expected , or \]"),
    "no objects": ("a.json", '[{},\n"a"]', r"a\.json:2: entry 2 of the list is text, not an obj"),
    "an unquoted key": ("a.json", '[{},\n{"a": 1,\nb: 2}]' + " " * 99, r"a\.json:3: is not JSON: "),
    "a list cut off": ("a.json", "[{},\n{}\n", r"a\.json:3: ends within the list"),
    "an object cut off": ("a.json", '[{},\n{"a": "b', r"a\.json:2: ends within an object"),
    "nothing": ("a.json", " \n", r"a\.json: is empty"),
    "no bytes": ("a.csv", "", r"a\.csv: is empty"),
    "depth": ("a.json", '[{"a": ' + "[" * 99_999, r"a\.json:1: is nested too deeply"),
    "depth in a line": ("a.jsonl", '{"a": ' + "[" * 99_999, r"a\.jsonl:1: is nested too deeply"),
    "a long number": ("a.jsonl", f'{{"a": 1{"0" * 5000}}}', r"a\.jsonl:1: holds a whole number"),
    "a long number in a list": ("a.json", f'[{{"a": 1{"0" * 5000}}}]', r"a\.json:1: holds a whole"),
    "a NUL": ("a.jsonl", '{}\n{"a": "\0"}', r"a\.jsonl:2: holds a NUL"),
    "a NUL in a list": ("a.json", '[{},\n{"a": "\0"}]' + " " * 99, r"a\.json:2: holds a NUL"),
    "a NUL in a cell": ("a.csv", "a\n\0\n", r"a\.csv:2: holds a NUL"),
    "Latin-1": ("a.jsonl", b'{}\n{"a": "\xe9"}', r"a\.jsonl:2: is not UTF-8 text"),
    "Latin-1 in a list": ("a.json", b'[{},\n{"a":\n"\xe9"}]', r"a\.json:3: is not UTF-8 text"),
    "UTF-16": ("a.csv", "a,b".encode("utf-16"), r"a\.csv:1: is not UTF-8 text"),
    "a list for lines": (
        "a.jsonl",
        "{}\n[{}]",
        r"a\.jsonl:2: is a list, .* let its name end in \.json",
    ),
    "a list on lines": (
        "a.jsonl",
        "{}\n[\n{}]",
        r"a\.jsonl:2: .*; for one JSON list let its name end",
    ),
    "a broken line": ("a.jsonl", '{}\n{"a": }\n', r"a\.jsonl:2: is not JSON: expecting value \(co"),
    "too many cells": ("a.csv", "a,b\n1,2\n1,2,3\n", r"a\.csv:3: has 3 cells where .* names 2"),
    "too few cells": ("a.csv", 'a,b\n"1\n\n",2\n1\n', r"a\.csv:5: has 1 cell where"),
    "an open quote": (
        "a.csv",
        'a,b\n1,"2\n3,4\n',
        r"a\.csv:2: begins a cell in quotes that is nev",
    ),
    "behind a quote": ("a.csv", 'a,b\n1,"2"3\n', r"a\.csv:2: goes on behind the quotes"),
    "a column twice": ("a.csv", "a,b,a\n", r"a\.csv:1: names the column 'a' twice"),
    "no Parquet": ("a.parquet", "PAR1 and so on", r"a\.parquet: is not a whole Parquet file"),
    "no gzip": ("a.json.gz", b"\x1f\x8b\x08\x00 and so on", r"a\.json\.gz: is not a whole gzip"),
    "half of a gzip": ("a.jsonl.gz", gzip.compress(b"{}\n" * 99)[:-9], r"gz: is not a whole gzip"),
    "no format": ("a.txt", "Hello.", r"a\.txt: is of no .* end in \.json, \.jsonl, \.csv or"),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_what_is_no_record_is_told_with_its_place(
    place: Place, case: tuple[str, str | bytes, str]
) -> None:
    name, data, said = case
    with pytest.raises(InputError, match=said) as error:
        place.read(name, data)
    assert "\n" not in str(error.value)


def test_who_can_give_a_format_is_told_how(place: Place) -> None:
    cases = [
        ("a.txt", "Hello.", "; give --format json, jsonl, csv or parquet"),
        ("a.jsonl", "{}\n[{}]", "; for one JSON list give --format json"),
        ("a.json", "{}", "list of them; give --format jsonl for an object a line"),
    ]
    for name, data, said in cases:
        with pytest.raises(InputError, match=said):
            place.read(name, data, option="--format")


def test_a_file_that_a_run_consists_of_is_not_replaced(tmp_path: Path) -> None:
    for name in ("config.yaml", "journal.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "link.jsonl").symlink_to("journal.jsonl")
    for name in ("journal.jsonl", "link.jsonl", "prompts/new.json"):
        with (
            pytest.raises(InputError, match="is a part of the run in"),
            write_records(tmp_path / name),
        ):
            pass
    assert len(list(tmp_path.iterdir())) == 3


def test_an_interruption_while_a_file_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    instants = [(os, "fdopen"), (gzip, "GzipFile"), (json_writing.JsonLinesWriter, "__init__")]
    for place, name in instants:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, interrupt)
            with (
                pytest.raises(KeyboardInterrupt),
                write_records(tmp_path / "new" / "a.jsonl.gz"),
            ):
                pass
        assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
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
def test_the_format_is_told_from_the_first_character(
    place: Place, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fields(place.read("data", data)) == [{"a": 1}]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    with read_records("-") as records:
        (record,) = records
    line = 2 if data.startswith(b"\n") else 1
    assert record.place.removesuffix(" (record 1)") == f"stdin:{line}"
    assert not sys.stdin.closed


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_a_fault_in_a_json_list_is_found_by_record_and_column(
    place: Place, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(json_reading, "_PIECE", piece)
    end = " " * 99
    for text, said in [
        (
            '[{"a": 1}, {"a": "é"}, {"a": x}]',
            r"json:1: is not JSON: .* \(record 3, column 30\); mend",
        ),
        ('[{"a": 1},\n {"a":\n  x}]', r"json:3: is not JSON: .* \(record 2, column 3\); mend"),
        ('[{}, {"a": "\0"}]', r"json:1: holds a NUL character \(record 2, column 13\); delete"),
        (f'[{{}},\n {{"a": 1{"0" * 5000}}}]', r"json:2: holds a .* \(record 2, column 2\); put"),
    ]:
        with pytest.raises(InputError, match=said):
            place.read("a.json", text + end)


def test_a_fault_of_a_listed_record_names_its_line_and_number(place: Place) -> None:
    _, record = place.read("a.json", "[{}, {}]")
    assert str(record.fault("is odd")).endswith("a.json:1: record 2: is odd")


def test_a_nul_is_written_out_in_csv(place: Place) -> None:
    path = place.write("nul.csv", place.read("nul.jsonl", json.dumps({"a\0": "x\0y"})))
    with read_records(path) as records:
        assert fields(list(records)) == [{"a\\u0000": "x\\u0000y"}]


def test_a_json_list_is_known_by_what_it_is_where_it_is_named_jsonl(place: Place) -> None:
    assert len(place.read("list.jsonl", '\n[{"a": 1},\n{"a": 2}]\n')) == 2


def test_json_lines_are_known_by_what_they_are_where_they_are_named_json(place: Place) -> None:
    assert len(place.read("lines.json", '{"a": 1}\n{"a": 2}\n')) == 2


def test_how_much_was_read_reaches_the_size_of_the_file(place: Place) -> None:
    records = place.read("a.jsonl", '{"a": 1}\n' * 9)
    for name in ("a.json", "a.jsonl", "a.csv", "a.parquet", "a.json.gz"):
        path = place.write(name, records)
        with read_records(path) as reader:
            assert len(list(reader)) == 9
            assert reader.bytes_read == reader.total_bytes == path.stat().st_size


@pytest.mark.parametrize("name", ["a.json", "a.jsonl.gz", "a.csv", "a.parquet"])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, InputError("x", "y"), None])
def test_a_file_is_written_whole_or_not_at_all(
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
def test_a_limit_on_the_size_of_files_is_told_with_the_file(tmp_path: Path, name: str) -> None:
    code = (
        "import sys; from selfinstruct.dataset.record_files import Record, write_records\n"
        "with write_records(sys.argv[1]) as writer:\n"
        "    for n in range(20_000): writer.write(Record({'n': str(n * n)}, 'x', n, size=20))\n"
    )
    line = f"ulimit -f 20; {sys.executable} -c {shlex.quote(code)} {tmp_path / name}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert f"{name}: cannot be written (File too large)" in done.stderr.splitlines()[-1]
    assert [*tmp_path.iterdir()] == []


def test_without_pyarrow_the_sentence_says_what_to_install(
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


def test_a_spool_gives_back_what_it_was_given(place: Place) -> None:
    deep = '{"a": ' + "[" * 300 + "]" * 300 + ', "b": "\\ud800", "n": 1.10}'
    records = [*place.read("deep.jsonl", deep), *place.read("a.csv", "x,y\n1,\n")]
    with RecordSpool() as spool:
        for record in records:
            spool.add(record)
        again = list(spool)
    assert again == records
    assert [record.raw for record in again] == [deep, None]
