"""The command `data fetch`: public data sets, from their homes into folders that `finetune` reads."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from pixel_m4.download import DownloadError, download
from pixel_m4.files import replacing
from pixel_m4.homes import SOURCES, Item
from pixel_m4.render.fonts import sha256
from pixel_m4.screen import plain_console

RECORD = "fetched.json"
DOWNLOADS = ".downloads"
_NAME = re.compile(r"\w[\w.-]*")


def list_sources() -> None:
    """Print what can be fetched."""
    table = Table("set", "what", "names", "licence")
    for name, source in SOURCES.items():
        table.add_row(name, source.title, source.names, source.licence)
    plain_console(soft_wrap=False).print(table)


def fetch(
    name: str,
    names: Sequence[str],
    output_dir: Path,
    *,
    release: str = "2.10",
    mirror: str | None = None,
    retries: int = 4,
    wait: float = 1.0,
) -> list[Path]:
    """Fetch parts of a data set; what is there already is not fetched again.

    ``fetched.json`` in the output folder tells where each file came from, and its SHA-256.

    Args:
        name: a key of :data:`SOURCES`.
        names: parts, such as languages or treebanks; ``all`` where the source offers it.
        output_dir: gets a folder for the data set.
        release: of Universal Dependencies.
        mirror: start of URLs that hold the same files: ``https://host/path`` becomes ``MIRROR/host/path``.
        retries: further attempts for each file.
        wait: seconds before the first of them.

    Returns:
        The files and folders that were asked for.

    Raises:
        ValueError: there is no such data set or part, or what arrived is not what it should be.
        DownloadError: a file cannot be fetched.
    """
    if name not in SOURCES:
        raise ValueError(f"no data set {name!r}; there are {', '.join(SOURCES)}")
    source = SOURCES[name]
    asked = list(source.all) if list(names) in ([], ["all"]) and source.all else list(names)
    if not asked:
        raise ValueError(f"say what of {name} is wanted: {source.names}")
    for part in asked:
        if not _NAME.fullmatch(part) or ".." in part or (source.all and part not in source.all):
            raise ValueError(f"{name} has no {part!r}; it has {source.names}")
    console = plain_console(stderr=True)
    console.print(f"{source.title}. Licence: {source.licence}")
    reached = []
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        for part in asked:
            for item in source.items(part, release):
                try:
                    _one(item, output_dir, mirror, retries, wait, progress)
                except DownloadError as error:
                    if error.status == 404:
                        hint = f"is {part!r} a name of {name}? It has {source.names}"
                    elif error.status is None and error.__cause__ is not None:  # not a wrong digest
                        hint = f"without a network, copy the folder {output_dir / item.path} from a computer "
                        hint += "where this command has run"
                    else:
                        raise
                    raise DownloadError(f"{error}; {hint}", error.status) from error
                reached.append(output_dir / item.path)
    shutil.rmtree(output_dir / DOWNLOADS, ignore_errors=True)
    for path in dict.fromkeys(reached):
        console.print(f"{path}")
    return reached


def _one(
    item: Item, output_dir: Path, mirror: str | None, retries: int, wait: float, progress: Progress
) -> None:
    record, key = _read_record(output_dir), f"{item.url} {item.members}".strip()
    if key in record and all((output_dir / file).is_file() for file in record[key]["files"]):
        return
    place = urlsplit(item.url)
    url = item.url if mirror is None else f"{mirror.rstrip('/')}/{place.netloc}{place.path}"
    downloads = output_dir / DOWNLOADS
    file = downloads / re.sub(r"[^\w.-]+", "_", place.path) if item.members else output_dir / item.path
    if item.members and file.is_file():  # also holds what was asked for before
        digest = sha256(file)
    else:
        bar = progress.add_task(item.path, total=None)
        digest = download(
            url,
            file,
            sha256=item.sha256,
            retries=retries,
            wait=wait,
            report=lambda there, total: progress.update(bar, completed=there, total=total),
        )
    written = [file]
    if item.members:
        written = _unpack(file, output_dir / item.path, item.members, downloads / "unpacked")
    if not written:
        raise ValueError(f"{url} holds no file for {item.path} ({item.members})")
    paths = [path.relative_to(output_dir).as_posix() for path in written]
    entry = {"url": item.url, "sha256": digest, "files": paths}
    with replacing(output_dir / RECORD) as scratch:
        content = json.dumps({**record, key: entry}, indent=1, ensure_ascii=False)
        scratch.write_text(content, encoding="utf-8")


def _read_record(output_dir: Path) -> dict[str, dict]:
    try:
        return json.loads((output_dir / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{output_dir / RECORD} is damaged ({error}); delete it") from error


def _unpack(archive: Path, folder: Path, members: str, scratch: Path) -> list[Path]:
    """Put the plain files whose names match into a folder, all of them or none, and never outside of it."""
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        for name, stream in _members(archive):
            match = re.fullmatch(members, name)
            if match is None or ".." in Path(name).parts:
                continue
            path = scratch / match["to"]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                shutil.copyfileobj(stream, out)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        archive.unlink()
        raise ValueError(
            f"{archive} is no whole archive ({error}); it was removed, fetch it again"
        ) from error
    written = []
    for unpacked in sorted(path for path in scratch.rglob("*") if path.is_file()):
        target = folder / unpacked.relative_to(scratch)
        target.parent.mkdir(parents=True, exist_ok=True)
        unpacked.replace(target)
        written.append(target)
    return written


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    with zipped.open(info) as stream:
                        yield info.filename, stream
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content
