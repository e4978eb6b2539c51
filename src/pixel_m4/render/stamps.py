"""Black glyphs kept as the pixels that have ink, so that a few NumPy steps draw many of them.

Dimensions: n glyphs, H rows and W columns of a strip.  A strip is kept column by column: the pixel of a row
and a column is number H * column + row.
"""

from __future__ import annotations

import numpy as np

BLANK = 0
_FAR = 1 << 40


class Stamps:
    """Glyphs whose origins stand on given rows, each known by a number; ``BLANK`` is one without ink.

    Args:
        rows: H.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._places = np.zeros(1 << 12, np.int64)  # H * column + row of all pixels of all glyphs
        self._coverage = np.zeros(1 << 12)  # floats, which is what they are added up as
        self._glyphs = np.zeros((1 << 6, 4), np.int64)  # first pixel, pixels, left, right
        self._glyphs[BLANK, 2:] = _FAR, -_FAR
        self._count = 1

    @property
    def pixels(self) -> int:
        """Pixels with ink that are kept, each in 16 bytes."""
        return int(self._glyphs[self._count - 1, :2].sum())

    def add(self, pixels: np.ndarray, left: int, row: int) -> int:
        """Keep a glyph and return its number; what lies outside of the rows is cut off.

        Args:
            pixels: its coverage, uint8 [h, w].
            left: its first column, counted from its origin.
            row: the row of its first line.
        """
        first = max(-row, 0)
        seen = pixels[first : max(self._rows - row, 0)].T
        columns, lines = seen.nonzero()
        start = self.pixels
        while start + len(lines) > len(self._places):  # twice as long; the copies are written over
            self._places = np.append(self._places, self._places)
            self._coverage = np.append(self._coverage, self._coverage)
        if self._count == len(self._glyphs):
            self._glyphs = np.append(self._glyphs, self._glyphs, axis=0)
        self._places[start : start + len(lines)] = (columns + left) * self._rows + lines + (row + first)
        self._coverage[start : start + len(lines)] = seen[columns, lines]
        self._glyphs[self._count] = start, len(lines), left, left + pixels.shape[1]
        self._count += 1
        return self._count - 1

    def reach(self, numbers: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First column of every glyph's bitmap and the one after its last; far right and left without ink.

        Args:
            numbers: of the glyphs, int64 [n].
            columns: where their origins stand, int64 [n].
        """
        glyphs = self._glyphs.take(numbers, axis=0)
        return columns + glyphs[:, 2], columns + glyphs[:, 3]

    def draw(self, numbers: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
        """Coverage of glyphs on a strip, uint8 [W, H]; it adds up, with saturation.

        Args:
            numbers: of the glyphs, int64 [n].
            columns: where their origins stand, int64 [n]; no ink may be outside of the strip.
            width: W.
        """
        glyphs = self._glyphs.take(numbers, axis=0)
        counts = glyphs[:, 1]
        ends = counts.cumsum()
        pixels = np.arange(counts.sum())
        pixels += np.repeat(glyphs[:, 0] - ends + counts, counts)
        places = self._places.take(pixels)
        places += np.repeat(columns * self._rows, counts)
        strip = np.bincount(places, self._coverage.take(pixels), width * self._rows)
        return np.minimum(strip, 255, out=strip).astype(np.uint8).reshape(width, self._rows)
