"""Pictures of what a model reconstructs, drawn while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pixel_m4.files import replacing
from pixel_m4.model.objectives import reconstruct
from pixel_m4.pretrain.validation import Validation
from pixel_m4.render.images import strips


class Pictures:
    """Original, masked and reconstructed text of each language, in one PNG a language and step.

    Args:
        validation: where the text comes from; its first block is drawn.
        languages: which to draw.
        folder: where pictures go; None in processes that write nothing.
        every: steps between pictures.
    """

    def __init__(
        self, validation: Validation, languages: Sequence[str], folder: Path | None, every: int
    ) -> None:
        self._validation = validation
        self._languages = languages
        self._folder = folder
        self._every = every
        self._drawn = 0

    def due(self, step: int) -> bool:
        """Whether this step is to be drawn, and has not been."""
        return self._every > 0 and step % self._every == 0 and step != self._drawn

    def draw(self, model: nn.Module, step: int, writer: Any = None) -> None:
        """Run the model and write the pictures; every process takes part, as a model may be sharded.

        Args:
            model: in evaluation mode.
            step: number in the names of the files.
            writer: TensorBoard's SummaryWriter, or None.
        """
        self._drawn = step
        device = next(model.parameters()).device
        config: Any = model.config
        for language in self._languages:
            batch = self._validation.batch(language, 0, 1)
            batch.pop("language")
            batch = {
                name: value.to(device) if isinstance(value, torch.Tensor) else value
                for name, value in batch.items()
            }
            outputs = model(**batch)
            if self._folder is None:
                continue
            pixels = batch["pixel_values"]
            filled = reconstruct(config, pixels, outputs.logits, outputs.mask)
            length = int(batch["attention_mask"].sum())
            image = strips(
                pixels[0].cpu().numpy(), filled[0].cpu().numpy(), outputs.mask[0].cpu().numpy() != 0, length
            )
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._folder / f"{language}-{step:07}.png") as scratch:
                image.save(scratch)
            if writer is not None:
                writer.add_image(f"reconstruction/{language}", np.asarray(image), step, dataformats="HWC")
