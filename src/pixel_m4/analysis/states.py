"""Texts to vectors, layer by layer, in batches of like lengths.

Dimensions: N texts, L layers that are asked for, B batch, P patches, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from pixel_m4.checkpoint import Checkpoint, choose_device, open_task
from pixel_m4.console.errors import UserError
from pixel_m4.formats.rows import check_text
from pixel_m4.model import AnyModel, PixelModel, TextModel
from pixel_m4.render import TextRenderer
from pixel_m4.shipped import with_revision
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.text_input import TextInput

Pooling = Literal["mean", "published", "cls", "first", "first_last_mean"]
POOLINGS: tuple[str, ...] = get_args(Pooling)


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where and how the model of an analysis runs.

    Args:
        device: cpu, cuda, cuda:1, mps …; None: an accelerator if there is one.
        batch_size: Texts, or parts of sentences, of a batch.
        renderer: Where the renderer comes from, for a checkpoint that has none.
        fallback_fonts_dir: Folder with fonts for characters that the font lacks, or "noto".
    """

    device: str | None = None
    batch_size: int = 32
    renderer: str | Path | None = None
    fallback_fonts_dir: str | Path | None = None

    def states(self, model: str | Path, *, random_weights: bool = False) -> PixelStates:
        """Open the encoder of a checkpoint, see :meth:`PixelStates.open`."""
        transformers_logging.disable_progress_bar()
        return PixelStates.open(
            model,
            device=self.device,
            batch_size=self.batch_size,
            renderer=self.renderer,
            fallback_fonts_dir=self.fallback_fonts_dir,
            random_weights=random_weights,
        )

    def task(self, model: str | Path) -> tuple[Task, AnyModel]:
        """Open a fine-tuned model, see :func:`pixel_m4.checkpoint.open_task`."""
        transformers_logging.disable_progress_bar()
        fonts = self.fallback_fonts_dir
        return open_task(model, device=self.device, renderer=self.renderer, fallback_fonts_dir=fonts)


class PixelStates:
    """The hidden states of a pixel model, or of a text model, made one vector a text.

    Where it says patches, a text model has sub-words.

    Args:
        model: The encoder, in evaluation mode.
        renderer: What its texts are drawn with, or the tokenizer of a text model.
        batch_size: Texts of a batch.
    """

    def __init__(self, model: PixelModel | TextModel, renderer: TextInput, batch_size: int = 32) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, got {batch_size}")
        self.model = model
        self.renderer = renderer
        self.batch_size = batch_size

    @classmethod
    def open(
        cls,
        name: str | Path,
        *,
        device: str | None = None,
        batch_size: int = 32,
        renderer: str | Path | None = None,
        fallback_fonts_dir: str | Path | None = None,
        random_weights: bool = False,
    ) -> PixelStates:
        """Open the encoder of any checkpoint.

        Args:
            name: A folder, a name on the hub, or a checkpoint of the package.
            device: Where to run it; default: an accelerator if there is one.
            batch_size: Texts of a batch.
            renderer: Where the renderer comes from, for a checkpoint that has none.
            fallback_fonts_dir: Folder with fonts for characters that the font lacks.
            random_weights: Draw new weights for the same architecture, by torch's seed: a control.

        Raises:
            ValueError: The checkpoint, its renderer or the device is no good.
            OSError: There is no such checkpoint, or it has no renderer and none is named.
        """
        place = choose_device(device)
        checkpoint = Checkpoint.open(name)
        config = checkpoint.config
        fonts = {} if fallback_fonts_dir is None else {"fallback_fonts_dir": fallback_fonts_dir}
        reader = checkpoint.reader(renderer, max_seq_length=config.max_seq_length, **fonts)
        encoder = PixelModel if checkpoint.reads_pixels else TextModel
        model = encoder(config) if random_weights else encoder.from_pretrained(name)
        return cls(model.to(place).eval(), reader, batch_size)

    @property
    def layers(self) -> int:
        """How many layers there are; with the embeddings, which are layer 0, states of one more."""
        return self.model.config.num_hidden_layers

    def numbers(self, layers: Sequence[int] | None) -> list[int]:
        """The numbers of layers from 0, the embeddings; negative ones count from the end; None: all.

        Raises:
            UserError: There is no such layer.
        """
        if layers is None:
            return list(range(1 + self.layers))
        for layer in layers:
            if not -self.layers - 1 <= layer <= self.layers:
                raise UserError(f"there is no layer {layer}; 0 are the embeddings, {self.layers} is the last")
        return [layer % (1 + self.layers) for layer in layers]

    def embed(
        self, texts: Sequence[str], layers: Sequence[int] | None = (-1,), pooling: Pooling = "mean"
    ) -> np.ndarray:
        """A vector a text and layer.

        A text that does not fit on the canvas is cut, with a warning.

        Args:
            texts: N of them.
            layers: L numbers, see `numbers`; None: all.
            pooling: "mean" of the text's patches; "cls"; "first" patch; "first_last_mean": first, last and
                mean one after another; "published": the sum of CLS, text and the black end patch, by the
                number of patches without CLS (kept: as the published analyses have it).

        Returns:
            float32 [L, N, D], or [L, N, 3 * D]

        Raises:
            UserError: A layer or the pooling does not exist.
        """
        if pooling not in POOLINGS:
            raise UserError(f"there is no pooling {pooling!r}; there are {', '.join(POOLINGS)}")
        chosen = self.numbers(layers)
        width = self.model.config.hidden_size * (3 if pooling == "first_last_mean" else 1)
        found = np.zeros((len(chosen), len(texts), width), np.float32)
        for places, states, ends in self._batches(texts, chosen):
            for number, layer in enumerate(states):
                found[number, places] = pool(layer, ends, pooling).float().cpu().numpy()
        return found

    @torch.inference_mode()
    def _batches(
        self, texts: Sequence[str], layers: Sequence[int]
    ) -> Iterator[tuple[list[int], list[Tensor], Tensor]]:
        """Places of texts, their states [B, 1 + P, D] of each layer, and how many patches show their text."""
        lengths = [int(widths.sum()) for widths in self.renderer.measure_texts(texts)]
        order = sorted(range(len(texts)), key=lambda place: -lengths[place])
        for start in range(0, len(order), self.batch_size):
            places = order[start : start + self.batch_size]
            batch = self.renderer.batch([texts[place] for place in places], return_tensors="pt")
            batch = batch.to(self.model.device)
            states = self.model(**batch, output_hidden_states=True).hidden_states
            yield places, [states[layer] for layer in layers], batch.num_text_patches


def pool(states: Tensor, ends: Tensor, pooling: Pooling) -> Tensor:
    """One vector a text.

    Args:
        states: [B, 1 + P, D], CLS first
        ends: [B], how many patches show text; the black patch stands after them
        pooling: See :meth:`PixelStates.embed`.

    Returns:
        [B, D], or [B, 3 * D]
    """
    cls, patches = states[:, 0], states[:, 1:]
    places = torch.arange(patches.shape[1], device=states.device)
    text = (places < ends[:, None]).to(states.dtype)
    if pooling == "cls":
        return cls
    if pooling == "published":
        with_end = (places <= ends[:, None]).to(states.dtype)
        return (cls + (with_end[:, None] @ patches)[:, 0]) / with_end.sum(1, keepdim=True)
    mean = (text[:, None] @ patches)[:, 0] / text.sum(1, keepdim=True).clamp(min=1)
    if pooling == "mean":
        return mean
    first = patches[:, 0]
    if pooling == "first":
        return first
    last = (ends - 1).clamp(min=0)[:, None, None].expand(-1, 1, patches.shape[2])
    return torch.cat([first, patches.gather(1, last)[:, 0], mean], dim=1)


def embed(
    texts: Sequence[str],
    model: str | Path = "pixel-m4-tiny",
    layer: int = -1,
    pooling: Pooling = "mean",
    *,
    device: str | None = None,
    batch_size: int = 32,
    revision: str | None = None,
) -> np.ndarray:
    """Vectors of texts.

    Args:
        texts: N of them.
        model: A checkpoint of any kind.
        layer: 0 are the embeddings, -1 is the last layer.
        pooling: See :meth:`PixelStates.embed`.
        device: Where to run it; default: an accelerator if there is one.
        batch_size: Texts of a batch.
        revision: Branch, tag or commit of a model on the hub; default: its main branch.

    Returns:
        float32 [N, D]

    Raises:
        ValueError: The checkpoint, the layer or the pooling is no good, or a text is blank.
        OSError: There is no such checkpoint.
    """
    if isinstance(texts, str):
        raise TypeError("embed takes a list of texts, got one text; write [text]")
    refuse_blank(texts)
    states = PixelStates.open(with_revision(model, revision), device=device, batch_size=batch_size)
    return states.embed(texts, [layer], pooling)[0]


def refuse_blank(texts: Sequence[str]) -> None:
    """Refuse a text of which nothing is seen: its vector would be zeros, whose cosine is no number.

    Raises:
        DataError: Names the number of the text.
    """
    for number, text in enumerate(texts, 1):
        check_text(text, "text", f"text {number}")


def pixel_statistics(renderer: TextRenderer, texts: Sequence[str]) -> np.ndarray:
    """The mean patch of each text, without any model: a control.

    Returns:
        float32 [1, N, 256]: ink, from 0 to 1
    """
    found = []
    for text in texts:
        encoding = renderer(text)
        size = renderer.pixels_per_patch
        strip = encoding.pixel_values[:, : size * max(encoding.num_text_patches, 1)]
        patches = strip.reshape(size, -1, size) if strip.ndim == 2 else strip.mean(-1).reshape(size, -1, size)
        found.append(1 - patches.mean(1).ravel() / 255)
    return np.array([found], np.float32)
