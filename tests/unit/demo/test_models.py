"""Which models the demo opens, under which names, and what is made once for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixel_m4.analysis.extras import MissingLibrary
from pixel_m4.console.errors import UserError
from pixel_m4.demo.models import Models
from pixel_m4.model import PixelConfig, PixelForQuestionAnswering
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.qa import QuestionAnswering


def test_models_are_known_by_their_last_name_and_by_what_they_do(models: Models) -> None:
    assert models.names() == ["pixel-m4-ud", "pixel-m4-tiny", "ner", "classification"]
    assert models.names(annotate=True) == ["pixel-m4-ud", "ner", "classification"]
    assert models.names(decode=True) == ["pixel-m4-tiny"]
    assert [model.task for model in models.served.values()] == [
        "parsing",
        "pretraining",
        "ner",
        "classification",
    ]


def test_two_of_one_name_are_refused(save_parser: Callable[..., Path], tmp_path: Path) -> None:
    one, other = save_parser(tmp_path / "a" / "parser"), save_parser(tmp_path / "b" / "parser")
    with pytest.raises(UserError, match="two are called 'parser'"):
        Models([str(one), str(other)], "cpu")


def test_text_models_are_refused(save_encoder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a text model"):
        Models([str(save_encoder(tmp_path / "bert", ["a b c"]))], "cpu")


def test_tasks_that_are_not_shown_are_refused(tmp_path: Path) -> None:
    task = QuestionAnswering(TextRenderer(max_seq_length=49))
    config = PixelConfig.named("nano", max_seq_length=49)
    task.configure(config)
    PixelForQuestionAnswering(config).save_pretrained(tmp_path)
    task.renderer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is for the task qa, which the demo does not show"):
        Models([str(tmp_path)], "cpu")


def test_no_model_is_refused() -> None:
    with pytest.raises(UserError, match="at least one"):
        Models([], "cpu")


def test_a_renderer_with_another_strategy_is_made_once(models: Models) -> None:
    own = models.served["pixel-m4-tiny"].renderer
    assert models.renderer("pixel-m4-tiny") is own
    assert models.renderer("pixel-m4-tiny", "bigrams") is own
    words = models.renderer("pixel-m4-tiny", "words")
    assert words.strategy == "words"
    assert models.renderer("pixel-m4-tiny", "words") is words
    assert words.max_seq_length == own.max_seq_length


def test_texts_of_one_alphabet_share_a_reader_and_few_are_kept(models: Models) -> None:
    model = models.served["pixel-m4-tiny"]
    one = models.reader(model, "猫")
    assert models.reader(model, "猫 [MASK:2]") is one
    assert models.reader(model, "犬") is not one
    for char in "東京大阪名古":
        models.reader(model, char)
    assert models.reader(model, "猫") is not one


def test_what_needs_a_library_that_is_not_there_is_left_out(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"full_swap", "segmentation"} <= set(models.attacks)
    assert "natural_typo" not in models.attacks
    fresh = Models(["pixel-m4-tiny"], "cpu")

    def missing(*arguments: Any) -> None:
        if "simplify" in arguments:
            raise MissingLibrary("not there")

    monkeypatch.setattr("pixel_m4.demo.models.attack", missing)
    monkeypatch.setattr("pixel_m4.demo.models.find_spec", lambda name: None)
    assert fresh.attacks == [name for name in models.attacks if name not in ("phonetic", "simplify")]
    assert "integrated_gradients" not in fresh.methods
    assert "chefer" in fresh.methods
