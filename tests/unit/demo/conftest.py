"""The shipped models as the demo serves them, opened once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from pixel_m4.demo.app import create_app
from pixel_m4.demo.models import Models
from pixel_m4.demo.sentences import EXAMPLES
from pixel_m4.model import PixelConfig, PixelForSequenceClassification, PixelForTokenClassification
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.classification import Classification
from pixel_m4.tasks.ner import NER


@pytest.fixture(scope="package")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A model for entities and one for classes, with random weights."""
    folder = tmp_path_factory.mktemp("models")
    found = []
    for task_class, model_class, labels in (
        (NER, PixelForTokenClassification, ["O", "B-PER", "I-PER"]),
        (Classification, PixelForSequenceClassification, ["good", "bad"]),
    ):
        task = task_class(TextRenderer(max_seq_length=49), labels=labels)
        config = PixelConfig.named("nano", max_seq_length=49)
        task.configure(config)
        place = folder / task.name
        model_class(config).save_pretrained(place)
        task.renderer.save_pretrained(place)
        found.append(str(place))
    return found


@pytest.fixture(scope="package")
def models(fine_tuned: list[str]) -> Models:
    return Models(["pixel-m4-ud", "pixel-m4-tiny", *fine_tuned], "cpu")


@pytest.fixture(scope="package")
def client(models: Models) -> Iterator[TestClient]:
    app = create_app(models, list(EXAMPLES), allowed_hosts=["localhost"], threads=2, warm=False)
    with TestClient(app, base_url="http://localhost") as client:
        yield client
