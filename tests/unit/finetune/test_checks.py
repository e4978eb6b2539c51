"""What is told before a training; the places are real, the models are folders without weights to load."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

import pixel_m4.training.checks as checks
from pixel_m4.cli.main import main
from pixel_m4.finetune.checks import OBEYED, check_data, check_metric, choose_metric
from pixel_m4.model import PixelConfig, PixelForBiaffineParsing, PixelForTokenClassification
from pixel_m4.predict.annotator import load
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.classification import Classification, ClassificationOptions
from pixel_m4.tasks.ner import NER
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.training.arguments import REFUSED
from pixel_m4.training.checks import check_schedule, checkpoint_bytes

SENTENCE = "1\tcat\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n"
NEW = "--config_name nano --max_seq_length 64 --report_to none --max_steps 4 --warmup_steps 0"
PARSE = f"parsing --data_dir ud {NEW}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of data, and of models, of which none is ever loaded."""
    root = tmp_path_factory.mktemp("checks")
    for name, splits in {
        "ud": ("train", "dev", "test"),
        "no-dev": ("train", "test"),
        "no-test": ("train", "dev"),
    }.items():
        (root / name).mkdir()
        for split in splits:
            (root / name / f"xx-ud-{split}.conllu").write_text(SENTENCE)
    (root / "file").write_text("x")
    for name, model in {"parser": PixelForBiaffineParsing, "tagger": PixelForTokenClassification}.items():
        config = PixelConfig.named("nano", max_seq_length=64)
        config.architectures, config.task = [model.__name__], {"parser": "parsing", "tagger": "pos"}[name]
        config.save_pretrained(root / name)
        TextRenderer(max_seq_length=64).save_pretrained(root / name)
        (root / name / "model.safetensors").write_bytes(b"damaged, and never looked at")
    (root / "no-weights").mkdir()
    config.save_pretrained(root / "no-weights")
    (root / "fonts").mkdir()
    return root


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (f"{PARSE} --metric_for_best_model accuracy",
         "parsing has no such score; it has uas, las, uas_mst, las_mst, loss"),
        (f"classification --data_dir ud {NEW} --metrics accuracy --metric_for_best_model f1",
         "classification has no such score; it has accuracy, loss"),
        (f"classification --data_dir ud {NEW} --metrics acuracy", "metrics: unknown 'acuracy'"),
        (f"parsing --data_dir no-dev {NEW}", "has no 'dev' split .* --dev_from_train 0.1 holds"),
        (f"parsing --data_dir no-test {NEW}", "has no 'test' split .*--do_train --do_eval do without test"),
        ("parsing --data_dir no-test --do_predict --model_name_or_path parser", "has no 'test' split"),
        (f"{PARSE} --test_share 0.2", "--test_share 0.2 divides a single file, but ud has files of splits"),
        (f"parsing --data_dir nowhere {NEW}", "--data_dir is no folder: nowhere"),
        (f"parsing --data_dir file {NEW}", "--data_dir is no folder: file; write --data_file file"),
        (f"parsing --data_file nowhere {NEW}", "--data_file is no file: nowhere"),
        (f"{PARSE} --output_dir file", "--output_dir file: file is a file, not a folder"),
        (f"{PARSE} --output_dir file/x", "--output_dir file/x: .*file is a file"),
        (f"{PARSE} --output_dir /proc/x", "nothing can be written in /proc"),
        (f"{PARSE} --font_file nowhere.ttf", "nowhere.ttf"),
        (f"{PARSE} --fallback_fonts_dir nowhere", "nowhere"),
        ("parsing --data_dir ud --model_name_or_path ./nowhere", "there is no model folder './nowhere'"),
        ("parsing --data_dir ud --model_name_or_path no-weights", "the folder holds no weights"),
        ("parsing --data_dir ud --do_predict --model_name_or_path tagger", "trained for 'pos'"),
        ("ner --data_dir ud --do_eval --model_name_or_path tagger --data_file file", "not both"),
        ("ner --data_file file --do_eval --model_name_or_path tagger", "not 'ner'; write `finetune pos`"),
        (f"{PARSE} --report_to nothing", "--report_to nothing: there is no such log"),
        (f"{PARSE} --report_to clearml", "clearml is not installed; install it, or give"),
        (f"{PARSE} --label_smoothing_factor 0.1", "the loss of the task parsing has"),
        (f"qa --data_dir ud {NEW} --label_smoothing_factor 0.1", "the loss of the task qa has"),
        (f"{PARSE} --optim lomo", "--optim lomo: .*install"),
        (f"{PARSE} --lr_scheduler_type cosine_with_min_lr", "cosine_with_min_lr with"),
        (f"{PARSE} --dataloader_persistent_workers true", "needs --dataloader_num_workers 1"),
        (f"{PARSE} --dataloader_drop_last true", "leaves nothing to train on: 1 ex"),
        (f"{PARSE} --config_overrides num_attention_heads=5", "must be a multiple of"),
        (f"{PARSE} --sampling_power 2", "--sampling_power must be at least 0 and at most 1, got 2"),
        (f"{PARSE} --sampling_power 0.5", "the training data name no two of them; give each sentence"),
        (
            f"{PARSE} --sampling_power 0.5 --train_sampling_strategy sequential",
            "--sampling_power 0.5 has no effect with --train_sampling_strategy sequential",
        ),
    ],
)  # fmt: skip
def test_told_before_anything_is_loaded(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: str, message: str
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("pixel_m4.finetune.run.make_model", lambda *_: pytest.fail("a model was made"))
    words = argv.split()
    words += [] if "--output_dir" in words else ["--output_dir", "new/run"]
    started = time.monotonic()
    with contextlib.suppress(SystemExit):
        assert main(["finetune", *words]) == 1
    assert time.monotonic() - started < 5
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert "Traceback" not in said
    assert not Path("new", "run").exists()


def test_every_argument_of_the_trainer_is_obeyed_or_refused() -> None:
    names = {entry.name for entry in fields(TrainingArguments) if entry.init}
    assert not set(OBEYED) & set(REFUSED)
    assert set(OBEYED) | set(REFUSED) == names  # after an update of transformers: which is the new one?


def training(**values: Any) -> TrainingArguments:
    return TrainingArguments(output_dir="o", use_cpu=True, **{"max_steps": 4, "do_train": True, **values})


@pytest.mark.parametrize(
    ("labels", "metric"), [(["a", "b"], "pearson"), (["score"], "f1"), (["a", "b", "c"], "f1_positive")]
)
def test_scores_are_held_to_the_labels_when_these_are_known(labels: list[str], metric: str) -> None:
    task = Classification(TextRenderer())
    check_metric(task, training(metric_for_best_model=metric))
    task.labels = labels
    with pytest.raises(
        ValueError, match=f"--metric_for_best_model {metric}: classification has no such score"
    ):
        choose_metric(task, training(metric_for_best_model=metric))


def test_the_score_that_was_asked_for_is_taken() -> None:
    for asked, chosen, greater in (("loss", "loss", False), ("uas", "uas", True), (None, "las", True)):
        found = training(metric_for_best_model=asked)
        choose_metric(Parsing(TextRenderer()), found)
        assert (found.metric_for_best_model, found.greater_is_better) == (chosen, greater)
    regression = Classification(TextRenderer(), ["score"], ClassificationOptions(metrics="mse"))
    found = training()
    choose_metric(regression, found)
    assert (found.metric_for_best_model, found.greater_is_better) == ("mse", False)
    with pytest.raises(ValueError, match="greater is better for las"):
        choose_metric(Parsing(TextRenderer()), training(greater_is_better=False))
    ner = NER(TextRenderer())
    check_metric(ner, training(metric_for_best_model="f1_LOC"))
    ner.labels = ["O", "B-PER", "I-PER"]
    with pytest.raises(ValueError, match="it has precision, recall, f1, f1_PER, loss"):
        check_metric(ner, training(metric_for_best_model="f1_LOC"))


def test_trainings_without_a_step_or_a_rate() -> None:
    task = Classification(TextRenderer(), ["score"])
    with pytest.raises(ValueError, match="is for classes, not for numbers"):
        check_data(task, training(label_smoothing_factor=0.1), 9)
    dropping = training(dataloader_drop_last=True, per_device_train_batch_size=8)
    check_data(task, dropping, 8)
    with pytest.raises(
        ValueError, match=r"7 examples are fewer than a batch of 8; .* --per_device_train_batch_size 7"
    ):
        check_data(task, dropping, 7)
    by_epochs = training(max_steps=-1, num_train_epochs=2, warmup_steps=4, per_device_train_batch_size=8)
    check_data(task, by_epochs, 17)
    with pytest.raises(
        ValueError, match="--warmup_steps 4 is not less than the 4 steps of --num_train_epochs 2"
    ):
        check_data(task, by_epochs, 16)


def test_a_rate_that_is_never_reached_is_told_before_data_are_read() -> None:
    check_schedule(training(max_steps=10, warmup_steps=9))
    check_schedule(training(max_steps=10, warmup_steps=0.9))
    check_schedule(training(max_steps=10, warmup_steps=10, lr_scheduler_type="constant"))
    for schedule in ("linear", "cosine", "constant_with_warmup"):
        with pytest.raises(
            ValueError, match="--warmup_steps 10 is not less than --max_steps 10: the learning"
        ):
            check_schedule(training(max_steps=10, warmup_steps=10, lr_scheduler_type=schedule))
    with pytest.raises(ValueError, match=r"--warmup_steps 0\.95 is a share of --max_steps 10, rounded up"):
        check_schedule(training(max_steps=10, warmup_steps=0.95))


def test_space_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkpoint_bytes(10, training(save_strategy="no")) == 40
    assert checkpoint_bytes(10, training(save_total_limit=2)) == 40 + 3 * 120
    assert checkpoint_bytes(10, training(save_total_limit=2, save_only_model=True)) == 40 + 3 * 40
    checks.check_space(tmp_path / "a" / "b", 1000)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: type("", (), {"free": 999})())
    with pytest.raises(ValueError, match="the checkpoints need about 1e-06 GB"):
        checks.check_space(tmp_path / "a" / "b", 1000)


@pytest.mark.parametrize("name", ["fp16", "fp16_full_eval"])
def test_half_precision_without_a_gpu(name: str) -> None:
    with pytest.raises(ValueError, match=f"--{name} needs a GPU; leave it out, or write --bf16"):
        checks.check_precision(training(**{name: True}))


def test_bf16_on_a_processor_without_it_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for known in (True, False):
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, name, partial(bool, known))
        caplog.clear()
        checks.check_precision(training(bf16=True))
        assert ("no bfloat16 instructions" in caplog.text) != known
        caplog.clear()
        load("pixel-m4-ud", device="cpu", bf16=True)
        assert ("no bfloat16 instructions" in caplog.text) != known
