"""Settings of the server are checked before any model is opened."""

from __future__ import annotations

import socket
import sys

import pytest

from pixel_m4.cli.main import main
from pixel_m4.console.errors import UserError
from pixel_m4.demo import run
from pixel_m4.demo.run import Settings, demo


@pytest.fixture(autouse=True)
def _no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> None:
        pytest.fail("a model was opened")

    monkeypatch.setattr("pixel_m4.demo.models.Models.__init__", opened)


@pytest.mark.parametrize(("wrong", "message"), [({"port": 65536}, "--port"), ({"threads": 0}, "--threads")])
def test_numbers_out_of_range_are_told(wrong: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        demo(Settings(**wrong))


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match="Address already in use; choose another --port"):
            demo(Settings(port=other.getsockname()[1]))


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UserError, match=r"the demo needs uvicorn: pip install 'pixel-m4\[demo\]'"):
        demo(Settings())


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        (Settings(), ["localhost", "127.0.0.1", "[::1]"]),
        (Settings(host="0.0.0.0"), ["localhost", "127.0.0.1", "[::1]"]),
        (
            Settings(host="fe80::1", allow_hosts=["a.org"]),
            ["localhost", "127.0.0.1", "[::1]", "[fe80::1]", "a.org"],
        ),
    ],
)
def test_hosts_are_those_of_this_machine_and_those_that_are_named(
    settings: Settings, hosts: list[str]
) -> None:
    assert settings.allowed_hosts == hosts


def test_the_defaults_of_the_command_are_those_of_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(run, "demo", given.append)
    assert main(["demo"]) == 0
    assert {**vars(given[0]), "models": ()} == {
        **vars(Settings(models=())),
        "models": (),
        "allow_hosts": [],
        "frame_ancestors": [],
    }
    assert list(given[0].models) == list(run.MODELS)


def test_small_answers_are_sent_at_once() -> None:
    with run.listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # what asyncio asks for before it sets TCP_NODELAY
