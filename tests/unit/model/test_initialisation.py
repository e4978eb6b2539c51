"""Starting points for random weights, and what shrinks trained ones."""

from __future__ import annotations

import pytest
import torch

from pixel_m4.model import (
    PixelConfig,
    PixelForBiaffineParsing,
    PixelForPreTraining,
    PixelForSequenceClassification,
    PixelForTokenClassification,
    PixelPreTrainedModel,
)
from pixel_m4.model.initialisation import begin, center_pixels, forget_labels, shrink

P = 20


def make() -> PixelForPreTraining:
    torch.manual_seed(0)
    return PixelForPreTraining(PixelConfig.named("nano", max_seq_length=64)).eval()


def test_centred_patches_see_the_mean_as_nothing() -> None:
    model = make()
    patches = model.vit.embeddings.patch_embeddings
    before = patches.projection.weight.detach().clone()
    center_pixels(model, mean=0.8, deviation=0.25)
    mean = torch.full((1, 1, 256), 0.8)
    torch.testing.assert_close(patches(mean), torch.zeros(1, 1, 48), atol=1e-5, rtol=0)
    torch.testing.assert_close(patches.projection.weight.detach(), before / 0.25)
    assert patches.projection.bias.requires_grad


def test_places_on_a_line() -> None:
    """A step to the right is one rotation, wherever it is made; another model loads the codes."""
    model = make()
    grid = model.vit.embeddings.position_embeddings.clone()
    begin(model, ["line_positions"])
    line = model.vit.embeddings.position_embeddings[0]
    assert not torch.equal(grid[0], line)
    assert not line[0].any()
    similar = line[1:] @ line[1:].T
    for step in (1, 5, 30):
        values = similar.diagonal(step)
        torch.testing.assert_close(values, values[:1].expand_as(values))
    assert similar.diagonal(1)[0] > similar.diagonal(5)[0] > similar.diagonal(30)[0]
    torch.testing.assert_close(line[1:].norm(dim=1), grid[0, 1:].norm(dim=1))


@pytest.mark.parametrize("model_class", [PixelForPreTraining, PixelForBiaffineParsing])
def test_new_heads_attend_to_neighbours(model_class: type[PixelPreTrainedModel]) -> None:
    """Heads look at -1, +1, 0, +2, -2 … patches from their own; alike everywhere."""
    torch.manual_seed(0)
    config = PixelConfig.named(
        "nano", max_seq_length=64, hidden_size=320, num_attention_heads=5, intermediate_size=64
    )
    model = model_class(config).eval()
    begin(model, ["look_at_neighbours", "line_positions", "center_pixels"])
    found = model.vit(
        torch.randint(0, 256, (1, 16, 16 * P), dtype=torch.uint8), output_attentions=True
    ).attentions
    places = torch.arange(4, P - 4)
    for layer in found[:2]:
        looked = layer[0, :, 1 + places].argmax(-1) - (1 + places)
        shifts = looked.float().mean(1)
        torch.testing.assert_close(shifts, torch.tensor([-1.0, 1.0, 0.0, 2.0, -2.0]), atol=0.4, rtol=0)
    assert found[2].max() < 0.5  # the last layers are free


def test_shrinking_scales_the_matrices_of_layers_only() -> None:
    model = make()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    shrink(model, 0.5)
    for name, value in model.state_dict().items():
        matrix = name.startswith("vit.encoder.layer.") and value.ndim == 2
        assert torch.equal(value, before[name] * (0.5 if matrix else 1)), name


@pytest.mark.parametrize(
    ("kind", "of_labels"),
    [
        (PixelForSequenceClassification, {"classifier.weight", "classifier.bias"}),
        (PixelForTokenClassification, {"classifier.weight", "classifier.bias"}),
        (PixelForBiaffineParsing, {"biaffine_rels.weight"}),
    ],
)
def test_only_what_belongs_to_labels_is_forgotten(
    kind: type[PixelPreTrainedModel], of_labels: set[str]
) -> None:
    model = kind(PixelConfig.named("nano", num_labels=3)).eval()
    for weight in model.parameters():
        torch.nn.init.constant_(weight, 7.0)
    forget_labels(model)
    changed = {name for name, weight in model.named_parameters() if not bool((weight == 7).all())}
    assert changed == of_labels
    assert model.config.num_labels == 3
