"""Documents to blocks: cleaning, measuring and filling, many words at a time.

A block is a sequence of texts, each with a black patch after it; its patches are counted as they are drawn.
Words flow on from text to text and from block to block, so that blocks are full and nothing is lost.

Dimensions: U units (words, or parts of long ones) that wait for a block.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np

from pixel_m4.console.errors import UserError
from pixel_m4.corpus.sources import Part, Reader, Source, nulls_of
from pixel_m4.render import TextRenderer
from pixel_m4.render.losses import left_out

_CHUNK = 1 << 15  # characters that are measured at once
_LONG, _UNIT = 24, 8  # longer words may be cut at the end of a block, every so many characters
_BAD_CATEGORIES = ("Cn", "Cs", "Co")
_KEEP, _SPACE, _UNDRAWN = 1, 2, 3  # what becomes of a character; 0: not seen yet


_START: dict[str, Any] = {
    "epoch": 0,
    "position": None,
    "unit": 0,
    "words": False,
    "done": False,
    "dropped": 0,
    "nulls": 0,
}


class Cleaner:
    """Characters that are not assigned, surrogates, for private use, or in no font become spaces.

    Args:
        covers: whether a font has a character.
    """

    def __init__(self, covers: Callable[[str], bool]) -> None:
        self._covers = covers
        self._table = np.zeros(0x110000, np.uint8)  # filled as characters come up

    def __call__(self, text: str) -> str:
        """Replace characters one by one; white space stays as it is."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        kinds = self._table.take(codes)
        if not kinds.all():
            for code in np.unique(codes[kinds == 0]).tolist():
                self._table[code] = self._kind(chr(code))
            kinds = self._table.take(codes)
        bad = kinds >= _SPACE
        if not bad.any():
            return text
        undrawn = codes[kinds == _UNDRAWN]
        if len(undrawn):
            left_out(undrawn.astype("<u4").tobytes().decode("utf-32-le"))
        return np.where(bad, np.uint32(ord(" ")), codes).astype("<u4").tobytes().decode("utf-32-le")

    def _kind(self, char: str) -> int:
        if char.isspace():
            return _KEEP
        if unicodedata.category(char) in _BAD_CATEGORIES:
            return _SPACE
        return _KEEP if self._covers(char) else _UNDRAWN


class Packed(NamedTuple):
    """What goes on one canvas: texts, and the patches that they take with a black one after each."""

    texts: tuple[str, ...]
    num_patches: int


class Packer:
    """Fills blocks with the share of a source that one reader reads.

    A block takes words as long as they fit.  A word of more than 24 characters (a Chinese or Thai sentence)
    may be cut where the block ends, between parts, and goes on in the next one; so may any word that is
    wider than a block.  After one pass over the share either the next begins (``repeat``), or the last block
    is given out, unless it is shorter than ``min_patches``: that is the only text that is ever dropped.

    Args:
        source: the text.
        renderer: measures words, and knows the characters of its fonts.
        share: number of the share.
        shares: how many there are.
        max_seq_length: patches of a block, black ones included.
        min_patches: what the last block must hold.
        repeat: begin again at the end.
        name: of the language, for messages.
        state: what :meth:`state` gave.

    Attributes:
        epoch: passes that are done.
        done: there are no more blocks.
        dropped_patches: of the last block, if it was dropped.

    Raises:
        ValueError: a whole pass gives no text, or one character is wider than a block.
    """

    def __init__(
        self,
        source: Source,
        renderer: TextRenderer,
        clean: Cleaner,
        share: int,
        shares: int,
        *,
        max_seq_length: int,
        min_patches: int,
        repeat: bool,
        name: str,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._source, self._renderer, self._clean = source, renderer, clean
        self._share, self._shares = share, shares
        self._max, self._min = max_seq_length, min_patches
        self._repeat, self._name = repeat, name
        state = state or _START
        self.epoch = int(state["epoch"])
        self.dropped_patches = int(state["dropped"])
        self.done = bool(state["done"])
        self._nulls = int(state["nulls"])  # rows without text of the pass before
        self._some_words = bool(state["words"])  # this pass has given any
        self._cuts_words = renderer.strategy == "bigrams"
        # Units that wait, and where their chunks begin: (epoch, position, words before, units).
        self._units: list[str] = []
        self._widths = np.zeros(0, np.int64)
        self._texts = np.zeros(0, np.int64)  # number of the document of each unit
        self._glued = np.zeros(0, bool)  # units that go on with the word before
        self._chunks: list[tuple[int, dict[str, Any] | None, bool, int]] = []
        self._first = 0  # the next unit
        self._reader: Reader | None = None
        self._parts: Iterator[Part] = iter(())
        self._open(state["position"])
        if not self.done and int(state["unit"]):
            self._read()
            self._first = int(state["unit"])

    def state(self) -> dict[str, Any]:
        """Where the next block begins, as JSON."""
        epoch, position, words, unit = self.epoch, None, self._some_words, 0
        first = self._first
        for epoch_of, position_of, words_of, units in self._chunks:
            if first < units:
                epoch, position, words, unit = epoch_of, position_of, words_of, first
                break
            first -= units
        else:
            if self._reader is not None:
                position = self._reader.position()
        return {
            "epoch": epoch,
            "position": position,
            "unit": unit,
            "words": words,
            "done": self.done,
            "dropped": self.dropped_patches,
            "nulls": self._nulls,
        }

    def next(self) -> Packed | None:
        """The next block, or None at the end."""
        if self.done:
            return None
        while True:
            block = self._cut(at_end=False)
            if block is not None:
                return block
            if not self._read():
                break
        self.done = True
        block = self._cut(at_end=True)
        if block is not None and block.num_patches < self._min:
            self.dropped_patches = block.num_patches
            return None
        return block

    def _open(self, position: Mapping[str, Any] | None) -> None:
        self._reader = self._source.open(self._share, self._shares, position)
        self._parts = iter(self._reader)

    def _read(self) -> bool:
        """Read a chunk; False at the end of the last pass."""
        assert self._reader is not None
        position = self._reader.position()
        parts, count = [], 0
        for part in self._parts:
            parts.append(part)
            count += len(part.text)
            if count >= _CHUNK:
                break
        if not parts:
            if not self._repeat:
                return False
            if not self._some_words:
                where = f"share {self._share + 1} of {self._shares}" if self._shares > 1 else "the corpus"
                raise UserError(
                    f"no text for {self._name}: {where} is empty once it is cleaned"
                    + ("; use fewer ranks or workers, or more documents" if self._shares > 1 else "")
                )
            self.epoch += 1
            self._nulls = nulls_of(self._reader.position())
            self._some_words = False
            self._open(None)
            return True
        words_before = self._some_words
        units, texts, glued = self._divide(parts)
        widths = self._renderer.measure_texts([" ".join(units)])[0]
        units, widths, texts, glued = self._narrow(units, widths, texts, glued)
        self._some_words |= bool(units)
        # Let go of chunks that are used up.
        while self._chunks and self._first >= self._chunks[0][3]:
            used = self._chunks.pop(0)[3]
            self._first -= used
            del self._units[:used]
            self._widths, self._texts, self._glued = (
                array[used:] for array in (self._widths, self._texts, self._glued)
            )
        self._chunks.append((self.epoch, position, words_before, len(units)))
        self._units += units
        self._widths = np.append(self._widths, widths)
        self._texts = np.append(self._texts, texts + (self.epoch << 40))
        self._glued = np.append(self._glued, glued)
        return True

    def _divide(self, parts: Sequence[Part]) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Clean parts and cut them into units."""
        lines = self._clean("\n".join(part.text.replace("\n", " ") for part in parts)).split("\n")
        units: list[str] = []
        counts = []
        glued: list[int] = []
        for line in lines:
            before = len(units)
            words = line.split()
            if self._cuts_words and words and len(max(words, key=len)) > _LONG:
                for word in words:
                    if len(word) > _LONG:
                        cut = [word[i : i + _UNIT] for i in range(0, len(word), _UNIT)]
                        glued += range(len(units) + 1, len(units) + len(cut))
                        units += cut
                    else:
                        units.append(word)
            else:
                units += words
            counts.append(len(units) - before)
        documents = np.fromiter((part.document for part in parts), np.int64, len(parts))
        glue = np.zeros(len(units), bool)
        glue[glued] = True
        return units, np.repeat(documents, counts), glue

    def _narrow(
        self, units: list[str], widths: np.ndarray, texts: np.ndarray, glued: np.ndarray
    ) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
        """Halve units that are wider than a block until they fit."""
        while len(wide := np.flatnonzero(widths > self._max - 1)):
            number = int(wide[0])
            unit = units[number]
            if len(unit) == 1:
                raise UserError(f"{self._name}: {unit!r} is wider than max_seq_length = {self._max} patches")
            half = max(len(unit) // 4 * 2, 1)
            parts = [unit[:half], unit[half:]]
            units[number : number + 1] = parts
            both = [self._renderer.measure_texts([part])[0].sum() for part in parts]
            widths = np.concatenate([widths[:number], both, widths[number + 1 :]])
            texts = np.insert(texts, number, texts[number])
            # Parts of other strategies depend on where a word begins; there, the parts stay words.
            glued = np.insert(glued, number + 1, self._cuts_words and half % 2 == 0)
        return units, widths, texts, glued

    def _cut(self, at_end: bool) -> Packed | None:
        """Take as many units as fit, or none if more could follow (unless this is the end)."""
        first = self._first
        stop = min(first + 4 * self._max, len(self._units))  # more are seldom needed: those without width
        while True:
            costs = self._widths[first:stop].copy()
            changes = np.flatnonzero(self._texts[first + 1 : stop] != self._texts[first : stop - 1]) + 1
            costs[changes] += 1
            costs = costs.cumsum()
            fits = int(np.searchsorted(costs, self._max - 1, "right"))
            if fits < stop - first or stop == len(self._units):
                break
            stop = len(self._units)
        if not fits or (first + fits == len(self._units) and not at_end):
            return None
        self._first = first + fits
        edges = [0, *changes[changes < fits].tolist(), fits]
        texts = tuple(self._join(first + a, first + b) for a, b in pairwise(edges))
        return Packed(texts, int(costs[fits - 1]) + 1)

    def _join(self, start: int, stop: int) -> str:
        units = self._units[start:stop]
        glued = self._glued[start:stop]
        if not glued[1:].any():
            return " ".join(units)
        spaced = (unit if glue else " " + unit for unit, glue in zip(units, glued.tolist(), strict=True))
        return "".join(spaced).removeprefix(" ")


def published_fill(
    documents: Iterator[Sequence[str]],
    renderer: TextRenderer,
    max_seq_length: int = 529,
    min_patches: int = 23,
) -> float:
    """Share of patches that are drawn on in blocks as the published packing makes them.

    It counts a patch for every space, and a block holds lines of one document only.

    Args:
        documents: cleaned lines of each document.
        renderer: measures words.
        max_seq_length: patches of a block.
        min_patches: smaller blocks are dropped.
    """
    drawn = blocks = 0
    while some := list(islice(documents, 1000)):
        widths = iter(renderer.measure_texts([line for document in some for line in document]))
        for document in some:
            real = counted = 0
            for _ in document:
                width = next(widths)
                # A line that is longer than a block is cut at words.
                for word in width.tolist():
                    if counted and counted + word + 1 > max_seq_length - 1:
                        if counted >= min_patches:
                            drawn, blocks = drawn + min(real, max_seq_length), blocks + 1
                        real = counted = 0
                    real, counted = real + word, counted + word + 1
            if counted >= min_patches:
                drawn, blocks = drawn + min(real, max_seq_length), blocks + 1
    return drawn / max(blocks * max_seq_length, 1)
