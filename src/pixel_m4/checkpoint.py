"""A saved model at work: open it together with its task, and annotate streams of text.

task, model = open_task("runs/parser")
task.dump(task.annotate(model, task.read_raw(["The cat sleeps ."], "here")), sys.stdout)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from pixel_m4.formats.rows import InputFormat
from pixel_m4.model.checkpoint import Checkpoint, open_checkpoint
from pixel_m4.render import TextRenderer
from pixel_m4.render.opening import open_renderer
from pixel_m4.tasks.base import Task, TaskOptions, saved_labels
from pixel_m4.tasks.registry import TASKS

# Batches that are cut from texts sorted by length; more waste less, fewer answer sooner.
_BATCHES = 16


def open_task(
    model: str | Path,
    *,
    task: str | None = None,
    options: TaskOptions | None = None,
    device: str | None = None,
    font_file: str | Path | None = None,
    fallback_fonts_dir: str | Path | None = None,
    renderer: str | Path | None = None,
) -> tuple[Task, PreTrainedModel]:
    """Open a fine-tuned model together with the task that it was trained for.

    Args:
        model: folder of a fine-tuned model, or its name on the hub.
        task: name of the task, for models that do not say which they are for.
        options: options of the task; default those that the model was trained with.
        device: where to run it: cpu, cuda, cuda:1, mps …; default: an accelerator if there is one.
        font_file: font to draw with; default the model's.
        fallback_fonts_dir: folder with fonts for characters that the font lacks.
        renderer: where the renderer comes from, for a model that has none or has a wrong one: a checkpoint or
            the name of a strategy, see :func:`pixel_m4.render.opening.open_renderer`.

    Returns:
        The task, with the model's labels and renderer, and the model in evaluation mode.

    Raises:
        ValueError: the task is not known, or the model, a font or the device is no good.
        OSError: there is no such model, or it has no renderer and none is named.
    """
    place = choose_device(device)
    checkpoint = open_checkpoint(str(model))
    task_class, saved = saved_task(checkpoint, task)
    config = checkpoint.config
    changes: dict[str, Any] = {
        name: value
        for name, value in (("font_file", font_file), ("fallback_fonts_dir", fallback_fonts_dir))
        if value is not None
    }
    if renderer is not None:
        changes["max_seq_length"] = config.max_seq_length
    drawn = open_renderer(model, renderer, **changes)
    opened = task_class(drawn, options=options if options is not None else saved)
    opened.labels = saved_labels(opened, config)
    opened.settle(config)
    opened.refuse_changes(config)
    network = task_class.model_class.from_pretrained(model)
    return opened, network.to(place).eval()


def saved_task(checkpoint: Checkpoint, name: str | None = None) -> tuple[type[Task], TaskOptions]:
    """The task that a checkpoint is for, and the options that it was trained with.

    Args:
        checkpoint: the checkpoint.
        name: the task, if the checkpoint does not say it.

    Raises:
        ValueError: it is for no task, for an unknown one, for another than ``name``, or could be for several.
    """
    config = checkpoint.config
    saved = getattr(config, "task", None)
    fitting = [task for task in TASKS.values() if task.model_class is checkpoint.model]
    names = ", ".join(task.name for task in fitting)
    if not fitting:
        raise ValueError(
            f"{checkpoint.name} is a {checkpoint.model.__name__}, which is fine-tuned for no task; "
            "train one with `pixel-m4 finetune`"
        )
    if saved is None and name is None:
        labels = set(config.id2label.values())
        own = [task for task in fitting if labels == set(task(TextRenderer()).labels)]
        chosen = fitting if len(fitting) == 1 else own
        if len(chosen) != 1:
            raise ValueError(
                f"{checkpoint.name} does not say which task it is for; choose with --task: {names}"
            )
        return chosen[0], chosen[0].options_class()
    wanted = name or saved
    if wanted not in TASKS:
        raise ValueError(f"{checkpoint.name}: unknown task {wanted!r}; the tasks: {', '.join(TASKS)}")
    task = TASKS[wanted]
    if task not in fitting or (saved is not None and saved != wanted):
        raise ValueError(
            f"{checkpoint.name} is no model for the task {wanted!r}, but for {saved or names} "
            f"({checkpoint.model.__name__})"
        )
    if saved is None:
        return task, task.options_class()
    options = dict(getattr(config, "task_options", None) or {})
    for name in task.options_class.former:
        options.pop(name, None)
    unknown = sorted(set(options) - {entry.name for entry in fields(task.options_class)})
    if unknown:
        raise ValueError(
            f"{checkpoint.name}: its config has options that the task {wanted!r} lacks here: "
            f"{', '.join(unknown)}; use the version of pixel-m4 that saved it"
        )
    return task, task.options_class(**options)


def choose_device(name: str | None) -> torch.device:
    """The named device, or by default an accelerator where there is one.

    Raises:
        ValueError: there is no such device.
    """
    if name is None:
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"--device {name}: no such device here ({str(error).splitlines()[0]})") from error
    return device


def annotate(
    task: Task,
    model: PreTrainedModel,
    examples: Iterable[Any],
    *,
    batch_size: int = 32,
    bf16: bool = False,
) -> Iterator[Any]:
    """Annotate a stream of examples, in its order; a few batches' worth is held at a time.

    Args:
        task: the model's task.
        model: the model.
        examples: as the task reads them.
        batch_size: parts of examples of a batch.
        bf16: compute in bfloat16 where that is safe (autocast).
    """
    waiting: list[Any] = []

    def run() -> list[Any]:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            return task.annotate(model, waiting, batch_size=batch_size)

    for example in examples:
        waiting.append(example)
        if len(waiting) >= _BATCHES * batch_size:
            yield from run()
            waiting = []
    if waiting:
        yield from run()


def read_stream(
    task: Task, lines: Iterable[str], source: str, input_format: InputFormat = "auto"
) -> Iterator[Any]:
    """Examples from a stream of text, as they come; it does not matter how it is cut into lines.

    Args:
        task: knows the format.
        lines: the text.
        source: what messages call it.
        input_format: see :meth:`~pixel_m4.tasks.base.Task.stream`.

    Raises:
        DataError: something is wrong; names source, line and value.
    """
    return task.stream(lines, source, input_format)
