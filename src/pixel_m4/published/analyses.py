"""Flags of the published analyses and their figures."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixel_m4.analysis.presets import MAPPED, PROBED_LANGUAGES, RETRIEVED
from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError
from pixel_m4.published.flags import Command, Flags, Meaning, Value, accepted, asked, ours, say, settled
from pixel_m4.published.training import REVISION

TOPICS_DIR = Path("data/sib200")  # where `pixel-m4 data fetch sib200` puts them


def _model(value: Value, flags: Flags, command: Command) -> None:
    command.words.append(value or "")


def _layers(value: Value, flags: Flags, command: Command) -> None:
    if value not in (None, "all"):
        command.options["layers"] = str(value).split(",")


def _folder(value: Value, flags: Flags, command: Command) -> None:
    """A folder a model, as published results have the model in their names."""
    command.options["output_dir"] = str(Path(value or ".") / (flags.get("model_id") or "").rpartition("/")[2])


def _languages(value: Value, flags: Flags, command: Command) -> None:
    command.options["languages"] = (value or "").replace(",", " ").split()


_CANVAS = "a text has the canvas of its checkpoint; what does not fit is cut, and told"
_LOGIN = "the hub's own login is used (`hf auth login`)"
_STATES: Mapping[str, Meaning] = {
    "model_id": settled("the model, before the options", _model),
    "output_dir": settled("`--output_dir`, in it a folder a model", _folder),
    "layer": settled("`--layers`; all without it", _layers),
    "max_seq_length": accepted(_CANVAS, "256"),
    "batch_size": ours("per_device_eval_batch_size"),
    "auth": accepted(_LOGIN),
}
PROBING: Mapping[str, Meaning] = {
    **_STATES,
    "data_dir": ours("data_dir"),
    "seed": accepted("the classifier has the published seed, 1223", "1111"),
    "lang": settled("`--languages`; the five published ones without it", _languages),
}
RETRIEVAL: Mapping[str, Meaning] = {
    **_STATES,
    "seed": settled("`--seed`, of the random weights beside", lambda v, _, c: c.options.update(seed=v)),
}
MAPS: Mapping[str, Meaning] = {
    **_STATES,
    "seed": ours("seed"),
    "perplexity": ours("perplexity"),
    "n_iter": ours("iterations"),
    "lr": ours("learning_rate"),
}
STATES_DEFAULTS = {"layer": "all", "seed": "1111", "max_seq_length": "256", "batch_size": "32"}


def settle_probing(flags: Flags, command: Command) -> None:
    """The published tasks and languages, of those that are there: no tasks about characters."""
    command.options["pooling"] = "published"
    folder = Path(flags.get("data_dir") or "data")
    there = sorted(path.parent for path in folder.glob("*/*/train.txt"))
    wanted = command.options.get("languages") or PROBED_LANGUAGES
    chosen = [place for place in there if place.name in wanted]
    tasks = sorted({place.parent.name for place in chosen if not place.parent.name.startswith("Character")})
    if not tasks:
        raise DataError(
            f"{folder} has no folders TASK/LANGUAGE of {', '.join(wanted)} with train.txt; fetch them with "
            "`pixel-m4 data fetch linspector russian` and give --data_dir data/linspector"
        )
    command.options |= {"tasks": tasks, "languages": sorted({place.name for place in chosen})}


def settle_retrieval(flags: Flags, command: Command) -> None:
    """The published languages, and vectors as published."""
    command.options |= {
        "data_dir": str(TOPICS_DIR), "languages": list(RETRIEVED), "pooling": "published"
    }  # fmt: skip


def settle_maps(flags: Flags, command: Command) -> None:
    """The published languages, and vectors as published."""
    command.options |= {"data_dir": str(TOPICS_DIR), "languages": list(MAPPED), "pooling": "published"}


def fetch_topics(languages: Sequence[str]) -> list[str] | None:
    """The command that fetches the sentences that are not there, as published analyses do; None: all are."""
    missing = [name for name in languages if not (TOPICS_DIR / name).is_dir()]
    return ["data", "fetch", "sib200", *missing, "--output_dir", str(TOPICS_DIR.parent)] if missing else None


# visualize_pixel.py


def _text(value: Value, flags: Flags, command: Command) -> None:
    command.words.append(value or "")


def _patches(value: Value, flags: Flags, command: Command) -> None:
    if value:
        command.options["mask_patches"] = value.replace(" ", ",")


def _ratio(value: Value, flags: Flags, command: Command) -> None:
    if not flags.get("manual_mask"):
        command.options["mask_ratio"] = value


def _spans(name: str, wanted: str) -> Meaning:
    def apply(value: Value, flags: Flags, command: Command) -> None:
        numbers = [float(part) for part in (value or wanted).replace(" ", "").split(",")]
        if numbers != [float(part) for part in wanted.split(",")]:
            raise UserError(f"--{name} {value} is not obeyed: spans are drawn with {wanted}")

    return settled(f"{wanted}; others are refused", apply)


PAINTING: Mapping[str, Meaning] = {
    "input_str": settled("the text, before the options", _text),
    "model_name_or_path": ours("model"),
    "renderer_name_or_path": ours("renderer"),
    "auth_token": accepted(_LOGIN),
    "revision": REVISION,
    "max_seq_length": accepted("the canvas is as long as the model has positions for", "529"),
    "seed": ours("seed"),
    "mask_ratio": settled("`--mask_ratio`, without `--manual_mask`", _ratio),
    "span_mask": settled("always; without it a line says so", lambda *_: None),
    "masking_max_span_length": _spans("masking_max_span_length", "6"),
    "masking_spacing": accepted("spans keep a distance of their own length"),
    "masking_cumulative_span_weights": _spans("masking_cumulative_span_weights", "0.2,0.4,0.6,0.8,0.9,1"),
    "manual_mask": settled("`--mask_patches`", _patches),
}
PAINTING_DEFAULTS = {"seed": "42", "mask_ratio": "0.25"}


def settle_painting(flags: Flags, command: Command) -> None:
    """Random single patches are not drawn."""
    if not flags.get("manual_mask") and not asked(flags, "span_mask"):
        say("span_mask", "patches are hidden in spans all the same, which is how the models were trained")


# Figures


def draw_probing(flags: Flags) -> None:
    """A panel a task and language, a line a model, over the layers, of what `run_linspector.py` left."""
    rows = list(_rows(flags, "probing.csv", "representation"))
    trained = [row for row in rows if row["representation"] == "trained"]
    tasks, languages = (list(dict.fromkeys(row[name] for row in trained)) for name in ("task", "language"))
    figure, panels = _panels(len(tasks), len(languages))
    for axes, task in zip(panels, tasks, strict=True):
        for panel, language in zip(axes, languages, strict=True):
            chosen = [row for row in trained if (row["task"], row["language"]) == (task, language)]
            _lines(panel, chosen, "model", "test")
            panel.set_title(f"{task}, {language}")
    panels[0][0].set_ylabel("accuracy on test")
    panels[-1][0].legend(fontsize="small")
    _save(figure, flags, "linspector")


def draw_retrieval(flags: Flags) -> None:
    """A line a pair of languages over the layers, of what `run_retrieval.py` left."""
    model = (flags.get("model_id") or "").rpartition("/")[2]
    measure = f"recall@{flags.get('K') or 5}"
    rows = [row for row in _rows(flags, "retrieval.csv", measure) if row["model"] == model]
    if not rows:
        raise DataError(
            f"{_results(flags)} has no results of {model}; run run_retrieval.py --model_id {model}"
        )
    kept = [row | {"pair": f"{row['source']} → {row['target']}"} for row in rows]
    pairs = {frozenset((row["source"], row["target"])): row["pair"] for row in reversed(kept)}
    figure, panels = _panels(1, 1)
    chosen = [row for row in kept if row["weights"] == "trained" and row["pair"] in pairs.values()]
    _lines(panels[0][0], chosen, "pair", measure)
    panels[0][0].set_ylabel(measure)
    panels[0][0].legend(fontsize="small")
    _save(figure, flags, f"retrieval-{model}")


def show_maps(flags: Flags) -> None:
    """Name the figures that `run_tsne.py` has drawn."""
    found = sorted(
        file for file in _results(flags).rglob("map.*") if file.suffix in (".png", ".svg", ".html")
    )
    if not found:
        raise DataError(f"{_results(flags)} has no map; run run_tsne.py --output_dir {_results(flags)} first")
    for file in found:
        print(f"{file}: drawn by run_tsne.py")


def _results(flags: Flags) -> Path:
    return Path(flags.get("results_dir") or ".").expanduser()


def _rows(flags: Flags, name: str, column: str) -> Iterator[dict[str, str]]:
    """The rows of the tables of all models, with the model's name.

    Raises:
        DataError: there is no table, or it has no such column.
    """
    files = sorted(_results(flags).rglob(name))
    if not files:
        raise DataError(f"{_results(flags)} holds no {name}; run the analysis first")
    for file in files:
        with file.open(encoding="utf-8", newline="") as stream:
            table = csv.DictReader(stream)
            if column not in (table.fieldnames or ()):
                raise DataError(f"{file} has no column {column}; it has {', '.join(table.fieldnames or ())}")
            for row in table:
                yield {"model": file.parent.name, **row}


def _panels(rows: int, columns: int) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("figures need matplotlib: pip install 'pixel-m4[plots]'") from error
    figure = Figure(figsize=(1 + 3.5 * columns, 1 + 2.6 * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True)


def _lines(axes: Any, rows: Sequence[Mapping[str, str]], key: str, value: str) -> None:
    for name in dict.fromkeys(row[key] for row in rows):
        points = sorted((int(row["layer"]), float(row[value])) for row in rows if row[key] == name)
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set_xlabel("layer")


def _save(figure: Any, flags: Flags, name: str) -> None:
    from pixel_m4.analysis.figures import save

    for file in save(figure, _results(flags) / name):
        print(file)
