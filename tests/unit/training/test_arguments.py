from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import TrainingArguments

from pixel_m4.finetune.arguments import parse_arguments, task_of_recipe
from pixel_m4.tasks.base import DatasetOptions, Task
from pixel_m4.tasks.classification import Classification
from pixel_m4.tasks.ner import NER
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.tagging import Tagging
from pixel_m4.training.arguments import REFUSED, never_warm
from pixel_m4.training.overrides import parse_overrides
from pixel_m4.training.recipes import option_types

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
        (
            "--line_positions true --position_embedding_type rotary",
            "--position_embedding_type rotary has none",
        ),
        ("--shrink 0", "--shrink must be more than 0, got 0"),
    ],
)
def test_options_of_the_first_weights_that_do_not_go_together(options: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_arguments("x", Parsing, [*BASE, *options.split()])


def parse(*argv: str, task: type[Task] = Parsing, start: Sequence[str] = BASE) -> SimpleNamespace:
    """The values of all options."""
    return SimpleNamespace(
        **{k: v for group in parse_arguments("x", task, [*start, *argv]) for k, v in vars(group).items()}
    )


def with_recipe(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    return ["--config", str(file)]


@pytest.mark.parametrize(
    ("recipe", "argv", "expected"),
    [
        ("muon_learning_rate: 0.02", "", {"muon_learning_rate": 0.02, "optim": "adamw_torch"}),
        ("muon_learning_rate: 0.02", "--optim adamw_torch", {"muon_learning_rate": None}),
        ("muon_learning_rate: 0.02", "--optim sgd", {"muon_learning_rate": None, "optim": "sgd"}),
        ("muon_learning_rate: 0.02", "--muon_learning_rate none", {"muon_learning_rate": None}),
        ("optim: sgd", "--muon_learning_rate 0.1", {"muon_learning_rate": 0.1, "optim": "adamw_torch"}),
        ("max_steps: 9", "--num_train_epochs 2", {"max_steps": -1, "num_train_epochs": 2}),
        ("num_train_epochs: 2", "--max_steps 900", {"max_steps": 900}),
        ("", "--num_train_epochs 2", {"max_steps": -1}),  # 15,000 steps are the published default
        ("eval_strategy: epoch", "--eval_steps 5", {"eval_strategy": "steps", "eval_steps": 5}),
        ("eval_steps: 5", "--eval_strategy epoch", {"eval_strategy": "epoch", "save_strategy": "epoch"}),
        ("save_strategy: epoch\neval_strategy: epoch", "--save_steps 3 --load_best_model_at_end false",
         {"save_strategy": "steps", "save_steps": 3, "eval_strategy": "epoch"}),
        ("logging_strategy: epoch", "--logging_steps 5", {"logging_strategy": "steps", "logging_steps": 5}),
        ("early_stopping_patience: 3\nmetric_for_best_model: uas", "--eval_strategy no",
         {"eval_strategy": "no", "load_best_model_at_end": False, "metric_for_best_model": None}),
        ("do_train: true\ndo_eval: true", "--do_predict true --do_train true",
         {"do_train": True, "do_eval": False, "do_predict": True, "eval_strategy": "no"}),
        ("do_train: true\ndo_eval: true\ndo_predict: true", "--do_eval false",
         {"do_train": True, "do_eval": False, "do_predict": True}),
        ("", "--do_predict false", {"do_train": True, "do_eval": True, "do_predict": False}),
        ("metric_for_best_model: uas", "--metric_for_best_model loss", {"metric_for_best_model": "loss"}),
        ("", "", {"metric_for_best_model": None, "greater_is_better": None}),
        ("font_file: x.ttf", "--font_file none", {"font_file": None}),
        ("report_to: tensorboard", "--report_to none", {"report_to": []}),
        ("model_name_or_path: m\nshrink: 0.8", "", {"model_name_or_path": None, "shrink": 1}),
    ],
)  # fmt: skip
def test_what_is_written_higher_wins(tmp_path: Path, recipe: str, argv: str, expected: dict) -> None:
    found = parse(*with_recipe(tmp_path, recipe or "seed: 1"), *argv.split())
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("optim: adamw_torch\nmuon_learning_rate: 0.02", "--optim adamw_torch and --muon_learning_rate 0.02"),
        ("optim_args: a=1\nmuon_learning_rate: 0.02", "--optim_args a=1 and --muon_learning_rate 0.02"),
        ("max_steps: 9\nnum_train_epochs: 2", "--num_train_epochs 2 and --max_steps 9 contradict each other"),
        ("max_steps: 9\nwarmup_steps: 9", "--warmup_steps 9 is not less than --max_steps 9"),
        ("eval_strategy: epoch\neval_steps: 9", "--eval_steps 9 has no effect with --eval_strategy epoch"),
        ("logging_strategy: epoch\nlogging_steps: 9", "--logging_steps 9 has no effect with"),
        ("eval_strategy: epoch\nsave_steps: 9", "--save_strategy steps and --eval_strategy epoch do not fit"),
        ("eval_steps: 6\nsave_steps: 9", "--save_steps 9 and --eval_steps 6 do not fit together"),
        ("save_strategy: no", "--save_strategy no and --eval_strategy steps do not fit together"),
        ("eval_strategy: no\neval_steps: 9", "--eval_steps 9 has no effect: there is no evaluation"),
        ("eval_strategy: no\nearly_stopping_patience: 3", "--early_stopping_patience 3 has no effect"),
        ("eval_strategy: no\nload_best_model_at_end: true", "--load_best_model_at_end true has no effect"),
        ("eval_strategy: no\nmetric_for_best_model: las", "--metric_for_best_model las has no effect"),
        ("eval_strategy: no\nlr_scheduler_type: reduce_lr_on_plateau", "needs an evaluation during training"),
        ("eval_strategy: steps\ndo_eval: false\ndo_train: true", "contradicts --do_eval false"),
        ("eval_delay: 90\nmax_steps: 9\nwarmup_steps: 0", "there would be no evaluation"),
        (
            "load_best_model_at_end: false\nearly_stopping_patience: 0\nmetric_for_best_model: las",
            "no checkpoint is chosen",
        ),
        ("do_train: false\ndo_eval: false\ndo_predict: false", "there is nothing to do"),
        ("metric_for_best_model: las\ngreater_is_better: false", "greater is better for las"),
        ("metric_for_best_model: loss\ngreater_is_better: true", "lower is better for loss"),
        ("model_name_or_path: m\nconfig_name: tiny", "leave one of the two out"),
        ("shrink: 0.8", "--shrink is for the weights of a checkpoint"),
        ("do_predict: true", "--config_name nano is for a training from random weights"),
        ("config_overrides: hidden_sise=3", "a model has no 'hidden_sise'; did you mean hidden_size"),
        ("config_overrides: hidden_size=x", "config_overrides: hidden_size: x is no whole number"),
        ("config_overrides: hidden_size=48,hidden_size=96", "hidden_size stands twice"),
        ("config_overrides: rope_theta=200", "rope_theta has an option of its own: give --pos"),
        ("rope_theta: 1", "rope_theta: must be more than 1, got 1"),
        ("num_word_layers: 2\nword_rope_theta: 1", "word_rope_theta: must be more than 1, got 1"),
        ("num_word_layers: -1", "num_word_layers: must be at least 0, got -1"),
        ("position_embedding_type: rotari", "must be one of absolute, rotary, rotary_absolute, got 'rotari'"),
        ("config_overrides: max_seq_length=64", "max_seq_length follows from --max_seq_length"),
        ("config_overrides: hidden_act=geluu", "no activation 'geluu'"),
        ("config_overrides: hidden_size=", "is no whole number|there is no value|has no value"),
    ],
)  # fmt: skip
def test_contradictions_in_one_place_are_errors(tmp_path: Path, recipe: str, message: str) -> None:
    start = BASE[:4] if "config_name" in recipe else BASE
    with pytest.raises(ValueError, match=message):
        parse(*with_recipe(tmp_path, recipe), start=start)


def test_a_warm_up_that_was_not_meant_for_so_few_steps_is_shortened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert parse("--max_steps", "101").warmup_steps == 100
    assert not caplog.text
    assert parse("--max_steps", "60").warmup_steps == 6
    assert caplog.messages == [
        "the recipe's --warmup_steps 100 would not be over after --max_steps 60: the warm-up is 6 steps, a "
        "tenth; give --warmup_steps for another"
    ]
    assert parse("--max_steps", "2").warmup_steps == 0
    assert parse(*with_recipe(tmp_path, "max_steps: 30")).warmup_steps == 3
    # What a file says of its own number of steps is not meant for those of the command line.
    recipe = with_recipe(tmp_path, "max_steps: 900\nwarmup_steps: 50")
    assert parse(*recipe, "--max_steps", "20").warmup_steps == 2
    with pytest.raises(ValueError, match="--warmup_steps 60 is not less than --max_steps 60"):
        parse("--max_steps", "60", "--warmup_steps", "60")
    with pytest.raises(
        ValueError, match=r"--warmup_steps 0\.5 is a share of --max_steps 1, rounded up to all"
    ):
        parse("--max_steps", "1", "--warmup_steps", "0.5")


def test_schedules_without_warm_up_have_any_number_of_steps(caplog: pytest.LogCaptureFixture) -> None:
    assert parse("--max_steps", "60", "--lr_scheduler_type", "constant").warmup_steps == 100
    assert not caplog.text
    with pytest.raises(ValueError, match="--warmup_steps 60 is not less"):
        parse("--max_steps", "60", "--warmup_steps", "60", "--lr_scheduler_type", "constant_with_warmup")


@pytest.mark.parametrize("warmup", [0, 0.05, 0.5, 0.99, 1, 2, 9.5, 10, 11])
@pytest.mark.parametrize("steps", [1, 2, 10, 100])
def test_warm_ups_are_counted_as_by_the_trainer(warmup: float, steps: int) -> None:
    training = TrainingArguments(warmup_steps=warmup, max_steps=steps, report_to="none", use_cpu=True)
    assert never_warm("linear", warmup, steps) == (training.get_warmup_steps(steps) >= steps)


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - {"parallelism_config", "liger_kernel_config"}))
def test_arguments_that_are_not_obeyed_are_refused(tmp_path: Path, name: str) -> None:
    hint = option_types([TrainingArguments])[name]
    default = TrainingArguments.__dataclass_fields__[name].default
    kinds = str(hint)
    value = "7" if "int" in kinds or "float" in kinds else "every_save" if name == "hub_strategy" else "x"
    if hint is bool or "bool" in kinds:
        value = "false" if default is True and name != "remove_unused_columns" else "true"
    if name == "hub_strategy":
        value = "end"
    with pytest.raises(ValueError, match=f"--{name} .* is not obeyed: .*; leave it out") as error:
        parse(*with_recipe(tmp_path, f"{name}: {value}"))
    if name == "hub_token":
        assert "x" not in str(error.value).replace("hub_token …", "").partition(" is not")[0]


def test_no_model_and_no_training() -> None:
    with pytest.raises(
        ValueError, match=r"needs a model to start from: --model_name_or_path .* --config_name tiny"
    ):
        parse(start=BASE[:4])
    for part in ("--do_predict", "--do_eval"):
        with pytest.raises(ValueError, match="write --model_name_or_path with its folder"):
            parse(part, start=BASE[:4])
        found = parse(part, "--model_name_or_path", "m", start=BASE[:4])
        assert (found.do_train, found.eval_strategy, found.load_best_model_at_end) == (False, "no", False)


def test_options_of_training_without_a_training_are_told(caplog: pytest.LogCaptureFixture) -> None:
    parse("--do_predict", "--model_name_or_path", "m", "--learning_rate", "1", start=BASE[:4])
    assert "without --do_train, these have no effect: --learning_rate" in caplog.text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--max_step 5", "unrecognized arguments: --max_step 5; did you mean --max_steps?"),
        ("--lerning_rate=1", "did you mean --learning_rate?"),
        ("--learning_rate fast", "invalid float value: 'fast'"),
        ("--bf16 perhaps", "Truthy value expected"),
        ("stray", "unrecognized arguments: stray"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(
    argv: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        parse(*argv.split())
    assert error.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "argv", ["--dropout_prob 1.5", "--dev_share 2", "--max_seq_length 250", "--max_steps 0", "--seed -1"]
)
def test_limits_hold_on_the_command_line(argv: str) -> None:
    with pytest.raises(ValueError, match=f"{argv.split()[0]} must be .*got {argv.split()[1]}"):
        parse(*argv.split())


def test_arguments_beside_the_program_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prog.args").write_text("--seed 77")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "prog")])
    assert parse().seed == 42


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("recipe_no.yaml", None),
        ("recipe_list.yaml", "recipe_list.yaml:2: learning_rate: .* is a list; write one number"),
    ],
)
def test_recipes_that_failed(shared: Path, file: str, message: str | None) -> None:
    argv = ["--config", str(shared / "inputs" / file), "--output_dir", "o", *NEW]
    if message is None:
        assert parse_arguments("x", Classification, argv)[2].language == "no"  # type: ignore[attr-defined]
    else:
        with pytest.raises(ValueError, match=message):
            parse_arguments("x", Parsing, [*argv, "--data_dir", "d"])
