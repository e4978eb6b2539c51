from __future__ import annotations

import numpy as np
import pytest
import torch

from pixel_m4.data.corpora import Block
from pixel_m4.data.patches import PatchVocabulary
from pixel_m4.data.pretraining import MaskedBlocks, Masking
from pixel_m4.model import PixelConfig, PixelForPreTraining
from pixel_m4.model.vit import split_patches
from pixel_m4.render import TextRenderer

RENDERER = TextRenderer(max_seq_length=64)
BLOCKS = [Block("en", ("a cat reads pixels", "near a river"), 17, 5), Block("hi", ("बिल्ली नदी",), 5, 9)]


def collate(kind: str = "span", seed: int = 0, rank: int = 0, **options: float) -> MaskedBlocks:
    masking = Masking(kind=kind, **options)  # type: ignore[arg-type]
    return MaskedBlocks(RENDERER, ["en", "hi"], masking=masking, seed=seed, rank=rank)


@pytest.mark.parametrize("kind", ["span", "random"])
def test_the_model_hides_just_the_drawn_patches(kind: str) -> None:
    batch = collate(kind)(BLOCKS)
    assert batch["patch_mask"].sum(1).tolist() == [16, 16]
    assert batch["language"].tolist() == [0, 1]
    assert batch["pixel_values"].shape == (2, 16, 16 * 64)
    batch.pop("language")
    outputs = PixelForPreTraining(PixelConfig.named("nano", max_seq_length=64))(**batch)
    assert torch.equal(outputs.mask.bool(), batch["patch_mask"])
    counted = (outputs.mask * batch["attention_mask"]).sum()
    assert outputs.loss.item() == pytest.approx(outputs.patch_losses.sum().item() / counted.item())
    assert not outputs.patch_losses[~(batch["patch_mask"] & (batch["attention_mask"] == 1))].any()


def test_masks_depend_on_the_place_in_the_corpus_only() -> None:
    both, second = collate()(BLOCKS), collate()(BLOCKS[1:])
    assert torch.equal(both["patch_mask"][1:], second["patch_mask"])
    for other in (collate(seed=1), collate(rank=1)):
        assert not torch.equal(other(BLOCKS)["patch_mask"], both["patch_mask"])
    moved = collate()([block._replace(number=block.number + 1) for block in BLOCKS])
    assert not torch.equal(moved["patch_mask"], both["patch_mask"])


def test_shorter_spans_keep_their_proportions() -> None:
    masks = [Masking(max_span=2, ratio=0.2).draw(500, 500, np.random.default_rng(n)) for n in range(20)]
    runs = [
        len(run) for mask in masks for run in "".join("01"[bit] for bit in mask.astype(int)).split("0") if run
    ]
    assert runs.count(1) + runs.count(2) > 0.9 * len(runs)


def test_bad_masking() -> None:
    for options, message in (
        ({"kind": "x"}, "span, random, got 'x'"),
        ({"ratio": 0.0}, "mask_ratio must lie between 0 and 1"),
        ({"max_span": 7}, "max_span must lie between 1 and 6, got 7"),
    ):
        with pytest.raises(ValueError, match=message):
            Masking(**options)  # type: ignore[arg-type]


def test_names_are_those_of_the_pixels_and_places_fit_the_table() -> None:
    plain = collate()(BLOCKS)
    patches = split_patches(plain["pixel_values"])
    known = patches[0, [0, 1, 3]].numpy()
    masking = Masking()
    named = MaskedBlocks(
        RENDERER, ["en", "hi"], masking=masking, vocabulary=PatchVocabulary(known), positions=81
    )
    batch = named(BLOCKS)
    for name in ("pixel_values", "attention_mask", "patch_mask"):
        assert torch.equal(batch[name], plain[name])  # the options beside change nothing
    assert batch["piece_labels"][0, [0, 1, 3]].tolist() == [0, 1, 2]
    for row, number in ((row, n) for row in range(2) for n in range(64)):
        label = int(batch["piece_labels"][row, number])
        same = [bool((patches[row, number].numpy() == patch).all()) for patch in known]
        assert (label == -100 and not any(same)) or same[label]
    many = [named([BLOCKS[0]._replace(number=n)])["first_position"].item() for n in range(300)]
    assert set(many) == set(range(81 - 64 + 1))
    assert torch.equal(named(BLOCKS)["first_position"], batch["first_position"])
    with pytest.raises(ValueError, match="positions must be at least the 64 patches of a canvas, got 49"):
        MaskedBlocks(RENDERER, ["en"], masking=masking, positions=49)
