"""The published scripts: their command lines, translated into those of ``pixel-m4``."""
