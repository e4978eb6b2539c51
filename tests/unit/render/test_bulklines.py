"""Batches of continuous text are drawn as its texts are one by one, and most of them in bulk."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import uharfbuzz as hb

from oracle.colr import colour_font
from pixel_m4.render import TextRenderer
from pixel_m4.render.fonts import find_font
from pixel_m4.render.lines import ContinuousLayout

PLAIN = [
    "The cat sat on the mat.",
    "Zwölf Boxkämpfer jagen Viktor",
    "Щастя, здоров'я й удачі!",
    "नमस्ते दुनिया, कैसे हो?",
    "我能吞下玻璃而不伤身体。",
    "سلام دنیا",
    "(א) שלום 12,5 abc [ב]",
    "日本語のテキスト and English",
    "สวัสดีชาวโลก",
    "e\u0301\u0302\u0303\u0304 ỗ",
    "  spaces \t and\nlines  ",
    "x",
]
ALONE = ["", " \n", "a\u2027b", "\u2211 of a font that lacks it", "long " * 90]


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(strategy="continuous", max_seq_length=96)


def left_out(renderer: TextRenderer, texts: list[str], rtl: bool = False) -> list[int]:
    layout = renderer._layout
    assert isinstance(layout, ContinuousLayout)
    assert layout._bulk is not None
    return layout._bulk.lay_out(texts, rtl, renderer.max_seq_length - 1).left_out


def check(renderer: TextRenderer, texts: list[str], **options: bool) -> None:
    batch = renderer.batch(texts, padding="max_length", **options)
    for row, text in enumerate(texts):
        encoding = renderer(text, **options)
        np.testing.assert_array_equal(batch["pixel_values"][row], encoding.pixel_values, err_msg=ascii(text))
        assert batch.num_text_patches[row] == encoding.num_text_patches
        starts = batch.word_starts[row]
        assert starts[starts != -100].tolist() == encoding.word_starts, ascii(text)


@pytest.mark.parametrize("rtl", [False, True])
@pytest.mark.filterwarnings("ignore::pixel_m4.render.MissingGlyphWarning")
@pytest.mark.filterwarnings("ignore::pixel_m4.render.TruncationWarning")
def test_batches_are_the_texts_one_by_one(renderer: TextRenderer, rtl: bool) -> None:
    dice = random.Random(0)
    texts = [*PLAIN, *ALONE, *(" ".join(dice.sample(PLAIN, 3)) for _ in range(40))]
    assert left_out(renderer, texts, rtl) == [*range(len(PLAIN), len(PLAIN) + len(ALONE))]
    check(renderer, texts, rtl=rtl)


def test_ink_of_two_runs_is_drawn_over_each_other(renderer: TextRenderer) -> None:
    """Not added up: where grey edges of two scripts meet, each darkens what the other lets through."""
    texts = [a + b for a in "fVTWjſƒ" for b in "ДжДλΛאשא"]
    assert not left_out(renderer, texts)
    check(renderer, texts)


def test_ink_that_reaches_far_is_drawn_alone() -> None:
    """Beyond the next patch, or past a run without width to the last but one."""
    renderer = TextRenderer(strategy="continuous", max_seq_length=96)
    texts = ["ʐĴ", "ʐ\u1b6aĴ", "ab\u1b6aab"]  # the mark is of another script
    assert left_out(renderer, texts) == [1]
    check(renderer, texts)
    large = TextRenderer(strategy="continuous", font_size=60, pixels_per_patch=8, max_seq_length=300)
    texts = ["a b", "Ж\u0489", "a\u0488", "fj"]
    assert left_out(large, texts) == [1, 2]
    check(large, texts)


def test_lists_of_words_start_patches(renderer: TextRenderer) -> None:
    words = [text.split() for text in PLAIN]
    batch = renderer.batch(words, padding="max_length")
    for row, text in enumerate(words):
        np.testing.assert_array_equal(batch["pixel_values"][row], renderer(text).pixel_values)


def test_runs_without_a_glyph(tmp_path: Path) -> None:
    """HarfBuzz leaves out invisible characters if the font has no space that could stand for them."""
    wanted = hb.SubsetInput()
    wanted.unicode_set.update(map(ord, "ab\u00ad\u200d"))
    font = tmp_path / "no-space.ttf"
    font.write_bytes(hb.subset(hb.Face(hb.Blob.from_file_path(str(find_font()))), wanted).blob.data)
    renderer = TextRenderer(font, strategy="continuous", max_seq_length=20)
    for texts in (["\u00ad"], ["\u00ad", "ab"], ["a\u200db", "\u200d"]):
        check(renderer, texts)


def test_lines_that_begin_with_a_blank_run_are_drawn_in_bulk(renderer: TextRenderer) -> None:
    texts = ["\u3164 \u05d0b", "\u05d0 \u200eabc"]
    assert not left_out(renderer, texts)
    check(renderer, texts)


def test_black_ink_in_three_channels() -> None:
    colours = TextRenderer(strategy="continuous", max_seq_length=96, rgb=True)
    assert not left_out(colours, PLAIN)
    check(colours, PLAIN)


@pytest.mark.parametrize("rgb", [False, True])
def test_coloured_glyphs_are_drawn_alone(tmp_path: Path, rgb: bool) -> None:
    font = colour_font(find_font(), {"a": ("I", "-")}, tmp_path / "colours.ttf")
    renderer = TextRenderer(font, strategy="continuous", max_seq_length=40, rgb=rgb)
    texts = ["I - I", "banana", "II", "a"]
    assert left_out(renderer, texts) == [1, 3]
    check(renderer, texts)


def test_what_is_kept_of_glyphs_may_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixel_m4.render.glyphs._MAX_GLYPHS", 8)
    monkeypatch.setattr("pixel_m4.render.bulklines._PIXELS", 20 * 16**2)
    renderer = TextRenderer(strategy="continuous", max_seq_length=96)
    texts = [*PLAIN, *reversed(PLAIN)]
    assert not left_out(renderer, texts)
    check(renderer, texts)
    check(renderer, texts)
