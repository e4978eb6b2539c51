from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
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


@pytest.mark.parametrize("saved", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_become_float32_unless_asked(tmp_path: Path, saved: torch.dtype) -> None:
    """A checkpoint in 16 bits must not make training and CPUs work in 16 bits unasked."""
    PixelModel(config()).to(saved).save_pretrained(tmp_path)
    assert PixelModel.from_pretrained(tmp_path).dtype == torch.float32
    assert AutoModel.from_pretrained(tmp_path).dtype == torch.float32
    assert PixelModel.from_pretrained(tmp_path, dtype="auto").dtype == saved
    assert PixelModel.from_pretrained(tmp_path, dtype=torch.bfloat16).dtype == torch.bfloat16


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


@pytest.mark.parametrize(
    ("model_class", "saved", "changed", "place"),
    [
        (PixelModel, {"num_hidden_layers": 4}, {"num_hidden_layers": 2}, "encoder.layer.2"),
        (PixelForTokenClassification, {}, {"num_hidden_layers": 1}, "vit.encoder.layer.1"),
        (PixelForTokenClassification, {}, {"qkv_bias": False}, "attention.key.bias"),
        (PixelForPreTraining, {"decoder_num_hidden_layers": 3}, {}, "decoder.decoder_layers.2"),
        (PixelForSequenceClassification, {}, {"pooler_add_layer_norm": False}, "pooler.ln.bias"),
    ],
)
def test_weights_without_a_place(
    tmp_path: Path, model_class: type[PixelPreTrainedModel], saved: dict, changed: dict, place: str
) -> None:
    options = {"max_seq_length": 64, "num_labels": 5}
    model = model_class(PixelConfig.named("nano", **options, **saved))
    model.save_pretrained(tmp_path)
    PixelConfig.named("nano", **options, **changed).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"model.safetensors: \d+ weights have no place.*{place}") as caught:
        model_class.from_pretrained(tmp_path)
    assert "ignore_unexpected_keys=True" in str(caught.value)
    smaller, info = model_class.from_pretrained(
        tmp_path, ignore_unexpected_keys=True, output_loading_info=True
    )
    assert info["unexpected_keys"]
    assert smaller.num_parameters() < model.num_parameters()


def test_a_weight_that_nobody_knows(tmp_path: Path) -> None:
    PixelModel(config()).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({**weights, "adapter.weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"1 weights have no place in the PixelModel .* adapter.weight"):
        PixelModel.from_pretrained(tmp_path)


def test_weights_under_names_of_another_code(tmp_path: Path) -> None:
    """Such as those of a checkpoint whose names are not known to us: refused, not loaded in part."""
    rotary = PixelConfig.named("nano", max_seq_length=64, position_embedding_type="rotary")
    PixelModel(rotary).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    renamed = {
        f"backbone.{key.replace('attention.attention.query', 'attn.q_proj')}": weights[key] for key in weights
    }
    save_file(renamed, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"lacks \d+ weights of the encoder, such as .*another architecture's"
    ):
        PixelModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("saved", [PixelForPreTraining, *HEADS])
@pytest.mark.parametrize("opened", [PixelModel, PixelForPreTraining, *HEADS])
def test_every_head_gives_its_encoder_to_every_other(
    tmp_path: Path,
    saved: type[PixelPreTrainedModel],
    opened: type[PixelPreTrainedModel],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is left out is said in one line, and so is what is new; another head's classifier is not used."""
    torch.manual_seed(1)
    model = saved(PixelConfig.named("nano", max_seq_length=64, num_labels=5))
    model.save_pretrained(tmp_path)
    caplog.clear()
    caplog.set_level(logging.INFO, logger="pixel_m4")
    again, info = opened.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["unexpected_keys"]
    assert_same_weights(again.base_model.encoder.state_dict(), model.vit.encoder.state_dict())
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("pixel_m4")]
    assert len(lines) == (
        0 if saved is opened else 1 + (opened is not PixelModel) - ("new weights" in lines[0])
    )
    if {saved, opened} == {PixelForTokenClassification, PixelForSequenceClassification}:
        assert not torch.equal(again.classifier.weight, model.classifier.weight)
        assert "to be trained: classifier" in lines[-1]


@pytest.mark.parametrize(
    ("model_class", "lost"),
    [
        (PixelForTokenClassification, "classifier.bias"),
        (PixelForBiaffineParsing, "biaffine_rels.weight"),
        (PixelForBiaffineParsing, "vit.pooler.dense.bias"),
        (PixelForSequenceClassification, "pooler.ln.weight"),
        (PixelForQuestionAnswering, "qa_outputs.bias"),
        (PixelForPreTraining, "decoder.mask_token"),
        (PixelForPreTraining, "decoder.decoder_layers.1.output.dense.weight"),
    ],
)
def test_half_a_head(tmp_path: Path, model_class: type[PixelPreTrainedModel], lost: str) -> None:
    model_class(config()).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({k: v for k, v in weights.items() if k != lost}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=rf"model.safetensors lacks 1 weights of .*such as {lost}"):
        model_class.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("model_class", "how", "length"),
    [
        (PixelForPreTraining, "max_seq_length", 49),
        (PixelModel, "max_seq_length", 64),
        (PixelModel, "image_size", 49),
        (PixelModel, "config", 100),
        (PixelForPreTraining, "auto", 100),
    ],
)
def test_another_length(
    pretrained: Path, model_class: type[PixelPreTrainedModel], how: str, length: int
) -> None:
    if how == "max_seq_length":
        model = model_class.from_pretrained(pretrained, max_seq_length=length)
    elif how == "image_size":
        model = model_class.from_pretrained(pretrained, image_size=[16, 16 * length])
    elif how == "auto":
        auto = AutoModel if model_class is PixelModel else AutoModelForPreTraining
        model = auto.from_pretrained(pretrained, max_seq_length=length)
    else:
        changed = PixelConfig.from_pretrained(pretrained, max_seq_length=length)
        model = model_class.from_pretrained(pretrained, config=changed)
        assert changed.max_patches == length
    expected = model_class.from_pretrained(pretrained)
    expected.resize_positions(length)
    assert model.config.max_patches == length
    assert_same_weights(model.state_dict(), expected.state_dict())
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trainable == {n for n, parameter in expected.named_parameters() if parameter.requires_grad}
    model(pixel_values=PIXELS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_seq_length": 50}, r"50, the nearest squares are 49"),
        ({"max_seq_length": "49"}, "max_seq_length must be a whole number, got '49'"),
        ({"image_size": 224}, "image_size must be .* got 224"),
        ({"hidden_act": "geluu"}, "'geluu'"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob .* 1.5"),
        ({"num_hidden_layers": 2}, "have no place"),
        ({"num_hidden_layers": 4}, "lacks 16 weights"),
        ({"hidden_size": 96}, r"is \[.*48\], but"),
        ({"num_attention_heads": 5}, "48 and 5"),
        ({"unpad_inputs": "yes"}, "'yes'"),
    ],
)
def test_changes_by_keyword(pretrained: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelModel.from_pretrained(pretrained, **options)


def test_changes_by_keyword_are_obeyed(pretrained: Path) -> None:
    model = PixelForSequenceClassification.from_pretrained(
        pretrained,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.5,
        layer_norm_eps=1e-3,
        hidden_act="relu",
        pooling_mode="max",
        num_labels=7,
        unpad_inputs=False,
    )
    layer = model.vit.encoder.layer[0]
    assert (layer.dropout.p, layer.attention.attention.dropout, layer.layernorm_before.eps) == (0, 0.5, 1e-3)
    assert type(layer.activation) is torch.nn.ReLU
    assert (model.pooler.mode, model.classifier.out_features) == ("max", 7)


# Names


def test_options_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = PixelForQuestionAnswering(config())
    model.save_pretrained(tmp_path / "inside")
    options = {"revision": "main", "cache_dir": str(tmp_path), "local_files_only": True, "token": None}
    again = PixelForQuestionAnswering.from_pretrained(tmp_path, subfolder="inside", **options)
    assert_same_weights(again.state_dict(), model.state_dict())
    shorter = PixelModel.from_pretrained(tmp_path, subfolder="inside", max_seq_length=49)
    assert shorter.config.max_patches == 49
    with pytest.raises(FileNotFoundError, match=r"other' has no config\.json"):
        PixelModel.from_pretrained(tmp_path, subfolder="other", **options)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert PixelModel.from_pretrained("~/inside").config.max_patches == 64
    with pytest.raises(FileNotFoundError, match="~/nowhere"):
        PixelModel.from_pretrained("~/nowhere")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("runs/typo", "pixel-m4-tinny", "a/b/c", "./x"):
        with pytest.raises(FileNotFoundError, match=name):
            PixelModel.from_pretrained(name)


@pytest.mark.parametrize("name", ["pixel-m4-tiny", "pixel-m4-tiny-english"])
def test_auto_classes_know_what_the_package_ships(name: str) -> None:
    assert AutoConfig.from_pretrained(name).max_patches == PixelConfig.from_pretrained(name).max_patches
    model = AutoModel.from_pretrained(name, max_seq_length=16)
    assert type(model) is PixelModel
    expected = PixelModel.from_pretrained(pretrained_model_name_or_path=name, max_seq_length=16)
    assert_same_weights(model.state_dict(), expected.state_dict())
    assert type(AutoModelForTokenClassification.from_pretrained(name, num_labels=3)) is (
        PixelForTokenClassification
    )


@pytest.mark.slow
@pytest.mark.parametrize("first", ["pixel_m4", "transformers"])
def test_one_import_is_enough_for_auto_classes(first: str) -> None:
    """And it loads neither torch nor transformers."""
    imports = {
        "pixel_m4": "import pixel_m4, sys; assert not {'torch', 'transformers'} & set(sys.modules)\n"
        "from transformers import AutoConfig",
        "transformers": "from transformers import AutoConfig; import pixel_m4",
    }
    code = f"{imports[first]}\nprint(type(AutoConfig.from_pretrained('pixel-m4-tiny')).__name__)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "PixelConfig\n", run.stderr


def test_auto_classes_of_a_damaged_configuration(tmp_path: Path) -> None:
    config().save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**saved, "hidden_act": "geluu"}))
    with pytest.raises(ValueError, match=rf"^{tmp_path}/config.json: hidden_act .* 'geluu'"):
        AutoModel.from_pretrained(tmp_path)


# Weights files of other kinds


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", [[torch.zeros(3)], torch.zeros(3), {"weights": {"x": torch.zeros(2)}}, 5])
def test_pytorch_files_of_another_shape(tmp_path: Path, content: object) -> None:
    config().save_pretrained(tmp_path)
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin"):
        PixelModel.from_pretrained(tmp_path)


def test_a_part_of_the_weights_is_missing(tmp_path: Path) -> None:
    PixelModel(config()).save_pretrained(tmp_path, max_shard_size="20KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    PixelModel.from_pretrained(tmp_path)
    shards[0].unlink()
    with pytest.raises((ValueError, OSError), match=shards[0].name):
        PixelModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("content", ["[1]", "{", '{"weight_map": 3}', "{}"])
def test_a_damaged_index(tmp_path: Path, content: str) -> None:
    PixelModel(config()).save_pretrained(tmp_path, max_shard_size="20KB")
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises((ValueError, OSError), match=r"model\.safetensors\.index\.json") as caught:
        PixelModel.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


# Calls as in transformers


@pytest.mark.parametrize("model_class", [PixelModel, PixelForPreTraining, *HEADS])
def test_tuples_and_arrays(model_class: type[PixelPreTrainedModel]) -> None:
    model = model_class(config()).eval()
    inputs = {"pixel_values": PIXELS, "attention_mask": torch.ones(2, 20, dtype=torch.long)}
    if model_class is PixelForBiaffineParsing:
        inputs["word_starts"] = torch.tensor([[0, 2, 5], [0, 9, -100]])
    if model_class is PixelForPreTraining:
        inputs["patch_mask"] = (torch.arange(20) < 5).expand(2, -1)
    outputs = model(**inputs, output_hidden_states=True)
    assert type(outputs) is not tuple
    found = model(**inputs, output_hidden_states=True, return_dict=False)
    assert type(found) is tuple
    assert len(found) == len(outputs.to_tuple())
    assert torch.equal(found[0], outputs[0])
    model.config.return_dict = False
    assert type(model(**inputs)) is tuple
    assert type(model(**inputs, return_dict=True)) is type(outputs)
    model.config.return_dict = True
    arrays = {name: value.numpy() for name, value in inputs.items()}
    for value in arrays.values():
        value.flags.writeable = False
    assert torch.equal(model(**arrays)[0], outputs[0])
    assert torch.equal(model(*arrays.values())[0], outputs[0])
    for name, value in (
        ("pixel_values", PIXELS.tolist()),
        ("attention_mask", "x"),
        ("pixel_values", PIXELS.numpy().astype(object)),
    ):
        with pytest.raises(ValueError, match=f"{name} must be a tensor or a NumPy array of numbers, got a"):
            model(**{**inputs, name: value})
    with pytest.raises(ValueError, match="pixel_values must be a tensor or a NumPy array, got None"):
        model(**{**inputs, "pixel_values": None})
