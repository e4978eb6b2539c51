"""Fine-tune a pixel model, or a text model, on a task: data, model and Trainer put together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
from pixel_m4.model import AnyConfig, AnyModel, PixelConfig, TextConfig
from pixel_m4.model.initialisation import begin, forget_labels, shrink
from pixel_m4.model.text_config import HEAD_FIELDS, is_text_model, read_config
from pixel_m4.model.text_heads import head_for
from pixel_m4.render import told_at_end
from pixel_m4.subwords.tokenizer import open_tokenizer
from pixel_m4.tasks.base import Task, TaskOptions, saved_labels
from pixel_m4.tasks.registry import TASKS
from pixel_m4.tasks.text_input import TextInput
from pixel_m4.training.defaults import use_one_gpu
from pixel_m4.training.overrides import parse_overrides
from pixel_m4.training.progress import Course
from pixel_m4.training.records import save_metrics, tensorboard_folder, true_rates
from pixel_m4.training.restarts import mark_begin, settle_restart
from pixel_m4.training.runs import (
    by_main,
    checkpoint_to_go_on_from,
    clear,
    held,
    keep_the_best,
    kept_checkpoint,
    place_beside,
    refuse_others,
    usable,
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
    use_one_gpu(training)
    stopping = Stopping()
    kept = kept_checkpoint(Path(training.output_dir)) if training.do_train else nullcontext()
    with (
        stopping.listening(),
        kept,
        _alone(training),
        told_at_end(logger.warning),
        Course(bar=not training.disable_tqdm) as course,
    ):
        shown = None if quiet else course
        return _finetune(task_class, arguments, training, options, callbacks, stopping, shown)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A run that is known to fit: what it works on, and where.

    Attributes:
        data: examples by split.
        encoded: the same, cut into parts.
        checkpoint: that training goes on from; None: it begins.
    """

    task: Task
    arguments: FinetuneArguments
    training: TrainingArguments
    data: dict[str, list[Any]]
    encoded: dict[str, EncodedSplit]
    model: AnyModel
    record: RunRecord
    output_dir: Path
    checkpoint: Path | None


def _finetune(
    task_class: type[Task],
    arguments: FinetuneArguments,
    training: TrainingArguments,
    options: TaskOptions | None,
    callbacks: Sequence[TrainerCallback],
    stopping: Stopping,
    course: Course | None,
) -> dict[str, float]:
    if training.do_train:
        arguments = settle_restart(arguments, training, lambda checkpoint: usable(checkpoint) is None)
        folder, overwrite = Path(training.output_dir), arguments.overwrite_output_dir
        by_main(training, lambda: refuse_others(folder, overwrite))
    if training.do_train and not training.do_eval:
        logger.warning("without --do_eval there is no choice of a checkpoint: the last one is kept")
    check_places(task_class, arguments, training)
    set_seed(training.seed)
    run = _prepare(task_class, arguments, training, options)
    by_main(training, lambda: _begin(run))
    with tensorboard_folder(run.output_dir / "tensorboard"):
        trainer = TaskTrainer(
            task=run.task,
            muon_learning_rate=arguments.muon_learning_rate,
            sampling_power=arguments.sampling_power,
            stopping=stopping,
            model=run.model,
            args=training,
            train_dataset=run.encoded.get("train"),
            eval_dataset=run.encoded.get("dev"),
            callbacks=[*callbacks, *([course] if course else []), *_early_stopping(arguments, training)],
        )
    results: dict[str, float] = {}
    if training.do_train:
        results |= _train(run, trainer, stopping)
    for split in ("dev", "test"):
        if split in run.encoded:
            if course is not None:
                course.phase = split
            results |= _predict(run, trainer, split)
    results = dict(sorted(results.items()))
    if trainer.is_world_process_zero():
        _finish(run, trainer, results, course)
    return by_main(training, lambda: results)


def _prepare(
    task_class: type[Task],
    arguments: FinetuneArguments,
    training: TrainingArguments,
    options: TaskOptions | None,
) -> _Run:
    """Read, check and cut all that there is, and make the model; nothing is written."""
    config = make_config(arguments)
    task = task_class(make_input(arguments, config), options=options)
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
    output_dir, checkpoint = _choose_places(arguments, training, record)
    encoded = {split: EncodedSplit(task, examples, sort=split != "train") for split, examples in data.items()}
    if training.do_train:
        check_data(task, training, len(encoded["train"]))
    model = make_model(task, arguments, config)
    if training.do_train and arguments.model_name_or_path is not None:
        shrink(model, arguments.shrink)
    return _Run(
        task=task,
        arguments=arguments,
        training=training,
        data=data,
        encoded=encoded,
        model=model,
        record=record,
        output_dir=output_dir,
        checkpoint=checkpoint,
    )


def _choose_places(
    arguments: FinetuneArguments, training: TrainingArguments, record: RunRecord
) -> tuple[Path, Path | None]:
    """Where results go, and the checkpoint that training goes on from."""
    asked, overwrite = Path(training.output_dir), arguments.overwrite_output_dir
    if training.do_train:
        given = training.resume_from_checkpoint
        return asked, by_main(
            training, lambda: checkpoint_to_go_on_from(asked, record.content, given, overwrite)
        )
    output_dir = by_main(training, lambda: place_beside(asked, overwrite))
    if output_dir != asked:
        logger.warning("%s holds something already; predictions go to %s", asked, output_dir)
    return output_dir, None


def _begin(run: _Run) -> None:
    """Write down how the run is started."""
    if run.training.do_train:
        clear(run.output_dir, run.checkpoint)
        mark_begin(run.output_dir)
        run.record.content["goes_on_from"] = run.checkpoint and str(run.checkpoint)
    run.record.begin(run.output_dir)


def _train(run: _Run, trainer: TaskTrainer, stopping: Stopping) -> dict[str, float]:
    """Train and save the model; return the metrics."""
    if run.checkpoint is not None:
        logger.warning("going on from %s", run.checkpoint)
    with stopping.patient():
        checkpoint = None if run.checkpoint is None else str(run.checkpoint)
        result = trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_final()
    with trainer.reported(TRAINER_STATE_NAME):
        trainer.save_state()
    metrics = true_rates(result.metrics, trainer.trained_samples)
    counts = {"train_parameters": run.model.num_parameters(), "train_steps": trainer.state.global_step}
    return _saved(run, trainer, "train", {**metrics, **counts})


def _predict(run: _Run, trainer: TaskTrainer, split: str) -> dict[str, float]:
    """Score a split beside its baseline, and write the predictions; return the metrics."""
    prefix = {"dev": "eval"}.get(split, split)
    output = trainer.predict(run.encoded[split], metric_key_prefix=prefix)
    metrics = dict(output.metrics)
    if "train" in run.data:
        baseline = run.task.baseline(run.data["train"], run.data[split])
        metrics |= {f"{prefix}_baseline_{key}": value for key, value in baseline.items()}
    if trainer.is_world_process_zero():
        file = run.task.write(output.predictions, run.output_dir / f"{split}_predictions")
        logger.info("predictions for %s: %s", split, file)
    return _saved(run, trainer, prefix, metrics)


def _saved(run: _Run, trainer: TaskTrainer, name: str, metrics: dict[str, float]) -> dict[str, float]:
    if trainer.is_world_process_zero():
        save_metrics(run.output_dir, name, metrics)
    return metrics


def _finish(run: _Run, trainer: TaskTrainer, results: dict[str, float], course: Course | None) -> None:
    """Write the card, complete the record, show the scores."""
    trained = run.training.do_train
    if trained:
        files = data_files(run.task, run.arguments, list(run.data))
        card = (run.output_dir, run.task, run.arguments, run.training, results, files, trainer.state)
        write_card(*card, hub_name=trainer.hub_model_id)
    run.record.finish(results, trainer.state if trained else None)
    if course is not None:
        course.stop()
        show_scores(course.console, results, run.output_dir)
    if trained and run.training.push_to_hub:
        place = trainer.push_to_hub("Upload the model with its renderer and card")
        if course is not None:
            course.console.print(f"uploaded: {place}", soft_wrap=True)
    if trained and run.training.save_total_limit == 1:
        keep_the_best(run.output_dir, trainer.state.best_model_checkpoint)


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
    with held(output_dir) as file:
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
            if made and not any(output_dir.iterdir()):
                output_dir.rmdir()


def make_input(arguments: FinetuneArguments, config: AnyConfig) -> TextInput:
    """What turns text into the model's input: a renderer, or the tokenizer of a text model.

    Raises:
        FileNotFoundError: the checkpoint has none, and none is named.
        ValueError: it or an argument is not what it should be.
    """
    if not isinstance(config, TextConfig):
        return make_renderer(arguments)
    return open_tokenizer(
        arguments.model_name_or_path or "",
        config,
        max_seq_length=arguments.max_seq_length,
        renderer=arguments.renderer,
        font_file=arguments.font_file,
        fallback_fonts_dir=arguments.fallback_fonts_dir,
    )


def make_config(arguments: FinetuneArguments) -> AnyConfig:
    """The configuration of the checkpoint or of the named size, with the arguments' changes.

    Raises:
        ValueError: a value is not possible, such as a length that is no perfect square.
    """
    changes = {**parse_overrides(arguments.config_overrides), **arguments.positions}
    overrides = {
        "hidden_dropout_prob": arguments.dropout_prob,
        "attention_probs_dropout_prob": arguments.dropout_prob,
        **changes,
    }
    if arguments.padding_competes is not None:
        overrides["padding_competes"] = arguments.padding_competes
    if arguments.model_name_or_path is not None:
        others = [name for name in changes if name not in HEAD_FIELDS]
        if others and is_text_model(arguments.model_name_or_path):
            option = "--" if others[0] in arguments.positions else "config_overrides: "
            raise UserError(
                f"{option}{others[0]} is for pixel models; of a text model only "
                f"{' and '.join(HEAD_FIELDS)} can be changed"
            )
        return read_config(arguments.model_name_or_path, **overrides)
    return PixelConfig.named(
        arguments.config_name or "base", image_size=[16, 16 * arguments.max_seq_length], **overrides
    )


def make_model(task: Task, arguments: FinetuneArguments, config: AnyConfig) -> AnyModel:
    """The task's model from the checkpoint, or with random weights, with positions for the asked length."""
    model_class = head_for(task.model_class, config)
    trained = model_class.__name__ in (config.architectures or ())
    known = saved_labels(task, config)
    named = config.id2label.get(0) != "LABEL_0"
    resized = trained and bool(task.labels) and config.num_labels != len(task.labels)
    renamed = trained and bool(task.labels) and not resized and named and known != task.labels
    task.configure(config)
    if arguments.model_name_or_path is None:
        model = model_class(config)
        begin(model, ["center_pixels", *arguments.starts])
        return model
    if resized or renamed:
        logger.warning(
            "the checkpoint knows other labels (%s): what its head has learnt of them is replaced by random "
            "weights", ", ".join(known[:8]) + (", …" if len(known) > 8 else ""),
        )  # fmt: skip
    model = model_class.from_pretrained(
        arguments.model_name_or_path, config=config, ignore_mismatched_sizes=resized
    )
    if renamed:
        forget_labels(model)
    if config.max_seq_length != arguments.max_seq_length:
        model.resize_positions(arguments.max_seq_length)
    return model


def _warn_of_changes(config: AnyConfig, arguments: FinetuneArguments, options: TaskOptions) -> None:
    """Tell where a model is tested otherwise than it was trained; `pixel-m4 evaluate` keeps its settings."""
    now = {"max_seq_length": arguments.max_seq_length, **asdict(options)}
    trained = {"max_seq_length": config.max_seq_length, **(getattr(config, "task_options", None) or {})}
    for name in sorted(now.keys() & trained.keys() - {"dataset_name", "language", "pairs"}):
        if now[name] != trained[name]:
            logger.warning("%s is %s, but the model was trained with %s", name, now[name], trained[name])


def _early_stopping(arguments: FinetuneArguments, training: TrainingArguments) -> list[TrainerCallback]:
    evaluated = training.do_train and training.do_eval and training.eval_strategy != "no"
    if not (evaluated and arguments.early_stopping_patience):
        return []
    return [EarlyStoppingCallback(arguments.early_stopping_patience)]
