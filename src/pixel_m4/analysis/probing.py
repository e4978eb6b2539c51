"""Word-level probing on every layer, beside controls that make it science (LINSPECTOR)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixel_m4.analysis.classifiers import (
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
from pixel_m4.analysis.figures import draw_layers
from pixel_m4.analysis.results import Results
from pixel_m4.analysis.states import PixelStates, Pooling, Running, pixel_statistics
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.files import replacing
from pixel_m4.render import TextRenderer

# What a stopped analysis had found.
_UNFINISHED = "probing.unfinished.json"


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
    keep_patience: bool = False,
    running: Running = Running(),
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
        controls: Whether the controls are there: random weights, shuffled labels, the mean patch (of pixel
            models), character n-grams, the most frequent label.
        keep_patience: See :class:`~pixel_m4.analysis.classifiers.ProbeSettings`.
        running: Where and how the model runs.
        overwrite: Replace the results of an earlier analysis.

    An analysis that was stopped goes on with the next task and language when it is called again.

    Returns:
        The rows of the table

    Raises:
        ValueError: The data, the model or a setting is no good, or there are results already.
        OSError: A file cannot be read or written.
    """
    results = Results(output_dir, "probing", overwrite)
    folders = find_tasks(data_dir, tasks, languages)
    words = {folder: read_task(folder) for folder in folders}
    output_dir.mkdir(parents=True, exist_ok=True)
    trained = running.states(model)
    numbers = trained.numbers(layers)
    classifier = ProbeSettings(keep_patience=keep_patience)
    torch.manual_seed(classifier.seed)
    random = running.states(model, random_weights=True) if controls else None
    settings = {
        "model": model,
        "data": str(data_dir),
        "tasks": sorted({folder.parent.name for folder in folders}),
        "languages": sorted({folder.name for folder in folders}),
        "layers": layers,
        "pooling": pooling,
        "controls": controls,
        "classifier": asdict(classifier),
    }
    unfinished = output_dir / _UNFINISHED
    # The same names may stand for other words or weights by now.
    begun = json.loads(json.dumps({**settings, "content": _checksum(words, trained)}))
    rows = _finished_rows(unfinished, begun, overwrite)
    done = {(row["task"], row["language"]) for row in rows}
    for folder in folders:
        names = {"task": folder.parent.name, "language": folder.name}
        if tuple(names.values()) not in done:
            for kind, layer, found in _probe_all(
                words[folder], trained, random, numbers, pooling, classifier
            ):
                accuracies = {"dev": round(found.dev, 4), "test": round(found.test, 4)}
                about = {"representation": kind, "layer": layer, **accuracies, "decay": found.decay}
                rows.append({**names, **about})
            with replacing(unfinished) as scratch:
                scratch.write_text(json.dumps({"settings": begun, "rows": rows}), encoding="utf-8")
        _show_probe(rows, names)
    results.draw(_draw, rows)
    results.write(rows, settings)
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
    classifier: ProbeSettings,
) -> Iterator[tuple[str, int | None, Probed]]:
    """The model's layers, then the controls: kind, layer, and what is reached."""
    classes, labels = numbered(words)

    def states(source: PixelStates) -> dict[str, np.ndarray]:
        return {split: source.embed(words[split].texts, layers, pooling) for split in SPLITS}

    own = states(trained)
    yield from (
        ("trained", *pair) for pair in zip(layers, probe(own, labels, len(classes), classifier), strict=True)
    )
    if random is None:
        return
    shuffled = np.random.default_rng(classifier.seed).permutation(labels["train"])
    chance = probe(own, {**labels, "train": shuffled}, len(classes), classifier)
    yield from (("shuffled labels", *pair) for pair in zip(layers, chance, strict=True))
    del own
    found = probe(states(random), labels, len(classes), classifier)
    yield from (("random weights", *pair) for pair in zip(layers, found, strict=True))
    renderer = trained.renderer
    if isinstance(renderer, TextRenderer):
        pixels = {split: pixel_statistics(renderer, words[split].texts) for split in SPLITS}
        yield "mean patch", None, probe(pixels, labels, len(classes), classifier)[0]
    yield "character n-grams", None, ngram_model(words)
    yield "most frequent label", None, majority(words)


def _draw(rows: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Accuracy on test, a panel a task and language, layer by layer."""
    panels: dict[str, dict[str, dict[int | None, float]]] = {}
    for row in rows:
        lines = panels.setdefault(f"{row['task']}, {row['language']}", {})
        lines.setdefault(row["representation"], {})[row["layer"]] = 100 * row["test"]
    return draw_layers(panels, "accuracy", path)


def _show_probe(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> None:
    """A line for each kind: the best layer by dev, and its accuracy on test."""
    console = plain_console(soft_wrap=False)
    console.print(f"{names['task']}, {names['language']}: accuracy on test", style="bold")
    chosen = [row for row in rows if all(row[key] == value for key, value in names.items())]
    for kind in dict.fromkeys(row["representation"] for row in chosen):
        best = max((row for row in chosen if row["representation"] == kind), key=lambda row: row["dev"])
        where = "" if best["layer"] is None else f" (layer {best['layer']}, chosen on dev)"
        console.print(f"  {kind:20}{100 * best['test']:6.1f}{where}")
