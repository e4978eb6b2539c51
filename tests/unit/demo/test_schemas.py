"""The document about the API, and requests that follow it or do not."""

from __future__ import annotations

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pixel_m4.analysis.respellings import homophones
from pixel_m4.console.errors import UserError
from pixel_m4.demo.answers import Answers
from pixel_m4.demo.app import create_app
from pixel_m4.demo.models import Models
from pixel_m4.demo.schemas import endpoints, openapi
from pixel_m4.demo.sentences import EXAMPLES


def test_requests_get_the_defaults_of_their_schema(models: Models) -> None:
    found = {each.name: each for each in endpoints(models, Answers(models, list(EXAMPLES)))}
    asked = found["attack"].checked({"texts": ["a"], "seed": 3})
    assert asked == {
        "texts": ["a"],
        "model": "pixel-m4-ud",
        "attack": models.attacks[0],
        "strength": 0.5,
        "seed": 3,
    }
    for each in found.values():
        Draft202012Validator.check_schema(each.request)
        for name, option in each.request["properties"].items():
            if "default" in option:
                Draft202012Validator(option).validate(option["default"])
                each.checked({"texts": ["a"], name: option["default"]})


def test_complaints_are_short_and_name_the_place(models: Models) -> None:
    (render,) = (each for each in endpoints(models, Answers(models, [])) if each.name == "render")
    with pytest.raises(UserError, match=r"^texts\[1\]: .* …$") as found:
        render.checked({"texts": ["a", {"b": "c" * 100_000}]})
    assert len(str(found.value)) < 250


def test_only_what_the_models_can_do_is_offered() -> None:
    tiny = Models(["pixel-m4-tiny"], "cpu")
    paths = openapi(endpoints(tiny, Answers(tiny, [])))["paths"]
    assert "/api/fill" in paths
    assert not {"/api/predict", "/api/saliency"} & set(paths)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_any_request_gets_an_answer_that_the_document_knows(models: Models, mode: GenerationMode) -> None:
    homophones()  # which takes longer than a request may
    app = create_app(models, list(EXAMPLES), allowed_hosts=["*"], threads=1, warm=False)
    asked = Counter[str]()
    for found in schemathesis.openapi.from_asgi("/api/openapi.json", app).get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and operation.method == "get":
            continue  # it takes nothing that could be wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def ask(case: schemathesis.Case) -> None:
            asked[case.path] += 1
            # No schema knows how many patches or decisions a text has.
            case.call_and_validate(excluded_checks=[positive_data_acceptance], timeout=100)

        ask()
    assert len(asked) >= 7
