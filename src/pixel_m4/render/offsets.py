"""Which characters of a text a patch shows, and which patches show a character.

Dimensions: P patches, C characters of a text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from pixel_m4.console.errors import UserError

_WORD = re.compile(r"\S+")  # the same words as those of str.split()


class Place(NamedTuple):
    """Where a word is drawn.

    Attributes:
        word: its number in the order of the text.
        patch: where its column 0 is.
        columns: int [n, 2], [left, right) of every character (and, for continuous text, of the space after
            it); (-1, -1) where it is not drawn.
        char: the first character of the word that is drawn, where only a part of it is.
    """

    word: int
    patch: int
    columns: np.ndarray
    char: int = 0


@dataclass(frozen=True, slots=True)
class Offsets:
    """Patches to characters and back, for one encoding.

    Characters are counted in the input: in the string as it was given, white space included; in a list of
    words as if they were joined by single spaces; in each text of a pair by itself.  A character is in the
    patches that its advance covers (its ink may reach further).  White space between words is in none but in
    continuous text, and neither is what was cut off.

    Attributes:
        spans: int32 [P, 2], characters [start, end) of each patch, black patches included; -1 where it shows
            none.  Where right-to-left and left-to-right text meet in a patch, the span reaches from the first
            to the last character that it shows.
        text_of_patch: int32 [P], 0 or 1 (the second text of a pair); -1 where a patch shows no text.
        word_of_patch: int32 [P], number of the first word that it shows, in the order of the text; or -1.
        patches: for every text int32 [C, 2], patches [start, end) of each character; -1 if it is not drawn.
    """

    spans: np.ndarray
    text_of_patch: np.ndarray
    word_of_patch: np.ndarray
    patches: tuple[np.ndarray, ...]

    def patch_to_chars(self, patch: int) -> tuple[int, int] | None:
        """Characters [start, end) that a patch shows; None for black, white and missing patches."""
        start, end = self.spans[patch].tolist() if 0 <= patch < len(self.spans) else (-1, -1)
        return None if start < 0 else (start, end)

    def patch_to_word(self, patch: int) -> int | None:
        """Number of the word that a patch shows, in the order of the text (the first one, if several)."""
        word = int(self.word_of_patch[patch]) if 0 <= patch < len(self.spans) else -1
        return None if word < 0 else word

    def char_to_patches(self, char: int, text: int = 0) -> tuple[int, int] | None:
        """Patches [start, end) that show a character; None if it is not drawn.

        Args:
            char: its place in the input.
            text: 1 for the second text of a pair.

        Raises:
            ValueError: there is no such text.
        """
        if not 0 <= text < len(self.patches):
            raise UserError(f"there is no text {text} among {len(self.patches)}")
        places = self.patches[text]
        start, end = places[char].tolist() if 0 <= char < len(places) else (-1, -1)
        return None if start < 0 else (start, end)

    def char_to_patch(self, char: int, text: int = 0) -> int | None:
        """First patch that shows a character; see :meth:`char_to_patches`."""
        patches = self.char_to_patches(char, text)
        return None if patches is None else patches[0]


def find_offsets(
    texts: Sequence[str | Sequence[str]],
    places: Sequence[Sequence[Place]],
    sep_patches: Sequence[int],
    size: int,
) -> Offsets:
    """Turn places of words into a map.

    Args:
        texts: one text or the two of a pair, strings or lists of words.
        places: the drawn words of each.
        sep_patches: the black patch after each text.
        size: H, pixels of a patch in each direction.
    """
    count = sep_patches[-1] + 1
    spans = np.full((count, 2), -1, np.int32)
    text_of_patch = np.full(count, -1, np.int32)
    word_of_patch = np.full(count, -1, np.int32)
    patches = []
    for number, (text, drawn, end) in enumerate(zip(texts, places, sep_patches, strict=True)):
        length, bounds = word_bounds(text)
        found = np.full((length, 2), -1, np.int32)
        words = np.full(length, -1, np.int32)
        for place in drawn:
            start, stop = bounds[place.word]
            start += place.char
            words[start:stop] = place.word
            columns = place.columns[: length - start].astype(np.int32)
            first = columns[:, 0] // size
            last = np.maximum(-(-columns[:, 1] // size), first + 1)
            own = np.stack([first, np.minimum(last + place.patch, end) - place.patch], axis=1) + place.patch
            shown = (columns[:, 0] >= 0) & (own[:, 0] < end)
            found[start : start + len(own)][shown] = own[shown]
        chars = np.flatnonzero(found[:, 0] >= 0)
        firsts = np.full(count, np.iinfo(np.int32).max, np.int32)
        first_words = firsts.copy()
        step = 0
        while len(chars):
            at = found[chars, 0] + step
            np.minimum.at(firsts, at, chars.astype(np.int32))
            np.maximum.at(spans[:, 1], at, chars.astype(np.int32) + 1)
            lettered = words[chars] >= 0
            np.minimum.at(first_words, at[lettered], words[chars[lettered]])
            step += 1
            chars = chars[found[chars, 1] - found[chars, 0] > step]
        covered = firsts < np.iinfo(np.int32).max
        spans[covered, 0] = firsts[covered]
        text_of_patch[covered] = number
        worded = first_words < np.iinfo(np.int32).max
        word_of_patch[worded] = first_words[worded]
        patches.append(found)
    return Offsets(spans, text_of_patch, word_of_patch, tuple(patches))


def word_bounds(text: str | Sequence[str]) -> tuple[int, list[tuple[int, int]]]:
    """Length of a text and [start, end) of its words."""
    if isinstance(text, str):
        return len(text), [match.span() for match in _WORD.finditer(text)]
    ends = [end - 1 for end in accumulate(len(word) + 1 for word in text)]
    bounds = [(end - len(word), end) for word, end in zip(text, ends, strict=True)]
    return max(0, sum(len(word) + 1 for word in text) - 1), bounds
