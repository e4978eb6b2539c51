"""Files to documents: formats, compression, shares, positions, and what is wrong with files."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import sys
from collections.abc import Callable, Sequence
from itertools import chain, groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixel_m4.corpus.sources import FileSource, Source, deal, hub_sources, local_sources

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}
TEXTS = [f"document {i} says {'something ' * (i % 5)}" for i in range(40)]


def documents(source: Source, share: int = 0, shares: int = 1) -> list[list[str]]:
    parts = source.open(share, shares)
    return [[part.text for part in group] for _, group in groupby(parts, lambda part: part.document)]


def write(folder: Path, name: str, texts: Sequence[str | None]) -> Path:
    """Texts as rows of a file of the format that its name says."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": range(len(texts)), "text": list(texts)})
    if ".parquet" in name:
        pq.write_table(table, path, row_group_size=7)
    elif name.endswith("stream.arrow"):
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    elif name.endswith(".arrow"):
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    else:
        lines = [json.dumps({"id": 1, "text": text}) if ".jsonl" in name else str(text) for text in texts]
        data = "".join(line + "\n" for line in lines).encode()
        path.write_bytes(COMPRESS[path.suffix if path.suffix in COMPRESS else ""](data))
    return path


NAMES = [
    *(f"en/a{kind}{suffix}" for kind in (".txt", ".jsonl") for suffix in COMPRESS),
    *(f"en.txt{suffix}" for suffix in COMPRESS),
    "en.jsonl",
    "en/a.parquet",
    "en/a.arrow",
    "en/deep/a.stream.arrow",
]


@pytest.mark.parametrize("name", NAMES)
def test_formats_shares_and_positions(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, TEXTS)
    (source,) = local_sources(tmp_path).values()
    assert documents(source) == [[text] for text in TEXTS]
    assert [documents(source, share, 3) for share in range(3)] == [
        [[text] for text in TEXTS[share::3]] for share in range(3)
    ]
    for share, shares in ((0, 1), (1, 3)):
        whole = [part.text for part in source.open(share, shares)]
        reader = source.open(share, shares)
        parts = iter(reader)
        for done in range(len(whole)):
            position = json.loads(json.dumps(reader.position()))
            rest = source.open(share, shares, position)
            assert [part.text for part in rest] == whole[done:]
            next(parts)


def test_empty_lines_separate_documents_in_folders(tmp_path: Path) -> None:
    text = "one\ntwo\n\n \nthree\n\nfour\nfive\n"
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "a.txt").write_text(text)
    (tmp_path / "en" / "b.txt").write_text("six\nseven\n")
    (tmp_path / "de.txt").write_text(text)
    sources = local_sources(tmp_path)
    assert list(sources) == ["de", "en"]
    paragraphs = [["one", "two"], ["three"], ["four", "five"]]
    assert documents(sources["en"]) == [*paragraphs, ["six"], ["seven"]]
    assert documents(sources["de"]) == [["one"], ["two"], ["three"], ["four"], ["five"]]
    shares = [documents(sources["en"], share, 2) for share in range(2)]
    assert shares == [[["one", "two"], ["four", "five"], ["seven"]], [["three"], ["six"]]]


def test_a_position_inside_a_document(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "a.txt").write_text("one\ntwo\n\nthree\n")
    source = local_sources(tmp_path)["en"]
    reader = source.open(0, 1)
    first = next(iter(reader))
    rest = list(source.open(0, 1, reader.position()))
    assert [part.document == first.document for part in rest] == [True, False]


def test_files_of_like_size_are_dealt_out_whole(tmp_path: Path) -> None:
    for i in range(6):
        write(tmp_path, f"en/{i}.txt", [f"{i} {j}" for j in range(5)])
    source = local_sources(tmp_path)["en"]
    found = [{part.text[0] for part in source.open(share, 3)} for share in range(3)]
    assert sorted(map(len, found)) == [2, 2, 2]
    assert set.union(*found) == set("012345")


def test_deal() -> None:
    assert deal([5, 5, 5, 5], 2) == [[0, 2], [1, 3]]
    assert deal([10, 1, 1], 2) is None
    assert deal([5], 2) is None
    assert deal([3], 1) == [[0]]


def test_hub_datasets_are_streamed_with_one_config_a_language(tmp_path: Path) -> None:
    for language in ("en", "hi"):
        write(tmp_path / "set", f"{language}/0.jsonl", [f"{language} {i}" for i in range(7)])
        write(tmp_path / "set", f"{language}/1.jsonl", [f"{language} {i}" for i in range(7, 12)])
    configs = "".join(
        f"- config_name: {language}\n  data_files: {language}/*.jsonl\n" for language in ("en", "hi")
    )
    (tmp_path / "set" / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    sources = hub_sources(str(tmp_path / "set"), ["hi", "en"])
    assert list(sources) == ["hi", "en"]
    whole = [f"hi {i}" for i in range(12)]
    assert [part.text for part in sources["hi"].open(0, 1)] == whole
    for shares in (2, 3):
        parts = [[part.text for part in sources["hi"].open(share, shares)] for share in range(shares)]
        assert sorted(chain.from_iterable(parts)) == sorted(whole)
        assert all(parts)
    reader = sources["hi"].open(1, 3)
    parts = [part.text for part in reader]
    for done in range(len(parts)):
        reader = sources["hi"].open(1, 3)
        read = iter(reader)
        for _ in range(done):
            next(read)
        position = json.loads(json.dumps(reader.position()))
        assert [part.text for part in sources["hi"].open(1, 3, position)] == parts[done:]
    with pytest.raises(ValueError, match=r"has no config uk; there are: en, hi"):
        hub_sources(str(tmp_path / "set"), ["uk"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "good"', r"a\.jsonl, line 3: not valid JSON .*mend or remove"),
        (b'{"body": "good"}', r"a\.jsonl, line 3: no text in the field 'text'"),
        (b'{"text": 5}', r"a\.jsonl, line 3: no text in the field 'text'"),
        (b"[1]", r"a\.jsonl, line 3: no text in the field 'text'"),
        (b'{"text": "\xff"}', r"a\.jsonl, line 3: not UTF-8"),
    ],
)
def test_damaged_jsonl(tmp_path: Path, line: bytes, message: str) -> None:
    path = write(tmp_path, "en/a.jsonl", TEXTS[:2])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(ValueError, match=message):
        documents(local_sources(tmp_path)["en"])


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("damage", ["truncated", "garbled"])
def test_damaged_compressed_files(tmp_path: Path, suffix: str, damage: str) -> None:
    path = write(tmp_path, f"en.txt{suffix}", [str(random.Random(i).random()) for i in range(2000)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + (b"" if damage == "truncated" else b"\xa5" * (len(data) // 2)))
    with pytest.raises(ValueError, match=rf"en\.txt\{suffix}: truncated or damaged after line \d+"):
        documents(local_sources(tmp_path)["en"])


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.stream.arrow"])
def test_tables_without_the_column_and_damaged_ones(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, f"en/{name}", TEXTS)
    with pytest.raises(ValueError, match=r"a\..*: no column 'body'; there are: id, text"):
        documents(local_sources(tmp_path, text_column="body")["en"])
    with pytest.raises(ValueError, match=r"column 'id' holds int, not text"):
        documents(local_sources(tmp_path, text_column="id")["en"])
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="not a whole"):
        documents(local_sources(tmp_path)["en"])


def test_folders_without_what_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        local_sources(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"no <lang>\.txt"):
        local_sources(tmp_path)
    write(tmp_path, "en.txt", TEXTS)
    with pytest.raises(ValueError, match=r"no text of uk, hi in .*; languages there: en"):
        local_sources(tmp_path, ["uk", "en", "hi"])
    (tmp_path / "hi.txt").touch()
    with pytest.raises(ValueError, match="the corpus of hi is empty"):
        local_sources(tmp_path)
    (tmp_path / "hi.txt").unlink()
    write(tmp_path, "en/a.txt", TEXTS)
    with pytest.raises(ValueError, match="holds en twice"):
        local_sources(tmp_path)


def test_plain_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_bytes(b"good\nb\xe4d\n")
    with pytest.raises(ValueError, match=r"en\.txt, line 2: not UTF-8"):
        documents(local_sources(tmp_path)["en"])


def test_byte_order_marks_and_line_ends_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert documents(FileSource(files=(tmp_path / "en.txt",), line_documents=True)) == [["one"], ["two"]]


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_lines_end_where_they_end_everywhere(tmp_path: Path, suffix: str) -> None:
    lines = ["one\u2028still one", "two\x0cstill two", "three\x85", "four\x1c", "five"]
    data = "".join(
        line + end for line, end in zip(lines, ["\r", "\r\n", "\n", "\r", ""], strict=True)
    ).encode()
    path = tmp_path / f"en.txt{suffix}"
    path.write_bytes(bz2.compress(data) if suffix == ".bz2" else COMPRESS[suffix](data))
    (source,) = local_sources(tmp_path).values()
    assert documents(source) == [[line] for line in lines]
    reader = source.open(0, 1)
    parts = iter(reader)
    for done in range(len(lines)):
        assert [part.text for part in source.open(0, 1, reader.position())] == lines[done:]
        next(parts)
    path.unlink()
    rows = [json.dumps({"text": line}) for line in lines]
    (tmp_path / "en.jsonl").write_bytes("\r".join(rows).encode())
    assert documents(local_sources(tmp_path)["en"]) == [[line] for line in lines]


ROWS = ["one", None, "two", "", "three"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet", "a.arrow", "a.stream.arrow", "hub"])
def test_rows_without_text_are_passed_over_in_all_formats(tmp_path: Path, name: str) -> None:
    if name == "hub":
        write(tmp_path / "set", "en/0.jsonl", ROWS)
        (tmp_path / "set" / "README.md").write_text(
            "---\nconfigs:\n- config_name: en\n  data_files: en/*.jsonl\n---\n"
        )
        source = hub_sources(str(tmp_path / "set"), ["en"])["en"]
    else:
        write(tmp_path, f"en/{name}", ROWS)
        source = local_sources(tmp_path)["en"]
    reader = source.open(0, 1)
    assert [part.text for part in reader] == ["one", "two", "three"]
    assert reader.position()["nulls"] == 2
    assert sum(len(documents(source, share, 2)) for share in range(2)) == 3


@pytest.mark.parametrize("value", [5, 2.5, True, ["a"], {"a": 1}, float("nan")])
def test_what_is_no_text_is_named(tmp_path: Path, value: object) -> None:
    path = tmp_path / "en" / "a.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps({"text": "one"}) + "\n" + json.dumps({"text": value}) + "\n")
    with pytest.raises(
        ValueError, match=r"a\.jsonl, line 2: no text in the field 'text', but .*write text, or"
    ):
        documents(local_sources(tmp_path)["en"])
    pq.write_table(pa.table({"text": [value]}), path.with_name("a.parquet"))
    path.unlink()
    with pytest.raises(ValueError, match=r"a\.parquet: the column 'text' holds \w+.*, not text"):
        documents(local_sources(tmp_path)["en"])
