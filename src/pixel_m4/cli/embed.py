"""`pixel-m4 embed`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixel_m4.cli.parts import FALLBACK_HELP, OVERWRITE_HELP, RENDERER_HELP, add_revision, new_parser

if TYPE_CHECKING:
    from pixel_m4.analysis.states import Running

NAME = "embed"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "write a vector for each text",
        "Write a vector for each text, from any layer of any checkpoint. A line of a file or of the standard "
        "input is a text; what does not fit on the canvas is cut, with a warning.",
        [
            'pixel-m4 embed pixel-m4-tiny "The cat sleeps." "Le chat dort." --output cats.npy',
            "pixel-m4 embed runs/my-model --file texts.txt --output texts.parquet --layer 2 --pooling cls",
        ],
    )
    parser.add_argument("model", help="a model folder, a hub name, or a checkpoint of the package")
    parser.add_argument("text", nargs="*", help="texts; default: lines of --file or of the standard input")
    parser.add_argument("--file", type=Path, help="a file of texts, one a line; default: standard input")
    parser.add_argument(
        "--output", type=Path, required=True, help="the file to write: .npy, or .parquet with the texts"
    )
    parser.add_argument(
        "--layer", type=int, default=-1, help="number of the layer; 0: the embeddings; default: -1, the last"
    )
    add_states(parser)


def add_states(parser: argparse.ArgumentParser) -> None:
    """How texts become vectors; all analyses of vectors have this."""
    parser.add_argument(
        "--pooling",
        choices=("mean", "published", "cls", "first", "first_last_mean"),
        default="mean",
        help="how a text becomes one vector: mean of its patches (default); published: with CLS and the "
        "black patch; cls; first patch; first_last_mean: these three one after another",
    )
    add_running(parser)


def add_running(parser: argparse.ArgumentParser) -> None:
    """Where and how a model runs; all analyses have this."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps …; default: an accelerator if there is one")
    parser.add_argument(
        "--per_device_eval_batch_size", type=int, default=32, help="texts of a batch; default: 32"
    )
    parser.add_argument("--renderer", help=RENDERER_HELP)
    parser.add_argument("--fallback_fonts_dir", help=FALLBACK_HELP)
    add_revision(parser)
    parser.add_argument("--overwrite", action="store_true", help=OVERWRITE_HELP)


def running(arguments: argparse.Namespace) -> Running:
    """The options of `add_running`, but for `--overwrite`."""
    from pixel_m4.analysis.states import Running

    return Running(
        device=arguments.device,
        batch_size=arguments.per_device_eval_batch_size,
        renderer=arguments.renderer,
        fallback_fonts_dir=arguments.fallback_fonts_dir,
    )


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.analysis.vectors import embed

    embed(
        arguments.model,
        arguments.text,
        arguments.file,
        arguments.output,
        layer=arguments.layer,
        pooling=arguments.pooling,
        running=running(arguments),
        overwrite=arguments.overwrite,
    )
