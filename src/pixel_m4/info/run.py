"""The commands about a checkpoint: `info` tells what it is and costs, `export` turns it into ONNX."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from rich.text import Text
from transformers.utils import logging as transformers_logging

from pixel_m4.checkpoint import Checkpoint, task_of
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.files import refuse_existing, replacing
from pixel_m4.model import (
    AnyConfig,
    PixelConfig,
    PixelForBiaffineParsing,
    PixelForPreTraining,
    PixelForTokenClassification,
    TextConfig,
    TextForBiaffineParsing,
    TextForTokenClassification,
)
from pixel_m4.model.config import NAMED
from pixel_m4.model.flops import PATCHES_PER_WORD, Cost, forward_flops, parameters, training_flops
from pixel_m4.render import TextRenderer
from pixel_m4.render.fonts import FONT_NAME
from pixel_m4.render.opening import open_renderer, renderer_file
from pixel_m4.render.renderer import CONFIG_NAME
from pixel_m4.render.settings import FALLBACK_FOLDER
from pixel_m4.shipped import SHIPPED, is_hub_name
from pixel_m4.subwords.tokenizer import open_tokenizer
from pixel_m4.tasks.portable import METADATA, to_json

SHOWN_LABELS = 40
SENTENCES = (  # what int8 is measured on
    "The quick brown fox jumps over the lazy dog .",
    "Hà Nội là thủ đô của Việt Nam , bên bờ sông Hồng .",
    "Моя кішка любить вівсянку , а собака - ні .",
    "मेरी बिल्ली को दलिया पसंद है ।",
    "我 的 猫 喜欢 燕麦片 。",
    "قرأت الطالبة كتابا جديدا في المكتبة .",
    "Where did the river flood in 1953 ?",
    "No .",
)


def info(name: str, max_seq_length: int | None = None) -> None:
    """Print what a checkpoint is and what it costs.

    Args:
        name: A model folder, a name on the hub, or a named size.
        max_seq_length: Patches of a sequence to count operations for, beside the maximum of the model.

    Raises:
        FileNotFoundError: The folder or its `config.json` does not exist.
        OSError: The hub has no such model, or cannot be reached.
        ValueError: It is another architecture's, its weights file is damaged, or there are no patches.
    """
    if max_seq_length is not None and max_seq_length < 1:
        raise UserError(f"--max_seq_length must be at least 1, got {max_seq_length}")
    if (
        name not in (*NAMED, *SHIPPED)
        and "/" not in name
        and not Path(name).exists()
        and not is_hub_name(name)
    ):
        raise UserError(
            f"there is no model folder {name!r}, and no size or shipped checkpoint of that name; they are "
            f"{', '.join((*NAMED, *SHIPPED))}"
        )
    checkpoint = named(name) or Checkpoint.open(name)
    facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for title, fact in describe(checkpoint):
        facts.add_row(title, Text(fact))  # not markup: labels may hold brackets
    console = plain_console(soft_wrap=False)
    console.print(facts)
    console.print()
    if isinstance(checkpoint.config, TextConfig):
        if max_seq_length is not None:
            raise UserError("--max_seq_length: operations are counted for pixel models only; leave it out")
        console.print(sizes(checkpoint))
        return
    console.print(costs(checkpoint, max_seq_length))
    if checkpoint.model_class is PixelForBiaffineParsing:
        console.print(f"Parsing is counted with a word for {PATCHES_PER_WORD} patches.", style="dim")


def named(name: str) -> Checkpoint | None:
    """A named size as a checkpoint without weights, unless a folder has that name."""
    if name not in NAMED or Path(name).exists():
        return None
    config = PixelConfig.named(name)
    return Checkpoint(name=name, config=config, model_class=PixelForPreTraining, files=(), dtypes=())


def describe(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    """What there is to say of a checkpoint, titles and facts."""
    config = checkpoint.config
    encoder = (
        f"{config.num_hidden_layers} layers of width {config.hidden_size}, "
        f"{config.num_attention_heads} heads, feed-forward {config.intermediate_size}"
    )
    facts = [("checkpoint", checkpoint.name), ("model", checkpoint.model_class.__name__)]
    if isinstance(config, TextConfig):
        tokenizer = open_tokenizer(checkpoint.name, config)
        facts += [
            ("encoder", f"{config.encoder_config.model_type}: {encoder}"),
            ("tokenizer", f"{type(tokenizer.tokenizer).__name__}, {tokenizer.size:,} sub-words"),
            ("max_seq_length", f"{config.max_seq_length} sub-words, [CLS] and [SEP] counted"),
        ]
        return [*facts, *heads_of(checkpoint), weights_of(checkpoint)]
    facts.append(("encoder", encoder))
    if checkpoint.model_class is PixelForPreTraining:
        decoder = (
            f"{config.decoder_num_hidden_layers} layers of width {config.decoder_hidden_size}, "
            f"{config.decoder_num_attention_heads} heads, feed-forward {config.decoder_intermediate_size}"
        )
        facts += [("decoder", decoder), ("mask ratio", f"{config.mask_ratio:g}")]
        if classes := getattr(config, "patch_classes", None):
            facts.append(("second objective", f"names {classes['number']:,} patches"))
    if config.rope_theta is not None:
        facts.append(("positions", f"{config.position_embedding_type}, base {config.rope_theta:,g}"))
    side = math.isqrt(config.max_patches)
    facts += [
        ("patches", f"{config.patch_size} x {config.patch_size} x {config.num_channels} values"),
        ("max_seq_length", f"{config.max_patches} patches ({side}²)"),
    ]
    return [
        *facts,
        *heads_of(checkpoint),
        ("renderer", renderer_settings(checkpoint.name)),
        weights_of(checkpoint),
    ]


def heads_of(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    """What there is to say of the head of a fine-tuned model."""
    config, model, facts = checkpoint.config, checkpoint.model_class, []
    parser = model in (PixelForBiaffineParsing, TextForBiaffineParsing)
    if model.__name__.endswith("Classification") or parser:
        facts.append(("labels", labels(config)))
    if config.num_tags and parser:
        facts.append(("parts of speech", f"{config.num_tags}, told beside the tree"))
    if parser or model in (PixelForTokenClassification, TextForTokenClassification):
        facts.append(("states of words", word_states(config, "mean" if parser else "first")))
    if model.__name__.endswith("SequenceClassification"):
        facts.append(("pooling", config.pooling_mode))
    return facts


def weights_of(checkpoint: Checkpoint) -> tuple[str, str]:
    """Its weights files, how large they are and in which types."""
    weights = ", ".join(file.name for file in checkpoint.files)
    if checkpoint.files:
        weights += f", {checkpoint.size / 1e6:,.1f} MB, {', '.join(checkpoint.dtypes)}"
    return "weights", weights or "none here"


def word_states(config: AnyConfig, default: str) -> str:
    """How states of patches become states of words."""
    layers = f", {config.num_word_layers} layers over words" if config.num_word_layers else ""
    if layers and config.word_rope_theta is not None:
        layers += f" with rotary positions (base {config.word_rope_theta:g})"
    source = "a mean of all layers, " if config.mix_layers else ""
    return f"{source}pooled by {config.word_pooling or default}{layers}"


def labels(config: AnyConfig) -> str:
    """How many labels, and the first of them."""
    names = [str(config.id2label[place]) for place in sorted(config.id2label)]
    more = " …" if len(names) > SHOWN_LABELS else ""
    return f"{len(names)}: {', '.join(names[:SHOWN_LABELS])}{more}"


def renderer_settings(name: str) -> str:
    """What a checkpoint's `text_renderer_config.json` says.

    Raises:
        ValueError: It is no JSON object.
    """
    file = None if named(name) else renderer_file(name)
    if file is None:
        return "none here" if named(name) else f"no {CONFIG_NAME}: commands that draw text need --renderer"
    try:
        settings: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise UserError(f"{file} must hold a JSON object, got {type(settings).__name__}")
    return ", ".join(f"{name} {value}" for name, value in sorted(settings.items()))


def sizes(checkpoint: Checkpoint) -> Table:
    """The parameters of a text model, by its parts."""
    with torch.device("meta"):
        model = checkpoint.model_class(checkpoint.config)
    encoder = sum(parameter.numel() for parameter in model.base_model.parameters())
    total = sum(parameter.numel() for parameter in model.parameters())
    table = Table()
    for column in ("", "encoder", "head", "total"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("parameters", f"{encoder:,}", f"{total - encoder:,}", f"{total:,}")
    return table


def costs(checkpoint: Checkpoint, max_seq_length: int | None) -> Table:
    """Parameters and operations, a row each, by parts of the model."""
    config, model = checkpoint.config, checkpoint.model_class
    table = Table()
    for column in ("", "encoder", "decoder", "head", "total"):
        table.add_column(column, justify="right" if column else "left")

    def row(title: str, cost: Cost, unit: float, places: int) -> None:
        parts = (cost.encoder, cost.decoder, cost.head, cost.total)
        table.add_row(title, *(f"{part / unit:,.{places}f}" for part in parts))

    row("parameters", parameters(config, model), 1, 0)
    for patches in dict.fromkeys((config.max_patches, max_seq_length or config.max_patches)):
        row(f"GFLOPs, {patches} patches", forward_flops(config, model, patches), 1e9, 3)
        row(f"… training step, {patches} patches", training_flops(config, model, patches), 1e9, 3)
    return table


def export(
    name: str,
    output: Path,
    int8: bool = False,
    renderer: str | None = None,
    task: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a checkpoint as ONNX, after a check against PyTorch, and print how close it is.

    A model of a task carries task, labels and renderer, so that `pixel-m4 predict` can use the file.

    Args:
        name: A model folder or a name on the hub.
        output: The file to write, `.onnx`.
        int8: Whether to write matrix products in eight bits, and print what that costs on rendered sentences.
        renderer: Where the renderer comes from, for a checkpoint that has none.
        task: Name of the task, for a model that does not say its own.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        FileNotFoundError: The folder or its `config.json` does not exist.
        OSError: The hub has no such model or cannot be reached, or the file cannot be written.
        ValueError: The file is there, a package is missing, the checkpoint is no good, or the result differs
            from PyTorch's.
    """
    from pixel_m4.model.export import (
        check_against_pytorch,
        check_extra,
        compare,
        load_for_export,
        needs_words,
        open_session,
        quantise,
        to_onnx,
    )

    if output.suffix != ".onnx":
        raise UserError(f"the output must end in .onnx, got {output}")
    refuse_existing(output, overwrite)
    check_extra()
    console = plain_console()
    transformers_logging.disable_progress_bar()
    checkpoint = Checkpoint.open(name)
    if isinstance(checkpoint.config, TextConfig):
        raise UserError(
            f"{name} holds a {checkpoint.config.encoder_config.model_type!r} model, which reads sub-words; "
            "only pixel models are exported"
        )
    described, notes = _described(checkpoint, task, renderer)
    model = load_for_export(name, checkpoint.model_class)
    if int8:  # before minutes of work
        limit = model.config.max_patches
        drawn = open_renderer(name, renderer, max_seq_length=limit, rgb=False)
    content = to_onnx(model, {METADATA: described} if described else None)
    for place, difference in check_against_pytorch(model, content).items():
        console.print(f"{place} differs from PyTorch by at most {difference:.1e}")
    if int8:
        content = quantise(content)
        samples = sample_sentences(drawn)
        if not needs_words(model):
            samples.pop("word_starts")
        for place, cost in compare(model, open_session(content), samples).items():
            line = f"{place} in int8: off by {cost.mean:.2g} (mean), {cost.largest:.2g} (largest), "
            line += f"of values up to {cost.scale:.2g}"
            if cost.agreement is not None:
                line += f"; the same choice in {cost.agreement:.1%}"
            console.print(line)
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as scratch:
        scratch.write_bytes(content)
    console.print(f"{type(model).__name__} written to {output}, {len(content) / 1e6:,.1f} MB")
    for note in notes:
        console.print(note)


def _described(
    checkpoint: Checkpoint, task: str | None, renderer: str | None
) -> tuple[str | None, Sequence[str]]:
    """What an exported file says of its task, if it has one, and what the user must know of it."""
    try:
        opened = task_of(checkpoint, task, None, renderer, rgb=False)
    except (UserError, FileNotFoundError) as error:
        if task is not None or renderer is not None:
            raise
        return None, [f"The file is for other programs; pixel-m4 predict cannot use it: {error}"]
    described = to_json(opened)
    config = json.loads(described)["renderer"]
    fonts = [config["font_file"]] if config["font_file"] != FONT_NAME else []
    fonts += [font["file"] for font in config.get(FALLBACK_FOLDER, [])]
    notes = [f"It draws with {font}, which is not in it: put it beside the file" for font in fonts]
    if getattr(checkpoint.reader(renderer), "rgb", False):
        notes.append(
            "The checkpoint draws in colour, the file in grey: it may read coloured glyphs, such as emoji, "
            "otherwise"
        )
    return described, notes


def sample_sentences(renderer: TextRenderer) -> dict[str, Any]:
    """A few sentences as a batch of arrays."""
    from pixel_m4.tasks.batch import render_words

    batch = render_words(renderer, [sentence.split() for sentence in SENTENCES])
    return {key: batch[key] for key in ("pixel_values", "attention_mask", "word_starts")}
