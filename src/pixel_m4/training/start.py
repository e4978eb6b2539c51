"""Where a run starts from: the renderer, and how records name the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixel_m4.console.redact import redact_text
from pixel_m4.model.loading import weights_in
from pixel_m4.render import TextRenderer
from pixel_m4.render.fonts import sha256
from pixel_m4.render.opening import open_renderer
from pixel_m4.shipped import find_model, find_shipped, is_hub_name
from pixel_m4.training.arguments import ModelArguments


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


def weights_of(arguments: ModelArguments) -> dict[str, str] | None:
    """Digests of the weights files that a run starts from; None of random weights and of names on the hub."""
    place = None if arguments.model_name_or_path is None else Path(find_model(arguments.model_name_or_path))
    if place is None or not place.is_dir():
        return None
    return {file.name: sha256(file) for file in weights_in(place)}


def start_of(arguments: ModelArguments) -> str:
    """Where the weights of a run come from, as a part of a sentence."""
    name = arguments.model_name_or_path
    if name is None:
        start = f"random weights ({arguments.config_name})"
        ways = [
            words
            for wanted, words in (
                (arguments.position_embedding_type == "rotary", "rotary positions"),
                (
                    arguments.position_embedding_type == "rotary_absolute",
                    "rotary positions beside absolute ones",
                ),
                (arguments.line_positions, "places on a line"),
                (arguments.look_at_neighbours, "attention to the patches nearby"),
            )
            if wanted
        ]
        return f"{start} that begin with {' and '.join(ways)}" if ways else start
    if find_shipped(name) != name:
        return f"{name}, a checkpoint of the package pixel-m4"
    if is_hub_name(name):
        return redact_text(name)
    return f"the checkpoint {Path(name).expanduser().resolve().name}"
