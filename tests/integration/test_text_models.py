"""Text models (BERT, RoBERTa) through the commands: fine-tuned, stopped, opened, used, analysed."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_finetuning_runs import make_treebank
from test_stopped_runs import Killed, results, weights
from test_text_tasks import make_questions, make_reviews

import pixel_m4
from pixel_m4.cli.main import main
from pixel_m4.model import TextForBiaffineParsing, TextForQuestionAnswering
from pixel_m4.subwords.tokenizer import SubwordTokenizer
from pixel_m4.training import saving

TEXTS = 20 * [
    "the a red old big cat on film wow meh ugh is it no yes",
    "colour? animal? price? red blue grey cat dog hen",
    "Anna Berta lives in Rome Paris",
]
SMALL = shlex.split(
    "--disable_tqdm true --report_to none --dropout_prob 0 --learning_rate 3e-3 --warmup_steps 5"
)
STEPS = "--max_steps {0} --eval_strategy steps --eval_steps {0} --max_seq_length 30"
# Of a task: where its data lie, the options, the score on test and what it must be more than.
TASKS = {
    "parsing": ("--data_dir ud --upos true --word_pooling attention --num_word_layers 1", 40, "test_las", 90),
    "pos": ("--data_dir ud", 20, "test_accuracy", 99),
    "ner": ("--data_dir ner --mix_layers true", 40, "test_f1", 90),
    "classification": ("--data_dir reviews", 60, "test_f1", 90),
    "qa": ("--data_file xquad.xx.json --stride 4", 20, "test_f1", -1),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, save_encoder: Callable[..., Path]) -> Path:
    folder = tmp_path_factory.mktemp("data")
    sizes = {"train": 64, "dev": 16, "test": 16}
    make_treebank(folder / "ud", sizes)
    make_reviews(folder / "reviews", sizes)
    make_questions(folder / "xquad.xx.json", 40, unanswerable=True)
    (folder / "ner").mkdir()
    names = [("Anna", "B-PER"), ("Berta", "B-PER"), ("the cat", "O O")]
    for split, size in sizes.items():
        sentences = []
        for number in range(size):
            name, tags = names[number % 3]
            rows = [*zip(name.split(), tags.split(), strict=True), ("lives", "O"), ("in", "O")]
            rows.append(("Rome" if number % 2 else "Paris", "B-LOC"))
            sentences.append("".join(f"{word}\t{tag}\n" for word, tag in rows))
        (folder / "ner" / f"{split}.txt").write_text("\n".join(sentences), encoding="utf-8")
    for kind in ("bert", "roberta"):
        save_encoder(folder / kind, TEXTS, kind)
    return folder


def command(data: Path, task: str, model: str, output: Path, *more: str) -> list[str]:
    where, steps, _, _ = TASKS[task]
    kind, place, *options = where.split()
    return [
        *("finetune", task, kind, str(data / place), *options, "--model_name_or_path", str(data / model)),
        *("--output_dir", str(output), *SMALL, *STEPS.format(steps).split(), *more),
    ]


def questions() -> list[dict[str, Any]]:
    return [{"question": "animal?", "context": "the red hen is on"}]


@pytest.mark.parametrize(
    ("task", "model"),
    [
        *(
            ("parsing", "bert"),
            ("pos", "roberta"),
            ("classification", "bert"),
            ("qa", "roberta"),
        ),
        *(
            pytest.param(task, "roberta", marks=pytest.mark.slow)
            for task in ("parsing", "ner", "classification")
        ),
        *(pytest.param(task, "bert", marks=pytest.mark.slow) for task in ("pos", "ner", "qa")),
    ],
)
def test_every_task_is_trained_opened_and_used(data: Path, tmp_path: Path, task: str, model: str) -> None:
    output = tmp_path / "run"
    assert main(command(data, task, model, output)) == 0
    found = results(output)
    name, least = TASKS[task][2:]
    assert found[name] > least
    config = json.loads((output / "config.json").read_text())
    assert (config["model_type"], config["task"]) == ("pixel-m4-text", task)
    assert config["encoder_config"]["model_type"] == model
    assert not list(output.glob("*.bin"))
    assert "## Sub-words" in (output / "README.md").read_text()
    assert json.loads((output / "run.json").read_text())["tokenizer"]

    checkpoint = pixel_m4.Checkpoint.open(output)
    assert isinstance(checkpoint.renderer, SubwordTokenizer)
    assert checkpoint.renderer.max_seq_length == 30
    place = data / TASKS[task][0].split()[1]
    if place.is_dir():
        scores = pixel_m4.load(output).evaluate(place)
        assert {
            f"test_{key}": pytest.approx(value, abs=1e-4) for key, value in scores.items()
        }.items() <= found.items()
    given = questions() if task == "qa" else ["the red cat", "a big old film wow"]
    predicted = pixel_m4.load(output).predict(given)
    assert len(predicted) == len(given)
    if task == "qa":
        assert predicted[0].answer in given[0]["context"]
    if task == "parsing":
        assert list(predicted[0].tree.heads) == [3, 3, 0]


def test_a_stopped_run_goes_on_to_the_same_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--eval_steps", "4", "--save_steps", "4", "--max_steps", "12", "--dropout_prob", "0.1"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(command(data, "ner", "bert", whole, *options)) == 0
    real, left = saving.publish, iter(range(1))

    def kill(*args: Any) -> None:
        if next(left, None) is None:
            raise Killed
        real(*args)

    monkeypatch.setattr(saving, "publish", kill)
    with pytest.raises(Killed):
        main(command(data, "ner", "bert", killed, *options))
    monkeypatch.setattr(saving, "publish", real)
    assert main(command(data, "ner", "bert", killed, *options)) == 0
    assert json.loads((killed / "run.json").read_text())["goes_on_from"]
    assert weights(killed) == weights(whole)
    assert results(killed) == pytest.approx(results(whole), rel=1e-6)


@pytest.fixture(scope="module")
def parser(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "parser"
    assert main(command(data, "parsing", "bert", output)) == 0
    return output


def test_another_task_begins_on_it(data: Path, parser: Path, tmp_path: Path) -> None:
    """At another length, with another head, from the parser's encoder."""
    options = ["--max_steps", "2", "--eval_steps", "2", "--warmup_steps", "0", "--max_seq_length", "50"]
    whole = [*command(data, "qa", "bert", tmp_path / "run"), "--model_name_or_path", str(parser), *options]
    assert main(whole) == 0
    checkpoint = pixel_m4.Checkpoint.open(tmp_path / "run")
    assert checkpoint.model_class is TextForQuestionAnswering
    assert (checkpoint.config.max_seq_length, checkpoint.renderer.max_seq_length) == (50, 50)
    assert pixel_m4.Checkpoint.open(parser).model_class is TextForBiaffineParsing


def test_it_is_tested_without_training(data: Path, parser: Path, tmp_path: Path) -> None:
    whole = command(data, "parsing", "bert", tmp_path / "again", "--do_predict", "true")
    whole[whole.index("--model_name_or_path") + 1] = str(parser)
    assert main(whole) == 0
    assert results(tmp_path / "again")["test_las"] == results(parser)["test_las"]


def test_the_commands(data: Path, parser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the red cat\n😀 \u200b cat\n", encoding="utf-8")
    assert main(["predict", str(parser), str(text), "--output", str(tmp_path / "out.conllu")]) == 0
    assert (tmp_path / "out.conllu").read_text(encoding="utf-8").count("\n1\t") == 2
    assert main(["evaluate", str(parser), "--data_dir", str(data / "ud")]) == 0
    assert "las" in capsys.readouterr().out
    for model, shown in (
        (
            parser,
            ("TextForBiaffineParsing", "bert: 2 layers of width 32", "30 sub-words", "pooled by attention"),
        ),
        (data / "roberta", ("TextModel", "RobertaTokenizer", "64 sub-words")),
    ):
        assert main(["info", str(model)]) == 0
        out = " ".join(capsys.readouterr().out.split())
        for part in shown:
            assert part in out


def fails(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return told


def test_what_is_for_pixel_models_is_refused(
    data: Path, parser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    for options, said in (
        ("--renderer bigrams", f"--renderer bigrams is for pixel models: {data / 'bert'} is a text model"),
        ("--font_file x.ttf", "--font_file x.ttf is for pixel models"),
        ("--fallback_fonts_dir x", "--fallback_fonts_dir x is for pixel models"),
        ("--config_overrides patch_size=8", "config_overrides: patch_size is for pixel models"),
        ("--config_overrides num_hidden_layers=1", "config_overrides: num_hidden_layers is for pixel models"),
        ("--position_embedding_type rotary", "--position_embedding_type is for pixel models"),
        ("--max_seq_length 67", "max_seq_length 67: the model has positions for 66 sub-words"),
        ("--max_seq_length 3", "must be at least 8, got 3"),
        ("--do_predict true", "cannot do the task pos: it is a bertformaskedlm; give --do_train, too"),
    ):
        assert said in fails(capsys, command(data, "pos", "bert", output, *options.split()))
        assert not output.exists()
    pixels = ["finetune", "pos", "--data_dir", str(data / "ud"), "--model_name_or_path", "pixel-m4-tiny"]
    told = fails(capsys, [*pixels, "--max_seq_length", "50", "--output_dir", str(output)])
    assert "must be a perfect square such as 49 or 64" in told
    assert "is for pixel models" in fails(capsys, ["predict", str(parser), __file__, "--renderer", "bigrams"])
    assert "operations are counted for pixel models" in fails(
        capsys, ["info", str(parser), "--max_seq_length", "9"]
    )
    assert "give a pretraining checkpoint" in fails(capsys, ["fill", "a cat", "--model", str(parser)])


def test_the_recipe_may_name_the_model_and_its_length(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"task: pos\nmodel_name_or_path: {data / 'bert'}\nmax_seq_length: 30\nmax_steps: 2\neval_steps: 2\n"
    )
    options = [
        "--config",
        str(recipe),
        "--data_dir",
        str(data / "ud"),
        "--output_dir",
        str(tmp_path / "run"),
        *SMALL,
    ]
    options[-1] = "0"
    assert main(["finetune", *options]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["max_seq_length"] == 30


def test_vectors_and_analyses(
    data: Path, parser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = pixel_m4.embed(["the cat", "a cat"], model=data / "roberta", layer=1)
    assert vectors.shape == (2, 32)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    for split in ("train", "dev", "test"):
        folder = tmp_path / "d" / "Case" / "latin"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{split}.txt").write_text("cat\tX\nred old\tY\nfilm\tX\nwow\tY\n")
    probe = ["analyze", "probe", str(data / "bert"), "--data_dir", str(tmp_path / "d"), "--device", "cpu"]
    assert main([*probe, "--output_dir", str(tmp_path / "probe"), "--layers", "1", "--pooling", "mean"]) == 0
    with (tmp_path / "probe" / "probing.csv").open(encoding="utf-8", newline="") as stream:
        kinds = {row["representation"] for row in csv.DictReader(stream)}
    assert {"trained", "random weights", "character n-grams"} <= kinds
    assert "mean patch" not in kinds
    capsys.readouterr()
    attack = ["analyze", "robustness", str(parser), "--data", str(data / "ud"), "--attacks", "full_swap"]
    assert main([*attack, "--strengths", "0", "0.8", "--output_dir", str(tmp_path / "robustness")]) == 0
    assert "of sub-words changed" in capsys.readouterr().out
    with (tmp_path / "robustness" / "robustness.csv").open(encoding="utf-8", newline="") as stream:
        clean, attacked = csv.DictReader(stream)
    assert float(clean["patches_changed"]) == 0 < float(attacked["patches_changed"])
    output = ["--output_dir", str(tmp_path / "refused")]
    for options, message in (
        (["--attacks", "font_size", "--font_sizes", "7"], "font_size changes how text is drawn"),
        (["--attacks", "confusable", "--look_alikes", "drawable"], "which a text model does not see"),
    ):
        assert main([*attack[:-2], *options, *output]) == 1
        assert message in capsys.readouterr().err
    assert main(["analyze", "saliency", str(parser), "The cat", *output]) == 1
    assert "saliency is of pixels" in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()
