"""Where words go: direction, truncation, pairs, overflow; texts to patch numbers.

Dimensions: B texts, P patches, W words.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np

from pixel_m4.render.atlas import BLACK, WHITE, Atlas, Drawn, Word
from pixel_m4.render.bulk import Bulk, BulkBigrams, pad_starts, to_matrix
from pixel_m4.render.bulklines import BulkLines
from pixel_m4.render.itemize import RTL_BLOCKS
from pixel_m4.render.losses import NOTHING, Cut
from pixel_m4.render.offsets import Place
from pixel_m4.render.parts import Part, cut_word
from pixel_m4.render.strategies import is_rtl
from pixel_m4.render.texts import Text
from pixel_m4.render.windows import windows

_NO_WORD = Drawn(b"", 0, (), "")


class Line(NamedTuple):
    """A text laid out.

    Attributes:
        ids: patch numbers, int32 [text patches + 1], black patches included.
        word_starts: as in :class:`Encoding`.
        sep_patches: as in :class:`Encoding`.
        first_word: as in :class:`Encoding`.
        parts: as in :class:`Encoding`.
        missing: characters that no font has, as often as they are drawn.
        cut: what does not fit.
    """

    ids: np.ndarray
    word_starts: list[int]
    sep_patches: list[int]
    first_word: int = 0
    parts: Sequence[Part] = ()
    missing: str = ""
    cut: Cut = NOTHING


class Block(NamedTuple):
    """Many texts laid out.

    Attributes:
        ids: patch numbers, intp [B, P].
        num_text_patches: int64 [B].
        word_starts: int64 [B, W + 1], padded with -100.
        missing: characters that no font has, as often as they are drawn.
        cut: what does not fit.
    """

    ids: np.ndarray
    num_text_patches: np.ndarray
    word_starts: np.ndarray
    missing: str
    cut: Cut


class Layout:
    """Arrange the words that an atlas draws.

    Args:
        atlas: draws words; its patch numbers must stay valid until they are copied.
        max_seq_length: patches of a canvas.
        bigrams: the atlas cuts words into pairs of code points, so that batches can be laid out in bulk.
    """

    def __init__(self, atlas: Atlas, max_seq_length: int, *, bigrams: bool) -> None:
        self._atlas = atlas
        self._max = max_seq_length
        self._bulk: BulkBigrams | BulkLines | None = BulkBigrams(atlas) if bigrams else None

    def line(self, text: Text, max_length: int | None, rtl: bool, text_a_max_length: int | None) -> Line:
        """Lay out one text or pair; the patch after each text is black."""
        if isinstance(text, tuple):
            first, second, rtl = _pair(text, rtl)
            texts: list[tuple[Sequence[str], int | None]]
            texts = [(first, text_a_max_length), (second, max_length)]
        else:
            words, rtl = _words(text, rtl)
            texts = [(words, max_length)]
        parts: list[np.ndarray] = []
        starts: list[int] = []
        seps: list[int] = []
        missing = ""
        cut = NOTHING
        for words, limit in texts:
            start = seps[-1] + 1 if seps else 0
            if start == self._max:  # the first text and its black patch fill the canvas
                starts = [start - 1]
                seps.append(start - 1)
                cut = cut.plus(_nothing_drawn(words))
                continue
            drawn, starts = self._fit(words, rtl, start, limit or self._max)
            parts.append(self._join(drawn, starts))
            seps.append(starts[0] + len(parts[-1]) - 1)
            missing += "".join(word.missing for word in drawn)
            cut = cut.plus(self._cut(words, rtl, drawn, starts))
        ids = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return Line(ids, starts, seps, missing=missing, cut=cut)

    def overflow(self, line: Line, text: Text, max_length: int | None, rtl: bool, stride: int) -> list[Line]:
        """Windows over the words of a pair's second text that ``line`` does not show in full."""
        if not isinstance(text, tuple):
            raise ValueError("only a pair of texts (a tuple) has overflowing patches")
        _, second, rtl = _pair(text, rtl)
        start = line.sep_patches[0] + 1
        end = min(max_length or self._max, self._max - 1)
        if end <= start:
            raise ValueError("the first text leaves no room for the second one; give text_a_max_length")
        room = end - start
        counts = [word.width for word in self._atlas.words(second, rtl)]
        # A word that would begin in the last patch is not drawn at all.
        whole = min(bisect_right(line.word_starts, end) - 1, bisect_left(line.word_starts, end), len(second))
        # Words wider than a window are cut into parts, each drawn as a word of its own.
        parts: list[Part] = []
        for i, word in enumerate(second):
            if counts[i] <= room:
                parts.append(Part(i, 0, len(word)))
            else:
                parts += [Part(i, *bounds) for bounds in cut_word(word, rtl, room, self._atlas)]
        first = range(sum(part.word < whole for part in parts))
        drawn = self._atlas.words([second[part.word][part.start : part.end] for part in parts], rtl)
        lines = []
        for window in windows([word.width for word in drawn], room, stride, first=first):
            if window == first:
                continue
            shown, seen = drawn[window.start : window.stop], parts[window.start : window.stop]
            starts = list(accumulate([word.width for word in shown], initial=start))
            ids = np.concatenate([line.ids[:start], self._join(shown, starts)])
            if not window.start and _ltr(second) and not rtl and self._atlas.look_alike(ids, line.ids):
                continue  # a long word begins as it does there
            lines.append(
                Line(
                    ids,
                    # One start for all parts of a word.
                    [s for i, s in enumerate(starts[:-1]) if not i or seen[i].word != seen[i - 1].word]
                    + starts[-1:],
                    [start - 1, len(ids) - 1],
                    seen[0].word if seen else 0,
                    seen if any(part.end - part.start < len(second[part.word]) for part in seen) else (),
                    "".join(word.missing for word in shown),
                )
            )
        return lines

    def places(
        self, text: Text, line: Line, max_length: int | None, rtl: bool, text_a_max_length: int | None
    ) -> list[list[Place]]:
        """Where the words of a text, or of both of a pair, stand on a line laid out with the same options."""
        texts: list[Sequence[str]]
        if isinstance(text, tuple):
            *texts, rtl = _pair(text, rtl)
        else:
            words, rtl = _words(text, rtl)
            texts = [words]
        turned = rtl and isinstance(text, str | tuple)
        found: list[list[Place]] = []
        start = 0
        for words, end in zip(texts, line.sep_patches, strict=True):
            places = []
            shown: Iterable[Part] = (Part(i, 0, len(word)) for i, word in enumerate(words))
            if len(found) == len(texts) - 1:
                shown = line.parts or islice(shown, line.first_word, None)
            for i, first, last in shown:
                if start >= end:
                    break
                part = words[i][first:last]
                columns = self._atlas.columns(self._atlas.units(part, rtl), part, rtl)
                width = self._atlas.words([part], rtl)[0].width
                word = len(words) - 1 - i if turned else i
                places.append(Place(word, start, columns if width else columns[:0], first))
                start += width
            found.append(places)
            start = end + 1
        return found

    def block(
        self,
        texts: Sequence[Text],
        max_length: int | None,
        rtl: bool,
        text_a_max_length: int | None,
        patches: int | None,
    ) -> Block:
        """Lay out many texts: those that fit all at once, pairs and long ones by :meth:`line`.

        Args:
            texts: B of them.
            max_length: as for :meth:`line`.
            rtl: as for :meth:`line`.
            text_a_max_length: as for :meth:`line`.
            patches: P; default the longest text and its black patch.
        """
        limit = min(max_length or self._max, self._max - 1)
        kinds = {str if isinstance(text, str) else type(text) for text in texts}
        if self._bulk is not None and len(kinds) == 1 and kinds != {tuple}:
            bulk = self._bulk.lay_out(texts, rtl, limit)
        else:
            bulk = Bulk.without(len(texts))
        lines = {i: self.line(texts[i], max_length, rtl, text_a_max_length) for i in bulk.left_out}
        totals = bulk.totals.copy()
        for number, line in lines.items():
            totals[number] = len(line.ids) - 1
        if patches is None:
            patches = int(totals.max(initial=0)) + 1
        ids = to_matrix(bulk.cells, bulk.totals, patches)
        most = max([int(bulk.words.max(initial=0)), *(len(line.word_starts) - 1 for line in lines.values())])
        word_starts = pad_starts(bulk.starts, bulk.words, bulk.totals, most)
        for number, line in lines.items():
            ids[number, : len(line.ids)] = line.ids
            word_starts[number, : len(line.word_starts)] = line.word_starts
        missing = "".join([*bulk.missing.values(), *(line.missing for line in lines.values())])
        cut = NOTHING
        for line in lines.values():
            cut = cut.plus(line.cut)
        return Block(ids, totals, word_starts, missing, cut)

    def widths(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Patches of every word of each text."""
        if isinstance(self._bulk, BulkBigrams):
            widths, counts = self._bulk.widths(texts)
            return np.split(widths, counts.cumsum()[:-1])
        words = [text.split() for text in texts]
        return [np.array([word.width for word in self._atlas.words(part, False)], np.int64) for part in words]

    def _fit(self, words: Sequence[Word], rtl: bool, start: int, limit: int) -> tuple[list[Drawn], list[int]]:
        """Choose the words that are drawn from patch ``start``, and the patches they start at."""
        drawn: list[Drawn] = []
        starts = [start]
        step = limit + 1  # no need to draw a book in order to see that it is too long
        for first in range(0, len(words), step):
            drawn += self._atlas.words(words[first : first + step], rtl)
            starts = list(accumulate([word.width for word in drawn], initial=start))
            if starts[-1] > limit:
                # Kept: the published renderer goes back one word more than it must.
                last = max(bisect_right(starts, limit, hi=len(drawn)) - 2, 0)
                del drawn[last + 1 :], starts[last + 2 :]
                break
        if drawn and starts[-2] == self._max - 1:  # kept: there is no room but for the black patch
            drawn[-1] = _NO_WORD
            starts[-1] = starts[-2]
        return drawn, starts

    def _cut(self, words: Sequence[str], rtl: bool, drawn: list[Drawn], starts: list[int]) -> Cut:
        """What of the words of a text is not drawn."""
        end = self._max - 1
        if len(drawn) == len(words) and starts[-1] <= end and not (drawn and drawn[-1] is _NO_WORD):
            return NOTHING
        whole = bisect_left(starts, end, hi=len(drawn))
        lost = sum(map(len, words[whole:]))
        if whole and starts[whole] > end:
            word = words[whole - 1]
            columns = self._atlas.columns(self._atlas.units(word, rtl), word, rtl)
            room = (end - starts[whole - 1]) * self._atlas.patch_shape[1]
            lost += int(((columns[:, 0] < 0) | (columns[:, 0] >= room)).sum())
        if not lost:
            return NOTHING
        return Cut(1, len(words) - whole, lost, len(words), sum(map(len, words)))

    def _join(self, drawn: list[Drawn], starts: list[int]) -> np.ndarray:
        """Patch numbers of words side by side and the black patch after them, int32 [patches]."""
        start = starts[0]
        end = min(starts[-1], self._max - 1) - start
        # Words past the canvas hold fewer patches than they take: the last one only.
        ids = np.frombuffer(bytearray().join([word.ids for word in drawn]), np.int32)[:end]
        ids = np.append(ids, np.int32(BLACK))
        for word, word_start in zip(drawn, starts, strict=False):
            for offset, number in word.spill:
                cell = word_start - start + offset
                if 0 <= cell < end:
                    ids[cell] = self._atlas.compose(int(ids[cell]), number)
        return ids


def stack(rows: Sequence[np.ndarray], patches: int) -> np.ndarray:
    """Rows of patch numbers on white canvases, intp [B, P]."""
    ids = np.full((len(rows), patches), WHITE, np.intp)
    for target, row in zip(ids, rows, strict=True):
        target[: len(row)] = row
    return ids


def _words(text: str | Sequence[str], rtl: bool) -> tuple[Sequence[str], bool]:
    """The words in the order in which they are drawn, and whether they run right-to-left."""
    if isinstance(text, str):
        words = text.split()
        if rtl or is_rtl(text):
            words.reverse()
            return words, True
        return words, False
    # Kept: given words are not reversed even in right-to-left text; published weights saw them so.
    return text, rtl or is_rtl(" ".join(text))


def _pair(text: tuple[str, ...], rtl: bool) -> tuple[list[str], list[str], bool]:
    """The words of both texts of a pair; they run right-to-left only if both do."""
    rtl = rtl or (is_rtl(text[0]) and is_rtl(text[1]))
    first, second = (part.split()[::-1] if rtl else part.split() for part in text)
    return first, second, rtl


def _ltr(words: Sequence[str]) -> bool:
    """Whether all letters run left-to-right, so that the left of a word on a canvas is its beginning."""
    return not RTL_BLOCKS.search(" ".join(words))


def _nothing_drawn(words: Sequence[str]) -> Cut:
    """The loss of a text for which there is no room."""
    characters = sum(map(len, words))
    return Cut(1, len(words), characters, len(words), characters) if characters else NOTHING
