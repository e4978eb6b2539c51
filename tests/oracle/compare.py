"""Compare the renderer with PangoCairo, array by array: tests assert it, a benchmark prints it."""

from __future__ import annotations

import gzip
import importlib.util
import random
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oracle.pango import MARGIN, Character, Line, Text, ask
from pixel_m4.render import TextRenderer
from pixel_m4.render.glyphs import FontFace, Typesetter, paint, stamp

PIXEL_SIZE = 8 * 120 / 72
ROWS = 16
DEBIAN = Path("/usr/share/fonts")

# Fonts of all kinds: packages of Debian, and of Python for Noto's variable fonts.
FONTS = {
    "NotoSans (variable, TrueType)": ("fontpkg_noto_sans", "NotoSans[wdth,wght].ttf"),
    "NotoSansDevanagari (variable, TrueType)": (
        "fontpkg_noto_sans_devanagari",
        "NotoSansDevanagari[wdth,wght].ttf",
    ),
    "NotoSansKhmer (variable, TrueType)": ("fontpkg_noto_sans_khmer", "NotoSansKhmer[wdth,wght].ttf"),
    "NotoKufiArabic (variable, TrueType)": ("fontpkg_noto_kufi_arabic", "NotoKufiArabic[wght].ttf"),
    "NotoSansCJK (CFF, collection)": ("", "opentype/noto/NotoSansCJK-Regular.ttc"),
    "NotoSerifCJK (CFF, collection)": ("", "opentype/noto/NotoSerifCJK-Regular.ttc"),
    "NotoSans (TrueType with instructions)": ("", "truetype/noto/NotoSans-Regular.ttf"),
    "NotoSerif (TrueType with instructions)": ("", "truetype/noto/NotoSerif-Regular.ttf"),
    "NotoNaskhArabic (TrueType)": ("", "truetype/noto/NotoNaskhArabic-Regular.ttf"),
    "NotoNastaliqUrdu (TrueType, tall)": ("", "truetype/noto/NotoNastaliqUrdu-Regular.ttf"),
    "NotoSansBengali (TrueType)": ("", "truetype/noto/NotoSansBengali-Regular.ttf"),
    "NotoSansKannada (TrueType)": ("", "truetype/noto/NotoSansKannada-Regular.ttf"),
    "NotoSansSinhala (TrueType)": ("", "truetype/noto/NotoSansSinhala-Regular.ttf"),
    "NotoSerifTibetan (TrueType, tall)": ("", "truetype/noto/NotoSerifTibetan-Regular.ttf"),
    "NotoSansMath (TrueType, MATH)": ("", "truetype/noto/NotoSansMath-Regular.ttf"),
    "NotoSansSymbols2 (TrueType)": ("", "truetype/noto/NotoSansSymbols2-Regular.ttf"),
    "NotoSerifTangut (TrueType, ink past its advance)": ("", "truetype/noto/NotoSerifTangut-Regular.ttf"),
    "NotoSansOldHungarian (TrueType)": ("", "truetype/noto/NotoSansOldHungarian-Regular.ttf"),
    "NotoSansSignWriting (TrueType)": ("", "truetype/noto/NotoSansSignWriting-Regular.ttf"),
    "Inter (CFF)": ("", "opentype/inter/Inter-Regular.otf"),
    "DejaVuSans (TrueType with instructions)": ("", "truetype/dejavu/DejaVuSans.ttf"),
}
COLOUR_FONT = DEBIAN / "truetype/noto/NotoColorEmoji.ttf"


@dataclass
class Result:
    """How many of the things compared are equal, and which are not.

    Attributes:
        total: things compared.
        different: those that differ, and how.
        lacking: how many of them hold characters that no font has: Pango draws boxes with their numbers, in a
            font that happens to be installed, and the renderer draws the missing glyph of its font.
    """

    total: int = 0
    different: list[tuple[Any, str]] = field(default_factory=list)
    lacking: int = 0

    @property
    def equal(self) -> int:
        return self.total - len(self.different) - self.lacking

    @property
    def share(self) -> float:
        return self.equal / self.total

    def add(self, thing: Any, difference: str, unknown: int) -> None:
        self.total += 1
        if unknown:
            self.lacking += 1
        elif difference:
            self.different.append((thing, difference))

    def __str__(self) -> str:
        named = [f"{name(thing)}: {difference}" for thing, difference in self.different[:20]]
        return (
            f"{self.equal} of {self.total} ({100 * self.share:.3f} %), {self.lacking} lacking; "
            + "; ".join(named)
        )


def name(thing: Any) -> str:
    """A character by number and name, else the beginning of what is given."""
    if isinstance(thing, str) and len(thing) == 1:
        return f"U+{ord(thing):04X} {unicodedata.name(thing, '')}".strip()
    return repr(thing)[:60]


def find(package: str, file: str) -> Path | None:
    """Where a font of :data:`FONTS` is, if it is installed."""
    if package:
        spec = importlib.util.find_spec(package)
        path = Path(spec.origin).parent / "files" / file if spec and spec.origin else None
    else:
        path = DEBIAN / file
    return path if path is not None and path.is_file() else None


def code_points(font: Path) -> Result:
    """Draw every character of a font alone (but NUL, which Pango takes for the end)."""
    chars = [chr(code) for code in sorted(FontFace(font, PIXEL_SIZE).coverage) if code]
    return characters(chars, [font])


def coloured(font: Path) -> list[str]:
    """The characters that are pictures, digits and tags excluded, which other fonts draw."""
    codes = sorted(FontFace(font, PIXEL_SIZE).coverage)
    return [chr(code) for code in codes if code > 0xFF and unicodedata.category(chr(code)) == "So"]


def characters(texts: Sequence[str], fonts: Sequence[Path]) -> Result:
    """Draw strings alone, in black, with a font and its fallbacks."""
    typesetter = Typesetter(fonts, PIXEL_SIZE, ROWS)
    result = Result()
    for text, expected in zip(texts, ask("characters", texts, fonts), strict=True):
        result.add(text, _difference(typesetter, text, expected), expected.unknown)
    return result


def colours(texts: Sequence[str], fonts: Sequence[Path]) -> Result:
    """Draw strings alone, in colour; a difference of one in a value counts as equal."""
    typesetter = Typesetter(fonts, PIXEL_SIZE, ROWS, colour=True)
    result = Result()
    for text, expected in zip(texts, ask("characters", texts, fonts, rgb=True), strict=True):
        result.add(text, _difference(typesetter, text, expected, tolerance=1), expected.unknown)
    return result


def texts(renderer: TextRenderer, texts: Sequence[Text], kind: str = "bigrams", **options: Any) -> Result:
    """Draw whole texts on canvases: pixels, number of patches and starts of words."""
    result = Result()
    fonts = [renderer.font_file]
    for text, expected in zip(texts, ask(kind, texts, fonts, **options), strict=True):
        difference = _line_difference(renderer, text, expected, bool(options.get("rtl")))
        result.add(text, difference, expected.unknown)
    return result


def _difference(typesetter: Typesetter, text: str, expected: Character, tolerance: int = 0) -> str:
    strip = np.full_like(expected.pixels, 255)
    pen = MARGIN
    for ink in typesetter.draw(text):
        (stamp if strip.ndim == 2 else paint)(strip, pen + ink.left, ink)
        pen += ink.advance
    if pen - MARGIN != expected.width:
        return f"width {pen - MARGIN}, not {expected.width}"
    distance = np.abs(strip.astype(np.int16) - expected.pixels)
    return f"{(distance > tolerance).sum()} pixels" if distance.max() > tolerance else ""


def _line_difference(renderer: TextRenderer, text: Text, expected: Line, rtl: bool) -> str:
    encoding = renderer(text, rtl=rtl)
    if encoding.num_text_patches != expected.num_text_patches:
        return f"{encoding.num_text_patches} patches, not {expected.num_text_patches}"
    if renderer.strategy != "continuous" and list(encoding.word_starts) != expected.word_starts:
        return "starts of words"
    end = expected.pixels.shape[1]
    if not np.array_equal(encoding.pixel_values[:, :end], expected.pixels):
        return f"{(encoding.pixel_values[:, :end] != expected.pixels).sum()} pixels"
    if bool((encoding.pixel_values[:, end:] == 255).all()) != expected.blank:
        return "ink behind the black patch"
    return ""


def sib200(shared: Path) -> dict[str, list[str]]:
    """All texts of every language of SIB-200."""
    found = {}
    for folder in sorted((shared / "data" / "sib200").iterdir()):
        lines = [
            line
            for part in ("train", "dev", "test")
            for line in (folder / f"{part}.tsv").read_text(encoding="utf-8").splitlines()[1:]
        ]
        found[folder.name] = [line.split("\t")[2] for line in lines if line]
    return found


def treebanks(shared: Path) -> dict[str, list[list[str]]]:
    """The word lists of every UD test set."""
    files = sorted((shared / "data" / "ud").glob("*/*-test.conllu.gz"))
    return {file.parent.name: list(_sentences(file)) for file in files}


def _sentences(file: Path) -> Iterator[list[str]]:
    words: list[str] = []
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            fields = line.rstrip("\n").split("\t")
            if fields[0].isdigit():
                words.append(fields[1])
            elif fields == [""] and words:
                yield words
                words = []
    if words:
        yield words


def mixed(shared: Path, count: int, seed: int = 0) -> list[str]:
    """Strings of one to six chunks of different languages, of the Declaration of Human Rights and SIB-200."""
    sources: list[Sequence[str]] = [
        [line.split("\t")[1] for line in file.read_text(encoding="utf-8").splitlines()[1:] if "\t" in line]
        for file in sorted((shared / "data" / "udhr").glob("*.tsv"))
    ]
    sources += sib200(shared).values()
    dice = random.Random(seed)
    strings = []
    for _ in range(count):
        chunks = []
        for source in dice.sample(sources, dice.randint(1, 6)):
            text = dice.choice(source)
            start = dice.randrange(len(text))
            chunks.append(text[start : start + dice.randint(1, 40)])
        strings.append(dice.choice(["", " "]).join(chunks))
    return strings


def scripts(strings: Iterable[str]) -> set[str]:
    """The scripts that strings are written in, by the first word of their letters' names."""
    letters = {char for string in strings for char in string if char.isalpha()}
    names = {unicodedata.name(letter, "").split(" ")[0] for letter in letters}
    return names - {"", "MODIFIER", "IDEOGRAPHIC"}
