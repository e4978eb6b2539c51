"""One character (or run) → coverage bitmap and advance, on the FreeType and HarfBuzz wheels.

Dimensions: H pixel rows of a patch, w ink columns.  Units: HarfBuzz positions are 1/1024 px, FreeType's
26.6 numbers 1/64 px.  The recipe reproduces Pango 1.50 on Cairo 1.16 with light hinting and without a
HarfBuzz-aware auto-hinter, which drew the pixels that published checkpoints were trained on.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import freetype
import freetype.raw as ft
import numpy as np
import uharfbuzz as hb

from .autohint import blind_autohinter
from .fonts import FontError

# Pango draws the hyphenation point as a hyphen.
_REPLACED = {0x2027: 0x2010}
_LINE_ENDS = frozenset("\n\r\u2028\u2029")

_LOAD_FLAGS = freetype.FT_LOAD_TARGET_LIGHT | freetype.FT_LOAD_NO_BITMAP | freetype.FT_LOAD_RENDER


@dataclass(frozen=True, slots=True)
class Ink:
    """What one run draws.

    Attributes:
        advance: width of the run in whole pixels; the pen moves on by it.
        left: column of the first ink pixel, relative to the pen (negative: left of it).
        coverage: uint8 [H, w], 0 (no ink) to 255; rows outside of the patch are cut off.
    """

    advance: int
    left: int
    coverage: np.ndarray


class FontFace:
    """One font at one size, ready to shape and to draw.

    Args:
        path: the font file.
        pixel_size: nominal size in pixels (8 pt at 120 dpi: 13.333).

    Raises:
        FontError: the file is not a font that FreeType can open.
    """

    def __init__(self, path: Path, pixel_size: float) -> None:
        self.path = path
        scale = int(pixel_size * 1024)  # 13,653 for the default size, as Pango's integer arithmetic gives
        self._library = ft.FT_Library()
        _check(ft.FT_Init_FreeType(ctypes.byref(self._library)), path)
        self._font = hb.Font(hb.Face(hb.Blob.from_file_path(str(path))))
        self._font.scale = (scale, scale)
        self.coverage: frozenset[int] = frozenset(self._font.face.unicodes)
        self._bytes = blind_autohinter(path, self._font.get_nominal_glyph)
        self._face = ft.FT_Face()
        address = (ctypes.c_char * len(self._bytes)).from_buffer(self._bytes)
        error = ft.FT_New_Memory_Face(self._library, address, len(self._bytes), 0, ctypes.byref(self._face))
        _check(error, path)
        _check(ft.FT_Set_Char_Size(self._face, 0, round(scale / 1024 * 64), 0, 0), path)
        metrics = self._face.contents.size.contents.metrics
        self.ascender: int = metrics.ascender >> 6
        self.height: int = (metrics.ascender >> 6) - (metrics.descender >> 6)

    def draw(self, run: str, rows: int, rtl: bool | None = None, script: str | None = None) -> Ink:
        """Shape a run alone and draw it on its own line box of ``rows`` pixel rows."""
        advance, bitmaps, _ = self._place(run, rows, rtl, script)
        return _compose(advance, bitmaps, rows)

    def boxes(self, run: str, rtl: bool | None = None, script: str | None = None) -> list[tuple[int, int]]:
        """Columns [left, right) of every character; those of one cluster (a ligature, marks) share theirs."""
        advance, _, pens = self._place(run, 0, rtl, script)
        edges: dict[int, tuple[int, int]] = {}
        for (cluster, left), (_, right) in pairwise([*pens, (-1, advance)]):
            edges[cluster] = (edges.get(cluster, (left,))[0], right)
        boxes: list[tuple[int, int]] = []
        for i in range(len(run)):
            boxes.append(edges.get(i) or (boxes[-1] if boxes else (0, 0)))
        return boxes

    def _place(
        self, run: str, rows: int, rtl: bool | None, script: str | None
    ) -> tuple[int, list[tuple[int, int, np.ndarray]], list[tuple[int, int]]]:
        """Advance of a run, its glyphs as (column, row, coverage), and (cluster, pen) of each of them."""
        if run in _LINE_ENDS:  # a line break has neither width nor ink
            return 0, [], []
        buffer = hb.Buffer()
        buffer.add_codepoints([_REPLACED.get(ord(char), ord(char)) for char in run])
        buffer.flags = hb.BufferFlags.BOT | hb.BufferFlags.EOT
        if rtl is not None:
            buffer.direction = "rtl" if rtl else "ltr"
        if script is not None:
            buffer.script = script
        buffer.guess_segment_properties()
        hb.shape(self._font, buffer)
        # The line box stands two pixels above the middle of the patch (kept: published pixels have it so).
        baseline = rows / 2 - self.height / 2 - 2 + self.ascender
        pen = 0
        bitmaps, pens = [], []
        for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
            pens.append((info.cluster, pen))
            bitmap, left, top, advance = self._glyph(info.codepoint)
            if bitmap is not None:
                x = pen + _round(position.x_offset / 1024) + left
                y = _round(baseline - position.y_offset / 1024) - top
                bitmaps.append((x, y, bitmap))
            pen += _round(position.x_advance / 1024)
        return pen, bitmaps, pens

    def _glyph(self, index: int) -> tuple[np.ndarray | None, int, int, int]:
        """Coverage [h, w] (None without ink), left and top bearing, hinted advance, all in pixels."""
        if ft.FT_Load_Glyph(self._face, index, _LOAD_FLAGS):
            return None, 0, 0, 0
        slot = self._face.contents.glyph.contents
        advance = (slot.advance.x + 32) >> 6
        bitmap = slot.bitmap
        if not bitmap.rows or not bitmap.width:
            return None, 0, 0, advance
        data = ctypes.string_at(bitmap.buffer, bitmap.rows * bitmap.pitch)
        pixels = np.frombuffer(data, np.uint8).reshape(bitmap.rows, bitmap.pitch)[:, : bitmap.width]
        return pixels, slot.bitmap_left, slot.bitmap_top, advance


class Typesetter:
    """A font and its fallbacks: every code point is drawn by the first of them that has it.

    Args:
        fonts: font files, the main one first.
        pixel_size: nominal size in pixels.
        rows: height H of a patch in pixels.
    """

    def __init__(self, fonts: Sequence[Path], pixel_size: float, rows: int) -> None:
        self._faces = [FontFace(path, pixel_size) for path in fonts]
        self._rows = rows

    def covers(self, char: str) -> bool:
        """Whether any of the fonts has this character (a line end needs no glyph)."""
        return char in _LINE_ENDS or any(ord(char) in face.coverage for face in self._faces)

    def draw(self, run: str, rtl: bool | None = None, script: str | None = None) -> list[Ink]:
        """Draw a run: one :class:`Ink` for each stretch of it that one font can draw, from left to right.

        Args:
            run: characters of one direction and one script.
            rtl: their direction; default what HarfBuzz guesses.
            script: ISO 15924 tag of their script; default what HarfBuzz guesses.
        """
        inks = [face.draw(part, self._rows, rtl, script) for face, part in self._stretches(run)]
        return inks[::-1] if rtl else inks

    def boxes(self, run: str, rtl: bool | None = None, script: str | None = None) -> list[tuple[int, int]]:
        """Columns [left, right) of every character of a run that :meth:`draw` draws at column 0."""
        parts = [face.boxes(part, rtl, script) for face, part in self._stretches(run)]
        shifted, pen = [], 0
        for boxes in reversed(parts) if rtl else parts:
            shifted.append([(left + pen, right + pen) for left, right in boxes])
            pen += max(right for _, right in boxes)
        return [box for boxes in (reversed(shifted) if rtl else shifted) for box in boxes]

    def _stretches(self, run: str) -> Iterator[tuple[FontFace, str]]:
        faces = [self._face(char) for char in run]
        start = 0
        for end in range(1, len(run) + 1):
            if end == len(run) or faces[end] is not faces[start]:
                yield faces[start], run[start:end]
                start = end

    def _face(self, char: str) -> FontFace:
        code = ord(char)
        return next((face for face in self._faces if code in face.coverage), self._faces[0])


def _compose(advance: int, bitmaps: list[tuple[int, int, np.ndarray]], rows: int) -> Ink:
    """Add up the glyphs of a run, with saturation, on a strip as wide as their ink."""
    if not bitmaps:
        return Ink(advance, 0, np.zeros((rows, 0), np.uint8))
    left = min(x for x, _, _ in bitmaps)
    right = max(x + bitmap.shape[1] for x, _, bitmap in bitmaps)
    strip = np.zeros((rows, right - left), np.uint16)
    for x, y, bitmap in bitmaps:
        first, last = max(0, -y), min(bitmap.shape[0], rows - y)
        if first < last:
            strip[y + first : y + last, x - left : x - left + bitmap.shape[1]] += bitmap[first:last]
    return Ink(advance, left, np.minimum(strip, 255).astype(np.uint8))


def _round(value: float) -> int:
    """Round halves up, as Cairo does."""
    return math.floor(value + 0.5)


def _check(error: int, path: Path) -> None:
    if error:
        raise FontError(f"not a font that FreeType can open (error 0x{error:02x}): {path}")
