"""Pretrain a pixel model on text in many languages: stream, model and Trainer put together."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import set_seed as set_seed_of_process
from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerCallback, TrainerState, set_seed
from transformers.integrations import TensorBoardCallback
from transformers.trainer import TRAINER_STATE_NAME

from pixel_m4.console.errors import UserError
from pixel_m4.console.stopping import Stopping
from pixel_m4.corpus.corpora import Source, TextStream, hub_sources, local_sources
from pixel_m4.corpus.heldout import first_blocks, without_held_out
from pixel_m4.corpus.patches import PatchVocabulary
from pixel_m4.corpus.prepared import PreparedSource
from pixel_m4.corpus.pretraining import MaskedBlocks, Masking
from pixel_m4.files import replacing
from pixel_m4.fill.reading import UnitReader
from pixel_m4.fill.units import MAX_UNITS, count_units
from pixel_m4.model import PixelConfig, PixelForPreTraining
from pixel_m4.model.config import check_square
from pixel_m4.model.flops import parameters as count_parameters
from pixel_m4.pretrain.arguments import PretrainArguments, PretrainTrainingArguments, parse_probabilities
from pixel_m4.pretrain.checks import check_position, check_pretraining, check_text
from pixel_m4.pretrain.patch_classes import PatchClasses, PixelWithPatchClasses, forget, objective_parameters
from pixel_m4.pretrain.pictures import Pictures
from pixel_m4.pretrain.trainer import PretrainTrainer, last_losses
from pixel_m4.pretrain.validation import Validation
from pixel_m4.render import TextRenderer
from pixel_m4.render.renderer import CONFIG_NAME as RENDERER_CONFIG_NAME
from pixel_m4.training.checks import check_space, checkpoint_bytes
from pixel_m4.training.overrides import parse_overrides
from pixel_m4.training.progress import Course
from pixel_m4.training.runs import kept_checkpoint, not_gone_on_from, refuse_others_than_pretraining
from pixel_m4.training.saving import STAGING, is_whole, last_whole, publish_files, start_anew, step_of
from pixel_m4.training.start import make_renderer

RESULTS = "all_results.json"

# What a run cannot change when it goes on.
_FIXED = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("image_size", "patch_size", "num_channels", "qkv_bias", "norm_pix_loss"),
    *(f"decoder_{name}" for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")),
    "decoder_intermediate_size",
)
# Of a language, to find its frequent units; the same for blocks of all lengths, so that a head that names
# them can go on with longer ones.
_COUNTED_BLOCKS, _COUNTED_LENGTH = 600, 529

logger = logging.getLogger(__name__)


def pretrain(
    arguments: PretrainArguments,
    training: PretrainTrainingArguments,
    callbacks: Sequence[TrainerCallback] = (),
    *,
    quiet: bool = False,
) -> dict[str, float]:
    """Train, going on from the last whole checkpoint in the output folder if there is one.

    The output folder gets the model, its renderer, ``all_results.json``, checkpoints, ``tensorboard`` and
    ``pictures``.

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
    with stopping.listening(), kept, Course(bar=not training.disable_tqdm) as course:
        return _pretrain(arguments, training, callbacks, stopping, None if quiet else course)


def _pretrain(
    arguments: PretrainArguments,
    training: PretrainTrainingArguments,
    callbacks: Sequence[TrainerCallback],
    stopping: Stopping,
    course: Course | None,
) -> dict[str, float]:
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
    languages = list(sources)
    held_out: dict[str, Source] = {}
    if arguments.validation_blocks:
        sources, held_out = hold_out(arguments, sources)
    stream = make_stream(arguments, training, sources, renderer)
    with training.main_process_first(local=False, desc="looking for checkpoints"):
        checkpoint = find_checkpoint(arguments, training)
    if checkpoint is not None:
        check_same_model(checkpoint, config, objective)
        if step_of(checkpoint) >= training.max_steps:
            logger.warning("%s has all its %d steps already", output_dir, training.max_steps)
            return finish(output_dir, checkpoint, write=training.process_index == 0)
        check_position(checkpoint, training, stream, masking)
    check_text(stream, max(training.dataloader_num_workers, 1), held_out)
    reader = None
    if arguments.patch_classes or (held_out and arguments.read_back):
        reader = make_reader(arguments, sources, renderer)
    vocabulary = make_vocabulary(arguments, reader)
    validation = None
    if held_out:
        validation = make_validation(arguments, training, held_out, renderer, masking, reader, vocabulary)
    collate = MaskedBlocks(
        renderer,
        languages,
        masking=masking,
        seed=training.seed,
        rank=training.process_index,
        vocabulary=vocabulary,
        positions=arguments.max_positions if arguments.draw_positions else None,
    )
    set_seed(training.seed)
    model = make_model(arguments)
    # All that can be known is known to be right: only now an earlier run is deleted, if that was asked for.
    if training.process_index == 0:
        start_anew(output_dir, checkpoints=arguments.overwrite_output_dir)
    writer = tensorboard_writer(training, 0 if checkpoint is None else step_of(checkpoint))
    pictures = None
    if validation is not None and arguments.picture_steps:
        folder = output_dir / "pictures" if training.process_index == 0 else None
        pictures = Pictures(validation, languages, folder, arguments.picture_steps)
    trainer = PretrainTrainer(
        languages=languages,
        collate=collate,
        validation=validation,
        pictures=pictures,
        endless=arguments.exhausted == "repeat",
        stopping=stopping,
        model=model,
        args=training,
        train_dataset=stream,
        processing_class=renderer,  # saved with every checkpoint
        eval_dataset=stream,  # only so that the Trainer lets itself be asked to evaluate
        callbacks=[
            *callbacks,
            *([course] if course else []),
            *([] if writer is None else [TensorBoardCallback(writer)]),
        ],
    )
    if checkpoint is None:
        set_seed_of_process(training.seed, device_specific=True)  # dropout differs between processes
    else:
        logger.warning("going on from %s", checkpoint)
    with stopping.patient():
        result = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    metrics = _save(trainer, model, result.metrics, output_dir)
    if course is not None and trainer.is_world_process_zero():
        steps = trainer.state.global_step
        course.console.print(f"{steps} steps are done; the model: {output_dir}", soft_wrap=True)
    return metrics


def _save(
    trainer: PretrainTrainer, model: PixelForPreTraining, metrics: Mapping[str, float], output_dir: Path
) -> dict[str, float]:
    """Save the model and its results.

    Raises:
        UserError: there was no text for a step.
    """
    if not trainer.state.global_step:
        raise UserError("the text came to its end before the first step; give more text or a smaller batch")
    trainer.save_final()
    results = {**last_losses(trainer.state.log_history), **metrics}
    results |= {"train_parameters": model.num_parameters(), "train_steps": trainer.state.global_step}
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


def make_sources(arguments: PretrainArguments) -> dict[str, Source]:
    """The text of each language, from a folder or from the hub.

    Raises:
        ValueError: a language is missing.
    """
    interleaved = arguments.shuffle_blocks > 0
    if arguments.data_dir is not None:
        return local_sources(arguments.data_dir, arguments.languages, interleaved=interleaved)
    assert arguments.dataset_name is not None
    assert arguments.languages is not None
    sources: dict[str, Source] = {}
    for language in arguments.languages:
        name, dataset, config = parse_language(language, arguments.dataset_name)
        if name in sources:
            raise UserError(f"--languages: {name} is there twice")
        sources[name] = hub_sources(dataset, [config])[config]
    return sources


def parse_language(text: str, dataset_name: str) -> tuple[str, str, str]:
    """``CONFIG``, ``NAME=CONFIG`` or ``NAME=DATASET:CONFIG`` as a name, a data set and its config.

    Raises:
        ValueError: a part is empty.
    """
    name, equals, place = text.partition("=")
    place = place if equals else name
    dataset, colon, config = place.rpartition(":")
    dataset = dataset if colon else dataset_name
    if not (name and dataset and config):
        raise UserError(f"--languages: {text!r} is not CONFIG, NAME=CONFIG or NAME=DATASET:CONFIG")
    return name, dataset, config


def hold_out(
    arguments: PretrainArguments, sources: Mapping[str, Source]
) -> tuple[dict[str, Source], dict[str, Source]]:
    """What to train on, and what to evaluate on: ``--validation_dir``, or a share of the documents.

    Raises:
        ValueError: documents of the training text cannot be held out; or ``--validation_dir`` is the training
            text itself, or lacks one of its languages.
    """
    if arguments.validation_dir is not None:
        if arguments.data_dir is not None and Path(arguments.data_dir).samefile(arguments.validation_dir):
            raise UserError(
                f"--validation_dir {arguments.validation_dir} is the text to train on; leave it out to hold "
                "out a share of the documents"
            )
        interleaved = arguments.shuffle_blocks > 0
        held_out = local_sources(arguments.validation_dir, list(sources), interleaved=interleaved)
        return dict(sources), held_out
    if any(isinstance(source, PreparedSource) for source in sources.values()):
        raise UserError(
            f"{arguments.data_dir} holds blocks that are packed already, where documents cannot be told "
            "apart: give a --validation_dir with other text, or --validation_blocks 0 for no evaluation"
        )
    return without_held_out(sources, arguments.validation_share)


def make_validation(
    arguments: PretrainArguments,
    training: PretrainTrainingArguments,
    held_out: Mapping[str, Source],
    renderer: TextRenderer,
    masking: Masking,
    reader: UnitReader | None,
    vocabulary: PatchVocabulary | None,
) -> Validation:
    """Held-out blocks of each language."""
    blocks = {
        language: first_blocks(
            language,
            source,
            renderer,
            count=arguments.validation_blocks,
            max_seq_length=arguments.max_seq_length,
            min_patches=arguments.min_patches,
        )
        for language, source in held_out.items()
    }
    # One seed for all runs: their losses can be compared.
    collate = MaskedBlocks(renderer, list(blocks), masking=masking, seed=0, vocabulary=vocabulary)
    read = reader if arguments.read_back else None
    return Validation(blocks, collate, training.per_device_eval_batch_size, read)


def make_reader(
    arguments: PretrainArguments, sources: Mapping[str, Source], renderer: TextRenderer
) -> UnitReader:
    """Knows the units that are frequent at the beginning of the text of each language."""
    texts: list[str] = []
    lengths: dict[str, Any] = {
        "max_seq_length": _COUNTED_LENGTH,
        "max_positions": None,
        "draw_positions": True,
    }
    counting = make_renderer(replace(arguments, **lengths))
    for language, source in sources.items():
        blocks = first_blocks(
            language,
            source,
            counting,
            count=_COUNTED_BLOCKS,
            max_seq_length=_COUNTED_LENGTH,
            min_patches=1,
        )
        texts += [text for block in blocks for text in block.texts]
    counts = count_units(renderer, texts)
    return UnitReader(renderer, dict(counts.most_common(MAX_UNITS)), arguments.norm_pix_loss)


def make_vocabulary(arguments: PretrainArguments, reader: UnitReader | None) -> PatchVocabulary | None:
    """The patches that the second objective names.

    Raises:
        ValueError: the text has fewer.
    """
    if not arguments.patch_classes or reader is None:
        return None
    pixels = reader.table(None).pixels.numpy()  # the most frequent first
    if len(pixels) < arguments.patch_classes:
        raise UserError(
            f"--patch_classes {arguments.patch_classes} is more than the {len(pixels)} different patches at "
            "the beginning of the text"
        )
    return PatchVocabulary(pixels[: arguments.patch_classes])


def make_model(arguments: PretrainArguments) -> PixelForPreTraining:
    """The model of the checkpoint, or one with random weights, for the asked length.

    Raises:
        ValueError: a value is not possible, such as a length that is no perfect square.
    """
    config, objective = make_config(arguments), make_objective(arguments)
    if arguments.model_name_or_path is not None:
        kind, more = (PixelForPreTraining, ()) if objective is None else (PixelWithPatchClasses, (objective,))
        model = kind.from_pretrained(arguments.model_name_or_path, *more, **_overrides(arguments))
        if objective is None:
            forget(model.config)
        positions = arguments.max_positions or arguments.max_seq_length
        if model.config.max_seq_length != positions:
            model.resize_positions(positions)
        return model
    model = PixelForPreTraining(config) if objective is None else PixelWithPatchClasses(config, objective)
    # Learns faster from nothing: docs/log.md, 2026-11-23 and 2026-11-25.
    model.set_new_weights(arguments.center_pixels, arguments.line_positions, arguments.look_at_neighbours)
    return model


def make_objective(arguments: PretrainArguments) -> PatchClasses | None:
    """The second objective, if there is one."""
    if not arguments.patch_classes:
        return None
    return PatchClasses(
        number=arguments.patch_classes,
        weight=arguments.class_loss_weight,
        visible=arguments.visible_classes,
        blank=arguments.blank_classes,
    )


def _overrides(arguments: PretrainArguments) -> dict[str, Any]:
    return {
        "hidden_dropout_prob": arguments.dropout_prob,
        "attention_probs_dropout_prob": arguments.dropout_prob,
        "mask_ratio": arguments.mask_ratio,
        "norm_pix_loss": arguments.norm_pix_loss,
        **parse_overrides(arguments.config_overrides),
    }


def make_config(arguments: PretrainArguments) -> PixelConfig:
    """The configuration that the model will have; no weights are made or loaded.

    Raises:
        ValueError: a value is not possible, such as a length that is no perfect square.
    """
    overrides = _overrides(arguments)
    positions = arguments.max_positions or arguments.max_seq_length
    if arguments.model_name_or_path is not None:
        saved = PatchClasses.of(PixelConfig.from_pretrained(arguments.model_name_or_path))
        if arguments.patch_classes and saved is not None and saved.number != arguments.patch_classes:
            raise UserError(
                f"{arguments.model_name_or_path} names {saved.number} patches: give --patch_classes "
                f"{saved.number}, or 0 to "
                "go on without the second objective"
            )
        config = PixelConfig.from_pretrained(arguments.model_name_or_path, **overrides)
        check_square(positions)
        config.image_size = [config.patch_size, config.patch_size * positions]
        return config
    return PixelConfig.named(arguments.config_name or "base", image_size=[16, 16 * positions], **overrides)


def check_renderer(arguments: PretrainArguments, renderer: TextRenderer, config: PixelConfig) -> None:
    """Refuse a renderer that the model or its second objective cannot be trained with.

    Raises:
        ValueError: says what does not fit.
    """
    if arguments.patch_classes and renderer.rgb:
        raise UserError(
            f"--patch_classes {arguments.patch_classes} names grey patches, and the renderer draws in colour "
            "(RGB): give a grey renderer, or --patch_classes 0"
        )
    if renderer.rgb and config.num_channels != 3:
        raise UserError(
            f"the renderer draws in colour (RGB), and the model takes {config.num_channels} channel"
        )
    if renderer.pixels_per_patch != config.patch_size:
        raise UserError(
            f"the renderer draws patches of {renderer.pixels_per_patch} pixels, and the model takes "
            f"{config.patch_size}"
        )


def make_stream(
    arguments: PretrainArguments,
    training: PretrainTrainingArguments,
    sources: Mapping[str, Source],
    renderer: TextRenderer,
) -> TextStream:
    """The share of the text that this process reads.

    Raises:
        ValueError: an option does not fit the text, such as probabilities of other languages.
    """
    return TextStream(
        sources,
        renderer,
        probabilities=parse_probabilities(arguments.language_probabilities),
        temperature=arguments.temperature,
        exhausted=arguments.exhausted,
        max_seq_length=arguments.max_seq_length,
        min_patches=arguments.min_patches,
        shuffle=arguments.shuffle_blocks,
        seed=training.seed,
        rank=training.process_index,
        world_size=training.world_size,
    )


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


def check_same_model(checkpoint: Path, config: PixelConfig, objective: PatchClasses | None = None) -> None:
    """Refuse to go on with a model of another shape, or with other targets.

    Raises:
        ValueError: names what differs.
    """
    saved = PixelConfig.from_pretrained(checkpoint)
    differing = [
        f"{name} {getattr(saved, name)}, not {getattr(config, name)}"
        for name in _FIXED
        if getattr(saved, name) != getattr(config, name)
    ]
    before, now = (0 if each is None else each.number for each in (PatchClasses.of(saved), objective))
    if before != now:
        differing.append(f"patch_classes {before}, not {now}")
    blank, blank_now = (each is not None and each.blank for each in (PatchClasses.of(saved), objective))
    if before == now and blank != blank_now:
        differing.append(f"blank_classes {str(blank).lower()}, not {str(blank_now).lower()}")
    if differing:
        found = ", ".join(differing)
        raise UserError(
            f"{checkpoint} was written with {found}: go on with the same options, give another --output_dir, "
            "or start anew with --overwrite_output_dir"
        )


def tensorboard_writer(training: PretrainTrainingArguments, step: int) -> SummaryWriter | None:
    """A writer to ``tensorboard`` in the output folder; what a killed run wrote after ``step`` is hidden."""
    wanted = list(training.report_to or ())
    if "tensorboard" not in wanted:
        return None
    training.report_to = [name for name in wanted if name != "tensorboard"]
    if training.process_index:
        return None
    return SummaryWriter(Path(training.output_dir) / "tensorboard", purge_step=step + 1)
