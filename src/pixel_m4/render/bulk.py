"""Whole batches of bigrams laid out by NumPy: no Python step per word or character.

A bigram is a number (two code points) and has a row in a table of widths, patches and ink that crosses
borders; cumulated widths give places.  Texts that need more than that are left to
:meth:`Layout.line <pixel_m4.render.layout.Layout.line>`: long ones, which are truncated, and those with
units wider than 15 patches or with ink further out than the next patch.

Dimensions: B texts, N code points, Q units, P patches, W words.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from pixel_m4.render.atlas import BLACK, WHITE, Atlas
from pixel_m4.render.bigrams import ALONE, CODE_BITS, INK_AFTER, INK_BEFORE, MISSING, ODD, WIDTH, BigramTable
from pixel_m4.render.intmap import IntMap

_SEPARATOR = "\uffff"  # between words of a list, which may hold spaces; not a character
# Classes of code points.
_LETTER, _SPACE, _IGNORED, _RTL = range(4)


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
        atlas: draws units and composes patches; when it empties itself, so does this table.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self._class_of: np.ndarray | None = None  # made when first needed
        self._forget()

    def _forget(self) -> None:
        self._generation = self._atlas.stats().evictions
        self._table = BigramTable(self._atlas)
        self._composed = IntMap()

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

        # Code points to units.
        if self._class_of is None:
            self._class_of = _classes()
        classes = self._class_of.take(codes)
        if lists:
            drawn = codes != ord(_SEPARATOR)
            classes[~drawn] = _SPACE
        else:
            drawn = classes != _SPACE
        one, two, begins, first = _bigrams(codes, drawn)
        bounds = np.append(0, np.searchsorted(first, ends))  # units of text i: bounds[i] up to bounds[i + 1]

        # Right-to-left: swap the characters of a unit, reverse the units of a text (of a word in a list).
        reversed_texts = self._directions(len(texts), rtl, classes, ends)
        if reversed_texts.any():
            one, two, begins = _reverse(one, two, begins, bounds, reversed_texts, by_word=lists)

        # Units to patches.
        table = self._table
        rows = table.rows(one | two << CODE_BITS)
        kinds = table.kinds.take(rows)
        totals = _sums(kinds & WIDTH, bounds)
        out = totals > limit
        if lists:
            # An empty word has a start, too, and no unit to tell it by; a word may hold the separator.
            out |= np.fromiter(("" in text for text in texts), bool, len(texts))
            found = np.diff(np.searchsorted(np.flatnonzero(~drawn), ends, "right"), prepend=0)
            out |= found != np.fromiter((max(len(text), 1) for text in texts), np.int64, len(texts))
        if (kinds & ODD).any():
            out |= _sums(kinds & ODD, bounds) > 0
        if out.any():
            kept = np.repeat(~out, np.diff(bounds))
            rows, kinds, begins = rows[kept], kinds[kept], begins[kept]
            totals[out] = 0
            bounds = np.append(0, np.where(out, 0, np.diff(bounds)).cumsum())
        width = (kinds & WIDTH).astype(np.int64)
        cell = width.cumsum() - width
        first_patch, ink_before, ink_after = table.patches
        cells = np.repeat(first_patch.take(rows) - cell, width)
        cells += np.arange(len(cells))

        # Ink of a unit lies over what was drawn before it and under what comes after.
        edges = np.append(0, totals.cumsum())
        text = np.repeat(np.arange(len(texts)), np.diff(bounds))
        after = np.flatnonzero(kinds & INK_AFTER)
        place = cell[after] + width[after]
        inside = place < edges[text[after] + 1]
        self._spill(cells, place[inside], ink_after.take(rows[after[inside]]))
        before = np.flatnonzero(kinds & INK_BEFORE)
        place = cell[before] - 1
        inside = place >= edges[text[before]]
        self._spill(cells, place[inside], ink_before.take(rows[before[inside]]))

        missing: dict[int, str] = {}
        for unit in np.flatnonzero(kinds & MISSING).tolist():
            number = int(text[unit])
            missing[number] = missing.get(number, "") + table.missing[int(rows[unit])]
        starts = (cell - edges[text])[begins]
        return Bulk(cells, totals, starts, _sums(begins, bounds), np.flatnonzero(out).tolist(), missing)

    def widths(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Patches of every word of B strings, int64 [all words], and the words of each string, int64 [B].

        A bigram is as wide as its characters together, in either direction, so directions do not matter.
        """
        if self._generation != self._atlas.stats().evictions:
            self._forget()
        codes = np.frombuffer(("\n".join(texts) + "\n").encode("utf-32-le", "surrogatepass"), np.uint32)
        if self._class_of is None:
            self._class_of = _classes()
        one, two, begins, first = _bigrams(codes, self._class_of.take(codes) != _SPACE)
        rows = self._table.rows(one | two << CODE_BITS)
        width = (self._table.kinds.take(rows) & WIDTH).astype(np.int64)
        for unit in np.flatnonzero(width == WIDTH).tolist():  # as wide as the table can tell, or wider
            pair = (one[unit], two[unit])
            width[unit] = self._atlas.unit("".join(chr(code) for code in pair if code != ALONE)).width
        borders = np.append(np.flatnonzero(begins), len(begins))
        ends = np.fromiter(map(len, texts), np.int64, len(texts)).cumsum() + np.arange(len(texts))
        counts = np.diff(np.searchsorted(first[begins], ends), prepend=0)
        return _sums(width, borders), counts

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
            first = self._atlas.compose_all(missing >> 32, missing & 0xFFFFFFFF)
            self._composed.put(missing, first + np.arange(len(missing)))
            numbers = self._composed.get(keys)
        return numbers


def _bigrams(codes: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cut code points into units: both characters, whether a word begins, and the place of the first."""
    places = np.flatnonzero(drawn)
    fresh = np.empty(len(places), bool)  # code points that begin a word
    fresh[:1] = True
    np.not_equal(places[1:], places[:-1] + 1, out=fresh[1:])
    order = np.arange(len(places))
    odd = (order - np.maximum.accumulate(np.where(fresh, order, 0))) & 1
    heads = np.flatnonzero(odd == 0)
    first = places[heads]
    one = codes[first].astype(np.int64)
    two = np.where(drawn[first + 1], codes[first + 1], ALONE).astype(np.int64)
    return one, two, fresh[heads], first


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
    """Turn the units of some texts around, within the text or within each word."""
    turned = np.flatnonzero(np.repeat(texts, np.diff(bounds)))
    swap = turned[two[turned] != ALONE]
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
