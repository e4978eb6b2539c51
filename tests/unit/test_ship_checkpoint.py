"""The script that turns a finished run into a shipped checkpoint."""

from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from pixel_m4.model import PixelConfig, PixelForBiaffineParsing, PixelForPreTraining
from pixel_m4.render import TextRenderer
from pixel_m4.shipped import SHIPPED
from pixel_m4.tasks.parsing import Parsing, ParsingOptions

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
        hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(),
    ):
        assert part in card


def test_too_large_a_run_is_refused(run: Path, tmp_path: Path) -> None:
    script = load(tmp_path)
    script["ship"].__globals__["LARGEST"] = 1000
    with pytest.raises(ValueError, match="more than 1000"):
        script["ship"](run, SHIPPED[0], "one core")
    assert not (tmp_path / SHIPPED[0] / "model.safetensors").exists()


def parser_run(folder: Path) -> Path:
    """What the fine-tuning of a parser leaves behind."""
    config = PixelConfig.named("nano", max_seq_length=64, num_tags=17, num_word_layers=1)
    task = Parsing(TextRenderer(max_seq_length=64), options=ParsingOptions(upos=True, num_word_layers=1))
    task.configure(config)
    PixelForBiaffineParsing(config).save_pretrained(folder)
    task.renderer.save_pretrained(folder)
    (folder / "all_results.json").write_text(json.dumps({"train_steps": 2000, "train_runtime": 600.0}))
    record = {
        "arguments": {"model_name_or_path": "pixel-m4-tiny"},
        "training": {"per_device_train_batch_size": 16},
        "processes": 2,
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


TREEBANKS = """treebank\tkind\ttrain\tdev\ttest\tleft out\tfiles
Greek-GDT\tmixed\t1662\t16\t456\t\tel_gdt-ud-train.conllu.gz 0
Tamil-TTB\tmixed\t400\t16\t120\t\tta_ttb-ud-train.conllu.gz 0
Tatar-NMCTT\tunseen\t0\t0\t148\t\ttt_nmctt-ud-test.conllu.gz 0
"""


def test_a_parser_has_its_scores_in_its_card(tmp_path: Path) -> None:
    run = parser_run(tmp_path / "run")
    scores, treebanks = tmp_path / "scores.json", tmp_path / "treebanks.tsv"
    treebanks.write_text(TREEBANKS)
    each = {"upos": 81.24, "uas_mst": 70.0, "las_mst": 60.06}
    found = {"Greek-GDT": {"sentences": 456, **each}, "Tamil-TTB": {"sentences": 120, **each}}
    scores.write_text(json.dumps(found))
    script = load(tmp_path)
    with pytest.raises(ValueError, match="needs --scores and --treebanks"):
        script["ship"](run, "pixel-m4-ud", "one core")
    folder = script["ship"](run, "pixel-m4-ud", "one core", scores, treebanks)
    shipped, trained = (PixelForBiaffineParsing.from_pretrained(path).state_dict() for path in (folder, run))
    assert all(torch.equal(shipped[name], value.half().float()) for name, value in trained.items())
    text = (folder / "README.md").read_text(encoding="utf-8")
    digest = hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()
    for part in (
        "2,000 steps of 32 sentences, 10 minutes on one core",
        "One parser and tagger for 2 languages",
        "| Greek-GDT | 1,662 | 456 | 81.2 | 70.0 | 60.1 |",
        "2 treebanks of Universal Dependencies",
        "- el\n- ta\n",
        digest,
    ):
        assert part in text
    assert "Tatar" not in text
    again = [scores, treebanks, "its first state, 100 steps", "pixel-m4-tiny"]
    text = (script["ship"](run, "pixel-m4-ud", "one core", *again) / "README.md").read_text(encoding="utf-8")
    assert "10 minutes on one core, from\nits first state, 100 steps (configs" in text
    assert "base_model: pixel-m4-tiny\n" in text
    for wrong in ({"Greek-GDT": found["Greek-GDT"]}, {**found, "Klingon-KLI": found["Greek-GDT"]}):
        scores.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=r"the mixture and the scores differ in (Tamil-TTB|Klingon-KLI)"):
            script["ship"](run, "pixel-m4-ud", "one core", scores, treebanks)
