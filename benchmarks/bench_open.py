"""How long help, opening a saved model and a first prediction take, each in a process of its own.

python benchmarks/bench_open.py [--runs 3]

One thread; the best of some runs after one that fills the file cache.  Memory is the process's peak.
"libraries" is what torch and transformers' base class of models need by themselves: nothing that opens a
model can be quicker.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

CASES = {
    "libraries: torch, transformers.modeling_utils": "import torch, transformers.modeling_utils",
    "pixel-m4 --help": "from pixel_m4.cli.main import main; main(['--help'])",
    "pixel-m4 finetune parsing --help": (
        "from pixel_m4.cli.main import main; main(['finetune', 'parsing', '--help'])"
    ),
    "pixel-m4 pretrain --help": "from pixel_m4.cli.main import main; main(['pretrain', '--help'])",
    "import pixel_m4.render": "import pixel_m4.render",
    'pixel_m4.Checkpoint.open("pixel-m4-ud")': "import pixel_m4; pixel_m4.Checkpoint.open('pixel-m4-ud')",
    'pixel_m4.load("pixel-m4-ud")': "import pixel_m4; pixel_m4.load('pixel-m4-ud')",
    "… and a first sentence": "import pixel_m4; pixel_m4.load('pixel-m4-ud').predict(['The cat sleeps.'])",
}


def measure(code: str, runs: int) -> tuple[float, float]:
    """Best seconds, and the peak of memory in MB."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    best = float("inf")
    peak = 0
    for run in range(runs + 1):
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"failed: {code}")
        if run:
            best = min(best, time.perf_counter() - start)
        peak = usage.ru_maxrss
    return best, peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kilobytes elsewhere


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of which the best counts (default 3)")
    runs = parser.parse_args().runs
    print("| what | seconds | MB |\n|---|---|---|")
    for name, code in CASES.items():
        seconds, memory = measure(code, runs)
        print(f"| `{name}` | {seconds:.2f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
