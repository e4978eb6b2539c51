from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import get_scheduler

from pixel_m4.model import PixelConfig, PixelForPreTraining
from pixel_m4.train.optim import MuonWithAdamW, split_for_muon


def groups(model: torch.nn.Module) -> list[dict[str, Any]]:
    return [
        {"params": [model[0].bias], "weight_decay": 0.1},  # type: ignore[index]
        {"params": [model[2].bias], "weight_decay": 0.0},  # type: ignore[index]
    ]


def make(seed: int = 0) -> tuple[torch.nn.Module, MuonWithAdamW]:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.GELU(), torch.nn.Linear(8, 3))
    matrices = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    others = [
        {"params": [model[0].bias], "weight_decay": 0.1},
        {"params": [model[2].bias], "weight_decay": 0.0},
    ]
    optimizer = MuonWithAdamW(
        matrices,
        others,
        learning_rate=1e-2,
        muon_learning_rate=0.02,
        muon_weight_decay=0.1,
        betas=(0.9, 0.95),
    )
    return model, optimizer


def loss(model: torch.nn.Module, step: int) -> torch.Tensor:
    return model(torch.randn(5, 6, generator=torch.Generator().manual_seed(step))).square().mean()


def steps(model: torch.nn.Module, *optimizers: torch.optim.Optimizer, count: int, first: int = 0) -> None:
    for step in range(first, first + count):
        loss(model, step).backward()
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad()


def assert_same(one: torch.nn.Module, two: torch.nn.Module) -> None:
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(first, second)


def test_equals_the_two_stepped_by_hand() -> None:
    model, optimizer = make()
    other = copy.deepcopy(model)
    muon = torch.optim.Muon([other[0].weight, other[2].weight], lr=0.02, weight_decay=0.1)
    groups = [
        {"params": [other[0].bias], "weight_decay": 0.1},
        {"params": [other[2].bias], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95))
    before = copy.deepcopy(model)
    steps(model, optimizer, count=4)
    steps(other, muon, adamw, count=4)
    assert_same(model, other)
    assert not torch.equal(model[0].weight, before[0].weight)
    assert not torch.equal(model[0].bias, before[0].bias)


def test_state_goes_round(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model, optimizer = make()
    steps(model, optimizer, count=3)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    resumed, other = make(seed=1)
    resumed.load_state_dict(model.state_dict())
    other.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    steps(model, optimizer, count=3, first=3)
    steps(resumed, other, count=3, first=3)
    assert_same(model, resumed)


def test_a_schedule_scales_both_rates_to_the_same_share() -> None:
    model, optimizer = make()
    schedule = get_scheduler(
        "cosine_with_min_lr", optimizer, 2, 10, scheduler_specific_kwargs={"min_lr": 1e-3}
    )
    for _ in range(11):
        loss(model, 0).backward()
        optimizer.step()
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates[0] / 0.02 == pytest.approx(rates[1] / 1e-2)
        assert rates[1] == rates[2]
        schedule.step()
    assert rates[1] == pytest.approx(1e-3)
    frozen = copy.deepcopy(model)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    steps(model, optimizer, count=1)
    assert_same(model, frozen)  # the two work with the rates of the whole


def test_muon_gets_the_matrices_of_layers() -> None:
    model = PixelForPreTraining(PixelConfig.named("nano"))
    muon, adamw = split_for_muon(model)
    assert len(muon) == 6 * (3 + 2)  # query, key, value, output, two of the feed-forward part, in each layer
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert sorted(muon + adamw) == sorted(trainable)
    assert {"decoder.decoder_embed.weight", "decoder.decoder_pred.weight"} <= set(adamw)
    assert all("norm" not in name and "bias" not in name for name in muon)
