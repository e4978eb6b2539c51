"""Fine-tune a pixel model on a task: data, model and Trainer put together."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from pixel_m4.model import PixelConfig
from pixel_m4.render import TextRenderer
from pixel_m4.render.renderer import CONFIG_NAME
from pixel_m4.tasks.base import Task, TaskOptions
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.splits import SingleFile, only_file, read_single_file
from pixel_m4.tasks.tagging import Tagging

from .arguments import FinetuneArguments, parse_arguments, parse_overrides
from .pretrain_arguments import PretrainArguments
from .trainer import EncodedSplit, TaskTrainer

TASKS: dict[str, type[Task]] = {task.name: task for task in (Parsing, Tagging)}

logger = logging.getLogger(__name__)


def main(name: str, argv: Sequence[str]) -> dict[str, float]:
    """Run ``pixel-m4 finetune NAME …``; return what ``all_results.json`` holds."""
    arguments, training, options = parse_arguments(f"pixel-m4 finetune {name}", TASKS[name], argv)
    return finetune(TASKS[name], arguments, training, options)


def finetune(
    task_class: type[Task],
    arguments: FinetuneArguments,
    training: TrainingArguments,
    options: TaskOptions | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    *,
    quiet: bool = False,
) -> dict[str, float]:
    """Train, choose the best checkpoint on dev, and report on test.

    The output folder gets the model, its renderer, ``all_results.json`` and the predictions.

    Args:
        task_class: the task.
        arguments: data, model and renderer.
        training: arguments of the Trainer.
        options: what was asked of the task; default its defaults.
        callbacks: further callbacks of the Trainer.
        quiet: print nothing.

    Returns:
        What ``all_results.json`` holds.

    Raises:
        ValueError: the data, the model or an argument is wrong; the message says what.
        OSError: a file cannot be read or written.
    """
    if training.do_train and not training.do_eval:
        raise ValueError("--do_train needs --do_eval: the best checkpoint is chosen on the dev split")
    if training.metric_for_best_model is None or training.metric_for_best_model == "loss":
        training.metric_for_best_model = task_class.metric
    training.greater_is_better = not training.metric_for_best_model.endswith("loss")
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(Path(training.output_dir) / "tensorboard"))
    set_seed(training.seed)
    renderer = make_renderer(arguments)
    config = make_config(arguments)
    labels = None if training.do_train else list(config.id2label.values())
    task = task_class(renderer, labels, options)

    splits = {"train": training.do_train, "dev": training.do_eval, "test": training.do_predict}
    data = read_splits(task, arguments, [split for split, wanted in splits.items() if wanted])
    encoded = {split: EncodedSplit(task, examples, sort=split != "train") for split, examples in data.items()}
    model = make_model(task, arguments, config)

    trainer = TaskTrainer(
        task=task,
        model=model,
        args=training,
        train_dataset=encoded.get("train"),
        eval_dataset=encoded.get("dev"),
        callbacks=[*callbacks, *_early_stopping(arguments, training)],
    )

    def report(split: str, metrics: dict[str, float]) -> None:
        trainer.save_metrics(split, metrics)
        if not quiet:
            trainer.log_metrics(split, metrics)

    if quiet:
        trainer.remove_callback(PrinterCallback)
    if training.do_train:
        result = trainer.train(resume_from_checkpoint=training.resume_from_checkpoint)
        trainer.save_model()
        renderer.save_pretrained(training.output_dir)
        trainer.save_state()
        counts = {"train_parameters": model.num_parameters(), "train_steps": trainer.state.global_step}
        report("train", {**result.metrics, **counts})
    for split, prefix in (("dev", "eval"), ("test", "test")):
        if split in encoded:
            output = trainer.predict(encoded[split], metric_key_prefix=prefix)
            metrics = dict(output.metrics)
            if "train" in data:
                baseline = task.baseline(data["train"], data[split])
                metrics |= {f"{prefix}_baseline_{key}": value for key, value in baseline.items()}
            if trainer.is_world_process_zero():
                file = task.write(output.predictions, Path(training.output_dir) / f"{split}_predictions")
                logger.info("predictions for %s: %s", split, file)
            report(prefix, metrics)
    return json.loads((Path(training.output_dir) / "all_results.json").read_text(encoding="utf-8"))


def read_splits(task: Task, arguments: FinetuneArguments, splits: Sequence[str]) -> dict[str, list[Any]]:
    """The wanted splits; a task whose labels are found in data gets those of train, if that is read.

    Raises:
        DataError: something is wrong with the data; the message says where and what.
    """
    data_dir = Path(arguments.data_dir or ".")
    single = only_file(data_dir, task.files) if arguments.data_dir is not None else None
    if arguments.data_file is not None:
        single = Path(arguments.data_file)
    if single is not None:
        source = SingleFile(
            path=single, seed=arguments.split_seed, dev=arguments.dev_share, test=arguments.test_share
        )
        parts = read_single_file(task, source)
        sizes = ", ".join(f"{len(examples)} {split}" for split, examples in parts.items())
        logger.warning("%s is divided (--split_seed %d): %s", single, source.seed, sizes)
        return {split: parts[split] for split in splits}
    data = {}
    for split in splits:
        data[split] = task.read(data_dir, split)
        if split == "train" and not task.labels:
            task.labels = task.find_labels(data[split])  # what the other splits are checked against
    return data


def make_renderer(arguments: FinetuneArguments | PretrainArguments) -> TextRenderer:
    """The renderer of the checkpoint where it has one, else the default, with the arguments' changes."""
    overrides: dict[str, Any] = {"max_seq_length": arguments.max_seq_length}
    for name in ("font_file", "fallback_fonts_dir"):
        if getattr(arguments, name) is not None:
            overrides[name] = getattr(arguments, name)
    path = arguments.model_name_or_path
    if path is None or (Path(path).is_dir() and not (Path(path) / CONFIG_NAME).is_file()):
        return TextRenderer(**overrides)
    return TextRenderer.from_pretrained(path, **overrides)


def make_config(arguments: FinetuneArguments) -> PixelConfig:
    """The configuration of the checkpoint or of the named size, with the arguments' changes.

    Raises:
        ValueError: a value is not possible, such as a length that is no perfect square.
    """
    overrides = {
        "hidden_dropout_prob": arguments.dropout_prob,
        "attention_probs_dropout_prob": arguments.dropout_prob,
        **parse_overrides(arguments.config_overrides),
    }
    if arguments.model_name_or_path is not None:
        return PixelConfig.from_pretrained(arguments.model_name_or_path, **overrides)
    return PixelConfig.named(
        arguments.config_name, image_size=[16, 16 * arguments.max_seq_length], **overrides
    )


def make_model(task: Task, arguments: FinetuneArguments, config: PixelConfig) -> PreTrainedModel:
    """The task's model from the checkpoint, or with random weights, with positions for the asked length."""
    task.configure(config)
    if arguments.model_name_or_path is None:
        model = task.model_class(config)
        model.vit.embeddings.patch_embeddings.center()  # learns faster from nothing: docs/log.md, 2026-11-23
        return model
    model = task.model_class.from_pretrained(arguments.model_name_or_path, config=config)
    if config.max_seq_length != arguments.max_seq_length:
        model.resize_positions(arguments.max_seq_length)
    return model


def _early_stopping(arguments: FinetuneArguments, training: TrainingArguments) -> list[TrainerCallback]:
    if not (training.do_train and arguments.early_stopping_patience):
        return []
    return [EarlyStoppingCallback(arguments.early_stopping_patience)]
