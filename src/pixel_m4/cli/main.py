"""The command ``pixel-m4``; every command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from pixel_m4.cli.commands import TASKS, build_parser, options_of, subparsers
from pixel_m4.cli.spelling import finetune_options, pretrain_options, task_options, unknown_option
from pixel_m4.console.errors import report
from pixel_m4.console.spelling import did_you_mean
from pixel_m4.console.stopping import Stopped, Stopping
from pixel_m4.console.threads import settle
from pixel_m4.shipped import find_model, is_hub_name


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; errors that users can mend come as one line and exit code 1."""
    settle()
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    _check_spelling(parser, arguments)
    try:
        _check_places(arguments)
    except OSError as error:
        report(error)
        return 1
    if arguments[:1] == ["finetune"] and not {"-h", "--help"} & set(arguments[:2]):
        if arguments[1:2] and arguments[1].startswith("--"):  # the recipe names the task
            return _guard(_finetune, argparse.Namespace(task=None), arguments[1:], again=arguments)
        known, _ = parser.parse_known_args(arguments[:2])
        return _guard(_finetune, known, arguments[2:], again=arguments)
    if arguments[:1] == ["evaluate"]:
        known, rest = parser.parse_known_args(arguments)
        return _guard(_evaluate, known, rest)
    if arguments[:1] == ["finetune"]:
        print("usage: pixel-m4 finetune [TASK] [ARGUMENTS]\n\ntasks:")
        print("\n".join(f"  {name:16}{what}" for name, what in TASKS.items()) + "\n")
        print("`pixel-m4 finetune TASK --help` lists the arguments of a task and its published recipe.")
        print("Without TASK, the file that --config names must have a line `task: …`.")
        return 0
    if arguments[:1] == ["pretrain"]:
        return _guard(_pretrain, arguments[1:], again=arguments)
    known = parser.parse_args(arguments)
    runs = {
        "predict": _predict,
        "render": _render,
        "fill": _fill,
        "quickstart": _quickstart,
        "fonts": _fonts,
        "info": _info,
        "export": _export,
        "sweep": _sweep,
        "data": _data,
    }
    again = arguments if known.command in ("sweep", "quickstart") else None
    if known.command == "sweep" and not known.resume_runs:
        again = [*arguments, "--resume_runs"]
    return _guard(runs[known.command], known, again=again)


def _check_spelling(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Stop at a misspelled command, task or option, before anything slow is imported.

    Raises:
        SystemExit: something is misspelled; what, and the nearest name, has been printed.
    """
    command, rest = next(iter(arguments), "-"), list(arguments[1:])
    parsers = subparsers(parser)
    if command.startswith("-"):
        return
    if command not in parsers:
        parser.error(
            f"no command {command!r}{did_you_mean(command, parsers)} (the commands: {', '.join(parsers)})"
        )
    chosen = parsers[command]
    known: frozenset[str] | set[str]
    if command == "finetune":
        task = None if not rest or rest[0].startswith("-") else rest.pop(0)
        if task is not None and task not in TASKS:
            parser.error(f"no task {task!r}{did_you_mean(task, TASKS)} (the tasks: {', '.join(TASKS)})")
        known = finetune_options(task)
    elif command == "pretrain":
        known = pretrain_options()
    else:
        inner = subparsers(chosen)
        if inner and rest and not rest[0].startswith("-"):
            action = rest.pop(0)
            if action not in inner:
                chosen.error(f"no action {action!r}{did_you_mean(action, inner)}")
            chosen = inner[action]
        known = options_of(chosen) | (task_options() if command == "evaluate" else set())
    problem = unknown_option(rest, known) if known else None
    if problem is not None:
        words = [command, *arguments[1 : len(arguments) - len(rest)]]
        parser.error(f"{problem} (`pixel-m4 {' '.join(words)} --help` lists them)")


def _check_places(arguments: Sequence[str]) -> None:
    """Stop at a model folder or a file of data that is not there, before anything slow is imported.

    Raises:
        OSError: what is not there.
    """
    command, *rest = arguments or ("",)
    named = {
        word[2:].partition("=")[0].replace("-", "_"): word.partition("=")[2] or following
        for word, following in pairwise([*rest, ""])
        if word.startswith("--")
    }
    models = [named.get("model"), named.get("model_name_or_path")]
    if command in ("predict", "evaluate", "export") and rest and not rest[0].startswith("-"):
        models.append(rest[0])
    for model in models:
        if model and model != "none" and not is_hub_name(model):
            find_model(model)
    for option in ("config", "data_file"):
        path = named.get(option)
        if (
            not path
            or path.startswith("-")
            or path == "none"
            or (option == "data_file" and "data_dir" in named)
        ):
            continue
        if not Path(path).expanduser().exists():
            raise FileNotFoundError(f"--{option} is no file: {path}")


def _guard(command, *args, again: Sequence[str] | None = None) -> int:  # type: ignore[no-untyped-def]
    from pixel_m4.render.losses import told_at_end

    try:
        with Stopping().listening(), told_at_end(lambda line: print(f"pixel-m4: {line}", file=sys.stderr)):
            command(*args)
    except BrokenPipeError:  # who reads has had enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is flushed at exit
        return 141
    except KeyboardInterrupt as stop:
        if again is not None:
            message = getattr(stop, "message", "") or "stopped"
            print(f"pixel-m4: {message}; to go on: {_how(again)}", file=sys.stderr)
        return stop.exit_code if isinstance(stop, Stopped) else 130
    except Exception as error:
        report(error)
        return 1
    return 0


def _how(words: Sequence[str]) -> str:
    """The command that goes on with a run that was stopped; it deletes nothing, and shows no secrets."""
    from pixel_m4.console.redact import redact_command

    kept: list[str] = []
    value = False  # of the option that is left out
    for word in words:
        option, equals, _ = word.partition("=")
        if option.replace("-", "_") == "__overwrite_output_dir":
            value = not equals
        elif value and not word.startswith("-"):
            value = False
        else:
            value = False
            kept.append(word)
    command = redact_command(["pixel-m4", *kept])
    return f"{command} (under torchrun, as before)" if "TORCHELASTIC_RUN_ID" in os.environ else command


def _finetune(arguments: argparse.Namespace, rest: list[str]) -> None:
    from pixel_m4.finetune.run import main as run

    run(arguments.task, rest)


def _predict(arguments: argparse.Namespace) -> None:
    from pixel_m4.predict.run import Settings, predict

    file = None if arguments.file in (None, "-") else Path(arguments.file)
    predict(
        arguments.model,
        file,
        arguments.output,
        _settings(arguments, Settings),
        input_format=arguments.input_format,
        skip_bad_rows=arguments.skip_bad_rows,
        overwrite=arguments.overwrite,
    )


def _evaluate(arguments: argparse.Namespace, rest: list[str]) -> None:
    from pixel_m4.predict.run import Settings, evaluate

    settings = _settings(arguments, Settings)
    evaluate(
        arguments.model,
        settings,
        data_dir=arguments.data_dir,
        split=arguments.split,
        file=arguments.file,
        output_dir=arguments.output_dir,
        task_arguments=rest,
        overwrite=arguments.overwrite,
    )


def _settings(arguments, settings):  # type: ignore[no-untyped-def]
    return settings(
        task=arguments.task,
        batch_size=arguments.per_device_eval_batch_size,
        device=arguments.device,
        bf16=arguments.bf16,
        font_file=arguments.font_file,
        fallback_fonts_dir=arguments.fallback_fonts_dir,
        renderer=arguments.renderer,
    )


def _pretrain(rest: list[str]) -> None:
    from pixel_m4.pretrain.arguments import parse_arguments

    parsed = parse_arguments(rest)  # --help needs no more than this
    from pixel_m4.pretrain.run import pretrain

    pretrain(*parsed)


def _render(arguments: argparse.Namespace) -> None:
    from pixel_m4.render import TextRenderer
    from pixel_m4.render.show import numbers, preview, read_texts, save_npz, save_png

    names = ("strategy", "max_seq_length", "rgb", "font_file", "fallback_fonts_dir")
    options = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    from_model = arguments.model is not None
    renderer = (
        TextRenderer.from_pretrained(arguments.model, **options) if from_model else TextRenderer(**options)
    )
    texts = arguments.text or read_texts(arguments.file)
    if arguments.output is not None and arguments.output.suffix == ".npz":
        save_npz(renderer, texts, arguments.output, rtl=arguments.rtl)
    elif arguments.output is None or arguments.output.suffix == ".png":
        show = save_png if arguments.output is not None else preview
        show(
            [renderer(text, rtl=arguments.rtl) for text in texts],
            arguments.output,
            columns=arguments.columns,
            scale=arguments.scale,
            borders=arguments.borders,
            word_starts=arguments.word_starts,
            masked=numbers(arguments.masked),
        )
    else:
        raise ValueError(f"--output must end in .png or .npz: {arguments.output}")


def _fill(arguments: argparse.Namespace) -> None:
    from pixel_m4.fill.hiding import Hiding
    from pixel_m4.fill.run import FillOptions, run
    from pixel_m4.render.show import numbers

    hiding = Hiding(
        words=numbers(arguments.mask_words, "words"),
        strings=arguments.mask,
        patches=numbers(arguments.mask_patches),
        ratio=arguments.mask_ratio,
        seed=arguments.seed,
    )
    given = vars(arguments)
    options = FillOptions(**{name: given[name] for name in FillOptions.__dataclass_fields__})
    fonts = ("font_file", "fallback_fonts_dir")
    run(
        arguments.text,
        arguments.file,
        hiding,
        options,
        **{name: given[name] for name in fonts if given[name] is not None},
    )


def _quickstart(arguments: argparse.Namespace) -> None:
    from pixel_m4.quickstart.run import run

    run(arguments.data_dir, arguments.output_dir, arguments.max_steps)


def _fonts(arguments: argparse.Namespace) -> None:
    from pixel_m4.console.screen import plain_console
    from pixel_m4.render.fonts import FONT_SHA256, cached_font, find_fallback_fonts, find_font, sha256
    from pixel_m4.render.glyphs import FontFace

    console = plain_console()
    font = find_font(arguments.font_file)
    digest = sha256(font)
    faces = [FontFace(path, 40 / 3) for path in [font, *find_fallback_fonts(arguments.fallback_fonts_dir)]]
    for face in faces:
        console.print(f"{face.path}  {len(face.coverage):,} code points")
    verdict = "the font of published checkpoints" if digest == FONT_SHA256 else "not the published font"
    console.print(f"SHA-256 {digest} ({verdict})")
    console.print(f"cache   {cached_font()}")


def _info(arguments: argparse.Namespace) -> None:
    from pixel_m4.info.run import info

    info(arguments.checkpoint, arguments.max_seq_length)


def _export(arguments: argparse.Namespace) -> None:
    from pixel_m4.info.run import export

    export(arguments.checkpoint, arguments.output, arguments.int8, arguments.renderer)


def _sweep(arguments: argparse.Namespace) -> None:
    from pixel_m4.sweep.run import sweep

    options = {name: value for name, value in vars(arguments).items() if name != "command"}
    sweep(**options)


def _data(arguments: argparse.Namespace) -> None:
    from pixel_m4.fetch.run import fetch, list_sources

    if arguments.action == "list":
        list_sources()
    elif arguments.action == "prepare":
        _prepare(arguments)
    else:
        places = {"release": arguments.release, "mirror": arguments.mirror}
        fetch(arguments.name, arguments.names, arguments.output_dir, **places)


def _prepare(arguments: argparse.Namespace) -> None:
    from pixel_m4.corpus.prepared import prepare
    from pixel_m4.render import TextRenderer

    manifest = prepare(
        arguments.data_dir,
        arguments.output_dir,
        languages=arguments.languages,
        renderer=TextRenderer(
            arguments.font_file, arguments.fallback_fonts_dir, max_seq_length=arguments.max_seq_length
        ),
        max_seq_length=arguments.max_seq_length,
        shards=arguments.shards,
        engine=arguments.engine,
        workers=arguments.workers,
    )
    for language, found in manifest["languages"].items():
        counts = f"{len(found['shards'])} shards  {found['blocks']:,} blocks  {found['patches']:,} patches"
        print(f"{language}  {counts}  fill rate {found['fill_rate']:.2%}")


if __name__ == "__main__":
    sys.exit(main())
