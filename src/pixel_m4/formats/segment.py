"""Raw text to words, by a simple rule that knows no language.

White space (and U+200B) ends a word.  Between white space, words begin and end at the default word boundaries
of Unicode (UAX 29, https://unicode.org/reports/tr29/), so that punctuation is split from words while
``don't``, ``3.5`` and ``U.S`` stay whole.  The same mark repeated is one word (``...``).  Scripts that are
written without spaces (Han, kana, Thai, Lao, Khmer, Burmese, Tibetan and the like) are not segmented: what
stands there between spaces and punctuation is one word.
"""

from __future__ import annotations

import logging
import unicodedata
from typing import NamedTuple

import regex

_BOUNDARY = regex.compile(r"\b", regex.V1 | regex.WORD)
_UNSPACED = regex.compile(
    r"[[[\p{Han}\p{Hiragana}\p{Katakana}\p{LineBreak=Complex_Context}\p{Tibetan}]--[\p{P}\p{S}\p{N}]]ー々〆་]",
    regex.V1,
)
_BORDER = "\u200b"
_MARK = regex.compile(r"(?:\p{P}|\p{S})\X*")


logger = logging.getLogger(__name__)


class Segment(NamedTuple):
    """A word of a text.

    Attributes:
        word: the word.
        space: whether white space, or the end of the text, follows it.
        unsegmented: the name of its script, if it may be several words in a script without spaces.
    """

    word: str
    space: bool
    unsegmented: str | None


def segment(text: str) -> list[Segment]:
    """The words of a line of text."""
    found: list[Segment] = []
    for chunk in text.split():
        parts: list[str] = []
        for part in _BOUNDARY.split(chunk):
            if part and parts and _belong(parts[-1], part):
                parts[-1] += part
            elif part:
                parts.append(part)
        # Khmer and others mark the borders of words by a space without width, which is no word itself.
        parts = [part for part in parts if part != _BORDER] or parts
        last = len(parts) - 1
        found += [Segment(part, i == last, _script(part)) for i, part in enumerate(parts)]
    return found


def _belong(before: str, part: str) -> bool:
    if _UNSPACED.match(before[-1]) and _UNSPACED.match(part):
        return True
    return bool(_MARK.match(part)) and len({*before, *part}) == 1  # the same mark again


def _script(word: str) -> str | None:
    letters = _UNSPACED.findall(word)
    if len(letters) < 2:
        return None
    return unicodedata.name(letters[0], "a script without spaces").split()[0].title().replace("Cjk", "Han")


def warn_of_script(source: str, line: int, script: str) -> None:
    """Say that text was not cut into words."""
    logger.warning(
        "%s:%d: %s is written without spaces and is not cut into words: what stands between spaces and "
        "punctuation is one word; for words, cut the text before, and say --input_format tokens (told once)",
        source, line, script,
    )  # fmt: skip
