"""The API over HTTP: answers, bounds, and headers."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from pixel_m4 import embed
from pixel_m4.demo import app as application
from pixel_m4.demo.answers import Answers
from pixel_m4.demo.models import Models
from pixel_m4.demo.sentences import EXAMPLES

TEXT = "My cat sleeps."
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("render", {"strategy": "words", "rtl": True}),
    ("render", {}),
    ("predict", {}),
    ("predict", {"model": "ner"}),
    ("predict", {"model": "classification"}),
    ("saliency", {"decision": 2}),
    ("saliency", {"method": "occlusion_words", "model": "classification"}),
    ("fill", {"patches": [2]}),
    ("fill", {"patches": [2, 3], "read": False}),
    ("attack", {"attack": "full_swap", "strength": 1}),
    ("embed", {"model": "pixel-m4-tiny"}),
    ("nearest", {"count": 3}),
]


def ask(client: TestClient, endpoint: str, *texts: str, **options: Any) -> Any:
    answer = client.post(f"/api/{endpoint}", json={"texts": list(texts) or [TEXT], **options})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def error(client: TestClient, endpoint: str, body: Any, status: int = 422) -> str:
    answer = client.post(f"/api/{endpoint}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize(("endpoint", "options"), REQUESTS)
def test_answers_are_as_the_document_says(client: TestClient, endpoint: str, options: dict[str, Any]) -> None:
    document = client.get("/api/openapi.json").json()
    method = document["paths"][f"/api/{endpoint}"]["post"]
    schema = method["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator.check_schema(schema)
    request = {"texts": [TEXT, "Le chat dort."], **options}
    Draft202012Validator(method["requestBody"]["content"]["application/json"]["schema"]).validate(request)
    answer = client.post(f"/api/{endpoint}", json=request).json()
    Draft202012Validator(schema).validate(answer)
    assert len(answer["results"]) == 2
    assert answer["results"][0] != answer["results"][1]
    assert answer["results"][:1] == ask(client, endpoint, **options)  # a batch changes nothing


def test_every_endpoint_is_asked_here(client: TestClient) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {path.removeprefix("/api/") for path in paths} == {name for name, _ in REQUESTS} | {"info"}


def test_vectors_are_those_of_the_library(client: TestClient) -> None:
    (found,) = ask(client, "embed", model="pixel-m4-tiny", layer=-2, pooling="cls")
    expected = embed([TEXT], "pixel-m4-tiny", -2, "cls", device="cpu")[0]
    assert np.array(found["vector"]) == pytest.approx(expected, abs=1e-4)


def test_what_is_hidden_is_painted_and_read(client: TestClient) -> None:
    (read,) = ask(client, "fill", patches=[2])
    (quick,) = ask(client, "fill", patches=[2], read=False)
    assert read["masked_patches"] == quick["masked_patches"] == [2]
    assert read["reconstructed"] == quick["reconstructed"] != read["original"]
    assert [gap["truth"] for gap in read["gaps"]] == ["ca"]
    assert len(read["gaps"][0]["readings"]) == 5
    assert quick["gaps"] == []
    (hole,) = ask(client, "fill", "My [MASK:2] sleeps.")
    assert hole["masked_patches"] == [2, 3]


def test_an_attack_grows_with_its_strength(client: TestClient) -> None:
    text = "The quick brown foxes jumped lazily over sleeping hounds"
    found = [ask(client, "attack", text, attack="full_swap", strength=s)[0] for s in (0, 0.5, 1)]
    assert found[0] == {"text": text, "words": 0, "patches": 0, "missing": 0}
    assert 0 < found[1]["words"] < found[2]["words"] <= 1
    assert found[2]["patches"] > found[1]["patches"]
    assert sorted(found[2]["text"]) == sorted(text)
    assert ask(client, "attack", text, strength=0.5, attack="full_swap", seed=1)[0] != found[1]


def test_an_attack_leaves_punctuation_and_spaces_where_they_are(client: TestClient) -> None:
    text = "  Foxes, hounds:  jumped.\nLazily!"
    attacked = ask(client, "attack", text, attack="full_swap", strength=1)[0]["text"]
    assert attacked != text
    assert re.sub(r"\w", "x", attacked) == re.sub(r"\w", "x", text)
    joined = ask(client, "attack", text, attack="segmentation", strength=1)[0]["text"]
    assert joined == "  Foxes,hounds:jumped.Lazily!"


@pytest.mark.parametrize(
    ("endpoint", "body", "message"),
    [
        ("render", {}, "'texts' is a required property"),
        ("render", [], "is not of type 'object'"),
        ("render", {"texts": []}, "texts: \\[\\] should be non-empty"),
        ("render", {"texts": [""]}, "texts\\[0\\]: '' should be non-empty"),
        ("render", {"texts": ["a", 1]}, "texts\\[1\\]: 1 is not of type 'string'"),
        ("render", {"texts": ["a" * 1001]}, "texts\\[0\\]: 'aaa.* …"),
        ("render", {"texts": ["a"] * 33}, "texts: "),
        ("render", {"texts": ["a"], "strategy": "x"}, "strategy: 'x' is not one of"),
        ("render", {"texts": ["a"], "path": "/etc"}, "Additional properties are not allowed"),
        ("render", {"texts": [" \n"]}, "a text is blank"),
        ("predict", {"texts": ["a"], "model": "/etc/passwd"}, "model: '/etc/passwd' is not one of"),
        ("predict", {"texts": ["a"], "model": "pixel-m4-tiny"}, "model: 'pixel-m4-tiny' is not one of"),
        ("saliency", {"texts": ["a" * 201]}, "texts\\[0\\]"),
        ("saliency", {"texts": ["a"], "decision": 9}, "decision 9 is not there"),
        ("fill", {"texts": ["a"]}, "nothing is masked"),
        ("fill", {"texts": ["a"], "patches": [7]}, "there is no patch 7"),
        ("fill", {"texts": ["猫 " * 300], "patches": [7]}, "has positions for 256"),
        ("embed", {"texts": ["a"], "layer": 9}, "there is no layer 9"),
        ("attack", {"texts": ["a"], "strength": 2}, "strength: 2 is greater than"),
        ("nearest", {"texts": ["a"], "count": 0}, "count: 0 is less than"),
    ],
)
def test_what_cannot_be_done_is_told(client: TestClient, endpoint: str, body: Any, message: str) -> None:
    told = error(client, endpoint, body)
    assert len(told) < 300
    assert re.search(message, told), told


def test_half_a_surrogate_pair_is_no_text(client: TestClient) -> None:
    answer = client.post(
        "/api/render", content=b'{"texts": ["a\\ud800"]}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert "surrogate" in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}"]
)
def test_what_is_no_json_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/render", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"]
)
def test_what_a_form_of_another_site_can_send_is_refused(client: TestClient, kind: str) -> None:
    answer = client.post("/api/render", content=b'{"texts": ["a"]}', headers={"Content-Type": kind})
    assert answer.status_code == 415


def test_a_large_request_is_refused_before_it_has_come(client: TestClient) -> None:
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        while sent < 100 * application.MOST_BYTES:
            sent += 65536
            yield b"a" * 65536

    answer = client.post("/api/render", content=parts(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", ""])
@pytest.mark.parametrize("path", ["/", "/api/info", "/api/openapi.json"])
def test_other_names_of_the_host_are_refused(client: TestClient, host: str, path: str) -> None:
    assert client.get(path, headers={"Host": host}).status_code == 400
    assert client.get(path, headers={"Host": "localhost:1234"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/app.js", "/api/info", "/nothing", "/api/render"])
def test_every_answer_has_safe_headers(client: TestClient, path: str) -> None:
    headers = client.get(path, headers={"Origin": "http://evil.example"}).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize("path", ["/../app.py", "/%2e%2e/app.py", "/static/../../app.py", "/..%2fapp.py"])
def test_only_files_of_the_page_are_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_page_is_told_what_there_is(client: TestClient, models: Models) -> None:
    about = client.get("/api/info").json()
    assert [model["name"] for model in about["models"]] == models.names()
    assert [each["language"] for each in about["examples"]] == [each.language for each in EXAMPLES]


def test_faults_of_the_program_tell_nothing(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("a secret")

    monkeypatch.setattr("pixel_m4.demo.answers.drawn", fail)
    assert error(client, "render", {"texts": ["a"]}, 500) == "this is an error of the program"


class Slow(Answers):
    """Renders nothing, but waits for the test."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.order: list[str] = []

    def attack(self, text: str, asked: Any) -> dict[str, Any]:
        self.begun.release()
        self.go_on.wait(20)
        self.order.append(text)
        return {"text": text, "words": 0, "patches": 0, "missing": 0}


@pytest.fixture
def slow(models: Models, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Slow]]:
    answers = Slow(models, list(EXAMPLES))
    monkeypatch.setattr(application, "Answers", lambda *_: answers)
    app = application.create_app(models, list(EXAMPLES), allowed_hosts=["*"], threads=1, warm=False)
    with TestClient(app) as client:
        yield client, answers
        answers.go_on.set()


def test_one_client_does_not_stall_the_others(slow: tuple[Any, Slow]) -> None:
    client, answers = slow

    def send(address: str, *texts: str) -> threading.Thread:
        own = TestClient(client.app, client=(address, 1))
        own.portal = client.portal
        thread = threading.Thread(target=lambda: ask(own, "attack", *texts))
        thread.start()
        return thread

    first = send("10.0.0.1", *(f"many{i}" for i in range(5)))
    assert answers.begun.acquire(timeout=10)
    second = send("10.0.0.2", "other")
    wait_for(lambda: application_waiting(client) == 5)
    answers.go_on.set()
    first.join()
    second.join()
    assert answers.order.index("other") <= 2
    assert len(answers.order) == 6


def wait_for(holds: Any) -> None:
    deadline = threading.Event()
    for _ in range(200):
        if holds():
            return
        deadline.wait(0.05)
    pytest.fail("it never came")


def application_waiting(client: Any) -> int:
    return client.app.state.pool.waiting


def test_who_asks_too_much_is_told_to_come_again(slow: tuple[Any, Slow]) -> None:
    client, answers = slow
    threads = [threading.Thread(target=lambda: ask(client, "attack", *["a"] * 32)) for _ in range(2)]
    threads[0].start()
    assert answers.begun.acquire(timeout=10)
    threads[1].start()
    wait_for(lambda: application_waiting(client) == 63)
    answer = client.post("/api/attack", json={"texts": ["a", "b"]})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    answers.go_on.set()
    for thread in threads:
        thread.join()


def test_no_answer_in_time_is_told(slow: tuple[Any, Slow], monkeypatch: pytest.MonkeyPatch) -> None:
    client, answers = slow
    monkeypatch.setattr(application, "SECONDS_TO_ANSWER", 0.1)
    assert "0.1 seconds" in error(client, "attack", {"texts": ["a", "b"]}, 503)
    answers.go_on.set()
    monkeypatch.setattr(application, "SECONDS_TO_ANSWER", 10)
    ask(client, "attack", "c")
    assert answers.order == ["a", "c"]  # nobody waited for b any more


def test_a_whole_number_may_have_a_point(client: TestClient) -> None:
    assert ask(client, "attack", seed=3.0) == ask(client, "attack", seed=3)


def test_nobodys_characters_are_told_on_the_terminal(
    client: TestClient, recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(client, "render", "a \U0010ffff")[0]["missing"] == [2]
    assert not recwarn.list
    assert capsys.readouterr() == ("", "")


def test_json_numbers_that_are_none_are_refused(client: TestClient) -> None:
    body = json.dumps({"texts": ["a"], "strength": float("nan")})
    answer = client.post("/api/attack", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
