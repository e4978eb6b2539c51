"""Saved renderers come back with the same pixels, or an error says why not."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uharfbuzz as hb

from pixel_m4.cli.main import main
from pixel_m4.render import FontError, TextRenderer
from pixel_m4.render.fonts import FONT_SHA256, find_font, sha256
from pixel_m4.render.losses import RenderingNotice
from pixel_m4.render.opening import open_renderer
from pixel_m4.shipped import SHIPPED

NAME = "text_renderer_config.json"
PUBLISHED = {
    "background_color": "white",
    "dpi": 120,
    "font_color": "black",
    "font_file": "GoNotoCurrent.ttf",
    "font_size": 8,
    "fonts_list": ["stray"] * 1000,
    "max_seq_length": 529,
    "pad_size": 3,
    "pixels_per_patch": 16,
    "text_renderer_type": "PangoCairoTextRenderer",
}
TEXT = "abc жук 猫 ∑"


def subset(text: str, target: Path, keep: int = 0) -> Path:
    wanted = hb.SubsetInput()
    wanted.unicode_set.update(map(ord, text + " "))
    wanted.flags = hb.SubsetFlags.NOTDEF_OUTLINE
    target.parent.mkdir(exist_ok=True, parents=True)
    target.write_bytes(hb.subset(hb.Face(hb.Blob.from_file_path(str(find_font()))), wanted).blob.data)
    return target


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    """A main font that is called like the default one, and a folder of fallbacks."""
    subset("abc", tmp_path / "fonts" / "GoNotoCurrent.ttf")
    subset("жук", tmp_path / "fonts" / "more" / "a.ttf")
    subset("猫", tmp_path / "fonts" / "more" / "b.ttf")
    return tmp_path / "fonts"


def write(folder: Path, **changes: Any) -> Path:
    config = {**PUBLISHED, **changes}
    folder.mkdir(exist_ok=True)
    content = json.dumps({key: value for key, value in config.items() if value is not ...})
    (folder / NAME).write_text(content, encoding="utf-8")
    return folder


def pixels(renderer: TextRenderer, text: str = TEXT) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return renderer(text).pixel_values


def test_all_fonts_are_saved(fonts: Path, tmp_path: Path) -> None:
    renderer = TextRenderer(fonts / "GoNotoCurrent.ttf", fonts / "more", max_seq_length=32)
    expected = pixels(renderer)
    renderer.save_pretrained(tmp_path / "saved")
    shutil.rmtree(fonts)
    for folder in (tmp_path / "saved", (tmp_path / "saved").rename(tmp_path / "moved")):
        if folder.exists():
            again = TextRenderer.from_pretrained(folder)
            np.testing.assert_array_equal(pixels(again), expected)
            again.save_pretrained(tmp_path / "copy")
            np.testing.assert_array_equal(pixels(TextRenderer.from_pretrained(tmp_path / "copy")), expected)
            again.save_pretrained(folder)  # over itself
    assert (tmp_path / "copy" / NAME).read_bytes() == (tmp_path / "moved" / NAME).read_bytes()
    assert not np.array_equal(expected, pixels(TextRenderer(max_seq_length=32)))


def test_fallback_fonts_of_one_name_are_all_saved(fonts: Path, tmp_path: Path) -> None:
    more = [subset("жук", tmp_path / "cyrl" / "f.ttf"), subset("猫", tmp_path / "hani" / "f.ttf")]
    renderer = TextRenderer(fonts / "GoNotoCurrent.ttf", fallback_fonts=[*more, more[0]])
    renderer.save_pretrained(tmp_path / "one")
    renderer.save_pretrained(tmp_path / "one")
    TextRenderer.from_pretrained(tmp_path / "one").save_pretrained(tmp_path / "two")
    loaded = TextRenderer.from_pretrained(tmp_path / "two")
    assert [font.sha256 for font in loaded.fonts] == [font.sha256 for font in renderer.fonts]
    np.testing.assert_array_equal(pixels(loaded), pixels(renderer))


def test_the_default_font_is_not_copied(tmp_path: Path) -> None:
    TextRenderer().save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    config = json.loads((tmp_path / NAME).read_text())
    assert (config["font_file"], config["font_sha256"]) == ("GoNotoCurrent.ttf", FONT_SHA256)
    assert "fallback_fonts" not in config


def test_a_missing_or_different_font_tells_the_digest(fonts: Path, tmp_path: Path) -> None:
    renderer = TextRenderer(fonts / "GoNotoCurrent.ttf", fonts / "more")
    saved = tmp_path / "saved"
    for place in ("GoNotoCurrent.ttf", "fallback_fonts/b.ttf"):
        renderer.save_pretrained(saved)
        digest = sha256(saved / place)
        other = subset("xyz", tmp_path / "other.ttf")
        shutil.copy(other, saved / place)
        with pytest.raises(FontError, match=rf"another font .*{sha256(other)}, not {digest}"):
            TextRenderer.from_pretrained(saved)
        (saved / place).unlink()
        with pytest.raises(FontError, match=f"{digest}.*not"):
            TextRenderer.from_pretrained(saved)
    renderer.save_pretrained(saved)
    with pytest.warns(RenderingNotice, match=sha256(other)):  # what is asked for is done, and said
        TextRenderer.from_pretrained(saved, font_file=other)
    with pytest.raises(FileExistsError, match=r"GoNotoCurrent\.ttf is another font"):
        TextRenderer(subset("q", tmp_path / "q" / "GoNotoCurrent.ttf")).save_pretrained(saved)


def test_another_default_font_by_the_environment_is_noticed(
    fonts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TextRenderer().save_pretrained(tmp_path / "saved")
    monkeypatch.setenv("PIXEL_M4_FONT", str(fonts / "GoNotoCurrent.ttf"))
    with pytest.raises(FontError, match=f"not {FONT_SHA256}"):
        TextRenderer.from_pretrained(tmp_path / "saved")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_renderers_still_load(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        renderer = TextRenderer.from_pretrained(name)
    assert renderer.fonts[0].sha256 == FONT_SHA256


@pytest.mark.parametrize(
    ("changes", "strategy", "told"),
    [
        ({}, "bigrams", True),
        ({"font_file": "f" * 125 + ".ttf"}, "bigrams", True),
        ({"text_renderer_type": "PyGameTextRenderer"}, "continuous", False),
        ({"text_renderer_type": "PyGameTextRenderer", "strategy": "words"}, "words", False),
        ({"strategy": "continuous"}, "continuous", False),
        ({"_commit_hash": "0" * 40, "processor_class": "x", "fallback_fonts_dir": None}, "bigrams", True),
        ({"font_file": ...}, "bigrams", True),
    ],
)
def test_published_files(tmp_path: Path, changes: dict, strategy: str, told: bool) -> None:
    folder = write(tmp_path / "model", **changes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        renderer = TextRenderer.from_pretrained(folder)
    assert renderer.strategy == strategy
    assert renderer.fonts[0].sha256 == FONT_SHA256
    assert ['strategy="continuous"' in str(warning.message) for warning in caught] == [True] * told
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TextRenderer.from_pretrained(folder, strategy="graphemes").strategy == "graphemes"


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        ("Team-PIXEL/pixel-base", "continuous"),
        ("Team-PIXEL/pixel-base-finetuned-mnli", "continuous"),
        ("Team-PIXEL/pixel-base-bigrams", "bigrams"),
        ("Team-PIXEL/pixel-m4", "bigrams"),
        ("someone/model", "bigrams"),
    ],
)
@pytest.mark.filterwarnings("ignore::pixel_m4.render.losses.RenderingNotice")
def test_names_on_the_hub_say_how_they_draw(tmp_path: Path, name: str, strategy: str) -> None:
    """As the hub's client keeps downloads: found by their name, and in their folder."""
    repository = tmp_path / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    folder = repository / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    write(folder)
    write(folder / "sub", dpi=100)
    hub = {"cache_dir": tmp_path, "local_files_only": True}
    renderer = TextRenderer.from_pretrained(name, **hub)
    assert (renderer.strategy, renderer.dpi) == (strategy, 120)
    assert TextRenderer.from_pretrained(name, subfolder="sub", revision="main", token=False, **hub).dpi == 100
    assert TextRenderer.from_pretrained(folder).strategy == strategy
    assert open_renderer(folder).strategy == strategy
    with pytest.raises(FileNotFoundError, match=rf"no {NAME} in {name} \(none\)"):
        TextRenderer.from_pretrained(name, subfolder="none", **hub)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rgb": "false"}, 'rgb must be true or false.*not "false"'),
        ({"rgb": 1}, "rgb must be true or false"),
        ({"dpi": "120"}, 'dpi must be a number greater than 0, not "120"'),
        ({"dpi": True}, "dpi must be a number"),
        ({"dpi": 0}, "dpi must be a number greater than 0, not 0"),
        ({"dpi": float("nan")}, "dpi must be a number"),
        ({"font_size": None}, "font_size must be a number greater than 0, not null"),
        ({"font_size": 1e9}, "font_size 1000000000.0 at 120 dpi"),
        ({"max_seq_length": 52.5}, "max_seq_length must be a whole number"),
        ({"max_seq_length": 1}, "max_seq_length must be a whole number greater than 1, not 1"),
        ({"pixels_per_patch": "16"}, "pixels_per_patch must be a whole number"),
        ({"background_color": "black"}, 'background_color must be "white", not "black"'),
        ({"font_color": [255, 0, 0]}, r'font_color must be "black", not \[255, 0, 0\]'),
        ({"pad_size": 0}, "pad_size must be 3, not 0"),
        ({"text_renderer_type": "Other"}, "text_renderer_type must be PangoCairoTextRenderer or PyGame"),
        ({"text_renderer_type": ["PyGameTextRenderer"]}, "text_renderer_type must be"),
        ({"strategy": "trigrams"}, "strategy must be one of bigrams, "),
        ({"strategy": None}, "strategy must be one of bigrams, "),
        ({"strategy": []}, "strategy must be one of bigrams, "),
        ({"font_file": 3}, "font_file must be the name of a font file, not 3"),
        ({"font_sha256": "abc"}, "font_sha256 must be 64 hexadecimal digits"),
        ({"fallback_fonts": ["a.ttf"]}, "fallback_fonts must be a list of"),
        ({"fallback_fonts_dir": "more"}, "folder more of fallback fonts, which is not beside it"),
        ({"rgb": 0}, r"rgb must be true or false \(without quotes\), not 0"),
        ({"dpi": 10**400}, "dpi must be a number greater than 0, not 1000"),
        ({"font_size": 10**400}, "font_size must be a number greater than 0, not 1000"),
        ({"max_seq_length": 10**12}, "max_seq_length must be at most 1,000,000, not 1,000,000,000,000"),
        ({"pixels_per_patch": 10**9}, "pixels_per_patch must be at most 2,048"),
        ({"font_file": "x" * 300}, "font_file must be the name of a font file"),
        ({"font_file": "a\0b"}, "font_file must be the name of a font file"),
        ({"fallback_fonts_dir": "x" * 300}, "fallback_fonts_dir must be the name of a folder"),
        ({"fallback_fonts": [{"file": "é" * 200, "sha256": "0" * 64}]}, "fallback_fonts must be a list of"),
        ({"letter_spacing": 2}, r"unknown field 'letter_spacing' \(2\)"),
    ],
)
def test_every_field_is_obeyed_or_refused(tmp_path: Path, changes: dict, message: str) -> None:
    folder = write(tmp_path / "model", **{"strategy": "bigrams", **changes})
    with pytest.raises(ValueError, match=message) as caught:
        TextRenderer.from_pretrained(folder)
    assert NAME in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "JSON object, not list"),
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ("\xff", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_files_that_are_no_settings(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / NAME).write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"{NAME}.*{message}"):
        TextRenderer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "place", ["../../x.ttf", "/etc/passwd", "a/../../x.ttf", "..\\x.ttf", "C:\\x.ttf", "~/x.ttf", ".."]
)
@pytest.mark.parametrize("field", ["font_file", "fallback_fonts", "fallback_fonts_dir"])
def test_files_name_nothing_outside_of_their_folder(tmp_path: Path, field: str, place: str) -> None:
    subset("abc", tmp_path / "x.ttf")
    value = [{"file": place, "sha256": "0" * 64}] if field == "fallback_fonts" else place
    folder = write(tmp_path / "model", strategy="bigrams", **{field: value})
    with pytest.raises(ValueError, match=f"{field} names .*, outside of its own folder"):
        TextRenderer.from_pretrained(folder)


def test_fonts_in_its_folder_are_found(fonts: Path) -> None:
    write(fonts, strategy="bigrams", font_file="more/a.ttf", fallback_fonts_dir="more")
    renderer = TextRenderer.from_pretrained(fonts)
    assert [font.path.name for font in renderer.fonts] == ["a.ttf", "a.ttf", "b.ttf"]


def test_what_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("runs/nosuch", "./x", "~/m", "x", str(tmp_path / "none")):
        with pytest.raises(FileNotFoundError, match="there is no model folder"):
            TextRenderer.from_pretrained(name)
    assert main(["render", "a", "--model", "~/m"]) == 1
    assert "there is no model folder '~/m'" in capsys.readouterr().err
    TextRenderer(dpi=100).save_pretrained("~/m")
    assert TextRenderer.from_pretrained("~/m").dpi == 100
    assert TextRenderer.from_pretrained(f"~/m/{NAME}", subfolder="").dpi == 100
    (tmp_path / "m" / "sub").mkdir()
    TextRenderer(dpi=90).save_pretrained("~/m/sub")
    assert TextRenderer.from_pretrained("~/m", subfolder="sub").dpi == 90
    with pytest.raises(FileNotFoundError, match=f"no {NAME} in ~/m"):
        TextRenderer.from_pretrained("~/m", subfolder="none")
    with pytest.raises(TypeError, match="no argument 'dpis'"):
        TextRenderer.from_pretrained("~/m", dpis=3)
    assert TextRenderer.from_pretrained("~/m", dpi=None, font_file=None).dpi == 100


def test_fonts_are_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path as it was written meant another file, or none, after the present folder had changed."""
    (tmp_path / "fonts").mkdir()
    subset("abc", tmp_path / "fonts" / "main.ttf")
    monkeypatch.chdir(tmp_path)
    renderer = TextRenderer(font_file="fonts/main.ttf", fallback_fonts_dir="fonts", max_seq_length=16)
    monkeypatch.chdir("/")
    for other in (renderer.with_changes(rgb=True), pickle.loads(pickle.dumps(renderer))):
        assert np.array_equal(other("abc").word_starts, renderer("abc").word_starts)
        assert other.font_file == tmp_path / "fonts" / "main.ttf"
