"""Grids of fine-tuning runs, and their tables and figures."""
