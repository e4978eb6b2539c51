"""Corpora packed ahead of training: shards of blocks (texts, not pixels) in parquet, and a manifest.

A shard is the share of a language's documents that one reader reads, packed by itself.  It depends on nothing
but the text and the settings, so that engines, machines and interrupted runs all write the same shards.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from inspect import signature
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.corpus.packing import Cleaner, Packed, Packer
from pixel_m4.corpus.sources import FileSource, Source, deal, fingerprint, local_sources
from pixel_m4.files import replacing
from pixel_m4.render import TextRenderer
from pixel_m4.render.fonts import sha256

MANIFEST = "manifest.json"
ENGINES = ("local", "ray")
_FORMAT = 1
_SETTINGS_KEY = b"pixel_m4"
_ROW_GROUP = 512  # blocks that are in memory at once
_MOST_SCANS = 32  # shards that are made of one file, which is read again for each


@dataclass(frozen=True, kw_only=True)
class PreparedSource:
    """Blocks that are packed already.

    Args:
        files: shards.
        settings: what they were packed with, from the manifest.
    """

    files: tuple[Path, ...]
    settings: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of the shards."""
        return sum(file.stat().st_size for file in self.files)

    def identity(self) -> list[Any]:
        """What tells these blocks from others, as JSON."""
        return [[file.name, *fingerprint(file)] for file in self.files]

    def open(self, share: int, shares: int, position: Mapping[str, Any] | None = None) -> Any:
        """Not a reader of documents: see :class:`PreparedBlocks`."""
        raise TypeError("a prepared corpus holds blocks, not documents")


class PreparedBlocks:
    """Gives blocks of shards as they are; otherwise like :class:`~pixel_m4.corpus.packing.Packer`.

    A share is whole shards if they can be dealt out evenly, else every n-th block.  The last
    block of a shard is left out if it holds less than ``min_patches``.

    Raises:
        ValueError: there is no block in the share, or a shard is damaged.
    """

    def __init__(
        self,
        source: PreparedSource,
        share: int,
        shares: int,
        *,
        min_patches: int = 0,
        repeat: bool,
        name: str,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        dealt = deal([file.stat().st_size for file in source.files], shares)
        self._files = source.files if dealt is None else [source.files[i] for i in dealt[share]]
        self._start, self._step = (share, shares) if dealt is None else (0, 1)
        self._repeat, self._name, self._min = repeat, name, min_patches
        self.epoch, self._number, self.done = 0, 0, False
        self._some = False  # this pass has given a block
        self.dropped_patches = 0
        if state:
            self.epoch, self._number, self.done = state["epoch"], state["block"], state["done"]
            self._some, self.dropped_patches = state["some"], state["dropped"]
        self._blocks = self._open()

    def state(self) -> dict[str, Any]:
        """Where the next block is, as JSON."""
        return {
            "epoch": self.epoch,
            "block": self._number,
            "some": self._some,
            "done": self.done,
            "dropped": self.dropped_patches,
        }

    def next(self) -> Packed | None:
        """The next block, or None at the end."""
        while not self.done:
            block, last = next(self._blocks, (None, False))
            if block is not None:
                self._number += 1
                if last and block.num_patches < self._min:
                    self.dropped_patches += block.num_patches
                    continue
                self._some = True
                return block
            if not self._repeat:
                self.done = True
            elif not self._some:
                raise UserError(f"no block for {self._name} in this share; use fewer ranks or workers")
            else:
                self.epoch, self._number, self._some = self.epoch + 1, 0, False
                self._blocks = self._open()
        return None

    def _open(self) -> Iterator[tuple[Packed, bool]]:
        """Blocks, and whether each is the last one of its shard."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        skip = self._start + self._number * self._step  # blocks of all files until ours
        for path in self._files:
            try:
                with pq.ParquetFile(path) as file:
                    if skip >= file.metadata.num_rows:
                        skip -= file.metadata.num_rows
                        continue
                    left = file.metadata.num_rows
                    for group in range(file.num_row_groups):
                        rows = file.metadata.row_group(group).num_rows
                        if skip < rows:
                            table = file.read_row_group(group)
                            for row in range(skip, rows, self._step):
                                texts = table["texts"][row].as_py()
                                block = Packed(tuple(texts), table["num_patches"][row].as_py())
                                yield block, row == left - 1
                                skip += self._step
                        skip -= rows
                        left -= rows
            except pa.ArrowException as error:
                raise UserError(f"{path}: not a whole shard ({error}); prepare it again") from error


def prepared_sources(folder: Path | str, languages: Sequence[str] | None = None) -> dict[str, Source]:
    """The languages of a prepared corpus.

    Raises:
        ValueError: the manifest is damaged or of another version, a language or a shard is missing.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        there, settings = manifest["languages"], manifest["settings"]
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} is not a manifest of a prepared corpus: {error}") from error
    if manifest.get("format") != _FORMAT:
        raise UserError(
            f"{path} is of format {manifest.get('format')}, not {_FORMAT}; prepare the corpus again"
        )
    found: dict[str, Source] = {}
    for language in there if languages is None else languages:
        if language not in there:
            raise UserError(f"no text of {language} in {folder}; languages there: {', '.join(there)}")
        files = tuple(Path(folder) / shard["file"] for shard in there[language]["shards"])
        for file, shard in zip(files, there[language]["shards"], strict=True):
            if not file.is_file() or file.stat().st_size != shard["bytes"]:
                raise UserError(f"{file} is missing or not as {path} says; prepare the corpus again")
        found[language] = PreparedSource(files=files, settings=settings)
    return found


def packing_settings(renderer: TextRenderer, max_seq_length: int, min_patches: int) -> dict[str, Any]:
    """All that blocks depend on beside the text; fonts by what is in them."""
    return {
        "max_seq_length": max_seq_length,
        "min_patches": min_patches,
        "font_sha256": [font.sha256 for font in renderer.fonts],
        "font_size": renderer.font_size,
        "dpi": renderer.dpi,
        "pixels_per_patch": renderer.pixels_per_patch,
        "strategy": renderer.strategy,
    }


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """One shard to write, in a form that any engine can send to any machine."""

    language: str
    files: tuple[str, ...]
    line_documents: bool
    share: int
    shares: int
    max_seq_length: int
    min_patches: int
    renderer: str  # its arguments, as JSON
    settings: str
    output: str


def renderer_arguments(renderer: TextRenderer) -> str:
    """All arguments that a renderer was made with, as JSON; paths are absolute."""
    found = {name: getattr(renderer, name) for name in signature(TextRenderer).parameters}
    return json.dumps({n: str(v.absolute()) if isinstance(v, Path) else v for n, v in found.items()})


@lru_cache(maxsize=1)
def _renderer(arguments: str) -> TextRenderer:
    return TextRenderer(**json.loads(arguments))


def write_shard(task: ShardTask) -> dict[str, Any]:
    """Write one shard, unless it is there, made of the same text with the same settings.

    Returns:
        its entry in the manifest.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(task.output)
    if path.is_file():
        found = (pq.read_schema(path).metadata or {}).get(_SETTINGS_KEY)
        if found == task.settings.encode():
            return _entry(path)
    renderer = _renderer(task.renderer)
    source = FileSource(files=tuple(map(Path, task.files)), line_documents=task.line_documents)
    packer = Packer(
        source,
        renderer,
        Cleaner(renderer.covers),
        task.share,
        task.shares,
        max_seq_length=task.max_seq_length,
        min_patches=task.min_patches,
        repeat=False,
        name=task.language,
    )
    schema = pa.schema([("texts", pa.list_(pa.string())), ("num_patches", pa.int32())])
    schema = schema.with_metadata({_SETTINGS_KEY: task.settings.encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as scratch, pq.ParquetWriter(scratch, schema, compression="zstd") as writer:
        blocks: list[Packed] = []
        while True:
            block = packer.next()
            if block is not None:
                blocks.append(block)
            if len(blocks) == _ROW_GROUP or (block is None and blocks):
                columns = [
                    [list(block.texts) for block in blocks],
                    [block.num_patches for block in blocks],
                ]
                arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                blocks = []
            if block is None:
                break
        writer.add_key_value_metadata({"dropped_patches": str(packer.dropped_patches)})
    return _entry(path)


def _entry(path: Path) -> dict[str, Any]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        patches = pc.sum(file.read(columns=["num_patches"])["num_patches"]).as_py() or 0
        return {
            "file": f"{path.parent.name}/{path.name}",
            "blocks": file.metadata.num_rows,
            "patches": patches,
            "dropped_patches": int(file.metadata.metadata[b"dropped_patches"]),
            "bytes": path.stat().st_size,
            "sha256": sha256(path),
        }


def shard_count(source: FileSource, shards: int | None, megabytes: int = 64) -> int:
    """How many shards a language gets: as asked for, or of about so many megabytes of (compressed) text."""
    if shards is not None:
        return shards
    wanted = max(1, math.ceil(source.size / (megabytes << 20)))
    sizes = [file.stat().st_size for file in source.files]
    whole = next((n for n in range(wanted, wanted // 2, -1) if deal(sizes, n) is not None), None)
    return whole or min(wanted, _MOST_SCANS)


def prepare(
    data_dir: Path | str,
    output_dir: Path | str,
    *,
    languages: Sequence[str] | None = None,
    renderer: TextRenderer | None = None,
    max_seq_length: int | None = None,
    min_patches: int = 23,
    shards: int | None = None,
    engine: str = "local",
    workers: int = 1,
) -> dict[str, Any]:
    """Pack a corpus into shards; those that are there already are kept, so that it can be interrupted.

    Args:
        data_dir: as for :func:`~pixel_m4.corpus.sources.local_sources`; seen by all machines under this name.
        output_dir: where the shards go, seen by all machines.
        languages: default all that there are.
        renderer: bigrams; default the default font in its default size.
        max_seq_length: patches of a block; default the renderer's.
        min_patches: what the last block of a shard must hold.
        shards: of each language; default one for each 64 MB, of whole files where these can be dealt out
            evenly.  Otherwise every shard reads all files, so split very large ones beforehand.
        engine: ``local`` or ``ray``.
        workers: processes of the local engine; tasks at a time on Ray, which may be in use by others.

    Returns:
        the manifest.

    Raises:
        ValueError: an option has an unknown value, or the text is damaged.
        ModuleNotFoundError: Ray is not installed.
    """
    if engine not in ENGINES:
        raise UserError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    if workers < 1 or (shards is not None and shards < 1):
        raise UserError(f"workers and shards must be 1 or more, not {workers} and {shards}")
    if (Path(data_dir) / MANIFEST).is_file():
        raise UserError(f"{data_dir} is a prepared corpus already")
    if renderer is None:
        renderer = TextRenderer(max_seq_length=529 if max_seq_length is None else max_seq_length)
    length = renderer.max_seq_length if max_seq_length is None else max_seq_length
    if not 2 <= length <= renderer.max_seq_length:
        raise UserError(f"max_seq_length must be 2 to {renderer.max_seq_length} (renderer), not {length}")
    if not 0 <= min_patches <= length:
        raise UserError(f"min_patches must be 0 to {length} (max_seq_length), not {min_patches}")
    if renderer.strategy != "bigrams":
        raise UserError(f"only bigrams are packed ahead of training, not {renderer.strategy!r}")
    settings = packing_settings(renderer, length, min_patches)
    root = Path(output_dir).absolute()
    arguments = renderer_arguments(renderer)
    tasks = []
    for language, source in local_sources(Path(data_dir).absolute(), languages).items():
        assert isinstance(source, FileSource)
        count = shard_count(source, shards)
        text = [(str(file), *fingerprint(file)) for file in source.files]
        for share in range(count):
            digest = json.dumps([settings, text, share, count, source.line_documents])
            tasks.append(
                ShardTask(
                    language=language,
                    files=tuple(map(str, source.files)),
                    line_documents=source.line_documents,
                    share=share,
                    shares=count,
                    max_seq_length=length,
                    min_patches=min_patches,
                    renderer=arguments,
                    settings=hashlib.sha256(digest.encode()).hexdigest(),
                    output=str(root / language / f"{share:05d}-of-{count:05d}.parquet"),
                )
            )
    entries = list((_run_on_ray if engine == "ray" else _run_here)(tasks, workers))
    manifest = {
        "format": _FORMAT,
        "settings": settings,
        "languages": _summary(tasks, entries, length),
    }
    with replacing(root / MANIFEST) as scratch:
        scratch.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def _summary(tasks: Sequence[ShardTask], entries: Iterable[dict[str, Any]], length: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for task, entry in zip(tasks, entries, strict=True):
        found.setdefault(task.language, {"shards": []})["shards"].append(entry)
    for language, summary in found.items():
        for key in ("blocks", "patches", "dropped_patches"):
            summary[key] = sum(entry[key] for entry in summary["shards"])
        if not summary["blocks"]:
            raise UserError(f"the corpus of {language} is empty once it is cleaned")
        summary["fill_rate"] = summary["patches"] / (summary["blocks"] * length)
    return found


def _run_here(tasks: Sequence[ShardTask], workers: int) -> Iterator[dict[str, Any]]:
    if workers == 1:
        yield from map(write_shard, tasks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(write_shard, tasks)


def _run_on_ray(tasks: Sequence[ShardTask], workers: int) -> Iterator[dict[str, Any]]:
    """One row a shard through Ray Data; rows come back in any order."""
    try:
        import ray.data
    except ImportError as error:
        raise UserError("--engine ray needs Ray: pip install 'pixel-m4[ray]'") from error
    rows = [{"number": i, "task": json.dumps(asdict(task))} for i, task in enumerate(tasks)]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
    done = dataset.map(_ray_row, concurrency=workers).take_all()
    for row in sorted(done, key=lambda row: row["number"]):
        yield json.loads(row["entry"])


def _ray_row(row: dict[str, Any]) -> dict[str, Any]:
    task = json.loads(row["task"])
    task["files"] = tuple(task["files"])
    return {"number": row["number"], "entry": json.dumps(write_shard(ShardTask(**task)))}
