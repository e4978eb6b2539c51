"""The model as a generative one: hide parts of a text, let it paint them, and read what it painted.

Dimensions: P patches of a text, its last black patch included; C values of a patch (256 grey, 768 colour).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from pixel_m4.checkpoint import Checkpoint
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.files import refuse_existing
from pixel_m4.fill.hiding import HOLE, Hidden, Hiding, Stretch, hide
from pixel_m4.fill.reading import TEMPERATURE, Reading, UnitReader
from pixel_m4.fill.units import known_units, possible_units
from pixel_m4.model import PixelForPreTraining
from pixel_m4.model.inputs import split_patches
from pixel_m4.model.objectives import as_targets, mean_of, reconstruction_errors, standardise
from pixel_m4.render import TextRenderer
from pixel_m4.render.encoding import Encoding
from pixel_m4.render.opening import open_renderer
from pixel_m4.render.show import preview, read_texts, save_png

_GREY = 160  # covers what is masked, as in `pixel_m4.render.images`


@dataclass(frozen=True)
class Gap:
    """A hidden stretch of a text, and how it may be read.

    Args:
        patches: [start, end); whole units, so neighbours of hidden patches may be among them.
        chars: The characters [start, end) of the text that they show.
        truth: Those characters; None for a hole.
        readings: The most likely first.
    """

    patches: tuple[int, int]
    chars: tuple[int, int]
    truth: str | None
    readings: list[Reading]


@dataclass(frozen=True)
class Filled:
    """A text with hidden parts, reconstructed.

    Args:
        text: As it was given.
        filled: The same with the most likely reading in every gap.
        loss: The pretraining loss of the hidden patches that are known; None if only holes are hidden.
        mask: bool [P], what was hidden.
        gaps: In the order of the text; none if the renderer draws continuous lines.
        original: The text as drawn, holes in grey.
        masked: What the model saw, hidden patches in grey.
        reconstructed: The same with what the model painted in their place.
    """

    text: str
    filled: str
    loss: float | None
    mask: np.ndarray
    gaps: list[Gap]
    original: Encoding
    masked: Encoding
    reconstructed: Encoding

    @property
    def strips(self) -> tuple[Encoding, Encoding, Encoding]:
        """The three pictures, from the original to the reconstruction."""
        return self.original, self.masked, self.reconstructed


def load(name: str, named: str | None = None, **options: Any) -> tuple[PixelForPreTraining, TextRenderer]:
    """Open a pretraining checkpoint and its renderer.

    Args:
        name: A model folder, or a name on the hub.
        named: Where the renderer comes from, for a checkpoint that has none.
        options: Of the renderer, in place of the checkpoint's.

    Raises:
        FileNotFoundError: The folder, its `config.json` or its renderer does not exist.
        OSError: The hub has no such model, or cannot be reached.
        ValueError: It is damaged, or has no decoder.
    """
    checkpoint = Checkpoint.open(name)
    lacking = f"{name} holds no decoder, which only pretraining needs, so it cannot reconstruct patches: "
    if checkpoint.model_class is not PixelForPreTraining:
        raise UserError(f"{lacking}it is a {checkpoint.model_class.__name__}; give a pretraining checkpoint")
    model, found = PixelForPreTraining.from_pretrained(name, output_loading_info=True)
    if missing := sorted(key for key in found["missing_keys"] if key.startswith("decoder.")):
        raise UserError(f"{lacking}{missing[0]} and others are missing; give a pretraining checkpoint")
    options = {"max_seq_length": model.config.max_patches, **options}
    renderer = open_renderer(name, named, **options)
    if renderer.pixels_per_patch != model.config.patch_size:
        raise UserError(
            f"the renderer of {name} draws patches of {renderer.pixels_per_patch} pixels, and the model "
            f"takes {model.config.patch_size}"
        )
    return model.eval(), renderer


@torch.inference_mode()
def fill(
    model: PixelForPreTraining,
    renderer: TextRenderer,
    text: str,
    hiding: Hiding | None = None,
    *,
    rtl: bool = False,
    reader: UnitReader | None = None,
    top: int = 5,
    read: bool = True,
) -> Filled:
    """Hide parts of a text, reconstruct them, and read the reconstruction.

    A model that was trained on standardised patches (`norm_pix_loss`) says nothing of their brightness. To be
    read, predictions are compared with standardised units. To be shown, they get mean and deviation of the
    patch that was hidden, as is usual for such pictures; in a hole, those of the most likely reading (if
    there is none, those of the visible text patches).

    Where words and units begin is known to the reader: a hidden stretch of a word is read by itself, and a
    unit that is hidden in part is read from what is seen and what is reconstructed of it.

    Args:
        model: With its decoder, in evaluation mode.
        renderer: Draws as the model was trained; its canvas must not exceed the model's positions.
        text: May hold holes: `[MASK]`, or `[MASK:3]` for one of three patches.
        hiding: What else to hide.
        rtl: Draw right-to-left even if the text does not look so.
        reader: Knows the units that may be read; default: those that the text's alphabet can make.
        top: Readings of each gap.
        read: Whether the reconstruction is read; without, which is quick, there are no gaps, and holes get
            mean and deviation of the visible patches.

    Raises:
        ValueError: There is nothing to hide, what is to be hidden does not exist, the text is too long, or
            the reader is for another kind of model.
    """
    _check(model, renderer, reader, top)
    hidden = hide(renderer, text, hiding, rtl)
    if not read:
        hidden = replace(hidden, stretches=[])
    normalised = bool(model.config.norm_pix_loss)
    if reader is None and hidden.stretches:
        reader = UnitReader(renderer, possible_units(renderer, [HOLE.sub(" ", text)]), normalised)

    size, count = renderer.pixels_per_patch, len(hidden.mask)
    pixels = torch.from_numpy(np.ascontiguousarray(hidden.encoding.pixel_values[:, : count * size]))
    mask, unknown = torch.from_numpy(hidden.mask), torch.from_numpy(hidden.hole)
    patches = split_patches(pixels[None], size)[0]  # uint8 [P, C]
    predictions = _predict(model, pixels, mask)
    raw = as_targets(patches, size, model.config.num_channels)
    targets = standardise(raw) if normalised else raw
    known = mask & ~unknown
    counted = known.float()
    errors = reconstruction_errors(predictions, targets, counted)
    loss = float(mean_of(errors, counted)) if known.any() else None

    seen = torch.where(mask[:, None], predictions, targets)
    gaps, guesses = [], patches.clone()
    for stretch in hidden.stretches:
        assert reader is not None
        readings = reader.read(seen[stretch.start : stretch.stop], top, hidden.rtl)
        gaps.append(_gap(text, stretch, readings))
        if stretch.hole and readings:
            guesses[stretch.start : stretch.stop] = readings[0].pixels.cpu()
    painted = predictions
    if normalised:
        painted = _restore(predictions, as_targets(guesses, size, model.config.num_channels), hidden)
    strip = _strip(painted, patches.shape[1])
    grey = torch.full_like(patches, _GREY)
    gaps.sort(key=lambda gap: gap.chars)
    return Filled(
        text=text,
        filled=_filled(text, gaps),
        loss=loss,
        mask=hidden.mask,
        gaps=gaps,
        original=_redrawn(hidden, torch.where(unknown[:, None], grey, patches), size),
        masked=_redrawn(hidden, torch.where(mask[:, None], grey, patches), size),
        reconstructed=_redrawn(hidden, torch.where(mask[:, None], strip, patches), size),
    )


def _check(model: PixelForPreTraining, renderer: TextRenderer, reader: UnitReader | None, top: int) -> None:
    """Refuse what does not fit together."""
    if top < 1:
        raise UserError(f"top must be at least 1, got {top}")
    if renderer.max_seq_length > model.config.max_patches:
        raise UserError(
            f"the renderer's max_seq_length {renderer.max_seq_length} exceeds the {model.config.max_patches} "
            "patches that the model has positions for"
        )
    normalised = bool(model.config.norm_pix_loss)
    if reader is not None and reader.normalised != normalised:
        raise UserError(
            f"the model's norm_pix_loss is {normalised}; give a reader with normalised={normalised}"
        )


def _predict(model: PixelForPreTraining, pixels: Tensor, mask: Tensor) -> Tensor:
    """What the model paints: float [P, 768] of pixels [16, 16 * P] of which `mask` [P] is hidden."""
    outputs = model(
        pixel_values=pixels[None].to(model.device),
        patch_mask=mask[None].long().to(model.device),
        # The share that masks exactly these; see PixelForPreTraining.forward.
        mask_ratio=(int(mask.sum()) - 0.5) / len(mask),
    )
    assert bool((outputs.mask[0].cpu() == mask).all())
    return outputs.logits[0].float().cpu()


def _strip(painted: Tensor, values: int) -> Tensor:
    """Painted patches [P, 768] as uint8 [P, values], which are those of grey patches or of colour."""
    painted = painted.clamp(0, 1)
    if values < painted.shape[1]:
        painted = painted.unflatten(1, (values, -1)).mean(2)
    return (painted * 255).round().to(torch.uint8)


def _gap(text: str, stretch: Stretch, readings: list[Reading]) -> Gap:
    start, end = stretch.chars
    return Gap(
        (stretch.start, stretch.stop), (start, end), None if stretch.hole else text[start:end], readings
    )


def _filled(text: str, gaps: Sequence[Gap]) -> str:
    for gap in reversed(gaps):
        if gap.readings:
            text = text[: gap.chars[0]] + gap.readings[0].text + text[gap.chars[1] :]
    return text


def _restore(predictions: Tensor, pixels: Tensor, hidden: Hidden) -> Tensor:
    """Undo the standardisation of predictions [P, 768] with the statistics of `pixels`."""
    variance, mean = torch.var_mean(pixels, dim=1, keepdim=True)
    deviation = (variance + 1e-6).sqrt()
    if not hidden.stretches and hidden.hole.any():
        visible = torch.from_numpy(~hidden.mask)
        visible[-1] = False
        average = visible if visible.any() else torch.from_numpy(hidden.mask)
        unknown = torch.from_numpy(hidden.hole)
        mean[unknown], deviation[unknown] = mean[average].mean(), deviation[average].mean()
    return predictions * deviation + mean


def _redrawn(hidden: Hidden, patches: Tensor, size: int) -> Encoding:
    """The encoding of a text with other patches, uint8 [P, C]."""
    shape = (len(patches), size, size, *((3,) if patches.shape[1] > size**2 else ()))
    strip = patches.numpy().reshape(shape).swapaxes(0, 1)  # [16, P, 16(, 3)]
    return replace(hidden.encoding, pixel_values=strip.reshape(size, -1, *shape[3:]))


@dataclass(frozen=True, kw_only=True)
class FillOptions:
    """What `pixel-m4 fill` was asked for, beside the texts and what to hide; see its `--help`."""

    model: str
    renderer: str | None = None
    output: Path | None = None
    overwrite: bool = False
    json: bool = False
    units: Path | None = None
    top: int = 5
    temperature: float = TEMPERATURE
    rtl: bool = False
    columns: int | None = None
    scale: int = 2
    borders: bool = False


def run(texts: Sequence[str], file: Path | None, hiding: Hiding, options: FillOptions, **fonts: Any) -> None:
    """Fill texts (default: the lines of a file or of the standard input), and print what was read.

    Raises:
        OSError: A file or the model cannot be read, or the picture cannot be written.
        ValueError: An argument, a text or the model is no good; the message names the line of a file.
    """
    if options.output is not None:
        if options.output.suffix != ".png":
            raise UserError(f"--output must end in .png: {options.output}")
        refuse_existing(options.output, options.overwrite)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    model, renderer = load(options.model, options.renderer, **fonts)
    given = bool(texts)
    texts = texts or read_texts(file)
    reader = None
    if renderer.strategy != "continuous":
        units = known_units(renderer, [HOLE.sub(" ", text) for text in texts], options.units)
        reader = UnitReader(renderer, units, bool(model.config.norm_pix_loss), options.temperature)
    console = plain_console()
    look: dict[str, Any] = {"columns": options.columns, "scale": options.scale, "borders": options.borders}
    strips: list[Encoding] = []
    for number, text in enumerate(texts, 1):
        try:
            filled = fill(model, renderer, text, hiding, rtl=options.rtl, reader=reader, top=options.top)
        except ValueError as error:
            place = f"{file or 'standard input'}:{number}: "
            raise UserError(f"{'' if given else place}{error}") from error
        if options.json:
            print(json.dumps(as_json(filled), ensure_ascii=False), flush=True)
        else:
            console.print("\n".join(lines(filled)))
        if options.output is not None:
            strips += filled.strips
        elif not options.json:
            preview(filled.strips, word_starts=False, **look)
            console.print()
    if options.output is not None:
        save_png(strips, options.output, word_starts=False, **look)


def as_json(filled: Filled) -> dict[str, Any]:
    """A result for programs: one object a text."""
    return {
        "text": filled.text,
        "filled": filled.filled,
        "loss": filled.loss,
        "masked_patches": np.flatnonzero(filled.mask).tolist(),
        "gaps": [
            {
                "patches": list(gap.patches),
                "chars": list(gap.chars),
                "truth": gap.truth,
                "readings": [
                    {
                        "text": reading.text,
                        "units": list(reading.units),
                        "probability": reading.probability,
                        "distance": reading.distance,
                    }
                    for reading in gap.readings
                ],
            }
            for gap in filled.gaps
        ],
    }


def lines(filled: Filled) -> Iterator[str]:
    """A result for people."""
    yield f"{filled.text} → {filled.filled}" if filled.gaps else filled.text
    if filled.loss is not None:
        yield f"loss {filled.loss:.4f}"
    if not filled.gaps:
        yield "continuous lines are not made of units: nothing is read back"
    for gap in filled.gaps:
        first, last = gap.patches[0], gap.patches[1] - 1
        place = f"patch {first}" if first == last else f"patches {first}-{last}"
        yield place + ("" if gap.truth is None else f", was {gap.truth!r}")
        if not gap.readings:
            yield "  no known units fill it"
        for reading in gap.readings:
            yield f"  probability {reading.probability:<8.3g} distance {reading.distance:.3f}  {reading.text}"
