"""Saliency: a planted patch is found, integrated gradients sum to the difference, deletion beats chance."""

from __future__ import annotations

import csv
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixel_m4 import (
    PixelConfig,
    PixelForBiaffineParsing,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
    TextRenderer,
)
from pixel_m4.analysis.saliency import METHODS, Strip, deletion, explain, random_deletion, word_relevance
from pixel_m4.checkpoint import open_task
from pixel_m4.cli.main import main
from pixel_m4.console.errors import UserError
from pixel_m4.formats.conllu import Sentence
from pixel_m4.formats.squad import Question
from pixel_m4.model import PixelPreTrainedModel
from pixel_m4.model.initialisation import begin
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.classification import Classification, LabelledText
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.qa import QuestionAnswering
from pixel_m4.tasks.tagging import Tagging

RENDERER = TextRenderer(max_seq_length=25)
pytest.importorskip("captum", reason="needs the extra `analysis`: pip install 'pixel-m4[analysis]'")


def config(**options: Any) -> PixelConfig:
    torch.manual_seed(0)
    return PixelConfig.named("nano", max_seq_length=25, **options)


def text_with(word: str, place: int, seed: int = 0) -> str:
    words = random.Random(seed).choices(["oo", "co", "oc", "cc"], k=6)
    words[place] = word
    return " ".join(words)


@pytest.fixture(scope="module")
def planted() -> tuple[Task, PixelPreTrainedModel]:
    """A model that tells texts with the word MM, with the word WW, and with neither."""
    task = Classification(RENDERER, labels=["MM", "WW", "oo"])
    settings = config(
        num_labels=3,
        pooling_mode="max",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label={0: "MM", 1: "WW", 2: "oo"},
    )
    model = PixelForSequenceClassification(settings)
    begin(model, ["center_pixels"])
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    drawn = random.Random(1)
    for step in range(150):
        texts = [
            text_with(drawn.choice(["MM", "WW", "oo"]), drawn.randrange(6), 100 * step + i) for i in range(16)
        ]
        names = [next(name for name in ("MM", "WW", "oo") if name in text or name == "oo") for text in texts]
        examples = [
            LabelledText(place="", text=text, label=name) for text, name in zip(texts, names, strict=True)
        ]
        inputs = task.collate(task.encode(examples))
        # White patches must be nothing special: they are what deletion makes.
        for number, text in enumerate(texts):
            for word, (first, end) in zip(text.split(), pairwise(RENDERER(text).word_starts), strict=True):
                if word not in ("MM", "WW") and drawn.random() < 0.3:
                    inputs["pixel_values"][number, :, 16 * first : 16 * end] = 255
        loss = model(**inputs).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    return task, model.eval().requires_grad_(False)


@pytest.mark.parametrize("place", [1, 4])
def test_the_planted_word_is_found(planted: tuple[Task, PixelPreTrainedModel], place: int) -> None:
    strip = Strip.open(*planted, LabelledText(place="", text=text_with("MM", place, 7)))
    assert strip.decisions.names == ["MM"]
    # Not the plain gradient: it is nearly nothing where a decision is certain.
    methods = [method for method in METHODS if method != "gradient_input"]
    for method, values in explain(strip, methods, [0]).items():
        relevance = [value for _, value in word_relevance(strip, values[0])]
        assert int(np.argmax(relevance)) == place, method
        # Deleting this word first is as bad as it gets; by chance it is deleted half-way.
        assert deletion(strip, 0, values[0]) > random_deletion(strip)[0] + 1, method


def test_integrated_gradients_sum_to_the_difference(planted: tuple[Task, PixelPreTrainedModel]) -> None:
    strip = Strip.open(*planted, LabelledText(place="", text=text_with("MM", 2, 3)))
    values = explain(strip, ["integrated_gradients"], [0])["integrated_gradients"][0]
    (without,) = strip.score(strip.baseline)[0].tolist()
    assert abs(strip.scores[0] - without) > 1
    assert values.sum() == pytest.approx(strip.scores[0] - without, rel=0.02)
    assert not values[RENDERER(strip.text).num_text_patches :].any()  # the black patch stays


def test_attention_is_rolled_out_as_published(planted: tuple[Task, PixelPreTrainedModel]) -> None:
    """The rule written out: R begins as the identity, each layer adds its attention × gradient times R."""
    strip = Strip.open(*planted, LabelledText(place="", text=text_with("MM", 2, 3)))
    pixels = strip.inputs["pixel_values"].clone().requires_grad_()
    inputs = {**strip.inputs, "pixel_values": pixels}
    outputs = strip.model(**inputs, output_attentions=True, output_hidden_states=True)
    score = strip.decisions.score(outputs)[0, 0]
    size = outputs.attentions[0].shape[-1]
    relevance = torch.eye(size)
    for attention in outputs.attentions:
        (gradient,) = torch.autograd.grad(score, attention, retain_graph=True)
        heads = [(g * a).relu() for g, a in zip(gradient[0], attention[0], strict=True)]
        relevance = relevance + sum(heads) / len(heads) @ relevance
    (begin,) = torch.autograd.grad(score, outputs.hidden_states[-1])
    weights = begin[0].norm(dim=-1)
    expected = sum(weight * row for weight, row in zip(weights / weights.sum(), relevance, strict=True))
    found = explain(strip, ["chefer"], [0])["chefer"][0]
    np.testing.assert_allclose(found, expected[1:].detach().numpy(), rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_a_small_step(planted: tuple[Task, PixelPreTrainedModel]) -> None:
    strip = Strip.open(*planted, LabelledText(place="", text=text_with("MM", 2, 3)))
    strip.model.double()
    try:
        pixels, white = strip.inputs["pixel_values"].double(), strip.baseline.double()
        double = replace(strip, inputs={**strip.inputs, "pixel_values": pixels})
        values = explain(double, ["gradient_input"], [0])["gradient_input"][0]
        before, after = (
            float(double.score(white + (1 - step) * (pixels - white))[0, 0]) for step in (1e-3, 0)
        )
        assert values.sum() == pytest.approx((after - before) / 1e-3, rel=0.05)
    finally:
        strip.model.float()


def test_occlusion_is_what_is_lost(planted: tuple[Task, PixelPreTrainedModel]) -> None:
    task, model = planted
    strip = Strip.open(task, model, LabelledText(place="", text="oo MM cc"))
    patches, words = explain(strip, ["occlusion", "occlusion_words"], [0]).values()
    pixels = RENDERER.batch(["oo MM cc"], return_tensors="pt")
    logits = model(**pixels).logits[0]
    np.testing.assert_allclose(strip.scores[0], float(logits[0] - logits.mean()), atol=1e-5)
    pixels["pixel_values"][:, :, 16:32] = 255
    logits = model(**pixels).logits[0]
    np.testing.assert_allclose(patches[0, 1], strip.scores[0] - float(logits[0] - logits.mean()), atol=1e-5)
    pixels["pixel_values"][:, :, 16:48] = 255  # MM takes two patches
    logits = model(**pixels).logits[0]
    np.testing.assert_allclose(
        words[0, 1:3].sum(), strip.scores[0] - float(logits[0] - logits.mean()), atol=1e-5
    )


def test_every_task_has_decisions() -> None:
    sentence = Sentence(("The", "cat", "sleeps"), ("_",) * 3, (0, 0, 0), ("_",) * 3, (), "")
    parsing, tagging = Parsing(RENDERER), Tagging(RENDERER)
    qa = QuestionAnswering(RENDERER)
    question = Question(place="", id="1", question="Who ?", context="The cat sleeps", answers=None)
    cases: list[tuple[Task, type[PixelPreTrainedModel], Any]] = [
        (parsing, PixelForBiaffineParsing, sentence),
        (tagging, PixelForTokenClassification, sentence),
        (qa, PixelForQuestionAnswering, question),
        (
            Classification(RENDERER),
            PixelForSequenceClassification,
            LabelledText(place="", text="a", pair="b"),
        ),
    ]
    for task, model_class, example in cases:
        settings = config(num_labels=len(task.labels) or 2)
        model = model_class(settings).eval().requires_grad_(False)
        with torch.no_grad():  # a biaffine head that is new says nothing
            for parameter in model.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
        strip = Strip.open(task, model, example)
        count = len(strip.decisions.names)
        assert count == (3 if task in (parsing, tagging) else 1), task.name
        found = explain(strip, METHODS, list(range(count)))
        for method, values in found.items():
            assert values.shape == (count, strip.inputs["attention_mask"].shape[1]), (task.name, method)
            assert np.abs(values).max() > 0, (task.name, method)
    assert [len(patches) for _, patches in strip.words()] == [1, 1]


def test_a_text_must_fit(planted: tuple[Task, PixelPreTrainedModel]) -> None:
    task, model = open_task("pixel-m4-ud", device="cpu")
    words = tuple("word" for _ in range(400))
    sentence = Sentence(words, ("_",) * 400, (0,) * 400, ("_",) * 400, (), "")
    with pytest.raises(UserError, match=r"one window of .* word word"):
        Strip.open(task, model, sentence)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["analyze", "saliency", "pixel-m4-ud", "The cat sleeps .", "--device", "cpu"]
    methods = ["--methods", "occlusion", "gradient_input"]
    out = tmp_path / "out"
    assert main([*command, *methods, "--words", "2", "--output_dir", str(out)]) == 0
    said = capsys.readouterr().out
    assert "rests on (occlusion)" in said
    assert "random order" in said
    with (out / "saliency.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["method"] for row in rows} == {"occlusion", "gradient_input"}
    assert {row["word"] for row in rows} == {"The", "cat", "sleeps", "."}
    assert len({row["decision"] for row in rows}) == 1
    page = (out / "saliency.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "http" not in page
    assert (out / "saliency.deletion.csv").is_file()
    for changed, message in (
        (["--words", "9"], "--words 9: the text has 4 words: The cat sleeps ."),
        (["--words", "0"], "--words are numbers from 1, got 0"),
        (["--methods", "magic"], "there is no method 'magic'"),
        (["--limit", "0"], "--limit must be at least 1"),
        (["--file", "x"], "give texts, or a file of texts with --file"),
    ):
        assert main([*command, *changed, "--output_dir", str(tmp_path / "x")]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert main([*command, "--output_dir", str(out)]) == 1
    assert "saliency.csv" in capsys.readouterr().err
