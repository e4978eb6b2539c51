"""Dependency parsing on Universal Dependencies treebanks (biaffine, Dozat & Manning 2017).

Dimensions: B batch, W words of a window (of the longest in a batch), R relations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TextIO

import numpy as np

from pixel_m4.files import COMPRESSED, DataError
from pixel_m4.formats.conllu import (
    UD_RELATIONS,
    UPOS,
    Sentence,
    read_conllu,
    stream_raw,
    strip_subtype,
    tag_accuracy,
    with_tags,
    with_tree,
    write_conllu,
)
from pixel_m4.formats.rows import InputFormat, folded
from pixel_m4.tasks.base import ModelClass, Task, Window, WordOptions, gather, innermost
from pixel_m4.tasks.batch import IGNORE, Arrays, as_array, log_softmax, pad
from pixel_m4.tasks.trees import attachment_scores, left_neighbour_baseline, maximum_spanning_tree

if TYPE_CHECKING:
    from pixel_m4.model import AnyConfig

CONLLU_FILES = [f"*{{split}}.conllu{packed}" for packed in ("", *COMPRESSED)]
"""Patterns for the file of a split of a treebank, as :func:`find_split` takes them."""

# What an arc scores that no window shows: far below any real one, yet a tree can always be found.
_UNSEEN = -1e4


@dataclass(frozen=True, kw_only=True)
class ParsingOptions(WordOptions):
    """What is told beside the tree."""

    upos: bool | None = field(
        default=None,
        metadata={
            "help": "tell universal parts of speech too, true or false; default: as the checkpoint does, "
            "else false, as published"
        },
    )

    def settled(self, config: AnyConfig) -> ParsingOptions:
        """The options with those of a checkpoint where they leave something open."""
        settled = super().settled(config)
        assert isinstance(settled, ParsingOptions)
        return replace(settled, upos=config.num_tags > 0 if self.upos is None else self.upos)

    def configure(self, config: AnyConfig) -> None:
        """Let the parser have a head for parts of speech, or none."""
        super().configure(config)
        config.num_tags = len(UPOS) if self.upos else 0


class Scores(NamedTuple):
    """The scores of one window.

    Attributes:
        arcs: float32 [W, W + 1], log-probability of each head; column 0 is the root.
        rels: uint8 [W, W + 1], the best relation for each head.
        tags: uint8 [W], the best part of speech, if the model tells them.
    """

    arcs: np.ndarray
    rels: np.ndarray
    tags: np.ndarray | None = None


class Parsed(NamedTuple):
    """A sentence with its best tree, and the best head of each word by itself, which need not make a tree."""

    tree: Sentence
    greedy_heads: list[int]
    greedy_rels: list[str]


class Parsing(Task[Sentence, Window, Scores, Parsed]):
    """Heads and universal relations (without subtypes) of the words of a sentence."""

    name = "parsing"
    model_class = ModelClass("PixelForBiaffineParsing")
    metric = "las"
    scores = ("uas", "las", "uas_mst", "las_mst")
    options_class = ParsingOptions
    options: ParsingOptions
    files = CONLLU_FILES
    suffix = ".conllu"
    tables = ()
    column_files = (".conllu", ".conll")
    recipe: ClassVar[Mapping[str, Any]] = {
        "max_seq_length": 256,
        "per_device_train_batch_size": 64,
        "per_device_eval_batch_size": 64,
        "learning_rate": 1e-5,
        "max_steps": 15_000,
        "warmup_steps": 100,
        "eval_steps": 500,
        "early_stopping_patience": 5,
    }

    def score_names(self) -> list[str]:
        """Of the tree, and of the parts of speech where they are told."""
        return [*self.scores, *(("upos",) if self.options.upos else ())]

    def default_labels(self) -> list[str]:
        """The labels of published parsers: an unused one, then the universal relations."""
        return ["_", *UD_RELATIONS]

    def group_of(self, example: Sentence) -> str:
        """The treebank that a sentence of a mixture comes from."""
        return example.treebank or ""

    def read_file(self, path: Path, *, labels: bool = True) -> list[Sentence]:
        """Read CoNLL-U, also compressed, and check its relations."""
        bad = self.bad_rows()
        sentences = read_conllu(path, trees=labels, bad=bad)
        if not labels:
            return sentences
        checked = []
        for sentence in sentences:
            with bad.row():
                self._check(sentence)
                checked.append(sentence)
        bad.tell(str(path), len(checked))
        return checked

    def _check(self, sentence: Sentence) -> None:
        for word, deprel in enumerate(sentence.deprels):
            if strip_subtype(deprel) not in self.labels:
                raise DataError(
                    f"{sentence.place(word)}: the word {sentence.words[word]!r} has the relation "
                    f"{deprel!r}, which the model does not know; its relations: {', '.join(self.labels[1:])}"
                )
        for word, tag in enumerate(sentence.upos) if self.options.upos else ():
            if tag not in UPOS:
                raise DataError(
                    f"{sentence.place(word)}: the word {sentence.words[word]!r} has the tag {tag!r}, which "
                    f"is no universal part of speech; these are: {', '.join(UPOS)}; or write --upos false"
                )

    def stream(
        self, lines: Iterable[str], source: str, input_format: InputFormat = "auto"
    ) -> Iterator[Sentence]:
        """CoNLL-U, whose annotation may be missing, or a sentence a line."""
        return stream_raw(lines, source, input_format, self.bad_rows())

    def text_of(self, example: Sentence) -> str:
        """The words."""
        return folded(" ".join(example.words))

    def encode(self, examples: Sequence[Sentence], *, labels: bool = True) -> list[Window]:
        """Cut sentences into windows; a word whose head lies outside of its window has no labels there."""
        if not labels:
            return [w for i, sentence in enumerate(examples) for w in self._windows(i, sentence.words, {})]
        numbers = {label: number for number, label in enumerate(self.labels)}
        encoded = []
        for example, sentence in enumerate(examples):
            rels = [numbers[strip_subtype(rel)] for rel in sentence.deprels]
            targets = {"arc_labels": sentence.heads, "rel_labels": rels}
            if self.options.upos:
                targets["tag_labels"] = [UPOS.index(tag) for tag in sentence.upos]
            encoded += [_inside(window) for window in self._windows(example, sentence.words, targets)]
        return encoded

    def collate(self, batch: Sequence[Window]) -> Arrays:
        """What the renderer gives, with ``word_starts``, and labels of arcs, relations and tags."""
        labels = {name: pad([window.labels[name] for window in batch]) for name in batch[0].labels}
        return {**self._render(batch), **labels}

    def decode(self, outputs: Any, batch: Sequence[Window]) -> list[Scores]:
        """Log-probabilities of heads, and the best relation for each; the unused label 0 is never chosen."""
        arcs = log_softmax(as_array(outputs.arc_logits))
        rels = (as_array(outputs.rel_logits[..., 1:].argmax(-1)) + 1).astype(np.uint8)
        sizes = [len(window.words) for window in batch]
        tags = as_array(outputs.tag_logits.argmax(-1)).astype(np.uint8) if self.options.upos else None
        return [
            Scores(arcs[i, :w, : w + 1], rels[i, :w, : w + 1], None if tags is None else tags[i, :w])
            for i, w in enumerate(sizes)
        ]

    def predict(
        self, examples: Sequence[Sentence], encoded: Sequence[Window], results: Sequence[Scores]
    ) -> list[Parsed]:
        """Decode every sentence: as a maximum spanning tree with one root, and greedily as published."""
        return [
            self.parse(sentence, _merge(len(sentence.words), parts))
            for sentence, parts in zip(examples, gather(len(examples), encoded, results), strict=True)
        ]

    def parse(self, sentence: Sentence, scores: Scores) -> Parsed:
        """Decode one sentence from the scores of all its words."""
        words = np.arange(len(sentence.words))
        heads, greedy = maximum_spanning_tree(scores.arcs).tolist(), scores.arcs.argmax(-1).tolist()
        rels, greedy_rels = (
            [self.labels[n] for n in scores.rels[words, chosen]] for chosen in (heads, greedy)
        )
        if scores.tags is not None:
            sentence = with_tags(sentence, [UPOS[number] for number in scores.tags])
        return Parsed(with_tree(sentence, heads, rels), greedy, greedy_rels)

    def score(self, gold: Sequence[Sentence], predicted: Sequence[Parsed]) -> dict[str, float]:
        """UAS and LAS over all words, relations without subtypes: greedy as published, and of the trees."""
        heads = [sentence.heads for sentence in gold]
        rels = [[strip_subtype(rel) for rel in sentence.deprels] for sentence in gold]
        greedy = attachment_scores(
            heads,
            rels,
            [parsed.greedy_heads for parsed in predicted],
            [parsed.greedy_rels for parsed in predicted],
        )
        trees = attachment_scores(
            heads,
            rels,
            [parsed.tree.heads for parsed in predicted],
            [parsed.tree.deprels for parsed in predicted],
        )
        scores = {**greedy, **{f"{name}_mst": value for name, value in trees.items()}}
        if self.options.upos:
            scores["upos"] = tag_accuracy(gold, [parsed.tree for parsed in predicted])
        return scores

    def dump(self, predicted: Sequence[Parsed], stream: TextIO) -> None:
        """Write the trees as CoNLL-U."""
        write_conllu([parsed.tree for parsed in predicted], stream)

    def baseline(self, train: Sequence[Sentence], test: Sequence[Sentence]) -> dict[str, float]:
        """Every word hangs on its left neighbour with the most frequent relation."""
        return left_neighbour_baseline(train, test)


def _inside(window: Window) -> Window:
    """Count heads from the window's first word, and ignore arcs from outside of it."""
    heads, rels = window.labels["arc_labels"], window.labels["rel_labels"]
    seen = [head == 0 or head - 1 in window.span for head in heads]
    arcs = [max(head - window.span.start, 0) if ok else IGNORE for head, ok in zip(heads, seen, strict=True)]
    rels = [rel if ok else IGNORE for rel, ok in zip(rels, seen, strict=True)]
    return replace(window, labels={**window.labels, "arc_labels": arcs, "rel_labels": rels})


def _merge(size: int, parts: Sequence[tuple[Window, Scores]]) -> Scores:
    """One score matrix for a sentence: each word's row comes from the window where it stands most inside."""
    if len(parts) == 1:
        return parts[0][1]
    arcs = np.full((size, size + 1), _UNSEEN, np.float32)
    rels = np.ones((size, size + 1), np.uint8)
    tags = None if parts[0][1].tags is None else np.zeros(size, np.uint8)
    for word in range(size):
        window, scores = innermost(word, parts)
        span, row = window.span, word - window.span.start
        columns = [0, *range(span.start + 1, span.stop + 1)]
        arcs[word, columns] = scores.arcs[row]
        rels[word, columns] = scores.rels[row]
        if tags is not None and scores.tags is not None:
            tags[word] = scores.tags[row]
    return Scores(arcs, rels, tags)
