"""What tasks need of what turns text into the input of a model: a renderer, or a tokenizer of sub-words.

Dimensions: B batch, P patches (or sub-words), W words.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from pixel_m4.render.encoding import BatchEncoding
from pixel_m4.render.offsets import Offsets
from pixel_m4.render.texts import Text


class TextInput(Protocol):
    """A :class:`~pixel_m4.render.TextRenderer`, or a :class:`~pixel_m4.subwords.tokenizer.SubwordTokenizer`.

    Where it says patches, a tokenizer means sub-words.
    """

    max_seq_length: int
    """The canvas, in patches."""

    @property
    def capacity(self) -> int:
        """Patches that one text may take: the canvas without what stands before and after it."""

    @property
    def between(self) -> int:
        """Patches between the two texts of a pair."""

    def measure(self, words: Iterable[str]) -> list[int]:
        """How many patches each word of a list takes."""

    def measure_texts(self, texts: Iterable[str]) -> list[np.ndarray]:
        """How many patches each word of each text takes: for each text int64 [W]."""

    def batch(self, texts: Iterable[Text], *, rtl: bool = False, return_tensors: str = "np") -> BatchEncoding:
        """The arguments of a model for many texts, all with B rows, ``attention_mask`` [B, P] among them."""

    def offsets(self, text: Text, *, rtl: bool = False) -> Offsets:
        """Map patches to characters of a text, and back."""

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write what is needed to make it again into the folder of a model."""
