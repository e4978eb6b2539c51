"""Fine-tune a pixel model on a task: data, model and Trainer put together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout
from transformers import (
    EarlyStoppingCallback,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer import TRAINER_STATE_NAME

from pixel_m4.console.errors import UserError
from pixel_m4.console.stopping import Stopping
from pixel_m4.finetune.arguments import FinetuneArguments, parse_arguments, task_of_recipe
from pixel_m4.finetune.checks import (
    check_data,
    check_groups,
    check_model,
    check_places,
    check_splits,
    check_training,
    choose_metric,
)
from pixel_m4.finetune.data import data_files, read_splits
from pixel_m4.finetune.records import RunRecord, show_scores, write_card
from pixel_m4.finetune.trainer import EncodedSplit, TaskTrainer
from pixel_m4.model import PixelConfig, PixelPreTrainedModel
from pixel_m4.tasks.base import Task, TaskOptions, saved_labels
from pixel_m4.tasks.registry import TASKS
from pixel_m4.training.overrides import parse_overrides
from pixel_m4.training.progress import Course
from pixel_m4.training.records import save_metrics, tensorboard_folder, true_rates
from pixel_m4.training.runs import (
    by_main,
    checkpoint_to_go_on_from,
    clear,
    keep_the_best,
    kept_checkpoint,
    place_beside,
    refuse_others,
)
from pixel_m4.training.start import make_renderer

logger = logging.getLogger(__name__)


def main(name: str | None, argv: Sequence[str], *, quiet: bool = False) -> dict[str, float]:
    """Run ``pixel-m4 finetune [NAME] …``; return what ``all_results.json`` holds.

    Raises:
        ValueError: the data, the model or an argument is wrong.
        OSError: a file cannot be read or written.
    """
    name = name or task_of_recipe(argv)
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}; the tasks: {', '.join(TASKS)}")
    arguments, training, options = parse_arguments(f"pixel-m4 finetune {name}", TASKS[name], argv)
    return finetune(TASKS[name], arguments, training, options, quiet=quiet)


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
    ``run.json``, which tells how all this came about.  A run of the same command that was stopped goes on
    from its last whole checkpoint, to the same weights; a folder that holds anything else is refused.
    Without training, a folder that holds something gets the predictions in a folder of their own.

    Args:
        task_class: the task.
        arguments: data, model and renderer.
        training: arguments of the Trainer.
        options: what was asked of the task; default its defaults.
        callbacks: further callbacks of the Trainer.
        quiet: print nothing but warnings.

    Returns:
        What ``all_results.json`` holds.

    Raises:
        ValueError: the data, the model or an argument is wrong, or the output folder holds something that
            would be lost; the message says what.
        OSError: a file cannot be read or written.
        Stopped: Ctrl-C or SIGTERM; the last checkpoint is whole.
    """
    check_training(task_class, arguments, training)
    stopping = Stopping()
    kept = kept_checkpoint(Path(training.output_dir)) if training.do_train else nullcontext()
    with stopping.listening(), kept, _alone(training), Course(bar=not training.disable_tqdm) as course:
        shown = None if quiet else course
        return _finetune(task_class, arguments, training, options, callbacks, stopping, shown)


def _finetune(
    task_class: type[Task],
    arguments: FinetuneArguments,
    training: TrainingArguments,
    options: TaskOptions | None,
    callbacks: Sequence[TrainerCallback],
    stopping: Stopping,
    course: Course | None,
) -> dict[str, float]:
    output_dir = Path(training.output_dir)
    if training.do_train:
        by_main(training, lambda: refuse_others(output_dir, arguments.overwrite_output_dir))
    if training.do_train and not training.do_eval:
        logger.warning("without --do_eval there is no choice of a checkpoint: the last one is kept")
    check_places(task_class, arguments, training)
    set_seed(training.seed)
    renderer = make_renderer(arguments)
    config = make_config(arguments)
    task = task_class(renderer, options=options)
    task.settle(config)
    if not training.do_train:
        task.labels = saved_labels(task, config)
        task.refuse_changes(config)
        _warn_of_changes(config, arguments, task.options)
    check_model(task, arguments, training, config)
    check_splits(task, arguments, training)

    splits = {"train": training.do_train, "dev": training.do_eval, "test": training.do_predict}
    data = read_splits(task, arguments, [split for split, wanted in splits.items() if wanted])
    if training.do_train:
        check_groups(task, arguments, data["train"])
    choose_metric(task, training)
    record = RunRecord.of(task, arguments, training, list(data))
    overwrite = arguments.overwrite_output_dir
    checkpoint = None
    if training.do_train:
        given = training.resume_from_checkpoint
        checkpoint = by_main(
            training, lambda: checkpoint_to_go_on_from(output_dir, record.content, given, overwrite)
        )
    else:
        output_dir = by_main(training, lambda: place_beside(output_dir, overwrite))
        if str(output_dir) != training.output_dir:
            logger.warning(
                "%s holds something already; predictions go to %s", training.output_dir, output_dir
            )
    encoded = {split: EncodedSplit(task, examples, sort=split != "train") for split, examples in data.items()}
    if training.do_train:
        check_data(task, training, len(encoded["train"]))
    model = make_model(task, arguments, config)
    if training.do_train and arguments.model_name_or_path is not None:
        model.shrink(arguments.shrink)

    def begin() -> None:
        if training.do_train:
            clear(output_dir, checkpoint)
            record.content["goes_on_from"] = checkpoint and str(checkpoint)
        record.begin(output_dir)

    by_main(training, begin)
    with tensorboard_folder(output_dir / "tensorboard"):
        trainer = TaskTrainer(
            task=task,
            muon_learning_rate=arguments.muon_learning_rate,
            sampling_power=arguments.sampling_power,
            stopping=stopping,
            model=model,
            args=training,
            train_dataset=encoded.get("train"),
            eval_dataset=encoded.get("dev"),
            callbacks=[*callbacks, *([course] if course else []), *_early_stopping(arguments, training)],
        )
    results: dict[str, float] = {}

    def report(split: str, metrics: dict[str, float]) -> None:
        results.update(metrics)
        if trainer.is_world_process_zero():
            save_metrics(output_dir, split, metrics)

    if training.do_train:
        if checkpoint is not None:
            logger.warning("going on from %s", checkpoint)
        with stopping.patient():
            result = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        trainer.save_final()
        with trainer.reported(TRAINER_STATE_NAME):
            trainer.save_state()
        counts = {"train_parameters": model.num_parameters(), "train_steps": trainer.state.global_step}
        report("train", {**true_rates(result.metrics, trainer.trained_samples), **counts})
    for split, prefix in (("dev", "eval"), ("test", "test")):
        if split in encoded:
            if course is not None:
                course.phase = split
            output = trainer.predict(encoded[split], metric_key_prefix=prefix)
            metrics = dict(output.metrics)
            if "train" in data:
                baseline = task.baseline(data["train"], data[split])
                metrics |= {f"{prefix}_baseline_{key}": value for key, value in baseline.items()}
            if trainer.is_world_process_zero():
                file = task.write(output.predictions, output_dir / f"{split}_predictions")
                logger.info("predictions for %s: %s", split, file)
            report(prefix, metrics)
    if trainer.is_world_process_zero():
        results = dict(sorted(results.items()))
        if training.do_train:
            files = data_files(task, arguments, list(data))
            write_card(output_dir, task, arguments, training, results, files, trainer.state)
        record.finish(results, trainer.state if training.do_train else None)
        if course is not None:
            course.stop()
            show_scores(course.console, results, output_dir)
        if training.do_train and training.save_total_limit == 1:
            keep_the_best(output_dir, trainer.state.best_model_checkpoint)
    return by_main(training, lambda: results)


@contextmanager
def _alone(training: TrainingArguments) -> Iterator[None]:
    """Let no other run train into the output folder at the same time.

    Raises:
        ValueError: another run does.
    """
    output_dir = Path(training.output_dir)
    if not training.do_train or training.process_index or (output_dir.exists() and not output_dir.is_dir()):
        yield
        return
    made = not output_dir.exists()
    output_dir.mkdir(parents=True, exist_ok=True)
    file = output_dir / ".run.lock"
    try:
        with FileLock(file, timeout=0):
            try:
                yield
            finally:
                file.unlink(missing_ok=True)
                if made and not any(output_dir.iterdir()):
                    output_dir.rmdir()
    except Timeout as error:
        raise UserError(f"another run is at work in {output_dir}; wait for its end") from error


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
    if arguments.padding_competes is not None:
        overrides["padding_competes"] = arguments.padding_competes
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
