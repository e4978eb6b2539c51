"""Ways to run a fine-tuned model on a CPU: speed, size, and how often they say the same; one thread.

python benchmarks/bench_deployment.py [MODEL] [--repeat 3] [--size base]

Annotates the test sentences of the embedded treebank in batches of 32, drawn and sorted by length before
anything is timed; CPU seconds, ratios of one run.  --size takes random weights of a published size instead
of a checkpoint: speed only, since what they say is noise.  What needs onnxruntime is left out without it
(`pip install 'pixel-m4[export]'`).
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from pixel_m4.checkpoint import open_task
from pixel_m4.formats.conllu import Sentence
from pixel_m4.model import PixelConfig, PixelForBiaffineParsing, PixelPreTrainedModel
from pixel_m4.model.export import Outputs, open_session, outputs_of, quantise, real_places, to_onnx
from pixel_m4.predict.annotator import Annotator
from pixel_m4.tasks.batch import render_words

TREEBANK = Path(__file__).resolve().parents[1] / "src" / "pixel_m4" / "assets" / "treebank"
BATCH = 32
COMMAND = (sys.executable, "-m", "pixel_m4.cli")
Arrays = dict[str, Any]
Way = Callable[[Arrays], Mapping[str, Any]]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="pixel-m4-ud", help="a parser; default: pixel-m4-ud")
    parser.add_argument(
        "--size", choices=["base", "small", "tiny"], help="random weights of this size instead"
    )
    parser.add_argument("--sentences", type=int, default=180, help="how many; default: 180")
    parser.add_argument(
        "--repeat", type=int, default=3, help="passes, of which the quickest counts; default: 3"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task, model = open_task(arguments.model, device="cpu")
    if arguments.size:
        config = PixelConfig.named(arguments.size, max_seq_length=256, num_labels=len(task.labels))
        torch.manual_seed(0)
        model = PixelForBiaffineParsing(config).eval()
    assert isinstance(model, PixelPreTrainedModel)
    gold = task.read(TREEBANK, "test")[: arguments.sentences]
    batches = drawn(task.renderer, gold)
    print_ways(ways_of(model), batches, len(gold), arguments.repeat)
    if not arguments.size:
        print_batches(task, model, gold, arguments.repeat)
        print_first_answers(arguments.model, arguments.repeat)


def drawn(renderer: Any, sentences: Sequence[Sentence]) -> list[Arrays]:
    """Batches of arrays; sentences that do not fit on a canvas are left out."""
    sized = sorted((sum(renderer.measure(each.words)), each.words) for each in sentences)
    words = [each for patches, each in sized if patches <= renderer.capacity]
    batches = []
    for start in range(0, len(words), BATCH):
        batch = render_words(renderer, words[start : start + BATCH])
        names = ("pixel_values", "attention_mask", "word_starts")
        batches.append({name: batch[name] for name in names})
    return batches


def ways_of(model: PixelPreTrainedModel) -> dict[str, tuple[Way, int]]:
    """Each way, and the bytes of its weights."""
    dynamic = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    ways = {
        "PyTorch, float32": (by_torch(model, model), size_of(model)),
        "PyTorch, bfloat16 (autocast)": (by_torch(model, model, bf16=True), size_of(model)),
        "PyTorch, int8 (dynamic)": (by_torch(model, dynamic), size_of(dynamic)),
    }
    if find_spec("onnxruntime") is None:
        return ways
    for name, content in (("float32", onnx := to_onnx(model)), ("int8", quantise(onnx))):
        session, outputs = open_session(content), outputs_of(model)

        def run(
            inputs: Arrays, session: Any = session, outputs: Sequence[str] = outputs
        ) -> Mapping[str, Any]:
            return dict(zip(outputs, session.run(list(outputs), inputs), strict=True))

        ways[f"onnxruntime, {name}"] = (run, len(content))
    return ways


def by_torch(model: PixelPreTrainedModel, network: Any, bf16: bool = False) -> Way:
    names = outputs_of(model)
    wrapped = Outputs(network, names)

    def run(inputs: Arrays) -> Mapping[str, Any]:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            found = wrapped(*(torch.from_numpy(value) for value in inputs.values()))
        return {name: value.float().numpy() for name, value in zip(names, found, strict=True)}

    return run


def size_of(network: nn.Module) -> int:
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream)
    return len(stream.getvalue())


def print_ways(
    ways: Mapping[str, tuple[Way, int]], batches: Sequence[Arrays], count: int, repeat: int
) -> None:
    table = Table(title=f"{count} sentences, batches of {BATCH}, one thread")
    for column in ("way", "MB", "sentences/s", "ratio", "heads alike", "parts of speech alike"):
        table.add_column(column, justify="left" if column == "way" else "right")
    first, expected = 0.0, [next(iter(ways.values()))[0](batch) for batch in batches]
    for name, (run, size) in ways.items():
        found = [run(batch) for batch in batches]  # also warms it up
        speed = count / min(seconds(run, batches) for _ in range(repeat))
        first = first or speed
        alike = [agreement(kind, batches, expected, found) for kind in ("arc_logits", "tag_logits")]
        table.add_row(name, f"{size / 1e6:.1f}", f"{speed:.0f}", f"{speed / first:.2f}", *alike)
    Console().print(table)


def seconds(run: Way, batches: Sequence[Arrays]) -> float:
    start = time.process_time()
    for batch in batches:
        run(batch)
    return time.process_time() - start


def agreement(kind: str, batches: Sequence[Arrays], expected: Any, found: Any) -> str:
    """In how many words both choose the same, in percent."""
    if kind not in expected[0]:
        return "–"
    same = total = 0
    for inputs, theirs, ours in zip(batches, expected, found, strict=True):
        real = real_places(kind, inputs, theirs[kind])
        choices = [np.where(real, logits[kind], -np.inf).argmax(-1) for logits in (theirs, ours)]
        counted = real.any(-1)
        same += int(np.equal(*choices)[counted].sum())
        total += int(counted.sum())
    return f"{100 * same / total:.1f} %"


def print_batches(task: Any, model: Any, gold: Sequence[Sentence], repeat: int) -> None:
    """From text to trees, with drawing and decoding, by the size of the batch."""
    table = Table(title="pixel_m4.load: from text to trees, one thread")
    for column in ("batch", "sentences/s"):
        table.add_column(column, justify="right")
    with tempfile.NamedTemporaryFile("w+", suffix=".txt", encoding="utf-8") as file:
        file.writelines(" ".join(each.words) + "\n" for each in gold)
        file.flush()
        for batch in (1, 8, 32, 128):
            annotator = Annotator(task, model, batch_size=batch)
            times = []
            for _ in range(repeat):
                start = time.process_time()
                with Path(file.name).open(encoding="utf-8") as lines:
                    count = sum(1 for _ in annotator.stream(lines, input_format="tokens"))
                times.append(time.process_time() - start)
            table.add_row(str(batch), f"{count / min(times):.0f}")
    Console().print(table)


def print_first_answers(model: str, repeat: int) -> None:
    """What the first sentence of a pipe takes, all of Python's start included."""
    table = Table(title="pixel-m4 predict: the first answer of a pipe")
    for column in ("model", "seconds", "CPU seconds", "memory, MB"):
        table.add_column(column, justify="left" if column == "model" else "right")
    with tempfile.TemporaryDirectory() as folder:
        names = {"folder": model}
        if find_spec("onnxruntime") is not None:
            for name, options in (("float32", []), ("int8", ["--int8"])):
                file = f"{folder}/{name}.onnx"
                subprocess.run([*COMMAND, "export", model, file, *options], check=True, capture_output=True)
                names[f"exported, {name}"] = file
        for name, place in names.items():
            wall, used, memory = min(first_answer(place) for _ in range(repeat))
            table.add_row(name, f"{wall:.1f}", f"{used:.1f}", f"{memory:.0f}")
    Console().print(table)


# A process of its own, as the peak of a child counts what its parent had when it was begun.
MEASURED = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], input=b"The cat sleeps.", stdout=subprocess.DEVNULL, check=True)
wall, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000]))
"""


def first_answer(model: str) -> Sequence[float]:
    """Seconds, CPU seconds and peak memory (MB) of a process that annotates one sentence."""
    command = [sys.executable, "-c", MEASURED, *COMMAND, "predict", model]
    found: list[float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


if __name__ == "__main__":
    main()
