from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixel_m4.render.stamps import BLANK, Stamps

ROWS = 5


def added(glyphs: list[tuple[np.ndarray, int, int]], columns: list[int], width: int) -> np.ndarray:
    """Coverage [ROWS, width] by adding glyphs pixel by pixel."""
    strip = np.zeros((ROWS, width), int)
    for (pixels, left, top), column in zip(glyphs, columns, strict=True):
        for (row, x), value in np.ndenumerate(pixels):
            if 0 <= row + top < ROWS:
                strip[row + top, x + left + column] += value
    return np.minimum(strip, 255)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_coverage_adds_up_to_black(seed: int, count: int) -> None:
    dice = np.random.default_rng(seed)
    stamps = Stamps(ROWS)
    glyphs = [
        (
            dice.integers(0, 256, dice.integers(0, 8, 2), np.uint8),
            int(dice.integers(-3, 3)),
            int(dice.integers(-9, 9)),
        )
        for _ in range(count)
    ]
    numbers = [stamps.add(*glyph) for glyph in glyphs]
    chosen = dice.integers(0, count, 9)
    columns = dice.integers(3, 12, 9)
    strip = stamps.draw(np.array(numbers)[chosen], columns, 24)
    np.testing.assert_array_equal(strip.T, added([glyphs[i] for i in chosen], columns.tolist(), 24))


def test_many_glyphs_are_kept() -> None:
    stamps = Stamps(ROWS)
    numbers = [stamps.add(np.full((5, 40), i % 255 + 1, np.uint8), 0, 0) for i in range(300)]
    assert len(set(numbers)) == 300
    for i in (0, 17, 299):
        assert (stamps.draw(np.array([numbers[i]]), np.array([2]), 42)[2:] == i % 255 + 1).all()


def test_where_the_bitmaps_are() -> None:
    stamps = Stamps(ROWS)
    number = stamps.add(np.ones((2, 3), np.uint8), -1, 0)
    left, right = stamps.reach(np.array([number, BLANK]), np.array([10, 10]))
    assert (left[0], right[0]) == (9, 12)
    assert left[1] > 10**6
    assert right[1] < -(10**6)


def test_nothing_draws_nothing() -> None:
    nothing = np.zeros(0, np.int64)
    assert not Stamps(ROWS).draw(nothing, nothing, 4).any()
    assert not Stamps(ROWS).draw(np.array([BLANK]), np.array([0]), 4).any()
