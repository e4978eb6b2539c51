"""How fast a device trains and predicts, beside the published way in the same run. See `gpu.py`.

The published way pads to a fixed length, attends eagerly, computes in float16 (autocast with a scaler of the
loss) and reads float pixels in three channels. Only real patches count, in both ways.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bench_model import published
from gpu_data import (
    Batch,
    Place,
    corpus,
    half,
    in_parts,
    memory,
    model_of,
    moved,
    seconds,
    sentences,
    without_tf32,
)
from pixel_m4 import PixelConfig, PixelForBiaffineParsing, PixelForPreTraining, TextRenderer
from pixel_m4.corpus.corpora import TextStream, local_sources
from pixel_m4.corpus.pretraining import MaskedBlocks, Masking
from pixel_m4.formats.conllu import Sentence
from pixel_m4.model.answering import as_tensors
from pixel_m4.model.flops import training_flops
from pixel_m4.predict.annotator import Annotator
from pixel_m4.tasks.parsing import Parsed, Parsing


@dataclass(frozen=True, kw_only=True)
class Row:
    """A measure.

    Args:
        name: Of what.
        rate: How many a second.
        unit: Of what.
        published: The rate of the published way.
        peak_share: Useful arithmetic, of the peak.
        memory_gb: Peak memory of the device.
        published_memory_gb: That of the published way.
        taken: How many a second the fastest training of the same run takes.
    """

    name: str
    rate: float
    unit: str
    published: float | None = None
    peak_share: float | None = None
    memory_gb: float | None = None
    published_memory_gb: float | None = None
    taken: float | None = None


def stepper(
    model: nn.Module, batches: Sequence[Batch], place: Place, dtype: torch.dtype
) -> Callable[[], None]:
    """A pass over batches that lie on the CPU: copies, forward, backward, AdamW."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
    scaler = torch.amp.GradScaler(place.device.type, enabled=dtype == torch.float16)
    if place.cuda:
        batches = [
            {key: value.pin_memory() if isinstance(value, Tensor) else value for key, value in b.items()}
            for b in batches
        ]

    def run() -> None:
        for batch in batches:
            on_device = {
                key: value.to(place.device, non_blocking=True) if isinstance(value, Tensor) else value
                for key, value in batch.items()
            }
            with half(place, dtype):
                loss = model(**on_device).loss
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()

    return run


def in_colour(batch: Batch) -> Batch:
    """The same batch with float pixels in three channels."""
    pixels = batch["pixel_values"][:, None].expand(-1, 3, -1, -1) / 255
    return {**batch, "pixel_values": pixels.contiguous()}


def blocks(place: Place, workers: int | None = None) -> DataLoader | Batch:
    """A batch of pretraining; with workers the loader of such batches."""
    renderer = TextRenderer(max_seq_length=place.pick(529, 64))
    stream = TextStream(local_sources(corpus(place)), renderer)
    collate = MaskedBlocks(renderer, ["mixed"], masking=Masking())
    size = place.pick(32, 4)
    if workers is None:
        batch = collate(list(islice(stream, size)))
        del batch["language"]
        return batch
    return DataLoader(stream, size, collate_fn=collate, num_workers=workers, pin_memory=place.cuda)


def pretraining_rate(
    place: Place, size: str, batch: Batch, *, dropout: float, compiled: bool = False, eager: bool = False
) -> tuple[float, float | None]:
    """Real patches a second and memory of training steps; `eager` is the published way."""
    options = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    torch.compiler.reset()
    torch.manual_seed(0)
    length = batch["attention_mask"].shape[1]
    model = PixelForPreTraining(PixelConfig.named(size, max_seq_length=length, **options))
    model.set_attn_implementation("eager" if eager else "sdpa")
    model.train().to(place.device)
    called = torch.compile(model, backend=place.pick("inductor", "eager")) if compiled else model
    with memory(place) as peak:
        dtype = torch.float16 if eager else torch.bfloat16
        run = stepper(called, [in_colour(batch) if eager else batch], place, dtype)
        took = seconds(run, place, place.pick(20, 1), place.pick(5, 1))
        return int(batch["attention_mask"].sum()) / took, peak()


def pretraining(place: Place, earlier: Sequence[Row]) -> list[Row]:
    """Steps of pretraining, `small`, with the recipe's dropout, without, and not compiled."""
    return pretraining_rows(place, place.pick("small", "nano"))


def pretraining_base(place: Place, earlier: Sequence[Row]) -> list[Row]:
    """The same of `base`, for which small cards have not the memory."""
    return [] if place.quick else pretraining_rows(place, "base")


def pretraining_rows(place: Place, size: str) -> list[Row]:
    """Steps of pretraining of one size."""
    batch = blocks(place)
    assert isinstance(batch, dict)
    real = batch["attention_mask"].sum(1).tolist()
    rows = []
    theirs, their_memory = pretraining_rate(place, size, batch, dropout=0.1, eager=True)
    config = PixelConfig.named(size, max_seq_length=batch["attention_mask"].shape[1])
    flops = sum(training_flops(config, PixelForPreTraining, n).total for n in real) / sum(real)
    for name, dropout, compiled in (
        ("compiled", 0.1, True),
        ("compiled, no dropout", 0.0, True),
        ("not compiled", 0.1, False),
    ):
        rate, used = pretraining_rate(place, size, batch, dropout=dropout, compiled=compiled)
        rows.append(
            Row(
                name=f"pretraining, {size}, {name}",
                rate=rate,
                unit="patches",
                published=theirs,
                peak_share=rate * flops / place.peak if place.peak else None,
                memory_gb=used,
                published_memory_gb=their_memory,
            )
        )
    torch.compiler.reset()
    return rows


def parsing(place: Place, earlier: Sequence[Row]) -> list[Row]:
    """Fine-tuning of a parser on sentences in their order, with the recipe's dropout."""
    task, some = sentences(place.pick(1024, 16))
    ours = [as_tensors(task.collate(part)) for part in in_parts(task.encode(some), place.pick(64, 8))]
    rows = []
    for size in place.pick(("small", "base"), ("nano",)):
        rates, used = [], []
        for eager, batches, dtype in (
            (False, ours, torch.bfloat16),
            (True, [published(batch) for batch in ours], torch.float16),
        ):
            dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
            model = model_of("parsing", size, num_word_layers=0, **dropout)
            model.set_attn_implementation("eager" if eager else "sdpa")
            with memory(place) as peak:
                run = stepper(model.train().to(place.device), batches, place, dtype)
                rates.append(len(some) / seconds(run, place, place.pick(3, 1), 1))
                used.append(peak())
        rows.append(
            Row(
                name=f"fine-tuning of a parser, {size}",
                rate=rates[0],
                unit="sentences",
                published=rates[1],
                memory_gb=used[0],
                published_memory_gb=used[1],
            )
        )
    return rows


def predicting(place: Place, earlier: Sequence[Row]) -> list[Row]:
    """Parsing by `predict`, in float32 as by default and in bfloat16."""
    task, some = sentences(place.pick(2048, 16))
    rows = []
    for size in place.pick(("small", "base"), ("nano",)):
        model = model_of("parsing", size, num_word_layers=0).to(place.device).eval()

        def theirs(model: nn.Module = model) -> list[Parsed]:
            with half(place, torch.float16):
                return list(chain.from_iterable(padded(task, model, p, place) for p in in_parts(some, 32)))

        model.set_attn_implementation("eager")
        rate = len(some) / seconds(theirs, place, 1, 1)
        model.set_attn_implementation("sdpa")
        for bf16 in (False, True):
            annotator = Annotator(task, model, batch_size=place.pick(128, 8), bf16=bf16)
            without_tf32(place)
            took = seconds(lambda annotator=annotator: list(annotator.annotate(some)), place, 1, 1)
            name = f"predict, parsing, {size}, {'bfloat16' if bf16 else 'float32'}"
            rows.append(Row(name=name, rate=len(some) / took, unit="sentences", published=rate))
    return rows


@torch.inference_mode()
def padded(
    task: Parsing, model: PixelForBiaffineParsing, part: Sequence[Sentence], place: Place
) -> list[Parsed]:
    """A batch in the published way."""
    items = task.encode(part, labels=False)
    batch = moved(published(as_tensors(task.collate(items))), place.device)
    return task.predict(part, items, task.decode(model(**batch), items))


def loading(place: Place, earlier: Sequence[Row]) -> list[Row]:
    """Text to batches of pretraining in loading processes, and what the fastest pretraining takes."""
    taken = max((row.rate for row in earlier if row.name.startswith("pretraining")), default=None)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    rows = []
    for workers in place.pick([n for n in (1, 2, 4, 8, 16) if n <= cores], (1,)):
        loader = iter(blocks(place, workers))
        for _ in range(2 * workers + 2):  # what was fetched ahead
            next(loader)
        start, patches = time.perf_counter(), 0
        for batch in islice(loader, place.pick(100, 4)):
            patches += int(batch["attention_mask"].sum())
        rate = patches / (time.perf_counter() - start)
        name = f"text for pretraining, {workers} workers"
        rows.append(Row(name=name, rate=rate, unit="patches", taken=taken))
        del loader
    return rows


MEASURES = (pretraining, pretraining_base, parsing, predicting, loading)
