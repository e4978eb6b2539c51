from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertModel,
)

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

HEADS: list[type[PixelPreTrainedModel]] = [
    PixelForTokenClassification,
    PixelForBiaffineParsing,
    PixelForSequenceClassification,
    PixelForQuestionAnswering,
]
PIXELS = torch.randint(0, 256, (2, 16, 320), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def config() -> PixelConfig:
    torch.manual_seed(0)
    return PixelConfig.named("nano", max_seq_length=64, num_labels=5)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    PixelForPreTraining(config()).save_pretrained(folder)
    return folder


def assert_same_weights(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize("model_class", [PixelModel, PixelForPreTraining, *HEADS])
def test_round_trip(tmp_path: Path, model_class: type[PixelPreTrainedModel]) -> None:
    model = model_class(config())
    model.save_pretrained(tmp_path)
    again, info = model_class.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert_same_weights(again.state_dict(), model.state_dict())
    trainable = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert trainable == {name: parameter.requires_grad for name, parameter in again.named_parameters()}


def test_resized_round_trip(tmp_path: Path) -> None:
    model = PixelForPreTraining(config())
    model.resize_positions(100)
    model.save_pretrained(tmp_path)
    again = PixelForPreTraining.from_pretrained(tmp_path)
    assert again.config.max_patches == 100
    assert_same_weights(again.state_dict(), model.state_dict())


@pytest.mark.parametrize(
    ("auto_class", "model_class"),
    [
        (AutoModel, PixelModel),
        (AutoModelForPreTraining, PixelForPreTraining),
        (AutoModelForTokenClassification, PixelForTokenClassification),
        (AutoModelForSequenceClassification, PixelForSequenceClassification),
        (AutoModelForQuestionAnswering, PixelForQuestionAnswering),
    ],
)
def test_auto_classes(pretrained: Path, auto_class: type, model_class: type) -> None:
    assert type(AutoConfig.from_pretrained(pretrained)) is PixelConfig
    assert type(auto_class.from_pretrained(pretrained)) is model_class


@pytest.mark.parametrize("head", HEADS)
def test_a_pretrained_encoder_loads_into_every_head(
    pretrained: Path, head: type[PixelPreTrainedModel]
) -> None:
    model, info = head.from_pretrained(pretrained, output_loading_info=True)
    assert not info["unexpected_keys"]
    assert info["missing_keys"]
    assert not [key for key in info["missing_keys"] if key.startswith(("vit.encoder", "vit.embeddings"))]
    encoder = PixelForPreTraining.from_pretrained(pretrained).vit.state_dict()
    for name, value in encoder.items():
        assert torch.equal(value, model.vit.state_dict()[name]), name
    assert model.vit.embeddings.position_embeddings.requires_grad


@pytest.mark.parametrize(
    ("head", "new"),
    [
        (PixelForTokenClassification, "classifier"),
        (PixelForBiaffineParsing, "biaffine_arcs, biaffine_rels, vit.pooler.dense"),
        (PixelForSequenceClassification, "classifier, pooler.linear, pooler.ln"),
        (PixelForQuestionAnswering, "qa_outputs"),
    ],
)
def test_new_weights_are_named_in_one_line(
    pretrained: Path, capfd: pytest.CaptureFixture[str], head: type[PixelPreTrainedModel], new: str
) -> None:
    with warnings_on_stderr():
        PixelModel.from_pretrained(pretrained)
        head.from_pretrained(pretrained)
    lines = [line for line in capfd.readouterr().err.splitlines() if line and "Loading weights" not in line]
    assert lines == [f"{head.__name__}: new weights, not from {pretrained}, to be trained: {new}"]


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Whatever this project or transformers logs, as a user sees it."""
    handler = logging.StreamHandler(sys.stderr)
    loggers = [logging.getLogger(name) for name in ("pixel_m4", "transformers")]
    before = [logger.handlers for logger in loggers]
    for logger in loggers:
        logger.handlers = [handler]
    try:
        yield
    finally:
        for logger, handlers in zip(loggers, before, strict=True):
            logger.handlers = handlers


def test_weights_that_a_head_does_not_use_load_silently(tmp_path: Path) -> None:
    PixelForBiaffineParsing(config()).save_pretrained(tmp_path)
    _, info = PixelModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info


@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_weights(tmp_path: Path, zipped: bool) -> None:
    model = PixelForTokenClassification(config())
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    again = PixelForTokenClassification.from_pretrained(tmp_path)
    assert_same_weights(again.state_dict(), model.state_dict())


def test_a_seed_gives_a_model() -> None:
    assert_same_weights(PixelModel(config()).state_dict(), PixelModel(config()).state_dict())


# Broken checkpoints


def test_another_architecture(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="'bert' model"):
        PixelModel.from_pretrained(tmp_path)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    config().save_pretrained(tmp_path)
    with pytest.raises(OSError, match=str(tmp_path)):
        PixelModel.from_pretrained(tmp_path)


def test_a_folder_without_configuration(tmp_path: Path, pretrained: Path) -> None:
    shutil.copy(pretrained / "model.safetensors", tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}.*config.json"):
        PixelModel.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        PixelModel.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.99])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_truncated_weights(tmp_path: Path, file: str, share: float) -> None:
    model = PixelModel(config())
    model.save_pretrained(tmp_path)
    if file == "pytorch_model.bin":
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / file)
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=rf"{file}.*damaged"):
        PixelModel.from_pretrained(tmp_path)


class Malice:
    """Creates a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.victim),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_is_never_run(tmp_path: Path, zipped: bool) -> None:
    victim = tmp_path / "victim"
    config().save_pretrained(tmp_path)
    content = {"vit.layernorm.weight": Malice(victim)}
    if zipped:
        torch.save(content, tmp_path / "pytorch_model.bin")
    else:
        (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"pytorch_model.bin.*more than tensors"):
        PixelModel.from_pretrained(tmp_path)
    assert not victim.exists()


def test_weights_of_another_size(tmp_path: Path, pretrained: Path) -> None:
    shutil.copy(pretrained / "model.safetensors", tmp_path)
    PixelConfig.named("nano", max_seq_length=64, hidden_size=96).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"model.safetensors: .* is \[.*48\], but .* \[.*96\] \(50 more"):
        PixelModel.from_pretrained(tmp_path)


def test_a_head_of_another_size_on_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    PixelForTokenClassification(config()).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"classifier.bias is \[5\], .* makes it \[9\]"):
        PixelForTokenClassification.from_pretrained(tmp_path, num_labels=9)
    caplog.clear()
    model = PixelForTokenClassification.from_pretrained(tmp_path, num_labels=9, ignore_mismatched_sizes=True)
    assert model.classifier.weight.shape == (9, 48)
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("pixel_m4")]
    assert line.endswith("to be trained: classifier")


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    sizes = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96}
    BertModel(BertConfig(vocab_size=9, max_position_embeddings=9, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'bert' model"):
        PixelModel.from_pretrained(tmp_path)
    config().save_pretrained(tmp_path)  # a wrong configuration beside them does not help
    with pytest.raises(ValueError, match=r"model.safetensors lacks \d+ weights of the encoder"):
        PixelModel.from_pretrained(tmp_path)


def test_too_few_layers(tmp_path: Path) -> None:
    PixelForTokenClassification(config()).save_pretrained(tmp_path)
    PixelConfig.named("nano", max_seq_length=64, num_labels=5, num_hidden_layers=4).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"lacks 16 weights of the encoder, such as vit.encoder.layer.3"):
        PixelForTokenClassification.from_pretrained(tmp_path)
