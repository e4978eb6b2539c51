"""The configuration of a text model: an encoder of sub-words such as BERT or XLM-R, and our heads on it."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, BertConfig, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from pixel_m4.console.errors import UserError
from pixel_m4.model.config import (
    HUB_OPTIONS,
    PixelConfig,
    PoolingSizes,
    check_common,
    check_pooling,
    check_truths,
    check_whole,
    check_word_rope,
    config_file,
)
from pixel_m4.shipped import find_model

ENCODERS = frozenset(MODEL_FOR_MASKED_LM_MAPPING_NAMES)
"""Values of `model_type` that transformers reads as encoders of text."""
HEAD_FIELDS = ("pooling_mode", "pooler_add_layer_norm")
"""What `--config_overrides` can change of a text model; tasks have options of their own for the rest."""
# What encoders call their rates of dropout.
_DROPOUT = ("hidden_dropout_prob", "dropout", "hidden_dropout", "embedding_dropout", "mlp_dropout")
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")


class TextConfig(PoolingSizes, PreTrainedConfig):
    """An encoder's own configuration, and what the heads must know.

    The names of the heads' values are those of :class:`~pixel_m4.model.config.PixelConfig`; sizes are read
    from the encoder's configuration.

    Args:
        encoder_config: Of the encoder, as an object or as its `config.json` holds it.
        max_seq_length: The longest sequence in sub-words, those counted that the tokenizer adds ([CLS],
            [SEP]); default: as many as the encoder has positions for.
        hidden_dropout_prob: Dropout of the encoder and in the heads; default: as the encoder has it.
        attention_probs_dropout_prob: Dropout of the encoder's attention; default: as the encoder has it.
        pooling_mode: How sequence classification pools: "cls", as published for BERT, "mean", "max" or
            "pma1" to "pma8".
        pooler_add_layer_norm: Whether "mean" and "max" pooling normalise before they pool.
        mix_layers: Whether what the encoder gives is a learned mean of all layers.
        word_pooling: How the heads for words make one state of a word's sub-words.
        num_word_layers: Layers over the states of words, before the head.
        word_rope_theta: The base of rotary positions of words in those layers; None for none.
        num_tags: Parts of speech that the parser also tells; 0 for none.
        padding_competes: As for pixel models: whether the losses of parsing and question answering count
            what is absent, up to `max_seq_length`, as a wrong choice.
        **kwargs: What every configuration of transformers takes.
    """

    model_type = "pixel-m4-text"
    sub_configs = {"encoder_config": AutoConfig}  # noqa: RUF012

    def __init__(
        self,
        encoder_config: Any = None,
        max_seq_length: int | None = None,
        hidden_dropout_prob: float | None = None,
        attention_probs_dropout_prob: float | None = None,
        pooling_mode: str = "cls",
        pooler_add_layer_norm: bool = True,
        mix_layers: bool = False,
        word_pooling: str | None = None,
        num_word_layers: int = 0,
        word_rope_theta: float | None = None,
        num_tags: int = 0,
        padding_competes: bool = True,
        **kwargs: Any,
    ) -> None:
        self.encoder_config = encoder_of(encoder_config)
        self.hidden_dropout_prob = self._dropout(_DROPOUT, hidden_dropout_prob)
        self.attention_probs_dropout_prob = self._dropout(_ATTENTION_DROPOUT, attention_probs_dropout_prob)
        self.pooling_mode = pooling_mode
        self.pooler_add_layer_norm = pooler_add_layer_norm
        self.mix_layers = mix_layers
        self.word_pooling: Any = word_pooling
        self.num_word_layers = num_word_layers
        self.word_rope_theta: Any = word_rope_theta
        self.num_tags = num_tags
        self.padding_competes = padding_competes
        self.max_seq_length = self.positions or 512 if max_seq_length is None else max_seq_length
        check_whole(self, {"num_word_layers": 0, "num_tags": 0, "max_seq_length": 3})
        check_truths(self, ("pooler_add_layer_norm", "mix_layers", "padding_competes"))
        check_pooling(self)
        check_word_rope(self)
        check_length(self.max_seq_length, self.positions)
        check_common(kwargs)
        super().__init__(**kwargs)

    def _dropout(self, names: tuple[str, ...], asked: float | None) -> float:
        """A rate of dropout: what is asked for, which the encoder gets too, or else the encoder's own."""
        own = [name for name in names if hasattr(self.encoder_config, name)]
        if asked is None:
            return getattr(self.encoder_config, own[0]) if own else 0.1
        for name in own:
            setattr(self.encoder_config, name, asked)
        return asked

    @property
    def positions(self) -> int | None:
        """The most sub-words that the encoder has positions for; None for no limit."""
        return positions_of(self.encoder_config.to_json_string())

    @property
    def max_patches(self) -> int:
        """The most places beside CLS: what `max_patches` is to a pixel model."""
        return self.max_seq_length - 1

    @property
    def hidden_size(self) -> int:
        """Width of the encoder."""
        return self.encoder_config.hidden_size

    @property
    def num_hidden_layers(self) -> int:
        """Layers of the encoder."""
        return self.encoder_config.num_hidden_layers

    @property
    def num_attention_heads(self) -> int:
        """Attention heads of the encoder."""
        return self.encoder_config.num_attention_heads

    @property
    def intermediate_size(self) -> int:
        """Width of the encoder's feed-forward part."""
        return getattr(self.encoder_config, "intermediate_size", 4 * self.hidden_size)

    @property
    def vocab_size(self) -> int:
        """Sub-words that the encoder knows."""
        return self.encoder_config.vocab_size

    # What layers over words are made with.
    initializer_range = 0.02
    layer_norm_eps = 1e-12
    hidden_act = "gelu"
    qkv_bias = True
    unpad_inputs = None


AnyConfig = PixelConfig | TextConfig
"""What heads are made with."""


def encoder_of(config: Any) -> PreTrainedConfig:
    """The configuration of an encoder of text.

    Args:
        config: An object, what a `config.json` holds, or None for BERT's.

    Raises:
        ValueError: It is that of no encoder of text.
    """
    if config is None:
        return BertConfig()
    if not isinstance(config, PreTrainedConfig):
        kind = config.get("model_type") if isinstance(config, dict) else None
        if kind not in ENCODERS:
            raise UserError(f"encoder_config holds a {kind!r} model, which is no encoder of text")
        config = AutoConfig.for_model(**config)
    if config.is_encoder_decoder or getattr(config, "is_decoder", False):
        raise UserError(
            f"a {config.model_type!r} model with a decoder is no encoder of text; give one such as BERT, "
            "RoBERTa or XLM-R"
        )
    return config


def new_encoder(config: PreTrainedConfig, pooled: bool = False) -> tuple[nn.Module, bool]:
    """An encoder with new weights, and whether it pools CLS itself.

    Args:
        config: Its configuration.
        pooled: Whether to have its own pooler of CLS, if it has one.
    """
    try:
        return AutoModel.from_config(config, add_pooling_layer=pooled), pooled
    except TypeError:  # it has none
        return AutoModel.from_config(config), False


@cache
def positions_of(config: str) -> int | None:
    """The most sub-words that an encoder has positions for; None for no limit.

    Places of RoBERTa and its kin begin after that of padding, so that two positions are never used.

    Args:
        config: Its configuration as JSON.
    """
    made = encoder_of(json.loads(config))
    count = getattr(made, "max_position_embeddings", None)
    if not isinstance(count, int) or count < 1:
        return None
    with torch.device("meta"):
        encoder, _ = new_encoder(made)
    unused = [
        module.padding_idx + 1
        for name, module in encoder.named_modules()
        if name.endswith("position_embeddings")
        and isinstance(module, nn.Embedding)
        and module.padding_idx is not None
    ]
    return count - max(unused, default=0)


def check_length(max_seq_length: int, positions: int | None) -> None:
    """Refuse sequences that the encoder has no positions for.

    Raises:
        ValueError: Names both numbers.
    """
    if positions is not None and max_seq_length > positions:
        raise UserError(
            f"max_seq_length {max_seq_length}: the model has positions for {positions} sub-words, [CLS] and "
            f"[SEP] counted; write {positions} or less"
        )


def model_type_of(name: str | os.PathLike[str], **hub: Any) -> str:
    """The `model_type` that a checkpoint's `config.json` names; pixel models need not name theirs.

    Args:
        name: A folder, a checkpoint of the package, or a name on the hub.
        **hub: Where on the hub it is: `revision`, `subfolder`, `cache_dir` …

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The file is no JSON object.
    """
    place = find_model(name, **hub)
    if Path(place).is_dir():
        file = config_file(place, hub.get("subfolder") or "")
        content = PixelConfig._dict_from_json_file(file) if file.is_file() else {}
    else:
        content = PreTrainedConfig.get_config_dict(place, **hub)[0]
    return str(content.get("model_type", PixelConfig.model_type))


def read_config(name: str | os.PathLike[str], **options: Any) -> AnyConfig:
    """The configuration of a checkpoint: of a pixel model, of a text model, or around that of an encoder.

    Args:
        name: A folder, a checkpoint of the package, or a name on the hub.
        **options: Where on the hub it is, and changes to the configuration.

    Raises:
        FileNotFoundError: There is no such checkpoint, or it has no `config.json`.
        ValueError: It is a model of another kind, or a value is not possible.
    """
    hub = {key: options[key] for key in HUB_OPTIONS if key in options}
    kind = model_type_of(name, **hub)
    if kind == PixelConfig.model_type:
        return PixelConfig.from_pretrained(name, **options)
    place = find_model(name, **hub)
    if kind == TextConfig.model_type:
        return TextConfig.from_pretrained(place, **options)
    if kind not in ENCODERS:
        raise UserError(
            f"{name} holds a {kind!r} model (model_type of its config.json), which is neither a pixel model "
            "nor an encoder of text such as BERT, RoBERTa or XLM-R"
        )
    try:
        encoder = encoder_of(AutoConfig.from_pretrained(place, trust_remote_code=False, **hub))
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error
    changes = {key: value for key, value in options.items() if key not in hub}
    return TextConfig(encoder, architectures=encoder.architectures, **changes)


def is_text_model(name: Any) -> bool:
    """Whether a checkpoint, or a configuration, is that of a text model."""
    if isinstance(name, PreTrainedConfig):
        return isinstance(name, TextConfig)
    return model_type_of(name) in {TextConfig.model_type, *ENCODERS}
