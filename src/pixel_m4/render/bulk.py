"""Whole batches of bigrams laid out by NumPy: no Python step per word or character.

A bigram is a number (two code points), an :class:`IntMap` gives its row in a table of widths, patches and ink
that crosses borders, and cumulated widths give places.  Texts that need more than that are left to
:meth:`Layout.line <pixel_m4.render.layout.Layout.line>`: long ones, which are truncated, and those with
pieces wider than 15 patches or with ink further out than the next patch.

Dimensions: B texts, N code points, Q pieces, P patches, W words.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from .atlas import BLACK, WHITE, Atlas

_SEPARATOR = "\uffff"  # between words of a list, which may hold spaces; not a character
_ALONE = 0x1FFFFF  # stands for the second code point of a piece that has none
_CODE_BITS = 21
# Classes of code points.
_LETTER, _SPACE, _IGNORED, _RTL = range(4)
# What is known of a piece, as bits beside its width (0 to 15 patches).
_WIDTH, _INK_BEFORE, _INK_AFTER, _MISSING, _ODD = 15, 16, 32, 64, 128


def _classes() -> np.ndarray:
    """What layout must know of each code point, uint8 [0x110000]."""
    table = np.zeros(0x110000, np.uint8)
    table[[ord(char) for char in string.punctuation + string.digits]] = _IGNORED
    table[[code for code in range(0x3001) if chr(code).isspace()]] = _SPACE
    for code in chain(range(0x590, 0x900), (0x200F,), range(0xFB1D, 0xFF00), range(0x10800, 0x1F000)):
        if unicodedata.bidirectional(chr(code)) in ("R", "AL"):
            table[code] = _RTL
    return table


class Bulk(NamedTuple):
    """Texts laid out, without those that must be drawn one by one.

    Attributes:
        cells: patch numbers of all texts side by side, int64 [sum of ``totals``].
        totals: text patches of each text, int64 [B]; 0 for those left out.
        starts: first patch of each word, from the start of its text, int64 [all words].
        words: words of each text, int64 [B]; 0 for those left out.
        left_out: numbers of the texts that are left out.
        missing: characters without a glyph, by the number of their text.
    """

    cells: np.ndarray
    totals: np.ndarray
    starts: np.ndarray
    words: np.ndarray
    left_out: list[int]
    missing: dict[int, str]

    @classmethod
    def without(cls, count: int) -> Bulk:
        """All texts left out."""
        nothing = np.zeros(0, np.int64)
        return cls(
            nothing, np.zeros(count, np.int64), nothing, np.zeros(count, np.int64), [*range(count)], {}
        )


class BulkBigrams:
    """Lay out strings, or lists of words, by table look-up.

    Args:
        atlas: draws pieces and composes patches; when it empties itself, so does this table.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self._class_of = _classes()
        self._forget()

    def _forget(self) -> None:
        self._generation = self._atlas.stats().evictions
        self._rows = IntMap()
        self._composed = IntMap()
        # A row a piece: kind (see the bits above); place of its patches in the pool, ink before and after it.
        self._kinds = np.zeros(1024, np.uint8)
        self._table = np.zeros((3, 1024), np.int64)
        self._pool = np.zeros(1024, np.int64)
        self._pooled = 0
        self._missing: dict[int, str] = {}

    def lay_out(self, texts: Sequence[str] | Sequence[Sequence[str]], rtl: bool, limit: int) -> Bulk:
        """Lay out B strings or B lists of words (not both kinds) of at most ``limit`` patches each."""
        if self._generation != self._atlas.stats().evictions:
            self._forget()
        lists = bool(texts) and not isinstance(texts[0], str)
        strings = [_SEPARATOR.join(text) if lists else str(text) for text in texts]
        separator = _SEPARATOR if lists else "\n"
        data = (separator.join(strings) + separator).encode("utf-32-le", "surrogatepass")
        codes = np.frombuffer(data, np.uint32)
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        ends = lengths.cumsum() + np.arange(len(strings))  # places of the separators that end the texts

        # Code points to pieces.
        classes = self._class_of.take(codes)
        drawn = codes != ord(_SEPARATOR) if lists else classes != _SPACE
        places = np.flatnonzero(drawn)
        fresh = np.empty(len(places), bool)  # code points that begin a word
        fresh[:1] = True
        np.not_equal(places[1:], places[:-1] + 1, out=fresh[1:])
        order = np.arange(len(places))
        odd = (order - np.maximum.accumulate(np.where(fresh, order, 0))) & 1
        heads = np.flatnonzero(odd == 0)
        first = places[heads]
        begins = fresh[heads]  # pieces that begin a word
        one = codes[first].astype(np.int64)
        two = np.where(drawn[first + 1], codes[first + 1], _ALONE).astype(np.int64)
        bounds = np.append(0, np.searchsorted(first, ends))  # pieces of text i: bounds[i] up to bounds[i + 1]

        # Right-to-left: swap the characters of a piece, reverse the pieces of a text (of a word in a list).
        reversed_texts = self._directions(len(texts), rtl, classes, ends)
        if reversed_texts.any():
            one, two, begins = _reverse(one, two, begins, bounds, reversed_texts, by_word=lists)

        # Pieces to patches.
        rows = self._look_up(one | two << _CODE_BITS)
        kinds = self._kinds.take(rows)
        totals = _sums(kinds & _WIDTH, bounds)
        out = totals > limit
        if (kinds & _ODD).any():
            out |= _sums(kinds & _ODD, bounds) > 0
        if out.any():
            kept = np.repeat(~out, np.diff(bounds))
            rows, kinds, begins = rows[kept], kinds[kept], begins[kept]
            totals[out] = 0
            bounds = np.append(0, np.where(out, 0, np.diff(bounds)).cumsum())
        width = (kinds & _WIDTH).astype(np.int64)
        cell = width.cumsum() - width
        first_patch, ink_before, ink_after = self._table
        cells = np.repeat(first_patch.take(rows) - cell, width)
        cells += np.arange(len(cells))
        cells = self._pool.take(cells)

        # Ink of a piece lies over what was drawn before it and under what comes after.
        edges = np.append(0, totals.cumsum())
        text = np.repeat(np.arange(len(texts)), np.diff(bounds))
        after = np.flatnonzero(kinds & _INK_AFTER)
        place = cell[after] + width[after]
        inside = place < edges[text[after] + 1]
        self._spill(cells, place[inside], ink_after.take(rows[after[inside]]))
        before = np.flatnonzero(kinds & _INK_BEFORE)
        place = cell[before] - 1
        inside = place >= edges[text[before]]
        self._spill(cells, place[inside], ink_before.take(rows[before[inside]]))

        missing: dict[int, str] = {}
        for piece in np.flatnonzero(kinds & _MISSING).tolist():
            number = int(text[piece])
            missing[number] = missing.get(number, "") + self._missing[int(rows[piece])]
        starts = (cell - edges[text])[begins]
        return Bulk(cells, totals, starts, _sums(begins, bounds), np.flatnonzero(out).tolist(), missing)

    @staticmethod
    def _directions(count: int, rtl: bool, classes: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Whether each text runs right-to-left, bool [B]; the rule of :func:`is_rtl`."""
        found = np.full(count, rtl)
        if not rtl:
            for i in np.unique(np.searchsorted(ends, np.flatnonzero(classes == _RTL))):
                text = classes[ends[i - 1] if i else 0 : ends[i]]
                letters = text[(text == _LETTER) | (text == _RTL)]
                found[i] = (letters[[0, len(letters) // 2, -1]] == _RTL).sum() >= 2
        return found

    def _spill(self, cells: np.ndarray, place: np.ndarray, ink: np.ndarray) -> None:
        """Compose ink with the patches at its places, each of which occurs once."""
        if len(place):
            cells[place] = self._compose(cells[place], ink)

    def _compose(self, below: np.ndarray, above: np.ndarray) -> np.ndarray:
        keys = below << 32 | above
        numbers = self._composed.get(keys)
        missing = np.unique(keys[numbers < 0])
        if len(missing):
            for key in missing.tolist():
                self._composed.put(key, self._atlas.compose(key >> 32, key & 0xFFFFFFFF))
            numbers = self._composed.get(keys)
        return numbers

    def _look_up(self, keys: np.ndarray) -> np.ndarray:
        """Rows of pieces in the table; new pieces are drawn."""
        rows = self._rows.get(keys)
        missing = np.unique(keys[rows < 0])
        if len(missing):
            for key in missing.tolist():
                self._add(key)
            rows = self._rows.get(keys)
        return rows

    def _add(self, key: int) -> None:
        codes = (key & (1 << _CODE_BITS) - 1, key >> _CODE_BITS)
        piece = self._atlas.piece("".join(chr(code) for code in codes if code != _ALONE))
        number = len(self._rows)
        if number == len(self._kinds):
            self._kinds = np.concatenate([self._kinds, np.zeros_like(self._kinds)])
            self._table = np.concatenate([self._table, np.zeros_like(self._table)], axis=1)
        ink = dict(piece.spill)
        before, after = ink.pop(-1, WHITE), ink.pop(piece.width, WHITE)
        kind = min(piece.width, _WIDTH)
        kind |= (
            _INK_BEFORE * (before != WHITE) | _INK_AFTER * (after != WHITE) | _MISSING * bool(piece.missing)
        )
        if ink or piece.width > _WIDTH or (piece.width == 0 and before != after):
            kind |= _ODD
        self._kinds[number] = kind
        self._table[:, number] = self._pooled, before, after
        ids = np.frombuffer(piece.ids, np.int32)
        while self._pooled + len(ids) > len(self._pool):
            self._pool = np.concatenate([self._pool, np.zeros_like(self._pool)])
        self._pool[self._pooled : self._pooled + len(ids)] = ids
        self._pooled += len(ids)
        if piece.missing:
            self._missing[number] = piece.missing
        self._rows.put(key, number)


class IntMap:
    """Non-negative int64 keys to int64 values, looked up by the array (open addressing, linear probing)."""

    _EMPTY = -1

    def __init__(self) -> None:
        self._size = 0
        self._allocate(1 << 12)

    def __len__(self) -> int:
        return self._size

    def _allocate(self, slots: int) -> None:
        self._keys = np.full(slots + 1, self._EMPTY, np.int64)
        self._values = np.full(slots + 1, -1, np.int64)
        self._mask = slots - 1
        self._shift = np.uint64(64 - slots.bit_length() + 1)

    def _slots(self, keys: np.ndarray) -> np.ndarray:
        # Fibonacci hashing: multiply by 2⁶⁴ / φ and take the highest bits.
        return ((keys.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> self._shift).view(np.int64)

    def get(self, keys: np.ndarray) -> np.ndarray:
        """Values of keys, −1 for those that are not there."""
        slots = self._slots(keys)
        found = self._keys.take(slots)
        values = self._values.take(slots)
        open_ = np.flatnonzero((found != keys) & (found != self._EMPTY))
        values[found != keys] = -1
        while len(open_):
            slots[open_] = (slots[open_] + 1) & self._mask
            found = self._keys[slots[open_]]
            hit = found == keys[open_]
            values[open_[hit]] = self._values[slots[open_[hit]]]
            open_ = open_[~hit & (found != self._EMPTY)]
        return values

    def put(self, key: int, value: int) -> None:
        """Add a key that is not there yet."""
        if 3 * self._size > self._mask:
            keys, values = self._keys, self._values
            self._allocate(2 * (self._mask + 1))
            for slot in np.flatnonzero(keys != self._EMPTY):
                self._insert(int(keys[slot]), int(values[slot]))
        self._insert(key, value)
        self._size += 1

    def _insert(self, key: int, value: int) -> None:
        slot = int(self._slots(np.array([key]))[0])
        while self._keys[slot] != self._EMPTY:
            slot = (slot + 1) & self._mask
        self._keys[slot], self._values[slot] = key, value


def _sums(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Sums of the stretches between ``bounds``, int64."""
    return np.diff(np.append(0, values.cumsum(dtype=np.int64))[bounds])


def _reverse(
    one: np.ndarray,
    two: np.ndarray,
    begins: np.ndarray,
    bounds: np.ndarray,
    texts: np.ndarray,
    *,
    by_word: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn the pieces of some texts around, within the text or within each word."""
    turned = np.flatnonzero(np.repeat(texts, np.diff(bounds)))
    swap = turned[two[turned] != _ALONE]
    one[swap], two[swap] = two[swap], one[swap]
    if by_word:
        borders = np.append(np.flatnonzero(begins), len(one))
    else:
        borders = bounds
        # A word now begins where it ended: before the next one, or at the end of the text.
        ends = np.append(begins[1:], True)
        ends[bounds[1:][texts & (bounds[1:] > bounds[:-1])] - 1] = True
        begins[turned] = ends[turned]
    stretch = np.searchsorted(borders, turned, "right") - 1
    source = borders[stretch] + borders[stretch + 1] - 1 - turned
    one[turned], two[turned] = one[source], two[source]
    if not by_word:
        begins[turned] = begins[source]
    return one, two, begins


def to_matrix(cells: np.ndarray, totals: np.ndarray, patches: int) -> np.ndarray:
    """Texts side by side as rows with a black patch after each, intp [B, P]."""
    ids = np.full((len(totals), patches), WHITE, np.intp)
    ids[np.arange(patches) < totals[:, None]] = cells
    ids[np.arange(len(totals)), totals] = BLACK
    return ids


def pad_starts(starts: np.ndarray, words: np.ndarray, totals: np.ndarray, most: int) -> np.ndarray:
    """First patches of words, then the first patch after them, int64 [B, W + 1] padded with -100."""
    padded = np.full((len(words), most + 1), -100, np.int64)
    padded[np.arange(most + 1) < words[:, None]] = starts
    padded[np.arange(len(words)), words] = totals
    return padded
