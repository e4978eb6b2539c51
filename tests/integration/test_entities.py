"""Train entity recognition for a few steps on tiny data, through the command."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from pixel_m4.cli.main import main
from pixel_m4.formats.iob import parse_iob
from pixel_m4.model import PixelForTokenClassification
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.ner import NER

QUIET = ["--max_seq_length", "64", "--disable_tqdm", "true", "--report_to", "none"]
SMALL = ["--config_name", "nano", *QUIET]
STEPS = ["--max_steps", "120", "--eval_steps", "60", "--learning_rate", "3e-3", "--warmup_steps", "5"]
STEPS += ["--per_device_train_batch_size", "16", "--dropout_prob", "0"]


def blocks(size: int, seed: int) -> str:
    """Sentences with names of two words: the first tells the type, the second may be no name too."""
    rng = random.Random(seed)
    text = ""
    for number in range(size):
        rows = [f"{word} O" for word in rng.choices(["the", "a", "cat"], k=rng.randint(1, 3))]
        kind, title = rng.choice([("LOC", "Mount"), ("PER", "Dr")])
        rows += [f"{title} B-{kind}", f"{rng.choice(['cat', 'Xo'])} I-{kind}", f"n{number} O"]
        text += "\n".join(rows) + "\n\n"
    return text


def train(tmp_path: Path, *options: str) -> tuple[Path, dict[str, float]]:
    output = tmp_path / "run"
    assert main(["finetune", "ner", *options, "--output_dir", str(output), *SMALL, *STEPS]) == 0
    return output, json.loads((output / "all_results.json").read_text())


def test_entities_are_learnt_saved_and_loaded(tmp_path: Path) -> None:
    for seed, (split, size) in enumerate({"train": 96, "dev": 20, "test": 20}.items()):
        (tmp_path / f"{split}.txt").write_text(blocks(size, seed), encoding="utf-8")
    output, results = train(tmp_path, "--data_dir", str(tmp_path))
    assert results["test_f1"] > 90
    assert results["test_f1"] > results["test_baseline_f1"]
    predictions = output / "test_predictions.iob2"
    assert len(parse_iob(predictions.read_text().split("\n"), "predictions")) == 20

    model = PixelForTokenClassification.from_pretrained(output)
    assert list(model.config.id2label.values()) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    task = NER(TextRenderer.from_pretrained(output), list(model.config.id2label.values()))
    gold = task.read(tmp_path, "test")
    assert task.score(gold, task.annotate(model, gold))["f1"] == pytest.approx(results["test_f1"])


@pytest.mark.slow
def test_one_file_is_divided_alike_in_training_and_testing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "all.conll"
    file.write_text(blocks(100, 0), encoding="utf-8")
    source = ["--data_file", str(file), "--split_seed", "3", "--test_share", "0.2"]
    output, results = train(tmp_path, *source)
    assert results["test_f1"] > 90
    command = ["finetune", "ner", *source, "--model_name_or_path", str(output), "--do_predict"]
    command += ["--output_dir", str(tmp_path / "again")]
    assert main([*command, *QUIET]) == 0
    again = tmp_path / "again"
    assert "the model was trained with" not in caplog.text
    assert json.loads((again / "all_results.json").read_text())["test_f1"] == results["test_f1"]
    first, second = ((folder / "test_predictions.iob2").read_text() for folder in (output, again))
    assert first == second
    assert first.count("\n\n") == 20
    assert main([*command, *QUIET, "--max_seq_length", "36", "--data_format", "columns"]) == 0
    assert "max_seq_length is 36, but the model was trained with 64" in caplog.text
    assert "data_format is columns, but the model was trained with auto" in caplog.text


def test_two_sources_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["finetune", "ner", "--data_dir", "a", "--data_file", "b", "--output_dir", str(tmp_path)])
    assert "give one of --data_dir and --data_file" in capsys.readouterr().err


def test_words_without_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_text("Xo B-LOC\nburg\n", encoding="utf-8")
    command = ["finetune", "ner", "--data_dir", str(tmp_path), "--output_dir", str(tmp_path / "run")]
    assert main([*command, *SMALL]) == 1
    assert "train.txt:2: one column instead of a word and its tag: 'burg'" in capsys.readouterr().err


def test_other_labels_and_other_data_than_in_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model is trained on from the hub's format, without evaluation; then it goes on to other types."""
    hub, folder = tmp_path / "hub", tmp_path / "folder"
    hub.mkdir()
    folder.mkdir()
    rows = [{"tokens": ["Dr", "Xo"], "ner_tags": ["B-PER", "I-PER"]}, {"tokens": ["a"], "ner_tags": ["O"]}]
    for split in ("train", "validation", "test"):
        (hub / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        text = "Dr B-PER\nXo I-PER\n\na O\n\na O\n\n"
        (folder / f"{split}.txt").write_text(text.replace("PER", "LOC") + text)
    first, second = tmp_path / "first", tmp_path / "second"
    command = ["finetune", "ner", "--max_steps", "1", "--eval_strategy", "no", *QUIET, "--warmup_steps", "0"]
    assert (
        main([*command, "--config_name", "nano", "--dataset_name", str(hub), "--output_dir", str(first)]) == 0
    )
    config = json.loads((first / "config.json").read_text())
    assert config["task_options"]["dataset_name"] == str(hub)

    (folder / "test.txt").write_text(
        "Dr B-PER\nXo I-PER\n\na O\n\na O\n\n"
    )  # 3 sentences, the hub's test has 2
    scores = tmp_path / "scores"
    assert main(["evaluate", str(first), "--data_dir", str(folder), "--output_dir", str(scores)]) == 0
    assert json.loads((scores / "eval_results.json").read_text())["eval_examples"] == 3

    go_on = ["--model_name_or_path", str(first), "--data_dir", str(folder), "--output_dir", str(second)]
    assert main([*command, *go_on]) == 0
    assert "the checkpoint knows other labels (O, B-PER, I-PER)" in caplog.text
    config = json.loads((second / "config.json").read_text())
    assert list(config["id2label"].values()) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
