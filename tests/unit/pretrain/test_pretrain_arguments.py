from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from pixel_m4.pretrain.arguments import REFUSED_HERE, PretrainTrainingArguments, parse_arguments

BASE = ["--data_dir", "d", "--output_dir", "o"]
CONFIGS = Path(__file__).parents[3] / "configs"


def test_published_recipe_is_the_default() -> None:
    arguments, training = parse_arguments(BASE)
    assert (training.max_steps, training.total_batch_size, arguments.max_seq_length) == (1_000_000, 256, 529)
    assert training.per_device_train_batch_size * training.gradient_accumulation_steps == 256
    assert training.learning_rate == pytest.approx(1.5e-4)
    assert training.lr_scheduler_type == "cosine_with_min_lr"
    assert training.lr_scheduler_kwargs == {"min_lr": 1e-5}
    assert training.get_warmup_steps(1_000_000) == 50_000
    assert (training.weight_decay, arguments.dropout_prob) == (0.05, 0.1)
    assert (arguments.masking, arguments.mask_ratio, arguments.max_span) == ("span", 0.25, 6)
    assert arguments.norm_pix_loss
    assert training.report_to == ["tensorboard"]


def test_rate_follows_the_batch_unless_it_is_given() -> None:
    _, training = parse_arguments([*BASE, "--total_batch_size", "64"])
    assert training.learning_rate == pytest.approx(1.5e-4 / 4)
    assert training.gradient_accumulation_steps == 2
    options = ["--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "3"]
    _, training = parse_arguments([*BASE, *options])
    assert training.total_batch_size == 24
    assert training.learning_rate == pytest.approx(1.5e-4 * 24 / 256)
    _, training = parse_arguments([*BASE, *options, "--learning_rate", "1e-3"])
    assert training.learning_rate == 1e-3
    _, training = parse_arguments([*BASE, "--total_batch_size", "8"])
    assert training.per_device_train_batch_size == 8
    assert training.lr_scheduler_kwargs == {"min_lr": training.learning_rate}  # never above the highest


def test_muon_is_an_optimizer_by_name() -> None:
    _, training = parse_arguments([*BASE, "--optim", "muon"])
    assert training.muon
    assert not parse_arguments(BASE)[1].muon


def test_output_dir_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--data_dir", "d"])
    assert "--output_dir" in capsys.readouterr().err


def test_command_line_wins_over_file(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("data_dir: d\noutput_dir: o\nmax_steps: 7\nlanguages: [en, hi]\noptim: muon\n")
    arguments, training = parse_arguments(["--config", str(file), "--max_steps", "9"])
    assert (training.max_steps, arguments.languages, training.muon) == (9, ["en", "hi"], True)
    file.write_text("data_dri: d\n")
    with pytest.raises(ValueError, match="data_dri"):
        parse_arguments(["--config", str(file)])


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("pretrain-*.yaml")), ids=lambda file: file.stem)
def test_every_recipe_parses(file: Path) -> None:
    recipe = yaml.safe_load(file.read_text())
    extra = [] if "data_dir" in recipe or "dataset_name" in recipe else ["--data_dir", "d"]
    arguments, training = parse_arguments(["--config", str(file), "--output_dir", "o", *extra])
    for name, value in recipe.items():
        owner = arguments if hasattr(arguments, name) else training
        if name not in ("optim", "report_to", "per_device_train_batch_size"):
            assert getattr(owner, name) == value, name


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            "learning_rate: 1e-3\nbase_learning_rate: 1e-4",
            "--learning_rate 0.001 and --base_learning_rate 0.0001",
        ),
        (
            "total_batch_size: 8\ngradient_accumulation_steps: 2",
            "--gradient_accumulation_steps 2 and --total_batch",
        ),
        ("temperature: 2\nlanguage_probabilities: en=1", "exclude each other"),
        (
            "dataset_name: x\nlanguages: [en]\ndata_dir: d",
            "--data_dir d and --dataset_name x exclude each other",
        ),
        ("muon_learning_rate: 0.1", "--muon_learning_rate 0.1 has no effect: it needs --optim muon"),
        ("masking: random\nmax_span: 3", "--max_span 3 has no effect"),
        ("lr_scheduler_type: linear\nmin_learning_rate: 1e-6", "--min_learning_rate 1e-06 has no effect"),
        ("class_loss_weight: 1", "it needs --patch_classes"),
        ("validation_blocks: 0\nvalidation_share: 0.1", "--validation_share 0.1 has no effect"),
        ("eval_strategy: no\neval_steps: 3", "--eval_steps 3 has no effect"),
        ("warmup_steps: 9\nmax_steps: 9", "--warmup_steps 9 is not less than --max_steps 9"),
        ("num_train_epochs: 1", "--num_train_epochs 1 is not obeyed: text is a stream; give --max_steps"),
        ("label_smoothing_factor: 0.1", "--label_smoothing_factor 0.1 is not obeyed: pixels are no classes"),
        ("push_to_hub: true", "--push_to_hub true is not obeyed"),
        ("do_train: false", "--do_train false is not obeyed"),
        ("mask_ratio: 1.5", "mask_ratio: must be more than 0 and less than 1, got 1.5"),
        ("max_seq_length: 530", "must be a perfect square such as 529 or 576"),
        ("masking: spam", "must be one of span, random, got 'spam'"),
        ("total_batch_size: 0", "must be at least 1, got 0"),
        ("model_name_or_path: m\nconfig_name: tiny", "leave one of the two out"),
        ("model_name_or_path: m\nline_positions: true", "--line_positions is for random weights"),
        ("model_name_or_path: m\ncenter_pixels: true", "--center_pixels true has no effect"),
        ("languages: {en: 1}", "languages: {'en': 1} is a mapping"),
        ("task: parsing", "is for the task 'parsing', not 'pretraining'"),
    ],
)
def test_what_has_no_effect_is_refused(tmp_path: Path, recipe: str, message: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe)
    data = [] if "data_dir" in recipe else BASE[:2]
    with pytest.raises(ValueError, match=message):
        parse_arguments([*data, *BASE[2:], "--config", str(file)])


def test_a_warm_up_that_was_not_meant_for_so_few_steps_is_shortened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert parse_arguments([*BASE, "--max_steps", "1"])[1].warmup_steps == 0  # a share of 0.05 would be all
    file = tmp_path / "recipe.yaml"
    file.write_text("max_steps: 900\nwarmup_steps: 90")
    assert parse_arguments([*BASE, "--config", str(file), "--max_steps", "40"])[1].warmup_steps == 4
    assert "--warmup_steps 90 would not be over after --max_steps 40: the warm-up is 4 steps" in caplog.text


def test_the_command_line_takes_back_what_a_recipe_says(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "dataset_name: x\nlearning_rate: 0.1\ntotal_batch_size: 64\nlanguages: en\nconfig_name: tiny\n"
    )
    options = ["--base_learning_rate", "2e-4", "--gradient_accumulation_steps", "1"]
    options += ["--model_name_or_path", "m"]
    arguments, training = parse_arguments([*BASE, "--config", str(file), *options])
    assert (arguments.data_dir, arguments.dataset_name, arguments.languages) == ("d", None, ["en"])
    assert training.learning_rate == pytest.approx(2e-4 * 32 / 256)
    assert (arguments.model_name_or_path, arguments.config_name) == ("m", None)


def test_every_argument_that_is_refused_is_one(tmp_path: Path) -> None:
    assert set(REFUSED_HERE) <= {entry.name for entry in fields(PretrainTrainingArguments)}


def test_there_are_recipes() -> None:
    assert {file.stem for file in CONFIGS.glob("pretrain-*.yaml")} >= {"pretrain-m4", "pretrain-nano"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--load_best_model_at_end true", "no choice of the best one"),
        ("--metric_for_best_model eval_loss", "no choice of the best one"),
        ("--greater_is_better false", "--greater_is_better false is not obeyed"),
        ("--save_strategy best", "no choice of the best one"),
        ("--save_strategy epoch", "pretraining counts steps"),
        ("--eval_strategy epoch", "pretraining counts steps"),
        ("--train_sampling_strategy group_by_length", "text is a stream"),
        ("--remove_unused_columns true", "--remove_unused_columns true is not obeyed"),
        ("--data_seed 3", "text is a stream"),
        ("--dataloader_in_order false", "could not go on exactly"),
        ("--save_only_model true", "could not go on exactly"),
        ("--ignore_data_skip false", "always goes on at its saved position"),
        ("--auto_find_batch_size true", "--auto_find_batch_size true is not obeyed"),
        ("--do_predict true", "--do_predict true is not obeyed"),
        ("--hub_token secret", "--hub_token"),
        ("--optim muon --optim_args x=1", "--optim_args has no effect with --optim muon"),
        ("--languages en en", "en is there twice"),
        ("--languages en,hi", "'en,hi' is no name of a language; write en hi"),
        ("--languages en=x", "NAME=CONFIG is for --dataset_name"),
        ("--language_probabilities en=0.5,en=0.5", "--language_probabilities: en stands twice"),
        ("--language_probabilities en=half", "en=half is no number"),
        ("--language_probabilities en=-1,hi=2", "en=-1 must be greater than 0"),
        ("--language_probabilities en=0.5,hi=0.4", "must sum to one, not 0.9"),
        ("--language_probabilities en", "'en' is not name=value"),
        ("--languages en hi --language_probabilities en=0.5,uk=0.5", "differ: hi, uk"),
        ("--temperature 0", "temperature"),
        ("--max_seq_length 4 --min_patches 1 --mask_ratio 0.9", "none stay visible"),
        ("--min_patches 30 --max_seq_length 25", "--min_patches 30 is more than --max_seq_length 25"),
        ("--draw_positions false", "has no effect without --max_positions"),
        ("--config_overrides mask_ratio=0.5", "there is an option of its own, --mask_ratio"),
        ("--seed -1", "seed"),
    ],
)
def test_nothing_is_ignored_or_replaced_in_silence(options: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_arguments([*BASE, *options.split()])
