from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import TrainingArguments

from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.finetune.checks import check_model
from pixel_m4.finetune.run import make_config, make_model
from pixel_m4.model import PixelConfig, PixelForSequenceClassification
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.registry import TASKS


def test_what_competes_in_losses_is_an_option_and_is_saved(tmp_path: Path) -> None:
    start = FinetuneArguments(config_name="nano", data_dir="x")
    assert make_config(start).padding_competes
    chosen = make_config(FinetuneArguments(config_name="nano", data_dir="x", padding_competes=False))
    assert not chosen.padding_competes
    chosen.save_pretrained(tmp_path)
    assert not PixelConfig.from_pretrained(tmp_path).padding_competes
    again = FinetuneArguments(model_name_or_path=str(tmp_path), data_dir="x")
    assert not make_config(again).padding_competes  # as the checkpoint says
    other = FinetuneArguments(model_name_or_path=str(tmp_path), data_dir="x", padding_competes=True)
    assert make_config(other).padding_competes


def test_positions_are_options_and_are_saved(tmp_path: Path) -> None:
    start = FinetuneArguments(
        config_name="nano", data_dir="x", position_embedding_type="rotary_absolute", rope_theta=200
    )
    make_config(start).save_pretrained(tmp_path)
    again = FinetuneArguments(model_name_or_path=str(tmp_path), data_dir="x")
    assert make_config(again).rope_theta == 200  # as the checkpoint says
    other = FinetuneArguments(
        model_name_or_path=str(tmp_path), data_dir="x", position_embedding_type="rotary", rope_theta=300
    )
    found = make_config(other)
    assert (found.position_embedding_type, found.rope_theta) == ("rotary", 300)


def test_it_is_refused_where_nothing_competes(tmp_path: Path) -> None:
    arguments = FinetuneArguments(config_name="nano", data_dir="x", padding_competes=False)
    training = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    config = make_config(arguments)
    with pytest.raises(ValueError, match="--padding_competes is for parsing and qa; the loss of ner"):
        check_model(TASKS["ner"](TextRenderer()), arguments, training, config)


@pytest.mark.parametrize(
    ("labels", "same"),
    [
        (["sad", "happy"], True),
        (["happy", "sad"], False),
        (["war", "peace"], False),
        (["sad", "so", "happy"], False),
    ],
)
def test_a_head_is_kept_for_the_same_labels_in_the_same_order(
    labels: list[str], same: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As many labels were enough: others, or in another order, began with weights of the wrong ones."""
    config = PixelConfig.named("nano", max_seq_length=16, id2label={0: "sad", 1: "happy"})
    trained = PixelForSequenceClassification(config)
    trained.save_pretrained(tmp_path)
    arguments = FinetuneArguments(model_name_or_path=str(tmp_path), data_dir="x", max_seq_length=16)
    task = TASKS["classification"](TextRenderer(max_seq_length=16), labels)
    model = make_model(task, arguments, make_config(arguments))
    head, before = model.classifier.weight, trained.classifier.weight
    assert (head.shape == before.shape and torch.equal(head, before)) is same
    assert all(map(torch.equal, model.vit.parameters(), trained.vit.parameters()))
    assert ("the checkpoint knows other labels (sad, happy)" in caplog.text) is not same
    assert list(model.config.id2label.values()) == labels
