"""Classification of texts and pairs of texts, and regression: SIB-200, GLUE, XNLI and the like.

Dimensions: B batch, P patches, N labels.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

import numpy as np

from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError
from pixel_m4.formats.columns import KNOWN, are_fractions, find_columns, spread_translations
from pixel_m4.formats.jsonlines import begins_json, first_line
from pixel_m4.formats.rows import BadRows, InputFormat, check_text, folded, shown
from pixel_m4.formats.tables import (
    TABLE_FILES,
    Table,
    find_language,
    json_tables,
    read_hub,
    read_split,
    read_table,
)
from pixel_m4.tasks.base import DatasetOptions, ModelClass, Task
from pixel_m4.tasks.batch import Arrays, as_array, log_softmax
from pixel_m4.tasks.cutting import cut_pair
from pixel_m4.tasks.metrics import LABEL_METRICS, NUMBER_METRICS, label_scores, number_scores

if TYPE_CHECKING:
    from pixel_m4.model import AnyConfig

_NO_LABEL = {"-", "-1"}
_MANY = 10  # rows that are no oversight
_NOT_A_LABEL = {"nan", "NaN", "NAN", "<NA>", "NULL"}

SCORE = "score"  # what the one output of a regression is called

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions(DatasetOptions):
    """Where texts and labels stand, and what is measured."""

    text_column: str | None = field(default=None, metadata={"help": "column of the text; default: found"})
    text_pair_column: str | None = field(
        default=None, metadata={"help": "column of the second text of a pair; default: found"}
    )
    label_column: str | None = field(default=None, metadata={"help": "column of the label; default: found"})
    columns: str | None = field(
        default=None, metadata={"help": "names of the columns of a file without a header: label,text"}
    )
    problem_type: str | None = field(
        default=None,
        metadata={"help": "regression or single_label_classification; default: as the labels look"},
    )
    pairs: bool | None = field(
        default=None,
        metadata={
            "help": "whether an example is a pair of texts, true or false; default: as the columns of the "
            "training data are; a trained model keeps to it"
        },
    )
    keep_unlabelled: bool | None = field(
        default=None,
        metadata={
            "help": "make a class of rows whose label is '-' (or -1 among whole numbers), which stands for "
            "no gold label, true or false; default: they are left out, and their number is told, but where "
            "-1 is as frequent as other labels you are asked"
        },
    )
    metrics: str | None = field(
        default=None,
        metadata={
            "help": f"what is reported, the first chooses the checkpoint: {', '.join(LABEL_METRICS)}; for "
            f"regression {', '.join(NUMBER_METRICS)}; default: all, and macro F1 or Pearson's r chooses"
        },
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledText:
    """A text, or a pair, and its label.

    Attributes:
        place: where it stands.
        text: the text.
        pair: the second text, or None.
        label: name, or number for regression as it was written; None if unknown.
        names: the label names of its file in their order, where it says so.
    """

    place: str
    text: str
    pair: str | None = None
    label: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TextItem:
    """A text that fits on the canvas.

    Attributes:
        example: number of the example.
        text: what is rendered: a string, or a pair.
        length: patches.
        label: number of the label, or the score; None for prediction.
    """

    example: int
    text: str | tuple[str, str]
    length: int
    label: int | float | None

    @property
    def start(self) -> int:
        """An example has one part, its beginning."""
        return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TextPrediction:
    """What the model says about a text.

    Attributes:
        text: the text.
        pair: the second text, or None.
        label: name of the best label; None for regression.
        probabilities: by label; empty for regression.
        score: the predicted number of a regression.
    """

    text: str
    pair: str | None
    label: str | None
    probabilities: Mapping[str, float]
    score: float | None


class Classification(Task[LabelledText, TextItem, list[float], TextPrediction]):
    """A label, or a number, for a text or a pair of texts."""

    name = "classification"
    model_class = ModelClass("PixelForSequenceClassification")
    metric = "f1"
    scores = (*LABEL_METRICS, *NUMBER_METRICS)
    options_class = ClassificationOptions
    options: ClassificationOptions
    suffix = ".jsonl"
    rows_are = "rows"
    files = TABLE_FILES
    recipe: ClassVar[Mapping[str, Any]] = {
        "max_seq_length": 256,
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 32,
        "learning_rate": 1e-5,
        "max_steps": 15_000,
        "eval_strategy": "epoch",
        "early_stopping_patience": 20,
    }

    @property
    def regression(self) -> bool:
        """Whether the model gives one number."""
        return len(self.labels) == 1

    @property
    def best_metric(self) -> str:
        """The first of the asked metrics, else macro F1 or Pearson's correlation."""
        asked = self._asked_metrics()
        return asked[0] if asked else "pearson" if self.regression else self.metric

    def score_names(self) -> list[str]:
        """The asked metrics, else all of those for labels, or for numbers."""
        names = self._asked_metrics() or list(self.scores)
        if self.labels:
            names = [name for name in names if name in (NUMBER_METRICS if self.regression else LABEL_METRICS)]
        if len(self.labels) > 2:
            names = [name for name in names if name != "f1_positive"]
        return names

    def find_labels(self, train: Sequence[LabelledText]) -> list[str]:
        """The names of the file's ``ClassLabel``; else what occurs, sorted (numbers by value).

        For regression it is one output, ``score``.  Whether examples are pairs is noted in the options.

        Raises:
            DataError: there is only one label.
            ValueError: an option does not fit the labels.
        """
        names = next((list(example.names) for example in train if example.names), None)
        self.options = replace(self.options, pairs=any(example.pair is not None for example in train))
        problem = self.options.problem_type
        if problem not in (None, "regression", "single_label_classification"):
            raise UserError(
                f"problem_type must be regression or single_label_classification, not {problem!r}"
            )
        found = {example.label for example in train if example.label is not None}
        if names is None:
            if problem == "regression" or (problem is None and are_fractions(found)):
                for example in train:
                    self._number(example)
                return [SCORE]
            names = sorted(found, key=lambda label: (0, int(label), "") if _is_int(label) else (1, 0, label))
        else:  # rows without a gold label that are kept have a name of their own
            names += sorted(found - set(names))
        if len(names) < 2:
            raise DataError(
                f"the training split has {len(names)} label(s) ({', '.join(names)}); it needs two or more"
            )
        return names

    def configure(self, config: AnyConfig) -> None:
        """Note also whether the model is for regression."""
        super().configure(config)
        config.problem_type = "regression" if self.regression else "single_label_classification"

    def read(self, data_dir: Path, split: str) -> list[LabelledText]:
        """Read a split of a folder, of a language's folder in it, or of a data set on the hub."""
        options = self.options
        if options.dataset_name is not None:
            return self._examples(read_hub(options.dataset_name, options.language, split))
        folder = find_language(data_dir, options.language)
        bad = self.bad_rows()
        columns = _split(options.columns)
        table = read_split(folder, split, columns=columns, known=self._known_columns(), bad=bad)
        return self._examples(table, bad=bad)

    def read_file(self, path: Path, *, labels: bool = True) -> list[LabelledText]:
        """Read csv, tsv, JSON, Parquet or Arrow; without ``labels`` there need be none."""
        bad = self.bad_rows()
        columns = _split(self.options.columns)
        table = read_table(path, columns=columns, known=self._known_columns(), bad=bad)
        return self._examples(table, labels=labels, bad=bad)

    def stream(
        self, lines: Iterable[str], source: str, input_format: InputFormat = "auto"
    ) -> Iterator[LabelledText]:
        """A text a line, a pair with a tab between, or JSON objects with the columns of the task.

        Whether texts or pairs is decided by the first line, and all others must agree; with the format
        ``text`` a tab is white space.
        """
        head, rest = first_line(lines)
        if input_format in ("auto", "columns") and head and begins_json(head[-1]):
            for table in json_tables(rest, source):
                yield from self._examples(table, labels=False)
            return
        pairs = input_format not in ("text", "tokens") and bool(head) and "\t" in head[-1].strip()
        if head:
            self._check_first(head[-1], pairs, f"{source}:{len(head)}")
        advice = "give one of both, or say --input_format text, for which a tab is a space"
        bad = self.bad_rows()
        kept = 0
        for number, line in enumerate(rest, 1):
            if not line.strip():
                continue
            place = f"{source}:{number}"
            example = None
            with bad.row():
                parts = line.split("\t") if input_format in ("auto", "columns") else [line.replace("\t", " ")]
                if pairs and len(parts) != 2:
                    raise DataError(
                        f"{place}: {len(parts) - 1} tabs instead of the one of a pair: "
                        f"{line[:80]!r}; {advice}"
                    )
                if not pairs and sum(bool(part.strip()) for part in parts) > 1:
                    raise DataError(f"{place}: a pair (there is a tab) among texts: {line[:80]!r}; {advice}")
                text = check_text(parts[0] if pairs else "".join(parts), "text", place)
                pair = check_text(parts[1], "second text", place) if pairs else None
                example = self._example(place, text, pair, None, ())
            if example is not None:
                kept += 1
                yield example
        bad.tell(source, kept)
        if not kept:
            raise DataError(f"{source}: holds no text; write a text a line")

    def _check_first(self, line: str, pairs: bool, place: str) -> None:
        """Refuse texts for a model of pairs, pairs for one of texts, and a header among either.

        Raises:
            DataError: the first line is one of these.
        """
        if pairs and all(cell.strip().lower() in KNOWN for cell in line.split("\t")):
            raise DataError(
                f"{place}: looks like the header of a table: {line[:80]!r}; leave it out, or give the table "
                "as a file whose name ends in .tsv"
            )
        wanted = self.options.pairs
        if wanted is not None and wanted != pairs:
            found = f"{place}: {'a pair (there is a tab)' if pairs else 'a single text'}: {line[:80]!r}"
            if wanted:
                raise DataError(
                    f"{found}; the model reads pairs: write both texts with a tab between, or objects with "
                    "sentence1 and sentence2"
                )
            raise DataError(
                f"{found}; the model reads single texts: leave out what follows the tab, or say "
                "--input_format text, for which a tab is a space"
            )

    def text_of(self, example: LabelledText) -> Hashable:
        """The text; of a pair both, in whatever order."""
        return frozenset(folded(text) for text in (example.text, example.pair) if text is not None)

    def encode(self, examples: Sequence[LabelledText], *, labels: bool = True) -> list[TextItem]:
        """One item an example; of texts that do not fit the end is cut off, of pairs the longer one's."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        room, between = self.renderer.capacity, self.renderer.between
        encoded = []
        shortened = 0
        for number, example in enumerate(examples):
            text: str | tuple[str, str] = example.text
            widths = self.renderer.measure(example.text.split())
            length = sum(widths)
            whole = length <= room
            if example.pair is not None:
                length += between + sum(self.renderer.measure(example.pair.split()))
                whole = length <= room
                kept = (example.text, example.pair)
                text = kept if whole else cut_pair(self.renderer, *kept, room - between)
            shortened += not whole
            label: int | float | None = None
            if labels:
                label = self._number(example) if self.regression else numbers[example.label or ""]
            encoded.append(TextItem(example=number, text=text, length=min(length, room), label=label))
        if shortened:
            logger.warning(
                "%d of %d texts are longer than %d patches and were cut", shortened, len(examples), room
            )
        return encoded

    def collate(self, batch: Sequence[TextItem]) -> Arrays:
        """What the renderer gives, such as ``pixel_values``, ``attention_mask`` [B, P] and ``labels`` [B]."""
        rendered = dict(self.renderer.batch([item.text for item in batch]))
        if batch[0].label is not None:
            kind = np.float32 if self.regression else np.int64
            rendered["labels"] = np.array([item.label for item in batch], dtype=kind)
        return rendered

    def decode(self, outputs: Any, batch: Sequence[TextItem]) -> list[list[float]]:
        """The probability of each label, or the score."""
        logits = as_array(outputs.logits)
        rows: list[list[float]] = (logits if self.regression else np.exp(log_softmax(logits))).tolist()
        return rows

    def predict(
        self,
        examples: Sequence[LabelledText],
        encoded: Sequence[TextItem],
        results: Sequence[list[float]],
    ) -> list[TextPrediction]:
        """The best label of each text, or its score."""
        by_example = {item.example: result for item, result in zip(encoded, results, strict=True)}
        return [self._prediction(example, by_example[i]) for i, example in enumerate(examples)]

    def score(self, gold: Sequence[LabelledText], predicted: Sequence[TextPrediction]) -> dict[str, float]:
        """What fits the task, or the metrics that were asked for.

        Raises:
            ValueError: a metric that was asked for does not exist here.
        """
        if self.regression:
            numbers = [prediction.score or 0.0 for prediction in predicted]
            scores = number_scores([self._number(example) for example in gold], numbers)
        else:
            names = [example.label or "" for example in gold]
            scores = label_scores(names, [prediction.label or "" for prediction in predicted], self.labels)
        asked = self._asked_metrics()
        wrong = [name for name in asked if name not in scores]
        if wrong:
            raise UserError(f"metrics: no {wrong[0]!r} here; there are {', '.join(scores)}")
        return {name: scores[name] for name in asked} if asked else scores

    def dump(self, predicted: Sequence[TextPrediction], stream: TextIO) -> None:
        """Write a JSON object a text."""
        for prediction in predicted:
            values = {name: value for name, value in asdict(prediction).items() if value not in (None, {})}
            stream.write(json.dumps(values, ensure_ascii=False) + "\n")

    def baseline(self, train: Sequence[LabelledText], test: Sequence[LabelledText]) -> dict[str, float]:
        """The most frequent label of the training split for every text, or its mean score."""
        if self.regression:
            guess = [sum(self._number(example) for example in train) / len(train)]
        else:
            best = Counter(example.label for example in train).most_common(1)[0][0]
            guess = [float(label == best) for label in self.labels]
        return self.score(test, [self._prediction(example, guess) for example in test])

    def _prediction(self, example: LabelledText, result: Sequence[float]) -> TextPrediction:
        best = None if self.regression else self.labels[max(range(len(result)), key=result.__getitem__)]
        probabilities = {} if self.regression else dict(zip(self.labels, result, strict=True))
        return TextPrediction(
            text=example.text,
            pair=example.pair,
            label=best,
            probabilities=probabilities,
            score=result[0] if self.regression else None,
        )

    def _examples(
        self, table: Table, *, labels: bool = True, bad: BadRows | None = None
    ) -> list[LabelledText]:
        """Check a table and take texts and labels from it."""
        options = self.options
        columns = find_columns(
            table,
            text=options.text_column,
            pair=options.text_pair_column,
            label=options.label_column,
            labels=labels,
            pairs=options.pairs,
        )
        table = spread_translations(table, columns)
        text, pair, label = columns
        names = tuple(table.label_names.get(table.columns[label], ())) if label is not None else ()
        if label is not None:
            hidden = self._unlabelled([row[label] for row in table.rows], names)
            if len(hidden) == len(table.rows) > 0 and not options.keep_unlabelled:
                marks = ", ".join(sorted({str(row[label]).strip().removesuffix(".0") for row in table.rows}))
                raise DataError(
                    f"{table.source}: every label is {marks}, which stands for hidden ones; leave out "
                    "--do_predict, or keep them as a class by --keep_unlabelled"
                )
            if hidden and not options.keep_unlabelled:
                _tell_unlabelled(table, label, hidden)
        else:
            hidden = []
        left_out = set() if options.keep_unlabelled else set(hidden)
        bad = self.bad_rows() if bad is None else bad
        examples = []
        for number, row in enumerate(table.rows):
            if number in left_out:
                continue
            with bad.row():
                place = table.place(number)
                first, second = check_text(row[text], "text", place), None
                if pair is not None:
                    second = check_text(row[pair], "second text", place)
                name = None
                if label is not None and number in hidden:
                    name = str(row[label]).strip().removesuffix(".0")
                elif label is not None:
                    name = _label(row[label], names, place, scores=self.regression)
                examples.append(self._example(place, first, second, name, names))
        bad.tell(table.source, len(examples))
        if not examples:
            raise DataError(f"{table.source} holds no row")
        return examples

    def _unlabelled(self, values: Sequence[Any], names: Sequence[str]) -> list[int]:
        """Numbers of the rows whose label says that there is no gold label.

        -1 says so among whole numbers, unless the model has such a class or a number is to be predicted; of
        scores only if all are -1.
        """
        if set(self.labels) & _NO_LABEL and not self.regression:
            return []  # a model that was trained with them
        texts = [str(value).strip() if isinstance(value, (str, int, float)) else "" for value in values]
        hidden = [number for number, text in enumerate(texts) if text == "-"]
        minus = [number for number, text in enumerate(texts) if text in ("-1", "-1.0")]
        scores = self.regression or self.options.problem_type == "regression"
        whole = all(_is_int(text.removesuffix(".0")) for text in texts if text not in ("", "-"))
        if len(minus) == len(values) or names or (whole and not scores):
            hidden += minus
            if not names:
                self._ask_for_minus_one(texts, len(minus))
        return sorted(hidden)

    def _ask_for_minus_one(self, labels: Sequence[str], count: int) -> None:
        """Refuse to choose where -1 among training labels may be a class, such as of negative texts."""
        others = Counter(label for label in labels if label not in ("-", "-1", "-1.0"))
        rarest = min(others.values(), default=math.inf)
        if self.options.keep_unlabelled is None and not self.labels and count >= max(_MANY, rarest / 2):
            raise UserError(
                f"{count} of {len(labels)} labels are -1, which may be a class of its own or stand for rows "
                "without a gold label: say --keep_unlabelled true (a class) or false (left out)"
            )

    def _example(
        self, place: str, text: str, pair: str | None, label: str | None, names: tuple[str, ...]
    ) -> LabelledText:
        example = LabelledText(place=place, text=text, pair=pair, label=label, names=names)
        if label is not None and self.labels:
            if self.regression:
                self._number(example)
            elif label not in self.labels and f"{label}.0" in self.labels:  # of a model of an earlier version
                example = replace(example, label=f"{label}.0")
            elif label not in self.labels:
                raise DataError(
                    f"{place}: the label {label!r} is not among those of the training split or the model: "
                    f"{', '.join(self.labels)}"
                )
        return example

    def _number(self, example: LabelledText) -> float:
        try:
            number = float(example.label or "")
        except ValueError as error:
            raise DataError(f"{example.place}: the label {example.label!r} is no number") from error
        if not math.isfinite(number):
            raise DataError(f"{example.place}: the label {example.label!r} is no finite number")
        return number

    def _known_columns(self) -> list[str]:
        options = self.options
        asked = [options.text_column, options.text_pair_column, options.label_column]
        return [*(name for name in asked if name and not name.isdigit()), *KNOWN]

    def _asked_metrics(self) -> list[str]:
        asked = _split(self.options.metrics)
        for name in asked:
            if name not in (*LABEL_METRICS, *NUMBER_METRICS):
                known = ", ".join((*LABEL_METRICS, *NUMBER_METRICS))
                raise UserError(f"metrics: unknown {name!r}; there are {known}")
        return asked


def _label(value: Any, names: Sequence[str], place: str, *, scores: bool) -> str:
    """The name of a label, or the number of a score as text.

    Raises:
        DataError: it is none: nothing, a truth value, a list, not a number, or half a character.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{place}: the row has no label; without labels, leave out --do_predict")
    if isinstance(value, (bool, list, tuple, dict, bytes)) or not isinstance(value, (str, int, float)):
        raise DataError(f"{place}: the label {shown(value)} is no name and no number; write it as text")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"{place}: the label {value!r} is no finite number; write a label")
        return str(int(value)) if value.is_integer() and not names else str(value)
    if isinstance(value, int):
        if names:
            if not 0 <= value < len(names):
                raise DataError(f"{place}: the label {value} is not among the {len(names)} that have names")
            return names[value]
        return str(value)
    if value.strip() in _NOT_A_LABEL and not scores:
        raise DataError(
            f"{place}: the label {value!r} is what programs write for a missing value; write a label"
        )
    name = check_text(value, "label", place).strip()
    return name.removesuffix(".0") if _is_int(name.removesuffix(".0")) else name  # as above


def _tell_unlabelled(table: Table, label: int, rows: Sequence[int]) -> None:
    """Say which rows are left out because they have no gold label."""
    shown_rows = ", ".join(table.place(row).removeprefix(table.source).lstrip(":, ") for row in rows[:5])
    marks = ", ".join(sorted({repr(table.rows[row][label]) for row in rows}))
    logger.warning(
        "%s: %d of %d rows have no gold label (%s) and are left out: %s %s%s; --keep_unlabelled makes them a "
        "class",
        table.source, len(rows), len(table.rows), marks, "line" if table.lines else "", shown_rows,
        ", …" if len(rows) > 5 else "",
    )  # fmt: skip


def _split(names: str | None) -> list[str]:
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def _is_int(label: str) -> bool:
    return re.fullmatch(r"-?\d{1,18}", label) is not None
