from __future__ import annotations

import gc
import struct
from pathlib import Path

import numpy as np
import pytest
import uharfbuzz as hb

from pixel_m4.render import FontError, TextRenderer
from pixel_m4.render.fontfile import read_font
from pixel_m4.render.fonts import find_font, sha256


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A font of a few letters."""
    wanted = hb.SubsetInput()
    wanted.unicode_set.update(map(ord, "abc xyz"))
    path = tmp_path / "small.ttf"
    path.write_bytes(hb.subset(hb.Face(hb.Blob.from_file_path(str(find_font()))), wanted).blob.data)
    return path


def test_a_font_that_changes_while_it_is_used_does_not_matter(small: Path) -> None:
    """Mapped files end programs with SIGBUS when they become shorter."""
    renderer = TextRenderer(font_file=small)
    expected = TextRenderer(font_file=small)("abc xyz").pixel_values
    digest = sha256(small)
    with small.open("r+b") as file:
        file.truncate(100)
    np.testing.assert_array_equal(renderer("abc xyz").pixel_values, expected)
    with pytest.raises(FontError, match=r"small\.ttf"):
        TextRenderer(font_file=small)
    assert renderer._atlas._typesetter.files[0].sha256 == digest


def test_renderers_share_what_they_read(small: Path) -> None:
    first, second = read_font(small), read_font(small)
    assert first is second
    content = small.read_bytes()
    small.write_bytes(content + b"more")
    assert read_font(small) is not first
    del first, second
    gc.collect()
    assert read_font(small).data == content + b"more"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.ttf").touch()
    (tmp_path / "folder.ttf").mkdir()
    for name, reason in (("empty.ttf", "empty"), ("folder.ttf", "directory"), ("none.ttf", "No such file")):
        with pytest.raises(FontError, match=rf"{name}: .*{reason}"):
            read_font(tmp_path / name)


def test_a_font_without_a_character_map(small: Path) -> None:
    data = small.read_bytes()
    place = data.index(b"cmap")
    offset = int.from_bytes(data[place + 8 : place + 12], "big")
    small.write_bytes(data[: offset + 2] + bytes(2) + data[offset + 4 :])  # no subtables
    with pytest.raises(FontError, match=r"without a character map.*small\.ttf"):
        TextRenderer(font_file=small)


@pytest.mark.parametrize("kind", [b"wOFF", b"wOF2"])
def test_damaged_fonts_of_the_web(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "web.woff"
    path.write_bytes(kind + struct.pack(">IIHHI", 0x10000, 100, 1, 0, 100) + bytes(80))
    with pytest.raises(FontError, match=r"web\.woff"):
        TextRenderer(font_file=path)


@pytest.mark.parametrize("flavor", ["woff", "woff2"])
def test_fonts_of_the_web_are_unpacked(small: Path, flavor: str) -> None:
    tools = pytest.importorskip("fontTools.ttLib")
    if flavor == "woff2":
        pytest.importorskip("brotli")
    font = tools.TTFont(small)
    font.flavor = flavor
    web = small.with_suffix(f".{flavor}")
    font.save(web)
    expected = TextRenderer(font_file=small)("abc xyz").pixel_values
    np.testing.assert_array_equal(TextRenderer(font_file=web)("abc xyz").pixel_values, expected)


def test_without_fonttools_the_error_says_what_to_do(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fontTools.ttLib", None)
    web = small.with_suffix(".woff")
    web.write_bytes(b"wOFF" + bytes(60))
    with pytest.raises(FontError, match=r"pip install 'pixel-m4\[woff\]'.*\.ttf or \.otf"):
        TextRenderer(font_file=web)
