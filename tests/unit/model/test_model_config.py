from __future__ import annotations

import json
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
    with pytest.raises(ValueError, match=r"'huge'.*base, small, tiny, nano"):
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
        ({"pooling_mode": "sum"}, "mean, max, cls, got 'sum'"),
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
