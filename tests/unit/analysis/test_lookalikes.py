"""Look-alikes: known ones, and what may never be among them."""

from __future__ import annotations

import string
import unicodedata

import numpy as np
import pytest

from pixel_m4.analysis.lookalikes import look_alikes
from pixel_m4.render import TextRenderer

pytest.importorskip("confusable_homoglyphs")
CHARS = string.ascii_letters + string.digits + "абвгдежопрстухαβγικνορτυωאוןןدهاं०กഠ"


def test_known_look_alikes() -> None:
    assert {"а", "α", "ɑ", "ａ", "𝐚"} <= set(look_alikes("a"))
    assert {*look_alikes("a"), "a"} == {*look_alikes("а"), "а"}  # it leads over the prototype
    assert look_alikes("a", "other") == ("α", "а")
    assert look_alikes("a", "same") == ("ɑ", "ａ")
    assert look_alikes("中") == ()


@pytest.mark.parametrize("char", CHARS)
def test_what_looks_alike_does_so_both_ways_and_is_a_letter(char: str) -> None:
    for other in look_alikes(char):
        assert char in look_alikes(other)
        assert len(other) == 1
        assert other not in string.punctuation + string.whitespace
        assert unicodedata.category(other)[0] not in "PZCM"
        assert (unicodedata.bidirectional(other) in ("R", "AL", "AN")) == (
            unicodedata.bidirectional(char) in ("R", "AL", "AN")
        )
    assert char not in look_alikes(char)
    kinds = set(look_alikes(char, "same")), set(look_alikes(char, "other"))
    assert not kinds[0] & kinds[1]
    assert kinds[0] | kinds[1] <= set(look_alikes(char))


def test_the_font_draws_some_with_the_same_pixels() -> None:
    renderer = TextRenderer()
    for latin, cyrillic in zip("aceopxy", "асеорху", strict=True):
        assert cyrillic in look_alikes(latin, "other")
        np.testing.assert_array_equal(renderer(latin).pixel_values, renderer(cyrillic).pixel_values)
