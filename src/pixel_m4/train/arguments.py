"""Command-line arguments of training: Hugging Face names, published recipes as defaults, YAML recipes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import HfArgumentParser, TrainingArguments

from pixel_m4.tasks.base import Task, TaskOptions


@dataclass(frozen=True, kw_only=True)
class ModelArguments:
    """The model that training starts from, and its renderer."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "checkpoint to start from: a folder or a hub name; without it, random weights"},
    )
    config_name: str = field(
        default="base", metadata={"help": "size of a model with random weights: base, small, tiny or nano"}
    )
    config_overrides: str = field(
        default="",
        metadata={"help": "changes to the model's configuration: num_hidden_layers=6,hidden_size=192"},
    )
    line_positions: bool = field(
        default=False, metadata={"help": "random weights begin with places on a line, not on a square grid"}
    )
    look_at_neighbours: bool = field(
        default=False,
        metadata={"help": "with --line_positions, they begin with attention to the patches nearby"},
    )
    dropout_prob: float = field(default=0.1, metadata={"help": "dropout, also on attention probabilities"})
    max_seq_length: int = field(default=256, metadata={"help": "patches of a window; a perfect square"})
    font_file: str | None = field(default=None, metadata={"help": "font; default GoNotoCurrent.ttf"})
    fallback_fonts_dir: str | None = field(
        default=None, metadata={"help": "folder with fonts for characters that the font lacks"}
    )
    renderer: str | None = field(
        default=None,
        metadata={
            "help": "where the renderer comes from: a folder or hub name that has a renderer, or bigrams, "
            "words, graphemes, adaptive or continuous; default: the checkpoint, bigrams with new weights"
        },
    )

    def __post_init__(self) -> None:
        if self.look_at_neighbours and not self.line_positions:
            raise ValueError("--look_at_neighbours needs --line_positions true")


@dataclass(frozen=True, kw_only=True)
class FinetuneArguments(ModelArguments):
    """What is trained on what; everything else is in transformers' ``TrainingArguments``."""

    data_dir: str | None = field(
        default=None, metadata={"help": "folder with the train, dev and test files of the data set"}
    )
    data_file: str | None = field(
        default=None,
        metadata={
            "help": "one file instead of data_dir, divided into splits by a seeded shuffle; so is "
            "the only file of data_dir if it is not named after a split"
        },
    )
    split_seed: int = field(default=0, metadata={"help": "seed by which a single file is divided"})
    dev_share: float = field(default=0.1, metadata={"help": "share of a single file that becomes dev"})
    test_share: float = field(default=0.1, metadata={"help": "share of a single file that becomes test"})
    muon_learning_rate: float | None = field(
        default=None,
        metadata={"help": "let Muon train the matrices of the layers, at this rate (0.02); the rest as ever"},
    )
    shrink: float = field(
        default=1.0,
        metadata={
            "help": "multiply the matrices of the checkpoint's layers by this before training; 0.8 makes "
            "those that Muon trained learn new things sooner"
        },
    )
    dev_from_train: float = field(
        default=0.0,
        metadata={"help": "share of train to hold out as dev if the data has no dev split: 0.1; 0: an error"},
    )
    early_stopping_patience: int = field(
        default=5, metadata={"help": "stop after so many evaluations without a better score; 0: never"}
    )
    overwrite_output_dir: bool = field(
        default=False,
        metadata={
            "help": "delete the run that --output_dir holds and start anew; default: go on with a run of the "
            "same command that was stopped, and refuse any other folder that is not empty"
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.shrink > 0:
            raise ValueError(f"--shrink must be more than 0, got {self.shrink:g}")


def parse_arguments(
    command: str, task: type[Task], argv: Sequence[str]
) -> tuple[FinetuneArguments, TrainingArguments, TaskOptions]:
    """Parse the command line of a fine-tuning task.

    Precedence: command line, then ``--config`` file, then the published recipe.  Without ``--do_train``,
    ``--do_eval`` and ``--do_predict`` all three are done.

    Args:
        command: what ``--help`` calls the program.
        task: has a recipe and options of its own.
        argv: the command line after the task's name.

    Raises:
        ValueError: the YAML file is no mapping, or holds a name that is no argument.
        SystemExit: the command line is wrong (argparse has printed why).
    """
    groups = (FinetuneArguments, TrainingArguments, task.options_class)
    parser = HfArgumentParser(groups, prog=command)
    parser.add_argument("--config", metavar="RECIPE.yaml", help="YAML file with arguments by name")
    defaults: dict[str, Any] = {
        "lr_scheduler_type": "linear",
        "eval_strategy": "steps",
        "logging_steps": 100,
        "save_total_limit": 1,
        "load_best_model_at_end": True,
        "report_to": "tensorboard",
        "remove_unused_columns": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "use_cpu": not torch.accelerator.is_available(),  # without it, bf16 asks for a GPU
        "train_sampling_strategy": "group_by_length",
        **task.recipe,
    }
    parser.set_defaults(**defaults)
    first, _ = parser.parse_known_args(argv)
    sources = [name for name in ("data_dir", "data_file", "dataset_name") if name in first]
    recipe: dict[str, Any] = {}
    if first.config:
        recipe = _read_recipe(Path(first.config), groups, task.name)
        if any(getattr(first, name) is not None for name in sources):  # other data than the recipe's
            recipe = {name: value for name, value in recipe.items() if name not in sources}
        parser.set_defaults(**recipe)
        first, _ = parser.parse_known_args(argv)
    given = [name for name in sources if getattr(first, name) is not None]
    if not given:
        parser.error("the following arguments are required: " + " or ".join(f"--{name}" for name in sources))
    if len(given) > 1:
        parser.error(f"give one of {' and '.join(f'--{name}' for name in given)}, not both")
    if first.do_train and not first.do_eval and "eval_strategy" not in recipe:
        parser.set_defaults(eval_strategy="no")
        first, _ = parser.parse_known_args(argv)
    if first.eval_strategy == "no":
        parser.set_defaults(load_best_model_at_end=False)
    # The best checkpoint can only be loaded if every evaluated model is saved.
    saving = {"save_strategy": first.eval_strategy, "save_steps": first.eval_steps}
    parser.set_defaults(**{name: value for name, value in saving.items() if name not in recipe})
    steps = ("do_train", "do_eval", "do_predict")
    if not any(getattr(first, step) for step in steps):
        parser.set_defaults(**dict.fromkeys(steps, True))
    arguments, training, options, _ = parser.parse_args_into_dataclasses(list(argv))
    return arguments, training, options


def parse_groups(
    command: str,
    groups: tuple[type, ...],
    defaults: Mapping[str, Any],
    argv: Sequence[str],
    required: Sequence[str] = (),
) -> tuple[Any, ...]:
    """Parse a command line into dataclasses; it wins over the ``--config`` file, and that over the defaults.

    Args:
        command: what ``--help`` calls the program.
        groups: dataclasses of arguments.
        defaults: by argument name, where they differ from the dataclasses'.
        argv: the command line.
        required: names of arguments that the command line or the file must give.

    Returns:
        An object of each dataclass

    Raises:
        ValueError: the YAML file is no mapping, holds a name that is no argument, or a value is not possible.
        SystemExit: the command line is wrong (argparse has printed why).
    """
    parser = HfArgumentParser(groups, prog=command)
    parser.add_argument("--config", metavar="RECIPE.yaml", help="YAML file with arguments by name")
    parser.set_defaults(**defaults)
    first, _ = parser.parse_known_args(argv)
    if first.config:
        parser.set_defaults(**_read_recipe(Path(first.config), groups))
        first, _ = parser.parse_known_args(argv)
    missing = [f"--{name}" for name in required if getattr(first, name) is None]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    return parser.parse_args_into_dataclasses(list(argv))[: len(groups)]


def task_of_recipe(argv: Sequence[str]) -> str:
    """The task that the file given by ``--config`` names.

    Raises:
        ValueError: there is no such file, or it names no task.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    config = parser.parse_known_args(argv)[0].config
    if config is None:
        raise ValueError("finetune needs a task, as in `pixel-m4 finetune parsing …`, or --config with one")
    task = _load(Path(config)).get("task")
    if task is None:
        raise ValueError(f"{config} names no task; add a line such as `task: parsing`")
    return str(task)


def _read_recipe(path: Path, groups: Sequence[Any], task: str | None = None) -> dict[str, Any]:
    recipe = _load(path)
    named = recipe.pop("task", task)
    if named != task:
        raise ValueError(f"{path} is for the task {named!r}, not {task or 'pretraining'!r}")
    known = {entry.name for group in groups for entry in fields(group)}
    unknown = sorted(set(recipe) - known)
    if unknown:
        raise ValueError(f"{path}: no such argument(s): {', '.join(unknown)}")
    return recipe


def _load(path: Path) -> dict[str, Any]:
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read the recipe {path}: {error}") from error
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} must hold a mapping of argument names to values")
    return recipe


def parse_overrides(text: str) -> dict[str, Any]:
    """``"hidden_size=48,qkv_bias=false"`` as a dictionary with YAML values.

    Raises:
        ValueError: an item has no ``=``.
    """
    overrides = {}
    for item in filter(None, text.split(",")):
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"config_overrides: {item!r} is not name=value")
        overrides[name.strip()] = yaml.safe_load(value)
    return overrides
