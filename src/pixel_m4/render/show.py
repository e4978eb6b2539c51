"""What ``pixel-m4 render`` does: texts to a picture, to arrays, or to the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixel_m4.console.errors import UserError
from pixel_m4.files import read_lines, replacing, stdin_lines
from pixel_m4.render.encoding import Encoding
from pixel_m4.render.images import picture
from pixel_m4.render.renderer import TextRenderer

_HALVES = " ▄▀█"  # a cell with no half filled, the lower, the upper, both


def read_texts(file: Path | None) -> list[str]:
    """The lines of a file (also a compressed one), or of the standard input.

    Raises:
        ValueError: bytes are not UTF-8 (the message names the line), or there is no text.
    """
    texts = list(stdin_lines() if file is None else read_lines(file))
    if not texts:
        raise UserError(f"{'<stdin>' if file is None else file} holds no text")
    return texts


def numbers(text: str, what: str = "patches") -> list[int]:
    """``"3-5,9"`` as [3, 4, 5, 9]; ``what`` they count is for the message.

    Raises:
        ValueError: it is something else.
    """
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise UserError(f"{part!r} is no number or range of {what}, such as 9 or 3-5")
        found += range(int(first), int(last or first) + 1)
    return found


def save_npz(renderer: TextRenderer, texts: Sequence[str], path: Path, *, rtl: bool = False) -> None:
    """Write ``pixel_values``, ``attention_mask``, ``word_starts`` and ``num_text_patches`` of a batch."""
    batch = renderer.batch(texts, rtl=rtl)
    arrays = {"word_starts": batch.word_starts, "num_text_patches": batch.num_text_patches, **batch.data}
    with replacing(path) as scratch:
        np.savez_compressed(scratch, **arrays)


def save_png(encodings: Sequence[Encoding], path: Path, **options: Any) -> None:
    """Write one picture with a text below another; options as for :func:`picture`."""
    with replacing(path) as scratch:
        _stack([picture(encoding, **options) for encoding in encodings], gap=8).save(scratch, optimize=True)


def preview(encodings: Sequence[Encoding], path: None = None, **options: Any) -> None:
    """Print texts in the terminal, two pixels a character cell, in as many rows as it needs.

    Where there are no colours, as in a pipe or with ``NO_COLOR``, what is darker than middle grey is filled.
    """
    from rich.style import Style
    from rich.text import Text

    from pixel_m4.console.screen import plain_console

    columns = options.pop("columns", None) or max(1, shutil.get_terminal_size().columns // 16)
    options = {**options, "scale": 1, "columns": columns, "borders": False}
    pixels = np.asarray(_stack([picture(encoding, **options) for encoding in encodings], gap=2))
    console = plain_console(width=pixels.shape[1], soft_wrap=False)
    if console.color_system is None or console.no_color:
        dark = pixels.mean(-1) < 128
        for cells in 2 * dark[::2] + dark[1::2]:
            console.print("".join(_HALVES[cell] for cell in cells).rstrip())
        return
    styles: dict[bytes, Style] = {}
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        line = Text()
        for pair in np.concatenate([upper, lower], axis=1):
            key = pair.tobytes()
            if key not in styles:
                above, below = (f"rgb({r},{g},{b})" for r, g, b in (pair[:3], pair[3:]))
                styles[key] = Style.parse(f"{above} on {below}")
            line.append("▀", styles[key])
        console.print(line)


def _stack(pictures: Sequence[Image.Image], gap: int) -> Image.Image:
    height = sum(image.height + gap for image in pictures) - gap
    canvas = Image.new("RGB", (max(image.width for image in pictures), height), "white")
    top = 0
    for image in pictures:
        canvas.paste(image, (0, top))
        top += image.height + gap
    return canvas
