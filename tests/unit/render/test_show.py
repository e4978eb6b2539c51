from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixel_m4.cli.main import main
from pixel_m4.render import TextRenderer
from pixel_m4.render.show import numbers


def test_png_of_texts(tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    assert main(["render", "My cat", "ab", "--output", str(out), "--scale", "1"]) == 0
    image = np.asarray(Image.open(out).convert("RGB"))
    assert image.shape == (16 + 8 + 16, 5 * 16, 3)
    np.testing.assert_array_equal(image[:16, :, 0], TextRenderer()("My cat").pixel_values[:, : 5 * 16])
    np.testing.assert_array_equal(image[24:, :32, 0], TextRenderer()("ab").pixel_values[:, :32])


def test_png_with_marks_in_rows(tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    marks = ["--borders", "--word_starts", "--masked", "1-2", "--columns", "3"]
    assert main(["render", "My cat", *marks, "--output", str(out)]) == 0
    image = np.asarray(Image.open(out).convert("RGB"))
    assert image.shape == (64, 96, 3)
    assert tuple(image[16, 48]) == (160, 160, 160)
    assert tuple(image[16, 0]) == (0, 110, 200)


def test_npz_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("My cat\nКішка\n", encoding="utf-8")
    out = tmp_path / "a.npz"
    assert main(["render", "--file", str(tmp_path / "texts.txt"), "--output", str(out)]) == 0
    with np.load(out) as arrays:
        expected = TextRenderer().batch(["My cat", "Кішка"])
        np.testing.assert_array_equal(arrays["pixel_values"], expected["pixel_values"])
        assert arrays["num_text_patches"].tolist() == [4, 4]
        assert arrays["word_starts"].tolist() == [[0, 2, 4], [0, 4, -100]]
    assert {path.name for path in tmp_path.iterdir()} == {"texts.txt", "a.npz"}


def test_preview_of_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("猫\n".encode())))
    assert main(["render"]) == 0
    lines = capsys.readouterr().out.removesuffix("\n").split("\n")
    assert len(lines) == 8
    ink = TextRenderer()("猫").pixel_values < 128  # two patches: the unit and the black end
    for row, line in enumerate(lines):
        cells = [" ▄▀█".index(cell) for cell in line.ljust(32)]
        assert [cell >= 2 for cell in cells] == ink[2 * row, :32].tolist()
        assert [cell % 2 == 1 for cell in cells] == ink[2 * row + 1, :32].tolist()


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_with_and_without_colours(
    no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": no_color, "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    assert main(["render", "cat"]) == 0
    out = capsys.readouterr().out
    assert ("\x1b[" in out, "█" in out) == (coloured, not coloured)


def test_numbers() -> None:
    assert numbers("3-5,9") == [3, 4, 5, 9]
    assert numbers("") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--output", "a.gif"], "must end in .png or .npz"),
        (["a", "--masked", "x"], "'x' is no number"),
        (["a", "--strategy", "none"], "unknown strategy 'none'"),
        (["--file", "none.txt"], "none.txt"),
    ],
)
def test_errors(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_files_that_are_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.txt").write_bytes(b"gut\nsch\xf6n\n")
    (tmp_path / "empty.txt").write_bytes(b"")
    for name, message in (("bad.txt", "bad.txt:2: byte 0xf6 is not UTF-8"), ("empty.txt", "holds no text")):
        assert main(["render", "--file", str(tmp_path / name)]) == 1
        assert message in capsys.readouterr().err
