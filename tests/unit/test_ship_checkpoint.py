"""The script that turns a finished pretraining run into a shipped checkpoint."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from pixel_m4.model import PixelConfig, PixelForPreTraining
from pixel_m4.render import TextRenderer
from pixel_m4.shipped import SHIPPED

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "ship_checkpoint.py"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What pretraining leaves behind."""
    folder = tmp_path / "run"
    PixelForPreTraining(PixelConfig.named("nano", max_seq_length=64)).save_pretrained(folder)
    TextRenderer(max_seq_length=64).save_pretrained(folder)
    results = {"train_steps": 1234, "train_runtime": 300.0, "patches_seen": 5.6e6}
    for language, loss in (("en", 0.4567), ("uk", 0.3456)):
        results[f"eval_loss_{language}"] = loss
        for part in ("naming_accuracy", "reading_accuracy", "reading_baseline"):
            results[f"eval_{part}_{language}"] = 0.25
    (folder / "all_results.json").write_text(json.dumps(results))
    return folder


def load(assets: Path) -> dict[str, Any]:
    script = runpy.run_path(str(SCRIPT))
    script["ship"].__globals__["ASSETS"] = assets
    return script


def test_a_run_becomes_a_checkpoint(run: Path, tmp_path: Path) -> None:
    folder = load(tmp_path)["ship"](run, SHIPPED[0], "one core")
    trained, shipped = (PixelForPreTraining.from_pretrained(path).state_dict() for path in (run, folder))
    assert trained.keys() == shipped.keys()
    for name, value in trained.items():
        assert torch.equal(shipped[name], value.half().float()), name
    assert TextRenderer.from_pretrained(folder).max_seq_length == 64
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in (
        "1,234 steps, 5.6 M patches, 5 minutes on one core",
        "| en | 0.457 | 25.0 |",
        "| uk | 0.346 |",
    ):
        assert part in card


def test_too_large_a_run_is_refused(run: Path, tmp_path: Path) -> None:
    script = load(tmp_path)
    script["ship"].__globals__["LARGEST"] = 1000
    with pytest.raises(ValueError, match="more than 1000"):
        script["ship"](run, SHIPPED[0], "one core")
    assert not (tmp_path / SHIPPED[0] / "model.safetensors").exists()
