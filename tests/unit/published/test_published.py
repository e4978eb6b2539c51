from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from pixel_m4.finetune import published
from pixel_m4.finetune.arguments import parse_arguments
from pixel_m4.finetune.published import split_flags, translate
from pixel_m4.render.fonts import FontError
from pixel_m4.tasks.registry import TASKS


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "_said", set())
    monkeypatch.delenv("WANDB_DISABLED", raising=False)


def test_spellings_of_flags() -> None:
    assert split_flags(["--a=1", "--b", "--c", "-2", "--d-e", "x=y"]) == [
        ("a", "1"),
        ("b", None),
        ("c", "-2"),
        ("d_e", "x=y"),
    ]
    with pytest.raises(ValueError, match="'y' belongs to no flag"):
        split_flags(["--a", "x", "y"])


def test_names_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    ours = translate(
        "parsing",
        ["--evaluation_strategy", "epoch", "--early_stopping", "--early_stopping_patience=7"],
    )
    assert ours == ["--eval_strategy=epoch", "--early_stopping_patience=7"]
    assert translate("ner", ["--language", "hi"])[0] == "--language=hi"
    assert translate("parsing", ["--language", "hi"]) == ["--early_stopping_patience=0"]
    assert "--language: the task parsing has no use for it" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["las", "eval_las", "test_las"])
def test_scores_have_three_names(name: str) -> None:
    assert translate("parsing", [f"--metric_for_best_model={name}"])[0] == "--metric_for_best_model=eval_las"


@pytest.mark.parametrize("flags", [[], ["--early_stopping=False"], ["--early_stopping", "false"]])
def test_early_stopping_is_asked_for(flags: list[str]) -> None:
    assert translate("parsing", [*flags, "--early_stopping_patience=5"]) == ["--early_stopping_patience=0"]


def test_what_means_nothing_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--overwrite_cache", "--overwrite_cache", "--render_rgb=False", "--rendering_backend", "pygame"]
    for _ in range(2):
        assert translate("parsing", flags) == ["--early_stopping_patience=0"]
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["--overwrite_cache", "--rendering_backend"]


def test_wandb_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(published.importlib.util, "find_spec", lambda name: None)
    assert "--report_to=tensorboard" in translate("parsing", ["--report_to=wandb"])
    assert "wandb is not installed" in capsys.readouterr().err
    assert "--report_to=none" in translate("parsing", ["--report_to=none"])
    monkeypatch.setattr(published.importlib.util, "find_spec", lambda name: name)
    assert "--report_to=wandb" in translate("parsing", ["--report_to=wandb"])
    monkeypatch.setenv("WANDB_DISABLED", "true")
    assert "--report_to=tensorboard" in translate("parsing", ["--report_to=wandb"])


def test_fallback_fonts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FontError, match=r"fallback_fonts_dir is no folder: .*none; make it"):
        translate("parsing", [f"--fallback_fonts_dir={tmp_path / 'none'}"])
    assert translate("parsing", [f"--fallback_fonts_dir={tmp_path}"]) == ["--early_stopping_patience=0"]
    assert "holds no fonts" in capsys.readouterr().err
    (tmp_path / "x.ttf").touch()
    flag = f"--fallback_fonts_dir={tmp_path}"
    assert flag in translate("parsing", [flag])


def test_steps_beside_a_strategy_by_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        "--logging_strategy=epoch",
        "--logging_steps=1",
        "--evaluation_strategy",
        "epoch",
        "--eval_steps",
        "5",
    ]
    ours = translate("parsing", flags)
    assert ours[:2] == ["--logging_strategy=epoch", "--eval_strategy=epoch"]
    assert "--logging_steps: has no effect, as the strategy is epoch" in capsys.readouterr().err
    assert "--eval_steps=5" in translate("parsing", ["--evaluation_strategy=steps", "--eval_steps=5"])


COMMON = shlex.split(
    """
    --model_name_or_path=m --remove_unused_columns=False --data_dir=d --do_train --do_eval --do_predict
    --dropout_prob=0.1 --early_stopping --per_device_train_batch_size=32 --gradient_accumulation_steps=1
    --learning_rate=1e-5 --run_name=r --output_dir=o --overwrite_output_dir --overwrite_cache
    --save_total_limit=2 --report_to=none --log_predictions --load_best_model_at_end=True --bf16
    --half_precision_backend=cuda_amp --seed=3 --dataloader_num_workers=8
    """
)


def test_published_topic_command() -> None:
    argv = shlex.split(
        """
    --language hin_Deva --max_seq_length=256 --max_steps=15000 --early_stopping_patience=20
    --logging_strategy=epoch --logging_steps=1 --evaluation_strategy=epoch --save_strategy=epoch
    --metric_for_best_model=eval_f1 --rendering_backend=bigrams
    """
    )
    task = TASKS["classification"]
    arguments, training, options = parse_arguments("x", task, translate("classification", COMMON + argv))
    assert (training.eval_strategy, training.save_strategy, training.logging_strategy) == ("epoch",) * 3
    assert (training.learning_rate, training.seed, training.bf16) == (1e-5, 3, True)
    assert (arguments.early_stopping_patience, options.language) == (20, "hin_Deva")
    assert training.metric_for_best_model.removeprefix("eval_") == task.metric


def test_published_ner_command() -> None:
    argv = shlex.split(
        """
    --jit_rendering=True --max_seq_length=196 --max_steps=50000 --early_stopping_patience=5
    --per_device_eval_batch_size=64 --warmup_steps=100 --logging_strategy=steps --logging_steps=100
    --evaluation_strategy=steps --eval_steps=500 --save_strategy=steps --save_steps=500
    --metric_for_best_model=eval_f1 --rendering_backend=pangocairo
    """
    )
    task = TASKS["ner"]
    arguments, training, _ = parse_arguments("x", task, translate("ner", COMMON + argv))
    assert (arguments.max_seq_length, training.max_steps, training.save_steps) == (196, 50_000, 500)
    assert (training.warmup_steps, training.per_device_eval_batch_size) == (100, 64)
    assert training.metric_for_best_model.removeprefix("eval_") == task.metric
