"""Sentences a second of `predict` for parsing, against the published way: ratios of one run, one thread.

python benchmarks/bench_predict.py [--size tiny | --model pixel-m4-ud] [--sentences 160] [--exported]
    [--spacy]

Both read CoNLL-U of UD_English-EWT (shared data) and give trees; those of --size have random weights, whose
scores seldom make trees, so that more sentences need the slow part of decoding than with trained ones.
The published way renders and pads every sentence to 256 patches as floats in three channels, in the order
of the file, and attends eagerly.  The trees must be the same before anything is timed.  --exported adds
`pixel-m4 export`'s files, in float32 and in eight bits, with their share of equal heads.  --spacy adds
spaCy's default parser (tok2vec and transition-based, its published sizes, also with random weights), if it
is installed; a random transition-based parser may take other numbers of steps than a trained one.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import torch

from bench_model import PADDED
from bench_model import published as published_inputs
from pixel_m4 import PixelConfig, PixelForBiaffineParsing, TextRenderer, load
from pixel_m4.formats.conllu import Sentence, write_conllu
from pixel_m4.model.answering import as_tensors
from pixel_m4.model.export import quantise, to_onnx
from pixel_m4.predict.annotator import Annotator
from pixel_m4.tasks.parsing import Parsed, Parsing
from pixel_m4.tasks.portable import METADATA, to_json

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PIXEL_M4_SHARED", ROOT.parent / "shared"))
BATCH = 32


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="tiny", choices=["base", "small", "tiny"])
    parser.add_argument("--model", help="trained parser to time instead of a size, such as pixel-m4-ud")
    parser.add_argument("--sentences", type=int, default=160)
    parser.add_argument("--exported", action="store_true", help="time the exported model too")
    parser.add_argument("--spacy", action="store_true", help="time spaCy's parser too")
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        sys.exit(f"needs the shared data folder; looked for {SHARED} (set PIXEL_M4_SHARED to its place)")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of onnxruntime
    if arguments.model:
        trained = load(arguments.model, device="cpu")
        task, model, name = trained.task, trained.model, arguments.model
    else:
        task, name = Parsing(TextRenderer(max_seq_length=PADDED)), arguments.size
        config = PixelConfig.named(name, max_seq_length=PADDED, num_labels=len(task.labels))
        torch.manual_seed(0)
        model = PixelForBiaffineParsing(config).eval()
    assert isinstance(task, Parsing)
    assert isinstance(model, PixelForBiaffineParsing)
    gold = task.read(SHARED / "data" / "ud" / "UD_English-EWT", "test")
    # Those that fit on one canvas: the published way cuts longer ones off.
    gold = [s for s in gold if sum(task.renderer.measure(s.words)) < PADDED][: arguments.sentences]
    buffer = io.StringIO()
    write_conllu(gold, buffer)
    lines = buffer.getvalue().splitlines(keepends=True)

    def ours() -> list[Parsed]:
        model.set_attn_implementation("sdpa")
        return list(Annotator(task, model, batch_size=BATCH).stream(lines, "<bench>"))

    def published() -> list[Parsed]:
        model.set_attn_implementation("eager")
        examples = task.read_raw(lines, "<bench>")
        return list(
            chain.from_iterable(padded(task, model, examples, i) for i in range(0, len(examples), BATCH))
        )

    a, b = ours(), published()
    same = sum(x.tree.heads == y.tree.heads for x, y in zip(a, b, strict=True))
    # Random weights leave near ties, which the order of float sums may turn.
    if same < 0.97 * len(a):
        sys.exit(f"only {same} of {len(a)} trees are the same")
    words = sum(len(sentence.words) for sentence in gold)
    rows = [(f"predict, {name}", rate(ours, len(gold)))]
    rows.append(("the published way", rate(published, len(gold))))
    for kind, content in exported(task, model) if arguments.exported else ():
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            file.write(content)
            file.flush()
            annotator = load(file.name, batch_size=BATCH)

        def run(annotator: Annotator = annotator) -> list[Parsed]:
            return list(annotator.stream(lines, "<bench>"))

        heads = [
            head == other
            for x, y in zip(a, run(), strict=True)
            for head, other in zip(x.tree.heads, y.tree.heads, strict=True)
        ]
        row = f"exported, {kind} ({100 * sum(heads) / len(heads):.1f} % of heads the same)"
        rows.append((row, rate(run, len(gold))))
    if arguments.spacy:
        rows.append(("spaCy's default parser (random weights)", rate(spacy_parser(gold), len(gold))))
    print(f"{len(gold)} sentences, {words} words, batch {BATCH}; {same} of {len(a)} trees are the same\n")
    print("| parser | sentences/s of CPU | predict is … × as fast |\n|---|---|---|")
    for name, speed in rows:
        print(f"| {name} | {speed:.1f} | {rows[0][1] / speed:.2f} |")


@torch.inference_mode()
def padded(
    task: Parsing, model: PixelForBiaffineParsing, examples: list[Sentence], first: int
) -> list[Parsed]:
    """One batch in the published way."""
    part = examples[first : first + BATCH]
    items = task.encode(part, labels=False)
    batch = published_inputs(as_tensors(task.collate(items)))
    outputs = model(**batch)
    return task.predict(part, items, task.decode(outputs, items))


def exported(task: Parsing, model: PixelForBiaffineParsing) -> Iterator[tuple[str, bytes]]:
    """The files of a parser, by what their matrix products are in."""
    model.set_attn_implementation("sdpa")
    content = to_onnx(model, {METADATA: to_json(task)})
    yield "float32", content
    yield "int8", quantise(content)


def spacy_parser(gold: list[Sentence]) -> Callable[[], object]:
    """Parsing of the same words by a blank pipeline."""
    import spacy
    from spacy.tokens import Doc

    pipeline = spacy.blank("xx")
    parser = pipeline.add_pipe("parser")
    for sentence in gold:
        for relation in sentence.deprels:
            parser.add_label(relation)
    pipeline.initialize()

    def run() -> object:
        docs = (Doc(pipeline.vocab, words=list(sentence.words)) for sentence in gold)
        return list(pipeline.pipe(docs, batch_size=BATCH))

    return run


def rate(function: Callable[[], object], count: int) -> float:
    """Sentences a CPU second of the one thread, the best of three runs."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return count / best


if __name__ == "__main__":
    main()
