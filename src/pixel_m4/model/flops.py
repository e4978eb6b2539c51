"""What a model costs: parameters, and floating point operations for a sequence, as closed formulas.

A multiplication and an addition are two operations. Matrix products are counted; what is done value by value
(norms, softmax, activations) is not, as is usual: it is less than a percent. Count the real patches of a
sequence, without padding, to get its useful arithmetic.

Dimensions: P patches, K kept patches, S = 1 + P sequence with CLS, W words, D width, E width of the decoder,
I width of a feed-forward part, R relations, N labels, L rows of the position table without CLS.
"""

from __future__ import annotations

from dataclasses import dataclass

from pixel_m4.model.config import PixelConfig
from pixel_m4.model.heads import (
    PixelForBiaffineParsing,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
    labels_words,
)
from pixel_m4.model.mae import PixelForPreTraining
from pixel_m4.model.vit import PixelPreTrainedModel

Model = type[PixelPreTrainedModel]

PATCHES_PER_WORD = 3  # for parsing, where nobody says how many words there are


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Parameters or operations of a model's parts.

    Args:
        encoder: Of the encoder with its embeddings.
        decoder: Of the pretraining decoder.
        head: Of a fine-tuning head, with its pooler; in pretraining, of the head that names patches.
    """

    encoder: int
    decoder: int = 0
    head: int = 0

    @property
    def total(self) -> int:
        """Of all parts."""
        return self.encoder + self.decoder + self.head

    def __mul__(self, factor: int) -> Cost:
        return Cost(encoder=factor * self.encoder, decoder=factor * self.decoder, head=factor * self.head)


def parameters(config: PixelConfig, model: Model) -> Cost:
    """Count the parameters of a model, frozen ones too.

    Args:
        config: Its sizes.
        model: Its class, `PixelModel` for the encoder alone.
    """
    width, pixels = config.hidden_size, patch_values(config)
    rows = 1 + config.max_patches if config.adds_positions else 0
    encoder = linear(pixels, width) + width + rows * width + 2 * width  # patches, CLS, positions, last norm
    encoder += config.num_hidden_layers * layer_parameters(config, width, config.intermediate_size)
    encoder += (1 + config.num_hidden_layers) * config.mix_layers

    decoder = 0
    if model is PixelForPreTraining:
        narrow = config.decoder_hidden_size
        layer = layer_parameters(config, narrow, config.decoder_intermediate_size)
        decoder = linear(width, narrow) + narrow + rows * narrow  # from the encoder, mask token, positions
        decoder += config.decoder_num_hidden_layers * layer
        decoder += 2 * narrow + linear(narrow, pixels)  # norm, prediction

    head = 0
    if model is PixelForTokenClassification:
        head = linear(width, config.num_labels) + word_parameters(config)
    elif model is PixelForBiaffineParsing:
        head = linear(width, width) + (width + 1) * width + config.num_labels * (width + 1) ** 2
        head += word_parameters(config) + (linear(width, config.num_tags) if config.num_tags else 0)
    elif model is PixelForSequenceClassification:
        norm = 2 * width if config.pooling_mode != "cls" and config.pooler_add_layer_norm else 0
        pooled = config.pooled_size
        pooler = linear(width, width)
        if config.pooling_heads:  # seed; query, key and value; output
            pooler = width + 3 * linear(width, pooled) + linear(pooled, pooled)
        head = pooler + norm + linear(pooled, config.num_labels)
    elif model is PixelForQuestionAnswering:
        head = linear(width, 2)
    return Cost(encoder=encoder, decoder=decoder, head=head)


def forward_flops(config: PixelConfig, model: Model, patches: int, words: int | None = None) -> Cost:
    """Count the operations to run a sequence of grey patches through a model.

    Args:
        config: The model's sizes. Its `mask_ratio` says how many patches pretraining keeps.
        model: The model's class, `PixelModel` for the encoder alone.
        patches: P
        words: W, for parsing; default: a word for three patches.

    Raises:
        ValueError: There are no patches, or no words.
    """
    return _flops(config, model, patches, words, training=False)


def training_flops(config: PixelConfig, model: Model, patches: int, words: int | None = None) -> Cost:
    """Count the operations of a training step for a sequence: three times those of a forward pass.

    The backward pass computes two products for each one, for the inputs and for the weights. Parsing scores
    relations to gold heads only, in training. See `forward_flops` for the arguments.
    """
    return _flops(config, model, patches, words, training=True) * 3


def _flops(config: PixelConfig, model: Model, patches: int, words: int | None, training: bool) -> Cost:
    if patches < 1:
        raise ValueError(f"patches must be at least 1, got {patches}")
    if words is None:
        words = max(patches // PATCHES_PER_WORD, 1)
    if words < 1:
        raise ValueError(f"words must be at least 1, got {words}")
    width = config.hidden_size
    kept = int(patches * (1 - config.mask_ratio)) if model is PixelForPreTraining else patches

    encoder = product(kept, config.patch_size**2, width)  # grey: the weights of the channels are summed up
    encoder += config.num_hidden_layers * layer_flops(1 + kept, width, config.intermediate_size)

    decoder = 0
    if model is PixelForPreTraining:
        narrow = config.decoder_hidden_size
        layer = layer_flops(1 + patches, narrow, config.decoder_intermediate_size)
        decoder = product(1 + kept, width, narrow) + config.decoder_num_hidden_layers * layer
        decoder += product(patches, narrow, patch_values(config))

    head = 0
    if model is PixelForTokenClassification:
        head = product(patches, width, config.num_labels)
        if labels_words(config):
            head = product(words, width, config.num_labels) + word_flops(config, patches, words)
    elif model is PixelForBiaffineParsing:
        pooling = product(1, width, width) + product(words, patches, width)  # tanh(dense(CLS)), words
        pooling += word_flops(config, patches, 1 + words) + product(words, width, config.num_tags)
        arcs = product(words, width + 1, width) + product(words, width, words + 1)
        relation = product(words, width + 1, width + 1)
        if not training:
            relation += product(words, width + 1, words + 1)
        head = pooling + arcs + config.num_labels * relation
    elif model is PixelForSequenceClassification:
        pooled = config.pooled_size
        head = product(1 if config.pooling_mode == "cls" else patches, width, width)
        if config.pooling_heads:
            head = 2 * product(patches, width, pooled) + 2 * product(
                1, patches, pooled
            )  # keys, values; attention
            head += product(1, width, pooled) + product(1, pooled, pooled)  # query, output
        head += product(1, pooled, config.num_labels)
    elif model is PixelForQuestionAnswering:
        head = product(1 + patches, width, 2)
    return Cost(encoder=encoder, decoder=decoder, head=head)


def product(rows: int, inner: int, columns: int) -> int:
    """Operations of [rows, inner] @ [inner, columns]."""
    return 2 * rows * inner * columns


def layer_flops(length: int, width: int, intermediate: int) -> int:
    """Operations of a transformer layer: S, D, I → four projections, two attention products, two linears."""
    projections = 4 * product(length, width, width)
    attention = 2 * product(length, width, length)
    return projections + attention + 2 * product(length, width, intermediate)


def linear(width_in: int, width_out: int) -> int:
    """Parameters of a linear layer with bias."""
    return (width_in + 1) * width_out


def layer_parameters(config: PixelConfig, width: int, intermediate: int) -> int:
    """Parameters of a transformer layer with its two norms."""
    attention = 4 * linear(width, width) - (0 if config.qkv_bias else 3 * width)
    return attention + linear(width, intermediate) + linear(intermediate, width) + 4 * width


def word_parameters(config: PixelConfig) -> int:
    """Parameters between the states of patches and those of words."""
    width = config.hidden_size
    pooling = {"first_last_mean": linear(3 * width, width), "attention": linear(width, 1)}
    count = pooling.get(config.word_pooling or "", 0)
    if config.num_word_layers:
        count += (
            config.num_word_layers * layer_parameters(config, width, config.intermediate_size) + 2 * width
        )
    return count


def word_flops(config: PixelConfig, patches: int, words: int) -> int:
    """Operations between the states of patches and those of words, beside the mean."""
    width = config.hidden_size
    pooling = {
        "first_last_mean": product(words, 3 * width, width),
        "attention": product(patches, width, 1),
    }
    layers = config.num_word_layers * layer_flops(words, width, config.intermediate_size)
    return pooling.get(config.word_pooling or "", 0) + layers


def patch_values(config: PixelConfig) -> int:
    """The values of a patch in all channels."""
    return config.patch_size**2 * config.num_channels
