"""Digests of what the renderer draws, small enough to keep beside the tests.

python tests/golden/rendering_digests.py [--write]

Without ``--write`` it prints the cases whose digests differ from ``rendering_digests.json``.  Write them anew
only after a change of pixels that is wanted, and when the published renderer's pixels
(``test_rendering_goldens.py``, ``test_pango_oracle.py``) are equal: the digests are our own renderer's, and
were taken when these were.  The file says of which versions they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import freetype
import numpy as np
import uharfbuzz as hb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oracle.colr import colour_font
from pixel_m4.render import Encoding, TextRenderer
from pixel_m4.render.fonts import FONT_SHA256, find_font
from pixel_m4.render.images import picture

FILE = Path(__file__).with_suffix(".json")

LATIN = "jjj fff Ŵįly AVA, (2009.) quäkt; l'été, Wow!"
CYRILLIC = "Моя кішка любить вівсянку, їй-богу."
DEVANAGARI = "मेरी बिल्ली को दलिया पसंद है। क्षत्रिय"
HAN = "我的猫喜欢燕麦片。カタカナー 한국어 abc"
THAI = "แมวของฉันชอบข้าวโอ๊ต"
ARABIC = "قطتي تحب (دقيق) الشوفان، وتأكل ٣ أطباق من Python 3.12"
HEBREW = "החתול שלי אוהב (שיבולת) שועל, 100% abc"
MIXED = "abc קטע def (עברית) 12-34 العربية e\u0301"
# Scripts that the auto-hinter of the wheel would draw in another way.
HINTED = "বাংলা བཀྲ་ཤིས ಕನ್ನಡ සිංහල ខ្មែរ"

CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "bigrams, Latin": ({}, LATIN, {}),
    "bigrams, Cyrillic": ({}, CYRILLIC, {}),
    "bigrams, Devanagari": ({}, DEVANAGARI, {}),
    "bigrams, Han, Kana, Hangul": ({}, HAN, {}),
    "bigrams, Thai": ({}, THAI, {}),
    "bigrams, Arabic": ({}, ARABIC, {}),
    "bigrams, Hebrew": ({}, HEBREW, {}),
    "bigrams, hinted scripts": ({}, HINTED, {}),
    "bigrams, words of a list, Hebrew": ({}, HEBREW.split(), {}),
    "bigrams, forced right-to-left": ({}, LATIN, {"rtl": True}),
    "bigrams, pair": ({}, ("Which one?", LATIN), {}),
    "bigrams, pair, right-to-left": ({}, (HEBREW, ARABIC), {}),
    "bigrams, truncated": ({"max_seq_length": 24}, LATIN, {}),
    "bigrams, limits of a pair": ({"max_seq_length": 32}, (LATIN, CYRILLIC), {"text_a_max_length": 9}),
    "bigrams, a word longer than the canvas": ({"max_seq_length": 12}, "W" * 50, {}),
    "bigrams, a word at the last patch": ({"max_seq_length": 12}, "ab " * 12, {}),
    "bigrams, RGB": ({"rgb": True}, DEVANAGARI, {}),
    "bigrams, RGB, colours": ({"rgb": True, "font_file": "COLOURS"}, "aab ba", {}),
    "bigrams, large": ({"font_size": 12, "dpi": 100, "pixels_per_patch": 24}, LATIN, {}),
    "words, Latin": ({"strategy": "words"}, LATIN, {}),
    "words, mixed directions": ({"strategy": "words"}, MIXED, {}),
    "graphemes, Devanagari": ({"strategy": "graphemes"}, DEVANAGARI, {}),
    "adaptive, mixed": ({"strategy": "adaptive"}, f"{HAN} {MIXED}", {}),
    "continuous, Latin": ({"strategy": "continuous"}, LATIN, {}),
    "continuous, mixed directions": ({"strategy": "continuous"}, MIXED, {}),
    "continuous, pair": ({"strategy": "continuous"}, (CYRILLIC, DEVANAGARI), {}),
}


def digest(*parts: Any) -> str:
    """SHA-256 of arrays and numbers, shapes included."""
    state = hashlib.sha256()
    for part in parts:
        array = np.ascontiguousarray(part)
        state.update(f"{array.dtype.kind} {array.shape}".encode())
        state.update((array.astype("<i8") if array.dtype.kind == "i" else array).tobytes())
    return state.hexdigest()


def of_encoding(encoding: Encoding) -> dict[str, Any]:
    """What is kept of an encoding: pixels and the picture with marks as digests, places as they are."""
    size = encoding.pixel_values.shape[0]
    shown = encoding.pixel_values[:, : (encoding.num_text_patches + 1) * size]
    assert (encoding.pixel_values[:, shown.shape[1] :] == 255).all()
    return {
        "num_text_patches": encoding.num_text_patches,
        "word_starts": encoding.word_starts,
        "sep_patches": encoding.sep_patches,
        "pixels": digest(shown),
        "picture": digest(np.asarray(picture(encoding, columns=8, scale=1, masked=[1]))),
    }


def compute() -> Iterator[tuple[str, dict[str, Any], TextRenderer, Any, dict[str, Any]]]:
    """Draw all cases: name, what is kept, and the renderer, the text and the options for further checks."""
    with tempfile.TemporaryDirectory() as folder:
        colours = colour_font(find_font(), {"a": ("I", "-")}, Path(folder) / "colours.ttf")
        for name, (options, text, call) in CASES.items():
            if options.get("font_file") == "COLOURS":
                options = {**options, "font_file": colours}
            renderer = TextRenderer(**options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield name, of_encoding(renderer(text, **call)), renderer, text, call


def versions() -> dict[str, str]:
    """Of all that pixels come from."""
    return {
        "font (SHA-256)": FONT_SHA256,
        "FreeType": ".".join(map(str, freetype.version())),
        "HarfBuzz": hb.version_string(),
        "Unicode of Python": unicodedata.unidata_version,
    }


def main() -> None:
    """Print what differs, or write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the file anew")
    arguments = parser.parse_args()
    found = {name: kept for name, kept, *_ in compute()}
    if arguments.write:
        content = {"made by": "python tests/golden/rendering_digests.py --write", "versions": versions()}
        content["cases"] = found  # type: ignore[assignment]
        lines = json.dumps(content, indent=1, ensure_ascii=False)
        FILE.write_text(lines + "\n", encoding="utf-8")
        return
    expected = json.loads(FILE.read_text(encoding="utf-8"))["cases"]
    differ = [name for name in found if found[name] != expected.get(name)]
    print("\n".join(differ) or "all are equal")


if __name__ == "__main__":
    main()
