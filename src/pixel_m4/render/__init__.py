"""Text to patches, without torch."""
