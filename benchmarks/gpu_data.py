"""What `gpu.py` checks and measures with: text and batches of the shipped treebank, models, clocks."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixel_m4 import (
    PixelConfig,
    PixelForBiaffineParsing,
    PixelForPreTraining,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
    PixelModel,
    TextRenderer,
)
from pixel_m4.formats.conllu import Sentence
from pixel_m4.model.answering import as_tensors
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.training.defaults import set_tf32
from pixel_m4.training.throughput import synchronize

Batch = dict[str, Any]
TREEBANK = Path(str(files("pixel_m4") / "assets" / "treebank"))
HEADS: dict[str, tuple[type, dict[str, Any]]] = {
    "encoder": (PixelModel, {}),
    "rotary encoder": (PixelModel, {"position_embedding_type": "rotary"}),
    "pretraining": (PixelForPreTraining, {}),
    "tagging": (PixelForTokenClassification, {"num_labels": 5}),
    "parsing": (PixelForBiaffineParsing, {"num_labels": 38, "num_word_layers": 1}),
    "classification": (PixelForSequenceClassification, {"num_labels": 5}),
    "answers": (PixelForQuestionAnswering, {"padding_competes": False}),
}
# Dense bfloat16 operations a second, by data sheets; of the names whose words a card has, the longest counts.
PEAKS = {
    "A100": 312e12,
    "H100": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H200": 989e12,
    "B200": 2250e12,
    "L4": 121e12,
    "L40S": 362e12,
    "RTX 4090": 165.2e12,
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and how large.

    Args:
        device: What is checked.
        quick: Toy sizes, to try the script itself.
        scratch: A folder for runs.
        peak: Operations a second to compare with; None: of the table, else measured.
    """

    device: torch.device
    quick: bool
    scratch: Path
    peak: float | None = None

    @property
    def cuda(self) -> bool:
        """Whether it is a GPU of NVIDIA's."""
        return self.device.type == "cuda"

    @property
    def size(self) -> str:
        """The model of checks."""
        return "nano" if self.quick else "tiny"

    def pick(self, full: Any, toy: Any) -> Any:
        """One of two, by the size."""
        return toy if self.quick else full


def peak_of(name: str) -> float | None:
    """Operations a second by a card's name, None if it is not in the table."""
    words = name.replace("-", " ").split()
    known = [card for card in PEAKS if set(card.split()) <= set(words)]
    return PEAKS[max(known, key=len)] if known else None


def text_of_treebank() -> list[str]:
    """The sentences of the shipped treebank as text."""
    lines = gzip.decompress((TREEBANK / "train.conllu.gz").read_bytes()).decode().splitlines()
    return [line.partition("=")[2].strip() for line in lines if line.startswith("# text =")]


def corpus(place: Place) -> Path:
    """A folder of text for pretraining, written once."""
    folder = place.scratch / "corpus"
    if not folder.is_dir():
        folder.mkdir()
        text = text_of_treebank()
        documents = [" ".join(text[start : start + 8]) for start in range(0, len(text), 8)]
        (folder / "mixed.txt").write_text("\n".join(documents) + "\n", encoding="utf-8")
    return folder


@cache
def treebank() -> tuple[Parsing, list[Sentence]]:
    """A task and the sentences that fit on a canvas of 256 patches."""
    task = Parsing(TextRenderer(max_seq_length=256))
    return task, [s for s in task.read(TREEBANK, "train") if sum(task.renderer.measure(s.words)) < 255]


def sentences(count: int) -> tuple[Parsing, list[Sentence]]:
    """A task and as many sentences as asked for, the same again if there are fewer."""
    task, found = treebank()
    return task, [found[number % len(found)] for number in range(count)]


def model_of(name: str, size: str, **more: Any) -> torch.nn.Module:
    """A model with random weights that all matter, without dropout."""
    kind, options = HEADS[name]
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    model = kind(PixelConfig.named(size, max_seq_length=256, **{**without, **options, **more}))
    for key, parameter in model.named_parameters():
        if "biaffine" in key:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def batch_of(name: str, count: int) -> Batch:
    """A batch of sentences on the CPU, with targets of a head."""
    task, some = sentences(count)
    batch = as_tensors(task.collate(task.encode(some)))
    batch = {key: value for key, value in batch.items() if key != "tag_labels"}
    mask = batch["attention_mask"]
    inputs = {"pixel_values": batch["pixel_values"], "attention_mask": mask}
    if name == "pretraining":
        patches = mask.shape[1]
        hidden = torch.rand(mask.shape, generator=torch.Generator().manual_seed(0)).argsort(1) < patches // 4
        return {**inputs, "patch_mask": hidden, "mask_ratio": (patches // 4 - 0.5) / patches}
    if name == "tagging":
        return {**inputs, "labels": torch.where(mask == 1, 2, -100)}
    if name == "parsing":
        return batch
    if name == "classification":
        return {**inputs, "labels": torch.arange(count) % 5}
    if name == "answers":
        return {**inputs, "start_positions": torch.ones(count).long(), "end_positions": mask.sum(1) - 1}
    return inputs


def moved(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device."""
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}


def loss_of(model: torch.nn.Module, batch: Batch) -> Tensor:
    """The loss; of an encoder the mean square of its states on text along one direction.

    Along all of them it would be a constant, as the states are normed.
    """
    outputs = model(**batch)
    if outputs.get("loss") is not None:
        return outputs.loss
    seen = torch.nn.functional.pad(batch["attention_mask"], (1, 0), value=1)[..., None]
    states = outputs.last_hidden_state.float()
    direction = torch.randn(states.shape[-1], 1, generator=torch.Generator().manual_seed(2)).to(states.device)
    return (states @ direction * seen).square().sum() / seen.sum()


def gradients(model: torch.nn.Module, batch: Batch, bf16: bool = False) -> tuple[Tensor, Tensor]:
    """The loss and all gradients in a row, both on the CPU in float32; computed in bfloat16 if asked."""
    model.zero_grad()
    torch.manual_seed(1)
    with torch.autocast(batch["pixel_values"].device.type, torch.bfloat16, enabled=bf16):
        loss = loss_of(model, batch)
    loss.backward()
    found = [p.grad.float().flatten().cpu() for p in model.parameters() if p.grad is not None]
    return loss.detach().float().cpu(), torch.cat(found)


def logits_of(model: torch.nn.Module, batch: Batch) -> Tensor:
    """All that a model says of a batch without padding, in a row, on the CPU in float32."""
    with torch.inference_mode():
        outputs = model(**{key: value for key, value in batch.items() if "labels" not in key})
    found = [value for value in outputs.to_tuple() if isinstance(value, Tensor)]
    return torch.cat([value.float().flatten().cpu() for value in found])


def off(found: Tensor, expected: Tensor) -> float:
    """How far numbers are off, relative to their size."""
    return float((found - expected).norm() / expected.norm().clamp(min=1e-12))


def without_tf32(place: Place) -> None:
    """From here on float32 products are exact; a training may have chosen otherwise."""
    if place.cuda:
        set_tf32(False)
        assert torch.backends.cuda.matmul.fp32_precision == "ieee", "TF32 is still on"


def half(place: Place, dtype: torch.dtype = torch.bfloat16) -> torch.autocast:
    """Autocast on the device."""
    return torch.autocast(place.device.type, dtype)


def seconds(function: Callable[[], object], place: Place, repeat: int, warm: int = 2) -> float:
    """Mean wall time of a call, after some that warm up."""
    for _ in range(warm):
        function()
    synchronize(place.device)
    start = time.perf_counter()
    for _ in range(repeat):
        function()
    synchronize(place.device)
    return (time.perf_counter() - start) / repeat


@contextmanager
def memory(place: Place) -> Iterator[Callable[[], float | None]]:
    """Peak memory of the device meanwhile, in GB; None on the CPU."""
    if place.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(place.device)
    yield lambda: torch.cuda.max_memory_allocated(place.device) / 1e9 if place.cuda else None


def in_parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Batches of items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
