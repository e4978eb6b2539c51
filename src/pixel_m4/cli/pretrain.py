"""`pixel-m4 pretrain`; :mod:`pixel_m4.pretrain.arguments` reads its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pixel_m4.cli.finetune import TRAINER_HELP
from pixel_m4.cli.parts import Formatter
from pixel_m4.cli.sources import helps

NAME = "pretrain"
_EXAMPLES = """examples:
  pixel-m4 pretrain --config configs/pretrain-tiny.yaml --data_dir corpus --output_dir runs/tiny
  torchrun --nproc_per_node 8 -m pixel_m4.cli pretrain --config configs/pretrain-m4.yaml --output_dir runs/m4

A --config file (YAML, options by name) comes before the defaults, which are the published recipe, and the
command line before both. --help_all lists every argument, also those of transformers' TrainingArguments."""
_GROUPS = {
    "text": (
        *("data_dir", "dataset_name", "languages", "language_probabilities", "temperature", "exhausted"),
        *("validation_dir", "validation_share", "validation_blocks"),
    ),
    "model": ("model_name_or_path", "config_name", "config_overrides", "max_seq_length", "font_file"),
    "masks": ("masking", "mask_ratio", "max_span"),
    "training": (
        *("max_steps", "total_batch_size", "per_device_train_batch_size", "base_learning_rate"),
        *("learning_rate", "optim", "muon_learning_rate", "warmup_steps", "eval_steps", "save_steps"),
        *("picture_steps", "seed", "bf16"),
    ),
    "run": ("output_dir", "overwrite_output_dir", "config"),
}


def configure(commands: Any) -> None:
    """Add the command; its parser is for help and completion alone."""
    parser = commands.add_parser(
        NAME,
        help="train a model on text in many languages",
        usage="pixel-m4 pretrain --data_dir DIR --output_dir DIR [options]",
        description="Train a model to reconstruct hidden patches of text. A run that was stopped goes on "
        "from its last whole checkpoint when the same command is given again.",
        epilog=_EXAMPLES,
        formatter_class=Formatter,
    )
    texts = helps()
    for title, names in _GROUPS.items():
        group = parser.add_argument_group(title)
        for name in names:
            text = texts.get(name) or TRAINER_HELP[name]
            group.add_argument(f"--{name}", metavar="…", help=text.replace("%", "%%"))


def run(rest: Sequence[str], quiet: bool) -> None:
    """Do it."""
    from pixel_m4.pretrain.arguments import parse_arguments

    parsed = parse_arguments(rest)  # --help_all needs no more than this
    from pixel_m4.pretrain.run import pretrain

    pretrain(*parsed, quiet=quiet)
