"""The one door to a saved model: what it is, how its text is drawn, what it was trained for, and its weights.

checkpoint = Checkpoint.open("runs/parser")
checkpoint.config, checkpoint.renderer, checkpoint.task, checkpoint.labels, checkpoint.model()
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from pixel_m4.console.errors import UserError
from pixel_m4.model import AnyConfig, AnyModel, TextConfig
from pixel_m4.model.contents import class_of, read_dtypes
from pixel_m4.model.loading import check_folder, weights_in
from pixel_m4.model.text import check_no_pickle
from pixel_m4.model.text_config import read_config
from pixel_m4.model.text_heads import head_for
from pixel_m4.render import TextRenderer
from pixel_m4.render.opening import open_renderer
from pixel_m4.shipped import find_model, with_revision
from pixel_m4.subwords.tokenizer import open_tokenizer
from pixel_m4.tasks.base import Task, TaskOptions, options_of, saved_labels
from pixel_m4.tasks.registry import TASKS
from pixel_m4.tasks.text_input import TextInput


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model folder, or a name on the hub; weights are loaded when :meth:`model` asks for them.

    Args:
        name: As the user gave it.
        config: Its configuration.
        model_class: The class of its model.
        files: Its weights files; none of a name on the hub.
        dtypes: The types of its weights, such as "float32".
    """

    name: str
    config: AnyConfig
    model_class: type[AnyModel]
    files: tuple[Path, ...]
    dtypes: tuple[str, ...]

    @classmethod
    def open(cls, name: str | Path, *, revision: str | None = None) -> Checkpoint:
        """Look into a model folder, or at a name on the hub or in the package.

        Args:
            name: Where it is; ``owner/name@revision`` says a revision, too.
            revision: Branch, tag or commit of a model on the hub; default: its main branch.

        Raises:
            FileNotFoundError: The folder or its `config.json` does not exist.
            OSError: The hub has no such model, or cannot be reached.
            ValueError: It is another architecture's, or its weights file is damaged.
        """
        name = with_revision(name, revision)
        place = find_model(name)
        check_folder(place, needs_config=True)
        config = read_config(place)
        if isinstance(config, TextConfig):
            check_no_pickle(place)
        files = weights_in(Path(place)) if Path(place).is_dir() else []
        tensors = {key: dtype for file in files for key, dtype in read_dtypes(file).items()}
        return cls(
            name=str(name),
            config=config,
            model_class=class_of(config.architectures or (), tensors, isinstance(config, TextConfig)),
            files=tuple(files),
            dtypes=tuple(sorted(set(tensors.values()))),
        )

    @property
    def size(self) -> int:
        """The size of the weights files in bytes."""
        return sum(file.stat().st_size for file in self.files)

    @property
    def reads_pixels(self) -> bool:
        """Whether it is a pixel model, not a text model."""
        return not isinstance(self.config, TextConfig)

    @cached_property
    def renderer(self) -> TextInput:
        """The renderer that it was trained with, or the tokenizer of a text model.

        A missing one is an error, never a default.
        """
        return self.reader()

    def reader(self, named: str | Path | None = None, **changes: Any) -> TextInput:
        """What turns text into the model's input: its renderer or tokenizer, or a renderer that is named.

        Args:
            named: see :func:`pixel_m4.render.opening.open_renderer`; None: its own.
            changes: arguments of the renderer that replace its own; ``max_seq_length`` is for both kinds.

        Raises:
            FileNotFoundError: it has none.
            ValueError: a change is not possible, or is for renderers and this is a text model.
        """
        if self.reads_pixels:
            return open_renderer(self.name, named, **changes)
        return open_tokenizer(self.name, self.config, renderer=named, **changes)

    @cached_property
    def task(self) -> Task:
        """The task that it was trained for, with its labels, its options and the renderer.

        Raises:
            ValueError: It is for no task, or does not say for which; :func:`open_task` can be told.
        """
        task_class, options = saved_task(self)
        return prepared_task(self, task_class, options, self.renderer)

    @property
    def labels(self) -> list[str]:
        """The labels of its task, in the order of the model's outputs."""
        return self.task.labels

    def model(self, device: str | None = None, **options: Any) -> AnyModel:
        """Load the weights.

        Args:
            device: Where to run it: cpu, cuda, cuda:1, mps …; default: an accelerator if there is one.
            options: Of `from_pretrained`, such as `dtype`.

        Returns:
            The model in evaluation mode

        Raises:
            ValueError: There is no such device, or the weights are no good.
            OSError: They cannot be read or fetched.
        """
        place = choose_device(device)
        model: AnyModel = self.model_class.from_pretrained(self.name, **options)
        return model.to(place).eval()


def open_task(
    model: str | Path,
    *,
    task: str | None = None,
    options: TaskOptions | None = None,
    device: str | None = None,
    font_file: str | Path | None = None,
    fallback_fonts_dir: str | Path | None = None,
    renderer: str | Path | None = None,
) -> tuple[Task, AnyModel]:
    """Open a fine-tuned model together with its task, where either may need more than the checkpoint says.

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
    choose_device(device)  # a wrong one is told before anything is opened
    checkpoint = Checkpoint.open(model)
    changes = {
        name: value
        for name, value in (("font_file", font_file), ("fallback_fonts_dir", fallback_fonts_dir))
        if value is not None
    }
    return task_of(checkpoint, task, options, renderer, **changes), checkpoint.model(device)


def task_of(
    checkpoint: Checkpoint,
    task: str | None = None,
    options: TaskOptions | None = None,
    renderer: str | Path | None = None,
    **changes: Any,
) -> Task:
    """The task of a checkpoint, where more may be needed than it says; arguments as of :func:`open_task`.

    Args:
        changes: arguments of the renderer that replace its own.

    Raises:
        ValueError: the task is not known, or a font or an option is no good.
        OSError: it has no renderer and none is named.
    """
    task_class, saved = saved_task(checkpoint, task)
    if renderer is not None:
        changes["max_seq_length"] = checkpoint.config.max_seq_length
    drawn = checkpoint.reader(renderer, **changes)
    return prepared_task(checkpoint, task_class, saved if options is None else options, drawn)


def prepared_task(
    checkpoint: Checkpoint, task_class: type[Task], options: TaskOptions, renderer: TextInput
) -> Task:
    """A task with a checkpoint's labels, and options that its model can do.

    Raises:
        ValueError: The options ask for another head than the model has.
    """
    task = task_class(renderer, options=options)
    task.labels = saved_labels(task, checkpoint.config)
    task.settle(checkpoint.config)
    task.refuse_changes(checkpoint.config)
    return task


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
    fitting = [
        task for task in TASKS.values() if head_for(task.model_class, config) is checkpoint.model_class
    ]
    names = ", ".join(task.name for task in fitting)
    if not fitting:
        raise UserError(
            f"{checkpoint.name} is a {checkpoint.model_class.__name__}, which is fine-tuned for no task; "
            "train one with `pixel-m4 finetune`"
        )
    if saved is None and name is None:
        labels = set(config.id2label.values())
        own = [task for task in fitting if labels == set(task(TextRenderer()).labels)]
        chosen = fitting if len(fitting) == 1 else own
        if len(chosen) != 1:
            raise UserError(
                f"{checkpoint.name} does not say which task it is for; choose with --task: {names}"
            )
        return chosen[0], chosen[0].options_class()
    wanted = name or saved
    if wanted not in TASKS:
        raise UserError(f"{checkpoint.name}: unknown task {wanted!r}; the tasks: {', '.join(TASKS)}")
    task = TASKS[wanted]
    if task not in fitting or (saved is not None and saved != wanted):
        raise UserError(
            f"{checkpoint.name} is no model for the task {wanted!r}, but for {saved or names} "
            f"({checkpoint.model_class.__name__})"
        )
    if saved is None:
        return task, task.options_class()
    return task, options_of(task, getattr(config, "task_options", None) or {}, checkpoint.name)


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
        raise UserError(f"--device {name}: no such device here ({str(error).splitlines()[0]})") from error
    return device
