"""Rendering against other packages, `pixel-renderer` and `pixar-render`: ratios of one run, on one thread.

python benchmarks/bench_other_renderers.py [--texts 2000]

Every text is drawn once, as in training and serving: what a package keeps of texts that it has drawn does not
help.  A fifth of the texts warms up; of the batches after it the median of characters per CPU second counts.
Each package takes turns with ours, three times, and the median of the ratios counts: a busy machine is busy
for both.
Text is a sample of SIB-200 in 26 languages (shared data).  All draw the same texts with the same font onto
grey canvases of 529 patches of 16 pixels, 64 texts a batch.  Both packages lay a whole line out at once, as
our `continuous` does, so both ratios are printed.

Each package goes into an environment of its own, which is thrown away (6 GB where pip finds torch for GPUs
only); it needs PangoCairo (`make oracle`).  Where one does not install or run, its row says why.
- `pixel-renderer` draws each text by itself as wide as it is, in RGB, with sizes in whole pixels (13 for our
  13.3); one channel of it is copied onto the canvas.
- `pixar-render` registers fonts with ManimPango, which builds only with Pango's headers.  Two empty functions
  take its place, as fontconfig is told of the font anyway.  Torch is not pinned, so that torchvision matches.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from bench_rendering import BATCH, ROOT, SHARED, sib200

PATCHES, PATCH = 529, 16
CAIRO = ["pycairo", "PyGObject<3.51"]
PACKAGES = {
    "pixel-renderer": ["pixel-renderer", *CAIRO, f"--constraint={ROOT / 'constraints.txt'}"],
    "pixar-render": ["pixar-render==0.5.1", *CAIRO, "fonttools"],
}
STRATEGIES = ("bigrams", "continuous")
ROUNDS = 3
STAND_IN = "register_font, list_fonts = bool, list"
Render = Callable[[list[str]], object]


def pixel_m4(strategy: str) -> Render:
    """Make what renders a batch with this package."""
    from pixel_m4 import TextRenderer

    renderer = TextRenderer(strategy=strategy, max_seq_length=PATCHES)
    return lambda batch: renderer.batch(batch, padding="max_length")["pixel_values"]


def pixel_renderer() -> Render:
    """Make what renders a batch with `pixel-renderer`."""
    import numpy as np
    from pixel_renderer.renderer import render_text

    def render(batch: list[str]) -> object:
        canvases = np.full((len(batch), PATCH, PATCH * PATCHES), 255, np.uint8)
        for canvas, text in zip(canvases, batch, strict=True):
            pixels = render_text(text, block_size=PATCH, font_size=13)[:, : canvas.shape[1], 0]
            canvas[:, : pixels.shape[1]] = pixels
        return canvases

    return render


def pixar_render() -> Render:
    """Make what renders a batch with `pixar-render`."""
    import cairo  # noqa: F401  # without it the package would call conda
    from pixar_render import PixarProcessor

    made = PixarProcessor(font_size=8, dpi=120, pixels_per_patch=PATCH, max_seq_length=PATCHES, rgb=False)
    return lambda batch: made.render(batch, padding_side="right", truncate=False, add_eos=True).pixel_values


def measure(render: Render, texts: list[str]) -> float:
    """Characters a CPU second of texts drawn once; what comes out is seen to be full canvases with ink."""
    import numpy as np

    rates = []
    for i in range(0, len(texts), BATCH):
        batch = texts[i : i + BATCH]
        start = time.process_time()
        pixels = np.asarray(render(batch))
        took = time.process_time() - start
        assert pixels.size == len(batch) * PATCH * PATCH * PATCHES, pixels.shape
        assert (pixels.reshape(len(batch), -1).min(axis=1) < 100).all(), "a blank canvas"
        if i >= len(texts) / 5 or len(texts) <= BATCH:
            rates.append(sum(map(len, batch)) / took)
    return statistics.median(rates)


def run(command: list[str], **environment: str) -> str:
    """The last line that a program prints; what it says of its error, if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(([line for line in lines if "error" in line.lower()] or lines)[-1].strip()[:120])
    return done.stdout.splitlines()[-1] if done.stdout else ""


def compare(name: str, texts: list[str], font: Path) -> dict[str, list[float]]:
    """Install a package in a throwaway environment and draw the texts there and here by turns; rates."""
    from pango import FONT_CONFIG

    rates: dict[str, list[float]] = {name: [], **{strategy: [] for strategy in STRATEGIES}}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "fonts").mkdir()
        shutil.copy(font, place / "fonts")
        (place / "fonts.conf").write_text(FONT_CONFIG.format(fonts=place / "fonts", cache=place / "cache"))
        (place / "manimpango.py").write_text(STAND_IN)
        (place / "texts.json").write_text(json.dumps(texts))
        run([sys.executable, "-m", "venv", str(place / "env")])
        python = str(place / "env" / ("Scripts" if os.name == "nt" else "bin") / "python")
        run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES[name]])
        driver = [python, __file__, "--driver", name, str(place / "texts.json")]
        for _ in range(ROUNDS):
            answer = run(driver, FONTCONFIG_FILE=str(place / "fonts.conf"), PYTHONPATH=str(place))
            rates[name].append(json.loads(answer)["rate"])
            for strategy in STRATEGIES:
                rates[strategy].append(measure(pixel_m4(strategy), texts))
    return rates


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=2000, help="size of the sample (default: 2000)")
    parser.add_argument("--driver", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.driver:
        name, request = arguments.driver
        render = {"pixel-renderer": pixel_renderer, "pixar-render": pixar_render}[name]()
        print(json.dumps({"rate": measure(render, json.loads(Path(request).read_text()))}))
        return
    if not SHARED.is_dir():
        sys.exit(f"needs the shared data folder; looked for {SHARED} (set PIXEL_M4_SHARED to its place)")
    warnings.simplefilter("ignore")
    from pixel_m4.render.fonts import find_font

    texts = random.Random(0).sample(sib200(), arguments.texts)
    characters = sum(map(len, texts))
    print("| package | characters/s | ours, `bigrams` | against it | ours, `continuous` | against it |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in PACKAGES:
        try:
            rates = compare(name, texts, find_font())
        except RuntimeError as error:
            print(f"| `{name}` | does not install or run: {error} | | | | |")
            continue
        cells = [f"`{name}`", f"{statistics.median(rates[name]):,.0f}"]
        for strategy in STRATEGIES:
            ratios = [ours / its for ours, its in zip(rates[strategy], rates[name], strict=True)]
            cells += [f"{statistics.median(rates[strategy]):,.0f}", f"{statistics.median(ratios):.2f} ×"]
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\n{len(texts):,} texts, {characters:,} characters.")


if __name__ == "__main__":
    main()
