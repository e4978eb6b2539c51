"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# The models of the tests are so small that threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with specs, goldens and real data beside the checkout; tests skip without it."""
    default = Path(__file__).resolve().parents[2] / "shared"
    path = Path(os.environ.get("PIXEL_M4_SHARED", default))
    if not path.is_dir():
        pytest.skip(f"needs the shared data folder; looked for {path} (set PIXEL_M4_SHARED to its place)")
    return path


@pytest.fixture(scope="session")
def save_parser() -> Callable[..., Path]:
    """Saves a tiny parser with random weights and its renderer; takes the folder and options of parsing."""

    def save(folder: Path, **options: Any) -> Path:
        import torch

        from pixel_m4 import PixelConfig, PixelForBiaffineParsing, TextRenderer
        from pixel_m4.tasks.parsing import Parsing, ParsingOptions

        task = Parsing(TextRenderer(max_seq_length=49), options=ParsingOptions(**options))
        config = PixelConfig.named("nano", max_seq_length=49)
        task.configure(config)
        torch.manual_seed(0)
        PixelForBiaffineParsing(config).save_pretrained(folder)
        task.renderer.save_pretrained(folder)
        return folder

    return save


# A program that is started in the background ignores Ctrl-C, and so do all that it starts; here it is sent.
signal.signal(signal.SIGINT, signal.default_int_handler)
