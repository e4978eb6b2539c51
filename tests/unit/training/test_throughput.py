from __future__ import annotations

import time

import pytest
import torch

from pixel_m4.model import PixelConfig, PixelForPreTraining
from pixel_m4.model.flops import training_flops
from pixel_m4.training.throughput import Throughput, matmul_peak

CONFIG = PixelConfig.named("nano", max_seq_length=16)


def masks(*lengths: int) -> torch.Tensor:
    return (torch.arange(16) < torch.tensor(lengths)[:, None]).long()


def test_real_patches_are_counted() -> None:
    throughput = Throughput(CONFIG, peak=1e6)
    flops = throughput.add(masks(16, 4))
    expected = [training_flops(CONFIG, PixelForPreTraining, length).total for length in (16, 4)]
    assert flops == sum(expected)
    throughput.add(masks(8, 8))
    report = throughput.report(throughput.totals(), 1)
    assert report["fill_rate"] == 36 / 64
    assert report["patches_seen"] == 36
    total = sum(expected) + 2 * training_flops(CONFIG, PixelForPreTraining, 8).total
    assert report["peak_share"] / report["patches_per_second"] == pytest.approx(total / 36 / 1e6)


def test_patches_before_a_checkpoint_are_seen_but_not_timed() -> None:
    first, second = (Throughput(CONFIG, peak=1e9) for _ in range(2))
    first.add(masks(16))
    first.report(first.totals(), 1)
    first.add(masks(5))
    second.load(first.state())
    second.add(masks(3))
    report = second.report(second.totals(), 1)
    assert report["patches_seen"] == 24
    assert report["fill_rate"] == 3 / 16
    assert second.state() == {"patches_seen": 24, "since_report": 0}


def test_pauses_do_not_count() -> None:
    throughput = Throughput(CONFIG, peak=1e9)
    throughput.add(masks(16))
    with throughput.paused():
        time.sleep(0.2)
    assert throughput.report(throughput.totals(), 1)["patches_per_second"] > 16 / 0.2


def test_peak_leaves_chance_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert matmul_peak(torch.device("cpu"), torch.float32, repetitions=1) > 1e8
    assert torch.equal(torch.rand(1), expected)
