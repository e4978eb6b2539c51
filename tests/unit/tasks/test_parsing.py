from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pixel_m4.files import DataError
from pixel_m4.formats.conllu import UPOS, Sentence, parse_conllu, read_conllu, with_tags
from pixel_m4.model import PixelConfig, PixelForBiaffineParsing
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.batch import IGNORE
from pixel_m4.tasks.parsing import Parsing, Scores


def sentence(words: list[str], heads: list[int], rels: list[str]) -> Sentence:
    rows = zip(words, heads, rels, strict=True)
    lines = [
        f"{i}\t{word}\t_\tX\t_\t_\t{head}\t{rel}\t_\t_" for i, (word, head, rel) in enumerate(rows, start=1)
    ]
    return parse_conllu(lines, "made.conllu")[0]


SHORT = sentence(["My", "cat", "sleeps", "."], [2, 3, 0, 3], ["nmod:poss", "nsubj", "root", "punct"])
LONG = sentence([f"word{i}" for i in range(60)], list(range(60)), ["root"] + ["dep"] * 59)


@pytest.fixture(scope="module")
def task() -> Parsing:
    return Parsing(TextRenderer(max_seq_length=49))


def perfect(task: Parsing, encoded: list, gold: list[Sentence]) -> list[Scores]:
    """What an all-knowing model would say about each window."""
    results = []
    for window in encoded:
        size = len(window.words)
        arcs, rels = np.full((size, size + 1), -9.0, np.float32), np.ones((size, size + 1), np.uint8)
        for row, word in enumerate(window.span):
            head = gold[window.example].heads[word]
            column = 0 if head == 0 else head - window.span.start if head - 1 in window.span else 0
            arcs[row, column] = -0.1
            rels[row, :] = task.labels.index(gold[window.example].deprels[word].split(":")[0])
        results.append(Scores(arcs, rels))
    return results


def test_labels_are_the_published_ones(task: Parsing) -> None:
    assert len(task.labels) == 38
    assert task.labels[:3] == ["_", "acl", "advcl"]


def test_short_sentence_is_one_window(task: Parsing) -> None:
    (window,) = task.encode([SHORT])
    assert window.words == SHORT.words
    assert window.labels["arc_labels"] == [2, 3, 0, 3]
    assert [task.labels[number] for number in window.labels["rel_labels"]] == [
        "nmod",
        "nsubj",
        "root",
        "punct",
    ]
    assert window.length == 8


def test_long_sentence_loses_no_word_and_keeps_heads_inside(task: Parsing) -> None:
    encoded = task.encode([LONG])
    assert len(encoded) > 2
    assert {word for window in encoded for word in window.span} == set(range(60))
    for window in encoded:
        assert window.length <= 48
        for row, word in enumerate(window.span):
            label = window.labels["arc_labels"][row]
            if word == window.span.start and word > 0:
                assert label == window.labels["rel_labels"][row] == IGNORE  # its head is in another window
            else:
                assert label == (0 if word == 0 else row)


def test_windows_are_put_together_again(task: Parsing) -> None:
    gold = [LONG, SHORT]
    encoded = task.encode(gold, labels=False)
    encoded.reverse()
    parsed = task.predict(gold, encoded, perfect(task, encoded, gold))
    assert [p.tree.heads for p in parsed] == [LONG.heads, SHORT.heads]
    assert task.score(gold, parsed) == {"uas": 100.0, "las": 100.0, "uas_mst": 100.0, "las_mst": 100.0}


def test_greedy_and_tree_decoding_differ(task: Parsing) -> None:
    arcs = np.log(
        np.array([[0.1, 0.0, 0.6, 0.3], [0.15, 0.65, 0.0, 0.2], [0.2, 0.5, 0.3, 0.0]], np.float32) + 1e-6
    )
    gold = sentence(["a", "b", "c"], [2, 0, 1], ["dep", "root", "dep"])
    (parsed,) = task.predict([gold], task.encode([gold]), [Scores(arcs, np.ones((3, 4), np.uint8))])
    assert parsed.greedy_heads == [2, 1, 1]  # a cycle without a root
    assert parsed.tree.heads == (2, 0, 1)
    assert task.score([gold], [parsed])["uas"] == pytest.approx(200 / 3)
    assert task.score([gold], [parsed])["uas_mst"] == 100


def test_unused_label_is_never_chosen(task: Parsing) -> None:
    rels = torch.zeros(1, 4, 5, 38)
    rels[..., 0] = 9
    rels[..., 7] = 1
    outputs = SimpleNamespace(arc_logits=torch.zeros(1, 4, 5), rel_logits=rels)
    (scores,) = task.decode(outputs, task.encode([SHORT]))
    assert (scores.rels == 7).all()


def test_collate_trims_and_pads(task: Parsing) -> None:
    encoded = task.encode([SHORT, sentence(["a"], [0], ["root"])])
    batch = task.collate(encoded)
    assert batch["pixel_values"].shape == (2, 16, 9 * 16)
    assert batch["word_starts"].tolist() == [[0, 2, 4, 7, 8], [0, 1, -100, -100, -100]]
    assert batch["arc_labels"].tolist()[1] == [0, -100, -100, -100]


def test_a_word_wider_than_the_canvas_still_gets_a_head(task: Parsing) -> None:
    gold = [sentence(["W" * 500, "b"], [0, 1], ["root", "dep"])]
    model = PixelForBiaffineParsing(PixelConfig.named("nano", image_size=[16, 16 * 49], num_labels=38))
    (parsed,) = task.annotate(model, gold)
    assert len(parsed.tree.heads) == 2


def test_annotate_keeps_the_order_of_sentences(task: Parsing) -> None:
    model = PixelForBiaffineParsing(PixelConfig.named("nano", image_size=[16, 16 * 49], num_labels=38))
    gold = [SHORT, LONG, sentence(["x"], [0], ["root"])]
    parsed = task.annotate(model, gold, batch_size=2)
    assert [p.tree.words for p in parsed] == [g.words for g in gold]


def write(folder: Path, name: str, sentences: list[Sentence]) -> None:
    folder.mkdir(exist_ok=True)
    text = "".join("\n".join(sentence.lines) + "\n\n" for sentence in sentences)
    (folder / name).write_text(text, encoding="utf-8")


def test_read_finds_the_split(task: Parsing, tmp_path: Path) -> None:
    write(tmp_path, "xx_yy-ud-train.conllu", [SHORT])
    assert len(task.read(tmp_path, "train")) == 1
    with pytest.raises(DataError, match=r"has no 'test' split .*holds xx_yy-ud-train\.conllu"):
        task.read(tmp_path, "test")
    write(tmp_path, "zz-ud-train.conllu", [SHORT])
    with pytest.raises(DataError, match="several files"):
        task.read(tmp_path, "train")
    with pytest.raises(DataError, match="no folder"):
        task.read(tmp_path / "none", "train")


def test_unknown_relation_is_named(task: Parsing, tmp_path: Path) -> None:
    write(tmp_path, "a-test.conllu", [SHORT, sentence(["a", "b"], [0, 1], ["root", "zzz:y"])])
    with pytest.raises(DataError, match=r"a-test\.conllu:7: the word 'b' has the relation 'zzz:y'"):
        task.read(tmp_path, "test")


def test_predictions_are_written_as_conllu(task: Parsing, tmp_path: Path) -> None:
    parsed = task.predict([SHORT], task.encode([SHORT]), perfect(task, task.encode([SHORT]), [SHORT]))
    file = task.write(parsed, tmp_path / "predictions")
    assert file.name == "predictions.conllu"
    (again,) = read_conllu(file)
    assert again.heads == SHORT.heads
    assert again.deprels == ("nmod", "nsubj", "root", "punct")


def test_parts_of_speech_beside_the_tree() -> None:
    task = Parsing(TextRenderer(max_seq_length=49), options=Parsing.options_class(upos=True))
    tags = [UPOS[word % 17] for word in range(60)]
    gold = [with_tags(SHORT, ["PRON", "NOUN", "VERB", "PUNCT"]), with_tags(LONG, tags)]
    encoded = task.encode(gold)
    batch = task.collate(encoded)
    assert batch["tag_labels"][0, :4].tolist() == [UPOS.index(tag) for tag in gold[0].upos]
    assert batch["tag_labels"].shape == batch["arc_labels"].shape
    results = [
        scores._replace(tags=np.array(window.labels["tag_labels"], np.uint8))
        for scores, window in zip(perfect(task, encoded, gold), encoded, strict=True)
    ]
    predicted = task.predict(gold, encoded, results)
    assert [parsed.tree.upos for parsed in predicted] == [s.upos for s in gold]
    assert [parsed.tree.heads for parsed in predicted] == [s.heads for s in gold]
    scores = task.score(gold, predicted)
    assert set(scores) == set(task.score_names()) == {"uas", "las", "uas_mst", "las_mst", "upos"}
    wrong = [predicted[0]._replace(tree=with_tags(predicted[0].tree, ["PRON"] * 4)), predicted[1]]
    assert task.score(gold, wrong)["upos"] == pytest.approx(100 * 61 / 64)


def test_parts_of_speech_must_be_universal(tmp_path: Path) -> None:
    file = tmp_path / "a.conllu"
    file.write_text("1\ta\t_\tNN\t_\t_\t0\troot\t_\t_\n\n", encoding="utf-8")
    assert len(Parsing(TextRenderer()).read_file(file)) == 1
    with pytest.raises(DataError, match=r"a.conllu:1: the word 'a' has the tag 'NN', which is no universal"):
        Parsing(TextRenderer(), options=Parsing.options_class(upos=True)).read_file(file)
