"""Plain baselines on the splits of our tasks, as one Markdown table: what a pixel model has to beat.

python benchmarks/baselines.py {parsing,pos,ner,classification,qa} --data_dir DIR [DIR …]
python benchmarks/baselines.py ner --data_file FILE [--split_seed 0]

- all: ``majority``, as in ``test_baseline_*`` of our runs: the most frequent label (of the form), the left
  neighbour, the first words of the context.
- pos, ner: a linear classifier of each word by itself, on character n-grams of the word and its neighbours.
- classification: character n-gram TF-IDF and logistic regression (ridge regression for numbers).
- parsing: a BiLSTM with biaffine attention (Dozat & Manning 2017) over hashed character n-grams of the words,
  trained from nothing for ``--seconds`` of CPU time, scored like ours.
- qa: the words of the context, as many as training answers have, around which most of the question stands.

What is free in a method is chosen on dev; test is looked at once.  The data are read by the tasks themselves.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import regex
from scipy.sparse import hstack
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier

from bilstm_parser import ngrams, train_and_parse
from pixel_m4 import TextRenderer
from pixel_m4.analysis.attacked import LookAlikes, attacked, means_of
from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.finetune.run import read_splits
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.classification import Classification, LabelledText, TextPrediction
from pixel_m4.tasks.registry import TASKS
from pixel_m4.tasks.words import WordLabels

SPLITS = ("train", "dev", "test")
COLUMNS = {
    "parsing": ("las", "uas"),
    "pos": ("accuracy",),
    "ner": ("f1", "precision", "recall"),
    "classification": ("f1", "accuracy", "matthews", "pearson", "spearman"),
    "qa": ("exact_match", "f1"),
}

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"

Data = dict[str, list[Any]]


def best(task: Task, candidates: Iterator[tuple[Any, dict[str, float]]]) -> Any:
    """Of models with their scores on dev the best one."""
    return max(candidates, key=lambda pair: pair[1][task.best_metric])[0]


# --- Words --------------------------------------------------------------------------------------------------


def features(words: Sequence[str], at: int) -> list[str]:
    """Names of what is seen at a word: its n-grams and shape, and forms and ends of the four around it."""
    word = words[at]
    found = [f"n {gram}" for gram in ngrams(word.lower(), 5)]
    found += [f"w {word}", f"upper {word[:1].isupper()} {word.isupper()}", f"first {at == 0}"]
    found.append(f"kind {word.isalpha()} {word.isdigit()} {any(map(str.isdigit, word))}")
    for offset in (-2, -1, 1, 2):
        other = words[at + offset].lower() if 0 <= at + offset < len(words) else "^$"
        found += [f"{offset} {other}", f"{offset} - {other[-3:]}", f"{offset} {other[:3]} -"]
    around = [words[i].lower() if 0 <= i < len(words) else "" for i in (at - 1, at + 1)]
    found += [f"pair {around[0]} {word.lower()}", f"pair {word.lower()} {around[1]}"]
    return found


def label_words(task: WordLabels, data: Data) -> list[Any]:
    """Predictions for test of the linear classifier with the best of three regularisations."""
    hasher = FeatureHasher(2**20, input_type="string", alternate_sign=False)
    seen = {
        split: hasher.transform(features(s.words, i) for s in data[split] for i in range(len(s.words)))
        for split in SPLITS
    }
    targets = [tag for sentence in data["train"] for tag in task.tags(sentence)]

    def predict(model: SGDClassifier, split: str) -> list[Any]:
        tags = iter(model.predict(seen[split]).tolist())
        return [task.tagged(sentence, [next(tags) for _ in sentence.words]) for sentence in data[split]]

    def candidates() -> Iterator[tuple[SGDClassifier, dict[str, float]]]:
        for alpha in (1e-6, 3e-6, 1e-5):
            model = SGDClassifier(alpha=alpha, max_iter=10, tol=None, average=True, random_state=0)
            model.fit(seen["train"], targets)
            yield model, task.score(data["dev"], predict(model, "dev"))

    return predict(best(task, candidates()), "test")


# --- Texts --------------------------------------------------------------------------------------------------


def classify_texts(task: Classification, data: Data) -> list[TextPrediction]:
    """Predictions for test of logistic or ridge regression with the best of some regularisations."""
    sides = ("text", "pair") if data["train"][0].pair is not None else ("text",)
    vectorizers = [TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True) for _ in sides]

    def texts(split: str, side: str) -> list[str]:
        return [getattr(example, side) for example in data[split]]

    seen: dict[str, Any] = {}
    for split in SPLITS:
        parts = [
            (v.fit_transform if split == "train" else v.transform)(texts(split, side))
            for v, side in zip(vectorizers, sides, strict=True)
        ]
        seen[split] = hstack(parts).tocsr()
    targets = [float(e.label) if task.regression else e.label for e in data["train"]]

    def predict(model: Any, split: str) -> list[TextPrediction]:
        guessed = model.predict(seen[split]).tolist()
        return [prediction(task, *pair) for pair in zip(data[split], guessed, strict=True)]

    def candidates() -> Iterator[tuple[Any, dict[str, float]]]:
        for strength in (0.1, 1.0, 10.0, 100.0):
            model = Ridge(alpha=1 / strength) if task.regression else LogisticRegression(C=strength)
            model.fit(seen["train"], targets)
            yield model, task.score(data["dev"], predict(model, "dev"))

    return predict(best(task, candidates()), "test")


def prediction(task: Classification, example: LabelledText, guessed: Any) -> TextPrediction:
    label, score = (None, guessed) if task.regression else (guessed, None)
    return TextPrediction(text=example.text, pair=example.pair, label=label, probabilities={}, score=score)


# --- Questions ----------------------------------------------------------------------------------------------


def answer_questions(task: Any, data: Data) -> list[Any]:
    """For every test question the stretch of the context with most of its n-grams around, not inside."""
    from statistics import median

    from pixel_m4.tasks.qa import QAPrediction

    lengths = [len(units(q.answers[0].text)) for q in data["train"] if q.answers]

    def predict(split: str, length: int, reach: int) -> list[Any]:
        found = []
        for q in data[split]:
            text, start = overlap(q.question, q.context, length, reach)
            found.append(QAPrediction(id=q.id, question=q.question, answer=text, start=start, score=0.0))
        return found

    typical = max(1, int(median(lengths)))
    settings = [(length, reach) for length in sorted({1, 2, typical, 2 * typical}) for reach in (3, 8, 15)]
    chosen = best(task, ((s, task.score(data["dev"], predict("dev", *s))) for s in settings))
    return predict("test", *chosen)


def overlap(question: str, context: str, length: int, reach: int) -> tuple[str, int]:
    """The ``length`` words with the highest overlap with the question within ``reach`` words of them.

    Words that stand in the question themselves count against a stretch: the answer is what was not said.
    """
    found = units(context)
    words = [context[start:end] for start, end in found]
    asked = {gram for start, end in units(question) for gram in trigrams(question[start:end].lower())}
    # Each word's share of trigrams that the question has, long words counting more.
    match = np.array([sum(g in asked for g in trigrams(w.lower())) / 3 for w in words], dtype=float)
    total = np.concatenate([[0.0], match.cumsum()])

    def inside(first: int) -> float:
        last = min(first + length, len(words))
        own = total[last] - total[first]
        return total[min(last + reach, len(words))] - total[max(first - reach, 0)] - 3 * own

    first = max(range(max(1, len(words) - length + 1)), key=inside)
    last = min(first + length, len(words)) - 1
    return context[found[first][0] : found[last][1]], found[first][0]


def units(text: str) -> list[tuple[int, int]]:
    """First and last character (exclusive) of every word, or letter of a script without spaces."""
    return [match.span() for match in regex.finditer(rf"[{UNSPACED}]\p{{M}}*|[^\s{UNSPACED}]+", text)]


def trigrams(word: str) -> list[str]:
    text = f"^{word}$"
    return [text[i : i + 3] for i in range(max(1, len(text) - 2))]


# --- The table ----------------------------------------------------------------------------------------------


def methods(name: str, seconds: float) -> tuple[str, Callable[[Any, Data], list[Any]]]:
    """The baseline of a task that looks at the text, and its name."""
    if name == "parsing":
        return f"BiLSTM biaffine, {seconds:.0f} s", lambda task, data: train_and_parse(task, data, seconds)
    if name == "classification":
        return "n-gram TF-IDF", classify_texts
    if name == "qa":
        return "n-gram overlap", answer_questions
    return "n-gram linear", label_words


def rows(
    name: str,
    arguments: FinetuneArguments,
    options: Any,
    seconds: float,
    attacks: Sequence[tuple[str, float]],
    look_alikes: Sequence[LookAlikes] = ("all",),
) -> Iterator[str]:
    task: Task = TASKS[name](TextRenderer(max_seq_length=256), options=options)
    data = read_splits(task, arguments, SPLITS)
    source = Path(arguments.data_file or arguments.data_dir or "").name
    if getattr(options, "language", None):
        source += f" {options.language}"
    sizes = "/".join(str(len(data[split])) for split in SPLITS)
    label, method = methods(name, seconds)
    scores = {"majority": task.baseline(data["train"], data["test"])}
    tests = {label: data["test"]}
    for attack, p in attacks:
        for which in look_alikes if attack.startswith("confusable") else look_alikes[:1]:
            means = means_of(task.renderer, which)
            kind = f" {which}" if attack.startswith("confusable") else ""
            tests[f"{label}, {attack}{kind} {p:g}"] = attacked(data["test"], attack, p, means=means)
    predictions = iter(method(task, {**data, "test": [each for test in tests.values() for each in test]}))
    for which, test in tests.items():
        scores[which] = task.score(test, [next(predictions) for _ in test])
    for which, values in scores.items():
        cells = [f"{values[key]:.1f}" if key in values else "" for key in COLUMNS[name]]
        yield f"| {source} | {sizes} | {which} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=[name for name in COLUMNS if name in TASKS])
    sources = parser.add_mutually_exclusive_group(required=True)
    sources.add_argument("--data_dir", nargs="+", help="folders of data sets")
    sources.add_argument("--data_file", nargs="+", help="data sets of one file, divided as in training")
    parser.add_argument("--language", nargs="+", default=[None], help="folders of languages in data_dir")
    parser.add_argument("--split_seed", type=int, default=0, help="seed by which a single file is divided")
    parser.add_argument("--seconds", type=float, default=90, help="CPU time of training the parser")
    parser.add_argument(
        "--attacks",
        nargs="+",
        default=[],
        help="also score test sentences whose words are attacked as by `pixel-m4 analyze robustness`: names; "
        "not for qa",
    )
    parser.add_argument(
        "--look_alikes",
        nargs="+",
        choices=("all", "drawable", "identical"),
        default=["all"],
        help="which ones confusable takes: all (default), or by the default font of pixel-m4",
    )
    parser.add_argument(
        "--strengths", type=float, nargs="+", default=[0.5], help="of the attacks; default: 0.5"
    )
    known = parser.parse_args()
    attacks = [(name, strength) for name in known.attacks for strength in known.strengths]
    if attacks and known.task == "qa":
        parser.error("attacks are not for qa, whose answers are places in the text")
    columns = COLUMNS[known.task]
    print(f"| data | train/dev/test | baseline | {' | '.join(columns)} |")
    print("|---|---|---|" + "---:|" * len(columns))
    key = "data_dir" if known.data_dir else "data_file"
    for place in known.data_dir or known.data_file:
        arguments = FinetuneArguments(**{key: place}, split_seed=known.split_seed)
        for language in known.language:
            options_class = TASKS[known.task].options_class
            options = options_class(**({"language": language} if language else {}))
            for row in rows(known.task, arguments, options, known.seconds, attacks, known.look_alikes):
                print(row, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
