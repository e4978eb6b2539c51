"""Draw characters with PangoCairo as the published renderer does: an oracle for tests and benchmarks.

Run as a program in a process of its own: the FreeType of the wheel, once loaded, would also serve Pango.

    python tests/oracle/pango.py FONT.ttf REQUESTS.json ANSWERS.npz

REQUESTS.json is a list of strings, each laid out and drawn alone.  ANSWERS.npz holds ``width`` [N], the pixel
widths of their layouts, and ``pixels`` [N, 16, 16 * patches], black on white, the pen starting at column 16
so that ink left of it is seen, too.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

FONT_CONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  {dirs}
  <cachedir>{cache}</cachedir>
  <match target="pattern"><edit name="hintstyle" mode="append"><const>hintslight</const></edit></match>
</fontconfig>
"""

PATCH = 16
MARGIN = 16


class PangoOracle:
    """Characters laid out and drawn one by one, as the published renderer draws its bigrams."""

    def __init__(self, fonts: list[Path], font_size: float = 8, dpi: float = 120) -> None:
        self._folder = tempfile.TemporaryDirectory()
        fonts_folder = Path(self._folder.name) / "fonts"
        fonts_folder.mkdir()
        for font in fonts:
            (fonts_folder / font.name).symlink_to(font.resolve())
        config = Path(self._folder.name) / "fonts.conf"
        cache = Path(self._folder.name) / "cache"
        config.write_text(FONT_CONFIG.format(dirs=f"<dir>{escape(str(fonts_folder))}</dir>", cache=cache))
        # Read by fontconfig when Pango makes its first font map.
        os.environ["FONTCONFIG_FILE"] = str(config)

        import gi

        gi.require_version("Pango", "1.0")
        gi.require_version("PangoCairo", "1.0")
        import cairo
        from gi.repository import Pango, PangoCairo

        self._cairo, self._pango_cairo = cairo, PangoCairo
        font_map = PangoCairo.font_map_new()
        font_map.set_resolution(dpi)
        self._context = font_map.create_context()
        families = sorted(family.get_name() for family in font_map.list_families())
        wanted = [name for name in families if name not in ("Sans", "Serif", "Monospace", "System-ui")]
        self.description = Pango.FontDescription.from_string(f"{wanted[0]} {font_size:g}")
        self._pango = Pango

    def layout(self, text: str):
        """A fresh layout of one text."""
        layout = self._pango.Layout(self._context)
        layout.set_font_description(self.description)
        layout.set_text(text, -1)
        return layout

    def surface(self, patches: int):
        """A white canvas of one patch's height, and its context."""
        surface = self._cairo.ImageSurface(self._cairo.FORMAT_RGB24, patches * PATCH, PATCH)
        context = self._cairo.Context(surface)
        context.set_source_rgb(1, 1, 1)
        context.paint()
        context.set_source_rgb(0, 0, 0)
        return surface, context

    def draw(self, context, layout, x: int) -> int:
        """Draw a layout with the pen at column x; return its width in pixels."""
        width, height = layout.get_pixel_size()
        context.move_to(x, PATCH / 2 - height / 2 - 2)
        self._pango_cairo.show_layout(context, layout)
        return width

    def pixels(self, surface):
        """uint8 [16, W]: one channel of a canvas."""
        import numpy as np

        surface.flush()
        data = np.frombuffer(surface.get_data(), np.uint8)
        return data.reshape(PATCH, surface.get_stride() // 4, 4)[:, : surface.get_width(), 0].copy()


def main() -> None:
    """Answer a file of requests."""
    import numpy as np

    font, requests, answers = sys.argv[1:]
    oracle = PangoOracle([Path(font)])
    texts = json.loads(Path(requests).read_text(encoding="utf-8"))
    layouts = [oracle.layout(text) for text in texts]
    widths = [layout.get_pixel_size()[0] for layout in layouts]
    patches = (max(widths, default=0) + 2 * MARGIN) // PATCH + 2
    drawn = []
    for layout in layouts:
        surface, context = oracle.surface(patches)
        oracle.draw(context, layout, MARGIN)
        drawn.append(oracle.pixels(surface))
    np.savez_compressed(
        answers,
        width=np.array(widths, np.int64),
        pixels=np.array(drawn, np.uint8),
        unknown=np.array([layout.get_unknown_glyphs_count() for layout in layouts]),
        version=np.array(oracle._pango.version_string()),
    )


if __name__ == "__main__":
    main()
