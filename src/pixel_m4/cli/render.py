"""`pixel-m4 render`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import OVERWRITE_HELP, add_fonts, add_picture, add_revision, new_parser
from pixel_m4.console.errors import UserError

NAME = "render"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "draw text as patches: to PNG, to .npz, or in the terminal",
        "Draw text as patches, as a model sees it. A line of a file or of the standard input is a text.",
        [
            'pixel-m4 render "My cat loves oatmeal." --borders',
            "pixel-m4 render --file text.txt --output text.png",
        ],
    )
    parser.add_argument("text", nargs="*", help="texts; default: lines of --file or of the standard input")
    parser.add_argument(
        "--file", type=Path, help="a file of texts, one a line (UTF-8); default: standard input"
    )
    parser.add_argument("--output", type=Path, help="a .png or .npz file; default: a preview in the terminal")
    parser.add_argument("--overwrite", action="store_true", help=OVERWRITE_HELP)
    add_picture(parser)
    parser.add_argument("--word_starts", action="store_true", help="mark the patch that a word starts on")
    parser.add_argument("--masked", default="", help="patches to cover in grey, such as 3-5,9; default: none")
    parser.add_argument(
        "--model",
        help="take the renderer of this checkpoint, a folder or a hub name; default: the published one",
    )
    parser.add_argument(
        "--strategy",
        help="how text is cut: bigrams, words, graphemes, adaptive or continuous; default: bigrams",
    )
    parser.add_argument("--max_seq_length", type=int, help="patches of a canvas; default: 529")
    parser.add_argument(
        "--rgb", action="store_true", default=None, help="three channels, emoji in colour; default: grey"
    )
    add_fonts(parser, "GoNotoCurrent.ttf")
    add_revision(parser)


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.files import refuse_existing
    from pixel_m4.render import TextRenderer
    from pixel_m4.render.show import numbers, preview, read_texts, save_npz, save_png

    if arguments.output is not None:
        if arguments.output.suffix not in (".npz", ".png"):
            raise UserError(f"--output must end in .png or .npz: {arguments.output}")
        refuse_existing(arguments.output, arguments.overwrite)
    names = ("strategy", "max_seq_length", "rgb", "font_file", "fallback_fonts_dir")
    options = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    from_model = arguments.model is not None
    renderer = (
        TextRenderer.from_pretrained(arguments.model, **options) if from_model else TextRenderer(**options)
    )
    texts = arguments.text or read_texts(arguments.file)
    if arguments.output is not None and arguments.output.suffix == ".npz":
        save_npz(renderer, texts, arguments.output, rtl=arguments.rtl)
    else:
        show = save_png if arguments.output is not None else preview
        show(
            [renderer(text, rtl=arguments.rtl) for text in texts],
            arguments.output,
            columns=arguments.columns,
            scale=arguments.scale,
            borders=arguments.borders,
            word_starts=arguments.word_starts,
            masked=numbers(arguments.masked),
        )
