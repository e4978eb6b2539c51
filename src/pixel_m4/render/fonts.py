"""Fonts: find them, verify them, fetch the default one once.

Published checkpoints were trained on pixels of one exact font file, so the default font is known by its
SHA-256 and never silently replaced by another version.
"""

from __future__ import annotations

# What only fetching needs is imported there: rendering starts in a fraction of a second.
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pixel_m4.console.errors import UserError

FONT_NAME = "GoNotoCurrent.ttf"
FONT_SIZE_BYTES = 15_645_492
FONT_SHA256 = "83ab5c39e2b1c34a955136275ce0db068cb20d9643ead033d6b8124a73ab4f64"
FONT_ENV = "PIXEL_M4_FONT"
CACHE_ENV = "PIXEL_M4_CACHE"

# The font is a plain file inside this wheel; the package itself is never imported.
_WHEEL = "pixar-render==0.5.1"
_WHEEL_MEMBER = f"pixar_render/resources/fonts/{FONT_NAME}"
_HUB_REPO = "Team-PIXEL/pixel-base"


class FontError(UserError):
    """A font file is missing, damaged, or not a font."""


def cache_dir() -> Path:
    """The folder that keeps fetched fonts: ``$PIXEL_M4_CACHE`` or the user's cache folder."""
    if override := os.environ.get(CACHE_ENV):
        return expanded(override)
    from platformdirs import user_cache_path

    return user_cache_path("pixel-m4")


def cached_font() -> Path:
    """Where the default font lies, or will lie, in the cache."""
    return cache_dir() / FONT_NAME


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def find_font(font_file: str | os.PathLike[str] | None = None) -> Path:
    """Return the font to draw with: the argument, ``$PIXEL_M4_FONT``, the cache, or else fetch it.

    Raises:
        FontError: the named file does not exist, or the default font can neither be found nor fetched.
    """
    if font_file is not None:
        return _existing(expanded(font_file), "font_file")
    if from_env := os.environ.get(FONT_ENV):
        return _existing(expanded(from_env), f"${FONT_ENV}")
    font = cached_font()
    # The size is enough here: the digest was checked before the file got this name.
    if font.is_file() and font.stat().st_size == FONT_SIZE_BYTES:
        return font
    return fetch_font()


def fetch_font() -> Path:
    """Fetch the default font into the cache and verify it; harmless when several processes do so at once.

    The sources are tried in turn: the wheel on the package index (through pip), then the Hugging Face hub.
    The file gets its name only after its digest was checked.

    Raises:
        FontError: no source could be reached; the message says where to put the file by hand.
    """
    font = cached_font()
    kept = "the default font is kept"
    with locked(font.parent, font.with_suffix(".lock"), kept, f", or ${FONT_ENV} to the font"):
        return _fetch_to(font)


@contextmanager
def locked(folder: Path, lock: Path, kept: str, otherwise: str = "") -> Iterator[None]:
    """Make a folder for fetched fonts, and let one process at a time write to it.

    Args:
        folder: the folder.
        lock: the file that says that a process is at work.
        kept: what is kept there, for the message.
        otherwise: what else can be done where it cannot be written to.

    Raises:
        FontError: it cannot be written to.
    """
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            yield
    except OSError as error:
        raise FontError(
            f"cannot write to {folder}, where {kept} ({error.strerror or error}); set ${CACHE_ENV} to a "
            f"folder that can be written to{otherwise}"
        ) from error


def _fetch_to(font: Path) -> Path:
    import tempfile

    failures = []
    if font.is_file() and sha256(font) == FONT_SHA256:
        return font
    for fetch in (_fetch_from_wheel, _fetch_from_hub):
        with tempfile.TemporaryDirectory(dir=font.parent, prefix=".fetch-") as scratch:
            try:
                found = fetch(Path(scratch))
                digest = sha256(found)
                if digest != FONT_SHA256:
                    raise FontError(f"SHA-256 is {digest}, expected {FONT_SHA256}")
                os.replace(found, font)
                return font
            except Exception as error:  # every source may fail in its own way; all are reported below
                failures.append(f"  {fetch.__name__.removeprefix('_fetch_from_')}: {error}")
    raise FontError(
        f"Could not fetch {FONT_NAME} (SHA-256 {FONT_SHA256}):\n" + "\n".join(failures) + "\n"
        f"Without a network, take {_WHEEL_MEMBER} out of the wheel {_WHEEL} (a zip file) elsewhere and "
        f"put it at {font}, or name its place with font_file=... or ${FONT_ENV}."
    )


def _existing(path: Path, origin: str) -> Path:
    if path.is_dir():
        raise FontError(f"{origin} names a folder, not a font: {path}")
    if not path.is_file():
        raise FontError(f"{origin} names a font that does not exist: {path}")
    return path


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path whose ``~`` is the user's home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # there is no home folder
        raise FontError(f"{path}: {error}; give the whole path") from error


def fonts_from_wheel(wheel: str, members: Sequence[str], scratch: Path) -> list[Path]:
    """Take plain files out of a wheel of the package index, fetched with pip and never installed.

    Args:
        wheel: as in ``name==version``.
        members: places of the files in it.
        scratch: an empty folder, which gets the files.

    Raises:
        FontError: pip cannot fetch it.
    """
    import shutil
    import subprocess
    import sys
    import zipfile

    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*command, "--dest", str(scratch), wheel], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise FontError((done.stderr or done.stdout).strip().splitlines()[-1])
    (archive,) = scratch.glob("*.whl")
    targets = [scratch / Path(member).name for member in members]
    with zipfile.ZipFile(archive) as content:
        for member, target in zip(members, targets, strict=True):
            with content.open(member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    return targets


def _fetch_from_wheel(scratch: Path) -> Path:
    (font,) = fonts_from_wheel(_WHEEL, [_WHEEL_MEMBER], scratch)
    return font


def _fetch_from_hub(scratch: Path) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(_HUB_REPO, FONT_NAME, local_dir=scratch))
