"""`pixel-m4 evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import new_parser
from pixel_m4.cli.predict import add_settings, settings_of

NAME = "evaluate"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "score a fine-tuned model on other data",
        "Score a fine-tuned model on annotated data. Options of its task, as `pixel-m4 finetune TASK "
        "--help` lists "
        "them, may follow; default: those that it was trained with.",
        [
            "pixel-m4 evaluate runs/my-parser --data_dir UD_Maltese-MUDT",
            "pixel-m4 evaluate runs/my-tagger --file news.conllu --output_dir runs/news",
        ],
    )
    parser.add_argument(
        "model", help="a model folder, a hub name, or pixel-m4-ud, which comes with the package"
    )
    parser.add_argument("--data_dir", type=Path, help="folder of a data set; this or --file is needed")
    parser.add_argument(
        "--split",
        default="test",
        help="split of the folder: train, dev, test (default), or a name such as validation_mismatched",
    )
    parser.add_argument("--file", type=Path, help="a single file of data instead of a folder")
    parser.add_argument(
        "--output_dir",
        type=Path,
        help="folder for eval_results.json and the predictions; default: none are written",
    )
    add_settings(parser)


def run(arguments: argparse.Namespace, rest: Sequence[str]) -> None:
    """Do it; what the parser does not know are options of the task."""
    from pixel_m4.predict.run import evaluate

    evaluate(
        arguments.model,
        settings_of(arguments),
        data_dir=arguments.data_dir,
        split=arguments.split,
        file=arguments.file,
        output_dir=arguments.output_dir,
        task_arguments=rest,
        overwrite=arguments.overwrite,
    )
