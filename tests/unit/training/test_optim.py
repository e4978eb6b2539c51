from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.multiprocessing import spawn
from transformers import TrainingArguments, get_scheduler

from pixel_m4.model import PixelConfig, PixelForPreTraining
from pixel_m4.training import optim
from pixel_m4.training.optim import Muon, MuonWithAdamW, divide, iteration_dtype, muon_for, split_for_muon


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


SHAPES = [(16, 16), (16, 64), (64, 16), (16, 16), (12, 18), (18, 16), (16, 64), (1, 5), (7, 1)]


def matrices() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def pull(parameters: list[torch.nn.Parameter], step: int) -> None:
    """Give each parameter but the last a gradient with large and small singular values."""
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters[:-1]:
        scales = torch.logspace(0, -4, len(parameter))[:, None]
        parameter.grad = torch.randn(parameter.shape, generator=generator) * scales


@pytest.mark.parametrize("at_once", [1, 100, 2**16])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-3)])
def test_muon_equals_torchs_in_the_same_dtype(
    dtype: torch.dtype, tolerance: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optim, "_AT_ONCE_CPU", at_once)
    if dtype == torch.float32:  # torch's rule, without its bfloat16
        monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    ours, theirs = matrices(), matrices()
    options: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.1}
    optimizers = [Muon(ours, dtype=dtype, **options), torch.optim.Muon(theirs, **options)]
    for step in range(4):
        for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
            pull(parameters, step)
            optimizer.step()
    for first, second, start in zip(ours, theirs, matrices(), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=tolerance)
        assert torch.equal(first, start) == (first is ours[-1])
    assert optimizers[0].state_dict()["param_groups"] == optimizers[1].state_dict()["param_groups"]


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 8, 24), (2, 8, 12)])
def test_orthogonalize_gives_singular_values_near_one(shape: tuple[int, ...]) -> None:
    found = optim.orthogonalize(
        torch.randn(shape, generator=torch.Generator().manual_seed(0)), (3.4445, -4.7750, 2.0315), 1e-7, 5
    )
    values = torch.linalg.svdvals(found)
    assert 0.6 < values.min() < values.max() < 1.3
    assert not optim.orthogonalize(torch.zeros(shape), (3.4445, -4.7750, 2.0315), 1e-7, 5).any()


def test_a_cpu_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    assert iteration_dtype(torch.device("cpu")) == torch.float32
    for supported, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supported)  # noqa: B023
        assert iteration_dtype(torch.device("cuda")) == expected


def test_state_of_torchs_muon_is_taken_over() -> None:
    """Runs that were begun with torch's optimizer go on."""
    ours, theirs = matrices(), matrices()
    old = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    for step in range(3):
        pull(theirs, step)
        old.step()
    new = Muon(ours, lr=0.5, weight_decay=0.5, dtype=torch.bfloat16)
    new.load_state_dict(copy.deepcopy(old.state_dict()))
    for first, second in zip(ours, theirs, strict=True):
        first.data.copy_(second.data)
    for optimizer, parameters in ((old, theirs), (new, ours)):
        pull(parameters, 3)
        optimizer.step()
    for first, second in zip(ours, theirs, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-3)


def test_only_matrices() -> None:
    with pytest.raises(ValueError, match=r"not for shape \[3\]"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=0.1, weight_decay=0)


@pytest.mark.parametrize("shares", [1, 2, 3, 20])
def test_every_matrix_is_in_one_share(shares: int) -> None:
    parameters = matrices()
    divided = divide(parameters, shares)
    assert len(divided) == shares
    assert {id(each) for share in divided for each in share} == {id(each) for each in parameters}
    assert sum(map(len, divided)) == len(parameters)
    if shares == 2:
        assert {tuple(share[0].shape) for share in divided} == {(16, 64), (64, 16)}


def _process(rank: int, store: str, results: str, processes: int) -> None:
    """Train as one of some processes: whole matrices, then sharded ones."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=processes)
    whole = matrices()
    mesh = init_device_mesh("cpu", (processes,))
    sharded = [torch.nn.Parameter(distribute_tensor(each.data, mesh, [Shard(0)])) for each in matrices()]
    counted = Counter[int]()
    work = optim.orthogonalize

    def counting(stacked: torch.Tensor, *args: Any) -> torch.Tensor:
        counted[len(counted)] = len(stacked)
        return work(stacked, *args)

    optim.orthogonalize = counting  # type: ignore[assignment]
    options: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.1, "distributed": True}
    one, other = Muon(whole, **options), Muon(sharded, **options)
    for step in range(3):
        pull(whole, step)
        for full, parts in zip(whole[:-1], sharded, strict=False):
            parts.grad = distribute_tensor(full.grad, mesh, [Shard(0)])
        one.step()
        other.step()
    found = [each.data for each in whole], [each.data.full_tensor() for each in sharded]
    momentum = [one.state[each]["momentum_buffer"] for each in whole[:-1]]
    torch.save((found, momentum, sum(counted.values())), f"{results}{rank}")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_processes_share_the_work(processes: int, tmp_path: Path) -> None:
    spawn(_process, (str(tmp_path / "store"), str(tmp_path / "result"), processes), nprocs=processes)
    alone = matrices()
    optimizer = Muon(alone, lr=0.02, weight_decay=0.1)
    for step in range(3):
        pull(alone, step)
        optimizer.step()
    results = [torch.load(tmp_path / f"result{rank}") for rank in range(processes)]
    for (whole, sharded), momentum, _ in results:
        for one, two, three in zip(alone, whole, sharded, strict=True):
            torch.testing.assert_close(two, one.data, rtol=0, atol=2e-6)
            torch.testing.assert_close(three, one.data, rtol=0, atol=2e-6)
        for one, two in zip(alone, momentum, strict=False):
            assert torch.equal(optimizer.state[one]["momentum_buffer"], two)  # whole on every process
    for here, there in zip(results[0][0], results[-1][0], strict=True):  # whole ones, and sharded ones
        assert all(map(torch.equal, here, there))  # processes do not drift apart
    shares = divide(alone[:-1], processes)  # of what has a gradient; each matrix once, not twice
    assert [count for *_, count in results] == [3 * 2 * len(share) for share in shares]
    assert all(shares)


def test_equals_the_two_stepped_by_hand() -> None:
    model, optimizer = make()
    other = copy.deepcopy(model)
    muon = Muon([other[0].weight, other[2].weight], lr=0.02, weight_decay=0.1)
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


def test_muon_for_a_model() -> None:
    model = PixelForPreTraining(PixelConfig.named("nano"))
    args = TrainingArguments(output_dir="unused", use_cpu=True, weight_decay=0.2, learning_rate=1e-3)
    optimizer = muon_for(model, args, ["cls_token"], 0.02)
    muon, decaying, rest = optimizer.param_groups
    assert (muon["lr"], muon["weight_decay"]) == (0.02, 0.2)
    assert decaying["fused"]
    assert (decaying["weight_decay"], rest["weight_decay"]) == (0.2, 0.0)
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="no matrices"):
        muon_for(model, args, [], 0.02)
