from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pixel_m4.model import PixelConfig, PixelForPreTraining, patchify, unpatchify
from pixel_m4.model.masks import choose_patches, follow_mask
from pixel_m4.model.objectives import reconstruct, standardise
from pixel_m4.pretrain.patch_classes import PatchClasses, PixelWithPatchClasses


@pytest.fixture
def model() -> PixelForPreTraining:
    torch.manual_seed(0)
    return PixelForPreTraining(PixelConfig.named("nano", max_seq_length=64)).eval()


def pixels(patches: int = 20) -> Tensor:
    return torch.randint(
        0, 256, (2, 16, 16 * patches), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_shapes(model: PixelForPreTraining) -> None:
    outputs = model(pixels(), output_hidden_states=True)
    assert outputs.loss.shape == ()
    assert outputs.logits.shape == (2, 20, 768)
    assert outputs.mask.shape == (2, 20)
    assert (outputs.mask.sum(1) == 5).all()
    assert outputs.hidden_states[0].shape == (2, 16, 48)


def test_patchify_and_back() -> None:
    strip = torch.rand(2, 3, 16, 80)
    assert torch.equal(unpatchify(patchify(strip)), strip)
    grey = pixels()
    as_colour = grey.unsqueeze(1).expand(-1, 3, -1, -1) / 255
    assert torch.equal(patchify(grey), patchify(as_colour))
    assert patchify(grey).max() <= 1


def test_the_loss_against_one_patch_at_a_time(model: PixelForPreTraining) -> None:
    attention_mask = (torch.arange(20) < torch.tensor([20, 9])[:, None]).long()
    patch_mask = torch.zeros(2, 20)
    patch_mask[:, [0, 3, 8, 9, 19]] = 1
    outputs = model(pixels(), attention_mask, patch_mask)
    assert torch.equal(outputs.mask, patch_mask)
    errors = []
    for row in range(2):
        for patch in range(20):
            if patch_mask[row, patch] and attention_mask[row, patch]:
                target = patchify(pixels())[row, patch]
                target = (target - target.mean()) / (target.var(unbiased=True) + 1e-6) ** 0.5
                errors.append(((outputs.logits[row, patch] - target) ** 2).mean())
    assert len(errors) == 8
    torch.testing.assert_close(outputs.loss, torch.stack(errors).mean())


def test_what_is_masked_is_not_seen(model: PixelForPreTraining) -> None:
    patch_mask = torch.zeros(2, 20)
    patch_mask[:, 5:10] = 1
    changed = pixels()
    changed[:, :, 5 * 16 : 10 * 16] = 0
    seen, unseen = model(pixels(), None, patch_mask), model(changed, None, patch_mask)
    torch.testing.assert_close(seen.logits, unseen.logits)
    assert seen.loss != unseen.loss


def test_white_patches_have_a_finite_target() -> None:
    assert torch.equal(standardise(torch.ones(1, 3, 768)), torch.zeros(1, 3, 768))


def test_nothing_to_score_is_a_loss_of_zero(model: PixelForPreTraining) -> None:
    assert model(pixels(), torch.zeros(2, 20, dtype=torch.long)).loss == 0


def test_a_given_mask_is_followed_whatever_the_ratio_is(model: PixelForPreTraining) -> None:
    patch_mask = torch.zeros(3, 40)
    patch_mask[0, :10], patch_mask[1, 30:34], patch_mask[2, ::2] = 1, 1, 1
    hidden = follow_mask(patch_mask, 0.25)
    assert hidden.keep.shape == (3, 36)
    assert hidden.masked.shape == (3, 20)
    for row in range(3):
        seen, masked = hidden.keep[row][hidden.seen[row]], hidden.masked[row][hidden.hidden[row]]
        assert torch.equal(masked, patch_mask[row].nonzero()[:, 0])
        assert torch.equal(seen, (patch_mask[row] == 0).nonzero()[:, 0])


@pytest.mark.parametrize("count", [0, 3, 7, 19, 20])
@pytest.mark.parametrize("kind", [torch.float32, torch.bool, torch.int32, torch.uint8])
def test_any_number_of_masked_patches(model: PixelForPreTraining, count: int, kind: torch.dtype) -> None:
    patch_mask = torch.zeros(2, 20)
    patch_mask[:, torch.randperm(20, generator=torch.Generator().manual_seed(count))[:count]] = 1
    outputs = model(pixels(), None, patch_mask.to(kind))
    assert torch.equal(outputs.mask, patch_mask)
    assert outputs.logits.isfinite().all()
    assert outputs.loss.isfinite()
    assert (outputs.loss == 0) == (count == 0)
    assert torch.equal(model(pixels(), None, patch_mask, mask_ratio=0.5).logits, outputs.logits)


def one_at_a_time(model: PixelForPreTraining, *inputs: Tensor, **labels: Tensor) -> list:
    return [
        model(*(part[row : row + 1] for part in inputs), **{k: v[row : row + 1] for k, v in labels.items()})
        for row in range(len(inputs[0]))
    ]


@pytest.mark.parametrize("unpad", [False, True])
def test_texts_with_different_numbers_of_masked_patches(unpad: bool) -> None:
    torch.manual_seed(0)
    config = PixelConfig.named("nano", max_seq_length=64, unpad_inputs=unpad, hidden_dropout_prob=0.0)
    model = PixelWithPatchClasses(config, PatchClasses(number=9)).eval()
    strip = torch.cat([pixels(), pixels()])
    attention_mask = (torch.arange(20) < torch.tensor([20, 9, 15, 4])[:, None]).long()
    patch_mask = torch.zeros(4, 20)
    patch_mask[0, [3, 4, 19]] = patch_mask[1, [0, 8, 12]] = patch_mask[2, 2:14] = 1  # the last: none
    names = torch.arange(80).view(4, 20) % 9
    outputs = model(strip, attention_mask, patch_mask, class_labels=names)
    assert torch.equal(outputs.mask, patch_mask)
    alone = one_at_a_time(model, strip, attention_mask, patch_mask, class_labels=names)
    for row, found in enumerate(alone):
        real = attention_mask[row] == 1
        for name in ("logits", "patch_losses", "class_losses"):
            torch.testing.assert_close(outputs[name][row][real], found[name][0][real], atol=1e-5, rtol=0)
    counted = patch_mask * attention_mask
    total = sum(one.loss * n for one, n in zip(alone, counted.sum(1), strict=True))
    torch.testing.assert_close(outputs.loss, total / counted.sum())


def test_different_numbers_of_masked_patches_in_training() -> None:
    """Blank and visible pieces are chosen among what is seen; what is hidden stays hidden."""
    torch.manual_seed(0)
    options = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = PixelConfig.named("nano", max_seq_length=64, **options)
    model = PixelWithPatchClasses(config, PatchClasses(number=9, blank=True, visible=True)).train()
    shown: list[Tensor] = []
    model.vit.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    patch_mask = torch.zeros(2, 20)
    patch_mask[0, :17], patch_mask[1, 4] = 1, 1
    outputs = model(pixels(), None, patch_mask, class_labels=torch.ones(2, 20).long())
    blank = (shown[0] != pixels()).unflatten(2, (20, 16)).any(3).any(1)
    assert not (blank & (patch_mask == 1)).any()
    assert blank[0].sum() == 3  # all that is seen
    assert (outputs.class_losses[patch_mask == 1] > 0).all()
    assert ((outputs.class_losses > 0) & (patch_mask == 0)).any()
    assert (outputs.blank_losses[0] > 0).sum() == 3
    outputs.loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("value", [2, -1, 0.5, float("nan")])
def test_a_mask_of_other_values(model: PixelForPreTraining, value: float) -> None:
    patch_mask = torch.zeros(2, 20)
    patch_mask[1, 7] = value
    with pytest.raises(ValueError, match=f"patch_mask must be 1 .* got {value}"):
        model(pixels(), None, patch_mask)


@pytest.mark.slow
def test_a_compiled_model_needs_a_ratio_that_agrees(model: PixelForPreTraining) -> None:
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    patch_mask = torch.zeros(2, 20)
    patch_mask[:, :7] = 1
    assert torch.equal(compiled(pixels(), None, patch_mask, mask_ratio=6.5 / 20).mask, patch_mask)
    with pytest.raises(RuntimeError, match=r"masks 5 of 20 patches, and .* pass mask_ratio=\(m - 0.5\) / P"):
        compiled(pixels(), None, patch_mask)


def test_random_masks_hit_text() -> None:
    torch.manual_seed(0)
    attention_mask = torch.zeros(500, 64)
    attention_mask[:, 7] = 1
    chosen = choose_patches(attention_mask, 0.25)
    keep, masked = chosen.keep, chosen.masked
    assert (masked == 7).any(1).all()
    assert torch.equal(torch.cat([keep, masked], 1).sort(1).values, torch.arange(64).expand(500, -1))


def test_random_masks_are_uniform() -> None:
    torch.manual_seed(0)
    masked = choose_patches(torch.ones(4000, 16), 0.25).masked
    shares = torch.bincount(masked.flatten(), minlength=16) / 4000
    assert (shares - 0.25).abs().max() < 0.04


@pytest.mark.parametrize("count", [1, 7, 19])
def test_another_ratio_masks_an_exact_number(model: PixelForPreTraining, count: int) -> None:
    outputs = model(pixels(), mask_ratio=(count - 0.5) / 20)
    assert (outputs.mask.sum(1) == count).all()


def test_positions_are_frozen(model: PixelForPreTraining) -> None:
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {"vit.embeddings.position_embeddings", "decoder.decoder_pos_embed"}


@pytest.mark.parametrize("shape", [(2, 19), (1, 20), (20,)])
def test_bad_patch_mask(model: PixelForPreTraining, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"patch_mask must be \[B, P\] = \[2, 20\]"):
        model(pixels(), None, torch.zeros(shape))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, 21).long(), r"class_labels must be \[2, 20\]"),
        (torch.full((2, 20), 7), "below 7 .* got 7"),
    ],
)
def test_bad_class_labels(labels: Tensor, message: str) -> None:
    model = PixelWithPatchClasses(PixelConfig.named("nano", max_seq_length=64), PatchClasses(number=7))
    with pytest.raises(ValueError, match=message):
        model(pixels(), class_labels=labels)


def test_bad_ratio(model: PixelForPreTraining) -> None:
    with pytest.raises(ValueError, match=r"mask_ratio .* 1\.5"):
        model(pixels(), mask_ratio=1.5)


def test_bad_pixels(model: PixelForPreTraining) -> None:
    with pytest.raises(ValueError, match="multiple of 16 pixels, got 33"):
        model(torch.zeros(2, 16, 33, dtype=torch.uint8))


def test_it_compiles_without_a_break(model: PixelForPreTraining) -> None:
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    patch_mask = torch.zeros(2, 20)
    patch_mask[:, :5] = 1
    expected = model(pixels(), torch.ones(2, 20), patch_mask)
    found = compiled(pixels(), torch.ones(2, 20), patch_mask)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.loss, expected.loss)


@pytest.mark.parametrize("normalised", [True, False])
def test_a_perfect_prediction_reconstructs_the_pixels(model: PixelForPreTraining, normalised: bool) -> None:
    original, mask = pixels(), torch.zeros(2, 20)
    mask[:, 3:7] = 1
    model.config.norm_pix_loss = normalised
    targets = standardise(patchify(original)) if normalised else patchify(original)
    assert torch.equal(reconstruct(model.config, original, targets, mask), original)
    black = reconstruct(model.config, original, torch.full_like(targets, -100), mask)
    assert not black[:, :, 3 * 16 : 7 * 16].any()
    assert torch.equal(black[:, :, : 3 * 16], original[:, :, : 3 * 16])
