from __future__ import annotations

from pathlib import Path

import pytest
from transformers import TrainingArguments

from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.finetune.checks import check_model
from pixel_m4.finetune.run import make_config
from pixel_m4.model import PixelConfig
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
