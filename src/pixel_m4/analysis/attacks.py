"""Orthographic attacks on words (Eger and Benz 2020, as PIXEL used them), in any script.

A letter here is a grapheme cluster: what is drawn as one stays one.  An attack never makes two words of one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import regex

from pixel_m4.analysis.keyboards import neighbours
from pixel_m4.analysis.lookalikes import Scripts, look_alikes
from pixel_m4.analysis.respellings import Spellings, converted, homophones, respelled
from pixel_m4.console.errors import UserError

# Of the Latin, Greek and Cyrillic alphabets; accents do not count.
VOWELS = frozenset("aeiouæøœαεηιουωаеиоуыэюяієїё")
_SIGNS = "!\"'(),-.:;?"
NATURAL_TYPO = "natural_typo"
SEGMENTATION = "segmentation"
"""The attack on spaces, see :func:`join_words`."""
_CLUSTERS = regex.compile(r"\X")


Takes = Callable[[str, str], bool]


@dataclass(frozen=True, kw_only=True)
class Means:
    """What some attacks need beside the words.

    Attributes:
        takes: Tells whether the first letter may become the second, which looks alike; None: it may.
        typos: Misspellings by word, for natural_typo.
    """

    takes: Takes | None = None
    typos: Spellings | None = None


NO_MEANS = Means()

Attack = Callable[[list[str], float, np.random.Generator, Means], list[str]]


def letters(word: str) -> list[str]:
    """The grapheme clusters of a word."""
    found: list[str] = _CLUSTERS.findall(word)
    return found


def _full_swap(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    return _shuffled(word, drawn) if len(word) >= 3 else word


def _inner_swap(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    if len(word) < 5:
        return [word[0], word[2], word[1], word[3]] if len(word) == 4 else word
    return [word[0], *_shuffled(word[1:-1], drawn), word[-1]]


def _shuffled(word: list[str], drawn: np.random.Generator) -> list[str]:
    return [word[i] for i in drawn.permutation(len(word))]


def _truncate(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    return word[:-1] if len(word) > 3 else word


def _disemvowel(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    kept = [letter for letter in word if _base(letter) not in VOWELS]
    return kept if kept and len(word) >= 3 else word


def _drop_marks(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    bare = [
        "".join(
            c for c in unicodedata.normalize("NFD", letter) if not unicodedata.category(c).startswith("M")
        )
        for letter in word
    ]
    return [unicodedata.normalize("NFC", letter) for letter in bare if letter] or word


def _keyboard_typo(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    joined = "".join(word)
    around = [neighbours(letter[0], joined) for letter in word]
    places = [place for place, found in enumerate(around) if found]
    if not places:
        return word
    place = places[drawn.integers(len(places))]
    return [*word[:place], _one_of(around[place], drawn.random()) + word[place][1:], *word[place + 1 :]]


def _phonetic(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    return _other_spelling(word, homophones(), drawn)


def _natural_typo(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    if means.typos is None:
        raise UserError(
            "natural_typo needs misspellings: --typos FILE, a word, a tab and a misspelling a line"
        )
    return _other_spelling(word, means.typos, drawn)


def _other_spelling(word: list[str], spellings: Spellings, drawn: np.random.Generator) -> list[str]:
    found = respelled("".join(word), spellings)
    return letters(_one_of(found, drawn.random())) if found else word


def _simplify(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    return letters(converted("".join(word), "t2s"))


def _traditional(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    return letters(converted("".join(word), "s2t"))


def _intrude(word: list[str], strength: float, drawn: np.random.Generator, means: Means) -> list[str]:
    if len(word) < 2:
        return word
    sign = _SIGNS[drawn.integers(len(_SIGNS))]
    gaps = drawn.random(len(word) - 1) < strength
    if not gaps.any():
        gaps[drawn.integers(len(gaps))] = True
    return [word[0], *(sign + letter if gap else letter for gap, letter in zip(gaps, word[1:], strict=True))]


def _confusable(
    word: list[str], strength: float, drawn: np.random.Generator, means: Means, scripts: Scripts = "any"
) -> list[str]:
    # A letter's look-alike is drawn whether it is hit or not: it does not depend on the strength.
    hits, places = drawn.random(len(word)) < strength, drawn.random(len(word))
    changed = []
    for letter, hit, place in zip(word, hits, places, strict=True):
        found = _alike(letter, means.takes, scripts) if hit else ()
        changed.append(_one_of(found, place) if found else letter)
    return changed


def _confusable_in_script(
    word: list[str], strength: float, drawn: np.random.Generator, means: Means
) -> list[str]:
    return _confusable(word, strength, drawn, means, "same")


def _confusable_across_scripts(
    word: list[str], strength: float, drawn: np.random.Generator, means: Means
) -> list[str]:
    return _confusable(word, strength, drawn, means, "other")


@lru_cache(4096)
def _alike(letter: str, takes: Takes | None, scripts: Scripts) -> tuple[str, ...]:
    """Look-alikes of a letter: of its first character as it is written, else of that without its accents."""
    for form in (letter, unicodedata.normalize("NFD", letter)):
        if not form[0].isalnum() or any(not unicodedata.category(c).startswith("M") for c in form[1:]):
            continue
        # Alone, a look-alike stays what it is: the sign for Kelvin would be normalised to the letter K again.
        alike = [
            unicodedata.normalize("NFC", other + form[1:]) if form[1:] else other
            for other in look_alikes(form[0], scripts)
        ]
        found = tuple(other for other in alike if other != letter and (takes is None or takes(letter, other)))
        if found:
            return found
    return ()


def _one_of(found: Sequence[str], place: float) -> str:
    """The entry at a place from 0 to below 1."""
    return found[int(place * len(found))]


def _base(letter: str) -> str:
    return unicodedata.normalize("NFD", letter)[0].lower()


# Those on words hit each word with the strength as probability.
ON_WORDS: Mapping[str, Attack] = {
    "full_swap": _full_swap,
    "inner_swap": _inner_swap,
    "disemvowel": _disemvowel,
    "truncate": _truncate,
    "drop_marks": _drop_marks,
    "keyboard_typo": _keyboard_typo,
    "phonetic": _phonetic,
    NATURAL_TYPO: _natural_typo,
    "simplify": _simplify,
    "traditional": _traditional,
}
# Those on characters reach every word, and each letter of it with the strength as probability.
ON_CHARACTERS: Mapping[str, Attack] = {
    "intrude": _intrude,
    "confusable": _confusable,
    "confusable_in_script": _confusable_in_script,
    "confusable_across_scripts": _confusable_across_scripts,
}
ATTACKS: Mapping[str, Attack] = {**ON_WORDS, **ON_CHARACTERS}
_WITH_DIGITS = tuple(name for name in ON_CHARACTERS if name.startswith("confusable"))


def attack(
    words: Sequence[str], name: str, strength: float, seed: int = 0, means: Means = NO_MEANS
) -> list[str]:
    """Attack words.

    A word that an attack cannot change, such as one that is too short or holds no letter, stays.  The words
    that a strength hits are hit by every greater one, too.

    Args:
        words: N of them.
        name: One of `ATTACKS`.
        strength: From 0, which changes nothing, to 1.
        seed: Of the choice.
        means: What the attack needs beside the words.

    Returns:
        N words

    Raises:
        UserError: There is no such attack, the strength or the seed is out of range, or a library or a list
            that the attack needs is not there.
    """
    if name not in ATTACKS:
        raise UserError(f"there is no attack {name!r}; there are {', '.join(ATTACKS)}")
    check_strength(strength)
    check_seed(seed)
    if strength == 0:
        return list(words)
    every = name in ON_CHARACTERS
    hits = np.random.default_rng(seed).random(len(words)) < (1 if every else strength)
    return [
        _changed(word, name, strength, np.random.default_rng((seed, number)), means) if hit else word
        for number, (word, hit) in enumerate(zip(words, hits, strict=True))
    ]


def join_words(texts: Sequence[str], strength: float, seed: int = 0) -> list[str]:
    """Delete white space between the words of texts.

    Args:
        texts: N of them.
        strength: How likely each space (or several in a row) is deleted.
        seed: Of the choice.

    Returns:
        N texts

    Raises:
        UserError: The strength or the seed is out of range.
    """
    check_strength(strength)
    check_seed(seed)
    drawn = np.random.default_rng(seed)
    return [
        re.sub(r"(?<=\S)\s+(?=\S)", lambda space: "" if drawn.random() < strength else space[0], text)
        for text in texts
    ]


def check_strength(strength: float) -> None:
    """Refuse a strength that is no probability."""
    if not 0 <= strength <= 1:
        raise UserError(f"a strength is from 0 to 1, got {strength:g}")


def check_seed(seed: int) -> None:
    """Refuse a seed that NumPy's generators do not take."""
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed must be from 0 to {2**32 - 1}, got {seed}")


def _changed(word: str, name: str, strength: float, drawn: np.random.Generator, means: Means) -> str:
    parts = letters(word)
    attacked = str.isalnum if name in _WITH_DIGITS else str.isalpha
    if any(part.isspace() for part in parts) or not any(attacked(part[0]) for part in parts):
        return word
    changed = ATTACKS[name](parts, strength, drawn, means)
    joined = "".join(changed)
    # Letters that melt with their new neighbours would be others.
    return joined if letters(joined) == [letter for part in changed for letter in letters(part)] else word
