"""Heads for fine-tuning: token labels, dependency parses, labels of a text, answer spans.

Sources: Dozat & Manning 2017 (biaffine attention), Glavaš & Vulić 2021 (its shallow form over words of a
pretrained encoder), Rust et al. 2023 (PIXEL), Kesen et al. 2025 (PIXEL-M4).

Dimensions: B batch, P patches, W words (padded), D width, R relations, N labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization
from transformers.activations import ACT2FN
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.utils import ModelOutput

from pixel_m4.model.checks import (
    IGNORED,
    attended,
    check_answers,
    check_heads,
    check_labels,
    check_word_starts,
    real_words,
)
from pixel_m4.model.config import PixelConfig
from pixel_m4.model.inputs import (
    add_white,
    as_in_transformers,
    check_inputs,
    count_patches,
    readable,
    take,
)
from pixel_m4.model.text_config import AnyConfig
from pixel_m4.model.vit import PixelModel, PixelPreTrainedModel
from pixel_m4.model.words import WordEncoder


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the labels that are not -100; 0 if there is none.

    Args:
        logits: [..., N]
        labels: [...]

    Returns:
        []
    """
    total = F.cross_entropy(
        logits.flatten(0, -2).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total / (labels != IGNORED).sum().clamp(min=1)


def labels_words(config: AnyConfig) -> bool:
    """Whether token classification has a label a word, not a label a patch."""
    return config.word_pooling not in (None, "first") or config.num_word_layers > 0


class TokenLabels:
    """The head for labels of tokens or words: what follows the encoder, whatever that reads."""

    config: Any

    def add_head(self, config: AnyConfig) -> None:
        """Make its layers, after those of the encoder."""
        self.num_labels = config.num_labels
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.words = WordEncoder(config, "first") if labels_words(config) else None
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def score(
        self,
        encoded: BaseModelOutputWithPooling,
        attention_mask: Tensor | None,
        labels: Tensor | None,
        word_starts: Tensor | None,
    ) -> TokenClassifierOutput:
        """Score the labels of all places but CLS, or of words; for the arguments see `forward`."""
        states = self.dropout(encoded.last_hidden_state[:, 1:])
        real = None if attention_mask is None else attention_mask != 0
        if self.words is not None:
            if word_starts is None:
                raise ValueError("labels of words need word_starts [B, W + 1]")
            word_starts = check_word_starts(word_starts, attended(states, attention_mask))
            states, real = self.words(states, word_starts), real_words(word_starts)
        logits = self.classifier(states)
        labels = check_labels("labels", labels, tuple(logits.shape[:2]), self.num_labels, "num_labels")
        if labels is not None and real is not None:
            labels = labels.masked_fill(~real, IGNORED)
        return TokenClassifierOutput(
            loss=cross_entropy(logits, labels) if labels is not None else None,
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )


class PixelForTokenClassification(TokenLabels, PixelPreTrainedModel):
    """A label a patch; a word's label sits on its first patch, -100 on the others.

    With `config.word_pooling` other than "first", or with word layers, it is a label a word.
    """

    def __init__(self, config: PixelConfig) -> None:
        super().__init__(config)
        self.vit = PixelModel(config)
        self.add_head(config)
        self.post_init()

    @as_in_transformers
    def forward(
        self,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        word_starts: Tensor | None = None,
    ) -> TokenClassifierOutput:
        """Score the labels of every patch, or of every word.

        Args:
            pixel_values: uint8 [B, 16, W] grey or [B, 16, W, 3]; or float [B, 3, 16, W] in [0, 1]
            attention_mask: [B, P], 0 for padding
            labels: [B, P], -100 where no label is; those on padding do not count; [B, W] of words
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights
            word_starts: [B, W + 1], each word's first patch and the end of the last word, padded with -100;
                needed for, and only read for, labels of words

        Returns:
            loss [] if there are labels, logits [B, P, N] of patches or [B, W, N] of words
        """
        encoded = self.vit(
            pixel_values, attention_mask, output_hidden_states, output_attentions, return_dict=True
        )
        return self.score(encoded, attention_mask, labels, word_starts)


class Biaffine(nn.Module):
    """Scores [x; 1]ᵀ U [y; 1] of dependents x and heads y, one matrix U a relation (Dozat & Manning 2017)."""

    def __init__(self, width: int, relations: int, bias_x: bool, bias_y: bool) -> None:
        super().__init__()
        self.bias_x, self.bias_y = bias_x, bias_y
        self.weight = nn.Parameter(torch.zeros(relations, width + bias_x, width + bias_y))

    def with_ones(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Append the constant 1 to the sides that have a bias."""
        return F.pad(x, (0, int(self.bias_x)), value=1.0), F.pad(y, (0, int(self.bias_y)), value=1.0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """All pairs: [B, W, D] and [B, W + 1, D] → [B, W, W + 1, R]."""
        x, y = self.with_ones(x, y)
        # A relation at a time: the product of all would hold B * W * R * D values.
        return torch.stack([x @ matrix @ y.mT for matrix in self.weight], dim=-1)

    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        """One head a dependent: [..., D] and [..., D] → [..., R]."""
        x, y = self.with_ones(x, y)
        # Not F.bilinear: its backward pass is 60 times slower.
        return torch.stack([(x @ matrix * y).sum(-1) for matrix in self.weight], dim=-1)


@dataclass
class PixelForBiaffineParsingOutput(ModelOutput):
    """What the parser returns.

    Args:
        loss: [], of arcs plus relations, plus parts of speech where they are given
        arc_logits: [B, W, W + 1], each head's score for each word; head 0 is the root, j + 1 is word j
        rel_logits: [B, W, W + 1, R], the score of each relation; None in training with labels
        tag_logits: [B, W, T], the score of each part of speech, if the model tells them
        hidden_states: The encoder's, [B, 1 + P, D] each
        attentions: The encoder's, [B, H, 1 + P, 1 + P] each
    """

    loss: Tensor | None = None
    arc_logits: Tensor | None = None
    rel_logits: Tensor | None = None
    tag_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


def chosen(values: Tensor, counted: Tensor) -> Tensor:
    """Rows that losses count, [N, ...] of [B, W, ...]: on the CPU, where that saves work.

    Elsewhere all of them, since how many they are is not known without waiting for the device: those that
    `counted` [B, W] leaves out must have labels that do not count.
    """
    return values[counted] if readable(counted) else values.flatten(0, 1)


def head_loss(scores: Tensor, labels: Tensor, real: Tensor, places: int | None) -> Tensor:
    """Mean cross-entropy of choosing heads; that of a word does not depend on the other texts of its batch.

    A candidate that is absent has a score of 0 in published losses, where every text has the same number of
    candidates. Only their number is needed: together they are one candidate that scores its logarithm.

    Args:
        scores: [B, W, W + 1]
        labels: [B, W], -100 where no head is to be chosen
        real: bool [B, W], which words there are
        places: Words that compete beside the root, absent ones included; None for those that there are.

    Returns:
        []
    """
    counted = labels != IGNORED
    there = F.pad(real, (1, 0), value=True)[:, None].expand(scores.shape)
    candidates = chosen(scores, counted).float().masked_fill(~chosen(there, counted), -torch.inf)
    if places is not None:
        absent = (places - real.sum(1)).clamp(min=0).to(candidates.dtype).log()  # -inf for none
        absent = absent[:, None, None].expand(*labels.shape, 1)
        candidates = torch.cat([candidates, chosen(absent, counted)], dim=1)
    return cross_entropy(candidates, chosen(labels, counted))


class BiaffineParses:
    """The head for dependency parses: what follows the encoder, whatever that reads.

    The encoder gives a `pooler_output`, which stands for the root.
    """

    config: Any
    training: bool

    def add_head(self, config: AnyConfig) -> None:
        """Make its layers, after those of the encoder."""
        self.num_labels = config.num_labels
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.words = WordEncoder(config, "mean")
        self.tagger = nn.Linear(config.hidden_size, config.num_tags) if config.num_tags else None
        self.biaffine_arcs = Biaffine(config.hidden_size, 1, bias_x=True, bias_y=False)
        self.biaffine_rels = Biaffine(config.hidden_size, config.num_labels, bias_x=True, bias_y=True)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """As the base; biaffine weights start at 0."""
        super()._init_weights(module)  # type: ignore[misc]
        if isinstance(module, Biaffine):
            initialization.zeros_(module.weight)

    def score(
        self,
        encoded: BaseModelOutputWithPooling,
        attention_mask: Tensor | None,
        word_starts: Tensor | None,
        arc_labels: Tensor | None,
        rel_labels: Tensor | None,
        tag_labels: Tensor | None,
    ) -> PixelForBiaffineParsingOutput:
        """Score heads, relations and parts of speech; for the arguments see `forward`."""
        if word_starts is None:
            raise ValueError("parsing needs word_starts [B, W + 1]")
        if (arc_labels is None) != (rel_labels is None):
            raise ValueError("arc_labels and rel_labels go together: pass both, or neither")
        states = self.dropout(encoded.last_hidden_state[:, 1:])
        word_starts = check_word_starts(word_starts, attended(states, attention_mask))

        heads = self.words(states, word_starts, encoded.pooler_output)  # [B, W + 1, D], the root first
        words = heads[:, 1:]
        arc_logits = self.biaffine_arcs(words, heads).squeeze(-1)

        loss = None
        if arc_labels is not None and rel_labels is not None:
            batch, count, candidates = arc_logits.shape
            arcs = check_labels("arc_labels", arc_labels, (batch, count), candidates, "words and the root")
            rels = check_labels("rel_labels", rel_labels, (batch, count), self.num_labels, "num_labels")
            assert arcs is not None
            assert rels is not None
            real = real_words(word_starts)
            check_heads(arcs, rels, real)
            gold_heads = take(heads, arcs.clamp(min=0))
            counted = rels != IGNORED  # most of a padded batch is not
            rel_logits = self.biaffine_rels.paired(chosen(words, counted), chosen(gold_heads, counted))
            # kept: what is absent competes for heads, as in published losses.
            places = self.config.max_patches if self.config.padding_competes else None
            rel_loss = cross_entropy(rel_logits, chosen(rels, counted))
            loss = head_loss(arc_logits, arcs, real, places) + rel_loss
        tag_logits = None if self.tagger is None else self.tagger(words)
        if tag_labels is not None:
            if tag_logits is None:
                raise ValueError("tag_labels: this parser tells no parts of speech (config.num_tags is 0)")
            tags = check_labels(
                "tag_labels", tag_labels, tuple(words.shape[:2]), self.config.num_tags, "num_tags"
            )
            assert tags is not None
            tags = tags.masked_fill(~real_words(word_starts), IGNORED)
            loss = cross_entropy(tag_logits, tags) + (0 if loss is None else loss)

        whole_table = not (self.training and loss is not None)
        return PixelForBiaffineParsingOutput(
            loss=loss,
            arc_logits=arc_logits,
            rel_logits=self.biaffine_rels(words, heads) if whole_table else None,
            tag_logits=tag_logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )


class PixelForBiaffineParsing(BiaffineParses, PixelPreTrainedModel):
    """Dependency parser: every word chooses a head among the root and all words, and a relation to it."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__(config)
        self.vit = PixelModel(config, add_pooling_layer=True)
        self.add_head(config)
        self.post_init()

    @as_in_transformers
    def forward(
        self,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        word_starts: Tensor | None = None,
        arc_labels: Tensor | None = None,
        rel_labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        tag_labels: Tensor | None = None,
    ) -> PixelForBiaffineParsingOutput:
        """Score heads and relations of every word.

        Args:
            pixel_values: uint8 [B, 16, W] grey or [B, 16, W, 3]; or float [B, 3, 16, W] in [0, 1]
            attention_mask: [B, P], 0 for padding
            word_starts: [B, W + 1], each word's first patch and the end of the last word, padded with -100
            arc_labels: [B, W], the gold heads (0 is the root, j is the j-th word), padded with -100, which
                also stands for a head that is not known
            rel_labels: [B, W], the gold relations, padded with -100, which also stands for one not known
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights
            tag_labels: [B, W], the gold parts of speech, padded with -100, which also stands for one not
                known

        Returns:
            loss [] if there are labels, arc_logits [B, W, W + 1], rel_logits [B, W, W + 1, R] (None in
            training with labels, where only relations to gold heads are scored: the whole table is large),
            tag_logits [B, W, T] if the model tells parts of speech
        """
        encoded = self.vit(
            pixel_values, attention_mask, output_hidden_states, output_attentions, return_dict=True
        )
        return self.score(encoded, attention_mask, word_starts, arc_labels, rel_labels, tag_labels)


class PatchPooler(nn.Module):
    """Linear, GELU, layer norm and dropout on every patch, then mean or maximum of the attended ones."""

    def __init__(self, config: AnyConfig) -> None:
        super().__init__()
        self.mode = config.pooling_mode
        self.linear = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN["gelu"]
        self.ln = (
            nn.LayerNorm(config.hidden_size, eps=1e-12) if config.pooler_add_layer_norm else nn.Identity()
        )
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Patches [B, P, D] and their mask [B, P] → [B, D]."""
        states = self.dropout(self.ln(self.activation(self.linear(states))))
        if attention_mask is None:
            return states.mean(1) if self.mode == "mean" else states.amax(1)
        attended = (attention_mask != 0).unsqueeze(-1)
        if self.mode == "mean":
            return (states * attended).sum(1) / attended.sum(1).clamp(min=1)
        highest = states.masked_fill(~attended, torch.finfo(states.dtype).min).amax(1)
        return highest.masked_fill(~attended.any(1), 0.0)  # a text of which nothing is attended


class AttentionPooler(nn.Module):
    """Pooling by multi-head attention (Lee et al. 2019, Set Transformer): a learnt seed attends to patches.

    As PIXEL has it for `pma1` … `pma8`: layer norm (with `pooler_add_layer_norm`) and dropout of the states;
    one seed, and the number in the name is that of the heads; scores are divided by the root of the whole
    width; the query is added to what it finds, and a linear layer with ReLU to their sum, without norms.

    Our choices: padding is not attended to (the source sets its keys to 0 and lets it take part); where the
    heads do not divide the width, the inner width is the next multiple (the source fails); a new seed is
    drawn as other weights are; and names and layout of the weights, as no published weights are known.
    """

    def __init__(self, config: AnyConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.pooling_heads
        self.width = config.pooled_size
        self.ln = nn.LayerNorm(width, eps=1e-12) if config.pooler_add_layer_norm else nn.Identity()
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.seed = nn.Parameter(torch.zeros(1, width))
        self.query = nn.Linear(width, self.width)
        self.key = nn.Linear(width, self.width)
        self.value = nn.Linear(width, self.width)
        self.output = nn.Linear(self.width, self.width)

    def forward(self, states: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Patches [B, P, D] and their mask [B, P] → [B, D'], D' being the next multiple of the heads."""
        states = self.dropout(self.ln(states))
        query = self.query(self.seed)  # [1, D']
        keys, values = (
            self._split(self.key(states)),
            self._split(self.value(states)),
        )  # [B, heads, P, D' / heads]
        scores = (self._split(query[None]) @ keys.mT).float() / self.width**0.5  # [B, heads, 1, P]
        if attention_mask is not None:
            real = (attention_mask != 0)[:, None, None]
            # Twice, for a text of which nothing is attended.
            scores = scores.masked_fill(~real, torch.finfo(scores.dtype).min)
            weights = scores.softmax(-1) * real
        else:
            weights = scores.softmax(-1)
        found = (weights.to(values.dtype) @ values).flatten(1)  # one query, so heads lie side by side
        pooled = query + found
        return pooled + F.relu(self.output(pooled))

    def _split(self, states: Tensor) -> Tensor:
        """[B, S, D'] → [B, heads, S, D' / heads]."""
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class LabelsOfTexts:
    """The head for labels of whole texts: what follows the encoder, whatever that reads.

    With `pooling_mode` "cls" the encoder gives a `pooler_output`.
    """

    config: Any

    def add_head(self, config: AnyConfig) -> None:
        """Make its layers, after those of the encoder."""
        self.num_labels = config.num_labels
        pooler = AttentionPooler if config.pooling_heads else PatchPooler
        self.pooler = None if config.pooling_mode == "cls" else pooler(config)
        self.classifier = nn.Linear(config.pooled_size, config.num_labels)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """As the base; the seed of a pooling by attention is drawn as weights are."""
        super()._init_weights(module)  # type: ignore[misc]
        if isinstance(module, AttentionPooler):
            initialization.normal_(module.seed, std=self.config.initializer_range)

    def score(
        self, encoded: BaseModelOutputWithPooling, attention_mask: Tensor | None, labels: Tensor | None
    ) -> SequenceClassifierOutput:
        """Score the labels of every text; for the arguments see `forward`."""
        if self.pooler is None:
            pooled = encoded.pooler_output
        else:
            pooled = self.pooler(encoded.last_hidden_state[:, 1:], attention_mask)
        logits = self.classifier(pooled)
        return SequenceClassifierOutput(
            loss=self.loss(logits, labels) if labels is not None else None,
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy, squared error or binary cross-entropy, as `config.problem_type` says.

        Without a problem type: one label is regression; integers name one label a text, floats several.

        Args:
            logits: [B, N]
            labels: [B] or [B, N]

        Returns:
            []
        """
        problem = self.config.problem_type
        if problem is None and self.num_labels == 1:
            problem = "regression"
        elif problem is None:
            problem = (
                "multi_label_classification" if labels.is_floating_point() else "single_label_classification"
            )
        if problem == "single_label_classification":
            names = check_labels("labels", labels, (logits.shape[0],), self.num_labels, "num_labels")
            assert names is not None
            return cross_entropy(logits, names)
        if labels.numel() != logits.numel():
            raise ValueError(f"labels for {problem} must be {list(logits.shape)}, got {list(labels.shape)}")
        labels = labels.view_as(logits).float()
        if readable(labels) and not bool(labels.isfinite().all()):
            raise ValueError(f"labels for {problem} must be finite, got {labels.flatten().tolist()}")
        if problem == "regression":
            return F.mse_loss(logits.float(), labels)
        return F.binary_cross_entropy_with_logits(logits.float(), labels)


class PixelForSequenceClassification(LabelsOfTexts, PixelPreTrainedModel):
    """Labels, or scores, of a whole text. `config.pooling_mode` says how patches become one vector."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__(config)
        self.vit = PixelModel(config, add_pooling_layer=config.pooling_mode == "cls")
        self.add_head(config)
        self.post_init()

    @as_in_transformers
    def forward(
        self,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> SequenceClassifierOutput:
        """Score the labels of every text.

        Args:
            pixel_values: uint8 [B, 16, W] grey or [B, 16, W, 3]; or float [B, 3, 16, W] in [0, 1]
            attention_mask: [B, P], 0 for padding
            labels: integers [B]; or floats, [B] for regression and [B, N] for several labels a text
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights

        Returns:
            loss [] if there are labels, logits [B, N]
        """
        encoded = self.vit(
            pixel_values, attention_mask, output_hidden_states, output_attentions, return_dict=True
        )
        return self.score(encoded, attention_mask, labels)


def without_white(scores: Tensor, patches: int) -> Tensor:
    """Scores [B, Q + 1] of the first P patches and of CLS, which is last: [B, P + 1]."""
    if scores.shape[1] == patches + 1:
        return scores
    return torch.cat([scores[:, :patches], scores[:, -1:]], dim=1)


def shortened(every: tuple[Tensor, ...] | None, length: int) -> tuple[Tensor, ...] | None:
    """Hidden states [B, S, D] or attention weights [B, H, S, S] of the first `length` places.

    Those that have no more are given as they are, so that gradients can be asked of them.
    """
    if every is None or every[0].shape[-2] == length:
        return every
    return tuple(part[..., :length, :length] if part.ndim == 4 else part[:, :length] for part in every)


class AnswerSpans:
    """The head for answers in a text: what follows the encoder, whatever that reads."""

    config: Any

    def add_head(self, config: AnyConfig) -> None:
        """Make its layer, after those of the encoder."""
        self.qa_outputs = nn.Linear(config.hidden_size, 2)

    def competes(self, start_positions: Tensor | None, end_positions: Tensor | None) -> bool:
        """Whether the loss needs states of padding, up to the longest text.

        Raises:
            ValueError: One of the positions is missing.
        """
        if (start_positions is None) != (end_positions is None):
            raise ValueError("start_positions and end_positions go together: pass both, or neither")
        # kept: places up to the longest text compete for the answer, as in published losses.
        return start_positions is not None and bool(self.config.padding_competes)

    def score(
        self,
        encoded: BaseModelOutputWithPooling,
        attention_mask: Tensor | None,
        start_positions: Tensor | None,
        end_positions: Tensor | None,
        patches: int,
    ) -> QuestionAnsweringModelOutput:
        """Score every place; for the arguments see `forward`.

        Args:
            encoded: Of `patches` places and CLS, or of more where padding competes.
            attention_mask: As long as what was encoded, without CLS.
            start_positions: See `forward`.
            end_positions: See `forward`.
            patches: P, the places that scores are given for.
        """
        competes = self.competes(start_positions, end_positions)
        # CLS moves to the end, so that patch p is place p.
        states = encoded.last_hidden_state.roll(-1, dims=1)
        start_scores, end_scores = self.qa_outputs(states).unbind(-1)
        loss = None
        if start_positions is not None:
            shape = (len(states),)
            loss = torch.zeros((), device=states.device)
            for name, scores, positions in (
                ("start_positions", start_scores, start_positions),
                ("end_positions", end_scores, end_positions),
            ):
                labels = check_labels(name, positions, shape, patches + 1, "patches and CLS")
                assert labels is not None
                if competes:
                    labels = labels.masked_fill(labels == patches, scores.shape[1] - 1)  # CLS
                elif attention_mask is not None:
                    attended = F.pad(attention_mask != 0, (0, 1), value=True)
                    check_answers(name, labels, attended)
                    scores = scores.float().masked_fill(~attended, -torch.inf)
                loss = loss + cross_entropy(scores, labels) / 2
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=without_white(start_scores, patches),
            end_logits=without_white(end_scores, patches),
            hidden_states=shortened(encoded.hidden_states, 1 + patches),
            attentions=shortened(encoded.attentions, 1 + patches),
        )


class PixelForQuestionAnswering(AnswerSpans, PixelPreTrainedModel):
    """Extractive question answering: the first and the last patch of the answer, or CLS for none."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__(config)
        self.vit = PixelModel(config)
        self.vit.keeps_padding = config.padding_competes
        self.add_head(config)
        self.post_init()

    @as_in_transformers
    def forward(
        self,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> QuestionAnsweringModelOutput:
        """Score every patch as the first and as the last one of the answer.

        Args:
            pixel_values: uint8 [B, 16, W] grey or [B, 16, W, 3]; or float [B, 3, 16, W] in [0, 1]
            attention_mask: [B, P], 0 for padding
            start_positions: [B], the answer's first patch; P, the place of CLS, for no answer; -100 for a
                text that does not count
            end_positions: [B], the answer's last patch; P for no answer
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights

        Returns:
            loss [] if there are positions, start_logits and end_logits [B, P + 1], CLS last
        """
        competes = self.competes(start_positions, end_positions)
        patches = count_patches(pixel_values, self.config.patch_size)
        if competes:
            check_inputs(self.config, pixel_values, attention_mask)
            missing = self.config.max_patches - patches
            pixel_values, attention_mask = add_white(
                pixel_values, attention_mask, missing, self.config.patch_size
            )
        encoded = self.vit(
            pixel_values,
            attention_mask,
            output_hidden_states,
            output_attentions,
            keeps_padding=competes,
            return_dict=True,
        )
        return self.score(encoded, attention_mask, start_positions, end_positions, patches)
