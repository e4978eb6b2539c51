"""Cut a word that is wider than its place into parts that are not, each drawn as a word of its own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from pixel_m4.render.atlas import Atlas
from pixel_m4.render.strategies import Bigrams, clusters

PARTS_OF_A_WINDOW = 4  # so that neighbouring windows can share some


class Part(NamedTuple):
    """Characters of a word.

    Attributes:
        word: number of the word.
        start: its first character that is shown.
        end: the character after the last one.
    """

    word: int
    start: int
    end: int


def cut_word(word: str, rtl: bool, room: int, atlas: Atlas) -> list[tuple[int, int]]:
    """Stretches [start, end) of a word, from left to right as they are drawn.

    Bigrams and pairs of graphemes fall as in the whole word; a word that is shaped as a whole is cut between
    graphemes, and each part is shaped alone.

    Args:
        word: the word.
        rtl: the text runs right-to-left.
        room: patches that a part must not exceed; a single character may.
        atlas: measures.
    """
    if isinstance(atlas.strategy, Bigrams):
        smallest = [*range(len(word) + 1)]
    else:
        smallest = [*(run.start for run in clusters(word)), len(word)]

    def width(start: int, end: int) -> int:
        return atlas.measure(word[start:end], rtl)

    parts: list[tuple[int, int]] = []
    pairs = smallest[::2] if len(smallest) % 2 else [*smallest[::2], len(word)]
    for start, end in cut_at(pairs, max(room // PARTS_OF_A_WINDOW, 1), width):
        # A pair, and then a grapheme, may be too wide for any window.
        borders = [start, end]
        for finer in (smallest, range(len(word) + 1)):
            if end - start > 1 and any(width(*bounds) > room for bounds in pairwise(borders)):
                borders = [*finer[bisect_left(finer, start) : bisect_left(finer, end) + 1]]
        parts += pairwise(borders)
    return parts[::-1] if atlas.strategy.turned(word, rtl) else parts


def cut_at(borders: list[int], room: int, width: Callable[[int, int], int]) -> Iterator[tuple[int, int]]:
    """Cut at some of the borders, such that every stretch is as long as fits, but not empty.

    A stretch is sought near the length of the one before, so that long words take linear time.

    Args:
        borders: where a cut may be, the beginning and the end included.
        room: what a stretch may be wide.
        width: of a stretch; a longer one is not narrower.
    """
    first, step = 0, 1
    while first < len(borders) - 1:
        low, high = 1, min(step, len(borders) - 1 - first)  # the longest that fits is sought from low on
        while first + high < len(borders) - 1 and width(borders[first], borders[first + high]) <= room:
            low, high = high, min(2 * high, len(borders) - 1 - first)
        while low < high:
            middle = (low + high + 1) // 2
            if width(borders[first], borders[first + middle]) <= room:
                low = middle
            else:
                high = middle - 1
        yield borders[first], borders[first + low]
        first += low
        step = low
