from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from pixel_m4.checkpoint import Checkpoint
from pixel_m4.cli.main import main
from pixel_m4.info.run import _described
from pixel_m4.model import (
    PixelConfig,
    PixelForBiaffineParsing,
    PixelForPreTraining,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
    PixelModel,
    PixelPreTrainedModel,
)
from pixel_m4.model.contents import class_of, dtype_of
from pixel_m4.model.flops import forward_flops, training_flops
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.classification import Classification


def config(**options: object) -> PixelConfig:
    return PixelConfig.named("nano", max_seq_length=64, num_labels=5, **options)


def row(out: str, title: str) -> list[str]:
    """The numbers of a row of the table."""
    (line,) = [line for line in out.splitlines() if f"│ {title} " in line]
    return [cell.strip() for cell in line.split("│")[2:-1]]


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = PixelForTokenClassification(config(id2label=dict(enumerate(["N", "[V]", "A", "P", "X"]))))
    model.half().save_pretrained(tmp_path)
    settings = {"font_size": 8, "strategy": "bigrams", "dpi": 120}
    (tmp_path / "text_renderer_config.json").write_text(json.dumps(settings))
    assert main(["info", str(tmp_path), "--max_seq_length", "30"]) == 0
    out = capsys.readouterr().out
    flat = " ".join(out.split())
    assert "model PixelForTokenClassification" in flat
    assert "encoder 3 layers of width 48, 4 heads, feed-forward 96" in flat
    assert "labels 5: N, [V], A, P, X" in flat
    assert "max_seq_length 64 patches (8²)" in flat
    assert "renderer dpi 120, font_size 8, strategy bigrams" in flat
    assert "float16" in flat
    size = (tmp_path / "model.safetensors").stat().st_size
    assert f"model.safetensors, {size / 1e6:.1f} MB" in flat
    total = sum(parameter.numel() for parameter in model.parameters())
    assert row(out, "parameters") == [f"{total - 245:,}", "0", "245", f"{total:,}"]
    for patches in (64, 30):
        forward = forward_flops(model.config, type(model), patches).total / 1e9
        training = training_flops(model.config, type(model), patches).total / 1e9
        assert row(out, f"GFLOPs, {patches} patches")[-1] == f"{forward:.3f}"
        assert row(out, f"… training step, {patches} patches")[-1] == f"{training:.3f}"


def test_a_named_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "base"]) == 0
    out = capsys.readouterr().out
    assert row(out, "parameters") == ["86,054,400", "26,279,680", "0", "112,334,080"]
    assert "8 layers of width 512" in out
    assert "none here" in out
    assert len(re.findall("GFLOPs", out)) == 1


def test_parsing_says_how_words_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    PixelForBiaffineParsing(config()).save_pretrained(tmp_path)
    assert main(["info", str(tmp_path)]) == 0
    assert "a word for 3 patches" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (PixelModel, {}),
        (PixelForPreTraining, {}),
        (PixelForTokenClassification, {}),
        (PixelForBiaffineParsing, {}),
        (PixelForSequenceClassification, {"pooling_mode": "max"}),
        (PixelForSequenceClassification, {"pooling_mode": "cls"}),
        (PixelForQuestionAnswering, {}),
    ],
)
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_the_head_is_known_with_and_without_architectures(
    tmp_path: Path, model: type[PixelPreTrainedModel], options: dict[str, str], file: str
) -> None:
    made = model(config(**options))
    made.save_pretrained(tmp_path)
    if file == "pytorch_model.bin":
        (tmp_path / "model.safetensors").unlink()
        torch.save(made.state_dict(), tmp_path / file)
    assert Checkpoint.open(tmp_path).model_class is model
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "architectures"})
    )
    checkpoint = Checkpoint.open(tmp_path)
    assert checkpoint.model_class is model
    assert checkpoint.dtypes == ("float32",)
    assert [found.name for found in checkpoint.files] == [file]


def test_published_names_of_architectures() -> None:
    assert class_of(["PIXELForBiaffineParsing"], ["decoder.x"]) is PixelForBiaffineParsing
    assert class_of(["Unheard"], ["decoder.x"]) is PixelForPreTraining


def test_types() -> None:
    assert [dtype_of(code) for code in ("F32", "BF16", "I64", "U8", "BOOL")] == [
        "float32",
        "bfloat16",
        "int64",
        "uint8",
        "bool",
    ]


# Bad input


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["info", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("pixel-m4: ")
    assert error.count("\n") == 1, error
    return error


def test_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no model folder" in fails(capsys, str(tmp_path / "nowhere"))


def test_no_such_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no model folder 'huge', and no size" in fails(capsys, "huge")


def test_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "has no config.json" in fails(capsys, str(tmp_path))


def test_another_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit_mae"}))
    assert "'vit_mae' model (model_type of its config.json), which is neither" in fails(capsys, str(tmp_path))


def test_a_configuration_without_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config().save_pretrained(tmp_path)
    assert main(["info", str(tmp_path)]) == 0
    assert "none here" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str) -> None:
    config().save_pretrained(tmp_path)
    (tmp_path / file).write_bytes(b"PK\x03\x04 not quite")
    assert "damaged" in fails(capsys, str(tmp_path))


def test_damaged_renderer_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config().save_pretrained(tmp_path)
    for content in ("{", "[]"):
        (tmp_path / "text_renderer_config.json").write_text(content)
        assert "text_renderer_config.json" in fails(capsys, str(tmp_path))


def test_no_patches(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--max_seq_length must be at least 1, got 0" in fails(capsys, "nano", "--max_seq_length", "0")


@pytest.mark.parametrize("rgb", [True, False])
def test_an_export_tells_that_colours_become_grey(rgb: bool, tmp_path: Path) -> None:
    small = PixelConfig.named("nano", max_seq_length=16)
    Classification(TextRenderer(max_seq_length=16), ["a", "b"]).configure(small)
    PixelForSequenceClassification(small).save_pretrained(tmp_path)
    TextRenderer(max_seq_length=16, rgb=rgb).save_pretrained(tmp_path)
    described, notes = _described(Checkpoint.open(tmp_path), None, None)
    assert described is not None
    assert any("draws in colour, the file in grey" in note for note in notes) is rgb
