"""Pretrain a pixel model on text in many languages: stream, model and Trainer put together."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from accelerate.utils import set_seed as set_seed_of_process
from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerCallback, TrainerState, set_seed
from transformers.integrations import TensorBoardCallback
from transformers.trainer import TRAINER_STATE_NAME

from pixel_m4.console.errors import UserError
from pixel_m4.console.redact import redact
from pixel_m4.console.stopping import Stopping
from pixel_m4.corpus.corpora import Source, TextStream
from pixel_m4.corpus.pretraining import MaskedBlocks, Masking
from pixel_m4.files import replacing
from pixel_m4.model import PixelForPreTraining
from pixel_m4.model.flops import parameters as count_parameters
from pixel_m4.pretrain.arguments import PretrainArguments, PretrainTrainingArguments
from pixel_m4.pretrain.checks import (
    check_position,
    check_pretraining,
    check_settings,
    check_text,
)
from pixel_m4.pretrain.model import (
    check_renderer,
    check_same_model,
    make_config,
    make_model,
    make_objective,
)
from pixel_m4.pretrain.patch_classes import forget, objective_parameters
from pixel_m4.pretrain.pictures import Pictures
from pixel_m4.pretrain.text import (
    hold_out,
    make_reader,
    make_sources,
    make_stream,
    make_validation,
    make_vocabulary,
)
from pixel_m4.pretrain.trainer import PretrainTrainer, last_losses
from pixel_m4.pretrain.validation import Validation
from pixel_m4.render import TextRenderer, told_at_end
from pixel_m4.render.renderer import CONFIG_NAME as RENDERER_CONFIG_NAME
from pixel_m4.training.checks import check_space, checkpoint_bytes
from pixel_m4.training.progress import Course
from pixel_m4.training.records import SETTINGS, now, settings_of, surroundings, write_json
from pixel_m4.training.restarts import mark_begin, settle_restart
from pixel_m4.training.runs import kept_checkpoint, not_gone_on_from, refuse_others_than_pretraining
from pixel_m4.training.saving import STAGING, is_whole, last_whole, publish_files, start_anew, step_of
from pixel_m4.training.start import make_renderer, start_of

RESULTS = "all_results.json"

logger = logging.getLogger(__name__)


def pretrain(
    arguments: PretrainArguments,
    training: PretrainTrainingArguments,
    callbacks: Sequence[TrainerCallback] = (),
    *,
    quiet: bool = False,
) -> dict[str, float]:
    """Train, going on from the last whole checkpoint in the output folder if there is one.

    The output folder gets the model, its renderer, ``all_results.json``, ``settings.json``, checkpoints,
    ``tensorboard`` and ``pictures``.

    Args:
        arguments: text, model and masks.
        training: arguments of the Trainer.
        callbacks: further callbacks of the Trainer.
        quiet: print nothing.

    Returns:
        What ``all_results.json`` holds.

    Raises:
        ValueError: the text, the model or an argument is wrong; the message says what.
        OSError: a file cannot be read or written.
        Stopped: Ctrl-C or SIGTERM; the last checkpoint is whole.
    """
    check_pretraining(training)
    stopping = Stopping()
    kept = kept_checkpoint(Path(training.output_dir))
    bar = not training.disable_tqdm
    with stopping.listening(), kept, told_at_end(logger.warning), Course(bar=bar) as course:
        return _pretrain(arguments, training, callbacks, stopping, None if quiet else course)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A run that is known to fit: what it works on, and where.

    Attributes:
        held_out: text that is not trained on, by language.
        checkpoint: that training goes on from; None: it begins.
    """

    arguments: PretrainArguments
    training: PretrainTrainingArguments
    renderer: TextRenderer
    masking: Masking
    sources: dict[str, Source]
    held_out: dict[str, Source]
    stream: TextStream
    output_dir: Path
    checkpoint: Path | None


def _pretrain(
    arguments: PretrainArguments,
    training: PretrainTrainingArguments,
    callbacks: Sequence[TrainerCallback],
    stopping: Stopping,
    course: Course | None,
) -> dict[str, float]:
    run = _prepare(settle_restart(arguments, training), training)
    if run.checkpoint is not None and step_of(run.checkpoint) >= training.max_steps:
        logger.warning("%s has all its %d steps already", run.output_dir, training.max_steps)
        return finish(run.output_dir, run.checkpoint, write=training.process_index == 0)
    trainer = _make_trainer(run, [*callbacks, *([course] if course else [])], stopping)
    if run.checkpoint is None:
        set_seed_of_process(training.seed, device_specific=True)  # dropout differs between processes
    else:
        logger.warning("going on from %s", run.checkpoint)
    with stopping.patient():
        checkpoint = None if run.checkpoint is None else str(run.checkpoint)
        result = trainer.train(resume_from_checkpoint=checkpoint)
    metrics = _save(trainer, result.metrics, run.output_dir)
    if course is not None and trainer.is_world_process_zero():
        steps = trainer.state.global_step
        course.console.print(f"{steps} steps are done; the model: {run.output_dir}", soft_wrap=True)
    return metrics


def _prepare(arguments: PretrainArguments, training: PretrainTrainingArguments) -> _Run:
    """Check all that can be checked without a model; nothing is deleted or trained."""
    output_dir = Path(training.output_dir)
    renderer = make_renderer(arguments)
    masking = Masking(kind=arguments.masking, ratio=arguments.mask_ratio, max_span=arguments.max_span)
    config, objective = make_config(arguments), make_objective(arguments)
    check_renderer(arguments, renderer, config)
    parameters = count_parameters(config, PixelForPreTraining).total
    if objective is not None:
        parameters += objective_parameters(config, objective)
    check_space(output_dir, checkpoint_bytes(parameters, training))
    sources = make_sources(arguments)
    held_out: dict[str, Source] = {}
    if arguments.validation_blocks:
        sources, held_out = hold_out(arguments, sources)
    stream = make_stream(arguments, training, sources, renderer)
    with training.main_process_first(local=False, desc="looking for checkpoints"):
        checkpoint = find_checkpoint(arguments, training)
    if checkpoint is not None:
        check_same_model(checkpoint, config, objective)
    if checkpoint is None or step_of(checkpoint) < training.max_steps:
        if checkpoint is not None:
            check_settings(checkpoint, settings_in_use(arguments, training))
            check_position(checkpoint, training, stream, masking)
        check_text(stream, max(training.dataloader_num_workers, 1), held_out)
    return _Run(
        arguments=arguments,
        training=training,
        renderer=renderer,
        masking=masking,
        sources=sources,
        held_out=held_out,
        stream=stream,
        output_dir=output_dir,
        checkpoint=checkpoint,
    )


def _make_trainer(run: _Run, callbacks: Sequence[TrainerCallback], stopping: Stopping) -> PretrainTrainer:
    """Make what looks at the text, the model and the Trainer; only now an earlier run may be deleted."""
    arguments, training, languages = run.arguments, run.training, list(run.sources)
    reader = None
    if arguments.patch_classes or (run.held_out and arguments.read_back):
        reader = make_reader(arguments, run.sources, run.renderer)
    vocabulary = make_vocabulary(arguments, reader)
    validation = None
    if run.held_out:
        validation = make_validation(
            arguments, training, run.held_out, run.renderer, run.masking, reader, vocabulary
        )
    collate = MaskedBlocks(
        run.renderer,
        languages,
        masking=run.masking,
        seed=training.seed,
        rank=training.process_index,
        vocabulary=vocabulary,
        positions=arguments.max_positions if arguments.draw_positions else None,
    )
    set_seed(training.seed)
    model = make_model(arguments)
    if training.process_index == 0:
        written = ("tensorboard", "pictures")
        start_anew(run.output_dir, checkpoints=arguments.overwrite_output_dir, folders=written)
        mark_begin(run.output_dir)
        write_json(run.output_dir / SETTINGS, settings_in_use(arguments, training))
    writer = tensorboard_writer(training, 0 if run.checkpoint is None else step_of(run.checkpoint))
    return PretrainTrainer(
        languages=languages,
        collate=collate,
        validation=validation,
        pictures=_pictures(run, validation),
        endless=arguments.exhausted == "repeat",
        stopping=stopping,
        model=model,
        args=training,
        train_dataset=run.stream,
        processing_class=run.renderer,  # saved with every checkpoint
        eval_dataset=run.stream,  # only so that the Trainer lets itself be asked to evaluate
        callbacks=[*callbacks, *([] if writer is None else [TensorBoardCallback(writer)])],
    )


def settings_in_use(arguments: PretrainArguments, training: PretrainTrainingArguments) -> dict[str, object]:
    """What ``settings.json`` holds: every option as it is used, those that the device decided too."""
    return {
        "started": now(),
        "start": start_of(arguments),
        "arguments": redact(asdict(arguments)),
        "training": settings_of(arguments, training),
        "processes": training.world_size,
        **surroundings(training),
    }


def _pictures(run: _Run, validation: Validation | None) -> Pictures | None:
    if validation is None or not run.arguments.picture_steps:
        return None
    folder = run.output_dir / "pictures" if run.training.process_index == 0 else None
    return Pictures(validation, list(run.sources), folder, run.arguments.picture_steps)


def _save(trainer: PretrainTrainer, metrics: Mapping[str, float], output_dir: Path) -> dict[str, float]:
    """Save the model and its results.

    Raises:
        UserError: there was no text for a step.
    """
    if not trainer.state.global_step:
        raise UserError("the text came to its end before the first step; give more text or a smaller batch")
    trainer.save_final()
    results = {**last_losses(trainer.state.log_history), **metrics}
    results |= {"train_parameters": trainer.model.num_parameters(), "train_steps": trainer.state.global_step}
    if trainer.is_world_process_zero():
        write_results(output_dir, results)
    return results


def write_results(output_dir: Path, metrics: Mapping[str, float]) -> None:
    """Write ``all_results.json``."""
    with replacing(output_dir / RESULTS) as scratch:
        scratch.write_text(json.dumps(metrics, indent=4, sort_keys=True) + "\n", encoding="utf-8")


def finish(output_dir: Path, checkpoint: Path, *, write: bool) -> dict[str, float]:
    """The results of a finished run; if it was killed at its very end, they are made from its checkpoint.

    Results of another number of steps are of an earlier run, which this one went on from.
    """
    results = output_dir / RESULTS
    if results.is_file():
        found = json.loads(results.read_text(encoding="utf-8"))
        if found.get("train_steps") == step_of(checkpoint):
            return found
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    metrics = {**last_losses(state.log_history), "train_steps": state.global_step}
    if write:
        model = PixelForPreTraining.from_pretrained(checkpoint)
        forget(model.config)
        staged = output_dir / STAGING / "model"
        model.save_pretrained(staged)
        shutil.copyfile(checkpoint / RENDERER_CONFIG_NAME, staged / RENDERER_CONFIG_NAME)
        publish_files(staged, output_dir)
        write_results(output_dir, metrics)
    return metrics


def find_checkpoint(arguments: PretrainArguments, training: PretrainTrainingArguments) -> Path | None:
    """The checkpoint to go on from, None to begin; what a killed run left half-written is removed.

    Raises:
        ValueError: ``--resume_from_checkpoint`` names a folder that is no whole checkpoint, or the output
            folder holds something that would be lost.
    """
    output_dir = Path(training.output_dir)
    given = None if training.resume_from_checkpoint is None else str(training.resume_from_checkpoint)
    if training.process_index == 0:
        refuse_others_than_pretraining(output_dir, arguments.overwrite_output_dir)
        output_dir.mkdir(parents=True, exist_ok=True)
    if arguments.overwrite_output_dir:
        if given is not None and given.lower() != "false":
            raise UserError(
                f"--resume_from_checkpoint {given} contradicts --overwrite_output_dir; leave one of them out"
            )
        return None
    if training.process_index == 0:
        start_anew(output_dir, checkpoints=False)
    if given is None or given.lower() in ("true", "false"):
        last = last_whole(output_dir)
        if last is not None and given is not None and given.lower() == "false":
            raise UserError(not_gone_on_from(last))
        return last
    if not is_whole(Path(given)):
        raise UserError(f"--resume_from_checkpoint {given} is no whole checkpoint of pixel-m4 pretrain")
    return Path(given)


def tensorboard_writer(training: PretrainTrainingArguments, step: int) -> SummaryWriter | None:
    """A writer to ``tensorboard`` in the output folder; what a killed run wrote after ``step`` is hidden."""
    wanted = list(training.report_to or ())
    if "tensorboard" not in wanted:
        return None
    training.report_to = [name for name in wanted if name != "tensorboard"]
    if training.process_index:
        return None
    return SummaryWriter(Path(training.output_dir) / "tensorboard", purge_step=step + 1)
