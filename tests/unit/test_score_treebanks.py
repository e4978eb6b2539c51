"""The script that scores a parser by treebank."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixel_m4.model import PixelConfig, PixelForTokenClassification
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.tagging import Tagging

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "score_treebanks.py"
SENTENCES = {
    "Greek-GDT": [("η", "γάτα", "κοιμάται"), ("ναι",)],
    "Greek-PUD": [("η", "γάτα"), ("όχι",), ("ο", "σκύλος", "τρέχει", ".")],
    "Welsh-CCG": [("mae", "cath", "yma")],
}


def conllu(treebank: str, words: tuple[str, ...]) -> str:
    rows = [
        f"{number}\t{word}\t_\tNOUN\t_\t_\t{number - 1}\t{'root' if number == 1 else 'dep'}\t_\t_"
        for number, word in enumerate(words, 1)
    ]
    return "\n".join([f"# treebank = {treebank}", *rows, "", ""])


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory, save_parser: Callable[..., Path]) -> Path:
    return save_parser(tmp_path_factory.mktemp("models") / "parser", upos=True)


def test_a_treebank_in_a_mixture_scores_as_it_does_alone(
    script: dict[str, Any], parser: Path, tmp_path: Path
) -> None:
    order = [("Greek-GDT", 0), ("Greek-PUD", 0), ("Welsh-CCG", 0), ("Greek-PUD", 1), ("Greek-GDT", 1)]
    mixture = tmp_path / "test.conllu"
    mixture.write_text("".join(conllu(bank, SENTENCES[bank][number]) for bank, number in order))
    found = script["score"](str(parser), mixture, None)
    assert {bank: each["sentences"] for bank, each in found.items()} == {
        "Greek-GDT": 2,
        "Greek-PUD": 2,
        "Welsh-CCG": 1,
    }
    for bank in found:
        alone = tmp_path / "alone.conllu"
        alone.write_text("".join(conllu(bank, words) for words in SENTENCES[bank][:2]))
        scores = script["score"](str(parser), alone, None)
        assert scores == {bank: found[bank]}
        assert 0 < scores[bank]["uas_mst"] <= 100
        assert set(scores[bank]) == {"sentences", "upos", "uas_mst", "las_mst"}
    languages = script["by_language"](found)
    assert [each["sentences"] for each in languages.values()] == [4, 1]
    greek = sum(found[bank]["uas_mst"] for bank in ("Greek-GDT", "Greek-PUD")) / 2
    assert languages["Greek"]["uas_mst"] == pytest.approx(greek)
    lines = script["table"](languages, "language").splitlines()
    assert lines[0] == "| language | sentences | UPOS | UAS | LAS |"
    assert lines[-1].startswith("| **mean of 2 languages** | 5 | ")
    assert f"| {(greek + found['Welsh-CCG']['uas_mst']) / 2:.1f} |" in lines[-1]


def test_beside_published_figures(script: dict[str, Any]) -> None:
    each = {"sentences": 3, "upos": 50.0, "uas_mst": 40.0, "las_mst": 30.0}
    lines = script["beside"]({"Greek-PUD": each, "Czech-CAC": each, "Telugu-MTG": each}).splitlines()
    assert lines[2:] == [
        "| Czech-CAC | 50.0 | 99.5 | 40.0 | 94.4 | 30.0 | 92.5 |",
        "| Telugu-MTG | 50.0 | 94.0 | 40.0 | 91.1 | 30.0 | 84.5 |",
        "| **mean of 2** | 50.0 | 96.8 | 40.0 | 92.7 | 30.0 | 88.5 |",
    ]
    assert script["beside"]({"Greek-PUD": each}) == ""


def test_so_many_of_each(script: dict[str, Any], parser: Path, tmp_path: Path) -> None:
    file = tmp_path / "test.conllu"
    file.write_text("".join(conllu(bank, words) for bank, all_ in SENTENCES.items() for words in all_))
    found = script["score"](str(parser), file, 2)
    assert [each["sentences"] for each in found.values()] == [2, 2, 1]
    assert script["evenly"](list(range(10)), 4) == [0, 2, 5, 7]


def test_only_parsers(script: dict[str, Any], tmp_path: Path) -> None:
    task = Tagging(TextRenderer(max_seq_length=49))
    config = PixelConfig.named("nano", max_seq_length=49)
    task.configure(config)
    PixelForTokenClassification(config).save_pretrained(tmp_path)
    task.renderer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is for the task 'pos', not for parsing"):
        script["score"](str(tmp_path), tmp_path / "none.conllu", None)
