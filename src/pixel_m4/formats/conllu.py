"""Read and write CoNLL-U, the format of Universal Dependencies treebanks.

The format is defined at https://universaldependencies.org/format.html. A sentence keeps its raw lines: what
was read is written back byte for byte, and predictions change the columns they are about and no others.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TextIO

from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError, clean_lines, read_lines, writing
from pixel_m4.formats.jsonlines import begins_json
from pixel_m4.formats.rows import BadRows, InputFormat, OneWordLines
from pixel_m4.formats.segment import segment, warn_of_script

__all__ = [
    "UD_RELATIONS",
    "UPOS",
    "ConlluError",
    "Sentence",
    "find_cycle",
    "parse_conllu",
    "parse_raw",
    "read_conllu",
    "stream_raw",
    "strip_subtype",
    "tag_accuracy",
    "with_tags",
    "with_tree",
    "with_words",
    "write_conllu",
]

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
_ID, _FORM, _UPOS, _HEAD, _DEPREL, _DEPS, _MISC = (
    COLUMNS.index(column) for column in ("ID", "FORM", "UPOS", "HEAD", "DEPREL", "DEPS", "MISC")
)

# https://universaldependencies.org/u/dep/ (version 2), without subtypes, in alphabetical order.
UD_RELATIONS: tuple[str, ...] = (
    "acl", "advcl", "advmod", "amod", "appos", "aux", "case", "cc", "ccomp", "clf", "compound", "conj",
    "cop", "csubj", "dep", "det", "discourse", "dislocated", "expl", "fixed", "flat", "goeswith",
    "iobj", "list", "mark", "nmod", "nsubj", "nummod", "obj", "obl", "orphan", "parataxis", "punct",
    "reparandum", "root", "vocative", "xcomp",
)  # fmt: skip


PLACEHOLDER = "placeholder"
"""The comment ``# placeholder = UPOS HEAD`` names columns of raw text whose values stand for nothing."""

_COMMENT = re.compile(r"#\s*(?:sent_id|text(?:_\w+)?|newdoc|newpar|global\.columns)\b(?:\s*(?:id\s*)?=|\s*$)")
_WORD_ID = re.compile(r"1|1-\d+|0\.1")

# https://universaldependencies.org/u/pos/ (version 2), in alphabetical order.
UPOS: tuple[str, ...] = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT",
    "SCONJ", "SYM", "VERB", "X",
)  # fmt: skip


class ConlluError(DataError):
    """A CoNLL-U file breaks the format; the message says where, how, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: its syntactic words, and every line it was read from.

    Args:
        words: the forms of the syntactic words (integer IDs). A form may hold spaces.
        upos: their universal parts of speech.
        heads: the ID of each word's head, 0 for the root, −1 where the file has none ("_").
        deprels: the relation to the head, with its subtype.
        lines: all lines without their ends: comments, words, multiword tokens (1-2) and empty nodes (1.1).
        source: "file:line" of the first line.
    """

    words: tuple[str, ...]
    upos: tuple[str, ...]
    heads: tuple[int, ...]
    deprels: tuple[str, ...]
    lines: tuple[str, ...]
    source: str

    @property
    def text(self) -> str:
        """The comment ``# text = …``, or else the surface tokens joined as their ``SpaceAfter=No`` says."""
        comment = self._comment("text")
        return self._surface() if comment is None else comment

    @property
    def sent_id(self) -> str | None:
        """The comment ``# sent_id = …``, or None."""
        return self._comment("sent_id")

    @property
    def treebank(self) -> str | None:
        """The comment ``# treebank = …``, or None: it says where a sentence of a mixture comes from."""
        return self._comment("treebank")

    def place(self, word: int) -> str:
        """Where a word (numbered from 0) stands: "file:line"."""
        file, _, first = self.source.rpartition(":")
        rows = [row for row, line in enumerate(self.lines) if _is_number(line.split("\t")[_ID])]
        return f"{file}:{int(first) + rows[word]}"

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Columns whose values stand for nothing, as in raw text that was annotated in part."""
        return tuple((self._comment(PLACEHOLDER) or "").split())

    def _comment(self, key: str) -> str | None:
        for line in self.lines:
            if line.startswith("#"):
                name, equals, value = line[1:].partition("=")
                if equals and name.strip() == key:
                    return value.strip()
        return None

    def _surface(self) -> str:
        surface: list[str] = []
        covered = 0  # the last word that a multiword token has already spelled
        for line in self.lines:
            if line.startswith("#"):
                continue
            columns = line.split("\t")
            if "." in columns[_ID]:
                continue
            first, _, last = columns[_ID].partition("-")
            if int(first) > covered:
                covered = int(last or first)
                surface.append(columns[_FORM])
                surface.append("" if "SpaceAfter=No" in columns[_MISC].split("|") else " ")
        return "".join(surface).strip()


def strip_subtype(deprel: str) -> str:
    """The universal part of a relation: ``nsubj:pass`` → ``nsubj``."""
    return deprel.partition(":")[0]


def tag_accuracy(gold: Sequence[Sentence], predicted: Sequence[Sentence]) -> float:
    """Percent of all words that have the right universal part of speech."""
    pairs = [p for g, h in zip(gold, predicted, strict=True) for p in zip(g.upos, h.upos, strict=True)]
    return 100 * sum(a == b for a, b in pairs) / len(pairs)


def find_cycle(heads: Sequence[int]) -> list[int]:
    """The words (numbered from 1) of one cycle, each followed by its head; empty if there is none.

    A head of 0 or less ends a path. Heads must not exceed the number of words.
    """
    seen = [0] * (len(heads) + 1)  # the walk that reached a word first
    for start in range(1, len(heads) + 1):
        word = start
        while word > 0 and not seen[word]:
            seen[word] = start
            word = heads[word - 1]
        if word > 0 and seen[word] == start:
            cycle = [word]
            while (following := heads[cycle[-1] - 1]) != word:
                cycle.append(following)
            return cycle
    return []


def read_conllu(path: Path | str, *, trees: bool = True, bad: BadRows | None = None) -> list[Sentence]:
    """Read a file in UTF-8, plain or compressed (``.gz``, ``.xz``, ``.bz2``, ``.zst``).

    A byte order mark, CRLF line ends, several blank lines and a missing last blank line are accepted, and
    not written back.

    Args:
        path: the file.
        trees: demand a tree with one root for every sentence (where there is none, there is a cycle).
            Otherwise HEAD may be "_", read as −1, and neither cycles nor roots are looked at.
        bad: what to do with sentences that are wrong; default: the first one is an error.

    Raises:
        DataError: the file is no CoNLL-U, holds no sentence, is not UTF-8 or does not decompress.
        OSError: the file cannot be read.
    """
    path = Path(path)
    try:
        return parse_conllu(read_lines(path), str(path), trees=trees, bad=bad)
    except DataError as error:  # of its bytes
        raise ConlluError(str(error)) from error


def parse_conllu(
    lines: Iterable[str] | str, name: str = "<text>", *, trees: bool = True, bad: BadRows | None = None
) -> list[Sentence]:
    """Read sentences from a string, a stream or any lines; ``name`` stands for the file in messages.

    Raises:
        ConlluError: as `read_conllu`.
    """
    return list(_stream_conllu(clean_lines(lines), name, trees, bad))


def _stream_conllu(
    lines: Iterable[str], name: str, trees: bool, bad: BadRows | None = None
) -> Iterator[Sentence]:
    """Sentences as they come; there must be one."""
    bad = BadRows("sentences") if bad is None else bad
    kept = 0
    block: list[str] = []
    for number, line in enumerate(chain(lines, [""]), 1):
        if line.strip(" "):
            block.append(line)
        elif block:
            sentence = None
            with bad.row():
                sentence = _sentence(block, name, number - len(block), trees)
            block = []
            if sentence is not None:
                kept += 1
                yield sentence
    bad.tell(name, kept)
    if not kept:
        raise ConlluError(f"{name}: holds no sentence; is it the right file, and was it fetched in full?")


def parse_raw(
    lines: Iterable[str], name: str = "<text>", input_format: InputFormat = "auto"
) -> list[Sentence]:
    """All sentences of :func:`stream_raw`."""
    return list(stream_raw(lines, name, input_format))


def stream_raw(
    lines: Iterable[str],
    name: str = "<text>",
    input_format: InputFormat = "auto",
    bad: BadRows | None = None,
) -> Iterator[Sentence]:
    """Sentences to annotate, as they come.

    Args:
        lines: CoNLL-U, whose annotation may be missing; or a sentence a line.
        name: what messages call them.
        input_format: ``columns``: CoNLL-U.  ``text``: raw text, cut into words by
            :func:`~pixel_m4.formats.segment.segment`.  ``tokens``: words between white space.  ``auto``:
            CoNLL-U if the first line that is neither blank nor a comment is a row of it, or if CoNLL-U's
            comments stand before it; else text.
        bad: what to do with sentences that are wrong; default: the first one is an error.

    Raises:
        ConlluError: there is no sentence, or one is wrong; names its line.
    """
    cleaned = clean_lines(lines)
    guessed = input_format == "auto"
    if input_format == "auto":
        head: list[str] = []
        for line in cleaned:
            head.append(line)
            if line.strip() and not line.startswith("#"):
                break
        cleaned = chain(head, cleaned)
        input_format = _guess(head, name)
    if input_format == "columns":
        yield from _stream_conllu(cleaned, name, False, bad)
        return
    told = found = False
    so_far = OneWordLines(name)
    for number, line in enumerate(cleaned, 1):
        if guessed:
            so_far.check(line, number)
        if guessed and line.count("\t") == len(COLUMNS) - 1 and _is_number(line.partition("\t")[0]):
            raise ConlluError(
                f"{name}:{number}: looks like CoNLL-U, but is among lines of text: {line[:80]!r}; "
                "give one of both, or say --input_format text"
            )
        if not line.strip():
            continue
        if input_format == "tokens":
            words = [(word, True) for word in line.split()]
        else:
            segments = segment(unicodedata.normalize("NFC", line))
            script = next((found.unsegmented for found in segments if found.unsegmented), None)
            if script and not told:
                told = True
                warn_of_script(name, number, script)
            words = [(found.word, found.space) for found in segments]
        yield _raw_sentence(words, name, number, str(number))
        found = True
    if not found:
        raise ConlluError(f"{name}: holds no text; write a sentence a line")


def _guess(head: Sequence[str], name: str) -> InputFormat:
    """Whether the first lines, up to the first that is neither blank nor a comment, are CoNLL-U or text."""
    last = head[-1] if head else ""
    if begins_json(last):
        raise ConlluError(
            f"{name}:{len(head)}: looks like JSON, not like CoNLL-U or text: {last[:60]!r}; say "
            "--input_format text if it is text"
        )
    fields = last.split()
    shaped = (
        len(fields) == len(COLUMNS) and bool(_WORD_ID.fullmatch(fields[_ID])) and "_" in fields
    )  # with spaces for its tabs
    numbered = last.count("\t") > 1 and bool(_WORD_ID.fullmatch(last.partition("\t")[0]))
    commented = any(_COMMENT.match(line) for line in head)
    if last.count("\t") == len(COLUMNS) - 1 or shaped or numbered or commented:
        return "columns"
    return "text"


def _raw_sentence(words: Sequence[tuple[str, bool]], name: str, number: int, sent_id: str) -> Sentence:
    """A sentence of words, each with whether a space follows; valid CoNLL-U with placeholders."""
    text = "".join(word + " " * space for word, space in words).strip()
    rows = [f"# sent_id = {sent_id}", f"# text = {text}", f"# {PLACEHOLDER} = UPOS HEAD DEPREL"]
    for i, (word, space) in enumerate(words, 1):
        head, deprel = ("0", "root") if i == 1 else ("1", "dep")
        misc = "_" if space else "SpaceAfter=No"
        rows.append("\t".join((str(i), word, "_", "X", "_", "_", head, deprel, "_", misc)))
    return replace(_sentence(rows, name, number, trees=False), source=f"{name}:{number}")


def _sentence(lines: list[str], name: str, first_line: int, trees: bool) -> Sentence:
    words: list[str] = []
    upos: list[str] = []
    heads: list[int] = []
    deprels: list[str] = []
    at: list[int] = []  # the line number of each word
    empty_nodes = 0  # since the last word
    range_line = range_end = 0  # the last multiword token
    for number, line in enumerate(lines, first_line):
        if line[0] == "#":
            continue
        columns = _columns(name, number, line)
        identity = columns[_ID]
        if identity == str(len(words) + 1):
            heads.append(_head(name, number, columns[_HEAD], trees))
            words.append(columns[_FORM])
            upos.append(columns[_UPOS])
            deprels.append(columns[_DEPREL])
            at.append(number)
            empty_nodes = 0
        elif "-" in identity:
            range_line, range_end = number, _range_end(name, number, identity, len(words), range_end)
        elif "." in identity and identity == f"{len(words)}.{empty_nodes + 1}":
            empty_nodes += 1
        else:
            raise _no_next(name, number, identity, len(words), empty_nodes)
    if not words:
        raise ConlluError(
            f"{name}:{first_line}: a sentence without words; remove its comments or the blank line after"
        )
    if range_end > len(words):
        raise _problem(
            name, range_line, "ID", lines[range_line - first_line].split("\t")[_ID],
            f"reaches beyond the last word, {len(words)}", "correct the range",
        )  # fmt: skip
    for number, head_number in zip(at, heads, strict=True):
        if head_number > len(words):
            raise _problem(
                name, number, "HEAD", str(head_number), f"is beyond the last word, {len(words)}",
                "write 0 for the root or the ID of the head",
            )  # fmt: skip
    sentence = Sentence(
        tuple(words), tuple(upos), tuple(heads), tuple(deprels), tuple(lines), f"{name}:{first_line}"
    )
    if trees:
        _check_tree(words, heads, at, name)
        if "HEAD" in sentence.placeholders:
            raise ConlluError(f"{name}:{first_line}: the tree stands for nothing, as its comment says")
    return sentence


def _range_end(name: str, number: int, identity: str, words: int, before: int) -> int:
    """The last word of a multiword token, which begins after so many words, the one before ended there."""
    begin, _, end = identity.partition("-")
    if begin != str(words + 1) or not _is_number(end) or int(end) < int(begin) or before > words:
        raise _problem(
            name, number, "ID", identity, "is no range of words that begins here",
            f"write {words + 1}-N before the first of its words, with N the last; ranges do not overlap",
        )  # fmt: skip
    return int(end)


def _no_next(name: str, number: int, identity: str, words: int, empty_nodes: int) -> ConlluError:
    """What to say of a row that follows on none after so many words and empty nodes."""
    if "." in identity:
        wrong, advice = "is not the next empty node", f"number it {words}.{empty_nodes + 1}"
    else:
        wrong = "is not the next word"
        advice = (
            f"number the words of a sentence from 1 without gaps (here {words + 1}), with a blank line "
            "between sentences"
        )
    return _problem(name, number, "ID", identity, wrong, advice)


def _columns(name: str, number: int, line: str) -> list[str]:
    """The ten columns of a row."""
    columns = line.split("\t")
    if len(columns) != 10:
        if len(columns) > 10:
            hint = "remove the tabs that are too many"
        elif len(line.split()) >= 10:
            hint = "columns must be separated by tabs, not spaces"
        else:
            hint = "see whether tabs are lost"
        raise ConlluError(
            f"{name}:{number}: {len(columns)} tab-separated columns instead of 10; {hint}: {line!r}"
        )
    if not columns[_FORM]:
        raise _problem(name, number, "FORM", "", "is empty", 'write the word, or "_" if it is unknown')
    return columns


def _head(name: str, number: int, head: str, trees: bool) -> int:
    """The number of a head; -1 for none, where no trees are read."""
    if _is_number(head):
        return int(head)
    if head == "_" and not trees:
        return -1
    advice = "write 0 for the root or the ID of the head"
    if head == "_":
        advice = "annotate the tree, or read without trees (trees=False) if none is needed"
    raise _problem(name, number, "HEAD", head, "is no word number", advice)


def _check_tree(words: list[str], heads: list[int], at: list[int], name: str) -> None:
    if cycle := find_cycle(heads):
        path = " → ".join(f"{word} {words[word - 1]!r}" for word in [*cycle, cycle[0]])
        raise _problem(
            name, at[cycle[0] - 1], "HEAD", str(heads[cycle[0] - 1]), f"closes a cycle: {path}",
            "attach one of these words outside of it",
        )  # fmt: skip
    roots = [number for number, head in zip(at, heads, strict=True) if head == 0]
    if len(roots) > 1:  # without a cycle there is at least one
        raise _problem(
            name, roots[1], "HEAD", "0", f"makes a second root; the first is on line {roots[0]}",
            "attach one of them to the other",
        )  # fmt: skip


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _problem(name: str, number: int, column: str, value: str, problem: str, advice: str) -> ConlluError:
    return ConlluError(f"{name}:{number}: column {column}, value {value!r}: {problem}; {advice}")


def with_tree(sentence: Sentence, heads: Sequence[int], deprels: Sequence[str]) -> Sentence:
    """The sentence with another tree.

    HEAD and DEPREL are replaced. DEPS of the words becomes "_": it described the old tree. Comments,
    multiword tokens, empty nodes and the other columns stay.

    Raises:
        ValueError: not one value a word, a head that is not among 0 … words, or a relation that is empty or
            holds spaces.
    """
    for head in heads:
        if not 0 <= head <= len(sentence.words):
            raise UserError(f"{sentence.source}: head {head} is not among 0 … {len(sentence.words)}")
    numbers = [int(head) for head in heads]
    columns = {_HEAD: list(map(str, numbers)), _DEPREL: deprels, _DEPS: ["_"] * len(sentence.words)}
    lines = _filled(_with_columns(sentence, columns), "HEAD", "DEPREL")
    return replace(sentence, heads=tuple(numbers), deprels=tuple(deprels), lines=lines)


def with_tags(sentence: Sentence, upos: Sequence[str]) -> Sentence:
    """The sentence with other parts of speech; all else stays.

    Raises:
        ValueError: not one tag a word, or a tag that is empty or holds spaces.
    """
    lines = _filled(_with_columns(sentence, {_UPOS: upos}), "UPOS")
    return replace(sentence, upos=tuple(upos), lines=lines)


def with_words(sentence: Sentence, words: Sequence[str]) -> Sentence:
    """The sentence with other forms of its words; all annotation stays.

    The comment ``# text`` is written anew, and a multiword token of which a word changes is spelled as its
    words are: what it was would tell the old ones.

    Raises:
        ValueError: not one form a word, or a form that is empty or breaks a line of columns.
    """
    if tuple(words) == sentence.words:
        return sentence
    lines = []
    for line in _with_columns(sentence, {_FORM: words}):
        fields = line.split("\t")
        first, dash, last = fields[_ID].partition("-")
        if dash and _is_number(first) and _is_number(last):
            covered = slice(int(first) - 1, int(last))
            if tuple(words[covered]) != sentence.words[covered]:
                fields[_FORM] = "".join(words[covered])
            line = "\t".join(fields)
        lines.append(line)
    changed = replace(sentence, words=tuple(words), lines=tuple(lines))
    text = f"# text = {changed._surface()}"
    return replace(changed, lines=tuple(text if _is_text(line) else line for line in changed.lines))


def _is_text(line: str) -> bool:
    name, equals, _ = line.partition("=")
    return bool(equals) and name.startswith("#") and name[1:].strip() == "text"


def _filled(lines: tuple[str, ...], *names: str) -> tuple[str, ...]:
    """Lines whose comment on placeholders no longer names some columns; it goes if none is left."""
    kept = []
    for line in lines:
        if line.startswith(f"# {PLACEHOLDER} = "):
            left = [name for name in line.partition("=")[2].split() if name not in names]
            if not left:
                continue
            line = f"# {PLACEHOLDER} = {' '.join(left)}"
        kept.append(line)
    return tuple(kept)


def _with_columns(sentence: Sentence, columns: Mapping[int, Sequence[str]]) -> tuple[str, ...]:
    """The lines of a sentence with other values in some columns of its words."""
    for column, values in columns.items():
        if len(values) != len(sentence.words):
            what = f"{len(values)} values of {COLUMNS[column]} for {len(sentence.words)} words"
            raise UserError(f"{sentence.source}: {what}")
        for value in values:
            spaced = set("\t\n\r") & set(value) if column == _FORM else value.split() != [value]
            if spaced or not value.strip():
                raise UserError(
                    f"{sentence.source}: {COLUMNS[column]} {value!r} is empty or holds white space"
                )
    lines = []
    word = 0
    for line in sentence.lines:
        fields = line.split("\t")
        if _is_number(fields[_ID]):
            for column, values in columns.items():
                fields[column] = values[word]
            word += 1
            line = "\t".join(fields)
        lines.append(line)
    return tuple(lines)


def write_conllu(sentences: Iterable[Sentence], target: Path | str | TextIO) -> None:
    """Write sentences to a text stream or a file, compressed as its name says.

    A file appears under its name only when it is complete, and equal sentences make equal bytes.

    Raises:
        OSError: the file cannot be written.
    """
    if isinstance(target, (str, Path)):
        with writing(Path(target)) as stream:
            write_conllu(sentences, stream)
        return
    for sentence in sentences:
        target.write("\n".join(sentence.lines) + "\n\n")
