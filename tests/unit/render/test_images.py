from __future__ import annotations

import numpy as np
import pytest

from pixel_m4.render import TextRenderer
from pixel_m4.render.images import picture, strips


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer()


def test_plain_picture_holds_the_patches(renderer: TextRenderer) -> None:
    encoding = renderer("My cat")
    image = np.asarray(picture(encoding, scale=1, borders=False, word_starts=False))
    assert image.shape == (16, 5 * 16, 3)
    np.testing.assert_array_equal(image[..., 0], encoding.pixel_values[:, : 5 * 16])


def test_rows_are_wrapped(renderer: TextRenderer) -> None:
    encoding = renderer("My cat")
    image = np.asarray(picture(encoding, columns=2, scale=1, borders=False, word_starts=False))
    assert image.shape == (48, 32, 3)
    np.testing.assert_array_equal(image[16:32, :, 0], encoding.pixel_values[:, 32:64])
    assert (image[32:, 16:] == 255).all()


def test_marks_and_masks(renderer: TextRenderer) -> None:
    image = np.asarray(picture(renderer("My cat"), scale=2, masked=[1]))
    assert tuple(image[10, 0]) == (0, 110, 200)  # a word starts
    assert tuple(image[10, 40]) == (160, 160, 160)  # the second patch is covered
    assert tuple(image[0, 40]) == (214, 219, 226)  # its border is not


def test_rgb(renderer: TextRenderer) -> None:
    grey = picture(renderer("abc"))
    assert grey.tobytes() == picture(TextRenderer(rgb=True)("abc")).tobytes()


@pytest.mark.parametrize("options", [{"scale": 0}, {"columns": 0}])
def test_bad_sizes(renderer: TextRenderer, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        picture(renderer("a"), **options)


def test_strips_show_what_is_hidden_and_what_is_put_there() -> None:
    original = np.full((16, 16 * 5), 255, np.uint8)
    filled = np.full((16, 16 * 5), 10, np.uint8)
    masked = np.array([False, True, False, False, True])
    image = np.asarray(strips(original, filled, masked, 5, columns=3, gap=4).convert("L"))
    assert image.shape == (2 * 50 + 4, 48)
    assert (image[:16] == 255).all()
    assert (image[17:33, 16:32] == 160).all()
    assert (image[17:33, :16] == 255).all()
    assert (image[34:50] == 10).all()
    assert (image[54 + 17 : 54 + 33, 16:32] == 160).all()
    assert (image[54:, 32:] == 255).all()  # the last row is shorter
    with pytest.raises(ValueError, match="at least 1"):
        strips(original, filled, masked, 0)
