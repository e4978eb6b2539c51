"""Train for a few steps on tiny data, through the command."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
import torch

from pixel_m4.cli.main import main
from pixel_m4.formats.conllu import read_conllu
from pixel_m4.model import PixelForBiaffineParsing
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.parsing import Parsing

QUIET = ["--max_seq_length", "64", "--disable_tqdm", "true", "--report_to", "none"]
SMALL = ["--config_name", "nano", *QUIET]


def make_treebank(folder: Path, sizes: dict[str, int]) -> Path:
    """Noun phrases whose heads can be read off the words: every other word hangs on the noun at the end."""
    folder.mkdir()
    rng = random.Random(0)
    for split, size in sizes.items():
        blocks = []
        for _ in range(size):
            words = [
                rng.choice(["the", "a"]),
                *rng.choices(["red", "old", "big"], k=rng.randint(0, 3)),
                "cat",
            ]
            rows = [f"# text = {' '.join(words)}"]
            for i, word in enumerate(words, start=1):
                rel = "root" if i == len(words) else "det" if i == 1 else "amod"
                head = 0 if rel == "root" else len(words)
                rows.append(f"{i}\t{word}\t_\tX\t_\t_\t{head}\t{rel}\t_\t_")
            blocks.append("\n".join(rows) + "\n\n")
        (folder / f"xx_made-ud-{split}.conllu").write_text("".join(blocks), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_treebank(tmp_path_factory.mktemp("data") / "ud", {"train": 64, "dev": 20, "test": 20})


@pytest.fixture(scope="module")
def trained(treebank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "parser"
    options = ["--max_steps", "60", "--eval_steps", "30", "--learning_rate", "3e-3", "--warmup_steps", "5"]
    options += ["--per_device_train_batch_size", "16", "--dropout_prob", "0"]
    command = ["finetune", "parsing", "--data_dir", str(treebank), "--output_dir", str(output)]
    assert main([*command, *SMALL, *options]) == 0
    return output


def test_a_few_steps_teach_a_simple_grammar(trained: Path) -> None:
    results = json.loads((trained / "all_results.json").read_text())
    assert results["test_las"] > 90
    assert results["test_las"] > results["test_baseline_las"]
    assert results["test_uas_mst"] > 90
    assert results["eval_las"] > 90


def test_muon_teaches_it_too(treebank: Path, tmp_path: Path) -> None:
    options = ["--max_steps", "40", "--eval_steps", "40", "--save_steps", "40", "--learning_rate", "3e-3"]
    options += ["--per_device_train_batch_size", "16", "--dropout_prob", "0", "--muon_learning_rate", "0.02"]
    command = ["finetune", "parsing", "--data_dir", str(treebank), "--output_dir", str(tmp_path), *SMALL]
    assert main([*command, *options]) == 0
    results = json.loads((tmp_path / "all_results.json").read_text())
    assert results["test_las"] > results["test_baseline_las"] + 10
    state = torch.load(tmp_path / "checkpoint-40" / "optimizer.pt", weights_only=True)
    kinds = {frozenset(group) for group in state["param_groups"]}
    assert len(kinds) == 2  # of Muon and of AdamW


def test_predictions_are_trees_for_every_sentence(trained: Path, treebank: Path) -> None:
    predicted = read_conllu(trained / "test_predictions.conllu")
    gold = read_conllu(treebank / "xx_made-ud-test.conllu")
    assert [sentence.words for sentence in predicted] == [sentence.words for sentence in gold]
    assert [sentence.text for sentence in predicted] == [sentence.text for sentence in gold]


def test_saved_model_gives_the_same_scores(trained: Path, treebank: Path, tmp_path: Path) -> None:
    output = tmp_path / "again"
    command = [
        "finetune",
        "parsing",
        "--data_dir",
        str(treebank),
        "--output_dir",
        str(output),
        "--do_predict",
    ]
    assert main([*command, "--model_name_or_path", str(trained), *QUIET]) == 0
    first, again = (json.loads((folder / "all_results.json").read_text()) for folder in (trained, output))
    assert first["test_las"] == again["test_las"]


def test_saved_model_opens_by_hand(trained: Path, treebank: Path) -> None:
    task = Parsing(TextRenderer.from_pretrained(trained))
    gold = task.read(treebank, "test")
    scores = task.score(gold, task.annotate(PixelForBiaffineParsing.from_pretrained(trained), gold))
    assert scores["las"] == pytest.approx(json.loads((trained / "all_results.json").read_text())["test_las"])


def run(capsys: pytest.CaptureFixture[str], treebank: Path, tmp_path: Path, *options: str) -> str:
    command = ["finetune", "parsing", "--data_dir", str(treebank), "--output_dir", str(tmp_path / "out")]
    start = QUIET if "--model_name_or_path" in options else SMALL
    assert main([*command, *start, *options]) == 1
    return capsys.readouterr().err


def test_length_that_is_no_square(treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = run(capsys, treebank, tmp_path, "--max_seq_length", "60")
    assert "60" in error
    assert "square" in error


def test_folder_without_weights(treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "no-weights"
    PixelForBiaffineParsing.config_class.named("nano").save_pretrained(folder)
    assert str(folder) in run(capsys, treebank, tmp_path, "--model_name_or_path", str(folder))


def test_missing_split(treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_treebank(tmp_path / "partial", {"train": 4, "test": 4})
    assert "has no 'dev' split" in run(capsys, folder, tmp_path)


def test_bad_treebank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_treebank(tmp_path / "bad", {"train": 4, "dev": 4, "test": 4})
    file = folder / "xx_made-ud-dev.conllu"
    file.write_text(file.read_text().replace("\tdet\t", "\tdeterminer\t", 1))
    error = run(capsys, folder, tmp_path)
    assert "determiner" in error
    assert "xx_made-ud-dev.conllu:" in error


def test_tags_are_learnt_by_the_same_way(tmp_path: Path) -> None:
    folder = make_treebank(tmp_path / "ud", {"train": 64, "dev": 20, "test": 20})
    tags = {"det": "DET", "amod": "ADJ", "root": "NOUN"}
    for file in folder.iterdir():
        text = file.read_text(encoding="utf-8")
        for relation, tag in tags.items():
            text = re.sub(rf"\tX(\t_\t_\t\d+\t{relation}\t)", rf"\t{tag}\1", text)
        file.write_text(text, encoding="utf-8")
    output = tmp_path / "tagger"
    options = ["--max_steps", "40", "--eval_steps", "20", "--learning_rate", "3e-3", "--warmup_steps", "5"]
    options += ["--per_device_train_batch_size", "16", "--dropout_prob", "0"]
    assert (
        main(["finetune", "pos", "--data_dir", str(folder), "--output_dir", str(output), *SMALL, *options])
        == 0
    )
    results = json.loads((output / "all_results.json").read_text())
    assert results["test_accuracy"] > 95
    assert results["test_baseline_accuracy"] == 100  # every form has one tag here
    assert len(read_conllu(output / "test_predictions.conllu")) == 20


def test_what_a_run_leaves(trained: Path, treebank: Path) -> None:
    record = json.loads((trained / "run.json").read_text())
    assert record["finished"]
    assert record["results"] == json.loads((trained / "all_results.json").read_text())
    assert sorted(Path(file).name for file in record["data"]) == sorted(f.name for f in treebank.iterdir())
    assert "| las |" in (trained / "README.md").read_text(encoding="utf-8")
    assert json.loads((trained / "config.json").read_text())["task"] == "parsing"


FEW = ["--max_steps", "2", "--per_device_train_batch_size", "4", "--warmup_steps", "0", "--eval_steps", "1"]


def test_runs_of_one_process_log_apart(treebank: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"task: parsing\ndata_dir: {treebank}\n", encoding="utf-8")
    for name in ("a", "b"):
        # Only training: the last checkpoint is kept, as there is no dev to choose on.
        options = ["--output_dir", str(tmp_path / name), "--do_train", *SMALL[:-1], "tensorboard", *FEW]
        assert main(["finetune", "--config", str(recipe), *options]) == 0
        assert list((tmp_path / name / "tensorboard").iterdir())
        assert (tmp_path / name / "model.safetensors").is_file()
        assert not (tmp_path / name / "eval_results.json").exists()


def test_dev_from_train(tmp_path: Path) -> None:
    folder = make_treebank(tmp_path / "partial", {"train": 20, "test": 4})
    output = tmp_path / "out"
    command = ["finetune", "parsing", "--data_dir", str(folder), "--output_dir", str(output), *SMALL, *FEW]
    assert main([*command, "--dev_from_train", "0.2"]) == 0
    assert len(read_conllu(output / "dev_predictions.conllu")) in (4, 5)  # copies of a sentence stay together
    assert json.loads((output / "run.json").read_text())["arguments"]["dev_from_train"] == 0.2


def test_dev_from_train_that_is_no_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_treebank(tmp_path / "partial", {"train": 4, "test": 4})
    assert "--dev_from_train 0.1 holds out" in run(capsys, folder, tmp_path)
    assert "--dev_from_train must be at least 0 and less than 1, got 1.5" in run(
        capsys, folder, tmp_path, "--dev_from_train", "1.5"
    )


def test_parts_of_speech_and_words_that_see_words(treebank: Path, tmp_path: Path) -> None:
    options = ["--upos", "true", "--word_pooling", "first_last_mean", "--num_word_layers", "1"]
    options += ["--word_rope_theta", "20"]
    options += ["--max_steps", "12", "--eval_steps", "12", "--per_device_train_batch_size", "4"]
    options += ["--learning_rate", "1e-2", "--warmup_steps", "1"]
    parser = tmp_path / "parser"
    command = ["finetune", "parsing", "--data_dir", str(treebank), "--output_dir", str(parser)]
    assert main([*command, *SMALL, *options]) == 0
    assert json.loads((parser / "config.json").read_text())["word_rope_theta"] == 20
    results = json.loads((parser / "all_results.json").read_text())
    assert results["test_upos"] == 100  # there is but one
    text = tmp_path / "text.txt"
    text.write_text("the old cat\n", encoding="utf-8")
    assert main(["predict", str(parser), str(text), "--output", str(tmp_path / "out.conllu")]) == 0
    assert {*read_conllu(tmp_path / "out.conllu")[0].upos} <= {"X"}
    # What is not said goes on as the checkpoint has it, in evaluation and in further training.
    again = ["finetune", "parsing", "--data_dir", str(treebank), "--model_name_or_path", str(parser), *QUIET]
    assert main([*again, "--do_predict", "--output_dir", str(tmp_path / "again")]) == 0
    same = json.loads((tmp_path / "again" / "all_results.json").read_text())
    assert same["test_las"] == results["test_las"]
    assert same["test_upos"] == 100
