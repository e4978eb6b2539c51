"""What goes into a model: strips of pixels cut into patches, and the checks that refuse bad ones.

Dimensions: B batch, P patches, K kept patches, D width, W pixels of width, C channels.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.utils import can_return_tuple

from pixel_m4.model.config import PixelConfig

logger = logging.getLogger(__name__)

Forward = TypeVar("Forward", bound=Callable[..., Any])


def as_in_transformers(forward: Forward) -> Forward:
    """Let a model's `forward` be called as those of transformers: `return_dict=False` gives a tuple.

    It also takes NumPy arrays, as a renderer returns them, and moves them to the model's device.

    Raises:
        ValueError: An argument that must be a tensor is something else.
    """
    entries = list(inspect.signature(forward).parameters.values())[1:]
    names = [entry.name for entry in entries]
    tensors = {entry.name for entry in entries if "Tensor" in str(entry.annotation)}
    needed = {entry.name for entry in entries if entry.default is entry.empty} & tensors

    @wraps(forward)
    def convert(self: Any, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return forward(self, *args, **kwargs)
        given = [*zip(names, args, strict=False), *kwargs.items()]
        for name, value in given:
            if value is None and name in needed:
                raise ValueError(f"{name} must be a tensor or a NumPy array, got None")
        if all(value is None or isinstance(value, Tensor) for name, value in given if name in tensors):
            return forward(self, *args, **kwargs)
        positional = [as_tensor(name, value, self.device) for name, value in zip(names, args, strict=False)]
        named = {
            name: as_tensor(name, value, self.device) if name in tensors else value
            for name, value in kwargs.items()
        }
        return forward(self, *positional, *args[len(positional) :], **named)

    called = can_return_tuple(convert)
    # A code object of its own: torch.compile counts compilations by it, and would take all models for one.
    called.__code__ = called.__code__.replace(co_name=forward.__qualname__)
    return called


def as_tensor(name: str, value: Any, device: torch.device) -> Any:
    """An argument of a model as a tensor, if it is an array; tensors and None as they are.

    Raises:
        ValueError: It is neither, or an array of another kind than numbers.
    """
    if value is None or isinstance(value, Tensor | bool | float):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        if value.dtype.kind == "u" and value.dtype != np.uint8:
            value = value.astype(np.int64)
        return torch.tensor(value, device=device)  # copied: an array may be read-only, or change
    found = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    raise ValueError(
        f"{name} must be a tensor or a NumPy array of numbers, got {found}; a renderer's batch() gives them"
    )


def tell_about_bf16(device: torch.device) -> None:
    """Warn if a device is a processor that computes bfloat16 in a slow way."""
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if device.type == "cpu" and not fast:
        logger.warning(
            "bf16: this processor has no bfloat16 instructions; it is many times slower with it than without"
        )


def readable(values: Tensor) -> bool:
    """Whether values can be looked at for free: on the CPU, and not while a graph is compiled.

    On another device the host would have to wait until they are computed.
    """
    return values.device.type == "cpu" and not torch.compiler.is_compiling()


def split_patches(pixel_values: Tensor, patch_size: int = 16) -> Tensor:
    """Cut a strip of pixels into patches, each flattened row by row, column by column, channel last.

    Args:
        pixel_values: [B, 16, W] grey, [B, 16, W, C] or [B, C, 16, W]; the type is kept.
        patch_size: Height and width of a patch.

    Returns:
        [B, P, 256] for grey, [B, P, 256 * C] otherwise
    """
    if pixel_values.ndim == 4 and pixel_values.shape[1] != patch_size:
        pixel_values = pixel_values.permute(0, 2, 3, 1)
    patches = pixel_values.unflatten(2, (-1, patch_size))  # [B, 16, P, 16(, C)]
    return patches.transpose(1, 2).flatten(2)


def count_patches(pixel_values: Tensor, patch_size: int) -> int:
    """P of pixels [B, 16, W] or [B, 16, W, C] or [B, C, 16, W]."""
    return pixel_values.shape[width_dim(pixel_values, patch_size)] // patch_size


def width_dim(pixel_values: Tensor, patch_size: int) -> int:
    """Which dimension of pixels is their width."""
    return 3 if pixel_values.ndim == 4 and pixel_values.shape[1] != patch_size else 2


def add_white(
    pixel_values: Tensor, attention_mask: Tensor | None, patches: int, patch_size: int
) -> tuple[Tensor, Tensor | None]:
    """Lengthen a batch by white patches that are padding, as a renderer does.

    Args:
        pixel_values: [B, 16, W] grey, [B, 16, W, C] or [B, C, 16, W]
        attention_mask: [B, P], None for all ones
        patches: How many.
        patch_size: Height and width of a patch.

    Returns:
        Both, longer
    """
    if patches <= 0:
        return pixel_values, attention_mask
    if attention_mask is None:
        attention_mask = pixel_values.new_ones(
            len(pixel_values), count_patches(pixel_values, patch_size), dtype=torch.long
        )
    white = 255 if pixel_values.dtype == torch.uint8 else 1.0
    after = [0, 0] * (pixel_values.ndim - 1 - width_dim(pixel_values, patch_size))
    pixels = F.pad(pixel_values, [*after, 0, patches * patch_size], value=white)
    return pixels, F.pad(attention_mask, (0, patches), value=0)


def take(values: Tensor, index: Tensor) -> Tensor:
    """Pick places along the second dimension: `values` [B, P(, D)] and `index` [B, K] give [B, K(, D)]."""
    if values.ndim == 3:
        index = index.unsqueeze(-1).expand(-1, -1, values.shape[-1])
    return values.gather(1, index)


def check_inputs(
    config: PixelConfig,
    pixel_values: Tensor,
    attention_mask: Tensor | None,
    first_position: Tensor | None = None,
) -> None:
    """Refuse inputs that would fail later with a riddle, or worse, not fail; values on the CPU alone.

    Raises:
        ValueError: Names the offending shape or value.
    """
    shape, size, channels = tuple(pixel_values.shape), config.patch_size, config.num_channels
    strip = (
        (pixel_values.ndim == 3 and shape[1] == size)
        or (pixel_values.ndim == 4 and shape[1] == size and shape[3] == channels)
        or (pixel_values.ndim == 4 and shape[1] == channels and shape[2] == size)
    )
    if not strip:
        raise ValueError(
            f"pixel_values must be [B, {size}, W] grey, [B, {size}, W, {channels}] or "
            f"[B, {channels}, {size}, W]; got {list(shape)}"
        )
    width = shape[width_dim(pixel_values, size)]
    if width == 0 or width % size:
        raise ValueError(f"the width of pixel_values must be a multiple of {size} pixels, got {width}")
    patches = width // size
    if patches > config.max_patches:
        raise ValueError(
            f"pixel_values hold {patches} patches, but the model has positions for {config.max_patches}: "
            f"render with max_seq_length={config.max_patches}, or first call "
            "model.resize_positions(max_seq_length)"
        )
    if pixel_values.dtype != torch.uint8 and not pixel_values.is_floating_point():
        raise ValueError(f"pixel_values must be uint8 (0 to 255) or float (0 to 1), got {pixel_values.dtype}")
    if attention_mask is not None and tuple(attention_mask.shape) != (shape[0], patches):
        raise ValueError(
            f"attention_mask must be [B, P] = {[shape[0], patches]} to match pixel_values {list(shape)}, "
            f"got {list(attention_mask.shape)}"
        )
    if first_position is not None and (
        tuple(first_position.shape) != (shape[0],) or first_position.is_floating_point()
    ):
        raise ValueError(
            f"first_position must be integers [B] = {[shape[0]]}, got {first_position.dtype} "
            f"{list(first_position.shape)}"
        )
    if not pixel_values.numel():
        return
    if pixel_values.is_floating_point() and readable(pixel_values):
        lowest, highest = (value.item() for value in pixel_values.aminmax())
        if not (lowest >= 0 and highest <= 1):  # NaN is refused too
            raise ValueError(
                f"float pixel_values must lie between 0 and 1, got {lowest:g} to {highest:g}: "
                "divide by 255, or pass uint8"
            )
    if first_position is not None and readable(first_position):
        first, last = (value.item() for value in first_position.aminmax())
        if first < 0 or last > config.max_patches - patches:
            raise ValueError(
                f"first_position must lie between 0 and {config.max_patches - patches} for {patches} patches "
                f"and positions for {config.max_patches}, got {first} to {last}"
            )


def blank_out(pixel_values: Tensor, places: Tensor, patch_size: int) -> Tensor:
    """A copy of pixels in which some patches are all middle grey, which no text shows.

    Args:
        pixel_values: uint8 [B, 16, W] or [B, 16, W, C]; or float [B, C, 16, W] in [0, 1]
        places: bool [B, P], the patches to blank out
        patch_size: Height and width of a patch.
    """
    columns = places.repeat_interleave(patch_size, dim=1)  # [B, W]
    if pixel_values.dtype != torch.uint8:
        return pixel_values.masked_fill(columns[:, None, None, :], 0.5)
    shape = (len(columns), 1, -1) if pixel_values.ndim == 3 else (len(columns), 1, columns.shape[1], 1)
    return pixel_values.masked_fill(columns.view(shape), 128)
