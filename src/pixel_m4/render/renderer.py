"""TextRenderer: text in, patches out.

Dimensions: B batch, P patches, H pixels of a patch in each direction (16 in published models).
"""

from __future__ import annotations

import inspect
import math
import numbers
import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixel_m4.console.errors import UserError
from pixel_m4.render.atlas import Atlas, AtlasStats
from pixel_m4.render.encoding import BatchEncoding, Encoding
from pixel_m4.render.fallbacks import find_fallback_fonts, folder_of_fonts
from pixel_m4.render.fontfile import FontFile
from pixel_m4.render.fonts import FontError, find_font
from pixel_m4.render.glyphs import Typesetter
from pixel_m4.render.layout import Layout, Line, stack
from pixel_m4.render.lines import ContinuousLayout
from pixel_m4.render.losses import NOTHING, Losses, tell
from pixel_m4.render.offsets import Offsets, find_offsets
from pixel_m4.render.parts import Part
from pixel_m4.render.settings import CONFIG_NAME, read_settings, write_settings
from pixel_m4.render.strategies import STRATEGIES
from pixel_m4.render.texts import (
    Text,
    as_list,
    as_strings,
    as_text,
    as_texts,
    check_limit,
    check_truth,
    check_whole,
)
from pixel_m4.shipped import find_model, is_hub_name

_MOST_PIXELS = 2048  # of the font's size, and of a patch
_MOST_PATCHES = 1_000_000  # of a canvas


class TextRenderer:
    """Draw text as a strip of patches, to the pixel as published checkpoints saw it.

    A text is a string (split on white space), a list of words, or a pair of strings (a tuple).  Native font
    objects are made when first needed, once per process; a renderer may be pickled, forked and shared by
    threads.

    Args:
        font_file: the main font; default GoNotoCurrent.ttf, which is fetched once.
        fallback_fonts_dir: folder with fonts for characters that the main one lacks, tried by name; "noto" is
            the set that `pixel-m4 fonts fetch --fallback` fetches.
        font_size: in points.
        dpi: dots per inch.
        pixels_per_patch: H, height of the strip and width of a patch.
        max_seq_length: patches of a canvas.
        rgb: give three channels, and colour fonts among the fallbacks their colours.
        strategy: how text is cut into units: ``bigrams``, ``words``, ``graphemes``, ``adaptive`` or
            ``continuous``.
        fallback_fonts: font files to try in this order, instead of a folder.

    Raises:
        FontError: a font is missing or damaged.
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        font_file: str | os.PathLike[str] | None = None,
        fallback_fonts_dir: str | os.PathLike[str] | None = None,
        font_size: float = 8,
        dpi: float = 120,
        pixels_per_patch: int = 16,
        max_seq_length: int = 529,
        rgb: bool = False,
        strategy: str = "bigrams",
        fallback_fonts: Iterable[str | os.PathLike[str]] | None = None,
    ) -> None:
        if not isinstance(strategy, str) or strategy not in STRATEGIES:
            raise UserError(f"unknown strategy {strategy!r}; there are: {', '.join(STRATEGIES)}")
        for name, value in (("font_size", font_size), ("dpi", dpi)):
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not _is_finite(value):
                raise UserError(f"{name} must be a number greater than 0, not {value!r}")
            if not value > 0:
                raise UserError(f"{name} must be greater than 0, not {value}")
        for name, value, least, most in (
            ("pixels_per_patch", pixels_per_patch, 1, _MOST_PIXELS),
            ("max_seq_length", max_seq_length, 2, _MOST_PATCHES),
        ):
            if isinstance(value, bool) or not isinstance(value, numbers.Integral):
                raise UserError(f"{name} must be a whole number greater than {least - 1}, not {value!r}")
            if value < least:
                raise UserError(f"{name} must be greater than {least - 1}, not {value}")
            if value > most:
                raise UserError(f"{name} must be at most {most:,}, not {value:,}")
        if not 1 <= font_size * dpi / 72 <= _MOST_PIXELS:
            raise UserError(
                f"font_size {font_size} at {dpi} dpi is {font_size * dpi / 72:g} pixels, which must be 1 to "
                f"{_MOST_PIXELS}"
            )
        if fallback_fonts is not None and fallback_fonts_dir is not None:
            raise UserError("give fallback_fonts_dir or fallback_fonts, not both")
        # Places do not depend on the present folder, which may be another where the renderer is copied to.
        self.font_file = find_font(font_file).absolute()
        self.fallback_fonts_dir = None if fallback_fonts_dir is None else folder_of_fonts(fallback_fonts_dir)
        self.fallback_fonts = (
            None
            if fallback_fonts is None
            else [str(find_font(font).absolute()) for font in as_list(fallback_fonts, "fonts")]
        )
        self.font_size, self.dpi = (
            value.item() if isinstance(value, np.generic) else value for value in (font_size, dpi)
        )
        self.pixels_per_patch = int(pixels_per_patch)
        self.max_seq_length = int(max_seq_length)
        self.rgb = check_truth("rgb", rgb)
        self.strategy = strategy
        self._start()

    def _start(self) -> None:
        fallbacks = [*find_fallback_fonts(self.fallback_fonts_dir), *map(Path, self.fallback_fonts or ())]
        fonts = [self.font_file, *fallbacks]
        pixel_size = self.font_size * self.dpi / 72
        typesetter = Typesetter(fonts, pixel_size, self.pixels_per_patch, colour=self.rgb)
        self._fonts = typesetter.files
        strategy = STRATEGIES[self.strategy]()
        self._atlas = Atlas(typesetter, strategy, self.pixels_per_patch, self.max_seq_length, self.rgb)
        if self.strategy == "continuous":
            self._layout: Layout = ContinuousLayout(self._atlas, self.max_seq_length, self.pixels_per_patch)
        else:
            self._layout = Layout(self._atlas, self.max_seq_length, bigrams=self.strategy == "bigrams")
        self._lock = threading.Lock()
        self._losses = Losses()
        _RENDERERS.add(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()

    def __call__(
        self,
        text: Text,
        max_length: int | None = None,
        rtl: bool = False,
        *,
        text_a_max_length: int | None = None,
        return_overflowing_patches: bool = False,
        stride: int = 0,
    ) -> Encoding:
        """Render one text, or a pair, onto a canvas of ``max_seq_length`` patches.

        Args:
            text: a string, a list of words, or a pair of strings as a tuple.
            max_length: patches after which no word begins; default the canvas.
            rtl: draw right-to-left even if the text does not look so.
            text_a_max_length: the same as ``max_length`` for the first text of a pair.
            return_overflowing_patches: also return windows over what does not fit of a pair's second text.
            stride: patches that neighbouring windows share, where word borders allow.

        Raises:
            ValueError: a limit is smaller than 1, overflow is asked for something that is not a pair, or the
                stride leaves no room.
            TypeError: it is no text.
        """
        text = as_text(text)
        rtl = check_truth("rtl", rtl)
        max_length = check_limit("max_length", max_length)
        text_a_max_length = check_limit("text_a_max_length", text_a_max_length)
        overflow = check_truth("return_overflowing_patches", return_overflowing_patches)
        stride = check_whole("stride", stride, 0)
        with self._lock:
            self._atlas.trim()
            lines = [self._layout.line(text, max_length, rtl, text_a_max_length)]
            if overflow:
                lines += self._layout.overflow(lines[0], text, max_length, rtl, stride)
            canvases = self._canvas(stack([line.ids for line in lines], self.max_seq_length), None)
        missing = "".join([line.missing for line in lines])
        # Windows show what the canvas has no room for.
        cut = NOTHING if overflow else lines[0].cut
        if missing or cut.texts:
            tell(self.losses, missing, cut, stacklevel=2)
        encodings = [
            Encoding(
                canvas, len(line.ids) - 1, line.word_starts, line.sep_patches, line.first_word, line.parts
            )
            for canvas, line in zip(canvases, lines, strict=True)
        ]
        encodings[0].overflowing_patches = encodings[1:]
        return encodings[0]

    def batch(
        self,
        texts: Iterable[Text],
        *,
        padding: str = "longest",
        max_length: int | None = None,
        rtl: bool = False,
        text_a_max_length: int | None = None,
        return_tensors: str = "np",
        out: np.ndarray | None = None,
    ) -> BatchEncoding:
        """Render many texts at once.

        Args:
            texts: what ``__call__`` takes, B times: a list, a column (NumPy, pandas, Arrow …) or an iterator.
            padding: ``longest`` makes the canvases as wide as the longest text and its black patch,
                ``max_length`` as wide as ``max_seq_length``.
            max_length: patches after which no word of a text begins.
            rtl: draw all right-to-left.
            text_a_max_length: the same as ``max_length`` for the first text of pairs.
            return_tensors: ``np`` or ``pt``.
            out: uint8 array to draw into: of the shape of ``pixel_values``, or flat and large enough.

        Returns:
            ``pixel_values`` uint8 [B, H, H * P] (or [B, H, H * P, 3]) and ``attention_mask`` int64 [B, P].

        Raises:
            ValueError: an option has an unknown value, or ``out`` does not fit.
            TypeError: ``texts`` is no list, or one of them is no text; names it.
        """
        if padding not in ("longest", "max_length"):
            raise UserError(f"padding must be 'longest' or 'max_length', not {padding!r}")
        if return_tensors not in ("np", "pt"):
            raise UserError(f"return_tensors must be 'np' or 'pt', not {return_tensors!r}")
        texts = as_texts(texts)
        rtl = check_truth("rtl", rtl)
        max_length = check_limit("max_length", max_length)
        text_a_max_length = check_limit("text_a_max_length", text_a_max_length)
        with self._lock:
            self._atlas.trim()
            patches = None if padding == "longest" else self.max_seq_length
            block = self._layout.block(texts, max_length, rtl, text_a_max_length, patches)
            pixel_values = self._canvas(block.ids, out)
        if block.missing or block.cut.texts:
            tell(self.losses, block.missing, block.cut, stacklevel=2)
        attention_mask = (np.arange(block.ids.shape[1]) <= block.num_text_patches[:, None]).astype(np.int64)
        batch = BatchEncoding(
            {"pixel_values": pixel_values, "attention_mask": attention_mask},
            block.word_starts,
            block.num_text_patches,
        )
        return batch.to_torch() if return_tensors == "pt" else batch

    def offsets(
        self,
        text: Text,
        encoding: Encoding | None = None,
        *,
        max_length: int | None = None,
        rtl: bool = False,
        text_a_max_length: int | None = None,
    ) -> Offsets:
        """Map patches to characters of the input, and back.

        Args:
            text: what was rendered.
            encoding: what came of it, or one of its ``overflowing_patches``; default is to lay it out again.
            max_length: as when it was rendered.
            rtl: as when it was rendered.
            text_a_max_length: as when it was rendered.
        """
        text = as_text(text)
        rtl = check_truth("rtl", rtl)
        max_length = check_limit("max_length", max_length)
        text_a_max_length = check_limit("text_a_max_length", text_a_max_length)
        with self._lock:
            self._atlas.trim()
            if encoding is None:
                line = self._layout.line(text, max_length, rtl, text_a_max_length)
            else:
                ids = np.zeros(0, np.int32)
                parts = [Part(*part) for part in encoding.parts]
                line = Line(ids, encoding.word_starts, encoding.sep_patches, encoding.first_word, parts)
            places = self._layout.places(text, line, max_length, rtl, text_a_max_length)
        texts = text if isinstance(text, tuple) else [text]
        return find_offsets(texts, places, line.sep_patches, self.pixels_per_patch)

    def measure(self, words: Iterable[str]) -> list[int]:
        """How many patches each word of a list takes."""
        words = as_strings(words, "words")
        with self._lock:
            self._atlas.trim()
            return [word.width for word in self._atlas.words(words, rtl=False)]

    def measure_texts(self, texts: Iterable[str]) -> list[np.ndarray]:
        """How many patches each word of each text takes: :meth:`measure` of many strings at once.

        Returns:
            for each text int64 [W], its words being those that ``str.split`` gives.
        """
        texts = as_strings(texts)
        with self._lock:
            self._atlas.trim()
            return self._layout.widths(texts) if texts else []

    @property
    def capacity(self) -> int:
        """Patches that one text may take: the canvas without its black patch."""
        return self.max_seq_length - 1

    @property
    def between(self) -> int:
        """Black patches between the two texts of a pair."""
        return 1

    def covers(self, char: str) -> bool:
        """Whether a font has this character, so that it is not drawn as a missing glyph.

        Raises:
            ValueError: it is not one character.
        """
        if not isinstance(char, str) or len(char) != 1:
            raise UserError(f"covers takes one character, not {char!r}")
        with self._lock:
            return self._atlas.covers(char)

    def font_of(self, char: str) -> FontFile | None:
        """The font that draws a character where it stands alone; None if it is drawn as a missing glyph.

        Raises:
            ValueError: it is not one character.
        """
        if not isinstance(char, str) or len(char) != 1:
            raise UserError(f"font_of takes one character, not {char!r}")
        with self._lock:
            return self._atlas.font_of(char)

    def with_changes(self, **changes: Any) -> TextRenderer:
        """A renderer like this one, but for some arguments; see the constructor."""
        return type(self)(**{**self.__getstate__(), **changes})

    @property
    def fonts(self) -> list[FontFile]:
        """The fonts as they were read, the main one first, then the fallbacks in their order."""
        return self._fonts

    @property
    def losses(self) -> Losses:
        """What this renderer could not show so far: characters without a glyph, text that did not fit."""
        return self._losses

    def cache_stats(self) -> AtlasStats:
        """What the cache of patches holds."""
        return self._atlas.stats()

    def _canvas(self, ids: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        """Patch numbers [B, P] as pixels, in ``out`` if it is given."""
        size = self.pixels_per_patch
        shape = (len(ids), size, size * ids.shape[1], *((3,) if self.rgb else ()))
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.ndim == 1:
            out = out[: math.prod(shape)]
            out = out.reshape(shape) if out.size == math.prod(shape) else out
        if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            expected = f"a contiguous uint8 array of shape {shape}, or flat and at least as large"
            raise UserError(f"out must be {expected}, not {out.dtype} {out.shape}")
        self._atlas.pixels(ids, out)
        return out

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write ``text_renderer_config.json`` into a folder, in the published format.

        Fonts that are not the default one come beside it: what changes pixels is saved, and fonts are known
        by their digests.

        Args:
            folder: it is made if it does not exist.

        Raises:
            FileExistsError: another font is there under the name of one of the renderer's.
        """
        settings = {
            "dpi": self.dpi,
            "font_size": self.font_size,
            "max_seq_length": self.max_seq_length,
            "pixels_per_patch": self.pixels_per_patch,
            "rgb": self.rgb,
            "strategy": self.strategy,
        }
        write_settings(Path(folder).expanduser(), settings, self._fonts)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        subfolder: str = "",
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **overrides: Any,
    ) -> TextRenderer:
        """Make the renderer of a checkpoint.

        Args:
            name_or_path: a folder with ``text_renderer_config.json``, a checkpoint of the package, or a
                repository on the hub.
            revision: branch, tag or commit of the repository.
            subfolder: the folder in it that holds the file.
            cache_dir: where downloads are kept; default where the hub's client keeps them.
            local_files_only: take an earlier download, and do not ask the hub.
            token: for private repositories; default the one of the hub's own login.
            overrides: arguments of the constructor that replace those of the file.

        Raises:
            FileNotFoundError: there is no such folder, repository or file.
            FontError: a font that the file names is missing, or is another one.
            ValueError: the file is not what it should be.
            TypeError: the constructor has no such argument.
        """
        unknown = sorted(set(overrides) - set(inspect.signature(cls.__init__).parameters))
        if unknown:
            raise TypeError(f"a renderer has no argument {unknown[0]!r}")
        hub: dict[str, Any] = {
            "revision": revision,
            "cache_dir": cache_dir,
            "local_files_only": local_files_only,
            "token": token,
        }
        named = Path(name_or_path)
        if named.name == CONFIG_NAME and named.expanduser().is_file():
            name_or_path = named.parent
        given = os.fspath(name_or_path)
        # An earlier download may hold the renderer and not the model, which is what find_model looks for.
        place = given if local_files_only and is_hub_name(given) else find_model(given, **hub)

        def fetch(file: str) -> Path | None:
            file = "/".join(filter(None, (subfolder, file)))
            if Path(place).is_dir():
                return Path(place, file) if Path(place, file).is_file() else None
            return _from_hub(place, file, hub)

        path = fetch(CONFIG_NAME)
        if path is None:
            where = f"{given} ({subfolder})" if subfolder else given
            raise FileNotFoundError(f"no {CONFIG_NAME} in {where}")
        options = read_settings(path, overrides, name=given, fetch=fetch)
        try:
            return cls(**options)
        except ValueError as error:
            if overrides or isinstance(error, FontError):
                raise
            raise UserError(f"{path}: {error}") from error


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that is too large for a float
        return False


def _from_hub(repository: str, file: str, options: Mapping[str, Any]) -> Path | None:
    """A file of a repository on the hub, or of an earlier download; None if it has no such file.

    Raises:
        OSError: the hub cannot be reached, and there is no earlier download.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, file, **options))
    except LocalEntryNotFoundError as error:
        if options["local_files_only"]:
            return None
        raise OSError(f"{file} of {repository} cannot be fetched from the hub: {error}") from error
    except EntryNotFoundError:
        return None


# Locks that another thread held while the process forked would stay locked in the child for ever.
_RENDERERS: weakref.WeakSet[TextRenderer] = weakref.WeakSet()


def _renew_locks() -> None:
    for renderer in _RENDERERS:
        renderer._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
