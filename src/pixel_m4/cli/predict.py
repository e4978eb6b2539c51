"""`pixel-m4 predict`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import OVERWRITE_HELP, RENDERER_HELP, add_fonts, add_revision, new_parser

NAME = "predict"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "annotate text with a fine-tuned model",
        "Annotate raw text, or files in the task's format, with a fine-tuned model. A line of raw text is a "
        "sentence; words end at white space and at the word boundaries of Unicode (UAX 29), so that "
        "punctuation "
        "is split from them. Text in scripts without spaces, such as Chinese or Thai, is not cut into words.",
        [
            'echo "The cat sleeps." | pixel-m4 predict pixel-m4-ud',
            "pixel-m4 predict runs/my-parser text.txt --output text.conllu.gz",
        ],
    )
    parser.add_argument(
        "model",
        help="a model folder, a hub name, an .onnx file that pixel-m4 export wrote, or pixel-m4-ud, which "
        "comes with the package",
    )
    parser.add_argument(
        "file", nargs="?", help="text (plain, .gz, .xz, .bz2 or .zst); default or -: standard input"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="the file to write, compressed if its name ends in .gz, .xz, .bz2 or .zst; default: standard "
        "output",
    )
    parser.add_argument(
        "--input_format",
        choices=("auto", "text", "tokens", "columns"),
        default="auto",
        help="text: raw text, a sentence a line; tokens: text whose words already stand between spaces; "
        "columns: the task's own files, such as CoNLL-U; default: auto, what the first lines surely are",
    )
    parser.add_argument(
        "--skip_bad_rows",
        action="store_true",
        help="leave out sentences or rows that cannot be read, and tell how many and which; default: the "
        "first one is an error",
    )
    add_settings(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """How a saved model is run; `predict` and `evaluate` have this."""
    parser.add_argument("--overwrite", action="store_true", help=OVERWRITE_HELP)
    parser.add_argument("--task", help="the task, for models that do not say theirs; default: the model's")
    parser.add_argument(
        "--per_device_eval_batch_size", type=int, default=32, help="texts of a batch; default: 32"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps …; default: an accelerator if there is one")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16; default: in float32")
    add_fonts(parser, "the model's")
    add_revision(parser)
    parser.add_argument("--renderer", help=RENDERER_HELP)


def settings_of(arguments: argparse.Namespace) -> Any:
    """What :func:`add_settings` added, for the room."""
    from pixel_m4.predict.run import Settings

    return Settings(
        task=arguments.task,
        batch_size=arguments.per_device_eval_batch_size,
        device=arguments.device,
        bf16=arguments.bf16,
        font_file=arguments.font_file,
        fallback_fonts_dir=arguments.fallback_fonts_dir,
        renderer=arguments.renderer,
    )


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.predict.run import predict

    predict(
        arguments.model,
        None if arguments.file in (None, "-") else Path(arguments.file),
        arguments.output,
        settings_of(arguments),
        input_format=arguments.input_format,
        skip_bad_rows=arguments.skip_bad_rows,
        overwrite=arguments.overwrite,
    )
