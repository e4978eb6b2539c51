"""Flags of the published training scripts, and of transformers' Trainer of their day."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from pixel_m4.console.errors import UserError
from pixel_m4.published.flags import (
    Apply,
    Command,
    Flags,
    Meaning,
    Value,
    accepted,
    asked,
    is_true,
    ours,
    refused,
    say,
    settled,
)
from pixel_m4.render.fallbacks import find_fallback_fonts
from pixel_m4.render.fonts import FontError
from pixel_m4.render.opening import renderer_file

# Names that data sets had on the hub, and have now.
HUB_NAMES = {
    "glue": "nyu-mll/glue",
    "squad": "rajpurkar/squad",
    "squad_v2": "rajpurkar/squad_v2",
    "squad_kor_v1": "KorQuAD/squad_kor_v1",
    "tydiqa": "google-research-datasets/tydiqa",
    "xnli": "facebook/xnli",
    "snli": "stanfordnlp/snli",
    "sib-200": "Davlan/sib200",
    "wikipedia": "wikimedia/wikipedia",
}
_SCORES = {"matthews_correlation": "matthews", "spearmanr": "spearman", "exact": "exact_match"}
_GLUE = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli")
_STRATEGIES = {"logging": "steps", "eval": "no", "save": "steps"}  # where nothing is said, in transformers


def _put(command: Command, name: str, value: Value) -> None:
    command.options[name] = value


def _rename(name: str, value: str | None = None) -> Apply:
    """A flag that says yes becomes another option with a value."""

    def apply(given: Value, flags: Flags, command: Command) -> None:
        if is_true(given):
            _put(command, name, value)

    return apply


def _steps(kind: str) -> Meaning:
    """Published commands give ``--logging_steps`` beside ``--logging_strategy=epoch``, which decides."""

    def apply(value: Value, flags: Flags, command: Command) -> None:
        strategy = strategy_of(flags, kind)
        if strategy == "steps":
            _put(command, f"{kind}_steps", value)
        else:
            say(f"{kind}_steps", f"has no effect, as the strategy is {strategy}")

    return settled(f"`--{kind}_steps`, where the strategy is steps", apply)


def strategy_of(flags: Flags, kind: str) -> str:
    """When a published command evaluates, saves or reports: no, steps or epoch."""
    name = "evaluation_strategy" if kind == "eval" and "evaluation_strategy" in flags else f"{kind}_strategy"
    return flags.get(name) or _STRATEGIES[kind]


def _metric(value: Value, flags: Flags, command: Command) -> None:
    """The score on dev that is meant: ``eval_f1``, ``f1`` and ``test_f1`` are one."""
    name = value or ""
    best = asked(flags, "load_best_model_at_end") or asked(flags, "early_stopping")
    if asked(flags, "do_train") and (strategy_of(flags, "eval") == "no" or not best):
        say("metric_for_best_model", "has no effect: no checkpoint is chosen by its score")
        return
    if name.startswith("test_"):
        say("metric_for_best_model", f"checkpoints are chosen on dev: {name} is taken on dev")
    name = name.removeprefix("eval_").removeprefix("test_")
    _put(command, "metric_for_best_model", f"eval_{_SCORES.get(name, name)}")


def _report_to(value: Value, flags: Flags, command: Command) -> None:
    disabled = os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes", "on")
    if value == "wandb" and (disabled or importlib.util.find_spec("wandb") is None):
        why = "WANDB_DISABLED is set" if disabled else "the package wandb is not installed"
        say("report_to", f"{why}; the log goes to TensorBoard, in output_dir/tensorboard")
        value = "tensorboard"
    _put(command, "report_to", value or "none")


def _epochs(value: Value, flags: Flags, command: Command) -> None:
    if int(flags.get("max_steps") or -1) > 0:
        say("num_train_epochs", f"has no effect beside --max_steps {flags['max_steps']}, as it was published")
    else:
        _put(command, "num_train_epochs", value)


def _patience(value: Value, flags: Flags, command: Command) -> None:
    if not asked(flags, "early_stopping"):
        say("early_stopping_patience", "has no effect without --early_stopping")
    elif asked(flags, "do_train"):
        _put(command, "early_stopping_patience", value)


def _nothing(value: Value, flags: Flags, command: Command) -> None:
    """Another flag, or what is settled last, looks at it."""


_BY_TORCHRUN = "several devices are used by starting with torchrun (docs/pretraining.md)"
_NO_CODES = "PyTorch's own autocast does all mixed precision"

TRAINER: Mapping[str, Meaning] = {
    "evaluation_strategy": ours("eval_strategy"),
    "warmup_ratio": ours("warmup_steps"),
    "no_cuda": ours("use_cpu"),
    "per_gpu_train_batch_size": ours("per_device_train_batch_size"),
    "per_gpu_eval_batch_size": ours("per_device_eval_batch_size"),
    "adafactor": settled("`--optim adafactor`", _rename("optim", "adafactor")),
    "group_by_length": settled(
        "`--train_sampling_strategy group_by_length`", _rename("train_sampling_strategy", "group_by_length")
    ),
    **{f"{kind}_steps": _steps(kind) for kind in _STRATEGIES},
    "report_to": settled(
        "`--report_to`; tensorboard instead of wandb where that is not installed", _report_to
    ),
    "remove_unused_columns": accepted("examples have no columns"),
    "half_precision_backend": accepted(_NO_CODES),
    "fp16_backend": accepted(_NO_CODES),
    "fp16_opt_level": accepted(_NO_CODES),
    "logging_dir": accepted("the log lies in output_dir/tensorboard"),
    "skip_memory_metrics": accepted("memory is not measured"),
    "past_index": accepted("an encoder has no past", "-1"),
    "use_legacy_prediction_loop": accepted("there is one loop"),
    "include_inputs_for_metrics": accepted("the task decodes and scores on its own"),
    "ray_scope": accepted("there is no search of hyperparameters"),
    "jit_mode_eval": accepted("PyTorch runs the model as it is"),
    "use_ipex": accepted("PyTorch's own kernels are used"),
    "use_mps_device": accepted("a device is used if it is there"),
    "tpu_metrics_debug": accepted("there is no support of TPUs"),
    "tpu_num_cores": refused("there is no support of TPUs"),
    "xpu_backend": accepted(_BY_TORCHRUN),
    "mp_parameters": refused(_BY_TORCHRUN),
    "sharded_ddp": refused("weights are divided with configs/accelerate-fsdp2.yaml (docs/pretraining.md)"),
    "fsdp_min_num_params": refused(
        "weights are divided with configs/accelerate-fsdp2.yaml (docs/pretraining.md)"
    ),
    "torchdynamo": refused("give --torch_compile in pretraining"),
    "push_to_hub_model_id": ours("hub_model_id"),
    "push_to_hub_organization": refused("give --hub_model_id OWNER/NAME"),
    "push_to_hub_token": ours("hub_token"),
}
"""Arguments of transformers' Trainer of that day that are gone; others are ours, too, or refused there."""


# Fine-tuning


def _fallback_fonts(value: Value, flags: Flags, command: Command) -> None:
    """A folder with fonts; one without is no error, as the default font covers most scripts."""
    folder = value or ""
    if not Path(folder).is_dir():
        raise FontError(
            f"fallback_fonts_dir is no folder: {folder}; make it and put fonts there, or leave the flag out"
        )
    try:
        found = find_fallback_fonts(folder)
    except FontError:
        found = []
    if found:
        _put(command, "fallback_fonts_dir", folder)
    else:
        say("fallback_fonts_dir", f"{folder} holds no fonts; only the default font is used")


def _backend(value: Value, flags: Flags, command: Command) -> None:
    model = flags.get("model_name_or_path")
    here = not flags.get("processor_name") and model is not None and Path(model).is_dir()
    if value == "pygame" and here and renderer_file(model or "") is not None:
        _put(command, "renderer", "continuous")
        return
    say("rendering_backend", "there is one renderer; it draws as the model's text_renderer_config.json says")


def _config_name(value: Value, flags: Flags, command: Command) -> None:
    if value and value != flags.get("model_name_or_path"):
        raise UserError(
            f"--config_name {value} is not obeyed: the configuration is that of --model_name_or_path; change "
            "it with --config_overrides, such as num_hidden_layers=6"
        )


def _cache_dir(value: Value, flags: Flags, command: Command) -> None:
    if places := _listed(value):
        os.environ |= {"HF_HUB_CACHE": places[0], "HF_DATASETS_CACHE": places[0]}


def _override(value: Value, flags: Flags, command: Command) -> None:
    before = command.options.get("config_overrides")
    _put(command, "config_overrides", f"{before},{value}" if before else value)


def _overridden(name: str) -> Meaning:
    """An entry of the configuration of the model."""

    def apply(value: Value, flags: Flags, command: Command) -> None:
        _override(f"{name}={'true' if value is None else value.lower()}", flags, command)

    return settled(f"`--config_overrides {name}=…`", apply)


def _task_name(value: Value, flags: Flags, command: Command) -> None:
    name = (value or "").lower()
    if name not in _GLUE:
        raise UserError(f"--task_name {value}: GLUE has no such task; it has {', '.join(_GLUE)}")
    command.options |= {"dataset_name": HUB_NAMES["glue"], "language": name}


def _predict(value: Value, flags: Flags, command: Command) -> None:
    if "task_name" in flags and is_true(value):
        say("do_predict", "the labels of GLUE's test sets are not public; `pixel-m4 predict` labels any text")
        value = "false"
    _put(command, "do_predict", value)


def _dataset(value: Value, flags: Flags, command: Command) -> None:
    if flags.get("data_dir"):
        say("dataset_name", f"the data are those of --data_dir {flags['data_dir']}")
    elif value:
        _put(command, "dataset_name", HUB_NAMES.get(value.lower(), value))


def _language_of_data(value: Value, flags: Flags, command: Command) -> None:
    say("language", "the task has no use for it; the data tells the language")


def _revision(value: Value, flags: Flags, command: Command) -> None:
    if value not in (None, "", "main"):  # what is given to folders too
        _put(command, "model_revision", value)


_HUB_LOGIN = "the hub's own login is used (`hf auth login`)"
_WIDTHS = "batches are as wide as their longest text"
REVISION = settled("`--model_revision`, if it is not main", _revision)

_MODEL: Mapping[str, Meaning] = {
    "model_name_or_path": ours("model_name_or_path"),
    "processor_name": ours("renderer"),
    "rendering_backend": settled(
        "the model's renderer draws; `pygame` with a model folder: `--renderer continuous`", _backend
    ),
    "config_name": settled("the model's own; another one is refused", _config_name),
    "fallback_fonts_dir": settled("`--fallback_fonts_dir`, if fonts are there", _fallback_fonts),
    "render_rgb": accepted(
        "text is rendered in grey, which a model with three channels reads as equal channels"
    ),
    "jit_rendering": accepted("text is always rendered as it is needed"),
    "cache_dir": settled("`HF_HUB_CACHE` and `HF_DATASETS_CACHE` for this run", _cache_dir),
    "model_revision": REVISION,
    "use_auth_token": accepted(_HUB_LOGIN),
    "dropout_prob": ours("dropout_prob"),
    "max_seq_length": ours("max_seq_length"),
    "overwrite_cache": accepted("no features are cached; text is rendered as it is needed"),
    "early_stopping": settled("`--early_stopping_patience`; without it 0", _nothing),
    "early_stopping_patience": settled("`--early_stopping_patience`, with `--early_stopping`", _patience),
    "log_predictions": accepted("predictions are always written, to dev_predictions and test_predictions"),
    "metric_for_best_model": settled("`--metric_for_best_model`, on dev", _metric),
    "num_train_epochs": settled("`--num_train_epochs`, without `--max_steps`", _epochs),
}
_SAMPLES = {
    "max_train_samples": ours("max_train_samples"),
    "max_eval_samples": ours("max_dev_samples"),
    "max_predict_samples": ours("max_test_samples"),
    "pad_to_max_length": accepted(_WIDTHS),
}
_POOLING = {
    "config_overrides": settled("`--config_overrides`", _override),
    "pooling_mode": _overridden("pooling_mode"),
    "pooler_add_layer_norm": _overridden("pooler_add_layer_norm"),
}
_DATASET = {
    "dataset_name": settled("`--dataset_name`, by its present name on the hub", _dataset),
    "dataset_config_name": ours("language"),
    "train_file": ours("train_file"),
    "validation_file": ours("dev_file"),
    "test_file": ours("test_file"),
    **_SAMPLES,
}
_FOLDER = {"data_dir": ours("data_dir"), "language": settled("the data tells it", _language_of_data)}
_UNPOOLED = accepted("answers are parts of the text: nothing is pooled, and there is no task of GLUE")

WORDS: Mapping[str, Meaning] = {**_MODEL, **_FOLDER}
ENTITIES: Mapping[str, Meaning] = {
    **_MODEL,
    "data_dir": ours("data_dir"),
    "labels": ours("labels"),
    "language": ours("language"),
}
TEXTS: Mapping[str, Meaning] = {**_MODEL, **_DATASET, **_POOLING}
GLUE: Mapping[str, Meaning] = {
    **TEXTS,
    "task_name": settled("`--dataset_name nyu-mll/glue --language TASK`", _task_name),
    "do_predict": settled("`--do_predict`, but not with `--task_name`: GLUE's test has no labels", _predict),
}
XNLI: Mapping[str, Meaning] = {**_MODEL, **_SAMPLES, **_POOLING}
TOPICS: Mapping[str, Meaning] = {**TEXTS, "data_dir": ours("data_dir"), "language": ours("language")}
QUESTIONS: Mapping[str, Meaning] = {
    **_MODEL,
    **_DATASET,
    **dict.fromkeys(
        ("task_name", "pooling_mode", "pooler_add_layer_norm"), _UNPOOLED
    ),  # in the documented command
    "preprocessing_num_workers": accepted("nothing is preprocessed; --dataloader_num_workers draw the text"),
    "question_max_length": ours("max_question_length"),
    "version_2_with_negative": ours("version_2_with_negative"),
    "null_score_diff_threshold": ours("null_score_diff_threshold"),
    "doc_stride": ours("stride"),
    "n_best_size": ours("n_best"),
    "max_answer_length": ours("max_answer_length"),
    "is_rtl_language": settled("`--rtl true`", _rename("rtl", "true")),
}

OWN_DEFAULTS = {"max_seq_length": "196"}
QA_DEFAULTS = {
    "max_seq_length": "400",
    "doc_stride": "160",
    "n_best_size": "20",
    "max_answer_length": "30",
    "version_2_with_negative": "false",
    "null_score_diff_threshold": "0.0",
    "question_max_length": "none",
}
_TRAINER_DEFAULTS = {
    "learning_rate": "5e-5",
    "per_device_train_batch_size": "8",
    "per_device_eval_batch_size": "8",
    "warmup_steps": "0",
    "num_train_epochs": "3",
    "eval_strategy": "no",
    "save_strategy": "steps",
    "load_best_model_at_end": "false",
}
"""Of transformers' Trainer of that day, where our recipes differ and it matters for what is learnt."""


def settle_finetuning(flags: Flags, command: Command) -> None:
    """What a training does where its command says nothing: transformers' defaults, not our recipe."""
    options = command.options
    if not asked(flags, "do_train"):
        return
    for name, value in _TRAINER_DEFAULTS.items():
        if name == "num_train_epochs" and int(flags.get("max_steps") or -1) > 0:
            continue
        options.setdefault(name, value)
    stops = asked(flags, "early_stopping")
    if stops and options["eval_strategy"] == "no":
        say("early_stopping", "has no effect: there is no evaluation during training (--evaluation_strategy)")
        stops = False
    if not stops:
        options["early_stopping_patience"] = "0"
    else:
        options.setdefault("early_stopping_patience", "5")


def settle_questions(flags: Flags, command: Command) -> None:
    """As all fine-tuning; answers are what patches show."""
    settle_finetuning(flags, command)
    command.options["whole_words"] = "false"


def settle_xnli(flags: Flags, command: Command) -> None:
    """All languages of XNLI: its training data translated, each text a row of its own."""
    settle_finetuning(flags, command)
    command.options |= {"dataset_name": HUB_NAMES["xnli"], "language": "all_languages"}


# Pretraining


def _masking(value: Value, flags: Flags, command: Command) -> None:
    _put(command, "masking", "span" if is_true(value) else "random")


def _only(name: str, wanted: str) -> Meaning:
    """A flag that we can do with one value only."""

    def apply(value: Value, flags: Flags, command: Command) -> None:
        given = (value or wanted).replace(" ", "")
        if [float(part) for part in given.split(",")] != [float(part) for part in wanted.split(",")]:
            raise UserError(
                f"--{name} {value} is not obeyed: spans are drawn with {wanted} (docs/pretraining.md)"
            )

    return settled(f"{wanted}; others are refused", apply)


def _longest_span(value: Value, flags: Flags, command: Command) -> None:
    if asked(flags, "span_masking"):
        _put(command, "max_span", value)
    else:
        say("masking_max_span_length", "has no effect without --span_masking")


def _size(value: Value, flags: Flags, command: Command) -> None:
    from pixel_m4.model.config import NAMED

    if value and value not in NAMED:
        raise UserError(
            f"--config_name {value} is not obeyed: name a size ({', '.join(NAMED)}), and change it with "
            "--config_overrides, such as hidden_size=384"
        )
    _put(command, "config_name", value)


def _texts(value: Value, flags: Flags, command: Command) -> None:
    names = _listed(value)
    if rendered := [name for name in names if "rendered" in name.lower()]:
        raise UserError(
            f"--train_dataset_names {rendered[0]}: a data set of pictures is not read; text is rendered as "
            "it is needed, so give the data set of its text, or --data_dir"
        )
    configs = _listed(flags.get("train_dataset_configs")) or ["default"] * len(names)
    splits = _listed(flags.get("train_splits")) or ["train"] * len(names)
    if len(configs) != len(names) or len(splits) != len(names):
        raise UserError("--train_dataset_names, --train_dataset_configs and --train_splits must be as many")
    if others := sorted(set(splits) - {"train"}):
        raise UserError(f"--train_splits {others[0]} is not obeyed: pretraining reads the split train")
    homes = [HUB_NAMES.get(name.lower(), name) for name in names]
    _put(command, "dataset_name", homes[0])
    configs = [config if config.lower() not in ("none", "") else "default" for config in configs]
    command.options["languages"] = [
        f"{name.rpartition('/')[2]}={home}:{config}"
        for name, home, config in zip(names, homes, configs, strict=True)
    ]


def _listed(value: Value) -> list[str]:
    return [part.strip() for part in (value or "").split(",") if part.strip()]


def _held_out(value: Value, flags: Flags, command: Command) -> None:
    if value and Path(value).is_dir():
        _put(command, "validation_dir", value)
    else:
        say("validation_dataset_name", "one document in a hundred of the training text is held out instead")


def _stream_epochs(value: Value, flags: Flags, command: Command) -> None:
    if int(flags.get("max_steps") or -1) <= 0:
        raise UserError(f"--num_train_epochs {value} is not obeyed: text is a stream; give --max_steps")
    say("num_train_epochs", f"has no effect beside --max_steps {flags['max_steps']}, as it was published")


_SPANS = "0.2,0.4,0.6,0.8,0.9,1.0"
_PRETRAINING: Mapping[str, Meaning] = {
    "max_train_samples": refused("give a corpus of the wanted size by --data_dir"),
    "max_eval_samples": ours("validation_blocks"),
    "streaming": accepted("text is always streamed"),
    "do_normalize": refused("pixels are not normalised, as in the published run"),
    "text_renderer_name_or_path": ours("renderer"),
    "model_name_or_path": ours("model_name_or_path"),
    "config_name": settled("`--config_name`: a size, not a file", _size),
    "config_overrides": ours("config_overrides"),
    "cache_dir": _MODEL["cache_dir"],
    "model_revision": REVISION,
    "feature_extractor_name": accepted("pixels go into the model as they are drawn"),
    "use_auth_token": accepted(_HUB_LOGIN),
    "mask_ratio": ours("mask_ratio"),
    "norm_pix_loss": ours("norm_pix_loss"),
    "span_masking": settled("`--masking span`; without it `--masking random`", _masking),
    "masking_max_span_length": settled("`--max_span`, with `--span_masking`", _longest_span),
    "masking_spacing": refused("spans keep a distance of their own length"),
    "masking_cumulative_span_weights": _only("masking_cumulative_span_weights", _SPANS),
    "dropout_prob": ours("dropout_prob"),
    "base_learning_rate": ours("base_learning_rate"),
    "fallback_fonts_dir": _MODEL["fallback_fonts_dir"],
    "num_train_epochs": settled("`--max_steps` decides; refused without it", _stream_epochs),
    "lr_scheduler_type": accepted(
        "the rate falls by a cosine to --min_learning_rate, as published", "cosine"
    ),
    "metric_for_best_model": accepted("the newest checkpoints are kept"),
    "load_best_model_at_end": accepted("the newest checkpoints are kept"),
}
PRETRAINING: Mapping[str, Meaning] = {
    **_PRETRAINING,
    "train_dataset_names": settled("`--dataset_name` and `--languages NAME=DATASET:CONFIG …`", _texts),
    "train_dataset_configs": settled("the CONFIG in `--languages`", _nothing),
    "train_splits": settled("train; others are refused", _nothing),
    "dataset_caches": settled("`HF_HUB_CACHE` and `HF_DATASETS_CACHE`: the first of them", _cache_dir),
    "validation_dataset_name": settled("`--validation_dir` if it is a folder, else held-out text", _held_out),
    "validation_split": accepted("held-out text is not named by a split"),
}
PRETRAINING_M4: Mapping[str, Meaning] = {
    **_PRETRAINING,
    "data_dir": ours("data_dir"),
    "min_learning_rate": ours("min_learning_rate"),
}
PRETRAINING_DEFAULTS = {
    "mask_ratio": "0.25",
    "span_masking": "false",
    "dropout_prob": "0.1",
    "base_learning_rate": "1.5e-4",
}


def settle_pretraining(flags: Flags, command: Command) -> None:
    """transformers' defaults of that day (8 blocks a device, no warm-up), and PIXEL's own schedule."""
    options = command.options
    options.setdefault("per_device_train_batch_size", "8")
    options.setdefault("gradient_accumulation_steps", "1")
    options.setdefault("warmup_steps", "0")
    options.setdefault("weight_decay", "0")
    if options.get("learning_rate") is not None:
        options.pop("base_learning_rate", None)
    options["lr_scheduler_type"] = "cosine_with_min_lr"
