"""The script that checks and measures GPUs, on the CPU."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from pixel_m4.model.attention import Unpadded

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def gpu() -> ModuleType:
    return import_module("gpu")


@pytest.fixture
def checks(gpu: ModuleType) -> ModuleType:
    return import_module("gpu_checks")


@pytest.fixture
def place(gpu: ModuleType, tmp_path: Path) -> Any:
    return gpu.Place(device=torch.device("cpu"), quick=True, scratch=tmp_path)


def run(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words])
    return gpu.main()


def test_without_a_gpu_everything_is_skipped(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(gpu, monkeypatch, "--output", str(tmp_path / "gpu.json")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("skipped: no CUDA device: torch ")
    names = [function.__name__ for function in (*gpu.CHECKS, *gpu.MEASURES)]
    assert [line.split(":")[0] for line in lines[1:]] == [f"skipped {name}" for name in names]
    assert not (tmp_path / "gpu.json").exists()


def test_what_fails_does_not_stop_the_rest(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def wrong(place: Any) -> dict[str, Any]:
        """It is wrong."""
        raise AssertionError("3 off")

    def right(place: Any) -> dict[str, Any]:
        """It is right."""
        return {"off": 0.5}

    def fast(place: Any, earlier: list[Any]) -> list[Any]:
        """It is fast."""
        return [gpu.Row(name="steps", rate=10.0, unit="patches", published=4.0, peak_share=0.25)]

    def broken(place: Any, earlier: list[Any]) -> list[Any]:
        assert [row.name for row in earlier] == ["steps"]
        raise RuntimeError("out of memory")

    monkeypatch.setattr(gpu, "matmul_peak", lambda *_: 2e12)
    output = tmp_path / "new" / "gpu.json"
    words = ("--device", "cpu", "--quick", "--output", str(output))
    monkeypatch.setattr(gpu, "CHECKS", (wrong, right))
    monkeypatch.setattr(gpu, "MEASURES", (fast, broken))
    assert run(gpu, monkeypatch, *words) == 1
    report = json.loads(output.read_text())
    assert [(each["name"], each["status"]) for each in report["checks"] + report["measures"]] == [
        ("wrong", "failed"), ("right", "passed"), ("fast", "passed"), ("broken", "failed")
    ]  # fmt: skip
    assert report["checks"][0]["error"] == "AssertionError: 3 off"
    assert report["checks"][1]["found"] == {"off": 0.5}
    assert report["rows"][0]["rate"] == 10
    assert (report["peak"], report["peak_of"]) == (2e12, "the measured product")
    printed = capsys.readouterr().out
    assert "2.50" in printed  # times as fast
    assert "failed: wrong, broken" in printed
    monkeypatch.setattr(gpu, "CHECKS", (right,))
    monkeypatch.setattr(gpu, "MEASURES", (fast,))
    assert run(gpu, monkeypatch, *words, "--peak_tflops", "5") == 0
    report = json.loads(output.read_text())
    assert (report["peak"], report["peak_of"]) == (5e12, "the option")


def test_peaks_of_cards(gpu: ModuleType) -> None:
    names = ("NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "NVIDIA A100-SXM4-80GB", "NVIDIA L40S", "Tesla T4")
    assert [gpu.peak_of(name) for name in names] == [989e12, 756e12, 312e12, 362e12, None]


def test_bars(checks: ModuleType) -> None:
    assert checks.below({"a": 0.1}, 0.2) == {"a": 0.1, "bar": 0.2}
    for value in (0.3, math.nan):
        with pytest.raises(AssertionError, match=r"more than 0.2 off: .*'b'"):
            checks.below({"a": 0.1, "b": value}, 0.2)
    assert checks.falls([3.0, 2.0, 1.0])["last"] == 1
    with pytest.raises(AssertionError, match="does not fall"):
        checks.falls([1.0, 2.0])


@pytest.mark.parametrize("name", ["float32_parity", "bfloat16_parity", "without_padding"])
def test_parity_notices_a_fault(
    checks: ModuleType, place: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = getattr(checks, name)
    monkeypatch.setattr(checks, "HEADS", {"encoder": None, "parsing": None})
    check(place)
    whole = Unpadded.pad

    def shifted(self: Unpadded, states: Tensor) -> Tensor:
        return whole(self, states.roll(1, dims=1))

    if name == "bfloat16_parity":  # both sides go the same way there, so break the one in bfloat16
        gradients = checks.gradients
        monkeypatch.setattr(
            checks, "gradients", lambda *a, bf16=False: (gradients(*a)[0] * (1.1 if bf16 else 1), None)
        )
    else:
        monkeypatch.setattr(Unpadded, "pad", shifted)
    with pytest.raises(AssertionError, match="off"):
        check(place)


def test_waiting_is_noticed(checks: ModuleType, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "HEADS", {"parsing": None})
    assert checks.never_waited_for(place) == {"heads": 1, "device": "meta"}
    loss_of = checks.loss_of

    def looks(*args: Any) -> Tensor:
        loss = loss_of(*args)
        loss.item()
        return loss

    monkeypatch.setattr(checks, "loss_of", looks)
    with pytest.raises(RuntimeError, match="meta"):
        checks.never_waited_for(place)


def test_the_environment_of_fsdp(checks: ModuleType, place: Any) -> None:
    found = checks.fsdp_environment(place)
    assert found["FSDP_VERSION"] == "2"
    assert found["FSDP_TRANSFORMER_CLS_TO_WRAP"] == "PixelLayer"
    assert found["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false"
    assert found["ACCELERATE_USE_FSDP"] == "true"


@pytest.mark.slow
def test_all_of_it_runs_on_the_cpu(tmp_path: Path) -> None:
    output = tmp_path / "gpu.json"
    command = [sys.executable, str(FOLDER / "gpu.py"), "--device", "cpu", "--quick", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(output.read_text())
    assert {each["status"] for each in report["checks"] + report["measures"]} == {"passed"}
    assert len(report["checks"]) == 9
    assert all(row["rate"] > 0 for row in report["rows"])
    assert len(report["rows"]) == 7
