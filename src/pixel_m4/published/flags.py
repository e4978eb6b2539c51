"""The command lines of the published scripts: their flags, translated into ours.

What a flag no longer means is said once, on the standard error.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pixel_m4.console.errors import UserError, report
from pixel_m4.console.stopping import Stopped, Stopping
from pixel_m4.finetune.arguments import parse_arguments
from pixel_m4.finetune.run import finetune
from pixel_m4.render.fonts import FontError, find_fallback_fonts
from pixel_m4.tasks.registry import TASKS

_RENAMED = {
    "evaluation_strategy": "eval_strategy",
    "warmup_ratio": "warmup_steps",  # below 1, it is a share of the steps
    "no_cuda": "use_cpu",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
}
_WITHOUT_MEANING = {
    "overwrite_cache": "no features are cached; text is rendered as it is needed",
    "half_precision_backend": "PyTorch's own autocast does all mixed precision",
    "log_predictions": "predictions are always written, to dev_predictions and test_predictions",
    "rendering_backend": "there is one renderer; it draws what PangoCairo drew",
    "jit_rendering": "text is always rendered as it is needed",
    "render_rgb": "text is rendered in grey, which a model with three channels reads as equal channels",
    "use_auth_token": "the hub's own login is used",
}

Flag = tuple[str, str | None]

_said: set[str] = set()


def main(task: str, argv: Sequence[str]) -> int:
    """Run a published command line; errors that users can mend come as one line and exit code 1."""
    try:
        with Stopping().listening():
            names = parse_arguments(Path(sys.argv[0]).name, TASKS[task], translate(task, argv))
            finetune(TASKS[task], *names)
    except KeyboardInterrupt as stop:
        how = "the same command goes on, without --overwrite_output_dir"
        print(
            f"{Path(sys.argv[0]).name}: {getattr(stop, 'message', '') or 'stopped'}; {how}", file=sys.stderr
        )
        return stop.exit_code if isinstance(stop, Stopped) else 130
    except Exception as error:
        report(error, Path(sys.argv[0]).name)
        return 1
    return 0


def translate(task: str, argv: Sequence[str]) -> list[str]:
    """Our command line for a published one.

    Args:
        task: name of the task.
        argv: flags, as ``--flag``, ``--flag=value`` or ``--flag value``.

    Raises:
        FontError: the folder with fallback fonts does not exist.
    """
    flags = split_flags(argv)
    flags = [flag for flag in flags if not _without_effect(flag[0], dict(flags))]
    early_stopping = any(name == "early_stopping" and _is_true(value) for name, value in flags)
    translated: list[Flag] = []
    for name, value in flags:
        if name in _WITHOUT_MEANING:
            if _is_true(value) or value not in ("False", "false", "0"):
                say(name, _WITHOUT_MEANING[name])
        elif name == "early_stopping":
            continue
        elif name == "early_stopping_patience" and not early_stopping:
            say(name, "has no effect without --early_stopping")
        elif name == "metric_for_best_model":
            translated.append((name, _metric(value or "")))
        elif name == "report_to":
            translated.append((name, _report_to(value)))
        elif name == "fallback_fonts_dir":
            if _has_fonts(value or ""):
                translated.append((name, value))
        elif name == "language" and "language" not in TASKS[task].options_class.__dataclass_fields__:
            say(name, f"the task {task} has no use for it; the data tells the language")
        else:
            translated.append((_RENAMED.get(name, name), value))
    if not early_stopping:
        translated.append(("early_stopping_patience", "0"))
    return [f"--{name}" if value is None else f"--{name}={value}" for name, value in translated]


def split_flags(argv: Sequence[str]) -> list[Flag]:
    """Names and values of flags; a flag without a value has None.

    Raises:
        ValueError: a value stands without a flag.
    """
    flags: list[Flag] = []
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            flags.append((name.replace("-", "_"), value if equals else None))
        elif flags and flags[-1][1] is None:
            flags[-1] = (flags[-1][0], word)
        else:
            raise UserError(f"{word!r} belongs to no flag; flags begin with --")
    return flags


def say(flag: str, what: str) -> None:
    """Tell once what a flag no longer means."""
    if flag not in _said:
        _said.add(flag)
        print(f"--{flag}: {what}", file=sys.stderr)


def _is_true(value: str | None) -> bool:
    return value is None or value.lower() in ("true", "1", "yes", "y", "t")


def _without_effect(name: str, flags: dict[str, str | None]) -> bool:
    """Published commands give ``--logging_steps`` beside ``--logging_strategy=epoch``, which decides."""
    kind = name.removesuffix("_steps")
    strategy = flags.get({"eval": "evaluation_strategy"}.get(kind, f"{kind}_strategy"), "steps")
    if name not in ("logging_steps", "eval_steps", "save_steps") or strategy == "steps":
        return False
    say(name, f"has no effect, as the strategy is {strategy}")
    return True


def _metric(name: str) -> str:
    """The score on dev that is meant: ``eval_f1``, ``f1`` and ``test_f1`` are one."""
    if name.startswith("test_"):
        say("metric_for_best_model", f"checkpoints are chosen on dev: {name} is taken on dev")
    return f"eval_{name.removeprefix('eval_').removeprefix('test_')}"


def _report_to(value: str | None) -> str:
    disabled = os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes", "on")
    if value == "wandb" and (disabled or importlib.util.find_spec("wandb") is None):
        why = "WANDB_DISABLED is set" if disabled else "the package wandb is not installed"
        say("report_to", f"{why}; the log goes to TensorBoard, in output_dir/tensorboard")
        return "tensorboard"
    return value or "none"


def _has_fonts(folder: str) -> bool:
    """Whether a folder has fonts; one without is no error, as the default font covers most scripts."""
    if not Path(folder).is_dir():
        raise FontError(
            f"fallback_fonts_dir is no folder: {folder}; make it and put fonts there, or leave the flag out"
        )
    try:
        return bool(find_fallback_fonts(folder))
    except FontError:
        say("fallback_fonts_dir", f"{folder} holds no fonts; only the default font is used")
        return False
