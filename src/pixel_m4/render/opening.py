"""The renderer of a checkpoint: its own, or one that the user names; never one that is guessed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.render.renderer import CONFIG_NAME, TextRenderer
from pixel_m4.render.strategies import STRATEGIES
from pixel_m4.shipped import find_model, is_hub_name


def renderer_file(checkpoint: str | os.PathLike[str]) -> Path | None:
    """The ``text_renderer_config.json`` of a checkpoint; None if it has none.

    Args:
        checkpoint: a folder, a checkpoint of the package, or ``owner/name`` on the hub.

    Raises:
        FileNotFoundError: there is no such folder, and no such model on the hub.
        OSError: the hub cannot be reached, or does not let us in.
    """
    place = find_model(checkpoint)
    if Path(place).is_dir():
        file = Path(place) / CONFIG_NAME
        return file if file.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(place, CONFIG_NAME))
    except LocalEntryNotFoundError as error:
        raise OSError(f"{CONFIG_NAME} of {place} cannot be fetched from the hub: {error}") from error
    except EntryNotFoundError:
        return None


def open_renderer(
    checkpoint: str | os.PathLike[str] | None,
    named: str | os.PathLike[str] | None = None,
    **changes: Any,
) -> TextRenderer:
    """The renderer that a checkpoint was trained with, or the one that is named in its place.

    Args:
        checkpoint: a folder, a checkpoint of the package, or a name on the hub; None only with ``named``.
        named: where the renderer comes from instead: a checkpoint, a ``text_renderer_config.json``, or the
            name of a strategy, which stands for the published renderer with that strategy.
        changes: arguments of the renderer that replace those of the file.

    Raises:
        FileNotFoundError: the checkpoint has no renderer and none is named, or there is no such checkpoint.
        OSError: the hub cannot be reached.
        ValueError: the renderer's file or a change is not what it should be.
    """
    if named is not None:
        if str(named) in STRATEGIES and not Path(named).exists():
            return TextRenderer(**{"strategy": str(named), **changes})
        checkpoint = named.parent if (named := Path(named)).name == CONFIG_NAME else str(named)
    if checkpoint is None:
        raise UserError("there is no checkpoint to take the renderer from: name one")
    file = renderer_file(checkpoint)
    if file is None:
        raise FileNotFoundError(
            f"{checkpoint} has no {CONFIG_NAME}, so it does not say how its text was drawn: name its "
            "renderer with --renderer (renderer=… in Python): a folder or hub name that has one, or one of "
            f"{', '.join(STRATEGIES)} (published models use bigrams or continuous)"
        )
    # By its name, if it is on the hub: names of PIXEL's own models say how they draw.
    return TextRenderer.from_pretrained(
        checkpoint if is_hub_name(str(checkpoint)) else file.parent, **changes
    )
