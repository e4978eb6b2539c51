"""A task with its labels, options and renderer as JSON: what an exported model carries beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.render import TextRenderer
from pixel_m4.render.opening import open_renderer
from pixel_m4.render.settings import CONFIG_NAME, read_settings
from pixel_m4.tasks.base import Task, TaskOptions, options_of
from pixel_m4.tasks.registry import TASKS
from pixel_m4.version import __version__

METADATA = "pixel_m4"
"""The entry of an ONNX file's metadata that holds it."""
_FIELDS = {"task": str, "labels": list, "options": dict, "renderer": dict}


def to_json(task: Task) -> str:
    """Name, labels, options and renderer of a task; fonts are named by their digests and are not in it."""
    assert isinstance(task.renderer, TextRenderer)
    with TemporaryDirectory() as folder:
        task.renderer.save_pretrained(folder)
        renderer = json.loads(Path(folder, CONFIG_NAME).read_text(encoding="utf-8"))
    contents = {
        "version": __version__,
        "task": task.name,
        "labels": task.labels,
        "options": asdict(task.options),
        "renderer": renderer,
    }
    return json.dumps(contents, ensure_ascii=False)


def fields_of(text: str | None, file: Path) -> dict[str, Any]:
    """The fields of what :func:`to_json` wrote.

    Args:
        text: it, or None if a file has none.
        file: where it is from, for messages.

    Raises:
        ValueError: there is none, it is damaged, or its task is not known.
    """
    if text is None:
        raise UserError(
            f"{file} does not say how to use it: it is no model of a task, or was not written by "
            "`pixel-m4 export` of this version; export the model's folder again"
        )
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: its entry {METADATA} is not valid JSON: {error}") from error
    if not isinstance(found, dict) or any(
        not isinstance(found.get(name), kind) for name, kind in _FIELDS.items()
    ):
        raise UserError(f"{file}: its entry {METADATA} must be an object with {', '.join(_FIELDS)}")
    if not all(isinstance(label, str) for label in found["labels"]):
        raise UserError(f"{file}: its labels must be strings")
    if found["task"] not in TASKS:
        raise UserError(f"{file}: unknown task {found['task']!r}; the tasks: {', '.join(TASKS)}")
    return found


def task_from(
    fields: Mapping[str, Any],
    file: Path,
    options: TaskOptions | None = None,
    renderer: str | Path | None = None,
    **changes: Any,
) -> Task:
    """The task of an exported model.

    Args:
        fields: of :func:`fields_of`.
        file: the model; fonts that are not the default one are looked for beside it.
        options: options of the task; default those that the model was trained with.
        renderer: where the renderer comes from instead, as in :func:`pixel_m4.render.opening.open_renderer`.
        changes: arguments of the renderer that replace those of the model.

    Raises:
        ValueError: an option or a field of the renderer is not known, or a font is missing.
    """
    task_class, saved = saved_options(fields, file)
    if renderer is not None:
        length = fields["renderer"].get("max_seq_length")
        drawn = open_renderer(None, renderer, **{"max_seq_length": length, "rgb": False, **changes})
    else:
        drawn = TextRenderer(**read_settings(file, changes, config=fields["renderer"]))
    return task_class(drawn, labels=fields["labels"], options=saved if options is None else options)


def saved_options(fields: Mapping[str, Any], file: Path) -> tuple[type[Task], TaskOptions]:
    """The task of an exported model, and the options that it was trained with.

    Raises:
        ValueError: an option is not known here.
    """
    task_class = TASKS[fields["task"]]
    return task_class, options_of(task_class, fields["options"], str(file))
