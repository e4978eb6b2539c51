"""A real sweep of four tiny runs that is killed in the middle."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from test_finetuning_runs import make_treebank

from pixel_m4.cli.main import main

CONFIG = Path(__file__).parents[2] / "configs" / "sweeps" / "tiny.yaml"


@pytest.mark.slow
def test_killed_sweep_goes_on(tmp_path: Path) -> None:
    recipe = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    (tmp_path / "data").mkdir()
    make_treebank(tmp_path / "data" / "UD_Tamil-TTB", {"train": 64, "dev": 20, "test": 20})
    recipe |= {"data_dir": f"{tmp_path}/data/UD_{{name}}", "max_steps": 10, "eval_steps": 5}
    recipe |= {"max_seq_length": 64, "report_to": "none"}
    file, output = tmp_path / "sweep.yaml", tmp_path / "runs"
    file.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
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
