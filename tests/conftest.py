"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with specs, goldens and real data beside the checkout; tests that read it skip without it."""
    default = Path(__file__).resolve().parents[2] / "shared"
    path = Path(os.environ.get("PIXEL_M4_SHARED", default))
    if not path.is_dir():
        pytest.skip(f"needs the shared data folder; looked for {path} (set PIXEL_M4_SHARED to its place)")
    return path
