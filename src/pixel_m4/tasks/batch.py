"""Collation: rendered texts and label lists to tensors.

Dimensions: B batch, P patches, W words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pixel_m4.render.texts import as_list, as_strings
from pixel_m4.tasks.text_input import TextInput

IGNORE = -100  # what losses and pooling skip


def render_words(renderer: TextInput, texts: Sequence[Sequence[str]]) -> dict[str, torch.Tensor]:
    """Render lists of words, or cut them into sub-words, trimmed to the longest text.

    Returns:
        ``pixel_values`` uint8 [B, 16, 16 * P] (of sub-words ``input_ids`` int64 [B, 1 + P]),
        ``attention_mask`` int64 [B, P] and ``word_starts`` int64 [B, W + 1], padded with -100.  A word that
        begins past the canvas starts at the black patch.

    Raises:
        TypeError: it is no list of lists of words.
    """
    rows = [as_strings(words, f"texts[{i}]") for i, words in enumerate(as_list(texts))]
    batch = renderer.batch(rows, return_tensors="pt")
    return {**batch, "word_starts": batch.seen_word_starts}


def pad(rows: Sequence[Sequence[int]], value: int = IGNORE) -> torch.Tensor:
    """Rows of different lengths as one int64 tensor [B, longest]."""
    padded = torch.full((len(rows), max(map(len, rows), default=0)), value, dtype=torch.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = torch.as_tensor(row, dtype=torch.int64)
    return padded
