"""`pixel-m4 finetune`; :mod:`pixel_m4.finetune.arguments` reads its arguments.

What stands here is the help that most people need, from the sources alone: importing them takes seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from pixel_m4.cli.parts import TASKS, Formatter
from pixel_m4.cli.sources import helps, published_recipe, task_helps

NAME = "finetune"
_EXAMPLES = """examples:
  pixel-m4 finetune parsing --config configs/finetune-ud.yaml --data_dir UD_Maltese-MUDT \\
    --output_dir runs/maltese
  pixel-m4 finetune ner --data_dir swa --model_name_or_path Team-PIXEL/pixel-m4 --output_dir runs/swa

The published recipe of the task is the default; a --config file (YAML, options by name) comes before it, and
the command line before both. `pixel-m4 finetune TASK --help_all` lists every argument, also transformers'."""
# Of transformers, in our words.
TRAINER_HELP = {
    "output_dir": "folder for the model, its card, scores and predictions; needed",
    "config": "YAML file with options by name; default: none",
    "do_train": "train, true or false; default: train, evaluate and predict, unless one of them is given",
    "do_eval": "score on dev; default: see --do_train",
    "do_predict": "score on test, and write predictions; default: see --do_train",
    "max_steps": "optimizer steps; default: as published for the task",
    "num_train_epochs": "rounds through the data, instead of --max_steps",
    "per_device_train_batch_size": "sentences or texts of a step, on each device; default: as "
    "published for the task",
    "gradient_accumulation_steps": "batches that make one step; default: 1",
    "learning_rate": "highest learning rate; default: as published for the task",
    "warmup_steps": "steps in which the rate rises; below 1, their share of all steps; default: as "
    "published for the task",
    "eval_steps": "steps from one evaluation on dev to the next; default: as published for the task",
    "seed": "of new weights and the order of batches; default: 42",
    "bf16": "compute in bfloat16, true or false; default: true on GPUs that have it, else false",
}
_GROUPS = {
    "data": ("data_dir", "data_file", "split_seed", "dev_from_train"),
    "start": ("model_name_or_path", "config_name", "max_seq_length", "renderer"),
    "training": (
        *("max_steps", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps"),
        *("learning_rate", "muon_learning_rate", "warmup_steps", "dropout_prob", "eval_steps"),
        *("early_stopping_patience", "seed", "bf16", "do_train", "do_eval", "do_predict"),
    ),
    "run": ("output_dir", "overwrite_output_dir", "config"),
}


def configure(commands: Any) -> None:
    """Add the command; its parser is for help and completion alone."""
    parser = commands.add_parser(
        NAME,
        help="train a model on a task",
        usage="pixel-m4 finetune TASK --data_dir DIR --output_dir DIR [options]",
        description="Train a model on a task, keep the checkpoint that is best on dev, and score it on test. "
        "`pixel-m4 finetune TASK --help` has the options of a task and its published recipe. Without "
        "TASK, the "
        "file that --config names must have a line `task: …`.",
        epilog=_EXAMPLES,
        formatter_class=Formatter,
    )
    tasks = "; ".join(f"{name}: {what}" for name, what in TASKS.items())
    parser.add_argument("task", nargs="?", metavar="TASK", choices=list(TASKS), help=tasks)
    _add(parser, helps("parsing"), {}, _GROUPS)


def help_of(task: str) -> str:
    """The help of a task."""
    recipe = published_recipe(task)
    parser = argparse.ArgumentParser(
        prog=f"pixel-m4 finetune {task}",
        usage=f"pixel-m4 finetune {task} --data_dir DIR --output_dir DIR [options]",
        description=f"Train a model on {TASKS[task]}.",
        epilog=_EXAMPLES,
        formatter_class=Formatter,
    )
    own = tuple(task_helps(task))
    _add(parser, helps(task), recipe, {"data": _GROUPS["data"], "task": own, **_GROUPS})
    return parser.format_help()


def _add(
    parser: argparse.ArgumentParser,
    texts: dict[str, str],
    recipe: dict[str, object],
    groups: Mapping[str, Sequence[str]],
) -> None:
    for title, names in groups.items():
        group = parser.add_argument_group(title)
        for name in names:
            text = TRAINER_HELP.get(name) or texts[name]
            if name in recipe:
                text = f"{text.split('; default')[0]}; default: {recipe[name]}, as published"
            group.add_argument(f"--{name}", metavar="…", help=text.replace("%", "%%"))


def run(task: str | None, rest: Sequence[str], quiet: bool) -> None:
    """Do it."""
    from pixel_m4.finetune.run import main

    main(task, rest, quiet=quiet)
