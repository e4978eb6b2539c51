"""Turn a finished pretraining run into a checkpoint that the package ships: float16 weights and a model card.

python scripts/ship_checkpoint.py RUN --name pixel-m4-tiny --machine "one core of …"

Writes src/pixel_m4/assets/NAME.  The card's numbers are those of the run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from huggingface_hub import ModelCardData
from safetensors.torch import save_file

from pixel_m4.files import replacing
from pixel_m4.model import PixelForPreTraining
from pixel_m4.render import TextRenderer
from pixel_m4.shipped import SHIPPED

ASSETS = Path(__file__).parents[1] / "src" / "pixel_m4" / "assets"
LARGEST = 16_000_000  # bytes of a weights file


def card(name: str, run: Path, model: PixelForPreTraining, machine: str) -> str:
    """The text of the model card."""
    last = json.loads((run / "all_results.json").read_text(encoding="utf-8"))
    languages = sorted(key.removeprefix("eval_loss_") for key in last if key.startswith("eval_loss_"))
    rows = []
    for language in languages:
        share = {
            part: 100 * last[f"eval_{part}_{language}"]
            for part in ("naming_accuracy", "reading_accuracy", "reading_baseline")
        }
        rows.append(
            f"| {language} | {last[f'eval_loss_{language}']:.3f} | {share['naming_accuracy']:.1f} | "
            f"{share['reading_accuracy']:.1f} | {share['reading_baseline']:.1f} |"
        )
    header = ModelCardData(
        language=languages,
        library_name="transformers",
        license="apache-2.0",
        tags=["pixel-m4", "pixel", "masked-autoencoder"],
        model_name=name,
    )
    config, steps, minutes = model.config, last["train_steps"], last["train_runtime"] / 60
    twin = (
        "the English-only twin of pixel-m4-tiny, for comparisons"
        if languages == ["en"]
        else "pretrained on English, Hindi, Ukrainian and Chinese"
    )
    body = f"""
# {name}

A small pixel language model, {twin}.
It reads text as pictures of text, has no vocabulary, and takes any script. {config.num_hidden_layers} layers
of width {config.hidden_size}, {model.vit.num_parameters() / 1e6:.1f} M parameters in the encoder,
{config.max_seq_length} patches of 16 × 16 pixels; places are coded on a line, not on a grid.

    from pixel_m4 import PixelForPreTraining, TextRenderer
    model = PixelForPreTraining.from_pretrained("{name}")
    renderer = TextRenderer.from_pretrained("{name}")

## Data
Text in {", ".join(languages)} under free licences: public-domain books, software documentation, course texts,
encyclopedias, children's stories, sentences written for speech corpora. None has a non-commercial
licence. The list of sources: docs/tiny-corpus.md in the repository. Weights are under the Apache License 2.0.

## Training
{steps:,} steps, {last["patches_seen"] / 1e6:.1f} M patches, {minutes:.0f} minutes on {machine}
(configs/pretrain-tiny.yaml).

On held-out text of the same sources, a quarter of the patches hidden one by one: the loss of the
predicted pixels; the share of hidden patches that the second objective named right (its head is not part of
the checkpoint); the share that can be read from the predicted pixels; and the share that is the most frequent
patch.

| language | loss | named, % | read, % | most frequent, % |
|---|---|---|---|---|
"""
    limits = """

## Fine-tuning
Muon left large matrices behind, which fine-tuning moves sooner if they begin smaller:

    pixel-m4 finetune parsing --data_dir UD_… --output_dir runs/… --model_name_or_path NAME \\
      --shrink 0.8 --muon_learning_rate 0.02 --learning_rate 1e-3

## Limits
Little training: it fills gaps of a few characters, not words that need knowledge of
the world. Its text is mostly technical and literary. What it is worth for fine-tuning, in many scripts and
beside random weights: docs/results.md in the repository. Where it fills gaps, it may repeat prejudices of its
sources.
"""
    return f"---\n{header.to_yaml()}\n---\n{body}" + "\n".join(rows) + limits.replace("NAME", name)


def ship(run: Path, name: str, machine: str) -> Path:
    """Write the folder of the shipped checkpoint.

    Raises:
        ValueError: the weights are too large.
    """
    model = PixelForPreTraining.from_pretrained(run)
    folder = ASSETS / name
    folder.mkdir(exist_ok=True)
    weights = {key: tensor.to(torch.float16).contiguous() for key, tensor in model.state_dict().items()}
    with replacing(folder / "model.safetensors") as scratch:
        save_file(weights, scratch, metadata={"format": "pt"})
        if (size := scratch.stat().st_size) > LARGEST:
            raise ValueError(f"the weights take {size} bytes, more than {LARGEST}")
    (folder / "model.safetensors").chmod(0o644)
    model.config.save_pretrained(folder)  # its dtype stays float32: what is loaded can be trained
    TextRenderer.from_pretrained(run, max_seq_length=model.config.max_seq_length).save_pretrained(folder)
    with replacing(folder / "README.md") as scratch:
        scratch.write_text(card(name, run, model, machine), encoding="utf-8")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="output folder of a finished run")
    parser.add_argument("--name", required=True, choices=SHIPPED)
    parser.add_argument("--machine", required=True, help="what it was trained on, for the card")
    arguments = parser.parse_args()
    print(ship(arguments.run, arguments.name, arguments.machine))


if __name__ == "__main__":
    main()
