"""Rendering against PangoCairo and against a BPE tokenizer: ratios of one run, on one thread.

python benchmarks/bench_rendering.py [--share 0.2]

Times are CPU seconds.  Text is SIB-200 in 26 languages (shared data).  Equality with PangoCairo is checked
before anything is timed; without PangoCairo (`make oracle`) its rows are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PIXEL_M4_SHARED", ROOT.parent / "shared"))
sys.path.insert(0, str(ROOT / "tests" / "oracle"))
BATCH = 64


def sib200(pattern: str = "*") -> list[str]:
    """Sentences of all splits, in the order of languages."""
    texts = []
    for file in sorted((SHARED / "data" / "sib200").glob(f"{pattern}/*.tsv")):
        with file.open(encoding="utf-8", newline="") as lines:
            texts += [row["text"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return texts


def batches(texts: Sequence[str]) -> list[list[str]]:
    """Texts of like lengths together, as loaders of training make them."""
    ordered = sorted(texts, key=len)
    found = [ordered[i : i + BATCH] for i in range(0, len(ordered), BATCH)]
    random.Random(0).shuffle(found)
    return found


def seconds(function: Callable[[], object], repeat: int = 3) -> float:
    """The best CPU time of some runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best


def pango_loop(texts: list[str], font: str, answers: Path) -> None:
    """In a process of its own: draw every text with PangoCairo, unit by unit."""
    from pango import PangoOracle, is_rtl, round_up, units

    oracle = PangoOracle([Path(font)])

    def draw(keep: bool) -> None:
        for text in texts:
            rtl = is_rtl(text)
            words = text.split()[::-1] if rtl else text.split()
            surface, context = oracle.surface(oracle.max_seq_length * 16)
            pen = 0
            for word in words:
                for unit in units(word, rtl):
                    for char in unit:
                        pen += oracle.draw(context, char, pen)
                        if not keep:
                            oracle._layouts.clear()
                    pen = round_up(pen)
            oracle.pixels(surface)

    draw(True)
    fresh, kept = seconds(lambda: draw(False), 1), seconds(lambda: draw(True), 1)
    answers.write_text(json.dumps({"fresh": fresh, "kept": kept}))


def pango_seconds(texts: list[str], font: Path) -> dict[str, float]:
    """Run :func:`pango_loop`."""
    with tempfile.TemporaryDirectory() as folder:
        request, answers = Path(folder) / "request.json", Path(folder) / "answers.json"
        request.write_text(json.dumps([texts, str(font)]), encoding="utf-8")
        subprocess.run([sys.executable, __file__, "--pango-loop", str(request), str(answers)], check=True)
        return json.loads(answers.read_text())


def check_equality(texts: list[str]) -> int:
    """Compare pixels with PangoCairo, batch by batch; texts with missing glyphs are passed over."""
    import numpy as np
    from pango import ask

    from pixel_m4 import TextRenderer

    renderer = TextRenderer()
    compared = 0
    batch = renderer.batch(texts, padding="max_length")
    for row, line in enumerate(ask("bigrams", texts, [renderer.font_file])):
        if line.unknown:
            continue
        assert batch.num_text_patches[row] == line.num_text_patches, texts[row]
        np.testing.assert_array_equal(batch["pixel_values"][row, :, : line.pixels.shape[1]], line.pixels)
        compared += 1
    return compared


def render_all(many: list[list[str]], renderer: object = None) -> object:
    """Render batches into one buffer; returns the renderer."""
    import numpy as np

    from pixel_m4 import TextRenderer

    renderer = renderer or TextRenderer()
    buffer = np.empty(BATCH * 16 * 16 * 529, np.uint8)
    for batch in many:
        renderer.batch(batch, out=buffer)  # type: ignore[attr-defined]
    return renderer


def worker(many: list[list[str]], ready: object, go: object, passes: int) -> None:
    """One of several processes: warm up, wait for the others, render."""
    warnings.simplefilter("ignore")
    renderer = render_all(many)
    ready.release()  # type: ignore[attr-defined]
    go.wait()  # type: ignore[attr-defined]
    for _ in range(passes):
        render_all(many, renderer)


def wall_seconds(many: list[list[str]], processes: int, passes: int = 4) -> float:
    """Wall time for each of some processes to render all batches some times."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    workers = [context.Process(target=worker, args=(many, ready, go, passes)) for _ in range(processes)]
    for process in workers:
        process.start()
    for _ in workers:
        ready.acquire()
    start = time.perf_counter()
    go.set()
    for process in workers:
        process.join()
    return time.perf_counter() - start


def tokenizer(texts: list[str], pre: str) -> object:
    """A BPE tokenizer with 30,000 units trained on the texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel() if pre == "byte level" else pre_tokenizers.Metaspace()
    alphabet = pre_tokenizers.ByteLevel.alphabet() if pre == "byte level" else []
    options = {"vocab_size": 30_000, "special_tokens": ["[UNK]"], "show_progress": False}
    made.train_from_iterator(texts, trainers.BpeTrainer(initial_alphabet=alphabet, **options))
    return made


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.2, help="share of the text that PangoCairo draws")
    parser.add_argument("--pango-loop", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.pango_loop:
        texts, font = json.loads(Path(arguments.pango_loop[0]).read_text(encoding="utf-8"))
        pango_loop(texts, font, Path(arguments.pango_loop[1]))
        return
    if not SHARED.is_dir():
        sys.exit(f"needs the shared data folder; looked for {SHARED} (set PIXEL_M4_SHARED to its place)")
    warnings.simplefilter("ignore")
    from pango import available

    from pixel_m4.render.fonts import find_font

    texts, chinese = sib200(), sib200("zho_Hans")
    characters = sum(map(len, texts))
    rng = random.Random(0)
    sample = rng.sample(texts, int(len(texts) * arguments.share))
    sample_zh = rng.sample(chinese, min(len(chinese), 400))
    why = available()

    rows: list[tuple[str, str, str, str]] = []
    if not why:
        checked = check_equality(rng.sample(texts, 520)) + check_equality(sample_zh[:80])
        print(f"Equal to PangoCairo: {checked} texts without missing glyphs.\n")

    many = batches(texts)
    renderer = render_all(many)
    stats = renderer.cache_stats()  # type: ignore[attr-defined]
    warm = seconds(lambda: render_all(many, renderer))
    patches = sum(int(renderer.batch(batch).num_text_patches.sum()) for batch in many)  # type: ignore[attr-defined]
    speed = f"{patches / warm / 1e6:.2f} M patches/s, {characters / warm / 1e6:.2f} M characters/s"
    rows.append(("warm, 26 languages", speed, "", ""))
    for pre in ("byte level", "words"):
        made = tokenizer(texts, pre)
        took = seconds(lambda made=made: [made.encode_batch(batch) for batch in many])  # type: ignore[misc]
        rows.append(
            (
                f"against BPE ({pre})",
                f"{characters / took / 1e6:.2f} M characters/s",
                f"{took / warm:.1f} ×",
                "2 ×, aim 3 ×",
            )
        )
    if not why:
        size = sum(map(len, sample))
        pango = pango_seconds(sample, find_font())
        per_character = warm / characters
        for key, name in (
            ("fresh", "each character laid out once"),
            ("kept", "one layout for each different character"),
        ):
            bar = "100 ×, aim 200 ×" if key == "fresh" else ""
            ratio = pango[key] / size / per_character
            rows.append(
                (
                    f"against PangoCairo, {name}",
                    f"{size / pango[key] / 1e3:.1f} k characters/s",
                    f"{ratio:.0f} ×",
                    bar,
                )
            )
        few = batches(sample)
        cold = seconds(lambda: render_all(few), 1)
        rows.append(
            (
                "cold, first pass over the same text",
                f"{size / cold / 1e3:.0f} k characters/s",
                f"{pango['fresh'] / cold:.1f} ×",
                "5 ×",
            )
        )
        few = batches(sample_zh)
        renderer_zh = render_all(few)
        took = seconds(lambda: render_all(few, renderer_zh), 5)
        pango = pango_seconds(sample_zh, find_font())
        size = sum(map(len, sample_zh))
        rows.append(
            (
                "Chinese, warm, against PangoCairo",
                f"{size / took / 1e6:.2f} M characters/s",
                f"{pango['fresh'] / took:.0f} ×",
                "40 ×, aim 100 ×",
            )
        )
        cold = seconds(lambda: render_all(few), 1)
        rows.append(
            ("Chinese, cold", f"{size / cold / 1e3:.0f} k characters/s", f"{pango['fresh'] / cold:.1f} ×", "")
        )
    one, two = wall_seconds(many, 1), wall_seconds(many, 2)
    rows.append(("two processes against one (wall time)", "", f"{2 * one / two:.2f} ×", "1.8 ×"))
    code = "import pixel_m4.render as r; r.TextRenderer()('text')"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    rows.append(("import and one rendering (wall time)", f"{time.perf_counter() - start:.2f} s", "", "0.3 s"))

    print("| measure | speed | ratio | bar |\n|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(f"\n{len(texts):,} texts, {characters:,} characters, {patches:,} patches. Cache: {stats}.")
    if why:
        print(f"Rows against PangoCairo are left out: {why}")


if __name__ == "__main__":
    main()
