"""The command `data fetch`: public data sets, from their homes into folders that `finetune` reads."""

from __future__ import annotations

import gzip
import json
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.fetch.download import DownloadError, download
from pixel_m4.fetch.homes import SOURCES, Item, checksums
from pixel_m4.files import replacing
from pixel_m4.render.fonts import sha256

RECORD = "fetched.json"
DOWNLOADS = ".downloads"
MAX_BYTES = 32 << 30  # of a download, and of what an archive unpacks to
MAX_MEMBERS = 100_000
MAX_RATIO = 150  # of unpacked to packed bytes; text and labels stay far below
_FREE = 16 << 20  # bytes that any archive may unpack to
_CHUNK = 1 << 20
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

    ``fetched.json`` in the output folder tells where each file came from, and its SHA-256.  A file whose
    digest is not known is trusted when it is first fetched; from then on, another one is refused.  Files
    that are there and were not fetched, or were changed, are not overwritten.

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
        raise UserError(f"no data set {name!r}; there are {', '.join(SOURCES)}")
    source = SOURCES[name]
    asked = list(source.all) if list(names) in ([], ["all"]) and source.all else list(names)
    if not asked:
        raise UserError(f"say what of {name} is wanted: {source.names}")
    for part in asked:
        if not _NAME.fullmatch(part) or ".." in part or (source.all and part not in source.all):
            raise UserError(f"{name} has no {part!r}; it has {source.names}")
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
    before = record.get(key, {})
    if before and all((output_dir / file).is_file() for file in before["files"]):
        return
    place = urlsplit(item.url)
    url = item.url if mirror is None else f"{mirror.rstrip('/')}/{place.netloc}{place.path}"
    downloads = output_dir / DOWNLOADS
    file = downloads / re.sub(r"[^\w.-]+", "_", place.path)
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
            max_bytes=MAX_BYTES,
            report=lambda there, total: progress.update(bar, completed=there, total=total),
        )
    arrived = {item.path: file}
    if item.members:
        unpacked = _unpack(file, item.members, downloads / "unpacked")
        arrived = {f"{item.path}/{name}": path for name, path in unpacked.items()}
    if not arrived:
        raise UserError(f"{url} holds no file for {item.path} ({item.members})")
    digests = {path: sha256(found) for path, found in arrived.items()}
    try:
        _check_digests(digests, before, output_dir, url)
    except DownloadError:
        file.unlink(missing_ok=True)
        raise
    _check_free(digests, output_dir)
    for path, found in arrived.items():
        target = output_dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        found.replace(target)
    entry = {"url": item.url, "sha256": digest, "files": list(digests), "digests": digests}
    with replacing(output_dir / RECORD) as scratch:
        content = json.dumps({**record, key: entry}, indent=1, ensure_ascii=False)
        scratch.write_text(content, encoding="utf-8")


def _check_digests(digests: dict[str, str], before: dict, output_dir: Path, url: str) -> None:
    """Compare what has arrived with what is known of it, or with what came the first time."""
    locked = before.get("digests", {})
    if not locked and len(before.get("files", ())) == 1 and len(digests) == 1:  # of an earlier version
        locked = {before["files"][0]: before["sha256"]}
    for path, digest in digests.items():
        known = checksums().get(path)
        if known is not None and digest != known:
            raise DownloadError(
                f"{url}: SHA-256 of {path} is {digest}, expected {known}; the file was changed or damaged"
            )
        if digest != locked.get(path, digest):
            raise DownloadError(
                f"{url}: {path} is another file than the first time (SHA-256 {digest}, then {locked[path]}): "
                f"its home has changed it; to accept that, delete its entry from {output_dir / RECORD}"
            )
    if missing := sorted(set(locked) - set(digests)):
        raise DownloadError(
            f"{url} no longer holds {', '.join(missing)}, which it held the first time; to accept that, "
            f"delete its entry from {output_dir / RECORD}"
        )


def _check_free(digests: dict[str, str], output_dir: Path) -> None:
    """Refuse to overwrite what is there, unless it is the same."""
    for path, digest in digests.items():
        target = output_dir / path
        if (target.exists() or target.is_symlink()) and not (target.is_file() and sha256(target) == digest):
            raise UserError(
                f"{target} is there already, and is not what would be fetched; move it away, or give another "
                "--output_dir"
            )


def _read_record(output_dir: Path) -> dict[str, dict]:
    file = output_dir / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); delete it") from error
    entries = record.values() if isinstance(record, dict) else [None]
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("files"), list) or "sha256" not in entry:
            raise UserError(f"{file} is damaged (no files or sha256 in {entry!r}); delete it")
    return record


def _unpack(archive: Path, members: str, scratch: Path) -> dict[str, Path]:
    """Unpack the files whose names match, all of them or none, into a scratch folder.

    Returns:
        Where they lie, by the names that they are to have.

    Raises:
        ValueError: the archive is damaged; it is larger than the limits; or a file that is asked for has a
            name that leads outside, is there twice, or is a link or a device.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    limit = min(MAX_BYTES, max(_FREE, MAX_RATIO * archive.stat().st_size))
    found: dict[str, Path] = {}
    total = 0
    try:
        for count, (name, size, stream) in enumerate(_members(archive), 1):
            total += size
            if count > MAX_MEMBERS or total > limit:
                raise UserError(
                    f"{archive} unpacks to more than {MAX_MEMBERS:,} files or {limit:,} bytes: that is no "
                    "data set, nothing of it was kept"
                )
            match = re.fullmatch(members, name)
            if match is None:
                continue
            to = match["to"]
            if not _is_inside(name) or not _is_inside(to) or to in found or stream is None:
                raise UserError(
                    f"{archive} holds {name!r}, which is a link, a device, there twice, or leads outside of "
                    "the folder; nothing of it was kept"
                )
            found[to] = scratch / to
            found[to].parent.mkdir(parents=True, exist_ok=True)
            with found[to].open("wb") as out:
                left = size
                while chunk := stream.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise UserError(f"{archive}: {name!r} is longer than the archive says")
                    out.write(chunk)
            if left:
                raise EOFError(f"{name} is shorter than the archive says")
    except _DAMAGE as error:
        archive.unlink()
        raise UserError(f"{archive} is no whole archive ({error}); it was removed, fetch it again") from error
    except ValueError:
        shutil.rmtree(scratch, ignore_errors=True)
        archive.unlink()
        raise
    return dict(sorted(found.items()))


_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError),
    *(RuntimeError, NotImplementedError),  # of zipfile: locked with a password, or packed in an unknown way
)


def _is_inside(name: str) -> bool:
    """Whether a name in an archive stays below the folder that it is unpacked to, on any system."""
    parts = name.split("/")
    return not ({"", ".", ".."} & set(parts) or re.search(r"[\\:\x00-\x1f]", name))


def _members(archive: Path) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    """Names, sizes and contents of what is no folder; without content if it is no plain file."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    yield info.filename, info.file_size, None
                elif not info.is_dir():
                    with zipped.open(info) as stream:
                        yield info.filename, info.file_size, stream
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile():
                yield member.name, member.size, tar.extractfile(member)
            elif not member.isdir():
                yield member.name, 0, None
