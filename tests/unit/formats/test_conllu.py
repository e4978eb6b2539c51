from __future__ import annotations

import gzip
import io
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixel_m4.formats.conllu import (
    UD_RELATIONS,
    ConlluError,
    find_cycle,
    parse_conllu,
    parse_raw,
    read_conllu,
    strip_subtype,
    with_tags,
    with_tree,
    with_words,
    write_conllu,
)

# A multiword token, empty nodes, a form with a space, enhanced dependencies, a line separator inside a form.
FULL = """\
# newdoc id = d1
# sent_id = s1
# text = Dámelo cà phê no.
1-2\tDámelo\t_\t_\t_\t_\t_\t_\t_\t_
1\tDame\tdar\tVERB\t_\tMood=Imp\t0\troot\t0:root\t_
2\tlo\tél\tPRON\t_\t_\t1\tobj:x\t1:obj|3:obj\t_
2.1\t_\t_\tVERB\t_\t_\t_\t_\t0:root\tEmpty=Yes
3\tcà phê\tcà phê\tNOUN\t_\t_\t1\tobl\t1:obl\t_
4\tn\u2028o\tno\tINTJ\t_\t_\t1\tdiscourse\t1:discourse\tSpaceAfter=No
5\t.\t.\tPUNCT\t_\t_\t1\tpunct\t1:punct\t_

"""


def conllu(heads: list[str], ids: list[str] | None = None) -> str:
    ids = ids or [str(n) for n in range(1, len(heads) + 1)]
    lines = [
        f"{i}\tw{i}\t_\tX\t_\t_\t{head}\t{'root' if head == '0' else 'dep'}\t_\t_\n"
        for i, head in zip(ids, heads, strict=True)
    ]
    return "".join(lines) + "\n"


def test_reads_words_and_leaves_out_multiword_tokens_and_empty_nodes() -> None:
    (sentence,) = parse_conllu(FULL, "full.conllu")
    assert sentence.words == ("Dame", "lo", "cà phê", "n\u2028o", ".")
    assert sentence.upos == ("VERB", "PRON", "NOUN", "INTJ", "PUNCT")
    assert sentence.heads == (0, 1, 1, 1, 1)
    assert sentence.deprels == ("root", "obj:x", "obl", "discourse", "punct")
    assert sentence.sent_id == "s1"
    assert sentence.text == "Dámelo cà phê no."
    assert sentence.source == "full.conllu:1"
    assert "\n".join(sentence.lines) + "\n\n" == FULL


def test_text_without_its_comment_comes_from_the_surface_tokens() -> None:
    bare = "".join(line for line in FULL.splitlines(True) if not line.startswith("#"))
    (sentence,) = parse_conllu(bare)
    assert sentence.text == "Dámelo cà phê n\u2028o."
    assert sentence.sent_id is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text.rstrip("\n"), id="no last line end"),
        pytest.param(lambda text: text[:-1], id="no last blank line"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: "\n\n" + text + "  \n\n", id="more blank lines"),
    ],
)
def test_harmless_variants_read_the_same_from_text_stream_and_file(change, tmp_path: Path) -> None:
    (expected,) = parse_conllu(FULL)
    path = tmp_path / "variant.conllu"
    path.write_bytes(change(FULL).encode())
    for (sentence,) in (
        parse_conllu(change(FULL)),
        parse_conllu(io.StringIO(change(FULL), newline="\n")),
        read_conllu(path),
    ):
        assert sentence.lines == expected.lines
        assert sentence.heads == expected.heads


def test_source_is_the_first_line_of_each_sentence() -> None:
    sentences = parse_conllu("\n" + conllu(["0", "1"]) + "\n" + conllu(["0"]).strip(), "x")
    assert [sentence.source for sentence in sentences] == ["x:2", "x:6"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (conllu(["0", "1"]).replace("\t", "  "), ["bad.conllu:1", "not spaces"]),
        ("1\tword\n\n", ["bad.conllu:1", "2 tab-separated columns instead of 10"]),
        (conllu(["0"]).replace("_\n", "_\t_\n"), ["bad.conllu:1", "11 tab-separated", "too many"]),
        (conllu(["0", "1"], ["1", "3"]), ["bad.conllu:2", "column ID", "'3'", "here 2"]),
        (conllu(["0", "1"], ["1", "x"]), ["bad.conllu:2", "column ID", "'x'"]),
        (conllu(["0", "1"], ["1", "1"]), ["bad.conllu:2", "column ID", "'1'"]),
        (conllu(["0", "1"], ["1", "٢"]), ["bad.conllu:2", "column ID"]),
        (conllu(["_", "0", "1"], ["2-3", "1", "2"]), ["bad.conllu:1", "column ID", "'2-3'", "1-N"]),
        (conllu(["_", "0", "1"], ["1-0", "1", "2"]), ["bad.conllu:1", "column ID", "'1-0'"]),
        (conllu(["_", "0", "_", "1"], ["1-2", "1", "2-3", "2"]), ["bad.conllu:3", "overlap"]),
        (conllu(["_", "0", "1"], ["1-3", "1", "2"]), ["bad.conllu:1", "beyond the last word, 2"]),
        (conllu(["0", "_"], ["1", "1.2"]), ["bad.conllu:2", "column ID", "'1.2'", "1.1"]),
        (conllu(["0", "one"]), ["bad.conllu:2", "column HEAD", "'one'", "write 0"]),
        (conllu(["0", "-1"]), ["bad.conllu:2", "column HEAD", "'-1'"]),
        (conllu(["0", "²"]), ["bad.conllu:2", "column HEAD", "'²'"]),
        (conllu(["0", "_"]), ["bad.conllu:2", "column HEAD", "'_'", "trees=False"]),
        (conllu(["0", "3"]), ["bad.conllu:2", "column HEAD", "'3'", "beyond the last word, 2"]),
        (conllu(["0", "3", "4", "2"]), ["bad.conllu:2", "cycle: 2 'w2' → 3 'w3' → 4 'w4' → 2 'w2'"]),
        (conllu(["0", "2"]), ["bad.conllu:2", "cycle: 2 'w2' → 2 'w2'"]),
        (conllu(["2", "1"]), ["bad.conllu:1", "cycle"]),  # no root at all
        (conllu(["0", "1", "0"]), ["bad.conllu:3", "column HEAD", "second root", "line 1"]),
        (conllu(["0"]).replace("w1", ""), ["bad.conllu:1", "column FORM", "empty"]),
        ("# alone\n\n" + conllu(["0"]), ["bad.conllu:1", "without words"]),
        ("", ["bad.conllu", "no sentence"]),
        ("\n\n", ["bad.conllu", "no sentence"]),
    ],
)
def test_errors_say_where_what_and_what_to_do(text: str, parts: list[str]) -> None:
    with pytest.raises(ConlluError) as error:
        parse_conllu(text, "bad.conllu")
    for part in parts:
        assert part in str(error.value)


def test_without_trees_heads_may_be_missing_and_no_tree_is_demanded() -> None:
    missing, cycle, forest = parse_conllu(
        conllu(["_", "_"]) + conllu(["2", "1"]) + conllu(["0", "0"]), trees=False
    )
    assert missing.heads == (-1, -1)
    assert cycle.heads == (2, 1)
    assert forest.heads == (0, 0)
    with pytest.raises(ConlluError, match="column HEAD"):
        parse_conllu(conllu(["x"]), trees=False)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_bytes_that_are_no_utf8_are_named(mark: bytes, tmp_path: Path) -> None:
    path = tmp_path / "latin.conllu"
    path.write_bytes(mark + conllu(["0", "1"]).replace("w2", "é").encode("latin-1"))
    with pytest.raises(ConlluError, match=r"latin\.conllu:2: byte 0xe9 is not UTF-8"):
        read_conllu(path)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_broken_archives_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.conllu{suffix}"
    pack = gzip.compress if suffix == ".gz" else lzma.compress
    whole = pack(FULL.encode())
    for data in (b"plain text", whole[:-12], whole[:20] + bytes(20) + whole[40:]):
        path.write_bytes(data)
        with pytest.raises(ConlluError, match="does not decompress"):
            read_conllu(path)


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_written_files_are_what_was_read(suffix: str, tmp_path: Path) -> None:
    text = FULL + conllu(["0", "1"])
    path = tmp_path / f"out.conllu{suffix}"
    write_conllu(parse_conllu(text), path)
    unpack = {"": bytes, ".gz": gzip.decompress, ".xz": lzma.decompress}[suffix]
    assert unpack(path.read_bytes()).decode() == text
    assert [sentence.lines for sentence in read_conllu(path)] == [s.lines for s in parse_conllu(text)]
    once = path.read_bytes()
    write_conllu(parse_conllu(text), path)
    assert path.read_bytes() == once
    assert os.listdir(tmp_path) == [path.name]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.conllu"
    path.write_text("old")

    def sentences():
        yield from parse_conllu(FULL)
        raise RuntimeError("model ran away")

    with pytest.raises(RuntimeError):
        write_conllu(sentences(), path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.conllu"]


def test_predictions_change_their_columns_only() -> None:
    (sentence,) = parse_conllu(FULL)
    predicted = with_tree(sentence, [2, 0, 2, 2, 2], ["obj", "root", "obl", "dep", "punct"])
    stream = io.StringIO()
    write_conllu([predicted], stream)
    old, new = FULL.split("\n"), stream.getvalue().split("\n")
    assert len(old) == len(new)
    for before, after in zip(old, new, strict=True):
        if before[:1].isdigit() and before.split("\t")[0].isdigit():
            was, now = before.split("\t"), after.split("\t")
            assert (was[:6], was[9]) == (now[:6], now[9])
            assert now[8] == "_"
        else:
            assert before == after
    (again,) = parse_conllu(stream.getvalue(), "<text>")
    assert again == predicted
    assert again.heads == (2, 0, 2, 2, 2)
    assert again.upos == sentence.upos


def test_predicted_tags_are_written() -> None:
    (sentence,) = parse_conllu(conllu(["_", "_"]), trees=False)
    predicted = with_tags(sentence, ["VERB", "NOUN"])
    assert predicted.lines[1] == "2\tw2\t_\tNOUN\t_\t_\t_\tdep\t_\t_"
    assert predicted.upos == ("VERB", "NOUN")


def test_other_forms_change_words_their_multiword_tokens_and_the_text() -> None:
    (sentence, *_) = parse_conllu(FULL)
    assert with_words(sentence, sentence.words) is sentence
    words = ["Dmae", "ol", "càphê x", *sentence.words[3:]]
    changed = with_words(sentence, words)
    assert changed.words == tuple(words)
    assert (changed.heads, changed.deprels, changed.upos) == (sentence.heads, sentence.deprels, sentence.upos)
    (again,) = parse_conllu("\n".join(changed.lines) + "\n")
    assert (again.words, again.heads) == (changed.words, sentence.heads)
    old = [line.split("\t") for line in sentence.lines if "\t" in line]
    new = [line.split("\t") for line in changed.lines if "\t" in line]
    assert [row[:1] + row[2:] for row in new] == [row[:1] + row[2:] for row in old]
    assert new[0][1] == "Dmaeol"  # what it was would tell the old words
    assert changed.text.startswith("Dmaeol càphê x")
    assert sum(line.startswith("# text =") for line in changed.lines) == 1


def test_a_multiword_token_that_is_its_words_follows_them() -> None:
    text = "# text = don't\n1-2\tdon't" + "\t_" * 8 + "\n1\tdo\tdo\t_\t_\t_\t0\troot\t_\t_\n"
    (sentence,) = parse_conllu(text + "2\tn't\tnot\t_\t_\t_\t1\tdep\t_\t_\n")
    changed = with_words(sentence, ["od", "tn'"])
    assert changed.lines[:2] == ("# text = odtn'", "1-2\todtn'" + "\t_" * 8)
    with pytest.raises(ValueError, match="FORM '' is empty"):
        with_words(sentence, ["od", ""])
    with pytest.raises(ValueError, match=r"FORM 'a.tb' is empty or holds white space"):
        with_words(sentence, ["od", "a\tb"])
    with pytest.raises(ValueError, match="1 values of FORM for 2 words"):
        with_words(sentence, ["od"])


@pytest.mark.parametrize(
    ("heads", "deprels", "message"),
    [
        ([0], ["root", "dep"], "1 values of HEAD for 2 words"),
        ([0, 1], ["root"], "1 values of DEPREL for 2 words"),
        ([0, 3], ["root", "dep"], "head 3"),
        ([0, -1], ["root", "dep"], "head -1"),
        ([0, 1], ["root", "a\tb"], "DEPREL 'a.tb' is empty or holds white space"),
    ],
)
def test_impossible_predictions_are_refused(heads: list[int], deprels: list[str], message: str) -> None:
    (sentence,) = parse_conllu(conllu(["0", "1"]))
    with pytest.raises(ValueError, match=message):
        with_tree(sentence, heads, deprels)


def test_impossible_tags_are_refused() -> None:
    (sentence,) = parse_conllu(conllu(["0", "1"]))
    with pytest.raises(ValueError, match="1 values of UPOS for 2 words"):
        with_tags(sentence, ["X"])
    with pytest.raises(ValueError, match="UPOS '' is empty"):
        with_tags(sentence, ["X", ""])


@given(st.lists(st.integers(0, 6), min_size=6, max_size=6))
def test_find_cycle_agrees_with_walking_from_every_word(heads: list[int]) -> None:
    def reaches_root(word: int) -> bool:
        for _ in heads:
            word = heads[word - 1] if word else 0
        return word == 0

    cycle = find_cycle(heads)
    assert bool(cycle) == (not all(map(reaches_root, range(1, 7))))
    for word, head in zip(cycle, [*cycle[1:], *cycle[:1]], strict=True):
        assert heads[word - 1] == head
    assert len(set(cycle)) == len(cycle)


def test_relations() -> None:
    assert len(UD_RELATIONS) == 37
    assert list(UD_RELATIONS) == sorted(set(UD_RELATIONS))
    assert strip_subtype("nsubj:pass") == "nsubj"
    assert strip_subtype("root") == "root"


@pytest.mark.parametrize(
    "treebanks", ["UD_Vietnamese-VTB", "UD_Ukrainian-ParlaMint", pytest.param("*", marks=pytest.mark.slow)]
)
def test_released_treebanks_read_and_write_byte_for_byte(treebanks: str, shared: Path) -> None:
    files = sorted((shared / "data" / "ud").glob(f"{treebanks}/*.conllu*"))
    assert files
    for path in files:
        stream = io.StringIO()
        sentences = read_conllu(path)
        write_conllu(sentences, stream)
        data = path.read_bytes()
        assert (gzip.decompress(data) if path.suffix == ".gz" else data) == stream.getvalue().encode(), path
        assert {strip_subtype(rel) for sentence in sentences for rel in sentence.deprels} <= set(UD_RELATIONS)


def test_raw_text_becomes_sentences_to_annotate() -> None:
    first, second = parse_raw(["Їжак з’їв ґудзик !\n", "\n", "  我的 猫\r\n"], "a.txt")
    assert first.words == ("Їжак", "з’їв", "ґудзик", "!")
    assert first.text == "Їжак з’їв ґудзик !"
    assert (second.words, second.source) == (("我的", "猫"), "a.txt:3")
    assert parse_conllu("\n".join(first.lines), trees=False)[0].words == first.words


def test_raw_conllu_keeps_its_lines() -> None:
    rows = ["# sent_id = 7", "1\tcat\t_\t_\t_\t_\t_\t_\t_\tGloss=x", ""]
    (sentence,) = parse_raw(rows)
    assert sentence.lines == tuple(rows[:2])
    with pytest.raises(ConlluError, match=r"a\.txt: holds no text"):
        parse_raw(["", "  "], "a.txt")


def test_other_words() -> None:
    (sentence,) = parse_conllu(FULL, "f")
    changed = with_words(sentence, ["Dmae", "ol", "cà phê"[::-1].replace(" ", ""), "on", "."])
    stream = io.StringIO()
    write_conllu([changed], stream)
    (again,) = parse_conllu(stream.getvalue(), "f")
    assert again.words == ("Dmae", "ol", "êhpàc", "on", ".")
    assert (again.upos, again.heads, again.sent_id) == (sentence.upos, sentence.heads, "s1")
    assert "Dámelo" not in stream.getvalue()
    with pytest.raises(ValueError, match="1 values of FORM for 5 words"):
        with_words(sentence, ["a"])
