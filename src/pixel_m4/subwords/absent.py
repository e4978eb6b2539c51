"""What AutoTokenizer finds for a pixel model: that it has no tokenizer, and what to write instead."""

from __future__ import annotations

from typing import Any, NoReturn

from transformers import AutoTokenizer, PreTrainedTokenizer

from pixel_m4.autos import know_our_places
from pixel_m4.console.errors import UserError
from pixel_m4.model.config import PixelConfig


class NoTokenizer(PreTrainedTokenizer):
    """Stands where AutoTokenizer looks for the tokenizer of a pixel model, and says that there is none."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> NoReturn:
        """Say what to write instead.

        Raises:
            ValueError: always.
        """
        raise UserError(
            f"{pretrained_model_name_or_path} is a pixel model: it has no tokenizer and reads drawn text. "
            "Write AutoProcessor instead of AutoTokenizer; and instead of a pipeline of transformers "
            "pixel_m4.load(name).predict(texts)"
        )


know_our_places(AutoTokenizer)
AutoTokenizer.register(PixelConfig, tokenizer_class=NoTokenizer, exist_ok=True)
