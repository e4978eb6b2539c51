from __future__ import annotations

import numpy as np
import pytest
import torch

from pixel_m4.model import PixelConfig, PixelForBiaffineParsing
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.batch import render_words


def test_answers_are_those_of_the_evaluation_mode() -> None:
    torch.manual_seed(0)
    config = PixelConfig.named("nano", max_seq_length=64, num_labels=5, hidden_dropout_prob=0.5)
    model = PixelForBiaffineParsing(config).train()
    for parameter in model.parameters():  # new biaffine weights are 0
        torch.nn.init.normal_(parameter, std=0.1)
    batch = render_words(TextRenderer(max_seq_length=64), [("a", "bcd"), ("e",)])
    answer = model.answer(batch)
    with torch.no_grad():
        expected = model.eval()(**{name: torch.from_numpy(values) for name, values in batch.items()})
    assert torch.equal(answer.arc_logits, expected.arc_logits)
    assert not answer.arc_logits.requires_grad


def test_batches_are_checked() -> None:
    model = PixelForBiaffineParsing(PixelConfig.named("nano", max_seq_length=64, num_labels=5))
    batch = render_words(TextRenderer(max_seq_length=64), [("a", "bcd")])
    batch["word_starts"] = np.array([[0, 9, 11]])
    with pytest.raises(ValueError, match="word_starts must lie between 0"):
        model.answer(batch)
