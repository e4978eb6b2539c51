"""Turn a finished run into a checkpoint that the package ships: float16 weights and a model card.

python scripts/ship_checkpoint.py RUN --name pixel-m4-tiny --machine "one core of …"
python scripts/ship_checkpoint.py RUN --name pixel-m4-ud --machine "two cores of …" \\
  --scores scores.json --treebanks data/ud-mixture/treebanks.tsv

Writes src/pixel_m4/assets/NAME.  The card's numbers are those of the run, of `benchmarks/score_treebanks.py`
and of `scripts/mix_treebanks.py`.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCardData
from safetensors.torch import save_file

from pixel_m4.files import replacing
from pixel_m4.model import PixelForBiaffineParsing, PixelForPreTraining
from pixel_m4.render import TextRenderer
from pixel_m4.render.fonts import sha256
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
    rotary = "" if config.rope_theta is None else f", and by rotary positions (base {config.rope_theta:g})"
    body = f"""
# {name}

A small pixel language model, {twin}.
It reads text as pictures of text, has no vocabulary, and takes any script. {config.num_hidden_layers} layers
of width {config.hidden_size}, {model.vit.num_parameters() / 1e6:.1f} M parameters in the encoder,
{config.max_seq_length} patches of 16 × 16 pixels; places are coded on a line, not on a grid{rotary}.

    from pixel_m4 import PixelForPreTraining, TextRenderer
    model = PixelForPreTraining.from_pretrained("{name}")
    renderer = TextRenderer.from_pretrained("{name}")

## Data
Text in {", ".join(languages)} under free licences: public-domain books, software documentation, course texts,
encyclopedias, children's stories, sentences written for speech corpora. None has a non-commercial
licence. The list of sources: docs/tiny-corpus.md in the repository. Weights are under the Apache License 2.0.

## Training
{steps:,} steps, {last["patches_seen"] / 1e6:.1f} M patches, {minutes:.0f} minutes on {machine}
(configs/pretrain-tiny.yaml). Checksum of the run's weights: {sha256(run / "model.safetensors")}

On held-out text of the same sources, a quarter of the patches hidden one by one: the loss of the
predicted pixels; the share of hidden patches that the second objective named right (its head is not part of
the checkpoint); the share that can be read from the predicted pixels; and the share that is the most frequent
patch.

| language | loss | named, % | read, % | most frequent, % |
|---|---|---|---|---|
"""
    limits = """

## Fine-tuning
What learns trees in about a minute of one core; configs/finetune-tiny.yaml in the repository is for other
tasks, and `pixel-m4-ud` is the better start where words are tagged or parsed:

    pixel-m4 finetune parsing --data_dir UD_… --output_dir runs/… --model_name_or_path NAME \\
      --word_pooling first_last_mean --num_word_layers 2 --word_rope_theta 200 --padding_competes false \\
      --dropout_prob 0 --muon_learning_rate 0.02 --learning_rate 1e-3 --warmup_steps 0.1 \\
      --per_device_train_batch_size 16 --max_steps 200

## Limits
Little training: it fills gaps of a few characters, not words that need knowledge of
the world. Its text is mostly technical and literary. What it is worth for fine-tuning, in many scripts and
beside random weights: docs/results.md in the repository. Where it fills gaps, it may repeat prejudices of its
sources.
"""
    return f"---\n{header.to_yaml()}\n---\n{body}" + "\n".join(rows) + limits.replace("NAME", name)


def parser_card(
    name: str,
    run: Path,
    model: PixelForBiaffineParsing,
    machine: str,
    scores: dict[str, dict[str, float]],
    treebanks: list[dict[str, str]],
    start: str | None = None,
    base: str | None = None,
) -> str:
    """The text of a parser's model card.

    Args:
        name: of the checkpoint.
        run: output folder of the fine-tuning.
        model: what it trained.
        machine: what it was trained on.
        scores: by treebank, see `benchmarks/score_treebanks.py`.
        treebanks: rows of the mixture's `treebanks.tsv`.
        start: what the run started from, in words; default: its checkpoint's name.
        base: the checkpoint that all began with; default: that of the run.

    Raises:
        ValueError: a treebank has scores but is not in the mixture, or the other way round.
    """
    banks = {bank["treebank"]: bank for bank in treebanks}
    trained = [bank for bank in treebanks if bank["treebank"] in scores]
    absent = {
        bank["treebank"] for bank in treebanks if int(bank["test"]) and bank["kind"] == "mixed"
    } - scores.keys()
    if odd := sorted(absent | (scores.keys() - banks.keys())):
        raise ValueError(f"the mixture and the scores differ in {', '.join(odd)}")
    results = json.loads((run / "all_results.json").read_text(encoding="utf-8"))
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    first = str(record["arguments"]["model_name_or_path"])
    batch = record["training"]["per_device_train_batch_size"] * record["processes"]
    steps, minutes, config = int(results["train_steps"]), results["train_runtime"] / 60, model.config
    rows, languages = [], {bank["treebank"].partition("-")[0] for bank in trained}
    for bank in trained:
        each = scores[bank["treebank"]]
        shares = " | ".join(f"{each[column]:.1f}" for column in ("upos", "uas_mst", "las_mst"))
        rows.append(f"| {bank['treebank']} | {int(bank['train']):,} | {each['sentences']:,} | {shares} |")
    header = ModelCardData(
        language=sorted({bank["files"].split("_")[0] for bank in trained}),
        library_name="transformers",
        license="cc-by-sa-4.0",
        base_model=base or first,
        tags=["pixel-m4", "pixel", "dependency-parsing", "part-of-speech", "universal-dependencies"],
        model_name=name,
    )
    body = f"""
# {name}

One parser and tagger for {len(languages)} languages that reads text as pictures of text: universal parts of
speech, and a dependency tree with universal relations. {config.num_hidden_layers} layers over patches and
{config.num_word_layers} over words, of width {config.hidden_size};
{model.num_parameters() / 1e6:.1f} M parameters.

    echo "The cat sleeps." | pixel-m4 predict {name}

Raw text is split into sentences and words by the rules of Unicode (UAX 29). That does not do for Thai,
Chinese, Japanese and other languages without spaces, nor for words that a treebank divides further (French
*du*); there give words of your own as CoNLL-U, whose trees may be missing.

## Data
{len(trained)} treebanks of Universal Dependencies under CC BY and CC BY-SA licences, put together by
`scripts/mix_treebanks.py`, which leaves out of train what any test set holds; none has a non-commercial
licence. Weights are under CC BY-SA 4.0, as most of the treebanks.

## Training
{steps:,} steps of {batch} sentences, {minutes:.0f} minutes on {machine}, from
{start or first} (configs/{name}.yaml). Small treebanks came more often than their
size. Checksum of the run's weights: {sha256(run / "model.safetensors")}

## Scores
On test sentences, with the treebank's words: the share of words with the right part of speech (UPOS), the
right head (UAS), and the right head and relation without its subtype (LAS), in percent
(`benchmarks/score_treebanks.py`).

| treebank | train | test | UPOS | UAS | LAS |
|---|---|---|---|---|---|
"""
    limits = """

## Limits
Little training: on clean text of a language with a large treebank, parsers of the common kind are far better.
Languages that are not in the table are not promised, and scripts that are not in it cannot be read.
Fine-tune it on a treebank of your own with `pixel-m4 finetune parsing --model_name_or_path NAME`.
"""
    return f"---\n{header.to_yaml()}\n---\n{body}" + "\n".join(rows) + limits.replace("NAME", name)


def ship(
    run: Path,
    name: str,
    machine: str,
    scores: Path | None = None,
    treebanks: Path | None = None,
    start: str | None = None,
    base: str | None = None,
) -> Path:
    """Write the folder of the shipped checkpoint.

    Args:
        run: output folder of the run.
        name: of the checkpoint.
        machine: what it was trained on, for the card.
        scores: of a parser, JSON; see `parser_card`.
        treebanks: of a parser, the mixture's table.
        start: of a parser, see `parser_card`.
        base: the same.

    Raises:
        ValueError: the weights are too large, or a parser has no scores.
    """
    model: Any
    if json.loads((run / "config.json").read_text(encoding="utf-8"))["architectures"] == [
        "PixelForBiaffineParsing"
    ]:
        if scores is None or treebanks is None:
            raise ValueError("the card of a parser needs --scores and --treebanks")
        model = PixelForBiaffineParsing.from_pretrained(run)
        with treebanks.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        scored = json.loads(scores.read_text(encoding="utf-8"))
        text = parser_card(name, run, model, machine, scored, rows, start, base)
    else:
        model = PixelForPreTraining.from_pretrained(run)
        text = card(name, run, model, machine)
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
        scratch.write_text(text, encoding="utf-8")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="output folder of a finished run")
    parser.add_argument("--name", required=True, choices=SHIPPED)
    parser.add_argument("--machine", required=True, help="what it was trained on, for the card")
    parser.add_argument("--scores", type=Path, help="a parser's, from benchmarks/score_treebanks.py --output")
    parser.add_argument("--treebanks", type=Path, help="treebanks.tsv of the mixture that it learned from")
    parser.add_argument(
        "--start", help="a parser's: what the run started from, in words; default: its checkpoint's name"
    )
    parser.add_argument(
        "--base", help="a parser's: the checkpoint that all began with; default: that of the run"
    )
    given = parser.parse_args()
    print(
        ship(
            given.run,
            given.name,
            given.machine,
            given.scores,
            given.treebanks,
            given.start,
            given.base,
        )
    )


if __name__ == "__main__":
    main()
