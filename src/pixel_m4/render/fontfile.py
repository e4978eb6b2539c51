"""A font file, read into memory once: what is drawn from it does not change when the file does.

Renderers of one process share what they read, and let go of it with the last of them; only the font that was
read last stays, so that making one renderer after another costs nothing.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
import threading
import weakref
from functools import cached_property
from pathlib import Path

import uharfbuzz as hb

from pixel_m4.render.autohint import blind_autohinter
from pixel_m4.render.fonts import FontError

_WOFF = {b"wOFF": "WOFF", b"wOF2": "WOFF2"}


class FontFile:
    """The bytes of a font, and what is made of them once.

    Attributes:
        path: where it was read.
        content: the bytes of the file.
        data: the font as an sfnt container: WOFF files are unpacked.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.content = content
        self.data = _unpacked(path, content) if content[:4] in _WOFF else content

    @cached_property
    def sha256(self) -> str:
        """Digest of the file, as hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def face(self) -> hb.Face:
        """The font for shaping."""
        return hb.Face(hb.Blob(self.data))

    @cached_property
    def coverage(self) -> frozenset[int]:
        """The code points in the character map.

        Raises:
            FontError: there is none: nothing could be drawn but missing glyphs.
        """
        found = frozenset(self.face.unicodes)
        if not found:
            raise FontError(f"a font without a character map of Unicode code points: {self.path}")
        return found

    @cached_property
    def blind(self) -> mmap.mmap:
        """The font for drawing: see :mod:`pixel_m4.render.autohint`."""
        return blind_autohinter(self.data, hb.Font(self.face).get_nominal_glyph)


_files: weakref.WeakValueDictionary[tuple[object, ...], FontFile] = weakref.WeakValueDictionary()
_latest: list[FontFile] = []
_lock = threading.Lock()


def _renew_lock() -> None:
    """A lock that another thread held while the process forked would stay locked in the child for ever."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def read_font(path: Path) -> FontFile:
    """Read a font, or share it with those who have read it and still use it.

    Raises:
        FontError: it cannot be read, or is empty, or a package is missing that unpacks it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            key = (str(path.absolute()), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            with _lock:
                font = _files.get(key)
                if font is None:
                    content = file.read()
                    if not content:
                        raise FontError(f"cannot read font {path}: it is empty")
                    font = _files[key] = FontFile(path, content)
                _latest[:] = [font]
                return font
    except OSError as error:
        raise FontError(f"cannot read font {path}: {error.strerror or error}") from error


def _unpacked(path: Path, content: bytes) -> bytes:
    kind = _WOFF[content[:4]]
    try:
        from fontTools.ttLib import TTFont

        font = TTFont(io.BytesIO(content))
        font.flavor = None
        target = io.BytesIO()
        font.save(target)
    except ImportError as error:
        raise FontError(
            f"{path} is packed for the web ({kind}): `pip install 'pixel-m4[woff]'` brings what unpacks it, "
            "or give it as .ttf or .otf"
        ) from error
    except Exception as error:  # fontTools raises what the damage happens to lead to
        raise FontError(f"{path} is a damaged {kind} font: {error}") from error
    return target.getvalue()
