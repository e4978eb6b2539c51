"""Text to patches, without torch."""

from pixel_m4.losses import Losses, MissingGlyphWarning, TruncationWarning, told_at_end

from .encoding import BatchEncoding, Encoding
from .fonts import FontError
from .renderer import TextRenderer

__all__ = [
    "BatchEncoding",
    "Encoding",
    "FontError",
    "Losses",
    "MissingGlyphWarning",
    "TextRenderer",
    "TruncationWarning",
    "told_at_end",
]
