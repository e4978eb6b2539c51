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


@pytest.mark.slow
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


@pytest.mark.slow
def test_tags_and_then_evaluation_alone(checkpoint: Path, tmp_path: Path) -> None:
    """Documented commands give steps and epochs, and evaluate what they have trained."""
    treebank = make_treebank(tmp_path / "ud", {"train": 16, "dev": 4, "test": 4})
    output = tmp_path / "out"
    flags = [f"--model_name_or_path={checkpoint}", f"--data_dir={treebank}", f"--output_dir={output}", *STEPS]
    said = run("run_pos.py", *flags, "--num_train_epochs=10", "--metric_for_best_model=eval_accuracy")
    assert said.count("--num_train_epochs: has no effect beside --max_steps 4") == 1
    scores = json.loads((output / "all_results.json").read_text())
    command = [
        *(sys.executable, str(SCRIPTS / "run_pos.py"), f"--model_name_or_path={output}"),
        *(f"--data_dir={treebank}", "--remove_unused_columns=False", "--do_eval", "--do_predict"),
        *("--max_seq_length=64", f"--output_dir={tmp_path / 'test-pos'}", "--report_to=none"),
        *("--log_predictions", "--overwrite_cache"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "test-pos" / "all_results.json").read_text())
    assert again["test_accuracy"] == pytest.approx(scores["test_accuracy"])


@pytest.mark.slow
def test_pairs_from_a_file_a_split(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    names = {"train": "train", "validation": "dev", "test": "test"}
    files = []
    for flag, split in names.items():
        rows = [f"{('yes', 'no')[i % 2]}\tSome {i}\tNone {i}\tSmoe {i}\tNnoe {i}" for i in range(8)]
        header = "label\tpremise_org\thypothesis_org\tpremise\thypothesis"
        file = tmp_path / f"snli_1.0_{split}.txt"
        file.write_text("\n".join([header, *rows]) + "\n", "utf-8")
        files.append(f"--{flag}_file={file}")
    flags = [f"--model_name_or_path={checkpoint}", f"--output_dir={output}", *STEPS, *files]
    flags += ["--pooling_mode=pma3", "--pooler_add_layer_norm=True", "--max_train_samples=6"]
    said = run("run_nli.py", *flags, "--rendering_backend=pygame", "--metric_for_best_model=eval_accuracy")
    assert "--rendering_backend:" not in said
    record = json.loads((output / "run.json").read_text())
    assert [Path(file).name for file in record["data"]] == [f"snli_1.0_{name}.txt" for name in names.values()]
    assert json.loads((output / "config.json").read_text())["pooling_mode"] == "pma3"
    assert json.loads((output / "text_renderer_config.json").read_text())["strategy"] == "continuous"
    assert open_task(output)[0].name == "classification"


@pytest.mark.slow
def test_questions(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    answers = {"text": ["cat"], "answer_start": [4]}
    row = {"question": "Who sleeps?", "context": "The cat sleeps all day.", "answers": answers}
    files = []
    for flag in ("train", "validation"):
        (tmp_path / f"{flag}.json").write_text(
            json.dumps({"data": [{"id": f"{flag}{i}", **row} for i in range(8)]}), "utf-8"
        )
        files.append(f"--{flag}_file={tmp_path / f'{flag}.json'}")
    flags = [f"--model_name_or_path={checkpoint}", f"--output_dir={output}", *STEPS, *files]
    flags += ["--question_max_length=16", "--doc_stride=16", "--task_name=", "--pooling_mode="]
    said = run(
        "run_qa.py", *flags, "--do_predict=False", "--metric_for_best_model=eval_f1", "--is_rtl_language"
    )
    assert "rtl" not in said
    assert json.loads((output / "config.json").read_text())["task_options"]["rtl"] is True
    assert "eval_f1" in json.loads((output / "all_results.json").read_text())


@pytest.mark.slow
def test_pretraining_and_painting(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    text = "".join(
        f"The cat {i} sleeps on the mat all day, and {i + 7} dogs bark at it.\n" for i in range(900)
    )
    (tmp_path / "corpus" / "en.txt").write_text(text, "utf-8")
    output = tmp_path / "out"
    command = [sys.executable, str(SCRIPTS / "run_pretraining_pixel_m4.py"), f"--output_dir={output}"]
    command += shlex.split(
        f"""--data_dir={tmp_path / "corpus"} --config_name=nano --max_seq_length=64 --mask_ratio=0.25
        --span_masking --masking_max_span_length=6 --dropout_prob=0.1 --max_steps=3 --do_train
        --per_device_train_batch_size=4 --warmup_ratio=0.05 --report_to=none --streaming --no_cuda
        --evaluation_strategy=no --max_eval_samples=2 --min_learning_rate=1e-6 --remove_unused_columns=False
        --masking_cumulative_span_weights=0.2,0.4,0.6,0.8,0.9,1.0"""
    )
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--streaming: text is always streamed" in done.stderr
    script = SCRIPTS.parent / "visualization" / "visualize_pixel.py"
    words = [f"--input_str={'Cats sleep.'}", f"--model_name_or_path={output}", "--manual_mask", "1", "2"]
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "loss" in done.stdout


@pytest.mark.slow
def test_analyses(checkpoint: Path, tmp_path: Path) -> None:
    scripts = SCRIPTS.parent / "analysis"

    def analyse(script: str, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, str(scripts / script), *words], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    for language in ("eng_Latn", "hin_Deva", "ukr_Cyrl", "zho_Hans"):
        (tmp_path / "data" / "sib200" / language).mkdir(parents=True)
        rows = [f"{i}\tx\tText {i}" for i in range(12)]
        file = tmp_path / "data" / "sib200" / language / "train.tsv"
        file.write_text("\n".join(["index_id\tcategory\ttext", *rows]) + "\n", "utf-8")
    analyse("run_retrieval.py", f"--model_id={checkpoint}", "--layer=all", "--auth=x")
    results = tmp_path / "outputs" / "analysis" / "retrieval"
    assert (results / "pretrained" / "retrieval.csv").is_file()
    for split, count in (("train", 40), ("dev", 20), ("test", 20)):
        file = tmp_path / "data" / "Case" / "russian" / f"{split}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"слово{'аы'[i % 2]}{i}\t{'ab'[i % 2]}\n" for i in range(count)), "utf-8")
    analyse("run_linspector.py", f"--model_id={checkpoint}")
    assert (tmp_path / "outputs/analysis/linspector/pretrained/probing.csv").is_file()
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    assert "retrieval-pretrained.png" in analyse("plot_retrieval.py", "--model-id", str(checkpoint))
    assert "linspector.png" in analyse("plot_linspector.py")
