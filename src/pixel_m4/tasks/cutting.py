"""Cut texts that are too long for their place on the canvas."""

from __future__ import annotations

import re
from itertools import accumulate, pairwise

from pixel_m4.tasks.text_input import TextInput

LONG = 16
"""Patches from which a word may be cut inside: languages without spaces write whole sentences as one word."""
UNIT = 4
"""Code points of a unit of such a word: an even number, so that bigrams fall as in the whole word."""

_WORD = re.compile(r"\S+")


def units(renderer: TextInput, text: str) -> list[tuple[int, int, int]]:
    """The words of a text; long ones in units, such that each unit alone looks as it does in its word.

    Returns:
        First and last character (exclusive) and the patches of each.
    """
    bounds = [match.span() for match in _WORD.finditer(text)]
    found = []
    for (start, end), width in zip(bounds, renderer.measure([text[s:e] for s, e in bounds]), strict=True):
        if width <= LONG:
            found.append((start, end, width))
            continue
        cuts = [*range(start, end, UNIT), end]
        parts = [text[s:e] for s, e in pairwise(cuts)]
        widths = renderer.measure(parts)
        found += [(s, e, w) for (s, e), w in zip(pairwise(cuts), widths, strict=True)]
    return found


def cut(renderer: TextInput, text: str, room: int) -> str:
    """The beginning of a text that takes at most ``room`` patches; the text itself if it fits."""
    parts = units(renderer, text)
    ends = list(accumulate(width for _, _, width in parts))
    if not ends or ends[-1] <= room:
        return text
    kept = sum(end <= room for end in ends)
    return text[: parts[kept - 1][1]] if kept else ""


def cut_pair(renderer: TextInput, first: str, second: str, room: int) -> tuple[str, str]:
    """Two texts that take at most ``room`` patches together: the longer one is cut, or both to one length."""
    widths = [sum(width for _, _, width in units(renderer, text)) for text in (first, second)]
    if sum(widths) <= room:
        return first, second
    half = room // 2
    room_first = max(half, room - widths[1])
    first = cut(renderer, first, room_first)
    left = room - min(widths[0], room_first)
    return first, cut(renderer, second, left)
