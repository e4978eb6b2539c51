"""ONNX files at work, without torch; what real models say is in tests/integration/test_exported_models.py."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pixel_m4
from pixel_m4.cli.main import main
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.classification import Classification
from pixel_m4.tasks.portable import METADATA, fields_of, task_from, to_json

onnx = pytest.importorskip("onnx", reason="needs the extra `export`: pip install 'pixel-m4[export]'")
pytest.importorskip("onnxruntime", reason="needs the extra `export`: pip install 'pixel-m4[export]'")


def described(**changes: Any) -> str:
    task = Classification(TextRenderer(max_seq_length=64), labels=["empty", "full"])
    return json.dumps({**json.loads(to_json(task)), **changes})


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    """A classifier of two labels that tells by the ink of the first patch."""
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["pixel_values"], ["pixels"], to=kinds.FLOAT),
        helper.make_node("Slice", ["pixels", "from", "to", "axis"], ["seen"]),
        helper.make_node("ReduceMean", ["seen", "places"], ["light"], keepdims=0),  # [B]
        helper.make_node("Unsqueeze", ["light", "one"], ["column"]),
        helper.make_node("Sub", ["column", "middle"], ["bright"]),
        helper.make_node("Neg", ["bright"], ["dark"]),
        helper.make_node("Concat", ["bright", "dark"], ["logits"], axis=1),
    ]
    numbers = {"from": [0], "to": [16], "axis": [2], "places": [1, 2], "one": [1]}
    constants = [helper.make_tensor(name, kinds.INT64, [len(v)], v) for name, v in numbers.items()]
    constants.append(helper.make_tensor("middle", kinds.FLOAT, [1], [220.0]))
    graph = helper.make_graph(
        nodes,
        "judge",
        [helper.make_tensor_value_info("pixel_values", kinds.UINT8, ["batch", 16, "width"])],
        [helper.make_tensor_value_info("logits", kinds.FLOAT, ["batch", 2])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    file = tmp_path / "judge.onnx"
    put(model, described(), file)
    return file


def put(model: Any, text: str | None, file: Path) -> None:
    onnx.helper.set_model_props(model, {} if text is None else {METADATA: text})
    onnx.save(model, file)


def rewritten(file: Path, text: str | None) -> Path:
    put(onnx.load(file), text, file)
    return file


def test_predictions_and_scores(judge: Path, tmp_path: Path) -> None:
    annotator = pixel_m4.load(judge, batch_size=2)
    assert annotator.labels == ["empty", "full"]
    found = annotator.predict(["WWWWWWWWWWWWWWWW", ".", "MMMMMMMMMMMMMMMM"])
    assert [each.label for each in found] == ["full", "empty", "full"]
    assert all(0.5 < each.probabilities[each.label] <= 1 for each in found)
    data = tmp_path / "gold.tsv"
    data.write_text("text\tlabel\nWWWWWWWWWWWWWWWW\tfull\n.\tfull\n", encoding="utf-8")
    assert annotator.evaluate(data)["accuracy"] == 50


def test_commands(judge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("WWWWWWWWWWWWWWWW\n.\n", encoding="utf-8")
    assert main(["predict", str(judge), str(texts)]) == 0
    assert [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()] == ["full", "empty"]
    data = tmp_path / "gold.tsv"
    data.write_text("text\tlabel\nWWWWWWWWWWWWWWWW\tfull\n.\tfull\n", encoding="utf-8")
    assert main(["evaluate", str(judge), "--file", str(data), "--output_dir", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "eval_results.json").read_text())["eval_accuracy"] == 50


# What docs/deployment.md installs where there is no torch, and what that needs itself.
LEAN = {"numpy", "uharfbuzz", "freetype", "regex", "backports", "platformdirs", "rich", "rich_argparse"}
LEAN |= {"onnxruntime", "flatbuffers", "google", "markdown_it", "mdurl", "packaging", "pygments", "pixel_m4"}


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_neither_torch_nor_transformers_is_loaded(judge: Path, tmp_path: Path, command: str) -> None:
    data = tmp_path / "gold.tsv"
    data.write_text("text\tlabel\nWWWWWWWWWWWWWWWW\tfull\n", encoding="utf-8")
    arguments = [command, str(judge), *(["--file"] if command == "evaluate" else []), str(data)]
    program = (
        "import sys\n"
        "from pixel_m4.cli.main import main\n"
        f"assert main({arguments!r}) == 0\n"
        "for name, module in sys.modules.items():\n"
        "    if 'site-packages' in (getattr(module, '__file__', None) or ''):\n"
        "        print('loaded', name.partition('.')[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "full" in done.stdout or "accuracy" in done.stdout
    loaded = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("loaded ")}
    assert "numpy" in loaded
    assert not loaded & {"torch", "transformers"}
    if command == "predict":  # scores take scikit-learn besides
        assert {name for name in loaded if not name.startswith("_")} <= LEAN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not say how to use it"),
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        (json.dumps({"task": "pos"}), "must be an object with task, labels"),
        (json.dumps([]), "must be an object with task, labels"),
        (described(task="poetry"), "unknown task 'poetry'; the tasks: parsing"),
        (described(labels=["a", 1]), "its labels must be strings"),
        (described(options={"rhyme": True}), "options that the task 'classification' lacks here: rhyme"),
        (described(renderer={"rhyme": True}), "judge.onnx: unknown field 'rhyme'"),
        (
            described(renderer={"font_file": "My.ttf", "font_sha256": "12" * 32, "strategy": "bigrams"}),
            "judge.onnx names the font My.ttf with the SHA-256 1212",
        ),
    ],
)
def test_files_that_do_not_say_what_they_must(judge: Path, text: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pixel_m4.load(rewritten(judge, text))


def test_home_folders(
    judge: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(judge.parent))
    (judge.parent / "texts.txt").write_text(".\n", encoding="utf-8")
    assert main(["predict", "~/judge.onnx", str(judge.parent / "texts.txt")]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == "empty"
    text = described(renderer={"font_file": "My.ttf", "font_sha256": "12" * 32, "strategy": "bigrams"})
    rewritten(judge, text)
    with pytest.raises(ValueError, match=r"names the font My\.ttf") as told:
        pixel_m4.load("~/judge.onnx")
    assert str(judge) in str(told.value)  # fonts are looked for beside the file


def test_what_cannot_be_asked_of_a_file(judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for asked, message in (
        ({"bf16": True}, "leave out bf16"),
        ({"device": "cuda"}, "leave out device cuda"),
        ({"task": "ner"}, "for classification"),
        ({"revision": "main"}, "is for names on the hub"),
    ):
        with pytest.raises(ValueError, match=message):
            pixel_m4.load(judge, **asked)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="there is no file"):
        pixel_m4.load(tmp_path / "none.onnx")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(judge.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"damaged\.onnx cannot be opened as ONNX"):
        pixel_m4.load(damaged)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"needs onnxruntime: pip install 'pixel-m4\[export\]'"):
        pixel_m4.load(judge)


def test_task_and_renderer_survive() -> None:
    options = Classification.options_class(skip_bad_rows=True)
    task = Classification(TextRenderer(max_seq_length=49, strategy="words"), ["é", "b"], options)
    fields, file = fields_of(to_json(task), Path("m.onnx")), Path("m.onnx")
    again = task_from(fields, file)
    assert (type(again), again.labels, again.options) == (Classification, task.labels, task.options)
    assert (again.renderer("a b").pixel_values == task.renderer("a b").pixel_values).all()
    assert again.renderer.max_seq_length == 49
    named = task_from(fields, file, renderer="bigrams").renderer
    assert isinstance(named, TextRenderer)
    assert (named.strategy, named.max_seq_length, named.rgb) == ("bigrams", 49, False)


def test_it_is_opened_again_in_another_process(judge: Path) -> None:
    """As pools that spawn their processes do."""
    annotator = pixel_m4.load(judge)
    again = pickle.loads(pickle.dumps(annotator))
    assert again.predict(["a", "b c"]) == annotator.predict(["a", "b c"])
