"""The configuration of a pixel model: what `config.json` of a checkpoint holds."""

from __future__ import annotations

import inspect
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig
from transformers.activations import ACT2CLS

from pixel_m4.console.errors import UserError
from pixel_m4.shipped import find_model, find_shipped

CONFIG_FILE = "config.json"
POOLING_MODES = ("mean", "max", "cls", *(f"pma{heads}" for heads in range(1, 9)))
WORD_POOLING = ("first", "mean", "first_last_mean", "attention")
POSITIONS = ("absolute", "rotary", "rotary_absolute")
ROPE_THETA = 10_000.0
HUB_OPTIONS = ("revision", "subfolder", "cache_dir", "local_files_only", "token")

# What a value may be: the least whole number, the limits of a number, or yes and no.
_WHOLE = {
    "hidden_size": 1,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 1,
    "patch_size": 1,
    "num_channels": 1,
    "decoder_hidden_size": 1,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 1,
    "decoder_intermediate_size": 1,
    "num_word_layers": 0,
    "num_tags": 0,
}
_NUMBERS = {
    "hidden_dropout_prob": 1.0,
    "attention_probs_dropout_prob": 1.0,
    "mask_ratio": 1.0,
    "initializer_range": math.inf,
    "layer_norm_eps": math.inf,
}
_TRUTHS = (
    "qkv_bias",
    "norm_pix_loss",
    "pooler_add_layer_norm",
    "mix_layers",
    "padding_competes",
)

# Differences from the published base model (Rust et al. 2023; Kesen et al. 2025), which is the default.
NAMED: Mapping[str, Mapping[str, int]] = {
    "base": {},
    "large": {  # ViT-Large (Dosovitskiy et al. 2021), known as 307 M, with the decoder of base
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
    "small": {
        "hidden_size": 384,
        "num_attention_heads": 6,
        "intermediate_size": 1536,
        "decoder_hidden_size": 264,
        "decoder_num_hidden_layers": 4,
        "decoder_num_attention_heads": 6,
        "decoder_intermediate_size": 1056,
    },
    "tiny": {
        "hidden_size": 192,
        "num_attention_heads": 3,
        "intermediate_size": 768,
        "decoder_hidden_size": 132,
        "decoder_num_hidden_layers": 4,
        "decoder_num_attention_heads": 3,
        "decoder_intermediate_size": 528,
    },
    "nano": {  # not published: for tests and for trying a pipeline
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "decoder_hidden_size": 32,
        "decoder_num_hidden_layers": 2,
        "decoder_num_attention_heads": 4,
        "decoder_intermediate_size": 64,
    },
}


# Keys of earlier versions, of the second objective of pretraining, and what they are called there now.
_FORMER = {
    "num_pieces": "number",
    "piece_loss_weight": "weight",
    "visible_pieces": "visible",
    "blank_pieces": "blank",
}


def _without_former(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that are kept: those of the second objective only where a training goes on with it."""
    former = {new: keys[old] for old, new in _FORMER.items() if old in keys}
    kept = {name: value for name, value in keys.items() if name not in _FORMER}
    return {**kept, "patch_classes": former} if former.get("number") else kept


class PoolingSizes:
    """What follows from `pooling_mode`, the way in which sequence classification pools."""

    pooling_mode: str

    @property
    def pooling_heads(self) -> int:
        """Heads of the attention that pools patches for sequence classification; 0 for another pooling."""
        return int(self.pooling_mode[3:]) if self.pooling_mode.startswith("pma") else 0

    @property
    def pooled_size(self) -> int:
        """Width of what is classified: of the encoder, or the next multiple of the heads that pool."""
        heads = self.pooling_heads or 1
        return -(-self.hidden_size // heads) * heads  # type: ignore[attr-defined]


class PixelConfig(PoolingSizes, PreTrainedConfig):
    """Sizes and rates of a pixel model; the defaults are those of the published base model.

    Args:
        hidden_size: Width of the encoder; a multiple of the heads and of 4 (2-D sine-cosine positions).
        num_hidden_layers: Layers of the encoder.
        num_attention_heads: Attention heads of the encoder.
        intermediate_size: Width of the encoder's feed-forward part.
        hidden_act: Activation of the feed-forward parts ("gelu" is the exact one).
        hidden_dropout_prob: Dropout on the embeddings (fine-tuning), on layer outputs and in the heads.
        attention_probs_dropout_prob: Dropout on the attention weights.
        initializer_range: Standard deviation of new weights.
        layer_norm_eps: Epsilon of the layer norms (the decoder's last one has its own, 1e-5).
        image_size: Height and width of the longest rendering, in pixels: `[16, 16 * max_seq_length]`.
        patch_size: Height and width of a patch.
        num_channels: Colour channels of the patch embedding; grey input stands for equal channels.
        qkv_bias: Whether queries, keys and values have a bias.
        decoder_hidden_size: Width of the pretraining decoder.
        decoder_num_hidden_layers: Layers of the decoder.
        decoder_num_attention_heads: Attention heads of the decoder.
        decoder_intermediate_size: Width of the decoder's feed-forward part.
        mask_ratio: Share of the patches that pretraining hides.
        norm_pix_loss: Whether each target patch is standardised by its own mean and variance.
        pooling_mode: How sequence classification pools: "mean", "max", "cls", or "pma1" to "pma8": by
            attention with so many heads.
        pooler_add_layer_norm: Whether pooling normalises the states before; "cls" does not.
        mix_layers: Whether what the encoder gives is a learned mean of the embeddings and of all layers, not
            the last layer alone, as published.
        word_pooling: How the heads for words make one state of a word's patches: "first", "mean",
            "first_last_mean" or "attention"; None: as published, the first patch for labels of words and the
            mean for parsing.
        num_word_layers: Layers over the states of words, before the head; 0 for none, as published.
        word_rope_theta: The base of rotary positions of words in the layers over words, above 1; None for
            none, where words are in order only as far as their patches tell it.
        num_tags: Parts of speech that the parser also tells; 0 for none, as published.
        position_embedding_type: How places are told: "absolute", as published, by vectors that are added to
            patches; "rotary" by turning queries and keys (Su et al. 2021), without such vectors; or
            "rotary_absolute" by both. It holds for the encoder and for the decoder of pretraining.
        rope_parameters: Of rotary positions, as in transformers: `{"rope_type": "default", "rope_theta": …}`,
            the base of the angles, 10,000 by default; None for absolute positions.
        padding_competes: Whether the losses of parsing and question answering count what is absent as a wrong
            choice, as published: words up to `max_seq_length` as heads with a score of 0, and patches up to
            it as places of the answer. Otherwise only what is there competes, which is quicker for answers.
            Neither way does the loss of a text depend on its batch.
        unpad_inputs: Whether to compute batches without padding, sequences end to end (the same numbers,
            and zeros on padding). Default: on the CPU, where enough is padding for it to pay; and on GPUs, in
            half precision and without dropout, attention alone, which needs no waiting for lengths.
        max_seq_length: Longest rendering in patches, a perfect square; a shorter way to set `image_size`.
        rope_theta: A shorter way to set the base in `rope_parameters`.
        **kwargs: What every configuration of transformers takes: `num_labels`, `id2label`, `problem_type` …
            Unknown keys, as old checkpoints have them, are kept and not used.
    """

    model_type = "pixel"

    def __init__(
        self,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: str = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        initializer_range: float = 0.02,
        layer_norm_eps: float = 1e-12,
        image_size: Sequence[int] = (16, 8464),
        patch_size: int = 16,
        num_channels: int = 3,
        qkv_bias: bool = True,
        decoder_hidden_size: int = 512,
        decoder_num_hidden_layers: int = 8,
        decoder_num_attention_heads: int = 16,
        decoder_intermediate_size: int = 2048,
        mask_ratio: float = 0.25,
        norm_pix_loss: bool = True,
        pooling_mode: str = "mean",
        pooler_add_layer_norm: bool = True,
        mix_layers: bool = False,
        word_pooling: str | None = None,
        num_word_layers: int = 0,
        word_rope_theta: float | None = None,
        num_tags: int = 0,
        position_embedding_type: str = "absolute",
        rope_parameters: Mapping[str, Any] | None = None,
        padding_competes: bool = True,
        unpad_inputs: bool | None = None,
        max_seq_length: int | None = None,
        rope_theta: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.initializer_range = initializer_range
        self.layer_norm_eps = layer_norm_eps
        self.image_size: Any = image_size
        self.patch_size = patch_size
        self.num_channels = num_channels
        self.qkv_bias = qkv_bias
        self.decoder_hidden_size = decoder_hidden_size
        self.decoder_num_hidden_layers = decoder_num_hidden_layers
        self.decoder_num_attention_heads = decoder_num_attention_heads
        self.decoder_intermediate_size = decoder_intermediate_size
        self.mask_ratio = mask_ratio
        self.norm_pix_loss = norm_pix_loss
        self.pooling_mode = pooling_mode
        self.pooler_add_layer_norm = pooler_add_layer_norm
        self.mix_layers = mix_layers
        self.word_pooling: Any = word_pooling
        self.num_word_layers = num_word_layers
        self.word_rope_theta: Any = word_rope_theta
        self.num_tags = num_tags
        self.position_embedding_type: Any = position_embedding_type
        self.padding_competes = padding_competes
        self.unpad_inputs = unpad_inputs
        self._check_types()
        if max_seq_length is not None:
            if not _is_whole(max_seq_length):
                raise UserError(f"max_seq_length must be a whole number, got {max_seq_length!r}")
            check_square(max_seq_length)
            self.image_size = [patch_size, patch_size * int(max_seq_length)]
        self._check_sizes()
        check_word_rope(self)
        check_common(kwargs)
        super().__init__(**_without_former(kwargs))
        # Afterwards: transformers fills it where it is None, and absolute positions have none.
        self.rope_parameters = self._checked_rope(rope_parameters, rope_theta)

    @property
    def max_patches(self) -> int:
        """The longest rendering in patches: the rows of the position table without the CLS row."""
        return self.image_size[1] // self.patch_size

    @property
    def max_seq_length(self) -> int:
        """The renderer's name for `max_patches`."""
        return self.max_patches

    @property
    def adds_positions(self) -> bool:
        """Whether vectors of places are added to patches."""
        return self.position_embedding_type != "rotary"

    @property
    def rope_theta(self) -> float | None:
        """The base of the angles of rotary positions; None where there are none."""
        return None if self.rope_parameters is None else self.rope_parameters["rope_theta"]

    @classmethod
    def named(cls, name: str, **overrides: Any) -> PixelConfig:
        """The configuration of a published size ("base", "small", "tiny"), "large", or "nano" for tests.

        Raises:
            ValueError: The name is unknown.
        """
        if name not in NAMED:
            raise UserError(f"unknown model size {name!r}; the sizes are {', '.join(NAMED)}")
        return cls(**{**NAMED[name], **overrides})

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Any:
        """Read the configuration of a checkpoint, and change it.

        Args:
            pretrained_model_name_or_path: A folder, a checkpoint of the package, a name on the hub, or a
                `config.json`.
            **kwargs: `revision`, `subfolder`, `cache_dir`, `local_files_only` and `token`, as in
                transformers; and changes, such as `hidden_dropout_prob=0.0`.

        Raises:
            FileNotFoundError: There is no such folder or file, and no such model on the hub.
            OSError: The hub cannot be reached, or the file is no JSON.
            ValueError: A value is not possible; names the file. Or it belongs to another architecture.
        """
        name = pretrained_model_name_or_path
        if not Path(str(name)).is_file():
            name = find_model(name, **{key: kwargs[key] for key in HUB_OPTIONS if key in kwargs})
        return super().from_pretrained(name, **kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Make a configuration of what a `config.json` holds, and change it.

        Args:
            config_dict: The values.
            **kwargs: Changes, checked as the values are; and what transformers takes. `name_or_path` says
                where the values are from.

        Raises:
            ValueError: A value is not possible, or belongs to another architecture.
        """
        cls._check_type(config_dict)
        changes = {name: kwargs.pop(name) for name in FIELDS if name in kwargs}
        check_common(kwargs)
        if kwargs.get("name_or_path"):  # from AutoConfig, which does not call `get_config_dict`
            cls._check_file(config_dict, config_file(kwargs["name_or_path"]))
        outdated: tuple[str, ...] = ()
        if "image_size" in changes:
            outdated = ("max_seq_length",)
        if "num_labels" in kwargs and kwargs["num_labels"] != len(config_dict.get("id2label") or ()):
            outdated += ("id2label", "label2id")  # names of other labels
        config_dict = {key: value for key, value in config_dict.items() if key not in outdated}
        return super().from_dict({**config_dict, **changes}, **kwargs)

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: Any, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read a `config.json`, and refuse another architecture's before transformers warns of it.

        Args:
            pretrained_model_name_or_path: A folder, a checkpoint of the package, or a name on the hub.
            **kwargs: What transformers takes.

        Raises:
            ValueError: The file holds no JSON object, or belongs to another architecture.
        """
        name = find_shipped(pretrained_model_name_or_path)
        if Path(name).is_dir() and not config_file(name, kwargs.get("subfolder") or "").is_file():
            folder = Path(name, kwargs.get("subfolder") or "")
            raise FileNotFoundError(f"the model folder {str(folder)!r} has no {CONFIG_FILE}")
        config_dict, rest = super().get_config_dict(name, **kwargs)
        cls._check_type(config_dict)
        cls._check_file(config_dict, config_file(name, kwargs.get("subfolder") or ""))
        return config_dict, rest

    @classmethod
    def _check_file(cls, config_dict: dict[str, Any], file: Path) -> None:
        """Try the values before they are changed, so that an error names the file if it is at fault.

        Raises:
            ValueError: A value is not possible.
        """
        try:
            cls(**config_dict)
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: {' '.join(str(error).split())}") from error

    @classmethod
    def _dict_from_json_file(cls, json_file: str | os.PathLike[str]) -> dict[str, Any]:
        """What transformers calls to read the file.

        Raises:
            ValueError: It holds no JSON object.
        """
        try:
            content = json.loads(Path(json_file).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{json_file} is no JSON, or is damaged: {error}") from error
        if not isinstance(content, dict):
            raise UserError(f"{json_file} must hold a JSON object with names and values, got {content!r:.60}")
        return content

    @classmethod
    def _check_type(cls, config_dict: Mapping[str, Any]) -> None:
        """Refuse another `model_type`."""
        found = config_dict.get("model_type", cls.model_type)
        if found != cls.model_type:
            raise UserError(
                f"this checkpoint holds a {found!r} model (model_type of its config.json), not a "
                f"{cls.model_type!r} model; a pixel model cannot use its weights"
            )

    def _check_types(self) -> None:
        """Refuse values that are no numbers, no truth values or outside their limits, with the value."""
        check_whole(self, _WHOLE)
        for name, most in _NUMBERS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real):
                raise UserError(f"{name} must be a number, got {value!r}")
            if not _is_within(value, most):
                limits = "lie between 0 and 1" if most == 1 else "be at least 0 and finite"
                raise UserError(f"{name} must {limits}, got {value}")
        check_truths(self, _TRUTHS)
        if self.unpad_inputs not in (None, True, False) or _is_whole(self.unpad_inputs):
            raise UserError(f"unpad_inputs must be true, false or null, got {self.unpad_inputs!r}")
        if self.mask_ratio == 1:
            raise UserError(f"mask_ratio must be at least 0 and below 1, got {self.mask_ratio}")
        if not isinstance(self.hidden_act, str) or self.hidden_act not in ACT2CLS:
            raise UserError(f"hidden_act must be one of {', '.join(ACT2CLS)}; got {self.hidden_act!r}")
        check_pooling(self)

    def _checked_rope(self, given: Any, theta: Any) -> dict[str, Any] | None:
        """The parameters of rotary positions in full.

        Raises:
            ValueError: There is no such way or base, or heads have an odd width.
        """
        if not isinstance(self.position_embedding_type, str) or self.position_embedding_type not in POSITIONS:
            raise UserError(
                f"position_embedding_type must be one of {', '.join(POSITIONS)}; "
                f"got {self.position_embedding_type!r}"
            )
        if self.position_embedding_type == "absolute":
            if theta is not None:
                raise UserError(
                    "rope_theta is the base of rotary positions, and position_embedding_type is absolute: "
                    "give rotary or rotary_absolute, or leave rope_theta out"
                )
            return None
        if given is not None and (
            not isinstance(given, Mapping) or given.keys() - {"rope_type", "rope_theta"}
        ):
            raise UserError(f"rope_parameters must map rope_type and rope_theta to values, got {given!r:.80}")
        found = {"rope_type": "default", "rope_theta": ROPE_THETA, **(given or {})}
        if found["rope_type"] != "default":
            raise UserError(f"rope_type must be default, there is no other; got {found['rope_type']!r}")
        base = found["rope_theta"] if theta is None else theta
        return {**found, "rope_theta": check_rope("rope_theta", base, self, ("", "decoder_"))}

    def _check_sizes(self) -> None:
        """Refuse sizes that cannot work together, with the value in the message."""
        for part, width, heads in (
            ("", self.hidden_size, self.num_attention_heads),
            ("decoder_", self.decoder_hidden_size, self.decoder_num_attention_heads),
        ):
            if width % heads:
                raise UserError(
                    f"{part}hidden_size must be a multiple of {part}num_attention_heads, "
                    f"got {width} and {heads}"
                )
            if width % 4:
                raise UserError(
                    f"{part}hidden_size must be a multiple of 4, as positions code column and row by sine "
                    f"and cosine; got {width}"
                )
        size = self.image_size
        if (
            isinstance(size, str)
            or not isinstance(size, Sequence)
            or len(size) != 2
            or not all(map(_is_whole, size))
            or size[0] != self.patch_size
        ):
            raise UserError(
                f"image_size must be [height, width] with a height of one patch ({self.patch_size} pixels), "
                f"got {size!r}"
            )
        self.image_size = [int(pixels) for pixels in size]
        if self.image_size[1] <= 0 or self.image_size[1] % self.patch_size:
            raise UserError(
                f"the width of image_size must be a positive multiple of patch_size {self.patch_size}, "
                f"got {self.image_size[1]}"
            )
        check_square(self.max_patches)


def check_whole(config: Any, least: Mapping[str, int]) -> None:
    """Refuse values of a configuration that are no whole numbers, or too small.

    Raises:
        ValueError: Names the value.
    """
    for name, lowest in least.items():
        value = getattr(config, name)
        if not _is_whole(value):
            raise UserError(f"{name} must be a whole number, got {value!r}")
        if value < lowest:
            raise UserError(f"{name} must {_at_least(lowest)}, got {value}")
        setattr(config, name, int(value))


def check_truths(config: Any, names: Sequence[str]) -> None:
    """Refuse values of a configuration that are neither true nor false.

    Raises:
        ValueError: Names the value.
    """
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, bool):
            raise UserError(f"{name} must be true or false, got {value!r}")


def check_pooling(config: Any) -> None:
    """Refuse ways of pooling that there are not.

    Raises:
        ValueError: Names the value, and the ways that there are.
    """
    if config.word_pooling is not None and config.word_pooling not in WORD_POOLING:
        raise UserError(
            f"word_pooling must be one of {', '.join(WORD_POOLING)}, or null; got {config.word_pooling!r}"
        )
    if config.pooling_mode not in POOLING_MODES:
        raise UserError(
            f"pooling_mode must be one of {', '.join(POOLING_MODES)}, got {config.pooling_mode!r}"
        )


def check_rope(name: str, base: Any, config: Any, parts: Sequence[str] = ("",)) -> float:
    """Refuse a base of rotary positions that is none, and heads of an odd width.

    Args:
        name: The base's name.
        base: Its value.
        config: It has the widths and numbers of heads.
        parts: What stands before their names.

    Raises:
        ValueError: Names the value.
    """
    if isinstance(base, bool) or not isinstance(base, Real) or not 1 < float(base) < math.inf:
        raise UserError(f"{name} must be a finite number above 1, got {base!r}")
    for part in parts:
        width, heads = (getattr(config, part + size) for size in ("hidden_size", "num_attention_heads"))
        if width // heads % 2:
            raise UserError(
                f"rotary positions turn pairs of values, so {part}hidden_size / "
                f"{part}num_attention_heads must be even; got {width} / {heads} = {width // heads}"
            )
    return float(base)


def check_word_rope(config: Any) -> None:
    """Refuse a base of the rotary positions of words that is none.

    Raises:
        ValueError: Names the value.
    """
    if config.word_rope_theta is not None:
        config.word_rope_theta = check_rope("word_rope_theta", config.word_rope_theta, config)


FIELDS = tuple(
    name
    for name, entry in inspect.signature(PixelConfig.__init__).parameters.items()
    if name != "self" and entry.kind is not entry.VAR_KEYWORD
)
"""The names of what a configuration holds, beside what every one of transformers has."""


def config_file(name: Any, subfolder: str = "") -> Path:
    """The `config.json` of a model folder, or of a name on the hub, for messages."""
    path = Path(str(name))
    return path if path.is_file() else path / subfolder / CONFIG_FILE


def _is_whole(value: Any) -> bool:
    """Whether a value is a whole number, and not yes or no."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_within(value: Any, most: float) -> bool:
    """Whether a number lies between 0 and a limit, and is finite as a float (an integer may be too large)."""
    return 0 <= value <= min(most, sys.float_info.max)


def _at_least(least: int) -> str:
    return "be positive" if least == 1 else "not be negative"


def check_common(options: Mapping[str, Any]) -> None:
    """Refuse values of what every configuration of transformers has, which takes them unchecked."""
    for field in ("output_hidden_states", "output_attentions", "return_dict"):
        if options.get(field) is not None and not isinstance(options[field], bool):
            raise UserError(f"{field} must be true or false, got {options[field]!r}")
    names = options.get("architectures")
    if names is not None and not (
        isinstance(names, Sequence) and not isinstance(names, str) and all(isinstance(n, str) for n in names)
    ):
        raise UserError(f"architectures must be a list of names, got {names!r}")
    dtype = options.get("dtype", options.get("torch_dtype"))
    if isinstance(dtype, str) and not isinstance(
        getattr(torch, dtype.removeprefix("torch."), None), torch.dtype
    ):
        raise UserError(f"dtype must be a type of PyTorch's, such as float32; got {dtype!r}")
    problem = options.get("problem_type")
    if problem not in PROBLEM_TYPES:
        allowed = ", ".join(filter(None, PROBLEM_TYPES))
        raise UserError(f"problem_type must be one of {allowed}, or null; got {problem!r}")
    count, labels, numbers = (options.get(field) for field in ("num_labels", "id2label", "label2id"))
    if count is not None and (not _is_whole(count) or count < 0):
        raise UserError(f"num_labels must be a whole number, not negative, got {count!r}")
    for field, given in (("id2label", labels), ("label2id", numbers)):
        if given is not None and not isinstance(given, Mapping):
            raise UserError(f"{field} must map labels and numbers to each other, got {given!r:.60}")
    if labels is not None:
        try:
            found = sorted(int(number) for number in labels)
        except (TypeError, ValueError):
            raise UserError(f"id2label must have numbers as names, got {list(labels)!r:.60}") from None
        if found != list(range(len(found))):
            raise UserError(f"id2label must number labels 0 to {len(found) - 1}, got {found!r:.60}")
        if count is not None and count != len(found):
            raise UserError(f"num_labels is {count}, but id2label has {len(found)} labels")
    for label, number in (numbers or {}).items():
        if not _is_whole(number) or (labels is not None and not 0 <= number < len(labels)):
            raise UserError(f"label2id must give each label its number, got {number!r} for {label!r}")


PROBLEM_TYPES = (None, "regression", "single_label_classification", "multi_label_classification")


def check_square(max_seq_length: int) -> int:
    """The side of the position grid of `max_seq_length` patches.

    Raises:
        ValueError: The length is no perfect square; the message names the nearest ones.
    """
    side = math.isqrt(max(max_seq_length, 0))
    if max_seq_length < 1 or side * side != max_seq_length:
        nearest = f"{side**2} ({side}²) and {(side + 1) ** 2} ({side + 1}²)" if side else "1 (1²) and 4 (2²)"
        raise UserError(
            "the maximum length in patches must be a perfect square, as positions lie on a square grid; "
            f"got {max_seq_length}, the nearest squares are {nearest}"
        )
    return side
