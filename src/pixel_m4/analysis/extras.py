"""Libraries that only some analyses need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pixel_m4.console.errors import UserError


class MissingLibrary(UserError):
    """A library of an extra is not there."""


def needed(module: str, extra: str) -> Any:
    """Import a module of a library that an extra of the package brings.

    Raises:
        MissingLibrary: It is not there; names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingLibrary(
            f"the library {module.partition('.')[0]} is not there: pip install 'pixel-m4[{extra}]'"
        ) from error
