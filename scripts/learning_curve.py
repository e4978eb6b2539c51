"""The learning curves of pretraining runs, as a Markdown table and a picture.

python scripts/learning_curve.py RUN [RUN …] [--every 1000] [--output curve.png]

Reads the newest whole checkpoint of each run.  Loss on held-out text (mean over hidden patches), the share
of hidden patches that the second objective names right, if there is one, and the share that can be read from
the predicted pixels, in percent; in brackets, what always guessing the most frequent patch would get.  The
picture, of one run by language, of several as means of languages, needs `pip install 'pixel-m4[plots]'`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pixel_m4.files import replacing
from pixel_m4.training.saving import last_whole

LOSS, READ, GUESSED = "eval_loss_", "eval_reading_accuracy_", "eval_reading_baseline_"
NAMED = "eval_naming_accuracy_"
PANELS = {LOSS: "held-out pixel loss", NAMED: "hidden patches named, %", READ: "hidden patches read, %"}

Entry = dict[str, Any]


def history(run: Path) -> list[Entry]:
    """The evaluations of a run, by step."""
    checkpoint = last_whole(run)
    if checkpoint is None:
        raise SystemExit(f"{run} holds no whole checkpoint")
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return [entry for entry in state["log_history"] if "eval_loss" in entry]


def languages(entries: list[Entry]) -> list[str]:
    return [name.removeprefix(LOSS) for name in entries[-1] if name.startswith(LOSS)]


def table(run: Path, entries: list[Entry], every: int) -> str:
    found = languages(entries)
    shown = [entry for entry in entries if entry["step"] % every == 0 or entry is entries[-1]]
    rows = [f"| {run.name}: step | " + " | ".join(found) + " |", "|---|" + "---|" * len(found)]
    for entry in shown:
        cells = []
        for language in found:
            cell = f"{entry[LOSS + language]:.3f}"
            if READ + language in entry:
                read, guessed = (100 * entry[name + language] for name in (READ, GUESSED))
                if NAMED + language in entry:
                    cell += f", {100 * entry[NAMED + language]:.1f}"
                cell += f", {read:.1f} % ({guessed:.1f})"
            cells.append(cell)
        rows.append(f"| {entry['step']:,} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def draw(runs: dict[str, list[Entry]], output: Path) -> None:
    from matplotlib.figure import Figure

    shown = [part for part in PANELS if any(key.startswith(part) for key in next(iter(runs.values()))[-1])]
    figure = Figure(figsize=(4.5 * len(shown), 3.6), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for panel, part in zip(panels, shown, strict=True):
        scale = 1 if part == LOSS else 100
        for name, entries in runs.items():
            found = languages(entries)
            lines = {name: found} if len(runs) > 1 else {language: [language] for language in found}
            for label, members in lines.items():
                values = [
                    scale * sum(entry[part + each] for each in members) / len(members) for entry in entries
                ]
                panel.plot([entry["step"] for entry in entries], values, label=label)
        panel.set(title=PANELS[part], xlabel="step")
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    with replacing(output) as scratch:
        figure.savefig(scratch, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--every", type=int, default=1000, help="steps between rows; default: 1000")
    parser.add_argument("--output", type=Path, help="the picture, .png or .svg")
    arguments = parser.parse_args()
    runs = {run.name: history(run) for run in arguments.runs}
    for run in arguments.runs:
        print(table(run, runs[run.name], arguments.every) + "\n")
    if arguments.output is not None:
        draw(runs, arguments.output)


if __name__ == "__main__":
    main()
