"""Collation: rendered texts and label lists as arrays; and what a model says as arrays.

Nothing here needs torch: a model may be one of PyTorch, or an ONNX file.

Dimensions: B batch, P patches, W words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixel_m4.render.texts import as_list, as_strings
from pixel_m4.tasks.text_input import TextInput

Array = NDArray[Any]
Arrays = dict[str, Array]

IGNORE = -100  # what losses and pooling skip


def render_words(renderer: TextInput, texts: Sequence[Sequence[str]]) -> Arrays:
    """Render lists of words, or cut them into sub-words, trimmed to the longest text.

    Returns:
        ``pixel_values`` uint8 [B, 16, 16 * P] (of sub-words ``input_ids`` int64 [B, 1 + P]),
        ``attention_mask`` int64 [B, P] and ``word_starts`` int64 [B, W + 1], padded with -100.  A word that
        begins past the canvas starts at the black patch.

    Raises:
        TypeError: it is no list of lists of words.
    """
    rows = [as_strings(words, f"texts[{i}]") for i, words in enumerate(as_list(texts))]
    batch = renderer.batch(rows)
    return {**batch, "word_starts": batch.seen_word_starts}


def pad(rows: Sequence[Sequence[int]], value: int = IGNORE) -> Array:
    """Rows of different lengths as one int64 array [B, longest]."""
    padded = np.full((len(rows), max(map(len, rows), default=0)), value, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded


def as_array(output: Any) -> Array:
    """An output of a model as an array: one of NumPy already, or a tensor of any device and precision."""
    if isinstance(output, np.ndarray):
        return output
    array: Array = (output.float() if output.is_floating_point() else output).cpu().numpy()
    return array


def log_softmax(logits: Array) -> Array:
    """Log-probabilities over the last dimension."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
