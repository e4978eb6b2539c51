"""What the API takes and gives, as JSON Schema: requests are checked by it, and OpenAPI documents show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from pixel_m4.analysis.states import POOLINGS
from pixel_m4.console.errors import UserError
from pixel_m4.demo.answers import Answers
from pixel_m4.demo.models import Models
from pixel_m4.render.strategies import STRATEGIES
from pixel_m4.version import __version__

MOST_TEXTS = 32  # of a request
LONGEST = 1_000  # characters of a text
LONGEST_EXPLAINED = 200  # for saliency, which may read a text once a patch

Schema = dict[str, Any]
_SHOWN = 200  # characters of a complaint


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One thing to ask.

    Attributes:
        name: Last part of its path.
        summary: What it does.
        request: Schema of the request, an object with ``texts`` and options with defaults.
        answer: Schema of the answer to one text.
        call: Answers for one text.
    """

    name: str
    summary: str
    request: Schema
    answer: Schema
    call: Callable[[str, Mapping[str, Any]], dict[str, Any]]

    def checked(self, asked: Any) -> dict[str, Any]:
        """A request with its defaults.

        Raises:
            UserError: It is not as the schema says; names the place.
        """
        error = next(Draft202012Validator(self.request).iter_errors(asked), None)
        if error is not None:
            message = error.message if len(error.message) <= _SHOWN else f"{error.message[:_SHOWN]} …"
            raise UserError(f"{error.json_path.removeprefix('$').lstrip('.') or 'the request'}: {message}")
        defaults = {
            name: option["default"]
            for name, option in self.request["properties"].items()
            if "default" in option
        }
        return {**defaults, **asked}


def _object(required: bool = True, **properties: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(properties)} if required else found


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "null"}]}


_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_TRUTH: Schema = {"type": "boolean"}
_SPAN: Schema = {**_array(_COUNT), "minItems": 2, "maxItems": 2, "description": "[start, end)"}
_PNG: Schema = {
    "type": "string",
    "contentEncoding": "base64",
    "contentMediaType": "image/png",
    "description": "the patches side by side, 16 pixels high, the last black one included",
}
_RTL: Schema = {**_TRUTH, "default": False, "description": "draw right-to-left even if it does not look so"}
STRIP = _object(
    text={**_TEXT, "description": "what is drawn; characters are code points of it"},
    png=_PNG,
    patches={**_COUNT, "description": "how many, the last black one included"},
    rtl={**_TRUTH, "description": "whether the words run right-to-left"},
    patch_chars={**_array(_or_null(_SPAN)), "description": "the characters that each patch shows"},
    patch_word={**_array(_or_null(_COUNT)), "description": "the number of the word that each patch shows"},
    char_patches={**_array(_or_null(_SPAN)), "description": "the patches that each character takes"},
    word_starts={**_array(_COUNT), "description": "patches where words start"},
    black={**_array(_COUNT), "description": "patches that are black"},
    missing={**_array(_COUNT), "description": "characters that no font has"},
    cut={**_array(_COUNT), "description": "characters that are not drawn"},
)
PREDICTION: Schema = {
    "type": "object",
    "required": ["task", "strip"],
    "additionalProperties": False,
    "properties": {
        "task": _TEXT,
        "strip": STRIP,
        "words": _array(_TEXT),
        "word_chars": {**_array(_or_null(_SPAN)), "description": "characters of the text, word by word"},
        "heads": {**_array(_COUNT), "description": "the number of each word's head from 1; 0 is the root"},
        "relations": _array(_TEXT),
        "upos": {**_array(_TEXT), "description": "universal parts of speech"},
        "tags": {**_array(_TEXT), "description": "entities in IOB2"},
        "entities": _array(_object(words=_SPAN, label=_TEXT)),
        "label": _or_null(_TEXT),
        "probabilities": {"type": "object", "additionalProperties": _NUMBER},
        "score": _or_null(_NUMBER),
    },
}
SALIENCY = _object(
    decisions={**_array(_TEXT), "description": "what the model says"},
    decision=_COUNT,
    about_word=_or_null(_COUNT),
    score={**_NUMBER, "description": "how far the decision is above the mean of its alternatives, a logit"},
    words=_array(_TEXT),
    word_relevance={**_array(_NUMBER), "description": "the sum over the patches of each word"},
    relevance={**_array(_NUMBER), "description": "of each patch, -1 to 1: the strongest one is 1 or -1"},
    strip=STRIP,
)
FILLED = _object(
    text=_TEXT,
    filled={**_TEXT, "description": "with the most likely reading in every gap"},
    loss={**_or_null(_NUMBER), "description": "the pretraining loss of the hidden patches"},
    masked_patches=_array(_COUNT),
    patches=_COUNT,
    gaps=_array(
        _object(
            patches=_SPAN,
            chars=_SPAN,
            truth=_or_null(_TEXT),
            readings=_array(_object(text=_TEXT, units=_array(_TEXT), probability=_NUMBER, distance=_NUMBER)),
        )
    ),
    original=_PNG,
    masked=_PNG,
    reconstructed=_PNG,
)


def _request(names: list[str], longest: int = LONGEST, **options: Schema) -> Schema:
    text = {"type": "string", "minLength": 1, "maxLength": longest}
    return {
        "type": "object",
        "required": ["texts"],
        "additionalProperties": False,
        "properties": {
            "texts": {**_array(text), "minItems": 1, "maxItems": MOST_TEXTS},
            "model": {"type": "string", "enum": names, "default": names[0]},
            **options,
        },
    }


def endpoints(models: Models, answers: Answers) -> list[Endpoint]:
    """Everything that can be asked of these models."""
    strategy = {"enum": [None, *STRATEGIES], "default": None, "description": "null: the model's own"}
    found = [
        Endpoint(
            name="render",
            summary="Draw texts as a model sees them",
            request=_request(models.names(), strategy=strategy, rtl=_RTL),
            answer=STRIP,
            call=answers.render,
        ),
        Endpoint(
            name="embed",
            summary="Make a vector of each text",
            request=_request(
                models.names(),
                layer={
                    "type": "integer",
                    "default": -1,
                    "minimum": -100,
                    "maximum": 100,
                    "description": "0 are the embeddings, -1 is the last layer",
                },
                pooling={"type": "string", "enum": list(POOLINGS), "default": "mean"},
            ),
            answer=_object(vector=_array(_NUMBER)),
            call=answers.embed,
        ),
        Endpoint(
            name="attack",
            summary="Misspell texts",
            request=_request(
                models.names(),
                attack={"type": "string", "enum": models.attacks, "default": models.attacks[0]},
                strength={"type": "number", "minimum": 0, "maximum": 1, "default": 0.5},
                seed={**_COUNT, "maximum": 2**32 - 1, "default": 0},
            ),
            answer=_object(
                text=_TEXT,
                words={**_NUMBER, "description": "the share of words that are changed"},
                patches={**_NUMBER, "description": "the share of patches that differ"},
                missing={**_NUMBER, "description": "the share of characters drawn as missing glyphs"},
            ),
            call=answers.attack,
        ),
        Endpoint(
            name="nearest",
            summary="Find the sentences of the server whose vectors are nearest",
            request=_request(
                models.names(), count={"type": "integer", "minimum": 1, "maximum": 50, "default": 10}
            ),
            answer=_object(sentences=_array(_object(language=_TEXT, text=_TEXT, similarity=_NUMBER))),
            call=answers.nearest,
        ),
    ]
    if names := models.names(annotate=True):
        found += [
            Endpoint(
                name="predict",
                summary="Parse, tag, find entities or classify, as the model was trained to",
                request=_request(names),
                answer=PREDICTION,
                call=answers.predict,
            ),
            Endpoint(
                name="saliency",
                summary="Explain which patches a decision of a model rests on",
                request=_request(
                    names,
                    LONGEST_EXPLAINED,
                    method={"type": "string", "enum": models.methods, "default": models.methods[0]},
                    decision={**_COUNT, "default": 0, "description": "its number, as `decisions` lists them"},
                ),
                answer=SALIENCY,
                call=answers.saliency,
            ),
        ]
    if names := models.names(decode=True):
        patches = {**_array(_COUNT), "maxItems": LONGEST, "default": []}
        found.append(
            Endpoint(
                name="fill",
                summary="Hide patches (or write [MASK] into a text), paint what may stand there, and read it",
                request=_request(
                    names,
                    patches={**patches, "description": "numbers of patches to hide, the first is 0"},
                    read={
                        **_TRUTH,
                        "default": True,
                        "description": "read the picture; the first time in an alphabet takes a second",
                    },
                    top={"type": "integer", "minimum": 1, "maximum": 10, "default": 5},
                    rtl=_RTL,
                ),
                answer=FILLED,
                call=answers.fill,
            )
        )
    return found


def openapi(found: list[Endpoint]) -> Schema:
    """The document about the API, OpenAPI 3.1."""
    problem = _object(error=_TEXT)
    problems = {
        "400": "It is no JSON object in UTF-8.",
        "408": "It came too slowly.",
        "413": "It is too large.",
        "415": "Its Content-Type is not application/json.",
        "422": "It is not as the schema says, or cannot be done; the message says why.",
        "429": "Too much waits already; ask again after the seconds of Retry-After.",
        "503": "It took too long.",
    }
    told = {code: {"description": about, "content": _json(problem)} for code, about in problems.items()}
    paths: Schema = {}
    for each in found:
        result = {"description": "An answer a text.", "content": _json(_object(results=_array(each.answer)))}
        paths[f"/api/{each.name}"] = {
            "post": {
                "operationId": each.name,
                "summary": each.summary,
                "requestBody": {"required": True, "content": _json(each.request)},
                "responses": {"200": result, **told},
            }
        }
    paths["/api/info"] = {
        "get": {
            "operationId": "info",
            "summary": "What this server has: models, strategies, attacks, limits, examples",
            "responses": {"200": {"description": "It.", "content": _json({"type": "object"})}},
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pixel-m4 demo",
            "version": __version__,
            "description": "Language models that read text as pixels.",
        },
        "paths": paths,
    }


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
