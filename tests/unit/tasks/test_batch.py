from __future__ import annotations

import pytest

from pixel_m4.render import TextRenderer
from pixel_m4.tasks.batch import pad, render_words


def test_pad() -> None:
    assert pad([[1, 2], [], [3]]).tolist() == [[1, 2], [-100, -100], [3, -100]]
    assert pad([]).shape == (0, 0)


def test_render_words_is_trimmed_to_the_longest() -> None:
    renderer = TextRenderer(max_seq_length=49)
    batch = render_words(renderer, [("a", "bcd"), ("e",)])
    assert batch["pixel_values"].shape == (2, 16, 4 * 16)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["word_starts"].tolist() == [[0, 1, 3], [0, 1, -100]]
    assert (batch["pixel_values"][1, :, :16] == renderer("e").pixel_values[:, :16]).all()


def test_words_past_the_canvas_start_at_its_end() -> None:
    renderer = TextRenderer(max_seq_length=49)
    batch = render_words(renderer, [("W" * 500,)])
    assert batch["word_starts"].tolist() == [[0, 48]]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("hello world", "give a list of texts"),
        (["hello", "world"], r"give a list of texts\[0\]"),
        ([["a"], ["b", None]], r"texts\[1\]\[1\] is None"),
        ([["a"], None], r"give a list of texts\[1\], not NoneType"),
    ],
)
def test_one_string_is_no_list_of_words(texts: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        render_words(TextRenderer(max_seq_length=49), texts)  # type: ignore[arg-type]
