"""Text to patches, without torch."""

from .encoding import BatchEncoding, Encoding
from .fonts import FontError
from .losses import Losses, MissingGlyphWarning, TruncationWarning, told_at_end
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
