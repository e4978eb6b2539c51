"""Milliseconds of the demo's answers over HTTP, with the shipped models.

OMP_NUM_THREADS=1 python benchmarks/bench_demo.py [--repeats 10]

A server with one thread is asked about the twelve examples of the page, each some times after a first
answer, as by a page that is in use; the connection stays open. "first in an alphabet" is the first reading
of a text in letters that were not read before. The processor time is that of server and client together, a
mean; where other programs run, it says more than the clock. Then a server with two threads is asked the same
while another client sends batches of 32 long texts without a pause.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import torch
import uvicorn

from pixel_m4.demo.app import create_app
from pixel_m4.demo.models import Models
from pixel_m4.demo.run import MODELS, listen
from pixel_m4.demo.sentences import EXAMPLES, read_sentences

ASKED: list[tuple[str, str, dict[str, Any]]] = [
    ("render", "render", {}),
    ("render, continuous", "render", {"strategy": "continuous"}),
    ("predict", "predict", {}),
    ("fill, not read", "fill", {"patches": [2, 3], "read": False}),
    ("fill, read", "fill", {"patches": [2, 3]}),
    ("attack", "attack", {"attack": "full_swap"}),
    ("saliency, chefer", "saliency", {"method": "chefer"}),
    ("saliency, occlusion", "saliency", {"method": "occlusion"}),
    ("embed", "embed", {}),
    ("nearest", "nearest", {}),
]
LONG = " ".join(each.text for each in EXAMPLES)[:400]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    models = Models(MODELS, "cpu")
    print("| asked | median | 95 % | processor time |\n|---|---|---|---|")
    with serving(models, 1) as client:
        row("fill, first in an alphabet", client, "fill", {"patches": [2]}, 0)
        for name, endpoint, options in ASKED:
            row(name, client, endpoint, options, repeats)
    with serving(models, 2) as client:
        for name, endpoint, options in ASKED[:3]:
            with heavy(client):
                row(f"{name}, beside a greedy client", client, endpoint, options, repeats, shared=True)


def timed(client: httpx.Client, endpoint: str, text: str, options: dict[str, Any]) -> float:
    """Milliseconds of an answer."""
    start = time.perf_counter()
    client.post(f"/api/{endpoint}", json={"texts": [text], **options}).raise_for_status()
    return 1000 * (time.perf_counter() - start)


def row(
    name: str,
    client: httpx.Client,
    endpoint: str,
    options: dict[str, Any],
    repeats: int,
    shared: bool = False,
) -> None:
    """Print a line: answers about every example, without the first of each unless repeats is 0."""
    found, processor = [], 0.0
    for each in EXAMPLES:
        if repeats:
            timed(client, endpoint, each.text, options)
        start = time.process_time()
        found += [timed(client, endpoint, each.text, options) for _ in range(max(repeats, 1))]
        processor += 1000 * (time.process_time() - start)
    median, most = np.median(found), np.quantile(found, 0.95)
    print(
        f"| {name} | {median:.0f} | {most:.0f} | {'–' if shared else f'{processor / len(found):.0f}'} |",
        flush=True,
    )


@contextmanager
def serving(models: Models, threads: int) -> Iterator[httpx.Client]:
    """A server, warm, and a client of it; 127.0.0.2 may stand for another client."""
    app = create_app(
        models, read_sentences(None, 1000), allowed_hosts=["127.0.0.1"], threads=threads, warm=False
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with httpx.Client(base_url=address, timeout=60) as client:
            client.post("/api/nearest", json={"texts": ["a"]}).raise_for_status()
            client.post("/api/nearest", json={"texts": ["a"], "model": MODELS[1]}).raise_for_status()
            yield client
        server.should_exit = True
        thread.join()


@contextmanager
def heavy(client: httpx.Client) -> Iterator[None]:
    """Another client, with another address, that sends the next large batch when one is answered."""
    done = threading.Event()

    def send() -> None:
        transport = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(base_url=client.base_url, transport=transport, timeout=60) as other:
            while not done.is_set():
                other.post("/api/predict", json={"texts": [LONG] * 32})

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(1)
    yield
    done.set()
    thread.join()


if __name__ == "__main__":
    main()
