from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

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
from pixel_m4.model.flops import Cost, forward_flops, parameters, product, training_flops

Model = type[PixelPreTrainedModel]

PATCHES, WORDS = 48, 11
CASES: list[tuple[Model, dict[str, Any]]] = [
    (PixelModel, {}),
    (PixelModel, {"qkv_bias": False}),
    (PixelForPreTraining, {}),
    (PixelForPreTraining, {"mask_ratio": 0.6, "num_channels": 1}),
    (PixelForTokenClassification, {}),
    (PixelForBiaffineParsing, {}),
    (PixelForSequenceClassification, {"pooling_mode": "mean"}),
    (PixelForSequenceClassification, {"pooling_mode": "max", "pooler_add_layer_norm": False}),
    (PixelForSequenceClassification, {"pooling_mode": "cls"}),
    (PixelForSequenceClassification, {"pooling_mode": "pma4"}),
    (PixelForSequenceClassification, {"pooling_mode": "pma5", "pooler_add_layer_norm": False}),
    (PixelForQuestionAnswering, {}),
]


def make(model: Model, options: dict[str, Any]) -> PixelPreTrainedModel:
    config = PixelConfig.named("nano", max_seq_length=64, num_labels=7, **options)
    made = model(config)
    made.set_attn_implementation("eager")  # the counter does not know the CPU's fused attention
    return made


def inputs(model: Model, batch: int = 1) -> dict[str, torch.Tensor]:
    values = {"pixel_values": torch.randint(0, 256, (batch, 16, 16 * PATCHES), dtype=torch.uint8)}
    if model is PixelForBiaffineParsing:
        values["word_starts"] = torch.arange(0, WORDS + 1).expand(batch, -1)
    return values


@pytest.mark.parametrize(("model", "options"), CASES)
def test_parameters(model: Model, options: dict[str, Any]) -> None:
    made = make(model, options)
    cost = parameters(made.config, model)
    assert cost.total == sum(parameter.numel() for parameter in made.parameters())
    encoder = made.base_model.named_parameters()
    assert cost.encoder == sum(p.numel() for name, p in encoder if not name.startswith("pooler."))
    assert (cost.decoder > 0) == (model is PixelForPreTraining)


@pytest.mark.parametrize(("model", "options"), CASES)
@pytest.mark.parametrize("batch", [1, 3])
def test_forward(model: Model, options: dict[str, Any], batch: int) -> None:
    made = make(model, options).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made(**inputs(model, batch))
    expected = (forward_flops(made.config, model, PATCHES, WORDS) * batch).total
    assert counter.get_total_flops() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        (PixelForPreTraining, {}),
        (PixelForTokenClassification, {"labels": torch.zeros(1, PATCHES, dtype=torch.long)}),
        (
            PixelForBiaffineParsing,
            {
                "arc_labels": torch.zeros(1, WORDS, dtype=torch.long),
                "rel_labels": torch.zeros(1, WORDS, dtype=torch.long),
            },
        ),
    ],
)
def test_training_step(model: Model, labels: dict[str, torch.Tensor]) -> None:
    made = make(model, {}).train()
    with FlopCounterMode(display=False) as counter:
        made(**inputs(model), **labels).loss.backward()
    expected = training_flops(made.config, model, PATCHES, WORDS).total
    # Pixels and word boundaries need no gradient: a product less than the formula counts for each.
    kept = PATCHES * 3 // 4 if model is PixelForPreTraining else PATCHES
    expected -= product(kept, 256, made.config.hidden_size)
    if model is PixelForBiaffineParsing:
        expected -= product(WORDS, PATCHES, made.config.hidden_size)
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.002)


@pytest.mark.parametrize(
    ("size", "encoder", "total"),
    [("base", 86_054_400, 112.3e6), ("small", 21.8e6, 25.7e6), ("tiny", 5.6e6, 6.5e6)],
)
def test_published_sizes(size: str, encoder: float, total: float) -> None:
    cost = parameters(PixelConfig.named(size), PixelForPreTraining)
    assert cost.encoder == (encoder if size == "base" else pytest.approx(encoder, rel=0.01))
    assert cost.total == pytest.approx(total, rel=0.03)  # they are rounded there


def test_words_are_guessed() -> None:
    config = PixelConfig.named("nano")
    guessed = forward_flops(config, PixelForBiaffineParsing, 30)
    assert guessed == forward_flops(config, PixelForBiaffineParsing, 30, words=10)
    assert training_flops(config, PixelForBiaffineParsing, 30).head < 3 * guessed.head


def test_costs_add_up() -> None:
    assert Cost(encoder=1, decoder=2, head=3).total == 6
    assert Cost(encoder=1, decoder=2, head=3) * 3 == Cost(encoder=3, decoder=6, head=9)


def test_nothing_to_count() -> None:
    config = PixelConfig.named("nano")
    with pytest.raises(ValueError, match="patches must be at least 1, got 0"):
        forward_flops(config, PixelModel, 0)
    with pytest.raises(ValueError, match="words must be at least 1, got -1"):
        training_flops(config, PixelForBiaffineParsing, 9, words=-1)
