"""What can be known before any training: places, logs, schedules and disks that do not fit."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)
from transformers.optimization import get_scheduler

from pixel_m4.console.errors import UserError
from pixel_m4.model.inputs import tell_about_bf16
from pixel_m4.training.arguments import never_warm, said_of_warmup

logger = logging.getLogger(__name__)


def check_precision(training: TrainingArguments) -> None:
    """Refuse float16 on the CPU, and warn of bfloat16 on one that has none.

    Raises:
        ValueError: names the argument.
    """
    on_cpu = training.device.type == "cpu"
    for name in ("fp16", "fp16_full_eval"):
        if on_cpu and getattr(training, name):
            raise UserError(f"--{name} needs a GPU; leave it out, or write --{name.replace('fp16', 'bf16')}")
    if training.bf16 or training.bf16_full_eval:
        tell_about_bf16(training.device)


def check_reports(training: TrainingArguments) -> None:
    """Refuse logs that need what is not installed.

    Raises:
        ValueError: names the program, and those that there are.
    """
    available = {*get_available_reporting_integrations(), "flyte"}
    for name in training.report_to or []:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise UserError(f"--report_to {name}: there is no such log; none, or one of {known}")
        if name not in available:
            others = ", ".join(sorted(available & {"tensorboard", "wandb", "mlflow", "trackio"}))
            raise UserError(
                f"--report_to {name}: {name} is not installed; install it, or give {others} or none"
            )


def check_workers(training: TrainingArguments) -> None:
    """Refuse settings of loading processes where there are none.

    Raises:
        ValueError: names the setting.
    """
    if training.dataloader_num_workers:
        return
    for name in (
        "dataloader_prefetch_factor",
        "dataloader_persistent_workers",
        "dataloader_multiprocessing_context",
    ):
        if getattr(training, name):
            raise UserError(f"--{name} {getattr(training, name)} needs --dataloader_num_workers 1 or more")


def check_schedule(training: TrainingArguments) -> None:
    """Refuse a schedule of the learning rate that cannot be made, or that never reaches it.

    Raises:
        ValueError: names schedule and settings.
    """
    name, warmup = training.lr_scheduler_type.value, training.warmup_steps
    if never_warm(name, warmup, training.max_steps):
        raise UserError(said_of_warmup(warmup, f"--max_steps {training.max_steps}"))
    some = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=training.learning_rate)
    steps = training.max_steps if training.max_steps > 0 else 1000
    try:
        get_scheduler(
            training.lr_scheduler_type,
            optimizer=some,
            num_warmup_steps=training.get_warmup_steps(steps),
            num_training_steps=steps,
            scheduler_specific_kwargs=training.lr_scheduler_kwargs or {},
        )
    except (TypeError, ValueError) as error:
        kwargs = training.lr_scheduler_kwargs
        raise UserError(f"--lr_scheduler_type {name} with --lr_scheduler_kwargs {kwargs}: {error}") from error


def check_output(output_dir: str | Path, option: str = "--output_dir") -> None:
    """Refuse an output folder that cannot be written; nothing is made.

    Raises:
        ValueError: says what is in the way.
    """
    folder = Path(output_dir)
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"{option} {folder}: {there} is a file, not a folder; give another name")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{option} {folder}: nothing can be written in {there} ({reason})") from error


def check_space(output_dir: str | Path, needed: int) -> None:
    """Refuse to begin where the disk is too small for what will be written.

    Args:
        output_dir: of the run; it need not exist.
        needed: bytes.

    Raises:
        ValueError: names both numbers.
    """
    folder = Path(output_dir).absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    # A run that goes on has its checkpoints already.
    has = sum(file.stat().st_size for file in folder.glob("checkpoint-*/*") if file.is_file())
    if free + has < needed:
        raise UserError(
            f"--output_dir {output_dir}: the checkpoints need about {needed / 1e9:.2g} GB, and {there} has "
            f"{free / 1e9:.2g} GB left; make room, give another folder, a lower --save_total_limit, or "
            "--save_only_model true"
        )


def checkpoint_bytes(parameters: int, training: TrainingArguments) -> int:
    """About how many bytes a run writes: checkpoints with two moments a parameter, and the last model.

    While a checkpoint is written, the ones that it replaces are still there.
    """
    model = 4 * parameters
    if training.save_strategy.value == "no":
        return model
    kept = training.save_total_limit or 1
    one = model if training.save_only_model else 3 * model
    return model + one * (kept + 1)
