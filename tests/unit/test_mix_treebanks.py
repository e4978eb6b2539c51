"""The script that puts many treebanks together into one data set."""

from __future__ import annotations

import csv
import hashlib
import runpy
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from pixel_m4.formats.conllu import Sentence, read_conllu

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "mix_treebanks.py"
LONELY = [f"lonely {number}" for number in range(18)] + ["lonely copy", "Lonely  COPY"]


def rows(text: str, relation: str = "obl:tmod", upos: str = "NOUN") -> str:
    """A sentence in which every word but the first depends on the first."""
    lines = [f"# text = {text}"]
    for number, word in enumerate(text.split(), 1):
        head, deprel = ("0", "root") if number == 1 else ("1", relation)
        lines.append("\t".join([str(number), word, "_", upos, "_", "_", head, deprel, "_", "_"]))
    return "\n".join(lines) + "\n\n"


def write(data: Path, name: str, splits: Mapping[str, Sequence[str]]) -> None:
    """A folder UD_…, whose sentences are given as text or as rows."""
    folder = data / f"UD_{name}"
    folder.mkdir(parents=True)
    for split, sentences in splits.items():
        text = "".join(s if s.startswith("#") else rows(s) for s in sentences)
        (folder / f"xx-ud-{split}.conllu").write_text(text, encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Treebanks of every kind; Moon-Far is in a second folder of data."""
    folder = tmp_path / "data"
    write(
        folder,
        "Sun-Whole",
        {
            "train": [
                "one two",
                "alpha beta",  # in the test of the same treebank
                "Gamma  delta",  # in the test of another one, case and spaces aside
                "far away",  # in the test of an unseen one
                "moon rise",  # in the dev of an unseen one
                "in dev",
                rows("no relation", relation="nonsense"),
                rows("no tag", upos="THING"),
                "three four",
            ],
            "dev": ["in dev", "gamma delta", *(f"dev {number}" for number in range(6))],
            "test": ["alpha beta"],
        },
    )
    write(folder, "Sun-Half", {"dev": ["lent to train", "alpha beta"], "test": ["gamma delta"]})
    write(folder, "Sun-Lonely", {"test": LONELY})
    other = tmp_path / "other"
    write(other, "Moon-Far", {"train": ["moon shine"], "dev": ["moon rise"], "test": ["far away"]})
    return folder


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.yaml"
    lists = {"mixed": ["Sun-Whole", "Sun-Half", "Sun-Lonely"], "unseen": ["Moon-Far"]}
    path.write_text(yaml.safe_dump(lists), encoding="utf-8")
    return path


def mix(monkeypatch: pytest.MonkeyPatch, names: Path, data: Path, *options: str) -> Path:
    """Run the script; the folder that it wrote."""
    output = data.parent / "mixture"
    command = [SCRIPT.name, str(names), str(data), str(data.parent / "other"), "--output_dir", str(output)]
    monkeypatch.setattr(sys, "argv", [*command, *options])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return output


def read(output: Path) -> dict[str, list[Sentence]]:
    return {split: read_conllu(output / f"{split}.conllu.gz") for split in ("train", "dev", "test", "unseen")}


def texts(sentences: Sequence[Sentence], treebank: str) -> list[str]:
    return [" ".join(s.words) for s in sentences if s.treebank == treebank]


def table(output: Path) -> dict[str, dict[str, str]]:
    with (output / "treebanks.tsv").open(encoding="utf-8", newline="") as stream:
        return {row["treebank"]: row for row in csv.DictReader(stream, delimiter="\t")}


def test_sentences_name_their_treebank_and_have_universal_relations(
    monkeypatch: pytest.MonkeyPatch, names: Path, data: Path
) -> None:
    found = read(mix(monkeypatch, names, data))
    everything = [sentence for sentences in found.values() for sentence in sentences]
    assert all(sentence.lines[0] == f"# treebank = {sentence.treebank}" for sentence in everything)
    assert {relation for sentence in everything for relation in sentence.deprels} == {"root", "obl"}
    assert all(f"# text = {' '.join(s.words)}" in s.lines for s in found["unseen"])  # comments are kept
    assert {s.treebank for s in found["unseen"]} == {"Moon-Far"}
    assert not any(s.treebank == "Moon-Far" for split in ("train", "dev", "test") for s in found[split])


def test_what_a_test_holds_is_in_no_train_and_no_dev(
    monkeypatch: pytest.MonkeyPatch, names: Path, data: Path
) -> None:
    found = read(mix(monkeypatch, names, data))
    assert texts(found["train"], "Sun-Whole") == ["one two", "three four"]
    assert texts(found["dev"], "Sun-Whole") == ["in dev", *(f"dev {number}" for number in range(6))]
    assert texts(found["test"], "Sun-Whole") == ["alpha beta"]
    assert texts(found["unseen"], "Moon-Far") == ["moon shine", "moon rise", "far away"]


def test_a_treebank_without_train_lends_its_dev(
    monkeypatch: pytest.MonkeyPatch, names: Path, data: Path
) -> None:
    found = read(mix(monkeypatch, names, data))
    assert texts(found["train"], "Sun-Half") == ["lent to train"]
    assert texts(found["dev"], "Sun-Half") == []
    assert texts(found["test"], "Sun-Half") == ["gamma delta"]


def test_a_treebank_with_test_alone_is_divided(
    monkeypatch: pytest.MonkeyPatch, names: Path, data: Path
) -> None:
    found = read(mix(monkeypatch, names, data))
    parts = {split: texts(found[split], "Sun-Lonely") for split in ("train", "dev", "test")}
    dealt = [text for part in parts.values() for text in part]
    assert Counter(dealt) == Counter(" ".join(text.split()) for text in LONELY)
    # Copies stay together, so that a split may have one more than its share.
    assert len(parts["test"]) in (4, 5)
    assert len(parts["dev"]) in (2, 3)
    copies = [split for split, part in parts.items() for text in part if "copy" in text.lower()]
    assert len(copies) == 2
    assert len(set(copies)) == 1


def test_the_seed_divides(monkeypatch: pytest.MonkeyPatch, names: Path, data: Path) -> None:
    divided = []
    for number, seed in enumerate(("0", "0", "1")):
        output = mix(monkeypatch, names, data, "--seed", seed)
        divided.append(texts(read(output)["test"], "Sun-Lonely"))
        output.rename(output.with_name(f"mixture-{number}"))
    assert divided[0] == divided[1] != divided[2]


def test_few_dev_sentences_are_taken_evenly(monkeypatch: pytest.MonkeyPatch, names: Path, data: Path) -> None:
    found = read(mix(monkeypatch, names, data, "--dev_sentences", "2"))
    assert texts(found["dev"], "Sun-Whole") == ["in dev", "dev 2"]
    assert len(texts(found["dev"], "Sun-Lonely")) == 2
    # What dev has lost is not in train either.
    assert texts(found["train"], "Sun-Whole") == ["one two", "three four"]


def test_few_sentences_of_each_split(monkeypatch: pytest.MonkeyPatch, names: Path, data: Path) -> None:
    found = read(mix(monkeypatch, names, data, "--train_sentences", "3", "--test_sentences", "2"))
    sizes = {split: len(texts(found[split], "Sun-Lonely")) for split in ("train", "test")}
    assert sizes == {"train": 3, "test": 2}
    assert texts(found["train"], "Sun-Half") == ["lent to train"]
    assert len(texts(found["unseen"], "Moon-Far")) == 3  # these are all for tests


def test_without_unseen_treebanks_there_is_no_file_of_them(
    monkeypatch: pytest.MonkeyPatch, names: Path, data: Path
) -> None:
    names.write_text(yaml.safe_dump({"mixed": ["Sun-Half"], "unseen": []}), encoding="utf-8")
    output = mix(monkeypatch, names, data)
    assert {file.name for file in output.iterdir()} == {
        "treebanks.tsv",
        *(f"{split}.conllu.gz" for split in ("train", "dev", "test")),
    }


def test_the_table_counts_and_has_checksums(monkeypatch: pytest.MonkeyPatch, names: Path, data: Path) -> None:
    output = mix(monkeypatch, names, data)
    found = table(output)
    assert list(found) == ["Sun-Whole", "Sun-Half", "Sun-Lonely", "Moon-Far"]
    counts = {
        name: tuple(int(row[split]) for split in ("train", "dev", "test")) for name, row in found.items()
    }
    splits = read(output)
    for name in ("Sun-Whole", "Sun-Half", "Sun-Lonely"):
        assert counts[name] == tuple(len(texts(splits[s], name)) for s in ("train", "dev", "test"))
    assert counts["Moon-Far"] == (1, 1, 1)
    left_out = found["Sun-Whole"]["left out"].split("; ")
    assert left_out == ["2 not universal", "1 dev, also held out", "5 train, also held out"]
    assert found["Sun-Half"]["left out"] == "1 train, also held out"
    assert found["Moon-Far"]["left out"] == ""
    files = [data / "UD_Sun-Half" / f"xx-ud-{split}.conllu" for split in ("dev", "test")]
    sums = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    assert found["Sun-Half"]["files"] == "; ".join(sums)


def test_a_missing_treebank_is_named(monkeypatch: pytest.MonkeyPatch, names: Path, data: Path) -> None:
    (data.parent / "other" / "UD_Moon-Far").rename(data.parent / "elsewhere")
    with pytest.raises(SystemExit, match=r"no folder UD_Moon-Far in .*data, .*other"):
        mix(monkeypatch, names, data)
    assert not (data.parent / "mixture").exists()


def test_a_treebank_without_files_is_named(monkeypatch: pytest.MonkeyPatch, names: Path, data: Path) -> None:
    for file in (data / "UD_Sun-Half").iterdir():
        file.unlink()
    with pytest.raises(SystemExit, match="UD_Sun-Half holds no CoNLL-U file of train, dev or test"):
        mix(monkeypatch, names, data)


def test_an_output_folder_that_exists_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, names: Path, data: Path
) -> None:
    (data.parent / "mixture").mkdir()
    (data / "UD_Sun-Whole" / "xx-ud-train.conllu").write_text("no CoNLL-U", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"--output_dir .*mixture exists; .*another"):
        mix(monkeypatch, names, data)
    assert not list((data.parent / "mixture").iterdir())
