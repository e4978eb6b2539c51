"""Part-of-speech tagging (UPOS) on Universal Dependencies treebanks, as PIXEL does it (Rust et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TextIO

from pixel_m4.files import DataError
from pixel_m4.formats.conllu import (
    UPOS,
    Sentence,
    read_conllu,
    stream_raw,
    tag_accuracy,
    with_tags,
    write_conllu,
)
from pixel_m4.formats.rows import InputFormat, folded
from pixel_m4.tasks.base import WordOptions
from pixel_m4.tasks.parsing import CONLLU_FILES, Parsing
from pixel_m4.tasks.words import WordLabels


class Tagging(WordLabels[Sentence]):
    """The universal part of speech of every word."""

    name = "pos"
    metric = "accuracy"
    scores = ("accuracy",)
    options_class = WordOptions
    options: WordOptions
    files = CONLLU_FILES
    suffix = ".conllu"
    tables = ()
    column_files = Parsing.column_files
    recipe: ClassVar[Mapping[str, Any]] = {**Parsing.recipe, "learning_rate": 5e-5}

    def default_labels(self) -> list[str]:
        """The universal tags."""
        return list(UPOS)

    def read_file(self, path: Path, *, labels: bool = True) -> list[Sentence]:
        """Read CoNLL-U, also compressed, and check its tags; trees may be missing."""
        bad = self.bad_rows()
        sentences = read_conllu(path, trees=False, bad=bad)
        return self.checked(sentences, bad, str(path)) if labels else sentences

    def check(self, sentence: Sentence) -> None:
        """Refuse tags that stand for nothing, too."""
        if "UPOS" in sentence.placeholders:
            raise DataError(f"{sentence.source}: the tags stand for nothing, as the comment says")
        super().check(sentence)

    def stream(
        self, lines: Iterable[str], source: str, input_format: InputFormat = "auto"
    ) -> Iterator[Sentence]:
        """CoNLL-U, whose annotation may be missing, or a sentence a line."""
        return stream_raw(lines, source, input_format, self.bad_rows())

    def text_of(self, example: Sentence) -> str:
        """The words."""
        return folded(" ".join(example.words))

    def tags(self, sentence: Sentence) -> Sequence[str]:
        """The universal tags."""
        return sentence.upos

    def tagged(self, sentence: Sentence, tags: Sequence[str]) -> Sentence:
        """With other universal tags, all other columns as they are."""
        return with_tags(sentence, tags)

    def score(self, gold: Sequence[Sentence], predicted: Sequence[Sentence]) -> dict[str, float]:
        """Accuracy over all words."""
        return {"accuracy": tag_accuracy(gold, predicted)}

    def dump(self, predicted: Sequence[Sentence], stream: TextIO) -> None:
        """Write CoNLL-U."""
        write_conllu(predicted, stream)
