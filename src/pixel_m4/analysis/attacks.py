"""Orthographic attacks on words (Eger and Benz 2020, as PIXEL used them), in any script.

A letter here is a grapheme cluster: what is drawn as one stays one.  An attack never makes two words of one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
import regex

from pixel_m4.console.errors import UserError

# Of the Latin, Greek and Cyrillic alphabets; accents do not count.
VOWELS = frozenset("aeiouæøœαεηιουωаеиоуыэюяієїё")
_SIGNS = "!\"'(),-.:;?"
_CLUSTERS = regex.compile(r"\X")

Attack = Callable[[list[str], float, np.random.Generator], list[str]]


def letters(word: str) -> list[str]:
    """The grapheme clusters of a word."""
    found: list[str] = _CLUSTERS.findall(word)
    return found


def _full_swap(word: list[str], strength: float, drawn: np.random.Generator) -> list[str]:
    return [word[i] for i in drawn.permutation(len(word))] if len(word) >= 3 else word


def _inner_swap(word: list[str], strength: float, drawn: np.random.Generator) -> list[str]:
    return [word[0], *_full_swap(word[1:-1], 1, drawn), word[-1]] if len(word) >= 5 else _swap_two(word)


def _swap_two(word: list[str]) -> list[str]:
    """Of four letters, the inner two change places."""
    return [word[0], word[2], word[1], word[3]] if len(word) == 4 else word


def _truncate(word: list[str], strength: float, drawn: np.random.Generator) -> list[str]:
    return word[:-1] if len(word) > 3 else word


def _disemvowel(word: list[str], strength: float, drawn: np.random.Generator) -> list[str]:
    kept = [letter for letter in word if _base(letter) not in VOWELS]
    return kept if kept and len(word) >= 3 else word


def _drop_marks(word: list[str], strength: float, drawn: np.random.Generator) -> list[str]:
    bare = [
        "".join(
            c for c in unicodedata.normalize("NFD", letter) if not unicodedata.category(c).startswith("M")
        )
        for letter in word
    ]
    return [unicodedata.normalize("NFC", letter) for letter in bare if letter] or word


def _intrude(word: list[str], strength: float, drawn: np.random.Generator) -> list[str]:
    if len(word) < 2:
        return word
    sign = _SIGNS[drawn.integers(len(_SIGNS))]
    gaps = drawn.random(len(word) - 1) < strength
    if not gaps.any():
        gaps[drawn.integers(len(gaps))] = True
    return [word[0], *(sign + letter if gap else letter for gap, letter in zip(gaps, word[1:], strict=True))]


def _base(letter: str) -> str:
    return unicodedata.normalize("NFD", letter)[0].lower()


# Those on words hit each word with the strength as probability; of characters, every word.
ON_WORDS: dict[str, Attack] = {
    "full_swap": _full_swap,
    "inner_swap": _inner_swap,
    "disemvowel": _disemvowel,
    "truncate": _truncate,
    "drop_marks": _drop_marks,
}
ON_CHARACTERS: dict[str, Attack] = {"intrude": _intrude}
ATTACKS = {**ON_WORDS, **ON_CHARACTERS}


def attack(words: Sequence[str], name: str, strength: float, seed: int = 0) -> list[str]:
    """Attack words.

    A word that an attack cannot change, such as one that is too short or holds no letter, stays.  The words
    that a strength hits are hit by every greater one, too.

    Args:
        words: N of them.
        name: One of `ATTACKS`.
        strength: From 0, which changes nothing, to 1.
        seed: Of the choice.

    Returns:
        N words

    Raises:
        UserError: There is no such attack, or the strength or the seed is out of range.
    """
    if name not in ATTACKS:
        raise UserError(f"there is no attack {name!r}; there are {', '.join(ATTACKS)}")
    if not 0 <= strength <= 1:
        raise UserError(f"a strength is from 0 to 1, got {strength:g}")
    check_seed(seed)
    if strength == 0:
        return list(words)
    every = name in ON_CHARACTERS
    hits = np.random.default_rng(seed).random(len(words)) < (1 if every else strength)
    return [
        _changed(word, ATTACKS[name], strength, np.random.default_rng((seed, number))) if hit else word
        for number, (word, hit) in enumerate(zip(words, hits, strict=True))
    ]


def check_seed(seed: int) -> None:
    """Refuse a seed that NumPy's generators do not take."""
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed must be from 0 to {2**32 - 1}, got {seed}")


def _changed(word: str, function: Attack, strength: float, drawn: np.random.Generator) -> str:
    parts = letters(word)
    if any(part.isspace() for part in parts) or not any(part[0].isalpha() for part in parts):
        return word
    changed = function(parts, strength, drawn)
    joined = "".join(changed)
    # Letters that melt with their new neighbours would be others.
    return joined if letters(joined) == [letter for part in changed for letter in letters(part)] else word
