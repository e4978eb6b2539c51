"""Hide words, patches or holes of one text: which patches are masked, and what they show.

Dimensions: P patches of a text, its last black patch included.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pixel_m4.console.errors import UserError
from pixel_m4.corpus.masking import Mask, span_mask
from pixel_m4.fill.units import units_of
from pixel_m4.render import TextRenderer
from pixel_m4.render.encoding import Encoding
from pixel_m4.render.strategies import is_rtl

HOLE = re.compile(r"\[MASK(?::(\d+))?\]")
_NO_HOLE = re.compile(r"\[MASK(?!\]|:\d+\])[^\[\]]*(?:\]|(?=\[)|$)")
HOLE_WIDTH = 2  # patches of a plain [MASK]: three or four letters, or one or two Han characters
_FILLER = "."  # says nothing about the direction of a text
_HOW = "write [MASK] into the text, or name words, strings, patches or a ratio to mask"


@dataclass(frozen=True, kw_only=True)
class Hiding:
    """What to hide of a text, beside the holes written in it.

    Args:
        words: Numbers of words, the first is 1 (words are what stands between white space).
        strings: Each is hidden wherever it occurs as a whole word, or as a part of words if it never does.
        patches: Numbers of patches, from the left, the first is 0.
        ratio: Share of the patches to hide in spans, as pretraining does.
        seed: Of the spans.
    """

    words: Sequence[int] = ()
    strings: Sequence[str] = ()
    patches: Sequence[int] = ()
    ratio: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserError(f"seed must be 0 or more, got {self.seed}")


class Stretch(NamedTuple):
    """Neighbouring units of one word with masked patches among them.

    Attributes:
        start: their first patch.
        stop: the patch after their last.
        chars: the characters [start, end) of the text that they show.
        hole: nobody knows what they show.
    """

    start: int
    stop: int
    chars: tuple[int, int]
    hole: bool


@dataclass(frozen=True)
class Hidden:
    """A text with hidden patches.

    Attributes:
        text: as it was given.
        encoding: its rendering; holes are filled with dots.
        mask: bool [P], what is hidden.
        hole: bool [P], what is hidden and not known.
        rtl: whether it is drawn right-to-left.
        stretches: the hidden parts, from the left; none if the renderer draws continuous lines.
    """

    text: str
    encoding: Encoding
    mask: Mask
    hole: Mask
    rtl: bool
    stretches: list[Stretch]


class _Drawn(NamedTuple):
    """What is rendered, and where its characters come from: a character, or a hole, of the given text."""

    text: str
    origins: list[tuple[int, int]]
    hole: list[bool]


def hide(renderer: TextRenderer, text: str, hiding: Hiding | None = None, rtl: bool = False) -> Hidden:
    """Render a text and hide parts of it.

    `[MASK]` stands for a hole of two patches, `[MASK:5]` for one of five; it is drawn as a word of its own.

    Raises:
        ValueError: there is no text, it is too long, or what is to be hidden does not exist.
    """
    hiding = hiding or Hiding()
    if not text.strip():
        raise UserError("there is no text to mask")
    if wrong := _NO_HOLE.search(text):
        raise UserError(
            f"{wrong[0]!r} at character {wrong.start() + 1} is no hole: write [MASK], or [MASK:5] for one "
            "of 5 patches"
        )
    drawn = _dig(renderer, text)
    limit = renderer.max_seq_length
    words = drawn.text.split()
    if renderer.strategy != "continuous" and (needed := sum(renderer.measure(words)) + 1) > limit:
        raise UserError(f"the text takes {needed} patches, and the model has positions for {limit}; split it")
    encoding = renderer(drawn.text, rtl=rtl)
    patches = renderer.offsets(drawn.text, encoding, rtl=rtl).patches[0]  # [C, 2]
    if renderer.strategy == "continuous" and (patches[_last(drawn.text)] < 0).any():
        raise UserError(f"the text does not fit on the {limit} patches that the model has positions for")
    count = encoding.num_text_patches
    if not count:
        raise UserError(f"{text!r} has nothing to draw, so there is nothing to mask")

    hole = _cover(patches, drawn.hole, count)
    wanted = _named(text, hiding)
    mask = hole | _cover(patches, [any(wanted[start:end]) for start, end in drawn.origins], count)
    for patch in hiding.patches:
        if not 0 <= patch < count:
            raise UserError(f"there is no patch {patch} to mask: the text has {count}, numbered from 0")
        mask[patch] = True
    if hiding.ratio is not None:
        mask[:count] |= span_mask(count, count, np.random.default_rng(hiding.seed), hiding.ratio)
    if not mask.any():
        raise UserError(f"nothing is masked: {_HOW}")
    rtl = rtl or is_rtl(drawn.text)
    stretches = [] if renderer.strategy == "continuous" else _stretches(renderer, drawn, mask, rtl)
    return Hidden(text, encoding, mask, hole, rtl, stretches)


def _last(text: str) -> int:
    return len(text.rstrip()) - 1


def _dig(renderer: TextRenderer, text: str) -> _Drawn:
    """Replace every hole by dots that take as many patches."""
    parts: list[str] = []
    origins: list[tuple[int, int]] = []
    holes: list[bool] = []
    end = 0
    for match in HOLE.finditer(text):
        _add(parts, origins, holes, text[end : match.start()], end)
        filler = _filler(renderer, int(match[1] or HOLE_WIDTH))
        # A unit starts a patch, and so does a word: cutting a word at a hole moves nothing.
        gap = "" if renderer.strategy == "continuous" else " "
        parts.append(gap + filler + gap)
        origins += [match.span()] * len(parts[-1])
        holes += [char == _FILLER for char in parts[-1]]
        end = match.end()
    _add(parts, origins, holes, text[end:], end)
    return _Drawn("".join(parts), origins, holes)


def _add(parts: list[str], origins: list[tuple[int, int]], holes: list[bool], text: str, start: int) -> None:
    parts.append(text)
    origins += [(i, i + 1) for i in range(start, start + len(text))]
    holes += [False] * len(text)


def _filler(renderer: TextRenderer, width: int) -> str:
    if not 1 <= width < renderer.max_seq_length:
        raise UserError(
            f"[MASK:{width}] must take at least 1 patch, and fewer than the {renderer.max_seq_length} that "
            "the model has positions for"
        )
    most = 1 + width * renderer.pixels_per_patch  # a dot moves the pen by at least a pixel
    number = 1 + bisect_left(range(1, most), width, key=lambda n: renderer.measure([_FILLER * n])[0])
    if renderer.measure([_FILLER * number]) != [width]:
        raise UserError(f"the font has no dots that take {width} patches to stand for [MASK:{width}]")
    return _FILLER * number


def _named(text: str, hiding: Hiding) -> list[bool]:
    """Which characters of a text are to be hidden."""
    wanted = [False] * len(text)
    words = [match.span() for match in re.finditer(r"\S+", text)]
    spans = []
    for number in hiding.words:
        if not 1 <= number <= len(words):
            raise UserError(f"there is no word {number} to mask: the text has {len(words)}, numbered from 1")
        spans.append(words[number - 1])
    for string in hiding.strings:
        part = re.escape(string.strip())
        found = [match.span() for match in re.finditer(rf"(?<!\w){part}(?!\w)", text)] if part else []
        found = found or ([match.span() for match in re.finditer(part, text)] if part else [])
        if not found:
            raise UserError(f"there is no {string!r} to mask in {text!r}")
        spans += found
    for start, end in spans:
        wanted[start:end] = [True] * (end - start)
    return wanted


def _cover(patches: np.ndarray, chosen: Sequence[bool], count: int) -> Mask:
    """Patches that show chosen characters, bool [count + 1]; `patches` int [C, 2]."""
    mask = np.zeros(count + 1, bool)
    for start, stop in patches[np.asarray(chosen, bool)].tolist():
        if start >= 0:
            mask[start:stop] = True
    return mask


def _stretches(renderer: TextRenderer, drawn: _Drawn, mask: Mask, rtl: bool) -> list[Stretch]:
    """Go through the units from the left, and join neighbours of one word that are hidden, even in part."""
    found: list[Stretch] = []
    patch = 0
    words = [match.span() for match in re.finditer(r"\S+", drawn.text)]
    for first, end in reversed(words) if rtl else words:
        units, place, joins = [], first, False
        for unit in units_of(renderer, drawn.text[first:end]):
            units.append((place, place + len(unit)))
            place += len(unit)
        widths = renderer.measure([drawn.text[start:stop] for start, stop in units])
        order = list(zip(units, widths, strict=True))
        for (start, stop), width in reversed(order) if rtl else order:
            if not width:
                continue
            if mask[patch : patch + width].any():
                chars = (drawn.origins[start][0], drawn.origins[stop - 1][1])
                new = Stretch(patch, patch + width, chars, drawn.hole[start])
                if joins:
                    last = found.pop()
                    chars = (min(last.chars[0], chars[0]), max(last.chars[1], chars[1]))
                    new = new._replace(start=last.start, chars=chars)
                found.append(new)
            joins = bool(found) and found[-1].stop == patch + width
            patch += width
    return found
