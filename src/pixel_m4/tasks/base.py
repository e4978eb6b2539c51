"""The Task contract: read → encode → decode → score.

A task owns formats, labels, decoding and metrics; training knows only this contract.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TextIO, TypeVar

from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError, content_suffix, read_lines, writing
from pixel_m4.formats.folders import TABLES, find_split
from pixel_m4.formats.rows import BadRows, InputFormat
from pixel_m4.render.windows import windows
from pixel_m4.tasks.batch import Arrays, render_words
from pixel_m4.tasks.text_input import TextInput

if TYPE_CHECKING:
    from pixel_m4.model import AnyConfig, PixelPreTrainedModel

WordPooling = Literal["first", "mean", "first_last_mean", "attention"]

Options = TypeVar("Options", bound="TaskOptions")
OfDatasets = TypeVar("OfDatasets", bound="DatasetOptions")
Example = TypeVar("Example")
Item = TypeVar("Item", bound="Encoded")
Result = TypeVar("Result")
Prediction = TypeVar("Prediction")


class Network(Protocol):
    """What annotates: a model of ours, or an ONNX file."""

    def answer(self, batch: Arrays) -> Any:
        """Run on what :meth:`Task.collate` gives; outputs are attributes, tensors or arrays."""


class ModelClass:
    """A class of :mod:`pixel_m4.model` by its name, imported when it is asked for: tasks need no torch."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, task: Any, owner: type) -> type[PixelPreTrainedModel]:
        from pixel_m4 import model

        found: type[PixelPreTrainedModel] = getattr(model, self.name)
        return found


class Encoded(Protocol):
    """What training and evaluation must know of a part of an example: :class:`Window` is one kind."""

    @property
    def example(self) -> int:
        """Number of the example that it is cut from."""

    @property
    def start(self) -> int:
        """Where it begins there; no two parts of an example begin at the same place."""

    @property
    def length(self) -> int:
        """Patches that it takes; like lengths are batched together."""


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What can be asked of a task on the command line, beside data and training.

    Attributes:
        former: options that saved models may still have, and that say nothing any more.
    """

    former: ClassVar[Sequence[str]] = ()

    skip_bad_rows: bool = field(
        default=False,
        metadata={
            "help": "leave out rows, sentences or questions that are wrong, and tell how many and which; "
            "default: the first one is an error"
        },
    )

    def settled(self: Options, config: AnyConfig) -> Options:
        """The options with what they leave open taken from the configuration that the model starts from."""
        return self

    def configure(self, config: AnyConfig) -> None:
        """Let the model be as the options say."""

    def elsewhere(self: Options, data_dir: Path) -> Options:
        """The options for data in another folder than those of training, whose place would win over it."""
        return self


@dataclass(frozen=True, kw_only=True)
class WordOptions(TaskOptions):
    """How states of words come about, for tasks that say something of every word."""

    mix_layers: bool | None = field(
        default=None,
        metadata={
            "help": "read a learned mean of all layers of the encoder, not its last layer alone, true or "
            "false; default: as the checkpoint has it, else false, as published"
        },
    )
    word_pooling: WordPooling | None = field(
        default=None,
        metadata={
            "help": "how a word's patches become one state: first, mean, first_last_mean or attention; "
            "default: as the checkpoint has it, else as published (first for labels, mean for parsing)"
        },
    )
    num_word_layers: int | None = field(
        default=None,
        metadata={
            "help": "transformer layers over the states of words, before the head; default: as the "
            "checkpoint has it, else 0, as published"
        },
    )
    word_rope_theta: float | None = field(
        default=None,
        metadata={
            "help": "base of the rotary positions of words in those layers, a number above 1 such as 200; "
            "default: as the checkpoint has it, else none: words are in order only as their patches tell it"
        },
    )

    def settled(self, config: AnyConfig) -> WordOptions:
        """The options with those of a checkpoint where they leave something open.

        Raises:
            ValueError: Words get positions in layers that there are not.
        """
        layers = config.num_word_layers if self.num_word_layers is None else self.num_word_layers
        if self.word_rope_theta is not None and not layers:
            raise UserError(
                f"--word_rope_theta {self.word_rope_theta:g} is for layers over words, and there are none: "
                "write --num_word_layers 2 as well, or leave it out"
            )
        theta = config.word_rope_theta if self.word_rope_theta is None else self.word_rope_theta
        return replace(
            self,
            mix_layers=config.mix_layers if self.mix_layers is None else self.mix_layers,
            word_pooling=self.word_pooling or config.word_pooling,
            num_word_layers=layers,
            word_rope_theta=theta if layers else None,
        )

    def configure(self, config: AnyConfig) -> None:
        """Let the head pool words as the options say."""
        config.mix_layers = bool(self.mix_layers)
        config.word_pooling, config.num_word_layers = self.word_pooling, self.num_word_layers or 0
        config.word_rope_theta = self.word_rope_theta

    @property
    def labels_words(self) -> bool:
        """Whether a model for labels has a label a word, not one a patch."""
        return self.word_pooling not in (None, "first") or bool(self.num_word_layers)


@dataclass(frozen=True, kw_only=True)
class DatasetOptions(TaskOptions):
    """Options of tasks whose data may also come from a hub."""

    dataset_name: str | None = field(
        default=None, metadata={"help": "data set on the hub, or a folder in its format, instead of data_dir"}
    )
    language: str | None = field(
        default=None,
        metadata={"help": "configuration of the data set, or folder in data_dir, of a language"},
    )

    def elsewhere(self: OfDatasets, data_dir: Path) -> OfDatasets:
        """Not the data set of training; its language only where the folder has one of that name."""
        there = self.language is not None and (data_dir / self.language).is_dir()
        return replace(self, dataset_name=None, language=self.language if there else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A part of an example that fits on one canvas.

    Attributes:
        example: number of the example that it is cut from.
        span: numbers of its words there.
        words: the words.
        widths: patches that each takes.
        labels: by the name of the model's argument, a label each word; empty for prediction.
    """

    example: int
    span: range
    words: tuple[str, ...]
    widths: tuple[int, ...]
    labels: Mapping[str, Sequence[int]]

    @property
    def start(self) -> int:
        """The first of its words."""
        return self.span.start

    @property
    def length(self) -> int:
        """Patches that the words take."""
        return sum(self.widths)

    @property
    def starts(self) -> list[int]:
        """The first patch of each word."""
        return [0, *accumulate(self.widths)][:-1]


class Task(ABC, Generic[Example, Item, Result, Prediction]):
    """One kind of task.

    Args:
        renderer: draws the text, or cuts it into sub-words; its ``max_seq_length`` is the window.
        labels: label names in the order of the model's outputs; default the task's own.
        options: what was asked of the task; default its defaults.
    """

    name: ClassVar[str]
    model_class: ClassVar[ModelClass]
    """Of pixel models; :func:`~pixel_m4.model.text_heads.head_for` has that of text models."""
    metric: ClassVar[str]
    """The score that chooses the best checkpoint."""
    scores: ClassVar[Sequence[str]]
    """Names of all scores; ``f1_*`` stands for one of each type."""
    recipe: ClassVar[Mapping[str, Any]]
    """Published hyperparameters, by the name of the training argument."""
    options_class: ClassVar[type[TaskOptions]] = TaskOptions
    files: ClassVar[Sequence[str]]
    """Glob patterns of a split's file, the preferred one first; ``{split}`` stands for its name."""
    suffix: ClassVar[str]
    """What files of predictions end in."""
    rows_are: ClassVar[str] = "sentences"
    """What messages call examples."""
    tables: ClassVar[Sequence[str]] = TABLES
    """Suffixes of the tables that can be annotated."""
    column_files: ClassVar[Sequence[str]] = ()
    """Suffixes of files that surely hold a word a line."""

    def __init__(
        self,
        renderer: TextInput,
        labels: Sequence[str] | None = None,
        options: TaskOptions | None = None,
    ) -> None:
        self.renderer = renderer
        self.labels = list(labels) if labels is not None else self.default_labels()
        self.options = options if options is not None else self.options_class()

    @property
    def best_metric(self) -> str:
        """The score that chooses the best checkpoint, once the labels are known."""
        return self.metric

    def score_names(self) -> list[str]:
        """Names of the scores of this task, as far as they are known before data are read."""
        return list(self.scores)

    def default_labels(self) -> list[str]:
        """Labels of a model that is trained from nothing; empty if :meth:`find_labels` finds them."""
        return []

    def find_labels(self, train: Sequence[Example]) -> list[str]:
        """The labels that the training examples use, where the task has no labels of its own."""
        return self.labels

    def group_of(self, example: Example) -> str:
        """What an example belongs to, such as its treebank, where data sets were put together; else ""."""
        return ""

    def settle(self, config: AnyConfig) -> None:
        """Take what the options leave open from the configuration that the model starts from."""
        self.options = self.options.settled(config)

    def refuse_changes(self, config: AnyConfig) -> None:
        """Refuse options that ask for another head than the model has that is to be used as it is.

        Raises:
            ValueError: names the option.
        """
        asked = copy.deepcopy(config)
        self.options.configure(asked)
        trained = config.to_dict()
        for name, value in asked.to_dict().items():
            if trained.get(name) != value:
                raise UserError(f"{name} {value}: the model was trained with {trained.get(name)}")

    def configure(self, config: AnyConfig) -> None:
        """Note labels, name and options in the configuration of a model, so that it can be opened again."""
        if self.labels:
            config.id2label = dict(enumerate(self.labels))
            config.label2id = {label: number for number, label in enumerate(self.labels)}
        self.options.configure(config)
        config.task = self.name
        config.task_options = asdict(self.options)

    def read(self, data_dir: Path, split: str) -> list[Example]:
        """Read one split (``train``, ``dev`` or ``test``) of a folder; raises :class:`DataError`."""
        return self.read_file(find_split(data_dir, split, self.files))

    def read_other(self, data: Path, split: str) -> list[Example]:
        """Read a split of a folder, or a file, that need not be where the training data were.

        Raises:
            DataError: something is wrong; names file, line and value.
        """
        if not data.is_dir():
            return self.read_file(data)
        there = copy.copy(self)
        there.options = self.options.elsewhere(data)
        return there.read(data, split)

    @abstractmethod
    def read_file(self, path: Path, *, labels: bool = True) -> list[Example]:
        """Read annotated examples and check them, also against the model's ``labels`` if these are known.

        Args:
            path: the file.
            labels: whether there must be annotation; without, none is read.

        Raises:
            DataError: something is wrong; names file, line and value.
        """

    @abstractmethod
    def stream(
        self, lines: Iterable[str], source: str, input_format: InputFormat = "auto"
    ) -> Iterator[Example]:
        """Examples without annotation from raw text, or from the task's own format, as they come.

        Args:
            lines: the text; it does not matter how it is cut into lines.
            source: what messages call it: the file, or ``<stdin>``.
            input_format: what it is; ``auto``: what its first lines surely are, which all must be then.

        Raises:
            DataError: something is wrong; names source, line and value.
        """

    def read_raw(
        self, lines: Iterable[str], source: str, input_format: InputFormat = "auto"
    ) -> list[Example]:
        """All examples of :meth:`stream`."""
        return list(self.stream(lines, source, input_format))

    def read_unlabelled(self, path: Path, input_format: InputFormat = "auto") -> Iterator[Example]:
        """Examples of a file to annotate; its suffix may tell the format.

        Args:
            path: plain or compressed.
            input_format: see :meth:`stream`.

        Raises:
            DataError: something is wrong; names file, line and value.
            OSError: it cannot be read.
        """
        suffix = content_suffix(path)
        if input_format in ("auto", "columns"):
            if suffix in self.tables:
                return iter(self.read_file(path, labels=False))
            if suffix in self.column_files:
                input_format = "columns"
            elif suffix in TABLES:
                raise DataError(
                    f"{path}: the task {self.name} reads no {suffix} files; --input_format text takes every "
                    "line for a sentence"
                )
        return self.stream(read_lines(path), str(path), input_format)

    def bad_rows(self) -> BadRows:
        """What to do with rows that are wrong, as the options say."""
        return BadRows(self.rows_are, skip=self.options.skip_bad_rows)

    def group(self, example: Example) -> Hashable | None:
        """What must stay in one split with the example when a single file is divided; None: nothing else."""
        return None

    @abstractmethod
    def text_of(self, example: Example) -> Hashable:
        """The text of an example, in which case and white space do not count: copies have the same."""

    @abstractmethod
    def encode(self, examples: Sequence[Example], *, labels: bool = True) -> list[Item]:
        """Cut examples into parts that fit on a canvas; with ``labels``, training targets are added."""

    @abstractmethod
    def collate(self, batch: Sequence[Item]) -> Arrays:
        """Render the parts and pad their labels: the arguments of the model, as arrays."""

    @abstractmethod
    def decode(self, outputs: Any, batch: Sequence[Item]) -> list[Result]:
        """What the model says about each part of a batch, small.

        Args:
            outputs: of the model; tensors on any device, or arrays.
            batch: the parts.
        """

    @abstractmethod
    def predict(
        self, examples: Sequence[Example], encoded: Sequence[Item], results: Sequence[Result]
    ) -> list[Prediction]:
        """Put the parts of every example together."""

    @abstractmethod
    def score(self, gold: Sequence[Example], predicted: Sequence[Prediction]) -> dict[str, float]:
        """Scores in percent."""

    @abstractmethod
    def dump(self, predicted: Sequence[Prediction], stream: TextIO) -> None:
        """Write predictions in the task's own format."""

    def write(self, predicted: Sequence[Prediction], path: Path) -> Path:
        """Write predictions to a file; ``path`` is given without its suffix."""
        file = path.with_name(path.name + self.suffix)
        with writing(file) as stream:
            self.dump(predicted, stream)
        return file

    def annotate(
        self, model: Network, examples: Sequence[Example], *, batch_size: int = 32
    ) -> list[Prediction]:
        """Run a model on examples, with or without gold annotation; long and short ones are batched apart."""
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, got {batch_size}")
        encoded = sorted(self.encode(examples, labels=False), key=lambda item: -item.length)
        results: list[Result] = []
        for first in range(0, len(encoded), batch_size):
            batch = encoded[first : first + batch_size]
            results += self.decode(model.answer(self.collate(batch)), batch)
        return self.predict(examples, encoded, results)

    def baseline(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
        """Scores of a method that does not look at the text, by name; none by default."""
        return {}

    def _windows(
        self, example: int, words: Sequence[str], labels: Mapping[str, Sequence[int]]
    ) -> list[Window]:
        """Cut an example into windows that fit on a canvas with its black patch.

        Neighbouring windows share half their patches, so that most pairs of near words meet in one.
        """
        widths = self.renderer.measure(words)
        capacity = self.renderer.capacity
        return [
            Window(
                example=example,
                span=span,
                words=tuple(words[span.start : span.stop]),
                widths=tuple(widths[span.start : span.stop]),
                labels={name: values[span.start : span.stop] for name, values in labels.items()},
            )
            for span in windows(widths, capacity, capacity // 2)
        ]

    def _render(self, batch: Sequence[Window]) -> Arrays:
        return render_words(self.renderer, [window.words for window in batch])


def options_of(task: type[Task], saved: Mapping[str, Any], name: str) -> TaskOptions:
    """The options that a model was saved with.

    Args:
        task: what it is for.
        saved: as it has them.
        name: of the model, for the message.

    Raises:
        ValueError: there is one that the task lacks.
    """
    options = {key: value for key, value in saved.items() if key not in task.options_class.former}
    unknown = sorted(set(options) - {entry.name for entry in fields(task.options_class)})
    if unknown:
        raise UserError(
            f"{name}: its config has options that the task {task.name!r} lacks here: "
            f"{', '.join(unknown)}; use the version of pixel-m4 that saved it"
        )
    return task.options_class(**options)


def saved_labels(task: Task, config: AnyConfig) -> list[str]:
    """Labels of a saved model in the order of its outputs; the task's own if it has only numbers for them."""
    names = [config.id2label[number] for number in sorted(config.id2label)]
    named = any(name != f"LABEL_{number}" for number, name in enumerate(names))
    return names if named else task.default_labels() or names


def gather(
    count: int, encoded: Sequence[Window], results: Sequence[Result]
) -> list[list[tuple[Window, Result]]]:
    """The windows of each of ``count`` examples with their results."""
    parts: list[list[tuple[Window, Result]]] = [[] for _ in range(count)]
    for window, result in zip(encoded, results, strict=True):
        parts[window.example].append((window, result))
    return parts


def innermost(word: int, parts: Sequence[tuple[Window, Result]]) -> tuple[Window, Result]:
    """Of the windows that show a word the one in which it stands farthest from the borders."""
    shown = [part for part in parts if word in part[0].span]
    return max(shown, key=lambda part: min(word - part[0].span.start, part[0].span.stop - 1 - word))
