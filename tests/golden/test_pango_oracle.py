"""Pixels against PangoCairo: every code point of many fonts, and running text in many languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracle import compare, pango
from oracle.colr import colour_font
from pixel_m4.render import TextRenderer

MIXED_STRINGS = 2000
LEAST_SCRIPTS = 25

# The cause of every difference is told in docs/rendering.md.
HARFBUZZ_ATTACHES = {"\u0677", "\ufbdd"}

_reason = pango.available()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(_reason), reason=f"needs PangoCairo 1.50 (make oracle): {_reason}"),
    pytest.mark.filterwarnings("ignore::pixel_m4.render.MissingGlyphWarning"),
]


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer()


def test_every_code_point_of_the_default_font(renderer: TextRenderer) -> None:
    result = compare.code_points(renderer.font_file)
    assert result.total == 37_961  # all but NUL
    assert not result.different, result


@pytest.mark.parametrize("font", compare.FONTS)
def test_every_code_point_of_other_fonts(font: str) -> None:
    path = compare.find(*compare.FONTS[font])
    if path is None:
        pytest.skip(f"needs the font {compare.FONTS[font]}")
    result = compare.code_points(path)
    assert {char for char, _ in result.different} <= HARFBUZZ_ATTACHES, result


def test_characters_that_the_font_lacks_but_pango_draws(renderer: TextRenderer) -> None:
    """Compatibility ideographs from their parts, variation selectors, spaces, a tab, line ends."""
    chars = [
        *"\t\n\r\u1680\u2028\u2029\u2260\u226e\ufe01\U000e0100\U000e0001",
        *map(chr, range(0xF900, 0xFA00)),
    ]
    result = compare.characters(chars, [renderer.font_file])
    assert not result.different, result


def test_fallback_fonts(renderer: TextRenderer) -> None:
    fonts = [
        compare.DEBIAN / "truetype/noto" / name
        for name in ("NotoSansKannada-Regular.ttf", "NotoSansSymbols2-Regular.ttf")
    ]
    if not all(font.is_file() for font in fonts):
        pytest.skip("needs Debian's fonts-noto-core")
    fonts.append(renderer.font_file)
    chars = [
        chr(code) for first in (0x20, 0x900, 0xC80, 0x2190, 0x4E00) for code in range(first, first + 128)
    ]
    chars = [char for char in chars if char.isprintable()]
    result = compare.characters(chars, fonts)
    assert not result.different, result


def test_mixed_strings(shared: Path, renderer: TextRenderer) -> None:
    strings = compare.mixed(shared, MIXED_STRINGS)
    assert len(compare.scripts(strings)) >= LEAST_SCRIPTS
    result = compare.texts(renderer, strings)
    assert not result.different, result


@pytest.mark.parametrize("max_seq_length", [2, 3, 7, 40])
def test_truncation(shared: Path, max_seq_length: int) -> None:
    renderer = TextRenderer(max_seq_length=max_seq_length)
    strings = compare.mixed(shared, 300, seed=max_seq_length)
    result = compare.texts(renderer, strings, max_seq_length=max_seq_length)
    assert not result.different, result
    words = [string.split() for string in strings]
    result = compare.texts(renderer, words, max_seq_length=max_seq_length)
    assert not result.different, result


def test_forced_direction(shared: Path, renderer: TextRenderer) -> None:
    result = compare.texts(renderer, compare.mixed(shared, 300, seed=1), rtl=True)
    assert not result.different, result


def test_sib200(shared: Path, renderer: TextRenderer) -> None:
    for language, texts in compare.sib200(shared).items():
        result = compare.texts(renderer, texts)
        assert not result.different, f"{language}: {result}"
        assert result.share >= 0.99


def test_treebanks(shared: Path, renderer: TextRenderer) -> None:
    for treebank, sentences in compare.treebanks(shared).items():
        result = compare.texts(renderer, sentences)
        assert not result.different, f"{treebank}: {result}"
        assert result.share >= 0.99


def test_colour_pictures(renderer: TextRenderer) -> None:
    if not compare.COLOUR_FONT.is_file():
        pytest.skip("needs Debian's fonts-noto-color-emoji")
    emoji = [chr(code) for first in (0x1F300, 0x1F400, 0x1F600) for code in range(first, first + 64)]
    result = compare.colours([*emoji, "a", "é"], [renderer.font_file, compare.COLOUR_FONT])
    assert not result.different, result


def test_colour_layers(tmp_path: Path, renderer: TextRenderer) -> None:
    layered = {"a": ("o", "x"), "é": ("O", "I"), "ж": ("Ж", "-")}
    font = colour_font(renderer.font_file, layered, tmp_path / "layers.ttf")
    result = compare.colours([*layered, "o", "x"], [font])
    assert not result.different, result


@pytest.mark.parametrize(("strategy", "share"), [("words", 0.98), ("continuous", 0.97)])
def test_other_strategies(shared: Path, strategy: str, share: float) -> None:
    renderer = TextRenderer(strategy=strategy)
    texts = [text for texts in compare.sib200(shared).values() for text in texts[:40]]
    result = compare.texts(renderer, texts, strategy)
    assert result.share >= share, result
