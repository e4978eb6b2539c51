"""Lets `import pixel_m4` be enough for transformers' auto classes, without loading transformers or torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import wraps
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from pixel_m4.shipped import find_model, find_shipped, is_path

_AUTO = "transformers.models.auto."
# What registers with which module of theirs.
OURS = {
    f"{_AUTO}configuration_auto": "pixel_m4.model",
    f"{_AUTO}tokenization_auto": "pixel_m4.subwords.absent",
    f"{_AUTO}processing_auto": "pixel_m4.processor",
}
# These import the auto classes in their middle, when our models cannot be defined yet.
_AROUND = ("transformers.modeling_utils", f"{_AUTO}modeling_auto")


class AutoClassesFinder(MetaPathFinder):
    """Waits for modules with auto classes to be imported, then imports ours, which register with them.

    It does so when the last of the modules that it knows has come to its end, as they import each other.
    """

    def __init__(self) -> None:
        self._looking: set[str] = set()
        self._running = 0
        self._registering = False
        self._waiting = dict(OURS)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find no module but these."""
        if fullname not in (*OURS, *_AROUND) or fullname in self._looking:
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
            if not self._running:
                self.register()

        loader.exec_module = run_and_register
        return spec

    def register(self) -> None:
        """Import those of ours whose auto classes are there; they may lead to more of theirs."""
        if self._registering:
            return
        self._registering = True
        try:
            while loaded := [name for name in self._waiting if name in sys.modules]:
                import_module(self._waiting.pop(loaded[0]))
        finally:
            self._registering = False
        if not self._waiting and self in sys.meta_path:
            sys.meta_path.remove(self)


def know_our_places(auto: Any) -> None:
    """Let an auto class of transformers find the package's checkpoints, and folders under `~`.

    Paths of missing folders are told at once; it would ask the hub for them.
    """
    theirs = auto.__dict__["from_pretrained"].__func__

    @wraps(theirs)
    def from_pretrained(cls: Any, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        name = find_shipped(pretrained_model_name_or_path)
        if is_path(name) and not Path(name).is_file():  # they also take the file of a configuration
            name = find_model(name)
        return theirs(cls, name, *args, **kwargs)

    auto.from_pretrained = classmethod(from_pretrained)


def register_with_transformers() -> None:
    """Teach the auto classes of transformers our models: now if they are there, or when they come."""
    if not any(isinstance(finder, AutoClassesFinder) for finder in sys.meta_path):
        finder = AutoClassesFinder()
        sys.meta_path.insert(0, finder)
        finder.register()
