"""What pretraining aims at, as functions of tensors: targets, errors and their mean.

Source: He et al. 2022 (masked autoencoders), Rust et al. 2023 (PIXEL).

Dimensions: B batch, P patches, M masked patches, W pixels of width, C channels; a patch has 768 = 16 * 16 * C
values.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pixel_m4.model.config import PixelConfig
from pixel_m4.model.inputs import split_patches


def patchify(pixel_values: Tensor, patch_size: int = 16, num_channels: int = 3) -> Tensor:
    """Pixels as the decoder predicts them: each patch flattened row, column, channel, in [0, 1].

    Args:
        pixel_values: uint8 [B, 16, W] or [B, 16, W, C]; or float [B, C, 16, W]
        patch_size: Height and width of a patch.
        num_channels: How often a grey value stands in a patch.

    Returns:
        float [B, P, 768]
    """
    return as_targets(split_patches(pixel_values, patch_size), patch_size, num_channels)


def unpatchify(patches: Tensor, patch_size: int = 16, num_channels: int = 3) -> Tensor:
    """The inverse of `patchify`: [B, P, 768] → [B, C, 16, W]."""
    pixels = patches.unflatten(2, (patch_size, patch_size, num_channels))  # [B, P, 16, 16, C]
    return pixels.permute(0, 4, 2, 1, 3).flatten(3)


def as_targets(patches: Tensor, patch_size: int, num_channels: int) -> Tensor:
    """Patches [B, P, 256 or 768], uint8 or float, as float [B, P, 768] in [0, 1]."""
    pixels = patches / 255 if patches.dtype == torch.uint8 else patches.float()
    if patches.shape[-1] == patch_size**2:
        pixels = pixels.repeat_interleave(num_channels, dim=-1)
    return pixels


def standardise(patches: Tensor) -> Tensor:
    """Each patch [..., 768] less its mean, divided by its standard deviation (unbiased variance + 1e-6)."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - mean) / (variance + 1e-6).sqrt()


def targets_of(config: PixelConfig, patches: Tensor) -> Tensor:
    """What the decoder is to predict of patches: [B, M, 256 or 768] → float [B, M, 768]."""
    targets = as_targets(patches, config.patch_size, config.num_channels)
    return standardise(targets) if config.norm_pix_loss and targets.shape[1] else targets


def patch_errors(predictions: Tensor, targets: Tensor) -> Tensor:
    """Squared error, mean over the pixels of a patch: two [B, M, 768] give [B, M]."""
    return (predictions.float() - targets).square().mean(-1)


def reconstruction_errors(predictions: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """The errors of the patches that count, and 0 for others.

    Args:
        predictions: [B, M, 768]
        targets: [B, M, 768]
        counted: [B, M], 1 where a patch is masked and attended

    Returns:
        [B, M]
    """
    return patch_errors(predictions, targets) * counted


def mean_of(errors: Tensor, counted: Tensor) -> Tensor:
    """The sum of errors over the number of patches that count, at least one: the loss, []."""
    return errors.sum() / counted.sum().clamp(min=1)


@torch.no_grad()
def reconstruct(config: PixelConfig, pixel_values: Tensor, logits: Tensor, mask: Tensor) -> Tensor:
    """Put the predicted pixels in the masked places of a rendering.

    With `norm_pix_loss` a model predicts patches less their mean and divided by their deviation, so mean and
    deviation are taken from the original: what is shown is the shape of the ink.

    Args:
        config: The model's.
        pixel_values: uint8 [B, 16, W]
        logits: [B, P, 768]
        mask: [B, P], 1 where a patch was masked

    Returns:
        uint8 [B, 16, W]
    """
    original = patchify(pixel_values, config.patch_size, config.num_channels)
    predicted = logits.float()
    if config.norm_pix_loss:
        variance, mean = torch.var_mean(original, dim=-1, keepdim=True)
        predicted = predicted * (variance + 1e-6).sqrt() + mean
    pixels = torch.where(mask[..., None] != 0, predicted, original).clamp(0, 1)
    grey = unpatchify(pixels, config.patch_size, config.num_channels).mean(1)
    return (grey * 255).round().to(torch.uint8)
