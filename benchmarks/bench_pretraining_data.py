"""Packing and rendering of text for pretraining: fill rates, speed on one thread, and memory.

python benchmarks/bench_pretraining_data.py [--blocks 2000] [--megabytes 1000]

Text is the shared corpus in four languages, or sentences of UD treebanks where that is missing.  Equality
comes first: all words of a pass, and pixels of blocks against texts rendered one by one.  Speeds are
patches by CPU seconds of one thread.  Memory is the peak of a process that streams a generated corpus, after
100 MB and at the end.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from rich.console import Console
from rich.table import Table

from pixel_m4 import TextRenderer
from pixel_m4.corpus.corpora import Block, TextStream, local_sources, render_blocks
from pixel_m4.corpus.packing import Cleaner, published_fill
from pixel_m4.corpus.sources import Source

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PIXEL_M4_SHARED", ROOT.parent / "shared"))
TREEBANKS = {"en": "English-EWT", "hi": "Hindi-PUD", "uk": "Ukrainian-IU", "zh": "Chinese-GSDSimp"}
BATCH = 64
SAMPLE = 20
BAR = 300_000  # patches a second
console = Console(highlight=False)


def corpus(folder: Path) -> dict[str, Source]:
    """The shared corpus, or one written to a folder from sentences of treebanks."""
    if (SHARED / "data" / "corpus").is_dir():
        return local_sources(SHARED / "data" / "corpus")
    for language, name in TREEBANKS.items():
        files = sorted((SHARED / "data" / "ud" / f"UD_{name}").glob("*.conllu.gz"))
        lines = [line for file in files for line in gzip.decompress(file.read_bytes()).decode().split("\n")]
        texts = [line.partition("=")[2].strip() for line in lines if line.startswith("# text =")]
        (folder / f"{language}.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return local_sources(folder)


def documents(source: Source, renderer: TextRenderer, shares: int = 1) -> Iterator[list[str]]:
    """Cleaned lines of each document of the first share."""
    clean = Cleaner(renderer.covers)
    for _, parts in groupby(source.open(0, shares), lambda part: part.document):
        yield [" ".join(clean(part.text).split()) for part in parts]


def characters(texts: Iterator[str], limit: int) -> str:
    """The first characters of texts but for spaces."""
    found, count = [], 0
    while count < limit and (text := next(texts, None)) is not None:
        found.append(text.replace(" ", ""))
        count += len(found[-1])
    return "".join(found)[:limit]


def check_equality(sources: dict[str, Source], renderer: TextRenderer, blocks: list[Block]) -> None:
    """Packed text is the text, pixels are those of the texts, and patches are counted right."""
    for language, source in sources.items():
        packed = TextStream({language: source}, renderer, exhausted="drop", min_patches=0)
        lines = (line for document in documents(source, renderer) for line in document)
        texts = (text for block in packed for text in block.texts)
        assert characters(texts, 300_000) == characters(lines, 300_000), language
    batch = render_blocks(renderer, blocks[:BATCH])
    for row, block in enumerate(blocks[:BATCH]):
        drawn = [renderer(text) for text in block.texts]
        strips = [text.pixel_values[:, : 16 * (text.num_text_patches + 1)] for text in drawn]
        strip = np.concatenate(strips, axis=1)
        assert strip.shape[1] == 16 * block.num_patches == 16 * batch["attention_mask"][row].sum()
        np.testing.assert_array_equal(batch["pixel_values"][row, :, : strip.shape[1]], strip)


def fill_rates(sources: dict[str, Source], renderer: TextRenderer) -> None:
    """Every 20th document of each language, packed here and as published.

    The published packing counts a patch for every space and keeps to a document.  What its count allows at
    most is the share of text in blocks that are full by that count.
    """
    table = Table(
        "language", "blocks", "filled", "text", "published, at most", "published, packed", "bar: 97 %"
    )
    for language, source in sources.items():
        stream = TextStream({language: source}, renderer, exhausted="drop", world_size=SAMPLE)
        blocks = list(stream)
        patches = sum(block.num_patches for block in blocks)
        text = patches - sum(len(block.texts) for block in blocks)
        spaces = sum(part.count(" ") for block in blocks for part in block.texts)
        room = renderer.max_seq_length * len(blocks)
        published = published_fill(documents(source, renderer, SAMPLE), renderer, renderer.max_seq_length)
        rates = (patches / room, text / room, text / (text + spaces), published)
        verdict = "met" if patches / room >= 0.97 else "missed"
        table.add_row(language, f"{len(blocks):,}", *(f"{rate:.1%}" for rate in rates), verdict)
    console.print(table)


def speeds(sources: dict[str, Source], count: int) -> None:
    table = Table("text", "packing", "rendering", "together, patches/s", "x the bar of 300,000")
    for name in (*sources, "mixed"):
        renderer = TextRenderer()
        chosen = sources if name == "mixed" else {name: sources[name]}
        stream = iter(TextStream(chosen, renderer))
        render_blocks(renderer, list(islice(stream, BATCH)))  # makes tables, opens files
        packing = rendering = 0.0
        patches = 0
        for _ in range(max(count // BATCH, 1)):
            start = time.process_time()
            blocks = list(islice(stream, BATCH))
            middle = time.process_time()
            render_blocks(renderer, blocks)
            rendering += time.process_time() - middle
            packing += middle - start
            patches += sum(block.num_patches for block in blocks)
        both = patches / (packing + rendering)
        table.add_row(
            name,
            f"{patches / packing:,.0f}",
            f"{patches / rendering:,.0f}",
            f"{both:,.0f}",
            f"{both / BAR:.1f}",
        )
    console.print(table)


def generate(sources: dict[str, Source], folder: Path, megabytes: int) -> None:
    """Text of random sentences of the corpora, half as plain and half as compressed files."""
    rng = random.Random(0)
    for i, (language, source) in enumerate(sources.items()):
        lines = [part.text for part in islice(source.open(0, 1), 20_000)]
        opened = gzip.open if i % 2 else open
        name = folder / (f"{language}.txt.gz" if i % 2 else f"{language}.txt")
        with opened(name, "wt", encoding="utf-8", **({"compresslevel": 1} if i % 2 else {})) as file:
            size = 0
            while size < megabytes * 1e6 / len(sources):
                document = " ".join(rng.choices(lines, k=8))
                file.write(document + "\n")
                size += len(document.encode()) + 1


def memory(folder: Path, megabytes: int) -> None:
    """In a process of its own: stream a folder once, print MB of peak memory after 100 MB and at the end."""
    renderer = TextRenderer()
    stream = iter(TextStream(local_sources(folder), renderer, exhausted="drop"))
    done, patches, shown = 0, 0, False
    while blocks := list(islice(stream, BATCH)):
        render_blocks(renderer, blocks)
        done += sum(len(text.encode()) + 1 for block in blocks for text in block.texts)
        patches += sum(block.num_patches for block in blocks)
        if not shown and done >= 100e6:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, end=" ")
            shown = True
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, done // 1_000_000, patches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=2000, help="to time, of each language and mixed")
    parser.add_argument(
        "--megabytes", type=int, default=1000, help="of the generated corpus; 0: leave it out"
    )
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        memory(arguments.memory, arguments.megabytes)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        renderer = TextRenderer()
        sources = corpus(folder)
        blocks = list(itertools.islice(TextStream(sources, renderer), BATCH))
        check_equality(sources, renderer, blocks)
        console.print("words of a pass and pixels of blocks: equal")
        fill_rates(sources, renderer)
        speeds(sources, arguments.blocks)
        if arguments.megabytes > 0:
            generated = folder / "generated"
            generated.mkdir()
            generate(sources, generated, arguments.megabytes)
            start = time.perf_counter()
            command = [sys.executable, __file__, "--memory", str(generated)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            elapsed = time.perf_counter() - start
            *after, end, done, patches = map(int, answer.stdout.split())
            middle = f"{after[0]:,} MB after 100 MB, " if after else ""
            ratio = f" ({end / after[0]:.2f} x)" if after else ""
            console.print(
                f"peak memory: {middle}{end:,} MB after {done:,} MB of text{ratio}; "
                f"{patches:,} patches in {elapsed:.0f} s"
            )


if __name__ == "__main__":
    main()
