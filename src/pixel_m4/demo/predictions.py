"""What a fine-tuned model says about a text, and what a decision of it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pixel_m4.analysis.saliency import Strip, explain, word_relevance
from pixel_m4.console.errors import UserError
from pixel_m4.demo.models import Served
from pixel_m4.demo.strips import drawn
from pixel_m4.formats.iob import TaggedSentence
from pixel_m4.tasks.classification import TextPrediction
from pixel_m4.tasks.parsing import Parsed


def predict(model: Served, text: str) -> dict[str, Any]:
    """Parse, tag, find entities or classify, as the model was trained to; see the schema ``Prediction``."""
    assert model.annotator is not None
    (said,) = model.annotator.predict([text])
    found: dict[str, Any] = {"task": model.task}
    if isinstance(said, TextPrediction):
        probabilities = {label: float(share) for label, share in said.probabilities.items()}
        return {
            **found,
            "label": said.label,
            "probabilities": probabilities,
            "score": said.score,
            "strip": drawn(model.renderer, text),
        }
    sentence = said.tree if isinstance(said, Parsed) else said
    words = list(sentence.words)
    found |= {
        "words": words,
        "word_chars": word_spans(text, words),
        "strip": drawn(model.renderer, words),
    }
    if isinstance(sentence, TaggedSentence):
        return {**found, "tags": list(sentence.tags), "entities": entities(sentence.tags)}
    if isinstance(said, Parsed):
        found |= {"heads": list(sentence.heads), "relations": list(sentence.deprels)}
    if any(tag != "_" for tag in sentence.upos):
        found["upos"] = list(sentence.upos)
    return found


def word_spans(text: str, words: Sequence[str]) -> list[list[int] | None]:
    """The characters [start, end) of each word in the text; None where it is not found as it is."""
    found: list[list[int] | None] = []
    end = 0
    for word in words:
        start = text.find(word, end)
        if start < 0:
            found.append(None)
        else:
            end = start + len(word)
            found.append([start, end])
    return found


def entities(tags: Sequence[str]) -> list[dict[str, Any]]:
    """Entities of IOB2 tags: words [start, end) and their type."""
    found: list[dict[str, Any]] = []
    for word, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if prefix == "B":
            found.append({"words": [word, word + 1], "label": kind})
        elif prefix == "I" and found and found[-1]["words"][1] == word and found[-1]["label"] == kind:
            found[-1]["words"][1] = word + 1
    return found


def saliency(model: Served, text: str, method: str, decision: int) -> dict[str, Any]:
    """Explain a decision of a fine-tuned model; see the schema ``Saliency``.

    Raises:
        UserError: There is no such decision, or the text does not fit on one canvas.
    """
    annotator = model.annotator
    assert annotator is not None
    (example,) = annotator.task.read_raw([" ".join(text.splitlines())], "the text", "text")
    strip = Strip.open(annotator.task, annotator.model, example)
    if decision >= len(strip.decisions.names):
        count = len(strip.decisions.names)
        raise UserError(f"decision {decision} is not there; the text has {count}, numbered from 0")
    relevance = explain(strip, [method], [decision])[method][0]
    # From -1 to 1: black patches and padding are not shown, and explain nothing.
    shown = strip.shown
    scaled = np.zeros(len(relevance))
    scaled[shown] = relevance[shown] / (np.abs(relevance[shown]).max(initial=0) or 1.0)
    by_word = list(word_relevance(strip, relevance))
    return {
        "decisions": list(strip.decisions.names),
        "decision": decision,
        "about_word": strip.decisions.words[decision],
        "score": float(strip.scores[decision]),
        "words": [word for word, _ in by_word],
        "word_relevance": [value for _, value in by_word],
        "relevance": scaled.round(4).tolist(),
        "strip": drawn(model.renderer, strip.text),
    }
