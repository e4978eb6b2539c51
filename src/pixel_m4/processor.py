"""PixelProcessor: the renderer behind the interface of transformers' processors, for AutoProcessor.

processor = AutoProcessor.from_pretrained("pixel-m4-tiny")
model(**processor(["The cat sleeps.", "Le chat dort."]))

Importing it teaches AutoProcessor.

Dimensions: B batch, P patches, W words.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoProcessor, BatchFeature, ProcessorMixin

from pixel_m4.autos import know_our_places
from pixel_m4.console.errors import UserError
from pixel_m4.model.config import HUB_OPTIONS, PixelConfig
from pixel_m4.render import TextRenderer
from pixel_m4.render.texts import as_list, as_strings

NOTHING = -1
"""What stands in ``offset_mapping`` for patches that show no text."""
_PADDING = {True: "longest", False: "longest", "longest": "longest", "max_length": "max_length"}


class PixelProcessor(ProcessorMixin):
    """Texts to what a pixel model takes: ``model(**processor(texts))``.

    Args:
        renderer: Draws the texts; None: the published one.
    """

    valid_processor_kwargs: Any = None

    def __init__(self, renderer: TextRenderer | None = None) -> None:
        super().__init__()
        self.renderer = renderer or TextRenderer()
        self._shorter: TextRenderer | None = None

    @property
    def model_input_names(self) -> list[str]:
        """What every model takes; heads for words take ``word_starts``, too."""
        return ["pixel_values", "attention_mask"]

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        *,
        padding: bool | str = True,
        max_length: int | None = None,
        is_split_into_words: bool = False,
        return_word_starts: bool | None = None,
        return_offsets_mapping: bool = False,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Draw texts.  What does not fit is left out, with a warning.

        Args:
            text: A string, or a list of B strings; words, or a list of B lists of words, where
                `is_split_into_words`.
            text_pair: As many second texts, such as the contexts of questions.
            padding: True or "longest": to the longest text; "max_length": to `max_length`.
            max_length: Patches of a canvas, its last black patch counted; default: the renderer's.
            is_split_into_words: Whether texts are lists of words.
            return_word_starts: Whether to return where words begin, for heads that read words (parsing, and
                tags a word); default: where `is_split_into_words`.
            return_offsets_mapping: Whether to return which characters each patch shows.
            return_tensors: "pt" or "np".

        Returns:
            ``pixel_values`` uint8 [B, 16, 16 * P] and ``attention_mask`` int64 [B, P]; ``word_starts`` int64
            [B, W + 1], the first patch of every word and of what follows the last, padded with -100;
            ``offset_mapping`` int64 [B, P, 2], characters [start, end), or -1 where there are none

        Raises:
            TypeError: It is no text.
            ValueError: An option has an unknown value, or there are not as many second texts.
        """
        if return_tensors not in ("pt", "np"):
            raise UserError(f"return_tensors must be 'pt' or 'np', not {return_tensors!r}")
        if padding not in _PADDING:
            raise UserError(f"padding must be True, 'longest' or 'max_length', not {padding!r}")
        texts = _as_batch(text, text_pair, is_split_into_words)
        if padding is False and len(texts) > 1:
            raise UserError("padding=False is for one text: patches of several stand in one array")
        renderer = self._with_length(max_length)
        batch = renderer.batch(texts, padding=_PADDING[padding])
        data: dict[str, Any] = dict(batch)
        if return_word_starts if return_word_starts is not None else is_split_into_words:
            data["word_starts"] = batch.seen_word_starts
        if return_offsets_mapping:
            data["offset_mapping"] = _offsets(renderer, texts, data["attention_mask"].shape[1])
        if return_tensors == "pt":
            data = {name: torch.as_tensor(value) for name, value in data.items()}
        return BatchFeature(data)

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Write ``text_renderer_config.json``, and beside it the fonts that cannot be fetched.

        Args:
            save_directory: A folder, which is made if it does not exist.
            push_to_hub: Not obeyed; the method of that name uploads.
            **kwargs: What transformers gives to all; a renderer has no use for it.

        Raises:
            ValueError: `push_to_hub` is true.
            FileExistsError: Another font is there under the name of one of the renderer's.
        """
        if push_to_hub:
            raise UserError("write processor.push_to_hub(name) instead of save_pretrained(push_to_hub=True)")
        folder = Path(os.path.expanduser(save_directory))
        self.renderer.save_pretrained(folder)
        return [str(file) for file in sorted(folder.iterdir())]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> PixelProcessor:
        """The processor of a checkpoint.

        Args:
            pretrained_model_name_or_path: A folder, a checkpoint of the package, or a name on the hub.
            **kwargs: Where on the hub it is, such as `revision`; and arguments of the renderer that replace
                those of the checkpoint, such as `max_seq_length`.

        Raises:
            FileNotFoundError: There is no such checkpoint, or it has no renderer.
            ValueError: The renderer's file is not what it should be.
        """
        known = {*HUB_OPTIONS, *inspect.signature(TextRenderer.__init__).parameters}
        options = {key: value for key, value in kwargs.items() if key in known and value is not None}
        return cls(TextRenderer.from_pretrained(pretrained_model_name_or_path, **options))

    def to_dict(self) -> dict[str, Any]:
        """What tells it from others."""
        names = ("strategy", "max_seq_length", "font_size", "dpi", "rgb")
        return {"processor_class": type(self).__name__} | {
            name: getattr(self.renderer, name) for name in names
        }

    def __repr__(self) -> str:
        settings = ", ".join(
            f"{name}={value!r}" for name, value in self.to_dict().items() if value is not None
        )
        return f"{type(self).__name__}({settings})"

    def _with_length(self, max_length: int | None) -> TextRenderer:
        if max_length in (None, self.renderer.max_seq_length):
            return self.renderer
        if self._shorter is None or self._shorter.max_seq_length != max_length:
            self._shorter = self.renderer.with_changes(max_seq_length=max_length)
        return self._shorter


def _as_batch(text: Any, text_pair: Any, words: bool) -> list[Any]:
    """Texts as the renderer takes them: strings, lists of words, or pairs of strings."""
    if words:
        if text_pair is not None:
            raise UserError("is_split_into_words is for single texts; give the texts of a pair as strings")
        rows = as_list(text)
        rows = [rows] if rows and isinstance(rows[0], str) else rows
        return [as_strings(row, f"text[{number}]") for number, row in enumerate(rows)]
    texts = as_strings([text] if isinstance(text, str) else text, "text")
    if text_pair is None:
        return texts
    seconds = as_strings([text_pair] if isinstance(text_pair, str) else text_pair, "text_pair")
    if len(texts) != len(seconds):
        raise UserError(f"there are {len(texts)} texts and {len(seconds)} second texts; give as many")
    return list(zip(texts, seconds, strict=True))


def _offsets(renderer: TextRenderer, texts: Sequence[Any], patches: int) -> Any:
    spans = np.full((len(texts), patches, 2), NOTHING, np.int64)
    for row, text in zip(spans, texts, strict=True):
        found = renderer.offsets(text).spans[:patches]
        row[: len(found)] = found
    return spans


know_our_places(AutoProcessor)
AutoProcessor.register(PixelConfig, PixelProcessor, exist_ok=True)
