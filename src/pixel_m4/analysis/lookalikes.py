"""Characters that look alike, by Unicode's table of confusables (UTS 39).

The table comes from the library confusable-homoglyphs, of the extra ``analysis``.
"""

from __future__ import annotations

import string
import unicodedata
from functools import cache
from typing import Literal

from pixel_m4.analysis.extras import needed

Scripts = Literal["any", "same", "other"]


@cache
def look_alikes(char: str, scripts: Scripts = "any") -> tuple[str, ...]:
    """The other characters that look like one.

    Punctuation, white space, marks, and characters that are written in the other direction are left out: they
    would change what is a word, what is a letter, or the order of letters.

    Args:
        char: One character.
        scripts: "same": only those of its own script.  "other": only those of other scripts; what belongs to
            none, such as mathematical letters, is left out then.

    Returns:
        One character each, sorted

    Raises:
        UserError: The library is not there.
    """
    alias = needed("confusable_homoglyphs.categories", "analysis").alias
    found = [
        other
        for other in _class_of(char)
        if other != char
        and unicodedata.category(other)[0] not in "PZCM"
        and other not in string.punctuation
        and _is_rtl(other) == _is_rtl(char)
        and (scripts != "same" or alias(other) == alias(char))
        and (scripts != "other" or alias(other) not in (alias(char), "COMMON"))
    ]
    return tuple(sorted(found))


def _class_of(char: str) -> set[str]:
    """All that looks alike, itself included: the table leads from a character to its prototype and back."""
    is_confusable = needed("confusable_homoglyphs.confusables", "analysis").is_confusable
    seen, waiting = {char}, [char]
    while waiting:
        # Characters from right to left stand between marks of direction.
        for entry in is_confusable(waiting.pop(), greedy=True) or ():
            others = {one["c"].strip("\u200e") for one in entry["homoglyphs"]}
            new = {other for other in others if len(other) == 1} - seen
            seen |= new
            waiting += new
    return seen


def _is_rtl(char: str) -> bool:
    return unicodedata.bidirectional(char) in ("R", "AL", "AN")
