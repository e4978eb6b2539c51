from __future__ import annotations

import gc
import io
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import uharfbuzz as hb
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oracle.colr import BLUE, RED, _with_tables, colour_font
from pixel_m4.render import MissingGlyphWarning, TextRenderer
from pixel_m4.render.autohint import ZONE_CLUSTERS, blind_autohinter
from pixel_m4.render.bitmaps import decode_png, shrink
from pixel_m4.render.fonts import FontError, find_font
from pixel_m4.render.glyphs import FontFace, Ink, Typesetter, paint, stamp
from pixel_m4.render.strategies import STRATEGIES

SIZE = 8 * 120 / 72
ROWS = 16


@pytest.fixture(scope="module")
def font() -> Path:
    return find_font()


@pytest.fixture(scope="module")
def face(font: Path) -> FontFace:
    return FontFace(font, SIZE)


def subset(font: Path, text: str, target: Path) -> Path:
    wanted = hb.SubsetInput()
    wanted.unicode_set.update(map(ord, text))
    wanted.flags = hb.SubsetFlags.NOTDEF_OUTLINE
    target.write_bytes(hb.subset(hb.Face(hb.Blob.from_file_path(str(font))), wanted).blob.data)
    return target


def records(data: bytes, start: int = 0) -> dict[bytes, tuple[int, int]]:
    """Offset and length of every table, in the order of the directory."""
    count = int.from_bytes(data[start + 4 : start + 6], "big")
    places = range(start + 12, start + 12 + 16 * count, 16)
    return {data[at : at + 4]: struct.unpack(">II", data[at + 8 : at + 16]) for at in places}


class TestFontFace:
    def test_metrics_of_the_default_font(self, face: FontFace) -> None:
        assert (face.ascender, face.height) == (15, 19)
        assert len(face.coverage) == 37_962

    def test_letter(self, face: FontFace) -> None:
        ink = face.draw("a", ROWS)
        assert ink.advance == 7
        assert ink.coverage.shape[0] == ROWS
        assert ink.coverage.dtype == np.uint8
        assert ink.coverage.max() > 200
        assert ink.colour is None

    @pytest.mark.parametrize("char", ["\n", "\r", "\u2028", "\u2029"])
    def test_line_ends_have_neither_width_nor_ink(self, face: FontFace, char: str) -> None:
        ink = face.draw(char, ROWS)
        assert (ink.advance, ink.coverage.shape) == (0, (ROWS, 0))

    def test_tab_is_eight_spaces_wide(self, face: FontFace) -> None:
        assert face.draw("\t", ROWS).advance == 8 * face.draw(" ", ROWS).advance == 24
        assert face.boxes("\t").tolist() == [[0, 24]]

    def test_hyphenation_point_is_drawn_as_a_hyphen(self, face: FontFace) -> None:
        np.testing.assert_array_equal(face.draw("\u2027", ROWS).coverage, face.draw("\u2010", ROWS).coverage)

    def test_lone_mark_comes_on_a_dotted_circle(self, face: FontFace) -> None:
        circle = face.draw("\u25cc", ROWS)
        assert face.draw("\u094b", ROWS).advance >= circle.advance > 0

    def test_parts_stand_in_for_characters_that_the_font_lacks(self, face: FontFace) -> None:
        assert ord("\u2260") not in face.coverage
        assert face.can_draw("\u2260")  # an equals sign and a stroke
        assert face.can_draw("\ufe01")  # a variation selector
        assert not face.can_draw("\u2211")

    def test_letters_join_in_a_run(self, face: FontFace) -> None:
        joined = face.draw("سلام", ROWS, rtl=True, script="Arab")
        assert joined.advance < sum(face.draw(char, ROWS).advance for char in "سلام")

    def test_boxes_tile_the_run(self, face: FontFace) -> None:
        assert face.boxes("abc").tolist() == [[0, 7], [7, 15], [15, 21]]
        first, second = face.boxes("אב", rtl=True).tolist()
        assert first[0] == second[1] > second[0] == 0

    def test_clusters_share_their_box(self, face: FontFace) -> None:
        first, second = face.boxes("e\u0301").tolist()
        assert first == second

    def test_ink_is_cut_at_the_rows(self, face: FontFace) -> None:
        assert face.draw("g", 4).coverage.shape[0] == 4

    @pytest.mark.parametrize("data", [b"", b"not a font", b"\0\1\0\0" + bytes(200)])
    def test_damaged_files_are_named(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "damaged.ttf"
        path.write_bytes(data)
        with pytest.raises(FontError, match=r"damaged\.ttf"):
            FontFace(path, SIZE)


def glyph_data(data: bytes, char: str) -> slice:
    """Where the outline of a character is in the file."""
    tables = records(data)
    index = hb.Font(hb.Face(data)).get_nominal_glyph(ord(char))
    assert index is not None
    long = data[tables[b"head"][0] + 51]
    at = tables[b"loca"][0] + index * (4 if long else 2)
    start, end = struct.unpack(">II" if long else ">HH", data[at : at + (8 if long else 4)])
    scale = 1 if long else 2
    glyf = tables[b"glyf"][0]
    return slice(glyf + start * scale, glyf + end * scale)


def paint_graph(index: int) -> bytes:
    """A COLR table of version 1 that fills the glyph with a colour."""
    bases = struct.pack(">IHI", 1, index, 10) + struct.pack(">BBHHH", 10, 0, 6, index, 0)
    bases += struct.pack(">BHH", 2, 0, 0x4000)
    return struct.pack(">HHIIHIIIII", 1, 0, 0, 0, 0, 34, 0, 0, 0, 0) + bases


KINDS = ("zeroed", "garbage", "empty", "COLR 1", "SVG", "sbix")


class TestGlyphsWithoutInk:
    """A font has a character if it draws ink where it should."""

    @pytest.fixture
    def whole(self, font: Path, tmp_path: Path) -> Path:
        return subset(font, "ab c", tmp_path / "whole.ttf")

    @pytest.fixture(params=KINDS)
    def broken(self, whole: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
        """A font whose a cannot be drawn."""
        data = bytearray(whole.read_bytes())
        place = glyph_data(bytes(data), "a")
        size = place.stop - place.start
        rubbish = struct.pack(">h", 99) + bytes([0xFF]) * (size - 2)
        data[place] = rubbish if request.param == "garbage" else bytes(size)
        index = hb.Font(hb.Face(bytes(data))).get_nominal_glyph(ord("a"))
        assert index is not None
        svg = b"<svg xmlns='http://www.w3.org/2000/svg'><rect id='glyph1' width='500' height='500'/></svg>"
        tables = {
            "COLR 1": {b"COLR": paint_graph(index), b"CPAL": struct.pack(">HHHHIHI", 0, 1, 1, 1, 14, 0, 255)},
            "SVG": {b"SVG ": struct.pack(">HIIHHHII", 0, 10, 0, 1, index, index, 14, len(svg)) + svg},
            "sbix": {b"sbix": struct.pack(">HHI", 1, 1, 0)},
        }.get(request.param)
        path = tmp_path / "broken.ttf"
        path.write_bytes(_with_tables(bytes(data), tables) if tables else data)
        return path

    @pytest.mark.parametrize("colour", [False, True])
    def test_it_is_missing(self, broken: Path, colour: bool) -> None:
        typesetter = Typesetter([broken], SIZE, ROWS, colour=colour)
        assert not typesetter.covers("a")
        assert typesetter.covers("b")
        assert typesetter.covers(" ")
        (ink,) = typesetter.draw("a")
        (missing,) = typesetter.draw("ж")
        np.testing.assert_array_equal(ink.coverage, missing.coverage)
        assert ink.coverage.any()
        assert ink.advance == missing.advance
        (run,) = typesetter.draw("bab")
        assert run.advance == missing.advance + 2 * typesetter.draw("b")[0].advance
        assert typesetter.boxes("ba")[1][1] - typesetter.boxes("ba")[1][0] == missing.advance

    def test_a_fallback_draws_it(self, broken: Path, whole: Path) -> None:
        typesetter = Typesetter([broken, whole], SIZE, ROWS)
        assert typesetter.covers("a")
        np.testing.assert_array_equal(
            typesetter.draw("a")[0].coverage, Typesetter([whole], SIZE, ROWS).draw("a")[0].coverage
        )

    def test_users_are_warned(self, broken: Path, whole: Path, tmp_path: Path) -> None:
        for strategy in STRATEGIES:
            with pytest.warns(MissingGlyphWarning, match=r"2 character.*U\+0061"):
                TextRenderer(font_file=broken, strategy=strategy, max_seq_length=9).batch(["ab", ["cab"]])
        (tmp_path / "fallbacks").mkdir()
        whole.rename(tmp_path / "fallbacks" / "whole.ttf")
        renderer = TextRenderer(font_file=broken, fallback_fonts_dir=tmp_path / "fallbacks")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            renderer.batch(["ab", ["cab"]])

    def test_what_is_invisible_is_not_missing(self, face: FontFace) -> None:
        blank = [char for char in map(chr, sorted(face.coverage)) if not face.draw(char, 64).coverage.any()]
        assert len(blank) > 40
        assert all(map(face.has, blank))  # among them invisible viramas and fillers of Hangul
        assert all(map(face.has, "aअ猫\u0301\u094b"))


class TestTypesetter:
    def test_fallbacks_are_tried_in_order(self, font: Path, tmp_path: Path) -> None:
        latin = subset(font, "ab ", tmp_path / "latin.ttf")
        both = subset(font, "abжу ", tmp_path / "both.ttf")
        typesetter = Typesetter([latin, both], SIZE, ROWS)
        assert typesetter.covers("a")
        assert typesetter.covers("ж")
        assert not typesetter.covers("字")
        assert len(typesetter.draw("abжуa")) == 3

    def test_right_to_left_stretches_stand_from_left_to_right(self, font: Path, tmp_path: Path) -> None:
        fonts = [subset(font, "אב ", tmp_path / "a.ttf"), subset(font, "גד ", tmp_path / "b.ttf")]
        typesetter = Typesetter(fonts, SIZE, ROWS)
        inks = typesetter.draw("אבג", rtl=True, script="Hebr")
        (gimel,) = typesetter.draw("ג")
        np.testing.assert_array_equal(inks[0].coverage, gimel.coverage)
        boxes = typesetter.boxes("אבג", rtl=True, script="Hebr")
        assert boxes[2].tolist() == [0, gimel.advance]
        assert boxes[0, 1] == sum(ink.advance for ink in inks)

    def test_marks_stay_with_the_font_of_their_letter(self, font: Path, tmp_path: Path) -> None:
        fonts = [subset(font, "\u0301 ", tmp_path / "a.ttf"), subset(font, "ж\u0301 ", tmp_path / "b.ttf")]
        assert len(Typesetter(fonts, SIZE, ROWS).draw("ж\u0301")) == 1


class TestAutohint:
    def test_the_file_is_not_changed(self, font: Path, tmp_path: Path) -> None:
        path = subset(font, "abc अ", tmp_path / "font.ttf")
        before = path.read_bytes()
        data = blind_autohinter(path, hb.Font(hb.Face(before)).get_nominal_glyph)
        assert path.read_bytes() == before
        assert bytes(data) != before

    def test_tables_stay_sorted_for_bisection(self, font: Path) -> None:
        data = blind_autohinter(font, hb.Font(hb.Face(hb.Blob.from_file_path(str(font)))).get_nominal_glyph)
        assert list(records(data)) == sorted(records(data))

    def test_clusters_become_the_space(self, font: Path) -> None:
        shaper = hb.Font(hb.Face(hb.Blob.from_file_path(str(font))))
        data = blind_autohinter(font, shaper.get_nominal_glyph)
        blind = hb.Font(hb.Face(bytes(data)))
        for cluster in ZONE_CLUSTERS:
            if all(shaper.get_nominal_glyph(ord(char)) for char in cluster):
                buffer = hb.Buffer()
                buffer.add_str(cluster)
                buffer.guess_segment_properties()
                hb.shape(blind, buffer)
                assert {info.codepoint for info in buffer.glyph_infos} == {shaper.get_nominal_glyph(32)}

    def test_fonts_without_such_letters_get_an_empty_table(self, font: Path, tmp_path: Path) -> None:
        path = subset(font, "abc ", tmp_path / "latin.ttf")
        data = blind_autohinter(path, hb.Font(hb.Face(path.read_bytes())).get_nominal_glyph)
        assert b"GSUB" in records(data)

    def test_collections(self, font: Path, tmp_path: Path) -> None:
        data = subset(font, "abc ", tmp_path / "latin.ttf").read_bytes()
        start = 16
        moved = bytearray(data)
        for tag, (offset, _) in records(data).items():
            place = data.index(tag, 12) + 8
            moved[place : place + 4] = struct.pack(">I", offset + start)
        path = tmp_path / "collection.ttc"
        path.write_bytes(b"ttcf" + struct.pack(">III", 0x10000, 1, start) + moved)
        blind = blind_autohinter(path, hb.Font(hb.Face(data)).get_nominal_glyph)
        assert b"GSUB" in records(blind, start)
        single = FontFace(tmp_path / "latin.ttf", SIZE).draw("b", ROWS)
        np.testing.assert_array_equal(FontFace(path, SIZE).draw("b", ROWS).coverage, single.coverage)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_fonts_is_given_back(font: Path) -> None:
    """FreeType's memory, too, which Python does not see: 60 faces kept 0.28 MB each."""

    def make(times: int) -> float:
        for _ in range(times):
            Typesetter([font], SIZE, ROWS).draw("a")
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

    before = make(20)
    assert make(60) - before < 3


class TestColour:
    @pytest.fixture
    def layers(self, font: Path, tmp_path: Path) -> Path:
        return colour_font(font, {"a": ("I", "-")}, tmp_path / "layers.ttf")

    def test_layers_keep_their_colours(self, layers: Path) -> None:
        (ink,) = Typesetter([layers], SIZE, ROWS, colour=True).draw("a")
        assert ink.colour is not None
        np.testing.assert_array_equal(ink.colour[..., 3], ink.coverage)
        strip = np.full((ROWS, 16, 3), 255, np.uint8)
        paint(strip, ink.left, ink)
        strongest = strip.reshape(-1, 3)[(255 - strip.astype(int)).sum(axis=2).argmax()]
        assert strongest[0] < 255
        assert (strip != strip[..., :1]).any()
        assert RED != BLUE

    def test_grey_renderers_draw_shadows(self, layers: Path) -> None:
        (ink,) = Typesetter([layers], SIZE, ROWS, colour=True).draw("a")
        (shadow,) = Typesetter([layers], SIZE, ROWS).draw("a")
        assert shadow.colour is None
        np.testing.assert_array_equal(shadow.coverage, ink.coverage)

    def test_glyphs_without_colours_stay_black(self, layers: Path) -> None:
        (ink,) = Typesetter([layers], SIZE, ROWS, colour=True).draw("I")
        assert ink.colour is None


class TestDrawing:
    @given(st.integers(-20, 30), st.integers(0, 8), st.integers(0, 2**32 - 1))
    def test_stamp_and_paint_agree_on_black_ink(self, left: int, width: int, seed: int) -> None:
        dice = np.random.default_rng(seed)
        ink = Ink(width, 0, dice.integers(0, 256, (4, width), np.uint8))
        grey = dice.integers(0, 256, (4, 16), np.uint8)
        colours = np.repeat(grey[..., None], 3, axis=2)
        expected = grey.astype(float)
        for column in range(width):
            if 0 <= left + column < 16:
                expected[:, left + column] *= 1 - ink.coverage[:, column] / 255
        stamp(grey, left, ink)
        paint(colours, left, ink)
        np.testing.assert_allclose(grey, expected, atol=0.51)
        assert (colours == grey[..., None]).all()

    def test_opaque_colours_replace_what_is_below(self) -> None:
        colour = np.array([[[10, 20, 30, 255]]], np.uint8)
        strip = np.full((1, 3, 3), 255, np.uint8)
        paint(strip, 1, Ink(1, 0, colour[..., 3], colour))
        assert strip.tolist() == [[[255] * 3, [10, 20, 30], [255] * 3]]


class TestPictures:
    def test_png_is_premultiplied(self) -> None:
        file = io.BytesIO()
        Image.fromarray(np.array([[[200, 100, 50, 128], [1, 2, 3, 0]]], np.uint8)).save(file, "PNG")
        assert decode_png(file.getvalue()).tolist() == [[[100, 50, 25, 128], [0, 0, 0, 0]]]

    def test_an_even_picture_stays_even(self) -> None:
        picture = np.full((128, 136, 4), 200, np.uint8)
        scaled, left, top = shrink(picture, 0, 101, SIZE / 109)
        assert scaled.shape == (17, 17, 4)
        assert (left, top) == (0, 13)
        assert (scaled[2:-2, 2:-2] == 200).all()
        assert scaled.sum() / 200 / 4 == pytest.approx(128 * 136 * (SIZE / 109) ** 2, rel=0.03)

    @pytest.mark.parametrize("scale", [0.05, 0.5, 0.9, 1.0, 3.0])
    def test_any_scale(self, scale: float) -> None:
        scaled, _, _ = shrink(np.full((80, 80, 4), 255, np.uint8), 3, -5, scale)
        assert scaled.max() == 255
