"""What a weights file holds: names and types of tensors, and which class of model they make."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from pixel_m4.console.errors import UserError
from pixel_m4.model.heads import (
    PixelForBiaffineParsing,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
)
from pixel_m4.model.mae import PixelForPreTraining
from pixel_m4.model.text import TextModel, TextPreTrainedModel
from pixel_m4.model.text_heads import TEXT_HEADS
from pixel_m4.model.vit import PixelModel, PixelPreTrainedModel

# Published checkpoints write PIXEL in capitals.
_CLASSES: list[type[PixelPreTrainedModel] | type[TextPreTrainedModel]] = [PixelModel, PixelForPreTraining]
_CLASSES += [TextModel, *TEXT_HEADS.keys(), *TEXT_HEADS.values()]
ARCHITECTURES = {model.__name__.lower(): model for model in _CLASSES}


def class_of(
    architectures: Iterable[str], tensors: Iterable[str], text: bool = False
) -> type[PixelPreTrainedModel] | type[TextPreTrainedModel]:
    """The class of a checkpoint: as its configuration says, or else as the names of its weights tell.

    Args:
        architectures: What its configuration names.
        tensors: The names of its weights.
        text: Whether it is a text model.
    """
    for architecture in architectures:
        if architecture.lower() in ARCHITECTURES:
            return ARCHITECTURES[architecture.lower()]
    if text:
        return TextModel
    names = tuple(tensors)

    def has(*prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in names)

    if has("decoder."):
        return PixelForPreTraining
    if has("biaffine_"):
        return PixelForBiaffineParsing
    if has("qa_outputs."):
        return PixelForQuestionAnswering
    if has("classifier."):
        return (
            PixelForSequenceClassification if has("pooler.", "vit.pooler.") else PixelForTokenClassification
        )
    return PixelModel


def read_dtypes(file: Path) -> dict[str, str]:
    """The names and types of the weights of a file.

    Raises:
        ValueError: The file is damaged, or holds more than tensors.
    """
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as tensors:
                names = tensors.keys()
                return {name: dtype_of(tensors.get_slice(name).get_dtype()) for name in names}
        weights = torch.load(file, map_location="meta", weights_only=True)
        return {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in weights.items()}
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{file} holds more than tensors, or is damaged; it was not loaded, as a pickle can run code"
        ) from error
    except (SafetensorError, EOFError, RuntimeError, ValueError) as error:
        raise UserError(f"{file} is truncated or damaged: {str(error).split('. ')[0]}") from error


def dtype_of(code: str) -> str:
    """A type of safetensors, such as "F32", in PyTorch's words."""
    kinds = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint"}
    letters = code.rstrip("0123456789")
    return kinds[letters] + code.removeprefix(letters) if letters in kinds else code.lower()
