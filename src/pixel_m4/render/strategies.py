"""Text → words → units, and the direction of a text.

A *word* starts a new patch.  It is cut into *units*, each of which starts a new patch, too.  A unit is a
sequence of *runs*, each shaped and drawn alone: a plain string is a sequence of one-character runs.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Protocol

import regex

from pixel_m4.render.itemize import RTL_BLOCKS, Run, itemize

Unit = Sequence[str | Run]

_IGNORED = re.compile(rf"[\s{re.escape(string.punctuation + string.digits)}]+")

# Extended grapheme clusters; a pile of marks is cut, so that a run stays bounded.
_MAX_CLUSTER = 64
_CLUSTER = regex.compile(r"\X")
_FLAGS = regex.compile(rf"\p{{Regional_Indicator}}{{{_MAX_CLUSTER}}}(?=\p{{Regional_Indicator}})")
# Characters that fill a patch each, their punctuation and marks of length and repetition.
_SQUARE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}\u3000-\u303f\u30fc\uff70]")
_JOINED = regex.compile(r"[\p{Arabic}\p{Hebrew}]")
# Longer words are shaped in parts.  No canvas shows that much, but for characters without width.
_MAX_WORD = 4096
# Kept: published continuous models saw two white pixels before and after a text.
MARGIN = 2


class Strategy(Protocol):
    """How words become units; an instance must be cheap to make and to pickle."""

    name: str

    def turned(self, word: str, rtl: bool) -> bool:
        """Whether a word of a text is drawn from its end on, ``rtl`` being the direction of the text."""

    def units(self, word: str, rtl: bool) -> Iterator[Unit]:
        """Yield the units of a word in the order in which they are drawn, left to right.

        Runs tell where in the word they start; plain strings follow one another in the order of the word, or
        against it if ``rtl``.
        """


class Bigrams:
    """Two code points a unit (Lotz et al. 2023), the rendering of PIXEL-M4."""

    name = "bigrams"

    def turned(self, word: str, rtl: bool) -> bool:
        """As the text is."""
        return rtl

    def units(self, word: str, rtl: bool) -> Iterator[str]:
        """Yield strings of two code points; the last one of the word may hold one."""
        if not rtl:
            return (word[i : i + 2] for i in range(0, len(word), 2))
        first = len(word) - 2 + len(word) % 2
        return (word[i : i + 2][::-1] for i in range(first, -1, -2))


class Words:
    """A word a unit, shaped as a whole: letters join, and each script runs in its own direction."""

    name = "words"

    def turned(self, word: str, rtl: bool) -> bool:
        """As its first strong character says."""
        return line_direction(word, rtl)

    def units(self, word: str, rtl: bool) -> Iterator[Unit]:
        """Yield the word's runs in one unit, from left to right."""
        rtl = self.turned(word, rtl)
        starts = range(0, len(word), _MAX_WORD)
        for i in reversed(starts) if rtl else starts:
            yield itemize(word[i : i + _MAX_WORD], rtl, i)


class Graphemes:
    """Two extended grapheme clusters a unit, each shaped alone: marks stay with their letters."""

    name = "graphemes"

    def turned(self, word: str, rtl: bool) -> bool:
        """As the text is."""
        return rtl

    def units(self, word: str, rtl: bool) -> Iterator[Unit]:
        """Yield pairs of clusters; the last one of the word may be alone."""
        units = _pairs(clusters(word))
        return (unit[::-1] for unit in reversed(list(units))) if rtl else units


class Adaptive:
    """What suits each script (MPIXEL, 2026): see :meth:`units`."""

    name = "adaptive"

    def turned(self, word: str, rtl: bool) -> bool:
        """A word without right-to-left letters (a number, a Latin name, an emoji) is not."""
        if _JOINED.search(word):
            return Words().turned(word, rtl)
        return rtl and RTL_BLOCKS.search(word) is not None

    def units(self, word: str, rtl: bool) -> Iterator[Unit]:
        """Yield an Arabic or Hebrew word as a whole, Han, Kana and Hangul one cluster a unit, else two."""
        if _JOINED.search(word):
            return Words().units(word, rtl)
        units = _pairs(clusters(word), alone=_SQUARE)
        return (unit[::-1] for unit in reversed(list(units))) if self.turned(word, rtl) else units


class Continuous:
    """A whole text a unit, shaped as one line (Rust et al. 2023), the rendering of PIXEL.

    A string, or each of a pair, is one line, spaces included.  The words of a list start a patch each, with a
    space shaped after all but the last.  :class:`~pixel_m4.render.lines.ContinuousLayout` arranges both.
    """

    name = "continuous"

    def turned(self, word: str, rtl: bool) -> bool:
        """As its first strong character says."""
        return line_direction(word, rtl)

    def units(self, word: str, rtl: bool) -> Iterator[Unit]:
        """Yield the runs of a line without its margins, in one unit, from left to right."""
        return Words().units(word, rtl)


STRATEGIES: dict[str, type[Strategy]] = {
    strategy.name: strategy for strategy in (Bigrams, Words, Graphemes, Adaptive, Continuous)
}


def clusters(word: str) -> Iterator[Run]:
    """The extended grapheme clusters of a word, piles of marks in parts."""
    first = 0
    for last in [*_flag_borders(word), len(word)]:
        for match in _CLUSTER.finditer(word[first:last]):
            end = first + match.end()
            for start in range(first + match.start(), end, _MAX_CLUSTER):
                yield Run(word[start : min(start + _MAX_CLUSTER, end)], start)
        first = last


def _flag_borders(word: str) -> list[int]:
    """Borders of clusters in long rows of flag letters.

    Flags are pairs of such letters, counted from the beginning of the row. At each cluster ``\\X`` counts
    from there again, which takes quadratic time.
    """
    return [match.end() for match in _FLAGS.finditer(word)] if len(word) > _MAX_CLUSTER else []


def _pairs(runs: Iterator[Run], alone: regex.Pattern[str] | None = None) -> Iterator[tuple[Run, ...]]:
    """Two runs a unit, but those that begin with a character of ``alone``."""
    if alone is None:
        return (pair if pair[1] else pair[:1] for pair in zip_longest(runs, runs))
    return _pairs_or_alone(runs, alone)


def _pairs_or_alone(runs: Iterator[Run], alone: regex.Pattern[str]) -> Iterator[tuple[Run, ...]]:
    first = None
    for run in runs:
        single = alone.match(run.text) is not None
        if first is None and not single:
            first = run
            continue
        if first is None or not single:
            yield (run,) if first is None else (first, run)
        else:
            yield (first,)
            yield (run,)
        first = None
    if first is not None:
        yield (first,)


def line_direction(text: str, rtl: bool) -> bool:
    """Whether a line runs right-to-left: its first strong character says so, or else ``rtl``."""
    if not rtl and not RTL_BLOCKS.search(text):
        return False
    kinds = (unicodedata.bidirectional(char) for char in text)
    strong = next((kind for kind in kinds if kind in ("L", "R", "AL")), None)
    return rtl if strong is None else strong != "L"


def is_rtl(text: str) -> bool:
    """Whether a text counts as right-to-left: two of its first, middle and last letter are.

    White space, ASCII punctuation and ASCII digits are not looked at (published rule, kept: the order of
    words and units that published weights saw depends on it).
    """
    if text.isascii() or not RTL_BLOCKS.search(text):
        return False
    letters = _IGNORED.sub("", text)
    samples = (letters[0], letters[-1], letters[len(letters) // 2])
    return sum(unicodedata.bidirectional(char) in ("R", "AL") for char in samples) >= 2
