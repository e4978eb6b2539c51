from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixel_m4.files import DataError
from pixel_m4.formats import conllu
from pixel_m4.formats.iob import TaggedSentence, parse_iob, parse_raw, to_iob2, write_iob2

TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y", "E-X", "S-Y"]


def parse(text: str, **options: object) -> list[TaggedSentence]:
    return parse_iob(text.split("\n"), "made.txt", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("B-X I-X O B-Y B-Y", "B-X I-X O B-Y B-Y"),  # IOB2 stays
        ("I-X I-X B-X I-Y O I-Y", "B-X I-X B-X B-Y O B-Y"),  # IOB1
        ("B-X I-X E-X S-Y S-Y O", "B-X I-X I-X B-Y B-Y O"),  # BIOES
        ("B-X M-X L-X U-X", "B-X I-X I-X B-X"),  # BMES and BILOU
        ("E-X I-X S-X I-X", "B-X B-X B-X B-X"),  # after an end, something new begins
        ("O I-X I-Y", "O B-X B-Y"),  # broken IOB2
    ],
)
def test_schemes_become_iob2(given: str, expected: str) -> None:
    assert " ".join(to_iob2(given.split())) == expected


@given(st.lists(st.sampled_from(TAGS)))
def test_iob2_is_well_formed_and_stays(tags: list[str]) -> None:
    converted = to_iob2(tags)
    for before, tag in zip(("O", *converted), converted, strict=False):
        assert not tag.startswith("I-") or before in (f"B-{tag[2:]}", tag)
    assert to_iob2(converted) == converted


@settings(deadline=None)  # the first call imports seqeval
@given(st.lists(st.sampled_from(TAGS[:5]), min_size=1))
def test_repair_does_not_change_what_counts_as_entity(tags: list[str]) -> None:
    from seqeval.metrics.sequence_labeling import get_entities

    assert get_entities(list(to_iob2(tags))) == get_entities(tags)


def test_columns_with_spaces_tabs_and_comments() -> None:
    text = "-DOCSTART- -X- O O\n\n# note\nEU NNP B-NP I-ORG\n# NN B-NP O\n"
    (first,) = parse(text)
    (second,) = parse("\n" * 7 + "in\tO\nNew York\tB-LOC\n")
    assert (first.words, first.tags) == (("EU", "#"), ("B-ORG", "O"))
    assert (second.words, second.tags) == (("in", "New York"), ("O", "B-LOC"))
    assert second.place(1) == "made.txt:9"


def test_universal_ner_and_its_other_type() -> None:
    text = "# text = A # of OECD\n1\tA\tO\t-\tx\n2\t#\tB-OTH\t-\tx\n3\tof\tO\t-\tx\n4\tOECD\tB-ORG\t-\tx\n"
    (sentence,) = parse(text)
    assert sentence.words == ("A", "#", "of", "OECD")
    assert sentence.tags == ("O", "O", "O", "B-ORG")


@pytest.mark.parametrize(
    "text",
    [
        "0\tIn\tO\n1\tParis\tB-LOC\n\n0\tJohn\tB-PER\n1\tOTH\tB-OTH\n",  # WikiNEuRal
        "1\tIn\tADP\tO\n2\tParis\tPROPN\tB-LOC\n\n1\tJohn\tPROPN\tB-PER\n2\tOTH\tX\tB-OTH\n",
        "1 In O\n2 Paris B-LOC\n\n1 John B-PER\n2 OTH B-OTH\n",
        "#\tnews\n1\tIn\tO\tO\n2\tParis\tB-LOC\tO\n\n1\tJohn\tB-PER\tO\n2\tOTH\tB-OTH\tO\n",  # GermEval
    ],
)
def test_numbers_before_words_are_no_words(text: str) -> None:
    first, second = parse(text)
    assert (first.words, first.tags) == (("In", "Paris"), ("O", "B-LOC"))
    assert (second.words, second.tags) == (("John", "OTH"), ("B-PER", "B-OTH"))
    raw = parse_raw(text.splitlines(), "x", "columns")
    assert [sentence.words for sentence in raw] == [first.words, second.words]


def test_numbers_that_are_words_stay_words() -> None:
    (sentence,) = parse("7 B-X\n11 I-X\n")
    assert sentence.words == ("7", "11")
    lines = [
        "1 CD I-NP O",
        "",
        "EU NNP I-NP B-ORG",
        "rejects VBZ I-VP O",
    ]  # CoNLL-2003, of which the head is seen
    assert [each.words for each in parse_raw(lines, "x", "columns")] == [("1",), ("EU", "rejects")]


@pytest.mark.parametrize("read", [parse_raw, conllu.parse_raw])
@pytest.mark.parametrize(
    ("lines", "place"),
    [
        (["John", "lives", "", "He"], "x:4: not clear whether this is a sentence: 'He' looks like a word"),
        (["1\tThe", "2\tcat"], r"x:1: not clear whether this is a sentence.*The"),
    ],
)  # fmt: skip
def test_a_word_a_line_without_tags_is_not_taken_for_sentences(
    read: Callable, lines: list[str], place: str
) -> None:
    with pytest.raises(DataError, match=place):
        read(lines, "x")
    assert len(read(lines, "x", "text")) == sum(map(bool, lines))
    plain = ["John", "", "lives", "", "", "Go on", "He", "sings", "", "loud"]
    assert len(read(plain, "x")) == 6


def test_characters_of_klue() -> None:
    text = (
        "## note\n## klue-0\t<경찰:OG>은 또\n경\tB-OG\n찰\tI-OG\n은\tO\n \tO\n또\tO\n\n## klue-1\t#\n#\tO\n"
    )
    first, second = parse(text)
    assert (first.words, first.tags) == (tuple("경찰은또"), ("B-OG", "I-OG", "O", "O"))
    assert first.lines == (3, 4, 5, 7)
    assert second.words == ("#",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no sentence"),
        ("\n \n", "holds no sentence"),
        ("a O\nb\n", r"made\.txt:2: one column instead of a word and its tag: 'b'"),
        ("1\ta\tO\n2\tb\n", r"made\.txt:2: 2 columns instead of number, word and tag"),
        ("a O\nb PER\n", r"made\.txt:2: the word 'b' has the tag 'PER', which is neither O nor"),
        ("a\tO\n \tO\n", r"made\.txt:2: the word is empty"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse(text)


def test_raw_text_and_columns() -> None:
    assert [s.words for s in parse_raw(["A cat", "", "sleeps ."], "x")] == [("A", "cat"), ("sleeps", ".")]
    assert [s.words for s in parse_raw(["A O", "cat B-X", "", "b O"], "x")] == [("A", "cat"), ("b",)]
    assert [s.words for s in parse_raw(["A\twhatever", "cat\t"], "x", "columns")] == [("A", "cat")]
    with pytest.raises(DataError, match="x:1: not clear whether this is a sentence or a word with its tag"):
        parse_raw(["A\twhatever", "cat\t"], "x")
    assert [s.words for s in parse_raw(["1\tA\tO\t-", "2\tcat\tO\t-"], "x")] == [("A", "cat")]
    assert [s.words for s in parse_raw(["1\tA\t_\t_", "2\tcat\t_\t_"], "x")] == [("A", "cat")]
    assert parse_raw(["Go on"], "x")[0].tags == ("O", "O")


def test_written_and_read_again() -> None:
    sentences = parse("a\tB-X\nb\tI-X\n\n#\tO\n")
    stream = io.StringIO()
    write_iob2(sentences, stream)
    assert stream.getvalue() == "a\tB-X\nb\tI-X\n\n#\tO\n\n"
    assert [(s.words, s.tags) for s in parse(stream.getvalue())] == [(s.words, s.tags) for s in sentences]


@pytest.mark.parametrize("name", ["masakhaner/amh/dev.txt", "uner/UNER_Serbian-SET/sr_set-ud-dev.iob2"])
def test_real_files_keep_every_word(shared: Path, name: str) -> None:
    text = (shared / "data" / name).read_text(encoding="utf-8")
    words = sum(bool(line.strip()) and not line.startswith("# ") for line in text.split("\n"))
    assert sum(len(sentence.words) for sentence in parse(text)) == words
