"""Held-out text of each language, and the loss on it.

Dimensions: B batch, P patches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from pixel_m4.corpus.corpora import Block
from pixel_m4.corpus.pretraining import MaskedBlocks
from pixel_m4.fill.reading import ReadingAccuracy, UnitReader, most_frequent_patch, reading_accuracy
from pixel_m4.pretrain.patch_classes import widened


class Validation:
    """Blocks to evaluate on; their masks depend on their places in the lists only.

    Args:
        blocks: of each language.
        collate: blocks to batches.
        batch_size: B, of a process.
        reader: knows the units that predicted pixels are compared with; None: they are not read.
    """

    def __init__(
        self,
        blocks: Mapping[str, Sequence[Block]],
        collate: MaskedBlocks,
        batch_size: int,
        reader: UnitReader | None = None,
    ) -> None:
        self._blocks = {
            language: [block._replace(number=number) for number, block in enumerate(found)]
            for language, found in blocks.items()
        }
        self._collate = collate
        self._batch_size = batch_size
        self._reader = reader
        self._guesses: dict[str, torch.Tensor | None] = {}

    def batch(self, language: str, first: int, last: int) -> dict[str, Any]:
        """A batch of the blocks ``first`` to ``last`` (not included) of a language."""
        return self._collate(self._blocks[language][first:last])

    def guess(self, language: str) -> torch.Tensor | None:
        """What a reader without eyes does best to say: the most frequent patch of a language's blocks."""
        if language not in self._guesses:
            assert self._reader is not None
            batch = self.batch(language, 0, len(self._blocks[language]))
            self._guesses[language] = most_frequent_patch(
                batch["pixel_values"], batch["attention_mask"], self._reader
            )
        return self._guesses[language]

    def losses(
        self, model: nn.Module, accelerator: Accelerator, context: Callable[[], AbstractContextManager[Any]]
    ) -> dict[str, float]:
        """``eval_loss_<language>``, mean over masked patches, and ``eval_loss``, the mean of these.

        With a reader also ``eval_reading_accuracy_<language>``, the share of hidden patches of text that can
        be read from the predicted pixels, and ``eval_reading_baseline_<language>``, the share that is the
        most frequent patch of the held-out text of this language. With a second objective
        ``eval_naming_accuracy_<language>``, the share of hidden patches that its head names right.

        Every process computes as many batches as the others, since sharded models compute together.

        Args:
            model: in evaluation mode.
            accelerator: knows the processes.
            context: precision to compute in.
        """
        losses, readings = {}, {}
        if self._reader is not None:
            self._reader.to(accelerator.device)
        # Apple's GPUs know no float64.
        wide = torch.float32 if accelerator.device.type == "mps" else torch.float64
        for language, blocks in self._blocks.items():
            read = ReadingAccuracy()
            sums = torch.zeros(3, device=accelerator.device, dtype=wide)
            for start in range(0, len(blocks), self._batch_size * accelerator.num_processes):
                first = start + self._batch_size * accelerator.process_index
                idle = first >= len(blocks)
                batch = self.batch(language, *((0, 1) if idle else (first, first + self._batch_size)))
                batch.pop("language")
                batch = {
                    name: value.to(accelerator.device) if isinstance(value, torch.Tensor) else value
                    for name, value in batch.items()
                }
                with context():
                    outputs = widened(model(**batch))
                counted = (outputs.mask * (batch["attention_mask"] != 0)).sum()
                if idle:
                    continue
                named = counted * 0 if getattr(outputs, "named", None) is None else outputs.named.sum()
                sums += torch.stack([outputs.patch_losses.sum(), counted, named]).to(wide)
                if self._reader is not None:
                    pixels, mask = batch["pixel_values"], batch["attention_mask"]
                    read += reading_accuracy(
                        outputs.logits, pixels, outputs.mask, self._reader, mask, self.guess(language)
                    )
            total, count, named = accelerator.reduce(sums, "sum").tolist()
            losses[f"eval_loss_{language}"] = total / max(count, 1)
            if getattr(accelerator.unwrap_model(model), "objective", None) is not None:
                readings[f"eval_naming_accuracy_{language}"] = named / max(count, 1)
            if self._reader is not None:
                counts = torch.tensor([read.patches, read.correct, read.baseline, read.known])
                read = ReadingAccuracy(*accelerator.reduce(counts.to(accelerator.device), "sum").tolist())
                shares = read.shares()
                for name in ("reading_accuracy", "reading_baseline"):
                    readings[f"eval_{name}_{language}"] = shares[name]
        losses["eval_loss"] = sum(losses.values()) / max(len(losses), 1)
        return {**losses, **readings}
