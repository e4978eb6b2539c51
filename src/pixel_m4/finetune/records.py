"""What a fine-tuning run leaves: its record, and the card of the model."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers import TrainerState, TrainingArguments

from pixel_m4.console.redact import redact, redact_command, redact_text, remember_fields
from pixel_m4.files import replacing
from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.finetune.data import data_files
from pixel_m4.render import TextRenderer
from pixel_m4.render.fonts import sha256
from pixel_m4.shipped import is_hub_name
from pixel_m4.subwords.tokenizer import SubwordTokenizer
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.splits import only_file
from pixel_m4.tasks.text_input import TextInput
from pixel_m4.training.records import RUN, checkout, now, optimizer_of, settings_of, surroundings, write_json
from pixel_m4.training.start import start_of, weights_of

# What the hub calls tasks like these.
_PIPELINES = {
    "PixelForBiaffineParsing": "token-classification",
    "PixelForTokenClassification": "token-classification",
    "PixelForSequenceClassification": "text-classification",
    "PixelForQuestionAnswering": "question-answering",
}


_SHOWN = (
    "lr_scheduler_type", "warmup_steps", "max_steps", "num_train_epochs", "per_device_train_batch_size",
    "gradient_accumulation_steps", "weight_decay", "max_grad_norm", "label_smoothing_factor",
    "train_sampling_strategy", "bf16", "fp16", "seed",
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
    def of(
        cls, task: Task, arguments: FinetuneArguments, training: TrainingArguments, splits: Sequence[str]
    ) -> RunRecord:
        """How a run is started; nothing is written yet.

        Args:
            task: with its renderer, labels and options.
            arguments: of the run.
            training: of the run.
            splits: the splits that were read.
        """
        output_dir = Path(training.output_dir)
        remember_fields(training)
        files = data_files(task, arguments, splits)
        content = {
            "finished": None,
            "started": now(),
            "command": redact_command([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "task": task.name,
            "start": start_of(arguments),
            "optimizer": optimizer_of(arguments, training) if training.do_train else None,
            "task_options": redact(asdict(task.options)),
            "labels": task.labels,
            "arguments": redact(asdict(arguments)),
            "training": settings_of(arguments, training),
            "data": {str(file): sha256(file) for file in files},
            "weights": weights_of(arguments),
            "processes": training.world_size,
            **_reading(task.renderer),
            **surroundings(training),
        }
        return cls(output_dir, content)

    def begin(self, output_dir: Path | None = None) -> None:
        """Write down how a run was started; the main process does.

        Args:
            output_dir: where, if not in the output folder of the arguments.

        Raises:
            OSError: the folder cannot be written.
        """
        self.output_dir = output_dir or self.output_dir
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self._write()

    def finish(self, results: Mapping[str, float], state: TrainerState | None = None) -> None:
        """Write down that the run came to its end, with which results, and which checkpoint was kept.

        Args:
            results: what ``all_results.json`` holds.
            state: the Trainer's, after training.
        """
        self.content |= {"finished": now(), "results": dict(results)}
        if state is not None and state.global_step:
            best = state.best_global_step if state.best_model_checkpoint else None
            self.content["kept"] = {
                "step": best or state.global_step,
                "best_metric": best and state.best_metric,
            }
        self._write()

    def _write(self) -> None:
        write_json(self.output_dir / RUN, self.content)


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
    state: TrainerState | None = None,
    *,
    hub_name: str | None = None,
) -> None:
    """Write ``README.md``, the card of a model: data, scores beside the baseline, recipe, how to load it.

    Args:
        output_dir: folder of the model.
        task: what it was trained for.
        arguments: of the run.
        training: of the run.
        results: what ``all_results.json`` holds.
        files: of the data.
        state: the Trainer's, after training: how many steps there were and which checkpoint was kept.
        hub_name: of the repository that the model is uploaded to.
    """
    source = arguments.data_dir or arguments.data_file or next(iter(arguments.split_files.values()), ".")
    data = getattr(task.options, "dataset_name", None) or Path(source).resolve().name
    found = languages(task, files)
    scores = _scores(results)
    name = (hub_name or output_dir.resolve().name).rpartition("/")[2]
    place = hub_name or "PATH/TO/THIS/FOLDER"
    base = arguments.model_name_or_path
    pixels = isinstance(task.renderer, TextRenderer)
    kind = (
        "pixel language model, which reads text as pictures of text" if pixels else "text model of sub-words"
    )
    header = ModelCardData(
        language=found or None,
        library_name="pixel-m4",
        pipeline_tag=_PIPELINES[task.model_class.__name__],
        datasets=_hub_datasets(task),
        base_model=base.partition("@")[0] if base and is_hub_name(base) else None,
        tags=["pixel-m4", *(["pixel"] if pixels else []), task.name],
        model_name=name,
        eval_results=_evaluation_results(task, data, scores) or None,
    )
    text = "questions.jsonl" if task.name == "qa" else "text.txt"
    body = f"""
# {name}

A {kind}, fine-tuned for **{task.name}** on {data}
({", ".join(found) or "languages not named in the data"}), from {start_of(arguments)}.

## Scores

{_score_table(scores)}

{_kept(training, state)} {_splits(task, arguments)}

{_left_behind(training, files, uploaded=hub_name is not None)}

## Use

```python
import pixel_m4

model = pixel_m4.load("{place}")
model.predict([…])  # a list of texts; model.stream(file) and model.evaluate(file) take files
```

or `pixel-m4 predict {place} {text}`, and `pixel-m4 evaluate` to score it on other data.

## Training

{_recipe(task, arguments, training, results, state)}

{_input(task.renderer)}

## Licence

Not chosen yet: add `license: …` to the header. The licences of the data and of the model that training
started from bind this one too.
"""
    with replacing(output_dir / "README.md") as scratch:
        card = redact_text(str(ModelCard(f"---\n{header.to_yaml()}\n---\n{body}")))
        scratch.write_text(card, encoding="utf-8")


def _hub_datasets(task: Task) -> list[str] | None:
    """The data set of the hub that was read; files of this machine may be any version of one."""
    name = getattr(task.options, "dataset_name", None)
    return [name] if name and not Path(name).exists() else None


def _reading(reader: TextInput) -> dict[str, Any]:
    """Digests of what turns text into the model's input: fonts, or a tokenizer."""
    if isinstance(reader, TextRenderer):
        return {"font": {font.path.name: font.sha256 for font in reader.fonts}}
    assert isinstance(reader, SubwordTokenizer)
    return {"tokenizer": reader.digest}


def _input(reader: TextInput) -> str:
    """What text must be drawn with, or cut into sub-words with, as a section of the card."""
    if isinstance(reader, TextRenderer):
        side = reader.pixels_per_patch
        fonts = ", then ".join(font.path.name for font in reader.fonts)
        return f"""## Rendering

- font: {fonts}, {reader.font_size:g} points at {reader.dpi:g} dpi
- strategy: {reader.strategy}, {"colour" if reader.rgb else "grey"}
- max_seq_length: {reader.max_seq_length} patches of {side} × {side}"""
    assert isinstance(reader, SubwordTokenizer)
    return f"""## Sub-words

- tokenizer: {type(reader.tokenizer).__name__} with {reader.size:,} sub-words
- max_seq_length: {reader.max_seq_length} sub-words, those counted that the tokenizer adds"""


def _evaluation_results(
    task: Task, data: str, scores: Mapping[str, Sequence[float | None]]
) -> list[EvalResult]:
    """The scores as the hub shows them."""
    return [
        EvalResult(
            task_type=_PIPELINES[task.model_class.__name__],
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


def show_scores(console: Console, results: Mapping[str, float], output_dir: Path) -> None:
    """Print the scores on dev and test beside their baselines, and where everything is."""
    scores = _scores(results)
    table = Table(box=None, pad_edge=False)
    table.add_column("score")
    for column in ("dev", "dev, baseline", "test", "test, baseline"):
        table.add_column(column, justify="right")
    for name, row in scores.items():
        table.add_row(Text(name), *("–" if value is None else f"{value:.2f}" for value in row))
    if scores:
        console.print(table)
    console.print(f"model, scores and predictions: {output_dir}", soft_wrap=True)


def _score_table(scores: Mapping[str, Sequence[float | None]]) -> str:
    if not scores:
        return "None: the model was evaluated neither on dev nor on test."
    rows = [
        f"| {name} | " + " | ".join("–" if value is None else f"{value:.2f}" for value in row) + " |"
        for name, row in scores.items()
    ]
    return "\n".join(
        ["| score | dev | dev, baseline | test | test, baseline |", "|---|---|---|---|---|", *rows]
    )


def _kept(training: TrainingArguments, state: TrainerState | None) -> str:
    """Which checkpoint this is, and how it was chosen."""
    if state is None or not state.global_step:
        return "Which checkpoint was kept is not known."
    if training.load_best_model_at_end and state.best_model_checkpoint:
        metric = (training.metric_for_best_model or "loss").removeprefix("eval_")
        better = "highest" if training.greater_is_better else "lowest"
        return (
            f"The weights are those of step {state.best_global_step} of {state.global_step}: the {better} "
            f"{metric} on dev, {state.best_metric:.4g}, of {_evaluations(state)} evaluations."
        )
    return f"The weights are those of the last step, {state.global_step}; no checkpoint was chosen on dev."


def _evaluations(state: TrainerState) -> int:
    """Evaluations in the course of training."""
    return sum(any(key.startswith("eval_") for key in entry) for entry in state.log_history)


def _splits(task: Task, arguments: FinetuneArguments) -> str:
    """How splits were made, where the data has none."""
    folder = Path(arguments.data_dir or ".")
    single = arguments.data_file is not None or (
        arguments.data_dir is not None and folder.is_dir() and only_file(folder, task.files) is not None
    )
    if single:
        return (
            f"The splits are parts of one file: {arguments.dev_share:g} of it is dev and "
            f"{arguments.test_share:g} test, drawn with split_seed {arguments.split_seed}."
        )
    if arguments.dev_from_train:
        return (
            f"If the data has no dev split, {arguments.dev_from_train:g} of train is it, drawn with "
            f"split_seed {arguments.split_seed}."
        )
    return ""


def _left_behind(training: TrainingArguments, files: Sequence[Path], *, uploaded: bool) -> str:
    """What else is in the folder."""
    parts = ["versions", "all arguments"]
    parts = (["checksums of the data"] if files else []) + parts + (["the commit"] if checkout() else [])
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}"
    if uploaded:
        return f"{listed[0].upper()}{listed[1:]} are in `{RUN}` where the model was trained."
    predicted = [name for name, done in (("dev", training.do_eval), ("test", training.do_predict)) if done]
    also = f" Predictions for {' and '.join(predicted)} lie beside it." if predicted else ""
    return f"{listed[0].upper()}{listed[1:]} are in `{RUN}`.{also}"


def _recipe(
    task: Task,
    arguments: FinetuneArguments,
    training: TrainingArguments,
    results: Mapping[str, float],
    state: TrainerState | None,
) -> str:
    settings = settings_of(arguments, training)
    without = "num_train_epochs" if training.max_steps > 0 else "max_steps"
    steps = int(results.get("train_steps", 0))
    planned = state.max_steps if state is not None else steps
    done = f"{steps}, stopped early of {planned}" if 0 < steps < planned else str(steps or "–")
    if "epoch" in results:
        done += f" ({results['epoch']:.4g} epochs)"
    lines = [
        f"optimizer: {optimizer_of(arguments, training)}",
        *(f"{name}: {settings[name]}" for name in _SHOWN if name != without),
        f"processes: {training.world_size}",
        f"steps done: {done}",
        f"dropout_prob: {arguments.dropout_prob}",
    ]
    if arguments.model_name_or_path is not None:
        lines.append(f"shrink: {arguments.shrink:g}")
    if arguments.config_overrides:
        lines.append(f"config_overrides: {arguments.config_overrides}")
    lines += [f"{name}: {value}" for name, value in arguments.positions.items()]
    if training.load_best_model_at_end:
        lines.append(f"early_stopping_patience: {arguments.early_stopping_patience}")
    options = redact(asdict(task.options))
    lines += [f"{name}: {value}" for name, value in options.items() if value is not None]
    return "\n".join(f"- {line}" for line in lines)


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
