"""Pretrain for a few steps on a tiny corpus in four languages."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import TrainerCallback

from gpu_checks import ON_THE_CPU, RUN, Cut, CutAt
from pixel_m4.cli.main import main
from pixel_m4.console.stopping import Stopped
from pixel_m4.corpus.corpora import Block, TextStream
from pixel_m4.corpus.heldout import without_held_out
from pixel_m4.corpus.pretraining import MaskedBlocks
from pixel_m4.corpus.sources import local_sources
from pixel_m4.model import PixelForPreTraining
from pixel_m4.model.initialisation import line_codes
from pixel_m4.pretrain.arguments import parse_arguments
from pixel_m4.pretrain.run import pretrain
from pixel_m4.render import TextRenderer
from pixel_m4.training.saving import STAGING, last_whole

WORDS = {
    "en": ["the", "cat", "reads", "pixels", "and", "sleeps", "near", "a", "river"],
    "hi": ["मेरी", "बिल्ली", "को", "दलिया", "पसंद", "है", "और", "नदी"],
    "uk": ["моя", "кішка", "любить", "вівсянку", "та", "спить", "біля", "річки"],
    "zh": list("我的猫喜欢燕麦片和河"),
}
# Two parts a step, so that accumulation takes part in everything that is tested.
NANO = "--config_name nano --max_seq_length 64 --total_batch_size 8 --per_device_train_batch_size 4 "
NANO += "--learning_rate 1e-3 --validation_share 0.1 --validation_blocks 3 --disable_tqdm true "
BARE = NANO.replace("--validation_share 0.1 --validation_blocks 3", "--validation_blocks 0")
SHORT = NANO + "--max_steps 10 --save_steps 3 --eval_steps 4 --picture_steps 4 --logging_steps 2 "


def make_corpus(folder: Path) -> Path:
    rng = random.Random(0)
    for language, words in WORDS.items():
        lines = [" ".join(rng.choices(words, k=rng.randint(5, 40))) for _ in range(120)]
        (folder / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def command(corpus: Path, output: Path, options: str) -> list[str]:
    return ["--data_dir", str(corpus), "--output_dir", str(output), *options.split()]


def run(corpus: Path, output: Path, options: str, *callbacks: TrainerCallback) -> dict[str, float]:
    return pretrain(*parse_arguments(command(corpus, output, options)), callbacks, quiet=True)


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    run(corpus, output, SHORT)
    return output


def same_weights(first: Path, second: Path) -> bool:
    one, two = (load_file(folder / "model.safetensors") for folder in (first, second))
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def position(output: Path) -> dict[str, Any]:
    """Where the text was when the last checkpoint was written."""
    return json.loads((last_whole(output) / "stream_0.json").read_text())["loader"]  # type: ignore[operator]


def history(output: Path) -> list[dict[str, float]]:
    state = json.loads((last_whole(output) / "trainer_state.json").read_text())  # type: ignore[operator]
    return state["log_history"]


def test_a_run_cut_off_anywhere_ends_in_the_same_weights(corpus: Path, whole: Path, tmp_path: Path) -> None:
    for step in random.Random(1).sample(range(1, 10), 3):
        with pytest.raises(Cut):
            run(corpus, tmp_path / "cut", SHORT, CutAt(max(step, 4)))
        (tmp_path / "cut" / STAGING / "checkpoint-9").mkdir(parents=True, exist_ok=True)
    run(corpus, tmp_path / "cut", SHORT)
    assert same_weights(whole, tmp_path / "cut")
    assert position(whole) == position(tmp_path / "cut")
    assert not (tmp_path / "cut" / STAGING).exists()
    last = {**history(whole)[-2]}, {**history(tmp_path / "cut")[-2]}
    assert last[0]["patches_seen"] == last[1]["patches_seen"]


@pytest.mark.slow
def test_nothing_is_read_twice(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going on begins at the saved position: earlier batches are not made again to be thrown away."""
    options = BARE + "--max_steps 10 --save_steps 1 --report_to none --picture_steps 0 "
    made: list[int] = []
    call = MaskedBlocks.__call__

    def counted(self: MaskedBlocks, blocks: Sequence[Block]) -> dict[str, Any]:
        made.extend(block.number for block in blocks)
        return call(self, blocks)

    monkeypatch.setattr(MaskedBlocks, "__call__", counted)
    for step in (1, 2, 2, 6):  # also twice at one place
        with pytest.raises(Cut):
            run(corpus, tmp_path, options, CutAt(step))
    run(corpus, tmp_path, options)
    assert sorted(set(made)) == list(range(80))
    assert len(made) <= 80 + 4 * 8  # but for the step that was cut off each time


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_early_stops_twice_in_a_row(corpus: Path, tmp_path: Path, workers: int) -> None:
    """Before the first step after going on, and after one, two or three."""
    options = BARE + f"--dataloader_num_workers {workers} --max_steps 6 --save_steps 1 --report_to none "
    options += "--picture_steps 0 --logging_steps 1 "
    run(corpus, tmp_path / "whole", options)
    for step in (1, 1, 2, 4):
        with pytest.raises(Cut):
            run(corpus, tmp_path / "cut", options, CutAt(step))
    run(corpus, tmp_path / "cut", options)
    assert same_weights(tmp_path / "whole", tmp_path / "cut")
    if not workers:
        assert position(tmp_path / "whole") == position(tmp_path / "cut")


def test_what_is_recorded(whole: Path) -> None:
    training = [entry for entry in history(whole) if "loss" in entry]
    assert [entry["step"] for entry in training] == [2, 4, 6, 8, 10]
    assert all(0 < entry["peak_share"] < 1 for entry in training)
    assert all(0.5 < entry["fill_rate"] <= 1 and entry["patches_per_second"] > 0 for entry in training)
    languages = [{name for name in entry if name.startswith("loss_")} for entry in training]
    assert set.union(*languages) == {f"loss_{language}" for language in WORDS}
    evaluations = [entry for entry in history(whole) if "eval_loss" in entry]
    assert [entry["step"] for entry in evaluations] == [4, 8, 10]
    for entry in evaluations:
        assert entry["eval_loss"] == pytest.approx(sum(entry[f"eval_loss_{name}"] for name in WORDS) / 4)
    results = json.loads((whole / "all_results.json").read_text())
    assert results["train_steps"] == 10
    assert results["eval_loss_hi"] == evaluations[-1]["eval_loss_hi"]
    assert list((whole / "tensorboard").glob("events*"))


def test_pictures_show_three_rows_of_each_language(whole: Path) -> None:
    names = {f"{language}-{step:07}.png" for language in WORDS for step in (4, 8)}
    assert {file.name for file in (whole / "pictures").iterdir()} == names
    image = Image.open(whole / "pictures" / "en-0000004.png")
    assert image.height == 2 * (3 * 16 + 2) + 8  # 64 patches in rows of 48


def test_only_the_newest_checkpoints_stay_and_all_can_be_opened(whole: Path) -> None:
    assert {folder.name for folder in whole.glob("checkpoint-*")} == {"checkpoint-9", "checkpoint-10"}
    for folder in (whole, whole / "checkpoint-9"):
        assert PixelForPreTraining.from_pretrained(folder).config.max_seq_length == 64
        assert (folder / "text_renderer_config.json").is_file()
    assert same_weights(whole, whole / "checkpoint-10")


def test_a_finished_run_is_left_alone(corpus: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (whole / "model.safetensors").stat().st_mtime_ns
    results = (whole / "all_results.json").read_bytes()
    assert run(corpus, whole, SHORT) == json.loads(results)
    (whole / "all_results.json").unlink()  # as if it was killed before it wrote its results
    assert run(corpus, whole, SHORT)["train_steps"] == 10
    # As if an earlier run of fewer steps had written the results, and this one was killed at its end.
    (whole / "all_results.json").write_text(json.dumps({"train_steps": 3}))
    assert run(corpus, whole, SHORT)["train_steps"] == 10
    (whole / "all_results.json").write_bytes(results)
    assert same_weights(whole, whole / "checkpoint-10")
    assert before <= (whole / "model.safetensors").stat().st_mtime_ns


@pytest.mark.slow
def test_overwriting_starts_anew(corpus: Path, whole: Path, tmp_path: Path) -> None:
    options = NANO + "--max_steps 3 --picture_steps 0 --eval_strategy no --report_to none "
    first = run(corpus, tmp_path, options)
    again = run(corpus, tmp_path, options + "--overwrite_output_dir --seed 7")
    assert first["train_loss"] != again["train_loss"]
    assert not (tmp_path / "pictures").exists()


def test_loss_falls(corpus: Path, tmp_path: Path) -> None:
    options = NANO + "--max_steps 60 --dropout_prob 0 --picture_steps 0 --eval_steps 30 --logging_steps 1 "
    run(corpus, tmp_path, options + "--learning_rate 3e-3 --report_to none")
    losses = [entry["loss"] for entry in history(tmp_path) if "loss" in entry]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    evaluations = [entry["eval_loss"] for entry in history(tmp_path) if "eval_loss" in entry]
    assert evaluations[-1] < evaluations[0]


@pytest.mark.slow
def test_muon_goes_on_in_the_same_weights(corpus: Path, tmp_path: Path) -> None:
    options = SHORT.replace("--eval_steps 4 ", "") + "--optim muon --report_to none --picture_steps 0 "
    options += "--eval_strategy no "
    run(corpus, tmp_path / "whole", options)
    with pytest.raises(Cut):
        run(corpus, tmp_path / "cut", options, CutAt(5))
    run(corpus, tmp_path / "cut", options)
    assert same_weights(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.slow
def test_the_second_objective_goes_on_and_leaves_no_trace(corpus: Path, tmp_path: Path) -> None:
    options = (
        SHORT + "--optim muon --report_to none --patch_classes 12 --max_seq_length 36 --max_positions 64 "
    )
    options += "--visible_classes true --blank_classes true --line_positions true --look_at_neighbours true "
    options += "--draw_positions false "
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(corpus, whole, options)
    with pytest.raises(Cut):
        run(corpus, cut, options, CutAt(5))
    off = "--patch_classes 0 --visible_classes false --blank_classes false"
    for other, message in ((off, "patch_classes 12, not 0"), ("--max_positions 49", "image_size")):
        with pytest.raises(ValueError, match=message):
            run(corpus, cut, options + other)
    run(corpus, cut, options)
    assert same_weights(whole, cut)
    assert same_weights(whole / "checkpoint-10", cut / "checkpoint-10")
    entries = history(whole)
    assert all(value > 0 for value in recorded(entries, "class_loss").values())
    assert all(value == 0 for value in recorded(entries[:1], "passes_en").values())
    for language in WORDS:
        assert all(
            0 <= named <= 1 for named in recorded(entries, f"eval_naming_accuracy_{language}").values()
        )
        shares = zip(
            recorded(entries, f"eval_reading_accuracy_{language}").values(),
            recorded(entries, f"eval_reading_baseline_{language}").values(),
            strict=True,
        )
        assert all(0 <= found <= 1 and 0 <= baseline <= 1 for found, baseline in shares)
    assert max(recorded(entries, "eval_reading_baseline_zh").values()) > 0

    weights = load_file(whole / "model.safetensors")
    with_head = load_file(whole / "checkpoint-10" / "model.safetensors")
    heads = {f"{head}.{part}" for head in ("piece_head", "blank_head") for part in ("weight", "bias")}
    assert with_head.keys() - weights.keys() == heads
    line = line_codes(weights["decoder.decoder_pos_embed"].shape[2], 64)
    assert torch.equal(weights["decoder.decoder_pos_embed"], line)
    assert not {"num_pieces", "patch_classes"} & set(json.loads((whole / "config.json").read_text()))
    # Killed between the last checkpoint and the model.
    for name in ("all_results.json", "model.safetensors", "config.json"):
        (cut / name).unlink()
    run(corpus, cut, options)
    assert same_weights(whole, cut)
    assert "patch_classes" not in json.loads((cut / "config.json").read_text())

    options = BARE.replace("--config_name nano ", "") + "--max_steps 1 --picture_steps 0 --report_to none "
    options += f"--model_name_or_path {whole / 'checkpoint-10'} --max_positions 64 --max_seq_length 36 "
    with pytest.raises(ValueError, match="names 12 patches: give --patch_classes 12, or 0"):
        run(corpus, tmp_path / "next", options + "--patch_classes 5")
    assert run(corpus, tmp_path / "next", options)["train_steps"] == 1


def test_training_ends_with_the_text(corpus: Path, tmp_path: Path) -> None:
    options = NANO + "--exhausted stop --max_steps 500 --picture_steps 0 --eval_steps 100 --report_to none "
    results = run(corpus, tmp_path, options)
    assert 0 < results["train_steps"] < 500
    assert last_whole(tmp_path) == tmp_path / f"checkpoint-{results['train_steps']:.0f}"
    assert results["eval_loss"] > 0


def test_a_full_disk_leaves_the_last_checkpoint(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save = torch.save

    def full(state: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        save(state, file, *args, **kwargs)
        if "checkpoint-6" in str(file):
            with open(file, "r+b") as cut:
                cut.truncate(10)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        assert main(["pretrain", *command(corpus, tmp_path / "full", SHORT)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "No space left on device" in error
    assert str(tmp_path / "full" / "checkpoint-3") in error
    assert [folder.name for folder in (tmp_path / "full").glob("checkpoint-*")] == ["checkpoint-3"]
    assert not (tmp_path / "full" / STAGING).exists()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("--weight_decay 0.9", "weight_decay 0.05, not 0.9"),
        ("--learning_rate 0.01", "learning_rate "),
        ("--dropout_prob 0.3", "dropout_prob "),
        ("--adam_beta2 0.5 --seed 8", "adam_beta2 0.999, not 0.5; seed "),
    ],
)
def test_other_rates_are_refused_where_the_checkpoint_would_win(
    corpus: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], other: str, said: str
) -> None:
    """The optimizer's saved state was used, and the record told the new values."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    shutil.rmtree(last_whole(folder) or folder)
    before = (folder / "settings.json").read_bytes()
    words = ["pretrain", *command(corpus, folder, SHORT), *other.split()]
    assert main(words) == 1
    assert said in capsys.readouterr().err
    assert (folder / "settings.json").read_bytes() == before


def test_ctrl_c_leaves_a_checkpoint(
    corpus: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class CtrlC(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 4:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped, match="checkpoint-5 is kept"):
        run(corpus, tmp_path, SHORT, CtrlC())
    run(corpus, tmp_path, SHORT)
    assert same_weights(whole, tmp_path)
    words = ["pretrain", *command(corpus, tmp_path, SHORT), "--resume_from_checkpoint", "false"]
    assert main(words) == 1
    assert "--overwrite_output_dir deletes them" in capsys.readouterr().err


def test_what_is_not_of_a_pretraining_is_kept(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.safetensors").touch()
    assert main(["pretrain", *command(corpus, tmp_path, SHORT)]) == 1
    assert "model.safetensors" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.slow
def test_a_checkpoint_copied_in_part_is_passed_over(corpus: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        run(corpus, tmp_path, SHORT, CutAt(7))
    file = tmp_path / "checkpoint-6" / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:-100])
    assert last_whole(tmp_path) == tmp_path / "checkpoint-3"
    run(corpus, tmp_path, SHORT)
    assert same_weights(whole, tmp_path)


def test_training_goes_on_from_weights(corpus: Path, whole: Path, tmp_path: Path) -> None:
    options = NANO.replace("--config_name nano ", "") + "--max_steps 1 --picture_steps 0 --report_to none "
    options += "--max_seq_length 36 "
    results = run(corpus, tmp_path, options + f"--model_name_or_path {whole}")
    assert results["train_steps"] == 1
    assert PixelForPreTraining.from_pretrained(tmp_path).config.max_seq_length == 36


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--max_seq_length 60", "perfect square"),
        ("--languages en xx", "xx"),
        ("--language_probabilities en=0.5,hi=0.5", "uk, zh"),
        ("--language_probabilities en=1,hi=0,uk=0,zh=0", "hi"),
        ("--language_probabilities en=half,hi=0.5,uk=0,zh=0", "en=half is no number"),
        ("--language_probabilities en=0.5,hi=0.5,uk=0.5,zh=0.5", "sum to one"),
        ("--temperature 2 --language_probabilities en=1", "exclude each other"),
        ("--masking spans", "span, random"),
        ("--mask_ratio 1.5", "mask_ratio"),
        ("--total_batch_size 10", "no multiple of --per_device_train_batch_size 4"),
        ("--load_best_model_at_end --metric_for_best_model loss", "no choice of the best"),
        ("--resume_from_checkpoint nowhere", "nowhere is no whole checkpoint"),
        ("--exhausted never", "never"),
        ("--dataset_name x", "exclude each other"),
        ("--config_overrides hidden_size", "not name=value"),
        ("--optim adamm", "adamm"),
        ("--validation_dir nowhere", "nowhere"),
        ("--patch_classes 60000", "--patch_classes 60000 is more than the"),
        ("--max_positions 49", "--max_positions 49 is less than --max_seq_length 64"),
        ("--look_at_neighbours true", "needs --line_positions true"),
        ("--blank_classes true", "--blank_classes needs --patch_classes"),
        ("--max_positions 80", "perfect square"),
        ("--max_steps 0", "max_steps"),
    ],
)
def test_bad_arguments_end_in_clear_errors(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    argv = ["pretrain", *command(corpus, tmp_path / "out", SHORT + options)]
    assert main(argv) == 1
    assert message in capsys.readouterr().err


def test_a_checkpoint_of_another_division_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        run(corpus, tmp_path, SHORT, CutAt(4))
    with pytest.raises(ValueError, match="divided in another way"):
        run(corpus, tmp_path, SHORT + "--dataloader_num_workers 1")


def test_a_corrupt_line_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "corpus" / "en").mkdir(parents=True)
    lines = [json.dumps({"text": "the cat reads " * 20})] * 30
    lines[20] = lines[20][:-5]
    (tmp_path / "corpus" / "en" / "a.jsonl").write_text("\n".join(lines))
    options = BARE + "--max_steps 10"
    assert main(["pretrain", *command(tmp_path / "corpus", tmp_path / "out", options)]) == 1
    assert "a.jsonl, line 21" in capsys.readouterr().err


# Processes


def recorded(entries: list[dict[str, float]], name: str) -> dict[float, float]:
    """The values of a number, by step."""
    found = {entry["step"]: entry[name] for entry in entries if name in entry}
    assert found
    return found


def start(arguments: list[str], processes: int = 1) -> subprocess.Popen[bytes]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *(launcher if processes > 1 else []), "-m", "pixel_m4.cli", "pretrain", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_three_times(corpus: Path, tmp_path: Path, workers: int) -> None:
    options = NANO + "--max_steps 60 --save_steps 5 --eval_steps 20 --logging_steps 5 --picture_steps 20 "
    options += f"--dataloader_num_workers {workers} --report_to none"
    assert start(command(corpus, tmp_path / "whole", options)).wait() == 0
    rng = random.Random(workers)
    kills = sorted(rng.sample(range(5, 55), 3))
    for kill in kills:
        process = start(command(corpus, tmp_path / "cut", options))
        # Killed somewhere after the checkpoint before this step has appeared.
        while process.poll() is None:
            last = last_whole(tmp_path / "cut")
            if last is not None and int(last.name.rpartition("-")[2]) >= kill // 5 * 5:
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL
    assert start(command(corpus, tmp_path / "cut", options)).wait() == 0
    assert same_weights(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.slow
def test_two_processes_compute_what_one_does_with_their_batches(corpus: Path, tmp_path: Path) -> None:
    # The shares of two processes are those of one process's two workers, whose batches take turns.
    options = NANO + "--max_steps 6 --logging_steps 1 --dropout_prob 0 --eval_steps 3 --report_to none "
    assert start(command(corpus, tmp_path / "two", options), processes=2).wait() == 0
    assert start(command(corpus, tmp_path / "one", options + "--dataloader_num_workers 2")).wait() == 0
    one, two = (history(tmp_path / name) for name in ("one", "two"))
    for name in ("loss", "grad_norm", "eval_loss", *(f"loss_{language}" for language in WORDS)):
        assert recorded(one, name) == pytest.approx(recorded(two, name), rel=1e-5), name
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=2e-5)


def test_processes_read_no_document_twice(tmp_path: Path) -> None:
    for language in ("en", "uk"):
        lines = [f"{language}{number} reads pixels" for number in range(300)]
        (tmp_path / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    renderer = TextRenderer(max_seq_length=64)
    training, held_out = without_held_out(local_sources(tmp_path), 0.1)
    sides = [*[(training, rank, 2) for rank in range(2)], (held_out, 0, 1)]
    read = []
    for sources, rank, ranks in sides:
        stream = TextStream(sources, renderer, exhausted="drop", min_patches=1, rank=rank, world_size=ranks)
        read.append(re.findall(r"\w\w\d+", " ".join(text for block in stream for text in block.texts)))
    assert all(len(found) > 20 for found in read)
    everything = [document for found in read for document in found]
    assert len(everything) == len(set(everything)) == 600


def test_settings_are_written_down(corpus: Path, tmp_path: Path) -> None:
    """Those that the user did not write, too; and the folder is still one of a pretraining."""
    with pytest.raises(Cut):
        run(corpus, tmp_path, BARE + "--max_steps 1 --report_to none", CutAt(0))
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["arguments"]["config_name"] == "nano"
    names = ("bf16", "tf32", "torch_compile", "dataloader_num_workers", "dataloader_pin_memory")
    assert [settings["training"][name] for name in names] == [False, None, False, 0, False]
    run(corpus, tmp_path, BARE + "--max_steps 1 --report_to none")


@pytest.mark.slow
def test_compiled_training_goes_on_too(corpus: Path, tmp_path: Path) -> None:
    """As on a GPU by default; the kernels are those of the CPU here, as the backend only traces."""
    options = BARE + "--max_steps 4 --save_steps 2 --logging_steps 1 --dropout_prob 0 --report_to none "
    run(corpus, tmp_path / "plain", options)
    compiled = options + "--torch_compile true --torch_compile_backend eager "
    with pytest.raises(Cut):
        run(corpus, tmp_path / "compiled", compiled, CutAt(3))
    run(corpus, tmp_path / "compiled", compiled)
    plain, found = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "compiled"))
    assert plain.keys() == found.keys()
    for name, value in plain.items():
        torch.testing.assert_close(found[name], value, atol=1e-3, rtol=1e-3, msg=name)
    assert json.loads((tmp_path / "compiled" / "settings.json").read_text())["training"]["torch_compile"]


@pytest.mark.slow
def test_fsdp2_computes_the_same(corpus: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(ON_THE_CPU + RUN, encoding="utf-8")
    options = NANO + "--max_steps 4 --logging_steps 1 --dropout_prob 0 --eval_steps 2 --save_steps 2 "
    options += "--report_to none "
    assert start(command(corpus, tmp_path / "ddp", options), processes=2).wait() == 0
    fsdp = {
        "ACCELERATE_TORCH_DEVICE": "cpu",
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_TRANSFORMER_CLS_TO_WRAP": "PixelLayer",
        "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
        "OMP_NUM_THREADS": "1",
    }
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        str(script),
    ]
    launch += ["pretrain", *command(corpus, tmp_path / "fsdp", options)]
    subprocess.run(launch, env={**os.environ, **fsdp}, check=True, capture_output=True)
    assert (tmp_path / "fsdp" / "checkpoint-4" / "pytorch_model_fsdp.bin").is_file()
    ddp, sharded = (history(tmp_path / name) for name in ("ddp", "fsdp"))
    for name in ("loss", "grad_norm", "eval_loss"):
        assert recorded(ddp, name) == pytest.approx(recorded(sharded, name), rel=1e-4), name
