from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from transformers import TrainingArguments

from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.finetune.data import data_files
from pixel_m4.finetune.records import RunRecord, write_card
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.ner import NER, NEROptions
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.training import records
from pixel_m4.training.records import save_metrics, tensorboard_folder

RESULTS = {
    "eval_las": 51.234,
    "eval_baseline_las": 20.0,
    "eval_loss": 1.0,
    "eval_samples_per_second": 3.0,
    "test_las": 50.0,
    "train_steps": 7,
    "epoch": 1,
}


@pytest.fixture(scope="module")
def task() -> Parsing:
    return Parsing(TextRenderer(max_seq_length=49))


@pytest.fixture
def arguments(tmp_path: Path) -> FinetuneArguments:
    folder = tmp_path / "UD_Tamil-TTB"
    folder.mkdir()
    (folder / "ta_ttb-ud-train.conllu").write_text("x", encoding="utf-8")
    (folder / "README.md").touch()
    return FinetuneArguments(data_dir=str(folder))


def training(folder: Path, **changes: object) -> TrainingArguments:
    return TrainingArguments(output_dir=str(folder), report_to="none", use_cpu=True, **changes)


def test_a_record_is_complete_only_at_the_end(
    tmp_path: Path, task: Parsing, arguments: FinetuneArguments
) -> None:
    output = tmp_path / "out"
    record = RunRecord.of(task, arguments, training(output, do_train=True, seed=5), ["train", "dev"])
    record.begin()
    begun = json.loads((output / "run.json").read_text())
    assert begun["finished"] is None
    assert begun["training"]["seed"] == 5
    assert begun["arguments"]["data_dir"] == arguments.data_dir
    file = str(Path(arguments.data_dir or "") / "ta_ttb-ud-train.conllu")
    assert begun["data"] == {file: hashlib.sha256(b"x").hexdigest()}
    assert set(begun["versions"]) >= {"python", "pixel-m4", "torch", "transformers", "numpy", "uharfbuzz"}
    assert len(begun["font"]["GoNotoCurrent.ttf"]) == 64
    record.finish(RESULTS)
    ended = json.loads((output / "run.json").read_text())
    assert ended["finished"] >= ended["started"]
    assert ended["results"] == RESULTS


def test_metrics_add_up(tmp_path: Path) -> None:
    save_metrics(tmp_path, "eval", {"eval_las": 1.0})
    assert save_metrics(tmp_path, "test", {"test_las": 2.0}) == {"eval_las": 1.0, "test_las": 2.0}
    assert json.loads((tmp_path / "test_results.json").read_text()) == {"test_las": 2.0}
    assert json.loads((tmp_path / "all_results.json").read_text()) == {"eval_las": 1.0, "test_las": 2.0}


def test_data_files_of_a_folder_without_names_of_splits(tmp_path: Path) -> None:
    (tmp_path / "hi" / "train").mkdir(parents=True)
    file = tmp_path / "hi" / "train" / "data-00000-of-00001.arrow"
    file.touch()
    (tmp_path / "bn").mkdir()
    (tmp_path / "bn" / "other.arrow").touch()
    ner = NER(TextRenderer(max_seq_length=49), ["O"], NEROptions(language="hi"))
    assert data_files(ner, FinetuneArguments(data_dir=str(tmp_path)), ["train"]) == [file]
    hub_format = NER(ner.renderer, ["O"], NEROptions(dataset_name=str(tmp_path), language="hi"))
    assert data_files(hub_format, FinetuneArguments(), ["train"]) == [file]
    assert data_files(ner, FinetuneArguments(data_file="one.txt"), ["train"]) == [Path("one.txt")]
    assert data_files(ner, FinetuneArguments(), ["train"]) == []


def test_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "records.py"
    file.touch()
    monkeypatch.setattr(records, "__file__", str(tmp_path / "records.py"))
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_NAME": "a"}
    environment = {**os.environ, **identity, "GIT_COMMITTER_EMAIL": "a"}

    def git(*command: str) -> None:
        subprocess.run(["git", *command], cwd=tmp_path, env=environment, check=True, capture_output=True)

    git("init")
    assert records.checkout() is None  # the code is not in it
    git("add", ".")
    git("commit", "-m", "x")
    found = records.checkout()
    assert found is not None
    assert len(found["commit"]) == 40
    assert found["dirty"] is False
    file.write_text("changed", encoding="utf-8")
    changed = records.checkout()
    assert changed is not None
    assert changed["dirty"] is True


def test_tensorboard_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "TENSORBOARD_LOGGING_DIR"
    monkeypatch.delenv(name, raising=False)
    for folder in ("a", "b"):
        with tensorboard_folder(tmp_path / folder):
            assert os.environ[name] == str(tmp_path / folder)
    assert name not in os.environ
    monkeypatch.setenv(name, "mine")
    with tensorboard_folder(tmp_path):
        assert os.environ[name] == "mine"


def test_card(tmp_path: Path, task: Parsing, arguments: FinetuneArguments) -> None:
    output = tmp_path / "run"
    output.mkdir()
    files = data_files(task, arguments, ["train"])
    write_card(output, task, arguments, training(output, max_steps=9), RESULTS, files)
    _, header, text = (output / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    data = yaml.safe_load(header)
    assert data["language"] == ["ta"]
    assert data["tags"] == ["pixel-m4", "pixel", "parsing"]
    scores = {
        (result["dataset"]["split"], metric["type"]): metric["value"]
        for result in data["model-index"][0]["results"]
        for metric in result["metrics"]
    }
    assert scores == {("dev", "las"): 51.234, ("test", "las"): 50.0}
    assert "license" not in data
    assert "base_model" not in data
    assert "| las | 51.23 | 20.00 | 50.00 | – |" in text
    assert "- max_steps: 9" in text
    assert "num_train_epochs" not in text
    assert "UD_Tamil-TTB" in text
    assert str(tmp_path) not in text
    published = FinetuneArguments(data_dir=arguments.data_dir, model_name_or_path="Team-PIXEL/pixel-m4")
    write_card(output, task, published, training(output), RESULTS, files)
    assert "base_model: Team-PIXEL/pixel-m4" in (output / "README.md").read_text(encoding="utf-8")
