"""Command-line arguments of training: Hugging Face names, published recipes as defaults, YAML recipes."""

from __future__ import annotations

import argparse
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from math import ceil
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
import yaml
from transformers import HfArgumentParser, TrainingArguments
from transformers.activations import ACT2FN

from pixel_m4.model import PixelConfig
from pixel_m4.spelling import did_you_mean
from pixel_m4.tasks.base import Task, TaskOptions
from pixel_m4.tasks.metrics import lower_is_better

from .limits import check_value, check_values
from .recipes import Node, check_names, option_types, parse, read_mapping, typed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelArguments:
    """The model that training starts from, and its renderer."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "checkpoint to start from: a folder, pixel-m4-tiny, or a name on the hub"},
    )
    config_name: str | None = field(
        default=None,
        metadata={
            "help": "start from random weights instead, in a model of this size: base, small, tiny or nano"
        },
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
        check_values(self)
        parse_config_overrides(self.config_overrides)
        if self.model_name_or_path is not None:
            if self.config_name is not None:
                raise ValueError(
                    f"--model_name_or_path {self.model_name_or_path} starts from a checkpoint, --config_name "
                    f"{self.config_name} from random weights; leave one of the two out"
                )
            for name in ("line_positions", "look_at_neighbours"):
                if getattr(self, name):
                    raise ValueError(f"--{name} is for random weights (--config_name), not for a checkpoint")


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
        metadata={
            "help": "let Muon train the matrices of the layers, at this rate (0.02), and AdamW the rest; "
            "none: the optimizer that --optim names trains all"
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shrink != 1 and self.config_name is not None:
            raise ValueError("--shrink is for the weights of a checkpoint (--model_name_or_path)")


_NO_HUB = "the output folder can be uploaded when it is whole, with `hf upload`"
_OWN_SCORES = "the task decodes and scores on its own"
_WIDTHS = "batches have many widths, and the model would be compiled anew for each"
_OWN_LAUNCH = "fine-tuning runs on one device, or on several with torchrun"

REFUSED: Mapping[str, str] = {
    "accelerator_config": _OWN_LAUNCH,
    "auto_find_batch_size": "give --per_device_train_batch_size and --gradient_accumulation_steps",
    "average_tokens_across_devices": "the loss of a batch is the mean of its processes' means",
    "batch_eval_metrics": _OWN_SCORES,
    "debug": "use PyTorch's own means, such as torch.autograd.set_detect_anomaly",
    "deepspeed": _OWN_LAUNCH,
    "enable_jit_checkpoint": "checkpoints are written every --save_steps; a killed run goes on from the last",
    "eval_accumulation_steps": "what is predicted is moved to the CPU after every batch",
    "eval_do_concat_batches": _OWN_SCORES,
    "eval_use_gather_object": _OWN_SCORES,
    "fsdp": _OWN_LAUNCH,
    "fsdp_config": _OWN_LAUNCH,
    "hub_always_push": _NO_HUB,
    "hub_model_id": _NO_HUB,
    "hub_private_repo": _NO_HUB,
    "hub_revision": _NO_HUB,
    "hub_strategy": _NO_HUB,
    "hub_token": _NO_HUB,
    "include_for_metrics": _OWN_SCORES,
    "include_num_input_tokens_seen": "models read pixels, there are no tokens to count",
    "label_names": _OWN_SCORES,
    "length_column_name": "lengths are those of the rendered text",
    "liger_kernel_config": "there are no such kernels for pixel models",
    "local_rank": "torchrun tells it by the environment",
    "neftune_noise_alpha": "a pixel model has no table of token embeddings to add noise to",
    "parallelism_config": _OWN_LAUNCH,
    "prediction_loss_only": f"{_OWN_SCORES}; leave --do_eval and --do_predict out for no scores",
    "push_to_hub": _NO_HUB,
    "remove_unused_columns": "examples have no columns",
    "skip_memory_metrics": "use the profiler of PyTorch",
    "torch_compile": _WIDTHS,
    "torch_compile_backend": _WIDTHS,
    "torch_compile_mode": _WIDTHS,
    "use_cache": "an encoder has no cache",
    "use_liger_kernel": "there are no such kernels for pixel models",
}
"""Arguments of the Trainer that have no meaning in fine-tuning, or would be ignored, and why."""


class Layer:
    """Where a value comes from; what the user wrote is ``FILE`` or ``COMMAND``, and the higher one wins."""

    DEFAULT, FILE, COMMAND = range(3)


@dataclass
class Settings:
    """The values of all options, and the layer that each comes from."""

    values: dict[str, Any]
    layers: dict[str, int]
    defaults: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        value = self.values[name]
        return value.value if isinstance(value, Enum) else value

    def layer(self, *names: str) -> int:
        """The highest layer that one of the options was written in."""
        return max(self.layers.get(name, Layer.DEFAULT) for name in names)

    def given(self, name: str) -> bool:
        """Whether the user wrote it."""
        return self.layer(name) > Layer.DEFAULT

    def reset(self, *names: str, because: str = "") -> None:
        """Take back what was written in a lower layer, and say so if the reason is not another such value."""
        for name in names:
            if because and self.given(name) and self.values[name] != self.defaults[name]:
                logger.warning(
                    "the recipe's %s is left out, as the command line has %s", self.said(name), because
                )
            self.values[name] = self.defaults[name]
            self.layers.pop(name, None)

    def said(self, name: str) -> str:
        """How a value is written on the command line."""
        value = "…" if name.endswith("token") else _written(self[name])
        return f"--{name} {value}"

    def higher(self, first: str, second: str) -> str | None:
        """Of two options that exclude each other the one that wins; None if both stand in one layer."""
        one, other = self.layer(first), self.layer(second)
        return None if one == other else first if one > other else second

    def choose(self, first: str, second: str) -> None:
        """Of two options that exclude each other keep the one that was written higher.

        Raises:
            ValueError: both stand in one place.
        """
        if self.given(first) and self.given(second):
            winner = self.higher(first, second)
            if winner is None:
                raise ValueError(
                    f"{self.said(first)} and {self.said(second)} exclude each other; leave one of the two out"
                )
            self.reset(second if winner == first else first, because=self.said(winner))

    def needless(self, name: str, since: int, why: str) -> None:
        """Refuse an option that can have no effect, or take it back if something was decided above it.

        Args:
            name: of the option; false, 0 and none pass.
            since: the layer that decided that it has no effect.
            why: it has none.

        Raises:
            ValueError: it was written in this layer, or above.
        """
        if self.given(name) and self[name] not in (None, False, 0, "no"):
            if self.layer(name) >= since:
                raise ValueError(f"{self.said(name)} has no effect: {why}")
            self.reset(name)


class _Parser(HfArgumentParser):
    """argparse that tells what was written, and answers mistakes without pages of usage."""

    def __init__(self, command: str, groups: Sequence[type], defaults: Mapping[str, Any]) -> None:
        super().__init__(list(groups), prog=command, allow_abbrev=False)
        self.add_argument("--config", metavar="RECIPE.yaml", help="YAML file with arguments by name")
        self.set_defaults(**defaults)
        self._types = option_types(groups)
        for action in self._actions:
            optional = type(None) in get_args(self._types.get(action.dest))
            if optional and action.dest not in _NONE_IS_TEXT and action.type is not None:
                action.type = _or_none(action.type)

    def error(self, message: str) -> Any:
        """Print one line and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message} (--help lists all arguments)\n")

    def read(self, argv: Sequence[str], task: str | None = None) -> Settings:
        """Read the command line, and the recipe that it names.

        Args:
            argv: the command line.
            task: what recipes may be for; None: pretraining.

        Raises:
            ValueError: the recipe is wrong.
            SystemExit: the command line is wrong (argparse has printed why).
        """
        absent = object()
        names = [action.dest for action in self._actions if action.dest != "help"]
        found, rest = self.parse_known_args(argv, argparse.Namespace(**dict.fromkeys(names, absent)))
        if rest:
            flag = next((word for word in rest if word.startswith("-")), rest[0]).partition("=")[0]
            near = did_you_mean(flag.lstrip("-"), names) if flag.startswith("--") else ""
            self.error(f"unrecognized arguments: {' '.join(rest)}{near.replace('mean ', 'mean --')}")
        written = {name: value for name, value in vars(found).items() if value is not absent}
        for name, value in written.items():
            try:
                check_value(name, value)
            except ValueError as error:
                raise ValueError(f"--{name} {error}") from error
        config = written.pop("config", None)
        recipe = _read_recipe(Path(config), self._types, task) if config is not None else {}
        defaults = {name: self.get_default(name) for name in names if name != "config"}
        layers = {**dict.fromkeys(recipe, Layer.FILE), **dict.fromkeys(written, Layer.COMMAND)}
        return Settings({**defaults, **recipe, **written}, layers, defaults)

    def build(self, settings: Settings) -> tuple[Any, ...]:
        """An object of each dataclass."""
        return tuple(
            group(**{entry.name: settings.values[entry.name] for entry in fields(group) if entry.init})
            for group in self.dataclass_types
        )


# `none` is a value of these, and does not stand for "not given".
_NONE_IS_TEXT = ("report_to",)


def _or_none(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    def converted(text: str) -> Any:
        return None if text.lower() == "none" else convert(text)

    converted.__name__ = getattr(convert, "__name__", "value")  # what argparse calls it
    return converted


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


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
        **task.recipe,
    }
    parser = _Parser(command, (FinetuneArguments, TrainingArguments, task.options_class), defaults)
    settings = parser.read(argv, task.name)
    _choose_data(parser, settings)
    _choose_start(settings)
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
    _choose_interval(settings, "logging")
    for name, why in REFUSED.items():
        if settings.given(name) and settings[name] not in (settings.defaults[name], None):
            raise ValueError(f"{settings.said(name)} is not obeyed: {why}; leave it out")
    if settings.given("metric_for_best_model") and settings.given("greater_is_better"):
        check_direction(settings["metric_for_best_model"], settings["greater_is_better"])
    arguments, training, options = parser.build(settings)
    # The Trainer writes down defaults of its own, which would look as if the user had asked for them.
    if not settings.given("metric_for_best_model"):
        training.metric_for_best_model = None
    if not settings.given("greater_is_better"):
        training.greater_is_better = None
    return arguments, training, options


def check_direction(metric: str | None, greater: bool | None) -> None:
    """Refuse to keep the checkpoint with the worst score.

    Raises:
        ValueError: says which direction is better.
    """
    if metric is not None and greater is not None and greater == lower_is_better(metric):
        better = "lower" if lower_is_better(metric) else "greater"
        raise ValueError(
            f"--greater_is_better {_written(greater)} would keep the worst checkpoint: {better} is better "
            f"for {metric}; leave it out"
        )


def _choose_data(parser: _Parser, settings: Settings) -> None:
    sources = [name for name in ("data_dir", "data_file", "dataset_name") if name in settings.values]
    given = [name for name in sources if settings[name] is not None]
    if given:
        top = settings.layer(*given)
        settings.reset(
            *(name for name in given if settings.layer(name) < top)
        )  # other data than the recipe's
        given = [name for name in given if settings[name] is not None]
    if not given:
        parser.error("the following arguments are required: " + " or ".join(f"--{name}" for name in sources))
    if len(given) > 1:
        parser.error(f"give one of {' and '.join(f'--{name}' for name in given)}, not both")
    if not settings["output_dir"]:
        parser.error("the following arguments are required: --output_dir")


def _choose_start(settings: Settings) -> None:
    model, config = settings["model_name_or_path"], settings["config_name"]
    if model is not None and config is not None:
        winner = settings.higher("model_name_or_path", "config_name")
        if winner is None:
            return  # refused by ModelArguments
        for_weights = ("config_name", "line_positions", "look_at_neighbours")
        losers = for_weights if winner == "model_name_or_path" else ("model_name_or_path", "shrink")
        top = settings.layer(winner)
        losing = [name for name in losers if settings.layer(name) < top]
        settings.reset(*losing, because=settings.said(winner))


def check_start(model: str | None, config: str | None, *, training: bool, command: str = "finetune") -> None:
    """Refuse to go on without a model, or to score random weights.

    Args:
        model: ``model_name_or_path``.
        config: ``config_name``.
        training: whether there is a training.
        command: what messages call the program.

    Raises:
        ValueError: says what to write.
    """
    if training and model is None and config is None:
        raise ValueError(
            f"{command} needs a model to start from: --model_name_or_path with a folder, a name on the hub "
            "or pixel-m4-tiny (it comes with the package), or --config_name tiny for random weights"
        )
    if not training and model is None:
        given = "" if config is None else f"; --config_name {config} is for a training from random weights"
        raise ValueError(
            "without --do_train there must be a trained model: write --model_name_or_path with its folder, "
            f"or --do_train{given}"
        )


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
        raise ValueError("there is nothing to do: --do_train, --do_eval and --do_predict are all false")


def _choose_length(settings: Settings) -> None:
    if settings.given("num_train_epochs") and settings["max_steps"] > 0:
        winner = settings.higher("num_train_epochs", "max_steps")
        if winner is None:
            raise ValueError(
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


def check_warmup(settings: Settings) -> None:
    """Refuse a warm-up that is never over, or shorten one that was not meant for so few steps.

    Raises:
        ValueError: it was written beside the number of steps, or above.
    """
    warmup, steps = settings["warmup_steps"], settings["max_steps"]
    if not never_warm(settings["lr_scheduler_type"], warmup, steps):
        return
    if settings.given("warmup_steps") and settings.higher("max_steps", "warmup_steps") != "max_steps":
        raise ValueError(said_of_warmup(warmup, settings.said("max_steps")))
    settings.values["warmup_steps"] = float(steps // 10)
    logger.warning(
        "the recipe's --warmup_steps %g would not be over after --max_steps %d: the warm-up is %d steps, a "
        "tenth; give --warmup_steps for another",
        warmup, steps, steps // 10,
    )  # fmt: skip


def never_warm(schedule: str, warmup: float, steps: int) -> bool:
    """Whether the learning rate is never reached.

    Args:
        schedule: of the learning rate, as ``--lr_scheduler_type`` names it.
        warmup: steps; below 1, their share.
        steps: of the training; 0 or less if they are not known.
    """
    if steps <= 0 or schedule in _WITHOUT_WARMUP:
        return False
    return (int(warmup) if warmup >= 1 else ceil(steps * warmup)) >= steps  # as the Trainer counts


def said_of_warmup(warmup: float, steps: str) -> str:
    """What to say of a warm-up that is never over; ``steps`` names the steps of the training."""
    if warmup >= 1:
        wrong, advice = f"is not less than {steps}", "write fewer steps, or a share of them below 1"
    else:
        wrong, advice = f"is a share of {steps}, rounded up to all of them", "write 0, or train for longer"
    return f"--warmup_steps {warmup:g} {wrong}: the learning rate would never be reached; {advice}"


def _choose_optimizer(settings: Settings) -> None:
    if settings["muon_learning_rate"] is None:
        return
    for name in ("optim", "optim_args", "optim_target_modules"):
        if not settings.given(name) or settings[name] is None:
            continue
        winner = settings.higher(name, "muon_learning_rate")
        if winner is None:
            raise ValueError(
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
                raise ValueError(f"{settings.said('eval_strategy')} contradicts --do_eval false")
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
        if settings["lr_scheduler_type"] in _WATCHING:
            raise ValueError(
                f"{settings.said('lr_scheduler_type')} needs an evaluation during training: {why}"
            )
    else:
        _choose_interval(settings, "eval")
        delay, steps = settings["eval_delay"], settings["max_steps"]
        if settings["eval_strategy"] == "steps" and 0 < steps < delay:
            raise ValueError(
                f"{settings.said('eval_delay')} is more than {settings.said('max_steps')}: there would be no "
                "evaluation during training"
            )
    chosen = settings["load_best_model_at_end"] or settings["save_strategy"] == "best"
    watched = settings["early_stopping_patience"] or settings["lr_scheduler_type"] in _WATCHING
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
    _choose_interval(settings, "save")
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
        raise ValueError(
            f"{shown[0]} and {shown[1]} do not fit together: the best checkpoint can only be kept if every "
            "one that is saved was evaluated; give both alike, or --load_best_model_at_end false"
        )


def _choose_interval(settings: Settings, kind: str) -> None:
    """``--eval_steps`` asks for ``--eval_strategy steps``; so for ``save`` and ``logging``."""
    steps, strategy = f"{kind}_steps", f"{kind}_strategy"
    if not settings.given(steps) or settings[strategy] == "steps":
        return
    winner = settings.higher(steps, strategy)
    if winner is None:
        raise ValueError(
            f"{settings.said(steps)} has no effect with {settings.said(strategy)}; leave one of the two out"
        )
    if winner == strategy:
        settings.reset(steps)
    else:
        settings.values[strategy] = "steps"


# Schedules that look at scores.
_WATCHING = ("reduce_lr_on_plateau", "greedy")
# Schedules that begin with the learning rate, whatever the warm-up.
_WITHOUT_WARMUP = ("constant", *_WATCHING)
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


def parse_groups(
    command: str,
    groups: tuple[type, ...],
    defaults: Mapping[str, Any],
    argv: Sequence[str],
    required: Sequence[str] = (),
    rules: Callable[[Settings], None] | None = None,
) -> tuple[Any, ...]:
    """Parse a command line into dataclasses; it wins over the ``--config`` file, and that over the defaults.

    Args:
        command: what ``--help`` calls the program.
        groups: dataclasses of arguments.
        defaults: by argument name, where they differ from the dataclasses'.
        argv: the command line.
        required: names of arguments that the command line or the file must give.
        rules: settle what options mean for each other, and raise ValueError where they contradict.

    Returns:
        An object of each dataclass

    Raises:
        ValueError: the YAML file is wrong, or a value is not possible.
        SystemExit: the command line is wrong (argparse has printed why).
    """
    parser = _Parser(command, groups, defaults)
    settings = parser.read(argv)
    missing = [f"--{name}" for name in required if settings[name] is None]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    if "config_name" in settings.values:
        _choose_start(settings)
    if rules is not None:
        rules(settings)
    for kind in ("eval", "save", "logging"):
        if f"{kind}_steps" in settings.values:
            _choose_interval(settings, kind)
    return parser.build(settings)


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
    task = read_mapping(Path(config), "recipe").get("task")
    if task is None:
        raise ValueError(f"{config} names no task; add a line such as `task: parsing`")
    return str(typed(task, str))


def _read_recipe(path: Path, types: Mapping[str, Any], task: str | None = None) -> dict[str, Any]:
    recipe = read_mapping(path, "recipe")
    if "task" in recipe:
        node = recipe.pop("task")
        named = typed(node, str)
        if named != task:
            raise ValueError(f"{node.place} is for the task {named!r}, not {task or 'pretraining'!r}")
    check_names(recipe, types)
    return {name: read_value(node, types[name]) for name, node in recipe.items()}


def read_value(node: Node, hint: Any) -> Any:
    """The value of an option in a file.

    Args:
        node: as it was read.
        hint: type of the option.

    Raises:
        ValueError: the option cannot have it; the message names file, line and value.
    """
    value = typed(node, hint)
    try:
        check_value(node.name, value)
    except ValueError as error:
        raise node.wrong(str(error)) from error
    return value


def parse_overrides(text: str) -> dict[str, Any]:
    """``"hidden_size=48,qkv_bias=false"`` as a dictionary with YAML values.

    Raises:
        ValueError: an item has no ``=``, or a name stands twice.
    """
    return {name: node.plain() for name, node in _overrides(text).items()}


def parse_config_overrides(text: str) -> dict[str, Any]:
    """Changes to the configuration of a model, in the types of its arguments.

    Raises:
        ValueError: there is no such argument, it has an option of its own, or the value is of another type.
    """
    hints = get_type_hints(PixelConfig.__init__)
    known = [name for name in inspect.signature(PixelConfig).parameters if name != "kwargs"]
    found: dict[str, Any] = {}
    for name, node in _overrides(text).items():
        if name in ("image_size", "max_seq_length"):
            raise ValueError(f"config_overrides: {name} follows from --max_seq_length; give that")
        if name not in known:
            raise ValueError(f"config_overrides: a model has no {name!r}{did_you_mean(name, known)}")
        found[name] = typed(node, hints[name])
        if name == "hidden_act" and found[name] not in ACT2FN:
            raise ValueError(
                f"config_overrides: hidden_act: no activation {found[name]!r}; such as gelu, relu"
            )
    return found


def _overrides(text: str) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for item in filter(None, text.split(",")):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not name:
            raise ValueError(f"config_overrides: {item!r} is not name=value")
        if name in found:
            raise ValueError(f"config_overrides: {name} stands twice")
        try:
            node = parse(value, name=f"config_overrides: {name}")
        except yaml.YAMLError as error:
            raise ValueError(f"config_overrides: {item!r} cannot be read: {error}") from error
        if node is None:
            raise ValueError(f"config_overrides: {name} has no value")
        found[name] = node
    return found
