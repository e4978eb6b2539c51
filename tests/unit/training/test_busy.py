from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
import torch

from pixel_m4.training.busy import BusyNote, slowdown


@pytest.mark.parametrize(
    ("wall", "cpu", "load", "expected"),
    [
        (10, 9.8, 2.1, None),  # fast, though the machine has other work
        (10, 2.5, 6.0, 4.0),
        (10, 2.5, 1.0, None),  # slow, but not because of other programs
        (10, 4.5, 6.0, None),  # a bit slower
        (10, 0.0, 6.0, 10_000),
    ],
)
def test_slowdown(wall: float, cpu: float, load: float, expected: float | None) -> None:
    assert slowdown(wall, cpu, load, 2) == expected


def steps(note: BusyNote, count: int, device: str = "cpu", zero: bool = True) -> None:
    args = SimpleNamespace(device=torch.device(device))
    for _ in range(count):
        note.on_step_begin(args, None, None)
        note.on_step_end(args, SimpleNamespace(is_local_process_zero=zero), None)


def test_the_note_comes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"wall": 0.0, "cpu": 0.0, "share": 1.0}

    def wall() -> float:
        clock["wall"] += 2
        clock["cpu"] += 2 * clock["share"]
        return clock["wall"]

    monkeypatch.setattr(time, "monotonic", wall)
    monkeypatch.setattr(time, "thread_time", lambda: clock["cpu"])
    monkeypatch.setattr(os, "getloadavg", lambda: (9.0, 0, 0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    said: list[str] = []
    note = BusyNote(said.append)
    steps(note, 20)
    assert not said  # the machine is busy, but training gets its share
    clock["share"] = 0.25
    steps(note, 4)
    steps(BusyNote(said.append), 20, device="meta")
    steps(BusyNote(said.append), 20, zero=False)
    assert not said
    steps(note, 20)
    expected = "this machine is busy (load 9.0 on 4 processors): steps take about 4.0 times as long as they "
    assert said == [expected + "should; OMP_NUM_THREADS=1 may be faster"]
