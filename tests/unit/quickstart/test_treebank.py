"""The treebank that the package embeds: real sentences, whose source and licence are told."""

from __future__ import annotations

import csv
import runpy
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from pixel_m4.formats.conllu import UD_RELATIONS, UPOS, Sentence, read_conllu
from pixel_m4.tasks.trees import is_tree

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(str(files("pixel_m4"))) / "assets" / "treebank"
SIZES = {  # train, dev, test
    "Azerbaijani-TueCL": (103, 15, 30),
    "Galician-PUD": (300, 25, 60),
    "Tatar-NMCTT": (103, 15, 30),
    "Ukrainian-ParlaMint": (300, 0, 60),
}
SPLITS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def treebank() -> dict[str, list[Sentence]]:
    return {split: read_conllu(FOLDER / f"{split}.conllu.gz") for split in SPLITS}


def test_sentences_by_treebank(treebank: dict[str, list[Sentence]]) -> None:
    for name, sizes in SIZES.items():
        assert tuple(sum(s.treebank == name for s in treebank[split]) for split in SPLITS) == sizes
    assert {s.treebank for sentences in treebank.values() for s in sentences} == set(SIZES)


def test_no_sentence_of_one_split_is_in_another(treebank: dict[str, list[Sentence]]) -> None:
    seen: set[str] = set()
    for split in ("test", "dev", "train"):
        texts = {" ".join(" ".join(sentence.words).lower().split()) for sentence in treebank[split]}
        assert not seen & texts, f"{split} holds a sentence of another split"
        seen |= texts


def test_trees_and_tags_are_universal(treebank: dict[str, list[Sentence]]) -> None:
    for sentence in (sentence for sentences in treebank.values() for sentence in sentences):
        assert is_tree(sentence.heads), sentence.source
        assert set(sentence.deprels) <= set(UD_RELATIONS)
        assert set(sentence.upos) <= set(UPOS)


def test_the_parser_that_learns_it_has_not_seen_its_languages() -> None:
    recipe = (ROOT / "scripts" / "pixel-m4-ud-treebanks.yaml").read_text(encoding="utf-8")
    names = yaml.safe_load(recipe)
    assert set(SIZES) <= set(names["unseen"])
    languages = {name.partition("-")[0] for name in names["mixed"]}
    assert not languages & {name.partition("-")[0] for name in SIZES}


def test_source_and_licence_of_each_treebank_are_told() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in SIZES:
        assert f"UD_{name}" in readme
    assert "CC BY-SA 4.0" in readme
    with (FOLDER / "treebanks.tsv").open(encoding="utf-8", newline="") as stream:
        rows = {row["treebank"]: row for row in csv.DictReader(stream, delimiter="\t")}
    assert {name: tuple(int(row[split]) for split in SPLITS) for name, row in rows.items()} == SIZES


def test_the_command_makes_the_same_files(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = ROOT / "scripts" / "quickstart-treebanks.yaml"
    command = recipe.read_text(encoding="utf-8").partition("mixed:")[0].replace("#", " ").replace("\\", " ")
    words = command.split()
    options = words[words.index("--train_sentences") : words.index("--output_dir")]
    data = [str(shared / "data" / name) for name in ("ud", "ud-more")]
    output = tmp_path / "treebank"
    script = ROOT / "scripts" / "mix_treebanks.py"
    monkeypatch.setattr(sys, "argv", [script.name, str(recipe), *data, *options, "--output_dir", str(output)])
    runpy.run_path(str(script), run_name="__main__")
    for file in ("treebanks.tsv", *(f"{split}.conllu.gz" for split in SPLITS)):
        assert (output / file).read_bytes() == (FOLDER / file).read_bytes(), file
