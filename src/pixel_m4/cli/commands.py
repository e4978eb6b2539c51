"""The arguments of the command ``pixel-m4``."""

from __future__ import annotations

import argparse
from pathlib import Path

TASKS = {
    "parsing": "dependency parsing on Universal Dependencies",
    "pos": "part-of-speech tagging on Universal Dependencies",
    "ner": "named entities: CoNLL and IOB2 columns, Universal NER, KLUE, Arrow folders, the hub",
    "classification": "classes or scores of texts and pairs of texts: SIB-200, GLUE, XNLI",
    "qa": "answers as parts of texts: SQuAD, TyDiQA-GoldP, KorQuAD, JaQuAD",
}


RENDERER_HELP = (
    "where the renderer comes from, for a model that has none: a folder or hub name that has one, or "
    "bigrams, words, graphemes, adaptive or continuous; default: the model"
)


def build_parser() -> argparse.ArgumentParser:
    """All commands; ``finetune`` and ``pretrain`` have arguments of their own, which their training adds."""
    parser = argparse.ArgumentParser(prog="pixel-m4", description="Language models that read text as pixels.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    finetune = commands.add_parser("finetune", help="train a model on a task", add_help=False)
    finetune.add_argument("task", choices=TASKS, help="the task")
    _add_inference(commands)
    commands.add_parser("pretrain", help="train a model on text in many languages", add_help=False)
    _add_render(commands)
    _add_fill(commands)
    _add_quickstart(commands)
    _add_fonts(commands)
    _add_info(commands)
    _add_export(commands)
    _add_sweep(commands)
    _add_data(commands)
    return parser


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser by their names; none if it has none."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Names of a parser's options, with underscores."""
    return {
        word[2:].replace("-", "_")
        for action in parser._actions
        for word in action.option_strings
        if word.startswith("--")
    }


def _add_render(commands: argparse._SubParsersAction) -> None:
    render = commands.add_parser(
        "render",
        help="draw text as patches: to PNG, to .npz, or in the terminal",
        description="Draw text as patches. A line of a file or of the standard input is a text.",
    )
    render.add_argument("text", nargs="*", help="texts; default: lines of --file or of the standard input")
    render.add_argument("--file", type=Path, help="a file of texts, one a line (UTF-8)")
    render.add_argument("--output", type=Path, help="a .png or .npz file; default: a preview in the terminal")
    render.add_argument(
        "--columns", type=int, help="patches of a row of the picture; default: all in one row"
    )
    render.add_argument("--scale", type=int, default=2, help="picture pixels for each pixel; default: 2")
    render.add_argument("--borders", action="store_true", help="draw the borders of patches")
    render.add_argument("--word_starts", action="store_true", help="mark the patch that a word starts on")
    render.add_argument("--masked", default="", help="patches to cover in grey, such as 3-5,9")
    render.add_argument("--model", help="take the renderer of this checkpoint: a folder or a hub name")
    render.add_argument("--strategy", help="how text is cut into pieces; default: bigrams")
    render.add_argument("--max_seq_length", type=int, help="patches of a canvas; default: 529")
    render.add_argument("--rgb", action="store_true", default=None, help="three channels, emoji in colour")
    render.add_argument("--rtl", action="store_true", help="right-to-left even if the text does not look so")
    render.add_argument("--font_file", type=Path, help="the font; default: GoNotoCurrent.ttf")
    render.add_argument("--fallback_fonts_dir", type=Path, help="folder with fallback fonts")


def _add_fill(commands: argparse._SubParsersAction) -> None:
    fill = commands.add_parser(
        "fill",
        help="hide parts of a text, let a model paint them, and read what it painted",
        description="Hide parts of a text, let a pretrained model reconstruct them, and read its pixels "
        "back. [MASK] in a text is a hole of 2 patches (3 or 4 letters, 1 or 2 Han characters), [MASK:5] one "
        "of 5; or let words, strings, patches or random spans of a known text be hidden.",
        epilog="Readings are sequences of known pieces (what starts a patch: mostly two characters). Their "
        "distance is the pretraining loss they would have; their probability is among all sequences that "
        "fill the gap. The picture shows three strips of every text: original, masked, reconstructed.",
    )
    fill.add_argument("text", nargs="*", help="texts; default: lines of --file or of the standard input")
    fill.add_argument("--file", type=Path, help="a file of texts, one a line (UTF-8)")
    fill.add_argument(
        "--model",
        default="pixel-m4-tiny",
        help="a pretraining checkpoint: a folder or a hub name; default: pixel-m4-tiny, of the package",
    )
    fill.add_argument(
        "--mask_words", default="", help="numbers of words to hide, such as 2,4-5; the first is 1"
    )
    fill.add_argument(
        "--mask", action="append", default=[], help="a word or other string to hide; repeatable"
    )
    fill.add_argument(
        "--mask_patches", default="", help="numbers of patches to hide, such as 3-5,9; the first is 0"
    )
    fill.add_argument("--mask_ratio", type=float, help="share of the patches to hide in random spans")
    fill.add_argument("--seed", type=int, default=0, help="of the random spans; default: 0")
    fill.add_argument(
        "--pieces",
        type=Path,
        help="a file of text whose pieces may be read (the 65,536 most frequent); default: the pieces of the "
        "texts, and all that their letters, their alphabets, digits and punctuation can make (for Han and "
        "Hangul only the characters of the texts: give --pieces)",
    )
    fill.add_argument("--top", type=int, default=5, help="readings to show; default: 5")
    fill.add_argument(
        "--temperature",
        type=float,
        default=8.0,
        help="how many neighbouring pixels count as one in probabilities; default: 8",
    )
    fill.add_argument("--output", type=Path, help="a .png file; default: a preview in the terminal")
    fill.add_argument("--json", action="store_true", help="print a JSON object a text, and no preview")
    fill.add_argument("--columns", type=int, help="patches of a row of the picture; default: all in one row")
    fill.add_argument("--scale", type=int, default=2, help="picture pixels for each pixel; default: 2")
    fill.add_argument("--borders", action="store_true", help="draw the borders of patches")
    fill.add_argument("--rtl", action="store_true", help="right-to-left even if the text does not look so")
    fill.add_argument("--font_file", type=Path, help="the font; default: the checkpoint's")
    fill.add_argument("--fallback_fonts_dir", type=Path, help="folder with fallback fonts")
    fill.add_argument("--renderer", help=RENDERER_HELP)


def _add_quickstart(commands: argparse._SubParsersAction) -> None:
    quickstart = commands.add_parser(
        "quickstart", help="teach pixel-m4-ud languages that it has never seen, and show it at work"
    )
    quickstart.add_argument(
        "--data_dir",
        type=Path,
        help="folder with a treebank (CoNLL-U files of train, dev and test, with parts of speech); default: "
        "the embedded one, of Azerbaijani, Galician, Tatar and Ukrainian",
    )
    quickstart.add_argument(
        "--output_dir",
        type=Path,
        default=Path("quickstart"),
        help="folder for the parser and the report; default: quickstart",
    )
    quickstart.add_argument("--max_steps", type=int, help="training steps; default: 300, about a minute")


def _add_fonts(commands: argparse._SubParsersAction) -> None:
    fonts = commands.add_parser("fonts", help="show the fonts that are used, and fetch the default one")
    fonts.add_argument("--font_file", type=Path, help="a font to look at instead of the default")
    fonts.add_argument("--fallback_fonts_dir", type=Path, help="folder with fallback fonts")


def _add_info(commands: argparse._SubParsersAction) -> None:
    info = commands.add_parser("info", help="show the sizes, the cost and the settings of a checkpoint")
    info.add_argument("checkpoint", help="a folder, a hub name, or a size: base, small, tiny, nano")
    info.add_argument(
        "--max_seq_length", type=int, help="patches to count operations for; default: the model's maximum"
    )


def _add_export(commands: argparse._SubParsersAction) -> None:
    export = commands.add_parser("export", help="write a checkpoint as ONNX, checked against PyTorch")
    export.add_argument("checkpoint", help="a folder or a hub name")
    export.add_argument("output", type=Path, help="the file to write, .onnx")
    export.add_argument("--int8", action="store_true", help="in eight bits, and print what that costs")
    export.add_argument("--renderer", help=RENDERER_HELP)


def _add_sweep(commands: argparse._SubParsersAction) -> None:
    sweep = commands.add_parser("sweep", help="fine-tune over a grid, then make tables and plots")
    sweep.add_argument(
        "file", type=Path, help="YAML file: arguments of finetune, lists of values make the grid"
    )
    sweep.add_argument(
        "--output_dir", type=Path, required=True, help="gets a folder for every run, and tables"
    )
    sweep.add_argument("--jobs", type=int, help="runs at the same time; default: one for each GPU, or 1")
    sweep.add_argument("--dry_run", action="store_true", help="list the runs and how far they are")
    sweep.add_argument("--report_only", action="store_true", help="make tables and plots, run nothing")
    sweep.add_argument("--rerun_changed", action="store_true", help="repeat runs that had other arguments")
    sweep.add_argument(
        "--resume_runs", action="store_true", help="go on from checkpoints of interrupted runs"
    )


def _add_data(commands: argparse._SubParsersAction) -> None:
    data = commands.add_parser(
        "data", help="fetch public data sets, prepare text for pretraining"
    ).add_subparsers(dest="action", required=True, metavar="ACTION")
    data.add_parser("list", help="show what can be fetched")
    fetch = data.add_parser("fetch", help="fetch a data set from its home")
    fetch.add_argument("name", help="the data set: ud, sib200, uner …; `pixel-m4 data list` shows all")
    fetch.add_argument("names", nargs="*", help="parts of it, such as languages or treebanks")
    fetch.add_argument("--output_dir", type=Path, default=Path("data"), help="default: data")
    fetch.add_argument("--release", default="2.10", help="of Universal Dependencies; default: 2.10")
    fetch.add_argument("--mirror", help="URL that holds the same files as MIRROR/host/path")
    prepare = data.add_parser("prepare", help="pack a corpus into blocks, on one machine or on many")
    prepare.add_argument("--data_dir", type=Path, required=True, help="folder with <lang>.txt or <lang>/")
    prepare.add_argument("--output_dir", type=Path, required=True, help="folder for the shards")
    prepare.add_argument("--languages", nargs="+", help="default: all that there are")
    prepare.add_argument("--max_seq_length", type=int, default=529, help="patches of a block; default: 529")
    prepare.add_argument("--shards", type=int, help="of each language; default: one for each 64 MB")
    prepare.add_argument("--engine", choices=("local", "ray"), default="local", help="default: local")
    prepare.add_argument("--workers", type=int, default=1, help="shards written at a time; default: 1")
    prepare.add_argument("--font_file", type=Path, help="the font; default: GoNotoCurrent.ttf")
    prepare.add_argument("--fallback_fonts_dir", type=Path, help="folder with fallback fonts")


def _add_inference(commands: argparse._SubParsersAction) -> None:
    predict = commands.add_parser(
        "predict",
        help="annotate text with a fine-tuned model",
        description="Annotate raw text, or files in the task's format, with a fine-tuned model. A line of "
        "raw text is a sentence; words end at white space and at the word boundaries of Unicode (UAX 29), so "
        "that punctuation is split from them. Text in scripts without spaces, such as Chinese or Thai, is "
        "not cut into words.",
    )
    predict.add_argument("model", help="a model folder or a hub name")
    predict.add_argument(
        "file", nargs="?", help="text (plain, .gz, .xz, .bz2 or .zst); default or -: standard input"
    )
    predict.add_argument(
        "--output",
        type=Path,
        help="the file to write, compressed if its name ends in .gz, .xz, .bz2 or .zst; default: standard "
        "output",
    )
    predict.add_argument(
        "--input_format",
        choices=("auto", "text", "tokens", "columns"),
        default="auto",
        help="text: raw text, a sentence a line; tokens: text whose words already stand between spaces; "
        "columns: the task's own files, such as CoNLL-U; default: auto, what the first lines surely are",
    )
    predict.add_argument(
        "--skip_bad_rows",
        action="store_true",
        help="leave out sentences or rows that cannot be read, and tell how many and which; default: the "
        "first one is an error",
    )
    evaluate = commands.add_parser(
        "evaluate",
        help="score a fine-tuned model on other data",
        description="Score a fine-tuned model on other data. Options of its task, as "
        "`pixel-m4 finetune TASK --help` lists them, may follow; default: those that it was trained with.",
    )
    evaluate.add_argument("model", help="a model folder or a hub name")
    evaluate.add_argument("--data_dir", type=Path, help="folder of a data set")
    evaluate.add_argument(
        "--split",
        default="test",
        help="its split: train, dev, test (default), or a name such as validation_mismatched",
    )
    evaluate.add_argument("--file", type=Path, help="a single file of data instead")
    evaluate.add_argument("--output_dir", type=Path, help="gets eval_results.json and the predictions")
    for command in (predict, evaluate):
        command.add_argument("--overwrite", action="store_true", help="replace results that are there")
        command.add_argument("--task", help="the task, for models that do not say theirs")
        command.add_argument(
            "--per_device_eval_batch_size", type=int, default=32, help="texts of a batch; default: 32"
        )
        command.add_argument("--device", help="cpu, cuda, cuda:1, mps …; default: an accelerator if any")
        command.add_argument("--bf16", action="store_true", help="compute in bfloat16")
        command.add_argument("--font_file", help="the font; default: the model's")
        command.add_argument("--fallback_fonts_dir", help="folder with fallback fonts")
        command.add_argument("--renderer", help=RENDERER_HELP)
