"""Train text classification and question answering for a few steps on tiny data, through the command."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from pixel_m4.cli.main import main

QUIET = ["--disable_tqdm", "true", "--report_to", "none", "--dropout_prob", "0"]
SMALL = ["--config_name", "nano", *QUIET]


def make_reviews(folder: Path, sizes: dict[str, int]) -> Path:
    """Texts of neutral words with one that tells the label."""
    folder.mkdir()
    rng = random.Random(0)
    for split, size in sizes.items():
        rows = ["index_id\tcategory\ttext"]
        for number in range(size):
            label, word = rng.choice([("good", "wow"), ("bad", "meh"), ("bad", "ugh")])
            words = [*rng.choices(["the", "a", "film", "cat", "on"], k=rng.randint(1, 5)), word]
            rng.shuffle(words)
            rows.append(f"{number}\t{label}\t{' '.join(words)}")
        (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_classes_are_learnt_saved_and_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_reviews(tmp_path / "xx_Xxxx", {"train": 96, "dev": 30, "test": 30})
    output = tmp_path / "run"
    options = ["--max_steps", "80", "--learning_rate", "3e-3", "--per_device_train_batch_size", "16"]
    options += ["--max_seq_length", "64", "--eval_strategy", "steps", "--eval_steps", "40", *SMALL]
    command = ["finetune", "classification", "--language", "xx_Xxxx"]
    assert main([*command, "--data_dir", str(tmp_path), "--output_dir", str(output), *options]) == 0
    results = json.loads((output / "all_results.json").read_text())
    assert results["test_f1"] > 90
    assert results["test_f1"] > results["test_baseline_f1"]
    rows = [json.loads(line) for line in (output / "test_predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 30
    assert set(rows[0]["probabilities"]) == {"bad", "good"}
    config = json.loads((output / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}
    assert (config["task"], config["problem_type"]) == ("classification", "single_label_classification")

    table = tmp_path / "new.tsv"
    table.write_text("index_id\ttext\n0\tthe film wow\n1\tmeh\n")  # no line of a table is a text
    assert main(["predict", str(output), str(table), "--output", str(tmp_path / "new.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "new.jsonl").read_text().splitlines()]
    assert [(row["text"], row["label"]) for row in rows] == [("the film wow", "good"), ("meh", "bad")]

    again = tmp_path / "again"
    options = ["--do_predict", *QUIET]
    options += ["--max_seq_length", "64", "--model_name_or_path", str(output), "--output_dir", str(again)]
    assert main(["finetune", "classification", "--data_dir", str(data), *options]) == 0
    assert json.loads((again / "all_results.json").read_text())["test_f1"] == results["test_f1"]
    (data / "test.tsv").write_text("index_id\tcategory\ttext\n0\tugly\tthe film\n")
    assert main(["finetune", "classification", "--data_dir", str(data), *options]) == 1
    assert "test.tsv:2: the label 'ugly'" in capsys.readouterr().err


def test_regression_by_epochs(tmp_path: Path) -> None:
    rng = random.Random(0)
    for split in ("train", "dev", "test"):
        rows = []
        for _ in range(24):
            count = rng.randint(0, 4)
            pair = {"sentence1": "is it", "sentence2": " ".join(["no"] * (4 - count) + ["yes"] * count)}
            rows.append(json.dumps({**pair, "score": count / 2}))
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows))
    output = tmp_path / "run"
    options = ["--max_steps", "60", "--learning_rate", "3e-3", "--per_device_train_batch_size", "8", *SMALL]
    options += ["--data_dir", str(tmp_path), "--output_dir", str(output), "--max_seq_length", "25"]
    assert main(["finetune", "classification", *options]) == 0
    results = json.loads((output / "all_results.json").read_text())
    assert results["test_pearson"] > 80
    assert results["test_baseline_pearson"] == 0


def make_questions(path: Path, paragraphs: int, *, unanswerable: bool = False) -> Path:
    """The colour or the animal, among words that are neither."""
    rng = random.Random(0)
    kinds = {"colour?": ["red", "blue", "grey"], "animal?": ["cat", "dog", "hen"]}
    entries = []
    for number in range(paragraphs):
        chosen = {kind: rng.choice(words) for kind, words in kinds.items()}
        words = [*chosen.values(), *rng.choices(["the", "on", "is"], k=3)]
        rng.shuffle(words)
        context = " ".join(words)
        questions = []
        for kind, word in chosen.items():
            answer = {"text": word, "answer_start": context.index(word)}
            questions.append({"id": f"{number}-{kind}", "question": kind, "answers": [answer]})
        if unanswerable:
            question = {"id": f"{number}-no", "question": "price?", "answers": [], "is_impossible": True}
            questions.append(question)
        entries.append({"context": context, "qas": questions})
    path.write_text(json.dumps({"version": "v2.0", "data": [{"title": "x", "paragraphs": entries}]}))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("unanswerable", [False, True])
def test_answers_are_learnt_from_a_single_file(tmp_path: Path, unanswerable: bool) -> None:
    file = make_questions(tmp_path / "xquad.xx.json", 80, unanswerable=unanswerable)
    output = tmp_path / "run"
    options = ["--max_steps", "150", "--learning_rate", "3e-3", "--per_device_train_batch_size", "32"]
    options += ["--max_seq_length", "36", "--stride", "4", "--eval_steps", "75", *SMALL]
    assert main(["finetune", "qa", "--data_file", str(file), "--output_dir", str(output), *options]) == 0
    results = json.loads((output / "all_results.json").read_text())
    assert results["test_f1"] > 80
    assert results["test_f1"] > results["test_baseline_f1"] + 20
    assert ("test_no_answer_accuracy" in results) == unanswerable
    rows = [json.loads(line) for line in (output / "test_predictions.jsonl").read_text().splitlines()]
    paragraphs = {row["id"].split("-")[0] for row in rows}
    assert len(rows) == len(paragraphs) * (3 if unanswerable else 2)  # none is divided
    config = json.loads((output / "config.json").read_text())
    assert config["task_options"]["version_2_with_negative"] is unanswerable
