"""Secrets in what is written down: tokens, keys and passwords are replaced by ``<hidden>``.

A secret is known by the name it stands under (``hub_token``, ``WANDB_API_KEY``), by its form (``hf_…``,
``https://user:password@host``), or because it was seen under such a name before.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

HIDDEN = "<hidden>"
_WORDS = {
    *("token", "key", "apikey", "password", "passwd", "passphrase", "pwd", "secret", "secrets"),
    *("credential", "credentials", "bearer", "authorization"),
}
_FORMS = re.compile(
    r"\b(?:hf_|api_org_|ghp_|gho_|ghs_|github_pat_|glpat-|sk-|xox[abp]-)[\w-]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
)
_USER = re.compile(r"(?<=://)[^\s/@'\"]+(?=@)")
_QUERY = re.compile(r"(?<=[?&;])([\w.-]+)=([^\s&;#'\"]+)")
_HEADER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_ASSIGNED = re.compile(r"(?<![\w/])(-{0,2}[A-Za-z][\w.-]*)(=|:\s+)('[^']*'|\"[^\"]*\"|[^\s'\",&;]+)")
_SHORTEST = 6  # characters of a value that is looked for wherever it stands
_seen: set[str] = set()


def is_secret(name: str) -> bool:
    """Whether what stands under a name is a secret: one of its words is token, key, password, secret …"""
    if "/" in name or name.endswith(("Error", "Exception")):
        return False
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return bool(_WORDS & set(re.split(r"[^a-z0-9]+", apart.lower())))


def remember(value: Any) -> None:
    """Hide this value from now on wherever it stands."""
    if isinstance(value, str) and len(value) >= _SHORTEST:
        _seen.add(value)


def remember_fields(arguments: Any) -> None:
    """Hide from now on the values of a dataclass whose names say that they are secrets."""
    if is_dataclass(arguments):
        for entry in fields(arguments):
            if is_secret(entry.name):
                remember(getattr(arguments, entry.name, None))


def redact(value: Any, name: str = "") -> Any:
    """A copy of dictionaries, lists and texts without secrets; other values as they are.

    Args:
        value: what is to be written down.
        name: under which it stands.
    """
    if isinstance(value, Mapping):
        return {
            redact_text(key) if isinstance(key, str) else key: redact(item, str(key))
            for key, item in value.items()
        }
    if name and is_secret(name) and isinstance(value, str | bytes) and value:
        remember(value)
        return HIDDEN
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, list | tuple):
        return [redact(item, name) for item in value]
    return value


def redact_text(text: str) -> str:
    """A text without secrets."""
    known = {
        value
        for name, value in os.environ.items()
        if is_secret(name) and len(value) >= _SHORTEST and not value.startswith(("/", "."))
    }
    for secret in sorted(known | _seen, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _USER.sub(HIDDEN, text)
    text = _QUERY.sub(lambda found: f"{found[1]}={HIDDEN}" if is_secret(found[1]) else found[0], text)
    text = _HEADER.sub(lambda found: f"{found[1]} {HIDDEN}", text)
    text = _ASSIGNED.sub(
        lambda found: (
            f"{found[1]}{found[2]}{HIDDEN}"
            if is_secret(found[1]) and found[1].lower() != "key"  # as in sorted(…, key=…)
            else found[0]
        ),
        text,
    )
    return _FORMS.sub(HIDDEN, text)


def redact_command(words: Sequence[str]) -> str:
    """A command line for the shell, without the values of options that are secrets."""
    shown: list[str] = []
    hide = False
    for word in words:
        option, equals, value = word.partition("=")
        if hide and not word.startswith("--"):
            remember(word)
            shown.append(HIDDEN)
            hide = False
            continue
        hide = word.startswith("-") and is_secret(option) and not equals
        if word.startswith("-") and equals and is_secret(option):
            remember(value)
            word = f"{option}={HIDDEN}"
        shown.append(word)
    return shlex.join(map(redact_text, shown))
