"""A tiny model that lies in the repository: every head must compute what it computed when it was measured.

`make_tiny_model.py` says how it was made. Unlike the published goldens these need no other folder.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from make_tiny_model import FOLDER, compute, load, make_inputs
from torch import Tensor, nn

from pixel_m4.model import (
    PixelForBiaffineParsing,
    PixelForPreTraining,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
    PixelModel,
    PixelPreTrainedModel,
)

torch.set_num_threads(1)  # tiny models: more threads cost a hundred times as much on a machine that is busy

HEADS = [
    PixelModel,
    PixelForPreTraining,
    PixelForBiaffineParsing,
    PixelForTokenClassification,
    PixelForSequenceClassification,
    PixelForQuestionAnswering,
]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "expected.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def inputs(golden: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {
        name.removeprefix("input."): torch.from_numpy(value)
        for name, value in golden.items()
        if name.startswith("input.")
    }


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 200_000


def test_the_inputs_are_those_of_the_script(inputs: dict[str, Tensor]) -> None:
    made = make_inputs()
    assert made.keys() == inputs.keys()
    for name, value in made.items():
        assert torch.equal(value, inputs[name]), name


@pytest.mark.parametrize(
    "way",
    [
        {"attn_implementation": "eager", "unpad_inputs": False},
        {"attn_implementation": "sdpa", "unpad_inputs": False},
        {"attn_implementation": "sdpa", "unpad_inputs": True},
    ],
    ids=["eager", "sdpa", "packed"],
)
def test_every_output_and_gradient(
    golden: dict[str, np.ndarray], inputs: dict[str, Tensor], way: dict[str, object]
) -> None:
    """Hidden states, scores and losses within 1e-5 (of values up to 3), gradients within 1e-4 of them."""
    found = compute(inputs, dtype=torch.float32, **way)
    assert found.keys() == {name for name in golden if not name.startswith("input.")}
    for name, value in found.items():
        absolute, relative = (2e-5, 1e-5)
        if name.endswith(".gradients"):
            absolute, relative = (1e-5, 2e-4)
        elif name.endswith(".picture"):
            absolute, relative = (1.0, 0)  # rounded to whole numbers
        np.testing.assert_allclose(value, golden[name], atol=absolute, rtol=relative, err_msg=name)


@pytest.mark.parametrize("kind", HEADS)
def test_where_dropout_is(kind: type[PixelPreTrainedModel], inputs: dict[str, Tensor]) -> None:
    """Every dropout is called in training, drops half, and lets the rest grow; none is in evaluation."""
    model = load(kind, hidden_dropout_prob=0.5).train()
    calls: list[tuple[str, Tensor, Tensor]] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and module.p:
            module.register_forward_hook(
                lambda module, given, output, name=name: calls.append((name, given[0], output))
            )
    batch = {name: inputs[name] for name in ("pixel_values", "attention_mask")}
    if kind is PixelForBiaffineParsing:
        batch["word_starts"] = inputs["word_starts"]
    if kind is PixelForPreTraining:
        batch["patch_mask"] = inputs["patch_mask"]
    model(**batch)
    prefix = "" if kind is PixelModel else "vit."
    expected = [f"{prefix}embeddings.dropout"] if kind is not PixelForPreTraining else []
    expected += [f"{prefix}encoder.layer.{layer}.dropout" for layer in (0, 0, 1, 1)]
    if kind is PixelForPreTraining:
        expected += ["decoder.decoder_layers.0.dropout"] * 2
    elif kind is PixelForSequenceClassification:
        expected += ["pooler.dropout"]
    elif kind in (PixelForTokenClassification, PixelForBiaffineParsing):
        expected += ["dropout"]
    assert [name for name, _, _ in calls] == expected
    for name, given, output in calls:
        dropped = (output == 0) & (given != 0)
        assert 0.35 < dropped.float().mean() / (given != 0).float().mean() < 0.65, name
        torch.testing.assert_close(output[~dropped], 2 * given[~dropped])
    calls.clear()
    model.eval()
    assert torch.equal(model(**batch)[0], model(**batch)[0])
    assert all(torch.equal(given, output) for _, given, output in calls)


@pytest.mark.parametrize("way", [{"unpad_inputs": True}, {"attn_implementation": "eager"}])
@pytest.mark.parametrize("kind", [PixelModel, PixelForPreTraining])
def test_dropout_of_attention(
    kind: type[PixelPreTrainedModel], way: dict[str, object], inputs: dict[str, Tensor]
) -> None:
    """It changes what training sees, and its mean over many draws is what evaluation sees."""
    model = load(kind, attention_probs_dropout_prob=0.5, **way).train()
    batch = {name: inputs[name] for name in ("pixel_values", "attention_mask")}
    attention = model.base_model.encoder.layer[0].attention
    outputs: list[Tensor] = []
    attention.register_forward_hook(lambda module, given, output: outputs.append(output[0].detach()))
    torch.manual_seed(0)
    if kind is PixelForPreTraining:
        batch["patch_mask"] = inputs["patch_mask"]
    for _ in range(80):
        model(**batch)
    drawn = torch.stack(outputs)
    assert not torch.equal(drawn[0], drawn[1])
    outputs.clear()
    model.eval()(**batch)
    gap = (drawn.mean(0) - outputs[0]).abs().max()
    assert gap < 6 * drawn.std(0).max() / 80**0.5
    assert drawn.std(0).mean() > 1e-5
