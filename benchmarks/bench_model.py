"""Training steps against the matrix-multiplication peak, and against the published way: ratios of one run.

python benchmarks/bench_model.py [--sentences 640]

The published way is the same model with eager attention and float pixels in three channels, and in parsing on
sequences padded to 256 patches.  Its loss must be the same before anything is timed.  Only real patches count
as useful work.  Parsing reads UD_Vietnamese-VTB (shared data).  Memory is the peak of a process of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pixel_m4 import PixelConfig, PixelForBiaffineParsing, PixelForPreTraining, TextRenderer
from pixel_m4.model.answering import as_tensors
from pixel_m4.model.flops import training_flops
from pixel_m4.tasks.parsing import Parsing

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PIXEL_M4_SHARED", ROOT.parent / "shared"))
BATCH, PADDED = 32, 256

Batch = dict[str, torch.Tensor]
# A measure, its time, what it is compared with, and useful operations a second if that is the peak.
Row = tuple[str, str, str, float | None]


def seconds(function: Callable[[], object], repeat: int) -> float:
    """The best wall time of some runs after one that warms up."""
    function()
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def peak() -> float:
    """Measured float32 operations a second of a large matrix product."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    return 2 * 2048**3 / seconds(lambda: a @ b, 8)


def trainer(model: torch.nn.Module, batches: list[Batch]) -> Callable[[], float]:
    """One pass over batches with AdamW; returns the sum of losses."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)

    def run() -> float:
        total = 0.0
        for batch in batches:
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item()
        return total

    return run


def published(batch: Batch) -> Batch:
    """The same batch padded to 256 patches, as floats in three channels."""
    grey = batch["pixel_values"]
    pixels = torch.full((len(grey), 16, 16 * PADDED), 255, dtype=torch.uint8)
    pixels[:, :, : grey.shape[2]] = grey
    mask = torch.zeros(len(grey), PADDED, dtype=torch.int64)
    mask[:, : batch["attention_mask"].shape[1]] = batch["attention_mask"]
    return {**batch, "pixel_values": pixels[:, None].expand(-1, 3, -1, -1) / 255, "attention_mask": mask}


def pretraining_setup(eager: bool) -> tuple[PixelForPreTraining, Batch]:
    """`small`, and 8 sequences of 529 patches."""
    torch.manual_seed(0)
    model = PixelForPreTraining(PixelConfig.named("small"))
    words = random.Random(0).choices(["the", "cat", "reads", "pixels", "and", "sleeps"], k=400)
    batch = dict(TextRenderer().batch([" ".join(words)] * 8, padding="max_length", return_tensors="pt"))
    if eager:
        model.set_attn_implementation("eager")
        batch["pixel_values"] = batch["pixel_values"][:, None].expand(-1, 3, -1, -1) / 255
    return model, batch


def pretraining_step(eager: bool) -> Callable[[], float]:
    """A step of it."""
    model, batch = pretraining_setup(eager)
    return trainer(model.train(), [batch])


def same_pretraining_losses() -> None:
    """Check that both ways have the same loss for the same hidden patches, without dropout."""
    mask = torch.rand(8, 529, generator=torch.Generator().manual_seed(0)) < 0.25
    losses = []
    for eager in (False, True):
        model, batch = pretraining_setup(eager)
        torch.manual_seed(0)  # of the choice among patches that are equal in the mask
        with torch.inference_mode():
            losses.append(model.eval()(**batch, patch_mask=mask.float()).loss)
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-4)


def pretraining(ours: float, theirs: float) -> list[Row]:
    """Time and memory of a pretraining step."""
    same_pretraining_losses()
    took = seconds(pretraining_step(eager=False), 3)
    useful = 8 * training_flops(PixelConfig.named("small"), PixelForPreTraining, 529).total
    name = "pretraining step, small, 8 × 529"
    return [
        (name, f"{took:.2f} s", "bar: 55%", useful / took),
        (
            f"{name}: memory",
            f"{ours:.2f} GB",
            f"{ours / theirs:.0%} of the published way's {theirs:.2f} GB (bar: 70%)",
            None,
        ),
    ]


def memory(way: str) -> float:
    """Peak memory of a process that makes two pretraining steps, less that of one that only starts, in GB."""
    command = [sys.executable, __file__, "--memory"]
    peaks = [int(subprocess.check_output([*command, what])) for what in (way, "nothing")]
    return (peaks[0] - peaks[1]) / 1e6


def parsing(count: int) -> list[Row]:
    """An epoch of `tiny` over a treebank, ours and the published way."""
    config = PixelConfig.named(
        "tiny",
        max_seq_length=PADDED,
        num_labels=38,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    task = Parsing(TextRenderer(max_seq_length=PADDED))
    sentences = task.read(SHARED / "data" / "ud" / "UD_Vietnamese-VTB", "train")[:count]
    windows = sorted(task.encode(sentences), key=lambda window: window.length)
    cut = [windows[i : i + BATCH] for i in range(0, len(windows), BATCH)]
    ours = [as_tensors(task.collate(part)) for part in cut]
    theirs = [published(batch) for batch in ours]
    torch.manual_seed(0)
    model = PixelForBiaffineParsing(config).eval()
    eager = PixelForBiaffineParsing(
        PixelConfig(**{**config.to_dict(), "attn_implementation": "eager"})
    ).eval()
    eager.load_state_dict(model.state_dict())
    eager.set_attn_implementation("eager")
    with torch.inference_mode():
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(model(**a).loss, eager(**b).loss, rtol=1e-4, atol=1e-4)
    took = seconds(trainer(model.train(), ours), 1)
    model.config.unpad_inputs = False
    took_padded = seconds(trainer(model, ours), 1)
    took_published = seconds(trainer(eager.train(), theirs), 1)
    useful = sum(
        training_flops(config, PixelForBiaffineParsing, w.length + 1, len(w.words)).total for w in windows
    )
    name = f"parsing epoch, tiny, {len(windows)} windows"
    return [
        (name, f"{took:.1f} s", "bar: 55%", useful / took),
        ("the same with its padding", f"{took_padded:.1f} s", f"{took_padded / took:.2f} × slower", None),
        (
            "the published way",
            f"{took_published:.1f} s",
            f"{took_published / took:.1f} × slower (bar: 5 ×)",
            None,
        ),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=640)
    parser.add_argument("--memory", choices=["ours", "published", "nothing"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        step = pretraining_step(eager=arguments.memory == "published")
        for _ in range(0 if arguments.memory == "nothing" else 2):
            step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    if not SHARED.is_dir():
        sys.exit(f"needs the shared data folder; looked for {SHARED} (set PIXEL_M4_SHARED to its place)")
    # First, while this process is small: a child's peak begins with the size of its parent.
    ours, theirs = (memory(way) for way in ("ours", "published"))
    before = peak()
    times = [*pretraining(ours, theirs), *parsing(arguments.sentences)]
    after = peak()
    # Other work on the machine can only lower a measured peak, so the larger is nearer to the truth.
    best = max(before, after)
    rows = [
        (name, took, ratio if rate is None else f"{rate / best:.0%} of peak ({ratio})")
        for name, took, ratio, rate in times
    ]
    print(
        f"Peak: {best / 1e9:.0f} GFLOP/s (float32, {torch.get_num_threads()} threads; "
        f"before {before / 1e9:.0f}, after {after / 1e9:.0f})"
    )
    if best > 1.1 * min(before, after):
        print("The two measurements of the peak differ: the machine was busy, measure again.")
    print()
    print("| measure | time | ratio |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
