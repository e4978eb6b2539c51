"""Batches of continuous text laid out and drawn by NumPy: Python steps are per run, not per character.

Texts that need more than that are left to :meth:`ContinuousLayout.line
<pixel_m4.render.lines.ContinuousLayout.line>`: long ones, which are truncated, and those with characters that
the main font lacks, with colours, or with runs whose ink lies over each other in unusual ways.

Dimensions: B texts, R runs, G glyphs, N characters, H pixel rows of a patch, which is as wide as it is high.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from pixel_m4.render.atlas import WHITE, Atlas
from pixel_m4.render.bulk import Bulk
from pixel_m4.render.glyphs import NOT_BLACK, FontFace, Shaped, pens, times, whole_pixels
from pixel_m4.render.itemize import ALONE, Run, itemize
from pixel_m4.render.stamps import Stamps
from pixel_m4.render.strategies import MARGIN, is_rtl

_LINE, _COUNT, _TURN = range(3)  # of a run: see `_Glyphs`
_PIXELS = 1 << 21  # of lines that are drawn at once, two floats each
_NOWHERE = -(1 << 60)


class _Line(NamedTuple):
    """A text to lay out.

    Attributes:
        number: its place in the batch.
        text: its words with one space between them.
        runs: what it is cut into, from left to right.
    """

    number: int
    text: str
    runs: tuple[Run, ...]


class _Laid(NamedTuple):
    """A text laid out, as in :class:`Bulk`."""

    cells: np.ndarray
    starts: np.ndarray


class BulkLines:
    """Lay out strings, each as one line.

    Args:
        atlas: keeps the patches that are drawn.
        size: H.
    """

    def __init__(self, atlas: Atlas, size: int) -> None:
        self._atlas = atlas
        self._size = size
        # Characters that can be drawn here, and others.
        self._plain: set[str] = set()
        self._others: set[str] = set()

    def lay_out(self, texts: Sequence[str] | Sequence[Sequence[str]], rtl: bool, limit: int) -> Bulk:
        """Lay out B strings of at most ``limit`` patches each; lists of words are left out."""
        laid: dict[int, _Laid] = {}
        for lines in self._chunks(texts, rtl, limit):
            laid |= self._lay_out(lines, limit)
        nothing = np.zeros(0, np.int64)
        rows = [laid.get(i, _Laid(nothing, nothing)) for i in range(len(texts))]
        return Bulk(
            np.concatenate([nothing, *(row.cells for row in rows)]),
            np.array([len(row.cells) for row in rows], np.int64),
            np.concatenate([nothing, *(row.starts for row in rows)]),
            np.array([len(row.starts) for row in rows], np.int64),
            [i for i in range(len(texts)) if i not in laid],
            {},
        )

    def _chunks(
        self, texts: Sequence[str] | Sequence[Sequence[str]], rtl: bool, limit: int
    ) -> Iterator[list[_Line]]:
        chunk: list[_Line] = []
        pixels = 0
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                continue
            words = text.split()
            line = " ".join(words)
            # Characters are seldom narrower than a pixel; this does not measure a book.
            if not words or len(line) > limit * self._size or not self._is_plain(line):
                continue
            chunk.append(_Line(number, line, itemize(line, rtl or is_rtl(text) or None)))
            pixels += (len(line) + 3) * self._size**2  # characters are seldom wider than high
            if pixels >= _PIXELS:
                yield chunk
                chunk, pixels = [], 0
        if chunk:
            yield chunk

    def _is_plain(self, line: str) -> bool:
        """Whether the main font has all characters of a line, and none stands alone."""
        unknown = set(line) - self._plain
        if not unknown:
            return True
        if len(self._plain) + len(self._others) >= 1 << 17:
            self._plain.clear()
            self._others.clear()
            unknown = set(line)
        plain = {char for char in unknown - self._others if char not in ALONE and self._face.has(char)}
        self._plain |= plain
        self._others |= unknown - plain
        return unknown == plain

    @property
    def _face(self) -> FontFace:
        return self._atlas.main_face

    def _lay_out(self, lines: list[_Line], limit: int) -> dict[int, _Laid]:
        """Lay out and draw lines; those that cannot be drawn here are not in what is returned."""
        if not lines:
            return {}
        shaped = _shape(lines, self._face)
        stamps, numbers = self._face.stamps(shaped.glyphs, shaped.raised, self._size)
        count, left, right = shaped.runs[:, _COUNT], shaped.left, shaped.right
        of_line = np.repeat(shaped.runs[:, _LINE], count)
        odd = np.zeros(len(lines), bool)
        odd[shaped.runs[count == 0, _LINE]] = True
        odd[of_line[(numbers == NOT_BLACK) | (right < left)]] = True
        if odd.any():
            return self._lay_out(_without(lines, odd), limit)

        first, width, start = _boxes(shaped, lines)
        patches = -(-shaped.widths // self._size)
        odd |= (patches > limit) | (-(-width // self._size) != patches)
        lowest, highest = stamps.reach(numbers, shaped.columns)
        odd[of_line[(lowest < -self._size) | (highest > (patches[of_line] + 1) * self._size)]] = True
        _find_overlaps(shaped.runs, lowest, highest, odd)
        if odd.any():
            return self._lay_out(_without(lines, odd), limit)

        # Ink may lie outside of a line's patches; a patch on each side takes it.
        begin = (patches + 2).cumsum() - patches - 1
        columns = shaped.columns + (begin * self._size)[of_line]
        ids = self._draw(shaped.runs, stamps, numbers, columns, int((patches + 2).sum()))
        starts = _word_starts(lines, first, start, self._size, patches)
        return {
            line.number: _Laid(ids[at : at + length], own)
            for line, at, length, own in zip(lines, begin, patches, starts, strict=True)
        }

    def _draw(
        self, runs: np.ndarray, stamps: Stamps, numbers: np.ndarray, columns: np.ndarray, cells: int
    ) -> np.ndarray:
        """Draw glyphs on a strip of so many patches, store those with ink, and return the numbers of all."""
        size = self._size
        # The ink of a run adds up; runs are drawn over each other. Neighbours lie on two strips for that.
        second = np.repeat(runs[:, _TURN] == 1, runs[:, _COUNT])
        paper = 255 - stamps.draw(numbers[~second], columns[~second], cells * size).reshape(cells, size, size)
        if second.any():
            over = stamps.draw(numbers[second], columns[second], cells * size).reshape(cells, size, size)
            both = np.flatnonzero(over.reshape(cells, -1).max(axis=1))
            paper[both] = times(paper[both], 255 - over[both])
        inked = np.flatnonzero(paper.reshape(cells, -1).min(axis=1) < 255)
        patches = paper[inked].swapaxes(1, 2)
        if len(self._atlas.patch_shape) == 3:
            patches = np.repeat(patches[..., None], self._atlas.patch_shape[2], axis=3)
        ids = np.full(cells, WHITE, np.int64)
        ids[inked] = self._atlas.store(patches) + np.arange(len(inked))
        return ids


class _Glyphs(NamedTuple):
    """The glyphs of many lines, G, one after another as they are drawn.

    Attributes:
        glyphs: as in :class:`Shaped <pixel_m4.render.glyphs.Shaped>`, int64 [G].
        raised: as in :class:`Shaped <pixel_m4.render.glyphs.Shaped>`, int64 [G].
        columns: where their origins stand, from the start of the line, int64 [G].
        left: where the pen is before each, int64 [G].
        right: where it is after each, int64 [G].
        owners: the character that each stands for, of all lines side by side, int64 [G].
        runs: number of the line, glyphs, and 0 or 1 by turns on a line, int64 [R, 3].
        widths: columns of each line, margins included, int64 [B].
    """

    glyphs: np.ndarray
    raised: np.ndarray
    columns: np.ndarray
    left: np.ndarray
    right: np.ndarray
    owners: np.ndarray
    runs: np.ndarray
    widths: np.ndarray


def _shape(lines: Sequence[_Line], face: FontFace) -> _Glyphs:
    shaped: list[Shaped] = []
    of_line: list[int] = []
    turns: list[int] = []
    places: list[int] = []  # first character of each run, of all lines side by side
    before = 0
    for i, line in enumerate(lines):
        for turn, run in enumerate(line.runs):
            shaped.append(face.arrange(run.text, run.rtl, run.script, whole=True))
            of_line.append(i)
            turns.append(turn % 2)
            places.append(before + run.start)
        before += len(line.text)
    runs = np.array([of_line, [len(run.glyphs) for run in shaped], turns], np.int64).T
    counts = runs[:, _COUNT]
    left, right = pens(_flat([run.advances for run in shaped]))
    pen = np.append(0, right)
    edges = pen[counts.cumsum() - counts]  # where each run begins
    begins = edges[np.flatnonzero(np.diff(runs[:, _LINE], prepend=-1))]  # and each line
    own = np.repeat(begins[runs[:, _LINE]] - MARGIN, counts)
    return _Glyphs(
        _flat([run.glyphs for run in shaped]),
        _flat([run.raised for run in shaped]),
        left - own + whole_pixels(_flat([run.shifted for run in shaped])),
        left - own,
        right - own,
        _flat([run.clusters for run in shaped]) + np.repeat(places, counts),
        runs,
        np.diff(begins, append=pen[-1]) + 2 * MARGIN,
    )


def _flat(lists: Iterable[Sequence[int]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(lists), np.int64)


def _boxes(shaped: _Glyphs, lines: Sequence[_Line]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First column of every character, int64 [N]; columns of each line, margins included, and its first
    character, int64 [B].
    """
    lengths = np.array([len(line.text) for line in lines])
    start = lengths.cumsum() - lengths
    first, last, owner = np.zeros((3, lengths.sum()), np.int64)
    owners = shaped.owners
    first[owners[::-1]] = shaped.left[::-1]  # of the first glyph
    last[owners] = shaped.right  # of the last
    owner[owners] = owners
    owner = np.maximum.accumulate(owner)  # characters of a cluster share their columns
    first, last = first[owner], last[owner]
    wide = last - first
    same = (first[1:] == first[:-1]) & (last[1:] == last[:-1])
    same[start[1:] - 1] = False
    wide[1:][same] = 0
    return first, np.add.reduceat(wide, start) + 2 * MARGIN, start


def _find_overlaps(runs: np.ndarray, lowest: np.ndarray, highest: np.ndarray, odd: np.ndarray) -> None:
    """Mark lines on which ink of a run reaches that of the last but one before it, or of an earlier one."""
    if len(runs) == len(odd):
        return
    begin = runs[:, _COUNT].cumsum() - runs[:, _COUNT]
    bounds = zip(
        runs[:, _LINE].tolist(),
        np.minimum.reduceat(lowest, begin).tolist(),
        np.maximum.reduceat(highest, begin).tolist(),
        strict=True,
    )
    current, farthest, before = -1, 0, 0
    for line, low, high in bounds:
        if line != current:
            current, farthest, before = line, _NOWHERE, high
            continue
        if low < farthest:
            odd[line] = True
        farthest, before = max(farthest, before), high


def _word_starts(
    lines: Sequence[_Line], first: np.ndarray, start: np.ndarray, size: int, patches: np.ndarray
) -> list[np.ndarray]:
    """Patch of the leftmost column of every word, int64 [words] for each line."""
    codes = np.frombuffer(
        "".join(line.text for line in lines).encode("utf-32-le", "surrogatepass"), np.uint32
    )
    gaps = np.flatnonzero(codes == ord(" "))
    begins = np.sort(np.concatenate([start, gaps + 1]))
    ends = np.sort(np.concatenate([start[1:], [len(codes)], gaps]))
    borders = np.stack([begins, ends], axis=1).ravel()
    left = np.minimum.reduceat(np.append(first, 0), borders)[::2]
    bounds = np.searchsorted(begins, start)
    words = np.diff(bounds, append=len(begins))
    starts = np.minimum(left // size, np.repeat(np.maximum(patches - 1, 0), words))
    return np.split(starts, bounds[1:])


def _without(lines: Sequence[_Line], odd: np.ndarray) -> list[_Line]:
    return [line for line, out in zip(lines, odd.tolist(), strict=True) if not out]
