"""Answers as patches of a window, and patches as characters of its context.

Dimensions: P patches.
"""

from __future__ import annotations

from collections.abc import Mapping

import regex

from pixel_m4.render.offsets import Offsets

_MARKS = ",.;:!?،؛؟。、，．；：！？।…"
_CLOSING = dict(zip("“‘«„([{<《〈「『【（", "”’»“)]}>》〉」』】）", strict=True)) | {'"': '"'}
_OPENING = dict(zip("”’»“)]}>》〉」』】）", "“‘«„([{<《〈「『【（", strict=True)) | {'"': '"', "”": "“„"}
_BRACKETS = {*_OPENING, *_CLOSING}
# A run of letters and digits, with points and commas inside numbers. Scripts without spaces have no such runs
# that are words, and answers in Hangul leave the particle of a word out.
_WORD = regex.compile(
    r"(?:[[\p{L}\p{M}\p{N}\u200c\u200d]--[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Hangul}\p{Tibetan}"
    r"\p{LineBreak=Complex_Context}]]|(?<=\p{Nd})[.,٫٬](?=\p{Nd}))+",
    regex.V1,
)


def answer_patches(offsets: Offsets, start: int, end: int) -> tuple[int, int] | None:
    """First and last patch that show characters [start, end) of a pair's second text; None if cut off."""
    patches = offsets.patches[1][start:end]
    drawn = patches[patches[:, 0] >= 0]
    if not len(drawn) or (patches[[0, -1], 0] < 0).any():
        return None
    return int(drawn[:, 0].min()), int(drawn[:, 1].max()) - 1


def span_characters(offsets: Offsets, first: int, last: int, text: str) -> tuple[int, int]:
    """Characters [start, end) of a pair's second text that patches ``first`` to ``last`` show.

    Patches end where pairs of characters do, so that a span may take in a mark beside its answer: white
    space, commas and the like at its ends do not count, nor a bracket or quotation mark without its partner.
    """
    spans = offsets.spans[first : last + 1]
    spans = spans[spans[:, 0] >= 0]
    return trim(text, int(spans[:, 0].min()), int(spans[:, 1].max()))


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without the marks at its ends that do not belong to it; the span itself if nothing is left."""
    first, last = start, end
    while first < last and _is_loose(text[first], text[first + 1 : last], _CLOSING):
        first += 1
    while first < last and _is_loose(text[last - 1], text[first : last - 1], _OPENING):
        last -= 1
    return (first, last) if first < last else (start, end)


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """A span of characters [start, end), widened where it begins or ends inside a word.

    A word is a run of letters and digits.  Nothing is added to Han, kana, Hangul, Thai, Lao, Khmer, Burmese
    and Tibetan, where an answer may be a part of such a run.
    """
    first, last = start, end
    for word in _WORD.finditer(text):
        if word.start() < start < word.end():
            first = word.start()
        if word.start() < end < word.end():
            last = word.end()
        if word.start() >= end:
            break
    return first, last


def _is_loose(mark: str, rest: str, partners: Mapping[str, str]) -> bool:
    if mark.isspace() or mark in _MARKS:
        return True
    if mark in partners:
        return not any(partner in rest for partner in partners[mark])
    return mark in _BRACKETS
