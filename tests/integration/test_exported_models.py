"""What models say as ONNX files, by every task, beside what they say as folders."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

import pixel_m4
from pixel_m4.cli.main import main
from pixel_m4.model import PixelConfig
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.classification import Classification
from pixel_m4.tasks.ner import NER
from pixel_m4.tasks.parsing import Parsing, ParsingOptions
from pixel_m4.tasks.qa import QuestionAnswering
from pixel_m4.tasks.tagging import Tagging

LONG = " ".join(["The cat sleeps on Mount Athos, says Κλειώ."] * 8)
TEXTS = ["The cat sleeps.", LONG, "Ὁ γάτος κοιμᾶται", "x"]
PAIRS = [
    {"question": "Who sleeps?", "context": "The cat sleeps on the mat."},
    {"question": "Where is she?", "context": LONG},
]
DRAWN = TextRenderer(max_seq_length=64)
POOLED = NER.options_class(word_pooling="first_last_mean", num_word_layers=1, word_rope_theta=20)
TASKS: dict[str, tuple[Any, list[Any]]] = {
    "parsing": (Parsing(DRAWN, options=ParsingOptions(upos=True)), TEXTS),
    "pos": (Tagging(DRAWN), TEXTS),
    "ner": (NER(DRAWN, labels=["O", "B-LOC", "I-LOC"], options=POOLED), TEXTS),
    "classification": (Classification(DRAWN, labels=["a", "b", "c"]), TEXTS),
    "qa": (QuestionAnswering(DRAWN), PAIRS),
}


def save(task: Any, folder: Path) -> None:
    """A random model of a task whose every weight matters."""
    config = PixelConfig.named("nano", max_seq_length=64)
    task.settle(config)
    task.configure(config)
    torch.manual_seed(0)
    model = task.model_class(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.02, std=0.1)
    model.save_pretrained(folder)
    task.renderer.save_pretrained(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_files_say_what_folders_say(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra `export`: pip install 'pixel-m4[export]'")
    task, texts = TASKS[name]
    save(task, tmp_path / "model")
    assert main(["export", str(tmp_path / "model"), str(tmp_path / "model.onnx")]) == 0
    folder = pixel_m4.load(tmp_path / "model", device="cpu", batch_size=2)
    file = pixel_m4.load(tmp_path / "model.onnx", batch_size=2)
    assert (file.labels, file.task.options) == (folder.labels, folder.task.options)
    found, expected = file.predict(texts), folder.predict(texts)
    if name in ("classification", "qa"):
        for ours, theirs in zip(map(asdict, found), map(asdict, expected), strict=True):
            field = {"classification": "probabilities", "qa": "score"}[name]
            assert ours.pop(field) == pytest.approx(theirs.pop(field), rel=1e-3, abs=1e-4)
            assert ours == theirs
    else:
        assert found == expected
