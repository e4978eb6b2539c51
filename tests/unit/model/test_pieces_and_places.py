"""The second objective (names of patches), and texts that begin anywhere in the position table."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
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
from pixel_m4.model.flops import parameters
from pixel_m4.model.inputs import blank_out, split_patches
from pixel_m4.pretrain.patch_classes import (
    PatchClasses,
    PixelWithPatchClasses,
    objective_flops,
    objective_parameters,
)

P, PIECES = 20, 11
ATTENTION = (torch.arange(P) < torch.tensor([20, 9])[:, None]).long()
MASKED = torch.zeros(2, P)
MASKED[:, [0, 3, 8, 9, 19]] = 1
CLASSES: list[type[PixelPreTrainedModel]] = [
    PixelModel,
    PixelForTokenClassification,
    PixelForBiaffineParsing,
    PixelForSequenceClassification,
    PixelForQuestionAnswering,
]


def make(pieces: int = PIECES, **options: Any) -> Any:
    torch.manual_seed(0)
    names = [entry.name for entry in fields(PatchClasses) if entry.name in options]
    chosen = {name: options.pop(name) for name in names}
    config = PixelConfig.named("nano", max_seq_length=64, **options)
    if not pieces:
        return PixelForPreTraining(config).eval()
    return PixelWithPatchClasses(config, PatchClasses(number=pieces, **chosen)).eval()


def test_keys_of_earlier_versions(tmp_path: Path) -> None:
    old = {"num_pieces": 7, "piece_loss_weight": 0.5, "visible_pieces": True, "blank_pieces": False}
    config = PixelConfig.named("nano", **old)
    assert PatchClasses.of(config) == PatchClasses(number=7, weight=0.5, visible=True)
    assert not set(old) & set(config.to_dict())
    for none in ({**old, "num_pieces": 0}, {}):
        assert "patch_classes" not in PixelConfig.named("nano", **none).to_dict()


@pytest.mark.parametrize("options", [{}, {"blank": True, "visible": True}])
def test_parameters_of_the_heads(options: dict[str, bool]) -> None:
    model, objective = make(23, **options), PatchClasses(number=23, **options)
    heads = [value.numel() for name, value in model.named_parameters() if "_head." in name]
    assert objective_parameters(model.config, objective) == sum(heads)
    assert parameters(model.config, PixelForPreTraining).total + sum(heads) == sum(
        value.numel() for value in model.parameters()
    )


def test_operations_of_the_heads() -> None:
    """Products are counted as PyTorch counts them."""
    objective = PatchClasses(number=PIECES, blank=True, visible=True)
    model = make(blank=True, visible=True, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
    plain = make(0, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
    counts = []
    ratio = 0.25
    for each, more in ((model, {"class_labels": torch.zeros(1, P, dtype=torch.long)}), (plain, {})):
        with FlopCounterMode(display=False) as counter:
            each(pixels()[:1], mask_ratio=ratio, **more).loss.backward()
        counts.append(counter.get_total_flops())
    assert counts[0] - counts[1] == objective_flops(model.config, objective, P)


def pixels() -> Tensor:
    return torch.randint(
        0, 256, (2, 16, 16 * P), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def labels() -> Tensor:
    found = torch.randint(0, PIECES, (2, P), generator=torch.Generator().manual_seed(1))
    found[:, 3] = -100
    return found


@pytest.mark.parametrize("weight", [0.2, 3.0])
def test_the_loss_of_names_against_one_patch_at_a_time(weight: float) -> None:
    model = make(weight=weight)
    decoded: list[Tensor] = []
    model.decoder.register_forward_hook(lambda module, inputs, outputs: decoded.append(outputs[0]))
    outputs = model(pixels(), ATTENTION, MASKED, class_labels=labels())
    plain = model(pixels(), ATTENTION, MASKED)
    total, counted = torch.zeros(()), 0
    for row in range(2):
        for patch in range(P):
            expected = torch.zeros(())
            if MASKED[row, patch] and ATTENTION[row, patch]:
                counted += 1
                if labels()[row, patch] >= 0:
                    scores = F.linear(decoded[0][row, patch], model.piece_head.weight, model.piece_head.bias)
                    expected = scores.logsumexp(0) - scores[labels()[row, patch]]
            torch.testing.assert_close(outputs.class_losses[row, patch], expected, atol=1e-5, rtol=1e-5)
            total = total + expected
    assert counted == 8
    torch.testing.assert_close(outputs.loss, plain.loss + weight * total / counted)
    assert torch.equal(outputs.patch_losses, plain.patch_losses)
    assert plain.class_losses is None


def test_names_of_what_is_seen_or_padding_do_not_count() -> None:
    model = make()
    other = labels()
    other[(MASKED == 0) | (ATTENTION == 0)] = 0
    one, two = (model(pixels(), ATTENTION, MASKED, class_labels=each) for each in (labels(), other))
    assert torch.equal(one.loss, two.loss)
    none = model(pixels(), ATTENTION, MASKED, class_labels=torch.full((2, P), -100))
    assert not none.class_losses.any()
    assert torch.equal(none.loss, model(pixels(), ATTENTION, MASKED).loss)


def test_without_pieces_nothing_changes() -> None:
    plain, named = make(0), make()
    assert not [name for name in plain.state_dict() if "piece" in name]
    named.load_state_dict(plain.state_dict(), strict=False)
    one = plain(pixels(), ATTENTION, MASKED)
    two = named(pixels(), ATTENTION, MASKED)
    assert torch.equal(one.loss, two.loss)
    assert two.class_losses is None
    named.drop_classes()
    assert named.state_dict().keys() == plain.state_dict().keys()
    assert "patch_classes" not in named.config.to_dict()


@pytest.mark.parametrize("dropped", [True, False])
@pytest.mark.parametrize("model_class", CLASSES)
def test_with_and_without_the_head_it_loads_into_all(
    tmp_path: Path, dropped: bool, model_class: type[PixelPreTrainedModel]
) -> None:
    model = make()
    if dropped:
        model.drop_classes()
    model.save_pretrained(tmp_path)
    config = PixelConfig.from_pretrained(tmp_path)
    assert config.architectures == ["PixelForPreTraining"]
    assert PatchClasses.of(config) == (None if dropped else PatchClasses(number=PIECES))
    kind, more = (
        (PixelForPreTraining, []) if dropped else (PixelWithPatchClasses, [PatchClasses(number=PIECES)])
    )
    again, info = kind.from_pretrained(tmp_path, *more, output_loading_info=True)
    assert not any(info.values()), info
    assert again.state_dict().keys() == model.state_dict().keys()
    found, info = model_class.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["unexpected_keys"]
    assert not [key for key in info["missing_keys"] if key.startswith(("vit.enc", "vit.emb", "encoder"))]
    weights = found.base_model.encoder.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in model.vit.encoder.state_dict().items())


def test_a_checkpoint_goes_on_without_its_head(tmp_path: Path) -> None:
    make().save_pretrained(tmp_path)
    model, info = PixelForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert not [name for name in model.state_dict() if "piece" in name]


def shifted(model: PixelForPreTraining, first: int) -> PixelForPreTraining:
    """The model with a position table whose patch rows are moved by so many."""
    other = make(0)
    other.load_state_dict(model.state_dict())
    for table in (other.vit.embeddings.position_embeddings, other.decoder.decoder_pos_embed):
        with torch.no_grad():
            table[:, 1:] = table[:, 1:].roll(-first, dims=1)
    return other


@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("first", [0, 1, 44])
def test_first_positions_are_a_moved_table(unpad: bool, first: int) -> None:
    model = make(0)
    other = shifted(model, first)
    model.config.unpad_inputs = other.config.unpad_inputs = unpad
    places = torch.tensor([first, 0])
    found = model(pixels(), ATTENTION, MASKED, first_position=places)
    for row, expected in enumerate((other, model)):
        one = expected(pixels()[row : row + 1], ATTENTION[row : row + 1], MASKED[row : row + 1])
        real = ATTENTION[row] == 1
        torch.testing.assert_close(found.logits[row][real], one.logits[0][real], atol=1e-5, rtol=0)
        torch.testing.assert_close(found.patch_losses[row], one.patch_losses[0], atol=1e-5, rtol=0)
    if first:
        assert not torch.allclose(found.logits[0], model(pixels(), ATTENTION, MASKED).logits[0], atol=1e-4)


def test_first_positions_with_kept_patches_of_the_encoder() -> None:
    model = make(0)
    other = shifted(model, 7)
    keep = torch.tensor([[0, 2, 5, 11], [1, 2, 3, 4]])
    places = torch.full((2,), 7)
    found = model.vit(pixels(), keep=keep, first_position=places).last_hidden_state
    torch.testing.assert_close(found, other.vit(pixels(), keep=keep).last_hidden_state)
    torch.testing.assert_close(
        model.vit(pixels(), first_position=places).last_hidden_state,
        other.vit(pixels()).last_hidden_state,
    )


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (torch.tensor([0, 45]), "between 0 and 44 for 20 patches .* got 0 to 45"),
        (torch.tensor([-1, 0]), "got -1 to 0"),
        (torch.tensor([0]), r"integers \[B\] = \[2\], got torch.int64 \[1\]"),
        (torch.tensor([0.0, 1.0]), "got torch.float32"),
    ],
)
def test_places_outside_of_the_table(places: Tensor, message: str) -> None:
    for model in (make(0), make(0).vit):
        with pytest.raises(ValueError, match=message):
            model(pixels(), first_position=places)


@pytest.mark.slow
def test_places_and_names_compile_without_a_break() -> None:
    model = make()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    options = {"class_labels": labels(), "first_position": torch.tensor([3, 44])}
    expected = model(pixels(), ATTENTION, MASKED, **options)
    torch.testing.assert_close(compiled(pixels(), ATTENTION, MASKED, **options).loss, expected.loss)


def test_patches_that_are_seen_are_named_in_training_only() -> None:
    model = make(visible=True, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    plain = make()
    plain.load_state_dict(model.state_dict())
    everything = torch.randint(0, PIECES, (2, P), generator=torch.Generator().manual_seed(1))
    one, two = (each(pixels(), ATTENTION, MASKED, class_labels=everything) for each in (model, plain))
    assert torch.equal(one.loss, two.loss)
    model.train()
    trained = model(pixels(), ATTENTION, MASKED, class_labels=everything)
    named = trained.class_losses > 0
    assert torch.equal(named & (trained.mask != 0), (trained.mask != 0) & (ATTENTION != 0))
    seen = named & (trained.mask == 0)
    assert not (seen & (ATTENTION == 0)).any()
    assert seen[0].sum() == 5  # as many as are hidden
    counted = ((trained.mask != 0) & (ATTENTION != 0)).sum()
    pieces = 0.2 * trained.class_losses.sum() / counted
    torch.testing.assert_close(trained.loss, trained.patch_losses.sum() / counted + pieces)


def test_blank_patches_are_named_in_training_only() -> None:
    """The encoder sees some patches blank; its states there are asked for what was there."""
    model = make(blank=True, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    shown: list[Tensor] = []
    model.vit.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    asked: list[Tensor] = []
    model.blank_head.register_forward_hook(lambda module, inputs, outputs: asked.append(inputs[0]))
    tested = model(pixels(), ATTENTION, MASKED, class_labels=labels())
    assert tested.blank_losses is None
    assert torch.equal(shown[0], pixels())
    trained = model.train()(pixels(), ATTENTION, MASKED, class_labels=labels())
    differs = (shown[1] != pixels()).unflatten(2, (P, 16)).any(3).any(1)
    assert differs.sum(1).tolist() == [5, 5]  # as many as are hidden
    assert not (differs & (trained.mask != 0)).any()
    assert asked[0].shape == (2, 5, model.config.hidden_size)
    counted = ((trained.mask != 0) & (ATTENTION != 0)).sum()
    added = 0.2 * (trained.class_losses.sum() + trained.blank_losses.sum()) / counted
    torch.testing.assert_close(trained.loss, trained.patch_losses.sum() / counted + added)
    expected = labels().masked_fill(ATTENTION == 0, -100)[differs].view(2, 5)
    assert torch.equal(trained.blank_losses == 0, expected < 0)
    model.drop_classes()
    assert not [name for name in model.state_dict() if "piece" in name or "blank" in name]


@pytest.mark.parametrize("kind", ["grey", "colour", "float"])
def test_blank_patches_of_all_kinds_of_pixels(kind: str) -> None:
    grey = pixels()
    given = {"grey": grey, "colour": grey[..., None].repeat(1, 1, 1, 3), "float": grey[:, None] / 255}[kind]
    given = given.repeat(1, 3, 1, 1) if kind == "float" else given
    places = torch.zeros(2, P, dtype=torch.bool)
    places[0, 2] = places[1, 5] = True
    found = split_patches(blank_out(given, places, 16), 16)
    assert (found[places] == (0.5 if kind == "float" else 128)).all()
    assert torch.equal(found[~places], split_patches(given, 16)[~places])


def test_where_the_head_names_right() -> None:
    model, name = make(), labels()[0, 8]
    with torch.no_grad():
        model.piece_head.weight.zero_()
        model.piece_head.bias.copy_(F.one_hot(name, PIECES))
    outputs = model(pixels(), ATTENTION, MASKED, class_labels=labels())
    expected = (MASKED != 0) & (ATTENTION != 0) & (labels() == name)
    assert expected.any()
    assert torch.equal(outputs.named, expected)
