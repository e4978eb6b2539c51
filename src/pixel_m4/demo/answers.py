"""The answers of the API, a text at a time: what is asked (checked by its schema) → what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pixel_m4.analysis.attacked import Shown, moved
from pixel_m4.analysis.attacks import SEGMENTATION, attack, join_words
from pixel_m4.console.errors import UserError
from pixel_m4.demo import predictions
from pixel_m4.demo.models import PHONETIC, Models
from pixel_m4.demo.sentences import Example, Searched
from pixel_m4.demo.strips import drawn, png
from pixel_m4.fill.hiding import Hiding
from pixel_m4.fill.run import as_json, fill
from pixel_m4.formats.segment import segment
from pixel_m4.tasks.classification import LabelledText

Asked = Mapping[str, Any]


class Answers:
    """Everything that the server can be asked about a text; called from several threads.

    Args:
        models: The models.
        sentences: Those to search for the nearest ones.
    """

    def __init__(self, models: Models, sentences: list[Example]) -> None:
        self.models = models
        self.sentences = sentences
        self._searched = {name: Searched(model.states, sentences) for name, model in models.served.items()}

    def warm_up(self) -> None:
        """Do once what would make the first answers slow, such as the vectors of the sentences."""
        for searched in self._searched.values():
            searched.nearest("a", 1)
        for name in self.models.names(decode=True):
            self.fill("Ab", {"model": name, "patches": [0], "read": True, "top": 1, "rtl": False})
        for name in self.models.names(annotate=True):
            predictions.predict(self.models.served[name], "a")
        if PHONETIC in self.models.attacks:
            attack(["a"], PHONETIC, 1)

    def render(self, text: str, asked: Asked) -> dict[str, Any]:
        """What a model sees."""
        return drawn(self.models.renderer(asked["model"], asked["strategy"]), text, asked["rtl"] or None)

    def predict(self, text: str, asked: Asked) -> dict[str, Any]:
        """What a fine-tuned model says."""
        return predictions.predict(self.models.served[asked["model"]], text)

    def saliency(self, text: str, asked: Asked) -> dict[str, Any]:
        """What a decision rests on."""
        model = self.models.served[asked["model"]]
        return predictions.saliency(model, text, asked["method"], asked["decision"])

    def fill(self, text: str, asked: Asked) -> dict[str, Any]:
        """What a pretrained model paints in the place of hidden patches, and how that reads."""
        model = self.models.served[asked["model"]]
        assert model.decoder is not None
        reads = asked["read"] and model.renderer.strategy != "continuous"
        filled = fill(
            model.decoder,
            model.renderer,
            text,
            Hiding(patches=asked["patches"]),
            rtl=asked["rtl"],
            reader=self.models.reader(model, text) if reads else None,
            top=asked["top"],
            read=reads,
        )
        names = ("original", "masked", "reconstructed")
        return {
            **as_json(filled),
            "patches": len(filled.mask),
            **{name: png(strip) for name, strip in zip(names, filled.strips, strict=True)},
        }

    def attack(self, text: str, asked: Asked) -> dict[str, Any]:
        """An attacked text, and how far the attack goes in the eyes of a model."""
        how = asked["attack"], asked["strength"], asked["seed"]
        changed = join_words([text], *how[1:])[0] if how[0] == SEGMENTATION else attack_words(text, *how)
        before, after = ([LabelledText(place="the text", text=each)] for each in (text, changed))
        renderer = self.models.served[asked["model"]].renderer
        change = moved(Shown(before, [renderer]), Shown(after, [renderer]))
        return {"text": changed, **change._asdict()}

    def embed(self, text: str, asked: Asked) -> dict[str, Any]:
        """The vector of a text."""
        states = self.models.served[asked["model"]].states
        vector = states.embed([text], [asked["layer"]], asked["pooling"])[0, 0]
        return {"vector": [float(value) for value in np.round(vector, 6)]}

    def nearest(self, text: str, asked: Asked) -> dict[str, Any]:
        """The nearest sentences."""
        found = self._searched[asked["model"]].nearest(text, asked["count"])
        return {
            "sentences": [
                {"language": each.language, "text": each.text, "similarity": round(similarity, 4)}
                for each, similarity in found
            ]
        }


def attack_words(text: str, name: str, strength: float, seed: int) -> str:
    """Attack the words of a text as tasks cut it: punctuation stays where it is, and so does white space."""
    words = [each.word for each in segment(text)]
    changed, end = "", 0
    for span, word in zip(
        predictions.word_spans(text, words), attack(words, name, strength, seed), strict=True
    ):
        assert span is not None
        changed, end = changed + text[end : span[0]] + word, span[1]
    return changed + text[end:]


def check_text(text: str) -> None:
    """Refuse what no model can be asked about.

    Raises:
        UserError: The text is blank, or holds half of a surrogate pair, which is no character.
    """
    if not text.strip():
        raise UserError("a text is blank; write something, or leave it out")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise UserError("a text holds half of a surrogate pair, which is no character; leave it out")
