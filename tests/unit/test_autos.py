from __future__ import annotations

import subprocess
import sys

import pytest

OPEN = "from transformers import AutoModel; print(type(AutoModel.from_pretrained('pixel-m4-tiny')).__name__)"


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    [
        "import pixel_m4",
        "import pixel_m4; from transformers.trainer import Trainer",
        "import transformers, pixel_m4",
    ],
)
def test_auto_classes_know_our_models_in_any_order_of_imports(first: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"{first}\n{OPEN}"], capture_output=True, text=True)
    assert done.stdout == "PixelModel\n", done.stderr
