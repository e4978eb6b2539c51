from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pixel_m4.render import FontError, TextRenderer, fonts
from pixel_m4.render.fallbacks import find_fallback_fonts
from pixel_m4.render.glyphs import FontFace
from pixel_m4.render.losses import RenderingNotice


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(fonts.CACHE_ENV, str(tmp_path / "cache"))
    monkeypatch.delenv(fonts.FONT_ENV, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip finds one wheel, which holds the font (here: a few bytes with their own digest)."""
    content = b"bytes that stand for a font"
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "pixar_render-0.5.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(fonts._WHEEL_MEMBER, content)
        wheel.writestr(
            "pixar_render-0.5.1.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: pixar-render\nVersion: 0.5.1\n",
        )
        wheel.writestr("pixar_render-0.5.1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("pixar_render-0.5.1.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    source = tmp_path / "content"
    source.write_bytes(content)
    monkeypatch.setattr(fonts, "FONT_SHA256", fonts.sha256(source))
    monkeypatch.setattr(fonts, "FONT_SIZE_BYTES", len(content))
    return folder


def no_hub(scratch: Path) -> Path:
    raise OSError("no network")


def test_argument_comes_before_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.ttf", "b.ttf"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setenv(fonts.FONT_ENV, str(tmp_path / "b.ttf"))
    assert fonts.find_font(tmp_path / "a.ttf") == tmp_path / "a.ttf"
    assert fonts.find_font() == tmp_path / "b.ttf"


def test_missing_font_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FontError, match=r"font_file names a font that does not exist: .*no\.ttf"):
        fonts.find_font(tmp_path / "no.ttf")
    monkeypatch.setenv(fonts.FONT_ENV, str(tmp_path / "none.ttf"))
    with pytest.raises(FontError, match=r"\$PIXEL_M4_FONT names .*none\.ttf"):
        fonts.find_font()


def test_font_is_fetched_once_from_the_wheel(empty_cache: Path, wheelhouse: Path) -> None:
    font = fonts.find_font()
    assert font == empty_cache / fonts.FONT_NAME
    shutil.rmtree(wheelhouse)
    assert fonts.find_font() == font  # from the cache
    assert sorted(path.name for path in empty_cache.iterdir()) == ["GoNotoCurrent.lock", fonts.FONT_NAME]


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="patches reach children by fork"
)
def test_two_processes_fetch_at_once(empty_cache: Path, wheelhouse: Path) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = [pool.apply_async(fonts.find_font) for _ in range(2)]
        assert {result.get(60) for result in found} == {empty_cache / fonts.FONT_NAME}


def test_wrong_digest_is_refused(
    empty_cache: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "FONT_SHA256", "0" * 64)
    monkeypatch.setattr(fonts, "_fetch_from_hub", no_hub)
    with pytest.raises(FontError, match="expected 0000"):
        fonts.find_font()
    assert not (empty_cache / fonts.FONT_NAME).exists()


def test_without_network_the_error_says_where_to_put_the_file(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr(fonts, "_fetch_from_hub", no_hub)
    with pytest.raises(FontError) as caught:
        fonts.find_font()
    message = str(caught.value)
    assert str(empty_cache / fonts.FONT_NAME) in message
    assert "$PIXEL_M4_FONT" in message
    assert "pixar-render==0.5.1" in message
    assert "no network" in message


def test_half_written_font_is_not_taken(empty_cache: Path, wheelhouse: Path) -> None:
    empty_cache.mkdir()
    (empty_cache / fonts.FONT_NAME).write_bytes(b"half")
    assert fonts.sha256(fonts.find_font()) == fonts.FONT_SHA256


def test_a_file_that_is_no_font(tmp_path: Path) -> None:
    for name, content in (("text.ttf", b"not a font at all" * 10), ("empty.ttf", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FontError, match=name):
            TextRenderer(font_file=tmp_path / name)


def test_truncated_font(tmp_path: Path) -> None:
    whole = fonts.find_font().read_bytes()
    (tmp_path / "cut.ttf").write_bytes(whole[:100_000])
    with pytest.raises(FontError, match=r"cut\.ttf"):
        TextRenderer(font_file=tmp_path / "cut.ttf")


def test_fallback_folder_is_checked(tmp_path: Path) -> None:
    with pytest.raises(FontError, match="no folder"):
        find_fallback_fonts(tmp_path / "none")
    with pytest.raises(FontError, match="holds no font"):
        find_fallback_fonts(tmp_path)
    for name in ("b.otf", "a.ttf", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in find_fallback_fonts(tmp_path)] == ["a.ttf", "b.otf"]


def test_default_font_is_the_published_one() -> None:
    font = fonts.find_font()
    assert fonts.sha256(font) == fonts.FONT_SHA256
    assert len(FontFace(font, 40 / 3).coverage) == 37_962


def test_pip_is_called_without_importing_the_package() -> None:
    """The wheel is a zip file with a font in it: nothing of it may be on the import path."""
    code = "import sys, pixel_m4.render as r; r.TextRenderer()('a'); sys.exit('pixar_render' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_no_font_is_passed_over_with_one_notice(tmp_path: Path) -> None:
    folder = tmp_path / "fallbacks"
    folder.mkdir()
    with pytest.raises(FontError, match="holds no font"):
        find_fallback_fonts(folder)
    shutil.copy(fonts.find_font(), folder / "good.ttf")
    for name in ("folder.ttf", "broken.ttf", "._good.ttf", "damaged.otf"):
        if name == "folder.ttf":
            (folder / name).mkdir()
        elif name == "broken.ttf":
            (folder / name).symlink_to(folder / "nowhere.ttf")
        else:
            (folder / name).write_bytes(b"\0\5\26\7" + bytes(60))
    with pytest.warns(RenderingNotice) as caught:
        renderer = TextRenderer(fallback_fonts_dir=folder)
    assert [font.path.name for font in renderer.fonts] == [fonts.FONT_NAME, "good.ttf"]
    first, second = (str(warning.message) for warning in caught)
    assert first.endswith("._good.ttf, broken.ttf, folder.ttf")
    assert "damaged.otf" in second
    (folder / "good.ttf").unlink()
    with pytest.warns(RenderingNotice), pytest.raises(FontError, match=r"damaged\.otf"):
        TextRenderer(fallback_fonts_dir=folder)


def test_home_folders_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(fonts.CACHE_ENV, "~/x")
    assert fonts.cache_dir() == tmp_path / "x"
    shutil.copy(fonts.find_font(fonts.__file__), tmp_path / "a.ttf")
    assert fonts.find_font("~/a.ttf") == tmp_path / "a.ttf"
    monkeypatch.setenv(fonts.FONT_ENV, "~/a.ttf")
    assert fonts.find_font() == tmp_path / "a.ttf"
    assert find_fallback_fonts("~") == [tmp_path / "a.ttf"]
    with pytest.raises(FontError, match="names a folder, not a font"):
        fonts.find_font("~")


def test_a_cache_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv(fonts.FONT_ENV, raising=False)
    monkeypatch.delenv(fonts.CACHE_ENV, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    with pytest.raises(
        FontError, match=r"cannot write to .*file.*set \$PIXEL_M4_CACHE to a folder.*\$PIXEL_M4_FONT"
    ):
        fonts.find_font()


def test_a_fallback_folder_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "none"):
        with pytest.raises(FontError, match="fallback_fonts_dir is no folder that can be read"):
            find_fallback_fonts(folder)
