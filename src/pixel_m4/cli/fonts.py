"""`pixel-m4 fonts`."""

from __future__ import annotations

import argparse
from typing import Any

from pixel_m4.cli.parts import add_fonts, new_parser

NAME = "fonts"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "show the fonts that are used, and fetch the default one",
        "Show which fonts text is drawn with and how many characters each has; the default font is "
        "fetched once.",
        ["pixel-m4 fonts", "pixel-m4 fonts --fallback_fonts_dir my-fonts"],
    )
    add_fonts(parser, "GoNotoCurrent.ttf")


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.console.screen import plain_console
    from pixel_m4.render.fonts import FONT_SHA256, cached_font, find_fallback_fonts, find_font, sha256
    from pixel_m4.render.glyphs import FontFace

    console = plain_console()
    font = find_font(arguments.font_file)
    digest = sha256(font)
    faces = [FontFace(path, 40 / 3) for path in [font, *find_fallback_fonts(arguments.fallback_fonts_dir)]]
    for face in faces:
        console.print(f"{face.path}  {len(face.coverage):,} code points")
    verdict = "the font of published checkpoints" if digest == FONT_SHA256 else "not the published font"
    console.print(f"SHA-256 {digest} ({verdict})")
    console.print(f"cache   {cached_font()}")
