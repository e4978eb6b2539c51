from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pixel_m4.train.pretrain_arguments import parse_arguments

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


def test_there_are_recipes() -> None:
    assert {file.stem for file in CONFIGS.glob("pretrain-*.yaml")} >= {"pretrain-m4", "pretrain-nano"}
