"""Named entity recognition as PIXEL does it (Rust et al. 2023): a tag a word, scored by whole entities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TextIO

from pixel_m4.files import COMPRESSED, DataError, content_suffix, read_lines
from pixel_m4.formats.folders import find_split
from pixel_m4.formats.iob import (
    DataFormat,
    TaggedSentence,
    is_tag,
    parse_iob,
    stream_raw,
    to_iob2,
    write_iob2,
)
from pixel_m4.formats.jsonlines import begins_json, first_line
from pixel_m4.formats.rows import InputFormat, check_text, folded, shown
from pixel_m4.formats.tables import (
    Table,
    find_language,
    is_arrow,
    json_tables,
    read_arrow,
    read_hub,
    read_table,
)
from pixel_m4.tasks.base import DatasetOptions, WordOptions
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.words import WordLabels

TOKENS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "ner", "labels")

_TABLES = (".parquet", ".jsonl", ".ndjson", ".json", ".arrow", ".feather")


@dataclass(frozen=True, kw_only=True)
class NEROptions(WordOptions, DatasetOptions):
    """Where the data come from and how they are written."""

    data_format: DataFormat = field(
        default="auto",
        metadata={
            "help": "columns: word first, tag last; numbered: Universal NER; characters: KLUE; "
            "auto: as the file looks"
        },
    )
    labels: str | None = field(
        default=None,
        metadata={
            "help": "file with the tags, one a line, in the order of the outputs; default: as in train"
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
            "{split}.txt", "*{split}.txt", "*{split}.iob2", "*{split}.conll", "*{split}.bio", "*{split}.iob",
            "*ner*{split}.tsv", "*{split}.tsv", *(f"*{{split}}{suffix}" for suffix in _TABLES),
        )
        for zipped in ("", *COMPRESSED)
    ]  # fmt: skip
    suffix = ".iob2"
    tables = _TABLES
    column_files = (".iob2", ".iob", ".bio", ".conll", ".tsv")
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
        """O, then B and I of every type, even if one of the two is not used; types in alphabetical order.

        Or those of the file that ``--labels`` names, with O before them if it is not there.

        Raises:
            DataError: there is no entity, or a tag that the file does not name.
        """
        if self.options.labels is not None:
            return self._named_labels(Path(self.options.labels), train)
        kinds = sorted({tag[2:] for sentence in train for tag in sentence.tags if tag != "O"})
        if not kinds:
            raise DataError(
                f"{train[0].source if train else 'train'} holds no entity; there is nothing to learn"
            )
        return ["O", *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI")]

    @staticmethod
    def _named_labels(file: Path, train: Sequence[TaggedSentence]) -> list[str]:
        lines = enumerate((line.strip() for line in read_lines(file)), 1)
        named = {line: number for number, line in lines if line}
        for line, number in named.items():
            if not is_tag(line):
                raise DataError(f"{file}:{number}: {line!r} is neither O nor a type with B- or I- before it")
        for sentence in train:
            for tag in sentence.tags:
                if tag != "O" and tag not in named:
                    raise DataError(
                        f"{sentence.source}: the tag {tag} is not in {file}, which --labels names"
                    )
        return [*(["O"] if "O" not in named else []), *named]

    def read(self, data_dir: Path, split: str) -> list[TaggedSentence]:
        """Read one split: of the hub, of an Arrow folder, or a file."""
        language = self.options.language
        if self.options.dataset_name is not None:
            return self._from_table(read_hub(self.options.dataset_name, language, split))
        folder = find_language(data_dir, language)
        if folder.is_dir() and is_arrow(folder):
            return self._from_table(read_arrow(folder, split))
        return self.read_file(find_split(folder, split, self.files))

    def read_file(self, path: Path, *, labels: bool = True) -> list[TaggedSentence]:
        """Read columns, Parquet, Arrow or JSON, also compressed, and check the tags."""
        if content_suffix(path) in self.tables:
            return self._from_table(read_table(path), labels=labels)
        bad = self.bad_rows()
        sentences = parse_iob(
            read_lines(path), str(path), data_format=self.options.data_format, tags=labels, bad=bad
        )
        return self.checked(sentences, bad, str(path)) if labels else sentences

    def text_of(self, example: TaggedSentence) -> str:
        """The words."""
        return folded(" ".join(example.words))

    def stream(
        self, lines: Iterable[str], source: str, input_format: InputFormat = "auto"
    ) -> Iterator[TaggedSentence]:
        """Columns without their tags, JSON objects with tokens, or a sentence a line."""
        head, rest = first_line(lines)
        if input_format in ("auto", "columns") and head and begins_json(head[-1]):
            for table in json_tables(rest, source):
                yield from self._from_table(table, labels=False)
            return
        found = False
        data_format = self.options.data_format
        for sentence in stream_raw(rest, source, input_format, data_format=data_format, bad=self.bad_rows()):
            found = True
            yield sentence
        if not found:
            raise DataError(f"{source} holds no text; write a sentence a line")

    def _from_table(self, table: Table, *, labels: bool = True) -> list[TaggedSentence]:
        words_at = table.find(TOKENS)
        tags_at = table.find(TAGS) if labels else None
        names = table.label_names.get(table.columns[tags_at]) if tags_at is not None else None
        # KLUE on the hub: every token is a character.
        characters = len(table.rows) > 0 and all(
            isinstance(row[words_at], (list, tuple))
            and all(isinstance(word, str) and len(word) == 1 for word in row[words_at])
            for row in table.rows
        )
        bad = self.bad_rows()
        sentences = []
        for number, row in enumerate(table.rows):
            with bad.row():
                tags = None if tags_at is None else row[tags_at]
                sentence = self._sentence(row[words_at], tags, names, characters, table.place(number), labels)
                self.check(sentence)
                sentences.append(sentence)
        bad.tell(table.source, len(sentences))
        if not sentences:
            raise DataError(f"{table.source} holds no sentence")
        return sentences

    def _sentence(
        self,
        words: Any,
        tags: Any,
        names: Sequence[str] | None,
        characters: bool,
        place: str,
        labels: bool,
    ) -> TaggedSentence:
        """The sentence of a row, whose values are checked."""
        if not isinstance(words, (list, tuple)):
            raise DataError(f"{place}: the words are no list, but {shown(words)}")
        if not labels:
            tags = ["O"] * len(words)
        if not isinstance(tags, (list, tuple)):
            raise DataError(f"{place}: the tags are no list, but {shown(tags)}")
        if not words or len(words) != len(tags):
            raise DataError(
                f"{place}: {len(words)} words and {len(tags)} tags; must be as many, and one at least"
            )
        if characters:  # whose spaces are no words: as in the file format of that name
            kept = [number for number, word in enumerate(words) if not word.isspace()]
            words, tags = [words[number] for number in kept], [tags[number] for number in kept]
        if not words or not all(isinstance(word, str) and word.strip() for word in words):
            raise DataError(f"{place}: a word is empty or no text: {list(words)!r}")
        for word in words:
            check_text(word, "word", place)
            if set(word) & {"\t", "\n", "\r"}:
                raise DataError(
                    f"{place}: the word {word!r} holds a tab or the end of a line, which no file of words "
                    "can hold; write a space"
                )
        found = to_iob2(self._label(tag, names, place) for tag in tags)
        return TaggedSentence(words=tuple(words), tags=found, source=place)

    @staticmethod
    def _label(tag: Any, names: Sequence[str] | None, place: str) -> str:
        if isinstance(tag, int) and not isinstance(tag, bool):
            if names is None or not 0 <= tag < len(names):
                raise DataError(
                    f"{place}: the tag {tag} is a number without a name; make the column a sequence of "
                    "ClassLabel, or write the tags as text"
                )
            tag = names[tag]
        if not (isinstance(tag, str) and is_tag(tag)):
            raise DataError(f"{place}: the tag {tag!r} is neither O nor a type with B- or I- before it")
        return check_text(tag, "tag", place)

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
