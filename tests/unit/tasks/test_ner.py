from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
import torch

from pixel_m4.files import DataError
from pixel_m4.formats.iob import TaggedSentence, to_iob2
from pixel_m4.model import PixelConfig
from pixel_m4.model.answering import as_tensors
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.ner import NER, NEROptions
from pixel_m4.tasks.splits import SPLITS, SingleFile, read_single_file

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
ROWS = {"tokens": [["Asha", "Rao", "runs"], ["in", "Pune"]], "ner_tags": [[1, 2, 0], [0, 3]]}
EXPECTED = [(("Asha", "Rao", "runs"), ("B-PER", "I-PER", "O")), (("in", "Pune"), ("O", "B-LOC"))]


def sentence(words: str, tags: str) -> TaggedSentence:
    return TaggedSentence(words=tuple(words.split()), tags=to_iob2(tags.split()), source="made")


def new(**options: str) -> NER:
    return NER(TextRenderer(max_seq_length=49), options=NEROptions(**options))  # type: ignore[arg-type]


def contents(sentences: list[TaggedSentence]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(sentence.words, sentence.tags) for sentence in sentences]


def arrow(rows: dict[str, list], tags: object) -> datasets.Dataset:
    texts = datasets.List(datasets.Value("string"))
    features = datasets.Features({"tokens": texts, "ner_tags": datasets.List(tags)})
    return datasets.Dataset.from_dict(rows, features=features)


def test_labels_of_train_have_both_prefixes() -> None:
    train = [sentence("a b c", "B-PER O B-DATE")]
    assert new().find_labels(train) == ["O", "B-DATE", "I-DATE", "B-PER", "I-PER"]
    with pytest.raises(DataError, match="made holds no entity"):
        new().find_labels([sentence("a b", "O O")])


def test_columns_of_three_splits(tmp_path: Path) -> None:
    for split in SPLITS:
        (tmp_path / f"{split}.txt").write_text(f"{split} B-LOC\nis O\n", encoding="utf-8")
    for split in SPLITS:
        assert contents(new().read(tmp_path, split)) == [((split, "is"), ("B-LOC", "O"))]


def test_unknown_label_in_dev_is_named(tmp_path: Path) -> None:
    task = new()
    (tmp_path / "train.txt").write_text("Pune B-LOC\n", encoding="utf-8")
    (tmp_path / "dev.txt").write_text("in O\nMay B-DATE\n", encoding="utf-8")
    task.labels = task.find_labels(task.read(tmp_path, "train"))
    with pytest.raises(DataError, match=r"dev\.txt:2: the word 'May' has the tag 'B-DATE'.*O, B-LOC, I-LOC"):
        task.read(tmp_path, "dev")


def test_other_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes("in O\nKöln B-LOC\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"train\.txt:2: byte 0xf6 is not UTF-8"):
        new().read(tmp_path, "train")


@pytest.mark.parametrize("as_text", [False, True])
def test_arrow_folder(tmp_path: Path, as_text: bool) -> None:
    if as_text:
        rows = {**ROWS, "ner_tags": [[NAMES[tag] for tag in tags] for tags in ROWS["ner_tags"]]}
        table = arrow(rows, datasets.Value("string"))
    else:
        table = arrow(ROWS, datasets.ClassLabel(names=NAMES))
    folder = tmp_path / "hi"
    datasets.DatasetDict({"train": table, "validation": table}).save_to_disk(str(folder))
    assert contents(new().read(folder, "train")) == EXPECTED
    assert contents(new(language="hi").read(tmp_path, "dev")) == EXPECTED
    with pytest.raises(DataError, match=r"no 'test' split; it has train, validation"):
        new().read(folder, "test")


def test_characters_of_klue_in_an_arrow_folder(tmp_path: Path) -> None:
    rows = {"tokens": [list("경찰은 또")], "ner_tags": [[1, 2, 0, 0, 0]]}
    table = arrow(rows, datasets.ClassLabel(names=["O", "B-OG", "I-OG"]))
    datasets.DatasetDict({"train": table}).save_to_disk(str(tmp_path))
    assert contents(new().read(tmp_path, "train")) == [(tuple("경찰은또"), ("B-OG", "I-OG", "O", "O"))]


def test_hub_format_with_a_configuration_each_language(tmp_path: Path) -> None:
    configs = []
    for language in ("hi", "ta"):
        (tmp_path / language).mkdir()
        table = arrow(ROWS, datasets.ClassLabel(names=NAMES))
        table.to_parquet(str(tmp_path / language / "train-00000-of-00001.parquet"))
        configs.append(f"- config_name: {language}\n  data_files: {language}/train-*.parquet\n")
    (tmp_path / "README.md").write_text("---\nconfigs:\n" + "".join(configs) + "---\n", encoding="utf-8")
    task = new(dataset_name=str(tmp_path), language="ta")
    assert contents(task.read(Path("."), "train")) == EXPECTED
    with pytest.raises(DataError, match="no language 'xx'"):
        new(dataset_name=str(tmp_path), language="xx").read(Path("."), "train")


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        ({"tokens": [["a", "b"]], "ner_tags": [[0]]}, True, r"row 1: 2 words and 1 tags"),
        ({"tokens": [["a"], []], "ner_tags": [[0], []]}, True, r"row 2: 0 words and 0 tags"),
        ({"tokens": [["ab", " "]], "ner_tags": [[0, 0]]}, True, r"row 1: a word is empty"),
        ({"tokens": [["a"]], "ner_tags": [[3]]}, False, r"row 1: the tag 3 is a number without a name"),
        ({"tokens": [["a"]], "ner_tags": [[None]]}, True, r"row 1: the tag None is neither"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: dict[str, list], names: bool, message: str) -> None:
    tags = datasets.ClassLabel(names=NAMES) if names else datasets.Value("int64")
    datasets.DatasetDict({"train": arrow(rows, tags)}).save_to_disk(str(tmp_path))
    with pytest.raises(DataError, match=message):
        new().read(tmp_path, "train")


def test_missing_column_is_named(tmp_path: Path) -> None:
    table = datasets.Dataset.from_dict({"tokens": [["a"]], "pos": [["X"]]})
    datasets.DatasetDict({"train": table}).save_to_disk(str(tmp_path))
    with pytest.raises(DataError, match="no column 'ner_tags'; it has the columns tokens, pos"):
        new().read(tmp_path, "train")


def test_one_file_is_divided_and_repetitions_stay_together(tmp_path: Path) -> None:
    file = tmp_path / "all.conll.gz"
    blocks = [f"word{i // 2}\tB-LOC\n\n" for i in range(40)]  # each sentence twice
    file.write_bytes(gzip.compress("".join(blocks).encode()))
    task = new()
    parts = read_single_file(task, SingleFile(path=file))
    assert task.labels == ["O", "B-LOC", "I-LOC"]
    homes = [{sentence.words for sentence in parts[split]} for split in SPLITS]
    assert [len(home) for home in homes] == [16, 2, 2]
    assert len(set.union(*homes)) == 20


def test_entity_across_the_border_of_windows_counts() -> None:
    words = [f"word{i}" for i in range(60)]
    task = new()
    borders = [
        window.span.stop for window in task.encode([sentence(" ".join(words), "O " * 60)], labels=False)
    ]
    assert len(borders) > 3
    tags = ["O"] * 60
    for border in borders[:-1]:
        tags[border - 1 : border + 1] = ["B-LOC", "I-LOC"]  # the last word of one window, and the word after
    gold = [sentence(" ".join(words), " ".join(tags)), sentence("in Pune", "O B-LOC")]
    task.labels = task.find_labels(gold)
    encoded = task.encode(gold)
    logits = torch.nn.functional.one_hot(as_tensors(task.collate(encoded))["labels"].clamp(min=0), 3).float()
    predicted = task.predict(gold, encoded, task.decode(SimpleNamespace(logits=logits), encoded))
    assert contents(predicted) == contents(gold)
    assert task.score(gold, predicted)["f1"] == 100


def test_scores_are_those_of_conlleval() -> None:
    gold = [sentence("a b c d e f", "B-PER I-PER O B-LOC I-LOC B-LOC")]
    guess = [sentence("a b c d e f", "B-PER I-PER O B-LOC O B-PER")]
    # One of three guesses is right: spans 0-1 PER; not 3-3 LOC, nor 5-5 PER.
    expected = {"precision": 100 / 3, "recall": 100 / 3, "f1": 100 / 3, "f1_LOC": 0, "f1_PER": 200 / 3}
    assert new().score(gold, guess) == pytest.approx(expected)
    nothing = [sentence("a b c d e f", "O O O O O O")]
    assert new().score(gold, nothing)["f1"] == 0
    assert new().score(nothing, nothing)["f1"] == 0


def test_predictions_are_repaired_and_written(tmp_path: Path) -> None:
    task = new()
    tagged = task.tagged(sentence("a b c", "O O O"), ["I-PER", "I-PER", "I-LOC"])
    file = task.write([tagged], tmp_path / "test_predictions")
    assert file.name == "test_predictions.iob2"
    assert file.read_text(encoding="utf-8") == "a\tB-PER\nb\tI-PER\nc\tB-LOC\n\n"


def test_baseline_takes_the_most_frequent_tag_of_a_form() -> None:
    train = [sentence("Pune Pune Pune sleeps in bed", "B-LOC B-LOC O O O O")]
    test = [sentence("new Pune", "O B-LOC")]
    assert new().baseline(train, test)["f1"] == 100


def test_empty_raw_text() -> None:
    with pytest.raises(DataError, match="<stdin> holds no text"):
        new().read_raw(["", " "], "<stdin>")


def test_labels_and_options_go_into_the_configuration() -> None:
    task = NER(TextRenderer(max_seq_length=49), NAMES, NEROptions(language="hi"))
    config = PixelConfig.named("nano")
    task.configure(config)
    assert list(config.id2label.values()) == NAMES
    assert config.task_options["language"] == "hi"


def test_klue_has_the_entities_that_klue_counts(shared: Path) -> None:
    task = new()
    sentences = task.read(shared / "data" / "klue", "dev")
    assert len(sentences) == 5000
    assert sum(tag[0] == "B" for sentence in sentences for tag in sentence.tags) == 14257
    assert len(task.find_labels(sentences)) == 13


def test_labels_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("B-PER\nI-PER\n\nB-LOC\n", encoding="utf-8")
    train = [sentence("a b c", "B-PER I-PER O")]
    assert new(labels=str(file)).find_labels(train) == ["O", "B-PER", "I-PER", "B-LOC"]
    with pytest.raises(DataError, match=r"made: the tag I-LOC is not in .*labels\.txt"):
        new(labels=str(file)).find_labels([sentence("a b", "B-LOC I-LOC")])
    file.write_text("O\nPERSON\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"labels\.txt:2: 'PERSON' is neither O nor"):
        new(labels=str(file)).find_labels(train)
