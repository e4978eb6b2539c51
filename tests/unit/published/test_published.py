"""Published command lines become ours, flag by flag."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from pixel_m4.analysis.presets import MAPPED, PROBED_LANGUAGES, RETRIEVED
from pixel_m4.cli import main as cli
from pixel_m4.console.errors import UserError
from pixel_m4.finetune.arguments import parse_arguments
from pixel_m4.pretrain.arguments import parse_arguments as parse_pretraining
from pixel_m4.published import flags, run, training
from pixel_m4.published.flags import split_flags
from pixel_m4.published.scripts import SCRIPTS
from pixel_m4.render.fonts import FontError
from pixel_m4.tasks.registry import TASKS
from pixel_m4.training.arguments import REFUSED
from pixel_m4.training.overrides import parse_overrides

ROOT = Path(__file__).parents[3]

# The flags that the published scripts have of their own, as their sources list them.
_MODEL = (
    "model_name_or_path processor_name rendering_backend config_name fallback_fonts_dir render_rgb cache_dir "
    "model_revision use_auth_token dropout_prob early_stopping early_stopping_patience log_predictions"
)
_WORDS = f"data_dir max_seq_length overwrite_cache {_MODEL}"
_SAMPLES = "max_train_samples max_eval_samples max_predict_samples pad_to_max_length"
_TEXTS = (
    f"dataset_name dataset_config_name max_seq_length overwrite_cache {_SAMPLES} train_file validation_file "
    f"test_file {_MODEL} pooling_mode pooler_add_layer_norm"
)
_PRETRAINING = (
    "max_train_samples max_eval_samples streaming do_normalize text_renderer_name_or_path model_name_or_path "
    "config_name config_overrides cache_dir model_revision feature_extractor_name use_auth_token mask_ratio "
    "norm_pix_loss span_masking masking_max_span_length masking_spacing masking_cumulative_span_weights "
    "dropout_prob base_learning_rate"
)
_STATES = "model_id layer seed max_seq_length batch_size output_dir auth"
FLAGS = {
    "run_pos.py": _WORDS,
    "run_ud.py": _WORDS,
    "run_ner.py": f"{_WORDS} labels",
    "run_glue.py": f"task_name {_TEXTS}",
    "run_nli.py": _TEXTS,
    "run_xnli_translate_train_all.py": f"max_seq_length overwrite_cache {_SAMPLES} {_MODEL} pooling_mode "
    "pooler_add_layer_norm",
    "run_qa.py": f"dataset_name dataset_config_name train_file validation_file test_file overwrite_cache "
    f"preprocessing_num_workers max_seq_length question_max_length {_SAMPLES} version_2_with_negative "
    f"null_score_diff_threshold doc_stride n_best_size max_answer_length is_rtl_language {_MODEL}",
    "run_ud_bigrams.py": f"{_WORDS} jit_rendering language",
    "run_ner_bigrams.py": f"{_WORDS} jit_rendering labels language",
    "run_sib_bigrams.py": f"data_dir language {_TEXTS}",
    "run_pretraining.py": f"train_dataset_names train_splits validation_dataset_name validation_split "
    f"dataset_caches train_dataset_configs {_PRETRAINING}",
    "run_pretraining_pixel_m4.py": f"data_dir min_learning_rate {_PRETRAINING}",
    "submitit_pretrain.py": "job_dir prototype_config_name training_config_name nodes ngpus partition",
    "run_linspector.py": f"{_STATES} data_dir lang",
    "run_retrieval.py": _STATES,
    "run_tsne.py": f"{_STATES} perplexity n_iter lr",
    "plot_linspector.py": "results_dir",
    "plot_retrieval.py": "model_id results_dir K",
    "plot_tsne.py": "results_dir",
    "visualize_pixel.py": "input_str model_name_or_path renderer_name_or_path auth_token revision "
    "max_seq_length seed mask_ratio span_mask masking_max_span_length masking_spacing "
    "masking_cumulative_span_weights manual_mask",
    "preprocess_mc4.py": "output_dir cache_dir target_seq_length",
    "preprocess_uner.py": "input_path output_path",
    "save_klue_ner_to_disk.py": "save_dir overwrite",
    "save_naamapadam_to_disk.py": "save_dir",
    "save_sib_to_disk.py": "save_dir",
    "download_fallback_fonts.py": "output_dir",
    "preprocess_pos.py": "attack cpu_count path_to_data_dir",
    "preprocess_snli.py": "attack cpu_count path_to_data_dir",
}
# Arguments of transformers' Trainer in the days of the published code (4.17 to 4.30).
_TRAINER = """
    output_dir overwrite_output_dir do_train do_eval do_predict evaluation_strategy prediction_loss_only
    per_device_train_batch_size per_device_eval_batch_size per_gpu_train_batch_size
    per_gpu_eval_batch_size gradient_accumulation_steps eval_accumulation_steps eval_delay learning_rate
    weight_decay adam_beta1 adam_beta2 adam_epsilon max_grad_norm num_train_epochs max_steps
    lr_scheduler_type warmup_ratio warmup_steps log_level log_level_replica log_on_each_node logging_dir
    logging_strategy logging_first_step logging_steps logging_nan_inf_filter save_strategy save_steps
    save_total_limit save_on_each_node no_cuda seed data_seed jit_mode_eval use_ipex bf16 fp16
    fp16_opt_level half_precision_backend fp16_backend bf16_full_eval fp16_full_eval tf32 local_rank
    xpu_backend tpu_num_cores tpu_metrics_debug debug dataloader_drop_last eval_steps
    dataloader_num_workers past_index run_name disable_tqdm remove_unused_columns label_names
    load_best_model_at_end metric_for_best_model greater_is_better ignore_data_skip sharded_ddp fsdp
    fsdp_min_num_params deepspeed label_smoothing_factor optim optim_args adafactor group_by_length
    length_column_name report_to ddp_find_unused_parameters ddp_bucket_cap_mb dataloader_pin_memory
    skip_memory_metrics use_legacy_prediction_loop push_to_hub resume_from_checkpoint hub_model_id
    hub_strategy hub_token hub_private_repo push_to_hub_model_id push_to_hub_organization
    push_to_hub_token mp_parameters gradient_checkpointing include_inputs_for_metrics
    auto_find_batch_size full_determinism torchdynamo ray_scope ddp_timeout torch_compile
    torch_compile_backend torch_compile_mode use_mps_device
"""
TRAINER = set(_TRAINER.split())


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "_said", set())
    for name in ("WANDB_DISABLED", "HF_HUB_CACHE", "HF_DATASETS_CACHE"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)


def translate(name: str, *argv: str) -> list[str]:
    script = SCRIPTS[name]
    return run.translate(script, run.flags_of(script, argv))


def options(name: str, *argv: str) -> dict[str, str | None]:
    """Our options, as words."""
    line = translate(name, *argv)
    return split_flags(line[len(SCRIPTS[name].command) :], several=("languages", "tasks", "layers"))


def test_there_is_a_file_for_every_script() -> None:
    assert set(SCRIPTS) == set(FLAGS)
    for script in SCRIPTS.values():
        text = (ROOT / script.path).read_text(encoding="utf-8")
        assert "sys.exit(main(__file__))" in text


@pytest.mark.parametrize("name", FLAGS)
def test_every_published_flag_is_known(name: str) -> None:
    assert set(FLAGS[name].split()) <= set(SCRIPTS[name].flags)


def test_every_argument_of_the_trainer_is_known() -> None:
    gone = set(training.TRAINER)
    for ours in (cli.finetune_options("pos"), cli.pretrain_options()):
        assert gone | ours >= TRAINER
    # What is still there, and we refuse, says why by itself.
    assert {"deepspeed", "hub_strategy", "label_names", "fsdp"} <= set(REFUSED) - gone


@pytest.mark.parametrize("name", [name for name, script in SCRIPTS.items() if script.command])
def test_flags_become_options_that_there_are(name: str) -> None:
    """Each option of ours that a table names is one of the command."""
    script = SCRIPTS[name]
    named = {m.about for m in {**script.trainer, **script.flags}.values() if m.kind == "ours"}
    if script.command[0] == "finetune":
        known = cli.finetune_options(script.command[1])
    elif script.command[0] == "pretrain":
        known = cli.pretrain_options()
    else:
        parser = cli.build_parser()
        for word in script.command:
            parser = cli.subparsers(parser)[word]
        known = frozenset(cli.options_of(parser))
    assert named <= known


def test_spellings_of_flags() -> None:
    assert split_flags(["--a=1", "--b", "--c", "-2", "--d-e", "x=y", "--a", "3"]) == {
        "a": "3",
        "b": None,
        "c": "-2",
        "d_e": "x=y",
    }
    assert split_flags(["x", "--m", "1", "2"], several=["m"], first="o") == {"o": "x", "m": "1 2"}
    for words in (["--a", "x", "y"], ["y"]):
        with pytest.raises(UserError, match="'y' belongs to no flag"):
            split_flags(words)


# Fine-tuning


def test_a_training_has_the_defaults_of_its_day() -> None:
    found = options("run_ud.py", "--do_train", "--do_eval")
    assert found == {
        "max_seq_length": "196", "do_train": None, "do_eval": None, "learning_rate": "5e-5",
        "per_device_train_batch_size": "8", "per_device_eval_batch_size": "8", "warmup_steps": "0",
        "num_train_epochs": "3", "eval_strategy": "no", "save_strategy": "steps",
        "load_best_model_at_end": "false", "early_stopping_patience": "0",
    }  # fmt: skip
    assert options("run_ud.py", "--do_eval") == {"max_seq_length": "196", "do_eval": None}
    assert "num_train_epochs" not in options("run_ud.py", "--do_train", "--max_steps=7")
    assert options("run_ud.py", "--do_train", "--warmup_ratio=0.1")["warmup_steps"] == "0.1"


def test_steps_beside_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    found = options("run_pos.py", "--do_train", "--num_train_epochs=10", "--max_steps=15000")
    assert found["max_steps"] == "15000"
    assert "num_train_epochs" not in found
    assert "--num_train_epochs: has no effect beside --max_steps 15000" in capsys.readouterr().err
    assert options("run_pos.py", "--do_train", "--num_train_epochs=10")["num_train_epochs"] == "10"


BEST = ("--do_train", "--evaluation_strategy=steps", "--load_best_model_at_end")


@pytest.mark.parametrize(
    ("given", "ours"),
    [("las", "eval_las"), ("eval_las", "eval_las"), ("test_las", "eval_las"), ("spearmanr", "eval_spearman")],
)
def test_scores_have_three_names(given: str, ours: str) -> None:
    found = options("run_ud.py", *BEST, f"--metric_for_best_model={given}")
    assert found["metric_for_best_model"] == ours


def test_a_score_that_chooses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    found = options("run_ud.py", "--do_train", "--metric_for_best_model=las")
    assert "metric_for_best_model" not in found
    assert "no checkpoint is chosen" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "patience"),
    [
        ([], "0"),
        (["--early_stopping=False", "--early_stopping_patience=7"], "0"),
        (["--early_stopping", "--early_stopping_patience=7"], "7"),
        (["--early_stopping"], "5"),
    ],
)
def test_early_stopping_is_asked_for(argv: list[str], patience: str) -> None:
    assert options("run_ud.py", *BEST, *argv)["early_stopping_patience"] == patience


def test_early_stopping_without_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    assert options("run_ud.py", "--do_train", "--early_stopping")["early_stopping_patience"] == "0"
    assert "--early_stopping: has no effect" in capsys.readouterr().err


def test_revisions_and_uploads_are_ours_now() -> None:
    argv = ["--model_revision=v1", "--push_to_hub", "--push_to_hub_model_id=me/x"]
    found = options("run_pos.py", *argv)
    assert found["model_revision"] == "v1"
    assert found["hub_model_id"] == "me/x"
    assert "model_revision" not in options("run_pos.py", "--model_revision=main")


def test_what_means_nothing_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--overwrite_cache", "--render_rgb=False", "--rendering_backend", "pygame", "--log_predictions"]
    for _ in range(2):
        assert options("run_pos.py", *argv) == {"max_seq_length": "196"}
    said = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == ["--overwrite_cache", "--rendering_backend", "--log_predictions"]


@pytest.mark.parametrize(
    ("name", "argv", "message"),
    [
        ("run_pos.py", ["--tpu_num_cores=8"], "--tpu_num_cores 8 is not obeyed: there is no support of TPUs"),
        ("run_pos.py", ["--push_to_hub_organization=us"], "give --hub_model_id OWNER/NAME"),
        ("run_pos.py", ["--model_name_or_path=m", "--config_name=c"], "--config_name c is not obeyed"),
        ("run_glue.py", ["--task_name=ax"], "GLUE has no such task; it has cola, mnli"),
        ("run_pretraining.py", ["--do_normalize"], "--do_normalize is not obeyed: pixels are not normalised"),
        ("run_pretraining.py", ["--masking_spacing=1"], "--masking_spacing 1 is not obeyed"),
        ("run_pretraining.py", ["--masking_cumulative_span_weights=0.5,1"], "spans are drawn with"),
        ("run_pretraining.py", ["--num_train_epochs=3"], "give --max_steps"),
        ("run_pretraining.py", ["--config_name=conf.json"], "name a size"),
        ("run_pretraining.py", ["--train_dataset_names=me/rendered-books"], "data set of pictures"),
        ("run_pretraining.py", ["--train_dataset_names=a,b", "--train_splits=train"], "must be as many"),
        ("run_pretraining.py", ["--train_dataset_names=a", "--train_splits=test"], "reads the split train"),
        ("visualize_pixel.py", ["--masking_max_span_length=3"], "spans are drawn with 6"),
        ("plot_tsne.py", ["--result-dir=x"], "unknown flag --result_dir; did you mean --results_dir"),
    ],
)  # fmt: skip
def test_what_is_refused(name: str, argv: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as error:
        translate(name, *argv)
    assert "secret" not in str(error.value)


def test_values_that_ask_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--masking_spacing=None", "--do_normalize=False", "--streaming=false", "--model_revision", "main"]
    assert "masking" in options("run_pretraining.py", *argv)
    assert capsys.readouterr().err == ""


def test_wandb_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)
    assert options("run_ud.py", "--report_to=wandb")["report_to"] == "tensorboard"
    assert "wandb is not installed" in capsys.readouterr().err
    assert options("run_ud.py", "--report_to=none")["report_to"] == "none"
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: name)
    assert options("run_ud.py", "--report_to=wandb")["report_to"] == "wandb"
    monkeypatch.setenv("WANDB_DISABLED", "true")
    assert options("run_ud.py", "--report_to=wandb")["report_to"] == "tensorboard"


def test_fallback_fonts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FontError, match=r"fallback_fonts_dir is no folder: .*none; make it"):
        translate("run_ud.py", f"--fallback_fonts_dir={tmp_path / 'none'}")
    assert "fallback_fonts_dir" not in options("run_ud.py", f"--fallback_fonts_dir={tmp_path}")
    assert "holds no fonts" in capsys.readouterr().err
    (tmp_path / "x.ttf").touch()
    assert options("run_ud.py", f"--fallback_fonts_dir={tmp_path}")["fallback_fonts_dir"] == str(tmp_path)


def test_pygame_draws_continuous_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [f"--model_name_or_path={tmp_path}", "--rendering_backend=pygame"]
    assert "renderer" not in options("run_glue.py", *argv)  # a model of text has no renderer
    (tmp_path / "text_renderer_config.json").write_text("{}", encoding="utf-8")
    assert options("run_glue.py", *argv)["renderer"] == "continuous"
    assert options("run_glue.py", *argv, "--processor_name=p")["renderer"] == "p"
    assert "renderer" not in options("run_glue.py", argv[0], "--rendering_backend=pangocairo")


def test_downloads_go_where_they_are_wanted() -> None:
    translate("run_glue.py", "--cache_dir=there")
    assert os.environ["HF_HUB_CACHE"] == os.environ["HF_DATASETS_CACHE"] == "there"


def test_steps_beside_a_strategy_by_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    argv = [
        "--logging_strategy=epoch",
        "--logging_steps=1",
        "--evaluation_strategy",
        "epoch",
        "--eval_steps",
        "5",
    ]
    found = options("run_ud.py", *argv)
    assert (found["logging_strategy"], found["eval_strategy"]) == ("epoch", "epoch")
    assert not {"logging_steps", "eval_steps"} & set(found)
    assert "--logging_steps: has no effect, as the strategy is epoch" in capsys.readouterr().err
    assert options("run_ud.py", "--evaluation_strategy=steps", "--eval_steps=5")["eval_steps"] == "5"


def test_data_sets_of_the_hub(capsys: pytest.CaptureFixture[str]) -> None:
    found = options("run_glue.py", "--task_name=SST2", "--do_predict")
    assert (found["dataset_name"], found["language"]) == ("nyu-mll/glue", "sst2")
    assert found["do_predict"] == "false"
    assert "labels of GLUE's test sets are not public" in capsys.readouterr().err
    found = options("run_qa.py", "--dataset_name=tydiqa", "--dataset_config_name=secondary_task")
    assert (found["dataset_name"], found["language"]) == ("google-research-datasets/tydiqa", "secondary_task")
    assert options("run_qa.py", "--dataset_name=me/mine")["dataset_name"] == "me/mine"
    assert "dataset_name" not in options("run_sib_bigrams.py", "--data_dir=d", "--dataset_name=SIB-200")
    found = options("run_xnli_translate_train_all.py")
    assert (found["dataset_name"], found["language"]) == ("facebook/xnli", "all_languages")


# Documented command lines, and what they come to

COMMON = shlex.split(
    """
    --model_name_or_path=m --remove_unused_columns=False --data_dir=d --do_train --do_eval --do_predict
    --dropout_prob=0.1 --early_stopping --early_stopping_patience=5 --gradient_accumulation_steps=1
    --run_name=r --output_dir=o --overwrite_output_dir --overwrite_cache --logging_strategy=steps
    --logging_steps=100 --evaluation_strategy=steps --eval_steps=500 --save_strategy=steps --save_steps=500
    --save_total_limit=5 --report_to=none --log_predictions --load_best_model_at_end=True --seed=42
    --warmup_steps=100
    """
)
# PIXEL's, which give both steps and epochs; fp16 needs a GPU.
PIXEL = [*COMMON, *shlex.split("--half_precision_backend=apex --num_train_epochs=10")]
HUB = [word for word in PIXEL if not word.startswith("--data_dir")]
M4 = [*COMMON, *shlex.split("--bf16 --half_precision_backend=cuda_amp --dataloader_num_workers=8")]
DOCUMENTED: dict[str, tuple[list[str], dict[str, Any]]] = {
    "run_pos.py": (
        [*PIXEL, *shlex.split("--max_seq_length=256 --max_steps=15000 --per_device_train_batch_size=64 "
         "--learning_rate=5e-5 --metric_for_best_model=eval_accuracy")],
        {"max_seq_length": 256, "max_steps": 15_000, "learning_rate": 5e-5, "train_batch_size": 64,
         "metric_for_best_model": "eval_accuracy", "early_stopping_patience": 5, "data_dir": "d"},
    ),
    "run_ud.py": (
        [*PIXEL, *shlex.split("--max_seq_length=256 --max_steps=15000 --per_device_train_batch_size=64 "
         "--learning_rate=8e-5 --metric_for_best_model=eval_las")],
        {"learning_rate": 8e-5, "metric_for_best_model": "eval_las", "warmup_steps": 100, "seed": 42},
    ),
    "run_ner.py": (
        [*PIXEL, *shlex.split("--max_seq_length=196 --max_steps=15000 --per_device_train_batch_size=64 "
         "--learning_rate=5e-5 --metric_for_best_model=eval_f1 --labels=labels.txt")],
        {"max_seq_length": 196, "metric_for_best_model": "eval_f1", "labels": "labels.txt"},
    ),
    "run_glue.py": (
        [*HUB, *shlex.split("--task_name=sst2 --rendering_backend=pygame --pooling_mode=mean "
         "--pooler_add_layer_norm=True --max_seq_length=256 --max_steps=15000 "
         "--per_device_train_batch_size=64 --gradient_accumulation_steps=4 --learning_rate=3e-5 "
         "--metric_for_best_model=eval_accuracy")],
        {"dataset_name": "nyu-mll/glue", "language": "sst2", "pooling_mode": "mean", "learning_rate": 3e-5,
         "pooler_add_layer_norm": True, "gradient_accumulation_steps": 4, "do_predict": False},
    ),
    "run_nli.py": (
        [*HUB, *shlex.split("--train_file=a.txt --validation_file=b.txt --test_file=c.txt "
         "--pooling_mode=pma4 --max_seq_length=324 --max_steps=15000 --warmup_steps=1000 "
         "--per_device_train_batch_size=64 --learning_rate=1e-5 --metric_for_best_model=eval_accuracy "
         "--max_train_samples=9 --max_eval_samples=8 --max_predict_samples=7 --pad_to_max_length=False")],
        {"train_file": "a.txt", "dev_file": "b.txt", "test_file": "c.txt", "pooling_mode": "pma4",
         "max_seq_length": 324, "max_train_samples": 9, "max_dev_samples": 8, "max_test_samples": 7},
    ),
    "run_qa.py": (
        [*HUB, *shlex.split("--task_name= --pooling_mode= --pooler_add_layer_norm=True "
         "--dataset_name=tydiqa --dataset_config_name=secondary_task --max_seq_length=400 "
         "--question_max_length=128 --doc_stride=160 --max_steps=20000 --per_device_train_batch_size=32 "
         "--learning_rate=7e-5 --metric_for_best_model=eval_f1 --is_rtl_language")],
        {"max_question_length": 128, "stride": 160, "max_answer_length": 30, "n_best": 20, "rtl": True,
         "version_2_with_negative": False, "whole_words": False, "max_steps": 20_000},
    ),
    "run_xnli_translate_train_all.py": (
        [*HUB, *shlex.split("--pooling_mode=cls --pooler_add_layer_norm=True --max_seq_length=196 "
         "--max_steps=50000 --per_device_train_batch_size=128 --gradient_accumulation_steps=2 "
         "--learning_rate=2e-5 --warmup_steps=1000 --eval_steps=1000 --save_steps=1000 "
         "--metric_for_best_model=eval_accuracy")],
        {"dataset_name": "facebook/xnli", "language": "all_languages", "pooling_mode": "cls",
         "warmup_steps": 1000, "eval_steps": 1000},
    ),
    "run_ud_bigrams.py": (
        [*M4, *shlex.split("--max_seq_length=256 --max_steps=15000 --per_device_train_batch_size=64 "
         "--learning_rate=1e-5 --metric_for_best_model=eval_las --rendering_backend=pangocairo "
         "--language x")],
        {"bf16": True, "learning_rate": 1e-5, "dataloader_num_workers": 8},
    ),
    "run_ner_bigrams.py": (
        [*M4, *shlex.split("--jit_rendering=True --max_seq_length=196 --max_steps=50000 "
         "--per_device_train_batch_size=64 --per_device_eval_batch_size=64 --learning_rate=3e-5 "
         "--metric_for_best_model=eval_f1 --rendering_backend=pangocairo")],
        {"max_seq_length": 196, "max_steps": 50_000, "save_steps": 500, "eval_batch_size": 64},
    ),
    "run_sib_bigrams.py": (
        [*M4, *shlex.split("--language hin_Deva --max_seq_length=256 --max_steps=15000 "
         "--early_stopping_patience=20 --logging_strategy=epoch --evaluation_strategy=epoch "
         "--save_strategy=epoch --metric_for_best_model=eval_f1 --rendering_backend=bigrams "
         "--per_device_train_batch_size=32 --learning_rate=1e-5")],
        {"eval_strategy": "epoch", "save_strategy": "epoch", "early_stopping_patience": 20,
         "language": "hin_Deva", "data_dir": "d"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_trainings(name: str) -> None:
    argv, expected = DOCUMENTED[name]
    script = SCRIPTS[name]
    command, task, *line = run.translate(script, run.flags_of(script, argv))
    assert command == "finetune"
    arguments, trained, own = parse_arguments("x", TASKS[task], line)
    overrides = parse_overrides(arguments.config_overrides)
    found = {**vars(trained), **vars(arguments), **vars(own), **overrides}
    found |= {"train_batch_size": trained.train_batch_size, "eval_batch_size": trained.eval_batch_size}
    found = {key: getattr(value, "value", value) for key, value in found.items()}
    assert {key: found[key] for key in expected} == expected
    assert found["load_best_model_at_end"] is True


@pytest.mark.parametrize("name", ["run_pos.py", "run_ud.py", "run_ner.py"])
def test_documented_evaluations(name: str) -> None:
    argv = shlex.split(
        "--model_name_or_path=m --data_dir=d --remove_unused_columns=False --do_eval --do_predict "
        "--max_seq_length=256 --output_dir=o --report_to=none --log_predictions --overwrite_cache"
    )
    script = SCRIPTS[name]
    _, task, *line = run.translate(script, run.flags_of(script, argv))
    _, trained, _ = parse_arguments("x", TASKS[task], line)
    assert (trained.do_train, trained.do_eval, trained.do_predict) == (False, True, True)


# Pretraining


def test_pretraining_of_pixel() -> None:
    script = SCRIPTS["run_pretraining.py"]
    argv = shlex.split(
        """--train_dataset_names=wikipedia,me/books --train_dataset_configs=20220301.en,none --output_dir=o
        --train_splits=train,train --text_renderer_name_or_path=r --mask_ratio=0.25 --span_masking
        --masking_max_span_length=6 --masking_cumulative_span_weights=0.2,0.4,0.6,0.8,0.9,1.0
        --dropout_prob=0.1 --max_steps=1000000 --num_train_epochs=10 --warmup_ratio=0.05 --weight_decay=0.05
        --per_device_train_batch_size=32 --gradient_accumulation_steps=2 --lr_scheduler_type=cosine
        --report_to=none --config_overrides=hidden_size=96 --base_learning_rate=3e-4"""
    )
    arguments, trained = parse_pretraining(run.translate(script, run.flags_of(script, argv))[1:])
    assert arguments.dataset_name == "wikimedia/wikipedia"
    assert arguments.languages == [
        "wikipedia=wikimedia/wikipedia:20220301.en",
        "books=me/books:default",
    ]
    assert (arguments.renderer, arguments.masking, arguments.max_span) == ("r", "span", 6)
    assert (trained.total_batch_size, trained.warmup_steps, trained.max_steps) == (64, 0.05, 1_000_000)
    assert trained.learning_rate == pytest.approx(3e-4 * 64 / 256)
    assert trained.lr_scheduler_type.value == "cosine_with_min_lr"


def test_pretraining_of_pixel_m4(capsys: pytest.CaptureFixture[str]) -> None:
    script = SCRIPTS["run_pretraining_pixel_m4.py"]
    argv = shlex.split(
        "--data_dir=d --output_dir=o --max_steps=9 --min_learning_rate=2e-5 --masking_max_span_length=6"
    )
    line = run.translate(script, run.flags_of(script, argv))
    arguments, trained = parse_pretraining([*line[1:], "--report_to=none"])
    assert (arguments.data_dir, arguments.masking, trained.min_learning_rate) == ("d", "random", 2e-5)
    assert (trained.total_batch_size, trained.warmup_steps, trained.weight_decay) == (8, 0, 0)
    assert "--masking_max_span_length: has no effect without --span_masking" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["submitit_pretrain.py", "preprocess_mc4.py"])
def test_refusals_name_the_way(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(name, ["--nodes", "2", "--target_seq_length=529"]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"{name}: ")
    assert line.count("\n") == 1
    assert "configs/pretrain-m4.yaml" in line


# Analyses


def parsed(line: list[str]) -> dict[str, Any]:
    return vars(cli.build_parser().parse_args(line))


def test_probing(tmp_path: Path) -> None:
    for place in ("Case/russian", "Case/turkish", "CharacterBin/russian", "POS/arabic", "sib200/eng_Latn"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "train.txt").touch()
    argv = ["--data_dir", str(tmp_path), "--model_id=Team-PIXEL/pixel-m4", "--layer", "3"]
    found = parsed(translate("run_linspector.py", *argv))
    assert (found["model"], found["tasks"]) == ("Team-PIXEL/pixel-m4", ["Case", "POS"])
    assert found["languages"] == ["arabic", "russian"]
    assert found["output_dir"] == Path("outputs/analysis/linspector/pixel-m4")
    assert (found["layers"], found["pooling"], found["per_device_eval_batch_size"]) == ([3], "published", 32)
    assert parsed(translate("run_linspector.py", *argv, "--lang=turkish"))["languages"] == ["turkish"]
    with pytest.raises(UserError, match="data fetch linspector"):
        translate("run_linspector.py", "--data_dir", str(tmp_path / "Case"))
    assert len(PROBED_LANGUAGES) == 5


def test_retrieval_and_maps() -> None:
    found = parsed(translate("run_retrieval.py", "--model_id=m", "--batch_size=8"))
    assert (found["model"], found["seed"], found["layers"]) == ("m", 1111, None)
    assert found["languages"] == list(RETRIEVED)
    assert (found["pooling"], found["per_device_eval_batch_size"]) == ("published", 8)
    assert found["output_dir"] == Path("outputs/analysis/retrieval/m")
    found = parsed(translate("run_tsne.py", "--n_iter=500", "--layer=all"))
    assert (found["perplexity"], found["iterations"], found["learning_rate"]) == (50.0, 500, 500.0)
    assert found["model"] == "Team-PIXEL/pixel-base-bigrams"
    assert found["output_dir"] == Path("outputs/tsne/pixel-base-bigrams")
    assert len(found["languages"]) == len(set(MAPPED)) == 28


def test_sentences_that_are_not_here_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/sib200/eng_Latn").mkdir(parents=True)
    commands: list[list[str]] = []
    monkeypatch.setattr(run, "pixel_m4", lambda line: commands.append(list(line)) or 0)
    assert run.main("run_retrieval.py", ["--model_id=m"]) == 0
    fetched, analysed = commands
    assert fetched == [
        *("data", "fetch", "sib200", "hin_Deva", "ukr_Cyrl", "zho_Hans", "--output_dir", "data"),
    ]
    assert analysed[:2] == ["analyze", "retrieval"]
    monkeypatch.setattr(run, "pixel_m4", lambda line: commands.append(list(line)) or 1)
    assert run.main("run_retrieval.py", ["--model_id=m"]) == 1
    assert len(commands) == 3  # there is no analysis of what is not there


def test_painting(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--input_str=Cats sleep.", "--model_name_or_path=m", "--renderer_name_or_path=r"]
    found = parsed(translate("visualize_pixel.py", *argv, "--span_mask", "--seed", "7"))
    assert (found["text"], found["model"], found["renderer"]) == (["Cats sleep."], "m", "r")
    assert (found["mask_ratio"], found["seed"]) == (0.25, 7)
    assert capsys.readouterr().err == ""
    found = parsed(translate("visualize_pixel.py", *argv, "--manual_mask", "1", "2", "5"))
    assert (found["mask_ratio"], found["mask_patches"]) == (None, "1,2,5")
    translate("visualize_pixel.py", *argv)
    assert "--span_mask: patches are hidden in spans all the same" in capsys.readouterr().err


def test_help_lists_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main("run_ner.py", ["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"--{name}: " in shown for name in FLAGS["run_ner.py"].split())
