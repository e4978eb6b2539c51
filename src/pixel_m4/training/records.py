"""What a run leaves behind so that a reader can trust it: ``run.json``, whole metrics files, a model card."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from pixel_m4.console.redact import redact
from pixel_m4.files import replacing
from pixel_m4.version import __version__

RUN = "run.json"
METRICS = "all_results.json"
SETTINGS = "settings.json"  # of a pretraining
_PACKAGES = ("torch", "transformers", "accelerate", "numpy", "freetype-py", "uharfbuzz", "safetensors")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with replacing(path) as scratch:
        text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
        scratch.write_text(text + "\n", encoding="utf-8")


def surroundings(training: TrainingArguments) -> dict[str, Any]:
    """What a run depends on beside its arguments: versions, the code's commit, the machine."""
    return {
        "versions": versions(),
        "code": checkout(),
        "machine": {
            "platform": platform.platform(),
            "device": _device(training),
            "threads": torch.get_num_threads(),
        },
    }


def muon_rate(arguments: Any, training: TrainingArguments) -> float | None:
    """Muon's rate if it trains the matrices of the layers, of fine-tuning and of pretraining."""
    if hasattr(training, "muon"):
        return training.muon_learning_rate if training.muon else None
    return arguments.muon_learning_rate


def optimizer_of(arguments: Any, training: TrainingArguments) -> str:
    """The optimizers of a run and their rates, as a part of a sentence."""
    optim = str(getattr(training.optim, "value", training.optim))
    rate = muon_rate(arguments, training)
    if rate is None:
        return f"{optim}, learning rate {training.learning_rate:g}"
    return (
        f"Muon for the matrices of the layers, learning rate {rate:g}; AdamW for everything else, "
        f"learning rate {training.learning_rate:g}"
    )


def settings_of(arguments: Any, training: TrainingArguments) -> dict[str, Any]:
    """The Trainer's arguments as they were used, without secrets."""
    settings = redact(training.to_dict())
    if muon_rate(arguments, training) is not None:  # not the Trainer's own choice
        settings["optim"] = "muon"
        settings["muon_learning_rate"] = muon_rate(arguments, training)
    return settings


def true_rates(metrics: Mapping[str, float], samples: float) -> dict[str, float]:
    """Training metrics whose samples a second are those that there were.

    The Trainer counts every batch as full.

    Args:
        metrics: of the Trainer.
        samples: that this process group has trained on since it began.
    """
    runtime = metrics.get("train_runtime", 0.0)
    if not runtime:
        return dict(metrics)
    return {**metrics, "train_samples_per_second": round(samples / runtime, 3)}


def save_metrics(output_dir: Path, split: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Write ``{split}_results.json`` and add to ``all_results.json``; return what that holds then."""
    path = output_dir / METRICS
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    merged = {**earlier, **metrics}
    write_json(output_dir / f"{split}_results.json", dict(sorted(metrics.items())))
    write_json(path, dict(sorted(merged.items())))
    return merged


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of those that results depend on."""
    found = {"python": platform.python_version(), "pixel-m4": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # built into the environment in another way
            found[name] = "unknown"
    return found


def checkout() -> dict[str, Any] | None:
    """Commit of the checkout that this code runs from, and whether its files differ; None if installed."""

    def git(*command: str) -> str:
        folder = Path(__file__).parent
        done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", Path(__file__).name
        )  # or is this inside the checkout of someone else's project?
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _device(training: TrainingArguments) -> str:
    if training.device.type == "cuda":
        return f"{training.world_size} × {torch.cuda.get_device_name(training.device)}"
    return str(training.device)


def now() -> str:
    """The time, in UTC, as records have it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@contextmanager
def tensorboard_folder(folder: Path) -> Iterator[None]:
    """Where the Trainer's TensorBoard log goes, unless the user has said so in the environment."""
    name = "TENSORBOARD_LOGGING_DIR"
    if name in os.environ:
        yield
        return
    os.environ[name] = str(folder)
    try:
        yield
    finally:
        del os.environ[name]
