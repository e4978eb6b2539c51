"""``text_renderer_config.json``: what a checkpoint says about its renderer, every field obeyed or refused.

Published files have no strategy and no digests.  Ours also know the fonts by their digests, and bring those
that are not the default one.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.files import replacing
from pixel_m4.render.fallbacks import FETCH, known_fallback, noto_folder
from pixel_m4.render.fontfile import FontFile, read_font
from pixel_m4.render.fonts import FONT_NAME, FONT_SHA256, FontError, find_font
from pixel_m4.render.losses import notice
from pixel_m4.render.strategies import STRATEGIES

CONFIG_NAME = "text_renderer_config.json"
FALLBACK_FOLDER = "fallback_fonts"
"""Where a checkpoint keeps the fallback fonts of its renderer."""

Fetch = Callable[[str], Path | None]
"""Finds a file of a checkpoint by its place in there; None if it has no such file."""

_WORDS = {  # what must be so; other values would give other pixels than we draw
    "background_color": "white",
    "font_color": "black",
    "pad_size": 3,
}
_TYPES = ("PangoCairoTextRenderer", "PyGameTextRenderer")
# Notes of other programs, which say nothing about pixels.
_NOTES = ("fonts_list", "processor_class", "transformers_version", "name_or_path", "auto_map")
_LONGEST = 255  # bytes of a file's name
_HASHED = 100  # names of published fonts that are a hash are longer
# In a download of the hub's client: models--OWNER--NAME/snapshots/…
_HUB_FOLDER = re.compile(r"models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]")


def write_settings(folder: Path, settings: Mapping[str, Any], fonts: Sequence[FontFile]) -> None:
    """Write the file of a renderer into a folder, and beside it the fonts that cannot be fetched.

    Args:
        folder: it is made if it does not exist.
        settings: dpi, font_size, max_seq_length, pixels_per_patch, rgb and strategy.
        fonts: the main font, then the fallbacks in their order.

    Raises:
        FileExistsError: another font is there under the name of one of these.
    """
    folder.mkdir(parents=True, exist_ok=True)
    main, *fallbacks = fonts
    config: dict[str, Any] = {
        **_WORDS,
        "font_file": FONT_NAME if main.sha256 == FONT_SHA256 else main.path.name,
        "font_sha256": main.sha256,
        "text_renderer_type": _TYPES[0],
        **settings,
    }
    if main.sha256 != FONT_SHA256:
        _put(main, folder / config["font_file"])
    if fallbacks:
        named: dict[str, str] = {}
        config[FALLBACK_FOLDER] = []
        for font in fallbacks:
            name = font.path.name
            if known_fallback(font.sha256):  # fetched by its digest where the checkpoint is opened
                config[FALLBACK_FOLDER].append({"file": f"{FALLBACK_FOLDER}/{name}", "sha256": font.sha256})
                continue
            # Fonts of one name from several folders.
            if named.setdefault(name.lower(), font.sha256) != font.sha256:
                name = f"{font.sha256}-{name}"
            (folder / FALLBACK_FOLDER).mkdir(exist_ok=True)
            _put(font, folder / FALLBACK_FOLDER / name)
            config[FALLBACK_FOLDER].append({"file": f"{FALLBACK_FOLDER}/{name}", "sha256": font.sha256})
    with replacing(folder / CONFIG_NAME) as scratch:
        scratch.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _put(font: FontFile, target: Path) -> None:
    """Write a font, unless it is there."""
    if target.exists():
        if read_font(target).sha256 != font.sha256:
            raise FileExistsError(
                f"{target} is another font than the renderer's (its SHA-256 would be {font.sha256}); move it "
                "away, or save to another folder"
            )
        return
    with replacing(target) as scratch:
        scratch.write_bytes(font.content)


def read_settings(
    file: Path,
    overrides: Mapping[str, Any],
    *,
    name: str = "",
    fetch: Fetch | None = None,
    config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments of a renderer that a file and what is given in its place lead to.

    Args:
        file: ``text_renderer_config.json``.
        overrides: arguments that replace those of the file; None stands for the file's.
        name: of the checkpoint, as the user gave it: names on the hub tell what PIXEL's own models draw.
        fetch: finds the fonts; default in the folder of the file.
        config: what the file says, if it is another one that holds it beside other things.

    Raises:
        ValueError: a field has a value that would not be obeyed; names file, field and value.
        FontError: a font is missing, or another one; tells its digest.
    """
    config = _load(file) if config is None else config
    overrides = {key: value for key, value in overrides.items() if value is not None}
    fetch = fetch or (lambda place: file.parent / place if (file.parent / place).is_file() else None)
    unknown = sorted(key for key in config if key not in _FIELDS and not key.startswith("_"))
    if unknown:
        raise UserError(
            f"{file}: unknown field {unknown[0]!r} ({config[unknown[0]]!r}); fields that may change "
            f"pixels are not passed over. There are: {', '.join(sorted(set(_FIELDS) - set(_NOTES)))}"
        )
    for field, value in config.items():
        problem = _FIELDS[field](value) if field in _FIELDS else None
        if problem:
            raise UserError(f"{file}: {field} must be {problem}, not {json.dumps(value)}")
    names = ("dpi", "font_size", "max_seq_length", "pixels_per_patch", "rgb", "strategy")
    options: dict[str, Any] = {key: config[key] for key in names if key in config}
    if "strategy" not in options and "strategy" not in overrides:
        options["strategy"] = _unsaid_strategy(file, config, name)
    _add_font(options, file, config, overrides, fetch)
    _add_fallbacks(options, file, config, overrides, fetch)
    return {**options, **overrides}


def _load(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} must hold a JSON object, not {type(config).__name__}")
    return config


def _unsaid_strategy(file: Path, config: Mapping[str, Any], name: str) -> str:
    """The strategy of a file that does not say it, as published programs would draw."""
    if config.get("text_renderer_type") == "PyGameTextRenderer":
        return "continuous"
    hub = _HUB_FOLDER.search(str(file.absolute()))
    model = f"{hub[1]}/{hub[2]}" if hub else name
    if model.startswith("Team-PIXEL/"):
        return "bigrams" if re.search("bigrams|m4", model.lower()) else "continuous"
    notice(
        f"{file} does not say its strategy: texts are drawn as bigrams, as PIXEL-M4 does; for a model "
        'of PIXEL give strategy="continuous"'
    )
    return "bigrams"


def _add_font(
    options: dict[str, Any], file: Path, config: Mapping[str, Any], overrides: Mapping[str, Any], fetch: Fetch
) -> None:
    digest = config.get("font_sha256")
    if overrides.get("font_file") is not None:
        given = read_font(find_font(overrides["font_file"]))
        if digest and given.sha256 != digest:
            notice(
                f"the font {given.path} (SHA-256 {given.sha256}) is not the one that {file} was saved with "
                f"({digest}): texts look different from what the model knows"
            )
        return
    place = config.get("font_file", FONT_NAME)
    _check_inside(file, "font_file", place)
    # Published names are GoNotoCurrent.ttf or a hash of 129 characters; both are the default font.
    default = digest == FONT_SHA256 or (
        digest is None and (Path(place).name == FONT_NAME or len(Path(place).name) > _HASHED)
    )
    beside = file.parent / place
    found = (beside if beside.is_file() else None) if default else fetch(place)
    if found is None and not default:
        told = f" with the SHA-256 {digest}" if digest else ""
        raise FontError(
            f"{file} names the font {place}{told}, which is not beside it; give font_file=..., or put it "
            "there"
        )
    options["font_file"] = found if found is not None else find_font()
    if digest:
        _check_digest(file, options["font_file"], digest, "font_file")


def _add_fallbacks(
    options: dict[str, Any], file: Path, config: Mapping[str, Any], overrides: Mapping[str, Any], fetch: Fetch
) -> None:
    if any(overrides.get(key) is not None for key in ("fallback_fonts_dir", FALLBACK_FOLDER)):
        return
    if folder := config.get("fallback_fonts_dir"):
        _check_inside(file, "fallback_fonts_dir", folder)
        if not (file.parent / folder).is_dir():
            raise FontError(
                f"{file} names the folder {folder} of fallback fonts, which is not beside it; give "
                "fallback_fonts_dir=..."
            )
        options["fallback_fonts_dir"] = file.parent / folder
    fonts = []
    for entry in config.get(FALLBACK_FOLDER) or ():
        _check_inside(file, FALLBACK_FOLDER, entry["file"])
        font = fetch(entry["file"]) or _fetched(entry["sha256"])
        if font is None:
            known = known_fallback(entry["sha256"])
            if known:
                raise FontError(
                    f"{file} names the Noto fallback font {known.name}, which is not in {noto_folder()}: "
                    f"fetch it with `{FETCH}`"
                )
            raise FontError(
                f"{file} names the fallback font {entry['file']} with the SHA-256 {entry['sha256']}, which "
                "is not there; give fallback_fonts_dir=..., or put it there"
            )
        _check_digest(file, font, entry["sha256"], "fallback_fonts_dir")
        fonts.append(font)
    if fonts:
        options[FALLBACK_FOLDER] = fonts


def _fetched(digest: str) -> Path | None:
    """A font of the fetched set by its SHA-256."""
    known = known_fallback(digest)
    path = None if known is None else noto_folder() / known.name
    return path if path is not None and path.is_file() else None


def _check_digest(file: Path, font: Path, digest: str, argument: str) -> None:
    found = read_font(font).sha256
    if found != digest:
        raise FontError(
            f"{font} is another font than {file} was saved with: its SHA-256 is {found}, not {digest}; give "
            f"{argument}=... to draw with another one"
        )


def _check_inside(file: Path, field: str, place: str) -> None:
    """A file from elsewhere must not make us read what lies anywhere on this machine."""
    for path in (PurePosixPath(place), PureWindowsPath(place)):
        if path.is_absolute() or path.drive or ".." in path.parts or place.startswith("~"):
            raise UserError(
                f"{file}: {field} names {place!r}, outside of its own folder, which is not read; if you "
                "trust it, give its place as an argument"
            )


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value <= sys.float_info.max  # neither infinite nor NaN, nor an integer that is no float
    )


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_just(word: Any) -> Callable[[Any], bool]:
    return lambda value: type(value) is type(word) and value == word


def _is_name(value: Any) -> bool:
    """Whether a file system can hold a file of this name."""
    return (
        isinstance(value, str)
        and bool(value)
        and "\0" not in value
        and all(len(part.encode(errors="surrogatepass")) <= _LONGEST for part in value.split("/"))
    )


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_fonts(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(
            isinstance(entry, dict) and _is_name(entry.get("file")) and _is_digest(entry.get("sha256"))
            for entry in value
        )
    )


def _must(expected: str, holds: Callable[[Any], bool]) -> Callable[[Any], str | None]:
    return lambda value: None if holds(value) else expected


# Every field, and what is wrong with a value: what it must be.
_FIELDS: dict[str, Callable[[Any], str | None]] = {
    **{field: _must(json.dumps(word), _is_just(word)) for field, word in _WORDS.items()},
    **{field: _must("a number greater than 0", _is_number) for field in ("dpi", "font_size")},
    "max_seq_length": _must("a whole number greater than 1", lambda value: _is_whole(value, 2)),
    "pixels_per_patch": _must("a whole number greater than 0", lambda value: _is_whole(value, 1)),
    "rgb": _must("true or false (without quotes)", lambda value: isinstance(value, bool)),
    "strategy": _must(
        f"one of {', '.join(STRATEGIES)}", lambda value: isinstance(value, str) and value in STRATEGIES
    ),
    "text_renderer_type": _must(" or ".join(_TYPES), lambda value: value in _TYPES),
    "font_file": _must("the name of a font file", _is_name),
    "font_sha256": _must("64 hexadecimal digits", _is_digest),
    "fallback_fonts_dir": _must("the name of a folder", lambda value: value in (None, "") or _is_name(value)),
    FALLBACK_FOLDER: _must('a list of {"file": …, "sha256": …}', _is_fonts),
    **{field: lambda value: None for field in _NOTES},
}
