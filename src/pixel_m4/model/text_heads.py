"""The heads of :mod:`pixel_m4.model.heads` on an encoder of sub-words.

Dimensions: B batch, P places beside CLS, S = 1 + P, W words (padded), R relations, N labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import (
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

from pixel_m4.model.checks import check_ids
from pixel_m4.model.heads import (
    AnswerSpans,
    BiaffineParses,
    LabelsOfTexts,
    PixelForBiaffineParsing,
    PixelForBiaffineParsingOutput,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
    TokenLabels,
)
from pixel_m4.model.inputs import as_in_transformers
from pixel_m4.model.text import TextModel, TextPreTrainedModel
from pixel_m4.model.text_config import TextConfig
from pixel_m4.model.vit import PixelPreTrainedModel


class TextForTokenClassification(TokenLabels, TextPreTrainedModel):
    """A label a sub-word; a word's label sits on its first one. See `PixelForTokenClassification`."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self.text = TextModel(config)
        self.add_head(config)
        self.post_init()

    @as_in_transformers
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        word_starts: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> TokenClassifierOutput:
        """Score the labels of every sub-word, or of every word.

        Args:
            input_ids: [B, 1 + P], CLS first
            attention_mask: [B, P], 0 for padding, without CLS
            labels: [B, P], -100 where no label is; [B, W] of words
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights
            word_starts: [B, W + 1], each word's first sub-word and the end of the last word, padded with
                -100; needed for, and only read for, labels of words
            token_type_ids: [B, 1 + P]

        Returns:
            loss [] if there are labels, logits [B, P, N] of sub-words or [B, W, N] of words
        """
        encoded = self.text(
            input_ids,
            attention_mask,
            output_hidden_states,
            output_attentions,
            token_type_ids,
            return_dict=True,
        )
        return self.score(encoded, attention_mask, labels, word_starts)


class TextForBiaffineParsing(BiaffineParses, TextPreTrainedModel):
    """Dependency parser over words of sub-words. See `PixelForBiaffineParsing`."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self.text = TextModel(config, add_pooling_layer=True)
        self.add_head(config)
        self.post_init()

    @as_in_transformers
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        word_starts: Tensor | None = None,
        arc_labels: Tensor | None = None,
        rel_labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        tag_labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> PixelForBiaffineParsingOutput:
        """Score heads and relations of every word; what is not said here is as in `PixelForBiaffineParsing`.

        Args:
            input_ids: [B, 1 + P], CLS first
            attention_mask: [B, P], 0 for padding, without CLS
            word_starts: [B, W + 1], each word's first sub-word and the end of the last word, padded with -100
            arc_labels: [B, W]
            rel_labels: [B, W]
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights
            tag_labels: [B, W]
            token_type_ids: [B, 1 + P]

        Returns:
            loss [] if there are labels, arc_logits [B, W, W + 1], rel_logits [B, W, W + 1, R], tag_logits
        """
        encoded = self.text(
            input_ids,
            attention_mask,
            output_hidden_states,
            output_attentions,
            token_type_ids,
            return_dict=True,
        )
        return self.score(encoded, attention_mask, word_starts, arc_labels, rel_labels, tag_labels)


class TextForSequenceClassification(LabelsOfTexts, TextPreTrainedModel):
    """Labels, or scores, of a whole text; by default from CLS, as BERT has it.

    See `PixelForSequenceClassification`.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self.text = TextModel(config, add_pooling_layer=config.pooling_mode == "cls")
        self.add_head(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.post_init()

    @as_in_transformers
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        token_type_ids: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Score the labels of every text.

        Args:
            input_ids: [B, 1 + P], CLS first
            attention_mask: [B, P], 0 for padding, without CLS
            labels: integers [B]; or floats, [B] for regression and [B, N] for several labels a text
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights
            token_type_ids: [B, 1 + P], which text of a pair

        Returns:
            loss [] if there are labels, logits [B, N]
        """
        encoded = self.text(
            input_ids,
            attention_mask,
            output_hidden_states,
            output_attentions,
            token_type_ids,
            return_dict=True,
        )
        if self.pooler is None:  # as BERT's own classifier
            encoded.pooler_output = self.dropout(encoded.pooler_output)
        return self.score(encoded, attention_mask, labels)


class TextForQuestionAnswering(AnswerSpans, TextPreTrainedModel):
    """The first and the last sub-word of the answer, or CLS for none. See `PixelForQuestionAnswering`."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self.text = TextModel(config)
        self.add_head(config)
        self.post_init()

    @as_in_transformers
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        token_type_ids: Tensor | None = None,
    ) -> QuestionAnsweringModelOutput:
        """Score every sub-word as the first and as the last one of the answer.

        Args:
            input_ids: [B, 1 + P], CLS first
            attention_mask: [B, P], 0 for padding, without CLS
            start_positions: [B], the answer's first place, counted after CLS; P, the place of CLS, for no
                answer; -100 for a text that does not count
            end_positions: [B], the answer's last place; P for no answer
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights
            token_type_ids: [B, 1 + P], which text of a pair

        Returns:
            loss [] if there are positions, start_logits and end_logits [B, P + 1], CLS last
        """
        places = input_ids.shape[1] - 1
        if self.competes(start_positions, end_positions):
            check_ids(self.config, input_ids, attention_mask)
            missing = max(0, self.config.max_patches - places)
            padding = self.config.encoder_config.pad_token_id or 0
            if attention_mask is None:
                attention_mask = input_ids.new_ones(len(input_ids), places)
            input_ids = F.pad(input_ids, (0, missing), value=padding)
            attention_mask = F.pad(attention_mask, (0, missing), value=0)
            if token_type_ids is not None:
                token_type_ids = F.pad(token_type_ids, (0, missing), value=0)
        encoded = self.text(
            input_ids,
            attention_mask,
            output_hidden_states,
            output_attentions,
            token_type_ids,
            return_dict=True,
        )
        return self.score(encoded, attention_mask, start_positions, end_positions, places)


TEXT_HEADS: Mapping[type[PixelPreTrainedModel], type[TextPreTrainedModel]] = {
    PixelForTokenClassification: TextForTokenClassification,
    PixelForBiaffineParsing: TextForBiaffineParsing,
    PixelForSequenceClassification: TextForSequenceClassification,
    PixelForQuestionAnswering: TextForQuestionAnswering,
}
"""By the class of a pixel model that of a text model with the same head."""


def head_for(model_class: type[PixelPreTrainedModel], config: Any) -> type[Any]:
    """The class with the head of a pixel model that fits a configuration: that class, or its text model."""
    return TEXT_HEADS[model_class] if isinstance(config, TextConfig) else model_class
