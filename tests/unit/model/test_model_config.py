from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from pixel_m4.model import PixelConfig, PixelForPreTraining


def test_defaults_are_the_published_base_model() -> None:
    config = PixelConfig()
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (768, 12, 12)
    assert config.image_size == [16, 8464]
    assert config.max_patches == config.max_seq_length == 529
    assert config.mask_ratio == 0.25
    assert config.pooling_mode == "mean"


@pytest.mark.parametrize(
    ("name", "encoder", "everything"),
    [("base", 86_054_400, 112.3), ("small", 21_793_536, 25.6), ("tiny", 5_588_352, 6.6)],
)
def test_named_sizes(name: str, encoder: int, everything: float) -> None:
    with torch.device("meta"):
        model = PixelForPreTraining(PixelConfig.named(name))
    assert model.vit.num_parameters() == encoder
    assert round(model.num_parameters() / 1e6, 1) == everything


def test_named_takes_overrides() -> None:
    config = PixelConfig.named("nano", max_seq_length=64, hidden_dropout_prob=0.0, num_labels=7)
    assert config.image_size == [16, 1024]
    assert config.hidden_dropout_prob == 0
    assert config.num_labels == 7


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"'huge'.*base, large, small, tiny, nano"):
        PixelConfig.named("huge")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_seq_length": 500}, r"500.*484 \(22²\) and 529 \(23²\)"),
        ({"max_seq_length": 0}, r"got 0|multiple"),
        ({"image_size": [16, 1000]}, "multiple of patch_size 16, got 1000"),
        ({"image_size": [32, 1024]}, r"image_size .* got \[32, 1024\]"),
        ({"hidden_size": 770}, "770 and 12"),
        ({"decoder_hidden_size": 100}, "decoder_hidden_size .* 100 and 16"),
        ({"hidden_size": 6, "num_attention_heads": 2}, "multiple of 4.* 6"),
        ({"patch_size": 0}, "patch_size must be positive, got 0"),
        ({"pooling_mode": "sum"}, "pma8, got 'sum'"),
        ({"mask_ratio": 1.0}, "mask_ratio .* 1.0"),
        ({"hidden_dropout_prob": 2}, "hidden_dropout_prob .* 2"),
    ],
)
def test_impossible_sizes(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelConfig(**options)


def test_stray_keys_of_old_checkpoints(tmp_path: Path) -> None:
    stray = {"interpolate_pos_encoding": False, "pad_token_id": -100, "transformers_version": "4.28.0"}
    labels = {"id2label": {"0": "_", "1": "acl"}, "label2id": {"_": 0, "acl": 1}}
    old = {"model_type": "pixel", "hidden_size": 48, "num_attention_heads": 4, "image_size": [16, 1024]}
    (tmp_path / "config.json").write_text(json.dumps(old | stray | labels))
    config = PixelConfig.from_pretrained(tmp_path)
    assert config.hidden_size == 48
    assert config.id2label == {0: "_", 1: "acl"}
    assert config.num_labels == 2


def test_round_trip(tmp_path: Path) -> None:
    config = PixelConfig.named(
        "nano", pooling_mode="max", max_seq_length=100, id2label={0: "a", 1: "b", 2: "c"}
    )
    config.save_pretrained(tmp_path)
    assert PixelConfig.from_pretrained(tmp_path).to_dict() == config.to_dict()
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["image_size"] == [16, 1600]
    assert "max_seq_length" not in saved


def test_another_architecture(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 768}))
    with pytest.raises(ValueError, match="'bert' model"):
        PixelConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_act", "geluu"),
        ("layer_norm_eps", 10**400),
        ("mask_ratio", 10**400),
        ("hidden_act", None),
        ("image_size", 224),
        ("image_size", "16,1024"),
        ("image_size", [16, "1024"]),
        ("image_size", [16, 1024.0]),
        ("image_size", [16]),
        ("image_size", [16, -16]),
        ("hidden_size", "120"),
        ("hidden_size", -48),
        ("hidden_size", 50),
        ("hidden_size", 48.0),
        ("num_hidden_layers", True),
        ("num_hidden_layers", 0),
        ("decoder_num_hidden_layers", -1),
        ("decoder_intermediate_size", None),
        ("num_attention_heads", 0),
        ("num_channels", 0),
        ("patch_size", [16, 16]),
        ("qkv_bias", "false"),
        ("norm_pix_loss", 1),
        ("padding_competes", "no"),
        ("unpad_inputs", 0),
        ("hidden_dropout_prob", "0.1"),
        ("attention_probs_dropout_prob", -0.1),
        ("attention_probs_dropout_prob", float("nan")),
        ("mask_ratio", 1),
        ("mask_ratio", -0.25),
        ("layer_norm_eps", -1e-12),
        ("initializer_range", float("inf")),
        ("max_seq_length", "49"),
        ("num_labels", "3"),
        ("id2label", ["a", "b"]),
        ("id2label", {"a": 0}),
        ("id2label", {"0": "a", "2": "b"}),
        ("label2id", {"a": "x"}),
        ("problem_type", "classification"),
        ("architectures", "PixelModel"),
        ("output_hidden_states", "yes"),
        ("return_dict", "no"),
        ("dtype", "float33"),
    ],
)
def test_a_wrong_value_is_named_with_its_file(tmp_path: Path, field: str, value: object) -> None:
    saved = PixelConfig.named("nano", max_seq_length=64).to_dict()
    (tmp_path / "config.json").write_text(json.dumps({**saved, field: value}))
    file, shown = re.escape(str(tmp_path / "config.json")), re.escape(repr(value))
    with pytest.raises(ValueError, match=f"^{file}: .*{field}") as caught:
        PixelConfig.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)
    if not isinstance(value, dict | list):
        assert re.search(shown, str(caught.value))
    with pytest.raises(ValueError, match=field):
        PixelConfig(**{**saved, field: value})


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "[1]", "3", "null", '"x"', "", "{", "{'hidden_size': 48}", "\0\1"]
)
def test_a_file_that_is_no_json_object(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / "config.json"))) as caught:
        PixelConfig.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_changes_are_checked_as_the_file_is(tmp_path: Path) -> None:
    PixelConfig.named("nano", max_seq_length=64, id2label={0: "a", 1: "b"}).save_pretrained(tmp_path)
    changed = PixelConfig.from_pretrained(
        tmp_path, max_seq_length=49, hidden_dropout_prob=0.0, num_labels=3, problem_type="regression"
    )
    assert (changed.image_size, changed.hidden_dropout_prob, changed.num_labels) == ([16, 784], 0.0, 3)
    assert PixelConfig.from_pretrained(tmp_path, image_size=[16, 784]).max_seq_length == 49
    assert PixelConfig.from_pretrained(tmp_path, num_labels=2).id2label == {0: "a", 1: "b"}
    for wrong in (
        {"max_seq_length": 50},
        {"hidden_dropout_prob": 2},
        {"hidden_act": "geluu"},
        {"qkv_bias": "false"},
        {"num_labels": "3"},
        {"problem_type": "x"},
    ):
        with pytest.raises(ValueError, match=f"^(?!.*config.json).*{next(iter(wrong.values()))}"):
            PixelConfig.from_pretrained(tmp_path, **wrong)


def test_options_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PixelConfig.named("nano", max_seq_length=64).save_pretrained(tmp_path / "inside")
    options = {"revision": "main", "cache_dir": str(tmp_path), "local_files_only": True, "token": None}
    assert PixelConfig.from_pretrained(tmp_path, subfolder="inside", **options).max_patches == 64
    with pytest.raises(FileNotFoundError, match=r"other' has no config\.json"):
        PixelConfig.from_pretrained(tmp_path, subfolder="other", **options)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert PixelConfig.from_pretrained("~/inside").max_patches == 64
    assert PixelConfig.from_pretrained(tmp_path / "inside" / "config.json").max_patches == 64
    with pytest.raises(FileNotFoundError, match="~/nowhere"):
        PixelConfig.from_pretrained("~/nowhere")
