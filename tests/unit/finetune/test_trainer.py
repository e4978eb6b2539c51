"""The order of training examples, and which checkpoint is the best."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from pixel_m4.finetune.trainer import SeededOrder
from pixel_m4.training.saving import best_of


@pytest.mark.parametrize("lengths", [None, [1 + number % 7 for number in range(64)]])
def test_order_is_a_function_of_seed_and_epoch(lengths: list[int] | None) -> None:
    """Nothing that happened before changes it; another seed or epoch does."""

    def order(seed: int, epoch: int, chance: int) -> list[int]:
        torch.manual_seed(chance)
        sampler = SeededOrder(64, seed, lengths, batch_size=4)
        sampler.set_epoch(epoch)
        return list(sampler)

    orders = {(seed, epoch): order(seed, epoch, 0) for seed in (0, 1, 2) for epoch in (0, 1, 2)}
    assert len({tuple(found) for found in orders.values()}) == 9
    for (seed, epoch), found in orders.items():
        assert sorted(found) == list(range(64))
        assert order(seed, epoch, 1) == found
    assert SeededOrder(64, 0, lengths).__len__() == 64


def test_lengths_are_grouped() -> None:
    """The examples of a step are of like lengths, no step comes sooner for its length, and all come once."""
    lengths = [1 + (37 * number) % 101 for number in range(202)]
    order = list(SeededOrder(202, 0, lengths, batch_size=4))
    assert sorted(order) == list(range(202))
    steps = [[lengths[number] for number in order[first : first + 4]] for first in range(0, 200, 4)]
    assert sum(max(step) - min(step) for step in steps) / len(steps) < 10  # at random about 60
    means = [sum(step) for step in steps]
    assert 0.3 < sum(after < before for before, after in pairwise(means)) / 49 < 0.7  # sorted: 0.9


@pytest.mark.parametrize("lengths", [None, [1 + number % 7 for number in range(100)]])
def test_small_groups_come_more_often(lengths: list[int] | None) -> None:
    """Draws of a group are proportional to a power of its size, and its examples come equally often."""
    groups = ["small"] * 4 + ["large"] * 64 + ["middle"] * 32
    order = SeededOrder(100, 3, lengths, batch_size=4, groups=groups, power=0.5)
    counts: Counter[int] = Counter()
    for epoch in range(8):
        order.set_epoch(epoch)
        drawn = list(order)
        assert drawn == list(order)
        assert len(drawn) == len(order) == 100
        # 2, 8 and 5.657 of 15.657
        found = Counter(groups[number] for number in drawn)
        assert found == {"small": 13, "large": 51, "middle": 36}
        counts.update(drawn)
    for group in set(groups):
        times = [counts[number] for number in range(100) if groups[number] == group]
        assert max(times) - min(times) <= 1


def test_a_power_of_one_draws_every_example_once() -> None:
    groups = ["small"] * 4 + ["large"] * 60
    assert list(SeededOrder(64, 0, groups=groups)) == list(SeededOrder(64, 0))


def test_the_best_checkpoint_is_beside_the_one_that_names_it(tmp_path: Path) -> None:
    checkpoint = tmp_path / "moved" / "checkpoint-20"
    checkpoint.mkdir(parents=True)
    state = checkpoint / "trainer_state.json"
    state.write_text(json.dumps({"best_model_checkpoint": "/elsewhere/run/checkpoint-10"}))
    assert best_of(checkpoint) == tmp_path / "moved" / "checkpoint-10"
    state.write_text(json.dumps({"best_model_checkpoint": None}))
    assert best_of(checkpoint) is None
    for damaged in ("{", "{}"):
        state.write_text(damaged)
        with pytest.raises(ValueError, match="no checkpoint to go on from"):
            best_of(checkpoint)
