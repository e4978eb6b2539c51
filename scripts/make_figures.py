"""Make all figures and tables of docs/analysis.md again, and say what each took.

python scripts/make_figures.py DATA --output_dir runs/figures [--only map retrieval]

DATA holds `sib200`, `linspector` and `ud`, as `pixel-m4 data fetch` leaves them.  An analysis whose folder is
there already is left as it is, so a run that was stopped goes on.  Ends with a Markdown table of time, CPU
time and the greatest memory of each.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from pixel_m4.analysis.presets import MAPPED

PRETRAINED = "eng_Latn hin_Deva ukr_Cyrl zho_Hans"
WORDS = "full_swap inner_swap disemvowel truncate drop_marks keyboard_typo intrude"
FIGURES = {
    "retrieval": f"analyze retrieval pixel-m4-tiny --data_dir {{data}}/sib200 --languages {PRETRAINED}",
    "map": f"analyze map pixel-m4-tiny --data_dir {{data}}/sib200 --languages {PRETRAINED} --layers 0 4",
    "map-all": "analyze map pixel-m4-tiny --data_dir {data}/sib200 --languages {mapped} "
    "--pooling published --layers 0 4",
    "probing": "analyze probe pixel-m4-tiny --data_dir {data}/linspector --tasks Case --languages russian",
    "probing-all": "analyze probe pixel-m4-tiny --data_dir {data}/linspector --preset published "
    "--no_controls",
    "robustness-english": f"analyze robustness pixel-m4-ud --data {{data}}/ud/UD_English-EWT --sentences 300 "
    f"--attacks {WORDS} confusable",
    "robustness-greek": f"analyze robustness pixel-m4-ud --data {{data}}/ud/UD_Greek-GDT --sentences 300 "
    f"--attacks {WORDS} confusable",
    "saliency": "analyze saliency pixel-m4-ud --file "
    "{data}/ud/UD_English-EWT/en_ewt-ud-test.conllu.gz --limit 10",
}


def make(name: str, data: Path, output: Path) -> tuple[float, float, float]:
    """Make one; seconds, seconds of CPU, MB.

    Raises:
        SystemExit: It failed.
    """
    mapped = [language for language in MAPPED if (data / "sib200" / language).is_dir()]
    words = FIGURES[name].format(data=data, mapped=" ".join(mapped)).split()
    command = [sys.executable, "-m", "pixel_m4.cli", *words, "--output_dir", str(output)]
    print(f"\n{name}: pixel-m4 {' '.join(command[3:])}", flush=True)
    began = time.perf_counter()
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{name} failed")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, kilobytes / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of data sets")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/figures"))
    parser.add_argument("--only", nargs="+", choices=list(FIGURES), default=list(FIGURES))
    arguments = parser.parse_args()
    taken = {}
    for name in arguments.only:
        output = arguments.output_dir / name
        if (output / "settings.json").exists():
            print(f"{name}: is there already, {output}")
        else:
            taken[name] = make(name, arguments.data, output)
    print("\n| analysis | seconds | of CPU | MB |\n|---|---:|---:|---:|")
    for name, (seconds, cpu, memory) in taken.items():
        print(f"| {name} | {seconds:.0f} | {cpu:.0f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
