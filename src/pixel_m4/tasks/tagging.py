"""Part-of-speech tagging (UPOS) on Universal Dependencies treebanks, as PIXEL does it (Rust et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TextIO

from .conllu import Sentence, parse_raw, read_conllu, with_tags, write_conllu
from .parsing import CONLLU_FILES, Parsing
from .words import WordLabels

# https://universaldependencies.org/u/pos/ (version 2), in alphabetical order.
UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT",
    "SCONJ", "SYM", "VERB", "X",
)  # fmt: skip


class Tagging(WordLabels[Sentence]):
    """The universal part of speech of every word."""

    name = "pos"
    metric = "accuracy"
    scores = ("accuracy",)
    files = CONLLU_FILES
    suffix = ".conllu"
    recipe: ClassVar[Mapping[str, Any]] = {**Parsing.recipe, "learning_rate": 5e-5}

    def default_labels(self) -> list[str]:
        """The universal tags."""
        return list(UPOS)

    def read_file(self, path: Path) -> list[Sentence]:
        """Read CoNLL-U (plain, .gz or .xz) and check its tags; trees may be missing."""
        sentences = read_conllu(path, trees=False)
        self.check_labels(sentences)
        return sentences

    def read_raw(self, lines: Iterable[str], source: str) -> list[Sentence]:
        """CoNLL-U without its tags, or a sentence a line."""
        return parse_raw(lines, source)

    def tags(self, sentence: Sentence) -> Sequence[str]:
        """The universal tags."""
        return sentence.upos

    def tagged(self, sentence: Sentence, tags: Sequence[str]) -> Sentence:
        """With other universal tags, all other columns as they are."""
        return with_tags(sentence, tags)

    def score(self, gold: Sequence[Sentence], predicted: Sequence[Sentence]) -> dict[str, float]:
        """Accuracy over all words."""
        pairs = [
            pair for g, p in zip(gold, predicted, strict=True) for pair in zip(g.upos, p.upos, strict=True)
        ]
        return {"accuracy": 100 * sum(a == b for a, b in pairs) / len(pairs)}

    def dump(self, predicted: Sequence[Sentence], stream: TextIO) -> None:
        """Write CoNLL-U."""
        write_conllu(predicted, stream)
