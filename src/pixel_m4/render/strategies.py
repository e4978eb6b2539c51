"""Text → words → pieces, and the direction of a text.

A *word* starts a new patch.  It is cut into *pieces*, each of which starts a new patch, too.  A piece is a
sequence of *runs*, each shaped and drawn alone: a plain string is a sequence of one-character runs.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Protocol

Piece = Sequence[str]

# Blocks that hold all strong right-to-left characters; a text without them needs no closer look.
_RTL_BLOCKS = re.compile(
    "[\u0590-\u08ff\u200f\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_IGNORED = re.compile(rf"[\s{re.escape(string.punctuation + string.digits)}]+")


class Strategy(Protocol):
    """How words become pieces; an instance must be cheap to make and to pickle."""

    name: str

    def pieces(self, word: str, rtl: bool) -> Iterator[Piece]:
        """Yield the pieces of a word in the order in which they are drawn, left to right."""


class Bigrams:
    """Two code points a piece (Lotz et al. 2023), the rendering of PIXEL-M4."""

    name = "bigrams"

    def pieces(self, word: str, rtl: bool) -> Iterator[str]:
        """Yield strings of two code points; the last one of the word may hold one."""
        if not rtl:
            return (word[i : i + 2] for i in range(0, len(word), 2))
        first = len(word) - 2 + len(word) % 2
        return (word[i : i + 2][::-1] for i in range(first, -1, -2))


STRATEGIES: dict[str, type[Strategy]] = {strategy.name: strategy for strategy in (Bigrams,)}


def is_rtl(text: str) -> bool:
    """Whether a text counts as right-to-left: two of its first, middle and last letter are.

    White space, ASCII punctuation and ASCII digits are not looked at (published rule, kept: the order of
    words and pieces that published weights saw depends on it).
    """
    if text.isascii() or not _RTL_BLOCKS.search(text):
        return False
    letters = _IGNORED.sub("", text)
    samples = (letters[0], letters[-1], letters[len(letters) // 2])
    return sum(unicodedata.bidirectional(char) in ("R", "AL") for char in samples) >= 2
