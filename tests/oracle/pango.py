"""Draw with PangoCairo as the published renderer does: the slow, obvious reference of tests and benchmarks.

Nothing here comes from the package.  Drawing runs as a program in a process of its own, since the FreeType of
the wheel, once loaded, would also serve Pango; :func:`ask` starts it:

    answers = ask("bigrams", ["a text", ["some", "words"]], fonts=[font])

Kinds: ``characters`` (each string laid out and drawn alone), ``bigrams`` (two characters a unit, each with a
layout of its own), ``words`` (each word one layout) and ``continuous`` (a whole line one layout).

Dimensions: N requests, W pixel columns, C channels (none if grey).
"""

from __future__ import annotations

import json
import os
import string
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

# As Debian has it: slight hinting, and bitmap fonts scaled.
FONT_CONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <match target="pattern"><edit name="hintstyle" mode="append"><const>hintslight</const></edit></match>
  <match target="font">
    <test name="outline"><bool>false</bool></test>
    <edit name="matrix" mode="assign">
      <times>
        <name>matrix</name>
        <matrix>
          <divide><name target="pattern">pixelsize</name><name target="font">pixelsize</name></divide>
          <double>0</double>
          <double>0</double>
          <divide><name target="pattern">pixelsize</name><name target="font">pixelsize</name></divide>
        </matrix>
      </times>
    </edit>
  </match>
</fontconfig>
"""

PATCH = 16
MARGIN = 16  # ink left of the pen of a lone character is seen, too
CONTINUOUS_MARGIN = 2
BATCH = 4096

Text = str | list[str] | tuple[str, str]


@dataclass(frozen=True)
class Line:
    """One text drawn: what lies right of the black patch is white if ``blank`` says so.

    Attributes:
        pixels: uint8 [16, W, C] up to the end of the black patch.
        num_text_patches: patches before the black one.
        word_starts: first patch of each drawn word, and the first one after the last.
        blank: the canvas is white behind.
        unknown: characters without a glyph.
    """

    pixels: Any
    num_text_patches: int
    word_starts: list[int]
    blank: bool
    unknown: int


@dataclass(frozen=True)
class Character:
    """One string drawn alone, the pen at column ``MARGIN``; pixels are uint8 [16, W, C]."""

    pixels: Any
    width: int
    unknown: int


def available() -> str:
    """Why PangoCairo cannot be asked; empty if it can."""
    probe = (
        "import gi, cairo\n"
        "gi.require_version('Pango', '1.0')\n"
        "gi.require_version('PangoCairo', '1.0')\n"
        "from gi.repository import Pango, PangoCairo\n"
        "assert Pango.version_string().startswith('1.50.'), f'Pango {Pango.version_string()}, not 1.50'\n"
    )
    try:
        subprocess.run(["fc-scan", "--version"], capture_output=True, check=True)
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"fontconfig's fc-scan does not run: {error}"
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def ask(kind: str, texts: Sequence[Text], fonts: Sequence[Path], **options: Any) -> Iterator[Any]:
    """Draw texts in a process of its own; yield a :class:`Line` or :class:`Character` for each.

    Args:
        kind: ``characters``, ``bigrams``, ``words`` or ``continuous``.
        texts: strings or word lists.
        fonts: the main font and its fallbacks, in the order in which they are tried.
        options: ``max_seq_length``, ``rgb``, ``rtl``, ``font_size``.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        requests, answers = Path(folder) / "requests.json", Path(folder) / "answers.npz"
        for start in range(0, len(texts), BATCH):
            request = {
                "kind": kind,
                "texts": texts[start : start + BATCH],
                "fonts": [str(font) for font in fonts],
            }
            requests.write_text(json.dumps({**request, "options": options}), encoding="utf-8")
            subprocess.run([sys.executable, __file__, str(requests), str(answers)], check=True)
            with np.load(answers) as answer:
                parts = np.split(answer["pixels"], np.cumsum(answer["columns"])[:-1], axis=1)
                unknown = answer["unknown"].tolist()
                if kind == "characters":
                    yield from map(Character, parts, answer["width"].tolist(), unknown)
                    continue
                starts = np.split(answer["word_starts"], np.cumsum(answer["words"])[:-1])
                patches, blank = answer["num_text_patches"].tolist(), answer["blank"].tolist()
                yield from map(Line, parts, patches, [part.tolist() for part in starts], blank, unknown)


class PangoOracle:
    """PangoCairo with exactly the given fonts, which are tried in their order."""

    def __init__(
        self,
        fonts: Sequence[Path],
        font_size: float = 8,
        dpi: float = 120,
        max_seq_length: int = 529,
        rgb: bool = False,
    ) -> None:
        self.max_seq_length = max_seq_length
        self.rgb = rgb
        self._folder = tempfile.TemporaryDirectory()
        fonts_folder = Path(self._folder.name) / "fonts"
        fonts_folder.mkdir()
        for number, font in enumerate(fonts):
            (fonts_folder / f"{number:03}-{font.name}").symlink_to(font.resolve())
        config = Path(self._folder.name) / "fonts.conf"
        cache = Path(self._folder.name) / "cache"
        config.write_text(FONT_CONFIG.format(fonts=escape(str(fonts_folder)), cache=cache), encoding="utf-8")
        # Read by fontconfig when Pango makes its first font map.
        os.environ["FONTCONFIG_FILE"] = str(config)

        import gi

        gi.require_version("Pango", "1.0")
        gi.require_version("PangoCairo", "1.0")
        import cairo
        from gi.repository import Pango, PangoCairo

        self._cairo, self._pango, self._pango_cairo = cairo, Pango, PangoCairo
        font_map = PangoCairo.font_map_new()
        font_map.set_resolution(dpi)
        self._context = font_map.create_context()
        self.description = Pango.FontDescription()
        self.description.set_family(",".join(family_name(font) for font in fonts))
        self.description.set_size(round(font_size * Pango.SCALE))
        self._layouts: dict[str, tuple[Any, int, int]] = {}

    def layout(self, text: str) -> tuple[Any, int, int]:
        """A layout of one text, its width and its height in pixels."""
        known = self._layouts.get(text)
        if known is None:
            layout = self._pango.Layout(self._context)
            layout.set_font_description(self.description)
            layout.set_text(text, -1)
            known = self._layouts[text] = (layout, *layout.get_pixel_size())
        return known

    def width(self, text: str) -> int:
        """Pixels that the pen moves on."""
        return self.layout(text)[1]

    def unknown(self, text: str) -> int:
        """How many characters have no glyph."""
        return self.layout(text)[0].get_unknown_glyphs_count()

    def surface(self, columns: int) -> tuple[Any, Any]:
        """A white canvas of one patch's height, and its context."""
        surface = self._cairo.ImageSurface(self._cairo.FORMAT_RGB24, columns, PATCH)
        context = self._cairo.Context(surface)
        context.set_source_rgb(1, 1, 1)
        context.paint()
        context.set_source_rgb(0, 0, 0)
        return surface, context

    def draw(self, context: Any, text: str, x: int) -> int:
        """Draw a text with the pen at column x; return its width in pixels."""
        layout, width, height = self.layout(text)
        context.move_to(x, PATCH / 2 - height / 2 - 2)
        self._pango_cairo.show_layout(context, layout)
        return width

    def pixels(self, surface: Any) -> Any:
        """uint8 [16, W, C]: what a canvas holds."""
        import numpy as np

        surface.flush()
        data = np.frombuffer(surface.get_data(), np.uint8).reshape(PATCH, surface.get_stride() // 4, 4)
        data = data[:, : surface.get_width()]
        return data[..., 2::-1].copy() if self.rgb else data[..., 1].copy()

    def character(self, text: str) -> Character:
        """Draw one string alone."""
        surface, context = self.surface(self.width(text) // PATCH * PATCH + 6 * PATCH)
        width = self.draw(context, text, MARGIN)
        return Character(self.pixels(surface), width, self.unknown(text))

    def line(self, kind: str, text: str | list[str], rtl: bool = False) -> Line:
        """Draw one text as a line of patches that ends with a black one."""
        words = text.split() if isinstance(text, str) else text
        margin = 0
        if kind == "continuous":
            # The line is one unit between two margins; Pango finds its directions itself.
            cut = [[[" ".join(words)]]]
            margin = CONTINUOUS_MARGIN
        else:
            rtl = rtl or is_rtl(" ".join(words))
            if rtl and isinstance(text, str):
                words = words[::-1]
            cut = [units(word, rtl) if kind == "bigrams" else [[word]] for word in words]
        starts, end = [], 0
        for word in cut:
            starts.append(end // PATCH)
            for unit in word:
                end = round_up(end + sum(map(self.width, unit)) + 2 * margin)
        starts.append(end // PATCH)
        last = len(cut) - 1
        if starts[-1] > self.max_seq_length:
            while starts[last] > self.max_seq_length:
                last -= 1
            last = max(last - 1, 0)

        surface, context = self.surface(self.max_seq_length * PATCH)
        pen, word_starts = 0, []
        for number, word in enumerate(cut[: last + 1]):
            word_starts.append(pen // PATCH)
            if number == last and pen == (self.max_seq_length - 1) * PATCH:
                break
            for unit in word:
                pen += margin
                for run in unit:
                    pen += self.draw(context, run, pen)
                pen = round_up(pen + margin)
        word_starts.append(pen // PATCH)
        eos = min(pen, (self.max_seq_length - 1) * PATCH)
        context.rectangle(eos, 0, PATCH, PATCH)
        context.fill()
        pixels = self.pixels(surface)
        end = eos + PATCH
        unknown = sum(self.unknown(run) for word in cut[: last + 1] for unit in word for run in unit)
        return Line(pixels[:, :end], eos // PATCH, word_starts, bool((pixels[:, end:] == 255).all()), unknown)


def family_name(font: Path) -> str:
    """The family of a font file's first face, as fontconfig calls it."""
    format_ = ["--format", "%{family[0]}\n"]
    done = subprocess.run(
        ["fc-scan", *format_, str(font.resolve())], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[0].replace(",", "\\,")


def units(word: str, rtl: bool) -> list[list[str]]:
    """Two code points a unit; right-to-left, the units and the characters in them are turned round."""
    cut = [list(word[i : i + 2]) for i in range(0, len(word), 2)]
    return [unit[::-1] for unit in cut[::-1]] if rtl else cut


def is_rtl(text: str) -> bool:
    """Two of the first, last and middle letter are strong right-to-left ones."""
    ignored = string.punctuation + string.digits
    letters = [char for char in text if not char.isspace() and char not in ignored]
    if not letters:
        return False
    looked_at = [letters[0], letters[-1], letters[len(letters) // 2]]
    return sum(unicodedata.bidirectional(letter) in ("R", "AL") for letter in looked_at) >= 2


def round_up(columns: int) -> int:
    """The next patch border."""
    return -(-columns // PATCH) * PATCH


def main() -> None:
    """Answer a file of requests."""
    import numpy as np

    requests, answers = map(Path, sys.argv[1:])
    request = json.loads(requests.read_text(encoding="utf-8"))
    rtl = request["options"].pop("rtl", False)
    oracle = PangoOracle([Path(font) for font in request["fonts"]], **request["options"])
    if request["kind"] == "characters":
        drawn = [oracle.character(text) for text in request["texts"]]
        more = {"width": [one.width for one in drawn]}
    else:
        drawn = [oracle.line(request["kind"], text, rtl) for text in request["texts"]]
        more = {
            "num_text_patches": [line.num_text_patches for line in drawn],
            "word_starts": [start for line in drawn for start in line.word_starts],
            "words": [len(line.word_starts) for line in drawn],
            "blank": [line.blank for line in drawn],
        }
    np.savez(
        answers,
        pixels=np.concatenate([one.pixels for one in drawn], axis=1),
        columns=[one.pixels.shape[1] for one in drawn],
        unknown=[one.unknown for one in drawn],
        **more,
    )


if __name__ == "__main__":
    main()
