"""Rotary positions: against a slow oracle written from the formula, and in every way to compute a batch."""

from __future__ import annotations

import cmath
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pixel_m4.model import (
    PixelConfig,
    PixelForBiaffineParsing,
    PixelForPreTraining,
    PixelForTokenClassification,
    PixelModel,
    PixelPreTrainedModel,
)
from pixel_m4.model.flops import parameters
from pixel_m4.model.initialisation import begin
from pixel_m4.model.layers import SelfAttention
from pixel_m4.model.positions import rotate, rotation_of, sincos_positions

P = 12
MASK = (torch.arange(P) < torch.tensor([12, 7, 1])[:, None]).long()
KINDS = ("rotary", "rotary_absolute")


def pixels(patches: int = P) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 16, 16 * patches), dtype=torch.uint8, generator=generator)


def config_of(kind: str, **options: Any) -> PixelConfig:
    options = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": 5, **options}
    return PixelConfig.named(
        "nano", max_seq_length=16, position_embedding_type=kind, **{"rope_theta": 20, **options}
    )


def make(model: type[PixelPreTrainedModel], kind: str = "rotary", **options: Any) -> PixelPreTrainedModel:
    """A model whose attention is sharp enough for places to matter."""
    torch.manual_seed(0)
    made = model(config_of(kind, **options))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "query" in name or "key" in name:
                parameter.normal_(std=0.3)
            if "biaffine" in name:
                parameter.normal_(std=0.1)
    return made.eval()


def turned(values: list[float], place: int, theta: float) -> list[float]:
    """The formula of Su et al. (2021), section 3.2.2: pairs of values as complex numbers times exp(i m θ)."""
    half = len(values) // 2
    pairs = [
        complex(values[i], values[i + half]) * cmath.exp(1j * place * theta ** (-2 * i / len(values)))
        for i in range(half)
    ]
    return [pair.real for pair in pairs] + [pair.imag for pair in pairs]


def test_rotation_is_the_formula() -> None:
    states = torch.randn(2, 5, 3, 8, generator=torch.Generator().manual_seed(1))
    places = torch.tensor([[0, 1, 2, 3, 4], [0, 3, 7, 40, 529]])
    found = rotate(states, rotation_of(places, 8, 200.0))
    for b, s, h in ((b, s, h) for b in range(2) for s in range(5) for h in range(3)):
        expected = turned(states[b, s, h].tolist(), int(places[b, s]), 200.0)
        torch.testing.assert_close(found[b, s, h], torch.tensor(expected), atol=1e-4, rtol=0)


def test_attention_is_the_formula() -> None:
    config = config_of("rotary")
    torch.manual_seed(0)
    layer = SelfAttention(config, 8, 2).eval()
    states, places = torch.randn(1, 4, 8), torch.tensor([[0, 2, 3, 9]])
    found, _ = layer(states, None, False, rotation_of(places, 4, 20.0))
    query, key, value = (
        part(states)[0].unflatten(-1, (2, 4)).tolist() for part in (layer.query, layer.key, layer.value)
    )
    for head in range(2):
        for i, place in enumerate(places[0].tolist()):
            asking = turned(query[i][head], place, 20.0)
            scores = [
                sum(a * b for a, b in zip(asking, turned(key[j][head], other, 20.0), strict=True)) / 2
                for j, other in enumerate(places[0].tolist())
            ]
            shares = [math.exp(score) for score in scores]
            context = [
                sum(share * value[j][head][d] for j, share in enumerate(shares)) / sum(shares)
                for d in range(4)
            ]
            torch.testing.assert_close(
                found[0, i, 4 * head : 4 * head + 4], torch.tensor(context), atol=1e-5, rtol=0
            )


def test_scores_know_distances_alone() -> None:
    query, key = torch.randn(2, 1, 6, 2, 8, generator=torch.Generator().manual_seed(2)).unbind(0)
    places = torch.tensor([[0, 1, 2, 5, 9, 30]])
    scores = []
    for shift in (0, 17):
        rotation = rotation_of(places + shift, 8, 200.0)
        scores.append(torch.einsum("bihd,bjhd->bhij", rotate(query, rotation), rotate(key, rotation)))
    torch.testing.assert_close(*scores, atol=1e-4, rtol=0)
    mirrored = rotation_of(places.flip(1), 8, 200.0)
    other = torch.einsum("bihd,bjhd->bhij", rotate(query, mirrored), rotate(key, mirrored))
    assert (other - scores[0]).abs().max() > 0.1


def test_places_are_known_without_vectors() -> None:
    """Two patches that change places: without positions their states would only change places, too."""
    model, strip = make(PixelModel), pixels()
    swapped = strip.clone()
    swapped[:, :, 16:32], swapped[:, :, 48:64] = strip[:, :, 48:64], strip[:, :, 16:32]
    before, after = (model(each).last_hidden_state for each in (strip, swapped))
    assert (before[:, 0] - after[:, 0]).abs().max() > 1e-3
    assert (before[:, 2] - after[:, 4]).abs().max() > 1e-3
    assert model.embeddings.position_embeddings is None


def test_where_a_text_begins_makes_no_difference() -> None:
    first = torch.tensor([0, 2, 4])
    model = make(PixelForPreTraining)
    hidden = (torch.arange(P) % 4 == 1).float().expand(3, -1)
    expected = model(pixels(), MASK, hidden)
    found = model(pixels(), MASK, hidden, first_position=first)
    assert torch.equal(found.logits, expected.logits)
    both = make(PixelForPreTraining, "rotary_absolute")
    assert not torch.equal(both(pixels(), MASK, hidden, first_position=first).logits, expected.logits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unpad", [False, True])
def test_kept_patches_keep_their_places(kind: str, unpad: bool) -> None:
    """Dropping patches is not seeing them: the others stay where they were."""
    model = make(PixelModel, kind, unpad_inputs=unpad)
    keep = torch.tensor([[1, 4, 5, 11], [0, 2, 3, 6], [0, 7, 8, 9]])
    found = model(pixels(), keep=keep).last_hidden_state
    seen = torch.zeros(3, P).scatter(1, keep, 1)
    whole = model(pixels(), seen, keeps_padding=True).last_hidden_state
    expected = torch.cat([whole[:, :1], whole[:, 1:].gather(1, keep[..., None].expand(-1, -1, 48))], dim=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_the_decoder_knows_places() -> None:
    """What it is given for hidden patches is all alike, so without places their pictures would be, too."""
    model = make(PixelForPreTraining)
    hidden = torch.zeros(3, P)
    hidden[:, [3, 8]] = 1
    logits = model(pixels(), None, hidden).logits
    assert (logits[:, 3] - logits[:, 8]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", [PixelModel, PixelForPreTraining, PixelForBiaffineParsing])
def test_unpadded_is_padded(kind: str, model: type[PixelPreTrainedModel]) -> None:
    made = make(model, kind, num_word_layers=1)
    options: dict[str, Any] = {}
    if model is PixelForBiaffineParsing:
        options = {
            "word_starts": torch.tensor([[0, 2, 5, 7], [0, 3, 6, -100], [0, 1, -100, -100]]),
            "arc_labels": torch.tensor([[2, 0, 2], [0, 1, -100], [0, -100, -100]]),
            "rel_labels": torch.tensor([[1, 2, 3], [4, 2, -100], [3, -100, -100]]),
        }
    if model is PixelForPreTraining:
        options["patch_mask"] = torch.tensor([[0, 1] * 6, [1, 1, 0, 0] * 3, [0] * P])
    results = []
    for unpad in (False, True):
        made.config.unpad_inputs = unpad
        made.zero_grad()
        outputs = made(pixels(), MASK, **options)
        real = torch.nn.functional.pad(MASK, (1, 0), value=1) == 1
        loss = outputs[0][real].square().mean() if model is PixelModel else outputs.loss
        loss.backward()
        results.append({n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None})
        results[-1]["loss"] = loss.detach()
    for name, expected in results[0].items():
        torch.testing.assert_close(results[1][name], expected, atol=1e-5, rtol=1e-3, msg=name)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_every_kernel(attention: str) -> None:
    model = make(PixelModel)
    expected = model(pixels(), MASK).last_hidden_state
    model.set_attn_implementation(attention)
    model.config.unpad_inputs = False
    found = model(pixels(), MASK, output_attentions=attention == "eager").last_hidden_state
    real = torch.nn.functional.pad(MASK, (1, 0), value=1) == 1
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_it_compiles_without_a_break() -> None:
    model = make(PixelModel, num_hidden_layers=1)
    model.config.unpad_inputs = False
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=False)
    expected = model(pixels()).last_hidden_state
    torch.testing.assert_close(compiled(pixels()).last_hidden_state, expected, atol=1e-5, rtol=0)


def test_longer_texts_than_trained() -> None:
    model = make(PixelForPreTraining)
    expected = model.vit(pixels()).last_hidden_state
    model.resize_positions(64)
    assert model.config.max_patches == 64
    assert torch.equal(model.vit(pixels()).last_hidden_state, expected)
    assert model.vit(pixels(60)).last_hidden_state.shape == (3, 61, 48)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_counted(kind: str) -> None:
    model = make(PixelForPreTraining, kind)
    assert parameters(model.config, PixelForPreTraining).total == sum(p.numel() for p in model.parameters())


def test_the_configuration_comes_back(tmp_path: Path) -> None:
    config_of("rotary", rope_theta=200).save_pretrained(tmp_path)
    saved = PixelConfig.from_pretrained(tmp_path)
    assert saved.rope_parameters == {"rope_type": "default", "rope_theta": 200.0}
    changed = PixelConfig.from_pretrained(tmp_path, rope_theta=300)
    assert changed.rope_theta == 300
    assert PixelConfig.from_pretrained(tmp_path, position_embedding_type="absolute").rope_parameters is None
    assert PixelConfig(position_embedding_type="rotary").rope_theta == 10_000
    plain = PixelConfig()
    assert (plain.position_embedding_type, plain.rope_parameters, plain.rope_theta) == (
        "absolute",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"position_embedding_type": "relative"},
            "must be one of absolute, rotary, rotary_absolute; got 'rel",
        ),
        ({"position_embedding_type": None}, "must be one of"),
        ({"rope_theta": 200}, "position_embedding_type is absolute"),
        ({"position_embedding_type": "rotary", "rope_theta": 1}, "a finite number above 1, got 1"),
        ({"position_embedding_type": "rotary", "rope_theta": True}, "a finite number above 1, got True"),
        ({"position_embedding_type": "rotary", "rope_theta": math.inf}, "a finite number above 1, got inf"),
        ({"position_embedding_type": "rotary", "rope_theta": math.nan}, "a finite number above 1, got nan"),
        ({"position_embedding_type": "rotary", "rope_parameters": {"rope_type": "yarn"}}, "got 'yarn'"),
        ({"position_embedding_type": "rotary", "rope_parameters": {"factor": 2}}, "got {'factor': 2}"),
        ({"position_embedding_type": "rotary", "rope_parameters": 9}, "must map rope_type and rope_theta"),
        ({"position_embedding_type": "rotary", "hidden_size": 36, "num_attention_heads": 12}, "36 / 12 = 3"),
        (
            {
                "position_embedding_type": "rotary",
                "decoder_hidden_size": 60,
                "decoder_num_attention_heads": 4,
            },
            "decoder_hidden_size / decoder_num_attention_heads must be even; got 60 / 4 = 15",
        ),
    ],
)
def test_impossible_configurations(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelConfig.named("nano", **options)


def test_a_checkpoint_with_other_positions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Weights fit, vectors of places are left out or made anew, and one line says what that means."""
    make(PixelForPreTraining, "rotary_absolute").save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING, "pixel_m4"):
        same = PixelForPreTraining.from_pretrained(tmp_path)
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING, "pixel_m4"):
        other = PixelForPreTraining.from_pretrained(tmp_path, position_embedding_type="rotary", rope_theta=50)
    assert (
        "trained with rotary_absolute (base 20) positions, and is opened with rotary (base 50)" in caplog.text
    )
    assert "to be trained: " not in caplog.text
    assert other.decoder.decoder_pos_embed is None
    weights = same.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in other.state_dict().items())

    other.save_pretrained(tmp_path / "rotary")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "pixel_m4"):
        back = PixelForPreTraining.from_pretrained(tmp_path / "rotary", position_embedding_type="absolute")
        PixelForTokenClassification.from_pretrained(tmp_path / "rotary")
    assert caplog.text.count("opened with absolute ones") == caplog.text.count("positions, and") == 1
    assert torch.equal(back.vit.embeddings.position_embeddings, sincos_positions(48, 4))
    assert torch.equal(back.decoder.decoder_pos_embed, sincos_positions(32, 4))


def test_ways_to_begin_that_need_vectors_of_places() -> None:
    with pytest.raises(ValueError, match="position_embedding_type rotary has none"):
        begin(make(PixelModel), ["line_positions"])
    begin(make(PixelModel, "rotary_absolute"), ["line_positions", "look_at_neighbours"])
