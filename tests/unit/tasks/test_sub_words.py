"""The tasks on a tokenizer of sub-words in the place of a renderer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pixel_m4.formats.conllu import parse_conllu
from pixel_m4.formats.squad import Answer, Question
from pixel_m4.model.answering import as_tensors
from pixel_m4.model.text_config import read_config
from pixel_m4.subwords.tokenizer import SubwordTokenizer, open_tokenizer
from pixel_m4.tasks.classification import Classification, LabelledText
from pixel_m4.tasks.qa import QAOptions, QuestionAnswering
from pixel_m4.tasks.tagging import Tagging

TEXTS = 20 * ["the cat sleeps on the red mat", "who sleeps where ?", "ба ბა 漢"]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def tokenizer(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    save_encoder: Callable[..., Path],
) -> SubwordTokenizer:
    folder = save_encoder(tmp_path_factory.mktemp("encoder"), TEXTS, request.param)
    return open_tokenizer(folder, read_config(folder), max_seq_length=40)


def test_labels_stand_on_first_sub_words_of_words_and_all_words_are_in_a_window(
    tokenizer: SubwordTokenizer,
) -> None:
    words = tuple(["the", "unknownest", "😀", "\u200b", "cat"] * 10)
    task = Tagging(tokenizer)
    tags = [task.labels[number % 17] for number in range(len(words))]
    rows = [
        f"{number}\t{word}\t_\t{tag}\t_\t_\t0\troot\t_\t_"
        for number, (word, tag) in enumerate(zip(words, tags, strict=True), 1)
    ]
    (sentence,) = parse_conllu("\n".join(rows), trees=False)
    windows = task.encode([sentence])
    assert len(windows) > 1
    batch = as_tensors(task.collate(windows))
    assert batch["input_ids"].shape[1] <= 40
    for row, window in zip(batch["labels"], windows, strict=True):
        assert row[row >= 0].tolist() == list(window.labels["labels"])
        places = (row >= 0).nonzero().flatten().tolist()
        for word, place, width in zip(window.words, places, window.widths, strict=True):
            own = tokenizer.batch([[word]])["input_ids"][0, 1:-1].tolist()
            index = windows.index(window)
            assert batch["input_ids"][index, 1 + place : 1 + place + width].tolist() == own
    logits = torch.nn.functional.one_hot(batch["labels"].clamp(min=0), 17).float()
    results = task.decode(SimpleNamespace(logits=logits), windows)
    assert list(task.predict([sentence], windows, results)[0].upos) == tags


def test_answers_are_found_where_the_training_puts_them(tokenizer: SubwordTokenizer) -> None:
    """A model that is sure of the places that it is trained for predicts the answers, in every window."""
    context = (
        "  the cat sleeps  on the (red) mat . "
        + "who knows where ? " * 6
        + "ба ბა 漢字漢字 😀 e\u0301te\u0301 end ."
    )
    answers = ["cat", "sleeps  on the", "red", "ба ბა", "😀", "e\u0301te\u0301", "end"]
    questions = [
        Question(
            id=str(number),
            question="who sleeps ?",
            context=context,
            answers=(Answer(text=answer, start=context.index(answer)),),
            place="x",
        )
        for number, answer in enumerate(answers)
    ]
    task = QuestionAnswering(tokenizer, options=QAOptions(stride=8, version_2_with_negative=True))
    windows = task.encode(questions)
    assert len(windows) >= 2 * len(questions)
    for window in windows:
        assert window.length <= tokenizer.capacity
        drawn = tokenizer.offsets(window.pair).patches[1][:, 0] >= 0
        assert [bool(shown) for shown in drawn] == [not char.isspace() for char in window.part]
    results = []
    for window in windows:
        batch = as_tensors(task.collate([window]))
        assert batch["input_ids"].shape[1] <= 40
        places = batch["attention_mask"].shape[1] + 1
        start, end = (
            torch.nn.functional.one_hot(batch[f"{side}_positions"], places).float() * 9
            for side in ("start", "end")
        )
        results += task.decode(SimpleNamespace(start_logits=start, end_logits=end), [window])
    assert [found.answer for found in task.predict(questions, windows, results)] == answers


def test_texts_and_pairs_are_cut_to_fit(
    tokenizer: SubwordTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    task = Classification(tokenizer, ["x", "y"])
    long = "the cat sleeps " * 30
    examples = [
        LabelledText(place="1", text="the cat", label="x"),
        LabelledText(place="2", text=long, label="y"),
    ]
    items = task.encode(examples)
    assert "1 of 2 texts are longer than 38 patches" in caplog.text
    assert as_tensors(task.collate(items))["input_ids"].shape == (2, 40)
    pairs = [replace(example, pair=long) for example in examples]
    batch = as_tensors(task.collate(task.encode(pairs)))
    assert batch["input_ids"].shape == (2, 40)
    separator = tokenizer.batch(["a"])["input_ids"][0, -1]
    assert (batch["input_ids"] == separator).sum(1).tolist() == [1 + tokenizer.between] * 2
    assert batch["labels"].tolist() == [0, 1]
