"""What can be known before a training: arguments, places and data that do not fit are told at once.

:func:`check_training` looks at arguments only, :func:`check_places` at folders and devices, and
:func:`check_model` at the checkpoint's configuration; :func:`check_data` is called when the data have been
read and cut, before weights are loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments
from transformers.trainer_pt_utils import AcceleratorConfig

from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError
from pixel_m4.finetune.arguments import FinetuneArguments, check_direction
from pixel_m4.formats.folders import MissingSplitError, find_split
from pixel_m4.formats.tables import find_language, is_arrow
from pixel_m4.model import AnyConfig, PixelForSequenceClassification, PixelForTokenClassification, TextConfig
from pixel_m4.model.loading import weights_in
from pixel_m4.model.text import check_no_pickle
from pixel_m4.model.text_heads import head_for
from pixel_m4.shipped import find_shipped
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.metrics import lower_is_better
from pixel_m4.tasks.splits import only_file
from pixel_m4.training.arguments import REFUSED, check_start, never_warm, said_of_warmup
from pixel_m4.training.checks import (
    check_output,
    check_precision,
    check_reports,
    check_schedule,
    check_space,
    check_workers,
    checkpoint_bytes,
)
from pixel_m4.training.limits import check_values
from pixel_m4.training.publishing import check_hub

OBEYED: Sequence[str] = (
    *("output_dir", "per_device_train_batch_size", "num_train_epochs", "max_steps", "learning_rate"),
    *("lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "optim", "optim_args", "weight_decay"),
    *("adam_beta1", "adam_beta2", "adam_epsilon", "optim_target_modules", "gradient_accumulation_steps"),
    *("max_grad_norm", "label_smoothing_factor", "bf16", "fp16", "bf16_full_eval", "fp16_full_eval", "tf32"),
    *("activation_checkpointing", "activation_checkpointing_kwargs", "gradient_checkpointing"),
    "gradient_checkpointing_kwargs",
    *("torch_empty_cache_steps", "logging_strategy", "logging_steps", "logging_first_step"),
    *("log_on_each_node", "logging_nan_inf_filter", "log_level", "log_level_replica", "disable_tqdm"),
    *("report_to", "run_name", "project", "trackio_space_id", "trackio_bucket_id"),
    *("trackio_static_space_id", "eval_strategy", "eval_steps", "eval_delay", "eval_on_start"),
    *("per_device_eval_batch_size", "save_only_model", "save_strategy", "save_steps", "save_on_each_node"),
    *("save_total_limit", "load_best_model_at_end", "metric_for_best_model", "greater_is_better"),
    *("ignore_data_skip", "restore_callback_states_from_checkpoint", "full_determinism", "seed"),
    *("data_seed", "use_cpu", "dataloader_drop_last", "dataloader_num_workers", "dataloader_pin_memory"),
    *("dataloader_persistent_workers", "dataloader_prefetch_factor", "dataloader_in_order"),
    *("dataloader_multiprocessing_context", "train_sampling_strategy", "ddp_find_unused_parameters"),
    *("ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph", "ddp_backend", "ddp_timeout"),
    *("do_train", "do_eval", "do_predict", "resume_from_checkpoint"),
    *("push_to_hub", "hub_model_id", "hub_private_repo", "hub_revision", "hub_token"),
)
"""Arguments of the Trainer that fine-tuning obeys."""

logger = logging.getLogger(__name__)


def check_training(task_class: type[Task], arguments: FinetuneArguments, training: TrainingArguments) -> None:
    """Refuse arguments that are impossible, contradict each other or would be ignored; reads no data.

    Raises:
        ValueError: names the argument and says what to write.
    """
    check_start(arguments.model_name_or_path, arguments.config_name, training=training.do_train)
    check_values(training)
    check_output(training.output_dir or ".")
    _check_refused(training)
    check_precision(training)
    check_reports(training)
    check_hub(training)
    check_workers(training)
    if training.do_train:
        _check_optimizer(arguments, training)
    if training.label_smoothing_factor and training.do_train:
        smoothed = (PixelForSequenceClassification, PixelForTokenClassification)
        if task_class.model_class not in smoothed:
            raise UserError(
                f"--label_smoothing_factor {training.label_smoothing_factor:g}: the loss of the task "
                f"{task_class.name} has no smoothing; leave it out"
            )


def _check_refused(training: TrainingArguments) -> None:
    plain = {entry: value.default for entry, value in TrainingArguments.__dataclass_fields__.items()}
    neutral: Mapping[str, tuple[Any, ...]] = {
        "accelerator_config": (AcceleratorConfig(), AcceleratorConfig(non_blocking=True)),  # with pinning
        "debug": ([],),
        "include_for_metrics": ([],),
        "fsdp": ([], ""),
        "fsdp_config": ({},),
        "remove_unused_columns": (True, False),  # the Trainer's default; told where somebody writes it
    }
    for name, why in REFUSED.items():
        value = getattr(training, name)
        allowed = (plain[name], None, *neutral.get(name, ()))
        if value not in allowed and getattr(value, "value", value) not in allowed:
            shown = "" if name.endswith("token") else f" {value}"
            raise UserError(f"--{name}{shown} is not obeyed: {why}; leave it out")


def _check_optimizer(arguments: FinetuneArguments, training: TrainingArguments) -> None:
    """Whether optimizer and schedule can be made."""
    if arguments.muon_learning_rate is None:
        try:
            Trainer.get_optimizer_cls_and_kwargs(training)
        except (ImportError, RuntimeError, ValueError) as error:
            raise UserError(f"--optim {training.optim.value}: {error}") from error
    elif training.optim_args or training.optim_target_modules:
        raise UserError("--optim_args and --optim_target_modules have no effect with --muon_learning_rate")
    check_schedule(training)


def check_places(task_class: type[Task], arguments: FinetuneArguments, training: TrainingArguments) -> None:
    """Refuse folders that are not there, or cannot be written, and data without a split that is needed.

    Raises:
        ValueError: names the place, and says what to write.
    """
    model = arguments.model_name_or_path
    if model is not None:
        folder = Path(find_shipped(model))
        if folder.is_dir() and not weights_in(folder):
            raise UserError(f"--model_name_or_path {model}: the folder holds no weights (model.safetensors)")
    named = {"data": arguments.data_file, **arguments.split_files}
    for name, file in named.items():
        if file is not None and not Path(file).is_file():
            raise DataError(f"--{name}_file is no file: {file}")
    if arguments.data_dir is not None and not Path(arguments.data_dir).is_dir():
        hint = f"; write --data_file {arguments.data_dir}" if Path(arguments.data_dir).is_file() else ""
        raise DataError(f"--data_dir is no folder: {arguments.data_dir}{hint}")


_DO_WITHOUT = {
    "train": "--do_eval --do_predict do without train",
    "dev": "--dev_from_train 0.1 holds out a tenth of train; --do_train --do_predict do without dev",
    "test": "--do_train --do_eval do without test",
}


def check_splits(task: Task, arguments: FinetuneArguments, training: TrainingArguments) -> None:
    """Refuse a folder of data without a split that is needed, before any of it is read.

    Raises:
        MissingSplitError: names the split, what is there, and what to write.
        DataError: the folder has several files for one split, or none for a language.
    """
    if arguments.data_file is not None or getattr(task.options, "dataset_name", None) is not None:
        return
    wanted = {"train": training.do_train, "dev": training.do_eval, "test": training.do_predict}
    if training.do_train and arguments.dev_from_train:
        wanted["dev"] = False
    if arguments.split_files:
        for split in (name for name, asked in wanted.items() if asked):
            if split not in arguments.split_files:
                raise MissingSplitError(
                    f"there is no {split} data: give --{split}_file; {_DO_WITHOUT[split]}"
                )
        return
    folder = Path(arguments.data_dir or ".")
    if only_file(folder, task.files) is not None:
        return
    for name in ("dev_share", "test_share"):
        value = getattr(arguments, name)
        if value != FinetuneArguments.__dataclass_fields__[name].default:
            raise UserError(
                f"--{name} {value:g} divides a single file, but {folder} has files of splits; leave it out, "
                "or give --data_file"
            )
    folder = find_language(folder, getattr(task.options, "language", None))
    if is_arrow(folder):
        return
    advice = {
        "train": "--data_file FILE divides one file into splits",
        "dev": _DO_WITHOUT["dev"],
        "test": f"{_DO_WITHOUT['test']}; --data_file FILE divides one file into splits",
    }
    if not training.do_train:
        advice = dict.fromkeys(advice, "--data_file FILE divides one file into splits")
    for split in (name for name, asked in wanted.items() if asked):
        try:
            find_split(folder, split, task.files)
        except MissingSplitError as error:
            raise MissingSplitError(f"{error}; {advice[split]}") from error


def check_model(
    task: Task, arguments: FinetuneArguments, training: TrainingArguments, config: AnyConfig
) -> None:
    """Refuse a checkpoint that cannot do the task without a training, and a disk that is too small.

    Raises:
        ValueError: says what the checkpoint is.
    """
    if arguments.sampling_power != 1 and training.train_sampling_strategy == "sequential":
        raise UserError(
            f"--sampling_power {arguments.sampling_power:g} has no effect with --train_sampling_strategy "
            "sequential; leave one of the two out"
        )
    if arguments.padding_competes is not None and task.name not in ("parsing", "qa"):
        raise UserError(
            f"--padding_competes is for parsing and qa; the loss of {task.name} has no choice of places"
        )
    name = arguments.model_name_or_path
    model_class = head_for(task.model_class, config)
    heads = [architecture.lower() for architecture in config.architectures or ()]
    if isinstance(config, TextConfig):
        check_no_pickle(find_shipped(name))
        heads = heads or [config.encoder_config.model_type]
    trained_for = getattr(config, "task", None)
    if not training.do_train:
        if heads and model_class.__name__.lower() not in heads:
            what = f"it was trained for {trained_for!r}" if trained_for else f"it is a {heads[0]}"
            raise UserError(
                f"--model_name_or_path {name} cannot do the task {task.name}: {what}; give --do_train, too"
            )
        if trained_for is not None and trained_for != task.name:
            raise UserError(
                f"--model_name_or_path {name} was trained for the task {trained_for!r}, not {task.name!r}; "
                f"write `finetune {trained_for}`, or train it with --do_train"
            )
    else:
        with torch.device("meta"):
            model = model_class(config)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        check_space(training.output_dir or ".", checkpoint_bytes(parameters, training))
    check_metric(task, training)


def check_metric(task: Task, training: TrainingArguments) -> None:
    """Refuse a score that the task does not have, or that would choose the worst checkpoint.

    Raises:
        ValueError: names the scores of the task.
    """
    asked, greater = training.metric_for_best_model, training.greater_is_better
    name = (asked or task.best_metric).removeprefix("eval_")
    names = [*task.score_names(), "loss"]
    if not any(fnmatchcase(name, pattern) for pattern in names):
        raise UserError(
            f"--metric_for_best_model {asked}: {task.name} has no such score; it has {', '.join(names)}"
        )
    if greater != (not name.endswith("loss")):  # which is what the Trainer writes by itself
        check_direction(name, greater)


def choose_metric(task: Task, training: TrainingArguments) -> None:
    """Write down the score that chooses the best checkpoint, now that the labels are known.

    Raises:
        ValueError: the score that was asked for does not fit the labels.
    """
    check_metric(task, training)
    if training.metric_for_best_model is None:
        training.metric_for_best_model = task.best_metric
    training.greater_is_better = not lower_is_better(training.metric_for_best_model)


def check_groups(task: Task, arguments: FinetuneArguments, train: Sequence[Any]) -> None:
    """Refuse a choice of how treebanks share the training where the data name none, or would not obey it.

    Raises:
        ValueError: says what the data should have.
    """
    if arguments.sampling_power != 1 and len({task.group_of(example) for example in train}) < 2:
        raise UserError(
            f"--sampling_power {arguments.sampling_power:g} is for the treebanks of a mixture, but the "
            "training data name no two of them; give each sentence its comment `# treebank = NAME`, or leave "
            "the option out"
        )


def check_data(task: Task, training: TrainingArguments, parts: int) -> None:
    """Refuse a training that would have no step, or never reach its learning rate.

    Args:
        task: with its labels.
        training: arguments of the Trainer.
        parts: number of parts that training examples were cut into.

    Raises:
        ValueError: says what to write.
    """
    if training.label_smoothing_factor and getattr(task, "regression", False):
        raise UserError(
            f"--label_smoothing_factor {training.label_smoothing_factor:g} is for classes, not for numbers"
        )
    batch = training.train_batch_size * training.world_size
    batches = parts // batch if training.dataloader_drop_last else -(-parts // batch)
    if batches == 0:
        raise UserError(
            f"--dataloader_drop_last true leaves nothing to train on: {parts} examples are fewer than a "
            f"batch of {batch}; write --dataloader_drop_last false, or --per_device_train_batch_size {parts}"
        )
    if training.max_steps > 0:
        return
    per_epoch = -(-batches // training.gradient_accumulation_steps)
    steps = int(-(-training.num_train_epochs * per_epoch // 1))
    if never_warm(training.lr_scheduler_type.value, training.warmup_steps, steps):
        length = f"the {steps} steps of --num_train_epochs {training.num_train_epochs:g}"
        raise UserError(said_of_warmup(training.warmup_steps, length))
