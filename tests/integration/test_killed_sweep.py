"""A real sweep of four tiny runs that is killed in the middle."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_finetuning_runs import make_treebank

from pixel_m4.cli.main import main

CONFIG = Path(__file__).parents[2] / "configs" / "sweeps" / "tiny.yaml"


def write_sweep(folder: Path, **changes: Any) -> Path:
    """The file of a sweep over a treebank that is made beside it."""
    recipe = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    (folder / "data").mkdir()
    make_treebank(folder / "data" / "UD_Tamil-TTB", {"train": 64, "dev": 20, "test": 20})
    recipe |= {"data_dir": f"{folder}/data/UD_{{name}}", "max_steps": 10, "eval_steps": 5}
    recipe |= {"max_seq_length": 64, "report_to": "none", **changes}
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return file


@pytest.mark.slow
def test_killed_sweep_goes_on(tmp_path: Path) -> None:
    file, output = write_sweep(tmp_path), tmp_path / "runs"
    command = ["sweep", str(file), "--output_dir", str(output)]
    process = subprocess.Popen([sys.executable, "-m", "pixel_m4.cli", *command], stdout=subprocess.DEVNULL)
    while len(list(output.rglob("log.txt"))) < 2:  # the second run has begun
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)
    finished = {path: path.stat().st_mtime_ns for path in output.rglob("test_results.json")}
    assert len(finished) == 1
    assert main(command) == 0
    after = {path: path.stat().st_mtime_ns for path in output.rglob("test_results.json")}
    assert len(after) == 4
    assert finished.items() <= after.items()
    with (output / "runs.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["seed"] for row in csv.DictReader(stream)] == ["0", "1", "0", "1"]
    assert "± " in (output / "table.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_sweep_on_ray_is_stopped_and_goes_on(tmp_path: Path) -> None:
    """Its real runs keep a checkpoint, and end in the scores and the weights of one machine."""
    pytest.importorskip("ray", reason="needs Ray: install pixel-m4[ray]")
    file = write_sweep(tmp_path, seed=[0], max_steps=60, task="parsing")
    there, here = tmp_path / "there", tmp_path / "here"
    command = ["sweep", str(file), "--output_dir", str(there), "--engine", "ray", "--ray_address", "local"]
    command += ["--jobs", "1", "--cpus_per_run", "1"]
    process = subprocess.Popen([sys.executable, "-m", "pixel_m4.cli", *command])
    while not list(there.rglob("checkpoint-5")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 143
    (log,) = there.rglob("log.txt")
    assert "is kept" in log.read_text(encoding="utf-8")
    assert not list(there.rglob("test_results.json"))
    assert main([*command, "--resume_runs"]) == 0
    assert "going on from" in log.read_text(encoding="utf-8")
    assert main(["sweep", str(file), "--output_dir", str(here)]) == 0
    assert (there / "table.md").read_bytes() == (here / "table.md").read_bytes()
    weights = [
        [path.read_bytes() for path in sorted(folder.glob("*/*/model.safetensors"))]
        for folder in (there, here)
    ]
    assert weights[0] == weights[1]
    assert weights[0]
