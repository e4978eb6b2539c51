"""Losses are told once: by a warning, or at the end of a command."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest

from pixel_m4.cli.main import main
from pixel_m4.render import Losses, MissingGlyphWarning, TextRenderer, TruncationWarning, losses
from pixel_m4.render.losses import told_at_end

LONG = "字" * 600


def test_a_batch_gives_one_warning() -> None:
    renderer = TextRenderer(max_seq_length=64)
    texts = ["∑", "a", ["∞", "∑"], ("∑", "b"), LONG, LONG]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        renderer.batch(texts)
    assert [warning.category for warning in caught] == [MissingGlyphWarning, TruncationWarning]
    assert "4 character(s) of a text, drawn as missing glyphs: U+2211, U+221E" in str(caught[0].message)
    assert {warning.filename for warning in caught} == {__file__}
    assert renderer.losses.missing == {"∑": 3, "∞": 1}
    assert renderer.losses.cut.texts == 2


def test_python_shows_one_warning_for_each_renderer(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pixel_m4 import TextRenderer\n"
        "renderer = TextRenderer()\n"
        "for number in range(1, 20):\n"
        "    renderer('∑' * number + ' ∞')\n"
        "    renderer.batch([chr(0xf0000 + number), '字' * (600 + number)])\n"
        "assert renderer.losses.missing['∞'] == 19\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert [line for line in done.stderr.splitlines() if "Warning:" in line and "MissingGlyph" in line] == [
        done.stderr.splitlines()[0]
    ]
    assert done.stderr.count("Warning:") == 2


def test_commands_tell_losses_once_at_their_end(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("∑ x\n" * 30 + "∞\n" + LONG + "\nfine\n", encoding="utf-8")
    for output in ("a.png", "a.npz"):
        assert main(["render", "--file", str(texts), "--output", str(tmp_path / output)]) == 0
        missing, cut = capfd.readouterr().err.splitlines()
        assert missing.startswith(
            "pixel-m4: missing glyphs: no font has 2 characters, drawn 31 times as the missing glyph: "
            "U+2211 ∑ (30 ×), U+221E ∞ (1 ×); "
        )
        assert "--fallback_fonts_dir" in missing
        assert cut.startswith(
            "pixel-m4: truncated: a text does not fit: 0 of 1 words and 72 of 600 characters"
        )
    assert main(["render", "fine", "--output", str(tmp_path / "b.npz")]) == 0
    assert capfd.readouterr().err == ""


def test_losses_are_told_after_an_error_too_and_once_when_nested() -> None:
    lines: list[str] = []

    def fail() -> None:
        with told_at_end(lines.append), told_at_end(lines.append):
            TextRenderer()("∑")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(lines) == 1
    with pytest.warns(MissingGlyphWarning):
        TextRenderer()("∑")


def test_nothing_is_told_without_losses() -> None:
    lines: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with told_at_end(lines.append):
            TextRenderer().batch(["fine", "a b"])
    assert lines == []


def draw(renderer: TextRenderer, texts: list[str]) -> int:
    """In a process of a pool: how many warnings there were."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for text in texts:
            renderer(text)
    return len(caught)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_what_processes_lose_is_told_once_by_the_command(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    monkeypatch.setattr(losses, "_MOST_BYTES", 200)  # in forked processes, so that lines are added up
    renderer = TextRenderer()
    lines: list[str] = []
    with told_at_end(lines.append):
        renderer("∑")
        with multiprocessing.get_context(method).Pool(2) as pool:
            shares = [["∑ ∞"] * 5, ["∑"] * 5, [LONG, "a"]]
            assert pool.starmap(draw, [(renderer, share) for share in shares]) == [0, 0, 0]
        # The pool was killed as it stood: nothing may wait for an orderly end.
    missing, cut = lines
    assert "drawn 16 times as the missing glyph: U+2211 ∑ (11 ×), U+221E ∞ (5 ×)" in missing
    assert cut.startswith("truncated: a text does not fit: 0 of 1 words and 72 of 600 characters")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_of_a_library_user_warns_itself() -> None:
    renderer = TextRenderer()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(draw, (renderer, ["∑"])) == 1


def test_a_line_that_was_cut_off_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    with told_at_end(lines.append):
        left = Path(os.environ["PIXEL_M4_LOSSES"])
        whole = Losses(Counter("∑∑")).to_json()
        (left / "a.jsonl").write_text(f"{whole}\n{whole[:-5]}", encoding="utf-8")
    assert len(lines) == 1
    assert "U+2211 ∑ (2 ×)" in lines[0]
    assert not left.exists()
