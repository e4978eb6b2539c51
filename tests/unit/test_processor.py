"""The renderer behind transformers' AutoProcessor, and what users of other auto classes are told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoProcessor,
    AutoTokenizer,
    pipeline,
)

from pixel_m4 import PixelConfig, PixelForBiaffineParsing, PixelProcessor, TextRenderer
from pixel_m4.model import PixelModel
from pixel_m4.render import TruncationWarning

TEXTS = ["The cat sleeps.", "Кіт спить на килимку.", "x"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint: a model, and the renderer as published folders have it."""
    path = tmp_path_factory.mktemp("model")
    PixelModel(PixelConfig.named("nano", max_seq_length=64)).save_pretrained(path)
    PixelProcessor(TextRenderer(max_seq_length=64)).save_pretrained(path)
    return path


@pytest.mark.parametrize(
    "auto",
    [
        *(AutoModel, AutoModelForPreTraining, AutoModelForTokenClassification),
        *(AutoModelForSequenceClassification, AutoModelForQuestionAnswering),
    ],
)
def test_a_folder_gives_a_processor_and_a_model_that_fit(folder: Path, auto: type) -> None:
    assert sorted(file.name for file in folder.iterdir()) == [
        *("config.json", "model.safetensors", "text_renderer_config.json"),
    ]
    processor = AutoProcessor.from_pretrained(folder)
    assert type(processor) is PixelProcessor
    assert processor.renderer.max_seq_length == 64
    inputs = processor(TEXTS)
    expected = TextRenderer(max_seq_length=64).batch(TEXTS)
    assert sorted(inputs) == sorted(processor.model_input_names)
    for name in inputs:
        np.testing.assert_array_equal(inputs[name].numpy(), expected[name])
    with torch.inference_mode():
        outputs = auto.from_pretrained(folder).eval()(**inputs)
    assert torch.isfinite(outputs[0]).all()


def test_the_parser_of_the_package_reads_words() -> None:
    processor = AutoProcessor.from_pretrained("pixel-m4-ud")
    inputs = processor([["The", "cat", "sleeps", "."], ["Yes", "!"]], is_split_into_words=True)
    assert inputs["word_starts"].tolist()[1][3:] == [-100, -100]
    model = PixelForBiaffineParsing.from_pretrained("pixel-m4-ud").eval()
    with torch.inference_mode():
        assert model(**inputs).arc_logits.shape[:2] == (2, 4)


def test_one_text_and_pairs() -> None:
    processor = PixelProcessor(TextRenderer(max_seq_length=64))
    renderer = processor.renderer
    assert processor("a b", padding=False)["pixel_values"].shape == (1, 16, 16 * 3)
    pair = processor("Who?", "The cat.", return_tensors="np")
    np.testing.assert_array_equal(
        pair["pixel_values"], renderer.batch([("Who?", "The cat.")])["pixel_values"]
    )
    assert processor(["a", "b"], padding="max_length")["attention_mask"].shape == (2, 64)
    shorter = processor(["a", "b"], padding="max_length", max_length=16)["attention_mask"]
    assert shorter.shape == (2, 16)
    words = processor(["one", "text"], is_split_into_words=True)
    assert words["pixel_values"].shape[0] == 1


def test_offsets_say_which_characters_a_patch_shows() -> None:
    processor = PixelProcessor(TextRenderer(max_seq_length=64))
    found = processor(["The cat", "a"], return_offsets_mapping=True)["offset_mapping"]
    assert found[0].tolist() == [[0, 2], [2, 3], [4, 6], [6, 7], [-1, -1]]
    assert found[1].tolist() == [[0, 1], *[[-1, -1]] * 4]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["a"], ["b", "c"]), {}, "there are 1 texts and 2 second texts"),
        ((["a", "b"],), {"padding": False}, "padding=False is for one text"),
        ((["a"],), {"padding": "left"}, "padding must be True, 'longest' or 'max_length', not 'left'"),
        ((["a"],), {"return_tensors": "tf"}, "return_tensors must be 'pt' or 'np', not 'tf'"),
        ((["a"], ["b"]), {"is_split_into_words": True}, "is_split_into_words is for single texts"),
        (([1],), {}, "text"),
    ],
)
def test_wrong_calls_are_told(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        PixelProcessor()(*arguments, **options)


def test_a_processor_without_a_renderer_is_an_error(tmp_path: Path) -> None:
    PixelConfig.named("nano").save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no text_renderer_config\.json"):
        AutoProcessor.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"processor\.push_to_hub\(name\)"):
        PixelProcessor().save_pretrained(tmp_path, push_to_hub=True)


def test_who_asks_for_a_tokenizer_or_a_pipeline_is_told_what_to_write(folder: Path) -> None:
    said = r"is a pixel model: it has no tokenizer .* AutoProcessor instead .* pixel_m4\.load\(name\)"
    for name in (folder, "pixel-m4-ud"):
        with pytest.raises(ValueError, match=said):
            AutoTokenizer.from_pretrained(name)
    with pytest.raises(ValueError, match=said):
        pipeline("token-classification", model=str(folder))


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    [
        "import pixel_m4; from transformers import AutoProcessor",
        "from transformers import AutoProcessor; import pixel_m4",
        "import pixel_m4.model; from transformers import AutoProcessor",
        "from transformers import AutoTokenizer, AutoProcessor; import pixel_m4.checkpoint",
    ],
)
def test_auto_processor_knows_ours_in_any_order_of_imports(first: str) -> None:
    code = f"{first}; print(type(AutoProcessor.from_pretrained('pixel-m4-tiny')).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "PixelProcessor\n", done.stderr


@pytest.mark.slow
def test_opening_a_checkpoint_does_not_load_processors() -> None:
    code = "import sys, pixel_m4.checkpoint; print('transformers.models.auto.processing_auto' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_word_that_is_cut_ends_before_the_black_patch() -> None:
    processor = PixelProcessor(TextRenderer(max_seq_length=16))
    words = ["ककbbb", "aم漢aक漢", "xiiabم", "bi", "xiمकxa", "xi"]  # the fifth ends on the black patch
    with pytest.warns(TruncationWarning):
        inputs = processor([words, ["a"]], is_split_into_words=True)
    black = int(inputs["attention_mask"][0].sum()) - 1
    assert inputs["word_starts"][0].max() == black
