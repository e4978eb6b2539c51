from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError
from pixel_m4.finetune.arguments import parse_arguments
from pixel_m4.model import PixelConfig
from pixel_m4.model.answering import as_tensors
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.classification import Classification, ClassificationOptions


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=64)


@pytest.fixture
def make(renderer: TextRenderer) -> Any:
    def task(labels: list[str] | None = None, **options: Any) -> Classification:
        return Classification(renderer, labels, ClassificationOptions(**options))

    return task


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return folder


def test_sib_layout(make: Any, tmp_path: Path) -> None:
    write(tmp_path / "tam_Taml", train_tsv="index_id\tcategory\ttext\n1\tsports\tகால் பந்து\n2\thealth\tநோய்\n")
    for task, folder in ((make(language="tam_Taml"), tmp_path), (make(), tmp_path / "tam_Taml")):
        examples = task.read(folder, "train")
        assert [example.text for example in examples] == ["கால் பந்து", "நோய்"]
        assert task.find_labels(examples) == ["health", "sports"]
    with pytest.raises(DataError, match="no language 'tamil'; the nearest names: tam_Taml"):
        make(language="tamil").read(tmp_path, "train")


def test_pairs_and_their_columns(make: Any, tmp_path: Path) -> None:
    write(tmp_path, train_csv="premise,hypothesis,label\na b,c d,0\ne,f,10\ng,h,2\n")
    task = make()
    examples = task.read(tmp_path, "train")
    assert (examples[0].text, examples[0].pair, examples[0].label) == ("a b", "c d", "0")
    assert task.find_labels(examples) == ["0", "2", "10"]  # by value
    other = make(text_column="hypothesis", label_column="premise").read(tmp_path, "train")
    assert (other[0].text, other[0].pair, other[0].label) == ("c d", None, "a b")


def test_names_of_an_arrow_folder_in_their_order(make: Any, tmp_path: Path) -> None:
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["z", "b", "a"])}
    )
    rows = {"sentence": ["x y", "z"], "label": [0, 2]}
    data = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": data}).save_to_disk(str(tmp_path / "arrow"))
    for task in (make(), make(dataset_name=str(tmp_path / "arrow"))):
        examples = task.read(tmp_path / "arrow", "train")
        assert [example.label for example in examples] == ["z", "a"]
        assert task.find_labels(examples) == ["z", "b", "a"]


def test_files_without_a_header(make: Any, tmp_path: Path) -> None:
    write(tmp_path, train_tsv="a fine film\t1\nsome dull film\t0\nno\t0\nwhat a film\t1\n")
    task = make()
    examples = task.read(tmp_path, "train")
    assert [example.label for example in examples] == ["1", "0", "0", "1"]
    assert examples[0].place.endswith("train.tsv:1")
    write(tmp_path, train_tsv="gj04\t1\t\tThe sailors rode.\ncj99\t0\t*\tYou want eat.\n")
    with pytest.raises(DataError, match=r"no header .* 4 columns .*--columns"):
        task.read(tmp_path, "train")
    named = make(columns="source,label,mark,text").read(tmp_path, "train")
    assert [(example.text, example.label) for example in named] == [
        ("The sailors rode.", "1"),
        ("You want eat.", "0"),
    ]


def test_shared_glue_files(make: Any, shared: Path) -> None:
    sst = make().read(shared / "data/glue/SST-2", "train")
    assert len(sst) == 6920
    assert {example.label for example in sst} == {"0", "1"}
    cola = make(columns="source,label,mark,text").read_file(shared / "data/glue/CoLA/in_domain_train.tsv")
    assert len(cola) == 8551
    assert make().find_labels(cola) == ["0", "1"]


def test_shared_sib(make: Any, shared: Path) -> None:
    task = make(language="arb_Arab")
    examples = task.read(shared / "data/sib200", "dev")
    assert len(examples) == 99
    assert len(task.find_labels(task.read(shared / "data/sib200", "train"))) == 7
    assert not any('""' in example.text for example in examples)
    assert [e.label for e in examples] == [
        e.label for e in make(language="eng_Latn").read(shared / "data/sib200", "dev")
    ]


def test_regression(make: Any, tmp_path: Path) -> None:
    write(tmp_path, train_tsv="sentence1\tsentence2\tscore\na b\tc\t2.5\nd\te\t5\n")
    task = make()
    gold = task.read(tmp_path, "train")
    task.labels = task.find_labels(gold)
    assert (task.labels, task.best_metric) == (["score"], "pearson")
    config = PixelConfig.named("nano")
    task.configure(config)
    assert (config.problem_type, config.num_labels) == ("regression", 1)
    items = task.encode(gold)
    batch = as_tensors(task.collate(items))
    assert torch.equal(batch["labels"], torch.tensor([2.5, 5.0]))
    predicted = task.predict(
        gold, items, task.decode(SimpleNamespace(logits=torch.tensor([[2.0], [4]])), items)
    )
    assert [p.score for p in predicted] == [2, 4]
    assert task.score(gold, predicted)["pearson"] == pytest.approx(100)
    assert task.baseline(gold, gold) == {"pearson": 0, "spearman": 0, "mse": pytest.approx(1.25**2)}
    whole = make(problem_type="regression")
    write(tmp_path, train_tsv="text\tlabel\na\t1\nb\t2\n")
    assert whole.find_labels(whole.read(tmp_path, "train")) == ["score"]
    classes = make()
    assert classes.find_labels(classes.read(tmp_path, "train")) == ["1", "2"]


def test_a_model_keeps_to_pairs_or_to_texts(make: Any, tmp_path: Path) -> None:
    """A gold label after a tab was taken for the second text of a pair."""
    write(tmp_path / "one", train_csv="text,label\na b,x\nc d,y\n")
    write(tmp_path / "two", train_csv="premise,hypothesis,label\na b,c,x\nd,e f,y\n")
    single, double = make(), make()
    for task, name in ((single, "one"), (double, "two")):
        task.labels = task.find_labels(task.read(tmp_path / name, "train"))
    config = PixelConfig.named("nano")
    single.configure(config)
    assert config.task_options["pairs"] is False
    assert [e.text for e in single.read_raw(["good film", "bad film"], "x")] == ["good film", "bad film"]
    assert [e.pair for e in double.read_raw(["good\tfilm", "bad\tfilm"], "x")] == ["film", "film"]
    for task, line, message in (
        (
            single,
            "good film\tpos",
            r"x:1: a pair \(there is a tab\): .*; the model reads single texts: leave",
        ),
        (double, "good film", "x:1: a single text: 'good film'; the model reads pairs: write both"),
        (double, "premise\thypothesis", "x:1: looks like the header of a table: "),
        (single, "text\tlabel", "x:1: looks like the header of a table: "),
    ):
        with pytest.raises(DataError, match=message):
            task.read_raw([line, line], "x")
    assert single.read_raw(["good film\tpos"], "x", "text")[0].text == "good film pos"
    with pytest.raises(DataError, match="no column that is known to hold a second text, but the model reads"):
        double.read(tmp_path / "one", "train")
    with pytest.raises(DataError, match="no column that is known to hold the text; it has premise, hypo"):
        single.read(tmp_path / "two", "train")


def test_minus_one_may_be_a_class(make: Any, tmp_path: Path) -> None:
    """Of negative texts, for example; they were all left out."""
    rows = "".join(f"word {n},{n % 3 - 1}\n" for n in range(60))
    write(
        tmp_path, train_csv=f"text,label\n{rows}", dev_csv=f"text,label\n{rows}", test_csv="text,label\na,1\n"
    )
    with pytest.raises(
        UserError, match="20 of 60 labels are -1, which may be a class of its own or stand for"
    ):
        make().read(tmp_path, "train")
    kept, left_out = make(keep_unlabelled=True), make(keep_unlabelled=False)
    assert kept.find_labels(kept.read(tmp_path, "train")) == ["-1", "0", "1"]
    assert left_out.find_labels(left_out.read(tmp_path, "train")) == ["0", "1"]
    assert len(make(["0", "1"]).read(tmp_path, "dev")) == 40
    rare = "".join(f"word {n},{n % 2}\n" for n in range(400)) + "odd,-1\n" * 12
    write(tmp_path, train_csv=f"text,label\n{rare}")
    assert len(make().read(tmp_path, "train")) == 400


def test_a_number_written_with_a_point_is_the_same_class(make: Any, tmp_path: Path) -> None:
    write(tmp_path, train_csv="text,label\na,1\nb,1.0\nc,0.0\nd,0\n")
    task = make()
    assert task.find_labels(task.read(tmp_path, "train")) == ["0", "1"]
    earlier = make(["0.0", "1.0"])  # as models of earlier versions have them
    assert [example.label for example in earlier.read(tmp_path, "train")] == ["1.0", "1.0", "0.0", "0.0"]


def test_batches_are_what_the_renderer_draws(make: Any, renderer: TextRenderer) -> None:
    task = make(["no", "yes"])
    examples = task.read_raw(["one two\tthree\n", "four\tfive six seven\n"], "raw")
    batch = as_tensors(task.collate(task.encode(examples, labels=False)))
    assert set(batch) == {"pixel_values", "attention_mask"}
    for row, pair in zip(
        batch["pixel_values"].numpy(), [("one two", "three"), ("four", "five six seven")], strict=True
    ):
        assert np.array_equal(row, renderer(pair).pixel_values[:, : row.shape[1]])


def test_long_texts_are_cut_and_counted(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    task = make(["no", "yes"])
    long = "word " * 60
    pairs = [f"short\t{long}", f"{long}\t{'人' * 300}"]
    first, *others = task.read_raw([long, "fine"], "raw")
    examples = [first, *task.read_raw(pairs, "raw"), *others]
    with caplog.at_level(logging.WARNING):
        items = task.encode(examples, labels=False)
    assert "3 of 4 texts are longer than 63 patches and were cut" in caplog.text
    batch = as_tensors(task.collate(items))
    assert batch["attention_mask"].shape[1] <= 64
    assert items[1].text[0] == "short"
    for text in items[2].text:
        assert 20 < sum(task.renderer.measure(text.split())) <= 31


def test_prediction_is_written_as_json(make: Any, tmp_path: Path) -> None:
    task = make(["no", "yes"])
    examples = task.read_raw(['{"text": "a b", "id": 7}'], "raw")
    items = task.encode(examples, labels=False)
    logits = torch.tensor([[0.0, np.log(3)]])
    predicted = task.predict(examples, items, task.decode(SimpleNamespace(logits=logits), items))
    (line,) = task.write(predicted, tmp_path / "out").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {
        "text": "a b",
        "label": "yes",
        "probabilities": {"no": pytest.approx(0.25), "yes": pytest.approx(0.75)},
    }


def test_scores_and_baseline(make: Any, tmp_path: Path) -> None:
    write(tmp_path, train_csv="text,label\na,x\nb,x\nc,y\n", test_csv="text,label\na,x\nb,y\n")
    task = make()
    train = task.read(tmp_path, "train")
    task.labels = task.find_labels(train)
    baseline = task.baseline(train, task.read(tmp_path, "test"))
    assert baseline["accuracy"] == 50
    assert baseline["f1"] == pytest.approx(100 * (2 / 3) / 2)
    assert set(baseline) == {"accuracy", "f1", "matthews", "f1_positive"}
    chosen = make(["x", "y"], metrics="matthews,accuracy")
    assert chosen.best_metric == "matthews"
    assert set(chosen.baseline(train, train)) == {"matthews", "accuracy"}
    with pytest.raises(ValueError, match="unknown 'bleu'"):
        make(metrics="bleu").best_metric  # noqa: B018
    with pytest.raises(ValueError, match="no 'pearson' here"):
        make(["x", "y"], metrics="pearson").baseline(train, train)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text,label\na,x\nb,z\n", r"dev\.csv:3: the label 'z' is not among .*: x, y"),
        ("text,label\na,x\n  ,y\n", r"dev\.csv:3: the text is empty"),
        ("text,label\na,\n", r"dev\.csv:2: the row has no label"),
        (
            "words,label\na,x\n",
            r"dev\.csv has no column .* text; it has words, label; name it by --text_column",
        ),
        ("sentence1,sentence2,label\na,,x\n", r"dev\.csv:2: the second text is empty"),
    ],
)
def test_wrong_rows(make: Any, tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, dev_csv=text)
    with pytest.raises(DataError, match=message):
        make(["x", "y"]).read(tmp_path, "dev")


def test_missing_column_and_encoding(make: Any, tmp_path: Path) -> None:
    write(tmp_path, dev_csv="text,label\na,x\n")
    with pytest.raises(DataError, match=r"dev\.csv has no column 'topic'; it has the columns text, label"):
        make(label_column="topic").read(tmp_path, "dev")
    (tmp_path / "dev.csv").write_bytes("text,label\nfin,x\ncafé,y\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"dev\.csv:3: byte 0xe9 is not UTF-8"):
        make().read(tmp_path, "dev")


def test_wrong_labels(make: Any, tmp_path: Path) -> None:
    write(tmp_path, train_csv="text,label\na,x\nb,x\n")
    task = make()
    with pytest.raises(DataError, match=r"has 1 label\(s\) \(x\)"):
        task.find_labels(task.read(tmp_path, "train"))
    with pytest.raises(DataError, match=r"train\.csv:2: the label 'x' is no number"):
        make(problem_type="regression").find_labels(task.read(tmp_path, "train"))
    write(tmp_path, dev_csv="text,label\na,1.5\nb,nan\n", test_csv="text,label\na,-1\nb,-1.0\n")
    with pytest.raises(DataError, match=r"dev\.csv:3: the label 'nan' is no finite number"):
        make(["score"]).read(tmp_path, "dev")
    with pytest.raises(DataError, match=r"test\.csv: every label is -1, which stands for hidden ones"):
        make(["score"]).read(tmp_path, "test")
    with pytest.raises(ValueError, match="problem_type must be"):
        make(problem_type="ranking").find_labels(task.read(tmp_path, "train"))
    with pytest.raises(DataError, match="holds no text"):
        task.read_raw(["\n"], "<stdin>")


def test_the_recipe_is_that_of_sib(tmp_path: Path) -> None:
    argv = [
        "--dataset_name",
        "Davlan/sib200",
        "--language",
        "tam_Taml",
        "--config_name",
        "nano",
        "--output_dir",
        str(tmp_path),
    ]
    arguments, training, options = parse_arguments("classification", Classification, argv)
    assert options == ClassificationOptions(dataset_name="Davlan/sib200", language="tam_Taml")
    assert (arguments.max_seq_length, arguments.early_stopping_patience) == (256, 20)
    assert (training.max_steps, training.learning_rate, training.per_device_train_batch_size) == (
        15_000,
        1e-5,
        32,
    )
    assert training.eval_strategy == training.save_strategy == "epoch"
