"""What a run leaves behind so that a reader can trust it: ``run.json``, whole metrics files, a model card."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import TrainingArguments

from pixel_m4 import __version__
from pixel_m4.files import replacing
from pixel_m4.render.fonts import sha256
from pixel_m4.tasks.base import Task

from .arguments import FinetuneArguments
from .data import data_files

RUN = "run.json"
METRICS = "all_results.json"
_PACKAGES = ("torch", "transformers", "accelerate", "numpy", "freetype-py", "uharfbuzz", "safetensors")
# What the hub calls tasks like these.
_PIPELINES = {
    "PixelForBiaffineParsing": "token-classification",
    "PixelForTokenClassification": "token-classification",
    "PixelForSequenceClassification": "text-classification",
    "PixelForQuestionAnswering": "question-answering",
}
_SHOWN = (
    "learning_rate", "lr_scheduler_type", "warmup_steps", "max_steps", "num_train_epochs",
    "per_device_train_batch_size", "gradient_accumulation_steps", "weight_decay", "bf16", "seed",
)  # fmt: skip


class RunRecord:
    """The file ``run.json`` of an output folder: written when a run begins, completed when it ends.

    A run that did not come to its end has no ``finished`` in it.

    Args:
        output_dir: the folder.
        content: what the file holds.
    """

    def __init__(self, output_dir: Path, content: dict[str, Any]) -> None:
        self.output_dir = output_dir
        self.content = content

    @classmethod
    def begin(
        cls, task: Task, arguments: FinetuneArguments, training: TrainingArguments, splits: Sequence[str]
    ) -> RunRecord:
        """Write down how a run was started; results of an earlier training in the folder go.

        Args:
            task: with its renderer, labels and options.
            arguments: of the run.
            training: of the run.
            splits: the splits that were read.

        Raises:
            OSError: the folder cannot be written.
        """
        output_dir = Path(training.output_dir)
        files = data_files(task, arguments, splits)
        content = {
            "finished": None,
            "started": _now(),
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "task": task.name,
            "task_options": asdict(task.options),
            "labels": task.labels,
            "arguments": asdict(arguments),
            "training": training.to_dict(),
            "data": {str(file): sha256(file) for file in files},
            "font": {task.renderer.font_file.name: sha256(task.renderer.font_file)},
            "versions": versions(),
            "code": checkout(),
            "machine": {
                "platform": platform.platform(),
                "device": _device(training),
                "threads": torch.get_num_threads(),
            },
        }
        record = cls(output_dir, content)
        if training.process_index == 0:
            output_dir.mkdir(parents=True, exist_ok=True)
            if training.do_train and not training.resume_from_checkpoint:
                for name in (METRICS, "train_results.json", "eval_results.json", "test_results.json"):
                    (output_dir / name).unlink(missing_ok=True)
            record._write()
        return record

    def finish(self, results: Mapping[str, float]) -> None:
        """Write down that the run came to its end, and with which results."""
        self.content |= {"finished": _now(), "results": dict(results)}
        self._write()

    def _write(self) -> None:
        write_json(self.output_dir / RUN, self.content)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with replacing(path) as scratch:
        text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
        scratch.write_text(text + "\n", encoding="utf-8")


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
            "ls-files", "--error-unmatch", "finetune.py"
        )  # or is this inside the checkout of someone else's project?
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _device(training: TrainingArguments) -> str:
    if training.device.type == "cuda":
        return f"{training.world_size} × {torch.cuda.get_device_name(training.device)}"
    return str(training.device)


def _now() -> str:
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


def languages(task: Task, files: Sequence[Path]) -> list[str]:
    """Codes of the languages of the data, as its names tell: ``ta_ttb-ud-train.conllu``, ``hin_Deva``."""
    option = getattr(task.options, "language", None)
    names = [option] if option else [file.name for file in files]
    codes = {
        match[1]
        for name in names
        if (match := re.match(r"([a-z]{2,3})(_[a-z]+-ud-|_[A-Z][a-z]{3}$|$)", name))
    }
    return sorted(codes)


def write_card(
    output_dir: Path,
    task: Task,
    arguments: FinetuneArguments,
    training: TrainingArguments,
    results: Mapping[str, float],
    files: Sequence[Path],
) -> None:
    """Write ``README.md``, the card of a model: data, scores beside the baseline, recipe, how to load it.

    Args:
        output_dir: folder of the model.
        task: what it was trained for.
        arguments: of the run.
        training: of the run.
        results: what ``all_results.json`` holds.
        files: of the data.
    """
    source = arguments.data_dir or arguments.data_file or "."
    data = getattr(task.options, "dataset_name", None) or Path(source).resolve().name
    found = languages(task, files)
    pipeline = _PIPELINES[task.model_class.__name__]
    scores = _scores(results)
    header = ModelCardData(
        language=found or None,
        library_name="transformers",
        pipeline_tag=pipeline,
        base_model=_on_hub(arguments.model_name_or_path),
        tags=["pixel-m4", "pixel", task.name],
        model_name=output_dir.resolve().name,
        eval_results=[
            EvalResult(
                task_type=pipeline,
                task_name=task.name,
                dataset_type=data,
                dataset_name=data,
                dataset_split=split,
                metric_type=name,
                metric_value=round(value, 4),
            )
            for name, row in scores.items()
            for split, value in (("dev", row[0]), ("test", row[2]))
            if value is not None
        ]
        or None,
    )
    table = "\n".join(
        f"| {name} | " + " | ".join("–" if value is None else f"{value:.2f}" for value in row) + " |"
        for name, row in scores.items()
    )
    settings = training.to_dict()
    without = "num_train_epochs" if training.max_steps > 0 else "max_steps"
    recipe = "\n".join(
        [f"- {name}: {settings[name]}" for name in _SHOWN if name != without]
        + [f"- dropout_prob: {arguments.dropout_prob}", f"- steps done: {results.get('train_steps', '–')}"]
        + [f"- {name}: {value}" for name, value in asdict(task.options).items() if value is not None]
    )
    renderer = task.renderer
    side = renderer.pixels_per_patch
    start = _on_hub(arguments.model_name_or_path) or f"random weights ({arguments.config_name})"
    if arguments.model_name_or_path and Path(arguments.model_name_or_path).exists():
        start = f"the checkpoint {Path(arguments.model_name_or_path).resolve().name}"
    body = f"""
# {output_dir.resolve().name}

A pixel language model, which reads text as pictures of text, fine-tuned for **{task.name}** on {data}
({", ".join(found) or "languages not named in the data"}), from {start}.

## Scores

| score | dev | dev, baseline | test | test, baseline |
|---|---|---|---|---|
{table}

The best checkpoint was chosen on dev. Checksums of the data, versions, the commit and all arguments are in
`{RUN}`; predictions lie beside it.

## Use

```python
from pixel_m4.inference import open_task

task, model = open_task("PATH/TO/THIS/FOLDER")
```

or `pixel-m4 predict PATH/TO/THIS/FOLDER text.txt`, and `pixel-m4 evaluate` to score it on other data.

## Training

{recipe}

## Rendering

- font: {renderer.font_file.name}, {renderer.font_size:g} points at {renderer.dpi:g} dpi
- strategy: {renderer.strategy}, {"colour" if renderer.rgb else "grey"}
- max_seq_length: {renderer.max_seq_length} patches of {side} × {side}

## Licence

Not chosen yet: add `license: …` to the header. The licences of the data and of the model that training
started from bind this one too.
"""
    with replacing(output_dir / "README.md") as scratch:
        scratch.write_text(str(ModelCard(f"---\n{header.to_yaml()}\n---\n{body}")), encoding="utf-8")


def _scores(results: Mapping[str, float]) -> dict[str, tuple[float | None, ...]]:
    """By score: dev, its baseline, test, its baseline."""
    other = ("loss", "runtime", "per_second", "model_preparation_time")
    names = dict.fromkeys(
        match[1]
        for key in results
        if (match := re.fullmatch(r"(?:eval|test)_(?:baseline_)?(.+)", key)) and not key.endswith(other)
    )
    columns = ("eval_", "eval_baseline_", "test_", "test_baseline_")
    return {name: tuple(results.get(column + name) for column in columns) for name in names}


def _on_hub(name: str | None) -> str | None:
    """A name that the hub can know: no folder here."""
    return name if name and re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).exists() else None
