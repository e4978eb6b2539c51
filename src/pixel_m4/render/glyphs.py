"""One character (or run) → coverage bitmap and advance, on the FreeType and HarfBuzz wheels.

Dimensions: H pixel rows of a patch, w ink columns.  Units: HarfBuzz positions are 1/1024 px, FreeType's
26.6 numbers 1/64 px.  The recipe reproduces Pango 1.50 on Cairo 1.16 with light hinting and without a
HarfBuzz-aware auto-hinter, which drew the pixels that published checkpoints were trained on.
"""

from __future__ import annotations

import ctypes
import math
import unicodedata
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import freetype
import freetype.raw as ft
import numpy as np
import regex
import uharfbuzz as hb

from pixel_m4.render.bitmaps import decode_png, shrink
from pixel_m4.render.fontfile import FontFile, read_font
from pixel_m4.render.fonts import FontError
from pixel_m4.render.intmap import MISSING, IntMap
from pixel_m4.render.losses import notice
from pixel_m4.render.stamps import BLANK, Stamps

_LINE_ENDS = frozenset("\n\r\u2028\u2029")
_HYPHENATION_POINT, _HYPHEN = "\u2027", "\u2010"
_TAB, _SPACES_OF_A_TAB = "\t", 8
_DOTTED_CIRCLE = 0x25CC
_NO_CHARACTER = 0x10FFFF  # in no font
_FACE_HAS_COLOUR = 1 << 14  # FT_FACE_FLAG_COLOR
# Characters that fonts draw without ink: white space, what is invisible by itself (flags come in pairs), and
# empty signs of Braille, music, hieroglyphs, objects. So may be viramas, which only change their neighbours.
_BLANK = regex.compile(
    r"[\p{Z}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\p{Regional_Indicator}"
    r"\u2800\uFFFC\U0001D159\U00013441\U00013442]"
)
_VIRAMA = 9  # canonical combining class
_MAX_KNOWN = 1 << 17
_MAX_GLYPHS, _MAX_SHAPED = 1 << 14, 32
_MAX_BYTES = 1 << 26  # of glyphs that are kept; large ones are fewer
NOT_BLACK = -2
_FEW = 8  # glyphs that are faster drawn one by one
_MANY_ROWS = 1 << 31  # more than a glyph can be above the first one

_LOAD_FLAGS = freetype.FT_LOAD_TARGET_LIGHT | freetype.FT_LOAD_NO_BITMAP | freetype.FT_LOAD_RENDER
_NO_SVG = 1 << 24  # FT_LOAD_NO_SVG: an outline beside an SVG picture is drawn
_LOAD_COLOUR = freetype.FT_LOAD_TARGET_LIGHT | freetype.FT_LOAD_COLOR | freetype.FT_LOAD_RENDER | _NO_SVG


@dataclass(frozen=True, slots=True)
class Ink:
    """What one run draws.

    Attributes:
        advance: width of the run in whole pixels; the pen moves on by it.
        left: column of the first ink pixel, relative to the pen (negative: left of it).
        coverage: uint8 [H, w], 0 (no ink) to 255; rows outside of the patch are cut off.
        colour: uint8 [H, w, 4], premultiplied RGBA whose alpha is the coverage; None for black ink.
    """

    advance: int
    left: int
    coverage: np.ndarray
    colour: np.ndarray | None = None


class Shaped(NamedTuple):
    """A run as HarfBuzz arranges it, n glyphs from left to right; lengths are in 1/1024 px.

    Attributes:
        clusters: the first character of the run that each glyph stands for.
        advances: how far the pen moves on after each.
        glyphs: their numbers in the font; none where nothing is drawn.
        shifted: how far to the right of the pen each is drawn.
        raised: how far above the baseline each is drawn.
    """

    clusters: list[int]
    advances: list[int]
    glyphs: Sequence[int] = ()
    shifted: Sequence[int] = ()
    raised: Sequence[int] = ()


class FontFace:
    """One font at one size, ready to shape and to draw.

    Args:
        path: the font file; the first font of a collection.
        pixel_size: nominal size in pixels (8 pt at 120 dpi: 13.333).

    Raises:
        FontError: the file is not a font that FreeType can open, or has neither outlines nor colour pictures.
    """

    def __init__(self, path: Path, pixel_size: float) -> None:
        self.path = path
        self.file = read_font(path)
        scale = int(pixel_size * 1024)  # 13,653 for the default size, as Pango's integer arithmetic gives
        face = self.file.face
        self._font = hb.Font(face)
        self._font.scale = (scale, scale)
        self._library = ft.FT_Library()
        _check(ft.FT_Init_FreeType(ctypes.byref(self._library)), path)
        self._face = ft.FT_Face()
        data = self.file.blind
        address = (ctypes.c_char * len(data)).from_buffer(data)
        # FreeType's memory is not Python's: it is given back when nobody draws with this face any more.
        weakref.finalize(self, _free, self._library, self._face, address)
        error = ft.FT_New_Memory_Face(self._library, address, len(data), 0, ctypes.byref(self._face))
        _check(error, path)
        self.coverage: frozenset[int] = self.file.coverage
        self._has: dict[str, bool] = {}
        self._glyphs: dict[int, tuple[np.ndarray | None, int, int] | None] = {}
        self._stamps: dict[int, tuple[Stamps, IntMap]] = {}  # by rows of a strip
        self._shaped: dict[tuple[str, bool | None, str | None], Shaped] = {}
        flags = self._face.contents.face_flags
        self._flags = _LOAD_COLOUR if flags & _FACE_HAS_COLOUR else _LOAD_FLAGS
        self._pictures: _Pictures | None = None
        if flags & freetype.FT_FACE_FLAG_SCALABLE:
            _check(ft.FT_Set_Char_Size(self._face, 0, round(scale / 1024 * 64), 0, 0), path)
            factor = 1.0
        elif face.has_color_png and self._face.contents.num_fixed_sizes:
            factor = self._select_strike(scale / 1024)
            self._pictures = _Pictures(face, self._face.contents.size.contents.metrics.x_ppem, factor)
        else:
            raise FontError(f"a font without outlines: {path}")
        metrics = self._face.contents.size.contents.metrics
        self.ascender: int = math.ceil(metrics.ascender / 64 * factor)
        self.height: int = self.ascender + math.ceil(-metrics.descender / 64 * factor)
        self._reach = max(metrics.max_advance, metrics.height) / 64 * factor

    def _select_strike(self, size: float) -> float:
        """Select the strike that Cairo does, the smallest that is large enough; return the scale to apply."""
        face = self._face.contents
        heights = [face.available_sizes[i].y_ppem / 64 for i in range(face.num_fixed_sizes)]
        best = min(range(len(heights)), key=lambda i: (heights[i] < size, abs(heights[i] - size)))
        _check(ft.FT_Select_Size(self._face, best), self.path)
        return size / heights[best]

    def has(self, char: str) -> bool:
        """Whether the font has this character: it is in the character map, and has ink if it should.

        Glyphs may be damaged, or be described in ways that are not drawn here (COLR version 1, SVG).
        """
        known = self._has.get(char)
        if known is None:
            if len(self._has) >= _MAX_KNOWN:
                self._has.clear()
            known = self._has[char] = ord(char) in self.coverage and (
                _BLANK.match(char) is not None
                or unicodedata.combining(char) == _VIRAMA
                or self._has_ink(self._font.get_nominal_glyph(ord(char)) or 0)
                or self._shows(char)
            )
        return known

    def can_draw(self, char: str) -> bool:
        """Whether this character comes out without a missing glyph, from other glyphs if need be."""
        if char in _LINE_ENDS or char == _TAB:
            return True
        if ord(char) in self.coverage:
            return self.has(char)
        return all(info.codepoint for info in self._shape(char, None, None).glyph_infos) and (
            _BLANK.match(char) is not None or self._shows(char)
        )

    def _shows(self, char: str) -> bool:
        """Whether shaping leads to a glyph with ink, a dotted circle not counted."""
        buffer = self._shape(char, None, None, as_it_is=True)
        circle = self._font.get_nominal_glyph(_DOTTED_CIRCLE)
        return any(info.codepoint != circle and self._has_ink(info.codepoint) for info in buffer.glyph_infos)

    def _has_ink(self, index: int) -> bool:
        if self._pictures is not None:
            return self._pictures.picture(index) is not None
        return bool(index) and self._glyph(index, damaged=None)[0] is not None

    def draw(
        self, run: str, rows: int, rtl: bool | None = None, script: str | None = None, colour: bool = False
    ) -> Ink:
        """Shape a run alone and draw it on its own line box of ``rows`` pixel rows.

        Args:
            run: characters of one direction and one script.
            rows: height H of a patch in pixels.
            rtl: their direction; None takes that of their script.
            script: ISO 15924 tag of their script; None takes it from the characters.
            colour: keep the colours of coloured glyphs.
        """
        shaped = self._look_up(run, rtl, script)
        left, right = pens(shaped.advances)
        columns = left[: len(shaped.glyphs)] + whole_pixels(shaped.shifted)
        advance = int(right[-1]) if len(right) else 0
        if len(shaped.glyphs) > _FEW:
            stamps, numbers = self.stamps(shaped.glyphs, shaped.raised, rows)
        if len(shaped.glyphs) <= _FEW or NOT_BLACK in numbers:
            return _compose(advance, self._place(shaped, columns, rows), rows, colour)
        lefts, rights = stamps.reach(numbers, columns)
        first, last = int(lefts.min()), int(rights.max())
        if first >= last:
            return Ink(advance, 0, np.zeros((rows, 0), np.uint8))
        return Ink(
            advance, first, np.ascontiguousarray(stamps.draw(numbers, columns - first, last - first).T)
        )

    def stamps(
        self, glyphs: Sequence[int] | np.ndarray, raised: Sequence[int] | np.ndarray, rows: int
    ) -> tuple[Stamps, np.ndarray]:
        """Black glyphs of n shaped ones, and the number of each, int64 [n]; they hold until the next call.

        The number is ``NOT_BLACK`` for one that has colours, and for one so large that Cairo cuts it.

        Args:
            glyphs: as in :class:`Shaped`.
            raised: as in :class:`Shaped`.
            rows: height H of a patch in pixels.
        """
        stamps, known = self._stamps.get(rows) or (Stamps(rows), IntMap())
        if len(known) > _MAX_GLYPHS or 16 * stamps.pixels > _MAX_BYTES:
            stamps, known = Stamps(rows), IntMap()
        self._stamps[rows] = stamps, known
        lines = whole_pixels(self._baseline(rows) - np.array(raised, np.int64))
        keys = np.array(glyphs, np.int64) << 32 | (lines + _MANY_ROWS)
        numbers = known.get(keys)
        if (numbers == MISSING).any():
            new = np.unique(keys[numbers == MISSING])
            made = [self._stamp(key >> 32, (key & 0xFFFFFFFF) - _MANY_ROWS, stamps) for key in new.tolist()]
            known.put(new, np.array(made, np.int64))
            numbers = known.get(keys)
        return stamps, numbers

    def _stamp(self, index: int, row: int, stamps: Stamps) -> int:
        """Keep a glyph whose origin is on a row."""
        if self._pictures is not None:
            return NOT_BLACK
        pixels, left, top = self._glyph(index)
        if pixels is None:
            return BLANK
        height, width = pixels.shape[:2]
        if pixels.ndim > 2 or max(-left, left + width, top + 1, height - top + 1) > self._reach:
            return NOT_BLACK
        return stamps.add(pixels, left, row - top)

    def _baseline(self, rows: int) -> int:
        """Where the baseline is, in 1/1024 px from the upper of so many rows."""
        # The line box stands two pixels above the middle of the patch (kept: published pixels have it so).
        return round((rows / 2 - self.height / 2 - 2 + self.ascender) * 1024)

    def boxes(self, run: str, rtl: bool | None = None, script: str | None = None) -> np.ndarray:
        """Columns [left, right) of every character, int [n, 2].

        Those of one cluster (a ligature, marks) share theirs.
        """
        shaped = self._look_up(run, rtl, script)
        boxes = np.zeros((len(run), 2), int)
        first_of = np.zeros(len(run), int)  # the character that a cluster is numbered by
        (left, right), owners = pens(shaped.advances), np.array(shaped.clusters, int)
        boxes[owners[::-1], 0] = left[::-1]  # of the first glyph
        boxes[owners, 1] = right  # of the last
        first_of[owners] = owners
        return boxes[np.maximum.accumulate(first_of)]

    def _look_up(self, run: str, rtl: bool | None, script: str | None) -> Shaped:
        """:meth:`arrange` but for what was arranged just now: a run is measured first, then drawn."""
        key = run, rtl, script
        shaped = self._shaped.get(key)
        if shaped is None:
            if len(self._shaped) >= _MAX_SHAPED:
                self._shaped.clear()
            shaped = self._shaped[key] = self.arrange(run, rtl, script)
        return shaped

    def arrange(self, run: str, rtl: bool | None, script: str | None, whole: bool = False) -> Shaped:
        """Shape a run.

        Args:
            run: as for :meth:`draw`.
            rtl: as for :meth:`draw`.
            script: as for :meth:`draw`.
            whole: the font is known to have all of its characters.
        """
        if run in _LINE_ENDS:  # a line break has neither width nor ink
            return Shaped([], [])
        if run == _TAB:
            space = whole_pixels(self._look_up(" ", rtl, script).advances).sum()
            return Shaped([0], [_SPACES_OF_A_TAB * int(space) << 10])
        # Pango draws it as a hyphen at the end of a line; a run of a longer line names its script.
        if run == _HYPHENATION_POINT and rtl is None and script is None:
            run = _HYPHEN if ord(_HYPHEN) in self.coverage else "-"
        buffer = self._shape(run, rtl, script, as_it_is=whole)
        infos, positions = buffer.glyph_infos, buffer.glyph_positions
        return Shaped(
            [info.cluster for info in infos],
            [position.x_advance for position in positions],
            [info.codepoint for info in infos],
            [position.x_offset for position in positions],
            [position.y_offset for position in positions],
        )

    def _place(self, shaped: Shaped, columns: np.ndarray, rows: int) -> list[tuple[int, int, np.ndarray]]:
        """Place the glyphs of a run that have ink, as (column, row, pixels)."""
        baseline = self._baseline(rows)
        pictures, origins = [], []
        for index, x, raised in zip(shaped.glyphs, columns.tolist(), shaped.raised, strict=True):
            pixels, left, top = self._glyph(index)
            y = (baseline - raised) / 1024
            origins.append((x, y))
            if pixels is not None:
                pictures.append((x + left, _round(y) - top, pixels))
        if pictures and self._pictures is None:
            pictures = self._within_reach(pictures, origins)
        return pictures

    def _within_reach(
        self, pictures: list[tuple[int, int, np.ndarray]], origins: list[tuple[int, float]]
    ) -> list[tuple[int, int, np.ndarray]]:
        """Cut glyphs off where Cairo does: farther from their origins than the font's widest advance."""
        xs, ys = zip(*origins, strict=True)
        left, right = math.floor(min(xs) - self._reach), math.ceil(max(xs) + self._reach)
        upper, lower = math.floor(min(ys) - self._reach), math.ceil(max(ys) + self._reach)
        seen = []
        for x, y, pixels in pictures:
            rows = slice(max(upper - y, 0), max(lower - y, 0))
            columns = slice(max(left - x, 0), max(right - x, 0))
            seen.append((x + columns.start, y + rows.start, pixels[rows, columns]))
        return seen

    def _shape(self, run: str, rtl: bool | None, script: str | None, as_it_is: bool = False) -> hb.Buffer:
        codes = list(map(ord, run))
        if not as_it_is:  # what should have ink, and has none here, is drawn as the missing glyph
            unknown = [char for char in set(run) if not self._has.get(char)]
            lacking = {char for char in unknown if ord(char) in self.coverage and not self.has(char)}
            codes = [_NO_CHARACTER if char in lacking else ord(char) for char in run] if lacking else codes
        buffer = hb.Buffer()
        buffer.add_codepoints(codes)
        buffer.flags = hb.BufferFlags.BOT | hb.BufferFlags.EOT
        if script is not None:
            buffer.script = script
        if rtl is not None:
            buffer.direction = "rtl" if rtl else "ltr"
        buffer.guess_segment_properties()
        if rtl is None and buffer.script == "Hung":  # HarfBuzz leaves the direction open, Unicode does not
            buffer.direction = "rtl"
        hb.shape(self._font, buffer)
        return buffer

    def _glyph(self, index: int, damaged: int | None = 0) -> tuple[np.ndarray | None, int, int]:
        """Coverage [h, w] or premultiplied RGBA [h, w, 4] (None without ink), left and top bearing.

        Args:
            index: number of the glyph.
            damaged: the glyph to draw instead of one that cannot be read; None for nothing.
        """
        if index not in self._glyphs:
            if len(self._glyphs) >= min(_MAX_GLYPHS, _MAX_BYTES // self.height**2 + 1):
                self._glyphs.clear()
            self._glyphs[index] = self._pictures.get(index) if self._pictures else self._load(index)
        glyph = self._glyphs[index]
        if glyph is None:
            return (None, 0, 0) if damaged is None else self._glyph(damaged, None)
        return glyph

    def _load(self, index: int) -> tuple[np.ndarray | None, int, int] | None:
        """What :meth:`_glyph` gives; None if the glyph cannot be read."""
        if ft.FT_Load_Glyph(self._face, index, self._flags):
            return None
        slot = self._face.contents.glyph.contents
        bitmap = slot.bitmap
        if not bitmap.rows or not bitmap.width:
            return None, 0, 0
        data = ctypes.string_at(bitmap.buffer, bitmap.rows * bitmap.pitch)
        pixels = np.frombuffer(data, np.uint8).reshape(bitmap.rows, bitmap.pitch)
        if bitmap.pixel_mode == freetype.FT_PIXEL_MODE_BGRA:
            pixels = pixels[:, : 4 * bitmap.width].reshape(bitmap.rows, bitmap.width, 4)[..., [2, 1, 0, 3]]
        else:
            pixels = pixels[:, : bitmap.width]
        return pixels, slot.bitmap_left, slot.bitmap_top


class _Pictures:
    """The pictures of a colour bitmap font at one strike; its PNG files are read here, not by FreeType."""

    def __init__(self, face: hb.Face, ppem: int, scale: float) -> None:
        self._font = hb.Font(face)
        self._font.ppem = (ppem, ppem)
        self._units = ppem / face.upem  # pixels of the strike in one font unit
        self._scale = scale

    def get(self, index: int) -> tuple[np.ndarray | None, int, int]:
        """Premultiplied RGBA [h, w, 4] at the font size (None without one), left and top bearing."""
        pixels = self.picture(index)
        extents = self._font.get_glyph_extents(index)
        if pixels is None or extents is None:
            return None, 0, 0
        left, top = _round(extents.x_bearing * self._units), _round(extents.y_bearing * self._units)
        return shrink(pixels, left, top, self._scale)

    def picture(self, index: int) -> np.ndarray | None:
        """Premultiplied RGBA [h, w, 4] as it is stored; None if there is none, or it is damaged or empty."""
        data = self._font.get_glyph_color_png(index).data
        try:
            pixels = decode_png(data) if data else None
        except (OSError, ValueError, SyntaxError):  # Pillow's ways to say that it is damaged
            return None
        return pixels if pixels is not None and pixels[..., 3].any() else None


class Typesetter:
    """A font and its fallbacks: every code point is drawn by the first of them that has it.

    Args:
        fonts: font files, the main one first.
        pixel_size: nominal size in pixels.
        rows: height H of a patch in pixels.
        colour: keep the colours of coloured glyphs; else they are drawn as shadows.

    Raises:
        FontError: the main font cannot be used, or none of the fallbacks; some of them are passed over with
            one notice.
    """

    def __init__(self, fonts: Sequence[Path], pixel_size: float, rows: int, colour: bool = False) -> None:
        self._faces = [FontFace(fonts[0], pixel_size)]
        passed_over = []
        for path in fonts[1:]:
            try:
                self._faces.append(FontFace(path, pixel_size))
            except FontError as error:
                passed_over.append(str(error))
        if passed_over:
            told = f"fallback fonts that cannot be used: {'; '.join(passed_over)}"
            if len(self._faces) == 1:
                raise FontError(told)
            notice(f"passed over {told}")
        self._rows = rows
        self._colour = colour

    @property
    def main_face(self) -> FontFace:
        """The font that is asked first."""
        return self._faces[0]

    @property
    def files(self) -> list[FontFile]:
        """The fonts, in the order in which they are asked."""
        return [face.file for face in self._faces]

    def covers(self, char: str) -> bool:
        """Whether this character comes out without a missing glyph."""
        return self.font_of(char) is not None

    def font_of(self, char: str) -> FontFile | None:
        """The font that draws a character where it stands alone; None if it is drawn as a missing glyph."""
        face = self._choose(char)[0]
        return face.file if face.has(char) or face.can_draw(char) else None

    def draw(self, run: str, rtl: bool | None = None, script: str | None = None) -> list[Ink]:
        """Draw a run: one :class:`Ink`, from left to right, for each stretch of it that one font can draw.

        Args:
            run: characters of one direction and one script.
            rtl: their direction; None takes that of their script.
            script: ISO 15924 tag of their script; None takes it from the characters.
        """
        rows, colour = self._rows, self._colour
        inks = [face.draw(part, rows, rtl, script, colour) for face, part in self._stretches(run)]
        return inks[::-1] if rtl else inks

    def boxes(self, run: str, rtl: bool | None = None, script: str | None = None) -> np.ndarray:
        """Columns [left, right) of every character of a run that is drawn at column 0, int [n, 2]."""
        parts = [face.boxes(part, rtl, script) for face, part in self._stretches(run)]
        if len(parts) == 1:
            return parts[0]
        pen = 0
        for boxes in reversed(parts) if rtl else parts:
            boxes += pen
            pen = boxes[:, 1].max()
        return np.concatenate(parts)

    def _stretches(self, run: str) -> Iterator[tuple[FontFace, str]]:
        if len(self._faces) == 1:
            yield from [(self._faces[0], run)] if run else []
            return
        faces = self._choose(run)
        start = 0
        for end in range(1, len(run) + 1):
            if end == len(run) or faces[end] is not faces[start]:
                yield faces[start], run[start:end]
                start = end

    def _choose(self, run: str) -> list[FontFace]:
        """The font of every character; marks and invisible characters stay with what they follow."""
        if len(self._faces) == 1:
            return self._faces * len(run)
        faces: list[FontFace] = []
        for char in run:
            category = unicodedata.category(char)
            if faces and (category == "Cf" or (category[0] == "M" and faces[-1].can_draw(char))):
                faces.append(faces[-1])
                continue
            faces.append(next((face for face in self._faces if face.has(char)), self._faces[0]))
        return faces


def stamp(strip: np.ndarray, left: int, ink: Ink) -> None:
    """Draw ink in black over a strip, in place; what lies outside is cut off.

    Args:
        strip: uint8 [H, W], black on white.
        left: column of the strip where the ink begins (the pen plus ``ink.left``).
        ink: what to draw.
    """
    first, last = max(left, 0), min(left + ink.coverage.shape[1], strip.shape[1])
    if first < last:
        part = strip[:, first:last]
        part[:] = times(part, 255 - ink.coverage[:, first - left : last - left])


def paint(strip: np.ndarray, left: int, ink: Ink) -> None:
    """Draw ink in its colours over a strip, in place; what lies outside is cut off.

    Args:
        strip: uint8 [H, W, 3].
        left: column of the strip where the ink begins (the pen plus ``ink.left``).
        ink: what to draw.
    """
    first, last = max(left, 0), min(left + ink.coverage.shape[1], strip.shape[1])
    if first < last:
        part = strip[:, first:last]
        seen = slice(first - left, last - left)
        part[:] = times(part, 255 - ink.coverage[:, seen, None])
        if ink.colour is not None:
            part += ink.colour[:, seen, :3]


def _compose(advance: int, pictures: list[tuple[int, int, np.ndarray]], rows: int, colour: bool) -> Ink:
    """Put the glyphs of a run on a strip as wide as their ink: black ones add up, coloured ones go over."""
    if not pictures:
        return Ink(advance, 0, np.zeros((rows, 0), np.uint8))
    left = min(x for x, _, _ in pictures)
    right = max(x + pixels.shape[1] for x, _, pixels in pictures)
    strip = np.zeros((rows, right - left, 4), np.uint8)
    coloured = False
    for x, y, pixels in pictures:
        first, last = max(0, -y), min(pixels.shape[0], rows - y)
        if first < last:
            part = strip[y + first : y + last, x - left : x - left + pixels.shape[1]]
            pixels = pixels[first:last]
            if pixels.ndim == 2:
                # Only alpha: coverage adds up, with saturation.
                part[..., 3] += np.minimum(pixels, 255 - part[..., 3])
            else:
                coloured = True
                part[:] = times(part, 255 - pixels[..., 3:]) + pixels
    coverage = np.ascontiguousarray(strip[..., 3])
    return Ink(advance, left, coverage, strip if coloured and colour else None)


def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of numbers that stand for 0 to 1, rounded as in Cairo."""
    product = a.astype(np.uint16) * b + np.uint16(128)
    return ((product + (product >> 8)) >> 8).astype(np.uint8)


def whole_pixels(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Lengths in 1/1024 px as whole pixels, rounded as :func:`_round` does, int64."""
    return (np.asarray(lengths, np.int64) + 512) >> 10


def pens(advances: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the pen before and after each of n glyphs, int64 [n] each.

    Args:
        advances: as in :class:`Shaped`.
    """
    widths = whole_pixels(advances)
    right = widths.cumsum()
    return right - widths, right


def _round(value: float) -> int:
    """Round halves up, as Cairo does."""
    return math.floor(value + 0.5)


def _free(library: ft.FT_Library, face: ft.FT_Face, data: object) -> None:
    """Give FreeType's memory back; ``data``, which the face reads, is kept until then."""
    if face:
        ft.FT_Done_Face(face)
    ft.FT_Done_FreeType(library)


def _check(error: int, path: Path) -> None:
    if error:
        raise FontError(f"not a font that FreeType can open (error 0x{error:02x}): {path}")
