"""Batches for pretraining: rendered blocks, their masks and their languages.

Runs in loader workers, so that neither drawing nor masking waits in the training thread.

Dimensions: B batch, P patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from pixel_m4.console.errors import UserError
from pixel_m4.corpus.corpora import Block, render_blocks
from pixel_m4.corpus.masking import CUMULATIVE_WEIGHTS, MAX_SPAN, RATIO, Mask, random_mask, span_mask
from pixel_m4.corpus.patches import PatchVocabulary
from pixel_m4.render import TextRenderer

KINDS = ("span", "random")


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How patches are hidden.

    Args:
        kind: "span" (published) or "random".
        ratio: share of the patches of a canvas.
        max_span: the longest span; shorter ones keep their published proportions.

    Raises:
        ValueError: a value is not possible.
    """

    kind: str = "span"
    ratio: float = RATIO
    max_span: int = MAX_SPAN

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"masking must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not 0 < self.ratio < 1:
            raise UserError(f"mask_ratio must lie between 0 and 1 (neither of them), got {self.ratio}")
        if not 1 <= self.max_span <= MAX_SPAN:
            raise UserError(f"max_span must lie between 1 and {MAX_SPAN}, got {self.max_span}")

    def draw(self, num_text_patches: int, num_patches: int, rng: np.random.Generator) -> Mask:
        """A mask [P], True where a patch is hidden; ceil(ratio * P) patches are."""
        if self.kind == "random":
            return random_mask(num_text_patches, num_patches, rng, self.ratio)
        weights = np.asarray(CUMULATIVE_WEIGHTS[: self.max_span]) / CUMULATIVE_WEIGHTS[self.max_span - 1]
        return span_mask(num_text_patches, num_patches, rng, self.ratio, self.max_span, weights.tolist())


class MaskedBlocks:
    """Collation: blocks of text to what the model and the trainer read.

    A mask depends on the seed and on the block's place in the corpus, that is on the share of the corpus (one
    for every loader worker of every process) and on its number there, and on nothing else.

    Args:
        renderer: draws the blocks.
        languages: their names, for the numbers in ``language``.
        masking: how patches are hidden.
        seed: of the masks.
        rank: of this process.
        vocabulary: known patches, for the second objective.
        positions: rows of the model's position table; the texts of a batch begin at places drawn from it,
            as far as their canvas leaves room. None: at the first.

    Raises:
        ValueError: there are fewer positions than patches of a canvas, or known patches with an RGB renderer.
    """

    def __init__(
        self,
        renderer: TextRenderer,
        languages: Sequence[str],
        *,
        masking: Masking,
        seed: int = 0,
        rank: int = 0,
        vocabulary: PatchVocabulary | None = None,
        positions: int | None = None,
    ) -> None:
        if positions is not None and positions < renderer.max_seq_length:
            raise UserError(
                f"positions must be at least the {renderer.max_seq_length} patches of a canvas, "
                f"got {positions}"
            )
        if vocabulary is not None and renderer.rgb:
            raise UserError("patches with names are grey, and the renderer draws in colour (RGB)")
        if seed < 0 or rank < 0:
            raise UserError(f"seed and rank must be 0 or more, not {seed} and {rank}")
        self._renderer = renderer
        self._languages = {language: number for number, language in enumerate(languages)}
        self.masking = masking
        self._seed = seed
        self._rank = rank
        self._vocabulary = vocabulary
        self._positions = positions

    def __call__(self, blocks: Sequence[Block]) -> dict[str, Any]:
        """Draw blocks on whole canvases, as published, and choose what is hidden.

        Every entry but ``language`` is an argument of ``PixelForPreTraining.forward``.

        Returns:
            ``pixel_values`` uint8 [B, 16, 16 * P], ``attention_mask`` int64 [B, P], ``patch_mask`` bool
            [B, P], ``mask_ratio`` (a number that makes the model hide just these patches), ``language``
            int64 [B]; with a vocabulary also ``class_labels`` int64 [B, P], and with positions
            ``first_position`` int64 [B]
        """
        batch = dict(render_blocks(self._renderer, blocks, padding="max_length"))
        lengths = batch["attention_mask"].sum(1).tolist()  # with the black patch at the end, as published
        patches = batch["attention_mask"].shape[1]
        generators = [self._generator(block.number) for block in blocks]
        masks = np.stack(
            [self.masking.draw(length, patches, rng) for rng, length in zip(generators, lengths, strict=True)]
        )
        if self._vocabulary is not None:
            size = self._renderer.pixels_per_patch
            strips = batch["pixel_values"].numpy().reshape(len(blocks), size, patches, size).swapaxes(1, 2)
            numbers = self._vocabulary.numbers(strips.reshape(len(blocks), patches, size**2))
            batch["class_labels"] = torch.from_numpy(numbers)
        if self._positions is not None:
            room = self._positions - patches + 1
            batch["first_position"] = torch.tensor([int(rng.integers(room)) for rng in generators])
        return {
            **batch,
            "patch_mask": torch.from_numpy(masks),
            "mask_ratio": (int(masks[0].sum()) - 0.5) / patches,
            "language": torch.tensor([self._languages[block.language] for block in blocks]),
        }

    def _generator(self, number: int) -> np.random.Generator:
        worker = get_worker_info()
        share = self._rank if worker is None else self._rank * worker.num_workers + worker.id
        return np.random.default_rng([self._seed, share, number])
