"""Where random weights may begin, beyond the published way: functions of a new model, in place.

The architecture stays as it is, and training is free to change all of it.  What each is worth:
docs/log.md, 2026-11-23 and 2026-11-25.

Dimensions: L places of a position table without CLS, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pixel_m4.console.errors import UserError
from pixel_m4.model.layers import PixelLayer, SelfAttention
from pixel_m4.model.text import AnyModel
from pixel_m4.model.vit import PixelPreTrainedModel


@torch.no_grad()
def center_pixels(model: PixelPreTrainedModel, mean: float = 0.88, deviation: float = 0.27) -> None:
    """Set new weights of the patch embedding as if pixels were centred and scaled.

    Rendered text is mostly white, so plain new weights give all patches nearly the same vector.

    Args:
        model: New.
        mean: Mean pixel value of text patches.
        deviation: Their standard deviation.
    """
    projection = model.base_model.embeddings.patch_embeddings.projection
    projection.weight /= deviation
    projection.bias = nn.Parameter(-mean * projection.weight.sum((1, 2, 3)))


@torch.no_grad()
def forget_labels(model: AnyModel) -> None:
    """Give new random values to the weights that belong to labels, those whose shape follows their number.

    Args:
        model: A model with a head for labels.
    """
    more = copy.deepcopy(model.config)
    more.num_labels += 1
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in type(model)(more).named_parameters()}
    new = type(model)(model.config)
    for name, weight in model.named_parameters():
        if weight.shape != shapes[name]:
            weight.copy_(new.get_parameter(name))


@torch.no_grad()
def line_positions(model: PixelPreTrainedModel) -> None:
    """Code places on a line instead of on a square grid; any model can load the codes."""
    for stack in _stacks(model):
        stack.positions.copy_(line_codes(stack.positions.shape[2], stack.positions.shape[1] - 1))


@torch.no_grad()
def look_at_neighbours(model: PixelPreTrainedModel) -> None:
    """Let the first half of the encoder's layers, and all of a decoder's, begin with attention to neighbours.

    Needs places on a line, see `line_positions`.  What gives the layers their states begins with nothing in
    the channels where the codes of places are read, else its ink would drown them.
    """
    for stack in _stacks(model):
        width = stack.embed.weight.shape[0]
        for start in (0, width // 2):  # sines, cosines
            waves = slice(start, start + width // stack.heads // 2)
            stack.embed.weight[waves] = 0
            stack.embed.get_parameter("bias")[waves] = 0
        for layer in stack.looking:
            assert isinstance(layer, PixelLayer)
            attend_to_neighbours(layer.attention.attention)


STARTS: dict[str, Callable[[PixelPreTrainedModel], None]] = {
    "center_pixels": center_pixels,
    "line_positions": line_positions,
    "look_at_neighbours": look_at_neighbours,
}
"""By the names of their options, in the order in which they must be called."""


def begin(model: PixelPreTrainedModel, names: Iterable[str]) -> None:
    """Let a new model begin in these ways.

    Args:
        model: New.
        names: Of `STARTS`.
    """
    chosen = set(names)
    for name, start in STARTS.items():
        if name in chosen:
            start(model)


@torch.no_grad()
def shrink(model: AnyModel, factor: float) -> None:
    """Multiply the matrices of trained encoder layers, so that fine-tuning moves them further than it would.

    A model that starts from trained weights can end worse than one from random weights (Ash and Adams 2020,
    who also add noise).

    Args:
        model: Trained, a pixel model or a text model.
        factor: 1 leaves the weights as they are.
    """
    for name, parameter in model.base_model.encoder.named_parameters():
        if parameter.ndim == 2 and "layer" in name:  # not the table of sub-words
            parameter *= factor


class _Stack(NamedTuple):
    """An encoder or a decoder.

    Attributes:
        embed: What gives the layers their states.
        positions: [1, 1 + L, D]
        looking: The layers that may look at neighbours.
        heads: Of each layer.
    """

    embed: nn.Linear | nn.Conv2d
    positions: nn.Parameter
    looking: nn.ModuleList
    heads: int


def _stacks(model: PixelPreTrainedModel) -> Iterator[_Stack]:
    """The encoder, and the decoder of a model for pretraining.

    Raises:
        ValueError: They have no vectors of places.
    """
    if not model.config.adds_positions:
        raise UserError(
            "line_positions and look_at_neighbours are ways in which vectors of places begin, and a model "
            "with position_embedding_type rotary has none: give rotary_absolute, or leave them out"
        )
    embeddings, layers = model.base_model.embeddings, model.base_model.encoder.layer
    yield _Stack(
        embeddings.patch_embeddings.projection,
        embeddings.position_embeddings,
        layers[: -(-len(layers) // 2)],
        model.config.num_attention_heads,
    )
    decoder = getattr(model, "decoder", None)
    if decoder is not None:
        yield _Stack(
            decoder.decoder_embed,
            decoder.decoder_pos_embed,
            decoder.decoder_layers,
            model.config.decoder_num_attention_heads,
        )


def line_codes(width: int, length: int) -> Tensor:
    """A 1-D sine-cosine table, with a zero row for CLS: a step to the right turns every code alike.

    Returns:
        [1, 1 + length, width]
    """
    frequency = 10000.0 ** -(torch.arange(width // 2, dtype=torch.float64) / (width // 2))
    angle = torch.outer(torch.arange(length, dtype=torch.float64), frequency)
    line = torch.cat([angle.sin(), angle.cos()], dim=1)
    return torch.cat([torch.zeros(1, width, dtype=torch.float64), line])[None].float()


@torch.no_grad()
def attend_to_neighbours(attention: SelfAttention, sharpness: float = 3.0) -> None:
    """Add to new weights what makes each head attend to a neighbour, as far as places are on a line.

    Heads look for the patches -1, +1, 0, +2, -2, +3 … from their own.

    Args:
        attention: New.
        sharpness: See `neighbour_weights`.
    """
    dim = attention.query.out_features // attention.heads
    for head in range(attention.heads):
        rows = slice(head * dim, (head + 1) * dim)
        shift = 0 if head == 2 else (-1) ** (head + 1) * ((head + 2 - (head > 2)) // 2)
        query, key = neighbour_weights(attention.query.in_features, dim, shift, sharpness)
        attention.query.weight[rows] += query
        attention.key.weight[rows] += key


def neighbour_weights(width: int, dim: int, shift: int, sharpness: float) -> tuple[Tensor, Tensor]:
    """Query and key weights of a head that attends to the place `shift` patches further on.

    Keys copy the fastest waves of the codes of `line_codes`, queries the same waves turned by `shift`
    places: the score of a place falls with its distance from the one that is looked for.

    Args:
        width: D
        dim: Width of the head, even.
        shift: Patches; negative for places before.
        sharpness: What each wave that agrees adds to a score, with codes as they are in the table.

    Returns:
        Two [dim, D]
    """
    waves = torch.arange(dim // 2)
    angle = shift * 10000.0 ** -(waves / (width // 2))
    sine, cosine = waves, waves + width // 2
    query, key = torch.zeros(2, dim, width)
    key[2 * waves, sine] = key[2 * waves + 1, cosine] = 1.0
    query[2 * waves, sine] = query[2 * waves + 1, cosine] = angle.cos()
    query[2 * waves, cosine], query[2 * waves + 1, sine] = angle.sin(), -angle.sin()
    gain = (sharpness * dim**0.5) ** 0.5
    return gain * query, gain * key
