from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixel_m4.render import TextRenderer
from pixel_m4.render.opening import open_renderer, renderer_file
from pixel_m4.render.renderer import CONFIG_NAME


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a renderer, and one without."""
    TextRenderer(strategy="words", max_seq_length=25).save_pretrained(tmp_path / "with")
    (tmp_path / "without").mkdir()
    return tmp_path / "with", tmp_path / "without"


def test_a_checkpoint_is_drawn_as_it_was_trained(folders: tuple[Path, Path]) -> None:
    renderer = open_renderer(folders[0])
    assert (renderer.strategy, renderer.max_seq_length) == ("words", 25)
    assert open_renderer(folders[0], max_seq_length=36).max_seq_length == 36
    assert open_renderer("pixel-m4-tiny").strategy == "bigrams"  # of the package


def test_a_missing_renderer_is_no_guess(folders: tuple[Path, Path]) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"without has no text_renderer_config.json.*--renderer.*words"
    ):
        open_renderer(folders[1])
    assert renderer_file(folders[1]) is None
    with pytest.raises(FileNotFoundError, match="no model folder"):
        open_renderer(folders[1] / "nosuch")


@pytest.mark.parametrize("name", ["words", "folder", "file"])
def test_a_renderer_can_be_named(folders: tuple[Path, Path], name: str) -> None:
    places = {"words": "words", "folder": str(folders[0]), "file": str(folders[0] / CONFIG_NAME)}
    assert open_renderer(folders[1], places[name], max_seq_length=16).strategy == "words"
    assert open_renderer(None, places[name]).strategy == "words"


def test_a_named_renderer_that_is_none(folders: tuple[Path, Path]) -> None:
    with pytest.raises(FileNotFoundError, match="without has no"):
        open_renderer(folders[0], folders[1])
    with pytest.raises(FileNotFoundError, match="no model folder 'trigrams'"):
        open_renderer(folders[0], "trigrams")
    (folders[1] / CONFIG_NAME).write_text(json.dumps({"strategy": "trigrams"}), encoding="utf-8")
    with pytest.raises(ValueError, match="trigrams"):
        open_renderer(folders[1])
