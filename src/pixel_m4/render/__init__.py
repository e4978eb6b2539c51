"""Text to patches, without torch."""

from .encoding import BatchEncoding, Encoding
from .fonts import FontError
from .layout import MissingGlyphWarning
from .renderer import TextRenderer

__all__ = ["BatchEncoding", "Encoding", "FontError", "MissingGlyphWarning", "TextRenderer"]
