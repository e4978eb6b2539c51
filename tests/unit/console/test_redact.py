from __future__ import annotations

from dataclasses import dataclass, fields

import pytest
from transformers import TrainingArguments

from pixel_m4.console import redact as module
from pixel_m4.console.redact import HIDDEN, is_secret, redact, redact_command, redact_text, remember_fields
from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.pretrain.arguments import PretrainArguments, PretrainTrainingArguments
from pixel_m4.tasks.registry import TASKS


@pytest.fixture(autouse=True)
def _nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_seen", set())


def test_names_of_secrets() -> None:
    for name in ("hub_token", "--hub-token", "WANDB_API_KEY", "apiKey", "password", "my.secret", "HF_TOKEN"):
        assert is_secret(name), name
    for name in ("average_tokens_across_devices", "keyboard", "monkey", "KeyError", "data/key/x.txt", "seed"):
        assert not is_secret(name), name


def test_our_arguments_have_no_other_secrets() -> None:
    groups = (FinetuneArguments, TrainingArguments, PretrainArguments, PretrainTrainingArguments)
    options = [task.options_class for task in TASKS.values()]
    names = {entry.name for group in (*groups, *options) for entry in fields(group)}
    assert {name for name in names if is_secret(name)} <= {"hub_token", "push_to_hub_token"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("--hub_token=abc1 --seed=5", f"--hub_token={HIDDEN} --seed=5"),
        ("hub_token: abc1", f"hub_token: {HIDDEN}"),
        ("PASSWORD='a b' c", f"PASSWORD={HIDDEN} c"),
        ("at https://me:pw@host/x?token=t&n=1", f"at https://{HIDDEN}@host/x?token={HIDDEN}&n=1"),
        ("https://tok@host/x", f"https://{HIDDEN}@host/x"),
        ("Authorization: Bearer abcdefgh12", f"Authorization: {HIDDEN} {HIDDEN}"),
        ("used hf_abcdefghijklmnopqrst.", f"used {HIDDEN}."),
        ("KeyError: 'name'", "KeyError: 'name'"),
        ("sorted(x, key=len)", "sorted(x, key=len)"),
        ("a@b.de, 5 tokens: 7; key", "a@b.de, 5 tokens: 7; key"),
    ],
)
def test_texts(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_what_was_seen_under_such_a_name_is_hidden_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Arguments:
        hub_token: str = "xyzzy-1"
        short_key: str = "no"
        name: str = "me"

    assert redact_text("xyzzy-1") == "xyzzy-1"
    remember_fields(Arguments())
    assert redact_text("no me xyzzy-1!") == f"no me {HIDDEN}!"
    monkeypatch.setenv("SOME_API_KEY", "plugh-22")
    assert redact_text("a plugh-22") == f"a {HIDDEN}"


def test_structures() -> None:
    content = {"arguments": {"hub_token": "abcdef", "n": 1, "x": ["abcdef"]}, "keys": ("a", None)}
    assert redact(content) == {
        "arguments": {"hub_token": HIDDEN, "n": 1, "x": [HIDDEN]},
        "keys": ["a", None],
    }
    assert redact({"hub_token": None}) == {"hub_token": None}


def test_commands() -> None:
    words = ["pixel-m4", "finetune", "--hub_token", "abcdefg", "--hub_tok", "abcdefg", "--x", "a b"]
    assert redact_command(words) == f"pixel-m4 finetune --hub_token '{HIDDEN}' --hub_tok '{HIDDEN}' --x 'a b'"
    assert redact_command(["--my-key=1", "--key", "--other", "2"]) == f"'--my-key={HIDDEN}' --key --other 2"


def test_a_secret_after_an_equals_sign_is_known_from_then_on() -> None:
    assert redact_command(["x", "--hub_token=opensesame7"]) == "x '--hub_token=<hidden>'"
    assert redact_text("with opensesame7") == "with <hidden>"
