from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixel_m4.files import (
    COMPRESSED,
    DataError,
    byte_lines,
    content_suffix,
    read_lines,
    read_text,
    replacing,
    split_lines,
    stdin_lines,
    text_lines,
    writing,
)
from pixel_m4.render.show import read_texts

SEPARATORS = "one\u2028still one\ntwo\u0085still two\r\nthree\x0cstill three\rfour\x1c\x0b\u2029\n"
LINES = ["one\u2028still one", "two\u0085still two", "three\x0cstill three", "four\x1c\x0b\u2029"]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as scratch:
        scratch.write_text("new")
        assert scratch.suffix == ".txt"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as scratch:
            scratch.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    with replacing(path) as scratch:
        scratch.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space left"), replacing(path) as scratch:
        scratch.write_bytes(b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("suffix", ["", *COMPRESSED])
def test_lines_end_at_line_feeds_and_carriage_returns_and_nowhere_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"lines.txt{suffix}"
    with writing(path) as stream:
        stream.write("\ufeff" + SEPARATORS)
    assert (path.read_bytes() == ("\ufeff" + SEPARATORS).encode()) is not bool(suffix)
    assert content_suffix(path) == ".txt"
    assert list(read_lines(path)) == LINES == read_texts(path)
    assert read_text(path) == SEPARATORS
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@given(st.text(alphabet="a\r\n\u2028\x85\x0c \t", max_size=12))
def test_all_readers_of_lines_agree(text: str) -> None:
    assert list(text_lines(io.BytesIO(text.encode()), "x")) == split_lines(text)
    assert b"".join(byte_lines(io.BytesIO(text.encode()))) == text.encode()
    assert split_lines(text) == [line.rstrip("\n") for line in io.StringIO(text, newline=None)]


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_damage_is_told_with_the_name_of_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    with writing(path) as stream:
        stream.write("".join(f"{number}\n" for number in range(9999)))
    whole = path.read_bytes()
    for data in (whole[:-20], b"plain text\n", whole[:100] + bytes(50) + whole[150:]):
        path.write_bytes(data)
        for read in (read_text, lambda file: list(read_lines(file))):
            with pytest.raises(DataError, match=rf"a.txt{suffix}: does not decompress as {suffix}"):
                read(path)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / f"none{suffix}")


def test_bytes_that_are_not_utf8_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa\rb\r\nc\xe9d\n")
    for read in (read_text, lambda file: list(read_lines(file)), read_texts):
        with pytest.raises(DataError, match=r"a.txt:3: byte 0xe9 is not UTF-8.*WINDOWS-1252"):
            read(path)
    path.write_bytes("a\nb".encode("utf-16"))
    with pytest.raises(DataError, match=r"a.txt:1: byte 0xff is not UTF-8.*UTF-16"):
        list(read_lines(path))


def test_equal_texts_make_equal_files(tmp_path: Path) -> None:
    for suffix in COMPRESSED:
        written = []
        for name in ("a", "b"):
            with writing(tmp_path / f"{name}{suffix}") as stream:
                stream.write("same")
            written.append((tmp_path / f"{name}{suffix}").read_bytes())
        assert written[0] == written[1]


def test_an_error_leaves_nothing_half_written(tmp_path: Path) -> None:
    def fail(suffix: str) -> None:
        with writing(tmp_path / f"a{suffix}") as stream:
            stream.write("half")
            raise ValueError("half")

    for suffix in ("", *COMPRESSED):
        with pytest.raises(ValueError, match="half"):
            fail(suffix)
    assert list(tmp_path.iterdir()) == []


def test_the_standard_input_is_read_as_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfa\rb\xe2\x80\xa8c\n")))
    assert list(stdin_lines()) == ["a", "b\u2028c"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\u2028b\nc"))
    assert list(stdin_lines()) == ["a\u2028b", "c"]
