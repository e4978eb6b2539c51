"""Checkpoints that come with the package: a name stands for a folder of it."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

SHIPPED = ("pixel-m4-tiny", "pixel-m4-tiny-english")


def find_shipped(name: Any) -> Any:
    """The folder of a checkpoint that the package ships; every other name as it is.

    A folder of the user's with such a name comes first.
    """
    if not isinstance(name, str | os.PathLike) or str(name) not in SHIPPED or Path(name).exists():
        return name
    folder = files("pixel_m4") / "assets" / str(name)
    return str(folder) if isinstance(folder, Path) else name
