"""The configuration of a pixel model: what `config.json` of a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedConfig

from pixel_m4.shipped import find_shipped

POOLING_MODES = ("mean", "max", "cls")

# Differences from the published base model (Rust et al. 2023; Kesen et al. 2025), which is the default.
NAMED: Mapping[str, Mapping[str, int]] = {
    "base": {},
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


class PixelConfig(PreTrainedConfig):
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
        num_pieces: Patches that pretraining also learns to name, a second objective with a head of its own; 0
            for none, as published.
        piece_loss_weight: Weight of that objective beside the pixels.
        visible_pieces: Whether that objective also asks for as many of the patches that the encoder sees.
        blank_pieces: Whether it also shows the encoder as many patches blank, for its states to name.
        norm_pix_loss: Whether each target patch is standardised by its own mean and variance.
        pooling_mode: How sequence classification pools: "mean", "max" or "cls".
        pooler_add_layer_norm: Whether "mean" and "max" pooling normalise before they pool.
        unpad_inputs: Whether to compute batches without padding, sequences end to end (the same numbers,
            and zeros on padding). Default: on the CPU, where enough is padding for it to pay.
        max_seq_length: Longest rendering in patches, a perfect square; a shorter way to set `image_size`.
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
        num_pieces: int = 0,
        piece_loss_weight: float = 0.2,
        visible_pieces: bool = False,
        blank_pieces: bool = False,
        pooling_mode: str = "mean",
        pooler_add_layer_norm: bool = True,
        unpad_inputs: bool | None = None,
        max_seq_length: int | None = None,
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
        self.image_size = (
            list(image_size) if max_seq_length is None else [patch_size, patch_size * max_seq_length]
        )
        self.patch_size = patch_size
        self.num_channels = num_channels
        self.qkv_bias = qkv_bias
        self.decoder_hidden_size = decoder_hidden_size
        self.decoder_num_hidden_layers = decoder_num_hidden_layers
        self.decoder_num_attention_heads = decoder_num_attention_heads
        self.decoder_intermediate_size = decoder_intermediate_size
        self.mask_ratio = mask_ratio
        self.norm_pix_loss = norm_pix_loss
        self.num_pieces = num_pieces
        self.piece_loss_weight = piece_loss_weight
        self.visible_pieces = visible_pieces
        self.blank_pieces = blank_pieces
        self.pooling_mode = pooling_mode
        self.pooler_add_layer_norm = pooler_add_layer_norm
        self.unpad_inputs = unpad_inputs
        self._check()
        super().__init__(**kwargs)

    @property
    def max_patches(self) -> int:
        """The longest rendering in patches: the rows of the position table without the CLS row."""
        return self.image_size[1] // self.patch_size

    @property
    def max_seq_length(self) -> int:
        """The renderer's name for `max_patches`."""
        return self.max_patches

    @classmethod
    def named(cls, name: str, **overrides: Any) -> PixelConfig:
        """The configuration of a published size ("base", "small", "tiny"), or "nano" for tests.

        Raises:
            ValueError: The name is unknown.
        """
        if name not in NAMED:
            raise ValueError(f"unknown model size {name!r}; the sizes are {', '.join(NAMED)}")
        return cls(**{**NAMED[name], **overrides})

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Read a `config.json`; transformers only warns of another architecture, we refuse it.

        Raises:
            ValueError: The configuration belongs to another architecture.
        """
        cls._check_type(config_dict)
        return super().from_dict(config_dict, **kwargs)

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: Any, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read a `config.json`, and refuse another architecture's before transformers warns of it.

        Args:
            pretrained_model_name_or_path: A folder, a checkpoint of the package, or a name on the hub.
            **kwargs: What transformers takes.

        Raises:
            ValueError: The configuration belongs to another architecture.
        """
        config_dict, rest = super().get_config_dict(find_shipped(pretrained_model_name_or_path), **kwargs)
        cls._check_type(config_dict)
        return config_dict, rest

    @classmethod
    def _check_type(cls, config_dict: Mapping[str, Any]) -> None:
        """Refuse another `model_type`."""
        found = config_dict.get("model_type", cls.model_type)
        if found != cls.model_type:
            raise ValueError(
                f"this checkpoint holds a {found!r} model (model_type of its config.json), not a "
                f"{cls.model_type!r} model; a pixel model cannot use its weights"
            )

    def _check(self) -> None:
        """Refuse sizes that cannot work, with the value in the message."""
        for part, width, heads in (
            ("", self.hidden_size, self.num_attention_heads),
            ("decoder_", self.decoder_hidden_size, self.decoder_num_attention_heads),
        ):
            if width <= 0 or heads <= 0 or width % heads:
                raise ValueError(
                    f"{part}hidden_size must be a multiple of {part}num_attention_heads, "
                    f"got {width} and {heads}"
                )
            if width % 4:
                raise ValueError(
                    f"{part}hidden_size must be a multiple of 4, as positions code column and row by sine "
                    f"and cosine; got {width}"
                )
        if self.patch_size <= 0:
            raise ValueError(f"patch_size must be positive, got {self.patch_size}")
        if len(self.image_size) != 2 or self.image_size[0] != self.patch_size:
            raise ValueError(
                f"image_size must be [height, width] with a height of one patch ({self.patch_size} pixels), "
                f"got {self.image_size}"
            )
        if self.image_size[1] <= 0 or self.image_size[1] % self.patch_size:
            raise ValueError(
                f"the width of image_size must be a multiple of patch_size {self.patch_size}, "
                f"got {self.image_size[1]}"
            )
        check_square(self.max_patches)
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        if not 0 <= self.mask_ratio < 1:
            raise ValueError(f"mask_ratio must be at least 0 and below 1, got {self.mask_ratio}")
        if self.num_pieces < 0:
            raise ValueError(f"num_pieces must not be negative, got {self.num_pieces}")
        if self.pooling_mode not in POOLING_MODES:
            raise ValueError(
                f"pooling_mode must be one of {', '.join(POOLING_MODES)}, got {self.pooling_mode!r}"
            )


def check_square(max_seq_length: int) -> int:
    """The side of the position grid of `max_seq_length` patches.

    Raises:
        ValueError: The length is no perfect square; the message names the nearest ones.
    """
    side = math.isqrt(max(max_seq_length, 0))
    if max_seq_length < 1 or side * side != max_seq_length:
        nearest = f"{side**2} ({side}²) and {(side + 1) ** 2} ({side + 1}²)" if side else "1 (1²) and 4 (2²)"
        raise ValueError(
            "the maximum length in patches must be a perfect square, as positions lie on a square grid; "
            f"got {max_seq_length}, the nearest squares are {nearest}"
        )
    return side
