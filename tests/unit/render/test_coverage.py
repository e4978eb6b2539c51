"""Which scripts a text has, and which font draws each character."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixel_m4.cli.main import main
from pixel_m4.render import TextRenderer, fonts
from pixel_m4.render.coverage import Character, characters

TEXT = "aab नa ∑∑ 1"


def test_characters_are_counted_by_script_with_the_font_that_draws_them() -> None:
    font = fonts.find_font()
    assert characters(TextRenderer(), [TEXT, "b"]) == [
        Character("न", 1, "Deva", font),
        Character("a", 3, "Latn", font),
        Character("b", 2, "Latn", font),
        Character("∑", 2, "Zyyy", None),
        Character("1", 1, "Zyyy", font),
    ]


def test_fonts_check_prints_scripts_fonts_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text(f"{TEXT}\nb\n", encoding="utf-8")
    for given in (f"{TEXT} b", str(tmp_path / "text.txt")):
        assert main(["fonts", "check", given]) == 0
        head, *rows, missing = capsys.readouterr().out.splitlines()
        assert head.split() == ["script", "characters", "times", "font", "such", "as"]
        assert [row.split() for row in rows] == [
            ["Deva", "1", "1", fonts.FONT_NAME, "न"],
            ["Latn", "2", "5", fonts.FONT_NAME, "ab"],
            ["Zyyy", "1", "2", "none", "∑"],
            ["Zyyy", "1", "1", fonts.FONT_NAME, "1"],
        ]
        assert missing == "missing: no font has 1 of 5 characters (2 of 9 times): U+2211 ∑ (2 ×)"


def test_a_file_that_is_not_there_is_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("texts.txt", "runs/texts.txt.GZ"):
        assert main(["fonts", "check", name]) == 1
        assert f"there is no file {name}; a text that ends so" in capsys.readouterr().err
    for text in ("www.example.com", "see texts.txt"):
        assert main(["fonts", "check", text]) == 0


def test_fonts_check_per_character(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fonts", "check", "--per-character", "é\N{ZERO WIDTH JOINER}"]) == 0
    out = capsys.readouterr().out
    assert f"U+00E9      LATIN SMALL LETTER E WITH ACUTE  Latn    1      {fonts.FONT_NAME}" in out
    assert "missing: nothing" in out


def test_the_old_command_still_shows_fonts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fonts"]) == 0
    shown = capsys.readouterr().out
    assert "37,962 code points" in shown
    assert "the font of published checkpoints" in shown
    with pytest.raises(SystemExit):
        main(["fonts", "chekc", "x"])
    assert "did you mean check?" in capsys.readouterr().err
