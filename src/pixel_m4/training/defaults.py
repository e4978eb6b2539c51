"""What training does by default on the device that it finds: options that make a GPU fast.

On the CPU nothing is chosen here. What is chosen is no more than a default: a recipe and the command line
win, one line says it at the start, and the record of a run holds it.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from pixel_m4.console.threads import processes_here, processors
from pixel_m4.training.settings import Settings

if TYPE_CHECKING:
    from transformers import TrainingArguments

# Processes that draw text for a GPU, at most: a guess that `make gpu` checks on the machine at hand.
PRETRAINING_WORKERS, FINETUNING_WORKERS = 8, 2

# What the options are on other devices.
_ELSEWHERE: Mapping[str, Any] = {
    "dataloader_num_workers": 0,
    "logging_nan_inf_filter": True,
    "bf16": False,
    "tf32": None,
    "torch_compile": False,
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Device:
    """What decides the defaults.

    Args:
        kind: As torch names it: cpu, cuda, mps …
        name: What people call it.
        capability: Of a CUDA device, its major and minor number.
        compiler: Whether torch.compile finds what it makes kernels with.
        sharded: Whether weights are divided among processes (FSDP).
        cores: Processor cores, for each process of this machine.
    """

    kind: str
    name: str = ""
    capability: tuple[int, int] = (0, 0)
    compiler: bool = False
    sharded: bool = False
    cores: int = 1

    @classmethod
    def found(cls) -> Device:
        """The device that torch trains on."""
        if not torch.cuda.is_available():
            found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
            return cls(kind="cpu" if found is None else found.type)
        number = int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count()
        return cls(
            kind="cuda",
            name=torch.cuda.get_device_name(number),
            capability=torch.cuda.get_device_capability(number),
            compiler=importlib.util.find_spec("triton") is not None,
            sharded=os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("1", "true"),
            cores=(processors() or os.cpu_count() or 1) // processes_here(),
        )


def defaults_on(device: Device, *, pretraining: bool) -> dict[str, Any]:
    """Options of a training on a device, where they differ from those on the CPU.

    bfloat16 and TF32 are from Ampere on (capability 8.0). Only pretraining is compiled: its batches have one
    shape, those of fine-tuning have many. Compiled models are not divided among processes by default, as
    nobody has tried the two together.

    Args:
        device: Its facts.
        pretraining: Or fine-tuning.

    Returns:
        By the name of the option; empty on other devices than NVIDIA's
    """
    if device.kind != "cuda":
        return {}
    recent = device.capability >= (8, 0)
    most = PRETRAINING_WORKERS if pretraining else FINETUNING_WORKERS
    chosen: dict[str, Any] = {
        "dataloader_num_workers": max(1, min(most, device.cores - 1)),
        "logging_nan_inf_filter": False,  # for which the host would wait in every step
    }
    if recent:
        chosen["bf16"] = True
        if torch.version.hip is None:  # transformers refuses it on AMD's
            chosen["tf32"] = True
    if pretraining and recent and device.compiler and not device.sharded:
        chosen["torch_compile"] = True
    return chosen


def settle_device(settings: Settings, device: Device, chosen: Mapping[str, Any]) -> None:
    """Take back what the user's own choices rule out, and tell the rest in one line.

    Args:
        settings: Their defaults hold what was chosen.
        device: What it was chosen for.
        chosen: See :func:`defaults_on`.
    """
    unsaid = {name: value for name, value in chosen.items() if not settings.given(name)}
    if settings["use_cpu"]:
        away = set(unsaid)
    elif settings["fp16"] or settings["fp16_full_eval"]:
        away = {"bf16"}
    else:
        away = set()
    for name in away & set(unsaid):
        settings.values[name] = _ELSEWHERE[name]
        del unsaid[name]
    if unsaid and os.environ.get("RANK", "0") == "0":
        said = " ".join(settings.said(name) for name in unsaid)
        logger.warning("on %s by default: %s (write an option to choose otherwise)", device.name, said)


def use_one_gpu(training: TrainingArguments) -> None:
    """Train on one GPU a process, and say so where a process sees several.

    The Trainer would copy the model to all of them in every step (``nn.DataParallel``), and not obey
    ``--bf16`` there.
    """
    if training.n_gpu > 1:
        logger.warning(
            "this process sees %d GPUs and trains on one; torchrun --nproc_per_node %d -m pixel_m4.cli … "
            "uses all", training.n_gpu, training.n_gpu,
        )  # fmt: skip
        training._n_gpu = 1


def settle_tf32(training: TrainingArguments) -> None:
    """Let float32 products be as ``--tf32`` says; accelerate turns it on where a model is compiled."""
    if training.tf32 is not None and training.device.type == "cuda":
        set_tf32(training.tf32)


def set_tf32(wanted: bool) -> None:
    """Turn TF32 on or off by both switches of torch, parts of which refuse to read one without the other."""
    if hasattr(torch.backends, "fp32_precision"):  # since torch 2.9
        torch.backends.fp32_precision = "tf32" if wanted else "ieee"
    torch.backends.cuda.matmul.allow_tf32 = wanted
