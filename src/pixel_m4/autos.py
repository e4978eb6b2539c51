"""Lets `import pixel_m4` be enough for transformers' auto classes, without loading transformers or torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

AUTO = "transformers.models.auto.configuration_auto"
# These import the auto classes in their middle, when our models cannot be defined yet.
_AROUND = ("transformers.modeling_utils", "transformers.models.auto.modeling_auto")


class AutoClassesFinder(MetaPathFinder):
    """Waits for the auto classes to be imported, then imports `pixel_m4.model`, which registers with them.

    It does so when the last of the modules that it knows has come to its end, as they import each other.
    """

    def __init__(self) -> None:
        self._looking: set[str] = set()
        self._running = 0

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find no module but these."""
        if fullname not in (AUTO, *_AROUND) or fullname in self._looking:
            return None
        self._looking.add(fullname)
        spec = find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        run = loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            self._running += 1
            try:
                run(module)
            finally:
                self._running -= 1
            if AUTO in sys.modules and not self._running and self in sys.meta_path:
                sys.meta_path.remove(self)
                import_module("pixel_m4.model")

        loader.exec_module = run_and_register
        return spec


def register_with_transformers() -> None:
    """Teach the auto classes of transformers our models: now if they are there, or when they come."""
    if AUTO in sys.modules:
        import_module("pixel_m4.model")
    elif not any(isinstance(finder, AutoClassesFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AutoClassesFinder())
