"""A finished model to the hub: its weights, configuration, renderer and card, and nothing else of a run.

The record of a run (``run.json``), predictions and logs stay here: they may tell of places and private data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from transformers import Trainer, TrainingArguments

from pixel_m4.console.errors import UserError
from pixel_m4.console.redact import redact_text

# Of a pixel model or of a text model; fonts are there if they are not the default one.
_FILES = (
    *("config.json", "README.md", "model*.safetensors", "model*.safetensors.index.json", "all_results.json"),
    *("text_renderer_config.json", "processor_config.json", "*.[to]t[fc]", "*.woff", "*.woff2"),
    *("fallback_fonts/*", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*"),
    *("merges.txt", "*.model"),
)


def published_files(folder: Path) -> list[str]:
    """The files of a folder that make up a model, by their places in it."""
    found = {path for pattern in _FILES for path in folder.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(folder).as_posix() for path in found)


def publish_folder(
    folder: Path, name: str, *, revision: str | None = None, message: str = "Upload the model"
) -> str:
    """Upload the model of a folder, with its renderer and card.

    Args:
        folder: of the model.
        name: of a repository on the hub that exists.
        revision: branch to commit to; default: the main one.
        message: of the commit.

    Returns:
        Where the commit can be seen.

    Raises:
        UserError: the hub does not take it.
    """
    files = [escape(file) for file in published_files(folder)]
    with told_plainly(f"{folder} is whole, but cannot be uploaded to {name}"):
        commit = HfApi().upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=files,
            revision=revision,
            commit_message=message,
        )
    return str(commit.commit_url)


def check_hub(training: TrainingArguments) -> None:
    """Refuse an upload that cannot be made, and settings of one where none is asked for.

    Raises:
        UserError: names the argument, and says what to write.
    """
    if not training.push_to_hub:
        for name in ("hub_model_id", "hub_private_repo", "hub_revision"):
            if getattr(training, name) is not None:
                raise UserError(f"--{name} is for uploads: write --push_to_hub true, or leave it out")
        return
    if not training.do_train:
        raise UserError("--push_to_hub uploads the model that is trained; without --do_train there is none")
    if not (training.hub_token or get_token()):
        raise UserError("--push_to_hub needs a login: `hf auth login`, or a token in HF_TOKEN")


class PublishingTrainer(Trainer):
    """A Trainer that uploads the finished model once, when it is asked to; checkpoints stay here.

    The repository is made, or found, before training begins.
    """

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Make the repository, unless it is there.

        Raises:
            UserError: the hub cannot be reached, or does not let us.
        """
        name = self.args.hub_model_id or Path(self.args.output_dir).absolute().name
        with told_plainly(f"--push_to_hub: there is no repository {name} on the hub that can be written"):
            super().init_hf_repo(token, private)

    def push_to_hub(self, commit_message: str | None = None, **kwargs: Any) -> str | None:
        """Upload the model of the output folder, with its renderer and card; the main process does.

        Returns:
            Where the commit can be seen.
        """
        if self.hub_model_id is None:
            self.init_hf_repo()
        if not self.is_world_process_zero():
            return None
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        folder, revision = Path(self.args.output_dir), kwargs.get("revision") or self.args.hub_revision
        message = commit_message or "Upload the model"
        return publish_folder(folder, str(self.hub_model_id), revision=revision, message=message)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Without an upload: the card is not written yet."""
        super().save_model(output_dir, _internal_call=True)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Nothing: the finished model is uploaded, once."""


@contextmanager
def told_plainly(what: str) -> Iterator[None]:
    """Say in one line what the hub's client has to say.

    Raises:
        UserError: the hub's client raised an error.
    """
    try:
        yield
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        said = str(error).strip().split("\n")
        reason = redact_text(next((line for line in reversed(said) if line.strip()), type(error).__name__))
        raise UserError(f"{what}: {reason}") from error
