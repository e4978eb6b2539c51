"""`pixel-m4 export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import OVERWRITE_HELP, RENDERER_HELP, add_revision, new_parser

NAME = "export"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "write a checkpoint as ONNX, checked against PyTorch",
        "Write a checkpoint as ONNX, after a check that it says the same as PyTorch. The file of a model "
        "that was fine-tuned holds task, labels and renderer, too: `pixel-m4 predict` uses it without "
        "loading PyTorch.",
        ["pixel-m4 export pixel-m4-ud parser.onnx", "pixel-m4 export runs/my-parser parser.onnx --int8"],
    )
    parser.add_argument("checkpoint", help="a folder or a hub name")
    parser.add_argument("output", type=Path, help="the file to write, .onnx")
    parser.add_argument("--overwrite", action="store_true", help=OVERWRITE_HELP)
    parser.add_argument(
        "--int8",
        action="store_true",
        help="write matrix products in eight bits, and print what that costs; default: float32",
    )
    parser.add_argument("--task", help="the task, for models that do not say theirs; default: the model's")
    parser.add_argument("--renderer", help=RENDERER_HELP)
    add_revision(parser)


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.info.run import export

    export(
        arguments.checkpoint,
        arguments.output,
        arguments.int8,
        arguments.renderer,
        arguments.task,
        overwrite=arguments.overwrite,
    )
