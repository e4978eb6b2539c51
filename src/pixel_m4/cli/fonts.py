"""`pixel-m4 fonts`: show, fetch, check."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import add_fonts, add_revision, new_parser

NAME = "fonts"
DEFAULT_FONT = "GoNotoCurrent.ttf"
_SUFFIXES = (".txt", ".tsv", ".csv", ".json", ".jsonl", ".conllu")


def configure(commands: Any) -> None:
    """Add the command and its actions."""
    parser = new_parser(
        commands,
        NAME,
        "show the fonts that are used, fetch them, check which ones a text needs",
        "Show which fonts text is drawn with and how many characters each has; the default font is "
        "fetched once. `fetch` fetches fonts, `check` tells which font draws which characters of a text.",
        [
            "pixel-m4 fonts",
            "pixel-m4 fonts fetch --fallback",
            "pixel-m4 fonts check texts.txt --fallback_fonts_dir noto",
        ],
    )
    add_fonts(parser, DEFAULT_FONT)
    actions = parser.add_subparsers(dest="action", required=False, metavar="ACTION")
    fetch = new_parser(
        actions,
        "fetch",
        "fetch the default font, and fallback fonts",
        "Fetch the default font, and with --fallback the Noto fonts for characters that it lacks, into the "
        "cache. A file is taken only if its SHA-256 is the known one; what is there is not fetched again.",
        ["pixel-m4 fonts fetch", "pixel-m4 fonts fetch --fallback"],
    )
    fetch.add_argument(
        "--fallback",
        action="store_true",
        help="fetch the Noto fallback fonts too, which --fallback_fonts_dir noto names afterwards; default: "
        "the default font alone",
    )
    check = new_parser(
        actions,
        "check",
        "tell which scripts a text needs, and which font draws what",
        "Tell which scripts a text has (tags of ISO 15924; Zyyy: of no script), which font draws its "
        "characters, and which ones no font has.",
        ['pixel-m4 fonts check "My cat 😸 loves 燕麦片"', "pixel-m4 fonts check texts.txt --per_character"],
    )
    check.add_argument(
        "text", help="a text; or a file of texts (plain, .gz, .xz, .bz2 or .zst); -: standard input"
    )
    check.add_argument(
        "--per_character", action="store_true", help="a row a character; default: a row a script and font"
    )
    check.add_argument(
        "--model",
        help="take the fonts of this checkpoint, a folder or a hub name; default: the published ones",
    )
    add_fonts(check, "the published one, or the model's")
    add_revision(check)


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    if arguments.action == "fetch":
        _fetch(arguments.fallback)
    elif arguments.action == "check":
        _check(arguments)
    else:
        _show(arguments)


def _show(arguments: argparse.Namespace) -> None:
    from pixel_m4.console.screen import plain_console
    from pixel_m4.render.fallbacks import FETCH, fetched_fallback_fonts, find_fallback_fonts, noto_folder
    from pixel_m4.render.fonts import FONT_SHA256, FontError, cached_font, find_font, sha256
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
    try:
        console.print(f"noto    {noto_folder()}, {len(fetched_fallback_fonts())} fallback fonts")
    except FontError:
        console.print(f"noto    the Noto fallback fonts are not fetched: {FETCH}")


def _fetch(fallback: bool) -> None:
    from pixel_m4.console.screen import plain_console
    from pixel_m4.render.fallbacks import NOTO, fetch_fallback_fonts, noto_folder
    from pixel_m4.render.fonts import fetch_font

    console = plain_console()
    console.print(f"{fetch_font()}")
    if fallback:
        fonts = fetch_fallback_fonts()
        size = sum(font.stat().st_size for font in fonts)
        console.print(f"{noto_folder()}: {len(fonts)} fonts, {size / 1e6:.1f} MB (SIL Open Font License 1.1)")
        console.print(f"use them with --fallback_fonts_dir {NOTO}")


def _check(arguments: argparse.Namespace) -> None:
    from pixel_m4.files import read_lines, stdin_lines
    from pixel_m4.render import TextRenderer
    from pixel_m4.render.coverage import check

    names = ("font_file", "fallback_fonts_dir")
    options = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    model = arguments.model
    renderer = TextRenderer(**options) if model is None else TextRenderer.from_pretrained(model, **options)
    texts: Iterable[str]
    if arguments.text == "-":
        texts = stdin_lines()
    elif _is_file(arguments.text):
        texts = read_lines(Path(arguments.text))
    elif _is_named_like_a_file(arguments.text):
        raise FileNotFoundError(
            f"there is no file {arguments.text}; a text that ends so can be given by standard input: -"
        )
    else:
        texts = [arguments.text]
    check(renderer, texts, per_character=arguments.per_character)


def _is_named_like_a_file(text: str) -> bool:
    """Whether a text looks like the name of a file that was meant."""
    from pixel_m4.files import COMPRESSED

    return len(text.split()) == 1 and text.lower().endswith((*_SUFFIXES, *COMPRESSED))


def _is_file(text: str) -> bool:
    """Whether a text is the name of a file; texts that no name can be are none."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False
