"""All bigrams seen so far as a table that is looked up, and filled, by the array.

Every character is drawn once, onto a strip of its own; a bigram is the product of two strips, the second one
moved by the width of the first.  Those of a batch that are new are made together.

Dimensions: C characters, M bigrams, H pixels of a patch in each direction, S patches of a strip.
"""

from __future__ import annotations

import numpy as np

from pixel_m4.render.atlas import WHITE, Atlas
from pixel_m4.render.glyphs import times
from pixel_m4.render.intmap import IntMap

CODE_BITS = 21
ALONE = 0x1FFFFF  # stands for the second code point of a unit that has none

# What is known of a bigram, as bits beside its width (0 to 15 patches).
WIDTH, INK_BEFORE, INK_AFTER, MISSING, ODD = 15, 16, 32, 64, 128

# Strips begin one patch left of the pen. A character must not be wider than 2 patches, nor have ink further
# right than 3, so that a bigram fits on 6: one before it, at most 4 of its own, one after it.
_CHARACTER_WIDTH, _CHARACTER_STRIP, _STRIP = 2, 4, 6


# Held for a row (kind, patches, some free slots of the map) and for a character (dictionary, ink).
_ROW_BYTES, _ENTRY_OVERHEAD = 80, 400


class BigramTable:
    """Kinds and patches of bigrams.

    Args:
        atlas: draws characters, stores patches, and draws the few bigrams that do not fit on a strip.

    Attributes:
        kinds: uint8 [M], the bits above.
        patches: int64 [3, M]: number of the first patch (others follow), of the ink before and after.
        missing: characters without a glyph of the bigrams that have such.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self._size, *channels = atlas.patch_shape[1:]
        self._rows = IntMap()
        self._characters: dict[int, int] = {ALONE: 0}
        self._channels = tuple(channels)
        self._strips = np.full((256, self._size, _CHARACTER_STRIP * self._size, *channels), 255, np.uint8)
        self._widths = np.zeros(256, np.int64)  # of characters, in pixels; -1 if they do not fit on a strip
        self.kinds = np.zeros(1024, np.uint8)
        self.patches = np.zeros((3, 1024), np.int64)
        self.missing: dict[int, str] = {}

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """Rows of bigrams, keys being ``first | second << CODE_BITS``; new ones are drawn."""
        rows = self._rows.get(keys)
        new = np.unique(keys[rows < 0])
        if len(new):
            self._add(new)
            rows = self._rows.get(keys)
        return rows

    def _add(self, keys: np.ndarray) -> None:
        first = len(self._rows)
        while first + len(keys) > len(self.kinds):
            self.kinds = np.concatenate([self.kinds, np.zeros_like(self.kinds)])
            self.patches = np.concatenate([self.patches, np.zeros_like(self.patches)], axis=1)
        one, two = (self._known(keys & (1 << CODE_BITS) - 1), self._known(keys >> CODE_BITS))
        fits = (self._widths[one] >= 0) & (self._widths[two] >= 0)
        rows = np.arange(first, first + len(keys))
        # Alike moves are made together, and not too many at once.
        moves = self._widths[one]
        for move in np.unique(moves[fits]):
            same = np.flatnonzero(fits & (moves == move))
            for part in np.split(same, range(512, len(same), 512)):
                self._draw(rows[part], one[part], two[part], int(move))
        for row, key in zip(rows[~fits].tolist(), keys[~fits].tolist(), strict=True):
            self._draw_alone(row, key)
        self._rows.put(keys, rows)
        self._atlas.charge(_ROW_BYTES * len(keys))

    def _known(self, codes: np.ndarray) -> np.ndarray:
        """Numbers of characters; new ones are drawn."""
        different, places = np.unique(codes, return_inverse=True)
        numbers = [self._characters.get(code, -1) for code in different.tolist()]
        for i, code in enumerate(different.tolist()):
            if numbers[i] < 0:
                numbers[i] = self._character(code)
        return np.array(numbers, np.int64)[places]

    def _character(self, code: int) -> int:
        number = self._characters[code] = len(self._characters)
        self._atlas.charge(self._strips[0].size + _ENTRY_OVERHEAD)
        if number == len(self._widths):
            self._strips = np.concatenate([self._strips, np.full_like(self._strips, 255)])
            self._widths = np.concatenate([self._widths, np.zeros_like(self._widths)])
        size = self._size
        inks = self._atlas.inks(chr(code))
        (ink,) = inks if len(inks) == 1 else (None,)
        self._widths[number] = -1
        if ink is not None and 0 <= ink.advance <= _CHARACTER_WIDTH * size and ink.colour is None:
            left, right = size + ink.left, size + ink.left + ink.coverage.shape[1]
            if self._atlas.covers(chr(code)) and left >= 0 and right <= _CHARACTER_STRIP * size:
                self._widths[number] = ink.advance
                black = 255 - ink.coverage
                self._strips[number, :, left:right] = black[..., None] if self._channels else black
        return number

    def _draw(self, rows: np.ndarray, one: np.ndarray, two: np.ndarray, move: int) -> None:
        """Draw bigrams whose first characters have the same width ``move``."""
        size = self._size
        strips = np.full((len(rows), size, _STRIP * size, *self._channels), 255, np.uint8)
        strips[:, :, : _CHARACTER_STRIP * size] = self._strips[one]
        part = strips[:, :, move : move + _CHARACTER_STRIP * size]
        part[:] = times(part, self._strips[two])
        cells = strips.reshape(len(rows), size, _STRIP, size, *self._channels).swapaxes(1, 2)
        width = -(-(move + self._widths[two]) // size)
        inked = (cells != 255).reshape(len(rows), _STRIP, -1).any(2)
        number = np.arange(_STRIP)
        own = (number > 0) & (number <= width[:, None])
        first = self._atlas.store(cells[own])
        self.patches[0, rows] = first + width.cumsum() - width
        after = inked[np.arange(len(rows)), width + 1]
        for ink, place, row in ((inked[:, 0], np.zeros_like(width), 1), (after, width + 1, 2)):
            some = np.flatnonzero(ink)
            self.patches[row, rows[some]] = self._atlas.store(cells[some, place[some]]) + np.arange(len(some))
        kinds = width | INK_BEFORE * inked[:, 0] | INK_AFTER * after
        kinds[(inked & (number > width[:, None] + 1)).any(1)] |= ODD
        self.kinds[rows] = kinds

    def _draw_alone(self, row: int, key: int) -> None:
        """Draw one bigram that does not fit on a strip, or lacks a glyph."""
        codes = (key & (1 << CODE_BITS) - 1, key >> CODE_BITS)
        unit = self._atlas.unit("".join(chr(code) for code in codes if code != ALONE))
        ink = dict(unit.spill)
        before, after = ink.pop(-1, WHITE), ink.pop(unit.width, WHITE)
        kind = min(unit.width, WIDTH)
        kind |= INK_BEFORE * (before != WHITE) | INK_AFTER * (after != WHITE) | MISSING * bool(unit.missing)
        self.kinds[row] = kind | ODD * bool(ink or unit.width > WIDTH)
        self.patches[:, row] = self._atlas.copy(unit), before, after
        if unit.missing:
            self.missing[row] = unit.missing
