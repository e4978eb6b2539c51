"""Extractive question answering in SQuAD format: SQuAD, XQuAD, TyDiQA-GoldP, KorQuAD, JaQuAD.

A window shows the question, a black patch, a part of the context and a black patch.
Dimensions: B batch, P patches.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, NamedTuple, TextIO

import numpy as np

from pixel_m4.console.errors import UserError
from pixel_m4.files import COMPRESSED, DataError
from pixel_m4.formats.jsonlines import first_line
from pixel_m4.formats.rows import BadRows, InputFormat, folded
from pixel_m4.formats.squad import Question, read_questions, squad_scores
from pixel_m4.formats.tables import (
    TABLE_FILES,
    Table,
    find_language,
    json_tables,
    read_hub,
    read_split,
    read_table,
)
from pixel_m4.render.offsets import Offsets
from pixel_m4.render.windows import windows
from pixel_m4.tasks.base import DatasetOptions, ModelClass, Task
from pixel_m4.tasks.batch import Arrays, as_array
from pixel_m4.tasks.cutting import cut, units
from pixel_m4.tasks.spans import answer_patches, span_characters, whole_words

logger = logging.getLogger(__name__)
_STRIDE = 160  # published, for windows of 400


@dataclass(frozen=True, kw_only=True)
class QAOptions(DatasetOptions):
    """How contexts are cut and answers chosen."""

    former: ClassVar[Sequence[str]] = ("word_f1",)  # both F1 are reported now

    stride: int | None = field(
        default=None,
        metadata={
            "help": "patches that neighbouring windows of a context share; default: 160 as published, or "
            "half of what the longest question leaves of a window if that is less"
        },
    )
    max_question_length: int | None = field(
        default=128,
        metadata={
            "help": "patches after which a question is cut, at most half the window; default: 128; none: "
            "half the window"
        },
    )
    max_answer_length: int = field(
        default=30, metadata={"help": "patches of the longest answer to predict; default: 30"}
    )
    n_best: int = field(default=20, metadata={"help": "first and last patches of a window to combine"})
    version_2_with_negative: bool | None = field(
        default=None,
        metadata={
            "help": "whether questions may have no answer (SQuAD 2); default: as the data looks",
            "nargs": "?",  # a bare flag means yes
            "const": True,
        },
    )
    null_score_diff_threshold: float = field(
        default=0.0,
        metadata={
            "help": "no answer is given if its score is better than the best answer's by more than this"
        },
    )
    whole_words: bool = field(
        default=True,
        metadata={
            "help": "widen an answer that begins or ends inside a word to the whole word, but not in scripts "
            "without spaces, nor in Hangul; false: answers are what patches show, as published"
        },
    )
    rtl: bool = field(
        default=False,
        metadata={"help": "draw all text right-to-left; default: as each text looks"},
    )
    align_answers: bool = field(
        default=False,
        metadata={"help": "move answers that are not at their place to where they occur nearest"},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class QAWindow:
    """A question and a part of its context that fit on one canvas.

    Attributes:
        example: number of the question.
        start: first character of the part.
        question: as it is drawn.
        part: the part of the context.
        length: patches of both.
        answer: first and last character (exclusive) of the answer in ``part``, None if it is not whole in it.
        labelled: whether the answer is to be learnt.
    """

    example: int
    start: int
    question: str
    part: str
    length: int
    answer: tuple[int, int] | None
    labelled: bool

    @property
    def pair(self) -> tuple[str, str]:
        """What is rendered."""
        return self.question, self.part


class Span(NamedTuple):
    """A possible answer: characters [start, end) of the context, and the score of its patches."""

    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the model says about a window: the score of no answer there, and the best spans."""

    null: float
    spans: list[Span]


@dataclass(frozen=True, kw_only=True, slots=True)
class QAPrediction:
    """A predicted answer.

    Attributes:
        id: of the question.
        question: the question.
        answer: its text, empty for no answer.
        start: its first character in the context, -1 for no answer.
        score: sum of the logits of first and last patch; for no answer, of CLS.
        context: the text that was read.
    """

    id: str
    question: str
    answer: str
    start: int
    score: float
    context: str = ""


class QuestionAnswering(Task[Question, QAWindow, Candidates, QAPrediction]):
    """The part of a text that answers a question."""

    name = "qa"
    model_class = ModelClass("PixelForQuestionAnswering")
    metric = "f1"
    scores = (
        *("exact_match", "f1", "exact_match_characters", "f1_characters", "no_answer_accuracy"),
        *("has_answer_exact_match", "has_answer_f1"),
    )
    options_class = QAOptions
    options: QAOptions
    files = (*TABLE_FILES, *(f"{{split}}-*.json{packed}" for packed in ("", *COMPRESSED)))
    suffix = ".jsonl"
    rows_are = "questions"
    recipe: ClassVar[Mapping[str, Any]] = {
        "max_seq_length": 400,
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 32,
        "learning_rate": 7e-5,
        "max_steps": 20_000,
        "warmup_steps": 100,
        "eval_steps": 500,
        "early_stopping_patience": 5,
    }

    def find_labels(self, train: Sequence[Question]) -> list[str]:
        """There are no labels; but note whether questions without an answer are to be learnt."""
        if self.options.version_2_with_negative is None:
            self.options = replace(self.options, version_2_with_negative=_some_unanswerable(train))
        return self.labels

    def read(self, data_dir: Path, split: str) -> list[Question]:
        """Read a split of a folder, of a language's folder in it, or of a data set on the hub."""
        options = self.options
        bad = self.bad_rows()
        if options.dataset_name is not None:
            table = read_hub(options.dataset_name, options.language, split)
        else:
            folder = find_language(data_dir, options.language)
            table = read_split(folder, split, files=self.files, bad=bad)
        return self._questions(table, bad)

    def read_file(self, path: Path, *, labels: bool = True) -> list[Question]:
        """Read SQuAD's JSON, or rows as on the hub in JSON, Parquet or Arrow."""
        bad = self.bad_rows()
        return self._questions(read_table(path, bad=bad), bad, labels=labels)

    def _questions(self, table: Table, bad: BadRows, *, labels: bool = True) -> list[Question]:
        questions = read_questions(table, align=self.options.align_answers, answers=labels, bad=bad)
        if not questions:
            raise DataError(f"{table.source} holds no question")
        answered = self.options.version_2_with_negative is False
        if labels and answered and all(question.answers == () for question in questions):
            raise DataError(
                f"{table.source}: no question has an answer, as where they are hidden; leave out "
                "--do_predict, or say --version_2_with_negative if there is none indeed"
            )
        return questions

    def stream(
        self, lines: Iterable[str], source: str, input_format: InputFormat = "auto"
    ) -> Iterator[Question]:
        """JSON objects with ``question`` and ``context``, one a line; or SQuAD's JSON without its answers."""
        head, rest = first_line(lines)
        if not any(line.strip() for line in head):
            raise DataError(f'{source}: holds no question; write {{"question": …, "context": …}}, one a line')
        for table in json_tables(rest, source):
            yield from read_questions(table, answers=False, bad=self.bad_rows())

    def group(self, example: Question) -> Hashable:
        """Questions on one context stay in one split."""
        return example.context

    def text_of(self, example: Question) -> str:
        """The context."""
        return folded(example.context)

    def encode(self, examples: Sequence[Question], *, labels: bool = True) -> list[QAWindow]:
        """Windows over the context of each question; questions that are too long are cut and counted.

        Raises:
            ValueError: the stride leaves no room for a window to move on.
        """
        capacity, between = self.renderer.capacity, self.renderer.between
        both = capacity - between
        room = min(self.options.max_question_length or both, both // 2)
        left = both - room
        stride = self.options.stride
        if stride is None:
            stride = _STRIDE if left > _STRIDE else left // 2
        if not 0 <= stride < left:
            raise UserError(
                f"stride must be at least 0 and smaller than the {left} patches that the longest question "
                f"leaves of {self.renderer.max_seq_length}, not {stride}"
            )
        cuts: dict[str, list[tuple[int, int, int]]] = {}  # of each context, for its many questions
        encoded: list[QAWindow] = []
        shortened = 0
        for number, example in enumerate(examples):
            question = cut(self.renderer, example.question, room)
            shortened += question != example.question
            taken = between + sum(self.renderer.measure(question.split()))
            if example.context not in cuts:
                cuts[example.context] = units(self.renderer, example.context)
            parts = cuts[example.context]
            widths = [width for _, _, width in parts]
            for window in windows(widths, capacity - taken, stride):
                start, stop = parts[window.start][0], parts[window.stop - 1][1]
                answer = None
                if labels and example.answers:
                    first = example.answers[0].start - start
                    last = first + len(example.answers[0].text)
                    answer = (first, last) if first >= 0 and start + last <= stop else None
                encoded.append(
                    QAWindow(
                        example=number,
                        start=start,
                        question=question,
                        part=example.context[start:stop],
                        length=taken + sum(widths[window.start : window.stop]),
                        answer=answer,
                        labelled=labels,
                    )
                )
        if shortened:
            logger.warning(
                "%d of %d questions are longer than %d patches and were cut", shortened, len(examples), room
            )
        return encoded

    def collate(self, batch: Sequence[QAWindow]) -> Arrays:
        """What the renderer gives, such as ``pixel_values``, ``attention_mask`` [B, P]; positions [B].

        A window without the answer points to P, where the model puts CLS.
        """
        rendered = dict(self._drawn(batch))
        if batch[0].labelled:
            cls = rendered["attention_mask"].shape[1]
            bounds = [self._answer_patches(window) or (cls, cls) for window in batch]
            rendered["start_positions"], rendered["end_positions"] = np.array(bounds, np.int64).T
        return rendered

    def _answer_patches(self, window: QAWindow) -> tuple[int, int] | None:
        """First and last patch of the answer; None if it is not drawn."""
        if window.answer is None:
            return None
        return answer_patches(self._offsets(window), *window.answer)

    def _drawn(self, batch: Sequence[QAWindow]) -> Mapping[str, Any]:
        pairs = [window.pair for window in batch]
        return self.renderer.batch(pairs, rtl=self.options.rtl)

    def _offsets(self, window: QAWindow) -> Offsets:
        return self.renderer.offsets(window.pair, rtl=self.options.rtl)

    def decode(self, outputs: Any, batch: Sequence[QAWindow]) -> list[Candidates]:
        """The best spans of each window, as characters of the context."""
        starts = as_array(outputs.start_logits)
        ends = as_array(outputs.end_logits)
        return [self._candidates(*rows) for rows in zip(starts, ends, batch, strict=True)]

    def _candidates(self, starts: np.ndarray, ends: np.ndarray, window: QAWindow) -> Candidates:
        offsets = self._offsets(window)
        shown = np.flatnonzero(offsets.text_of_patch == 1)
        count = self.options.n_best
        firsts = shown[np.argsort(-starts[shown], kind="stable")[:count]]
        lasts = shown[np.argsort(-ends[shown], kind="stable")[:count]]
        length = lasts[None] - firsts[:, None]
        possible = np.argwhere((length >= 0) & (length < self.options.max_answer_length))
        scores = starts[firsts[possible[:, 0]]] + ends[lasts[possible[:, 1]]]
        spans = []
        for i in np.argsort(-scores, kind="stable")[:count]:
            first, last = firsts[possible[i, 0]], lasts[possible[i, 1]]
            start, end = span_characters(offsets, int(first), int(last), window.part)
            spans.append(Span(float(scores[i]), window.start + start, window.start + end))
        return Candidates(float(starts[-1] + ends[-1]), spans)

    def predict(
        self, examples: Sequence[Question], encoded: Sequence[QAWindow], results: Sequence[Candidates]
    ) -> list[QAPrediction]:
        """The best span over all windows of a question; none if CLS has the better score in every window.

        With ``whole_words``, it is widened where it begins or ends inside a word.
        """
        negative = self.options.version_2_with_negative
        if negative is None:
            negative = _some_unanswerable(examples)
        spans: list[list[Span]] = [[] for _ in examples]
        nulls = [float("inf")] * len(examples)
        for window, result in zip(encoded, results, strict=True):
            spans[window.example] += result.spans
            nulls[window.example] = min(nulls[window.example], result.null)
        predicted = []
        for example, found, null in zip(examples, spans, nulls, strict=True):
            best = max(found, default=None)
            threshold = self.options.null_score_diff_threshold
            if best is None or (negative and null - best.score > threshold):
                best = Span(null, -1, -1)
            elif self.options.whole_words:
                best = Span(best.score, *whole_words(example.context, best.start, best.end))
            predicted.append(
                QAPrediction(
                    id=example.id,
                    question=example.question,
                    answer="" if best.start < 0 else example.context[best.start : best.end],
                    start=best.start,
                    score=best.score,
                    context=example.context,
                )
            )
        return predicted

    def score(self, gold: Sequence[Question], predicted: Sequence[QAPrediction]) -> dict[str, float]:
        """Exact match and F1, each as published and with characters counted."""
        answers = [[answer.text for answer in question.answers or ()] for question in gold]
        return squad_scores(answers, [p.answer for p in predicted])

    def dump(self, predicted: Sequence[QAPrediction], stream: TextIO) -> None:
        """Write a JSON object a question, which can be read again: the answer also stands in ``answers``."""
        for prediction in predicted:
            values = {name: value for name, value in asdict(prediction).items() if name != "id" or value}
            found = prediction.start >= 0
            values["answers"] = {
                "text": [prediction.answer] * found,
                "answer_start": [prediction.start] * found,
            }
            stream.write(json.dumps(values, ensure_ascii=False) + "\n")

    def baseline(self, train: Sequence[Question], test: Sequence[Question]) -> dict[str, float]:
        """The beginning of the context, as many patches as training answers have in the median; or no answer.

        No answer it is where most of the training questions have none.
        """
        texts = [question.answers[0].text for question in train if question.answers]
        if 2 * len(texts) < len(train) or not texts:
            return self._score_texts(test, ["" for _ in test])
        widths = [sum(self.renderer.measure(text.split())) for text in texts]
        room = int(median(widths))
        return self._score_texts(test, [self._beginning(question.context, room) for question in test])

    def _beginning(self, context: str, room: int) -> str:
        """As many words as fit, at least one (of a long one, a part)."""
        start, end, _ = units(self.renderer, context)[0]
        return cut(self.renderer, context, room) or context[start:end]

    def _score_texts(self, gold: Sequence[Question], texts: Sequence[str]) -> dict[str, float]:
        predicted = [
            QAPrediction(id=question.id, question=question.question, answer=text, start=0, score=0.0)
            for question, text in zip(gold, texts, strict=True)
        ]
        return self.score(gold, predicted)


def _some_unanswerable(questions: Sequence[Question]) -> bool:
    return any(question.answers is not None and not question.answers for question in questions)
