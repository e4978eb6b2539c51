"""What pretraining takes on GPUs, on paper: operations by formula, time by an assumed share of the peak.

    python benchmarks/estimate_pretraining.py configs/pretrain-m4.yaml

Nothing is measured here.  A run logs its own share of the peak (``peak_share``); give that with ``--shares``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.table import Table

from pixel_m4.console.screen import plain_console
from pixel_m4.model import PixelForPreTraining
from pixel_m4.model.flops import parameters, training_flops
from pixel_m4.pretrain.arguments import parse_arguments
from pixel_m4.pretrain.model import make_config


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="recipe of pixel-m4 pretrain")
    parser.add_argument("--peak", type=float, default=989, help="TFLOP/s of a GPU; default: 989, H100, bf16")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.15, 0.3, 0.45], help="of the peak")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 16, 64], help="how many GPUs")
    parser.add_argument("--price", type=float, help="of a GPU for an hour, in your currency; default: none")
    given = parser.parse_args()
    here = "--output_dir runs/estimate --use_cpu true --bf16 false --torch_compile false"
    arguments, training = parse_arguments(["--config", str(given.config), *here.split()])
    config = make_config(arguments)
    patches = arguments.max_seq_length
    block = training_flops(config, PixelForPreTraining, patches).total
    step, steps = block * training.total_batch_size, training.max_steps
    console = plain_console()
    console.print(
        f"{given.config.name}: {parameters(config, PixelForPreTraining).total:,} parameters, "
        f"{steps:,} steps × {training.total_batch_size} blocks × {patches} patches = "
        f"{steps * training.total_batch_size * patches:.3e} patches"
    )
    console.print(
        f"a block {block / 1e9:.1f} GFLOPs, a step {step / 1e12:.1f} TFLOPs, all {step * steps:.3e} FLOPs"
    )
    table = Table(title=f"estimate, at a peak of {given.peak:g} TFLOP/s a GPU")
    table.add_column("share of the peak", justify="right")
    table.add_column("GPU hours", justify="right")
    for gpus in given.gpus:
        table.add_column(f"{gpus} GPU{'s' if gpus > 1 else ''}", justify="right")
    if given.price is not None:
        table.add_column(f"price at {given.price:g} an hour", justify="right")
    for share in given.shares:
        hours = step * steps / (share * given.peak * 1e12) / 3600
        row = [f"{share:.0%}", f"{hours:.0f}", *(f"{hours / gpus:.1f} h" for gpus in given.gpus)]
        table.add_row(*row, *([] if given.price is None else [f"{hours * given.price:.0f}"]))
    console.print(table)


if __name__ == "__main__":
    main()
