"""The pixel model: tensors in, tensors out."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from pixel_m4.model.config import PixelConfig
from pixel_m4.model.heads import (
    PixelForBiaffineParsing,
    PixelForBiaffineParsingOutput,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
)
from pixel_m4.model.mae import PixelForPreTraining, PixelForPreTrainingOutput, patchify, unpatchify
from pixel_m4.model.vit import PixelModel, PixelPreTrainedModel

AutoConfig.register(PixelConfig.model_type, PixelConfig, exist_ok=True)
AutoModel.register(PixelConfig, PixelModel, exist_ok=True)
AutoModelForPreTraining.register(PixelConfig, PixelForPreTraining, exist_ok=True)
AutoModelForTokenClassification.register(PixelConfig, PixelForTokenClassification, exist_ok=True)
AutoModelForSequenceClassification.register(PixelConfig, PixelForSequenceClassification, exist_ok=True)
AutoModelForQuestionAnswering.register(PixelConfig, PixelForQuestionAnswering, exist_ok=True)

__all__ = [
    "PixelConfig",
    "PixelForBiaffineParsing",
    "PixelForBiaffineParsingOutput",
    "PixelForPreTraining",
    "PixelForPreTrainingOutput",
    "PixelForQuestionAnswering",
    "PixelForSequenceClassification",
    "PixelForTokenClassification",
    "PixelModel",
    "PixelPreTrainedModel",
    "patchify",
    "unpatchify",
]
