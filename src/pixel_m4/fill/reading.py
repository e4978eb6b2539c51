"""Read pixels back: which known units do predicted patches look like?

Every known unit is drawn, and a prediction is compared with its patches as the pretraining loss compares
them: by the squared error, mean over the pixels, between the prediction and the patch (standardised by its
own mean and deviation where the model's targets are).  That error is a Gaussian log-likelihood,

    log p(prediction | patch) = - pixels / (2 * temperature * variance) * error + constant,

with 256 pixels to a patch and the variance of the targets (1 where they are standardised).  A temperature of
1 takes pixels for independent; strokes tie neighbours together, so the default counts eight pixels as one.
All units are as likely before the pixels are seen.

Dimensions: M patches to read, U different known patches, C values of a patch (256 grey, 768 colour).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pixel_m4.console.errors import UserError
from pixel_m4.fill.known import KnownPatches, draw_units
from pixel_m4.fill.units import ends_word
from pixel_m4.model.inputs import split_patches
from pixel_m4.render import TextRenderer
from pixel_m4.render.strategies import is_rtl

TEMPERATURE = 8.0
_COMPARED_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Reading:
    """One way to read a stretch of patches.

    Args:
        text: In logical order; a space follows a unit that can only end a word.
        units: In logical order.
        probability: Among all sequences of known units that fill the stretch; they sum up to 1. Units that
            look the same count as one, named after the most frequent of them.
        distance: Squared error, mean over pixels (of the channels' mean, if the units are grey) and patches.
        pixels: uint8 [M, C], what the units look like.
    """

    text: str
    units: tuple[str, ...]
    probability: float
    distance: float
    pixels: Tensor = field(repr=False, compare=False)


@dataclass(frozen=True)
class ReadingAccuracy:
    """How many patches are read back; add two with `+`.

    Args:
        patches: Masked, attended patches with text (black ones separate texts and are not counted).
        correct: Those whose nearest known patch has the very pixels that were hidden.
        baseline: Those that are the most frequent known patch, which a reader without eyes would guess.
        known: Those that are among the known patches at all: no reader can do better. (Ink of neighbouring
            units that reaches into a patch makes an unknown one of it.)
    """

    patches: int = 0
    correct: int = 0
    baseline: int = 0
    known: int = 0

    def __add__(self, other: ReadingAccuracy) -> ReadingAccuracy:
        return ReadingAccuracy(
            self.patches + other.patches,
            self.correct + other.correct,
            self.baseline + other.baseline,
            self.known + other.known,
        )

    def shares(self) -> dict[str, float]:
        """`reading_accuracy`, `reading_baseline` and `reading_known`, in [0, 1]; nan without patches."""
        counts = {"accuracy": self.correct, "baseline": self.baseline, "known": self.known}
        return {
            f"reading_{name}": count / self.patches if self.patches else math.nan
            for name, count in counts.items()
        }


_Path = tuple[tuple[int, int], ...]  # (width, number of the unit) each
_Scored = tuple[float, _Path]  # its log-likelihood first


class UnitReader:
    """Find the known units that patches look like.

    Args:
        renderer: Draws the units, as it draws the texts that the model sees; not with "continuous" lines.
        units: Known units, or how often each occurs (which chooses names and the baseline, not readings).
            Those with characters that no font has are left out.
        normalised: Whether the model predicts standardised patches (`norm_pix_loss`).
        temperature: See the module.

    Raises:
        ValueError: There are no units (or, when they are first compared, none that can be drawn), the
            temperature is not positive, or the renderer draws continuous lines.
    """

    def __init__(
        self,
        renderer: TextRenderer,
        units: Iterable[str] | Mapping[str, int],
        normalised: bool = True,
        temperature: float = TEMPERATURE,
    ) -> None:
        if renderer.strategy == "continuous":
            raise UserError("continuous lines are not made of units, so they cannot be read back by unit")
        if not temperature > 0:
            raise UserError(f"temperature must be positive, got {temperature}")
        self.renderer = renderer
        self.normalised = normalised
        self.temperature = temperature
        counts = dict(units) if isinstance(units, Mapping) else dict.fromkeys(units, 1)
        # Most frequent first, so that of units that look the same, the first one names them.
        self.counts = dict(sorted(counts.items(), key=lambda item: -item[1]))
        self._device = torch.device("cpu")
        self._tables: dict[bool | None, KnownPatches] = {}
        if not counts:
            raise UserError("there are no known units to compare with")
        self._has_rtl = any(map(is_rtl, counts))

    def read(self, patches: Tensor, top: int = 5, rtl: bool | None = None) -> list[Reading]:
        """Read a stretch of neighbouring patches, in which whole units stand side by side.

        The best readings are found exactly, by dynamic programming over the places where units may meet.

        Args:
            patches: Predictions [M, 256 or 768], in the order in which they are drawn (left to right).
            top: How many readings to return.
            rtl: Whether the text is drawn right-to-left; None: as the units themselves look.

        Returns:
            The most likely first; none if no known units fill the stretch.
        """
        table = self.table(rtl)
        distances = self.distances(patches, rtl)
        size = self.renderer.pixels_per_patch
        logits = distances.double() * (-(size**2) / (2 * self.temperature * table.variance))
        length = len(patches)
        # At every place: log of the summed likelihood, and the best sequences of units.
        total = [0.0] + [-math.inf] * length
        best: list[list[_Scored]] = [[(0.0, ())], *([] for _ in range(length))]
        for stop in range(1, length + 1):
            found: list[_Scored] = []
            for width, (rows, _) in table.units.items():
                if width > stop or not best[stop - width]:
                    continue
                costs = sum(logits[stop - width + i, rows[:, i]] for i in range(width))
                assert isinstance(costs, Tensor)
                total[stop] = float(
                    np.logaddexp(total[stop], total[stop - width] + float(costs.logsumexp(0)))
                )
                values, numbers = costs.topk(min(top, len(costs)))
                for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
                    found += [(cost + value, (*path, (width, number))) for cost, path in best[stop - width]]
            best[stop] = heapq.nlargest(top, found)
        return [
            self._reading(table, distances, path, math.exp(min(cost - total[length], 0.0)), rtl)
            for cost, path in best[length]
            if length
        ]

    def nearest(self, patches: Tensor) -> Tensor:
        """Numbers of the known patches nearest to predictions [M, 256 or 768]: int64 [M]."""
        step = max(1, _COMPARED_AT_ONCE // len(self.table(None).pixels))
        found = [self.distances(patches[i : i + step]).argmin(1) for i in range(0, len(patches), step)]
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)

    def distances(self, patches: Tensor, rtl: bool | None = None) -> Tensor:
        """Squared errors, mean over pixels, between predictions [M, 256 or 768] and known patches: [M, U]."""
        targets = self.table(rtl).targets
        # In equal channels, the error of their mean differs from the mean of their errors by a constant.
        patches = self.match(patches).to(targets)
        squares = targets.square().mean(1) + patches.square().mean(1, keepdim=True)
        return (squares - patches @ targets.T * (2 / targets.shape[1])).clamp(min=0)

    def match(self, patches: Tensor) -> Tensor:
        """Patches [M, 256 or 768] with as many channels as the renderer's."""
        pixels, channels = self.renderer.pixels_per_patch**2, 3 if self.renderer.rgb else 1
        if patches.ndim != 2 or patches.shape[1] not in (pixels, 3 * pixels):
            raise UserError(f"patches must be [M, {pixels} or {3 * pixels}], got {list(patches.shape)}")
        if patches.shape[1] == pixels * channels:
            return patches
        if channels == 3:
            return patches.repeat_interleave(3, dim=1)
        grey = patches.unflatten(1, (pixels, 3)).float().mean(2)
        return grey if patches.is_floating_point() else grey.round().to(patches.dtype)

    def to(self, device: torch.device | str) -> UnitReader:
        """Move what is compared to a device, in place."""
        self._device = torch.device(device)
        self._tables = {rtl: table.to(self._device) for rtl, table in self._tables.items()}
        return self

    def table(self, rtl: bool | None) -> KnownPatches:
        """The known units as drawn in a direction (None: as they look), drawn when first needed."""
        if rtl is False and not self._has_rtl:
            rtl = None
        if rtl not in self._tables:
            self._tables[rtl] = draw_units(self.renderer, self.counts, self.normalised, rtl).to(self._device)
        return self._tables[rtl]

    def _reading(
        self,
        table: KnownPatches,
        distances: Tensor,
        path: _Path,
        probability: float,
        rtl: bool | None,
    ) -> Reading:
        units = [table.units[width][1][number] for width, number in path]
        rows = torch.cat([table.units[width][0][number] for width, number in path])
        distance = float(distances.gather(1, rows[:, None]).mean())
        if is_rtl("".join(units)) if rtl is None else rtl:
            units.reverse()
        text = "".join(unit + " " * ends_word(self.renderer, unit) for unit in units).rstrip()
        return Reading(text, tuple(units), probability, distance, table.pixels[rows])


def most_frequent_patch(pixel_values: Tensor, attention_mask: Tensor, reader: UnitReader) -> Tensor | None:
    """The text patch that occurs most often (black ones are none), uint8 [C]; None if there is no text.

    Args:
        pixel_values: uint8 [B, 16, W] or [B, 16, W, 3].
        attention_mask: [B, P], 0 for padding.
        reader: knows the number of channels.
    """
    patches = split_patches(pixel_values, reader.renderer.pixels_per_patch)
    text = reader.match(patches[(attention_mask != 0) & (patches != 0).any(2)])
    if not len(text):
        return None
    different, counts = text.unique(dim=0, return_counts=True)
    return different[counts.argmax()]


def reading_accuracy(
    logits: Tensor,
    pixel_values: Tensor,
    mask: Tensor,
    reader: UnitReader,
    attention_mask: Tensor | None = None,
    guess: Tensor | None = None,
) -> ReadingAccuracy:
    """How many masked patches are read back, patch by patch.

    Args:
        logits: [B, P, 768], what the model predicts.
        pixel_values: uint8 [B, 16, W] or [B, 16, W, 3], what it was to predict.
        mask: [B, P], 1 where a patch was masked.
        reader: Knows the patches.
        attention_mask: [B, P], 0 for padding.
        guess: uint8 [C], the patch that the baseline always says; None: the reader's most frequent one, of
            all that it knows in all languages.

    Raises:
        ValueError: `pixel_values` is not uint8.
    """
    if pixel_values.dtype != torch.uint8:
        raise UserError(f"pixel_values must be uint8 to be compared exactly, got {pixel_values.dtype}")
    patches = split_patches(pixel_values, reader.renderer.pixels_per_patch)
    counted = (mask != 0) & (patches != 0).any(2)
    if attention_mask is not None:
        counted &= attention_mask != 0
    pixels = reader.table(None).pixels
    hidden = reader.match(patches[counted]).to(pixels.device)
    nearest = reader.nearest(logits[counted].to(pixels.device))
    known = reader.table(None).known
    return ReadingAccuracy(
        patches=len(hidden),
        correct=int((pixels[nearest] == hidden).all(1).sum()),
        baseline=int(((pixels[0] if guess is None else guess.to(pixels.device)) == hidden).all(1).sum()),
        known=sum(patch.tobytes() in known for patch in hidden.cpu().numpy()),
    )
