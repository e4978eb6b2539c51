"""Strips tell the page what the renderer draws, and what every patch shows."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pixel_m4.demo.strips import drawn
from pixel_m4.render import TextRenderer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of what is lost on purpose


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=49)


def pixels(strip: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(strip["png"]))))


def test_the_picture_has_the_pixels_of_the_renderer(renderer: TextRenderer) -> None:
    strip = drawn(renderer, "My cat")
    encoding = renderer("My cat")
    assert strip["patches"] == encoding.num_text_patches + 1
    assert (pixels(strip) == encoding.pixel_values[:, : 16 * strip["patches"]]).all()
    assert not pixels(strip)[:, -16:].any()
    assert strip["black"] == [strip["patches"] - 1]


def test_characters_and_patches_point_at_each_other(renderer: TextRenderer) -> None:
    strip = drawn(renderer, "My cat")
    assert strip["patch_chars"] == [[0, 2], [1, 2], [3, 5], [5, 6], None]
    assert strip["char_patches"][3:] == [[2, 3], [2, 3], [3, 4]]
    assert strip["char_patches"][2] is None  # the space
    assert strip["patch_word"] == [0, 0, 1, 1, None]
    assert strip["word_starts"] == [0, 2]
    assert (strip["missing"], strip["cut"], strip["rtl"]) == ([], [], False)


def test_missing_glyphs_are_found_by_their_place(renderer: TextRenderer) -> None:
    assert drawn(renderer, "a \U0001d599 b\U0001d599")["missing"] == [2, 5]


def test_what_does_not_fit_is_told(renderer: TextRenderer) -> None:
    text = "word " * 30
    strip = drawn(renderer, text)
    assert strip["patches"] <= 49
    shown = {char for span in strip["patch_chars"] if span for char in range(*span)}
    assert strip["cut"] == [place for place, char in enumerate(text) if char != " " and place not in shown]
    assert strip["cut"]


def test_right_to_left_text_begins_at_the_right(renderer: TextRenderer) -> None:
    strip = drawn(renderer, "قطتي تشرب")
    assert strip["rtl"]
    assert strip["patch_word"][0] == 1
    assert strip["patch_word"][strip["patches"] - 2] == 0


def test_words_one_by_one_stand_from_left_to_right(renderer: TextRenderer) -> None:
    strip = drawn(renderer, ["قطتي", "تشرب"])
    assert not strip["rtl"]
    assert strip["patch_word"][0] == 0


def test_the_direction_can_be_given(renderer: TextRenderer) -> None:
    strip = drawn(renderer, "a b", rtl=True)
    assert strip["rtl"]
    assert strip["patch_word"] == [1, 0, None]
