"""The task that docs/architecture.md adds step by step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

from pixel_m4.checkpoint import open_task
from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.finetune.run import finetune
from pixel_m4.formats.conllu import read_conllu
from pixel_m4.tasks.registry import TASKS

ROOT = Path(__file__).resolve().parents[3]
TREEBANK = ROOT / "src" / "pixel_m4" / "assets" / "treebank"


def test_a_new_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "class WordClass" in block
    )
    names: dict[str, Any] = {"__name__": "worked_example"}
    exec(code, names)
    task = names["WordClass"]
    monkeypatch.setitem(TASKS, task.name, task)
    arguments = FinetuneArguments(
        data_dir=str(TREEBANK), config_name="nano", max_seq_length=256, early_stopping_patience=0
    )
    training = TrainingArguments(
        output_dir=str(tmp_path / "run"), do_train=True, do_predict=True, max_steps=3, report_to="none",
        per_device_train_batch_size=4, remove_unused_columns=False, save_strategy="no", use_cpu=True,
    )  # fmt: skip
    results = finetune(task, arguments, training, quiet=True)
    assert 0 <= results["test_accuracy"] <= 100
    assert results["test_baseline_accuracy"] > 50
    opened, model = open_task(tmp_path / "run")
    assert (opened.name, opened.labels) == ("wordclass", ["OPEN", "CLOSED", "OTHER"])
    gold = read_conllu(TREEBANK / "test.conllu.gz")[:2]
    predicted = opened.annotate(model, gold)
    assert {tag for sentence in predicted for tag in sentence.upos} <= set(opened.labels)
