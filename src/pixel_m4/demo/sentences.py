"""Sentences to search for the nearest ones, and the examples of the page.

Dimensions: N sentences, D width.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pixel_m4.analysis.retrieval import centred
from pixel_m4.analysis.states import PixelStates
from pixel_m4.files import DataError, read_lines
from pixel_m4.formats.conllu import read_conllu

MOST_SENTENCES = 5_000
_SPLITS = ("dev", "test")


class Example(NamedTuple):
    """A sentence in a language."""

    language: str
    text: str


# One sentence of everyday words in twelve scripts.
EXAMPLES = (
    Example("English", "My cat drinks warm milk in the morning."),
    Example("Ukrainian", "Моя кішка вранці п’є тепле молоко."),
    Example("Greek", "Η γάτα μου πίνει ζεστό γάλα το πρωί."),
    Example("Arabic", "قطتي تشرب الحليب الدافئ في الصباح."),
    Example("Hebrew", "החתולה שלי שותה חלב חם בבוקר."),
    Example("Hindi", "मेरी बिल्ली सुबह गरम दूध पीती है।"),
    Example("Bengali", "আমার বিড়াল সকালে গরম দুধ খায়।"),
    Example("Tamil", "என் பூனை காலையில் சூடான பால் குடிக்கிறது."),
    Example("Thai", "แมวของฉันดื่มนมอุ่นในตอนเช้า"),
    Example("Chinese", "我的猫早上喝热牛奶。"),
    Example("Korean", "내 고양이는 아침에 따뜻한 우유를 마신다."),
    Example("Amharic", "ድመቴ ጠዋት ሞቅ ያለ ወተት ትጠጣለች።"),
)


def read_sentences(file: Path | None, longest: int) -> list[Example]:
    """The sentences to search: those of a file, or of the embedded treebank and the examples.

    Args:
        file: A language, a tab and a sentence a line; None: the default.
        longest: Characters that a sentence may have; longer ones of the treebank are left out.

    Raises:
        DataError: A line is wrong, or there are too many; names file, line and value.
        OSError: The file cannot be read.
    """
    if file is None:
        with as_file(files("pixel_m4") / "assets" / "treebank") as folder:
            found = [
                Example((each.treebank or "").partition("-")[0], each.text)
                for split in _SPLITS
                for each in read_conllu(folder / f"{split}.conllu.gz")
            ]
        return [*EXAMPLES, *(each for each in found if len(each.text) <= longest)]
    sentences = []
    for number, line in enumerate(read_lines(file), 1):
        language, _, text = (part.strip() for part in line.partition("\t"))
        if not (language and text):
            raise DataError(
                f"{file}:{number}: write a language, a tab and a sentence, not {line.strip()[:60]!r}"
            )
        if len(text) > longest:
            raise DataError(
                f"{file}:{number}: the sentence has {len(text)} characters; {longest} are possible"
            )
        sentences.append(Example(language, text))
    if not 1 <= len(sentences) <= MOST_SENTENCES:
        raise DataError(f"{file} holds {len(sentences)} sentences; 1 to {MOST_SENTENCES:,} are possible")
    return sentences


class Searched:
    """Sentences with their vectors by one model, which are computed when first needed.

    Args:
        states: The model.
        sentences: N of them.
    """

    def __init__(self, states: PixelStates, sentences: Sequence[Example]) -> None:
        self.states = states
        self.sentences = sentences
        self._lock = threading.Lock()
        self._vectors: np.ndarray | None = None

    @property
    def vectors(self) -> np.ndarray:
        """float32 [N, D], the mean of the patches in the last layer."""
        with self._lock:
            if self._vectors is None:
                self._vectors = self.states.embed([each.text for each in self.sentences])[0]
            return self._vectors

    def nearest(self, text: str, count: int) -> list[tuple[Example, float]]:
        """The sentences whose vectors are nearest, itself left out: cosine after the mean is taken away."""
        vectors = self.vectors
        mean = vectors.astype(np.float64).mean(0)
        similar = centred(vectors, mean) @ centred(self.states.embed([text])[0], mean)[0]  # [N]
        order = [place for place in np.argsort(-similar).tolist() if self.sentences[place].text != text]
        return [(self.sentences[place], float(similar[place])) for place in order[:count]]
