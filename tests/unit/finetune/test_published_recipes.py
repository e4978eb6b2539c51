"""Recipes that are called published have the published values, which stand here as the papers have them.

PIXEL (Rust et al. 2023) for tagging, MasakhaNER, GLUE, XNLI and questions; PIXEL-M4 (Kesen et al. 2025) for
parsing, other named entities, topics and pretraining.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pixel_m4.finetune.arguments import parse_arguments, task_of_recipe
from pixel_m4.pretrain.arguments import parse_arguments as parse_pretraining
from pixel_m4.sweep.grid import read_sweep
from pixel_m4.tasks.registry import TASKS
from pixel_m4.training.overrides import parse_overrides

CONFIGS = Path(__file__).parents[3] / "configs"

STEPS = {"eval_strategy": "steps", "save_strategy": "steps", "load_best_model_at_end": True}
EVERY = {**STEPS, "eval_steps": 500, "save_steps": 500, "early_stopping_patience": 5, "warmup_steps": 100}
ALL = {"dropout_prob": 0.1, "lr_scheduler_type": "linear", "train_sampling_strategy": "random", "shrink": 1}
PIXEL = {**ALL, **EVERY, "fp16": True, "bf16": False, "seed": 42, "gradient_accumulation_steps": 1}
M4 = {**ALL, "bf16": True, "fp16": False, "gradient_accumulation_steps": 1}
SIZE = {"max_seq_length": 256, "per_device_train_batch_size": 64}
POS = {**PIXEL, **SIZE, "learning_rate": 5e-5, "max_steps": 15_000}
PUBLISHED: dict[str, dict[str, Any]] = {
    "pos": {**POS, "metric_for_best_model": "accuracy"},
    "ner-masakhaner": {**POS, "max_seq_length": 196, "metric_for_best_model": "f1"},
    "glue/*": {
        **PIXEL, "max_seq_length": 256, "per_device_train_batch_size": 64, "gradient_accumulation_steps": 4,
        "learning_rate": 3e-5, "max_steps": 15_000, "pooling_mode": "mean",
        "metric_for_best_model": "accuracy",
    },
    "qa/*": {
        **PIXEL, "max_seq_length": 400, "max_question_length": 128, "stride": 160, "max_answer_length": 30,
        "n_best": 20, "null_score_diff_threshold": 0.0, "whole_words": False,
        "per_device_train_batch_size": 32,
        "learning_rate": 7e-5, "max_steps": 20_000, "metric_for_best_model": "f1",
    },
    "xnli": {
        **PIXEL, "max_seq_length": 196, "per_device_train_batch_size": 128, "gradient_accumulation_steps": 2,
        "learning_rate": 2e-5, "max_steps": 50_000, "warmup_steps": 1_000, "eval_steps": 1_000,
        "save_steps": 1_000, "pooling_mode": "cls", "metric_for_best_model": "accuracy",
    },
    "parsing-pixel": {**POS, "learning_rate": 8e-5, "metric_for_best_model": "las"},
    "robustness-pos": {**POS, "learning_rate": 1e-5, "metric_for_best_model": "accuracy"},
    "robustness-snli": {
        **POS, "learning_rate": 1e-5, "max_seq_length": 324, "warmup_steps": 1_000, "pooling_mode": "mean",
        "metric_for_best_model": "accuracy",
    },
    "parsing": {
        **M4, **EVERY, "max_seq_length": 256, "per_device_train_batch_size": 64, "learning_rate": 1e-5,
        "max_steps": 15_000, "metric_for_best_model": "las",
    },
    "ner": {
        **M4, **EVERY, "max_seq_length": 196, "per_device_train_batch_size": 64, "max_steps": 50_000,
        "metric_for_best_model": "f1",
    },
    "sib200": {
        **M4, "max_seq_length": 256, "per_device_train_batch_size": 32, "learning_rate": 1e-5,
        "max_steps": 15_000, "warmup_steps": 0, "eval_strategy": "epoch", "save_strategy": "epoch",
        "early_stopping_patience": 20, "load_best_model_at_end": True, "metric_for_best_model": "f1",
    },
}  # fmt: skip
EXCEPTIONS = {"glue/stsb": {"metric_for_best_model": "pearson"}}  # a regression has no accuracy


def values(task: str, argv: list[str]) -> dict[str, Any]:
    """What a command line comes to."""
    arguments, training, options = parse_arguments("x", TASKS[task], argv)
    overrides = parse_overrides(arguments.config_overrides)
    found = {**vars(training), **vars(arguments), **vars(options), "pooling_mode": "mean", **overrides}
    return {name: getattr(value, "value", value) for name, value in found.items()}


@pytest.mark.parametrize("pattern", PUBLISHED)
def test_published_recipes_are_the_published_ones(pattern: str) -> None:
    files = [file for file in CONFIGS.glob(f"{pattern}.yaml") if not file.stem.endswith("-ours")]
    assert files
    for file in files:
        words = ["--config", str(file)]
        recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
        words += [] if "output_dir" in recipe else ["--output_dir", "o"]
        words += [] if {"data_dir", "dataset_name", "train_file"} & set(recipe) else ["--data_dir", "d"]
        found = values(task_of_recipe(["--config", str(file)]), words)
        expected = {**PUBLISHED[pattern], **EXCEPTIONS.get(f"{file.parent.name}/{file.stem}", {})}
        assert {name: found[name] for name in expected} == expected, file


@pytest.mark.parametrize(
    ("task", "pattern"),
    [
        ("pos", "pos"),
        ("parsing", "parsing"),
        ("ner", "ner"),
        ("classification", "sib200"),
        ("qa", "qa/*"),
    ],
)
def test_without_a_recipe_a_task_has_the_published_values(task: str, pattern: str) -> None:
    argv = ["--data_dir", "d", "--output_dir", "o", "--model_name_or_path", "pixel-m4-tiny"]
    found = values(task, argv)
    # Precision is the machine's; the best score is chosen by the task; the stride is found when it is used;
    # answers are widened to whole words after the model has spoken.
    mine = {"bf16", "fp16", "metric_for_best_model", "stride", "whole_words"}
    expected = {name: value for name, value in PUBLISHED[pattern].items() if name not in mine}
    assert {name: found[name] for name in expected} == expected
    assert TASKS[task].metric == PUBLISHED[pattern]["metric_for_best_model"]


def test_what_is_not_published_has_another_name() -> None:
    ours = values("qa", ["--config", str(CONFIGS / "qa" / "korquad-ours.yaml")])
    assert (ours["max_answer_length"], ours["metric_for_best_model"]) == (60, "f1_characters")
    text = (CONFIGS / "qa" / "korquad-ours.yaml").read_text(encoding="utf-8")
    assert "a recipe of ours, not the published one" in text


def test_sweeps_with_the_published_recipe() -> None:
    rates = {"ner": {1e-5, 3e-5, 5e-5}, "sib200": {1e-5}, "ud": {1e-5, 3e-5, 5e-5}}
    for name, expected in rates.items():
        runs = read_sweep(CONFIGS / "sweeps" / f"{name}.yaml").runs
        assert {run.arguments["learning_rate"] for run in runs} == expected
        assert {run.arguments["seed"] for run in runs} == set(range(8))
    masakhaner = [
        run
        for run in read_sweep(CONFIGS / "sweeps" / "ner.yaml").runs
        if "masakhaner" in run.arguments["data_dir"]
    ]
    assert {run.arguments["max_steps"] for run in masakhaner} == {15_000}


def test_no_recipe_of_ours_groups_by_length() -> None:
    for file in CONFIGS.rglob("*.yaml"):
        assert "group_by_length" not in file.read_text(encoding="utf-8"), file


def test_pretraining() -> None:
    for argv in (["--data_dir", "d"], ["--config", str(CONFIGS / "pretrain-m4.yaml")]):
        arguments, training = parse_pretraining([*argv, "--output_dir", "o", "--bf16", "false"])
        found = {**vars(training), **vars(arguments)}
        expected = {
            "max_seq_length": 529, "min_patches": 23, "max_steps": 1_000_000, "total_batch_size": 256,
            "weight_decay": 0.05, "base_learning_rate": 1.5e-4, "learning_rate": 1.5e-4, "warmup_steps": 0.05,
            "min_learning_rate": 1e-5, "lr_scheduler_type": "cosine_with_min_lr", "dropout_prob": 0.1,
            "masking": "span", "mask_ratio": 0.25, "max_span": 6, "norm_pix_loss": True, "muon": False,
            "patch_classes": 0,
        }  # fmt: skip
        found = {name: getattr(value, "value", value) for name, value in found.items()}
        assert {name: found[name] for name in expected} == expected
    recipe = yaml.safe_load((CONFIGS / "pretrain-m4.yaml").read_text(encoding="utf-8"))
    assert recipe["languages"] == ["en=en-multi", "hi", "uk", "zh"]  # drawn equally, the default
