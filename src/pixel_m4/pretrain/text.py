"""The text of pretraining: what to train on, what to evaluate on, and what is frequent in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.corpus.corpora import Source, TextStream, hub_sources, local_sources
from pixel_m4.corpus.heldout import first_blocks, without_held_out
from pixel_m4.corpus.patches import PatchVocabulary
from pixel_m4.corpus.prepared import PreparedSource
from pixel_m4.corpus.pretraining import MaskedBlocks, Masking
from pixel_m4.fill.reading import UnitReader
from pixel_m4.fill.units import MAX_UNITS, count_units
from pixel_m4.pretrain.arguments import PretrainArguments, PretrainTrainingArguments, parse_probabilities
from pixel_m4.pretrain.validation import Validation
from pixel_m4.render import TextRenderer
from pixel_m4.training.start import make_renderer

# Of a language, to find its frequent units; the same for blocks of all lengths, so that a head that names
# them can go on with longer ones.
_COUNTED_BLOCKS, _COUNTED_LENGTH = 600, 529


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
