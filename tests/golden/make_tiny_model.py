"""Makes the golden model in `tiny_model/`: weights, inputs, and what every head computes from them.

The published goldens of `../shared` are too large for the repository and were measured on the published
implementation. These here are small and were measured on ours, on the day when it agreed with the published
ones; they protect a checkout that stands alone. Values are computed in float64 with plain attention, and kept
in float32. Run it again only if what a model computes shall change, which is never the case for published
behaviour; it refuses to while the code differs from the published goldens.

    python tests/golden/make_tiny_model.py --shared ../shared

Weights are random, with sizes of their parts chosen so that what the tests look for can be seen: states with
a small variance (epsilons of norms), activations around 2 (kinds of GELU), trained positions, biases
everywhere.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from pixel_m4.model import (
    PixelConfig,
    PixelForBiaffineParsing,
    PixelForPreTraining,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
    PixelModel,
    PixelPreTrainedModel,
)
from pixel_m4.model.objectives import reconstruct

FOLDER = Path(__file__).parent / "tiny_model"
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
PIXELS = slice(5, None, 29)  # of the 768 that are predicted of a patch, some are kept
Arrays = dict[str, np.ndarray]


def make_config() -> PixelConfig:
    return PixelConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        decoder_hidden_size=8,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=12,
        max_seq_length=16,
        id2label={number: f"LABEL_{number}" for number in range(5)},
    )


def make_weights(config: PixelConfig) -> dict[str, Tensor]:
    """The weights of every head in one checkpoint, rounded to what 16 bits hold."""
    generator = torch.Generator().manual_seed(20261127)
    models = [
        PixelForPreTraining(config),
        PixelForBiaffineParsing(config),
        PixelForSequenceClassification(config),
        PixelForQuestionAnswering(config),
    ]
    weights = {}
    for name, value in sorted({k: v for model in models for k, v in model.state_dict().items()}.items()):
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith(("position_embeddings", "decoder_pos_embed")):
            new = 0.005 * value + 0.005 * noise
        elif "norm" in name or ".ln." in name:
            new = float(name.endswith("weight")) + 0.2 * noise
        elif name == "pooler.linear.bias":
            new = 0.3 * noise - 3  # where kinds of GELU differ, and small, for the epsilon after it
        elif name.endswith("bias"):
            new = 0.1 * noise
        elif any(part in name for part in ("query", "key", "intermediate")):
            new = 0.6 * noise
        elif any(part in name for part in ("embed", "token", "output.dense")):
            new = 0.005 * noise if "projection" not in name else 0.0005 * noise
        else:
            new = 0.3 * noise
        if name.endswith("output.dense.bias") or "embeddings.projection.bias" in name:
            new = 0.1 * new
        weights[name] = new.half()
    return weights


def make_inputs() -> dict[str, Tensor]:
    """Three texts of 16, 9 and 4 patches: black and grey marks on white, and white padding."""
    generator = torch.Generator().manual_seed(7)
    lengths = torch.tensor([16, 9, 4])
    mask = (torch.arange(16) < lengths[:, None]).long()
    marks = F.interpolate(torch.rand(3, 1, 4, 128, generator=generator), scale_factor=(4, 2)).squeeze(1)
    pixels = torch.where(marks > 0.6, (255 * (1 - marks)).round(), 255.0).to(torch.uint8)
    pixels[mask.repeat_interleave(16, 1).bool().logical_not()[:, None].expand_as(pixels)] = 255
    patch_mask = torch.zeros(3, 16, dtype=torch.long)
    patch_mask[0, [2, 3, 9, 14]] = patch_mask[1, [0, 4, 5, 12]] = patch_mask[2, [1, 7, 8, 15]] = 1
    nothing = -100
    token_labels = torch.full((3, 16), nothing)
    token_labels[0, [0, 4, 9]], token_labels[1, [0, 7]] = torch.tensor([1, 4, 0]), torch.tensor([2, 3])
    token_labels[2, 1] = 4
    return {
        "pixel_values": pixels,
        "attention_mask": mask,
        "patch_mask": patch_mask,
        "word_starts": torch.tensor([[0, 2, 5, 6, 16], [0, 4, 9, *2 * [nothing]], [0, 4, *3 * [nothing]]]),
        "arc_labels": torch.tensor([[2, 0, 4, 2], [0, 1, *2 * [nothing]], [0, *3 * [nothing]]]),
        "rel_labels": torch.tensor([[1, 2, 3, 4], [0, nothing, *2 * [nothing]], [4, *3 * [nothing]]]),
        "token_labels": token_labels,
        "text_labels": torch.tensor([0, 3, 2]),
        "starts": torch.tensor([3, 16, 1]),
        "ends": torch.tensor([7, 16, 2]),
    }


def load(kind: type[PixelPreTrainedModel], **options: object) -> PixelPreTrainedModel:
    return kind.from_pretrained(FOLDER, **{**NO_DROPOUT, **options})


def heads(inputs: dict[str, Tensor]) -> Iterator[tuple[str, type, dict, dict]]:
    """Name, class, options of the configuration, and what is given beside pixels and mask."""
    yield "pretraining", PixelForPreTraining, {}, {"patch_mask": inputs["patch_mask"]}
    yield (
        "pretraining_raw",
        PixelForPreTraining,
        {"norm_pix_loss": False},
        {"patch_mask": inputs["patch_mask"]},
    )
    words = {name: inputs[name] for name in ("word_starts", "arc_labels", "rel_labels")}
    answers = {"start_positions": inputs["starts"], "end_positions": inputs["ends"]}
    for competes in (True, False):
        name = "" if competes else "_present"
        yield f"parsing{name}", PixelForBiaffineParsing, {"padding_competes": competes}, words
        yield f"answers{name}", PixelForQuestionAnswering, {"padding_competes": competes}, answers
    yield "tokens", PixelForTokenClassification, {}, {"labels": inputs["token_labels"]}
    for mode in ("mean", "max", "cls"):
        options, labels = {"pooling_mode": mode}, {"labels": inputs["text_labels"]}
        yield f"texts_{mode}", PixelForSequenceClassification, options, labels
    bare = {"pooling_mode": "max", "pooler_add_layer_norm": False}
    yield "texts_bare", PixelForSequenceClassification, bare, {"labels": inputs["text_labels"]}


def compute(inputs: dict[str, Tensor], double: bool = False, **options: object) -> Arrays:
    """What every head gives, and the norms of the gradients in training without dropout.

    Args:
        inputs: As `make_inputs` gives them.
        double: Whether to compute in float64.
        **options: Of `from_pretrained`, for all models.
    """
    pixels, mask = inputs["pixel_values"], inputs["attention_mask"]
    attended = mask == 1
    with_cls, cls_last = F.pad(attended, (1, 0), value=True), F.pad(attended, (0, 1), value=True)
    found: dict[str, Tensor] = {}

    def ready(model: PixelPreTrainedModel) -> PixelPreTrainedModel:
        return model.double() if double else model

    with torch.no_grad():
        encoder = ready(load(PixelModel, **options)).eval()
        states = encoder(pixels, mask, output_hidden_states=True)
        found["encoder"] = states.last_hidden_state[with_cls]
        found["encoder_layers"] = torch.stack(states.hidden_states)[:, with_cls]
        for name, length in (("cut", 9), ("stretched", 25)):
            other = ready(load(PixelModel, max_seq_length=length, **options)).eval()
            found[f"positions_{name}"] = other.embeddings.position_embeddings[0]
            strip = pixels[1:, :, : 9 * 16]
            found[f"encoder_{name}"] = other(strip, mask[1:, :9]).last_hidden_state[with_cls[1:, :10]]
    for name, kind, changes, labels in heads(inputs):
        extra = {"ignore_unexpected_keys": True} if name == "texts_bare" else {}
        model = ready(load(kind, **{**options, **changes, **extra})).eval()
        outputs = model(pixels, mask, **labels)
        found[f"{name}.loss"] = outputs.loss
        if kind is PixelForPreTraining:
            found[f"{name}.pixels"] = outputs.logits[attended][:, PIXELS]
            picture = reconstruct(model.config, pixels, outputs.logits, outputs.mask)
            real = attended.repeat_interleave(16, dim=1)[:, None]  # what stands on padding means nothing
            found[f"{name}.picture"] = (picture * real).float()
        elif kind is PixelForBiaffineParsing:
            for text, count in enumerate((4, 2, 1)):
                found[f"{name}.arcs{text}"] = outputs.arc_logits[text, :count, : count + 1]
                found[f"{name}.rels{text}"] = outputs.rel_logits[text, :count, : count + 1]
        elif kind is PixelForQuestionAnswering:
            found[f"{name}.starts"] = outputs.start_logits[cls_last]
            found[f"{name}.ends"] = outputs.end_logits[cls_last]
        else:
            places = attended if outputs.logits.ndim == 3 else ...
            found[f"{name}.logits"] = outputs.logits[places]
        model.train()
        model(pixels, mask, **labels).loss.backward()
        trained = [(key, p.grad) for key, p in sorted(model.named_parameters()) if p.requires_grad]
        zero = torch.zeros((), dtype=outputs.loss.dtype)
        norms = [zero if gradient is None else gradient.norm() for _, gradient in trained]
        found[f"{name}.gradients"] = torch.stack(norms)
    return {name: value.detach().float().numpy() for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shared", required=True, help="folder with the goldens of the published code")
    shared = Path(parser.parse_args().shared).resolve()
    published = Path(__file__).with_name("test_model_goldens.py")
    checked = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", str(published)],
        env={**os.environ, "PIXEL_M4_SHARED": str(shared)},
        capture_output=True,
        text=True,
        check=False,
    )
    if checked.returncode or "skipped" in checked.stdout:
        raise SystemExit(
            f"the code differs from the published goldens, or they are missing:\n{checked.stdout}"
        )
    FOLDER.mkdir(exist_ok=True)
    config = make_config()
    config.save_pretrained(FOLDER)
    save_file(make_weights(config), FOLDER / "model.safetensors", metadata={"format": "pt"})
    inputs = make_inputs()
    expected = compute(inputs, double=True, attn_implementation="eager", dtype=torch.float32)
    arrays = {f"input.{name}": value.numpy() for name, value in inputs.items()} | expected
    np.savez_compressed(FOLDER / "expected.npz", **arrays)
    print(f"{FOLDER}: {sum(file.stat().st_size for file in FOLDER.iterdir()):,} bytes")


if __name__ == "__main__":
    main()
