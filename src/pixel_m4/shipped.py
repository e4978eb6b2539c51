"""Where a checkpoint is: in a folder, in the package, or on the hub."""

from __future__ import annotations

import os
import re
import threading
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from pixel_m4.console.errors import UserError

PRETRAINED = ("pixel-m4-tiny", "pixel-m4-tiny-english")
"""Checkpoints of the package to fine-tune."""
SHIPPED = (*PRETRAINED, "pixel-m4-ud")
"""All checkpoints of the package; the last is a parser and tagger that is ready for use."""
HUB_SECONDS = 5.0
"""How long the hub may take for its first answer."""
# First parts of a name that are folders of runs, even where there is none here.
_FOLDERS = ("runs", "output", "outputs", "checkpoints", "tmp")
HUB_ALIASES = {
    **dict.fromkeys(
        (
            *("bert-base-cased", "bert-base-uncased", "bert-large-cased", "bert-large-uncased"),
            *("bert-base-multilingual-cased", "bert-base-multilingual-uncased", "bert-base-chinese"),
        ),
        "google-bert",
    ),
    **dict.fromkeys(("roberta-base", "roberta-large", "xlm-roberta-base", "xlm-roberta-large"), "FacebookAI"),
    **dict.fromkeys(
        ("distilbert-base-cased", "distilbert-base-uncased", "distilbert-base-multilingual-cased"),
        "distilbert",
    ),
}
"""Owners of text models on the hub that everybody names without them."""
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_REVISION = re.compile(r"[^\s@:?*\[\\^~]+")
# What a model consists of; of the weights only one kind is fetched.
_FILES = ("*.json", "*.txt", "*.model", "*.ttf", "*.otf", "*.ttc", "README.md")
_reached: set[tuple[str, str | None]] = set()


def find_shipped(name: Any) -> Any:
    """The folder of a checkpoint that the package ships; every other name as it is.

    A folder of the user's with such a name comes first.
    """
    if not isinstance(name, str | os.PathLike) or str(name) not in SHIPPED or Path(name).exists():
        return name
    folder = files("pixel_m4") / "assets" / str(name)
    return str(folder) if isinstance(folder, Path) else name


def is_hub_name(name: Any) -> bool:
    """Whether a name can only be meant for the hub: ``owner/name``, and no folder ``owner`` is here.

    Names of ``HUB_ALIASES`` are meant so, too; ``@`` and a revision may follow.
    """
    if not isinstance(name, str) or Path(name).exists():
        return False
    name, at, revision = name.partition("@")
    if at and not _REVISION.fullmatch(revision):
        return False
    if name in HUB_ALIASES:
        return not Path(name).exists()
    if not _HUB_NAME.fullmatch(name) or name.startswith("."):
        return False
    owner = name.split("/")[0]
    return not Path(name).exists() and not Path(owner).is_dir() and owner not in _FOLDERS


def is_path(name: Any) -> bool:
    """Whether a name cannot be meant for the hub, as ``owner/name`` and bare names can."""
    if not isinstance(name, str | os.PathLike):
        return False
    text = os.fspath(name)
    return text.startswith("~") or (bool({"/", os.sep} & set(text)) and not is_hub_name(text))


def with_revision(name: Any, revision: str | None, option: str = "revision") -> Any:
    """A name on the hub with its revision, as in ``owner/name@revision``; every other name as it is.

    Args:
        name: of a checkpoint.
        revision: a branch, a tag or a commit; None: the default branch, or what the name says.
        option: what messages call it.

    Raises:
        ValueError: there is a revision, and the name is not one on the hub, or says another one.
    """
    if revision is None:
        return name
    text, _, said = str(name).partition("@")
    if said and said != revision:
        raise UserError(f"{name} and {option} {revision} name two revisions; leave one of them out")
    if not is_hub_name(f"{text}@{revision}"):
        fault = (
            "can be none" if is_hub_name(text) else f"is for names on the hub (owner/name), not for {name}"
        )
        raise UserError(f"{option} {revision!r} {fault}")
    return f"{text}@{revision}"


def is_exported(name: str | os.PathLike[str]) -> bool:
    """Whether a name is that of an ONNX file, as `pixel-m4 export` writes them, not of a model folder."""
    return Path(name).suffix == ".onnx" and not Path(name).expanduser().is_dir()


def find_model(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    subfolder: str = "",
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> str:
    """Where the checkpoint of a name is: a folder, or a name that the hub has just answered for.

    What looks like a path is never asked for at the hub. If the hub cannot be reached and an earlier
    download is here, its folder is taken.

    Args:
        name: a folder (``~`` is the home folder), a checkpoint of the package, or ``owner/name`` on the hub.
            ``owner/name@revision`` leads to the folder of a download.
        revision: of the hub's repository.
        subfolder: the folder inside of it that holds the checkpoint.
        cache_dir: where downloads are kept, if not where the hub's client keeps them.
        local_files_only: do not ask the hub, take an earlier download.
        token: for private repositories, if not the one of the hub's own login.

    Raises:
        FileNotFoundError: there is no such folder, and no such model on the hub.
        NotADirectoryError: it is a file.
        OSError: the hub cannot be reached, or does not let us in.
    """
    text = os.fspath(find_shipped(name))
    folder = Path(text).expanduser() if text.startswith("~") else Path(text)
    if folder.is_dir() and text:
        return str(folder) if text.startswith("~") else text
    if folder.is_file():
        raise NotADirectoryError(f"{text} is a file; give the model's folder, such as {str(folder.parent)!r}")
    if not isinstance(name, str) or not is_hub_name(text):
        raise FileNotFoundError(_no_folder(text, folder))
    text, _, said = text.partition("@")
    text = f"{HUB_ALIASES[text]}/{text}" if text in HUB_ALIASES else text
    if said:
        return _snapshot(text, said, cache_dir, local_files_only, token)
    if (text, revision) in _reached and not local_files_only:
        return text
    problem = "" if local_files_only else _ask_hub(text, revision, token)
    if problem is None:
        _reached.add((text, revision))
        return text
    from huggingface_hub import try_to_load_from_cache

    parts = Path(subfolder or "", "config.json")
    cached = try_to_load_from_cache(text, parts.as_posix(), cache_dir=cache_dir, revision=revision)
    if isinstance(cached, str):
        return str(Path(cached).parents[len(parts.parts) - 1])
    if local_files_only:
        raise FileNotFoundError(f"there is no folder {text!r} here, and no earlier download of it")
    raise OSError(
        f"there is no folder {text!r} here, and the hub cannot be reached ({problem}); check the name, or "
        "the connection"
    )


def _snapshot(
    name: str,
    revision: str,
    cache_dir: str | os.PathLike[str] | None,
    local_files_only: bool,
    token: str | bool | None,
) -> str:
    """The folder of a download of a revision; what the cache has is taken where the hub cannot be reached."""
    from huggingface_hub import snapshot_download

    problem = "" if local_files_only else _ask_hub(name, revision, token)
    place: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "token": token}
    place["local_files_only"] = problem is not None
    try:
        folder = snapshot_download(name, allow_patterns=[*_FILES, "*.safetensors"], **place)
        if not any(Path(folder).glob("*.safetensors")):
            folder = snapshot_download(name, allow_patterns=[*_FILES, "pytorch_model*.bin*"], **place)
    except FileNotFoundError as error:  # nothing of it in the cache
        if not problem:
            raise FileNotFoundError(
                f"there is no earlier download of revision {revision!r} of {name} here"
            ) from error
        raise OSError(
            f"revision {revision!r} of {name} is not among earlier downloads, and the hub cannot be reached "
            f"({problem}); check the revision, or the connection"
        ) from error
    return str(folder)


def _no_folder(text: str, folder: Path) -> str:
    """What to say of a folder that is not there, with names nearby that may be meant."""
    try:
        nearby = [path.name for path in folder.parent.iterdir() if path.is_dir()]
    except OSError:
        nearby = []
    bare = not {"/", os.sep} & set(text)
    close = get_close_matches(folder.name, [*(SHIPPED if bare else ()), *nearby], n=1)
    hint = f"; is {str(folder.parent / close[0])!r} meant?" if close else ""
    if bare and not close:
        hint = f"; the package has {', '.join(SHIPPED)}, and names on the hub have the form owner/name"
    return f"there is no model folder {text!r}{hint}"


def _ask_hub(name: str, revision: str | None, token: str | bool | None) -> str | None:
    """None if the hub has this model; else why it could not be reached.

    Raises:
        FileNotFoundError: the hub has no such model or revision, or hides it.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            url = hf_hub_url(name, "config.json", revision=revision)
            get_hf_file_metadata(url, token=token, timeout=HUB_SECONDS)
            answer.append(None)
        except Exception as error:  # of several libraries; sorted out below
            answer.append(error)

    # In a thread, as looking up a host's address knows no time limit.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_SECONDS)
    if not answer:
        return f"no answer in {HUB_SECONDS:g} s"
    error = answer[0]
    if error is None or (isinstance(error, EntryNotFoundError) and not isinstance(error, FileNotFoundError)):
        return None  # the loader says which file is missing
    if isinstance(error, GatedRepoError):
        raise PermissionError(
            f"{name} on the hub asks for its terms to be accepted: log in with `hf auth login`"
        )
    if isinstance(error, RevisionNotFoundError):
        raise FileNotFoundError(f"{name} on the hub has no revision {revision!r}")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        raise FileNotFoundError(
            f"there is no folder {name!r} here, and no such model on the hub (for a private one, log in with "
            "`hf auth login`)"
        )
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
