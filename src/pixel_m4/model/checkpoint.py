"""What a checkpoint holds: its configuration, its head, and the types and sizes of its weights."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from pixel_m4.model.config import PixelConfig
from pixel_m4.model.heads import (
    PixelForBiaffineParsing,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
)
from pixel_m4.model.loading import check_folder, weights_in
from pixel_m4.model.mae import PixelForPreTraining
from pixel_m4.model.vit import PixelModel, PixelPreTrainedModel
from pixel_m4.shipped import find_model

# Published checkpoints write PIXEL in capitals.
ARCHITECTURES: Mapping[str, type[PixelPreTrainedModel]] = {
    model.__name__.lower(): model
    for model in (
        PixelModel,
        PixelForPreTraining,
        PixelForTokenClassification,
        PixelForBiaffineParsing,
        PixelForSequenceClassification,
        PixelForQuestionAnswering,
    )
}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model folder, or a name on the hub, without its weights in memory.

    Args:
        name: As the user gave it.
        config: Its configuration.
        model: The class of its model.
        files: Its weights files; none of a name on the hub.
        dtypes: The types of its weights, such as "float32".
    """

    name: str
    config: PixelConfig
    model: type[PixelPreTrainedModel]
    files: tuple[Path, ...]
    dtypes: tuple[str, ...]

    @property
    def size(self) -> int:
        """The size of the weights files in bytes."""
        return sum(file.stat().st_size for file in self.files)


def open_checkpoint(name: str) -> Checkpoint:
    """Look into a model folder, or at a name on the hub.

    Raises:
        FileNotFoundError: The folder or its `config.json` does not exist.
        OSError: The hub has no such model, or cannot be reached.
        ValueError: It is another architecture's, or its weights file is damaged.
    """
    given, name = name, find_model(name)
    check_folder(name, needs_config=True)
    config = PixelConfig.from_pretrained(name)
    files = weights_in(Path(name)) if Path(name).is_dir() else []
    tensors = {key: dtype for file in files for key, dtype in read_dtypes(file).items()}
    return Checkpoint(
        name=given,
        config=config,
        model=model_of(config.architectures or (), tensors),
        files=tuple(files),
        dtypes=tuple(sorted(set(tensors.values()))),
    )


def model_of(architectures: Iterable[str], tensors: Iterable[str]) -> type[PixelPreTrainedModel]:
    """The class of a checkpoint: as its configuration says, or else as the names of its weights tell."""
    for architecture in architectures:
        if architecture.lower() in ARCHITECTURES:
            return ARCHITECTURES[architecture.lower()]
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
        raise ValueError(
            f"{file} holds more than tensors, or is damaged; it was not loaded, as a pickle can run code"
        ) from error
    except (SafetensorError, EOFError, RuntimeError) as error:
        raise ValueError(f"{file} is truncated or damaged: {str(error).split('. ')[0]}") from error


def dtype_of(code: str) -> str:
    """A type of safetensors, such as "F32", in PyTorch's words."""
    kinds = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint"}
    letters = code.rstrip("0123456789")
    return kinds[letters] + code.removeprefix(letters) if letters in kinds else code.lower()
