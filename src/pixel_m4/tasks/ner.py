"""Named entity recognition as PIXEL does it (Rust et al. 2023): a tag a word, scored by whole entities."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TextIO

from .base import DataError, DatasetOptions, find_split
from .iob import DataFormat, TaggedSentence, is_tag, parse_iob, parse_raw, to_iob2, write_iob2
from .parsing import Parsing
from .tables import Table, find_language, is_arrow, read_arrow, read_hub, read_table, read_text
from .words import WordLabels

TOKENS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "ner", "labels")

_TABLES = (".parquet", ".jsonl", ".json")


@dataclass(frozen=True, kw_only=True)
class NEROptions(DatasetOptions):
    """Where the data come from and how they are written."""

    data_format: DataFormat = field(
        default="auto",
        metadata={
            "help": "columns: word first, tag last; numbered: Universal NER; characters: KLUE; "
            "auto: as the file looks"
        },
    )


class NER(WordLabels[TaggedSentence]):
    """The named entities of a sentence."""

    name = "ner"
    metric = "f1"
    scores = ("precision", "recall", "f1", "f1_*")
    options_class = NEROptions
    options: NEROptions
    files: ClassVar[Sequence[str]] = [
        f"{pattern}{zipped}"
        for pattern in (
            "{split}.txt", "*{split}.txt", "*{split}.iob2", "*{split}.conll", "*ner*{split}.tsv",
            "*{split}.tsv",             *(f"*{{split}}{suffix}" for suffix in _TABLES),
        )
        for zipped in ("", ".gz")
    ]  # fmt: skip
    suffix = ".iob2"
    recipe: ClassVar[Mapping[str, Any]] = {
        **Parsing.recipe,
        "max_seq_length": 196,
        "learning_rate": 5e-5,
        "max_steps": 50_000,
    }

    def score_names(self) -> list[str]:
        """Precision, recall and F1, and F1 of every type."""
        if not self.labels:
            return list(self.scores)
        return [*self.scores[:3], *dict.fromkeys(f"f1_{label[2:]}" for label in self.labels if label != "O")]

    def find_labels(self, train: Sequence[TaggedSentence]) -> list[str]:
        """O, then B and I of every type, even if one of the two is not used; types in alphabetical order."""
        kinds = sorted({tag[2:] for sentence in train for tag in sentence.tags if tag != "O"})
        if not kinds:
            raise DataError(
                f"{train[0].source if train else 'train'} holds no entity; there is nothing to learn"
            )
        return ["O", *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI")]

    def read(self, data_dir: Path, split: str) -> list[TaggedSentence]:
        """Read one split: of the hub, of an Arrow folder, or a file."""
        language = self.options.language
        if self.options.dataset_name is not None:
            return self._from_table(read_hub(self.options.dataset_name, language, split))
        folder = find_language(data_dir, language)
        if folder.is_dir() and is_arrow(folder):
            return self._from_table(read_arrow(folder, split))
        return self.read_file(find_split(folder, split, self.files))

    def read_file(self, path: Path) -> list[TaggedSentence]:
        """Read columns, Parquet or JSON, plain or .gz, and check the tags."""
        if set(_TABLES) & set(path.suffixes[-2:]):
            return self._from_table(read_table(path))
        sentences = parse_iob(read_text(path).split("\n"), str(path), data_format=self.options.data_format)
        self.check_labels(sentences)
        return sentences

    def group(self, example: TaggedSentence) -> Hashable:
        """Sentences that are repeated, of which HiNER has some, stay in one split."""
        return example.words

    def read_raw(self, lines: Iterable[str], source: str) -> list[TaggedSentence]:
        """Columns without their tags, or a sentence a line."""
        sentences = parse_raw(lines, source)
        if not sentences:
            raise DataError(f"{source} holds no text; write a sentence a line, its words between spaces")
        return sentences

    def _from_table(self, table: Table) -> list[TaggedSentence]:
        words_at, tags_at = (
            table.column(next((name for name in names if name in table.columns), names[0]))
            for names in (TOKENS, TAGS)
        )
        names = table.label_names.get(table.columns[tags_at])
        # KLUE on the hub: every token is a character.
        characters = all(
            isinstance(word, str) and len(word) == 1 for row in table.rows for word in row[words_at] or ()
        )
        sentences = []
        for number, row in enumerate(table.rows):
            place, words, tags = table.place(number), row[words_at], row[tags_at]
            if not words or len(words) != len(tags):
                raise DataError(
                    f"{place}: {len(words)} words and {len(tags)} tags; must be as many, and one at least"
                )
            if characters:  # whose spaces are no words: as in the file format of that name
                kept = [number for number, word in enumerate(words) if not word.isspace()]
                words, tags = [words[number] for number in kept], [tags[number] for number in kept]
            if not words or not all(isinstance(word, str) and word.strip() for word in words):
                raise DataError(f"{place}: a word is empty or no text: {list(words)!r}")
            labels = [self._label(tag, names, place) for tag in tags]
            sentences.append(TaggedSentence(words=tuple(words), tags=to_iob2(labels), source=place))
        if not sentences:
            raise DataError(f"{table.source} holds no sentence")
        self.check_labels(sentences)
        return sentences

    @staticmethod
    def _label(tag: Any, names: Sequence[str] | None, place: str) -> str:
        if isinstance(tag, int):
            if names is None or not 0 <= tag < len(names):
                raise DataError(
                    f"{place}: the tag {tag} is a number without a name; make the column a sequence of "
                    "ClassLabel, or write the tags as text"
                )
            tag = names[tag]
        if not (isinstance(tag, str) and is_tag(tag)):
            raise DataError(f"{place}: the tag {tag!r} is neither O nor a type with B- or I- before it")
        return tag

    def tags(self, sentence: TaggedSentence) -> Sequence[str]:
        """The entity tags, in IOB2."""
        return sentence.tags

    def tagged(self, sentence: TaggedSentence, tags: Sequence[str]) -> TaggedSentence:
        """With other tags, repaired to IOB2, which does not change what is counted as an entity."""
        return replace(sentence, tags=to_iob2(tags))

    def score(self, gold: Sequence[TaggedSentence], predicted: Sequence[TaggedSentence]) -> dict[str, float]:
        """Precision, recall and F1 over all entities, and F1 of every type; span and type must be right."""
        from seqeval.metrics import classification_report

        truth, guess = ([list(sentence.tags) for sentence in part] for part in (gold, predicted))
        if all(tag == "O" for sentence in [*truth, *guess] for tag in sentence):
            return {"precision": 0.0, "recall": 0.0, "f1": 0.0}  # seqeval cannot report on nothing
        report = classification_report(truth, guess, output_dict=True, zero_division=0)
        overall = report["micro avg"]
        scores = {"precision": overall["precision"], "recall": overall["recall"], "f1": overall["f1-score"]}
        scores |= {
            f"f1_{kind}": entry["f1-score"]
            for kind, entry in report.items()
            if kind not in ("micro avg", "macro avg", "weighted avg")
        }
        return {name: 100 * float(value) for name, value in scores.items()}

    def dump(self, predicted: Sequence[TaggedSentence], stream: TextIO) -> None:
        """Write IOB2: word and tag, separated by a tab."""
        write_iob2(predicted, stream)
