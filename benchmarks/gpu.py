"""Check CUDA from end to end, and measure it: `make gpu`, less than ten minutes on an H100 (a goal).

python benchmarks/gpu.py [--output build/gpu.json] [--peak_tflops 989]

Text is the treebank of the package, weights are random; nothing is fetched but the font. A check that fails
does not stop the others; the exit code is 1 if one has failed. Without a CUDA device all is skipped.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from gpu_checks import CHECKS
from gpu_data import Place, peak_of
from gpu_speed import MEASURES, Row
from pixel_m4.files import replacing
from pixel_m4.training.records import checkout, now, versions
from pixel_m4.training.throughput import matmul_peak

Result = dict[str, Any]
console = Console(highlight=False, soft_wrap=True)


def attempt(function: Callable[..., Any], *args: Any) -> tuple[Result, Any]:
    """Call a check or a measure; what goes wrong is a result, too."""
    name = function.__name__
    start = time.perf_counter()
    try:
        found = function(*args)
        status = {"status": "passed"}
    except Exception as error:  # whatever it is, the others go on
        traceback.print_exc()
        found, status = None, {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    took = time.perf_counter() - start
    said = (function.__doc__ or name).partition("\n")[0]
    line = f"{status['status']:7} {name} ({took:.0f} s): {status.get('error', said)}"
    console.print(line, markup=False)
    return {"name": name, **status, "seconds": round(took, 1)}, found


def check(place: Place, checks: Sequence[Callable[[Place], Result]]) -> list[Result]:
    """The results of checks."""
    results = []
    for function in checks:
        result, found = attempt(function, place)
        results.append({**result, "found": found})
    return results


def measure(place: Place, measures: Sequence[Callable[..., list[Row]]]) -> tuple[list[Result], list[Row]]:
    """How measures went, and what they found."""
    results, rows = [], []
    for function in measures:
        result, found = attempt(function, place, rows)
        results.append(result)
        rows += found or []
    return results, rows


def show(rows: Sequence[Row]) -> None:
    """Print a table of what was measured."""
    table = Table(
        "measure", "a second", "published way", "times as fast", "of the peak", "memory, published", "taken"
    )
    for row in rows:
        memory = [f"{gb:.1f} GB" for gb in (row.memory_gb, row.published_memory_gb) if gb is not None]
        table.add_row(
            row.name,
            f"{row.rate:,.0f} {row.unit}",
            f"{row.published:,.0f}" if row.published else "",
            f"{row.rate / row.published:.2f}" if row.published else "",
            f"{row.peak_share:.1%}" if row.peak_share else "",
            ", ".join(memory),
            f"{row.taken:,.0f}" if row.taken else "",
        )
    Console(highlight=False, width=140).print(table)


def missing() -> str:
    """Why there is no CUDA device."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build without CUDA; docs/hardware.md says how to get one"
    return f"torch {torch.__version__} is a build for CUDA {torch.version.cuda}, without a GPU or driver"


def skip_all() -> None:
    """Say what would have been done."""
    console.print(f"skipped: no CUDA device: {missing()}")
    for function in (*CHECKS, *MEASURES):
        console.print(f"skipped {function.__name__}: {(function.__doc__ or '').partition(chr(10))[0]}")


def with_peak(place: Place, tflops: float | None) -> tuple[Place, Result]:
    """The peak to compare with: what was said, what the card's data sheet says, else what was measured."""
    dtype = torch.float32
    if place.cuda:  # older cards only emulate bfloat16
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        dtype = torch.bfloat16 if has_bf16 else torch.float16
    measured = matmul_peak(place.device, dtype)
    card = torch.cuda.get_device_name(place.device) if place.cuda else "CPU"
    sheet = None if tflops is None else tflops * 1e12
    sheet = sheet or peak_of(card)
    place = replace(place, peak=sheet or measured)
    of = "the option" if tflops else "the data sheet" if sheet else "the measured product"
    console.print(f"{card}: peak of {of} {place.peak / 1e12:.2f} TFLOP/s, measured {measured / 1e12:.2f}")
    return place, {"card": card, "peak": place.peak, "peak_of": of, "measured_peak": measured}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/gpu.json"))
    parser.add_argument("--peak_tflops", type=float, help="dense bfloat16 peak of the card, for its share")
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        skip_all()
        return 0
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        device = torch.device(arguments.device)
        place = Place(device=device, quick=arguments.quick, scratch=Path(scratch))
        place, facts = with_peak(place, arguments.peak_tflops)
        checks = check(place, CHECKS)
        measures, rows = measure(place, MEASURES)
    show(rows)
    failed = [result["name"] for result in (*checks, *measures) if result["status"] == "failed"]
    report = {
        "date": now(),
        "seconds": round(time.perf_counter() - start),
        **facts,
        "versions": versions(),
        "code": checkout(),
        "checks": checks,
        "measures": measures,
        "rows": [asdict(row) for row in rows],
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(arguments.output) as file:
        file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print(f"{report['seconds']} s; {arguments.output}; failed: {', '.join(failed) or 'nothing'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
