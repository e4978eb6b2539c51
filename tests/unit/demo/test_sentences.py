"""Sentences come from a file or from the package, and the nearest are those of the nearest vectors."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from pixel_m4.demo.models import Models
from pixel_m4.demo.sentences import EXAMPLES, MOST_SENTENCES, Example, Searched, read_sentences
from pixel_m4.files import DataError


def test_the_examples_are_in_twelve_scripts() -> None:
    scripts = {unicodedata.name(each.text[0]).split()[0] for each in EXAMPLES}
    assert len(scripts) == len(EXAMPLES) == 12


def test_the_default_has_the_examples_and_the_embedded_treebank() -> None:
    found = read_sentences(None, 1000)
    assert found[:12] == list(EXAMPLES)
    assert {"Azerbaijani", "Galician", "Tatar", "Ukrainian"} <= {each.language for each in found[12:]}
    assert max(len(each.text) for each in read_sentences(None, 50)) <= 50


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "s.tsv"
    file.write_text("German\tDie Katze schläft.\nFrench\t Le chat\tdort. \n", encoding="utf-8")
    assert read_sentences(file, 30) == [
        Example("German", "Die Katze schläft."),
        Example("French", "Le chat\tdort."),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("German\tDie\nno tab\n", r"s.tsv:2: write a language, a tab and a sentence, not 'no tab'"),
        ("\tDie\n", r"s.tsv:1: write a language"),
        ("German\t" + "a" * 31 + "\n", r"s.tsv:1: the sentence has 31 characters; 30 are possible"),
        ("", r"s.tsv holds 0 sentences"),
        ("x\ty\n" * (MOST_SENTENCES + 1), r"s.tsv holds 5001 sentences; 1 to 5,000 are possible"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "s.tsv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_sentences(file, 30)


def test_the_nearest_have_the_nearest_vectors(models: Models) -> None:
    states = models.served["pixel-m4-tiny"].states
    searched = Searched(states, EXAMPLES)
    found = searched.nearest("My cat drinks warm milk in the evening.", 12)
    assert found[0][0].language == "English"
    assert [near for _, near in found] == sorted((near for _, near in found), reverse=True)
    vectors = states.embed([each.text for each in EXAMPLES])[0].astype(np.float64)
    one = states.embed(["My cat drinks warm milk in the evening."])[0][0] - vectors.mean(0)
    other = vectors[0] - vectors.mean(0)
    assert found[0][1] == pytest.approx(one @ other / np.linalg.norm(one) / np.linalg.norm(other), abs=1e-4)


def test_the_text_itself_is_left_out(models: Models) -> None:
    found = Searched(models.served["pixel-m4-tiny"].states, EXAMPLES).nearest(EXAMPLES[3].text, 50)
    assert len(found) == 11
    assert EXAMPLES[3] not in [each for each, _ in found]
