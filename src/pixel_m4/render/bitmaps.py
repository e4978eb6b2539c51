"""Glyphs that a font stores as pictures (CBDT, sbix): read, and shrunk to the font size as Cairo does.

Dimensions: h, w rows and columns of a picture; k taps of the filter.
"""

from __future__ import annotations

import io
import math

import numpy as np

_ONE = 1 << 16  # 16.16 fixed-point numbers, as in Pixman


def decode_png(data: bytes) -> np.ndarray:
    """Premultiplied RGBA, uint8 [h, w, 4], of a PNG file."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("RGBA"), np.uint16)
    alpha = pixels[..., 3:]
    product = pixels[..., :3] * alpha + 128
    return np.concatenate([(product + (product >> 8)) >> 8, alpha], axis=2).astype(np.uint8)


def shrink(picture: np.ndarray, left: int, top: int, scale: float) -> tuple[np.ndarray, int, int]:
    """Scale a picture about the origin of its glyph, with Cairo's box filter.

    Args:
        picture: uint8 [h, w, 4], premultiplied.
        left: columns from the origin to the picture.
        top: rows from the picture's upper edge down to the origin.
        scale: size of the result relative to the picture.

    Returns:
        The scaled picture, and its ``left`` and ``top``.
    """
    columns, first = _filter(picture.shape[1], left, scale)
    rows, upper = _filter(picture.shape[0], -top, scale)
    # Pixman rounds the product of two weights, then the sum.
    scaled = np.empty((len(rows), len(columns), 4), np.uint8)
    numbers = picture.astype(np.int64)
    for y, (i, down) in enumerate(rows):
        for x, (j, across) in enumerate(columns):
            weights = (np.multiply.outer(down, across) + _ONE // 2) // _ONE
            total = np.tensordot(weights, numbers[i : i + len(down), j : j + len(across)], 2)
            scaled[y, x] = np.clip((total + _ONE // 2) // _ONE, 0, 255)
    return scaled, first, -upper


def _filter(size: int, start: int, scale: float) -> tuple[list[tuple[int, np.ndarray]], int]:
    """For each scaled pixel the first pixel that it takes and the weights; the first scaled pixel."""
    first, last = math.floor(start * scale), math.ceil((start + size) * scale)
    step = round(_ONE / scale)
    offset = round((first / scale - start) * _ONE)
    # Shrinking by less than a quarter is left to bilinear filtering; at most 16 pixels are made one.
    radius = min(1 / scale, 16.0)
    radius = 1.0 if radius < 1 / 0.75 else radius
    phase_bits = next(bits for bits in range(16) if radius * (1 << bits) > 128)
    shift = 16 - phase_bits
    taps = math.ceil(radius + 1)
    weights = []
    for pixel in range(last - first):
        centre = pixel * step + step // 2 + offset
        centre = ((centre >> shift) << shift) + ((1 << shift) >> 1)
        phase = (centre & (_ONE - 1)) >> shift
        begin = (centre - 1 - (((taps << 16) - _ONE) >> 1)) >> 16
        inside = slice(max(0, -begin), max(0, min(taps, size - begin)))
        weights.append((max(0, begin), _box(phase, taps, radius, phase_bits)[inside]))
    return weights, first


def _box(phase: int, taps: int, radius: float, phase_bits: int) -> np.ndarray:
    """Weights [k] of one phase, whole numbers that add up to 1 << 16."""
    fraction = (phase + 0.5) / (1 << phase_bits)
    at = math.ceil(fraction - taps / 2 - 0.5) - fraction + 0.5 + np.arange(taps)
    edge = (radius + 1) / 2
    heights = np.maximum(0, np.minimum(min(radius, 1.0), np.minimum(edge - at, edge + at)))
    weights = (heights / heights.sum() * _ONE).astype(np.int64)
    weights[taps // 2] += _ONE - weights.sum()
    return weights
