"""Known units as patches: what a prediction is compared with.

Dimensions: N units, U different patches, C values of a patch (256 grey, 768 colour).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixel_m4.console.errors import UserError
from pixel_m4.model.inputs import split_patches
from pixel_m4.model.objectives import as_targets, standardise
from pixel_m4.render import TextRenderer
from pixel_m4.render.strategies import is_rtl

MAX_WIDTH = 16  # patches of a unit; wider ones are not known
_DRAWN_AT_ONCE = 4096


class KnownPatches(NamedTuple):
    """Known units in one direction.

    Attributes:
        pixels: uint8 [U, C], the most frequent patch first.
        targets: float [U, C], as the model predicts them.
        variance: of the pixels of targets, mean over patches.
        units: for every width the patch numbers int64 [N, width] and the names of the units [N].
        known: the bytes of ``pixels``, patch by patch.
    """

    pixels: Tensor
    targets: Tensor
    variance: float
    units: dict[int, tuple[Tensor, list[str]]]
    known: frozenset[bytes]

    def to(self, device: torch.device) -> KnownPatches:
        """The same on another device."""
        units = {width: (rows.to(device), names) for width, (rows, names) in self.units.items()}
        pixels, targets = self.pixels.to(device), self.targets.to(device)
        return self._replace(pixels=pixels, targets=targets, units=units)


def draw_units(
    renderer: TextRenderer, counts: Mapping[str, int], normalised: bool, rtl: bool | None
) -> KnownPatches:
    """Draw units as texts of their own; those that look the same are one.

    Args:
        renderer: Draws.
        counts: How often each occurs, the most frequent first, which names those that look the same.
        normalised: Whether the model predicts standardised patches.
        rtl: Whether they are drawn right-to-left; None: as each looks.

    Raises:
        ValueError: None of them can be drawn.
    """
    names: defaultdict[int, list[str]] = defaultdict(list)
    strips: defaultdict[int, list[Tensor]] = defaultdict(list)
    for texts, patches, widths in _strips(renderer, list(counts), rtl):
        for width in set(widths.tolist()) - {0}:
            same = (widths == width).nonzero()[:, 0]
            if width <= min(MAX_WIDTH, patches.shape[1]):
                names[width] += [texts[i] for i in same.tolist()]
                strips[width].append(patches[same, :width])
    if not names:
        raise UserError("there are no known units to compare with: none of them can be drawn")
    widths_known = sorted(names)
    drawn = {width: torch.cat(strips[width]) for width in widths_known}
    everything = torch.cat([drawn[width].flatten(0, 1) for width in widths_known])
    numbers = [counts[name] for w in widths_known for name in names[w] for _ in range(w)]
    pixels, inverse = _unique_patches(everything)
    weight = torch.zeros(len(pixels), dtype=torch.float64).index_add_(
        0, inverse, torch.tensor(numbers, dtype=torch.float64)
    )
    order = weight.argsort(descending=True, stable=True)
    pixels, inverse = pixels[order], order.argsort()[inverse]
    parts = inverse.split([drawn[width].shape[0] * width for width in widths_known])
    units = {
        width: _different(part.unflatten(0, (-1, width)), names[width])
        for width, part in zip(widths_known, parts, strict=True)
    }
    targets = torch.cat([_targets(part, renderer, normalised) for part in pixels.split(_DRAWN_AT_ONCE)])
    variance = 1.0 if normalised else float(targets.var(1).mean().clamp(min=1e-6))
    known = frozenset(patch.tobytes() for patch in pixels.numpy())
    return KnownPatches(pixels, targets, variance, units, known)


def _targets(pixels: Tensor, renderer: TextRenderer, normalised: bool) -> Tensor:
    """Patches uint8 [n, C] as the model predicts them, float [n, C]."""
    targets = as_targets(pixels, renderer.pixels_per_patch, 3)
    if normalised:
        targets = standardise(targets)
    return targets if renderer.rgb else targets[:, ::3]


def _strips(
    renderer: TextRenderer, units: Sequence[str], rtl: bool | None
) -> Iterator[tuple[list[str], Tensor, Tensor]]:
    """Draw units in parts: their names, patches uint8 [n, P, C] and widths int64 [n]."""
    drawable = {char: renderer.covers(char) for char in set("".join(units))}
    known = [unit for unit in units if unit and all(map(drawable.get, unit))]
    for first in range(0, len(known), _DRAWN_AT_ONCE):
        texts = known[first : first + _DRAWN_AT_ONCE]
        # Letters after a right-to-left unit make the text count as left-to-right.
        lines = [
            [text, "a" * (2 * len(text) + 2)] if rtl is False and is_rtl(text) else [text] for text in texts
        ]
        batch = renderer.batch(lines, rtl=bool(rtl), return_tensors="pt")
        yield texts, split_patches(batch["pixel_values"]), batch.word_starts[:, 1]


def _unique_patches(patches: Tensor) -> tuple[Tensor, Tensor]:
    """The different ones of patches uint8 [n, C], and which of them each one is, int64 [n]."""
    rows = np.ascontiguousarray(patches.numpy()).view(np.dtype((np.void, patches.shape[1])))[:, 0]
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    return patches[torch.from_numpy(first)], torch.from_numpy(inverse)


def _different(rows: Tensor, names: list[str]) -> tuple[Tensor, list[str]]:
    """The first of each group of equal rows [N, width], and its name."""
    different, inverse = torch.unique(rows, dim=0, return_inverse=True)
    first = torch.full((len(different),), len(rows)).scatter_reduce(
        0, inverse, torch.arange(len(rows)), reduce="amin"
    )
    first = first.sort().values
    return rows[first], [names[i] for i in first.tolist()]
