"""The commands `embed` and `analyze`: read, compute, and leave tables, figures and how to make them again."""

from __future__ import annotations

import csv
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from rich.text import Text
from transformers.utils import logging as transformers_logging

from pixel_m4.analysis.attacks import ATTACKS, attack
from pixel_m4.analysis.maps import PICTURES, MapSettings, draw, lay_out, page, same_neighbours
from pixel_m4.analysis.probing import (
    SPLITS,
    Probed,
    ProbeSettings,
    Words,
    majority,
    ngram_model,
    numbered,
    probe,
    read_task,
)
from pixel_m4.analysis.retrieval import read_parallel, retrieve, rows_of
from pixel_m4.analysis.robustness import STRENGTHS, draw_curves, score_attacked
from pixel_m4.analysis.states import PixelStates, Pooling, pixel_statistics
from pixel_m4.checkpoint import open_task
from pixel_m4.console.errors import UserError
from pixel_m4.console.redact import redact_command
from pixel_m4.console.screen import plain_console
from pixel_m4.files import refuse_existing, replacing
from pixel_m4.render.show import read_texts
from pixel_m4.tasks.splits import evenly
from pixel_m4.version import __version__

SETTINGS = "settings.json"
FORMATS = (".npy", ".parquet")
_NO_PLOTS = "PNG and SVG need matplotlib: pip install 'pixel-m4[plots]'"
# What a stopped analysis had found.
_UNFINISHED = "probing.unfinished.json"


def embed(
    model: str,
    texts: Sequence[str],
    file: Path | None,
    output: Path,
    *,
    layer: int = -1,
    pooling: Pooling = "mean",
    device: str | None = None,
    batch_size: int = 32,
    renderer: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a vector a text: float32 [N, D] as .npy, or a table of texts and vectors as .parquet.

    Args:
        model: A checkpoint of any kind.
        texts: The texts; none: the lines of ``file``, or of the standard input.
        file: A text a line.
        output: The file to write.
        layer: See :func:`pixel_m4.analysis.states.embed`, as of the rest.
        pooling: How a text becomes one vector.
        device: Where to run.
        batch_size: Texts of a batch.
        renderer: Where the renderer comes from, for a checkpoint that has none.
        overwrite: Replace ``output`` if it is there.

    Raises:
        ValueError: Something that was asked for does not exist, or ``output`` is there already.
        OSError: A file cannot be read or written.
    """
    if output.suffix not in FORMATS:
        raise UserError(f"--output must end in {' or '.join(FORMATS)}: {output}")
    refuse_existing(output, overwrite)
    texts = list(texts) or read_texts(file)
    output.parent.mkdir(parents=True, exist_ok=True)
    transformers_logging.disable_progress_bar()
    states = PixelStates.open(model, device=device, batch_size=batch_size, renderer=renderer)
    vectors = states.embed(texts, [layer], pooling)[0]
    with replacing(output) as scratch:
        if output.suffix == ".npy":
            with scratch.open("wb") as stream:
                np.save(stream, vectors)
        else:
            _write_parquet(texts, vectors, scratch)
    plain_console(stderr=True).print(f"{len(texts)} vectors of {vectors.shape[1]} numbers: {output}")


def _write_parquet(texts: Sequence[str], vectors: np.ndarray, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    parquet.write_table(pa.table({"text": list(texts), "vector": column}), path)


def _claim(output_dir: Path, name: str, overwrite: bool) -> Path:
    """The table of an analysis, once it is clear that no file is there that the analysis would replace."""
    table = output_dir / f"{name}.csv"
    for file in (*map(table.with_suffix, (".csv", *PICTURES, ".html")), output_dir / SETTINGS):
        refuse_existing(file, overwrite)
    return table


def analyze_retrieval(
    model: str,
    data_dir: Path,
    languages: Sequence[str],
    output_dir: Path,
    *,
    split: str = "train",
    layers: Sequence[int] | None = None,
    pooling: Pooling = "mean",
    controls: bool = True,
    seed: int = 0,
    device: str | None = None,
    batch_size: int = 32,
    renderer: str | None = None,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Search translations by the vectors of a model, layer by layer, and write ``retrieval.csv``.

    Args:
        model: A checkpoint of any kind.
        data_dir: Parallel text, a folder a language, see :func:`read_parallel`.
        languages: Their folders.
        output_dir: Gets the table and the settings.
        split: Of the data.
        layers: Numbers; None: all.
        pooling: How a text becomes one vector.
        controls: Whether random weights of the same architecture are searched, too.
        seed: Of these weights.
        device: Where to run.
        batch_size: Texts of a batch.
        renderer: Where the renderer comes from, for a checkpoint that has none.
        overwrite: Replace the results of an earlier analysis.

    Returns:
        The rows of the table

    Raises:
        ValueError: The data, the model or a setting is no good, or there are results already.
        OSError: A file cannot be read or written.
    """
    target = _claim(output_dir, "retrieval", overwrite)
    texts = read_parallel(data_dir, languages, split)
    output_dir.mkdir(parents=True, exist_ok=True)
    transformers_logging.disable_progress_bar()
    rows: list[dict[str, Any]] = []
    for weights in ("trained", *(("random",) if controls else ())):
        torch.manual_seed(seed)
        states = PixelStates.open(
            model,
            device=device,
            batch_size=batch_size,
            renderer=renderer,
            random_weights=weights == "random",
        )
        numbers = states.numbers(layers)
        # A language at a time: a layer of all languages is what the search needs together.
        vectors = {language: states.embed(lines, numbers, pooling) for language, lines in texts.items()}
        for place, layer in enumerate(numbers):
            found = retrieve({language: every[place] for language, every in vectors.items()})
            rows += rows_of(found, weights=weights, layer=layer)
    settings = {
        "analysis": "retrieval",
        "model": model,
        "data": str(data_dir),
        "languages": list(languages),
        "split": split,
        "sentences": len(next(iter(texts.values()))),
        "layers": layers,
        "pooling": pooling,
        "seed": seed,
    }
    _write(rows, target, settings)
    _show(rows, len(next(iter(texts.values()))))
    return rows


def analyze_map(
    model: str,
    data_dir: Path,
    languages: Sequence[str],
    output_dir: Path,
    *,
    split: str = "train",
    layers: Sequence[int] | None = None,
    pooling: Pooling = "mean",
    tsne: MapSettings | None = None,
    device: str | None = None,
    batch_size: int = 32,
    renderer: str | None = None,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Lay sentences of several languages out on maps, and write ``map.csv``, .html, .png and .svg.

    Args:
        model: A checkpoint of any kind.
        data_dir: Parallel text, a folder a language, see :func:`read_parallel`.
        languages: Their folders.
        output_dir: Gets the maps and the settings.
        split: Of the data.
        layers: Numbers; None: all.
        pooling: How a text becomes one vector.
        tsne: Its settings; None: as published.
        device: Where to run.
        batch_size: Texts of a batch.
        renderer: Where the renderer comes from, for a checkpoint that has none.
        overwrite: Replace the results of an earlier analysis.

    Returns:
        The rows of the table: a text and layer each

    Raises:
        ValueError: The data, the model or a setting is no good, or there are results already.
        OSError: A file cannot be read or written.
    """
    target = _claim(output_dir, "map", overwrite)
    parallel = read_parallel(data_dir, languages, split)
    groups = [language for language, lines in parallel.items() for _ in lines]
    texts = [line for lines in parallel.values() for line in lines]
    tsne = tsne or MapSettings()
    tsne.check(len(texts))
    output_dir.mkdir(parents=True, exist_ok=True)
    transformers_logging.disable_progress_bar()
    states = PixelStates.open(model, device=device, batch_size=batch_size, renderer=renderer)
    numbers = states.numbers(layers)
    vectors = states.embed(texts, numbers, pooling)
    console = plain_console()
    places: dict[int, np.ndarray] = {}
    for layer, rows in zip(numbers, vectors, strict=True):
        places[layer] = lay_out(rows, tsne)
        share = same_neighbours(rows, groups)
        console.print(
            f"layer {layer}: of a text's ten nearest, {100 * share:.0f} % are of its language "
            f"(chance {100 / len(parallel):.0f} %)"
        )
    found = [
        {"layer": layer, "language": group, "x": round(float(x), 3), "y": round(float(y), 3), "text": text}
        for layer, points in places.items()
        for group, text, (x, y) in zip(groups, texts, points, strict=True)
    ]
    with replacing(output_dir / "map.html") as scratch:
        scratch.write_text(page(places, groups, texts, f"{model}: map of sentences"), encoding="utf-8")
    try:
        draw(places, groups, output_dir / "map")
    except ImportError:
        console.print(_NO_PLOTS)
    settings = {
        "analysis": "map",
        "model": model,
        "data": str(data_dir),
        "languages": list(languages),
        "split": split,
        "layers": layers,
        "pooling": pooling,
        "tsne": asdict(tsne),
    }
    _write(found, target, settings)
    return found


def analyze_robustness(
    model: str,
    data: Path,
    output_dir: Path,
    *,
    split: str = "test",
    attacks: Sequence[str] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    sentences: int | None = None,
    seed: int = 0,
    device: str | None = None,
    batch_size: int = 32,
    renderer: str | None = None,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Score a fine-tuned model on attacked words, and write ``robustness.csv``, .png and .svg.

    Args:
        model: A model fine-tuned for a task of words: a parser, a tagger, or of named entities.
        data: A file with annotation, or the folder of a data set.
        output_dir: Gets the table and the settings.
        split: Of a folder.
        attacks: Names; None: all.
        strengths: From 0, which changes nothing, to 1.
        sentences: Evenly taken, so many at most; None: all.
        seed: Of the attacks.
        device: Where to run.
        batch_size: Parts of sentences of a batch.
        renderer: Where the renderer comes from, for a checkpoint that has none.
        overwrite: Replace the results of an earlier analysis.

    Returns:
        The rows of the table: an attack and strength each

    Raises:
        ValueError: The data, the model or a setting is no good, or there are results already.
        OSError: A file cannot be read or written.
    """
    target = _claim(output_dir, "robustness", overwrite)
    names = list(attacks or ATTACKS)
    for name in names:
        for strength in strengths:
            attack([], name, strength, seed)  # a wrong one is told before anything is opened
    if sentences is not None and sentences < 1:
        raise UserError(f"--sentences must be at least 1, got {sentences}")
    transformers_logging.disable_progress_bar()
    task, network = open_task(model, device=device, renderer=renderer)
    gold = task.read(data, split) if data.is_dir() else task.read_file(data)
    if not hasattr(gold[0], "words"):
        raise UserError(f"attacks are on words, and {model} is for {task.name}, which has none")
    gold = evenly(gold, sentences)
    output_dir.mkdir(parents=True, exist_ok=True)
    metric = task.best_metric
    console = plain_console()
    rows: list[dict[str, Any]] = []
    for row in score_attacked(task, network, gold, names, strengths, batch_size=batch_size, seed=seed):
        rows.append(row)
        words, patches = (f"{100 * row[what]:.0f} %" for what in ("words_changed", "patches_changed"))
        console.print(
            f"{row['attack']:12} {row['strength']:4g}: {metric} {row[metric]:5.1f}, "
            f"{words} of words and {patches} of patches changed"
        )
    try:
        draw_curves(rows, metric, output_dir / "robustness")
    except ImportError:
        console.print(_NO_PLOTS)
    settings = {
        "analysis": "robustness",
        "model": model,
        "data": str(data),
        "split": split if data.is_dir() else None,
        "sentences": len(gold),
        "attacks": names,
        "strengths": list(strengths),
        "seed": seed,
    }
    _write(rows, target, settings)
    return rows


def analyze_probe(
    model: str,
    data_dir: Path,
    output_dir: Path,
    *,
    tasks: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    pooling: Pooling = "published",
    controls: bool = True,
    device: str | None = None,
    batch_size: int = 32,
    renderer: str | None = None,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Train linear classifiers of words on every layer, and write ``probing.csv``.

    Args:
        model: A checkpoint of any kind.
        data_dir: Folders ``TASK/LANGUAGE`` with train, dev and test, as LINSPECTOR has them.
        output_dir: Gets the table and the settings.
        tasks: Names of tasks; None: all that are there.
        languages: Names of languages; None: all that are there.
        layers: Numbers; None: all.
        pooling: How a word becomes one vector.
        controls: Whether the controls are there: random weights, shuffled labels, the mean patch, character
            n-grams, the most frequent label.
        device: Where to run the model.
        batch_size: Words of a batch.
        renderer: Where the renderer comes from, for a checkpoint that has none.
        overwrite: Replace the results of an earlier analysis.

    An analysis that was stopped goes on with the next task and language when it is called again.

    Returns:
        The rows of the table

    Raises:
        ValueError: The data, the model or a setting is no good, or there are results already.
        OSError: A file cannot be read or written.
    """
    target = _claim(output_dir, "probing", overwrite)
    folders = find_tasks(data_dir, tasks, languages)
    words = {folder: read_task(folder) for folder in folders}
    output_dir.mkdir(parents=True, exist_ok=True)
    transformers_logging.disable_progress_bar()
    options: dict[str, Any] = {"device": device, "batch_size": batch_size, "renderer": renderer}
    trained = PixelStates.open(model, **options)
    numbers = trained.numbers(layers)
    torch.manual_seed(ProbeSettings.seed)
    random = PixelStates.open(model, random_weights=True, **options) if controls else None
    settings = {
        "analysis": "probe",
        "model": model,
        "data": str(data_dir),
        "tasks": sorted({folder.parent.name for folder in folders}),
        "languages": sorted({folder.name for folder in folders}),
        "layers": layers,
        "pooling": pooling,
        "controls": controls,
        "classifier": asdict(ProbeSettings()),
    }
    unfinished = output_dir / _UNFINISHED
    # The same names may stand for other words or weights by now.
    begun = json.loads(json.dumps({**settings, "content": _checksum(words, trained)}))
    rows = _finished_rows(unfinished, begun, overwrite)
    done = {(row["task"], row["language"]) for row in rows}
    for folder in folders:
        names = {"task": folder.parent.name, "language": folder.name}
        if tuple(names.values()) not in done:
            for kind, layer, found in _probe_all(words[folder], trained, random, numbers, pooling):
                accuracies = {"dev": round(found.dev, 4), "test": round(found.test, 4)}
                about = {"representation": kind, "layer": layer, **accuracies, "decay": found.decay}
                rows.append({**names, **about})
            with replacing(unfinished) as scratch:
                scratch.write_text(json.dumps({"settings": begun, "rows": rows}), encoding="utf-8")
        _show_probe(rows, names)
    _write(rows, target, settings)
    unfinished.unlink()
    return rows


def _checksum(words: Mapping[Path, Mapping[str, Words]], states: PixelStates) -> int:
    """Of the words, their labels, and the weights."""
    total = zlib.crc32(repr(list(words.values())).encode())
    for values in states.model.state_dict().values():
        total = zlib.crc32(values.contiguous().cpu().numpy().tobytes(), total)
    return total


def _finished_rows(path: Path, settings: Mapping[str, Any], overwrite: bool) -> list[dict[str, Any]]:
    """What an analysis with the same settings had found when it was stopped."""
    if not path.exists():
        return []
    earlier = json.loads(path.read_text(encoding="utf-8"))
    if earlier["settings"] == settings:
        return earlier["rows"]
    if overwrite:
        return []
    raise UserError(
        f"{path} is of an analysis with other settings, words or weights, which was stopped; repeat its "
        "command to go on with it, replace it with --overwrite, or choose another --output_dir"
    )


def find_tasks(data_dir: Path, tasks: Sequence[str] | None, languages: Sequence[str] | None) -> list[Path]:
    """The folders ``TASK/LANGUAGE`` that are asked for and there.

    Raises:
        UserError: A name is nowhere; says which there are.
    """
    folders = (path for path in data_dir.glob("*/*") if path.is_dir())
    there = sorted(path for path in folders if not path.parent.name.startswith("."))
    if not there:
        raise UserError(f"{data_dir} has no folders TASK/LANGUAGE with train.txt, dev.txt and test.txt")
    for what, asked, known in (
        ("task", tasks, {path.parent.name for path in there}),
        ("language", languages, {path.name for path in there}),
    ):
        for name in asked or ():
            if name not in known:
                raise UserError(f"{data_dir} has no {what} {name!r}; it has {', '.join(sorted(known))}")
    chosen = [
        path
        for path in there
        if path.parent.name in (tasks or [path.parent.name]) and path.name in (languages or [path.name])
    ]
    if not chosen:
        raise UserError(f"{data_dir} has none of these tasks in any of these languages")
    return chosen


def _probe_all(
    words: Mapping[str, Words],
    trained: PixelStates,
    random: PixelStates | None,
    layers: Sequence[int],
    pooling: Pooling,
) -> Iterator[tuple[str, int | None, Probed]]:
    """The model's layers, then the controls: kind, layer, and what is reached."""
    classes, labels = numbered(words)

    def states(source: PixelStates) -> dict[str, np.ndarray]:
        return {split: source.embed(words[split].texts, layers, pooling) for split in SPLITS}

    own = states(trained)
    yield from (("trained", *pair) for pair in zip(layers, probe(own, labels, len(classes)), strict=True))
    if random is None:
        return
    shuffled = np.random.default_rng(ProbeSettings.seed).permutation(labels["train"])
    chance = probe(own, {**labels, "train": shuffled}, len(classes))
    yield from (("shuffled labels", *pair) for pair in zip(layers, chance, strict=True))
    del own
    found = probe(states(random), labels, len(classes))
    yield from (("random weights", *pair) for pair in zip(layers, found, strict=True))
    pixels = {split: pixel_statistics(trained.renderer, words[split].texts) for split in SPLITS}
    yield "mean patch", None, probe(pixels, labels, len(classes))[0]
    yield "character n-grams", None, ngram_model(words)
    yield "most frequent label", None, majority(words)


def _show_probe(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> None:
    """A line for each kind: the best layer by dev, and its accuracy on test."""
    console = plain_console(soft_wrap=False)
    console.print(f"{names['task']}, {names['language']}: accuracy on test", style="bold")
    chosen = [row for row in rows if all(row[key] == value for key, value in names.items())]
    for kind in dict.fromkeys(row["representation"] for row in chosen):
        best = max((row for row in chosen if row["representation"] == kind), key=lambda row: row["dev"])
        where = "" if best["layer"] is None else f" (layer {best['layer']}, chosen on dev)"
        console.print(f"  {kind:20}{100 * best['test']:6.1f}{where}")


def _write(rows: Sequence[Mapping[str, Any]], target: Path, settings: Mapping[str, Any]) -> None:
    """A tidy table, the settings, and the command that makes it again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as scratch, scratch.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    command = " ".join(redact_command([Path(sys.argv[0]).name, *sys.argv[1:]]).split())
    content = {"version": __version__, "command": command, **settings}
    with replacing(target.with_name(SETTINGS)) as scratch:
        scratch.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _show(rows: Sequence[Mapping[str, Any]], count: int) -> None:
    """Means over all directions, a line a layer."""
    measures = [name for name in rows[0] if name.startswith(("recall", "mrr"))]
    kinds = list(dict.fromkeys(row["weights"] for row in rows))
    table = Table(box=None, pad_edge=False)
    table.add_column("layer", justify="right")
    for kind in kinds:
        for measure in measures:
            table.add_column(Text(f"{measure.removeprefix('recall')} {kind}"), justify="right")
    for layer in dict.fromkeys(row["layer"] for row in rows):
        cells = []
        for kind in kinds:
            chosen = [row for row in rows if row["layer"] == layer and row["weights"] == kind]
            cells += [f"{np.mean([row[measure] for row in chosen]):.3f}" for measure in measures]
        table.add_row(str(layer), *cells)
    console = plain_console(soft_wrap=False)
    console.print(table)
    console.print(
        f"recall@k and mean reciprocal rank over all directions, {count} sentences a language; "
        f"chance is k / {count}"
    )
