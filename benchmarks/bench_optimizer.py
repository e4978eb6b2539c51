"""The optimizer's share of a training step on one thread, with bfloat16 hardware and without.

python benchmarks/bench_optimizer.py [--base]

Old is torch.optim.Muon, whose Newton–Schulz is in bfloat16, with torch's default AdamW; new is what training
uses.  Steps of both are compared with torch's rule in float64 before anything is timed.  The share is the
optimizer's time by that of a whole step: forwards, backwards, clipping of gradients and optimizer.  Each kind
of processor gets its own process; hardware is hidden by the variables of oneDNN, ATen and MKL,
and the time of a product in bfloat16 shows that it is.  Times are CPU seconds of one thread, the best.

Fine-tuning is that of configs/finetune-tiny.yaml on real sentences (UD_English-EWT, with the shared data)
and on those of the embedded treebank; the quickstart trains pixel-m4-ud on these without Muon, in batches
of 16.
Blocks of pretraining are full of made-up words, so that there are the many patches that its second objective
names.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HIDDEN = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PIXEL_M4_SHARED", ROOT.parent / "shared"))
TREEBANK = Path(str(files("pixel_m4"))) / "assets" / "treebank"
RATES = {"learning_rate": 1e-3, "muon_learning_rate": 0.02, "muon_weight_decay": 0.1}
STEPS = 6
BAR = 0.15


def best(function: Callable[[], object], repeat: int) -> float:
    """The least CPU seconds of some runs after one that warms up."""
    function()
    found = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        function()
        found = min(found, time.process_time() - start)
    return found


def finetuning(folder: Path, batch: int = 16, **start: str) -> tuple[Any, list[Any]]:
    """A parser of pixel-m4-tiny, or of another start, and batches of a treebank."""
    from pixel_m4.finetune.arguments import FinetuneArguments
    from pixel_m4.finetune.run import make_config, make_model
    from pixel_m4.model.answering import as_tensors
    from pixel_m4.tasks.parsing import Parsing
    from pixel_m4.training.start import make_renderer

    start = start or {"model_name_or_path": "pixel-m4-tiny"}
    arguments = FinetuneArguments(data_dir=str(folder), max_seq_length=256, dropout_prob=0.0, **start)
    config = make_config(arguments)
    task = Parsing(make_renderer(arguments))
    task.settle(config)
    items = task.encode(task.read(folder, "train"))
    model = make_model(task, arguments, config)
    drawn = random.Random(0)
    return model, [as_tensors(task.collate(drawn.sample(items, batch))) for _ in range(STEPS)]


def pretraining() -> tuple[Any, list[Any]]:
    """The model of configs/pretrain-tiny.yaml, and its batches."""
    from pixel_m4.corpus.corpora import TextStream
    from pixel_m4.corpus.pretraining import MaskedBlocks, Masking
    from pixel_m4.pretrain.arguments import parse_arguments
    from pixel_m4.pretrain.model import make_model
    from pixel_m4.pretrain.text import make_reader, make_sources, make_vocabulary
    from pixel_m4.training.start import make_renderer

    drawn = random.Random(0)
    letters = [chr(code) for first in (0x61, 0x410, 0x430, 0x3B1, 0x561) for code in range(first, first + 24)]
    lines = [" ".join("".join(drawn.choices(letters, k=6)) for _ in range(400)) for _ in range(300)]
    with TemporaryDirectory() as folder:
        (Path(folder) / "all.txt").write_text("\n".join(lines), "utf-8")
        config = ROOT / "configs" / "pretrain-tiny.yaml"
        command = ["--config", str(config), "--data_dir", folder, "--output_dir", folder]
        arguments, training = parse_arguments(command)
        renderer = make_renderer(arguments)
        sources = make_sources(arguments)
        vocabulary = make_vocabulary(arguments, make_reader(arguments, sources, renderer))
        stream = TextStream(
            sources, renderer, max_seq_length=arguments.max_seq_length, min_patches=23, seed=0
        )
        masking = Masking(kind="span", ratio=arguments.mask_ratio, max_span=arguments.max_span)
        collate = MaskedBlocks(renderer, ["all"], masking=masking, seed=0, vocabulary=vocabulary)
        blocks = iter(stream)
        size = training.per_device_train_batch_size
        batches = [collate([next(blocks) for _ in range(size)]) for _ in range(STEPS)]
    for batch in batches:
        del batch["language"]
    return make_model(arguments), batches


def optimizers(model: Any, muon: bool) -> dict[str, list[Any]]:
    """Old and new; with Muon, or with AdamW alone."""
    import torch

    from pixel_m4.training.optim import MuonWithAdamW, split_for_muon

    parameters = dict(model.named_parameters())
    matrices, others = ([parameters[name] for name in names] for names in split_for_muon(model))
    rate = RATES["learning_rate"]
    if not muon:
        both = [*matrices, *others]
        return {
            "old": [torch.optim.AdamW(both, lr=rate)],
            "new": [torch.optim.AdamW(both, lr=rate, fused=True)],
        }
    old = [
        torch.optim.Muon(matrices, lr=RATES["muon_learning_rate"], weight_decay=RATES["muon_weight_decay"]),
        torch.optim.AdamW(others, lr=rate),
    ]
    return {"old": old, "new": [MuonWithAdamW(matrices, [{"params": others}], **RATES, fused=True)]}


def check(model: Any, muon: bool) -> dict[str, float]:
    """The steps of both against torch's rule in float64: the largest distance, as a share of a matrix's step.

    Raises:
        AssertionError: the new one is not the same.
    """
    import torch

    from pixel_m4.training.optim import split_for_muon

    parameters = dict(model.named_parameters())
    start = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    steps: dict[str, dict[str, Any]] = {}
    rounded = torch.Tensor.bfloat16
    for way in ("exact", "old", "new"):
        if way == "exact":
            torch.Tensor.bfloat16 = torch.Tensor.double  # type: ignore[method-assign]
        try:
            for part in optimizers(model, muon)["new" if way == "new" else "old"]:
                part.step()
        finally:
            torch.Tensor.bfloat16 = rounded  # type: ignore[method-assign]
        steps[way] = {name: parameters[name].detach() - start[name] for name in parameters}
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(start[name])
    matrices = set(split_for_muon(model)[0])
    errors = {"old": 0.0, "new": 0.0}
    for name, exact in steps["exact"].items():
        for way in errors:
            error = float((steps[way][name] - exact).norm() / exact.norm().clamp(min=1e-12))
            if name in matrices and not error < 1:
                raise AssertionError(f"{name}: the {way} step is off by {error:.1e}")
            if name in matrices:
                errors[way] = max(errors[way], error)
            elif error > 1e-3:
                raise AssertionError(f"{name}: the {way} step is off by {error:.1e}")
    if errors["new"] > 1e-3:
        raise AssertionError(f"the new step is off by {errors['new']:.1e}")
    return errors


def measure(name: str, muon: bool, model: Any, batches: list[Any]) -> dict[str, Any]:
    """CPU seconds of the parts of a step."""
    import torch

    model.train()

    def passes(batch: Any) -> None:
        model.zero_grad()
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    (first,) = optimizers(model, muon)[
        "new"
    ]  # some heads begin with zeros, and the encoder without gradients
    for batch in batches[:3]:
        passes(batch)
        first.step()
    found: dict[str, Any] = {"name": name, "errors": check(model, muon), "passes": 0.0}
    for batch in batches:
        found["passes"] += best(lambda batch=batch: passes(batch), 2) / len(batches)
    for way, parts in optimizers(model, muon).items():
        found[way] = best(lambda parts=parts: [part.step() for part in parts], 3)
    return found


def child(base: bool) -> None:
    """Measure on the processor as it looks to this process."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    products = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(512, 512).to(dtype)
        products[str(dtype)[6:]] = best(lambda matrix=matrix: matrix @ matrix, 3)
    cases: list[tuple[str, bool, Callable[[], tuple[Any, list[Any]]]]] = [
        (
            "quickstart: AdamW, batches of 16",
            False,
            lambda: finetuning(TREEBANK, model_name_or_path="pixel-m4-ud"),
        ),
        ("fine-tuning pixel-m4-tiny, embedded treebank", True, lambda: finetuning(TREEBANK)),
        ("pretraining, configs/pretrain-tiny.yaml", True, pretraining),
    ]
    real = SHARED / "data" / "ud" / "UD_English-EWT"
    if real.is_dir():
        cases.insert(2, ("fine-tuning pixel-m4-tiny, UD_English-EWT", True, lambda: finetuning(real)))
    if base:
        cases.append(
            ("fine-tuning base, embedded treebank", True, lambda: finetuning(TREEBANK, config_name="base"))
        )
    rows = [measure(name, muon, *make()) for name, muon, make in cases]
    print(json.dumps({"products": products, "rows": rows}))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", action="store_true", help="also a model of size base (minutes)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.base)
        return
    rows = []
    for processor, variables in (("as it is", {}), ("AVX2, no bfloat16", HIDDEN)):
        command = [sys.executable, __file__, "--child", *(["--base"] if arguments.base else [])]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        ratio = found["products"]["bfloat16"] / found["products"]["float32"]
        print(f"{processor}: a product in bfloat16 takes {ratio:.2f} times as long as in float32")
        for row in found["rows"]:
            errors = ", ".join(f"{way} {error:.0e}" for way, error in row["errors"].items())
            print(f"  {row['name']}: distance of Muon's step from float64: {errors}")
            shares = {way: row[way] / (row[way] + row["passes"]) for way in ("old", "new")}
            times = [f"{1000 * row[way]:.0f} ms" for way in ("passes", "old", "new")]
            cells = [*times, *(f"{share:.0%}" for share in shares.values()), f"{row['old'] / row['new']:.1f}"]
            rows.append([row["name"], processor, *cells])
    print()
    header = (
        "step",
        "processor",
        "passes",
        "old",
        "new",
        "old share",
        f"new share (bar: {BAR:.0%})",
        "old / new",
    )
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for cells in rows:
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
