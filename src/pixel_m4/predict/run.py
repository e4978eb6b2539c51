"""The commands that use a saved model: `predict` annotates text, `evaluate` scores it on other data."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.files import refuse_existing, replacing, stdin_lines, writing
from pixel_m4.formats.rows import InputFormat
from pixel_m4.predict.annotator import Annotator, load
from pixel_m4.predict.exported import ExportedModel
from pixel_m4.shipped import is_exported
from pixel_m4.tasks.base import Task, TaskOptions
from pixel_m4.tasks.portable import saved_options

_READ_FIRST = 1 << 26  # bytes of a file that is read before it is annotated
_WRITTEN = 32  # predictions that are written at once


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a saved model is run.

    Args:
        task: name of the task, for models that do not say theirs.
        batch_size: parts of texts of a batch.
        device: where to run; default: an accelerator if there is one.
        bf16: compute in bfloat16.
        font_file: font to draw with; default the model's.
        fallback_fonts_dir: folder with fonts for characters that the font lacks.
        renderer: where the renderer comes from, for a model that has none.
    """

    task: str | None = None
    batch_size: int = 32
    device: str | None = None
    bf16: bool = False
    font_file: str | None = None
    fallback_fonts_dir: str | None = None
    renderer: str | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"--per_device_eval_batch_size must be at least 1, got {self.batch_size}")

    def open(self, model: str, options: TaskOptions | None = None) -> Annotator:
        """Open a model with these settings."""
        return load(
            model,
            task=self.task,
            options=options,
            device=self.device,
            batch_size=self.batch_size,
            bf16=self.bf16,
            font_file=self.font_file,
            fallback_fonts_dir=self.fallback_fonts_dir,
            renderer=self.renderer,
        )


def predict(
    model: str,
    file: Path | None,
    output: Path | None,
    settings: Settings,
    *,
    input_format: InputFormat = "auto",
    skip_bad_rows: bool = False,
    overwrite: bool = False,
) -> None:
    """Annotate a file, or the standard input, and write it in the task's format.

    Args:
        model: folder or hub name.
        file: raw text, or the task's own format, plain or compressed; None: the standard input.
        output: file to write, compressed as its name says; None: the standard output.
        settings: how to run the model.
        input_format: what the text is; see :meth:`~pixel_m4.tasks.base.Task.stream`.
        skip_bad_rows: leave out what cannot be read, and tell what it was.
        overwrite: replace ``output`` if it is there.

    Raises:
        ValueError: the text, the model or a setting is wrong.
        OSError: a file cannot be read or written.
    """
    _quiet(model)
    if file is not None:
        file.open("rb").close()  # a missing file is told before the model is opened
    if output is not None:
        if file is not None and output.exists() and output.samefile(file):
            raise UserError(f"--output {output} is the file that is read; take another name")
        refuse_existing(output, overwrite)
    annotator = settings.open(model)
    opened = annotator.task
    if skip_bad_rows:
        opened.options = replace(opened.options, skip_bad_rows=True)
    if file is None:
        examples = opened.stream(stdin_lines(), "<stdin>", input_format)
    else:
        examples = opened.read_unlabelled(file, input_format)
        if file.stat().st_size < _READ_FIRST:  # so that what is wrong is told at once
            examples = iter(list(examples))
    predicted = annotator.annotate(examples)
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")
        _write(opened, predicted, sys.stdout)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        with writing(output) as stream:
            _write(opened, predicted, stream)


def _write(task: Task, predicted: Iterator[Any], stream: TextIO) -> None:
    with _progress(None) as advance:
        while waiting := list(islice(predicted, _WRITTEN)):
            task.dump(waiting, stream)
            stream.flush()
            advance(len(waiting))


def evaluate(
    model: str,
    settings: Settings,
    *,
    data_dir: Path | None = None,
    split: str = "test",
    file: Path | None = None,
    output_dir: Path | None = None,
    task_arguments: Sequence[str] = (),
    overwrite: bool = False,
) -> dict[str, float]:
    """Score a saved model on data, print the scores, and write them down if asked.

    Args:
        model: folder or hub name.
        settings: how to run the model.
        data_dir: folder of a data set.
        split: its split.
        file: a single file instead.
        output_dir: gets ``eval_results.json`` and the predictions.
        task_arguments: options of the task, as on the command line of ``finetune``.
        overwrite: replace results that are in ``output_dir`` already.

    Returns:
        The scores.

    Raises:
        ValueError: the data, the model or an argument is wrong.
        OSError: a file cannot be read or written.
    """
    _quiet(model)
    if output_dir is not None and output_dir.resolve() == Path(model).resolve():
        raise UserError(
            f"--output_dir {output_dir} is the model's folder, whose own results would be lost; take another"
        )
    task_class, saved = _saved(model, settings.task)
    predictions = f"{'eval' if file else split}_predictions"
    if output_dir is not None:
        for name in ("eval_results.json", predictions + task_class.suffix):
            refuse_existing(output_dir / name, overwrite)
    if data_dir is not None:
        saved = saved.elsewhere(data_dir)
    options = _options(task_class, saved, task_arguments)
    hub = getattr(options, "dataset_name", None)
    if file is None and data_dir is None and hub is None:
        raise UserError("evaluate needs data: --data_dir with a data set, or --file")
    annotator = settings.open(model, options)
    opened = annotator.task
    gold = opened.read_file(file) if file is not None else opened.read(data_dir or Path("."), split)
    predicted = []
    with _progress(len(gold)) as advance:
        for prediction in annotator.annotate(gold):
            predicted.append(prediction)
            advance(1)
    scores = opened.score(gold, predicted)
    what = str(file or f"{hub or data_dir}, {split}")
    table = Table(title=Text(f"{opened.name}: {what}"), title_justify="left")
    table.add_column("score")
    table.add_column("value", justify="right")
    for name, value in scores.items():
        table.add_row(Text(name), f"{value:.2f}")
    table.add_row("examples", f"{len(gold):,}")
    plain_console(soft_wrap=False).print(table)
    if output_dir is not None:
        output_dir.mkdir(parents=True, exist_ok=True)
        opened.write(predicted, output_dir / predictions)
        results: dict[str, Any] = {f"eval_{name}": value for name, value in scores.items()}
        results |= {"eval_examples": len(gold), "model": model, "data": what}
        with replacing(output_dir / "eval_results.json") as scratch:
            scratch.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return scores


def _saved(model: str, task: str | None) -> tuple[type[Task], TaskOptions]:
    """The task of a saved model, and the options that it was trained with."""
    if is_exported(model):
        exported = ExportedModel(Path(model))
        return saved_options(exported.fields, exported.file)
    from pixel_m4.checkpoint import Checkpoint, saved_task

    return saved_task(Checkpoint.open(model), task)


def _options(task: type[Task], saved: TaskOptions, argv: Sequence[str]) -> TaskOptions:
    """The options that the model was trained with, and what the command line changes."""
    if not argv:
        return saved
    from transformers import HfArgumentParser

    parser = HfArgumentParser(task.options_class, prog=f"pixel-m4 evaluate (task {task.name})")
    parser.set_defaults(**{entry.name: getattr(saved, entry.name) for entry in fields(saved)})
    return parser.parse_args_into_dataclasses(list(argv))[0]


def _quiet(model: str) -> None:
    if is_exported(model):  # nothing of transformers is loaded
        return
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


@contextmanager
def _progress(total: int | None) -> Iterator[Any]:
    """A counter on the standard error, if that is a terminal."""
    console = plain_console(stderr=True, soft_wrap=False)
    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("texts"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("", total=total)
        yield lambda count: progress.advance(bar, count)
