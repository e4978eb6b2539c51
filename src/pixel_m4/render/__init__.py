"""Text to patches, without torch."""

from pixel_m4.render.encoding import BatchEncoding, Encoding
from pixel_m4.render.fonts import FontError
from pixel_m4.render.losses import Losses, MissingGlyphWarning, TruncationWarning, told_at_end
from pixel_m4.render.renderer import TextRenderer

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
