from __future__ import annotations

from dataclasses import dataclass, fields

import pytest
from transformers import TrainingArguments

from pixel_m4.corpus.corpora import EXHAUSTED
from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.pretrain.arguments import PretrainArguments, PretrainTrainingArguments
from pixel_m4.tasks.base import WordOptions
from pixel_m4.tasks.qa import QAOptions
from pixel_m4.training.limits import CHOICES, LIMITS, check_value, check_values


def test_limits_are_those_of_options_that_there_are() -> None:
    training = (FinetuneArguments, TrainingArguments, PretrainArguments, PretrainTrainingArguments)
    groups = (*training, QAOptions, WordOptions)
    names = {entry.name for group in groups for entry in fields(group)} | {"problem_type"}
    assert set(LIMITS) <= names
    assert set(CHOICES) <= names
    assert set(CHOICES["exhausted"]) == set(EXHAUSTED)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("dropout_prob", [0, 0.5, 0.999], [-0.1, 1, 1.5, float("nan")]),
        ("dev_share", [0.1, 0.9], [0, 1, 2, -1]),
        ("mask_ratio", [0.25], [0, 1, 1.5]),
        ("max_seq_length", [1, 4, 256, 529], [0, -4, 3, 250]),
        ("max_steps", [-1, 1, 10], [0, -2]),
        ("learning_rate", [0, 1e-5], [-1e-5, float("inf")]),
        ("muon_learning_rate", [None, 0.02], [0, -1]),
        ("per_device_train_batch_size", [1], [0, -8]),
        ("gradient_accumulation_steps", [1], [0, -8]),
        ("num_train_epochs", [0.5, 3], [0, -1]),
        ("warmup_steps", [0, 0.1, 10], [-1]),
        ("seed", [0, 2**32 - 1], [-1, 2**32]),
        ("save_total_limit", [None, 0, 1], [-1]),
        ("early_stopping_patience", [0, 5], [-1]),
        ("config_name", ["tiny"], ["huge"]),
        ("masking", ["span"], ["spans"]),
    ],
)
def test_values_inside_and_outside(name: str, good: list, bad: list) -> None:
    for value in good:
        check_value(name, value)
    for value in bad:
        with pytest.raises(ValueError, match="must be"):
            check_value(name, value)


def test_options_of_python_are_held_to_them_too() -> None:
    @dataclass
    class Some:
        shrink: float = 0

    with pytest.raises(ValueError, match="--shrink must be more than 0, got 0"):
        check_values(Some())
    with pytest.raises(ValueError, match=r"--dropout_prob must be at least 0 and less than 1, got 1\.5"):
        FinetuneArguments(dropout_prob=1.5)
