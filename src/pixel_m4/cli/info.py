"""`pixel-m4 info`."""

from __future__ import annotations

import argparse
from typing import Any

from pixel_m4.cli.parts import add_revision, new_parser

NAME = "info"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "show the sizes, the cost and the settings of a checkpoint",
        "Show what a checkpoint is: sizes, labels, renderer, weights, and what a sequence costs.",
        ["pixel-m4 info pixel-m4-ud", "pixel-m4 info base --max_seq_length 256"],
    )
    parser.add_argument("checkpoint", help="a folder, a hub name, or a size: base, large, small, tiny, nano")
    parser.add_argument(
        "--max_seq_length", type=int, help="patches to count operations for; default: the model's maximum"
    )
    add_revision(parser)


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.info.run import info

    info(arguments.checkpoint, arguments.max_seq_length)
