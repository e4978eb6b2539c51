from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pixel_m4.files import DataError
from pixel_m4.formats.conllu import Sentence, parse_conllu, read_conllu
from pixel_m4.model.answering import as_tensors
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.batch import IGNORE
from pixel_m4.tasks.tagging import UPOS, Tagging


def sentence(words: list[str], tags: list[str]) -> Sentence:
    lines = [
        f"{i}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_"
        for i, (word, tag) in enumerate(zip(words, tags, strict=True), 1)
    ]
    return parse_conllu(lines, "made.conllu", trees=False)[0]


SHORT = sentence(["My", "cat", "sleeps", "."], ["PRON", "NOUN", "VERB", "PUNCT"])
LONG = sentence([f"word{i}" for i in range(60)], [UPOS[i % 17] for i in range(60)])


@pytest.fixture(scope="module")
def task() -> Tagging:
    return Tagging(TextRenderer(max_seq_length=49))


def test_seventeen_universal_tags(task: Tagging) -> None:
    assert len(task.labels) == 17 == len(set(task.labels))


def test_labels_sit_on_first_patches(task: Tagging) -> None:
    batch = as_tensors(task.collate(task.encode([SHORT, sentence(["a"], ["DET"])])))
    assert set(batch) == {"pixel_values", "attention_mask", "labels"}
    expected = torch.full((2, 9), IGNORE)
    expected[0, [0, 2, 4, 7]] = torch.tensor([UPOS.index(tag) for tag in SHORT.upos])
    expected[1, 0] = UPOS.index("DET")
    assert torch.equal(batch["labels"], expected)


def test_right_to_left_words_keep_their_labels(task: Tagging) -> None:
    words = ["קטתי", "תחב", "א"]
    (window,) = task.encode([sentence(words, ["NOUN", "VERB", "X"])])
    assert window.starts == task.renderer(words).word_starts[:-1]


def test_windows_are_put_together_again(task: Tagging) -> None:
    gold = [LONG, SHORT]
    encoded = task.encode(gold)
    assert len(encoded) > 3
    batch = as_tensors(task.collate(encoded))
    logits = torch.nn.functional.one_hot(batch["labels"].clamp(min=0), 17).float()
    predicted = task.predict(gold, encoded, task.decode(SimpleNamespace(logits=logits), encoded))
    assert [p.upos for p in predicted] == [g.upos for g in gold]
    assert task.score(gold, predicted) == {"accuracy": 100.0}


def test_baseline_knows_forms_and_the_most_frequent_tag(task: Tagging) -> None:
    train = [sentence(["a", "b", "b", "c"], ["DET", "NOUN", "NOUN", "VERB"])]
    test = [sentence(["a", "c", "new", "other"], ["DET", "VERB", "NOUN", "X"])]
    assert task.baseline(train, test) == {"accuracy": 75.0}


def test_unknown_tag_is_named(task: Tagging, tmp_path: Path) -> None:
    text = "# text = a b\n" + "\n".join(sentence(["a", "b"], ["X", "WORD"]).lines) + "\n\n"
    (tmp_path / "a-dev.conllu").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"a-dev\.conllu:3: the word 'b' has the tag 'WORD'"):
        task.read(tmp_path, "dev")


def test_predictions_are_written_as_conllu(task: Tagging, tmp_path: Path) -> None:
    file = task.write([SHORT], tmp_path / "predictions")
    (again,) = read_conllu(file, trees=False)
    assert again.upos == SHORT.upos


def test_labels_of_words_where_words_are_pooled() -> None:
    task = Tagging(TextRenderer(max_seq_length=49), options=Tagging.options_class(word_pooling="mean"))
    gold = [SHORT, sentence(["a"], ["DET"])]
    encoded = task.encode(gold)
    batch = as_tensors(task.collate(encoded))
    assert torch.equal(batch["word_starts"], torch.tensor([[0, 2, 4, 7, 8], [0, 1, *[IGNORE] * 3]]))
    assert batch["labels"].tolist() == [
        [UPOS.index(tag) for tag in SHORT.upos],
        [UPOS.index("DET"), *[IGNORE] * 3],
    ]
    logits = torch.nn.functional.one_hot(batch["labels"].clamp(min=0), 17)
    results = task.decode(SimpleNamespace(logits=logits), encoded)
    assert [s.upos for s in task.predict(gold, encoded, results)] == [s.upos for s in gold]
