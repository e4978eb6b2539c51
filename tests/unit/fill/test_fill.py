from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from pixel_m4.cli.main import main
from pixel_m4.fill.hiding import Hiding
from pixel_m4.fill.reading import UnitReader
from pixel_m4.fill.run import fill, load
from pixel_m4.model import PixelConfig, PixelForPreTraining, PixelForTokenClassification, PixelModel
from pixel_m4.render import TextRenderer

TEXT = "My cat loves oatmeal."
SENTENCES = [TEXT, "我的猫喜欢燕麦片。", "القط يحب الشوفان"]


def nano(**options: object) -> PixelForPreTraining:
    torch.manual_seed(0)
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return PixelForPreTraining(PixelConfig.named("nano", max_seq_length=64, **dropout, **options)).eval()


def taught(
    renderer: TextRenderer, steps: int, sentences: list[str], **options: object
) -> PixelForPreTraining:
    """A model that knows sentences by heart."""
    model = nano(**options).train()
    batch = renderer.batch((sentences * 12)[:12], return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        model(**batch, mask_ratio=0.4).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=64)


@pytest.fixture(scope="module")
def model(renderer: TextRenderer, tmp_path_factory: pytest.TempPathFactory) -> PixelForPreTraining:
    """Taught once for all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "taught"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            taught(renderer, 400, SENTENCES).save_pretrained(shared)
    return PixelForPreTraining.from_pretrained(shared).eval()


@pytest.fixture(scope="module")
def folder(
    model: PixelForPreTraining, renderer: TextRenderer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("model")
    model.save_pretrained(path)
    renderer.save_pretrained(path)
    return path


@pytest.mark.parametrize("text", SENTENCES)
def test_a_model_that_knows_a_text_by_heart_writes_it(
    model: PixelForPreTraining, renderer: TextRenderer, text: str
) -> None:
    hiding = Hiding(words=[2]) if " " in text else Hiding(strings=["猫喜"])
    filled = fill(model, renderer, text, hiding)
    (gap,) = filled.gaps
    assert gap.readings[0].text == gap.truth
    assert filled.filled == text
    assert filled.loss == pytest.approx(gap.readings[0].distance, abs=0.02)
    untaught = fill(nano(), renderer, text, hiding)
    assert untaught.gaps[0].readings[0].text != gap.truth
    assert untaught.filled != text
    start, stop = 16 * gap.patches[0], 16 * gap.patches[1]
    hidden = [np.abs(strip.pixel_values[:, start:stop].astype(float)) for strip in filled.strips]
    other = untaught.reconstructed.pixel_values[:, start:stop]
    assert np.abs(hidden[0] - hidden[2]).mean() < np.abs(hidden[0] - other).mean() / 2


def test_holes_and_their_pixels(model: PixelForPreTraining, renderer: TextRenderer) -> None:
    filled = fill(model, renderer, "My [MASK] loves [MASK:5]", top=3)
    assert filled.filled == TEXT
    assert filled.loss is None
    assert [gap.truth for gap in filled.gaps] == [None, None]
    assert [gap.patches for gap in filled.gaps] == [(2, 4), (7, 12)]
    assert [len(gap.readings) for gap in filled.gaps] == [3, 3]
    original = renderer(TEXT).pixel_values[:, : 13 * 16].astype(float)
    # Mean and deviation of the best reading, which is right here, make the painted patches as dark as these.
    hole = np.repeat(filled.mask, 16)
    painted = filled.reconstructed.pixel_values.astype(float)[:, hole]
    assert painted.mean() == pytest.approx(original[:, hole].mean(), abs=4)
    assert np.abs(painted - original[:, hole]).mean() < 16
    assert (filled.original.pixel_values == filled.masked.pixel_values).all()
    assert (filled.masked.pixel_values[:, 32:64] == 160).all()


@pytest.mark.slow
def test_raw_pixels(renderer: TextRenderer) -> None:
    filled = fill(taught(renderer, 400, [TEXT], norm_pix_loss=False), renderer, TEXT, Hiding(words=[2]))
    assert filled.filled == TEXT
    original, _, painted = (strip.pixel_values.astype(float) for strip in filled.strips)
    assert np.abs(original - painted).mean() < 5


def test_strips(model: PixelForPreTraining, renderer: TextRenderer) -> None:
    filled = fill(model, renderer, TEXT, Hiding(patches=[0, 5]))
    plain = renderer(TEXT).pixel_values[:, : 16 * 13]
    np.testing.assert_array_equal(filled.original.pixel_values, plain)
    seen = np.repeat(~filled.mask, 16)
    assert seen.sum() == 11 * 16
    for strip in (filled.masked, filled.reconstructed):
        np.testing.assert_array_equal(strip.pixel_values[:, seen], plain[:, seen])
    assert (filled.masked.pixel_values[:, ~seen] == 160).all()
    assert (filled.reconstructed.pixel_values[:, ~seen] != 160).any()


def test_the_loss_is_the_model_s(model: PixelForPreTraining, renderer: TextRenderer) -> None:
    filled = fill(model, renderer, TEXT, Hiding(ratio=0.5, seed=3))
    batch = renderer.batch([TEXT], return_tensors="pt")
    mask = torch.from_numpy(filled.mask)[None].float()
    with torch.no_grad():
        expected = model(**batch, patch_mask=mask, mask_ratio=(float(mask.sum()) - 0.5) / mask.shape[1])
    assert torch.equal(expected.mask, mask)
    assert filled.loss == pytest.approx(float(expected.loss), rel=1e-5)


@pytest.mark.parametrize("strategy", ["graphemes", "words", "continuous"])
@pytest.mark.parametrize("norm_pix_loss", [True, False])
def test_other_strategies(strategy: str, norm_pix_loss: bool) -> None:
    renderer = TextRenderer(strategy=strategy, max_seq_length=64)
    filled = fill(nano(norm_pix_loss=norm_pix_loss), renderer, "My [MASK] loves oatmeal.", Hiding(words=[3]))
    assert filled.loss is not None
    assert len(filled.gaps) == (0 if strategy == "continuous" else 2)
    assert filled.reconstructed.pixel_values.shape == filled.original.pixel_values.shape


def test_colour() -> None:
    renderer = TextRenderer(rgb=True, max_seq_length=64)
    filled = fill(nano(), renderer, TEXT, Hiding(words=[2]))
    assert filled.reconstructed.pixel_values.shape == (16, 13 * 16, 3)
    assert filled.gaps[0].readings


def test_a_published_format(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(shared / "goldens" / "model" / "pretraining")
    out = tmp_path / "strips.png"
    command = ["fill", "--model", folder, "My [MASK:3] loves", "--mask_words", "3", "--output", str(out)]
    assert main(command) == 1  # it has no renderer
    assert "--renderer" in capsys.readouterr().err
    command += ["--renderer", "bigrams"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "patches 5-7, was 'loves'" in printed
    assert printed.count("probability") == 10
    assert Image.open(out).size == (9 * 16 * 2, 3 * 32 + 2 * 8)


@pytest.mark.slow
def test_preview_and_units_of_a_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "units.txt").write_text("cat dog\n")
    command = [
        "fill",
        "--model",
        str(folder),
        TEXT,
        "--mask",
        "cat",
        "--units",
        str(tmp_path / "units.txt"),
    ]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{TEXT} → {TEXT}\nloss 0.")
    assert "patches 2-3, was 'cat'" in out
    readings = re.findall(r"probability \S+ +distance \S+  (.*)", out)
    assert readings[0] == "cat"
    assert len(set(readings)) == 5
    assert all(re.fullmatch("(ca|do|t ?|g ?){2}", reading) for reading in readings)
    assert "▀" in out


def test_json_of_a_file_and_of_standard_input(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("My [MASK] loves oatmeal.\nMy cat [MASK:3] oatmeal.\n")
    command = ["fill", "--model", str(folder), "--json", "--top", "2"]
    assert main([*command, "--file", str(path)]) == 0
    out = capsys.readouterr().out
    one, two = map(json.loads, out.splitlines())
    assert one["filled"] == two["filled"] == TEXT
    assert one["masked_patches"] == [2, 3]
    (gap,) = one["gaps"]
    assert gap["patches"] == [2, 4]
    assert gap["chars"] == [3, 9]
    assert gap["truth"] is None
    assert gap["readings"][0]["units"] == ["ca", "t"]
    assert one["loss"] is None
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert main(command) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([TEXT], "nothing is masked: write [MASK] into the text"),
        ([TEXT, "--mask_words", "7"], "there is no word 7 to mask: the text has 4"),
        ([TEXT, "--mask_words", "x"], "'x' is no number or range of words"),
        ([TEXT, "--mask_patches", "99"], "there is no patch 99 to mask"),
        ([TEXT, "--mask", "dog"], "there is no 'dog' to mask"),
        ([TEXT * 20, "--mask_words", "1"], "and the model has positions for 64; split it"),
        ([TEXT, "--mask_words", "1", "--top", "0"], "top must be at least 1, got 0"),
        ([TEXT, "--mask_words", "1", "--temperature", "0"], "temperature must be positive"),
        ([TEXT, "--mask_words", "1", "--output", "a.gif"], "--output must end in .png: a.gif"),
        ([TEXT, "--mask_words", "1", "--units", "none.txt"], "none.txt"),
    ],
)
def test_errors(folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill", "--model", str(folder), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_errors_name_the_line_of_a_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("a [MASK]\nb\n")
    assert main(["fill", "--model", str(folder), "--json", "--file", str(path)]) == 1
    assert f"{path}:2: nothing is masked" in capsys.readouterr().err


def test_models_without_a_decoder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = PixelConfig.named("nano", max_seq_length=64, num_labels=3)
    PixelForTokenClassification(config).save_pretrained(tmp_path / "tagger")
    assert main(["fill", "--model", str(tmp_path / "tagger"), "a [MASK]"]) == 1
    error = capsys.readouterr().err
    assert "tagger holds no decoder" in error
    assert "it is a PixelForTokenClassification; give a pretraining checkpoint" in error
    # A configuration that promises more than the weights hold.
    PixelModel(config).save_pretrained(tmp_path / "liar")
    path = tmp_path / "liar" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": ["PixelForPreTraining"]}))
    with pytest.raises(ValueError, match=r"decoder\.\S+ and others are missing"):
        load(str(tmp_path / "liar"))
    with pytest.raises(FileNotFoundError, match="no model folder"):
        load(str(tmp_path / "none"))


def test_what_does_not_fit_together(
    model: PixelForPreTraining, renderer: TextRenderer, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="max_seq_length 529 exceeds the 64 patches"):
        fill(model, TextRenderer(), "a [MASK]")
    reader = UnitReader(renderer, ["a"], normalised=False)
    with pytest.raises(ValueError, match="norm_pix_loss is True; give a reader with normalised=True"):
        fill(model, renderer, "a [MASK]", reader=reader)
    model.save_pretrained(tmp_path)
    TextRenderer(pixels_per_patch=24).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="draws patches of 24 pixels, and the model takes 16"):
        load(str(tmp_path))
