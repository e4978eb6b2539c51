"""Arguments of fine-tuning; the published recipe of a task is their default, a YAML recipe comes between."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from pixel_m4.console.errors import UserError
from pixel_m4.tasks.base import Task, TaskOptions
from pixel_m4.tasks.metrics import lower_is_better
from pixel_m4.training.arguments import (
    REFUSED,
    WATCHING,
    ModelArguments,
    check_start,
    check_warmup,
    choose_interval,
    choose_start,
)
from pixel_m4.training.defaults import Device, defaults_on, settle_device
from pixel_m4.training.recipes import read_mapping, typed
from pixel_m4.training.settings import Layer, Settings, SettingsParser, written_as

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FinetuneArguments(ModelArguments):
    """What is trained on what; everything else is in transformers' ``TrainingArguments``."""

    data_dir: str | None = field(
        default=None,
        metadata={
            "help": "folder with the train, dev and test files of the data set; this or --data_file is needed"
        },
    )
    data_file: str | None = field(
        default=None,
        metadata={
            "help": "one file instead of data_dir, divided into splits by a seeded shuffle; so is "
            "the only file of data_dir if it is not named after a split"
        },
    )
    train_file: str | None = field(
        default=None, metadata={"help": "file to train on, instead of data_dir; see --dev_file, --test_file"}
    )
    dev_file: str | None = field(
        default=None, metadata={"help": "file to evaluate on, beside --train_file; default: none"}
    )
    test_file: str | None = field(
        default=None, metadata={"help": "file to test on, beside --train_file; default: none"}
    )
    max_train_samples: int | None = field(
        default=None, metadata={"help": "take the first examples of train only, so many; default: all"}
    )
    max_dev_samples: int | None = field(
        default=None, metadata={"help": "take the first examples of dev only, so many; default: all"}
    )
    max_test_samples: int | None = field(
        default=None, metadata={"help": "take the first examples of test only, so many; default: all"}
    )
    split_seed: int = field(
        default=0, metadata={"help": "seed for dividing a single file into train, dev and test"}
    )
    dev_share: float = field(default=0.1, metadata={"help": "share of a single file that becomes dev"})
    test_share: float = field(default=0.1, metadata={"help": "share of a single file that becomes test"})
    muon_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "let Muon train the matrices of the layers at this rate, such as 0.02, and AdamW the "
            "rest; default: none, the optimizer that --optim names trains all"
        },
    )
    shrink: float = field(
        default=1.0,
        metadata={
            "help": "multiply the matrices of the checkpoint's layers by this before training; 0.8 makes "
            "those that Muon trained learn new things sooner"
        },
    )
    sampling_power: float = field(
        default=1.0,
        metadata={
            "help": "how treebanks of a mixture (comments `# treebank = NAME`) share the training: each in "
            "proportion to its sentences to this power; 0.5: small ones come more often; 0: all alike"
        },
    )
    padding_competes: bool | None = field(
        default=None,
        metadata={
            "help": "parsing and qa: whether the loss counts absent words and patches as wrong choices, up "
            "to max_seq_length, as published; false: only what is there. Default: as the checkpoint says, "
            "else true"
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

    @property
    def split_files(self) -> dict[str, Path]:
        """The files of splits that have one of their own, by split."""
        named = {"train": self.train_file, "dev": self.dev_file, "test": self.test_file}
        return {split: Path(file) for split, file in named.items() if file is not None}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shrink != 1 and self.config_name is not None:
            raise UserError("--shrink is for the weights of a checkpoint (--model_name_or_path)")


def parse_arguments(
    command: str, task: type[Task], argv: Sequence[str]
) -> tuple[FinetuneArguments, TrainingArguments, TaskOptions]:
    """Parse the command line of a fine-tuning task.

    Precedence: command line, then ``--config`` file, then the published recipe.  Without ``--do_train``,
    ``--do_eval`` and ``--do_predict`` all three are done.  Where two options exclude each other, the one that
    was written in the higher place wins; in one place, they are an error.

    Args:
        command: what ``--help`` calls the program.
        task: has a recipe and options of its own.
        argv: the command line after the task's name.

    Raises:
        ValueError: a value is not possible, options contradict each other, or the YAML file is wrong.
        SystemExit: the command line is wrong (argparse has printed why).
    """
    device = Device.found()
    chosen = defaults_on(device, pretraining=False)
    defaults: dict[str, Any] = {
        **chosen,
        "lr_scheduler_type": "linear",
        "eval_strategy": "steps",
        "logging_steps": 100,
        "save_total_limit": 1,
        "load_best_model_at_end": True,
        "report_to": "tensorboard",
        "remove_unused_columns": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "use_cpu": not torch.accelerator.is_available(),  # without it, bf16 asks for a GPU
        **task.recipe,
    }
    parser = SettingsParser(command, (FinetuneArguments, TrainingArguments, task.options_class), defaults)
    settings = parser.read(argv, task.name)
    _choose_data(parser, settings)
    choose_start(settings)
    _choose_parts(settings)
    check_start(
        settings["model_name_or_path"],
        settings["config_name"],
        training=settings["do_train"],
        command=command,
    )
    _choose_length(settings)
    _choose_optimizer(settings)
    _choose_evaluation(settings)
    _choose_saving(settings)
    choose_interval(settings, "logging")
    settle_device(settings, device, chosen)
    for name, why in REFUSED.items():
        if settings.given(name) and settings[name] not in (settings.defaults[name], None):
            raise UserError(f"{settings.said(name)} is not obeyed: {why}; leave it out")
    if settings.given("metric_for_best_model") and settings.given("greater_is_better"):
        check_direction(settings["metric_for_best_model"], settings["greater_is_better"])
    arguments, training, options = parser.build(settings)
    if training.dataloader_pin_memory:  # else a copy could not go on while the host does
        training.accelerator_config.non_blocking = True
    # The Trainer writes down defaults of its own, which would look as if the user had asked for them.
    if not settings.given("metric_for_best_model"):
        training.metric_for_best_model = None
    if not settings.given("greater_is_better"):
        training.greater_is_better = None
    return arguments, training, options


def task_of_recipe(argv: Sequence[str]) -> str:
    """The task that the file given by ``--config`` names.

    Raises:
        ValueError: there is no such file, or it names no task.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    config = parser.parse_known_args(argv)[0].config
    if config is None:
        raise UserError("finetune needs a task, as in `pixel-m4 finetune parsing …`, or --config with one")
    task = read_mapping(Path(config), "recipe").get("task")
    if task is None:
        raise UserError(f"{config} names no task; add a line such as `task: parsing`")
    return str(typed(task, str))


def check_direction(metric: str | None, greater: bool | None) -> None:
    """Refuse to keep the checkpoint with the worst score.

    Raises:
        ValueError: says which direction is better.
    """
    if metric is not None and greater is not None and greater == lower_is_better(metric):
        better = "lower" if lower_is_better(metric) else "greater"
        raise UserError(
            f"--greater_is_better {written_as(greater)} would keep the worst checkpoint: {better} is better "
            f"for {metric}; leave it out"
        )


SPLIT_FILES = ("train_file", "dev_file", "test_file")


def _choose_data(parser: SettingsParser, settings: Settings) -> None:
    sources = [name for name in ("data_dir", "data_file", "dataset_name") if name in settings.values]
    ways: dict[str, str] = {**{name: name for name in sources}, **dict.fromkeys(SPLIT_FILES, SPLIT_FILES[0])}
    given = [name for name in ways if settings[name] is not None]
    if given:
        top = settings.layer(*given)
        settings.reset(
            *(name for name in given if settings.layer(name) < top)
        )  # other data than the recipe's
        given = list(dict.fromkeys(way for name, way in ways.items() if settings[name] is not None))
    if not given:
        parser.error("the following arguments are required: " + " or ".join(f"--{name}" for name in sources))
    if len(given) > 1:
        parser.error(f"give one of {' and '.join(f'--{name}' for name in given)}, not both")
    if not settings["output_dir"]:
        parser.error("the following arguments are required: --output_dir")


def _choose_parts(settings: Settings) -> None:
    """Training, evaluation and prediction: what the highest layer asks for, and nothing else."""
    parts = ("do_train", "do_eval", "do_predict")
    wanted: dict[str, bool] = {}
    rest = True
    for layer in (Layer.COMMAND, Layer.FILE):
        here = {name: bool(settings[name]) for name in parts if settings.layers.get(name) == layer}
        wanted = {**here, **wanted}
        if any(here.values()):
            rest = False
            break
    settings.values |= {name: wanted.get(name, rest) for name in parts}
    if not any(settings[name] for name in parts):
        raise UserError("there is nothing to do: --do_train, --do_eval and --do_predict are all false")


def _choose_length(settings: Settings) -> None:
    if settings.given("num_train_epochs") and settings["max_steps"] > 0:
        winner = settings.higher("num_train_epochs", "max_steps")
        if winner is None:
            raise UserError(
                f"{settings.said('num_train_epochs')} and {settings.said('max_steps')} contradict each "
                "other; leave one of the two out"
            )
        if winner == "num_train_epochs":
            settings.reset("max_steps", because=settings.said(winner))
            settings.values["max_steps"] = -1
            settings.layers["max_steps"] = settings.layer("num_train_epochs")
        else:
            settings.reset("num_train_epochs", because=settings.said(winner))
    if settings["do_train"]:
        check_warmup(settings)


def _choose_optimizer(settings: Settings) -> None:
    if settings["muon_learning_rate"] is None:
        return
    for name in ("optim", "optim_args", "optim_target_modules"):
        if not settings.given(name) or settings[name] is None:
            continue
        winner = settings.higher(name, "muon_learning_rate")
        if winner is None:
            raise UserError(
                f"{settings.said(name)} and {settings.said('muon_learning_rate')} contradict each other: "
                "with Muon, AdamW trains what is no matrix of a layer; leave one of the two out"
            )
        loser = "muon_learning_rate" if winner == name else name
        settings.reset(loser, because=settings.said(winner))
        if winner == name:
            return
    # What AdamW is then, so that records of the run say so.
    settings.values["optim"] = "adamw_torch"


def _choose_evaluation(settings: Settings) -> None:
    """Evaluation during training, and what depends on it."""
    parts = settings.layer("do_train", "do_eval", "do_predict")
    if not settings["do_train"]:
        written = [name for name in _ONLY_TRAINING if settings.layer(name) == Layer.COMMAND]
        if written:
            logger.warning("without --do_train, these have no effect: --%s", ", --".join(written))
        settings.values |= {"eval_strategy": "no", "load_best_model_at_end": False, "eval_on_start": False}
        return
    off = parts
    if not settings["do_eval"]:
        if not settings.given("eval_strategy") or settings.layer("eval_strategy") < parts:
            settings.reset("eval_strategy")
            settings.values["eval_strategy"] = "no"
        elif settings["eval_strategy"] != "no":
            if settings.given("do_eval") and settings.layer("do_eval") == settings.layer("eval_strategy"):
                raise UserError(f"{settings.said('eval_strategy')} contradicts --do_eval false")
            settings.values["do_eval"] = True  # evaluation while training needs dev
    if settings["eval_strategy"] == "no":
        off = max(off, settings.layer("eval_strategy"))
        why = "there is no evaluation during training (--do_eval, --eval_strategy)"
        for name in _ONLY_EVALUATION:
            settings.needless(name, off, why)
        if settings.given("do_eval") or settings.given("eval_strategy"):
            settings.needless("eval_steps", off, why)
        elif settings.layer("eval_steps") >= off:
            logger.warning("%s has no effect: %s", settings.said("eval_steps"), why)
        settings.values["load_best_model_at_end"] = False
        if settings["lr_scheduler_type"] in WATCHING:
            raise UserError(
                f"{settings.said('lr_scheduler_type')} needs an evaluation during training: {why}"
            )
    else:
        choose_interval(settings, "eval")
        delay, steps = settings["eval_delay"], settings["max_steps"]
        if settings["eval_strategy"] == "steps" and 0 < steps < delay:
            raise UserError(
                f"{settings.said('eval_delay')} is more than {settings.said('max_steps')}: there would be no "
                "evaluation during training"
            )
    chosen = settings["load_best_model_at_end"] or settings["save_strategy"] == "best"
    watched = settings["early_stopping_patience"] or settings["lr_scheduler_type"] in WATCHING
    if settings["eval_strategy"] != "no" and not (chosen or watched):
        since = settings.layer("load_best_model_at_end", "early_stopping_patience")
        for name in ("metric_for_best_model", "greater_is_better"):
            settings.needless(name, since, "no checkpoint is chosen by its score (--load_best_model_at_end)")


def _choose_saving(settings: Settings) -> None:
    """Checkpoints: by default one for every evaluation, so that the best of them can be kept."""
    if not settings.given("save_strategy"):
        settings.values["save_strategy"] = (
            "steps" if settings.given("save_steps") else settings["eval_strategy"]
        )
    if not settings.given("save_steps") and settings["eval_steps"] is not None:
        settings.values["save_steps"] = settings["eval_steps"]
    choose_interval(settings, "save")
    save, evaluate = settings["save_strategy"], settings["eval_strategy"]
    if not settings["load_best_model_at_end"] or save == "best":
        return
    shown = [settings.said(f"{kind}_strategy") for kind in ("save", "eval")]
    same = save == evaluate
    if same and save == "steps":
        shown = [settings.said(f"{kind}_steps") for kind in ("save", "eval")]
        many, few = settings["save_steps"], settings["eval_steps"]
        same = (many < 1) == (few < 1) and round(many * 1e6) % round(few * 1e6) == 0
    if not same:
        raise UserError(
            f"{shown[0]} and {shown[1]} do not fit together: the best checkpoint can only be kept if every "
            "one that is saved was evaluated; give both alike, or --load_best_model_at_end false"
        )


# What needs scores on dev while training goes on.
_ONLY_EVALUATION = (
    *("load_best_model_at_end", "metric_for_best_model", "greater_is_better", "early_stopping_patience"),
    *("eval_delay", "eval_on_start"),
)


_ONLY_TRAINING = (
    *("max_steps", "num_train_epochs", "learning_rate", "muon_learning_rate", "optim", "warmup_steps"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "eval_strategy", "eval_steps"),
    *("save_strategy", "save_steps", "shrink", "sampling_power", *_ONLY_EVALUATION),
)
