"""Fine-tune a pixel model on a task: data, model and Trainer put together."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from pixel_m4.model import PixelConfig, PixelPreTrainedModel
from pixel_m4.render import TextRenderer
from pixel_m4.render.opening import open_renderer
from pixel_m4.tasks.base import Task, TaskOptions, saved_labels
from pixel_m4.tasks.classification import Classification
from pixel_m4.tasks.ner import NER
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.qa import QuestionAnswering
from pixel_m4.tasks.tagging import Tagging

from .arguments import FinetuneArguments, ModelArguments, parse_arguments, parse_overrides, task_of_recipe
from .checks import (
    check_data,
    check_model,
    check_places,
    check_splits,
    check_training,
    choose_metric,
)
from .data import data_files, read_splits
from .records import METRICS, RunRecord, save_metrics, tensorboard_folder, true_rates, write_card
from .trainer import EncodedSplit, TaskTrainer

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Parsing, Tagging, NER, Classification, QuestionAnswering)
}

logger = logging.getLogger(__name__)


def main(name: str | None, argv: Sequence[str]) -> dict[str, float]:
    """Run ``pixel-m4 finetune [NAME] …``; return what ``all_results.json`` holds.

    Raises:
        ValueError: the data, the model or an argument is wrong.
        OSError: a file cannot be read or written.
    """
    name = name or task_of_recipe(argv)
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; the tasks: {', '.join(TASKS)}")
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

    The output folder gets the model, its renderer and its card, ``all_results.json``, the predictions, and
    ``run.json``, which tells how all this came about.

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
        logger.warning("without --do_eval there is no choice of a checkpoint: the last one is kept")
    check_training(task_class, arguments, training)
    check_places(task_class, arguments, training)
    set_seed(training.seed)
    renderer = make_renderer(arguments)
    config = make_config(arguments)
    task = task_class(renderer, options=options)
    check_splits(task, arguments, training)
    if not training.do_train:
        task.labels = saved_labels(task, config)
        _warn_of_changes(config, arguments, task.options)
    check_model(task, arguments, training, config)

    splits = {"train": training.do_train, "dev": training.do_eval, "test": training.do_predict}
    data = read_splits(task, arguments, [split for split, wanted in splits.items() if wanted])
    choose_metric(task, training)
    encoded = {split: EncodedSplit(task, examples, sort=split != "train") for split, examples in data.items()}
    if training.do_train:
        check_data(task, training, len(encoded["train"]))
    model = make_model(task, arguments, config)
    if training.do_train and arguments.model_name_or_path is not None:
        model.shrink(arguments.shrink)
    output_dir = Path(training.output_dir)
    record = RunRecord.begin(task, arguments, training, list(data))

    with tensorboard_folder(output_dir / "tensorboard"):
        trainer = TaskTrainer(
            task=task,
            muon_learning_rate=arguments.muon_learning_rate,
            model=model,
            args=training,
            train_dataset=encoded.get("train"),
            eval_dataset=encoded.get("dev"),
            callbacks=[*callbacks, *_early_stopping(arguments, training)],
        )

    def report(split: str, metrics: dict[str, float]) -> None:
        if trainer.is_world_process_zero():
            save_metrics(output_dir, split, metrics)
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
        report("train", {**true_rates(result.metrics, trainer.trained_samples), **counts})
    for split, prefix in (("dev", "eval"), ("test", "test")):
        if split in encoded:
            output = trainer.predict(encoded[split], metric_key_prefix=prefix)
            metrics = dict(output.metrics)
            if "train" in data:
                baseline = task.baseline(data["train"], data[split])
                metrics |= {f"{prefix}_baseline_{key}": value for key, value in baseline.items()}
            if trainer.is_world_process_zero():
                file = task.write(output.predictions, output_dir / f"{split}_predictions")
                logger.info("predictions for %s: %s", split, file)
            report(prefix, metrics)
    results = json.loads((output_dir / METRICS).read_text(encoding="utf-8"))
    if trainer.is_world_process_zero():
        if training.do_train:
            files = data_files(task, arguments, list(data))
            write_card(output_dir, task, arguments, training, results, files, trainer.state)
        record.finish(results, trainer.state if training.do_train else None)
    return results


def make_renderer(arguments: ModelArguments) -> TextRenderer:
    """The named renderer, or that of the checkpoint, or with random weights the published one.

    Raises:
        FileNotFoundError: the checkpoint has no renderer, and none is named.
        ValueError: the renderer's file or an argument is not what it should be.
    """
    overrides: dict[str, Any] = {"max_seq_length": arguments.max_seq_length}
    for name in ("font_file", "fallback_fonts_dir"):
        if getattr(arguments, name) is not None:
            overrides[name] = getattr(arguments, name)
    if arguments.model_name_or_path is None and arguments.renderer is None:
        return TextRenderer(**overrides)
    return open_renderer(arguments.model_name_or_path, arguments.renderer, **overrides)


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
        arguments.config_name or "base", image_size=[16, 16 * arguments.max_seq_length], **overrides
    )


def make_model(task: Task, arguments: FinetuneArguments, config: PixelConfig) -> PixelPreTrainedModel:
    """The task's model from the checkpoint, or with random weights, with positions for the asked length."""
    trained = task.model_class.__name__ in (config.architectures or ())
    other_head = trained and bool(task.labels) and config.num_labels != len(task.labels)
    task.configure(config)
    if arguments.model_name_or_path is None:
        model = task.model_class(config)
        # Learns faster from nothing: docs/log.md, 2026-11-23 and 2026-11-25.
        model.set_new_weights(line=arguments.line_positions, neighbours=arguments.look_at_neighbours)
        return model
    if other_head:
        logger.warning("the checkpoint knows other labels: its head is replaced by one with random weights")
    model = task.model_class.from_pretrained(
        arguments.model_name_or_path, config=config, ignore_mismatched_sizes=other_head
    )
    if config.max_seq_length != arguments.max_seq_length:
        model.resize_positions(arguments.max_seq_length)
    return model


def _warn_of_changes(config: PixelConfig, arguments: FinetuneArguments, options: TaskOptions) -> None:
    """Tell where a model is tested otherwise than it was trained; `pixel-m4 evaluate` keeps its settings."""
    now = {"max_seq_length": arguments.max_seq_length, **asdict(options)}
    trained = {"max_seq_length": config.max_seq_length, **(getattr(config, "task_options", None) or {})}
    for name in sorted(now.keys() & trained.keys() - {"dataset_name", "language"}):
        if now[name] != trained[name]:
            logger.warning("%s is %s, but the model was trained with %s", name, now[name], trained[name])


def _early_stopping(arguments: FinetuneArguments, training: TrainingArguments) -> list[TrainerCallback]:
    evaluated = training.do_train and training.do_eval and training.eval_strategy != "no"
    if not (evaluated and arguments.early_stopping_patience):
        return []
    return [EarlyStoppingCallback(arguments.early_stopping_patience)]
