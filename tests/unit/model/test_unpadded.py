"""Packed sequences against the same batch with its padding, and lower precision, for every model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

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
from pixel_m4.model.attention import Unpadded
from pixel_m4.model.layers import PADDING_TO_PACK, pattern_of

Model = type[PixelPreTrainedModel]

P = 12
PLAIN = (torch.arange(P) < torch.tensor([12, 7, 1])[:, None]).long()
ODD = torch.tensor([[0, 1] * 6, [1, 1, 0, 0] * 3, [0] * P])
STARTS = torch.tensor([[0, 2, 5, 7], [0, 3, 6, -100], [0, 1, -100, -100]])
ARCS = torch.tensor([[2, 0, 2], [0, 1, -100], [0, -100, -100]])
RELATIONS = torch.tensor([[1, 2, 3], [4, 2, -100], [3, -100, -100]])
CASES: list[tuple[Model, dict[str, Any], dict[str, Tensor]]] = [
    (PixelForPreTraining, {}, {"patch_mask": (torch.arange(P) % 4 == 0).float().expand(3, -1)}),
    (PixelForTokenClassification, {}, {"labels": torch.where(PLAIN == 1, 2, -100)}),
    (
        PixelForBiaffineParsing,
        {},
        {"word_starts": STARTS, "arc_labels": ARCS, "rel_labels": RELATIONS},
    ),
    *(
        (PixelForSequenceClassification, {"pooling_mode": mode}, {"labels": torch.tensor([0, 4, 2])})
        for mode in ("mean", "max", "cls", "pma4")
    ),
    (
        PixelForQuestionAnswering,
        {},
        {"start_positions": torch.tensor([1, 2, P]), "end_positions": torch.tensor([3, 2, P])},
    ),
]


def pixels(batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 16, 16 * P), dtype=torch.uint8, generator=generator)


def make(model: Model, **options: Any) -> PixelPreTrainedModel:
    torch.manual_seed(0)
    options = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, **options}
    made = model(PixelConfig.named("nano", max_seq_length=16, num_labels=5, **options))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "biaffine" in name:
                parameter.normal_(std=0.1)
    return made


@pytest.mark.parametrize(
    "mask", [PLAIN, ODD, PLAIN[1:2], ODD[:1], ODD[2:], torch.zeros(3, P), torch.ones(3, P)]
)
def test_the_encoder(mask: Tensor) -> None:
    model = make(PixelModel).eval()
    found = []
    for unpad in (False, True):
        model.config.unpad_inputs = unpad
        outputs = model(pixels(len(mask)), mask, output_hidden_states=True)
        found.append([outputs.last_hidden_state, *outputs.hidden_states])
    real = torch.nn.functional.pad(mask, (1, 0), value=1) == 1
    for padded, packed in zip(*found, strict=True):
        torch.testing.assert_close(packed[real], padded[real], atol=1e-5, rtol=0)
        assert not packed[~real].any()


@pytest.mark.parametrize(("model", "options", "targets"), CASES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_loss_and_gradients(
    model: Model, options: dict[str, Any], targets: dict[str, Tensor], checkpointing: bool
) -> None:
    made = make(model, **options).train()
    results = []
    for unpad in (False, True):
        made.config.unpad_inputs = unpad
        if checkpointing and unpad:
            made.gradient_checkpointing_enable()
        made.zero_grad()
        torch.manual_seed(1)
        loss = made(pixels(), PLAIN, **targets).loss
        loss.backward()
        results.append({"loss": loss.detach()})
        results[-1] |= {name: p.grad for name, p in made.named_parameters() if p.grad is not None}
    assert results[0].keys() == results[1].keys()
    for name, expected in results[0].items():
        torch.testing.assert_close(results[1][name], expected, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("mask", [None, PLAIN])
def test_checkpointing_repeats_the_dropout(unpad: bool, mask: Tensor | None) -> None:
    dropout = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}
    made = make(PixelForPreTraining, unpad_inputs=unpad, **dropout).train()
    results = []
    for checkpointing in (False, True):
        if checkpointing:
            made.gradient_checkpointing_enable()
        made.zero_grad()
        torch.manual_seed(2)
        made(pixels(), mask).loss.backward()
        results.append([p.grad.clone() for p in made.parameters() if p.grad is not None])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_when_it_pays() -> None:
    config = PixelConfig.named("nano")
    layers = PixelModel(config).encoder.layer
    little = torch.ones(10, 99)
    little[0, :50] = 0
    assert isinstance(pattern_of(config, little, layers), Tensor)
    enough = (torch.arange(99).expand(10, -1) < 99 * (1 - 2 * PADDING_TO_PACK)).long()
    assert isinstance(pattern_of(config, enough, layers), Unpadded)
    assert isinstance(pattern_of(config, enough, layers, padded=True), Tensor)
    assert pattern_of(config, torch.ones(10, 99), layers) is None
    for choice, kind in ((True, Unpadded), (False, Tensor)):
        config.unpad_inputs = choice
        assert isinstance(pattern_of(config, little, layers), kind)
    config._attn_implementation = "eager"
    assert isinstance(pattern_of(config, enough, layers), Tensor)


def test_weights_that_are_asked_for_are_whole() -> None:
    made = make(PixelModel, unpad_inputs=True).eval()
    assert made(pixels(), PLAIN, output_attentions=True).attentions[0].shape == (3, 4, 1 + P, 1 + P)


@pytest.mark.parametrize(("model", "options", "targets"), CASES)
@pytest.mark.parametrize("unpad", [False, True])
def test_autocast(model: Model, options: dict[str, Any], targets: dict[str, Tensor], unpad: bool) -> None:
    made = make(model, unpad_inputs=unpad, **options).train()
    torch.manual_seed(1)
    expected = made(pixels(), PLAIN, **targets).loss
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = made(pixels(), PLAIN, **targets).loss
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, atol=0.02, rtol=0.02)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in made.parameters() if p.grad is not None)


@pytest.mark.parametrize("unpad", [False, True])
def test_autocast_with_dropout(unpad: bool) -> None:
    made = make(PixelForTokenClassification, unpad_inputs=unpad, attention_probs_dropout_prob=0.1).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = made(pixels(), PLAIN, labels=torch.where(PLAIN == 1, 2, -100)).loss
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in made.parameters() if p.grad is not None)
