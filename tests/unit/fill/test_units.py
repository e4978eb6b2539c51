from __future__ import annotations

from pathlib import Path

import pytest

from pixel_m4.fill.units import (
    MAX_ALPHABET,
    alphabet,
    count_units,
    ends_word,
    known_units,
    possible_units,
    units_of,
)
from pixel_m4.render import TextRenderer


@pytest.mark.parametrize(
    ("strategy", "word", "units"),
    [
        ("bigrams", "cat", ["ca", "t"]),
        ("bigrams", "שלום", ["של", "ום"]),
        ("graphemes", "कमला", ["कम", "ला"]),
        ("adaptive", "猫x", ["猫", "x"]),
        ("adaptive", "كتاب12", ["كتاب12"]),
        ("words", "cat", ["cat"]),
    ],
)
def test_units_of_a_word_are_what_is_drawn(strategy: str, word: str, units: list[str]) -> None:
    renderer = TextRenderer(strategy=strategy)
    assert units_of(renderer, word) == units
    assert sum(renderer.measure(units)) == renderer.measure([word])[0]


def test_continuous_lines_have_none() -> None:
    with pytest.raises(ValueError, match="'continuous' draws lines"):
        units_of(TextRenderer(strategy="continuous"), "cat")


def test_which_units_end_a_word() -> None:
    renderer = TextRenderer()
    assert ends_word(renderer, "t")
    assert not ends_word(renderer, "ca")
    assert not ends_word(TextRenderer(strategy="graphemes"), "कम")
    assert ends_word(TextRenderer(strategy="words"), "cat")


def test_counts() -> None:
    assert count_units(TextRenderer(), ["cat ca", " cat\tdog"]) == {"ca": 3, "t": 2, "do": 1, "g": 1}


def test_possible_units_are_those_of_the_alphabet() -> None:
    units = possible_units(TextRenderer(), ["Кішка 猫"])
    assert next(iter(units.items())) == ("Кі", 1)
    assert units["猫"] == 1
    for made in ("щю", "Яя", "я", "а.", "10", "猫К"):
        assert units[made] == 0
        assert made in units
    assert "ab" not in units  # no Latin letters in the text
    assert not any("犬" in unit for unit in units)


def test_the_alphabet_is_bounded_and_drawable() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 300))) + " phở ẞ"
    renderer = TextRenderer()
    assert len(alphabet(renderer, [text])) == MAX_ALPHABET
    assert alphabet(renderer, ["a\u0378"])[0] == "a"
    assert "\u0378" not in alphabet(renderer, ["a\u0378"])


def test_units_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("cat cat\ndo\n")
    renderer = TextRenderer()
    assert known_units(renderer, ["x"], path) == {"ca": 2, "t": 2, "do": 1}
    path.write_text(" \n")
    with pytest.raises(ValueError, match="it is blank"):
        known_units(renderer, ["x"], path)
    with pytest.raises(FileNotFoundError):
        known_units(renderer, ["x"], tmp_path / "none")
