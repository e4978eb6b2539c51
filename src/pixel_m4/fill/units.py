"""Which units there are: those of a text, counted, and those that an alphabet makes possible.

A unit is what starts a patch: two characters (bigrams), two clusters (graphemes), a word.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import regex

from pixel_m4.console.errors import UserError
from pixel_m4.render import TextRenderer
from pixel_m4.render.show import read_texts
from pixel_m4.render.strategies import STRATEGIES, Unit

MAX_UNITS = 65_536  # of a corpus, the most frequent ones
MAX_ALPHABET = 200  # characters, so at most 40,200 units
_COMMON = "0123456789.,;:!?'\"()-"
_UNLISTED = regex.compile(r"[\p{Han}\p{Hangul}]")  # their Unicode neighbours tell nothing of their use
_ROW = 7  # blocks of letters lie in rows of 128 code points


def units_of(renderer: TextRenderer, word: str) -> list[str]:
    """The units of a word, in the order of the text.

    Raises:
        ValueError: the renderer draws continuous lines, which have no units.
    """
    if renderer.strategy == "continuous":
        raise UserError("a renderer with strategy 'continuous' draws lines, which are not made of units")
    if renderer.strategy == "words":
        return [word]
    return [_text(unit) for unit in STRATEGIES[renderer.strategy]().units(word, False)]


def _text(unit: Unit) -> str:
    if isinstance(unit, str):
        return unit
    # Runs of a word that is set as a whole come in the order in which they are drawn.
    runs = sorted((run for run in unit if not isinstance(run, str)), key=lambda run: run.start)
    return "".join(run.text for run in runs)


def ends_word(renderer: TextRenderer, unit: str) -> bool:
    """Whether a unit can only stand at the end of a word: if a letter followed, it would be part of it."""
    return len(units_of(renderer, unit + "a")) == 1


def count_units(renderer: TextRenderer, texts: Iterable[str]) -> Counter[str]:
    """How often each unit occurs in texts, the most frequent first."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(text.split())
    units: Counter[str] = Counter()
    for word, count in words.items():
        for unit in units_of(renderer, word):
            units[unit] += count
    return Counter(dict(units.most_common()))


def possible_units(renderer: TextRenderer, texts: Sequence[str]) -> Counter[str]:
    """The units of texts, counted, and with a count of 0 all others that their alphabet can make.

    The alphabet holds, up to `MAX_ALPHABET` characters: those of the texts, the frequent ones first, and
    their upper and lower case; digits and common punctuation; then the letters and marks that share a row of
    128 code points with those of the texts (the whole alphabet in most scripts; not for Han and Hangul). Its
    characters and pairs of them are units, unless the renderer draws whole words.
    """
    counts = count_units(renderer, texts)
    if renderer.strategy == "words":
        return counts
    characters = alphabet(renderer, texts)
    found = [*characters, *(one + two for one in characters for two in characters)]
    if renderer.strategy != "bigrams":
        found = [unit for unit in found if len(units_of(renderer, unit)) == 1]
    for unit in found:
        counts.setdefault(unit, 0)
    return counts


def known_units(renderer: TextRenderer, texts: Sequence[str], file: Path | None = None) -> Counter[str]:
    """The `MAX_UNITS` most frequent units of a file, or :func:`possible_units` of texts, counted.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no text, or is blank.
    """
    if file is None:
        return possible_units(renderer, texts)
    units = count_units(renderer, read_texts(file))
    if not units:
        raise UserError(f"{file} holds no units to read: it is blank")
    return Counter(dict(units.most_common(MAX_UNITS)))


def alphabet(renderer: TextRenderer, texts: Sequence[str]) -> list[str]:
    """The characters that :func:`possible_units` combines, without those that no font has."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update("".join(text.split()))
    ordered = [char for char, _ in counts.most_common()]
    rows: Counter[int] = Counter()
    for char, count in counts.items():
        if unicodedata.category(char)[0] == "L" and not _UNLISTED.match(char):
            rows[ord(char) >> _ROW] += count
    cases = [case for char in ordered for case in (char.lower(), char.upper()) if len(case) == 1]
    characters = dict.fromkeys([*ordered, *cases, *_COMMON])
    for row, _ in rows.most_common():
        neighbours = map(chr, range(row << _ROW, row + 1 << _ROW))
        characters |= dict.fromkeys(char for char in neighbours if unicodedata.category(char)[0] in "LM")
    return [char for char in characters if renderer.covers(char)][:MAX_ALPHABET]
