"""Where continuous text goes: a whole text is one line, as the original PIXEL draws it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

from pixel_m4.render.atlas import Atlas
from pixel_m4.render.bulklines import BulkLines
from pixel_m4.render.itemize import Run, itemize
from pixel_m4.render.layout import Layout, Line, _ltr, _nothing_drawn, _pair
from pixel_m4.render.losses import NOTHING, Cut
from pixel_m4.render.offsets import Place
from pixel_m4.render.parts import PARTS_OF_A_WINDOW, Part, cut_at
from pixel_m4.render.strategies import MARGIN, clusters, is_rtl, line_direction
from pixel_m4.render.texts import Text
from pixel_m4.render.windows import windows

_MARGIN = Run("", margin=MARGIN)
_CHUNK = 4096  # characters that are measured at once


class Typeset(NamedTuple):
    """A line of words.

    Attributes:
        unit: its runs from left to right, margins included.
        lefts: leftmost column of each word.
        pens: width of all that comes before each word in the order of the text, then of all the line.
        columns: [left, right) of every character, int [n, 2].
    """

    unit: tuple[Run, ...]
    lefts: list[int]
    pens: list[int]
    columns: np.ndarray


class ContinuousLayout(Layout):
    """Arrange lines: a string is one, and each of a pair; each word of a list starts a patch.

    ``word_starts`` gives the patch of every word's leftmost column, in the order of the text.  A line that is
    too long is cut between words where the words of other strategies would be.

    Args:
        atlas: draws lines; its patch numbers must stay valid until they are copied.
        max_seq_length: patches of a canvas.
        size: H, pixels of a patch in each direction.
    """

    def __init__(self, atlas: Atlas, max_seq_length: int, size: int) -> None:
        super().__init__(atlas, max_seq_length, bigrams=False)
        self._bulk = BulkLines(atlas, size)
        self._size = size

    def line(self, text: Text, max_length: int | None, rtl: bool, text_a_max_length: int | None) -> Line:
        """Lay out one text or pair; the patch after each text is black."""
        limits = [max_length] if not isinstance(text, tuple) else [text_a_max_length, max_length]
        sentences, rtl = sentences_of(text, rtl)
        parts: list[np.ndarray] = []
        seps: list[int] = []
        word_starts: list[int] = []
        missing = ""
        cut = NOTHING
        for words, limit in zip(sentences, limits, strict=True):
            start = seps[-1] + 1 if seps else 0
            if start == self._max:  # the first text and its black patch fill the canvas
                word_starts = [start - 1]
                seps.append(start - 1)
                cut = cut.plus(_nothing_drawn(words))
                continue
            limit = limit or self._max
            if isinstance(text, str | tuple):
                typeset = self.fit(words, rtl, start, self._end(limit))
                drawn, starts = self._fit([typeset.unit] if words else [], rtl, start, limit)
                word_starts = self._word_starts(typeset, starts)
                cut = cut.plus(self._cut_line(words, typeset, start))
            else:
                drawn, starts = self._fit(word_units(words, rtl), rtl, start, limit)
                word_starts = starts
                cut = cut.plus(self._cut(words, rtl, drawn, starts))
            parts.append(self._join(drawn, starts))
            seps.append(start + len(parts[-1]) - 1)
            missing += "".join(word.missing for word in drawn)
        ids = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return Line(ids, word_starts, seps, missing=missing, cut=cut)

    def overflow(self, line: Line, text: Text, max_length: int | None, rtl: bool, stride: int) -> list[Line]:
        """Windows over the words of a pair's second text that ``line`` does not show in full."""
        if not isinstance(text, tuple):
            raise ValueError("only a pair of texts (a tuple) has overflowing patches")
        (_, words), rtl = sentences_of(text, rtl)
        start = line.sep_patches[0] + 1
        end = self._end(max_length)
        if end <= start:
            raise ValueError("the first text leaves no room for the second one; give text_a_max_length")
        windows([], end - start, stride)  # says what is wrong in patches
        room = max((end - start) * self._size - 2 * MARGIN, 1)
        whole = bisect_right(self.fit(words, rtl, start, end).pens, room) - 1 if words else 0
        parts, widths = self._parts(words, rtl, room)
        first = range(sum(part.word < whole for part in parts))
        lines = []
        for window in windows(widths, room, min(stride * self._size, room - 1), first):
            if window == first:
                continue
            shown = _joined(parts[window.start : window.stop])
            texts = [words[part.word][part.start : part.end] for part in shown]
            typeset = self.fit(texts, rtl, start, self._max, cut=False)
            drawn, starts = self._fit([typeset.unit], rtl, start, self._max)
            ids = np.concatenate([line.ids[:start], self._join(drawn, starts)])
            if not window.start and _ltr(words) and not rtl and self._atlas.look_alike(ids, line.ids):
                continue  # a long word begins as it does there
            word_starts = self._word_starts(typeset, starts)
            cut = any(len(text) < len(words[part.word]) for part, text in zip(shown, texts, strict=True))
            missing = "".join(word.missing for word in drawn)
            seps = [start - 1, len(ids) - 1]
            lines.append(Line(ids, word_starts, seps, shown[0].word, shown if cut else (), missing))
        return lines

    def _parts(self, words: Sequence[str], rtl: bool, room: int) -> tuple[list[Part], list[int]]:
        """The words, those wider than ``room`` pixels in parts that are not, and the width of each."""
        parts: list[Part] = []
        widths: list[int] = []
        for i, (word, width) in enumerate(zip(words, self._widths(words, rtl), strict=True)):
            if width <= room:
                parts.append(Part(i, 0, len(word)))
                widths.append(width)
                continue

            def of_part(start: int, end: int, word: str = word) -> int:
                return self._set(word[start:end], [0], rtl).pens[-1]

            borders = [*(run.start for run in clusters(word)), len(word)]
            for start, end in cut_at(borders, max(room // PARTS_OF_A_WINDOW, 1), of_part):
                bounds = [start, end] if of_part(start, end) <= room else range(start, end + 1)
                for one in pairwise(bounds):
                    parts.append(Part(i, *one))
                    widths.append(of_part(*one))
            widths[-1] += self._set("x ", [0], rtl).pens[-1] - self._set("x", [0], rtl).pens[-1]
        return parts, widths

    def places(
        self, text: Text, line: Line, max_length: int | None, rtl: bool, text_a_max_length: int | None
    ) -> list[list[Place]]:
        """Where the words of a text, or of both of a pair, stand on a line laid out with the same options."""
        limits = [max_length] if not isinstance(text, tuple) else [text_a_max_length, max_length]
        sentences, rtl = sentences_of(text, rtl)
        found: list[list[Place]] = []
        start = 0
        for words, limit, end in zip(sentences, limits, line.sep_patches, strict=True):
            if not isinstance(text, str | tuple):
                found.append(self._places_of_list(words, rtl, end))
                continue
            first = line.first_word if len(found) == len(sentences) - 1 else 0
            chars = [0] * (len(words) + 1)
            numbers = [*range(first, first + len(words))]
            if line.parts and len(found) == len(sentences) - 1:
                words = [words[part.word][part.start : part.end] for part in line.parts]
                numbers = [part.word for part in line.parts]
                chars = [part.start for part in line.parts]
                typeset = self.fit(words, rtl, start, self._max, cut=False)
            elif first:
                words = words[first : first + len(line.word_starts) - 1]
                typeset = self.fit(words, rtl, start, self._max, cut=False)
            else:
                typeset = self.fit(words, rtl, start, self._end(limit))
            bounds = list(accumulate((len(word) + 1 for word in words), initial=0))
            count = len(typeset.lefts) if words else 0
            found.append(
                [
                    Place(numbers[i], start, typeset.columns[bounds[i] : bounds[i + 1]], chars[i])
                    for i in range(count)
                ]
            )
            start = end + 1
        return found

    def _places_of_list(self, words: Sequence[str], rtl: bool, end: int) -> list[Place]:
        places: list[Place] = []
        start = 0
        for i, unit in enumerate(word_units(words, rtl)):
            if start >= end:
                break
            columns = self._atlas.columns([unit], words[i] + " " * (i < len(words) - 1), rtl)
            places.append(Place(i, start, columns))
            start += self._atlas.words([unit], rtl)[0].width
        return places

    def fit(self, words: Sequence[str], rtl: bool, start: int, limit: int, cut: bool = True) -> Typeset:
        """Set as many of the words as may be drawn from patch ``start``.

        Args:
            words: the words of a line.
            rtl: whether the line is known to run right-to-left; if not, its first strong character says.
            start: first patch of the line.
            limit: patches after which no word begins.
            cut: leave out words beyond; else they are only not measured.
        """
        if not words:
            return Typeset((), [], [0], np.zeros((0, 2), int))
        joined = " ".join(words)
        bounds = list(accumulate((len(word) + 1 for word in words), initial=0))
        # A character is seldom narrower than a pixel: that many are tried first, then twice as many.
        length = max((max(limit, self._max) - start) * self._size, 1)
        while True:
            typeset = self._set(joined[:length], bounds, rtl)
            places = [-(-(MARGIN + pen) // self._size) + start for pen in typeset.pens]
            places[0], places[-1] = start, -(-(2 * MARGIN + typeset.pens[-1]) // self._size) + start
            if places[-1] > limit or length >= len(joined):
                break
            length *= 2
        if places[-1] > limit and cut:
            # As for words that start a patch: one more is left out than must be.
            last = max(bisect_right(places, limit, hi=len(places) - 1) - 2, 0)
            typeset = self._set(joined[: min(bounds[last + 1] - 1, length)], bounds, rtl)
        return typeset

    def _cut_line(self, words: Sequence[str], typeset: Typeset, start: int) -> Cut:
        """What of the words of a line is not drawn."""
        total = sum(map(len, words))
        lefts = typeset.columns[:, 0]
        inside = (lefts >= 0) & (lefts < (self._max - 1 - start) * self._size)
        if len(inside) == total + max(len(words) - 1, 0) and inside.all():
            return NOTHING
        bounds = accumulate((len(word) + 1 for word in words), initial=0)
        drawn = shown = 0
        for word, bound in zip(words, bounds, strict=False):
            if bound >= len(inside):
                break
            seen = int(inside[bound : bound + len(word)].sum())
            shown += seen
            drawn += seen > 0
        if shown == total:
            return NOTHING
        return Cut(1, len(words) - drawn, total - shown, len(words), total)

    def _end(self, limit: int | None) -> int:
        """Where a line must end: before the last patch, whose black would hide what is on the right."""
        return min(limit or self._max, self._max - 1)

    def _set(self, text: str, bounds: Sequence[int], rtl: bool) -> Typeset:
        """Typeset a text whose words start at ``bounds``, as far as it goes."""
        unit = (_MARGIN, *itemize(text, rtl or None), _MARGIN)
        boxes = self._atlas.columns([unit], text, rtl)
        # Characters of one cluster share their columns, which are to be counted once.
        wide = boxes[:, 1] - boxes[:, 0]
        wide[1:][(boxes[1:] == boxes[:-1]).all(1)] = 0
        pens = np.cumsum(wide, dtype=int)
        starts = [bound for bound in bounds if bound < len(text)] or [0]
        ends = [*starts[1:], len(text) + 1]
        borders = [border for first, last in zip(starts, ends, strict=True) for border in (first, last - 1)]
        lefts = np.minimum.reduceat(np.append(boxes[:, 0], 0), borders)[::2].tolist()
        before = [0, *pens.tolist()]
        return Typeset(unit, lefts, [*(before[place] for place in starts), before[-1]], boxes)

    def _word_starts(self, typeset: Typeset, starts: list[int]) -> list[int]:
        if len(starts) == 1:  # no words
            return starts
        first, last = starts
        return [min(first + left // self._size, max(last - 1, first)) for left in typeset.lefts] + [last]

    def _widths(self, words: Sequence[str], rtl: bool) -> list[int]:
        """Width of every word and the space after it, in pixels."""
        widths: list[int] = []
        first, length = 0, 0
        for i, word in enumerate(words):
            length += len(word) + 1
            if length >= _CHUNK or i == len(words) - 1:
                chunk = words[first : i + 1]
                bounds = list(accumulate((len(word) + 1 for word in chunk), initial=0))[:-1]
                pens = self._set(" ".join(chunk) + " ", bounds, rtl).pens
                widths += [right - left for left, right in pairwise(pens)]
                first, length = i + 1, 0
        return widths


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Neighbouring parts of one word as one."""
    joined: list[Part] = []
    for part in parts:
        if joined and joined[-1].word == part.word:
            joined[-1] = joined[-1]._replace(end=part.end)
        else:
            joined.append(part)
    return joined


def sentences_of(text: Text, rtl: bool) -> tuple[list[Sequence[str]], bool]:
    """Words in the order of the text, of one text or of both of a pair, and whether it runs right-to-left."""
    if isinstance(text, tuple):
        first, second, rtl = _pair(text, rtl)
        return [first[::-1], second[::-1]] if rtl else [first, second], rtl
    if isinstance(text, str):
        return [text.split()], rtl or is_rtl(text)
    return [text], rtl or is_rtl(" ".join(text))


def word_units(words: Sequence[str], rtl: bool) -> list[tuple[Run, ...]]:
    """The words of a list, each a unit with the space after it, as published continuous models saw them."""
    units = []
    for i, word in enumerate(words):
        last = i == len(words) - 1
        runs = itemize(word if last else word + " ", line_direction(word, rtl))
        units.append((_MARGIN,) * (i == 0) + runs + (_MARGIN,) * last)
    return units
