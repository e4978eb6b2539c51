"""Loading weights: errors that name the file, and one line about what is new instead of a table."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from pixel_m4.console.errors import UserError
from pixel_m4.model.config import CONFIG_FILE, PixelConfig

logger = logging.getLogger(__name__)
# What a checkpoint holds beside the encoder. Published ones carry heads that were never trained.
PARTS: Mapping[str, tuple[str, ...]] = {
    "decoder": ("decoder.",),
    "piece_head": ("piece_head.",),
    "blank_head": ("blank_head.",),
    "classifier": ("classifier.",),
    "vit.pooler": ("pooler.dense.",),
    "encoder.pooler": ("encoder.pooler.",),
    "pooler": ("pooler.",),
    "biaffine": ("biaffine_arcs.", "biaffine_rels."),
    "qa_outputs": ("qa_outputs.",),
    "words": ("words.",),
    "tagger": ("tagger.",),
}
OF_SEVERAL_HEADS = ("words", "tagger")
"""Parts that a head has or not, as its configuration says."""
HEADS = (
    "PixelForTokenClassification",
    "PixelForBiaffineParsing",
    "PixelForSequenceClassification",
    "PixelForQuestionAnswering",
    "TextForTokenClassification",
    "TextForBiaffineParsing",
    "TextForSequenceClassification",
    "TextForQuestionAnswering",
)
TABLES = ("embeddings.position_embeddings", "decoder.decoder_pos_embed")
"""Vectors of places, which a model with rotary positions alone leaves out."""
REPORT = "LOAD REPORT"  # how transformers' table of weights begins, after the model's name


def check_folder(name: Any, needs_config: bool) -> None:
    """Refuse a model folder that is incomplete; names on the hub pass.

    Raises:
        FileNotFoundError: Its `config.json` does not exist.
        ValueError: A weights file is empty.
    """
    path = Path(str(name))
    if not path.is_dir():
        return
    if needs_config and not (path / CONFIG_FILE).exists():
        raise FileNotFoundError(f"the model folder {str(name)!r} has no {CONFIG_FILE}")
    for index in path.glob("*.index.json"):
        check_index(index)
    for file in weights_in(path):
        if file.stat().st_size == 0:
            raise UserError(f"{file} is truncated or damaged: it is empty")


def check_index(file: Path) -> None:
    """Refuse a list of weights files that is damaged, or names files that are not there.

    Raises:
        FileNotFoundError: Names a missing file.
        ValueError: The list is damaged.
    """
    try:
        files = json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()
        missing = sorted(name for name in set(files) if not (file.parent / name).is_file())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file} is no list of weights files, or is damaged: {error!r}") from error
    if missing:
        raise FileNotFoundError(f"{file.parent / missing[0]} is missing, which {file.name} names")


def holds_no_tensors(file: Path) -> bool:
    """Whether a file of PyTorch holds something else than tensors with names."""
    content = torch.load(file, map_location="meta", weights_only=True)
    return not isinstance(content, dict) or not all(
        isinstance(part, torch.Tensor) for part in content.values()
    )


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
        raise UserError(
            f"{weights_files(name)} holds more than tensors, or is damaged; it was not loaded, as "
            "a pickle can run code"
        ) from error
    except (SafetensorError, EOFError) as error:
        raise UserError(
            f"{weights_files(name)} is truncated or damaged: {str(error).split('. ')[0]}"
        ) from error
    except (
        RuntimeError,
        AttributeError,
        TypeError,
        ValueError,
    ) as error:  # of torch.load, of what it loaded, or others
        if "PytorchStreamReader" in str(error):
            reason = str(error).split(". ")[0]
            raise UserError(f"{weights_files(name)} is truncated or damaged: {reason}") from error
        for file in weights_in(Path(str(name))):
            if file.suffix == ".bin" and holds_no_tensors(file):
                raise UserError(f"{file} holds something else than tensors with names") from error
        raise


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


def part_of(key: str) -> str | None:
    """The head that a weight belongs to, by its name in checkpoints; None for the encoder and others."""
    key = key.removeprefix("vit.").removeprefix("text.")
    for part, prefixes in PARTS.items():
        if key.startswith(prefixes):
            return part
    return None


def foreign_parts(model: PreTrainedModel) -> set[str]:
    """Parts of a model that its checkpoint has under the same name for another head.

    Heads for tokens and for texts both have a `classifier`, which is not the same. The checkpoint's
    configuration says whose it is.
    """
    known = {name.lower() for name in HEADS}
    trained = {name.lower() for name in model.config.architectures or ()} & known
    if not trained or type(model).__name__.lower() in trained:
        return set()
    return {part for key in model.state_dict() if (part := part_of(key)) is not None} - {
        "vit.pooler",
        "encoder.pooler",
    }


def check_loaded(
    model: PreTrainedModel,
    name: Any,
    info: Mapping[str, Any],
    ignore_sizes: bool = False,
    ignore_unexpected: bool = False,
) -> None:
    """Refuse weights that are not this model's; name the new ones in one line of the log.

    Heads that the model does not have are left out, as when an encoder is taken from a parser. A head that
    it has must find all of its weights or none, and leave none over, as the encoder must.

    Args:
        model: The model that was loaded.
        name: Where from: a folder, or a name on the hub.
        info: The loading info of transformers; heads that were left out on purpose are taken from it.
        ignore_sizes: Whether weights of another size count as missing.
        ignore_unexpected: Whether weights without a place are left out.

    Raises:
        ValueError: Weights have other sizes or no place, or parts of the encoder or of a head are missing.
    """
    source = weights_files(name)
    foreign = foreign_parts(model)
    missing, mismatched = sorted(info["missing_keys"]), sorted(info["mismatched_keys"])
    own = {part: [key for key in model.state_dict() if part_of(key) == part] for part in PARTS}
    if not ignore_sizes:
        _refuse_sizes(source, [entry for entry in mismatched if part_of(entry[0]) not in foreign])
    _refuse_missing(source, missing, own, model.base_model_prefix + ".")
    _leave_out(model, name, info["unexpected_keys"], own, ignore_unexpected)
    replaced = [key for part in foreign for key in own[part]]
    _renew(model, replaced)
    new = {key.rpartition(".")[0] or key for key in {*missing, *replaced, *(key for key, *_ in mismatched)}}
    if new:
        kind, parts = type(model).__name__, ", ".join(sorted(new))
        logger.warning("%s: new weights, not from %s, to be trained: %s", kind, name, parts)


def warn_of_positions(config: PixelConfig, saved: PixelConfig, name: Any) -> None:
    """Say in one line of the log that a model tells places otherwise than its weights were trained to."""
    before, now = (
        each.position_embedding_type + ("" if each.rope_theta is None else f" (base {each.rope_theta:g})")
        for each in (saved, config)
    )
    if before != now:
        logger.warning(
            "%s was trained with %s positions, and is opened with %s ones: its weights fit, but its "
            "attention has to be trained anew",
            *(name, before, now),
        )


def _refuse_sizes(source: str, wrong: Sequence[tuple[str, Any, Any]]) -> None:
    if wrong:
        key, found, expected = wrong[0]
        more = f" ({len(wrong) - 1} more differ)" if len(wrong) > 1 else ""
        raise UserError(
            f"{source}: {key} is {list(found)}, but the configuration makes it "
            f"{list(expected)}{more}; if new weights are wanted there, pass ignore_mismatched_sizes=True"
        )


def _refuse_missing(
    source: str, missing: Sequence[str], own: Mapping[str, Sequence[str]], prefix: str
) -> None:
    """The encoder must be whole, and each head must be there or not be there."""
    parts = ("encoder.", "embeddings.patch_embeddings.", "embeddings.cls_token", "layernorm.")
    encoder = [key for key in missing if key.removeprefix(prefix).startswith(parts) and part_of(key) is None]
    if encoder:
        raise UserError(
            f"{source} lacks {len(encoder)} weights of the encoder, such as {encoder[0]}: it is "
            "another architecture's, or incomplete"
        )
    lacking = [key for key in missing if not key.endswith("pos_embed")]  # a table that we can fill
    for part, keys in own.items():
        gone = [key for key in lacking if part_of(key) == part]
        if gone and len(gone) < len([key for key in keys if not key.endswith("pos_embed")]):
            raise UserError(
                f"{source} lacks {len(gone)} weights of {part}, such as {gone[0]}, and has others of it: the "
                "configuration is another model's, or the file is incomplete"
            )


def _leave_out(
    model: PreTrainedModel,
    name: Any,
    unexpected: set[str] | list[str],
    own: Mapping[str, Sequence[str]],
    ignore: bool,
) -> None:
    """Take weights of heads that the model does not have from `unexpected`; refuse others."""
    kind, over = type(model).__name__, sorted(unexpected)
    tables = () if getattr(model.config, "adds_positions", True) else TABLES
    its_own = kind.lower() in {architecture.lower() for architecture in model.config.architectures or ()}
    misplaced = [
        key
        for key in over
        if (own.get(part_of(key) or "", True) or (its_own and part_of(key) in OF_SEVERAL_HEADS))
        and not key.endswith(tables)
    ]
    if misplaced and not ignore:
        raise UserError(
            f"{weights_files(name)}: {len(misplaced)} weights have no place in the {kind} that the "
            f"configuration describes, such as {misplaced[0]}; correct {CONFIG_FILE}, or pass "
            "ignore_unexpected_keys=True to leave them out"
        )
    for key in over:
        if key not in misplaced:
            unexpected.remove(key)
    if over:
        left = sorted({part_of(key) or key for key in over})
        logger.info("%s: left out of %s, as it has no place for it: %s", kind, name, ", ".join(left))


def _renew(model: PreTrainedModel, keys: Sequence[str]) -> None:
    """Give the modules of these weights new ones."""
    for module in {key.rpartition(".")[0] for key in keys}:
        layer = model.get_submodule(module)
        for parameter in layer.parameters(recurse=False):
            parameter._is_hf_initialized = False  # else transformers' initialisation leaves it alone
        model._init_weights(layer)
