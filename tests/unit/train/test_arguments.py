from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pixel_m4.tasks.base import DatasetOptions
from pixel_m4.tasks.ner import NER
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.tagging import Tagging
from pixel_m4.train.arguments import parse_arguments, parse_overrides, task_of_recipe

NEW = ["--config_name", "nano"]
BASE = ["--data_dir", "d", "--output_dir", "o", *NEW]


def test_published_recipe_is_the_default() -> None:
    task, training, _ = parse_arguments("x", Parsing, BASE)
    assert (task.max_seq_length, task.dropout_prob, task.early_stopping_patience) == (256, 0.1, 5)
    assert (training.learning_rate, training.max_steps, training.warmup_steps) == (1e-5, 15_000, 100)
    assert (training.per_device_train_batch_size, training.eval_steps, training.save_steps) == (64, 500, 500)
    assert (training.do_train, training.do_eval, training.do_predict) == (True, True, True)
    assert training.load_best_model_at_end


@dataclass(frozen=True, kw_only=True)
class _Options(DatasetOptions):
    stride: int = field(default=7, metadata={"help": "x"})


class _Task(Parsing):
    options_class = _Options


def test_options_of_a_task_are_arguments_too(tmp_path: Path) -> None:
    assert parse_arguments("x", _Task, BASE)[2] == _Options(stride=7)
    config = tmp_path / "recipe.yaml"
    config.write_text("dataset_name: x/y\nstride: 9\n")
    # A data set from the hub stands for data_dir.
    arguments, _, options = parse_arguments("x", _Task, ["--output_dir", "o", *NEW, "--config", str(config)])
    assert (arguments.data_dir, options) == (None, _Options(stride=9, dataset_name="x/y"))


def test_command_line_wins_over_file_wins_over_recipe(tmp_path: Path) -> None:
    config = tmp_path / "recipe.yaml"
    config.write_text(
        "data_dir: d\noutput_dir: o\nlearning_rate: 0.001\nmax_steps: 7\neval_steps: 3\nwarmup_steps: 2\n"
    )
    task, training, _ = parse_arguments("x", Parsing, [*NEW, "--config", str(config), "--max_steps", "9"])
    assert (training.learning_rate, training.max_steps, training.warmup_steps) == (1e-3, 9, 2)
    assert training.save_steps == training.eval_steps == 3
    assert task.data_dir == "d"


def test_only_what_is_asked_for_is_done() -> None:
    argv = ["--data_dir", "d", "--output_dir", "o", "--model_name_or_path", "m", "--do_predict"]
    _, training, _ = parse_arguments("x", Parsing, argv)
    assert (training.do_train, training.do_eval, training.do_predict) == (False, False, True)


def test_bad_recipes(tmp_path: Path) -> None:
    config = tmp_path / "recipe.yaml"
    for text, message in (
        ("lerning_rate: 1", "no such argument.*lerning_rate"),
        ("- 1", "must hold a mapping"),
        ("a: [", "cannot read the recipe"),
    ):
        config.write_text(text)
        with pytest.raises(ValueError, match=message):
            parse_arguments("x", Parsing, [*BASE, "--config", str(config)])


def test_data_dir_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments("x", Parsing, ["--output_dir", "o"])
    assert "--data_dir" in capsys.readouterr().err


def test_overrides() -> None:
    assert parse_overrides("hidden_size=48,qkv_bias=false,hidden_act=relu") == {
        "hidden_size": 48,
        "qkv_bias": False,
        "hidden_act": "relu",
    }
    assert parse_overrides("") == {}
    with pytest.raises(ValueError, match="'x' is not name=value"):
        parse_overrides("x")


def test_a_recipe_may_name_its_task(tmp_path: Path) -> None:
    config = tmp_path / "recipe.yaml"
    config.write_text(
        "task: parsing\ndata_dir: d\noutput_dir: o\nsave_strategy: epoch\neval_strategy: epoch\n"
    )
    argv = [*NEW, "--max_steps", "3", "--config", str(config)]
    assert task_of_recipe(argv) == "parsing"
    arguments, training, _ = parse_arguments("x", Parsing, argv)
    assert (arguments.data_dir, training.max_steps, training.save_strategy) == ("d", 3, "epoch")
    with pytest.raises(ValueError, match="is for the task 'parsing', not 'pos'"):
        parse_arguments("x", Tagging, argv)
    config.write_text("data_dir: d\n")
    with pytest.raises(ValueError, match="names no task; add a line"):
        task_of_recipe(argv)
    with pytest.raises(ValueError, match="finetune needs a task"):
        task_of_recipe(["--max_steps", "3"])


def test_without_dev_nothing_is_chosen() -> None:
    for argv in (["--do_train"], ["--eval_strategy", "no"], ["--do_train", "--do_predict"]):
        _, training, _ = parse_arguments("x", Parsing, [*BASE, *argv])
        assert (training.eval_strategy, training.save_strategy) == ("no", "no")
        assert not training.load_best_model_at_end
    _, training, _ = parse_arguments("x", Parsing, [*BASE, "--do_train", "--eval_strategy", "steps"])
    assert training.do_eval  # evaluation at steps needs dev
    assert training.load_best_model_at_end


def test_data_on_the_command_line_replace_those_of_the_recipe(tmp_path: Path) -> None:
    config = tmp_path / "recipe.yaml"
    config.write_text("data_dir: d\noutput_dir: o\n")
    for name in ("data_file", "dataset_name"):
        arguments, _, options = parse_arguments(
            "x", NER, [*NEW, "--config", str(config), f"--{name}", "mine"]
        )
        assert arguments.data_dir is None
        assert "mine" in (arguments.data_file, options.dataset_name)  # type: ignore[attr-defined]


def test_two_sources_of_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments("x", NER, [*BASE, "--dataset_name", "b"])
    assert "give one of --data_dir and --dataset_name, not both" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--look_at_neighbours true", "needs --line_positions true"),
        ("--shrink 0", "--shrink must be more than 0, got 0"),
    ],
)
def test_options_of_the_first_weights_that_do_not_go_together(options: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_arguments("x", Parsing, [*BASE, *options.split()])
