"""Take the pictures of the demo in the documentation, with the shipped models and Chromium.

python scripts/make_screenshots.py [--output_dir docs/images] [--chromium /usr/bin/chromium]
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import sys
import threading
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import uvicorn
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from pixel_m4.demo.app import create_app
from pixel_m4.demo.models import Models
from pixel_m4.demo.run import MODELS, listen
from pixel_m4.demo.sentences import EXAMPLES, read_sentences

ARGUMENTS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
ARGUMENTS += "--disable-component-update --disable-sync"
TEXTS = {each.language: each.text for each in EXAMPLES}
COLOURS = 128  # of a picture; screens of text need no more


class Shot(NamedTuple):
    """A picture: its name, what the page shows, colours and width of the screen."""

    name: str
    state: dict[str, str]
    scheme: str = "light"
    width: int = 900


SHOTS = (
    Shot("demo-see", {"text": TEXTS["Hindi"], "zoom": "3"}),
    Shot("demo-hide", {"tab": "hide", "hidden": "3,4,9,10,11"}),
    Shot("demo-predict", {"tab": "predict", "text": TEXTS["Ukrainian"]}),
    Shot("demo-attack-dark", {"tab": "attack", "strength": "0.6", "seed": "3"}, "dark"),
    Shot("demo-explain", {"tab": "explain", "decision": "2"}),
    Shot("demo-nearest-dark", {"tab": "nearest", "embedder": "pixel-m4-tiny"}, "dark"),
    Shot("demo-arabic-small", {"text": TEXTS["Arabic"]}, "light", 380),
    Shot("demo-hebrew-small-dark", {"tab": "predict", "text": TEXTS["Hebrew"]}, "dark", 380),
)


def main() -> None:
    """Start a server, visit it, and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=Path("docs/images"))
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    arguments = parser.parse_args()
    if arguments.chromium is None:
        sys.exit("there is no chromium; name one with --chromium")
    sentences = read_sentences(None, 1000)
    app = create_app(Models(MODELS, "cpu"), sentences, allowed_hosts=["127.0.0.1"], threads=2)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            take(f"http://127.0.0.1:{listening.getsockname()[1]}", arguments.chromium, arguments.output_dir)
        finally:
            server.should_exit = True
            thread.join()


def take(address: str, chromium: str, folder: Path) -> None:
    """Visit the page for each picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS.split())
        for shot in SHOTS:
            screen = {"width": shot.width, "height": 400}
            page = browser.new_context(viewport=screen, color_scheme=shot.scheme).new_page()
            page.goto(f"{address}/#{urlencode(shot.state)}")
            expect(page.locator("#status")).to_have_text(re.compile(r"^\d+ ms$"), timeout=90_000)
            page.wait_for_timeout(1500)  # for the font
            page.locator("#status").evaluate("each => { each.textContent = ''; }")
            picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
            file = folder / f"{shot.name}.png"
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
            print(f"{file}  {file.stat().st_size / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main()
