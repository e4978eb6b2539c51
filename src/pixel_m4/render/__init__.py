"""Text to patches, without torch."""

from .encoding import BatchEncoding, Encoding
from .fonts import FontError
from .renderer import MissingGlyphWarning, TextRenderer

__all__ = ["BatchEncoding", "Encoding", "FontError", "MissingGlyphWarning", "TextRenderer"]
