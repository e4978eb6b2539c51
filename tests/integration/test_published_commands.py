"""The published commands, flag by flag, on tiny data and a checkpoint as pretraining leaves it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_finetuning_runs import make_treebank

from pixel_m4 import PixelConfig, PixelForPreTraining, TextRenderer
from pixel_m4.checkpoint import open_task

SCRIPTS = Path(__file__).parents[2] / "scripts" / "training"
FLAGS = shlex.split(
    """
    --remove_unused_columns=False --do_train --do_eval --do_predict --dropout_prob=0.1 --early_stopping
    --early_stopping_patience=5 --per_device_train_batch_size=8 --per_device_eval_batch_size=8
    --gradient_accumulation_steps=1 --learning_rate=1e-3 --run_name=debug --overwrite_output_dir
    --overwrite_cache --save_total_limit=2 --report_to=none --log_predictions
    --load_best_model_at_end=True --bf16 --half_precision_backend=cuda_amp --seed=0
    --dataloader_num_workers=1 --jit_rendering=True --render_rgb False --disable_tqdm True
    """
)
STEPS = shlex.split(
    """
    --warmup_steps=2 --logging_strategy=steps --logging_steps=2 --evaluation_strategy=steps
    --eval_steps=2 --save_strategy=steps --save_steps=2 --rendering_backend=pangocairo --max_steps=4
    --max_seq_length=64
    """
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "pretrained"
    torch.manual_seed(0)
    PixelForPreTraining(PixelConfig.named("nano")).save_pretrained(folder)
    TextRenderer().save_pretrained(folder)
    return folder


def run(script: str, *flags: str) -> str:
    command = [sys.executable, str(SCRIPTS / script), *FLAGS, *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_parsing(checkpoint: Path, tmp_path: Path) -> None:
    treebank = make_treebank(tmp_path / "ud", {"train": 16, "dev": 4, "test": 4})
    fonts, output = tmp_path / "fonts", tmp_path / "out"
    fonts.mkdir()
    flags = [f"--model_name_or_path={checkpoint}", f"--data_dir={treebank}", f"--output_dir={output}", *STEPS]
    flags += [f"--fallback_fonts_dir={fonts}", "--metric_for_best_model=eval_las", "--language", "xx"]
    said = run("run_ud_bigrams.py", *flags)
    assert said.count("--overwrite_cache:") == 1
    assert "test_las" in json.loads((output / "all_results.json").read_text())
    record = json.loads((output / "run.json").read_text())
    assert record["finished"]
    assert "--overwrite_cache" in record["command"]
    assert (output / "test_predictions.conllu").is_file()
    assert open_task(output)[0].name == "parsing"


@pytest.mark.slow
def test_topics(checkpoint: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "sib" / "hin_Deva", tmp_path / "out"
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        rows = [f"{i}\t{('travel', 'science')[i % 2]}\t{('यात्रा', 'विज्ञान')[i % 2]} {i}" for i in range(12)]
        (folder / f"{split}.tsv").write_text("\n".join(["index_id\tcategory\ttext", *rows]) + "\n", "utf-8")
    flags = [f"--model_name_or_path={checkpoint}", f"--data_dir={folder.parent}", f"--output_dir={output}"]
    flags += shlex.split(
        """
    --language hin_Deva --max_seq_length=64 --max_steps=4 --logging_strategy=epoch --logging_steps=1
    --evaluation_strategy=epoch --save_strategy=epoch --metric_for_best_model=eval_f1
    --rendering_backend=bigrams
    """
    )
    run("run_sib_bigrams.py", *flags)
    assert "test_f1" in json.loads((output / "all_results.json").read_text())
    assert "language:\n- hin\n" in (output / "README.md").read_text()
    assert len(json.loads((output / "run.json").read_text())["data"]) == 3


@pytest.mark.slow
def test_entities(checkpoint: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "ner", tmp_path / "out"
    folder.mkdir()
    for split in ("train", "dev", "test"):
        (folder / f"{split}.txt").write_text("Anna B-PER\nlives O\nin O\nRome B-LOC\n\n" * 10, "utf-8")
    flags = [f"--model_name_or_path={checkpoint}", f"--data_dir={folder}", f"--output_dir={output}", *STEPS]
    run("run_ner_bigrams.py", *flags, "--metric_for_best_model=eval_f1")
    assert "test_f1" in json.loads((output / "all_results.json").read_text())


@pytest.mark.slow
def test_errors_are_one_line(checkpoint: Path, tmp_path: Path) -> None:
    flags = [
        f"--model_name_or_path={checkpoint}",
        f"--data_dir={tmp_path}",
        f"--output_dir={tmp_path}",
        *STEPS,
    ]
    command = [sys.executable, str(SCRIPTS / "run_ud_bigrams.py"), *flags, "--fallback_fonts_dir=nowhere"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "run_ud_bigrams.py: fallback_fonts_dir is no folder: nowhere"
    )
