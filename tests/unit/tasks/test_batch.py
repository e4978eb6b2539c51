from __future__ import annotations

import numpy as np
import pytest
import torch

from pixel_m4.render import TextRenderer
from pixel_m4.tasks.batch import as_array, log_softmax, pad, render_words


def test_pad() -> None:
    assert pad([[1, 2], [], [3]]).tolist() == [[1, 2], [-100, -100], [3, -100]]
    assert pad([]).shape == (0, 0)


def test_outputs_become_arrays() -> None:
    values = np.array([[1.5, -2.0]], np.float32)
    assert as_array(values) is values
    for tensor in (torch.from_numpy(values), torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16)):
        assert as_array(tensor).dtype == np.float32
        assert as_array(tensor).tolist() == values.tolist()
    assert as_array(torch.tensor([2, 1])).dtype == np.int64


def test_log_softmax_is_torchs() -> None:
    logits = np.random.default_rng(0).normal(0, 30, (4, 5, 6)).astype(np.float32)
    logits[0, 0] = [1e4, -1e4, 0, 1e4, 3, 2]
    ours = log_softmax(logits)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, torch.from_numpy(logits).log_softmax(-1).numpy(), rtol=1e-5, atol=1e-5)


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
