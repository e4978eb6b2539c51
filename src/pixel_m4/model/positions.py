"""Positions of patches: the fixed sine-cosine table and its rows for another length, and rotary positions.

Sources: He et al. 2022 (MAE), Su et al. 2021 (RoFormer). Dimensions: B batch, P patches, K kept patches,
S sequence with CLS, D width, H heads, d = D / H, L = P rows of the table without CLS.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization

from pixel_m4.model.config import check_square


def sincos_positions(width: int, side: int) -> Tensor:
    """The fixed 2-D sine-cosine table of a square grid, with a zero row for CLS (He et al. 2022).

    Half of the width codes the column ("w goes first"), half the row; each half is sines, then cosines.

    Returns:
        [1, 1 + side², width]
    """
    frequency = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angle = torch.outer(torch.arange(side, dtype=torch.float64), frequency)
    line = torch.cat([angle.sin(), angle.cos()], dim=1)  # [side, width / 2]
    column, row = line.repeat(side, 1), line.repeat_interleave(side, dim=0)
    grid = torch.cat([column, row], dim=1)
    return torch.cat([torch.zeros(1, width, dtype=torch.float64), grid])[None].float()


def resized_positions(table: Tensor, max_seq_length: int) -> Tensor:
    """Cut a position table, or interpolate its square grid bicubically; the CLS row stays.

    Args:
        table: [1, 1 + L, D]
        max_seq_length: The new L, a perfect square.

    Returns:
        [1, 1 + max_seq_length, D]
    """
    check_square(max_seq_length)
    old = table.shape[1] - 1
    if max_seq_length <= old:
        return table[:, : 1 + max_seq_length].clone()
    side = check_square(old)
    cls, grid = table[:, :1], table[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    # kept: published models stretch the square grid to the shape of their image, a strip of 1 x L patches,
    # and sample it with a scale of (1.1, L + 0.1) / side rather than (1, L) / side.
    scale = (1.1 / side, (max_seq_length + 0.1) / side)
    strip = F.interpolate(grid.float(), scale_factor=scale, mode="bicubic", align_corners=False)
    strip = strip.flatten(2).transpose(1, 2).to(table.dtype)
    assert strip.shape[1] == max_seq_length, f"{strip.shape[1]} positions instead of {max_seq_length}"
    return torch.cat([cls, strip], dim=1)


def patch_positions(table: Tensor, patches: int, first_position: Tensor | None) -> Tensor:
    """The rows of a position table that patches have.

    Args:
        table: [1, 1 + L, D]
        patches: P
        first_position: [B], the row of each text's first patch, counted from 0; None for 0

    Returns:
        [1, P, D], or [B, P, D]
    """
    if first_position is None:
        return table[:, 1 : 1 + patches]
    return table[0, 1 + first_position[:, None] + torch.arange(patches, device=table.device)]


def init_positions(table: nn.Parameter) -> None:
    """Fill a position table [1, 1 + L, D] with sines and cosines, unless a checkpoint filled it."""
    positions = sincos_positions(table.shape[2], check_square(table.shape[1] - 1))
    initialization.copy_(table, positions.to(table))


def resized_parameter(table: nn.Parameter | None, max_seq_length: int) -> nn.Parameter | None:
    """`resized_positions` for a parameter [1, 1 + L, D]; frozen stays frozen, and None stays None."""
    if table is None:
        return None
    with torch.no_grad():
        return nn.Parameter(resized_positions(table, max_seq_length), requires_grad=table.requires_grad)


class Rotation(NamedTuple):
    """How queries and keys are turned, each pair of their values by its own angle.

    Attributes:
        cos: float32 [B or 1, S, 1, d / 2]
        sin: float32 [B or 1, S, 1, d / 2]
    """

    cos: Tensor
    sin: Tensor


def places_of(length: int, keep: Tensor | None, device: torch.device) -> Tensor:
    """The places of a sequence: CLS has 0 and patch p has p + 1, also where other patches are dropped.

    Args:
        length: S
        keep: [B, K], the patches that are kept; None for all
        device: Where to make them.

    Returns:
        [1, S], or [B, 1 + K]
    """
    if keep is None:
        return torch.arange(length, device=device)[None]
    return F.pad(keep + 1, (1, 0))


def rotation_of(places: Tensor, size: int, theta: float) -> Rotation:
    """The angles of places: pair i is turned by place * theta^(-2i / d).

    Args:
        places: [B, S]
        size: d, the width of a head, even.
        theta: The base.
    """
    pairs = torch.arange(0, size, 2, dtype=torch.float32, device=places.device)
    angle = places[..., None, None].float() * theta ** (-pairs / size)
    return Rotation(angle.cos(), angle.sin())


def rotate(states: Tensor, rotation: Rotation) -> Tensor:
    """Turn queries or keys [B, S, H, d]; value i and value i + d / 2 are a pair, as in transformers."""
    first, second = states.chunk(2, dim=-1)
    cos, sin = rotation
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.to(states.dtype)
