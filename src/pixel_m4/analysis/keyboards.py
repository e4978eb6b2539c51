"""Keyboards: which letters lie next to each other.

Rows begin at the keys Q, A and Z of US English, and are those of the standard layouts: QWERTY, ЙЦУКЕН
(Russian and Ukrainian), Greek, Arabic 101, Hebrew (SI 1452), and InScript (Devanagari).  Armenian is left
out, since several layouts are in use.
"""

from __future__ import annotations

from functools import cache

# A space is a key without a letter.  What Shift gives has rows of its own where it is no capital.
LAYOUTS: tuple[tuple[str, str, str], ...] = (
    ("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    ("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    ("йцукенгшщзхї", "фівапролджє", "ячсмитьбю"),
    (" ςερτυθιοπ", "ασδφγηξκλ", "ζχψωβνμ"),
    ("ضصثقفغعهخحجد", "شسيبلاتنمكط", "ئءؤر ىةوزظ"),
    ("  קראטוןםפ", "שדגכעיחלךף", "זסבהנמצתץ"),
    # Keys of dependent vowels are left out: in a consonant's place they would melt with the letter before.
    ("     बहगदजड", "     परकतचट", "  मनवलस  य"),
    ("औऐआईऊभङघधझढञ", "ओएअइउफऱखथछठ", "ऎ णऩऴळशष"),
)
_SHIFTS = (0.0, 0.25, 0.75)  # of the rows to the right, in keys
_NEAR = 0.75  # keys by which neighbours in two rows may be apart


@cache
def _keys(layout: tuple[str, str, str]) -> dict[str, tuple[float, int]]:
    """Where each letter of a layout lies: column and row."""
    return {
        letter: (place + shift, number)
        for number, (row, shift) in enumerate(zip(layout, _SHIFTS, strict=True))
        for place, letter in enumerate(row)
        if letter.isalpha()
    }


@cache
def _around(layout: tuple[str, str, str], letter: str) -> frozenset[str]:
    keys = _keys(layout)
    column, row = keys[letter]
    return frozenset(
        other
        for other, (at, number) in keys.items()
        if other != letter and abs(number - row) <= 1 and abs(at - column) <= (1 if number == row else _NEAR)
    )


def neighbours(letter: str, word: str) -> list[str]:
    """The letters of the keys around that of a letter.

    Of several layouts with the letter those are taken that have most letters of the word; where there are
    still several, as for a word that may be Russian or Ukrainian, what is around it in all of them.

    Args:
        letter: One character, of any case.
        word: The word that it stands in.

    Returns:
        Letters of the same case, sorted; none if no layout has it
    """
    lower = letter.lower()
    fitting = [layout for layout in LAYOUTS if lower in _keys(layout)]
    if not fitting:
        return []
    counts = [sum(other in _keys(layout) for other in word.lower()) for layout in fitting]
    best = [layout for layout, count in zip(fitting, counts, strict=True) if count == max(counts)]
    found = sorted(frozenset.intersection(*(_around(layout, lower) for layout in best)))
    return [other.upper() for other in found] if letter != lower else found
