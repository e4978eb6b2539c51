"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

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


# A program that is started in the background ignores Ctrl-C, and so do all that it starts; here it is sent.
signal.signal(signal.SIGINT, signal.default_int_handler)
