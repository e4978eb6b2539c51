"""The set of Noto fonts: fetched by digest, used by one name, known again in checkpoints."""

from __future__ import annotations

import hashlib
import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from pixel_m4.cli.main import main
from pixel_m4.render import FontError, TextRenderer, fallbacks, fonts
from pixel_m4.render.fallbacks import FallbackFont, fetch_fallback_fonts, find_fallback_fonts

# Code points that Unicode 14 assigns, of them in the default font, and with the set: docs/rendering.md.
FIGURES = (144_534, 37_921, 59_186)


def small_font(path: Path) -> bytes:
    """A font that draws ∑ and ∞ as black boxes."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 700), (900, 700), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    box = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    names = [".notdef", "sum", "infinity"]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord("∑"): "sum", ord("∞"): "infinity"})
    builder.setupGlyf(dict.fromkeys(names, box))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Small", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small_font(tmp_path_factory.mktemp("font") / "small.ttf")


@pytest.fixture
def home(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One wheel with two fonts can be fetched; the cache holds the default font alone."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / fonts.FONT_NAME).symlink_to(fonts.find_font())
    members = {"MyA[wght].ttf": b"first of all" * 99, "MyB.ttf": content}

    def unpacked(wheel: str, places: list[str], scratch: Path) -> list[Path]:  # pip itself: test_fonts.py
        if (tmp_path / "offline").exists():
            raise OSError("no network")
        assert wheel == "some-fonts==1.0"
        for place in places:
            (scratch / Path(place).name).write_bytes(members[place.removeprefix("some_fonts/")])
        return [scratch / Path(place).name for place in places]

    monkeypatch.setattr(fallbacks, "fonts_from_wheel", unpacked)
    monkeypatch.setenv(fonts.CACHE_ENV, str(cache))
    monkeypatch.delenv(fonts.FONT_ENV, raising=False)
    digest = hashlib.sha256(content).hexdigest()
    font = FallbackFont("MyB.ttf", len(content), digest, ("some-fonts==1.0", "some_fonts"))
    monkeypatch.setattr(fallbacks, "FALLBACK_FONTS", (font,))
    return cache


def test_the_set_is_pinned_in_the_order_of_names() -> None:
    names = [font.name for font in fallbacks.FALLBACK_FONTS]
    assert names == sorted(names)
    assert len(set(names)) == 23
    assert all(len(font.sha256) == 64 and "==" in font.home[0] for font in fallbacks.FALLBACK_FONTS)
    assert fonts.FONT_SHA256 not in {font.sha256 for font in fallbacks.FALLBACK_FONTS}


def test_the_set_is_fetched_once_and_then_named_by_one_word(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        FontError, match=r"1 of the 1 Noto fallback fonts are not in .*fonts fetch --fallback"
    ):
        TextRenderer(fallback_fonts_dir="noto")
    assert main(["fonts", "fetch", "--fallback"]) == 0
    assert "--fallback_fonts_dir noto" in capsys.readouterr().out
    assert [path.name for path in (home / "noto").iterdir()] == ["MyB.ttf"]
    (home.parent / "offline").touch()
    assert fetch_fallback_fonts() == [home / "noto" / "MyB.ttf"]
    with_set, without = TextRenderer(fallback_fonts_dir="noto"), TextRenderer()
    assert with_set.covers("∑")
    assert not without.covers("∑")
    for text in ("plain text", "नमस्ते"):  # the default font's pixels stay
        np.testing.assert_array_equal(with_set(text).pixel_values, without(text).pixel_values)
    assert (with_set("∑").pixel_values[5:8, 4:10] == 0).all()


def test_a_folder_of_that_name_comes_first(
    home: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "noto").mkdir()
    (home / "noto" / "own.ttf").write_bytes(content)
    monkeypatch.chdir(home)
    assert find_fallback_fonts("noto") == [Path("noto/own.ttf")]


def test_another_font_in_the_wheel_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (font,) = fallbacks.FALLBACK_FONTS
    monkeypatch.setattr(fallbacks, "FALLBACK_FONTS", (font._replace(sha256="0" * 64),))
    with pytest.raises(FontError, match=rf"MyB\.ttf .*SHA-256 is {font.sha256}, expected 0000.* not taken"):
        fetch_fallback_fonts()
    assert list((home / "noto").iterdir()) == []


def test_a_damaged_font_is_fetched_again(home: Path) -> None:
    (font,) = fetch_fallback_fonts()
    whole = font.read_bytes()
    font.write_bytes(b"x" * len(whole))
    assert [file.read_bytes() for file in fetch_fallback_fonts()] == [whole]


def test_without_network_the_error_says_where_fonts_go(home: Path) -> None:
    (home.parent / "offline").touch()
    with pytest.raises(FontError, match=r"could not fetch some-fonts==1\.0.*(?s:.*)put them into .*noto"):
        fetch_fallback_fonts()


def test_checkpoints_know_the_set_by_its_digests(home: Path, tmp_path: Path) -> None:
    fetch_fallback_fonts()
    renderer = TextRenderer(fallback_fonts_dir="noto")
    renderer.save_pretrained(tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["text_renderer_config.json"]
    saved = json.loads((tmp_path / "model" / "text_renderer_config.json").read_text())
    assert saved["fallback_fonts"] == [
        {"file": "fallback_fonts/MyB.ttf", "sha256": fallbacks.FALLBACK_FONTS[0].sha256}
    ]
    again = TextRenderer.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(again("∑ ∞").pixel_values, renderer("∑ ∞").pixel_values)
    shutil.rmtree(home / "noto")
    with pytest.raises(FontError, match=r"names the Noto fallback font MyB\.ttf.*fonts fetch --fallback"):
        TextRenderer.from_pretrained(tmp_path / "model")


@pytest.mark.slow
def test_the_set_can_be_fetched_and_covers_what_the_documents_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / fonts.FONT_NAME).symlink_to(fonts.find_font())
    monkeypatch.setenv(fonts.CACHE_ENV, str(tmp_path))
    try:
        fetch_fallback_fonts()
    except FontError as error:
        pytest.skip(f"needs the package index: {error}")
    renderer = TextRenderer(fallback_fonts_dir="noto")
    main_font, *others = (font.coverage for font in renderer.fonts)
    assigned = {code for code in range(0x110000) if unicodedata.category(chr(code))[0] not in "C"}
    covered = (len(assigned & main_font), len(assigned & main_font.union(*others)))
    print(f"{len(assigned):,} code points of Unicode {unicodedata.unidata_version}: {covered}")
    if unicodedata.unidata_version == "14.0.0":
        assert (len(assigned), *covered) == FIGURES
    assert all(renderer.covers(char) for char in "鸫莨麽≥⋯─😸")
    assert not renderer.covers("\N{CUNEIFORM SIGN A}")
