"""A saved model at work, from Python: texts in, predictions out.

parser = pixel_m4.load("pixel-m4-ud")
(parsed,) = parser.predict(["The cat sleeps."])
print(parsed.tree.words, parsed.tree.heads, parsed.tree.deprels, parsed.tree.upos)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError
from pixel_m4.formats.rows import InputFormat, check_text
from pixel_m4.predict.exported import ExportedModel
from pixel_m4.shipped import is_exported, with_revision
from pixel_m4.tasks.base import Task, TaskOptions
from pixel_m4.tasks.portable import task_from

# Batches that are cut from texts sorted by length; more waste less, fewer answer sooner.
_BATCHES = 16


class Annotator:
    """A fine-tuned model with all that it needs: its task, renderer, labels and options.

    Args:
        task: The model's task.
        model: A pixel or text model, or an :class:`~pixel_m4.predict.exported.ExportedModel`.
        batch_size: Parts of texts of a batch.
        bf16: Compute in bfloat16 where that is safe (autocast).
    """

    def __init__(self, task: Task, model: Any, *, batch_size: int = 32, bf16: bool = False) -> None:
        self.task = task
        self.model = model
        self.batch_size = batch_size
        self.bf16 = bf16

    @property
    def labels(self) -> list[str]:
        """What the model tells apart, in the order of its outputs."""
        return self.task.labels

    def predict(self, texts: Sequence[str | Mapping[str, Any]]) -> list[Any]:
        """Annotate texts.

        Args:
            texts: Sentences or texts as the task takes them; or objects with its columns, as in
                ``{"question": …, "context": …}``. A line break is a space.

        Returns:
            A prediction a text, in their order: :class:`~pixel_m4.tasks.parsing.Parsed` of a parser,
            :class:`~pixel_m4.formats.conllu.Sentence` of a tagger,
            :class:`~pixel_m4.formats.iob.TaggedSentence` of named entities,
            :class:`~pixel_m4.tasks.classification.TextPrediction` of a classifier,
            :class:`~pixel_m4.tasks.qa.QAPrediction` of question answering

        Raises:
            DataError: A text is blank, or not what the task takes; names its number.
        """
        if isinstance(texts, str):
            raise TypeError("predict takes a list of texts, got one text; write [text]")
        texts = list(texts)
        if not texts:
            return []
        objects = [isinstance(text, Mapping) for text in texts]
        if any(objects) and not all(objects):
            number = objects.index(not objects[0]) + 1
            raise DataError(f"text {number}: texts and objects are mixed; give all alike")
        lines = [
            json.dumps(dict(text), ensure_ascii=False)
            if isinstance(text, Mapping)
            else " ".join(check_text(text, "text", f"text {number}").splitlines())
            for number, text in enumerate(texts, 1)
        ]
        examples = self.task.read_raw(lines, "<texts>", "columns" if objects[0] else "text")
        if len(examples) != len(texts):
            raise DataError(f"{len(texts)} texts were read as {len(examples)} examples of {self.task.name}")
        return list(self.annotate(examples))

    def stream(
        self, lines: Iterable[str], source: str = "<stream>", input_format: InputFormat = "auto"
    ) -> Iterator[Any]:
        """Annotate a stream, such as an open file, in constant memory.

        Args:
            lines: The text; it does not matter how it is cut into lines.
            source: What messages call it.
            input_format: See :meth:`~pixel_m4.tasks.base.Task.stream`.

        Raises:
            DataError: Something is wrong; names source, line and value.
        """
        return self.annotate(self.task.stream(lines, source, input_format))

    def evaluate(self, data: str | Path, split: str = "test") -> dict[str, float]:
        """Score the model on annotated data.

        Args:
            data: A file, or the folder of a data set.
            split: Of a folder.

        Returns:
            Scores in percent, by name

        Raises:
            DataError: Something is wrong; names file, line and value.
            OSError: A file cannot be read.
        """
        gold = self.task.read_other(Path(data), split)
        return self.task.score(gold, list(self.annotate(gold)))

    def annotate(self, examples: Iterable[Any]) -> Iterator[Any]:
        """Annotate examples as the task reads them, in order; a few batches' worth is held at a time."""
        waiting: list[Any] = []

        def run() -> list[Any]:
            with self._precision():
                return self.task.annotate(self.model, waiting, batch_size=self.batch_size)

        for example in examples:
            waiting.append(example)
            if len(waiting) >= _BATCHES * self.batch_size:
                yield from run()
                waiting = []
        if waiting:
            yield from run()

    def _precision(self) -> AbstractContextManager[Any]:
        if isinstance(self.model, ExportedModel):
            return nullcontext()
        import torch

        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.bf16)


def load(
    model: str | Path,
    *,
    task: str | None = None,
    options: TaskOptions | None = None,
    device: str | None = None,
    batch_size: int = 32,
    bf16: bool = False,
    font_file: str | Path | None = None,
    fallback_fonts_dir: str | Path | None = None,
    renderer: str | Path | None = None,
    revision: str | None = None,
) -> Annotator:
    """Open a fine-tuned model for use.

    Args:
        model: Folder of a fine-tuned model, its name on the hub, pixel-m4-ud, or an ONNX file that
            `pixel-m4 export` wrote, for which neither torch nor transformers is loaded.
        task: Name of the task, for models that do not say which they are for.
        options: Options of the task; default those that the model was trained with.
        device: Where to run it: cpu, cuda, cuda:1, mps …; default: an accelerator if there is one.
        batch_size: Parts of texts of a batch.
        bf16: Compute in bfloat16 where that is safe.
        font_file: Font to draw with; default the model's.
        fallback_fonts_dir: Folder with fonts for characters that the font lacks.
        renderer: Where the renderer comes from, for a model that has none or a wrong one: a checkpoint or the
            name of a strategy.
        revision: Branch, tag or commit of a model on the hub; default: its main branch.

    Raises:
        ValueError: The task is not known, or the model, a font or the device is no good.
        OSError: There is no such model, or it has no renderer and none is named.
    """
    if is_exported(model):
        if bf16 or device not in (None, "cpu"):
            asked = "bf16" if bf16 else f"device {device}"
            raise UserError(f"{model} is computed on the CPU as it was exported; leave out {asked}")
        exported = ExportedModel(Path(with_revision(model, revision)))
        fonts = {"font_file": font_file, "fallback_fonts_dir": fallback_fonts_dir}
        opened = task_from(exported.fields, exported.file, options, renderer, **fonts)
        if task not in (None, opened.name):
            raise UserError(f"{model} is no model for the task {task!r}, but for {opened.name}")
        return Annotator(opened, exported, batch_size=batch_size)
    from pixel_m4.checkpoint import open_task
    from pixel_m4.model.inputs import tell_about_bf16

    opened, network = open_task(
        with_revision(model, revision),
        task=task,
        options=options,
        device=device,
        font_file=font_file,
        fallback_fonts_dir=fallback_fonts_dir,
        renderer=renderer,
    )
    if bf16:
        tell_about_bf16(network.device)
    return Annotator(opened, network, batch_size=batch_size, bf16=bf16)
