"""The encoder: a pre-norm Vision Transformer over a strip of rendered text.

Sources: Dosovitskiy et al. 2021 (ViT), He et al. 2022 (MAE), Rust et al. 2023 (PIXEL), Kesen et al. 2025
(PIXEL-M4). Parameter names are those of the published checkpoints.

Dimensions: B batch, P patches, K kept patches, S = 1 + P or 1 + K sequence with CLS, D width, H heads,
W pixels of width, C channels, L rows of the position table without CLS.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, initialization
from transformers.modeling_outputs import BaseModelOutputWithPooling

from pixel_m4.model.answering import Answering
from pixel_m4.model.attention import Unpadded
from pixel_m4.model.config import HUB_OPTIONS, PixelConfig, config_file
from pixel_m4.model.inputs import as_in_transformers, check_inputs, split_patches, take
from pixel_m4.model.layers import Pattern, PixelLayer, pattern_of, rotation_for, run_layers
from pixel_m4.model.loading import (
    check_folder,
    check_loaded,
    named_errors,
    warn_of_positions,
    without_report,
)
from pixel_m4.model.positions import (
    Rotation,
    init_positions,
    patch_positions,
    resized_parameter,
)
from pixel_m4.model.text_config import AnyConfig
from pixel_m4.model.words import PoolingWeights
from pixel_m4.shipped import find_model


class PatchEmbeddings(nn.Module):
    """Patches to vectors. The weight is stored as a convolution's [D, C, 16, 16] and used as a matrix."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.projection = nn.Conv2d(
            config.num_channels, config.hidden_size, kernel_size=config.patch_size, stride=config.patch_size
        )

    def forward(self, patches: Tensor) -> Tensor:
        """[B, P, 256] (grey) or [B, P, 256 * C], uint8 or float in [0, 1] → [B, P, D]."""
        weight, bias = self.projection.weight, self.projection.bias
        pixels = patches.to(weight.dtype)
        if patches.dtype == torch.uint8:
            pixels = pixels / 255
        # Grey: three equal channels meet the sum of their weights.
        if patches.shape[-1] == weight[0, 0].numel():
            return F.linear(pixels, weight.sum(1).flatten(1), bias)
        return F.linear(pixels, weight.permute(0, 2, 3, 1).flatten(1), bias)


class PixelEmbeddings(nn.Module):
    """CLS and patch embeddings plus their positions, where those are vectors."""

    def __init__(self, config: PixelConfig, dropout: float) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.hidden_size))
        self.patch_embeddings = PatchEmbeddings(config)
        self.position_embeddings = (
            nn.Parameter(torch.empty(1, 1 + config.max_patches, config.hidden_size))
            if config.adds_positions
            else None
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, patches: Tensor, keep: Tensor | None = None, first_position: Tensor | None = None
    ) -> Tensor:
        """Embed all patches, or those kept; patch p has position row p + 1 either way.

        Args:
            patches: [B, P, 256 or 256 * C]
            keep: [B, K], places of the patches to keep
            first_position: [B], what is added to p

        Returns:
            [B, 1 + P, D], or [B, 1 + K, D]
        """
        table, count = self.position_embeddings, patches.shape[1]
        cls: Tensor = self.cls_token
        if keep is not None:
            patches = take(patches, keep)
        embeddings: Tensor = self.patch_embeddings(patches)
        if table is not None:
            positions = patch_positions(table, count, first_position)
            if keep is not None:
                positions = take(positions.expand(len(patches), -1, -1), keep)
            embeddings, cls = embeddings + positions, cls + table[:, :1]
        cls = cls.expand(len(patches), -1, -1)
        return self.dropout(torch.cat([cls.to(embeddings.dtype), embeddings], dim=1))


class PixelEncoder(nn.Module):
    """The stack of layers."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            PixelLayer(config, config.hidden_size, config.num_attention_heads, config.intermediate_size)
            for _ in range(config.num_hidden_layers)
        )

    def forward(
        self,
        states: Tensor,
        pattern: Pattern,
        weights: bool = False,
        every: bool = False,
        rotation: Rotation | None = None,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """See `run_layers`."""
        return run_layers(self.layer, states, pattern, weights, every, rotation)


class LayerMix(nn.Module):
    """A mean of the embeddings and of each layer's output, with learned shares that begin alike.

    Source: Peters et al. 2018 (ELMo), without the scale; the encoder's last norm is applied to each.
    """

    def __init__(self, config: AnyConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(config.num_hidden_layers + 1))

    def forward(self, every: Sequence[Tensor], norm: nn.Module) -> Tensor:
        """States of the embeddings and of each layer, without last norm, [B, S, D] each → [B, S, D]."""
        shares = self.weight.softmax(0)
        return torch.stack([share * norm(states) for share, states in zip(shares, every, strict=True)]).sum(0)


class ClsPooler(nn.Module):
    """tanh(dense(CLS)): the parser's root and the classifier's "cls" pooling."""

    def __init__(self, config: AnyConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """[B, S, D] → [B, D]."""
        return torch.tanh(self.dense(states[:, 0]))


def init_weights(module: nn.Module, std: float) -> None:
    """Set new weights of layers that pixel models and the heads of text models share."""
    if isinstance(module, PoolingWeights):
        module.begin_as_mean()
    elif isinstance(module, nn.Linear | nn.Conv2d):
        initialization.normal_(module.weight, std=std)
        if module.bias is not None:
            initialization.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        initialization.ones_(module.weight)
        initialization.zeros_(module.bias)
    elif isinstance(module, LayerMix):
        initialization.zeros_(module.weight)


class PixelPreTrainedModel(Answering, PreTrainedModel):
    """What all pixel models share: initialisation, loading, and the length of their positions."""

    config_class = PixelConfig
    base_model_prefix = "vit"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _supports_sdpa = True
    _can_compile_fullgraph = True
    _no_split_modules: ClassVar[list[str]] = ["PixelLayer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Normal weights, zero biases, and the fixed sine-cosine table for positions."""
        std = self.config.initializer_range
        init_weights(module, std)
        if isinstance(module, PixelEmbeddings):
            initialization.normal_(module.cls_token, std=std)
            if module.position_embeddings is not None:
                init_positions(module.position_embeddings)

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        """`SelfAttention` reads the configuration at every call; transformers guesses from source text."""
        return True

    def freeze_positions(self) -> None:
        """Stop the training of positions where they are fixed: not here, but in pretraining."""

    def resize_positions(self, max_seq_length: int) -> None:
        """Give the model another maximum length: shorter cuts the positions, longer interpolates them.

        Rotary positions need neither: longer texts have places beyond the ones that were trained. Call it
        before an optimizer is made, as the parameter is a new one; `config.image_size` follows.

        Args:
            max_seq_length: The new maximum in patches, a perfect square.

        Raises:
            ValueError: The length is no perfect square.
        """
        embeddings = self.base_model.embeddings
        embeddings.position_embeddings = resized_parameter(embeddings.position_embeddings, max_seq_length)
        self.config.image_size = [self.config.patch_size, self.config.patch_size * max_seq_length]

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        *model_args: Any,
        ignore_unexpected_keys: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load a folder, a checkpoint that the package ships, or a name on the hub.

        Weights are safetensors or `pytorch_model.bin` (tensors only). They become float32 whatever they are
        in the file, as many CPUs are slow in 16 bits and training in them loses small steps; `dtype` says
        otherwise ("auto": as in the file).

        What the checkpoint does not have, such as a new head, is named in one line of the log. Heads that it
        has and the model has not are left out. Positions for another length than the checkpoint's, asked for
        by `max_seq_length`, `image_size` or `config`, are cut or interpolated, see `resize_positions`.
        With another `position_embedding_type` than the checkpoint's, vectors of places are left out or made
        anew, and one line of the log says that the attention has to be trained anew.

        Args:
            pretrained_model_name_or_path: A folder (`~` is the home folder), "pixel-m4-tiny" or another of
                the package's, or `owner/name` on the hub.
            *model_args: What the class takes beside the configuration.
            ignore_unexpected_keys: Whether to leave out weights that have no place in the model.
            **kwargs: What transformers takes: `revision`, `subfolder`, `cache_dir`, `local_files_only`,
                `token`, `config`, `dtype`, `ignore_mismatched_sizes` …; and changes to the configuration.

        Raises:
            FileNotFoundError: The path or its `config.json` does not exist, or the hub has no such model.
            OSError: The folder holds no weights, or the hub cannot be reached.
            ValueError: The weights file is damaged, holds more than tensors, is another architecture's or
                does not fit the configuration; or a value of that is not possible.
        """
        name, asked = pretrained_model_name_or_path, bool(kwargs.get("ignore_mismatched_sizes"))
        hub = {key: kwargs[key] for key in HUB_OPTIONS if key in kwargs}
        config, length = kwargs.pop("config", None), None
        if name is None:  # `state_dict` and `config` are given
            folder = name
        else:
            name = find_model(name, **hub)
            folder = Path(name, hub.get("subfolder") or "") if Path(name).is_dir() else name
            check_folder(folder, needs_config=config is None)
            config, length = config_to_load(config, name, hub, kwargs)
        if "torch_dtype" not in kwargs and kwargs.get("dtype") is None:
            kwargs["dtype"] = torch.float32
        # Sizes that do not match are ours to report: transformers refers to a table that is not shown.
        options = {**kwargs, "config": config, "output_loading_info": True, "ignore_mismatched_sizes": True}
        with named_errors(folder), without_report():
            model, info = super().from_pretrained(name, *model_args, **options)
        check_loaded(model, folder, info, ignore_sizes=asked, ignore_unexpected=ignore_unexpected_keys)
        if name is not None and config_file(name, hub.get("subfolder") or "").is_file():
            warn_of_positions(model.config, PixelConfig.from_pretrained(name, **hub), name)
        if length is not None:
            model.resize_positions(length)
        model.freeze_positions()  # transformers makes new parameters, which are trainable
        return (model, info) if kwargs.get("output_loading_info") else model


def config_to_load(
    config: Any, name: str, hub: Mapping[str, Any], options: dict[str, Any]
) -> tuple[Any, int | None]:
    """The configuration that weights are loaded with, and the length to give the positions afterwards.

    Args:
        config: As the caller gave it: an object, a name, or None for the checkpoint's own.
        name: Of the checkpoint.
        hub: Where on the hub it is.
        options: The caller's others; those that say a length are taken out.

    Returns:
        With positions for as many patches as the checkpoint's own configuration says; None for no change.
    """
    if not isinstance(config, PixelConfig):
        changes = {key: options.pop(key) for key in ("max_seq_length", "image_size") if key in options}
        config = name if config is None else config
        if not changes:
            return config, None
        saved = PixelConfig.from_pretrained(config, **hub)
        wanted = PixelConfig.from_pretrained(config, **hub, **changes).max_patches
        return config, wanted if wanted != saved.max_patches else None
    try:
        saved = PixelConfig.from_pretrained(name, **hub)
    except FileNotFoundError:  # weights alone
        return config, None
    if saved.max_patches == config.max_patches or saved.patch_size != config.patch_size:
        return config, None
    wanted, config = config.max_patches, copy.deepcopy(config)
    config.image_size = list(saved.image_size)
    return config, wanted


class PixelModel(PixelPreTrainedModel):
    """The encoder alone.

    Args:
        config: Its configuration.
        add_pooling_layer: Whether to have tanh(dense(CLS)) as `pooler_output`; only some heads need it.
        embedding_dropout: Dropout on the embeddings: on in fine-tuning, off in pretraining, as published.
    """

    def __init__(
        self, config: PixelConfig, add_pooling_layer: bool = False, embedding_dropout: bool = True
    ) -> None:
        super().__init__(config)
        self.embeddings = PixelEmbeddings(config, config.hidden_dropout_prob if embedding_dropout else 0.0)
        self.encoder = PixelEncoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mix = LayerMix(config) if config.mix_layers else None
        self.pooler = ClsPooler(config) if add_pooling_layer else None
        self.keeps_padding = False  # a head sets it that reads what stands on padding
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The patch embedding."""
        return self.embeddings.patch_embeddings

    @as_in_transformers
    def forward(
        self,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        keep: Tensor | None = None,
        first_position: Tensor | None = None,
        keeps_padding: bool = False,
    ) -> BaseModelOutputWithPooling:
        """Encode a strip of patches.

        Args:
            pixel_values: uint8 [B, 16, W] grey or [B, 16, W, 3]; or float [B, 3, 16, W] in [0, 1]
            attention_mask: [B, P], 0 for padding
            output_hidden_states: Whether to return the embeddings and each layer's output (no last norm)
            output_attentions: Whether to return attention weights (slower)
            keep: [B, K], places of the patches to encode; the others are dropped after positions are added
            first_position: [B], the position of each text's first patch; None for 0. Rotary positions only
                know distances, which it does not change.
            keeps_padding: Whether what stands on padding is read too, so that the batch must not be packed;
                the attribute of that name says it for every call

        Returns:
            last_hidden_state [B, 1 + P, D] (or [B, 1 + K, D]), pooler_output [B, D] with a pooling layer,
            hidden_states ([B, 1 + P, D], one more than layers), attentions ([B, H, 1 + P, 1 + P] a layer);
            zero on padding if the batch was packed (`config.unpad_inputs`), otherwise of no meaning there
        """
        check_inputs(self.config, pixel_values, attention_mask, first_position)
        output_hidden_states = resolve(output_hidden_states, self.config.output_hidden_states)
        output_attentions = resolve(output_attentions, self.config.output_attentions)
        if keep is not None and attention_mask is not None:
            attention_mask = take(attention_mask, keep)

        padded = output_attentions or keeps_padding or self.keeps_padding
        pattern = pattern_of(self.config, attention_mask, self.encoder.layer, padded=padded)
        states = self.embeddings(split_patches(pixel_values, self.config.patch_size), keep, first_position)
        size = self.config.hidden_size // self.config.num_attention_heads
        rotation = rotation_for(self.config.rope_theta, size, states, keep, pattern)
        if isinstance(pattern, Unpadded):
            states = pattern.unpad(states)
        states, hidden_states, attentions = self.encoder(
            states, pattern, output_attentions, output_hidden_states or self.mix is not None, rotation
        )
        states = self.layernorm(states) if self.mix is None else self.mix(hidden_states, self.layernorm)
        if isinstance(pattern, Unpadded):
            states = pattern.pad(states)
            hidden_states = [pattern.pad(every) for every in hidden_states] if output_hidden_states else []

        return BaseModelOutputWithPooling(
            last_hidden_state=states,
            pooler_output=self.pooler(states) if self.pooler is not None else None,
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )


def resolve(asked: bool | None, default: bool | None) -> bool:
    """What the caller asked for, or else the configuration."""
    return bool(default if asked is None else asked)
