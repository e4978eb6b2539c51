"""Every unit drawn once: a store of patches and of the words made of them.

A unit starts at a patch border and its characters are shaped alone, so its pixels depend on the unit only,
but for ink that crosses a border.  That ink is kept apart (*spill*) and multiplied into the neighbours.

Dimensions: N patches in the store, H pixel rows and columns of a patch, C channels (none if grey).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from pixel_m4.render.fontfile import FontFile
from pixel_m4.render.glyphs import FontFace, Ink, Typesetter, paint, stamp, times
from pixel_m4.render.itemize import Run
from pixel_m4.render.strategies import Strategy, Unit

Word = str | tuple[Run, ...]
"""What starts a patch: cut by the strategy if it is a string, else one unit."""

WHITE, BLACK = 0, 1

# What Python keeps for one entry beside the bytes that we count: key, tuple, dictionary slot.
_PATCH_OVERHEAD, _ENTRY_OVERHEAD = 700, 320
_SHORT_RUN, _MAX_RUNS = 4, 1 << 16
_LONG_WORD = 64  # longer words seldom come back: Chinese or Thai sentences


class Drawn(NamedTuple):
    """A word or a unit as patches.

    Attributes:
        ids: int32 patch numbers, as bytes, so that joining words is joining bytes.
        width: how many patches it takes, also those that lie past the canvas.
        spill: (patch offset, patch number) of ink outside of ``range(width)``.
        missing: characters that no font has.
    """

    ids: bytes
    width: int
    spill: tuple[tuple[int, int], ...]
    missing: str


class AtlasStats(NamedTuple):
    """What an atlas holds and what it was asked."""

    patches: int
    units: int
    words: int
    bytes: int
    limit: int
    evictions: int


class Atlas:
    """Patches of all units seen so far, bounded in bytes.

    Not safe for threads by itself: :class:`TextRenderer` holds a lock from looking words up until their
    patches are copied, since :meth:`trim` renumbers them.

    Args:
        typesetter: draws runs.
        strategy: cuts words into units.
        size: H, pixels of a patch in each direction.
        max_patches: patches of a canvas: a word is drawn up to there, and only measured beyond.
        rgb: patches have three channels, C = 3; else none.
        max_bytes: what the store may grow to before :meth:`trim` empties it.
    """

    def __init__(
        self,
        typesetter: Typesetter,
        strategy: Strategy,
        size: int,
        max_patches: int,
        rgb: bool = False,
        max_bytes: int = 256 << 20,
    ) -> None:
        self._typesetter = typesetter
        self.strategy = strategy
        self._size = size
        self.patch_shape = (size, size, 3) if rgb else (size, size)
        self._max_patches = max_patches
        self._max_bytes = max_bytes
        self._runs: dict[str | Run, list[Ink]] = {}
        self._evictions = -1
        self._forget()

    def _forget(self) -> None:
        self._patches = np.empty((1024, *self.patch_shape), np.uint8)
        self._patches[WHITE], self._patches[BLACK] = 255, 0
        self._count = 2
        self._numbers = {self._patches[i].tobytes(): i for i in (WHITE, BLACK)}
        self._units: dict[Unit, Drawn] = {}
        self._words: tuple[dict[Word, Drawn], dict[Word, Drawn]] = ({}, {})
        self._composed: dict[tuple[int, int], int] = {}
        self._bytes = 0
        self._evictions += 1

    def trim(self) -> None:
        """Empty the store if it has outgrown its bound; patch numbers from before are void then."""
        if self._bytes > self._max_bytes:
            self._forget()
        if len(self._runs) >= _MAX_RUNS:
            self._runs.clear()

    def charge(self, count: int) -> None:
        """Count bytes that others keep for this atlas; they let go of them when it has emptied itself."""
        self._bytes += count

    def stats(self) -> AtlasStats:
        """What is held now."""
        words = len(self._words[0]) + len(self._words[1])
        return AtlasStats(self._count, len(self._units), words, self._bytes, self._max_bytes, self._evictions)

    def words(self, words: Sequence[Word], rtl: bool) -> list[Drawn]:
        """Look words up, and draw the new ones."""
        known = self._words[rtl]
        drawn: list[Drawn] = list(map(known.get, words))  # type: ignore[arg-type]
        if None in drawn:
            for i, word in enumerate(words):
                if drawn[i] is None:
                    drawn[i] = known.get(word) or self._draw_word(word, rtl)
        return drawn

    def pixels(self, ids: np.ndarray, out: np.ndarray) -> None:
        """Copy patches into canvases.

        Args:
            ids: patch numbers [B, P].
            out: uint8 [B, H, H * P] (or [B, H, H * P, C]), written in place.
        """
        # Rows of a patch move as one item; NumPy moves those of 16 bytes fastest as complex numbers.
        size = self._size
        width = self._patches[0, 0].size
        row = np.dtype(np.complex128) if width == 16 else np.dtype((np.void, width))
        patches = self._patches.reshape(-1, size, width).view(row)[..., 0]
        canvas = out.reshape(len(out), size, ids.shape[1] * width).view(row)
        step = max(1, 4096 // ids.shape[1])  # what is gathered stays in the processor's cache
        for i in range(0, len(ids), step):
            part = ids[i : i + step]
            canvas[i : i + step] = patches.take(part, axis=0, mode="clip").transpose(0, 2, 1)

    def compose(self, below: int, above: int) -> int:
        """Number of the patch that two others, drawn over each other, give."""
        key = (below, above) if below < above else (above, below)  # black ink: the order does not matter
        number = self._composed.get(key)
        if number is None:
            number = self._number(times(self._patches[below], self._patches[above]))
            self._composed[key] = number
            self._bytes += _ENTRY_OVERHEAD
        return number

    def look_alike(self, ids: np.ndarray, others: np.ndarray) -> bool:
        """Whether two rows of patch numbers show the same, though their numbers may differ."""
        return len(ids) == len(others) and np.array_equal(self._patches[ids], self._patches[others])

    @property
    def main_face(self) -> FontFace:
        """The font that is asked first."""
        return self._typesetter.main_face

    def units(self, word: Word, rtl: bool) -> Iterator[Unit]:
        """The units of a word, from left to right."""
        return self.strategy.units(word, rtl) if isinstance(word, str) else iter([word])

    def measure(self, word: Word, rtl: bool) -> int:
        """Patches that a word takes, however long it is, without keeping what it looks like."""
        return self._measure_all(self.units(word, rtl))

    def columns(self, units: Iterable[Unit], text: str, rtl: bool) -> np.ndarray:
        """Columns [left, right) of every character that units show, int [n, 2]; (-1, -1) past the canvas.

        The characters of a cluster share its columns, and so do those of a run whose direction is not set.
        One without width at a unit's end is at the last column of it.

        Args:
            units: the first starts at column 0, each next one at a patch border.
            text: what they show.
            rtl: plain strings among them follow one another against the order of the text.
        """
        columns = np.full((len(text), 2), -1)
        pen, place = 0, len(text) if rtl else 0
        for unit in units:
            if pen >= self._max_patches * self._size:
                break
            shown: list[slice] = []
            for run in unit:
                if isinstance(run, str):
                    place -= len(run) * rtl
                    start, length = place, len(run)
                    place += len(run) * (not rtl)
                else:
                    start, length = run.start, len(run.text)
                shown.append(slice(start, start + length))
                if isinstance(run, str) or run.rtl is None:
                    width = self._width(run)
                    columns[shown[-1]] = pen, pen + width
                else:
                    boxes = self._typesetter.boxes(run.text, run.rtl, run.script)
                    width = int(boxes[:, 1].max())
                    np.add(boxes, pen, out=columns[shown[-1]])
                pen += width
            pen = -(-pen // self._size) * self._size
            for part in shown:
                late = columns[part, 0] >= pen
                if late.any():
                    columns[part][late] = max(pen - 1, 0)
        return columns

    def _draw_word(self, word: Word, rtl: bool) -> Drawn:
        units = self.units(word, rtl)
        if len(word) <= _LONG_WORD:
            drawn = self._join([self.unit(unit) for unit in units])
            self._words[rtl][word] = drawn
            self._bytes += len(drawn.ids) + 4 * len(word) + _ENTRY_OVERHEAD
            return drawn
        visible, width = [], 0
        for unit in units:
            visible.append(self.unit(unit))
            width += visible[-1].width
            if width >= self._max_patches:
                break
        drawn = self._join(visible)
        return drawn._replace(width=drawn.width + self._measure_all(units))

    def _join(self, units: list[Drawn]) -> Drawn:
        width = sum(unit.width for unit in units)
        missing = "".join(unit.missing for unit in units)
        if not any(unit.spill for unit in units):
            return Drawn(b"".join(unit.ids for unit in units), width, (), missing)
        cells: dict[int, int] = {}
        start = 0
        for unit in units:
            own = enumerate(memoryview(unit.ids).cast("i"))
            for offset, number in chain(own, unit.spill):
                cell = start + offset
                cells[cell] = self.compose(cells[cell], number) if cell in cells else number
            start += unit.width
        return self._from_cells(cells, width, missing)

    def _from_cells(self, cells: dict[int, int], width: int, missing: str) -> Drawn:
        ids = np.array([cells.pop(cell, WHITE) for cell in range(width)], np.int32)
        return Drawn(ids.tobytes(), width, tuple(sorted(cells.items())), missing)

    def unit(self, unit: Unit) -> Drawn:
        """Look a unit up, or draw it."""
        drawn = self._units.get(unit)
        if drawn is None:
            drawn = self._units[unit] = self._draw_unit(unit)
            self._bytes += len(drawn.ids) + _ENTRY_OVERHEAD
        return drawn

    def _draw_unit(self, unit: Unit) -> Drawn:
        size = self._size
        pen, placed = 0, []
        for ink in chain.from_iterable(map(self.inks, unit)):
            placed.append((pen + ink.left, ink))
            pen += ink.advance
        width = -(-pen // size)
        text = "".join([run if isinstance(run, str) else run.text for run in unit])
        missing = self._missing(text)
        placed = [(left, ink) for left, ink in placed if ink.coverage.any()]
        first = min([0, *(left // size for left, _ in placed)])
        last = max([width, *(-(-(left + ink.coverage.shape[1]) // size) for left, ink in placed)])
        strip = np.full((size, (last - first) * size, *self.patch_shape[2:]), 255, np.uint8)
        right = 0  # nothing is drawn from here on
        for left, ink in placed:
            left -= first * size
            if self.patch_shape[2:]:
                paint(strip, left, ink)
            elif left >= right:
                strip[:, left : left + ink.coverage.shape[1]] -= ink.coverage
            else:
                stamp(strip, left, ink)
            right = max(right, left + ink.coverage.shape[1])
        patches = strip.reshape(size, last - first, *self.patch_shape[1:]).swapaxes(0, 1)
        ids = self._numbers_of(patches, shared=len(text) <= _LONG_WORD)
        spill = [(cell, ids[cell - first]) for cell in (*range(first, 0), *range(width, last))]
        return Drawn(
            np.array(ids[-first : width - first], np.int32).tobytes(),
            width,
            tuple((cell, number) for cell, number in spill if number != WHITE),
            missing,
        )

    def _missing(self, text: str) -> str:
        """Characters of a text that no font has, as often as they stand there."""
        lacking = {char for char in set(text) if not self._typesetter.covers(char)}
        return "".join([char for char in text if char in lacking]) if lacking else ""

    def _measure_all(self, units: Iterable[Unit]) -> int:
        """Patches that units take, without keeping what they look like."""
        known: dict[Unit, int] = {}
        total = 0
        for unit in units:
            width = known.get(unit)
            if width is None:
                width = known[unit] = -(-sum(self._width(run) for run in unit) // self._size)
                if len(known) > _MAX_RUNS:
                    known.clear()
            total += width
        return total

    def _width(self, run: str | Run) -> int:
        """Pixels by which the pen moves; long runs are not drawn for it."""
        if isinstance(run, str) or run.rtl is None:
            return sum(ink.advance for ink in self.inks(run))
        return int(self._typesetter.boxes(run.text, run.rtl, run.script)[:, 1].max())

    def inks(self, run: str | Run) -> list[Ink]:
        """Look a run up, or draw it."""
        inks = self._runs.get(run)
        if inks is None:
            if isinstance(run, str):
                inks = self._runs[run] = self._typesetter.draw(run)
            else:
                inks = self._typesetter.draw(run.text, run.rtl, run.script)
                if run.margin:
                    inks.insert(0, Ink(run.margin, 0, np.zeros((self._size, 0), np.uint8)))
                # Units that are words or lines are kept as patches; what they were made of is not.
                if len(run.text) <= _SHORT_RUN and len(self._runs) < _MAX_RUNS:
                    self._runs[run] = inks
        return inks

    def compose_all(self, below: np.ndarray, above: np.ndarray) -> int:
        """Draw patches over others, pair by pair; returns the number of the first of the new ones."""
        return self.store(times(self._patches[below], self._patches[above]))

    def covers(self, char: str) -> bool:
        """Whether a character comes out without a missing glyph."""
        return self._typesetter.covers(char)

    def font_of(self, char: str) -> FontFile | None:
        """The font that draws a character alone; None if it is drawn as a missing glyph."""
        return self._typesetter.font_of(char)

    def store(self, patches: np.ndarray) -> int:
        """Keep patches [n, H, H, C] as they are, one after another; returns the number of the first."""
        first = self._count
        self._count += len(patches)
        while self._count > len(self._patches):
            self._patches = np.concatenate([self._patches, np.empty_like(self._patches)])
        self._patches[first : self._count] = patches
        self._bytes += patches.size
        return first

    def copy(self, unit: Drawn) -> int:
        """Store the patches of a unit one after another; returns the number of the first."""
        return self.store(self._patches[np.frombuffer(unit.ids, np.int32)])

    def _numbers_of(self, patches: np.ndarray, shared: bool) -> list[int]:
        """Numbers of patches [n, H, H, C]; white ones are not stored.

        Args:
            patches: what a unit is made of.
            shared: find each among those stored before; what is long seldom comes back, and is stored faster.
        """
        if shared:
            return list(map(self._number, patches))
        inked = np.flatnonzero((patches < 255).any(axis=tuple(range(1, patches.ndim))))
        numbers = np.full(len(patches), WHITE)
        numbers[inked] = self.store(patches[inked]) + np.arange(len(inked))
        return numbers.tolist()

    def _number(self, patch: np.ndarray) -> int:
        """Number of a patch [H, H, C], which is stored if it is new."""
        key = patch.tobytes()
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self.store(patch[None])
            self._bytes += _PATCH_OVERHEAD
        return number
