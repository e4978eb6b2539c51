"""Keyboards: known neighbours, and rows that are whole alphabets."""

from __future__ import annotations

import pytest

from pixel_m4.analysis.keyboards import LAYOUTS, neighbours


@pytest.mark.parametrize(
    ("letter", "around"),
    [
        ("g", "tyfhvb"), ("a", "qwsz"), ("p", "ol"), ("G", "TYFHVB"), ("щ", "шзлд"), ("σ", "αςεδζχ"),
        ("ه", "عختن"), ("ש", "דז"), ("र", "हगपकलस"), ("ख", "घधऱथशष"),
    ],
)  # fmt: skip
def test_known_neighbours(letter: str, around: str) -> None:
    # ``щ`` is on the same keys in Russian and Ukrainian, the others have one layout.
    assert set(neighbours(letter, letter)) == set(around)


def test_neighbours_are_mutual_and_of_one_layout() -> None:
    for layout in LAYOUTS:
        alphabet = "".join(layout).replace(" ", "")
        assert len(set(alphabet)) == len(alphabet)
        for letter in alphabet:
            found = neighbours(letter, alphabet)
            assert set(found) < set(alphabet)
            assert all(letter in neighbours(other, alphabet) for other in found)


def test_alphabets_are_whole() -> None:
    joined = ["".join(sorted("".join(layout).replace(" ", ""))) for layout in LAYOUTS]
    assert joined[0] == "abcdefghijklmnopqrstuvwxyz"
    assert joined[1] == "абвгдежзийклмнопрстуфхцчшщъыьэюя"
    assert set(joined[2]) == set("абвгдеєжзиіїйклмнопрстуфхцчшщьюя")
    assert joined[3] == "αβγδεζηθικλμνξοπρςστυφχψω"
    assert set(joined[5]) == {chr(code) for code in range(0x5D0, 0x5EB)}
    assert set(joined[4]) >= {chr(code) for code in (*range(0x628, 0x630), *range(0x632, 0x63B))} - {"ذ"}
    consonants = {chr(code) for code in range(0x915, 0x93A)}
    assert consonants - set(joined[6] + joined[7]) == set()


def test_a_word_decides_between_russian_and_ukrainian() -> None:
    assert "ы" in neighbours("в", "выход")
    assert "і" in neighbours("в", "віхід")
    assert not {"ы", "і"} & set(neighbours("в", "вода"))  # may be either


@pytest.mark.parametrize("letter", ["1", ".", "é", "中", "ქ", "՛", "İ"])
def test_what_no_layout_has_has_no_neighbours(letter: str) -> None:
    assert neighbours(letter, letter) == []
