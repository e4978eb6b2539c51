from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest

from pixel_m4.tasks.conllu import UD_RELATIONS, Sentence, parse_conllu
from pixel_m4.tasks.trees import is_tree, left_neighbour_baseline

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "make_treebank.py"
SIZES = {"train": 400, "dev": 50, "test": 50}
LANGUAGES = ("en", "hi", "uk", "zh")
LEAVES = {"aux", "case", "cc", "cop", "det", "mark", "punct"}


def content(split: str) -> bytes:
    return (resources.files("pixel_m4") / f"assets/treebank/synthetic-{split}.conllu").read_bytes()


@pytest.fixture(scope="module")
def treebank() -> dict[str, list[Sentence]]:
    return {split: parse_conllu(content(split).decode(), split) for split in SIZES}


def language(sentence: Sentence) -> str:
    (comment,) = (line for line in sentence.lines if line.startswith("# lang = "))
    return comment.removeprefix("# lang = ")


def test_the_script_makes_the_same_bytes_and_the_table_of_the_readme(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--output", tmp_path, "--stats"],
        check=True, capture_output=True, encoding="utf-8",
        env={"PYTHONHASHSEED": "1", "PYTHONUTF8": "1"},
    )  # fmt: skip
    for split in SIZES:
        assert (tmp_path / f"synthetic-{split}.conllu").read_bytes() == content(split), (
            f"run {SCRIPT.name} again: the {split} file is not what it makes"
        )
    readme = (resources.files("pixel_m4") / "assets/treebank/README.md").read_text(encoding="utf-8")
    assert done.stdout.strip() in readme


def test_languages_are_balanced_and_take_turns(treebank: dict[str, list[Sentence]]) -> None:
    for split, sentences in treebank.items():
        assert Counter(map(language, sentences)) == dict.fromkeys(LANGUAGES, SIZES[split])
        assert [language(sentence) for sentence in sentences[:8]] == [*LANGUAGES, *LANGUAGES]


def test_no_sentence_comes_twice(treebank: dict[str, list[Sentence]]) -> None:
    texts = [sentence.text for sentences in treebank.values() for sentence in sentences]
    assert len(set(texts)) == len(texts) == 2000
    ids = [sentence.sent_id for sentences in treebank.values() for sentence in sentences]
    assert len(set(ids)) == len(ids)
    assert None not in ids


def test_comments_say_that_it_is_synthetic(treebank: dict[str, list[Sentence]]) -> None:
    for sentences in treebank.values():
        assert "synthetic" in sentences[0].lines[0]
        assert "CC0" in sentences[0].lines[1]


def test_trees_obey_the_guidelines(treebank: dict[str, list[Sentence]]) -> None:
    for sentence in (sentence for sentences in treebank.values() for sentence in sentences):
        assert is_tree(sentence.heads)
        assert 3 <= len(sentence.words) <= 14
        assert set(sentence.deprels) <= set(UD_RELATIONS)
        for head, rel in zip(sentence.heads, sentence.deprels, strict=True):
            assert (head == 0) == (rel == "root"), sentence.text
            above = sentence.deprels[head - 1] if head else "root"
            # A fixed expression (के पास) and a determiner's classifier (这本) may hang on a function word.
            assert above not in LEAVES or rel == "fixed" or (above, rel) == ("det", "clf"), sentence.text
        for upos, rel in zip(sentence.upos, sentence.deprels, strict=True):
            assert (upos == "PUNCT") == (rel == "punct")
            assert rel not in ("aux", "cop") or upos == "AUX"
            assert rel != "case" or upos in ("ADP", "PART")
            assert rel != "nummod" or upos == "NUM"
        for rel in ("nsubj", "obj", "iobj", "cop"):
            governed = [h for h, r in zip(sentence.heads, sentence.deprels, strict=True) if r == rel]
            assert len(set(governed)) == len(governed), f"two {rel} of one word: {sentence.text}"


def test_text_is_what_the_words_spell(treebank: dict[str, list[Sentence]]) -> None:
    for sentence in (sentence for sentences in treebank.values() for sentence in sentences):
        spelled = "".join(
            form + ("" if misc == "SpaceAfter=No" else " ")
            for form, misc in (
                (columns[1], columns[9])
                for columns in (line.split("\t") for line in sentence.lines if not line.startswith("#"))
            )
        )
        assert spelled.strip() == sentence.text
        assert (" " in sentence.text) == (language(sentence) != "zh")


def test_dev_and_test_hold_words_that_train_never_has(treebank: dict[str, list[Sentence]]) -> None:
    for code in LANGUAGES:
        known = {w.lower() for s in treebank["train"] if language(s) == code for w in s.words}
        for split in ("dev", "test"):
            words = [w.lower() for s in treebank[split] if language(s) == code for w in s.words]
            assert 0.05 < sum(word not in known for word in words) / len(words) < 0.25


def test_the_treebank_is_small_and_not_trivial(treebank: dict[str, list[Sentence]]) -> None:
    assert sum(len(content(split)) for split in SIZES) < 700_000
    assert len({rel for sentence in treebank["train"] for rel in sentence.deprels}) >= 25
    assert left_neighbour_baseline(treebank["train"], treebank["test"])["uas"] < 35
