"""Files: read the same way everywhere, and under their names only when they are whole.

Text is UTF-8, with or without a byte order mark.  A line ends at ``\\n``, ``\\r\\n`` or ``\\r`` and nowhere
else: U+2028, U+0085 or a form feed are characters of a line.  Files whose names end in one of ``COMPRESSED``
are compressed.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, TextIO, cast

from pixel_m4.console.errors import UserError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSED = (".gz", ".xz", ".bz2", ".zst")
"""What the names of compressed files end in."""

_BOM_16 = (b"\xff\xfe", b"\xfe\xff")
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)


class DataError(UserError):
    """Data are missing or wrong; the message names the place and says what to do."""


def content_suffix(path: Path) -> str:
    """The suffix of a file without that of its compression: ``.conllu`` of ``a.conllu.gz``."""
    return path.with_suffix("").suffix if path.suffix in COMPRESSED else path.suffix


def open_bytes(path: Path) -> BinaryIO:
    """Open a file to read it, decompressed; damage shows while it is read, see :func:`reading`."""
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if path.suffix == ".xz":
        return cast(BinaryIO, lzma.open(path, "rb"))
    if path.suffix == ".bz2":
        return cast(BinaryIO, bz2.open(path, "rb"))
    if path.suffix == ".zst":
        return cast(BinaryIO, io.BufferedReader(zstd.open(path, "rb")))
    return path.open("rb")


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Tell what a damaged compressed file raises while it is read as one error.

    Raises:
        DataError: the file is truncated or damaged, or is not compressed at all.
    """
    try:
        yield
    except _DAMAGE as error:
        raise DataError(_damaged(source, error)) from error
    except OSError as error:
        if error.errno is not None:  # of the system; those of gzip and bz2 have no number
            raise
        raise DataError(_damaged(source, error)) from error


def _damaged(source: str, error: Exception) -> str:
    suffix = "".join(suffix for suffix in COMPRESSED if source.endswith(suffix))
    return f"{source}: does not decompress as {suffix or 'it should'} ({error}); fetch it again"


def byte_lines(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of a binary stream with their ends, which are ``\\n``, ``\\r\\n`` or ``\\r``."""
    for line in stream:  # ends at \n
        if b"\r" in line:
            yield from line.splitlines(keepends=True)  # that of bytes knows no other ends
        else:
            yield line


def text_lines(stream: Iterable[bytes], source: str) -> Iterator[str]:
    """Lines of a binary stream without their ends, and without a byte order mark.

    Args:
        stream: the bytes, as a file gives them.
        source: what messages call it.

    Raises:
        DataError: it is not UTF-8, or does not decompress; names source, line and byte.
    """
    with reading(source):
        for number, line in enumerate(byte_lines(stream), 1):
            yield decoded(line, source, number).rstrip("\r\n")


def decoded(data: bytes, source: str, line: int = 1) -> str:
    """Text of bytes; without a byte order mark if they begin with line 1.

    Args:
        data: UTF-8.
        source: what the message calls it.
        line: number of the line that they begin with.

    Raises:
        DataError: it is not UTF-8; names source, line and byte.
    """
    try:
        return data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        body = error.object  # without the byte order mark
        at = line + len(split_lines(body[: error.start].decode("latin-1") + "x")) - 1
        guess = "UTF-16" if line == 1 and data.startswith(_BOM_16) else "WINDOWS-1252"
        raise DataError(
            f"{source}:{at}: byte {body[error.start]:#04x} is not UTF-8; save the file as UTF-8, for "
            f"example by: iconv -f {guess} -t UTF-8 (with the encoding that the file really has)"
        ) from error


def split_lines(text: str) -> list[str]:
    """Lines of a text without their ends; one that ends with the text is the last."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if not lines[-1] else lines


def clean_lines(lines: Iterable[str] | str) -> Iterator[str]:
    """Lines of a text, or of a stream however it is cut into lines, without ends and byte order mark."""
    first = True
    for chunk in [lines] if isinstance(lines, str) else lines:
        for line in split_lines(chunk) or [""]:
            yield line.removeprefix("\ufeff") if first else line
            first = False


def read_lines(path: Path) -> Iterator[str]:
    """Lines of a file, also a compressed one, without their ends.

    Raises:
        DataError: it is not UTF-8, or does not decompress; names file, line and byte.
        OSError: it cannot be read.
    """
    with open_bytes(path) as stream:
        yield from text_lines(stream, str(path))


def read_bytes(path: Path) -> bytes:
    """All bytes of a file, decompressed.

    Raises:
        DataError: it does not decompress.
        OSError: it cannot be read.
    """
    with reading(str(path)), open_bytes(path) as stream:
        return stream.read()


def read_text(path: Path) -> str:
    """The text of a file, also a compressed one, without a byte order mark; line ends are as they are.

    Raises:
        DataError: it is not UTF-8, or does not decompress; names file, line and byte.
        OSError: it cannot be read.
    """
    return decoded(read_bytes(path), str(path))


def stdin_lines() -> Iterator[str]:
    """Lines of the standard input without their ends, as they come.

    Raises:
        DataError: it is not UTF-8; names line and byte.
    """
    binary = getattr(sys.stdin, "buffer", None)
    if binary is not None:
        yield from text_lines(binary, "<stdin>")
    else:  # somebody has put a text stream in its place
        for line in sys.stdin:
            yield from split_lines(line)


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuse, before work is done, to replace what nobody asked to replace.

    Raises:
        UserError: The file is there, and is not to be overwritten.
        IsADirectoryError: It is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already; --overwrite replaces it")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name beside ``path`` to write to; it becomes ``path`` at the end, or goes after an error."""
    scratch = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """A stream of UTF-8 text that becomes ``path``, compressed as its name says, when it is whole.

    Equal texts make equal bytes.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as scratch, scratch.open("wb") as raw, _compressing(raw, path.suffix) as binary:
        stream = io.TextIOWrapper(cast(BinaryIO, binary), encoding="utf-8", newline="\n")
        yield stream
        stream.flush()
        stream.detach()


@contextmanager
def _compressing(raw: BinaryIO, suffix: str) -> Iterator[IO[bytes]]:
    if suffix == ".gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
            yield cast(IO[bytes], stream)
    elif suffix == ".xz":
        with lzma.LZMAFile(raw, "wb") as packed:
            yield packed
    elif suffix == ".bz2":
        with bz2.BZ2File(raw, "wb") as packed:
            yield packed
    elif suffix == ".zst":
        options: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}  # as the command zstd writes
        with zstd.ZstdFile(raw, "wb", options=options) as frames:
            yield cast(IO[bytes], frames)
    else:
        yield raw
