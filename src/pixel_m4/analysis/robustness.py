"""Robustness: a fine-tuned model, trained on clean text, reads attacked words, or words in other fonts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixel_m4.analysis.attacked import (
    FONT_SIZE,
    FONT_SWAP,
    ExampleAttack,
    LookAlikes,
    RendererAttack,
    Shown,
    TextAttack,
    annotate,
    check_joinable,
    means_of,
    moved,
    other_fonts,
    other_sizes,
    words_of,
)
from pixel_m4.analysis.attacks import (
    ATTACKS,
    NATURAL_TYPO,
    SEGMENTATION,
    Means,
    attack,
    check_seed,
    check_strength,
)
from pixel_m4.analysis.extras import MissingLibrary
from pixel_m4.analysis.figures import COLOURS, FORMS, save
from pixel_m4.analysis.respellings import Spellings, read_typos
from pixel_m4.analysis.results import Results
from pixel_m4.analysis.states import Running
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.model import AnyModel
from pixel_m4.render import TextRenderer
from pixel_m4.render.fonts import find_font
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.classification import LabelledText
from pixel_m4.tasks.splits import evenly
from pixel_m4.tasks.text_input import TextInput

STRENGTHS = (0.0, 0.2, 0.5, 0.8)


@dataclass(frozen=True, kw_only=True)
class Attacks:
    """Which attacks, how strong, and what they need.

    Attributes:
        names: Of :data:`~pixel_m4.analysis.attacks.ATTACKS`, "segmentation", "font_swap", "font_size"; None:
            all that can be done.
        strengths: From 0, which changes nothing, to 1.
        seed: Of the attacks.
        look_alikes: Which ones confusables take, see :func:`~pixel_m4.analysis.attacked.means_of`.
        typos: A file of misspellings, see :func:`~pixel_m4.analysis.respellings.read_typos`.
        fonts: Font files for font_swap.
        font_sizes: In points, for font_size.
    """

    names: Sequence[str] | None = None
    strengths: Sequence[float] = STRENGTHS
    seed: int = 0
    look_alikes: LookAlikes = "all"
    typos: Path | None = None
    fonts: Sequence[Path] = ()
    font_sizes: Sequence[float] = ()

    def check(self) -> Spellings | None:
        """Tell what is wrong before a model is opened, and give the misspellings of the file.

        Raises:
            ValueError: A name, a strength, the seed, a font or the file of misspellings is no good, or an
                attack needs what is not there.
            OSError: The file of misspellings cannot be read.
        """
        check_seed(self.seed)
        for strength in self.strengths:
            check_strength(strength)
        for font in self.fonts:
            find_font(font)
        typos = None if self.typos is None else read_typos(self.typos)
        for name, given, option in (
            (NATURAL_TYPO, self.typos, "--typos"),
            (FONT_SWAP, self.fonts, "--fonts"),
            (FONT_SIZE, self.font_sizes, "--font_sizes"),
        ):
            if name in (self.names or ()) and not given:
                raise UserError(f"{name} needs {option}")
            if given and self.names and name not in self.names:
                raise UserError(
                    f"{option} is for the attack {name}, which --attacks leaves out; add it there"
                )
        for name in self.names or ():
            if name not in (*ATTACKS, SEGMENTATION, FONT_SWAP, FONT_SIZE):
                there = ", ".join((*ATTACKS, SEGMENTATION, FONT_SWAP, FONT_SIZE))
                raise UserError(f"there is no attack {name!r}; there are {there}")
            if name in ATTACKS:
                attack(["a"], name, 1, means=Means(typos=typos))  # a missing library is told
        return typos

    def prepare(
        self, renderer: TextInput, gold: Sequence[Any], typos: Spellings | None = None
    ) -> list[ExampleAttack]:
        """The attacks, ready for examples.

        Args:
            renderer: Of the model.
            gold: The examples.
            typos: What :meth:`check` gave.

        Raises:
            ValueError: An attack is not for these examples, or a font or its size is no good.
        """
        if SEGMENTATION in (self.names or ()):
            check_joinable(gold)
        means = means_of(renderer, self.look_alikes, typos)
        makers: dict[str, Callable[[TextRenderer], Sequence[TextRenderer]]] = {
            FONT_SWAP: lambda drawing: other_fonts(drawing, self.fonts),
            FONT_SIZE: lambda drawing: other_sizes(drawing, self.font_sizes),
        }
        prepared: list[ExampleAttack] = []
        for name in self.names or self._possible(gold, means):
            if name not in makers:
                prepared.append(TextAttack(name=name, renderer=renderer, means=means))
            elif isinstance(renderer, TextRenderer):
                prepared.append(RendererAttack(name=name, renderer=renderer, others=makers[name](renderer)))
            else:
                raise UserError(
                    f"{name} changes how text is drawn, and a text model draws none; leave it out"
                )
        return prepared

    def _possible(self, gold: Sequence[Any], means: Means) -> list[str]:
        """Names of all attacks that can be done; those for which a library is missing are told."""
        names = []
        for name in ATTACKS:
            if name == NATURAL_TYPO and means.typos is None:
                continue
            try:
                attack(["a"], name, 1, means=means)
                names.append(name)
            except MissingLibrary as error:
                plain_console(stderr=True).print(f"{name} is left out: {error}")
        if isinstance(gold[0], LabelledText):
            names.append(SEGMENTATION)
        return [*names, *([FONT_SWAP] if self.fonts else []), *([FONT_SIZE] if self.font_sizes else [])]


def score_attacked(
    task: Task,
    model: AnyModel,
    gold: Sequence[Any],
    attacks: Sequence[ExampleAttack],
    strengths: Sequence[float] = STRENGTHS,
    *,
    batch_size: int = 32,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Scores under attacks, a row an attack and strength; what is as it was is read once.

    Args:
        task: Of the model.
        model: In evaluation mode.
        gold: Annotated examples: sentences of words, or texts to classify.
        attacks: See :meth:`Attacks.prepare`.
        strengths: From 0 to 1.
        batch_size: Parts of sentences of a batch.
        seed: Of the attacks.
    """

    def score(shown: Shown) -> dict[str, float]:
        return task.score(shown.examples, annotate(task, model, shown, batch_size))

    before = Shown(list(gold), [task.renderer] * len(gold))
    clean = score(before)
    for change in attacks:
        for strength in strengths:
            after = change(gold, strength, seed)
            scores = clean if after == before else score(after)
            far = moved(before, after)
            yield {
                "attack": change.name,
                "strength": strength,
                "words_changed": round(far.words, 4),
                "patches_changed": round(far.patches, 4),
                "missing_glyphs": round(far.missing, 4),
                **{key: round(value, 2) for key, value in scores.items()},
            }


def draw_curves(rows: Sequence[Mapping[str, Any]], metric: str, path: Path) -> list[Path]:
    """Write a curve an attack as ``path`` with .png and .svg.

    Raises:
        ImportError: matplotlib, of the extra ``plots``, is not there.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(dict.fromkeys(row["attack"] for row in rows)):
        chosen = sorted((row["strength"], row[metric]) for row in rows if row["attack"] == name)
        form, colour = FORMS[number % len(FORMS)], COLOURS[number % len(COLOURS)]
        axes.plot(*zip(*chosen, strict=True), marker=form, color=colour, label=name)
    axes.set_xlabel("strength")
    axes.set_ylabel(metric)
    axes.legend(fontsize="small")
    return save(figure, path)


def analyze_robustness(
    model: str,
    data: Path,
    output_dir: Path,
    *,
    split: str = "test",
    attacks: Attacks = Attacks(),
    sentences: int | None = None,
    running: Running = Running(),
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Score a fine-tuned model on attacked examples, and write ``robustness.csv``, .png and .svg.

    Args:
        model: A model fine-tuned for words (a parser, a tagger, or of named entities) or to classify texts.
        data: A file with annotation, or the folder of a data set.
        output_dir: Gets the table and the settings.
        split: Of a folder.
        attacks: Which, how strong, and what they need.
        sentences: Evenly taken, so many at most; None: all.
        running: Where and how the model runs.
        overwrite: Replace the results of an earlier analysis.

    Returns:
        The rows of the table: an attack and strength each

    Raises:
        ValueError: The data, the model or a setting is no good, or there are results already.
        OSError: A file cannot be read or written.
    """
    results = Results(output_dir, "robustness", overwrite)
    typos = attacks.check()
    if sentences is not None and sentences < 1:
        raise UserError(f"--sentences must be at least 1, got {sentences}")
    task, network = running.task(model)
    gold = task.read_other(data, split)
    words_of(gold[0])  # what has none is told
    gold = evenly(gold, sentences)
    prepared = attacks.prepare(task.renderer, gold, typos)
    metric = task.best_metric
    console = plain_console()
    places = "patches" if isinstance(task.renderer, TextRenderer) else "sub-words"
    rows: list[dict[str, Any]] = []
    for row in score_attacked(
        task, network, gold, prepared, attacks.strengths, batch_size=running.batch_size, seed=attacks.seed
    ):
        rows.append(row)
        words, patches, missing = (
            f"{100 * row[what]:.0f} %" for what in ("words_changed", "patches_changed", "missing_glyphs")
        )
        lost = f", {missing} of characters without a glyph" if row["missing_glyphs"] else ""
        console.print(
            f"{row['attack']:25} {row['strength']:4g}: {metric} {row[metric]:5.1f}, "
            f"{words} of words and {patches} of {places} changed{lost}"
        )
    results.draw(draw_curves, rows, metric)
    settings = {
        "model": model,
        "data": str(data),
        "split": split if data.is_dir() else None,
        "sentences": len(gold),
        **asdict(attacks),
        "names": [change.name for change in prepared],
        "typos": None if attacks.typos is None else str(attacks.typos),
        "fonts": [str(font) for font in attacks.fonts],
    }
    results.write(rows, settings)
    return rows
