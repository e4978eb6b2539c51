"""`pixel-m4 fill`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import OVERWRITE_HELP, RENDERER_HELP, add_fonts, add_picture, add_revision, new_parser

NAME = "fill"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "hide parts of a text, let a model paint them, and read what it painted",
        "Hide parts of a text, let a pretrained model reconstruct them, and read its pixels back. "
        "[MASK] in a text "
        "is a hole of 2 patches (3 or 4 letters, 1 or 2 Han characters), [MASK:5] one of 5; or let "
        "words, strings, "
        "patches or random spans of a known text be hidden. "
        "Readings are sequences of known units (what starts a patch: mostly two characters). Their "
        "distance is "
        "the pretraining loss they would have; their probability is among all sequences that fill the"
        " gap. The "
        "picture shows three strips of every text: original, masked, reconstructed.",
        [
            'pixel-m4 fill "My [MASK] loves oatmeal."',
            'pixel-m4 fill "My cat loves oatmeal." --mask_words 2 --output cat.png',
        ],
    )
    parser.add_argument("text", nargs="*", help="texts; default: lines of --file or of the standard input")
    parser.add_argument(
        "--file", type=Path, help="a file of texts, one a line (UTF-8); default: standard input"
    )
    parser.add_argument(
        "--model",
        default="pixel-m4-tiny",
        help="a pretraining checkpoint: a folder or a hub name; default: pixel-m4-tiny, of the package",
    )
    parser.add_argument(
        "--mask_words",
        default="",
        help="numbers of words to hide, such as 2,4-5; the first is 1; default: none",
    )
    parser.add_argument(
        "--mask", action="append", default=[], help="a word or other string to hide; repeatable"
    )
    parser.add_argument(
        "--mask_patches",
        default="",
        help="numbers of patches to hide, such as 3-5,9; the first is 0; default: none",
    )
    parser.add_argument(
        "--mask_ratio", type=float, help="share of the patches to hide in random spans; default: none"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random spans; default: 0")
    parser.add_argument(
        "--units",
        type=Path,
        help="a file of text whose units may be read (the 65,536 most frequent); default: the units of the "
        "texts, and all that their letters, their alphabets, digits and punctuation can make (for Han and "
        "Hangul only the characters of the texts: give --units)",
    )
    parser.add_argument("--top", type=int, default=5, help="readings to show; default: 5")
    parser.add_argument(
        "--temperature",
        type=float,
        default=8.0,
        help="how many neighbouring pixels count as one in probabilities; default: 8",
    )
    parser.add_argument("--output", type=Path, help="a .png file; default: a preview in the terminal")
    parser.add_argument("--overwrite", action="store_true", help=OVERWRITE_HELP)
    parser.add_argument("--json", action="store_true", help="print a JSON object a text, and no preview")
    add_picture(parser)
    add_fonts(parser, "the checkpoint's")
    add_revision(parser)
    parser.add_argument("--renderer", help=RENDERER_HELP)


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.fill.hiding import Hiding
    from pixel_m4.fill.run import FillOptions
    from pixel_m4.fill.run import run as fill
    from pixel_m4.render.show import numbers

    hiding = Hiding(
        words=numbers(arguments.mask_words, "words"),
        strings=arguments.mask,
        patches=numbers(arguments.mask_patches),
        ratio=arguments.mask_ratio,
        seed=arguments.seed,
    )
    given = vars(arguments)
    options = FillOptions(**{name: given[name] for name in FillOptions.__dataclass_fields__})
    fonts = ("font_file", "fallback_fonts_dir")
    fill(
        arguments.text,
        arguments.file,
        hiding,
        options,
        **{name: given[name] for name in fonts if given[name] is not None},
    )
