"""Predictions and explanations as the page gets them, beside what the library says itself."""

from __future__ import annotations

import numpy as np
import pytest

from pixel_m4 import load
from pixel_m4.analysis.saliency import Strip, explain
from pixel_m4.console.errors import UserError
from pixel_m4.demo.models import Models
from pixel_m4.demo.predictions import entities, predict, saliency, word_spans

TEXT = "My cat sleeps."


def test_a_parser_says_what_it_says_in_python(models: Models) -> None:
    said = predict(models.served["pixel-m4-ud"], TEXT)
    (parsed,) = load("pixel-m4-ud", device="cpu").predict([TEXT])
    assert said["words"] == list(parsed.tree.words) == ["My", "cat", "sleeps", "."]
    assert said["heads"] == list(parsed.tree.heads)
    assert said["relations"] == list(parsed.tree.deprels)
    assert said["upos"] == list(parsed.tree.upos)
    assert said["word_chars"] == [[0, 2], [3, 6], [7, 13], [13, 14]]
    # The point is a word of its own, so that the strip is not that of the text.
    assert said["strip"]["text"] == "My cat sleeps ."
    assert max(word for word in said["strip"]["patch_word"] if word is not None) == 3


def test_entities_and_classes_are_told(models: Models) -> None:
    said = predict(models.served["ner"], TEXT)
    assert len(said["tags"]) == 4
    assert said["entities"] == entities(said["tags"])
    assert "heads" not in said
    said = predict(models.served["classification"], TEXT)
    assert said["label"] == max(said["probabilities"], key=said["probabilities"].get)
    assert set(said["probabilities"]) == {"good", "bad"}
    assert sum(said["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert said["strip"]["text"] == TEXT


def test_entities_are_joined() -> None:
    assert entities(["B-A", "I-A", "O", "B-A", "B-A", "I-B", "O", "I-B"]) == [
        {"words": [0, 2], "label": "A"},
        {"words": [3, 4], "label": "A"},
        {"words": [4, 5], "label": "A"},
    ]


def test_words_are_found_in_their_order() -> None:
    assert word_spans("a b a", ["a", "b", "a"]) == [[0, 1], [2, 3], [4, 5]]
    assert word_spans("a b", ["a", "x", "b"]) == [[0, 1], None, [2, 3]]


def test_saliency_is_that_of_the_analysis(models: Models) -> None:
    model = models.served["pixel-m4-ud"]
    said = saliency(model, TEXT, "chefer", 1)
    assert model.annotator is not None
    (example,) = model.annotator.task.read_raw([TEXT], "x", "text")
    strip = Strip.open(model.annotator.task, model.annotator.model, example)
    expected = explain(strip, ["chefer"], [1])["chefer"][0]
    relevance = np.array(said["relevance"])
    assert said["decisions"] == list(strip.decisions.names)
    assert (said["decision"], said["about_word"]) == (1, 1)
    assert np.abs(relevance).max() == 1
    most = expected[strip.shown].max()
    assert relevance[strip.shown] == pytest.approx(expected[strip.shown] / most, abs=1e-3)
    assert relevance[said["strip"]["patches"] - 1] == 0  # the black patch
    assert said["word_relevance"][1] == pytest.approx(expected[strip.words()[1][1]].sum(), rel=1e-3)


def test_saliency_after_a_prediction_still_has_gradients(models: Models) -> None:
    model = models.served["classification"]
    predict(model, TEXT)
    said = saliency(model, TEXT, "gradient_input", 0)
    assert said["about_word"] is None
    assert np.abs(said["relevance"]).max() == 1


def test_a_decision_that_is_not_there_is_refused(models: Models) -> None:
    with pytest.raises(UserError, match="decision 4 is not there; the text has 4"):
        saliency(models.served["pixel-m4-ud"], TEXT, "chefer", 4)
