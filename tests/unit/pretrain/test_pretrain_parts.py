from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pixel_m4.model import PixelConfig
from pixel_m4.pretrain import text
from pixel_m4.pretrain.arguments import PretrainArguments, parse_probabilities
from pixel_m4.pretrain.model import check_renderer, make_model
from pixel_m4.pretrain.patch_classes import PatchClassesOutput, widened
from pixel_m4.pretrain.text import hold_out, make_sources, parse_language
from pixel_m4.render import TextRenderer


def test_languages_by_name_config_and_data_set() -> None:
    assert parse_language("hi", "a/b") == ("hi", "a/b", "hi")
    assert parse_language("hi=hin_Deva", "a/b") == ("hi", "a/b", "hin_Deva")
    assert parse_language("en=c/d:sample", "a/b") == ("en", "c/d", "sample")
    for bad in ("=x", "en=", "en=c/d:"):
        with pytest.raises(ValueError, match=bad):
            parse_language(bad, "a/b")


def test_sources_of_several_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        text, "hub_sources", lambda name, configs: {config: (name, config) for config in configs}
    )
    arguments = PretrainArguments(dataset_name="a/b", languages=["en=c/d:sample", "hi"])
    assert make_sources(arguments) == {"en": ("c/d", "sample"), "hi": ("a/b", "hi")}
    with pytest.raises(ValueError, match="hi is there twice"):
        make_sources(PretrainArguments(dataset_name="a/b", languages=["hi", "hi=x"]))


def test_held_out_text_is_found_by_the_names_of_languages(
    tmp_path: Path,
) -> None:
    for language in ("en", "hi", "uk"):
        (tmp_path / f"{language}.txt").write_text("a cat")
    options = {"dataset_name": "a/b", "languages": ["en=c/d:sample", "hi"], "validation_dir": str(tmp_path)}
    sources: dict[str, Any] = {"en": None, "hi": None}
    training, held_out = hold_out(PretrainArguments(**options), sources)
    assert (list(training), list(held_out)) == (["en", "hi"], ["en", "hi"])
    with pytest.raises(ValueError, match="no text of zh"):
        hold_out(PretrainArguments(**options), {**sources, "zh": None})
    same = PretrainArguments(data_dir=str(tmp_path / ".." / tmp_path.name), validation_dir=str(tmp_path))
    with pytest.raises(ValueError, match="is the text to train on"):
        hold_out(same, sources)


def test_probabilities() -> None:
    assert parse_probabilities("en=0.75,hi=0.25") == {"en": 0.75, "hi": 0.25}
    assert parse_probabilities("") is None
    with pytest.raises(ValueError, match="en=True"):
        parse_probabilities("en=true")


def test_a_model_from_nothing() -> None:
    options = {"data_dir": "d", "config_name": "nano", "max_seq_length": 64, "mask_ratio": 0.4}
    centred = make_model(PretrainArguments(**options, config_overrides="num_hidden_layers=1"))
    assert (centred.config.num_hidden_layers, centred.config.mask_ratio) == (1, 0.4)
    assert centred.config.hidden_dropout_prob == centred.config.attention_probs_dropout_prob == 0.1
    assert centred.vit.embeddings.patch_embeddings.projection.bias.any()
    plain = make_model(PretrainArguments(**options, center_pixels=False, norm_pix_loss=False))
    assert not plain.vit.embeddings.patch_embeddings.projection.bias.any()
    assert not plain.config.norm_pix_loss


def test_rotary_positions_are_options() -> None:
    options: dict[str, Any] = {"data_dir": "d", "config_name": "nano", "max_seq_length": 64}
    arguments = PretrainArguments(**options, position_embedding_type="rotary", rope_theta=200)
    model = make_model(arguments)
    assert model.config.rope_theta == 200
    assert model.decoder.decoder_pos_embed is None
    with pytest.raises(ValueError, match="position_embedding_type is absolute"):
        make_model(PretrainArguments(**options, rope_theta=200))


def test_colour_and_the_second_objective_do_not_go_together() -> None:
    options = {"data_dir": "d", "config_name": "nano", "max_seq_length": 64}
    colour, config = TextRenderer(max_seq_length=64, rgb=True), PixelConfig.named("nano", max_seq_length=64)
    check_renderer(PretrainArguments(**options), colour, config)
    with pytest.raises(
        ValueError, match="--patch_classes 8 names grey patches, and the renderer draws in colour"
    ):
        check_renderer(PretrainArguments(**options, patch_classes=8), colour, config)
    with pytest.raises(ValueError, match="draws patches of 24 pixels, and the model takes 16"):
        check_renderer(PretrainArguments(**options), TextRenderer(pixels_per_patch=24), config)


def test_outputs_in_bfloat16_are_widened_before_sums() -> None:
    """As FSDP gives them; in bfloat16 a sum of ones ends at 256."""
    ones = torch.ones(1, 1000, dtype=torch.bfloat16, requires_grad=True)
    outputs = PatchClassesOutput(mask=ones.detach(), patch_losses=ones, class_losses=ones, named=ones > 0)
    wide = widened(outputs)
    assert wide.patch_losses.dtype == wide.mask.dtype == wide.class_losses.dtype == torch.float32
    assert wide.named.dtype == torch.bool
    assert wide.patch_losses.cumsum(1)[0, -1] == 1000
    wide.patch_losses.sum().backward()
    assert ones.grad is not None
    plain = PatchClassesOutput(mask=torch.ones(2, 3), patch_losses=torch.ones(2, 3))
    before = plain.patch_losses
    assert widened(plain).patch_losses is before
