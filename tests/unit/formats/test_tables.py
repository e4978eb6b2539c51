from __future__ import annotations

import gzip
from pathlib import Path

import datasets
import pytest

from pixel_m4.files import DataError
from pixel_m4.formats.tables import find_language, parse_json, read_hub, read_split, read_table

KNOWN = ("text", "label")


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_keeps_lines_of_rows_over_several_lines(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.csv", 'text,label\r\n"one\ntwo, three",x\r\nfour,y\r\n'))
    assert [list(row) for row in table.rows] == [["one\ntwo, three", "x"], ["four", "y"]]
    assert table.place(1) == f"{tmp_path}/a.csv:4"


def test_tsv_with_quoted_fields_and_with_bare_marks(tmp_path: Path) -> None:
    quoted = read_table(write(tmp_path / "a.tsv", 'text\tlabel\n"He said ""no"" ."\tx\n'))
    assert quoted.rows[0][0] == 'He said "no" .'
    bare = read_table(write(tmp_path / "b.tsv", 'text\tlabel\n" No , he said\tx\n"Yes" , she\ty\n'))
    assert [row[0] for row in bare.rows] == ['" No , he said', '"Yes" , she']


def test_header_is_told_from_data(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "a.tsv", "a b\t0\nc d\t1\n"), known=KNOWN)
    assert table.columns == ["0", "1"]
    assert len(table.rows) == 2
    named = read_table(tmp_path / "a.tsv", known=KNOWN, columns=["text", "label"])
    assert named.columns == ["text", "label"]
    assert len(named.rows) == 2


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1},\n {"a": 2, "b": "x"}]',
        '{"a": 1}\n\n{"a": 2, "b": "x"}\n',
        '{"data":\n[{"a": 1}, {"a": 2, "b": "x"}]}',
    ],
)
def test_json(text: str) -> None:
    table = parse_json(text, "a.json")
    assert table.columns == ["a", "b"]
    assert [list(row) for row in table.rows] == [[1, None], [2, "x"]]


def test_separators_inside_json_texts_end_no_line() -> None:
    assert parse_json('{"a": "x\u2028y"}\n{"a": "z"}', "a").rows[0] == ["x\u2028y"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', r"a\.jsonl:2: not valid JSON"),
        ("a.jsonl", b'{"a": 1}\n[3]\n', r"a\.jsonl:2: '\[3\]' is no JSON object"),
        ("a.tsv", b"text\tlabel\na\tb\tc\n", r"a\.tsv:2: 3 columns instead of 2 \(text, label\)"),
        ("a.csv", b"text,label\nfine,x\ncaf\xe9,y\n", r"a\.csv:3: byte 0xe9 is not UTF-8.*iconv"),
        ("a.csv", "text,label\n".encode("utf-16"), r"a\.csv:1: byte 0xff is not UTF-8.*UTF-16"),
        ("a.csv", b'text,label\n"open,x\n', r"a\.csv:2: "),
        ("a.csv", b"", r"a\.csv is empty"),
        ("a.tsv.gz", b"no gzip", r"does not decompress as \.gz"),
        ("a.parquet", b"no parquet", r"not valid Parquet"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


def made() -> datasets.Dataset:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    return datasets.Dataset.from_dict({"text": ["a b", "c d"], "label": [1, 0]}, features=features)


def test_arrow_and_parquet_keep_the_names_of_labels(tmp_path: Path) -> None:
    both = datasets.DatasetDict({"train": made(), "validation": made()})
    both.save_to_disk(str(tmp_path / "dict"))
    made().save_to_disk(str(tmp_path / "folders" / "dev"))
    (tmp_path / "parquet").mkdir()
    made().to_parquet(str(tmp_path / "parquet" / "validation-00000-of-00001.parquet"))
    tables = [read_split(tmp_path / kind, "dev") for kind in ("dict", "folders", "parquet")]
    tables.append(read_hub(str(tmp_path / "dict"), None, "dev"))
    for table in tables:
        assert table.columns == ["text", "label"]
        assert [list(row) for row in table.rows] == [["a b", 1], ["c d", 0]]
        assert table.label_names == {"label": ["no", "yes"]}
    assert "row 2" in tables[0].place(1)
    with pytest.raises(DataError, match="has no 'test' split; it has train, validation"):
        read_split(tmp_path / "dict", "test")


def test_splits_by_other_names(tmp_path: Path) -> None:
    write(tmp_path / "valid.csv", "text,label\na,b\n")
    (tmp_path / "train.tsv.gz").write_bytes(gzip.compress(b"text\tlabel\na\tb\n"))
    assert len(read_split(tmp_path, "dev").rows) == len(read_split(tmp_path, "train").rows) == 1
    with pytest.raises(DataError, match="has no 'test' split"):
        read_split(tmp_path, "test")


def test_languages(tmp_path: Path) -> None:
    for name in ("tam_Taml", "tel_Telu", "eng_Latn"):
        (tmp_path / name).mkdir()
    assert find_language(tmp_path, "tam_Taml") == tmp_path / "tam_Taml"
    assert find_language(tmp_path / "tam_Taml", "tam_Taml") == tmp_path / "tam_Taml"
    with pytest.raises(DataError, match="no language 'tam_Tamil'; the nearest names: tam_Taml"):
        find_language(tmp_path, "tam_Tamil")


def test_missing_column() -> None:
    with pytest.raises(DataError, match="a has no column 'x'; it has the columns text, label"):
        parse_json('{"text": "a", "label": "b"}', "a").column("x")


def test_splits_of_multinli(tmp_path: Path) -> None:
    names = ("train", "validation_matched", "validation_mismatched")
    datasets.DatasetDict(dict.fromkeys(names, made())).save_to_disk(str(tmp_path / "dict"))
    for split, name in (("dev", "dict, dev"), ("validation_mismatched", "dict, validation_mismatched")):
        assert read_hub(str(tmp_path / "dict"), None, split).source.endswith(name)
    write(tmp_path / "dev_matched.tsv", "text\tlabel\na\tb\n")
    write(tmp_path / "dev_mismatched.tsv", "text\tlabel\na\tb\n")
    assert read_split(tmp_path, "dev").source.endswith("dev_matched.tsv")
