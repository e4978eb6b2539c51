"""Part-of-speech tagging (UPOS) on Universal Dependencies treebanks, as PIXEL does it (Rust et al. 2023).

A word's tag is predicted on its first patch.  Dimensions: B batch, P patches, W words of a window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TextIO

import torch

from pixel_m4.data.batch import IGNORE
from pixel_m4.model import PixelForTokenClassification

from .base import DataError, Task, Window, gather, innermost
from .conllu import Sentence, parse_raw, read_conllu, with_tags, write_conllu
from .parsing import CONLLU_FILES, Parsing

# https://universaldependencies.org/u/pos/ (version 2), in alphabetical order.
UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT",
    "SCONJ", "SYM", "VERB", "X",
)  # fmt: skip


class Tagging(Task[Sentence, Window, list[int], Sentence]):
    """The universal part of speech of every word."""

    name = "pos"
    model_class = PixelForTokenClassification
    metric = "accuracy"
    files = CONLLU_FILES
    suffix = ".conllu"
    recipe: ClassVar[Mapping[str, Any]] = {**Parsing.recipe, "learning_rate": 5e-5}

    def default_labels(self) -> list[str]:
        """The universal tags."""
        return list(UPOS)

    def read_file(self, path: Path) -> list[Sentence]:
        """Read CoNLL-U (plain, .gz or .xz) and check its tags; trees may be missing."""
        sentences = read_conllu(path, trees=False)
        known = set(self.labels)
        for sentence in sentences:
            for word, tag in enumerate(sentence.upos):
                if tag not in known:
                    raise DataError(
                        f"{sentence.place(word)}: the word {sentence.words[word]!r} has the tag {tag!r}, "
                        f"which the model does not know; its tags: {', '.join(self.labels)}"
                    )
        return sentences

    def read_raw(self, lines: Iterable[str], source: str) -> list[Sentence]:
        """CoNLL-U without its tags, or a sentence a line."""
        return parse_raw(lines, source)

    def encode(self, examples: Sequence[Sentence], *, labels: bool = True) -> list[Window]:
        """Cut sentences into windows with a tag each word."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        encoded = []
        for example, sentence in enumerate(examples):
            targets = {"labels": [numbers[tag] for tag in sentence.upos]} if labels else {}
            encoded += self._windows(example, sentence.words, targets)
        return encoded

    def collate(self, batch: Sequence[Window]) -> dict[str, torch.Tensor]:
        """``pixel_values``, ``attention_mask`` and ``labels`` [B, P]: a tag on the first patch of a word."""
        rendered = self._render(batch)
        del rendered["word_starts"]
        if batch[0].labels:
            rendered["labels"] = torch.full_like(rendered["attention_mask"], IGNORE)
            for row, window in zip(rendered["labels"], batch, strict=True):
                row[window.starts] = torch.tensor(window.labels["labels"])
        return rendered

    def decode(self, outputs: Any, batch: Sequence[Window]) -> list[list[int]]:
        """The best tag of each word."""
        best = outputs.logits.argmax(-1).cpu()
        return [row[window.starts].tolist() for row, window in zip(best, batch, strict=True)]

    def predict(
        self, examples: Sequence[Sentence], encoded: Sequence[Window], results: Sequence[list[int]]
    ) -> list[Sentence]:
        """Sentences with predicted tags."""
        predicted = []
        for sentence, parts in zip(examples, gather(len(examples), encoded, results), strict=True):
            tags = []
            for word in range(len(sentence.words)):
                window, numbers = innermost(word, parts)
                tags.append(self.labels[numbers[word - window.span.start]])
            predicted.append(with_tags(sentence, tags))
        return predicted

    def score(self, gold: Sequence[Sentence], predicted: Sequence[Sentence]) -> dict[str, float]:
        """Accuracy over all words."""
        pairs = [
            pair for g, p in zip(gold, predicted, strict=True) for pair in zip(g.upos, p.upos, strict=True)
        ]
        return {"accuracy": 100 * sum(a == b for a, b in pairs) / len(pairs)}

    def dump(self, predicted: Sequence[Sentence], stream: TextIO) -> None:
        """Write CoNLL-U."""
        write_conllu(predicted, stream)

    def baseline(self, train: Sequence[Sentence], test: Sequence[Sentence]) -> dict[str, float]:
        """The most frequent tag of the word's form in train, or of all words if the form is new."""
        tags = Counter(tag for sentence in train for tag in sentence.upos)
        by_form: dict[str, Counter[str]] = {}
        for sentence in train:
            for word, tag in zip(sentence.words, sentence.upos, strict=True):
                by_form.setdefault(word, Counter())[tag] += 1
        guessed = [
            with_tags(sentence, [by_form.get(word, tags).most_common(1)[0][0] for word in sentence.words])
            for sentence in test
        ]
        return self.score(test, guessed)
