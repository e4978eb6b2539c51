from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pixel_m4 import PixelConfig, PixelForBiaffineParsing, PixelForPreTraining, PixelForTokenClassification
from pixel_m4.checkpoint import Checkpoint, choose_device, open_task, saved_task
from pixel_m4.cli.main import main
from pixel_m4.formats.conllu import ConlluError
from pixel_m4.predict.annotator import Annotator
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.base import saved_labels
from pixel_m4.tasks.classification import Classification
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.tagging import Tagging


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=49)


@pytest.fixture
def parser(tmp_path: Path, renderer: TextRenderer) -> Path:
    return save(Parsing(renderer), PixelForBiaffineParsing, tmp_path / "parser")


def save(of, model_class, folder: Path, **changes) -> Path:  # type: ignore[no-untyped-def]
    config = PixelConfig.named("nano", max_seq_length=49)
    of.configure(config)
    for name, value in changes.items():
        setattr(config, name, value)
    torch.manual_seed(0)
    model_class(config).save_pretrained(folder)
    of.renderer.save_pretrained(folder)
    return folder


def words(lines: Iterator[str], task: Parsing) -> list[tuple[str, ...]]:
    return [sentence.words for sentence in task.stream(lines, "<here>")]


def test_a_saved_model_opens_with_its_task(parser: Path) -> None:
    task, model = open_task(parser)
    assert isinstance(task, Parsing)
    assert isinstance(model, PixelForBiaffineParsing)
    assert task.renderer.max_seq_length == 49
    assert task.labels[0] == "_"
    assert not model.training


def test_a_model_without_a_renderer_is_opened_with_a_named_one(
    parser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = parser / "text_renderer_config.json"
    own.rename(tmp_path / own.name)
    with pytest.raises(FileNotFoundError, match="--renderer"):
        open_task(parser)
    renderer = open_task(parser, renderer="words")[0].renderer
    assert (renderer.strategy, renderer.max_seq_length) == ("words", 49)
    assert open_task(parser, renderer=tmp_path)[0].renderer.strategy == "bigrams"
    text = tmp_path / "text.txt"
    text.write_text("A cat\n", encoding="utf-8")
    assert main(["predict", str(parser), str(text)]) == 1
    assert main(["evaluate", str(parser), "--file", str(text)]) == 1
    assert capsys.readouterr().err.count("--renderer") == 2
    assert main(["predict", str(parser), str(text), "--renderer", "words"]) == 0
    assert "cat" in capsys.readouterr().out
    assert main(["info", str(parser)]) == 0
    assert "--renderer" in capsys.readouterr().out


def test_models_that_do_not_say_their_task(tmp_path: Path, renderer: TextRenderer) -> None:
    tagger, parser = Tagging(renderer), Parsing(renderer)
    known = save(tagger, PixelForTokenClassification, tmp_path / "known", task=None)
    assert open_task(known)[0].name == "pos"  # its labels are the universal tags
    assert open_task(save(parser, PixelForBiaffineParsing, tmp_path / "one", task=None))[0].name == "parsing"
    tagger.labels = ["a", "b"]
    other = save(tagger, PixelForTokenClassification, tmp_path / "other", task=None)
    task = open_task(other, task="pos")[0]
    assert task.labels == ["a", "b"]
    with pytest.raises(ValueError, match="is no model for the task 'parsing'"):
        open_task(other, task="parsing")


def test_a_pretrained_model_is_for_no_task(tmp_path: Path) -> None:
    PixelForPreTraining(PixelConfig.named("nano")).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="PixelForPreTraining, which is fine-tuned for no task"):
        open_task(tmp_path)


def test_a_wrong_task_is_named(parser: Path) -> None:
    with pytest.raises(ValueError, match="unknown task 'cooking'; the tasks: parsing"):
        open_task(parser, task="cooking")
    with pytest.raises(ValueError, match="is no model for the task 'pos', but for parsing"):
        open_task(parser, task="pos")


def test_options_of_a_later_version(tmp_path: Path, renderer: TextRenderer) -> None:
    folder = save(Parsing(renderer), PixelForBiaffineParsing, tmp_path, task_options={"taste": 1})
    with pytest.raises(ValueError, match="options that the task 'parsing' lacks here: taste"):
        saved_task(Checkpoint.open(folder))


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for name in ("toaster", "cuda:77"):
        with pytest.raises(ValueError, match=f"--device {name}: no such device"):
            choose_device(name)


def test_annotation_keeps_the_order(parser: Path) -> None:
    task, model = open_task(parser)
    texts = [" ".join(["word"] * (1 + i % 7)) + f" {i}" for i in range(100)]
    examples = task.read_raw(texts, "<here>")
    streamed = list(Annotator(task, model, batch_size=2).annotate(iter(examples)))
    assert [parsed.tree.words for parsed in streamed] == [example.words for example in examples]
    at_once = task.annotate(model, examples)
    assert [parsed.tree.heads for parsed in streamed] == [parsed.tree.heads for parsed in at_once]


def test_a_stream_of_lines(renderer: TextRenderer) -> None:
    task = Parsing(renderer)
    texts = [f"a {i}\n" for i in range(1000)]
    assert words(iter(texts), task) == [("a", str(i)) for i in range(1000)]
    read: list[str] = []

    def lines() -> Iterator[str]:
        for text in texts:
            read.append(text)
            yield text

    assert next(iter(task.stream(lines(), "<here>"))).words == ("a", "0")
    assert len(read) < 500


def test_a_stream_of_conllu_is_never_cut_inside_a_sentence(renderer: TextRenderer) -> None:
    rows = [f"{i}\tw{i}" + "\t_" * 8 + "\n" for i in range(1, 301)]
    lines = [*rows, "\n"] * 4
    sentences = words(iter(lines), Parsing(renderer))
    assert [len(sentence) for sentence in sentences] == [300] * 4


def test_errors_far_down_name_the_right_line(renderer: TextRenderer) -> None:
    lines = ["1\tw" + "\t_" * 8 + "\n", "\n"] * 600
    lines[1000] = "7\tw" + "\t_" * 8 + "\n"
    with pytest.raises(ConlluError, match="<here>:1001:"):
        words(iter(lines), Parsing(renderer))


def test_nothing_to_read(renderer: TextRenderer) -> None:
    for lines in ([], ["\n"] * 700):
        with pytest.raises(ValueError, match="<here>: holds no text"):
            words(iter(lines), Parsing(renderer))


def test_json_over_lines_is_read_whole(renderer: TextRenderer) -> None:
    task = Classification(renderer)

    def texts(lines: list[str]) -> list[str]:
        return [example.text for example in task.stream(lines, "<here>")]

    assert texts(['{"text": "a"}\n'] * 600) == ["a"] * 600
    assert texts(["[\n", *['{"text":\n', '"a"},\n', "\n"] * 600, '{"text": "b"}]\n']) == ["a"] * 600 + ["b"]
    assert texts(["[sic] a text\n"] * 600) == ["[sic] a text"] * 600
    with pytest.raises(ValueError, match="<here>:3: not valid JSON"):
        texts(['{"text": "a"}\n', "\n", "text\n"])


def test_options_can_be_changed(parser: Path) -> None:
    options = Parsing.options_class(skip_bad_rows=True)
    opened = open_task(parser, options=options)[0].options
    assert dataclasses.asdict(opened) == {
        "skip_bad_rows": True,
        "mix_layers": False,
        "word_pooling": None,
        "num_word_layers": 0,
        "word_rope_theta": None,
        "upos": False,
    }
    with pytest.raises(ValueError, match="word_pooling attention: the model was trained with None"):
        open_task(parser, options=Parsing.options_class(word_pooling="attention"))


def test_labels_keep_the_order_of_the_outputs(renderer: TextRenderer) -> None:
    config = PixelConfig.named("nano")
    config.id2label = {10: "k", 9: "j", **{number: "abcdefghi"[number] for number in range(9)}}
    assert saved_labels(Tagging(renderer), config) == list("abcdefghijk")
    config.id2label = {0: "LABEL_0", 1: "LABEL_1"}
    assert saved_labels(Classification(renderer), config) == ["LABEL_0", "LABEL_1"]
    assert len(saved_labels(Tagging(renderer), config)) == 17
