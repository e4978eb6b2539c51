"""The quickstart: teach the shipped parser new languages in a minute, show what it does, write a report.

Its recipe was chosen on dev, within two minutes of a core without AVX-512 and bfloat16: docs/log.md.
"""

from __future__ import annotations

import html
import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from operator import eq
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers import TrainingArguments
from transformers.utils import logging as transformers_logging

from pixel_m4.checkpoint import open_task
from pixel_m4.console.screen import plain_console
from pixel_m4.files import replacing
from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.finetune.run import finetune
from pixel_m4.formats.conllu import Sentence
from pixel_m4.model import PixelForBiaffineParsing
from pixel_m4.render import TextRenderer
from pixel_m4.render.images import data_url, picture
from pixel_m4.tasks.parsing import Parsed, Parsing
from pixel_m4.tasks.trees import draw_tree, tree_svg
from pixel_m4.training.progress import Course
from pixel_m4.training.records import RUN

SAME_SENTENCE = {
    "English": "My cat loves oatmeal.",
    "Hindi": "मेरी बिल्ली को दलिया पसंद है।",
    "Ukrainian": "Моя кішка любить вівсянку.",
    "Simplified Chinese": "我的猫喜欢燕麦片。",
}
_EMBEDDED = "four languages that it has never seen, 806 sentences together (embedded in the package)"
_REPORT = "report.html"
_CHECKPOINT = "pixel-m4-ud"  # comes with the package
_STEPS = 300
_SCORES = {"upos": "UPOS", "uas_mst": "UAS", "las_mst": "LAS"}


@dataclass(frozen=True)
class Comparison:
    """The parser before and after training, on the test sentences of a language or on all.

    Args:
        sentences: how many there are.
        before: scores in percent, by name.
        after: the same after training.
    """

    sentences: int
    before: Mapping[str, float]
    after: Mapping[str, float]

    def cells(self) -> list[str]:
        """The number of sentences, then each score before and after."""
        scores = [f"{self.before[name]:.1f} → {self.after[name]:.1f}" for name in _SCORES]
        return [f"{self.sentences}", *scores]


def run(data_dir: Path | None, output_dir: Path, max_steps: int | None = None) -> dict[str, Comparison]:
    """Teach the shipped parser a treebank, print scores before and after and a parse, write a report.

    Args:
        data_dir: folder of the treebank, with parts of speech; default the embedded one, of four languages.
        output_dir: gets the parser and the report.
        max_steps: of training; default such that it takes about a minute.

    Returns:
        Scores on test by language, and of "all".

    Raises:
        ValueError: the treebank is wrong.
    """
    console = plain_console(soft_wrap=False)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    what = _EMBEDDED if data_dir is None else str(data_dir)
    title = ("pixel-m4 quickstart", "bold")
    console.print(Text.assemble(title, f": {_CHECKPOINT}, a tagger and parser, learns {what}."))
    with as_file(files("pixel_m4") / "assets" / "treebank") as embedded:
        folder = data_dir or embedded
        task, model = _open(_CHECKPOINT)
        gold = task.read(folder, "test")
        before = task.annotate(model, gold)
        started = time.monotonic()
        with Course(console) as course:
            arguments = _arguments(folder, output_dir, max_steps or _STEPS)
            if arguments[0].overwrite_output_dir:
                (output_dir / _REPORT).unlink()  # so that a run that is stopped goes on
            results = finetune(Parsing, *arguments, callbacks=[course], quiet=True)
        minutes = (time.monotonic() - started) / 60
    task, model = _open(output_dir)
    after = task.annotate(model, gold)
    scores = _compare(task, gold, before, after)
    _print_scores(console, scores, what, minutes)
    shown = _choose(gold)
    first = shown[0]
    console.print(f"\nA held-out sentence as the parser sees it now: {gold[first].text}\n")
    console.print(_draw(after[first].tree), soft_wrap=True)
    report = output_dir / _REPORT
    assert isinstance(task.renderer, TextRenderer)
    with replacing(report) as scratch:
        trees = [(gold[i], before[i], after[i]) for i in shown]
        scratch.write_text(_report(task.renderer, what, scores, results, trees), encoding="utf-8")
    console.print(f"\nReport with pictures: {report}", soft_wrap=True)
    console.print(f'The parser is in {output_dir}: echo "…" | pixel-m4 predict {output_dir}', soft_wrap=True)
    return scores


def _open(model: str | Path) -> tuple[Parsing, PixelForBiaffineParsing]:
    task, opened = open_task(model)
    assert isinstance(task, Parsing)
    assert isinstance(opened, PixelForBiaffineParsing)
    return task, opened


def _arguments(
    data_dir: Path, output_dir: Path, max_steps: int
) -> tuple[FinetuneArguments, TrainingArguments]:
    task = FinetuneArguments(
        data_dir=str(data_dir),
        model_name_or_path=_CHECKPOINT,
        dropout_prob=0.0,
        max_seq_length=256,
        early_stopping_patience=0,
        # An earlier quickstart, and nothing else.
        overwrite_output_dir=all((output_dir / name).is_file() for name in (_REPORT, RUN)),
    )
    interval = max(1, max_steps // 3)
    training = TrainingArguments(
        output_dir=str(output_dir),
        do_train=True,
        do_eval=True,
        max_steps=max_steps,
        learning_rate=1e-3,
        warmup_steps=min(100, max_steps // 10),
        per_device_train_batch_size=16,
        per_device_eval_batch_size=64,
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=Parsing.metric,
        logging_steps=50,
        remove_unused_columns=False,
        train_sampling_strategy="random",
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    return task, training


def _compare(
    task: Parsing, gold: Sequence[Sentence], before: Sequence[Parsed], after: Sequence[Parsed]
) -> dict[str, Comparison]:
    """Scores for each treebank of a mixture, by its language, and for all sentences."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for number, sentence in enumerate(gold):
        if language := _language(sentence):
            groups[language].append(number)
    groups["all"] = list(range(len(gold)))
    return {
        name: Comparison(
            len(numbers),
            *(
                task.score([gold[i] for i in numbers], [parsed[i] for i in numbers])
                for parsed in (before, after)
            ),
        )
        for name, numbers in groups.items()
    }


def _language(sentence: Sentence) -> str:
    return (sentence.treebank or "").partition("-")[0].replace("_", " ")


def _choose(gold: Sequence[Sentence]) -> list[int]:
    """One sentence a language, of a length that is good to look at."""
    best: dict[str, int] = {}
    for number, sentence in enumerate(gold):
        language = _language(sentence)
        if language not in best or abs(len(sentence.words) - 9) < abs(len(gold[best[language]].words) - 9):
            best[language] = number
    return list(best.values())


def _print_scores(console: Console, scores: Mapping[str, Comparison], what: str, minutes: float) -> None:
    title = f"Held-out sentences of {what}: before → after {minutes:.1f} minutes of training"
    table = Table(title=title, title_justify="left", min_width=70)
    for column in ("", "sentences", *_SCORES.values()):
        table.add_column(column, justify="right" if column else "left")
    for name, score in scores.items():
        table.add_row(name, *score.cells())
    console.print(table)


def _draw(sentence: Sentence) -> str:
    return draw_tree(sentence.words, sentence.heads, sentence.deprels)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>pixel-m4 quickstart</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
img {{ image-rendering: pixelated; max-width: 100%; display: block; margin: .3rem 0 1rem; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .2rem .8rem; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }} figure {{ margin: 1.5rem 0; overflow-x: auto; }}
</style></head><body>
<h1>A parser that reads pixels</h1>
<p>{checkpoint} learned {what}: {parameters:,} parameters, {steps:,} steps.</p>
<h2>What the model sees</h2>
<p>The same sentence in four languages, as strips of 16 × 16 pixel patches: two characters a unit, a word
(blue mark) always begins a new patch, a black patch ends the text.</p>
{strips}
<h2>Held-out sentences</h2>
<p>Scores before and after training.</p>
<table><tr><th></th><th>sentences</th>{columns}</tr>{rows}</table>
<h2>Parses</h2>
{trees}
</body></html>
"""


def _report(
    renderer: TextRenderer,
    what: str,
    scores: Mapping[str, Comparison],
    results: Mapping[str, float],
    shown: Sequence[tuple[Sentence, Parsed, Parsed]],
) -> str:
    strips = "\n".join(
        f"<p>{language}: {html.escape(text)}</p>{_image(renderer, text)}"
        for language, text in SAME_SENTENCE.items()
    )
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td>{''.join(f'<td>{cell}</td>' for cell in score.cells())}</tr>"
        for name, score in scores.items()
    )
    trees = "\n".join(
        f"<figure>{tree_svg(after.tree.words, after.tree.heads, after.tree.deprels)}"
        f"<figcaption>{html.escape(_language(gold))} {_correct(gold, before, after)}</figcaption></figure>"
        for gold, before, after in shown
    )
    return _PAGE.format(
        what=html.escape(what),
        checkpoint=_CHECKPOINT,
        parameters=int(results["train_parameters"]),
        steps=int(results["train_steps"]),
        strips=strips,
        columns="".join(f"<th>{name}</th>" for name in _SCORES.values()),
        rows=rows,
        trees=trees,
    )


def _image(renderer: TextRenderer, text: str) -> str:
    picture_url = data_url(picture(renderer(text), scale=2))
    return f'<img alt="{html.escape(text)}" src="{picture_url}">'


def _correct(gold: Sentence, before: Parsed, after: Parsed) -> str:
    right = [sum(map(eq, gold.heads, parsed.tree.heads)) for parsed in (before, after)]
    return f"({right[1]} of {len(gold.words)} heads as in the gold tree; {right[0]} before training)"
