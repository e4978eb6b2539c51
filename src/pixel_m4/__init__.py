"""Language models that read text as pixels: render, pretrain, fine-tune, analyse, use.

Names are imported when first asked for, so that rendering alone never loads torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pixel_m4.autos import register_with_transformers
from pixel_m4.version import __version__

if TYPE_CHECKING:
    from pixel_m4.analysis.states import embed
    from pixel_m4.checkpoint import Checkpoint
    from pixel_m4.model import (
        PixelConfig,
        PixelForBiaffineParsing,
        PixelForPreTraining,
        PixelForQuestionAnswering,
        PixelForSequenceClassification,
        PixelForTokenClassification,
        PixelModel,
    )
    from pixel_m4.predict.annotator import load
    from pixel_m4.processor import PixelProcessor
    from pixel_m4.render import TextRenderer

_MODULES = {
    "Checkpoint": "pixel_m4.checkpoint",
    "embed": "pixel_m4.analysis.states",
    "PixelProcessor": "pixel_m4.processor",
    "TextRenderer": "pixel_m4.render",
    "load": "pixel_m4.predict.annotator",
} | dict.fromkeys(
    (
        "PixelConfig",
        "PixelForBiaffineParsing",
        "PixelForPreTraining",
        "PixelForQuestionAnswering",
        "PixelForSequenceClassification",
        "PixelForTokenClassification",
        "PixelModel",
    ),
    "pixel_m4.model",
)

__all__ = [
    "Checkpoint",
    "PixelConfig",
    "PixelForBiaffineParsing",
    "PixelForPreTraining",
    "PixelForQuestionAnswering",
    "PixelForSequenceClassification",
    "PixelForTokenClassification",
    "PixelModel",
    "PixelProcessor",
    "TextRenderer",
    "__version__",
    "embed",
    "load",
]


register_with_transformers()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
