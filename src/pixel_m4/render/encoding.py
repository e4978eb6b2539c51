"""What rendering returns.

Dimensions: B batch, P patches, H pixels of a patch in each direction.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(slots=True)
class Encoding:
    """One rendered text, or pair.

    Attributes:
        pixel_values: uint8 [H, H * P] grey, or [H, H * P, 3]; white 255, ink 0.
        num_text_patches: patches before the last black patch.
        word_starts: first patch of each drawn word, then the first patch after the last one.
        sep_patches: places of the black patches: one after each text.
        first_word: number of the text's word (a pair's second text) that ``word_starts`` begins with.
        parts: where a window over a pair's second text cuts a word: (word, first character, end) of every
            stretch of a word that it shows, from left to right, words being counted as by ``first_word``;
            empty where all words are whole.
        overflowing_patches: further windows over the second text of a pair that does not fit.
    """

    pixel_values: np.ndarray
    num_text_patches: int
    word_starts: list[int]
    sep_patches: list[int]
    first_word: int = 0
    parts: Sequence[tuple[int, int, int]] = ()
    overflowing_patches: list[Encoding] = field(default_factory=list)


class BatchEncoding(UserDict[str, Any]):
    """Arrays (or tensors) of a batch by name, ready for ``model(**batch)``.

    Attributes:
        word_starts: int64 [B, W + 1], as :attr:`Encoding.word_starts`, padded with -100.
        num_text_patches: int64 [B].
    """

    def __init__(self, data: dict[str, Any], word_starts: Any, num_text_patches: Any) -> None:
        super().__init__(data)
        self.word_starts = word_starts
        self.num_text_patches = num_text_patches

    @property
    def seen_word_starts(self) -> Any:
        """`word_starts` as models take them: words that are cut or left out end before the black patch."""
        return self.word_starts.clip(max=self.num_text_patches[:, None])

    def to_torch(self) -> BatchEncoding:
        """The same batch as torch tensors that share the memory of the arrays."""
        import torch

        return self._map(torch.from_numpy)

    def to(self, device: Any) -> BatchEncoding:
        """The same batch on another device (tensors only)."""
        return self._map(lambda tensor: tensor.to(device))

    def _map(self, function: Callable[[Any], Any]) -> BatchEncoding:
        data = {name: function(value) for name, value in self.data.items()}
        return BatchEncoding(data, function(self.word_starts), function(self.num_text_patches))
