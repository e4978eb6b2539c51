"""What people have, and how every reader of every task takes it: as it is meant, or not at all."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixel_m4.files import DataError, split_lines, writing
from pixel_m4.formats.conllu import stream_raw, with_tags, with_tree, write_conllu
from pixel_m4.formats.iob import TaggedSentence
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.classification import Classification, TextPrediction
from pixel_m4.tasks.ner import NER
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.qa import QAPrediction, QuestionAnswering
from pixel_m4.tasks.tagging import Tagging

RENDERER = TextRenderer(max_seq_length=49)
TASKS: list[type[Task]] = [Parsing, Tagging, NER, Classification, QuestionAnswering]
CONLL_2003 = (
    "-DOCSTART- -X- -X- O\n\nOSLO NNP B-NP B-LOC\nbeat VBD B-VP O\nBergen NNP B-NP B-LOC\n. . O O\n\n"
)
ROW = "1\tword\t_\tX\t_\t_\t0\troot\t_\t_\n\n"


def new(task: type[Task], **options: Any) -> Task:
    return task(RENDERER, options=task.options_class(**options))


def words(task: Task, text: str, form: str = "auto") -> list[tuple[str, ...]]:
    return [example.words for example in task.stream(text.splitlines(keepends=True), "in", form)]  # type: ignore[arg-type]


def write(path: Path, text: str) -> Path:
    with writing(path) as stream:
        stream.write(text)
    return path


def cuts(text: str) -> Iterator[list[str]]:
    """The same text as streams that are cut differently."""
    yield text.splitlines(keepends=True)
    yield text.splitlines()
    yield [text]
    yield [line + "\r\n" for line in split_lines(text)]
    yield ["\ufeff" + text]


# The format of a stream.


@pytest.mark.parametrize("document", ["", "-DOCSTART- -X- -X- O\n\n", "-DOCSTART- -X- O O\n"])
def test_conll_2003_is_read_for_prediction_as_for_training(tmp_path: Path, document: str) -> None:
    text = document + CONLL_2003.partition("\n\n")[2]
    task = new(NER)
    (gold,) = task.read_file(write(tmp_path / "a.txt", text))
    assert gold.tags == ("B-LOC", "O", "B-LOC", "O")
    assert gold.words == ("OSLO", "beat", "Bergen", ".")
    assert [s.words for s in task.read_unlabelled(tmp_path / "a.txt")] == [gold.words]
    for lines in cuts(text):
        assert [example.words for example in task.stream(lines, "in")] == [gold.words]


def test_a_tab_makes_no_columns_of_text() -> None:
    text = "Ada lives in Turin .\nTotal:\t42 goats were seen\nOmar saw Lagos .\n"
    expected = [["Ada", "lives", "in", "Turin", "."], ["Total", ":", "42", "goats", "were", "seen"]]
    expected.append(["Omar", "saw", "Lagos", "."])
    for task in (new(NER), new(Parsing), new(Tagging)):
        for filler in (0, 1, 300):
            for lines in cuts("x y .\n" * filler + text):
                found = [list(example.words) for example in task.stream(lines, "in")]
                assert found[filler:] == expected
                assert len(found) == filler + 3


def test_what_is_not_clear_is_refused_with_its_line() -> None:
    ner = new(NER)
    for text in ("Price:\t3 coins\n\nTotal:\t5\n", "I like B-cells\n", "Ada\tNNP\nleft\tVBD\n"):
        with pytest.raises(DataError, match=r"in:1: not clear.*--input_format"):
            words(ner, text)
    assert words(ner, "Price:\t3 coins\n\nTotal:\t5\n", "text") == [
        ("Price", ":", "3", "coins"),
        ("Total", ":", "5"),
    ]
    assert words(ner, "I like B-cells\n", "tokens") == [("I", "like", "B-cells")]
    assert words(ner, "Ada\tNNP\nleft\tVBD\n", "columns") == [("Ada", "left")]
    with pytest.raises(DataError, match="in:301: looks like a word and its tag"):
        words(ner, "plain text\n" * 300 + "Ada\tB-PER\n")
    for task in (new(Parsing), new(Tagging)):
        with pytest.raises(DataError, match="in:301: looks like CoNLL-U"):
            words(task, "plain text\n" * 300 + ROW)
        assert words(task, "plain\n" + ROW, "text")[1][:2] == ("1", "word")
        with pytest.raises(DataError, match="in:3: 1 tab-separated columns instead of 10"):
            words(task, ROW + "plain text\n")
        with pytest.raises(DataError, match="looks like JSON"):
            words(task, '{"text": "a"}\n')


def test_hash_signs_are_words_where_there_are_no_comments(tmp_path: Path) -> None:
    ner = new(NER)
    assert words(ner, "#Turin\t_\nwon\t_\n#again\t_\n\n") == [("#Turin", "won", "#again")]
    assert words(ner, "# x\t_\nwon\t_\n") == [("# x", "won")]
    assert words(ner, "#1 is\n# two\n") == [("#", "1", "is"), ("#", "two")]
    assert words(new(Parsing), "#1 is\n# two\n") == [("#", "1", "is"), ("#", "two")]
    multiconer = "# id 7\tdomain=en\nthe _ _ O\n# _ _ B-X\n"
    (read,) = ner.read_file(write(tmp_path / "a.conll", multiconer))
    assert read.words == ("the", "#")
    with pytest.raises(DataError, match=r"b\.txt:2: the word '#1' has the tag 'NN'"):
        ner.read_file(write(tmp_path / "b.txt", "a O\n#1 NN\n"))


def test_conllu_whose_tabs_became_spaces_is_refused() -> None:
    text = "1 The the DET _ _ 2 det _ _\n2 goat goat NOUN _ _ 0 root _ _\n\n"
    for task in (new(Parsing), new(Tagging)):
        for before in ("", "# text = The goat\n", "\n"):
            with pytest.raises(DataError, match=r"in:\d: .*columns must be separated by tabs"):
                words(task, before + text)
    assert words(new(Parsing), "1 man saw 3 dogs and 2 cats in town\n")[0][0] == "1"  # ten words


@pytest.mark.parametrize("first", ["1\tCD\tB-NP\tB-DATE", "1\tO"])
def test_a_number_that_is_a_word(tmp_path: Path, first: str) -> None:
    rest = "goat\tNN\tI-NP\tO" if first.count("\t") > 1 else "goat\tO"
    (read,) = new(NER).read_file(write(tmp_path / "a.txt", f"{first}\n{rest}\n"))
    assert read.words == ("1", "goat")


def test_lost_columns_are_told(tmp_path: Path) -> None:
    ner = new(NER)
    with pytest.raises(DataError, match=r"a\.txt:2: 3 column\(s\) .* line 1 has 2"):
        ner.read_file(write(tmp_path / "a.txt", "in O\nNew York B-LOC\n"))
    with pytest.raises(DataError, match=r"b\.iob2:3: the number '4' is not the next, 3"):
        ner.read_file(write(tmp_path / "b.iob2", "1\ta\tO\n2\tb\tO\n4\tc\tO\n"))


# Rows that are wrong, and their option.


def test_an_empty_token_is_refused_or_its_sentence_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.txt", "Ada B-PER\nleft O\n O\n. O\n\nOmar B-PER\nleft O\n\n")
    with pytest.raises(DataError, match=r"a\.txt:3: the word is empty.*--skip_bad_rows"):
        new(NER).read_file(path)
    (read,) = new(NER, skip_bad_rows=True).read_file(path)
    assert read.words == ("Omar", "left")
    assert "1 of 2 sentences are left out as wrong: " in caplog.text
    assert "a.txt:3" in caplog.text
    damaged = ("Ada B-PER\nleft O\n O\n. O\n", " O\nAda B-PER\n", "Ada B-PER\nleft\n", "a N O\nb N O\nc\n")
    for text in damaged:  # columns with a damaged line are no text
        with pytest.raises(DataError, match="in:1: not clear"):
            words(new(NER), text)
    assert len(words(new(NER), "I like B-cells in blood\nWe need B-cells\nplain text\n", "text")) == 3
    assert len(words(new(NER), "We like B-cells\nplain text\n")) == 2
    with pytest.raises(DataError, match="in:3: the word is empty"):
        words(new(NER), path.read_text(), "columns")


BAD_ROWS: list[tuple[type[Task], str, str, str]] = [
    (Parsing, "a.conllu", ROW, "1\tx\t_\tX\t_\t_\t5\troot\t_\t_\n\n"),
    (Parsing, "a.conllu", ROW, "1\tx\t_\tX\t_\t_\t0\tflavour\t_\t_\n\n"),
    (Tagging, "a.conllu", ROW, "1\tx\t_\tTASTE\t_\t_\t0\troot\t_\t_\n\n"),
    (NER, "a.tsv", "a\tB-X\n\n", "b\tPER\n\n"),
    (NER, "a.jsonl", '{"tokens": ["a"], "ner_tags": ["B-X"]}\n', '{"tokens": ["a"], "ner_tags": null}\n'),
    (NER, "a.jsonl", '{"tokens": ["a"], "ner_tags": ["B-X"]}\n', '{"tokens": "a", "ner_tags": ["O"]}\n'),
    (NER, "a.jsonl", '{"tokens": ["a"], "ner_tags": ["B-X"]}\n', '{"tokens": [null], "ner_tags": ["O"]}\n'),
    (NER, "a.jsonl", '{"tokens": ["a"], "ner_tags": ["B-X"]}\n', '{"tokens": ["a"], "ner_tags": [true]}\n'),
    (
        NER,
        "a.jsonl",
        '{"tokens": ["a"], "ner_tags": ["B-X"]}\n',
        '{"tokens": ["\\ud83d"], "ner_tags": ["O"]}\n',
    ),
    (
        NER,
        "a.jsonl",
        '{"tokens": ["a"], "ner_tags": ["B-X"]}\n',
        '{"tokens": ["a\\tb"], "ner_tags": ["O"]}\n',
    ),
    (Classification, "a.csv", "text,label\na,x\nb,y\n", "c\n"),
    (Classification, "a.jsonl", '{"text": "a", "label": "x"}\n', '{"text": "b"}\n'),
    (Classification, "a.jsonl", '{"text": "a", "label": "x"}\n', '{"text": 5, "label": "x"}\n'),
    (Classification, "a.jsonl", '{"text": "a", "label": "x"}\n', "[1]\n"),
    (Classification, "a.jsonl", '{"text": "a", "label": "x"}\n', '{"text": "a", "label": "x"\n'),
    (
        Classification,
        "a.jsonl",
        '{"text": "a", "label": "x"}\n',
        '{"text": "a", "text": "b", "label": "x"}\n',
    ),
    (Classification, "a.jsonl", '{"text": "a", "label": "x"}\n', '{"text": "half \\ud83d", "label": "x"}\n'),
    (Classification, "a.jsonl", '{"text": "a", "label": "x"}\n', '{"text": "a", "label": "\\ud83d"}\n'),
    *(
        (Classification, "a.jsonl", '{"text": "a", "label": "x"}\n', f'{{"text": "b", "label": {value}}}\n')
        for value in ("NaN", "Infinity", "null", "[1]", '{"a": 1}', "true", '" "', '"nan"')
    ),
    (
        QuestionAnswering,
        "a.jsonl",
        '{"id": 1, "question": "q", "context": "c", "answers": {"text": ["c"], "answer_start": [0]}}\n',
        '{"id": 2, "question": "q", "context": "c", "answers": {"text": ["d"], "answer_start": [0]}}\n',
    ),
]


@pytest.mark.parametrize(("kind", "name", "good", "bad"), BAD_ROWS)
def test_bad_rows_are_named_or_left_out(
    tmp_path: Path, kind: type[Task], name: str, good: str, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / name, good + bad)
    with pytest.raises(
        DataError, match=rf"{name}.*--skip_bad_rows leaves such {kind.rows_are} out"
    ) as caught:
        new(kind).read_file(path)
    assert str(caught.value).count("--skip_bad_rows") == 1
    whole = new(kind).read_file(write(tmp_path / f"good-{name}", good))
    kept = new(kind, skip_bad_rows=True).read_file(path)
    assert len(kept) == len(whole) > 0
    assert f"1 of {len(whole) + 1} {kind.rows_are} are left out as wrong: " in caplog.text
    if kind is not Classification:
        with pytest.raises(DataError, match=r"nothing is left|no "):
            new(kind, skip_bad_rows=True).read_file(write(tmp_path / f"bad-{name}", bad))


# Labels.


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_rows_without_a_gold_label_are_left_out_counted_and_named(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    for labels, mark in ((["entailment", "neutral", "-", "contradiction"], "-"), ([0, 1, -1, 2], -1)):
        if suffix == ".csv":
            text = "sentence1,sentence2,gold_label\n" + "".join(f"a,b,{label}\n" for label in labels)
        else:
            rows = [{"sentence1": "a", "sentence2": "b", "gold_label": label} for label in labels]
            text = "".join(json.dumps(row) + "\n" for row in rows)
        path = write(tmp_path / f"dev{suffix}", text)
        task = new(Classification)
        caplog.clear()
        read = task.read_file(path)
        assert [example.label for example in read] == [str(label) for label in labels if label != mark]
        assert len(task.find_labels(read)) == 3
        written = repr(mark if suffix == ".jsonl" else str(mark))
        assert f"1 of 4 rows have no gold label ({written}) and are left out" in caplog.text
        assert f"line {4 if suffix == '.csv' else 3}" in caplog.text
        assert "--keep_unlabelled" in caplog.text
        keeping = new(Classification, keep_unlabelled=True)
        kept = keeping.read_file(path)
        assert str(mark) in keeping.find_labels(kept)
        keeping.labels = keeping.find_labels(kept)
        assert len(keeping.read_file(path)) == len(keeping.encode(kept)) == 4
        later = new(Classification)  # a model that was trained with the class
        later.labels = keeping.labels
        assert len(later.read_file(path)) == 4


def test_minus_one_is_a_score_among_fractions(tmp_path: Path) -> None:
    path = write(tmp_path / "dev.csv", "text,label\na,0.5\nb,-1\nc,2\n")
    task = new(Classification)
    read = task.read_file(path)
    assert [example.label for example in read] == ["0.5", "-1", "2"]
    assert task.find_labels(read) == ["score"]
    path = write(tmp_path / "test.jsonl", '{"text": "a", "label": -1}\n' * 3)
    with pytest.raises(DataError, match="every label is -1, which stands for hidden ones"):
        task.read_file(path)


def test_whole_floats_and_numbers_are_one_class(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b", "c"], "label": [1.0, 0.0, -1.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [e.label for e in new(Classification).read_file(tmp_path / "a.parquet")] == ["1", "0"]


# Containers.


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".bz2", ".zst"])
def test_every_reader_takes_every_compression(tmp_path: Path, suffix: str) -> None:
    question = {"id": "q", "question": "q", "context": "c", "answers": {"text": ["c"], "answer_start": [0]}}
    texts: list[tuple[type[Task], str, str]] = [
        (Parsing, "x-ud-train.conllu", ROW),
        (Tagging, "x-ud-train.conllu", ROW),
        (NER, "train.txt", "Ada\tB-X\n"),
        (NER, "en-train.bio", "Ada B-X\n"),
        (NER, "train.jsonl", '{"tokens": ["Ada"], "ner_tags": ["B-X"]}\n'),
        (Classification, "train.tsv", "text\tlabel\na\tx\n"),
        (Classification, "train.jsonl", '{"text": "a", "label": "x"}\n'),
        (Classification, "train.ndjson", '{"text": "a", "label": "x"}\n'),
        (
            QuestionAnswering,
            "train.json",
            json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": [{**question, "answers": []}]}]}]}),
        ),
        (QuestionAnswering, "train.jsonl", json.dumps(question)),
    ]
    for number, (kind, name, text) in enumerate(texts):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        path = write(folder / f"{name}{suffix}", "\ufeff" + text.replace("\n", "\r\n"))
        assert len(new(kind).read(folder, "train")) == 1, name
        assert len(list(new(kind).read_unlabelled(path))) == 1, name


def test_parquet_and_arrow(tmp_path: Path) -> None:
    table = pa.table({"tokens": [["Ada", "left"]], "ner_tags": [["B-PER", "O"]]})
    pq.write_table(table, tmp_path / "train.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write(table)
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write(table)
    for name in ("train.parquet", "a.arrow", "b.arrow"):
        (read,) = new(NER).read_file(tmp_path / name)
        (raw,) = new(NER).read_unlabelled(tmp_path / name)
        assert read.words == raw.words == ("Ada", "left")
        assert (read.tags, raw.tags) == (("B-PER", "O"), ("O", "O"))
    (tmp_path / "c.arrow").write_bytes(b"no arrow")
    with pytest.raises(DataError, match=r"c\.arrow is not valid Arrow"):
        new(NER).read_file(tmp_path / "c.arrow")


def test_tables_are_no_text_for_tasks_that_read_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n')
    with pytest.raises(DataError, match=r"the task parsing reads no \.jsonl files"):
        new(Parsing).read_unlabelled(path)
    assert next(iter(new(NER).stream(['{"tokens": ["#a", "b c"]}'], "in"))).words == ("#a", "b c")


def test_long_fields_of_csv_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f'text,label\n"{"word " * 40_000}",x\n')
    (read,) = new(Classification).read_file(path)
    assert len(read.text) == 200_000


@pytest.mark.parametrize("text", ["id,text,label,text\n1,a,x,b\n", "text;label;label\na;x;y\n"])
def test_columns_that_are_there_twice(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"has 2 columns '(text|label)'; keep one"):
        new(Classification).read_file(write(tmp_path / "a.csv", text))


def test_a_first_example_is_not_taken_for_a_header(tmp_path: Path) -> None:
    text = "title\tone two three four five six seven\nbody\tone two three four five six eight\n"
    with pytest.raises(DataError, match=r"a\.tsv:1: not clear whether this is a header or an example"):
        new(Classification).read_file(write(tmp_path / "a.tsv", text))
    read = new(Classification, columns="label,text").read_file(tmp_path / "a.tsv")
    assert [example.label for example in read] == ["title", "body"]


def test_lines_end_alike_in_every_reader(tmp_path: Path) -> None:
    odd = "one\u2028still one\x85 x"
    for kind, name, text in (
        (NER, "a.tsv", f"{odd}\tB-X\rtwo\tO\r\n\nthree\tO\n"),
        (Parsing, "a.conllu", ROW.replace("word", odd).replace("\n", "\r")),
        (Classification, "a.tsv", f"text\tlabel\r{odd}\tx\r\nb\ty\n"),
        (Classification, "a.csv", f"text,label\r{odd},x\r\nb,y\n"),
        (Classification, "a.jsonl", f'{{"text": "{odd}", "label": "x"}}\r{{"text": "b", "label": "y"}}\r\n'),
    ):
        first, *others = new(kind).read_file(write(tmp_path / name, text))
        assert (first.text if kind is Classification else first.words[0]) == odd
        assert len(others) == (kind is not Parsing)


# Questions.


def squad(*questions: dict[str, Any]) -> str:
    paragraphs = [{"context": "The goat sleeps in Turin.", "qas": questions}]
    return json.dumps({"version": "1", "data": [{"title": "t", "paragraphs": paragraphs}]})


def asked(number: Any, text: str = "Turin", start: Any = 19, **more: Any) -> dict[str, Any]:
    return {"id": number, "question": "Where?", "answers": [{"text": text, "answer_start": start}], **more}


def test_false_as_text_and_the_id_zero(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", squad(asked(0, is_impossible="False"), asked(1, is_impossible=False)))
    read = new(QuestionAnswering).read_file(path)
    assert [(question.id, len(question.answers)) for question in read] == [("0", 1), ("1", 1)]
    nothing = {"id": "n", "question": "q", "answers": [], "is_impossible": "True"}
    (empty,) = new(QuestionAnswering).read_file(write(tmp_path / "b.json", squad(nothing)))
    assert empty.answers == ()


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ([asked("a"), asked("a")], "question 'a': the id 'a' is there twice"),
        ([asked(1), asked("1")], "the id '1' is there twice"),
        ([asked(True)], r"the id True \(a truth value\) is neither text nor a whole number"),
        ([asked("a", is_impossible="perhaps")], "is_impossible is 'perhaps'"),
        ([asked("a", is_impossible=True)], "is_impossible is true, but there are answers"),
        ([asked("a", start=True)], "answer_start is True"),
        ([asked("a", start=19.5)], "answer_start is 19.5"),
        ([asked("a", start=None)], "answer_start is None"),
        ([asked("a", text=5)], "an answer is no text, but 5"),  # type: ignore[arg-type]
        ([asked("a", question=["q"])], r"the question is no text, but \['q'\]"),
        ([asked("a", question="\ud83d")], "the question holds half a character"),
        ([5], "question 1: no object, but 5"),
    ],
)  # fmt: skip
def test_types_of_questions_are_checked(tmp_path: Path, questions: list[Any], message: str) -> None:
    path = write(tmp_path / "a.json", squad(*questions))
    with pytest.raises(DataError, match=message):
        new(QuestionAnswering).read_file(path)


def test_an_answer_that_is_not_in_its_context(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.json", squad(asked("a"), asked("b", "at night", 3)))
    for options in ({}, {"align_answers": True}):
        with pytest.raises(DataError, match="does not occur in its context; --skip_bad_rows"):
            new(QuestionAnswering, **options).read_file(path)
    (read,) = new(QuestionAnswering, skip_bad_rows=True).read_file(path)
    assert read.id == "a"
    assert "1 of 2 questions are left out as wrong: " in caplog.text
    moved = write(tmp_path / "b.json", squad(asked("a", start=3)))
    with pytest.raises(DataError, match="--align_answers true takes the nearest place"):
        new(QuestionAnswering).read_file(moved)
    (aligned,) = new(QuestionAnswering, align_answers=True).read_file(moved)
    assert aligned.answers[0].start == 19


# What predict writes.

WORD = st.text("#a1 -_O\u2028\x85é漢", min_size=1, max_size=4).filter(str.strip)
TEXT = st.text("#a1 \t\n\r\"'{[,-_\u2028é漢", min_size=1, max_size=12).filter(str.strip)


def read_back(task: Task, predicted: list[Any], folder: Path) -> tuple[list[Any], list[Any]]:
    """What the task's own readers make of a file of predictions: as data, and as text to annotate."""
    path = task.write(predicted, folder / "predictions")
    return task.read_file(path), list(task.read_unlabelled(path))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(WORD, min_size=1, max_size=3), min_size=1, max_size=3))
def test_entities_are_read_back(tmp_path_factory: pytest.TempPathFactory, sentences: list[list[str]]) -> None:
    task = new(NER)
    tags = [("B-X", "I-X", "O")[: len(sentence)] for sentence in sentences]
    predicted = [
        TaggedSentence(words=tuple(sentence), tags=tag, source="x")
        for sentence, tag in zip(sentences, tags, strict=True)
    ]
    for part in read_back(task, predicted, tmp_path_factory.mktemp("ner")):
        assert [list(sentence.words) for sentence in part] == sentences
    task.labels = ["O", "B-X", "I-X"]
    read, _ = read_back(task, predicted, tmp_path_factory.mktemp("ner"))
    assert [sentence.tags for sentence in read] == tags
    lines = "".join(f"{w}\t{t}\n" for s in predicted for w, t in [*zip(s.words, s.tags, strict=True)]) + "\n"
    joined = [word for sentence in task.stream(split_lines(lines), "in") for word in sentence.words]
    assert joined == [word for sentence in sentences for word in sentence]


@settings(deadline=None, max_examples=30)
@given(st.lists(TEXT, min_size=1, max_size=3), st.sampled_from(["text", "tokens"]))
def test_trees_and_tags_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], form: str
) -> None:
    folder = tmp_path_factory.mktemp("ud")
    raw = list(stream_raw(lines, "in", form))  # type: ignore[arg-type]
    if form == "tokens":
        expected = [word for text in lines for line in split_lines(text) for word in line.split()]
        assert [word for sentence in raw for word in sentence.words] == expected
    trees = [with_tree(s, range(len(s.words)), ["root"] + ["dep"] * (len(s.words) - 1)) for s in raw]
    write_conllu(trees, folder / "a.conllu")
    assert [s.words for s in new(Parsing).read_file(folder / "a.conllu")] == [s.words for s in raw]
    tagged = [with_tags(s, ["NOUN"] * len(s.words)) for s in raw]
    write_conllu(tagged, folder / "b.conllu")
    assert [s.upos for s in new(Tagging).read_file(folder / "b.conllu")] == [s.upos for s in tagged]
    for kind, file in ((Tagging, "a.conllu"), (Parsing, "b.conllu")):  # what stands for nothing is no gold
        with pytest.raises(DataError, match="stand"):
            new(kind).read_file(folder / file)
    both = with_tags(trees[0], tagged[0].upos)
    assert not both.placeholders
    assert not any("placeholder" in line for line in both.lines)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3), st.booleans())
def test_classes_and_answers_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]], pairs: bool
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    task = new(Classification)
    task.labels = ["no", "yes"]
    given = [(first, second if pairs else None) for first, second in texts]
    predicted = [
        TextPrediction(text=first, pair=second, label="yes", probabilities={"yes": 1.0}, score=None)
        for first, second in given
    ]
    for part in read_back(task, predicted, folder):
        assert [(example.text, example.pair) for example in part] == given
    assert {example.label for example in task.read_file(folder / "predictions.jsonl")} == {"yes"}
    answers = []
    for number, (first, second) in enumerate(texts):
        found = second[number : number + 1]
        start = number if found else -1
        answers.append(
            QAPrediction(id=str(number), question=first, answer=found, start=start, score=0.0, context=second)
        )
    read, raw = read_back(new(QuestionAnswering), answers, tmp_path_factory.mktemp("answers"))
    assert [(q.question, q.context) for q in read] == [(q.question, q.context) for q in raw] == texts
    assert ["".join(a.text for a in q.answers) for q in read] == [answer.answer for answer in answers]


RAW = [
    "Ada lives in Turin.", "don't worry... (really?!) a.b@c.de, 3,500.50 €5 #tag", "今日は、東京に行きます。",
    "ฉันชอบแมว มาก", "नमस्ते दुनिया।", "a\u0301b  double\u00a0space", "# hash", "ខ្ញុំ\u200bស្រឡាញ់", "_ _",
    "tab\tinside", "-", "\u200d lone",
]  # fmt: skip


@pytest.mark.parametrize("form", ["text", "tokens"])
def test_raw_text_becomes_valid_conllu_at_level_2(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    from udtools import Validator

    stream = io.StringIO()
    texts = [unicodedata.normalize("NFC", line) for line in RAW]
    write_conllu(stream_raw(texts, "in", form), stream)  # type: ignore[arg-type]
    stream.seek(0)
    validator = Validator(lang="ud", level=2)
    state = validator.validate_file_handle(stream)
    validator.validate_end(state)
    assert state.passed(), capsys.readouterr()


def test_words_of_raw_text() -> None:
    (first,) = stream_raw(["Ada (36) wasn't in U.S., no... #x 今日は、東京"], "in")
    assert " ".join(first.words) == "Ada ( 36 ) wasn't in U.S . , no ... # x 今日は 、 東京"
    assert first.text == "Ada (36) wasn't in U.S., no... #x 今日は、東京"
    assert first.sent_id == "1"
    assert "SpaceAfter=No" in first.lines[4]
    assert first.lines[-1].endswith("\t_")


def test_scripts_without_spaces_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    text = ["plain text\n", "今日は東京\n", "ฉันชอบแมว\n"] * 3
    for task in (new(Parsing), new(Tagging), new(NER)):
        caplog.clear()
        assert len(list(task.stream(text, "in"))) == 9
        assert [r.getMessage()[:40] for r in caplog.records] == ["in:2: Han is written without spaces and "]
        caplog.clear()
        assert len(list(task.stream(text, "in", "tokens"))) == 9
        assert not caplog.records


def test_pairs_and_texts_are_not_mixed() -> None:
    task = new(Classification)
    assert [e.pair for e in task.stream(["a\tb\n", "c\td\n"], "in")] == ["b", "d"]
    for text, line in ((["a\n"] * 300 + ["b\tc\n"], 301), (["a\tb\n", "c\n"], 2), (["a\tb\tc\n"], 1)):
        with pytest.raises(DataError, match=rf"in:{line}: .*--input_format text"):
            list(task.stream(text, "in"))
        assert all(e.pair is None for e in task.stream(text, "in", "text"))
    with pytest.raises(DataError, match="in:2: the second text is no text"):
        list(task.stream(['{"text": "a", "pair": "b"}', '{"text": "c"}'], "in"))


# Anything at all.

KEYS = "text label tokens ner_tags question context answers answer_start data paragraphs qas id pair"
JUNK = st.one_of(
    st.binary(max_size=60),
    st.text('1\t _-#O\nB-X"{}[]:,a\r\u2028', max_size=60).map(str.encode),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)
SUFFIXES = (
    ".txt",
    ".tsv",
    ".csv",
    ".json",
    ".jsonl",
    ".conllu",
    ".iob2",
    ".parquet",
    ".arrow",
    ".gz",
    ".zst",
)


@settings(deadline=None, max_examples=40)
@given(JUNK, st.sampled_from(TASKS), st.booleans())
def test_any_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, kind: type[Task], skip: bool
) -> None:
    folder = tmp_path_factory.mktemp("junk")
    for suffix in SUFFIXES:
        path = folder / f"a{suffix}"
        path.write_bytes(junk)
        task = new(kind, skip_bad_rows=skip)
        for read in (task.read_file, task.read_unlabelled, lambda file: task.read_unlabelled(file, "text")):  # noqa: B023
            try:
                found, message = list(read(path)), ""
            except DataError as error:
                found, message = [], str(error)
            assert found or "/a." in message, (suffix, message)


def test_shared_inputs(shared: Path) -> None:
    inputs = shared / "inputs"
    ner = new(NER)
    assert len(next(iter(ner.read_unlabelled(inputs / "ner_conll2003.txt"))).words) == 4
    assert len(list(ner.read_unlabelled(inputs / "ner_one_tab.txt"))) == 3
    assert len(next(iter(ner.read_unlabelled(inputs / "ner_hash_words.txt"))).words) == 3
    assert len(list(new(Parsing).read_unlabelled(inputs / "one_tab_in_plain_text.txt"))) == 3
    for name in ("labels_nan.jsonl", "surrogate.jsonl", "nli_dash.jsonl"):
        skipping = new(Classification, skip_bad_rows=True).read_file(inputs / name)
        assert len(skipping) == {"labels_nan.jsonl": 2, "surrogate.jsonl": 1, "nli_dash.jsonl": 3}[name]
    with pytest.raises(DataError, match=r"surrogate\.jsonl:1: the text holds half a character"):
        new(Classification).read_file(inputs / "surrogate.jsonl")
