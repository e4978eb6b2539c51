"""A saved model from Python: texts in, predictions out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pixel_m4
from pixel_m4 import (
    PixelConfig,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    TextRenderer,
)
from pixel_m4.files import DataError
from pixel_m4.predict.annotator import Annotator
from pixel_m4.tasks.classification import Classification, ClassificationOptions
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.qa import QuestionAnswering

CONLLU = "1\tA\t_\tDET\t_\t_\t2\tdet\t_\t_\n2\tcat\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n"


@pytest.fixture(scope="module")
def parser() -> Annotator:
    return pixel_m4.load("pixel-m4-ud", device="cpu", batch_size=2)


def test_a_prediction_a_text(parser: Annotator) -> None:
    texts = ["The cat sleeps.", "Le chat\ndort .", "My hat", "x", "1\t2"]
    parsed = [each.tree for each in parser.predict(texts)]
    assert [tree.words for tree in parsed[:3]] == [
        ("The", "cat", "sleeps", "."), ("Le", "chat", "dort", "."), ("My", "hat"),
    ]  # fmt: skip
    assert len(parsed) == 5
    alone = [parser.predict([text])[0].tree for text in texts]
    assert [tree.heads for tree in alone] == [tree.heads for tree in parsed]
    assert [tree.deprels for tree in alone] == [tree.deprels for tree in parsed]
    assert parser.predict([]) == []
    assert "nsubj" in parser.labels


def test_texts_that_are_none(parser: Annotator) -> None:
    with pytest.raises(DataError, match="text 2: the text is empty"):
        parser.predict(["a", " \n"])
    for odd in (None, float("nan"), ["The", "cat"], ("a", "b"), b"a"):
        with pytest.raises(DataError, match="text 2: the text is no text, but"):
            parser.predict(["a", odd])
    with pytest.raises(TypeError, match=r"write \[text\]"):
        parser.predict("The cat sleeps.")
    with pytest.raises(DataError, match="text 2: texts and objects are mixed"):
        parser.predict(["a", {"text": "b"}])


def test_streams_and_scores(parser: Annotator, tmp_path: Path) -> None:
    file = tmp_path / "a-ud-test.conllu"
    file.write_text(CONLLU * 3, encoding="utf-8")
    with file.open(encoding="utf-8") as lines:
        assert [each.tree.words for each in parser.stream(lines)] == [("A", "cat")] * 3
    scores = parser.evaluate(file)
    assert scores == parser.evaluate(tmp_path)
    task = parser.task
    assert isinstance(task, Parsing)
    gold = task.read_file(file)
    assert scores == task.score(gold, task.annotate(parser.model, gold))


def test_another_folder_is_scored_and_not_the_training_data(tmp_path: Path) -> None:
    """The data set that the options name won over the folder that was asked for."""
    rows = {"right": ["good film,pos"], "wrong": ["good film,neg"]}
    for name, lines in rows.items():
        (tmp_path / name / "eng").mkdir(parents=True)
        for folder in (tmp_path / name, tmp_path / name / "eng"):
            (folder / "test.csv").write_text("\n".join(["text,label", *lines * 4]), encoding="utf-8")
    renderer = TextRenderer(max_seq_length=16)
    for place in ({"dataset_name": str(tmp_path / "right")}, {"language": "eng"}):
        task = Classification(renderer, ["neg", "pos"], ClassificationOptions(**place))
        model = PixelForSequenceClassification(PixelConfig.named("nano", max_seq_length=16, num_labels=2))
        annotator = Annotator(task, model.eval())
        right, wrong = (annotator.evaluate(tmp_path / name)["accuracy"] for name in rows)
        assert sorted((right, wrong)) == [0, 100]
        assert annotator.evaluate(tmp_path / "wrong" / "eng")["accuracy"] == wrong
        assert task.options == ClassificationOptions(**place)


def test_questions_are_objects() -> None:
    task = QuestionAnswering(TextRenderer(max_seq_length=64))
    config = PixelConfig.named("nano", max_seq_length=64)
    task.configure(config)
    torch.manual_seed(0)
    annotator = Annotator(task, PixelForQuestionAnswering(config).eval())
    asked = [{"question": "Who sleeps?", "context": f"The cat {number} sleeps."} for number in range(3)]
    answers = annotator.predict(asked)
    assert len(answers) == 3
    for answer, question in zip(answers, asked, strict=True):
        assert answer.answer in question["context"]
    with pytest.raises(DataError):
        annotator.predict(["Who sleeps?"])


def test_a_checkpoint_is_opened_by_parts() -> None:
    checkpoint = pixel_m4.Checkpoint.open("pixel-m4-ud")
    assert checkpoint.task.name == "parsing"
    assert checkpoint.labels == checkpoint.task.labels
    assert checkpoint.task.renderer is checkpoint.renderer
    assert checkpoint.renderer.max_seq_length == checkpoint.config.max_seq_length
    model = checkpoint.model("cpu")
    assert isinstance(model, checkpoint.model_class)
    assert not model.training


def test_opening_a_model_loads_nothing_of_training() -> None:
    code = (
        "import sys, pixel_m4\npixel_m4.load('pixel-m4-ud').predict(['The cat sleeps.'])\n"
        "bad = ('transformers.trainer', 'datasets', 'sklearn', 'pandas', 'pixel_m4.training')\n"
        "print(*(name for name in bad if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
