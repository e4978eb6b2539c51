from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
import torch

from pixel_m4.corpus import pretraining
from pixel_m4.corpus.corpora import Block
from pixel_m4.corpus.patches import PatchVocabulary
from pixel_m4.corpus.pretraining import MaskedBlocks, Masking
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
    assert batch["class_labels"][0, [0, 1, 3]].tolist() == [0, 1, 2]
    for row, number in ((row, n) for row in range(2) for n in range(64)):
        label = int(batch["class_labels"][row, number])
        same = [bool((patches[row, number].numpy() == patch).all()) for patch in known]
        assert (label == -100 and not any(same)) or same[label]
    many = [named([BLOCKS[0]._replace(number=n)])["first_position"].item() for n in range(300)]
    assert set(many) == set(range(81 - 64 + 1))
    assert torch.equal(named(BLOCKS)["first_position"], batch["first_position"])
    with pytest.raises(ValueError, match="positions must be at least the 64 patches of a canvas, got 49"):
        MaskedBlocks(RENDERER, ["en"], masking=masking, positions=49)


class Worker(NamedTuple):
    id: int
    num_workers: int


def test_every_worker_of_every_process_hides_other_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one number have other masks in other shares, and a share has the same wherever it is."""
    blocks = [BLOCKS[0]._replace(number=number) for number in (0, 1, 2)]

    def masks(rank: int, worker: Worker | None) -> list[tuple[bool, ...]]:
        monkeypatch.setattr(pretraining, "get_worker_info", lambda: worker)
        return [tuple(mask) for mask in collate(rank=rank)(blocks)["patch_mask"].tolist()]

    found = {(rank, id): masks(rank, Worker(id, 2)) for rank in range(2) for id in range(2)}
    assert len({mask for of_share in found.values() for mask in of_share}) == 4 * 3
    for share in range(4):
        assert masks(share, None) == found[divmod(share, 2)] == masks(0, Worker(share, 4))


@pytest.mark.parametrize("kind", ["span", "random"])
def test_as_many_patches_as_asked_are_hidden(kind: str) -> None:
    for patches in (36, 49, 64, 100, 529):
        for ratio in (0.1, 0.25, 0.3, 0.5):
            mask = Masking(kind=kind, ratio=ratio).draw(patches, patches, np.random.default_rng(patches))
            assert mask.sum() == math.ceil(round(ratio * patches, 6))


@pytest.mark.parametrize("longest", range(1, 7))
def test_spans_have_their_lengths(longest: int) -> None:
    masking = Masking(max_span=longest, ratio=0.06)
    masks = [masking.draw(529, 529, np.random.default_rng(seed)) for seed in range(40)]
    runs = Counter(
        len(run) for mask in masks for run in "".join("01"[bit] for bit in mask.astype(int)).split("0") if run
    )
    # The last span of a mask may be cut short, and none is longer: there is room between them.
    assert max(runs) == longest
    assert set(runs) == set(range(1, longest + 1))


def test_every_text_of_a_block_ends_with_a_black_patch_that_counts() -> None:
    texts = ("a cat reads pixels", "near", "a river")
    widths = [RENDERER(text).num_text_patches + 1 for text in texts]
    batch = collate()([Block("en", texts, sum(widths), 0)])
    assert batch["attention_mask"].sum() == sum(widths)
    patches = split_patches(batch["pixel_values"])[0]
    black = [number for number, patch in enumerate(patches) if not patch.any()]
    assert black == [end - 1 for end in np.cumsum(widths)]


def test_names_are_for_grey_patches() -> None:
    with pytest.raises(ValueError, match="the renderer draws in colour"):
        MaskedBlocks(
            TextRenderer(max_seq_length=64, rgb=True),
            ["en"],
            masking=Masking(),
            vocabulary=PatchVocabulary(np.zeros((1, 256), np.uint8)),
        )
