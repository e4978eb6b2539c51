"""Attacked copies of data sets, to train on, as in the published protocol: a model for each attack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from pixel_m4.analysis.attacked import LookAlikes, aligned, attacked, means_of, words_of
from pixel_m4.analysis.respellings import read_typos
from pixel_m4.analysis.results import write_settings
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.files import COMPRESSED, DataError, writing
from pixel_m4.formats.conllu import Sentence, write_conllu
from pixel_m4.formats.folders import MissingSplitError
from pixel_m4.formats.iob import TaggedSentence, write_iob2
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.registry import TASKS
from pixel_m4.tasks.splits import SPLITS

RECORD = "attack.json"
"""How attacked data came about, beside them."""


def attack_data(
    source: Path,
    output_dir: Path,
    *,
    task: str,
    name: str,
    strength: float,
    seed: int = 0,
    look_alikes: LookAlikes = "all",
    typos: Path | None = None,
) -> list[Path]:
    """Write a data set with attacked words, or joined texts; annotation stays, and so do the splits.

    Args:
        source: A folder with splits, or a file.
        output_dir: Gets a file a split, and ``attack.json`` with the settings.
        task: Whose data these are: parsing, pos, ner or classification.
        name: Of the attack, see :func:`~pixel_m4.analysis.attacked.attacked`, as of the rest.
        strength: From 0, which changes nothing, to 1.
        seed: Of the attack; the same as in ``analyze robustness`` gives the same words.
        look_alikes: Which ones confusables take, see :func:`~pixel_m4.analysis.attacked.means_of`.
        typos: A file of misspellings, for natural_typo.

    Returns:
        The files with data

    Raises:
        ValueError: The data or a setting is no good, or a file is there that would be replaced.
        OSError: A file cannot be read or written.
    """
    renderer = TextRenderer()
    reader = TASKS[task](renderer)
    means = means_of(renderer, look_alikes, None if typos is None else read_typos(typos))
    attacked([], name, strength, seed, means)  # a wrong setting is told before anything is read
    if output_dir.exists() and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise UserError(f"{output_dir} is there already, and not empty; take a new folder for --output_dir")
    data = _read(reader, source)
    copies = {split: attacked(gold, name, strength, seed, means) for split, gold in data.items()}
    output_dir.mkdir(parents=True, exist_ok=True)
    counts: dict[str, Any] = {}
    for split, examples in copies.items():
        file = output_dir / f"{split}{reader.suffix}"
        with writing(file) as stream:
            _dump(examples, stream)
        pairs = [
            pair
            for old, new in zip(data[split], examples, strict=True)
            for pair in aligned(words_of(old), words_of(new))
        ]
        words = sum(len(parts) for parts, _ in pairs)
        changed = sum(len(parts) for parts, word in pairs if parts != (word,))
        counts[file.name] = {"examples": len(examples), "words": words, "words_changed": changed}
        plain_console().print(f"{file}: {changed:,} of {words:,} words changed")
    settings = {
        "source": str(source),
        "task": task,
        "attack": name,
        "strength": strength,
        "seed": seed,
        "look_alikes": look_alikes,
        "typos": None if typos is None else str(typos),
        "files": counts,
    }
    write_settings(output_dir / RECORD, settings)
    return [output_dir / file for file in counts]


def _read(reader: Task, source: Path) -> dict[str, list[Any]]:
    """The splits that a folder has, or a file by its name."""
    if not source.is_dir():
        name = source.with_suffix("") if source.suffix in COMPRESSED else source
        return {name.stem: reader.read_file(source)}
    data = {}
    for split in SPLITS:
        with suppress(MissingSplitError):
            data[split] = reader.read(source, split)
    if not data:
        raise DataError(
            f"{source} has no file of {', '.join(SPLITS)} that {reader.name} reads; name a file, or another "
            "folder"
        )
    return data


def _dump(examples: Sequence[Any], stream: TextIO) -> None:
    """Write examples, with their annotation, in the format of their task."""
    if isinstance(examples[0], Sentence):
        write_conllu(examples, stream)
    elif isinstance(examples[0], TaggedSentence):
        write_iob2(examples, stream)
    else:
        for example in examples:
            columns = {"text": example.text, "pair": example.pair, "label": example.label}
            given = {key: value for key, value in columns.items() if value is not None}
            stream.write(json.dumps(given, ensure_ascii=False) + "\n")
