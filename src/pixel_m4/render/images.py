"""Pictures of encodings for people: patches in rows, with borders and word starts.

Dimensions: H pixels of a patch in each direction, P patches.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from pixel_m4.console.errors import UserError
from pixel_m4.render.encoding import Encoding

_BORDER, _WORD = (214, 219, 226), (0, 110, 200)


def picture(
    encoding: Encoding,
    *,
    columns: int | None = None,
    scale: int = 2,
    borders: bool = True,
    word_starts: bool = True,
    masked: Sequence[int] = (),
) -> Image.Image:
    """Draw the patches of an encoding, its last black patch included.

    Args:
        encoding: what the renderer gave.
        columns: patches of a row; default all in one row.
        scale: picture pixels for each pixel.
        borders: draw thin lines between patches.
        word_starts: mark the first patch of every word.
        masked: numbers of patches that are covered in grey.

    Raises:
        ValueError: columns or scale is smaller than 1.
    """
    if scale < 1 or (columns is not None and columns < 1):
        raise UserError(f"columns and scale must be at least 1, not {columns} and {scale}")
    size = encoding.pixel_values.shape[0]
    count = encoding.num_text_patches + 1
    columns = min(columns or count, count)
    rows = -(-count // columns)
    pixels = encoding.pixel_values[:, : count * size]
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    canvas = np.full((rows * size, columns * size, 3), 255, np.uint8)
    covered = set(masked)
    for patch in range(count):
        y, x = _place(patch, columns, size)
        cell = pixels[:, patch * size : (patch + 1) * size]
        canvas[y : y + size, x : x + size] = 160 if patch in covered else cell
    image = Image.fromarray(canvas).resize(
        (columns * size * scale, rows * size * scale), Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(image)
    for patch in range(count) if borders else ():
        y, x = _place(patch, columns, size * scale)
        draw.rectangle((x, y, x + size * scale - 1, y + size * scale - 1), outline=_BORDER)
    for patch in encoding.word_starts[:-1] if word_starts else ():
        if patch < encoding.num_text_patches:
            y, x = _place(patch, columns, size * scale)
            draw.rectangle((x, y, x + scale - 1, y + size * scale - 1), fill=_WORD)
    return image


def strips(
    original: np.ndarray,
    filled: np.ndarray,
    masked: np.ndarray,
    num_patches: int,
    *,
    columns: int = 48,
    scale: int = 1,
    gap: int = 8,
) -> Image.Image:
    """Draw original, masked and reconstructed text below each other, in as many groups of rows as it needs.

    Args:
        original: uint8 [16, W] grey
        filled: uint8 [16, W], with reconstructed patches
        masked: bool [P], True where a patch is covered in the second row of a group.
        num_patches: how many patches to draw, from the first.
        columns: patches of a row.
        scale: picture pixels for each pixel.
        gap: pixels between groups.

    Raises:
        ValueError: there is nothing to draw, or scale or columns is smaller than 1.
    """
    if min(scale, columns, num_patches) < 1:
        raise UserError(
            f"scale, columns and num_patches must be at least 1, not {scale}, {columns} and {num_patches}"
        )
    size = original.shape[0]
    hidden = np.where(np.repeat(masked, size)[None], np.uint8(160), original)
    columns = min(columns, num_patches)
    groups = -(-num_patches // columns)
    height = 3 * size + 2
    canvas = np.full((groups * (height + gap) - gap, columns * size), 255, np.uint8)
    for group in range(groups):
        left, right = group * columns * size, min((group + 1) * columns, num_patches) * size
        for row, pixels in enumerate((original, hidden, filled)):
            top = group * (height + gap) + row * (size + 1)
            canvas[top : top + size, : right - left] = pixels[:, left:right]
    image = Image.fromarray(canvas).convert("RGB")
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def png_base64(image: Image.Image, *, optimize: bool = False) -> str:
    """A picture as PNG in base64; to optimize it takes longer and makes it smaller."""
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=optimize)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def data_url(image: Image.Image) -> str:
    """A picture as PNG, in a form that a page of HTML can hold."""
    return f"data:image/png;base64,{png_base64(image, optimize=True)}"


def _place(patch: int, columns: int, size: int) -> tuple[int, int]:
    row, column = divmod(patch, columns)
    return row * size, column * size
