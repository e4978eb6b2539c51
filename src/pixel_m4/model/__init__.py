"""The pixel model, and text models beside it: tensors in, tensors out.

Importing it teaches transformers' auto classes what these models are and which checkpoints the package ships.
"""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from pixel_m4.autos import know_our_places
from pixel_m4.console.threads import outlive_forks
from pixel_m4.model.config import PixelConfig
from pixel_m4.model.heads import (
    PixelForBiaffineParsing,
    PixelForBiaffineParsingOutput,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
)
from pixel_m4.model.mae import PixelForPreTraining, PixelForPreTrainingOutput
from pixel_m4.model.objectives import patchify, unpatchify
from pixel_m4.model.text import AnyModel, TextModel, TextPreTrainedModel
from pixel_m4.model.text_config import AnyConfig, TextConfig
from pixel_m4.model.text_heads import (
    TextForBiaffineParsing,
    TextForQuestionAnswering,
    TextForSequenceClassification,
    TextForTokenClassification,
)
from pixel_m4.model.vit import PixelModel, PixelPreTrainedModel

know_our_places(AutoConfig)
know_our_places(AutoModel.__mro__[-2])  # the class that all of them have `from_pretrained` from
AutoConfig.register(PixelConfig.model_type, PixelConfig, exist_ok=True)
AutoModel.register(PixelConfig, PixelModel, exist_ok=True)
AutoModelForPreTraining.register(PixelConfig, PixelForPreTraining, exist_ok=True)
AutoModelForTokenClassification.register(PixelConfig, PixelForTokenClassification, exist_ok=True)
AutoModelForSequenceClassification.register(PixelConfig, PixelForSequenceClassification, exist_ok=True)
AutoModelForQuestionAnswering.register(PixelConfig, PixelForQuestionAnswering, exist_ok=True)
AutoConfig.register(TextConfig.model_type, TextConfig, exist_ok=True)
AutoModel.register(TextConfig, TextModel, exist_ok=True)
AutoModelForTokenClassification.register(TextConfig, TextForTokenClassification, exist_ok=True)
AutoModelForSequenceClassification.register(TextConfig, TextForSequenceClassification, exist_ok=True)
AutoModelForQuestionAnswering.register(TextConfig, TextForQuestionAnswering, exist_ok=True)

outlive_forks()

__all__ = [
    "AnyConfig",
    "AnyModel",
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
    "TextConfig",
    "TextForBiaffineParsing",
    "TextForQuestionAnswering",
    "TextForSequenceClassification",
    "TextForTokenClassification",
    "TextModel",
    "TextPreTrainedModel",
    "patchify",
    "unpatchify",
]
