from __future__ import annotations

import numpy as np
import pytest

from pixel_m4.render import TextRenderer
from pixel_m4.tasks.cutting import cut, cut_pair, units

CHINESE = "人人生而自由在尊严和权利上一律平等" * 4


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=64)


def test_units_of_a_long_word_look_as_in_the_word(renderer: TextRenderer) -> None:
    found = units(renderer, f"ab {CHINESE} cd")
    assert [found[0][:2], found[-1][:2]] == [(0, 2), (len(CHINESE) + 4, len(CHINESE) + 6)]
    parts = [CHINESE[start - 3 : end - 3] for start, end, _ in found[1:-1]]
    assert len(parts) > 3
    assert np.array_equal(renderer(CHINESE).pixel_values, renderer(parts).pixel_values)


def test_cut(renderer: TextRenderer) -> None:
    assert cut(renderer, "the cat sat", 6) == "the cat sat"
    assert cut(renderer, "the cat sat", 5) == "the cat"
    assert cut(renderer, "the cat", 1) == ""
    kept = cut(renderer, CHINESE, 20)
    assert CHINESE.startswith(kept)
    assert 0 < sum(renderer.measure([kept])) <= 20


def test_the_longer_of_a_pair_is_cut(renderer: TextRenderer) -> None:
    short, long = "the cat", "sat on the mat"  # 2 + 2 and 2 + 1 + 2 + 3 patches
    assert cut_pair(renderer, short, long, 12) == (short, long)
    assert cut_pair(renderer, short, long, 11) == (short, "sat on the")
    assert cut_pair(renderer, long, short, 9) == ("sat on the", short)
    assert cut_pair(renderer, long, long, 10) == ("sat on the", "sat on the")
    assert cut_pair(renderer, short, long, 5) == ("the", "sat on")
