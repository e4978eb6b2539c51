from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixel_m4.cli.main import main
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
from pixel_m4.model.export import (
    Arrays,
    Outputs,
    check_against_pytorch,
    compare,
    load_for_export,
    open_session,
    outputs_of,
    quantise,
    random_inputs,
    real_places,
    to_onnx,
)

Model = type[PixelPreTrainedModel]

CASES: list[tuple[Model, dict[str, Any]]] = [
    (PixelModel, {}),
    (PixelModel, {"position_embedding_type": "rotary", "rope_theta": 20}),
    (PixelForTokenClassification, {}),
    (PixelForBiaffineParsing, {}),
    (PixelForSequenceClassification, {"pooling_mode": "mean"}),
    (PixelForSequenceClassification, {"pooling_mode": "max"}),
    (PixelForSequenceClassification, {"pooling_mode": "cls"}),
    (PixelForSequenceClassification, {"pooling_mode": "pma5"}),
    (PixelForQuestionAnswering, {}),
]


def needs_extra() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra `export`: pip install 'pixel-m4[export]'")


def make(model: Model, **options: Any) -> PixelPreTrainedModel:
    """A model whose every weight matters: new biaffine weights are 0, and norms do nothing."""
    torch.manual_seed(0)
    made = model(PixelConfig.named("nano", max_seq_length=64, num_labels=5, **options)).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, mean=0.05, std=0.1)
    return made


class FakeSession:
    """Answers what PyTorch answers, and something on top."""

    def __init__(self, model: PixelPreTrainedModel, **errors: float | np.ndarray) -> None:
        self.model, self.errors = model, errors

    def run(self, names: list[str], inputs: Arrays) -> list[np.ndarray]:
        with torch.inference_mode():
            outputs = Outputs(self.model, names)(*(torch.from_numpy(value) for value in inputs.values()))
        return [
            output.numpy() + self.errors.get(name, 0.0) for name, output in zip(names, outputs, strict=True)
        ]


# Exports (a dozen seconds each)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "options"), CASES)
def test_export(model: Model, options: dict[str, Any]) -> None:
    needs_extra()
    made = make(model, **options)
    content = to_onnx(made)
    largest = check_against_pytorch(made, content)
    assert set(largest) == set(outputs_of(made))
    assert max(largest.values()) < 5e-5
    session = open_session(content)
    shapes = {value.name: value.shape for value in session.get_inputs()}
    assert shapes["pixel_values"] == ["batch", 16, "16*patches"]
    assert shapes["attention_mask"] == ["batch", "patches"]
    assert ("word_starts" in shapes) == (model is PixelForBiaffineParsing)
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["architecture"] == model.__name__
    assert facts["max_seq_length"] == "64"
    assert len(json.loads(facts["id2label"])) == 5
    for batch, patches in ((5, 2), (1, 33)):
        for difference in compare(made, session, random_inputs(made, batch, patches, 6, seed=9)).values():
            assert difference.close

    small = quantise(content)
    assert len(small) < 0.82 * len(content)
    inputs = random_inputs(made, 12, 40, 9, seed=1)
    for difference in compare(made, open_session(small), inputs).values():
        assert 0 < difference.mean < 0.05 * difference.scale
        assert difference.agreement is None or difference.agreement > 0.6


@pytest.mark.slow
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs_extra()
    make(PixelForBiaffineParsing).save_pretrained(tmp_path / "model")
    output = tmp_path / "new" / "parser.onnx"
    assert main(["export", str(tmp_path / "model"), str(output), "--int8", "--renderer", "bigrams"]) == 0
    out = capsys.readouterr().out
    assert "rel_logits differs from PyTorch by at most" in out
    assert "arc_logits in int8: off by" in out
    assert "the same choice in" in out
    assert f"PixelForBiaffineParsing written to {output}" in out
    assert [file.name for file in output.parent.iterdir()] == ["parser.onnx"]
    assert {value.name for value in open_session(output.read_bytes()).get_outputs()} == {
        "arc_logits",
        "rel_logits",
    }


@pytest.mark.slow
def test_a_short_model() -> None:
    needs_extra()
    made = PixelModel(PixelConfig.named("nano", max_seq_length=4)).eval()
    check_against_pytorch(made, to_onnx(made))


# Quick


def test_a_pretraining_checkpoint_gives_its_encoder(tmp_path: Path) -> None:
    PixelForPreTraining(PixelConfig.named("nano", max_seq_length=16)).bfloat16().save_pretrained(tmp_path)
    model = load_for_export(str(tmp_path), PixelForPreTraining)
    assert type(model) is PixelModel
    assert model.dtype == torch.float32
    assert not model.training


def test_only_known_models() -> None:
    with pytest.raises(ValueError, match="PixelForPreTraining cannot be exported"):
        outputs_of(PixelForPreTraining(PixelConfig.named("nano", max_seq_length=16)))


def test_random_inputs_are_good_and_various() -> None:
    made = make(PixelForBiaffineParsing)
    inputs = random_inputs(made, 4, 9, 5, seed=2)
    assert inputs["pixel_values"].shape == (4, 16, 144)
    assert inputs["attention_mask"][0].all()
    assert not inputs["attention_mask"].all()
    assert (inputs["word_starts"] == -100).any()
    with torch.inference_mode():  # refuses bad word starts
        made(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    assert list(random_inputs(make(PixelModel), 1, 1, 1)) == ["pixel_values", "attention_mask"]


@pytest.mark.parametrize(("model", "options"), CASES)
def test_no_difference(model: Model, options: dict[str, Any]) -> None:
    made = make(model, **options)
    for difference in compare(made, FakeSession(made), random_inputs(made, 3, 8, 4)).values():
        assert (difference.mean, difference.largest) == (0, 0)
        assert difference.agreement == (None if model is PixelModel else 1)
        assert difference.close


def test_a_difference() -> None:
    made = make(PixelForTokenClassification)
    inputs = random_inputs(made, 3, 8, 4)
    error = np.zeros((3, 8, 5))
    error[0, 2] = [0, 100, 0, 0, 0]
    difference = compare(made, FakeSession(made, logits=error), inputs)["logits"]
    real = inputs["attention_mask"].sum()
    assert difference.largest == pytest.approx(100)
    assert difference.mean == pytest.approx(100 / (5 * real))
    assert difference.agreement in (1, pytest.approx(1 - 1 / real))
    assert not difference.close


def test_padding_does_not_count() -> None:
    for model in (
        PixelModel,
        PixelForTokenClassification,
        PixelForBiaffineParsing,
        PixelForQuestionAnswering,
    ):
        made = make(model)
        inputs = random_inputs(made, 3, 8, 4)
        outputs = FakeSession(made).run(list(outputs_of(made)), inputs)
        padding = {
            name: np.where(real_places(name, inputs, output), 0.0, 1e3)
            for name, output in zip(outputs_of(made), outputs, strict=True)
        }
        assert all(error.any() for error in padding.values())
        for difference in compare(made, FakeSession(made, **padding), inputs).values():
            assert difference.largest == 0
            assert difference.agreement in (None, 1)


def test_heads_that_are_no_words_do_not_count() -> None:
    inputs = {"word_starts": np.array([[0, 2, 3, -1]]), "attention_mask": np.ones((1, 4), np.int64)}
    real = real_places("arc_logits", inputs, np.zeros((1, 3, 4)))
    # Two words, and the root before them, may be heads of the two.
    assert real[0].astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("error", [0.01, np.nan])
def test_a_wrong_export_is_refused(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    made = make(PixelForQuestionAnswering)
    fake = FakeSession(made, end_logits=error)
    monkeypatch.setattr("pixel_m4.model.export.open_session", lambda _: fake)
    with pytest.raises(ValueError, match="differs from PyTorch: end_logits"):
        check_against_pytorch(made, b"")


def test_tolerance_grows_with_the_values() -> None:
    made = make(PixelForTokenClassification)
    for parameter in made.classifier.parameters():
        parameter.data *= 1000
    inputs = random_inputs(made, 1, 8, 4)
    difference = compare(made, FakeSession(made, logits=1e-3), inputs)["logits"]
    assert difference.close == (difference.scale > 10)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["export", *arguments]) == 1
    return capsys.readouterr().err


def test_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "must end in .onnx, got out.pt" in fails(capsys, str(tmp_path), "out.pt")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "onnxscript", None)
        patch.setitem(sys.modules, "onnx", sys)
        assert "pip install 'pixel-m4[export]'" in fails(capsys, str(tmp_path), "out.onnx")
    monkeypatch.setattr("pixel_m4.model.export.check_extra", lambda: None)
    assert "has no config.json" in fails(capsys, str(tmp_path), "out.onnx")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert "'bert' model" in fails(capsys, str(tmp_path), "out.onnx")
