"""Arguments that fine-tuning and pretraining share, and what they mean for each other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.shipped import with_revision
from pixel_m4.training.limits import check_values
from pixel_m4.training.overrides import parse_config_overrides
from pixel_m4.training.settings import Settings, SettingsParser

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelArguments:
    """The model that training starts from, and its renderer."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "checkpoint to start from: a folder, a name on the hub, or pixel-m4-tiny or "
            "pixel-m4-ud, which come with the package; for fine-tuning also a text model such as "
            "bert-base-cased; this or --config_name is needed"
        },
    )
    model_revision: str | None = field(
        default=None,
        metadata={
            "help": "branch, tag or commit of --model_name_or_path on the hub; default: its main branch"
        },
    )
    config_name: str | None = field(
        default=None,
        metadata={
            "help": "start from random weights instead, in a model of this size: base, large, small, tiny "
            "or nano"
        },
    )
    config_overrides: str = field(
        default="",
        metadata={
            "help": "changes to the model's configuration, such as num_hidden_layers=6,hidden_size=192; "
            "default: none"
        },
    )
    position_embedding_type: str | None = field(
        default=None,
        metadata={
            "help": "how places are told: absolute, as published, rotary, or rotary_absolute for both; "
            "default: as the checkpoint has it, absolute with random weights"
        },
    )
    rope_theta: float | None = field(
        default=None,
        metadata={"help": "base of the angles of rotary positions; default: the checkpoint's, or 10000"},
    )
    line_positions: bool = field(
        default=False, metadata={"help": "random weights begin with places on a line, not on a square grid"}
    )
    look_at_neighbours: bool = field(
        default=False,
        metadata={"help": "with --line_positions, they begin with attention to the patches nearby"},
    )
    dropout_prob: float = field(default=0.1, metadata={"help": "dropout, also on attention probabilities"})
    max_seq_length: int = field(
        default=256,
        metadata={"help": "patches of a window, a perfect square; of a text model its sub-words, any number"},
    )
    font_file: str | None = field(default=None, metadata={"help": "font; default GoNotoCurrent.ttf"})
    fallback_fonts_dir: str | None = field(
        default=None,
        metadata={
            "help": "folder with fonts for characters that the font lacks, or noto for those that `pixel-m4 "
            "fonts fetch --fallback` has fetched"
        },
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
            raise UserError("--look_at_neighbours needs --line_positions true")
        check_values(self)
        if self.model_revision is not None and self.model_name_or_path is None:
            raise UserError("--model_revision is for the checkpoint that --model_name_or_path names")
        name = with_revision(self.model_name_or_path, self.model_revision, "--model_revision")
        object.__setattr__(self, "model_name_or_path", name)  # read with it wherever it is read
        if self.line_positions and self.position_embedding_type == "rotary":
            raise UserError(
                "--line_positions says how vectors of places begin, and --position_embedding_type rotary has "
                "none: give rotary_absolute, or leave one of the two out"
            )
        parse_config_overrides(self.config_overrides)
        if self.model_name_or_path is not None:
            if self.config_name is not None:
                raise UserError(
                    f"--model_name_or_path {self.model_name_or_path} starts from a checkpoint, --config_name "
                    f"{self.config_name} from random weights; leave one of the two out"
                )
            for name in self.starts:
                raise UserError(f"--{name} is for random weights (--config_name), not for a checkpoint")

    @property
    def positions(self) -> dict[str, Any]:
        """Changes to how the configuration tells places."""
        names = ("position_embedding_type", "rope_theta")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def starts(self) -> list[str]:
        """How random weights begin, of :data:`pixel_m4.model.initialisation.STARTS`."""
        return [name for name in _STARTS if getattr(self, name)]


_STARTS = ("line_positions", "look_at_neighbours")

_ONE_UPLOAD = "the finished model is uploaded, once"
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
    "hub_always_push": _ONE_UPLOAD,
    "hub_strategy": _ONE_UPLOAD,
    "include_for_metrics": _OWN_SCORES,
    "include_num_input_tokens_seen": "models read pixels, there are no tokens to count",
    "label_names": _OWN_SCORES,
    "length_column_name": "lengths are those of the rendered text",
    "liger_kernel_config": "there are no such kernels for pixel models",
    "local_rank": "torchrun tells it by the environment",
    "neftune_noise_alpha": "a pixel model has no table of token embeddings to add noise to",
    "parallelism_config": _OWN_LAUNCH,
    "prediction_loss_only": f"{_OWN_SCORES}; leave --do_eval and --do_predict out for no scores",
    "remove_unused_columns": "examples have no columns",
    "skip_memory_metrics": "use the profiler of PyTorch",
    "torch_compile": _WIDTHS,
    "torch_compile_backend": _WIDTHS,
    "torch_compile_mode": _WIDTHS,
    "use_cache": "an encoder has no cache",
    "use_liger_kernel": "there are no such kernels for pixel models",
}
"""Arguments of the Trainer that have no meaning in fine-tuning, or would be ignored, and why."""


def choose_start(settings: Settings) -> None:
    """Of a checkpoint and random weights keep the one that was written higher."""
    model, config = settings["model_name_or_path"], settings["config_name"]
    if model is not None and config is not None:
        winner = settings.higher("model_name_or_path", "config_name")
        if winner is None:
            return  # refused by ModelArguments
        for_weights = ("config_name", *_STARTS)
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
        raise UserError(
            f"{command} needs a model to start from: --model_name_or_path with a folder, a name on the hub "
            "or pixel-m4-tiny (it comes with the package), or --config_name tiny for random weights"
        )
    if not training and model is None:
        given = "" if config is None else f"; --config_name {config} is for a training from random weights"
        raise UserError(
            "without --do_train there must be a trained model: write --model_name_or_path with its folder, "
            f"or --do_train{given}"
        )


def check_warmup(settings: Settings) -> None:
    """Refuse a warm-up that is never over, or shorten one that was not meant for so few steps.

    Raises:
        ValueError: it was written beside the number of steps, or above.
    """
    warmup, steps = settings["warmup_steps"], settings["max_steps"]
    if not never_warm(settings["lr_scheduler_type"], warmup, steps):
        return
    if settings.given("warmup_steps") and settings.higher("max_steps", "warmup_steps") != "max_steps":
        raise UserError(said_of_warmup(warmup, settings.said("max_steps")))
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


def choose_interval(settings: Settings, kind: str) -> None:
    """``--eval_steps`` asks for ``--eval_strategy steps``; so for ``save`` and ``logging``."""
    steps, strategy = f"{kind}_steps", f"{kind}_strategy"
    if not settings.given(steps) or settings[strategy] == "steps":
        return
    winner = settings.higher(steps, strategy)
    if winner is None:
        raise UserError(
            f"{settings.said(steps)} has no effect with {settings.said(strategy)}; leave one of the two out"
        )
    if winner == strategy:
        settings.reset(steps)
    else:
        settings.values[strategy] = "steps"


# Schedules that look at scores.
WATCHING = ("reduce_lr_on_plateau", "greedy")
# Schedules that begin with the learning rate, whatever the warm-up.
_WITHOUT_WARMUP = ("constant", *WATCHING)


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
        rules: settle what options mean for each other, and raise UserError where they contradict.

    Returns:
        An object of each dataclass

    Raises:
        ValueError: the YAML file is wrong, or a value is not possible.
        SystemExit: the command line is wrong (argparse has printed why).
    """
    parser = SettingsParser(command, groups, defaults)
    settings = parser.read(argv)
    missing = [f"--{name}" for name in required if settings[name] is None]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    if "config_name" in settings.values:
        choose_start(settings)
    if rules is not None:
        rules(settings)
    for kind in ("eval", "save", "logging"):
        if f"{kind}_steps" in settings.values:
            choose_interval(settings, kind)
    return parser.build(settings)
