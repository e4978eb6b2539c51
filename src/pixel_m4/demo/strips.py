"""A text as its strip of patches, with what every patch shows: what the page draws.

Dimensions: P patches of a text, its last black patch included; C characters of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from pixel_m4.render import TextRenderer
from pixel_m4.render.encoding import Encoding
from pixel_m4.render.images import png_base64
from pixel_m4.render.strategies import is_rtl


def drawn(renderer: TextRenderer, text: str | Sequence[str], rtl: bool | None = None) -> dict[str, Any]:
    """Draw a text.

    Args:
        renderer: Draws it.
        text: A text, or words; characters are counted as if they were joined by spaces.
        rtl: Draw it right-to-left; None: as it looks.

    Returns:
        See the schema ``Strip``
    """
    joined = text if isinstance(text, str) else " ".join(text)
    words = text if isinstance(text, str) else list(text)
    encoding = renderer(words, rtl=bool(rtl))
    offsets = renderer.offsets(words, encoding, rtl=bool(rtl))
    count = encoding.num_text_patches + 1
    covered = {char: renderer.covers(char) for char in set(joined)}
    places = offsets.patches[0].tolist()  # [C, 2]
    visible = [place for place, char in enumerate(joined) if not char.isspace()]
    return {
        "text": joined,
        "png": png(encoding),
        "patches": count,
        # Kept: words that are given one by one are not reversed; published weights saw them so.
        "rtl": isinstance(text, str) and (bool(rtl) or is_rtl(text)),
        "patch_chars": [None if start < 0 else [start, end] for start, end in offsets.spans.tolist()],
        "patch_word": [None if word < 0 else word for word in offsets.word_of_patch.tolist()],
        "char_patches": [None if start < 0 else [start, end] for start, end in places],
        "word_starts": [patch for patch in encoding.word_starts[:-1] if patch < count - 1],
        "black": [int(patch) for patch in encoding.sep_patches],
        "missing": [place for place in visible if not covered[joined[place]]],
        "cut": [place for place in visible if places[place][0] < 0],
    }


def png(encoding: Encoding) -> str:
    """The patches of an encoding side by side, the last black one included, as a PNG in base64."""
    size = encoding.pixel_values.shape[0]
    pixels = np.ascontiguousarray(encoding.pixel_values[:, : (encoding.num_text_patches + 1) * size])
    return png_base64(Image.fromarray(pixels))
