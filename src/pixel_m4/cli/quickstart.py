"""`pixel-m4 quickstart`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import new_parser

NAME = "quickstart"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "teach pixel-m4-ud languages that it has never seen, and show it at work",
        "Fine-tune the parser and tagger of the package on a small treebank, about a minute on one "
        "core, and show "
        "scores before and after, a parse, and a report with pictures.",
        ["pixel-m4 quickstart", "pixel-m4 quickstart --data_dir UD_Maltese-MUDT --output_dir runs/maltese"],
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        help="folder with a treebank (CoNLL-U files of train, dev and test, with parts of speech); default: "
        "the embedded one, of Azerbaijani, Galician, Tatar and Ukrainian",
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        default=Path("quickstart"),
        help="folder for the parser and the report; default: quickstart",
    )
    parser.add_argument("--max_steps", type=int, help="training steps; default: 300")


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.quickstart.run import run as quickstart

    quickstart(arguments.data_dir, arguments.output_dir, arguments.max_steps)
