"""Loading weights: errors that name the file, and one line about what is new instead of a table."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel

logger = logging.getLogger(__name__)
REPORT = "LOAD REPORT"  # how transformers' table of weights begins, after the model's name


def check_folder(name: Any, needs_config: bool) -> None:
    """Refuse a model folder that is missing or incomplete; names on the hub pass.

    Raises:
        FileNotFoundError: The path or its `config.json` does not exist.
        ValueError: A weights file is empty.
    """
    path = Path(str(name))
    path_like = isinstance(name, Path) or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1
    if name is not None and path_like and not path.exists():
        raise FileNotFoundError(f"there is no model folder {str(name)!r}")
    if not path.is_dir():
        return
    if needs_config and not (path / "config.json").exists():
        raise FileNotFoundError(f"the model folder {str(name)!r} has no config.json")
    for file in weights_in(path):
        if file.stat().st_size == 0:
            raise ValueError(f"{file} is truncated or damaged: it is empty")


def weights_in(folder: Path) -> list[Path]:
    """The weights files of a folder, those that transformers prefers."""
    return sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def weights_files(name: Any) -> str:
    """The weights files of a model folder, or the name of a model on the hub, for error messages."""
    return ", ".join(map(str, weights_in(Path(str(name))))) or str(name)


@contextmanager
def named_errors(name: Any) -> Iterator[None]:
    """Turn the errors of damaged and dangerous weights files into ones that name the file.

    Raises:
        ValueError: The weights file is damaged, or holds more than tensors.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{weights_files(name)} holds more than tensors, or is damaged; it was not loaded, as "
            "a pickle can run code"
        ) from error
    except (SafetensorError, EOFError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "PytorchStreamReader" not in str(error):
            raise
        reason = str(error).split(". ")[0]
        raise ValueError(f"{weights_files(name)} is truncated or damaged: {reason}") from error


@contextmanager
def without_report() -> Iterator[None]:
    """Without transformers' table of missing weights, which `check_loaded` says in one line."""

    def no_report(record: logging.LogRecord) -> bool:
        return REPORT not in record.getMessage()

    theirs = logging.getLogger("transformers.modeling_utils")
    theirs.addFilter(no_report)
    try:
        yield
    finally:
        theirs.removeFilter(no_report)


def check_loaded(
    model: PreTrainedModel, name: Any, info: Mapping[str, Any], ignore_sizes: bool = False
) -> None:
    """Refuse weights that are not this model's; name the new ones in one line of the log.

    Args:
        model: The model that was loaded.
        name: Where from.
        info: The loading info of transformers.
        ignore_sizes: Whether weights of another size count as missing.

    Raises:
        ValueError: Weights have other sizes, or parts of the encoder are missing.
    """
    mismatched = sorted(info["mismatched_keys"])
    if mismatched and not ignore_sizes:
        key, found, expected = mismatched[0]
        more = f" ({len(mismatched) - 1} more differ)" if len(mismatched) > 1 else ""
        raise ValueError(
            f"{weights_files(name)}: {key} is {list(found)}, but the configuration makes it "
            f"{list(expected)}{more}; if new weights are wanted there, pass ignore_mismatched_sizes=True"
        )
    prefix = model.base_model_prefix + "."
    parts = ("encoder.", "embeddings.patch_embeddings.", "embeddings.cls_token", "layernorm.")
    encoder = [key for key in sorted(info["missing_keys"]) if key.removeprefix(prefix).startswith(parts)]
    if encoder:
        raise ValueError(
            f"{weights_files(name)} lacks {len(encoder)} weights of the encoder, such as {encoder[0]}: it is "
            "another architecture's, or incomplete"
        )
    keys = {*info["missing_keys"], *(key for key, *_ in mismatched)}
    new = sorted({key.rpartition(".")[0] or key for key in keys})
    if new:
        logger.warning(
            "%s: new weights, not from %s, to be trained: %s", type(model).__name__, name, ", ".join(new)
        )
