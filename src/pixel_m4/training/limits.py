"""Which values options may have: ranges and choices, the same for command line, recipes and Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.model.config import NAMED, POSITIONS
from pixel_m4.model.text_config import is_text_model


@dataclass(frozen=True, slots=True)
class Limit:
    """A range of numbers.

    Attributes:
        least: the lowest number.
        below: numbers must be less than this.
        above: numbers must be more than this.
        most: the highest number.
    """

    least: float | None = None
    below: float | None = None
    above: float | None = None
    most: float | None = None

    def allows(self, value: float) -> bool:
        """Whether a number lies in the range."""
        return (
            math.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.most is None or value <= self.most)
        )

    def __str__(self) -> str:
        words = {
            "at least": self.least,
            "more than": self.above,
            "less than": self.below,
            "at most": self.most,
        }
        parts = [f"{word} {value:.15g}" for word, value in words.items() if value is not None]
        return f"must be {' and '.join(parts)}"


_POSITIVE, _NOT_NEGATIVE, _COUNT = Limit(above=0), Limit(least=0), Limit(least=1)
_SHARE = Limit(least=0, below=1)
_REAL_SHARE = Limit(above=0, below=1)
_SEED = Limit(least=0, below=2**32)

LIMITS: Mapping[str, Limit] = {
    **dict.fromkeys(
        ("dropout_prob", "dev_from_train", "label_smoothing_factor", "adam_beta1", "adam_beta2"), _SHARE
    ),
    **dict.fromkeys(("dev_share", "test_share", "validation_share", "mask_ratio"), _REAL_SHARE),
    **dict.fromkeys(
        (
            *("shrink", "muon_learning_rate", "base_learning_rate", "num_train_epochs", "temperature"),
            *("logging_steps", "eval_steps", "save_steps"),
        ),
        _POSITIVE,
    ),
    **dict.fromkeys(
        (
            *("learning_rate", "min_learning_rate", "warmup_steps", "weight_decay", "adam_epsilon"),
            *("max_grad_norm", "early_stopping_patience", "eval_delay", "save_total_limit", "stride"),
            *(
                "dataloader_num_workers",
                "validation_blocks",
                "picture_steps",
                "patch_classes",
                "shuffle_blocks",
            ),
            "class_loss_weight",
            "num_word_layers",
        ),
        _NOT_NEGATIVE,
    ),
    **dict.fromkeys(
        (
            *("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"),
            *("total_batch_size", "min_patches", "max_span", "dataloader_prefetch_factor"),
            *("max_train_samples", "max_dev_samples", "max_test_samples"),
            *("torch_empty_cache_steps", "max_question_length", "max_answer_length", "n_best", "ddp_timeout"),
        ),
        _COUNT,
    ),
    **dict.fromkeys(("rope_theta", "word_rope_theta"), Limit(above=1)),
    "sampling_power": Limit(least=0, most=1),
    "seed": _SEED,
    "data_seed": _SEED,
}

CHOICES: Mapping[str, tuple[str, ...]] = {
    "config_name": tuple(NAMED),
    "masking": ("span", "random"),
    "position_embedding_type": POSITIONS,
    "exhausted": ("repeat", "drop", "stop"),
    "problem_type": ("regression", "single_label_classification"),
    "train_sampling_strategy": ("random", "sequential", "group_by_length"),
}


def _square(value: int) -> None:
    side = math.isqrt(max(value, 1))
    if value != side * side:
        near = f"{side**2} or {(side + 1) ** 2}"
        raise UserError(f"must be a perfect square such as {near}, as patches lie on a square, got {value}")


def _steps(value: int) -> None:
    if value != -1 and value < 1:
        raise UserError(f"must be at least 1, or -1 to train for --num_train_epochs, got {value}")


_OTHERS: Mapping[str, Callable[[int], None]] = {
    "max_seq_length": _square,
    "max_positions": _square,
    "max_steps": _steps,
}


_SHORTEST = 8  # sub-words: [CLS], a pair of texts, and what stands between and after them


def check_value(name: str, value: Any, model: str | None = None) -> None:
    """Refuse a value that an option cannot have.

    Args:
        name: of the option.
        value: in the option's type; None passes.
        model: checkpoint that training starts from; sequences of text models may have any length.

    Raises:
        ValueError: says what the value must be; the name is not in the message.
    """
    if value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and not math.isfinite(value):
        raise UserError(f"must be a finite number, got {value}")
    if number and name in LIMITS and not LIMITS[name].allows(value):
        raise UserError(f"{LIMITS[name]}, got {value:g}")
    if name in CHOICES and value not in CHOICES[name]:
        raise UserError(f"must be one of {', '.join(CHOICES[name])}, got {value!r}")
    if name in _OTHERS:
        try:
            _OTHERS[name](value)
        except UserError:
            if name != "max_seq_length" or model is None or not is_text_model(model):
                raise
            if value < _SHORTEST:
                raise UserError(f"must be at least {_SHORTEST}, got {value}") from None


def check_values(group: Any) -> None:
    """Refuse values that options cannot have.

    Args:
        group: a dataclass of options.

    Raises:
        ValueError: names the first of them.
    """
    for entry in fields(group):
        try:
            check_value(entry.name, getattr(group, entry.name), getattr(group, "model_name_or_path", None))
        except ValueError as error:
            raise UserError(f"--{entry.name} {error}") from error
