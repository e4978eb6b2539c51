"""Tasks that give every word a label, predicted on the word's first patch.

Dimensions: B batch, P patches.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from pixel_m4.files import DataError
from pixel_m4.formats.rows import BadRows
from pixel_m4.tasks.base import ModelClass, Task, Window, WordOptions, gather, innermost
from pixel_m4.tasks.batch import IGNORE, Arrays, as_array, pad


class Words(Protocol):
    """A sentence, as far as these tasks must know it."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words that are drawn."""

    def place(self, word: int) -> str:
        """Where a word stands, for messages."""


S = TypeVar("S", bound=Words)


class WordLabels(Task[S, Window, list[int], S]):
    """A label for every word; where windows overlap, the one that shows most around the word says it."""

    model_class = ModelClass("PixelForTokenClassification")
    options: WordOptions

    @abstractmethod
    def tags(self, sentence: S) -> Sequence[str]:
        """The labels of the words."""

    @abstractmethod
    def tagged(self, sentence: S, tags: Sequence[str]) -> S:
        """The sentence with other labels."""

    def check(self, sentence: S) -> None:
        """Compare a sentence with the labels of the model, where it has some already.

        Raises:
            DataError: a label is unknown; names its place and the known ones.
        """
        if not self.labels:
            return
        for word, tag in enumerate(self.tags(sentence)):
            if tag not in self.labels:
                raise DataError(
                    f"{sentence.place(word)}: the word {sentence.words[word]!r} has the tag {tag!r}, "
                    f"which the model does not know; its tags: {', '.join(self.labels)}"
                )

    def checked(self, sentences: Sequence[S], bad: BadRows, source: str) -> list[S]:
        """The sentences whose labels are right; ``bad`` says what to do with others.

        Raises:
            DataError: a label is wrong, or no sentence is left.
        """
        kept = []
        for sentence in sentences:
            with bad.row():
                self.check(sentence)
                kept.append(sentence)
        bad.tell(source, len(kept))
        return kept

    def encode(self, examples: Sequence[S], *, labels: bool = True) -> list[Window]:
        """Cut sentences into windows with a label each word."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        encoded = []
        for example, sentence in enumerate(examples):
            targets = {"labels": [numbers[tag] for tag in self.tags(sentence)]} if labels else {}
            encoded += self._windows(example, sentence.words, targets)
        return encoded

    def collate(self, batch: Sequence[Window]) -> Arrays:
        """What the renderer gives, such as ``pixel_values``, and ``labels`` [B, P] on first patches of words.

        Models whose labels are those of words get ``word_starts`` too, and ``labels`` [B, W].
        """
        rendered = self._render(batch)
        if self.options.labels_words:
            return {
                **rendered,
                **({"labels": pad([w.labels["labels"] for w in batch])} if batch[0].labels else {}),
            }
        del rendered["word_starts"]
        if batch[0].labels:
            rendered["labels"] = np.full_like(rendered["attention_mask"], IGNORE)
            for row, window in zip(rendered["labels"], batch, strict=True):
                row[window.starts] = window.labels["labels"]
        return rendered

    def decode(self, outputs: Any, batch: Sequence[Window]) -> list[list[int]]:
        """The best label of each word."""
        best = as_array(outputs.logits.argmax(-1))
        if self.options.labels_words:
            return [row[: len(window.words)].tolist() for row, window in zip(best, batch, strict=True)]
        return [row[window.starts].tolist() for row, window in zip(best, batch, strict=True)]

    def predict(
        self, examples: Sequence[S], encoded: Sequence[Window], results: Sequence[list[int]]
    ) -> list[S]:
        """Sentences with predicted labels."""
        predicted = []
        for sentence, parts in zip(examples, gather(len(examples), encoded, results), strict=True):
            tags = []
            for word in range(len(sentence.words)):
                window, numbers = innermost(word, parts)
                tags.append(self.labels[numbers[word - window.span.start]])
            predicted.append(self.tagged(sentence, tags))
        return predicted

    def baseline(self, train: Sequence[S], test: Sequence[S]) -> dict[str, float]:
        """The most frequent label of the word's form in train, or of all words if the form is new."""
        frequent = Counter(tag for sentence in train for tag in self.tags(sentence))
        by_form: dict[str, Counter[str]] = {}
        for sentence in train:
            for word, tag in zip(sentence.words, self.tags(sentence), strict=True):
                by_form.setdefault(word, Counter())[tag] += 1
        guessed = [
            self.tagged(
                sentence, [by_form.get(word, frequent).most_common(1)[0][0] for word in sentence.words]
            )
            for sentence in test
        ]
        return self.score(test, guessed)
